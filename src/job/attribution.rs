//! Who opened what is exposed, and whether the history has the changes of the run before. Asked after
//! everything else was done: nothing here changes a verdict or ends a run.

use super::{Begun, Error, Tools};
use crate::cloud::{Question, Trail};
use crate::model::{
    AccountId, Change, ChangeKind, Confirmation, Confirmed, Finding, GroupId, GroupReading,
    OpenedBy, Outcome, RegionId, Rule, RunId, Sureness, Unanswered, UnknownReason, Verdict,
};
use crate::policy::opened::{
    Heard, History, KEPT, SHOWS_AFTER, Subject, created, opened_by, shown, time_of,
};
use chrono::{DateTime, TimeDelta, Utc};
use std::collections::{BTreeMap, BTreeSet};

/// Around a rule's CreateTime: two minutes before, ten after.
const BEFORE: TimeDelta = TimeDelta::minutes(2);
const AFTER: TimeDelta = TimeDelta::minutes(10);
/// Stretches of time that meet are asked for at once, up to this length: an hour of one kind of call is
/// a page or two.
const LONGEST: TimeDelta = TimeDelta::minutes(60);

const AUTHORIZE: &str = "AuthorizeSecurityGroup";
const AUTHORIZE_EGRESS: &str = "AuthorizeSecurityGroupEgress";
const MODIFY: &str = "ModifySecurityGroupRule";
const MODIFY_EGRESS: &str = "ModifySecurityGroupEgressRule";
const CREATE: &str = "CreateSecurityGroup";

/// A group with something exposed, kept until its openers are looked up.
#[derive(Clone, Debug)]
pub(super) struct Exposed {
    account: AccountId,
    region: RegionId,
    group_id: GroupId,
    created: Option<DateTime<Utc>>,
    classic: bool,
    /// Rules to blame, by id.
    blamed: BTreeSet<String>,
    /// Those, and the ones made at about the same time: what one call may have made together.
    rules: Vec<Rule>,
}

impl Exposed {
    /// Of a group that was judged; `None` where nothing of it is exposed.
    pub(super) fn of(group: &GroupReading, findings: &[Finding]) -> Option<Self> {
        let blamed: BTreeSet<String> = findings
            .iter()
            .filter(|finding| finding.verdict == Verdict::Exposed)
            .flat_map(|finding| &finding.rules)
            .map(|rule| rule.rule_id.clone())
            .filter(|id| !id.is_empty())
            .collect();
        if blamed.is_empty() {
            return None;
        }
        let read = &group.rules.read;
        let times: Vec<DateTime<Utc>> = read
            .iter()
            .filter(|rule| blamed.contains(rule.id()))
            .filter_map(created)
            .collect();
        let beside = |rule: &Rule| {
            created(rule).is_some_and(|made| times.iter().any(|t| (made - *t).abs() <= BEFORE))
        };
        let rules = read
            .iter()
            .filter(|rule| blamed.contains(rule.id()) || beside(rule))
            .cloned()
            .collect();
        Some(Self {
            account: group.account.clone(),
            region: group.region.clone(),
            group_id: group.id(),
            created: time_of(&group.group.created),
            classic: group.group.is_classic(),
            blamed,
            rules,
        })
    }

    pub(super) fn is(&self, account: &AccountId, region: &RegionId, group: &GroupId) -> bool {
        self.account == *account && self.region == *region && self.group_id == *group
    }
}

/// Questions of one kind in one region, those that meet made one.
struct Stretches {
    event: &'static str,
    spans: Vec<(DateTime<Utc>, DateTime<Utc>)>,
    heard: Vec<Heard>,
}

impl Stretches {
    fn new(event: &'static str, times: impl IntoIterator<Item = DateTime<Utc>>) -> Self {
        let times: BTreeSet<DateTime<Utc>> = times.into_iter().collect();
        let mut spans: Vec<(DateTime<Utc>, DateTime<Utc>)> = Vec::new();
        for time in times {
            let (from, to) = (time - BEFORE, time + AFTER);
            match spans.last_mut() {
                Some((first, last)) if from <= *last && to - *first <= LONGEST => *last = to,
                _ => spans.push((from, to)),
            }
        }
        Self {
            event,
            spans,
            heard: Vec::new(),
        }
    }

    /// Asks, the newest first: what happened lately is what people can still be asked about.
    async fn ask(&mut self, trail: &mut Trail<'_>, region: &RegionId, now: DateTime<Utc>) {
        let mut heard = Vec::new();
        for (from, to) in self.spans.iter().rev() {
            let question = Question {
                region: region.clone(),
                event: self.event,
                from: *from,
                to: (*to).min(now),
            };
            heard.push(trail.ask(&question).await);
        }
        heard.reverse();
        self.heard = heard;
    }

    fn at(&self, time: DateTime<Utc>) -> Option<&Heard> {
        // Spans may meet: the one that has a minute on both sides is the one that was asked for it.
        let minute = TimeDelta::minutes(1);
        let at = self
            .spans
            .iter()
            .position(|(from, to)| *from <= time - minute && time + minute <= *to)?;
        self.heard.get(at)
    }
}

/// Whether a time can be asked about, and if not, why.
fn askable(time: DateTime<Utc>, now: DateTime<Utc>) -> Result<(), UnknownReason> {
    if now - time > KEPT {
        Err(UnknownReason::TooOld)
    } else if now - time < SHOWS_AFTER {
        Err(UnknownReason::TooNew)
    } else {
        Ok(())
    }
}

fn not_asked(reason: UnknownReason) -> Heard {
    Err(Unanswered {
        reason,
        detail: String::new(),
    })
}

/// Says of each rule of an exposed finding who opened it.
pub(super) async fn openers(
    trail: &mut Trail<'_>,
    groups: &[&Exposed],
    findings: &mut [Finding],
    now: DateTime<Utc>,
) {
    let account = trail.account().clone();
    let regions: BTreeSet<&RegionId> = groups.iter().map(|group| &group.region).collect();
    let mut found: BTreeMap<(RegionId, GroupId, String), OpenedBy> = BTreeMap::new();
    for region in regions {
        for egress in [false, true] {
            let subjects: Vec<(&Exposed, &Rule)> = groups
                .iter()
                .copied()
                .filter(|group| group.region == *region)
                .flat_map(|group| group.rules.iter().map(move |rule| (group, rule)))
                .filter(|(group, rule)| group.blamed.contains(rule.id()))
                .filter(|(_, rule)| is_egress(rule) == egress)
                .collect();
            if subjects.is_empty() {
                continue;
            }
            let calls = if egress {
                (AUTHORIZE_EGRESS, MODIFY_EGRESS)
            } else {
                (AUTHORIZE, MODIFY)
            };
            let answers = region_openers(trail, region, calls, &subjects, now).await;
            for ((group, rule), opened) in subjects.into_iter().zip(answers) {
                let key = (region.clone(), group.group_id.clone(), rule.id().to_owned());
                found.insert(key, opened);
            }
        }
    }
    for finding in findings
        .iter_mut()
        .filter(|finding| finding.verdict == Verdict::Exposed && finding.account == account)
    {
        for rule in &mut finding.rules {
            let group = rule.group_id.as_ref().unwrap_or(&finding.group_id);
            let key = (finding.region.clone(), group.clone(), rule.rule_id.clone());
            let known = found.get(&key).filter(|_| !rule.rule_id.is_empty());
            if known.is_none() && finding.interface.is_some() {
                // Its group exposes nothing by itself, and was not kept: not asked.
                continue;
            }
            rule.opened_by = Some(known.cloned().unwrap_or_else(|| OpenedBy {
                sureness: Sureness::Unknown,
                how: None,
                reason: Some(UnknownReason::Unidentified),
                events: Vec::new(),
                created_by: None,
                detail: String::new(),
            }));
        }
    }
}

/// A direction that is not understood is no egress: such a rule is in no exposed finding.
fn is_egress(rule: &Rule) -> bool {
    rule.direction.shown().eq_ignore_ascii_case("egress")
}

/// One region and direction: what was changed since the oldest of the rules, then the making of each.
async fn region_openers(
    trail: &mut Trail<'_>,
    region: &RegionId,
    (authorize, modify): (&'static str, &'static str),
    subjects: &[(&Exposed, &Rule)],
    now: DateTime<Utc>,
) -> Vec<OpenedBy> {
    let times: Vec<DateTime<Utc>> = subjects.iter().filter_map(|(_, r)| created(r)).collect();
    let modified: Heard = match times.iter().min() {
        None => Ok(Vec::new()),
        Some(oldest) => {
            let question = Question {
                region: region.clone(),
                event: modify,
                from: (*oldest - BEFORE).max(now - KEPT),
                to: now,
            };
            trail.ask(&question).await
        }
    };
    let can_be_asked = |time: &DateTime<Utc>| askable(*time, now).is_ok();
    let mut made = Stretches::new(authorize, times.iter().copied().filter(can_be_asked));
    made.ask(trail, region, now).await;
    let authorized: Vec<Heard> = subjects
        .iter()
        .map(|(_, rule)| match created(rule) {
            None => not_asked(UnknownReason::Unidentified),
            Some(time) => match askable(time, now) {
                Err(reason) => not_asked(reason),
                Ok(()) => made
                    .at(time)
                    .cloned()
                    .unwrap_or_else(|| not_asked(UnknownReason::BudgetSpent)),
            },
        })
        .collect();
    let judge = |at: usize, group_made: Option<&Heard>| {
        let (group, rule) = subjects.get(at)?;
        let subject = Subject {
            group_id: &group.group_id,
            group_created: group.created,
            classic: group.classic,
            rule,
            neighbours: &group.rules,
        };
        let history = History {
            authorized: authorized.get(at)?,
            modified: &modified,
            group_made,
        };
        opened_by(&subject, history)
    };
    // Only rules that nobody made by a call of its own may have come with their group.
    let mut out: Vec<Option<OpenedBy>> = (0..subjects.len()).map(|at| judge(at, None)).collect();
    let birth = |at: usize| subjects.get(at).and_then(|(group, _)| group.created);
    let open = |out: &[Option<OpenedBy>]| -> Vec<usize> {
        let open = out.iter().enumerate();
        open.filter(|(_, opened)| opened.is_none())
            .map(|(at, _)| at)
            .collect()
    };
    let births = open(&out).into_iter().filter_map(birth);
    let mut groups = Stretches::new(CREATE, births.filter(can_be_asked));
    groups.ask(trail, region, now).await;
    for at in open(&out) {
        let heard = match birth(at) {
            None => not_asked(UnknownReason::NoEvent),
            Some(time) => match askable(time, now) {
                Err(reason) => not_asked(reason),
                Ok(()) => groups
                    .at(time)
                    .cloned()
                    .unwrap_or_else(|| not_asked(UnknownReason::BudgetSpent)),
            },
        };
        let settled = judge(at, Some(&heard));
        if let Some(slot) = out.get_mut(at) {
            *slot = settled;
        }
    }
    out.into_iter()
        .map(|opened| {
            opened.unwrap_or_else(|| OpenedBy {
                sureness: Sureness::Unknown,
                how: None,
                reason: Some(UnknownReason::NoEvent),
                events: Vec::new(),
                created_by: None,
                detail: String::new(),
            })
        })
        .collect()
}

/// Calls of earlier runs that the history should have: those of the run before, and what that run had
/// asked in vain.
pub(super) fn to_confirm(
    run: &RunId,
    changes: &[Change],
    open: &[Confirmation],
) -> Vec<Confirmation> {
    let mut out: Vec<Confirmation> = open
        .iter()
        .filter(|c| matches!(c.found, Confirmed::TooEarly | Confirmed::Unread))
        .filter(|c| c.detail != UnknownReason::TooOld.as_str())
        .cloned()
        .collect();
    for change in changes {
        // What a killed run did has no request id of ours; what was refused is no change.
        let (Some(request_id), Some(at)) = (&change.request_id, &change.attempted_at) else {
            continue;
        };
        if change.outcome == Outcome::Refused || request_id.is_empty() {
            continue;
        }
        let one = Confirmation {
            run: run.clone(),
            account: change.account.clone(),
            region: change.region.clone(),
            group_id: change.group_id.clone(),
            action: call_of(change).to_owned(),
            request_id: request_id.clone(),
            attempted_at: at.clone(),
            found: Confirmed::TooEarly,
            event: None,
            detail: String::new(),
        };
        let known = |c: &Confirmation| c.request_id == one.request_id && c.region == one.region;
        if !out.iter().any(known) {
            out.push(one);
        }
    }
    out
}

/// The call that made a change.
fn call_of(change: &Change) -> &'static str {
    let egress = change
        .rule
        .get("Direction")
        .is_some_and(|direction| direction.eq_ignore_ascii_case("egress"));
    match (change.kind, egress) {
        (ChangeKind::Revoke, false) => "RevokeSecurityGroup",
        (ChangeKind::Revoke, true) => "RevokeSecurityGroupEgress",
        (ChangeKind::Authorize, false) => AUTHORIZE,
        (ChangeKind::Authorize, true) => AUTHORIZE_EGRESS,
        (ChangeKind::Modify, false) => MODIFY,
        (ChangeKind::Modify, true) => MODIFY_EGRESS,
    }
}

/// The calls that a run of ours can have made.
const OURS: [&str; 6] = [
    "RevokeSecurityGroup",
    "RevokeSecurityGroupEgress",
    AUTHORIZE,
    AUTHORIZE_EGRESS,
    MODIFY,
    MODIFY_EGRESS,
];

/// Holds each call against the history, by its request id.
pub(super) async fn confirm(
    trail: &mut Trail<'_>,
    calls: &mut [Confirmation],
    now: DateTime<Utc>,
    offset: TimeDelta,
) {
    let regions: BTreeSet<RegionId> = calls.iter().map(|call| call.region.clone()).collect();
    for region in regions {
        for event in OURS {
            let times: Vec<(usize, DateTime<Utc>)> = calls
                .iter()
                .enumerate()
                .filter(|(_, call)| call.region == region && call.action == event)
                .filter_map(|(at, call)| Some((at, time_of(&call.attempted_at)? - offset)))
                .collect();
            let old_enough = times.iter().map(|(_, time)| *time);
            let old_enough = old_enough.filter(|time| askable(*time, now).is_ok());
            let mut asked = Stretches::new(event, old_enough);
            asked.ask(trail, &region, now).await;
            for (at, time) in times {
                if let Some(call) = calls.get_mut(at) {
                    settle(call, time, &asked, now);
                }
            }
        }
    }
}

fn settle(call: &mut Confirmation, time: DateTime<Utc>, asked: &Stretches, now: DateTime<Utc>) {
    call.detail.clear();
    match askable(time, now) {
        Err(UnknownReason::TooNew) => {
            call.found = Confirmed::TooEarly;
            return;
        }
        Err(_) => {
            // Not kept any more: nobody will know, and nobody asks again.
            call.found = Confirmed::Unread;
            UnknownReason::TooOld.as_str().clone_into(&mut call.detail);
            return;
        }
        Ok(()) => {}
    }
    match asked.at(time) {
        Some(Ok(events)) => {
            let event = events.iter().find(|event| {
                event.request_id == call.request_id
                    && event
                        .params
                        .get("SecurityGroupId")
                        .is_some_and(|id| id == call.group_id.as_str())
            });
            call.found = if event.is_some() {
                Confirmed::Confirmed
            } else {
                Confirmed::Missing
            };
            call.event = event.map(shown);
        }
        Some(Err(why)) => {
            call.found = Confirmed::Unread;
            call.detail = format!("{}: {}", why.reason.as_str(), why.detail);
        }
        None => {
            call.found = Confirmed::Unread;
            UnknownReason::BudgetSpent
                .as_str()
                .clone_into(&mut call.detail);
        }
    }
}

/// Both, and every answer into the evidence.
pub(super) async fn attribute(
    tools: &Tools,
    begun: &mut Begun,
    groups: &[Exposed],
    findings: &mut [Finding],
) -> Result<Vec<Confirmation>, Error> {
    // The history's times are the service's.
    let offset = tools.client.clock_offset().unwrap_or(0);
    let offset = TimeDelta::try_seconds(offset).unwrap_or_default();
    let now = (tools.now)() - offset;
    let mut calls = begun.before.unconfirmed.clone();
    // Each account has a history of its own, and is asked with its own keys.
    calls.retain(|call| tools.client.reaches(&call.account));
    let accounts: BTreeSet<AccountId> = (groups.iter().map(|group| &group.account))
        .chain(calls.iter().map(|call| &call.account))
        .chain(findings.iter().map(|finding| &finding.account))
        .cloned()
        .collect();
    let mut confirmed = Vec::new();
    for account in accounts {
        let (mut mine, others) = calls
            .into_iter()
            .partition(|call: &Confirmation| call.account == account);
        calls = others;
        let of_account: Vec<&Exposed> = groups
            .iter()
            .filter(|group| group.account == account)
            .collect();
        let mut trail = Trail::new(&tools.client, account, tools.stop.clone());
        confirm(&mut trail, &mut mine, now, offset).await;
        openers(&mut trail, &of_account, findings, now).await;
        for answer in trail.take_answers() {
            begun.after.answers(std::slice::from_ref(&answer))?;
        }
        confirmed.append(&mut mine);
    }
    Ok(confirmed)
}
