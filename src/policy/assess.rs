//! From one group's reading to a verdict for each check, and findings for those that are not
//! compliant.

use super::check::Check;
use crate::exposure::set::ports_text;
use crate::exposure::{Certainty, GroupRules, Internet, Run, contributions};
use crate::model::{ExposedRun, Finding, FindingRule, FindingState, GroupReading, Reach, Verdict};

/// What a run judges by.
#[derive(Clone, Debug)]
pub struct Policy {
    /// The checks, in the order of the schedule; ids are unique.
    pub checks: Vec<Check>,
    /// The internet less the trusted networks.
    pub internet: Internet,
    /// The trusted networks as configured.
    pub trusted: Vec<String>,
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
    let group = GroupRules::read(
        &reading.rules.read,
        &reading.lists,
        reading.group.is_classic(),
    );
    let mut out = GroupVerdicts {
        verdicts: Vec::new(),
        findings: Vec::new(),
    };
    for check in &policy.checks {
        let (verdict, runs) = judge(policy, check, reading, &group);
        out.verdicts.push(verdict);
        if verdict != Verdict::Compliant {
            out.findings
                .push(finding(policy, check, reading, &group, verdict, &runs));
        }
    }
    out
}

fn judge(
    policy: &Policy,
    check: &Check,
    reading: &GroupReading,
    group: &GroupRules<'_>,
) -> (Verdict, Vec<Run>) {
    let opening = |runs| (Verdict::Undetermined, runs);
    if reading.rules.incomplete.is_some() {
        return opening(check.exposed(group, Certainty::Opening, &policy.internet));
    }
    let certain = check.exposed(group, Certainty::Closing, &policy.internet);
    if !certain.is_empty() {
        let verdict = if reading.group.service_managed == Some(true) {
            Verdict::Managed
        } else {
            Verdict::Exposed
        };
        return (verdict, certain);
    }
    // Where every rule could be read, both readings are one.
    if group.rules().iter().all(|rule| rule.unreadable.is_empty()) {
        return (Verdict::Compliant, Vec::new());
    }
    let possible = check.exposed(group, Certainty::Opening, &policy.internet);
    if possible.is_empty() {
        (Verdict::Compliant, possible)
    } else {
        opening(possible)
    }
}

fn finding(
    policy: &Policy,
    check: &Check,
    reading: &GroupReading,
    group: &GroupRules<'_>,
    verdict: Verdict,
    runs: &[Run],
) -> Finding {
    let certain = verdict != Verdict::Undetermined;
    let mut rules: Vec<FindingRule> = Vec::new();
    for part in contributions(group, &policy.internet, runs) {
        rules.push(finding_rule(part.rule, part.reach().to_string()));
    }
    if !certain {
        for rule in group.rules() {
            if !rule.unreadable.is_empty() && check.looks_at(rule) {
                rules.push(finding_rule(rule, "0".to_owned()));
            }
        }
    }
    Finding {
        account: reading.account.clone(),
        region: reading.region.clone(),
        group_id: reading.id(),
        group_name: reading.group.name.clone(),
        vpc_id: reading.group.vpc_id.clone(),
        tags: Some(reading.group.tags.clone()),
        check: check.id.clone(),
        severity: check.severity,
        verdict,
        first_seen: String::new(),
        state: FindingState::New,
        exposed: runs
            .iter()
            .map(|run| exposed_run(&policy.internet, run))
            .collect(),
        reason: (!certain).then(|| reason(reading, &rules)),
        rules,
        reach: Reach::Unknown,
        attached: None,
        waiver: None,
    }
}

fn finding_rule(rule: &crate::exposure::ReadRule<'_>, addresses: String) -> FindingRule {
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
    }
}

/// Why a verdict could not be reached: the reading first, else the rules that could not be read.
fn reason(reading: &GroupReading, rules: &[FindingRule]) -> String {
    if let Some(why) = &reading.rules.incomplete {
        return why.clone();
    }
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
