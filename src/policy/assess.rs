//! From one group's reading to a verdict for each check, and findings for those that are not
//! compliant.

use super::check::Check;
use super::side::{Direction, Side, property};
use super::waivers::Waivers;
use crate::exposure::egress::Egress;
use crate::exposure::idle::{Idle, idle};
use crate::exposure::set::ports_text;
use crate::exposure::{Certainty, GroupRules, Internet, Run, contributions};
use crate::model::{
    ExposedRun, Finding, FindingRule, FindingState, GroupReading, IdleRule, Reach, Verdict,
};

/// What a run judges by.
#[derive(Clone, Debug)]
pub struct Policy {
    /// The checks, in the order of the schedule; ids are unique.
    pub checks: Vec<Check>,
    /// The internet less the trusted networks.
    pub internet: Internet,
    /// The trusted networks as configured.
    pub trusted: Vec<String>,
    /// What was approved, on the day of the run.
    pub waivers: Waivers,
}

/// One group's verdicts.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct GroupVerdicts {
    /// One for each check of the policy, in its order.
    pub verdicts: Vec<Verdict>,
    /// One for each that is not compliant. `first_seen` is empty and `state` new: history's part.
    pub findings: Vec<Finding>,
}

/// Judges one group.
pub fn assess(policy: &Policy, reading: &GroupReading) -> GroupVerdicts {
    judge_all(policy, reading, &rules_of(reading))
}

/// Judges one group, and names its rules that do nothing: none where not all of them are known.
pub fn survey(policy: &Policy, reading: &GroupReading) -> (GroupVerdicts, Vec<IdleRule>) {
    let ingress = rules_of(reading);
    let judged = judge_all(policy, reading, &ingress);
    let idle = if reading.rules.incomplete.is_some() {
        Vec::new()
    } else {
        let idle = idle(&ingress);
        idle.into_iter()
            .map(|idle| idle_rule(reading, &idle))
            .collect()
    };
    (judged, idle)
}

fn rules_of(reading: &GroupReading) -> GroupRules<'_> {
    GroupRules::read(
        &reading.rules.read,
        &reading.lists,
        reading.group.is_classic(),
    )
}

fn judge_all(policy: &Policy, reading: &GroupReading, ingress: &GroupRules<'_>) -> GroupVerdicts {
    // Most policies have no check on what goes out.
    let out = policy
        .checks
        .iter()
        .any(|check| check.direction == Direction::Egress)
        .then(|| Egress::of(reading));
    let egress = out.as_ref().map(|out| out.rules(reading));
    let mut all = GroupVerdicts {
        verdicts: Vec::new(),
        findings: Vec::new(),
    };
    for check in &policy.checks {
        let side = Side::of(policy, check, ingress, egress.as_ref());
        let mut judged = judge(check, reading, side);
        let mut waiver = None;
        if judged.verdict == Verdict::Exposed {
            let place = (&reading.account, &reading.region, &reading.id());
            waiver = policy.waivers.covering(place, &check.id, &judged.runs);
            if waiver.is_some() {
                judged.verdict = Verdict::Waived;
            }
        }
        all.verdicts.push(judged.verdict);
        if judged.verdict != Verdict::Compliant {
            let mut finding = finding(check, reading, side, &judged);
            finding.waiver = waiver;
            all.findings.push(finding);
        }
    }
    all
}

/// What came of one check.
struct Judged {
    verdict: Verdict,
    /// The exposed points; those of the opening reading where that is all there is.
    runs: Vec<Run>,
    /// Why the group itself could not be judged.
    unsaid: Option<String>,
}

fn judge(check: &Check, reading: &GroupReading, side: Side<'_, '_>) -> Judged {
    let of = |verdict, runs| Judged {
        verdict,
        runs,
        unsaid: None,
    };
    let bad = if reading.group.service_managed == Some(true) {
        Verdict::Managed
    } else {
        Verdict::Exposed
    };
    let exposed = |certainty| check.exposed(side.rules, certainty, side.addresses);
    if reading.rules.incomplete.is_some() {
        return of(Verdict::Undetermined, exposed(Certainty::Opening));
    }
    if check.kind.is_property() {
        return match property(check.kind, &reading.group) {
            Ok(true) => of(bad, Vec::new()),
            Ok(false) => of(Verdict::Compliant, Vec::new()),
            Err(why) => Judged {
                verdict: Verdict::Undetermined,
                runs: Vec::new(),
                unsaid: Some(why),
            },
        };
    }
    let certain = exposed(Certainty::Closing);
    if !certain.is_empty() {
        return of(bad, certain);
    }
    // Where every rule could be read, both readings are one.
    if side
        .rules
        .rules()
        .iter()
        .all(|rule| rule.unreadable.is_empty())
    {
        return of(Verdict::Compliant, Vec::new());
    }
    let possible = exposed(Certainty::Opening);
    if possible.is_empty() {
        of(Verdict::Compliant, possible)
    } else {
        of(Verdict::Undetermined, possible)
    }
}

fn finding(check: &Check, reading: &GroupReading, side: Side<'_, '_>, judged: &Judged) -> Finding {
    let certain = judged.verdict != Verdict::Undetermined;
    let mut rules: Vec<FindingRule> = Vec::new();
    for part in contributions(side.rules, side.addresses, &judged.runs) {
        rules.push(finding_rule(part.rule, part.reach().to_string()));
    }
    if !certain {
        for rule in side.rules.rules() {
            if !rule.unreadable.is_empty() && check.looks_at(rule) {
                rules.push(finding_rule(rule, "0".to_owned()));
            }
        }
    }
    let unsaid = judged.unsaid.clone();
    Finding {
        account: reading.account.clone(),
        region: reading.region.clone(),
        group_id: reading.id(),
        group_name: reading.group.name.clone(),
        vpc_id: reading.group.vpc_id.clone(),
        tags: Some(reading.group.tags.clone()),
        check: check.id.clone(),
        severity: check.severity,
        verdict: judged.verdict,
        first_seen: String::new(),
        state: FindingState::New,
        exposed: exposed_runs(side.addresses, &judged.runs),
        reason: (!certain).then(|| unsaid.unwrap_or_else(|| reason(reading, &rules))),
        rules,
        reach: Reach::Unknown,
        attached: None,
        waiver: None,
        interface: None,
    }
}

/// A rule as findings show it.
pub(super) fn finding_rule(rule: &crate::exposure::ReadRule<'_>, addresses: String) -> FindingRule {
    FindingRule {
        rule_id: rule.rule.id().to_owned(),
        priority: rule.rule.priority.shown().to_owned(),
        protocol: rule.rule.ip_protocol.shown().to_owned(),
        port_range: rule.rule.ports_shown().to_owned(),
        source: rule.rule.source_shown(),
        addresses,
        in_cut: false,
        held: Vec::new(),
        description: rule.rule.description.shown().to_owned(),
        unreadable: rule.unreadable.clone(),
        first_seen: String::new(),
        group_id: None,
        opened_by: None,
    }
}

fn idle_rule(reading: &GroupReading, idle: &Idle<'_, '_>) -> IdleRule {
    let rule = idle.rule.rule;
    IdleRule {
        account: reading.account.clone(),
        region: reading.region.clone(),
        group_id: reading.id(),
        group_name: reading.group.name.clone(),
        tags: reading.group.tags.clone(),
        kind: idle.kind,
        rule_id: rule.id().to_owned(),
        policy: rule.policy.shown().to_owned(),
        priority: rule.priority.shown().to_owned(),
        protocol: rule.ip_protocol.shown().to_owned(),
        port_range: rule.ports_shown().to_owned(),
        source: rule.source_shown(),
        description: rule.description.shown().to_owned(),
        by: idle.by.iter().map(|by| by.rule.id().to_owned()).collect(),
    }
}

/// Why a verdict could not be reached: the reading first, else the rules that could not be read.
fn reason(reading: &GroupReading, rules: &[FindingRule]) -> String {
    if let Some(why) = &reading.rules.incomplete {
        return why.clone();
    }
    reason_of(rules)
}

/// The rules that could not be read, with what could not be.
pub(super) fn reason_of(rules: &[FindingRule]) -> String {
    let odd: Vec<String> = rules
        .iter()
        .filter(|rule| !rule.unreadable.is_empty())
        .map(|rule| {
            let id = if rule.rule_id.is_empty() {
                "without id"
            } else {
                &rule.rule_id
            };
            format!("rule {id}: {}", rule.unreadable.join("; "))
        })
        .collect();
    odd.join(". ")
}

/// Runs of points as findings show them. One and the same S is often exposed at several ports, and
/// written out once.
fn exposed_runs(internet: &Internet, runs: &[Run]) -> Vec<ExposedRun> {
    let mut out: Vec<ExposedRun> = Vec::with_capacity(runs.len());
    let mut last: Option<&Run> = None;
    for run in runs {
        let same = last
            .filter(|last| last.family == run.family && last.sources == run.sources)
            .and_then(|_| out.last());
        out.push(match same {
            None => exposed_run(internet, run),
            Some(same) => ExposedRun {
                protocol: run.protocol,
                ports: run.ports.map(ports_text).unwrap_or_default(),
                ..same.clone()
            },
        });
        last = Some(run);
    }
    out
}

/// A run of points as findings show it.
pub fn exposed_run(internet: &Internet, run: &Run) -> ExposedRun {
    let count = run.sources.count();
    ExposedRun {
        family: run.family,
        protocol: run.protocol,
        ports: run.ports.map(ports_text).unwrap_or_default(),
        sources: run.sources.cidrs(run.family),
        addresses: count.to_string(),
        share: internet.share_text(run.family, count),
    }
}
