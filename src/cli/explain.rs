//! `explain`: why a packet is accepted or dropped; where none is named, of each finding of the group
//! one that gets in.

mod interface;

use super::exit::{Exit, Failure};
use super::scan::{checks_of, packs_of};
use super::{Global, setup, show};
use crate::cloud::collect::{Collected, Request, collect};
use crate::config::program::is_region;
use crate::config::schedule::{Schedule, is_group};
use crate::exposure::egress::Egress;
use crate::exposure::explain::{Question, example, explain};
use crate::exposure::set::parse_address;
use crate::exposure::{Certainty, GroupRules, Internet};
use crate::model::{Family, GroupId, GroupReading, Protocol, RegionId, Verdict};
use crate::policy::{Check, Policy, Side, assess};
use clap::Args;
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
        self.refuse_impossible()?;
        if of_interface {
            if self.check.is_some() || !self.packs.is_empty() {
                return Err(Failure::usage(
                    "--check and --pack are of a group's findings; of an interface name a packet",
                ));
            }
            return interface::run(global, &self.group, &self.region, &self.questions()).await;
        }
        let checks = self.checks(global)?;
        let program = setup::program(global)?;
        let client = Arc::new(setup::client(&program).await?);
        let identity = client
            .caller_identity()
            .await
            .map_err(|why| Failure::start(format!("cannot start: {why}")))?;
        let request = Request {
            account: identity.value.account,
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
                        "cannot read {} in {}: {} {}: {}",
                        self.group, self.region, why.action, why.code, why.message
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
            self.answer(global, &group);
        } else {
            findings(global, checks, &group);
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

    /// The checks whose findings are asked for.
    fn checks(&self, global: &Global) -> Result<Vec<Check>, Failure> {
        let checks = if self.packs.is_empty() {
            Schedule::defaults("explain").checks
        } else {
            checks_of(&packs_of(&self.packs, &setup::base(global))?)?
        };
        let Some(id) = &self.check else {
            return Ok(checks);
        };
        let known: Vec<String> = checks.iter().map(|check| check.id.clone()).collect();
        match checks.into_iter().find(|check| check.id == *id) {
            Some(check) => Ok(vec![check]),
            None => Err(Failure::usage(format!(
                "--check {id} is in none of the packs; there is {}; --pack names others",
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

    fn answer(&self, global: &Global, group: &GroupReading) {
        let rules = GroupRules::read(&group.rules.read, &group.lists, group.group.is_classic());
        let internet = Internet::whole();
        let mut parts = Vec::new();
        for question in self.questions() {
            let closing = explain(&rules, &internet, Certainty::Closing, &question);
            let opening = explain(&rules, &internet, Certainty::Opening, &question);
            parts.push((question, closing, opening));
        }
        show::explained(global, group, &parts);
    }
}

/// Of each finding one packet that gets in, or out.
fn findings(global: &Global, checks: Vec<Check>, group: &GroupReading) {
    let ingress = GroupRules::read(&group.rules.read, &group.lists, group.group.is_classic());
    let out = Egress::of(group);
    let egress = out.rules(group);
    let policy = Policy {
        checks,
        internet: Internet::whole(),
        trusted: Vec::new(),
        waivers: crate::policy::Waivers::default(),
    };
    let mut all = Vec::new();
    for finding in assess(&policy, group).findings {
        let certainty = if finding.verdict == Verdict::Undetermined {
            Certainty::Opening
        } else {
            Certainty::Closing
        };
        let Some(check) = policy.checks.iter().find(|check| check.id == finding.check) else {
            continue;
        };
        let side = Side::of(&policy, check, &ingress, Some(&egress));
        let runs = check.exposed(side.rules, certainty, side.addresses);
        let of = |run| example(side.rules, side.addresses, certainty, run);
        all.push(show::Found {
            example: runs.first().map(of),
            check: check.clone(),
            finding,
        });
    }
    let ids: Vec<String> = policy.checks.iter().map(|check| check.id.clone()).collect();
    show::found(global, group, &ids, &all);
}
