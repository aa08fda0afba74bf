//! Narrowing as it is done: first what comes in a rule's place, and only when two readings show all
//! of it the rule itself. What was added for a rule that is there all the same is taken back, where it
//! is certainly ours; else it is named.

use super::{Changing, Error, guard};
use crate::cloud::read_group;
use crate::config::schedule::Schedule;
use crate::model::{
    AccountId, Change, ChangeKind, GroupId, GroupReading, Held, HoldReason, Outcome, RegionId,
    Rule, RunRecord, respelled, stand_ins,
};
use crate::remedy::narrow::{decide_nothing, halves, idle, take_back};
use crate::remedy::plan::GroupPlan;
use crate::remedy::said::{said_by, said_in};
use crate::state::journal::Journal;
use std::collections::{BTreeMap, BTreeSet};

/// Where a group is.
type Place = (AccountId, RegionId, GroupId);

fn place(change: &Change) -> Place {
    (
        change.account.clone(),
        change.region.clone(),
        change.group_id.clone(),
    )
}

impl Changing<'_> {
    /// One group's plan. Traffic that stays permitted is let in at every moment.
    pub(super) async fn group(
        &mut self,
        plan: &GroupPlan,
        journal: &mut Journal,
    ) -> Result<Vec<Change>, Error> {
        let Some((first, then)) = halves(plan) else {
            return self.one(plan, journal).await;
        };
        let mut changes = self.one(&first, journal).await?;
        let bad = changes
            .iter()
            .find(|change| change.outcome != Outcome::Verified);
        let as_left = changes.last().and_then(|last| last.after_sha256.clone());
        match (bad, as_left) {
            (None, Some(reading_sha256)) => {
                let then = GroupPlan {
                    reading_sha256,
                    ..then
                };
                self.check_lock()?;
                changes.extend(self.one(&then, journal).await?);
            }
            (bad, _) => {
                let why = bad
                    .map(|change| {
                        let error = change.error.clone().unwrap_or_default();
                        format!("{}: {error}", change.outcome.as_str())
                    })
                    .unwrap_or_default();
                let detail = format!(
                    "it was left as it is, since what should come in its place does not stand ({why})"
                );
                self.held
                    .push(guard::held(&then, vec![HoldReason::Narrow], detail));
            }
        }
        let all = changes.clone();
        let unused: Vec<&Change> = unused(&all);
        // This group passed the guards, and is not left half way.
        let done = self
            .take_back(&unused, &all, |_| false, |_| None, journal)
            .await?;
        changes.extend(done);
        Ok(changes)
    }

    /// After a rollback: what had come in the place of rules that stand again. `record` is the run that
    /// is rolled back; what this run put back is in its own changes.
    pub(super) async fn take_back_after(
        &mut self,
        record: &RunRecord,
        only: Option<&GroupId>,
        journal: &mut Journal,
    ) -> Result<Vec<Change>, Error> {
        let known = &record.changes;
        let added: Vec<&Change> = stand_ins(known)
            .into_iter()
            .filter(|change| only.is_none_or(|group| change.group_id == *group))
            .collect();
        let back: BTreeSet<(Place, String)> = self
            .changes
            .iter()
            .filter(|change| change.kind == ChangeKind::Authorize && change.intent_of.is_none())
            .filter(|change| matches!(change.outcome, Outcome::Verified | Outcome::AlreadyGone))
            .map(|change| (place(change), said_by(&change.rule)))
            .collect();
        let is_back = |old: &Change| {
            let mut fields = old.rule.clone();
            // Only in the classic network a rule comes back with its interface.
            if !old.undo.params.keys().any(|key| key.ends_with("NicType")) {
                fields.remove("NicType");
            }
            back.contains(&(place(old), said_by(&fields)))
        };
        // A person asked for this, and for this group.
        self.take_back(&added, known, is_back, |_| None, journal)
            .await
    }

    /// Takes back what was added for rules that are all there themselves: it decides nothing. What
    /// cannot be taken back is held and named. `is_back` says of a rule that was revoked whether it is
    /// certainly there again; `forbids`, why a group may not be changed.
    async fn take_back(
        &mut self,
        added: &[&Change],
        known: &[Change],
        is_back: impl Fn(&Change) -> bool,
        forbids: impl Fn(&GroupReading) -> Option<(HoldReason, String)>,
        journal: &mut Journal,
    ) -> Result<Vec<Change>, Error> {
        let mut out = Vec::new();
        let mut places: BTreeMap<Place, Vec<&Change>> = BTreeMap::new();
        for change in added {
            places.entry(place(change)).or_default().push(change);
        }
        for (at, added) in places {
            if !self.tools.client.reaches(&at.0) {
                self.name(&at, &added, &[], "this run has no way into its account");
                continue;
            }
            let there: Vec<&Change> = known.iter().filter(|c| place(c) == at).collect();
            let reading = match self.look(&at).await? {
                Ok(reading) => reading,
                Err(why) => {
                    self.name(&at, &added, &[], &why);
                    continue;
                }
            };
            let idle = idle(&reading, &added, &there, &is_back);
            let Some(plan) = take_back(&reading, &idle) else {
                continue;
            };
            let why_not = if !decide_nothing(&reading, &idle) {
                Some(
                    "the old rule no longer says what it said: taking these back would end traffic",
                )
            } else if reading.group.service_managed != Some(false) {
                Some("the service does not say that the group is unmanaged")
            } else {
                None
            };
            if let Some(why) = why_not {
                self.name(&at, &idle, &[], why);
                continue;
            }
            if let Some((reason, why)) = forbids(&reading) {
                self.name(&at, &idle, &[reason], &why);
                continue;
            }
            self.check_lock()?;
            let made = self.one(&plan, journal).await?;
            let stay: Vec<&Change> = idle
                .into_iter()
                .filter(|change| {
                    !made.iter().any(|made| {
                        made.rule_id() == change.rule_id()
                            && matches!(made.outcome, Outcome::Verified | Outcome::AlreadyGone)
                    })
                })
                .collect();
            if !stay.is_empty() {
                let why = made.iter().find_map(|made| made.error.clone());
                self.name(&at, &stay, &[], &why.unwrap_or_default());
            }
            out.extend(made);
        }
        Ok(out)
    }

    /// Whether the lock of those who change is still ours.
    pub(super) fn check_lock(&self) -> Result<(), Error> {
        if let Some(lock) = &self.begun.changing {
            lock.check()?;
        }
        Ok(())
    }

    /// A fresh reading, or why there is none. Its answers are evidence.
    async fn look(&mut self, at: &Place) -> Result<Result<GroupReading, String>, Error> {
        let (account, region, group) = at;
        Ok(
            match read_group(&self.tools.client, account, region, group).await {
                Ok(Some(mut reading)) => {
                    self.begun
                        .after
                        .answers(&std::mem::take(&mut reading.answers))?;
                    match &reading.rules.incomplete {
                        Some(why) => Err(format!("the group could not be read: {why}")),
                        None => Ok(reading),
                    }
                }
                Ok(None) => Err("the group is no longer there".to_owned()),
                Err(unread) => {
                    self.begun.after.answers(&unread.answers)?;
                    Err(format!("the group could not be read: {unread}"))
                }
            },
        )
    }

    /// Names what was added and is left there; `guards` are those of a run that held it.
    fn name(&mut self, at: &Place, added: &[&Change], guards: &[HoldReason], why: &str) {
        let mut held = left(at, added, why);
        held.reasons.extend(guards);
        self.held.push(held);
    }

    /// Of what killed runs left, what they added and did not use: taken back by a run that changes,
    /// named by one that only reads, or whose guards hold it. Their journals stay open as long as any of
    /// it is there.
    pub(in crate::job) async fn tidy(
        &mut self,
        settled: &[Change],
        changes: bool,
        schedule: &Schedule,
    ) -> Result<(), Error> {
        let unused = unused(settled);
        if unused.is_empty() {
            return Ok(());
        }
        if changes {
            let mut journal = self.tools.state.journal(&self.begun.run)?;
            let tools = self.tools;
            let forbids = |reading: &GroupReading| {
                if let Some(why) = tools.stop.asked() {
                    let why = format!("the run was asked to stop ({why}) before this group");
                    return Some((HoldReason::Deadline, why));
                }
                let now = (tools.now)();
                guard::forbids(&schedule.remediation, reading, now, schedule.timezone)
            };
            let made = self
                .take_back(&unused, settled, |_| false, forbids, &mut journal)
                .await?;
            self.changes.extend(made);
        } else {
            for change in &unused {
                let why = "a run that changes takes it back; this one only reads";
                self.name(&place(change), &[change], &[], why);
            }
        }
        Ok(())
    }
}

/// The killed runs of which something is left that was added and not taken back: their journals stay
/// open, for the next run to see to it.
pub(super) fn left_open(record: &RunRecord) -> BTreeSet<String> {
    stand_ins(&record.changes)
        .into_iter()
        .filter(|change| {
            record.held.iter().any(|held| {
                held.group_id == change.group_id
                    && held.rules.iter().any(|id| id == change.rule_id())
            })
        })
        .filter_map(|change| change.intent_of.clone())
        .collect()
}

/// Of some changes what was added and may be there beside the rules that it should replace.
fn unused(known: &[Change]) -> Vec<&Change> {
    stand_ins(known)
        .into_iter()
        .filter(|change| !is_replaced(change, known))
        .collect()
}

/// Whether every rule that it stands in for is known to be gone.
fn is_replaced(change: &Change, known: &[Change]) -> bool {
    change.stands_in_for().is_some_and(|old| {
        old.iter().all(|id| {
            known.iter().any(|other| {
                place(other) == place(change)
                    && other.took_away()
                    && other.outcome == Outcome::Verified
                    && other.rule_id() == id
            })
        })
    })
}

fn left((account, region, group_id): &Place, added: &[&Change], why: &str) -> Held {
    let at: String = added
        .iter()
        .find_map(|change| change.attempted_at.clone())
        .unwrap_or_default();
    let old: BTreeSet<&str> = added
        .iter()
        .filter_map(|change| change.stands_in_for())
        .flatten()
        .map(String::as_str)
        .collect();
    Held {
        account: account.clone(),
        region: region.clone(),
        group_id: group_id.clone(),
        rules: added
            .iter()
            .map(|change| change.rule_id().to_owned())
            .collect(),
        reasons: vec![HoldReason::Narrow],
        detail: format!(
            "added at {at} in the place of {}, which may still be there. Not taken back: {why}",
            old.into_iter().collect::<Vec<_>>().join(", ")
        ),
    }
}

/// A rule that was added or put back has a new id; the change's own undo is by that id.
pub(super) fn name_new_rule(
    change: &mut Change,
    before: Option<&GroupReading>,
    after: Option<&GroupReading>,
) {
    let before: BTreeSet<&str> = before
        .iter()
        .flat_map(|reading| reading.rules.read.iter().map(Rule::id))
        .collect();
    let new = after
        .into_iter()
        .flat_map(|reading| reading.rules.read.iter().map(move |rule| (reading, rule)))
        .find(|(reading, rule)| {
            let said = |fields| said_in(reading, fields);
            said(&rule.field_map()) == said(&change.rule) && !before.contains(rule.id())
        })
        .map(|(_, rule)| rule);
    if let Some(rule) = new {
        let fields = rule.field_map();
        if change.narrowing.is_none() {
            change.spelled_before = respelled::between(&change.rule, &fields);
        }
        change.rule = fields;
        change.undo.params = BTreeMap::from([
            ("RegionId".to_owned(), change.region.as_str().to_owned()),
            (
                "SecurityGroupId".to_owned(),
                change.group_id.as_str().to_owned(),
            ),
            ("SecurityGroupRuleId.1".to_owned(), rule.id().to_owned()),
        ]);
    }
}
