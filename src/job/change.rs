//! The changing half of a job: the canary loop, each group through apply and verify, the journal;
//! plans carried out later; rollbacks.

mod narrow;
mod settle;

pub(super) use settle::{close_journals, settle_orphans};

use super::accounts::{self, Where, note_identities, place};
use super::{Begun, Error, Job, Progress, RunOutcome, Tools, begin, finish, policy_of, tool, utc};
use crate::cloud::call::{Effect, Request};
use crate::cloud::{Service, read_group};
use crate::config::schedule::Schedule;
use crate::evidence::store::read_record;
use crate::evidence::{Draft, Spool};
use crate::model::{
    AccountId, Approval, CallError, Change, ChangeKind, Coverage, GroupId, Held, HoldReason,
    Outcome, Reevaluation, RegionCoverage, RegionId, RegionStatus, RunHeader, RunId, RunRecord,
    Scope, Times, Totals, stand_ins,
};
use crate::policy::Policy;
use crate::policy::remediation::Remediation;
use crate::remedy::apply::{Applied, Hands};
use crate::remedy::digest::digest;
use crate::remedy::plan::GroupPlan;
use crate::remedy::said::said_by;
use crate::remedy::{RemediationPlan, guard, rollback as undoing, verify};
use crate::state::holds::{Done, RuleNote};
use crate::state::journal::{Entry, Journal};
use chrono::{DateTime, SecondsFormat, TimeDelta, Utc};
use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

/// The lock of everyone who changes.
pub(super) const LOCK: &str = ".changes";

/// Changes that are being made.
pub(super) struct Changing<'a> {
    tools: &'a Tools,
    policy: &'a Policy,
    begun: &'a mut Begun,
    pub(super) changes: Vec<Change>,
    pub(super) held: Vec<Held>,
    /// What became of asking Cloud Config.
    pub(super) reevaluation: Option<Reevaluation>,
}

impl<'a> Changing<'a> {
    pub(super) fn new(tools: &'a Tools, begun: &'a mut Begun, policy: &'a Policy) -> Self {
        Self {
            tools,
            policy,
            begun,
            changes: Vec::new(),
            held: Vec::new(),
            reevaluation: None,
        }
    }

    /// The canary first, then the rest; a change that is not verified stops the run.
    pub(super) async fn carry_out(
        &mut self,
        plan: &RemediationPlan,
        remediation: &Remediation,
        zone: chrono_tz::Tz,
    ) -> Result<(), Error> {
        if plan.groups.is_empty() {
            return Ok(());
        }
        let mut journal = self.tools.state.journal(&self.begun.run)?;
        let canary = usize::try_from(remediation.canary).unwrap_or(usize::MAX);
        let mut stopped: Option<String> = None;
        for (at, group) in plan.groups.iter().enumerate() {
            if let Some(why) = &stopped {
                self.held.push(guard::held(
                    group,
                    vec![HoldReason::CanaryFailed],
                    why.clone(),
                ));
                continue;
            }
            if let Some(why) = self.tools.stop.asked() {
                let detail = format!("the run was asked to stop ({why}) before this group");
                self.held
                    .push(guard::held(group, vec![HoldReason::Deadline], detail));
                continue;
            }
            let now = (self.tools.now)();
            if !remediation.is_open(now, zone) {
                let closed = "the window closed while the run went on".to_owned();
                self.held
                    .push(guard::held(group, vec![HoldReason::Window], closed));
                continue;
            }
            if let Some(lock) = &self.begun.changing {
                lock.check()?;
            }
            let changes = self.group(group, &mut journal).await?;
            if let Some(bad) = changes.iter().find(|change| change.is_broken()) {
                let which = if at < canary {
                    "the canary"
                } else {
                    "a change"
                };
                stopped = Some(format!(
                    "{which} before it, in {} {}, ended {}: nothing more was changed",
                    bad.region,
                    bad.group_id,
                    bad.outcome.as_str()
                ));
            }
            self.changes.extend(changes);
        }
        if let Some(rule) = &remediation.config_rule
            && self
                .changes
                .iter()
                .any(|change| change.outcome == Outcome::Verified)
        {
            self.ask_config(rule).await?;
        }
        Ok(())
    }

    /// One group through apply and verify; its outcome into the journal.
    async fn one(&mut self, plan: &GroupPlan, journal: &mut Journal) -> Result<Vec<Change>, Error> {
        (self.tools.progress)(Progress::Changing(plan.group_id.as_str()));
        let mut hands = Hands {
            client: &self.tools.client,
            journal,
            number: self.begun.number,
            now: self.tools.now,
            waits: self.tools.waits.clone(),
            run: self.begun.run.as_str().to_owned(),
        };
        let applied: Applied = hands.apply(plan).await?;
        self.begun.number = hands.number;
        self.begun.spool.answers(&applied.before)?;
        self.begun.after.answers(&applied.after)?;
        let mut changes = verify::verify(self.policy, &applied.attempt);
        for change in &mut changes {
            if change.kind == ChangeKind::Authorize {
                let (before, after) = (&applied.attempt.before, &applied.attempt.after);
                narrow::name_new_rule(
                    change,
                    before.as_ref(),
                    after.as_ref().map(|(read, _)| read),
                );
            }
        }
        for (number, change) in applied.numbers.iter().zip(&changes) {
            journal.write(&Entry::Outcome {
                number: *number,
                at: millis((self.tools.now)()),
                change: Box::new(change.clone()),
            })?;
        }
        let notes: Vec<RuleNote> = changes
            .iter()
            .filter(|c| c.took_away() && c.outcome == Outcome::Verified)
            .map(|change| {
                note(
                    change,
                    self.begun.run.as_str(),
                    Done::Revoked,
                    (self.tools.now)(),
                )
            })
            .collect();
        self.tools.state.note_rules(&notes)?;
        Ok(changes)
    }

    /// Asks Cloud Config to look again; what it answers is kept, its failure fails nothing.
    async fn ask_config(&mut self, rule: &str) -> Result<(), Error> {
        let request = Request {
            service: Service::Config,
            action: "StartConfigRuleEvaluation".to_owned(),
            account: self.begun.identity.account.clone(),
            region: String::new(),
            host: None,
            params: BTreeMap::from([("ConfigRuleId".to_owned(), rule.to_owned())]),
            effect: Effect::Change,
        };
        let (answers, error) = match self.tools.client.call(&request, |_| Ok(())).await {
            Ok(answer) => (answer.raws, None),
            Err(failure) => {
                tracing::warn!(%failure, "Cloud Config was not asked again");
                let error = CallError::from(&*failure);
                (failure.answers, Some(error))
            }
        };
        self.reevaluation = Some(Reevaluation {
            rule: rule.to_owned(),
            error,
        });
        for answer in &answers {
            self.begun.after.answers(std::slice::from_ref(answer))?;
        }
        Ok(())
    }
}

fn note(change: &Change, run: &str, what: Done, at: DateTime<Utc>) -> RuleNote {
    RuleNote {
        at,
        account: change.account.as_str().to_owned(),
        region: change.region.clone(),
        group_id: change.group_id.clone(),
        rule: said_by(&change.rule),
        run: run.to_owned(),
        what,
    }
}

fn millis(time: DateTime<Utc>) -> String {
    time.to_rfc3339_opts(SecondsFormat::Millis, true)
}

/// What a run did that reads only what it changes.
#[derive(Default)]
struct Deed {
    plan: RemediationPlan,
    changes: Vec<Change>,
    held: Vec<Held>,
    errors: BTreeMap<(AccountId, RegionId), CallError>,
    approval: Option<Approval>,
    reevaluation: Option<Reevaluation>,
    restored_until: Option<DateTime<Utc>>,
}

/// Its record.
fn small_record(
    job: &Job,
    tools: &Tools,
    begun: &Begun,
    regions: Vec<RegionCoverage>,
    totals: Totals,
    deed: Deed,
) -> RunRecord {
    let Deed {
        changes,
        held,
        approval,
        reevaluation,
        restored_until,
        ..
    } = deed;
    let schedule = &job.schedule;
    let failed: Vec<String> = regions
        .iter()
        .filter(|region| region.status == RegionStatus::Failed)
        .map(|region| {
            let why = region
                .error
                .as_ref()
                .map_or("", |error| error.message.as_str());
            format!("{} of account {}: {why}", region.region, region.account)
        })
        .collect();
    let groups: BTreeSet<&str> = changes
        .iter()
        .map(|change| change.group_id.as_str())
        .chain(held.iter().map(|held| held.group_id.as_str()))
        .collect();
    let header = RunHeader {
        run: begun.run.clone(),
        schedule: schedule.name.clone(),
        schedule_file: schedule.file.clone(),
        command: job.command.clone(),
        tool: tool(),
        mode: schedule.remediation.mode.as_str().to_owned(),
        identity: begun.identity.clone(),
        credentials: tools.client.keys().source(),
        accounts: begun.entered.clone(),
        scope: Scope {
            accounts: accounts::touched(&regions, begun),
            regions: regions
                .iter()
                .map(|region| region.region.as_str().to_owned())
                .collect(),
            exclude_regions: Vec::new(),
            groups: groups.into_iter().map(str::to_owned).collect(),
            exclude_groups: Vec::new(),
        },
        times: Times {
            started: utc(begun.started),
            read: utc((tools.now)()),
            ended: utc((tools.now)()),
            timezone: schedule.timezone.name().to_owned(),
            clock_offset_seconds: tools.client.clock_offset(),
        },
        checks: schedule
            .checks
            .iter()
            .map(crate::policy::Check::info)
            .collect(),
        controls: Vec::new(),
        trusted: schedule.trusted.clone(),
        complete: failed.is_empty(),
        incomplete_reasons: failed,
        groups: 0,
        rules: 0,
        totals,
        severities: None,
        language: schedule.language,
        approval,
        trigger: None,
        reevaluation,
        restored_until: restored_until.map(utc),
    };
    let coverage = Coverage {
        schema: Coverage::SCHEMA.to_owned(),
        regions,
        excluded_groups: Vec::new(),
        unnamed_regions: Vec::new(),
    };
    RunRecord {
        header,
        findings: Vec::new(),
        resolved: Vec::new(),
        coverage,
        changes,
        held,
        planned: Vec::new(),
        confirmed: Vec::new(),
        part: None,
        idle_rules: Vec::new(),
        waivers: Vec::new(),
        trend: None,
    }
}

/// Carries out a plan that a person approved.
///
/// # Errors
/// The plan is too old, edited, of another account or policy; or as [`super::run`].
pub async fn apply_plan(
    job: &Job,
    tools: &Tools,
    plan: &RemediationPlan,
    account: &str,
    approval: Approval,
) -> Result<RunOutcome, Error> {
    let mut begun = begin(tools, &job.schedule.name, true).await?;
    if begun.identity.account.as_str() != account {
        let who = begun.identity.account.clone();
        begun.draft.abandon();
        return Err(Error::Refused(format!(
            "the plan was made for account {account}, and these credentials are of {who}"
        )));
    }
    let policy = match policy_of(&job.schedule, begun.started) {
        Ok(policy) => policy,
        Err(why) => {
            begun.draft.abandon();
            return Err(why);
        }
    };
    let work = async {
        let settled = settle_orphans(tools, &mut begun, &policy).await?;
        let accounts = plan.groups.iter().map(|group| &group.account);
        note_identities(accounts, tools, &mut begun).await?;
        let mut changing = Changing::new(tools, &mut begun, &policy);
        // What was held by the mode alone is what this run carries out.
        let by_mode = |held: &&Held| held.reasons.iter().all(|r| *r == HoldReason::Mode);
        changing.held = plan
            .held
            .iter()
            .filter(|held| !by_mode(held))
            .cloned()
            .collect();
        changing.tidy(&settled, true, &job.schedule).await?;
        changing.changes.extend(settled);
        changing
            .carry_out(plan, &job.schedule.remediation, job.schedule.timezone)
            .await?;
        Ok::<_, Error>((changing.changes, changing.held, changing.reevaluation))
    };
    let worked = work.await;
    let run = begun.run.clone();
    let done = match worked {
        Ok((changes, held, reevaluation)) => {
            let deed = Deed {
                plan: plan.clone(),
                changes,
                held,
                reevaluation,
                approval: Some(approval),
                ..Deed::default()
            };
            sealed(job, tools, begun, deed).await
        }
        Err(why) => {
            give_up(tools, begun);
            Err(why)
        }
    };
    done.map_err(|why| unkept(tools, &run, why))
}

async fn sealed(
    job: &Job,
    tools: &Tools,
    mut begun: Begun,
    mut deed: Deed,
) -> Result<RunOutcome, Error> {
    let mut regions: BTreeMap<(AccountId, RegionId), RegionCoverage> = BTreeMap::new();
    let touched = deed
        .changes
        .iter()
        .map(|c| (&c.account, &c.region))
        .chain(deed.held.iter().map(|h| (&h.account, &h.region)));
    for (account, region) in touched {
        let coverage = regions
            .entry((account.clone(), region.clone()))
            .or_insert_with(|| RegionCoverage::new(account.clone(), region.clone()));
        coverage.requests = tools.client.requests(account, region.as_str());
    }
    for ((account, region), error) in std::mem::take(&mut deed.errors) {
        let coverage = regions
            .entry((account.clone(), region.clone()))
            .or_insert_with(|| RegionCoverage::new(account, region));
        coverage.status = RegionStatus::Failed;
        coverage.error = Some(error);
    }
    let spool = std::mem::replace(&mut begun.spool, Spool::new(&begun.draft));
    let totals = spool.finish(&mut begun.draft, &BTreeSet::new(), |_, _| {})?;
    let regions = regions.into_values().collect();
    let plan = std::mem::take(&mut deed.plan);
    let record = small_record(job, tools, &begun, regions, totals, deed);
    finish(job, tools, begun, record, plan).await
}

/// What to put back.
#[derive(Clone, Debug)]
pub struct Restore {
    /// Only this group.
    pub group: Option<GroupId>,
    /// Only this rule, by the id it had.
    pub rule: Option<String>,
    /// Put it back although the group has moved on.
    pub merge: bool,
    /// For how long it is held from being revoked again.
    pub hold: TimeDelta,
}

/// An error of a run that had begun to change something says so: nobody may read that it never started.
pub(super) fn unkept(tools: &Tools, run: &RunId, why: Error) -> Error {
    match tools.state.has_journal(run) {
        Ok(true) => Error::Unkept {
            run: run.clone(),
            why: Box::new(why),
        },
        Ok(false) | Err(_) => why,
    }
}

/// Throws the draft away where nothing was attempted; else it stays, unfinished, with its raw answers:
/// the journal has every change, and the next run puts them into evidence.
pub(super) fn give_up(tools: &Tools, begun: Begun) {
    put_aside(tools, &begun.run, begun.draft);
}

/// The same of the draft alone.
pub(super) fn put_aside(tools: &Tools, run: &RunId, draft: Draft) {
    // A state that cannot be asked may hold a journal: then the draft stays.
    if tools.state.has_journal(run).is_ok_and(|has| !has) {
        draft.abandon();
    }
}

/// Puts back what a run revoked, verifies it and keeps evidence of its own.
///
/// # Errors
/// As [`super::run`]; a group that has moved on is held, not an error.
pub async fn rollback(
    job: &Job,
    tools: &Tools,
    folder: &Path,
    restore: &Restore,
) -> Result<RunOutcome, Error> {
    let (record, _) = read_record(folder)?;
    let mut groups: BTreeMap<Where, Vec<&Change>> = BTreeMap::new();
    for change in record.changes.iter().filter(|change| change.took_away()) {
        let wanted = restore
            .group
            .as_ref()
            .is_none_or(|group| change.group_id == *group)
            && restore.rule.as_ref().is_none_or(|rule| {
                change
                    .rule
                    .get("SecurityGroupRuleId")
                    .is_some_and(|id| id == rule)
            });
        if wanted {
            groups.entry(place(change)).or_default().push(change);
        }
    }
    let added = stand_ins(&record.changes).into_iter().any(|change| {
        restore
            .group
            .as_ref()
            .is_none_or(|group| change.group_id == *group)
    });
    if groups.is_empty() && (!added || restore.rule.is_some()) {
        return Err(Error::Refused(format!(
            "run {} took nothing away{}",
            record.header.run,
            if restore.group.is_some() || restore.rule.is_some() {
                " that matches"
            } else {
                ""
            }
        )));
    }
    let mut begun = begin(tools, &job.schedule.name, true).await?;
    let mut accounts = groups.keys().map(|(account, _, _)| account);
    if let Some(other) = accounts.find(|account| !tools.client.reaches(account)) {
        let message = format!(
            "run {} changed account {other}, these credentials are of {}, and no role is set that could be \
             assumed there ([accounts] role)",
            record.header.run, begun.identity.account
        );
        begun.draft.abandon();
        return Err(Error::Refused(message));
    }
    let policy = match policy_of(&job.schedule, begun.started) {
        Ok(policy) => policy,
        Err(why) => {
            begun.draft.abandon();
            return Err(why);
        }
    };
    let work = async {
        let settled = settle_orphans(tools, &mut begun, &policy).await?;
        let accounts = groups.keys().map(|(account, _, _)| account);
        note_identities(accounts, tools, &mut begun).await?;
        put_back(
            tools,
            &mut begun,
            &policy,
            (&record, &groups),
            (restore, &job.schedule),
            settled,
        )
        .await
    };
    let worked = work.await;
    let run = begun.run.clone();
    let done = match worked {
        Ok(deed) => sealed(job, tools, begun, deed).await,
        Err(why) => {
            give_up(tools, begun);
            Err(why)
        }
    };
    done.map_err(|why| unkept(tools, &run, why))
}

async fn put_back(
    tools: &Tools,
    begun: &mut Begun,
    policy: &Policy,
    (record, groups): (&RunRecord, &BTreeMap<Where, Vec<&Change>>),
    (restore, schedule): (&Restore, &Schedule),
    settled: Vec<Change>,
) -> Result<Deed, Error> {
    let mut journal = tools.state.journal(&begun.run)?;
    let mut errors = BTreeMap::new();
    let mut restored_until = None;
    let mut changing = Changing::new(tools, begun, policy);
    changing.tidy(&settled, true, schedule).await?;
    changing.changes.extend(settled);
    for changes in groups.values() {
        let Some(first) = changes.first() else {
            continue;
        };
        let hold = |reason: HoldReason, detail: String| Held {
            account: first.account.clone(),
            region: first.region.clone(),
            group_id: first.group_id.clone(),
            rules: changes
                .iter()
                .filter_map(|c| c.rule.get("SecurityGroupRuleId").cloned())
                .collect(),
            reasons: vec![reason],
            detail,
        };
        let read = read_group(
            &tools.client,
            &first.account,
            &first.region,
            &first.group_id,
        )
        .await;
        let reading = match read {
            Ok(Some(mut reading)) => {
                changing
                    .begun
                    .spool
                    .answers(&std::mem::take(&mut reading.answers))?;
                reading
            }
            Ok(None) => {
                let gone = "the group is no longer there".to_owned();
                changing.held.push(hold(HoldReason::NoUndo, gone));
                continue;
            }
            Err(unread) => {
                changing.begun.spool.answers(&unread.answers)?;
                errors.insert((first.account.clone(), first.region.clone()), unread.error);
                continue;
            }
        };
        let unread = reading
            .rules
            .incomplete
            .as_ref()
            .or_else(|| reading.unread_list());
        if let Some(why) = unread {
            changing.held.push(hold(HoldReason::NoUndo, why.clone()));
            continue;
        }
        let now = (tools.now)();
        let until = now.checked_add_signed(restore.hold).unwrap_or(now);
        let run = changing.begun.run.as_str().to_owned();
        let all: Vec<&Change> = record
            .changes
            .iter()
            .filter(|c| place(c) == place(first))
            .collect();
        let planned = undoing::plan(&reading, changes, &all, restore.merge);
        if !matches!(planned, undoing::Plan::Moved(_)) {
            // Held from now on, whatever becomes of this process: before anything is asked for.
            let notes: Vec<RuleNote> = changes
                .iter()
                .map(|change| note(change, &run, Done::RestoredUntil(until), now))
                .collect();
            tools.state.note_rules(&notes)?;
            // Of several groups the first: until then all of it is held.
            restored_until.get_or_insert(until);
        }
        match planned {
            undoing::Plan::Nothing => {
                changing.changes.extend(changes.iter().map(|change| already_back(change, &reading)));
            }
            undoing::Plan::Moved(lines) => changing.held.push(hold(
                HoldReason::NoUndo,
                format!(
                    "the group has moved on since the run; --merge puts the rules back all the same. {}",
                    lines.join("; ")
                ),
            )),
            undoing::Plan::Do(plan) => {
                changing.check_lock()?;
            let made = changing.one(&plan, &mut journal).await?;
                changing.changes.extend(made);
            }
        }
    }
    let taken = changing
        .take_back_after(record, restore.group.as_ref(), &mut journal)
        .await?;
    changing.changes.extend(taken);
    Ok(Deed {
        changes: changing.changes,
        held: changing.held,
        errors,
        restored_until,
        ..Deed::default()
    })
}

/// A rule that is back already: nothing was asked for.
fn already_back(change: &Change, reading: &crate::model::GroupReading) -> Change {
    Change {
        kind: ChangeKind::Authorize,
        request_id: None,
        attempted_at: None,
        verified_at: None,
        traffic_closed: Vec::new(),
        traffic_opened: Vec::new(),
        as_planned: true,
        outcome: Outcome::AlreadyGone,
        error: Some("the rule is there already".to_owned()),
        before_sha256: digest(reading),
        after_sha256: None,
        verdict_after: BTreeMap::new(),
        group_after: Vec::new(),
        spelled_before: Vec::new(),
        intent_of: None,
        narrowing: None,
        ..change.clone()
    }
}
