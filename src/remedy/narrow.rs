//! What narrowing adds to a plan: which rules come in the place of those of the cut, and what of a
//! narrowing that was not finished, or is rolled back, is taken away again.

use super::digest::digest;
use super::plan::{GroupPlan, PlannedChange};
use super::said::{is_there, said};
use super::undo::{self, stands_between};
use crate::exposure::narrow::{Inside, Keep, are_twins, is_as_promised, narrow};
use crate::exposure::reading::read_rule;
use crate::exposure::traffic::difference;
use crate::exposure::{Certainty, Contribution, GroupRules, ReadRule};
use crate::model::{
    ApiRequest, Change, ChangeKind, GroupReading, HoldReason, Narrowing, Outcome, Protocol, Rule,
};
use crate::policy::Policy;
use crate::policy::remediation::Remediation;
use std::collections::{BTreeMap, BTreeSet};

/// Rules that all groups of an interface may have together, both directions ("Security group limits"
/// of the help centre, 2026-03): more than that no single group can hold. It can be raised, and other
/// groups on the interface count too: a group without room may still be refused, and is left alone then.
const RULE_QUOTA: u64 = 1000;

/// What each blamed rule is narrowed to, by its place among them.
pub(super) type Narrowed = BTreeMap<usize, Vec<Rule>>;

/// Holds by place among the blamed rules.
pub(super) type Holds = BTreeMap<usize, Vec<(HoldReason, String)>>;

/// A group as it is and what narrowing goes by.
pub(super) struct Narrows<'p, 'a> {
    reading: &'a GroupReading,
    group: &'p GroupRules<'a>,
    inside: Inside,
    keep: Keep,
}

impl<'p, 'a> Narrows<'p, 'a> {
    pub(super) fn new(
        policy: &Policy,
        remediation: &Remediation,
        reading: &'a GroupReading,
        group: &'p GroupRules<'a>,
    ) -> Self {
        let mut inside = Inside::default();
        for check in &policy.checks {
            for protocol in Protocol::ALL {
                if let Some(ports) = check.remediable_ports(protocol) {
                    inside.add(protocol, &ports);
                }
            }
        }
        let networks: Vec<String> = remediation
            .keep
            .iter()
            .chain(&policy.trusted)
            .cloned()
            .collect();
        Self {
            reading,
            group,
            inside,
            // Each network was checked when the schedule was read; keeping nothing is the safe reading.
            keep: Keep::read(&networks).unwrap_or_default(),
        }
    }

    /// What each blamed rule is narrowed to. None is held as overbroad any more, since what it opens
    /// beyond the checks stays; one that no rules can stand in for is held.
    pub(super) fn each(&self, blamed: &[Contribution<'_, '_>], holds: &mut Holds) -> Narrowed {
        let mut out = Narrowed::new();
        for (at, part) in blamed.iter().enumerate() {
            if let Some(why) = holds.get_mut(&at) {
                why.retain(|(reason, _)| *reason != HoldReason::Overbroad);
                if why.is_empty() {
                    holds.remove(&at);
                }
            }
            match self.one(part.rule) {
                Ok(rules) => {
                    out.insert(at, rules);
                }
                Err(why) => holds
                    .entry(at)
                    .or_default()
                    .push((HoldReason::Narrow, format!("it cannot be narrowed: {why}"))),
            }
        }
        out
    }

    fn one(&self, rule: &ReadRule<'_>) -> Result<Vec<Rule>, String> {
        let rules = narrow(rule, &self.inside, &self.keep)?;
        for new in &rules {
            undo::authorize(self.reading, new)?;
            if self.read(new).is_some_and(|new| are_twins(&new, rule)) {
                return Err("all that it lets in would be kept".to_owned());
            }
        }
        Ok(rules)
    }

    fn read<'r>(&self, rule: &'r Rule) -> Option<ReadRule<'r>> {
        read_rule(rule, &self.reading.lists, self.reading.group.is_classic())
    }

    /// The group with others in the place of the rules of those ids.
    pub(super) fn group_with<'r>(
        &self,
        gone: &BTreeSet<String>,
        new: impl IntoIterator<Item = &'r Rule>,
    ) -> GroupRules<'r>
    where
        'a: 'r,
    {
        let left: GroupRules<'r> = self.group.without(gone);
        left.with(new.into_iter().filter_map(|rule| self.read(rule)))
    }

    /// What has to be added for the rules of the cut, by their ids.
    ///
    /// # Errors
    /// Says in words why the group cannot be narrowed as a whole.
    pub(super) fn substitution(&self, cut: &[(String, &[Rule])]) -> Result<Substitution, String> {
        let gone: BTreeSet<String> = cut.iter().map(|(id, _)| id.clone()).collect();
        let mut wanted: Vec<(u128, &Rule, &String)> = Vec::new();
        for (id, rules) in cut {
            for rule in *rules {
                let priority = self.read(rule).and_then(|read| read.priority);
                wanted.push((priority.ok_or("its Priority is not known")?, rule, id));
            }
        }
        // An earlier one stands in for a later one that says the same: first come those.
        wanted.sort_by_key(|(priority, _, _)| *priority);
        let mut added: Vec<Added> = Vec::new();
        // Rules that have a twin behind them, which the service may take for them.
        let mut doubtful: Vec<(Rule, u128)> = Vec::new();
        for (priority, rule, id) in wanted {
            let Some(read) = self.read(rule) else {
                continue;
            };
            let known = added
                .iter_mut()
                .find(|other| self.read(&other.rule).is_some_and(|r| are_twins(&r, &read)));
            if let Some(known) = known {
                known.old.insert(id.clone());
                continue;
            }
            let twins: Vec<u128> = self
                .group
                .rules()
                .iter()
                .filter(|other| !gone.contains(other.rule.id()) && are_twins(other, &read))
                .filter_map(|other| other.priority)
                .collect();
            if twins.iter().any(|twin| *twin <= priority) {
                // It is there already, and decides every packet that this one would.
                continue;
            }
            if let Some(last) = twins.iter().max() {
                doubtful.push((rule.clone(), *last));
                continue;
            }
            added.push(Added {
                rule: rule.clone(),
                old: BTreeSet::from([id.clone()]),
            });
        }
        let out = Substitution { added };
        self.check(&gone, &out, &doubtful)?;
        Ok(out)
    }

    fn check(
        &self,
        gone: &BTreeSet<String>,
        new: &Substitution,
        doubtful: &[(Rule, u128)],
    ) -> Result<(), String> {
        let rules = || new.added.iter().map(|added| &added.rule);
        let after = self.group_with(gone, rules());
        for (rule, last) in doubtful {
            // Whether the service takes two rules that differ in Priority alone for one is not known
            // (API reference of AuthorizeSecurityGroup): it may add nothing. Without the one, then, the
            // group has to decide alike.
            let Some(read) = self.read(rule) else {
                continue;
            };
            let first = read.priority.unwrap_or(0);
            let with = after.with([read]);
            let alike = [Certainty::Closing, Certainty::Opening]
                .into_iter()
                .all(|c| difference(&after, &with, c) == nothing());
            if !alike || stands_between(&after, first, *last) {
                return Err(format!(
                    "the group has the rule {} at Priority {last}, which the service may take for the \
                     one to add at {first}",
                    said(rule)
                ));
            }
        }
        let between = self.group_with(&BTreeSet::new(), rules());
        if !is_as_promised(self.group, &between, &after, &self.inside, &self.keep) {
            return Err("not every packet would be decided as promised".to_owned());
        }
        let count = |n: usize| u64::try_from(n).unwrap_or(u64::MAX);
        let there =
            count(self.reading.rules.read.len()).max(self.reading.group.rule_count.unwrap_or(0));
        let wanted = there.saturating_add(count(new.added.len()));
        if wanted > RULE_QUOTA {
            return Err(format!(
                "old and new together would be {wanted} rules, and an interface takes {RULE_QUOTA}"
            ));
        }
        Ok(())
    }
}

/// No difference.
fn nothing() -> crate::exposure::traffic::Difference {
    crate::exposure::traffic::Difference::default()
}

/// A rule to add.
struct Added {
    rule: Rule,
    /// The ids of the rules that it stands in for.
    old: BTreeSet<String>,
}

/// All rules to add to a group; none where rules are only revoked.
#[derive(Default)]
pub(super) struct Substitution {
    added: Vec<Added>,
}

impl Substitution {
    /// The rules.
    pub(super) fn rules(&self) -> impl Iterator<Item = &Rule> {
        self.added.iter().map(|added| &added.rule)
    }

    /// The changes that add them; `checks` are those of each old rule, by its id.
    pub(super) fn changes(
        &self,
        reading: &GroupReading,
        checks: &BTreeMap<String, Vec<String>>,
    ) -> Vec<PlannedChange> {
        self.added
            .iter()
            .filter_map(|added| {
                let of_old = added.old.iter().filter_map(|id| checks.get(id)).flatten();
                let checks: BTreeSet<&String> = of_old.collect();
                Some(PlannedChange {
                    kind: ChangeKind::Authorize,
                    rule_id: String::new(),
                    rule: added.rule.field_map(),
                    narrowing: Some(Narrowing::InPlaceOf(added.old.iter().cloned().collect())),
                    checks: checks.into_iter().cloned().collect(),
                    ends: Vec::new(),
                    // Its id is not known yet; by fields it could take a twin of another Priority along.
                    undo: ApiRequest {
                        action: "RevokeSecurityGroup".to_owned(),
                        params: BTreeMap::from([
                            ("RegionId".to_owned(), reading.region.as_str().to_owned()),
                            ("SecurityGroupId".to_owned(), reading.group.id.clone()),
                        ]),
                    },
                    // Each was held to be expressible when it was made.
                    request: Some(undo::authorize(reading, &added.rule).ok()?),
                })
            })
            .collect()
    }
}

/// A plan in its two halves: what comes first, and what goes when that stands. `None`: nothing comes first.
pub fn halves(plan: &GroupPlan) -> Option<(GroupPlan, GroupPlan)> {
    let (first, then): (Vec<PlannedChange>, Vec<PlannedChange>) = plan
        .changes
        .iter()
        .cloned()
        .partition(|change| matches!(change.narrowing, Some(Narrowing::InPlaceOf(_))));
    (!first.is_empty()).then(|| {
        let half = |changes| GroupPlan {
            changes,
            ..plan.clone()
        };
        (half(first), half(then))
    })
}

/// Of rules that were put in others' places: those that are there while every rule that they stand
/// in for is certainly there too, so that they decide nothing. `known` are the changes of the group in
/// their order; `is_back` says of one that revoked a rule whether that is certainly there again, under
/// whatever id.
pub fn idle<'c>(
    now: &GroupReading,
    stand_ins: &[&'c Change],
    known: &[&Change],
    is_back: impl Fn(&Change) -> bool,
) -> Vec<&'c Change> {
    let has_id = |id: &str| now.rules.read.iter().any(|rule| rule.id() == id);
    let is_said = |change: &Change| is_there(now, &change.rule);
    let is_there = |id: &String| {
        let taken = known.iter().rev().find(|change| {
            change.kind == ChangeKind::Revoke
                && !matches!(change.narrowing, Some(Narrowing::TakenBack(_)))
                && change.rule_id() == id
        });
        let Some(taken) = taken else {
            return has_id(id);
        };
        // Where nobody knows whether it has gone, a reading that shows it may be stale.
        let was_left = taken.attempted_at.is_none()
            || matches!(taken.outcome, Outcome::Refused | Outcome::Failed);
        (was_left && has_id(id))
            || ((is_back(taken) || taken.outcome == Outcome::Failed) && is_said(taken))
    };
    stand_ins
        .iter()
        .copied()
        .filter(|change| has_id(change.rule_id()) && is_said(change))
        .filter(|change| {
            change
                .stands_in_for()
                .is_some_and(|old| !old.is_empty() && old.iter().all(is_there))
        })
        .collect()
}

/// Whether a group decides every packet as it does now without these rules: the old one is there and says
/// what it said. A rule can be changed in place under its id.
pub fn decide_nothing(now: &GroupReading, idle: &[&Change]) -> bool {
    let with = GroupRules::read(&now.rules.read, &now.lists, now.group.is_classic());
    let ids: BTreeSet<String> = idle
        .iter()
        .map(|change| change.rule_id().to_owned())
        .collect();
    let without = with.without(&ids);
    [Certainty::Closing, Certainty::Opening]
        .into_iter()
        .all(|certainty| difference(&with, &without, certainty) == nothing())
}

/// The plan that takes idle rules away again, by their ids; `None` where there is none.
pub fn take_back(now: &GroupReading, idle: &[&Change]) -> Option<GroupPlan> {
    let changes: Vec<PlannedChange> = idle
        .iter()
        .filter_map(|change| {
            let rule = now
                .rules
                .read
                .iter()
                .find(|rule| rule.id() == change.rule_id())?;
            Some(PlannedChange {
                kind: ChangeKind::Revoke,
                rule_id: rule.id().to_owned(),
                rule: rule.field_map(),
                narrowing: Some(Narrowing::TakenBack(change.stands_in_for()?.to_vec())),
                // It is done for no check: the group is as exposed as the old rule makes it.
                checks: Vec::new(),
                ends: Vec::new(),
                // It was added by such a request.
                undo: undo::authorize(now, rule).ok()?,
                request: None,
            })
        })
        .collect();
    (!changes.is_empty()).then(|| GroupPlan {
        account: now.account.clone(),
        region: now.region.clone(),
        group_id: now.id(),
        group_name: now.group.name.clone(),
        reading_sha256: digest(now),
        changes,
        predicted: BTreeMap::new(),
        ends: Vec::new(),
        locks_out: Vec::new(),
    })
}
