//! `explain`: why a packet is accepted or dropped; where none is named, of each finding of the group
//! one that gets in.

mod interface;

use super::exit::{Exit, Failure};
use super::scan::{checks_of, packs_of};
use super::{Global, setup, show};
use crate::cloud::Client;
use crate::cloud::collect::{Collected, Request, collect};
use crate::config::program::{Program, is_region};
use crate::config::schedule::{Schedule, is_account, is_group};
use crate::exposure::egress::Egress;
use crate::exposure::explain::{Question, example, explain};
use crate::exposure::set::{parse_address, parse_any_cidr};
use crate::exposure::{Certainty, GroupRules, Internet};
use crate::model::{AccountId, Family, GroupId, GroupReading, Protocol, RegionId, Verdict};
use crate::policy::{Check, Policy, Side, Waiver, Waivers, assess};
use chrono::{NaiveDate, Utc};
use clap::Args;
use std::path::PathBuf;
use std::sync::Arc;

/// Arguments of `explain`.
#[derive(Debug, Args)]
pub(super) struct Explain {
    /// The group, or an interface (eni-...) with all its groups
    #[arg(value_name = "GROUP")]
    group: String,
    /// Its region
    #[arg(long, value_name = "R")]
    region: String,
    /// Destination port [default, where a protocol or source is named: 22]
    #[arg(long, value_parser = clap::value_parser!(u16).range(1..))]
    port: Option<u16>,
    /// tcp, udp, icmp, icmpv6 or gre [default, where a port or source is named: tcp]
    #[arg(long, value_parser = parse_protocol)]
    protocol: Option<Protocol>,
    /// In this account and not that of the keys; the role of [accounts] is assumed there
    #[arg(long, value_name = "A")]
    account: Option<String>,
    /// By the checks, trusted networks and waivers of this schedule
    #[arg(long, value_name = "FILE", conflicts_with = "packs")]
    schedule: Option<PathBuf>,
    /// One source address [default: the whole internet, both families]
    #[arg(long, value_name = "IP")]
    source: Option<std::net::IpAddr>,
    /// Without a packet: only the finding of this check
    #[arg(long, value_name = "ID", conflicts_with_all = ["port", "protocol", "source"])]
    check: Option<String>,
    /// Without a packet: findings by this pack; repeatable [default: risky-ports]
    #[arg(long = "pack", value_name = "NAME", conflicts_with_all = ["port", "protocol", "source"])]
    packs: Vec<String>,
}

fn parse_protocol(text: &str) -> Result<Protocol, String> {
    Protocol::parse(&text.to_ascii_lowercase())
        .ok_or_else(|| "must be tcp, udp, icmp, icmpv6 or gre".to_owned())
}

impl Explain {
    pub(super) async fn run(self, global: &Global) -> Result<Exit, Failure> {
        let of_interface = interface::is_interface(&self.group);
        if !of_interface && !is_group(&self.group) {
            return Err(Failure::usage(format!(
                "\"{}\" must be a group id such as sg-bp1..., or an interface's such as eni-bp1...",
                self.group
            )));
        }
        if !is_region(&self.region) {
            return Err(Failure::usage(format!(
                "--region \"{}\" must be a region id",
                self.region
            )));
        }
        if let Some(account) = &self.account
            && !is_account(account)
        {
            return Err(Failure::usage(format!(
                "--account \"{account}\" must be an account id of 16 digits"
            )));
        }
        self.refuse_impossible()?;
        if of_interface {
            if self.check.is_some() || !self.packs.is_empty() {
                return Err(Failure::usage(
                    "--check and --pack are of a group's findings; of an interface name a packet",
                ));
            }
            let (program, judging) = self.judging(global)?;
            let (client, account) = entered(&program, self.account.as_deref()).await?;
            let asked = interface::Asked {
                account,
                id: &self.group,
                region: &self.region,
                questions: &self.questions(),
                judging: &judging,
            };
            return interface::run(global, client, &asked).await;
        }
        let (program, judging) = self.judging(global)?;
        let (client, account) = entered(&program, self.account.as_deref()).await?;
        let request = Request {
            account,
            regions: Some(vec![RegionId::new(self.region.clone())]),
            exclude_regions: Vec::new(),
            groups: Some(vec![GroupId::new(self.group.clone())]),
            names: Vec::new(),
            tags: Vec::new(),
            exclude_groups: Vec::new(),
            regions_at_once: 1,
            groups_at_once: 1,
            attached: false,
            expected: false,
            may_be_gone: false,
            stop: crate::job::Stop::default(),
        };
        let mut found: Option<GroupReading> = None;
        let mut failed = None;
        let mut stream = collect(client, request);
        while let Some(event) = stream.recv().await {
            match event {
                Collected::Group(group) => found = Some(*group),
                Collected::Region(region) => failed = failed.or(region.error),
                Collected::Answers(_)
                | Collected::Attached { .. }
                | Collected::Unnamed(_)
                | Collected::Excluded { .. }
                | Collected::Conflict { .. } => {}
            }
        }
        let Some(group) = found else {
            return Err(match failed {
                Some(why) => Failure {
                    exit: Exit::Incomplete,
                    message: format!(
                        "cannot read {} in {}: {}: {}",
                        self.group,
                        self.region,
                        // What we found ourselves is no call's.
                        format!("{} {}", why.action, why.code).trim_start(),
                        why.message
                    ),
                },
                None => Failure {
                    exit: Exit::Incomplete,
                    message: format!(
                        "there is no group {} in {} that this identity may see",
                        self.group, self.region
                    ),
                },
            });
        };
        let complete = group.rules.incomplete.is_none();
        if self.names_a_packet() {
            self.answer(global, &judging, &group);
        } else {
            let unasked = self.schedule.is_none() && self.packs.is_empty() && self.check.is_none();
            findings(global, &judging, unasked, &group);
        }
        Ok(if complete {
            Exit::Done
        } else {
            Exit::Incomplete
        })
    }

    fn names_a_packet(&self) -> bool {
        self.port.is_some() || self.protocol.is_some() || self.source.is_some()
    }

    /// The configuration, and what is judged by: all mistakes are told before anything is called.
    fn judging(&self, global: &Global) -> Result<(Program, Judging), Failure> {
        let (program, mut schedule) = match &self.schedule {
            Some(file) => setup::program_and_schedule(global, file)?,
            None => (setup::program(global)?, Schedule::defaults("explain")),
        };
        if !self.packs.is_empty() {
            schedule.checks = checks_of(&packs_of(&self.packs, &setup::base(global))?)?;
        }
        schedule.checks = self.checks(schedule.checks)?;
        if self.account.is_some() && program.role.is_none() {
            return Err(Failure::usage(
                "--account names another account, but sgwarden.toml has no [accounts] role to assume there",
            ));
        }
        Ok((program, Judging::of(&schedule)))
    }

    /// The checks whose findings are asked for.
    fn checks(&self, checks: Vec<Check>) -> Result<Vec<Check>, Failure> {
        let Some(id) = &self.check else {
            return Ok(checks);
        };
        let known: Vec<String> = checks.iter().map(|check| check.id.clone()).collect();
        match checks.into_iter().find(|check| check.id == *id) {
            Some(check) => Ok(vec![check]),
            None => Err(Failure::usage(format!(
                "--check {id} is in none of the packs; there is {}; --pack or --schedule names others",
                known.join(", ")
            ))),
        }
    }

    /// The packets asked about: one of each family, or of the source's.
    /// What could not be used of a question about one packet is refused, not dropped.
    fn refuse_impossible(&self) -> Result<(), Failure> {
        let protocol = self.protocol.unwrap_or(Protocol::Tcp);
        if self.port.is_some() && !protocol.has_ports() {
            return Err(Failure::usage(format!(
                "--port: {} has no ports",
                protocol.as_str()
            )));
        }
        let asked = self.source.and_then(|ip| parse_address(&ip.to_string()));
        if let Some((family, _)) = asked
            && !protocol.is_of(family)
        {
            return Err(Failure::usage(format!(
                "--protocol {} is not of the family of --source",
                protocol.as_str()
            )));
        }
        Ok(())
    }

    fn questions(&self) -> Vec<Question> {
        let port = self.port.unwrap_or(22);
        let protocol = self.protocol.unwrap_or(Protocol::Tcp);
        let asked = self.source.and_then(|ip| parse_address(&ip.to_string()));
        let families: Vec<Family> = match asked {
            Some((family, _)) => vec![family],
            None => Family::ALL.to_vec(),
        };
        families
            .into_iter()
            .filter(|family| protocol.is_of(*family))
            .map(|family| Question {
                family,
                protocol,
                port: protocol.has_ports().then_some(port),
                source: asked.map(|(_, address)| address),
            })
            .collect()
    }

    fn answer(&self, global: &Global, judging: &Judging, group: &GroupReading) {
        let rules = GroupRules::read(&group.rules.read, &group.lists, group.group.is_classic());
        let internet = Internet::whole();
        let mut parts = Vec::new();
        for question in self.questions() {
            let closing = explain(&rules, &internet, Certainty::Closing, &question);
            let opening = explain(&rules, &internet, Certainty::Opening, &question);
            parts.push((question, closing, opening));
        }
        let notes = judging.notes(&[group], self.source);
        show::explained(global, group, &parts, &notes);
    }
}

/// What a group is judged by: a schedule's policy, or the defaults.
struct Judging {
    policy: Policy,
    waivers: Vec<Waiver>,
    /// In the schedule's zone.
    today: NaiveDate,
}

impl Judging {
    fn of(schedule: &Schedule) -> Self {
        let today = Utc::now().with_timezone(&schedule.timezone).date_naive();
        let file = schedule.waivers.file();
        let waivers = file.map(|file| file.waivers.clone()).unwrap_or_default();
        // Each network was checked when the schedule was read.
        let internet =
            Internet::less_trusted(&schedule.trusted).unwrap_or_else(|_| Internet::whole());
        Self {
            policy: Policy {
                checks: schedule.checks.clone(),
                internet,
                trusted: schedule.trusted.clone(),
                waivers: Waivers::on(waivers.clone(), today),
            },
            waivers,
            today,
        }
    }

    /// What people must know of the policy to understand an answer about these groups.
    fn notes(&self, groups: &[&GroupReading], source: Option<std::net::IpAddr>) -> show::Notes {
        let of_group = |waiver: &&Waiver| {
            groups.iter().any(|group| {
                waiver.group == group.id()
                    && waiver
                        .account
                        .as_ref()
                        .is_none_or(|own| *own == group.account)
                    && waiver
                        .region
                        .as_ref()
                        .is_none_or(|own| *own == group.region)
            })
        };
        let asked = source.and_then(|ip| parse_address(&ip.to_string()));
        let has = |network: &&String| {
            let network = parse_any_cidr(network);
            asked.is_some_and(|(family, address)| {
                network.is_some_and(|(of, (low, high))| {
                    of == family && low <= address && address <= high
                })
            })
        };
        let trusted = &self.policy.trusted;
        show::Notes {
            source_trusted_by: trusted.iter().find(has).cloned(),
            trusted: trusted.clone(),
            waivers: self.waivers.iter().filter(of_group).cloned().collect(),
            today: self.today,
        }
    }
}

/// A client, and the account that is meant: one's own, or another that was entered.
async fn entered(
    program: &Program,
    account: Option<&str>,
) -> Result<(Arc<Client>, AccountId), Failure> {
    let client = Arc::new(setup::client(program).await?);
    let cannot = |why| Failure::start(format!("cannot start: {why}"));
    let identity = client.caller_identity().await.map_err(cannot)?;
    let own = identity.value.account;
    let Some(account) = account.map(AccountId::from).filter(|other| *other != own) else {
        return Ok((client, own));
    };
    client
        .enter(&account)
        .await
        .map_err(|why| Failure::start(format!("cannot enter account {account}: {why}")))?;
    Ok((client, account))
}

/// Of each finding one packet that gets in, or out.
fn findings(global: &Global, judging: &Judging, unasked: bool, group: &GroupReading) {
    let ingress = GroupRules::read(&group.rules.read, &group.lists, group.group.is_classic());
    let out = Egress::of(group);
    let egress = out.rules(group);
    let policy = &judging.policy;
    let mut all = Vec::new();
    for finding in assess(policy, group).findings {
        let certainty = if finding.verdict == Verdict::Undetermined {
            Certainty::Opening
        } else {
            Certainty::Closing
        };
        let Some(check) = policy.checks.iter().find(|check| check.id == finding.check) else {
            continue;
        };
        let side = Side::of(policy, check, &ingress, Some(&egress));
        let runs = check.exposed(side.rules, certainty, side.addresses);
        let of = |run| example(side.rules, side.addresses, certainty, run);
        all.push(show::Found {
            example: runs.first().map(of),
            check: check.clone(),
            finding,
            less_trusted: !policy.trusted.is_empty(),
        });
    }
    let ids: Vec<String> = policy.checks.iter().map(|check| check.id.clone()).collect();
    let notes = judging.notes(&[group], None);
    show::found(global, group, &ids, &all, unasked, &notes);
}
