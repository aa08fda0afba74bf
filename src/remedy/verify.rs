//! What became of a change, from the two readings and never from the answer: the service answers
//! success also when nothing matched.

use super::digest::digest;
use super::plan::{GroupPlan, PlannedChange};
use super::said::{is_there, lines};
use crate::exposure::traffic::{Difference, difference, part_of, shown};
use crate::exposure::{Certainty, GroupRules, Run};
use crate::model::{Change, ChangeKind, GroupReading, Outcome, Rule, Traffic};
use crate::policy::{Policy, assess};
use std::collections::BTreeMap;

/// How a call ended, as far as the caller knows.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum CallEnd {
    /// It was not made.
    NotMade,
    /// Success was answered.
    Answered,
    /// It never left this machine.
    NotSent(String),
    /// The service does not know the rule: somebody was faster.
    NoSuchRule(String),
    /// The service refused. That is what it answered; what it did is read.
    Refused(String),
    /// Nobody knows whether it was carried out.
    Lost(String),
}

/// All that is known of one group's attempt.
#[derive(Clone, Debug)]
pub struct Attempt {
    /// What was planned.
    pub plan: GroupPlan,
    /// The reading just before; `None` where it could not be read.
    pub before: Option<GroupReading>,
    /// The call that asks for it.
    pub call: CallEnd,
    /// The service's request id of the call.
    pub request_id: Option<String>,
    /// When it was asked for.
    pub attempted_at: Option<String>,
    /// The last reading after, and whether it was two equal ones at least a second apart.
    pub after: Option<(GroupReading, bool)>,
    /// When the last reading after was taken.
    pub read_at: Option<String>,
    /// Why there is no settled reading.
    pub trouble: Option<String>,
}

/// One [`Change`] for each planned one.
pub fn verify(policy: &Policy, attempt: &Attempt) -> Vec<Change> {
    let plan = &attempt.plan;
    let facts = Facts::of(policy, attempt);
    plan.changes
        .iter()
        .map(|planned| {
            let (outcome, error) = facts.outcome(attempt, planned);
            Change {
                account: plan.account.clone(),
                region: plan.region.clone(),
                group_id: plan.group_id.clone(),
                group_name: plan.group_name.clone(),
                kind: planned.kind,
                rule: planned.rule.clone(),
                narrowing: planned.narrowing.clone(),
                undo: planned.undo.clone(),
                checks: planned.checks.clone(),
                request_id: attempt.request_id.clone(),
                attempted_at: attempt.attempted_at.clone(),
                verified_at: (outcome == Outcome::Verified)
                    .then(|| attempt.read_at.clone())
                    .flatten(),
                traffic_closed: facts.closed_by(planned),
                traffic_opened: facts.opened.clone(),
                as_planned: facts.is_as_planned(planned),
                outcome,
                error,
                before_sha256: attempt
                    .before
                    .as_ref()
                    .map_or_else(|| plan.reading_sha256.clone(), digest),
                after_sha256: attempt.after.as_ref().map(|(reading, _)| digest(reading)),
                verdict_after: facts.verdicts.clone(),
                group_after: attempt
                    .after
                    .as_ref()
                    .map(|(reading, _)| lines(reading))
                    .unwrap_or_default(),
                spelled_before: Vec::new(),
                intent_of: None,
            }
        })
        .collect()
}

/// What the two readings say, once for all changes of the group.
struct Facts {
    /// The rules before.
    before: Option<GroupReading>,
    /// The rules after; `None` where there is no settled reading.
    after: Option<GroupReading>,
    closed: BTreeMap<String, Vec<Traffic>>,
    /// What each revocation should have closed, by the reading before: what is waived is no difference.
    due: BTreeMap<String, Vec<Traffic>>,
    opened: Vec<Traffic>,
    /// The two readings differ by exactly what was planned for the whole group.
    exact: bool,
    /// Closed beyond what was planned, or opened beyond it.
    beyond: bool,
    verdicts: BTreeMap<String, String>,
    still_exposed: bool,
}

/// Whether a change is so in a set of rules.
fn is_so(planned: &PlannedChange, reading: &GroupReading) -> bool {
    match planned.kind {
        ChangeKind::Revoke => {
            let mut rules = reading.rules.read.iter();
            !rules.any(|rule| rule.id() == planned.rule_id)
        }
        ChangeKind::Authorize | ChangeKind::Modify => is_there(reading, &planned.rule),
    }
}

fn rules_of(reading: &GroupReading) -> GroupRules<'_> {
    GroupRules::read(
        &reading.rules.read,
        &reading.lists,
        reading.group.is_classic(),
    )
}

impl Facts {
    fn of(policy: &Policy, attempt: &Attempt) -> Self {
        let plan = &attempt.plan;
        let mut facts = Self {
            before: attempt.before.clone(),
            exact: false,
            after: None,
            closed: BTreeMap::new(),
            due: BTreeMap::new(),
            opened: Vec::new(),
            beyond: false,
            verdicts: BTreeMap::new(),
            still_exposed: false,
        };
        let Some((after, settled)) = &attempt.after else {
            return facts;
        };
        let judged = assess(policy, after);
        for (check, verdict) in policy.checks.iter().zip(&judged.verdicts) {
            facts
                .verdicts
                .insert(check.id.clone(), verdict.as_str().to_owned());
        }
        facts.still_exposed = judged.findings.iter().any(|finding| {
            finding.verdict == crate::model::Verdict::Exposed
                && plan
                    .changes
                    .iter()
                    .any(|change| change.checks.contains(&finding.check))
        });
        let whole = *settled && after.rules.incomplete.is_none();
        if !whole {
            return facts;
        }
        facts.after = Some(after.clone());
        let Some(before) = &attempt.before else {
            return facts;
        };
        let (old, new) = (rules_of(before), rules_of(after));
        let change: Difference = difference(&old, &new, Certainty::Closing);
        facts.opened = shown(&change.opened);
        let parts = |planned: &PlannedChange, traffic: &[Run]| -> Vec<Traffic> {
            old.rules()
                .iter()
                .find(|rule| rule.rule.id() == planned.rule_id)
                .map(|rule| shown(&part_of(traffic, rule)))
                .unwrap_or_default()
        };
        for planned in &plan.changes {
            facts
                .closed
                .insert(planned.rule_id.clone(), parts(planned, &change.closed));
        }
        // The group as it would be: without what is revoked, with what is put back.
        let mut wanted: Vec<Rule> = before.rules.read.clone();
        for planned in &plan.changes {
            match planned.kind {
                ChangeKind::Revoke => wanted.retain(|rule| rule.id() != planned.rule_id),
                ChangeKind::Authorize | ChangeKind::Modify => {
                    wanted.push(Rule::from_fields(&planned.rule));
                }
            }
        }
        // A rule that is put back may name a list that no rule named before: the reading after has it.
        let mut lists = before.lists.clone();
        for (mine, theirs) in [
            (&mut lists.prefix, &after.lists.prefix),
            (&mut lists.port, &after.lists.port),
        ] {
            for (id, list) in theirs {
                mine.entry(id.clone()).or_insert_with(|| list.clone());
            }
        }
        let as_wanted = GroupRules::read(&wanted, &lists, before.group.is_classic());
        let expected = difference(&old, &as_wanted, Certainty::Closing);
        for planned in &plan.changes {
            facts
                .due
                .insert(planned.rule_id.clone(), parts(planned, &expected.closed));
        }
        facts.exact = change == expected;
        facts.beyond =
            !within(&change.closed, &expected.closed) || !within(&change.opened, &expected.opened);
        facts
    }

    fn closed_by(&self, planned: &PlannedChange) -> Vec<Traffic> {
        self.closed
            .get(&planned.rule_id)
            .cloned()
            .unwrap_or_default()
    }

    /// Whether a revocation closed what it should have.
    fn closed_its_own(&self, planned: &PlannedChange) -> bool {
        let due = self.due.get(&planned.rule_id).cloned().unwrap_or_default();
        self.closed_by(planned) == due
    }

    fn is_as_planned(&self, planned: &PlannedChange) -> bool {
        // A batch may have been carried out in part: then each rule that is gone answers for itself.
        self.after.is_some()
            && (self.exact
                || (!self.beyond
                    && match planned.kind {
                        ChangeKind::Revoke => self.closed_its_own(planned),
                        ChangeKind::Authorize | ChangeKind::Modify => true,
                    }))
    }

    fn outcome(&self, attempt: &Attempt, planned: &PlannedChange) -> (Outcome, Option<String>) {
        let trouble = || attempt.trouble.clone();
        if attempt.before.is_none() {
            // Not even the group could be read: nothing was asked for, and that is no success.
            return (Outcome::Failed, trouble());
        }
        if attempt.call == CallEnd::NotMade {
            return if self
                .before
                .as_ref()
                .is_some_and(|before| is_so(planned, before))
            {
                (
                    Outcome::AlreadyGone,
                    Some("it was so before anything was asked for".to_owned()),
                )
            } else {
                (Outcome::Drifted, trouble())
            };
        }
        let Some(after) = &self.after else {
            let told = match &attempt.call {
                CallEnd::Refused(why)
                | CallEnd::NotSent(why)
                | CallEnd::NoSuchRule(why)
                | CallEnd::Lost(why) => join(why, trouble()),
                CallEnd::Answered | CallEnd::NotMade => trouble().unwrap_or_default(),
            };
            return (Outcome::Unknown, Some(told));
        };
        if !is_so(planned, after) {
            return match &attempt.call {
                CallEnd::Refused(why) | CallEnd::NoSuchRule(why) => {
                    (Outcome::Refused, Some(why.clone()))
                }
                CallEnd::NotSent(why) => (Outcome::Failed, Some(why.clone())),
                CallEnd::Lost(why) => (
                    Outcome::Failed,
                    Some(format!(
                        "it was not done; the call's answer was lost: {why}"
                    )),
                ),
                CallEnd::Answered | CallEnd::NotMade => (
                    Outcome::Failed,
                    Some("the service answered success and it was not done".to_owned()),
                ),
            };
        }
        if self.is_as_planned(planned) {
            return match &attempt.call {
                // Nothing of ours can have done it.
                CallEnd::NotSent(why) | CallEnd::NoSuchRule(why) => {
                    (Outcome::AlreadyGone, Some(why.clone()))
                }
                // It was asked for and is so, whatever the answer said: it is ours to undo.
                CallEnd::Refused(why) => (
                    Outcome::Verified,
                    Some(format!(
                        "the service answered an error, and two readings show it done: {why}"
                    )),
                ),
                CallEnd::Answered | CallEnd::Lost(_) | CallEnd::NotMade => {
                    (Outcome::Verified, None)
                }
            };
        }
        if planned.kind == ChangeKind::Revoke
            && (self.still_exposed || !self.closed_its_own(planned))
        {
            return (
                Outcome::Failed,
                Some(
                    "the rule is gone, but what it let in is still let in: another rule was added \
                     or stands in its place"
                        .to_owned(),
                ),
            );
        }
        let is_so = match planned.kind {
            ChangeKind::Revoke => "the rule is gone",
            ChangeKind::Authorize | ChangeKind::Modify => "the rule is there",
        };
        (
            Outcome::Drifted,
            Some(format!(
                "{is_so}, and another hand changed the group at the same time: the two readings differ \
                 by more than this change"
            )),
        )
    }
}

fn join(first: &str, then: Option<String>) -> String {
    match then {
        Some(then) => format!("{first}; {then}"),
        None => first.to_owned(),
    }
}

/// Whether every packet of one is in the other.
fn within(part: &[Run], whole: &[Run]) -> bool {
    part.iter().all(|run| {
        // Runs may be cut differently: take the whole's ports off this run's, source by source.
        let mut left: Vec<Run> = vec![run.clone()];
        for other in whole {
            left = left
                .into_iter()
                .flat_map(|run| minus(&run, other))
                .collect();
        }
        left.is_empty()
    })
}

fn minus(run: &Run, other: &Run) -> Vec<Run> {
    if run.family != other.family || run.protocol != other.protocol {
        return vec![run.clone()];
    }
    let rest = run.sources.subtract(&other.sources);
    let mut out = Vec::new();
    let mut keep = |ports, sources: crate::exposure::set::AddressSet| {
        if !sources.is_empty() {
            out.push(Run {
                ports,
                sources,
                ..run.clone()
            });
        }
    };
    match (run.ports, other.ports) {
        (Some((low, high)), Some((from, to))) => {
            if to < low || high < from {
                return vec![run.clone()];
            }
            if low < from {
                keep(Some((low, from.saturating_sub(1))), run.sources.clone());
            }
            if to < high {
                keep(Some((to.saturating_add(1), high)), run.sources.clone());
            }
            keep(Some((low.max(from), high.min(to))), rest);
        }
        _ => keep(run.ports, rest),
    }
    out
}

/// The attempt of a run that was killed, as it can still be known: the reading from before out of the
/// journal, a settled one of now, and nothing of what the call answered.
pub fn settled(
    before: &GroupReading,
    after: GroupReading,
    changes: &[&mut Change],
    read_at: String,
) -> Attempt {
    let old = rules_of(before);
    let ids = changes
        .iter()
        .filter_map(|change| change.rule.get("SecurityGroupRuleId").cloned())
        .collect();
    let expected = difference(&old, &old.without(&ids), Certainty::Closing);
    let planned = changes
        .iter()
        .map(|change| {
            let rule_id = change
                .rule
                .get("SecurityGroupRuleId")
                .cloned()
                .unwrap_or_default();
            let ends = old
                .rules()
                .iter()
                .find(|rule| rule.rule.id() == rule_id)
                .map(|rule| shown(&part_of(&expected.closed, rule)))
                .unwrap_or_default();
            PlannedChange {
                kind: change.kind,
                rule_id,
                rule: change.rule.clone(),
                narrowing: change.narrowing.clone(),
                checks: change.checks.clone(),
                ends,
                undo: change.undo.clone(),
                request: None,
            }
        })
        .collect();
    let first = changes.first();
    Attempt {
        plan: GroupPlan {
            account: before.account.clone(),
            region: before.region.clone(),
            group_id: before.id(),
            group_name: before.group.name.clone(),
            reading_sha256: digest(before),
            changes: planned,
            predicted: BTreeMap::new(),
            ends: shown(&expected.closed),
            locks_out: Vec::new(),
        },
        before: Some(before.clone()),
        call: CallEnd::Lost("the run ended".to_owned()),
        request_id: first.and_then(|change| change.request_id.clone()),
        attempted_at: first.and_then(|change| change.attempted_at.clone()),
        after: Some((after, true)),
        read_at: Some(read_at),
        trouble: None,
    }
}
