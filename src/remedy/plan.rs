//! The plan of one group: which rules to revoke, which are held and why, what will be. Made while
//! the group's reading is at hand; only the plan stays.

use super::narrow::{Holds, Narrowed, Narrows, Substitution};
use super::{undo, waived};
use crate::exposure::set::PortSet;
use crate::exposure::traffic::{Difference, difference, part_of};
use crate::exposure::{
    Certainty, Contribution, GroupRules, ReadRule, Run, contributions, cut, reach_after_drops,
};
use crate::model::{
    AccountId, ApiRequest, ChangeKind, Family, Finding, GroupId, GroupReading, Held, HoldReason,
    Narrowing, Proposal, Protocol, RegionId, Rule, Traffic, Verdict,
};
use crate::policy::remediation::Remediation;
use crate::policy::{Check, Policy, assess};
use serde::{Deserialize, Serialize};
use std::collections::{BTreeMap, BTreeSet};

/// One rule to revoke, or to add.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct PlannedChange {
    /// What is done.
    pub kind: ChangeKind,
    /// The rule's id.
    pub rule_id: String,
    /// All its fields, under the service's own names.
    pub rule: BTreeMap<String, String>,
    /// What part it has in a narrowing.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub narrowing: Option<Narrowing>,
    /// The checks it is done for.
    pub checks: Vec<String>,
    /// All traffic that ends with it, private sources first.
    pub ends: Vec<Traffic>,
    /// The exact request that takes the change back.
    pub undo: ApiRequest,
    /// The exact request that makes the change, where the rule's id does not say it.
    pub request: Option<ApiRequest>,
}

/// One group to change.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct GroupPlan {
    /// The account.
    pub account: AccountId,
    /// The region.
    pub region: RegionId,
    /// The group.
    pub group_id: GroupId,
    /// Its name; an attacker's text.
    pub group_name: String,
    /// Digest of the reading the plan was made from.
    pub reading_sha256: String,
    /// Its changes.
    pub changes: Vec<PlannedChange>,
    /// The group's verdict on each check, as it will be.
    pub predicted: BTreeMap<String, Verdict>,
    /// What the whole group's change ends.
    pub ends: Vec<Traffic>,
    /// Protected sources that would lose their last way in.
    pub locks_out: Vec<String>,
}

impl GroupPlan {
    /// The changes that take a rule away; the others put one in its place.
    pub fn taken_rules(&self) -> impl Iterator<Item = &PlannedChange> {
        self.changes
            .iter()
            .filter(|change| !matches!(change.narrowing, Some(Narrowing::InPlaceOf(_))))
    }
}

/// The whole plan.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct RemediationPlan {
    /// What to change, in the order in which it is done.
    pub groups: Vec<GroupPlan>,
    /// What is remediable and is not changed.
    pub held: Vec<Held>,
}

impl RemediationPlan {
    /// As records keep it, of a run that does not carry it out.
    pub fn proposals(&self) -> Vec<Proposal> {
        let mut out = Vec::new();
        for group in &self.groups {
            let predicted: BTreeMap<String, String> = group
                .predicted
                .iter()
                .map(|(check, verdict)| (check.clone(), verdict.as_str().to_owned()))
                .collect();
            for change in group.taken_rules() {
                out.push(Proposal {
                    account: group.account.clone(),
                    region: group.region.clone(),
                    group_id: group.group_id.clone(),
                    group_name: group.group_name.clone(),
                    rule: change.rule.clone(),
                    narrowing: change.narrowing.clone(),
                    ends: change.ends.clone(),
                    undo: change.undo.clone(),
                    predicted: predicted.clone(),
                });
            }
        }
        out
    }
}

/// What other runs know of a group's rules.
#[derive(Clone, Debug, Default)]
pub struct RuleHistory {
    /// Rules reported too short a time ago, with the time from which they may be changed.
    pub young: BTreeMap<String, String>,
    /// Rules revoked twice that came back.
    pub fought_over: BTreeSet<String>,
    /// Rules put back by a rollback, with the time until which they are held.
    pub restored: BTreeMap<String, String>,
}

/// What came of one group.
#[derive(Clone, Debug, Default)]
pub struct Planned {
    /// The change, where there is one.
    pub group: Option<GroupPlan>,
    /// What is held.
    pub held: Vec<Held>,
}

/// Plans one group and marks its findings' rules (`in_cut`, `held`).
pub fn plan_group(
    policy: &Policy,
    remediation: &Remediation,
    reading: &GroupReading,
    history: &RuleHistory,
    findings: &mut [Finding],
) -> Planned {
    let targets: Vec<&Check> = policy
        .checks
        .iter()
        .filter(|check| {
            check.is_remediable()
                && findings
                    .iter()
                    .any(|f| f.check == check.id && f.verdict == Verdict::Exposed)
        })
        .collect();
    if targets.is_empty() {
        return Planned::default();
    }
    let group = GroupRules::read(
        &reading.rules.read,
        &reading.lists,
        reading.group.is_classic(),
    );
    let exposed: Vec<Run> = targets
        .iter()
        .flat_map(|check| check.exposed(&group, Certainty::Closing, &policy.internet))
        .collect();
    let approved = waived::approved(policy, reading);
    let blamed = contributions(&group, &policy.internet, &exposed);
    let mut holds = Holds::new();
    for (at, part) in blamed.iter().enumerate() {
        let why = hold_reasons(policy, remediation, reading, &group, part, history);
        if !why.is_empty() {
            holds.insert(at, why);
        }
    }
    let narrows = Narrows::new(policy, remediation, reading, &group);
    let narrowed = if remediation.narrow {
        narrows.each(&blamed, &mut holds)
    } else {
        Narrowed::new()
    };
    let free: Vec<usize> = (0..blamed.len())
        .filter(|at| !holds.contains_key(at))
        .collect();
    let id_of = |at: &usize| blamed.get(*at).map(|part| part.rule.rule.id().to_owned());
    let closes = |removed: &BTreeSet<usize>| {
        let ids: BTreeSet<String> = removed.iter().filter_map(id_of).collect();
        let new = removed.iter().filter_map(|at| narrowed.get(at)).flatten();
        let left = narrows.group_with(&ids, new);
        // What waivers cover is not exposed: the cut leaves alone what it need not take.
        targets.iter().all(|check| {
            let runs = check.exposed(&left, Certainty::Closing, &policy.internet);
            let place = (&reading.account, &reading.region, &reading.id());
            runs.is_empty() || policy.waivers.covering(place, &check.id, &runs).is_some()
        })
    };
    let chosen = cut(&free, closes);
    let hold = |rules: Vec<String>, reasons: Vec<HoldReason>, detail: String| Held {
        account: reading.account.clone(),
        region: reading.region.clone(),
        group_id: reading.id(),
        rules,
        reasons,
        detail,
    };
    // What it would take, were nothing held: the held ones in it are those that stand in the way.
    let needed = || {
        let every: Vec<usize> = (0..blamed.len()).collect();
        cut(&every, closes).unwrap_or(every)
    };
    if let Some(why) = protection(remediation, reading) {
        mark(findings, &targets, &blamed, &holds, None);
        let rules = needed().iter().filter_map(id_of).collect();
        return Planned {
            group: None,
            held: vec![hold(rules, vec![HoldReason::Protected], why)],
        };
    }
    let rules_of = |at: &usize| Some((id_of(at)?, narrowed.get(at).map_or(&[][..], Vec::as_slice)));
    let substitution = chosen.as_ref().map(|chosen| {
        let cut: Vec<(String, &[Rule])> = chosen.iter().filter_map(rules_of).collect();
        if remediation.narrow {
            narrows.substitution(&cut)
        } else {
            Ok(Substitution::default())
        }
    });
    let (chosen, new) = match (chosen, substitution) {
        (Some(chosen), Some(Ok(new))) => (chosen, new),
        (Some(chosen), Some(Err(why))) => {
            for at in &chosen {
                let detail = format!("the group cannot be narrowed: {why}");
                holds.insert(*at, vec![(HoldReason::Narrow, detail)]);
            }
            mark(findings, &targets, &blamed, &holds, None);
            let own = holds
                .iter()
                .filter(|(at, _)| chosen.contains(at))
                .map(|(at, why)| (*at, why.clone()))
                .collect();
            return Planned {
                group: None,
                held: held_rules(&blamed, &own, &hold),
            };
        }
        _ => {
            mark(findings, &targets, &blamed, &holds, None);
            let needed = needed();
            let mut in_the_way: Holds = holds
                .iter()
                .filter(|(at, _)| needed.contains(at))
                .map(|(at, why)| (*at, why.clone()))
                .collect();
            foretell(remediation, history, &blamed, &mut in_the_way);
            let mut held = held_rules(&blamed, &in_the_way, &hold);
            let rest: Vec<String> = free
                .iter()
                .filter(|at| needed.contains(at))
                .filter_map(id_of)
                .collect();
            if !rest.is_empty() {
                held.push(hold(
                    rest,
                    vec![HoldReason::StoodInTheWay],
                    "revoking these would not close the group while the others are held".to_owned(),
                ));
            }
            return Planned { group: None, held };
        }
    };
    mark(findings, &targets, &blamed, &holds, Some(&chosen));
    let ids: BTreeSet<String> = chosen.iter().filter_map(id_of).collect();
    let after = narrows.group_with(&ids, new.rules());
    let change = difference(&group, &after, Certainty::Closing);
    let checks = checks_of(policy, &group, &targets);
    let taken: Vec<PlannedChange> = chosen
        .iter()
        .filter_map(|at| Some((blamed.get(*at)?, narrowed.get(at))))
        .filter_map(|(part, instead)| {
            let mut taken = planned_change(reading, &checks, part.rule, &change, &approved)?;
            taken.narrowing = instead
                .filter(|rules| !rules.is_empty())
                .map(|rules| Narrowing::ReplacedBy(rules.iter().map(Rule::field_map).collect()));
            Some(taken)
        })
        .collect();
    let checks = taken
        .iter()
        .map(|taken| (taken.rule_id.clone(), taken.checks.clone()))
        .collect();
    let mut changes = new.changes(reading, &checks);
    changes.extend(taken);
    Planned {
        group: Some(GroupPlan {
            account: reading.account.clone(),
            region: reading.region.clone(),
            group_id: reading.id(),
            group_name: reading.group.name.clone(),
            reading_sha256: super::digest::digest(reading),
            changes,
            predicted: predicted(policy, reading, &ids, new.rules()),
            ends: waived::told(&change.closed, &approved),
            locks_out: locks_out(remediation, &targets, &group, &after),
        }),
        held: Vec::new(),
    }
}

/// The rules that are held for themselves, by the same reasons together.
fn held_rules(
    blamed: &[Contribution<'_, '_>],
    holds: &Holds,
    hold: &impl Fn(Vec<String>, Vec<HoldReason>, String) -> Held,
) -> Vec<Held> {
    let mut by_reasons: BTreeMap<Vec<HoldReason>, (Vec<String>, Vec<String>)> = BTreeMap::new();
    for (at, why) in holds {
        let Some(part) = blamed.get(*at) else {
            continue;
        };
        let reasons: Vec<HoldReason> = why.iter().map(|(reason, _)| *reason).collect();
        let slot = by_reasons.entry(reasons).or_default();
        slot.0.push(part.rule.rule.id().to_owned());
        for (_, detail) in why {
            if !slot.1.contains(detail) {
                slot.1.push(detail.clone());
            }
        }
    }
    by_reasons
        .into_iter()
        .map(|(reasons, (rules, details))| hold(rules, reasons, details.join("; ")))
        .collect()
}

fn mark(
    findings: &mut [Finding],
    targets: &[&Check],
    blamed: &[Contribution<'_, '_>],
    holds: &Holds,
    chosen: Option<&[usize]>,
) {
    for finding in findings {
        if !targets.iter().any(|check| check.id == finding.check) {
            continue;
        }
        for rule in &mut finding.rules {
            let place = blamed
                .iter()
                .position(|part| part.rule.rule.id() == rule.rule_id);
            let Some(at) = place else { continue };
            rule.in_cut = chosen.is_some_and(|chosen| chosen.contains(&at));
            rule.held = match holds.get(&at) {
                Some(why) => why
                    .iter()
                    .map(|(reason, _)| reason.as_str().to_owned())
                    .collect(),
                None if chosen.is_none() => vec![HoldReason::StoodInTheWay.as_str().to_owned()],
                None => Vec::new(),
            };
        }
    }
}

fn hold_reasons(
    policy: &Policy,
    remediation: &Remediation,
    reading: &GroupReading,
    group: &GroupRules<'_>,
    part: &Contribution<'_, '_>,
    history: &RuleHistory,
) -> Vec<(HoldReason, String)> {
    let mut out = Vec::new();
    let rule = part.rule;
    let id = rule.rule.id();
    let narrow = [(Family::Ipv4, part.reach_v4), (Family::Ipv6, part.reach_v6)]
        .into_iter()
        .filter(|(_, reach)| *reach > 0)
        .all(|(family, reach)| reach < remediation.revoke_min.addresses(family));
    if narrow {
        out.push((
            HoldReason::Narrow,
            "it lets in fewer addresses than revoke_min: a person knows why it is there".to_owned(),
        ));
    }
    if remediation.hold_overbroad
        && let Some(point) = beyond_checks(policy, group, rule)
    {
        out.push((
            HoldReason::Overbroad,
            format!("it also opens {point} to the internet, which no remediable check names"),
        ));
    }
    if rule.has_limit {
        out.push((
            HoldReason::Limited,
            "it is narrowed by a source port or a destination".to_owned(),
        ));
    }
    if id.is_empty() {
        out.push((
            HoldReason::NoId,
            "the service gives it no rule id".to_owned(),
        ));
    }
    if let Err(why) = undo::authorize(reading, rule.rule) {
        out.push((
            HoldReason::NoUndo,
            format!("it could not be put back exactly: {why}"),
        ));
    }
    if let Some(from) = history.young.get(id) {
        out.push((HoldReason::Grace, young(&format!("grace ends at {from}"))));
    }
    if history.fought_over.contains(id) {
        out.push((
            HoldReason::FoughtOver,
            "it was revoked twice and came back: find out who needs it".to_owned(),
        ));
    }
    if let Some(until) = history.restored.get(id) {
        out.push((
            HoldReason::Restored,
            format!("a rollback put it back; held until {until}"),
        ));
    }
    out
}

/// Says of rules that wait for the end of grace alone what becomes of them then. `holds` are those that
/// stand in the way of closing the group: where anything else is among them, no rule is promised to go,
/// for the group is closed as a whole or not at all.
fn foretell(
    remediation: &Remediation,
    history: &RuleHistory,
    blamed: &[Contribution<'_, '_>],
    holds: &mut Holds,
) {
    let only_grace = |why: &Vec<(HoldReason, String)>| {
        why.iter().all(|(reason, _)| *reason == HoldReason::Grace)
    };
    if !holds.values().all(only_grace) {
        return;
    }
    let then = if remediation.mode.changes() {
        "it is revoked"
    } else {
        "it may be revoked"
    };
    for (at, why) in holds {
        let id = blamed.get(*at).map(|part| part.rule.rule.id());
        let Some(from) = id.and_then(|id| history.young.get(id)) else {
            continue;
        };
        for (_, detail) in why {
            *detail = young(&format!("{then} from {from} on"));
        }
    }
}

fn young(then: &str) -> String {
    format!("not yet reported for as long as grace asks; {then}")
}

/// A point that the rule by itself opens to the internet and that no remediable check names.
fn beyond_checks(policy: &Policy, group: &GroupRules<'_>, rule: &ReadRule<'_>) -> Option<String> {
    let remediable: Vec<&Check> = policy
        .checks
        .iter()
        .filter(|check| check.is_remediable())
        .collect();
    for family in Family::ALL {
        let least = remediable
            .iter()
            .map(|check| check.min_public.addresses(family))
            .min()
            .unwrap_or(1);
        for protocol in Protocol::ALL {
            let named = PortSet::from_ranges(
                remediable
                    .iter()
                    .filter(|check| check.protocols.contains(&protocol))
                    .flat_map(|check| check.ports.ranges().iter().copied()),
            );
            let is_named = remediable
                .iter()
                .any(|check| check.protocols.contains(&protocol));
            if !protocol.has_ports() && is_named {
                continue;
            }
            let scope = named.complement();
            let beyond = reach_after_drops(group, rule, &policy.internet, family, protocol, &scope)
                .into_iter()
                .find(|run| run.sources.count() >= least);
            if let Some(run) = beyond {
                let ports = run
                    .ports
                    .map(crate::exposure::set::ports_text)
                    .unwrap_or_default();
                return Some(
                    format!("{} {ports}", protocol.as_str())
                        .trim_end()
                        .to_owned(),
                );
            }
        }
    }
    None
}

/// Why a group may not be changed at all.
pub(super) fn protection(remediation: &Remediation, reading: &GroupReading) -> Option<String> {
    if remediation
        .protect
        .groups
        .iter()
        .any(|id| id.as_str() == reading.group.id)
    {
        return Some("the group is named in remediation.protect.groups".to_owned());
    }
    if reading.group.service_managed != Some(false) {
        return Some("the service does not say whether a cloud product manages it".to_owned());
    }
    reading
        .group
        .tags
        .iter()
        .find(|tag| remediation.protect.tags.contains(tag))
        .map(|tag| format!("the group has the tag {}={}", tag.key, tag.value))
}

/// The checks that each rule is to blame for, by its id.
fn checks_of(
    policy: &Policy,
    group: &GroupRules<'_>,
    targets: &[&Check],
) -> BTreeMap<String, Vec<String>> {
    let mut out: BTreeMap<String, Vec<String>> = BTreeMap::new();
    for check in targets {
        let runs = check.exposed(group, Certainty::Closing, &policy.internet);
        for part in contributions(group, &policy.internet, &runs) {
            let id = part.rule.rule.id().to_owned();
            out.entry(id).or_default().push(check.id.clone());
        }
    }
    out
}

fn planned_change(
    reading: &GroupReading,
    checks: &BTreeMap<String, Vec<String>>,
    rule: &ReadRule<'_>,
    change: &Difference,
    approved: &[Run],
) -> Option<PlannedChange> {
    let checks = checks.get(rule.rule.id()).cloned().unwrap_or_default();
    Some(PlannedChange {
        kind: ChangeKind::Revoke,
        rule_id: rule.rule.id().to_owned(),
        rule: rule.rule.field_map(),
        narrowing: None,
        checks,
        ends: waived::told(&part_of(&change.closed, rule), approved),
        // A rule without an exact undo is held, so that this is never `None`.
        undo: undo::authorize(reading, rule.rule).ok()?,
        request: None,
    })
}

fn predicted<'r>(
    policy: &Policy,
    reading: &GroupReading,
    removed: &BTreeSet<String>,
    added: impl Iterator<Item = &'r Rule>,
) -> BTreeMap<String, Verdict> {
    let mut after = reading.clone();
    after.rules.read.retain(|rule| !removed.contains(rule.id()));
    after.rules.read.extend(added.cloned());
    let judged = assess(policy, &after);
    policy
        .checks
        .iter()
        .map(|check| check.id.clone())
        .zip(judged.verdicts)
        .collect()
}

/// Protected sources that had a way in at a point of the checks and would have none left.
fn locks_out(
    remediation: &Remediation,
    targets: &[&Check],
    before: &GroupRules<'_>,
    after: &GroupRules<'_>,
) -> Vec<String> {
    let has_way_in = |group: &GroupRules<'_>, family: Family, low: u128, high: u128| {
        let everything = crate::exposure::Internet::everything();
        targets.iter().any(|check| {
            check.protocols.iter().any(|protocol| {
                group
                    .accepted(
                        Certainty::Closing,
                        &everything,
                        family,
                        *protocol,
                        &check.ports,
                    )
                    .iter()
                    .any(|run| {
                        let whole = crate::exposure::set::AddressSet::from_ranges([(low, high)]);
                        whole.is_subset(&run.sources)
                    })
            })
        })
    };
    remediation
        .protect
        .sources
        .iter()
        .filter(|source| {
            crate::exposure::set::parse_any_cidr(source).is_some_and(|(family, (low, high))| {
                has_way_in(before, family, low, high) && !has_way_in(after, family, low, high)
            })
        })
        .cloned()
        .collect()
}
