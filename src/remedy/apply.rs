//! Doing what a plan says and nothing else: the only file of this room that does I/O. The group is
//! read again just before; the intent is written and synced before the call; then it is read until
//! two equal readings, at least a second apart, agree. The answer of the call proves nothing.

use super::digest::digest;
use super::plan::{GroupPlan, PlannedChange};
use super::said::is_there;
use super::verify::{Attempt, CallEnd};
use crate::cloud::call::{Effect, Request};
use crate::cloud::failure::Fate;
use crate::cloud::{CallFailure, Client, Service, read_group};
use crate::model::{ApiRequest, Change, ChangeKind, GroupReading, Narrowing, Outcome, RawAnswer};
use crate::state::journal::{Before, Entry, Journal};
use crate::state::{self};
use chrono::{DateTime, SecondsFormat, Utc};
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

/// The most rule ids that one RevokeSecurityGroup takes (API reference, 3.4).
const IDS_A_CALL: usize = 100;

/// The most rules that one AuthorizeSecurityGroup takes (API reference, 3.5).
const RULES_A_CALL: usize = 100;

/// How long to read after a change.
#[derive(Clone, Debug)]
pub struct Waits {
    /// First wait between two readings; doubles. At least a second, so that two equal readings are
    /// a second apart.
    pub first: Duration,
    /// Longest wait.
    pub longest: Duration,
    /// Given up after: answers can be stale for seconds, "up to a minute or more".
    pub deadline: Duration,
}

impl Default for Waits {
    fn default() -> Self {
        Self {
            first: Duration::from_millis(1100),
            longest: Duration::from_secs(15),
            deadline: Duration::from_secs(90),
        }
    }
}

/// What it needs.
pub struct Hands<'a> {
    /// The cloud.
    pub client: &'a Arc<Client>,
    /// Where intents go first.
    pub journal: &'a mut Journal,
    /// Number of the last intent.
    pub number: u64,
    /// The clock.
    pub now: fn() -> DateTime<Utc>,
    /// How long to read.
    pub waits: Waits,
    /// A text that makes this run's tokens its own.
    pub run: String,
}

/// What came of one group.
#[derive(Debug)]
pub struct Applied {
    /// What is known of it.
    pub attempt: Attempt,
    /// The numbers of its intents, in the order of the plan's changes; empty where none was made.
    pub numbers: Vec<u64>,
    /// Answers from before the call, for `raw/before`.
    pub before: Vec<RawAnswer>,
    /// The call's and the later answers, for `raw/after`.
    pub after: Vec<RawAnswer>,
}

fn utc(time: DateTime<Utc>) -> String {
    time.to_rfc3339_opts(SecondsFormat::Millis, true)
}

impl Hands<'_> {
    /// Applies one group's plan.
    ///
    /// # Errors
    /// The journal cannot be written: nothing was called then.
    pub async fn apply(&mut self, plan: &GroupPlan) -> Result<Applied, state::Error> {
        let mut out = Applied {
            attempt: Attempt {
                plan: plan.clone(),
                before: None,
                call: CallEnd::NotMade,
                request_id: None,
                attempted_at: None,
                after: None,
                read_at: None,
                trouble: None,
            },
            numbers: Vec::new(),
            before: Vec::new(),
            after: Vec::new(),
        };
        match self.read(plan, &mut out.before).await {
            Ok(reading) => {
                let drift = drift(plan, &reading);
                out.attempt.before = Some(reading);
                if drift.is_some() {
                    out.attempt.trouble = drift;
                    return Ok(out);
                }
            }
            Err(why) => {
                out.attempt.trouble = Some(why);
                return Ok(out);
            }
        }
        let calls = self.calls(plan, None);
        self.intend(plan, &calls, &mut out)?;
        out.attempt.attempted_at = Some(utc((self.now)()));
        let mut rest = calls;
        // A batch may be carried out in part: what is left is asked for once more.
        for _ in 0..2 {
            self.call(&rest, &mut out).await;
            self.settle(plan, &mut out).await;
            let left = remaining(plan, &out.attempt);
            let partly = !left.is_empty() && left.len() < plan.changes.len();
            if !partly {
                break;
            }
            rest = self.calls(plan, Some(&left));
        }
        Ok(out)
    }

    async fn read(
        &self,
        plan: &GroupPlan,
        answers: &mut Vec<RawAnswer>,
    ) -> Result<GroupReading, String> {
        match read_group(self.client, &plan.account, &plan.region, &plan.group_id).await {
            Ok(Some(mut reading)) => {
                answers.append(&mut reading.answers);
                match &reading.rules.incomplete {
                    Some(why) => Err(format!("the group could not be read again: {why}")),
                    None => Ok(reading),
                }
            }
            Ok(None) => Err("the group is no longer there".to_owned()),
            Err(mut failure) => {
                answers.append(&mut failure.answers);
                Err(format!("the group could not be read again: {failure}"))
            }
        }
    }

    /// The requests of a plan, or of those of its changes that are left.
    fn calls(&self, plan: &GroupPlan, left: Option<&BTreeSet<usize>>) -> Vec<Request> {
        let changes: Vec<(usize, _)> = plan
            .changes
            .iter()
            .enumerate()
            .filter(|(at, _)| left.is_none_or(|left| left.contains(at)))
            .collect();
        let again = if left.is_some() { "again" } else { "" };
        let mut out = Vec::new();
        let revoked: Vec<&str> = changes
            .iter()
            .filter(|(_, change)| change.kind == ChangeKind::Revoke)
            .map(|(_, change)| change.rule_id.as_str())
            .collect();
        for (at, ids) in revoked.chunks(IDS_A_CALL).enumerate() {
            let mut params = BTreeMap::from([
                (
                    "SecurityGroupId".to_owned(),
                    plan.group_id.as_str().to_owned(),
                ),
                ("RegionId".to_owned(), plan.region.as_str().to_owned()),
            ]);
            for (number, id) in ids.iter().enumerate() {
                params.insert(
                    format!("SecurityGroupRuleId.{}", number.saturating_add(1)),
                    (*id).to_owned(),
                );
            }
            out.push(self.request(
                plan,
                "RevokeSecurityGroup",
                params,
                &format!("{again}r{at}"),
            ));
        }
        let added = changes
            .iter()
            .filter(|(_, change)| change.kind == ChangeKind::Authorize);
        // What comes in a rule's place comes together where it can: less stands half done.
        let (together, alone): (Vec<_>, Vec<_>) = added
            .filter_map(|(at, change)| Some((at, change, change.request.as_ref()?)))
            .partition(|(_, change, _)| matches!(change.narrowing, Some(Narrowing::InPlaceOf(_))));
        for (at, batch) in together.chunks(RULES_A_CALL).enumerate() {
            let requests: Vec<&ApiRequest> = batch.iter().map(|(_, _, request)| *request).collect();
            let params = merged(&requests);
            out.push(self.request(
                plan,
                "AuthorizeSecurityGroup",
                params,
                &format!("{again}n{at}"),
            ));
        }
        for (at, _, request) in alone {
            let params = request.params.clone();
            out.push(self.request(plan, &request.action, params, &format!("{again}a{at}")));
        }
        out
    }

    fn request(
        &self,
        plan: &GroupPlan,
        action: &str,
        mut params: BTreeMap<String, String>,
        part: &str,
    ) -> Request {
        // At most 64 ASCII characters, the same for the same call of the same run, and another for any
        // other: a group may be changed more than once in a run.
        let text = format!(
            "{} {} {} {part} {params:?}",
            self.run, plan.region, plan.group_id
        );
        let token = crate::evidence::format::sha256(text.as_bytes());
        params.insert("ClientToken".to_owned(), token.as_str().to_owned());
        Request {
            service: Service::Ecs,
            account: plan.account.clone(),
            region: plan.region.as_str().to_owned(),
            host: None,
            action: action.to_owned(),
            params,
            effect: Effect::Change,
        }
    }

    fn intend(
        &mut self,
        plan: &GroupPlan,
        calls: &[Request],
        out: &mut Applied,
    ) -> Result<(), state::Error> {
        let client_token = calls
            .first()
            .and_then(|call| call.params.get("ClientToken").cloned())
            .unwrap_or_default();
        let at = utc((self.now)());
        // With the first intent: a later run holds its own reading against it.
        let mut before = out
            .attempt
            .before
            .as_ref()
            .map(|reading| Box::new(Before::of(reading)));
        for planned in &plan.changes {
            self.number = self.number.saturating_add(1);
            out.numbers.push(self.number);
            let change = Change {
                account: plan.account.clone(),
                region: plan.region.clone(),
                group_id: plan.group_id.clone(),
                group_name: plan.group_name.clone(),
                kind: planned.kind,
                rule: planned.rule.clone(),
                narrowing: planned.narrowing.clone(),
                undo: planned.undo.clone(),
                checks: planned.checks.clone(),
                request_id: None,
                attempted_at: Some(at.clone()),
                verified_at: None,
                traffic_closed: Vec::new(),
                traffic_opened: Vec::new(),
                as_planned: false,
                outcome: Outcome::Unknown,
                error: Some("the run ended before it was known".to_owned()),
                before_sha256: plan.reading_sha256.clone(),
                after_sha256: None,
                verdict_after: BTreeMap::new(),
                group_after: Vec::new(),
                spelled_before: Vec::new(),
                intent_of: None,
            };
            self.journal.write(&Entry::Intent {
                number: self.number,
                at: at.clone(),
                client_token: client_token.clone(),
                change: Box::new(change),
                before: before.take(),
            })?;
        }
        Ok(())
    }

    async fn call(&self, calls: &[Request], out: &mut Applied) {
        for call in calls {
            let end;
            match self.client.call(call, |_| Ok(())).await {
                Ok(answer) => {
                    out.attempt.request_id = answer.raws.last().map(|raw| raw.request_id.clone());
                    out.after.extend(answer.raws);
                    end = CallEnd::Answered;
                }
                Err(mut failure) => {
                    out.after.append(&mut failure.answers);
                    if !failure.request_id.is_empty() {
                        out.attempt.request_id = Some(failure.request_id.clone());
                    }
                    end = end_of(&failure);
                }
            }
            let stop = end != CallEnd::Answered;
            // What an earlier call may have done is not undone by what a later one answered.
            let merged = match (&out.attempt.call, end) {
                (CallEnd::NotMade | CallEnd::NotSent(_) | CallEnd::NoSuchRule(_), end) => end,
                (CallEnd::Answered | CallEnd::Lost(_), CallEnd::Answered) => CallEnd::Answered,
                (_, CallEnd::Refused(why) | CallEnd::Lost(why)) => CallEnd::Lost(why),
                (earlier, _) => earlier.clone(),
            };
            out.attempt.call = merged;
            if stop {
                break;
            }
        }
    }

    /// Reads with growing waits until two equal readings show it done, or the deadline passes.
    async fn settle(&self, plan: &GroupPlan, out: &mut Applied) {
        let begun = tokio::time::Instant::now();
        let mut wait = self.waits.first;
        let mut last: Option<GroupReading> = None;
        out.attempt.after = None;
        out.attempt.trouble = None;
        // A refusal is final: two equal readings suffice to say that nothing was done.
        let refused = matches!(
            out.attempt.call,
            CallEnd::Refused(_) | CallEnd::NotSent(_) | CallEnd::NoSuchRule(_)
        );
        loop {
            match self.read(plan, &mut out.after).await {
                Ok(reading) => {
                    let same = last
                        .as_ref()
                        .is_some_and(|last| digest(last) == digest(&reading));
                    let done = is_done(plan, &reading);
                    out.attempt.read_at = Some(utc((self.now)()));
                    out.attempt.after = Some((reading.clone(), same));
                    out.attempt.trouble = None;
                    if same && (done || refused) {
                        return;
                    }
                    last = Some(reading);
                }
                Err(why) => {
                    last = None;
                    out.attempt.after = None;
                    out.attempt.trouble = Some(why);
                }
            }
            if begun.elapsed().saturating_add(wait) > self.waits.deadline {
                return;
            }
            tokio::time::sleep(wait).await;
            wait = wait.saturating_mul(2).min(self.waits.longest);
            if last.as_ref().is_some_and(|reading| is_done(plan, reading)) {
                // One more look a moment later is all that is missing.
                wait = self.waits.first;
            }
        }
    }
}

/// Requests of one rule each as one of all of them.
fn merged(requests: &[&ApiRequest]) -> BTreeMap<String, String> {
    let mut out = BTreeMap::new();
    for (at, request) in requests.iter().enumerate() {
        for (name, value) in &request.params {
            let name = match name.strip_prefix("Permissions.1.") {
                Some(field) => format!("Permissions.{}.{field}", at.saturating_add(1)),
                None => name.clone(),
            };
            out.insert(name, value.clone());
        }
    }
    out
}

/// Codes of a rule id that is not there: three sources name three (API reference, 3.4).
const NO_SUCH_RULE: [&str; 3] = [
    "InvalidParam.SecurityGroupRuleId",
    "InvalidSecurityGroupRule.RuleNotExist",
    "InvalidSecurityGroupRuleId.NotFound",
];

fn end_of(failure: &CallFailure) -> CallEnd {
    let told = failure.to_string();
    match failure.fate {
        Fate::NotSent => CallEnd::NotSent(told),
        Fate::Refused if NO_SUCH_RULE.contains(&failure.code.as_str()) => CallEnd::NoSuchRule(told),
        Fate::Refused => CallEnd::Refused(told),
        Fate::Unknown => CallEnd::Lost(told),
    }
}

/// Whether the reading shows all that the plan wants.
fn is_done(plan: &GroupPlan, reading: &GroupReading) -> bool {
    plan.changes
        .iter()
        .all(|change| is_one_done(change, reading))
}

fn is_one_done(change: &PlannedChange, reading: &GroupReading) -> bool {
    match change.kind {
        ChangeKind::Revoke => !reading
            .rules
            .read
            .iter()
            .any(|rule| rule.id() == change.rule_id),
        ChangeKind::Authorize | ChangeKind::Modify => is_there(reading, &change.rule),
    }
}

/// The plan's changes that a settled reading shows not done, by their place.
fn remaining(plan: &GroupPlan, attempt: &Attempt) -> BTreeSet<usize> {
    let Some((reading, _)) = &attempt.after else {
        return BTreeSet::new();
    };
    plan.changes
        .iter()
        .enumerate()
        .filter(|(_, change)| !is_one_done(change, reading))
        .map(|(at, _)| at)
        .collect()
}

/// What is different from the reading that the plan was made from.
fn drift(plan: &GroupPlan, reading: &GroupReading) -> Option<String> {
    if digest(reading) == plan.reading_sha256 {
        return None;
    }
    let missing: Vec<&str> = plan
        .changes
        .iter()
        .filter(|change| change.kind == ChangeKind::Revoke)
        .filter(|change| {
            !reading
                .rules
                .read
                .iter()
                .any(|rule| rule.id() == change.rule_id)
        })
        .map(|change| change.rule_id.as_str())
        .collect();
    Some(if missing.is_empty() {
        "the group has changed since it was planned; it was left alone".to_owned()
    } else {
        format!(
            "the group has changed since it was planned: {} gone",
            missing.join(", ")
        )
    })
}
