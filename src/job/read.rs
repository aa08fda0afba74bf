//! The reading half of a job: from the stream of readings to findings, coverage, population rows
//! and each group's plan. Nothing of a compliant group stays.

use super::attached::Places;
use super::attribution::Exposed;
use super::event::{self, Verdicts};
use super::{Begun, Error, Progress, Tools, accounts};
use crate::cloud::Stop;
use crate::cloud::collect::{Collected, Request, collect};
use crate::config::schedule::{Schedule, ScopeConfig};
use crate::evidence::Spool;
use crate::model::{
    AccountId, Coverage, Finding, GroupId, GroupReading, Identity, IdleRule, Lists, PopulationRow,
    RegionCoverage, RegionId, RegionStatus, Rules, SecurityGroup, UnnamedRegions, Verdict,
};
use crate::policy::remediation::Remediation;
use crate::policy::{History, Policy, assess, survey};
use crate::remedy::RemediationPlan;
use crate::remedy::plan::{RuleHistory, plan_group};
use crate::remedy::said::said;
use crate::state::holds::{Done, RuleNote};
use chrono::{DateTime, SecondsFormat, Utc};
use std::collections::BTreeSet;
use std::sync::Arc;

/// Regions read at once: about forty exist; eight keep `max_in_flight` busy and bound the memory of
/// their raw files (about 1 MiB of compressor each).
const REGIONS_AT_ONCE: usize = 8;
/// Groups of one region read at once. The service counts calls per region and action.
const GROUPS_AT_ONCE: usize = 16;

/// A reading that goes on.
pub(super) struct Reading<'p> {
    policy: &'p Policy,
    remediation: &'p Remediation,
    spool: &'p mut Spool,
    history: History,
    notes: Vec<RuleNote>,
    now: DateTime<Utc>,
    account: AccountId,
    findings: Vec<Finding>,
    idle_rules: Vec<IdleRule>,
    /// What its openers are looked up by; `None`: they are not.
    exposed: Option<Vec<Exposed>>,
    plan: RemediationPlan,
    regions: Vec<RegionCoverage>,
    excluded: Vec<String>,
    /// Groups whose verdict was withdrawn after it was given.
    doubted: BTreeSet<(String, String, String)>,
    /// Places of the waivers whose group was judged.
    waivers_judged: BTreeSet<usize>,
    groups: u64,
    places: Places,
    unnamed: Vec<UnnamedRegions>,
    /// Who we are in other accounts.
    entered: Vec<Identity>,
    /// Of each group, where an event asks.
    verdicts: Option<Verdicts>,
}

/// What stays of it.
pub(super) struct Read {
    pub(super) findings: Vec<Finding>,
    pub(super) idle_rules: Vec<IdleRule>,
    pub(super) exposed: Vec<Exposed>,
    pub(super) history: History,
    pub(super) plan: RemediationPlan,
    pub(super) coverage: Coverage,
    pub(super) doubted: BTreeSet<(String, String, String)>,
    pub(super) waivers_judged: BTreeSet<usize>,
    pub(super) groups: u64,
    pub(super) verdicts: Verdicts,
}

impl<'p> Reading<'p> {
    pub(super) fn new(
        tools: &Tools,
        schedule: &'p Schedule,
        policy: &'p Policy,
        begun: &'p mut Begun,
    ) -> Result<Self, Error> {
        Ok(Self {
            policy,
            remediation: &schedule.remediation,
            history: begun.before.history.clone(),
            notes: tools.state.rule_notes()?,
            now: begun.started,
            account: begun.identity.account.clone(),
            spool: &mut begun.spool,
            findings: Vec::new(),
            idle_rules: Vec::new(),
            exposed: schedule.attribution.then(Vec::new),
            plan: RemediationPlan::default(),
            regions: Vec::new(),
            excluded: Vec::new(),
            doubted: BTreeSet::new(),
            waivers_judged: BTreeSet::new(),
            groups: 0,
            places: Places::default(),
            unnamed: Vec::new(),
            entered: Vec::new(),
            verdicts: None,
        })
    }

    /// From now on each group's verdict is kept, compliant ones too: memory grows with groups then.
    pub(super) fn keep_verdicts(&mut self) {
        self.verdicts = Some(Verdicts::new());
    }

    pub(super) async fn everything(
        &mut self,
        tools: &Tools,
        schedule: &Schedule,
    ) -> Result<(), Error> {
        let scope = &schedule.scope;
        let meant = accounts::of_scope(&scope.accounts, &self.account, tools, self.spool).await?;
        if let Some(unknown) = meant.unknown {
            self.take(Collected::Region(unknown), tools)?;
        }
        // One account after the other: each has limits of its own, and regions enough at once.
        for account in meant.accounts {
            if account != self.account {
                match accounts::enter(&account, tools, self.spool).await? {
                    Ok(identity) => self.entered.push(identity),
                    Err(closed) => {
                        self.take(Collected::Region(closed), tools)?;
                        continue;
                    }
                }
            }
            let request = Request {
                stop: tools.stop.clone(),
                ..request(scope, &account)
            };
            let mut stream = collect(Arc::clone(&tools.client), request);
            while let Some(event) = stream.recv().await {
                self.take(event, tools)?;
            }
            self.spool.region_done(account.as_str(), "")?;
        }
        Ok(())
    }

    pub(super) fn done(mut self) -> (Read, Vec<Identity>) {
        self.regions
            .sort_by(|a, b| (&a.account, &a.region).cmp(&(&b.account, &b.region)));
        self.excluded.sort();
        self.findings.sort_by(|a, b| {
            (&a.account, &a.region, &a.group_id, a.subject(), &a.check).cmp(&(
                &b.account,
                &b.region,
                &b.group_id,
                b.subject(),
                &b.check,
            ))
        });
        // Stable: within a group the deciding order stays.
        self.idle_rules.sort_by(|a, b| {
            (&a.account, &a.region, &a.group_id).cmp(&(&b.account, &b.region, &b.group_id))
        });
        self.plan.groups.sort_by(|a, b| {
            (&a.account, &a.region, &a.group_id).cmp(&(&b.account, &b.region, &b.group_id))
        });
        let read = Read {
            findings: self.findings,
            idle_rules: self.idle_rules,
            exposed: self.exposed.unwrap_or_default(),
            history: self.history,
            plan: self.plan,
            coverage: Coverage {
                schema: Coverage::SCHEMA.to_owned(),
                regions: self.regions,
                excluded_groups: self.excluded,
                unnamed_regions: self.unnamed,
            },
            doubted: self.doubted,
            waivers_judged: self.waivers_judged,
            groups: self.groups,
            verdicts: self.verdicts.unwrap_or_default(),
        };
        (read, self.entered)
    }

    fn take(&mut self, event: Collected, tools: &Tools) -> Result<(), Error> {
        match event {
            Collected::Answers(answers) => {
                // Each answer finds its own file: a batch may hold several regions'.
                for answer in &answers {
                    self.spool.answers(std::slice::from_ref(answer))?;
                }
            }
            Collected::Group(group) => {
                self.judge(&group)?;
                self.groups = self.groups.saturating_add(1);
                (tools.progress)(Progress::Groups(self.groups));
            }
            Collected::Excluded { region, group } => {
                self.excluded.push(format!("{region}/{group}"));
            }
            Collected::Conflict {
                account,
                region,
                group,
            } => {
                self.withdraw(&account, &region, group);
            }
            Collected::Attached {
                account,
                region,
                attachments,
            } => self.places.begin(account, region, attachments),
            Collected::Unnamed(regions) => self.unnamed.push(regions),
            Collected::Region(mut region) => {
                let found = self.places.end(self.policy, &mut region, &mut self.history);
                self.findings.extend(found);
                self.spool
                    .region_done(region.account.as_str(), region.region.as_str())?;
                (tools.progress)(Progress::Region(&region));
                self.regions.push(region);
            }
        }
        Ok(())
    }

    fn judge(&mut self, group: &GroupReading) -> Result<(), Error> {
        let raw_file = self.spool.answers(&group.answers)?.unwrap_or_default();
        let (mut judged, idle_rules) = survey(self.policy, group);
        self.idle_rules.extend(idle_rules);
        let waived = &self.policy.waivers;
        self.waivers_judged
            .extend(waived.of_group(&group.account, &group.region, &group.id()));
        for (check, verdict) in self.policy.checks.iter().zip(&judged.verdicts) {
            if let Some(verdicts) = &mut self.verdicts {
                event::note(verdicts, group.region.as_str(), &group.group.id, *verdict);
            }
            if *verdict == Verdict::Compliant {
                self.history.saw_compliant(
                    group.account.as_str(),
                    group.region.as_str(),
                    &group.group.id,
                    &check.id,
                );
            }
            self.spool.row(&PopulationRow {
                account: group.account.as_str().to_owned(),
                region: group.region.as_str().to_owned(),
                group_id: group.group.id.clone(),
                group_name: group.group.name.clone(),
                check: check.id.clone(),
                verdict: verdict.as_str().to_owned(),
                rule_count: group
                    .group
                    .rule_count
                    .map(|n| n.to_string())
                    .unwrap_or_default(),
                rules_read: u64::try_from(group.rules.read.len()).unwrap_or(u64::MAX),
                raw_file: raw_file.clone(),
                raw_sha256: String::new(),
            })?;
        }
        let unused = self.places.group(self.policy, group, &mut judged.findings);
        self.idle_rules.extend(unused);
        if !judged.findings.is_empty() {
            let known = self.known(group);
            let planned = plan_group(
                self.policy,
                self.remediation,
                group,
                &known,
                &mut judged.findings,
            );
            self.plan.groups.extend(planned.group);
            self.plan.held.extend(planned.held);
            if let Some(exposed) = &mut self.exposed {
                exposed.extend(Exposed::of(group, &judged.findings));
            }
            self.findings.append(&mut judged.findings);
        }
        Ok(())
    }

    /// What other runs know of the group's rules.
    fn known(&self, group: &GroupReading) -> RuleHistory {
        let mut known = RuleHistory::default();
        let (account, region, id) = (
            group.account.as_str(),
            group.region.as_str(),
            group.group.id.as_str(),
        );
        let notes: Vec<&RuleNote> = self
            .notes
            .iter()
            .filter(|n| {
                n.account == account && n.region == group.region && n.group_id.as_str() == id
            })
            .collect();
        for rule in &group.rules.read {
            let rule_id = rule.id();
            if self.remediation.grace > chrono::TimeDelta::zero() {
                let since = self
                    .history
                    .rule_first_seen(account, region, id, &shown(rule))
                    .and_then(|since| since.parse::<DateTime<Utc>>().ok())
                    .unwrap_or(self.now);
                if let Some(from) = since.checked_add_signed(self.remediation.grace)
                    && from > self.now
                {
                    known.young.insert(rule_id.to_owned(), utc(from));
                }
            }
            if notes.is_empty() {
                continue;
            }
            let said = said(rule);
            let revoked: BTreeSet<&str> = notes
                .iter()
                .filter(|note| note.rule == said && note.what == Done::Revoked)
                .map(|note| note.run.as_str())
                .collect();
            if revoked.len() >= 2 {
                known.fought_over.insert(rule_id.to_owned());
            }
            for note in notes.iter().filter(|note| note.rule == said) {
                if let Done::RestoredUntil(until) = &note.what
                    && *until > self.now
                {
                    known.restored.insert(rule_id.to_owned(), utc(*until));
                }
            }
        }
        known
    }

    /// A group that was judged comes again in the listing with differing content: which of the two
    /// it was is not known, and no verdict stands.
    fn withdraw(&mut self, account: &AccountId, region: &RegionId, group: SecurityGroup) {
        let id = GroupId::new(group.id.clone());
        self.doubted.insert((
            account.as_str().to_owned(),
            region.as_str().to_owned(),
            group.id.clone(),
        ));
        self.findings.retain(|finding| {
            !(finding.account == *account && finding.region == *region && finding.group_id == id)
        });
        self.idle_rules.retain(|idle| {
            !(idle.account == *account && idle.region == *region && idle.group_id == id)
        });
        if let Some(exposed) = &mut self.exposed {
            exposed.retain(|group| !group.is(account, region, &id));
        }
        self.plan.groups.retain(|plan| {
            !(plan.account == *account && plan.region == *region && plan.group_id == id)
        });
        self.plan.held.retain(|held| {
            !(held.account == *account && held.region == *region && held.group_id == id)
        });
        let why = "listed twice with differing content";
        self.places.doubt(account, region, &id, why);
        if let Some(verdicts) = &mut self.verdicts {
            verdicts.insert(
                (region.as_str().to_owned(), group.id.clone()),
                Verdict::Undetermined,
            );
        }
        let nothing = GroupReading {
            account: account.clone(),
            region: region.clone(),
            group,
            rules: Rules {
                read: Vec::new(),
                incomplete: Some(why.to_owned()),
            },
            lists: Lists::default(),
            warnings: Vec::new(),
            answers: Vec::new(),
        };
        let mut doubted = assess(self.policy, &nothing).findings;
        self.places.reach(&mut doubted);
        self.findings.extend(doubted);
        let mut regions = self.regions.iter_mut();
        if let Some(coverage) = regions.find(|r| r.account == *account && r.region == *region) {
            coverage.status = RegionStatus::Failed;
        }
    }
}

pub(super) fn request(scope: &ScopeConfig, account: &AccountId) -> Request {
    let regions = |ids: &[String]| ids.iter().map(|id| RegionId::new(id.clone())).collect();
    let groups = |ids: &[String]| ids.iter().map(|id| GroupId::new(id.clone())).collect();
    Request {
        account: account.clone(),
        regions: scope.regions.as_deref().map(regions),
        exclude_regions: regions(&scope.exclude_regions),
        groups: scope.groups.as_deref().map(groups),
        names: scope.names.clone(),
        tags: scope.tags.clone(),
        exclude_groups: groups(&scope.exclude_groups),
        regions_at_once: REGIONS_AT_ONCE,
        groups_at_once: GROUPS_AT_ONCE,
        attached: true,
        expected: true,
        may_be_gone: scope.may_be_gone,
        stop: Stop::default(),
    }
}

fn utc(time: DateTime<Utc>) -> String {
    time.to_rfc3339_opts(SecondsFormat::Secs, true)
}

/// A rule as findings show it, by which its age is known: one that was widened in place is young.
fn shown(rule: &crate::model::Rule) -> [String; 5] {
    [
        rule.id().to_owned(),
        rule.priority.shown().to_owned(),
        rule.ip_protocol.shown().to_owned(),
        rule.ports_shown().to_owned(),
        rule.source_shown(),
    ]
}
