//! One whole job, top to bottom; the only file that knows the order. `scan`, `run` and `demo` call
//! the same [`run`]; the parts that change and that deliver are in `job/`.

mod accounts;
mod attached;
mod attribution;
mod before;
mod change;
pub mod check;
mod delivery;
pub mod event;
mod read;
mod secret;
mod texts;

pub use crate::cloud::Stop;
pub use change::{Restore, apply_plan, rollback};
pub use delivery::{NoReport, heartbeat, not_started, resend, send_waiting};
pub use secret::{Unread, relay_password};
pub use texts::{schedule_text, waivers_text};

use crate::cloud::{CallFailure, Client};
use crate::config::schedule::{Accounts, Schedule, ScopeConfig};
use crate::config::waivers::Waiving;
use crate::deliver::{MailSettings, Receipt};
use crate::evidence::chain::Remembered;
use crate::evidence::format::{self, Changes, Findings, Manifest};
use crate::evidence::{self, Draft, SealedRun, Spool, Store};
use crate::exposure::Internet;
use crate::model::{
    Artifact, CallError, Change, Coverage, Held, HoldReason, Identity, RegionCoverage,
    RegionStatus, RunHeader, RunId, RunRecord, Scope, Times, Totals,
};
use crate::policy::controls::Tally;
use crate::policy::{Policy, Waivers, history, waivers};
use crate::remedy::apply::Waits;
use crate::remedy::{RemediationPlan, guard};
use crate::report::{self, Format};
use crate::state::lock::Lock;
use crate::state::{self, State};
use before::{Before, previous};
use change::Changing;
use chrono::{DateTime, SecondsFormat, Utc};
use read::Reading;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use texts::policy_texts;

/// What to do.
#[derive(Clone, Debug)]
pub struct Job {
    /// `scan`, `run`, ...
    pub command: String,
    /// What to read, how to judge, what may be done, whom to tell.
    pub schedule: Schedule,
    /// Where copies of the reports go, beside the sealed run.
    pub copies: Option<PathBuf>,
}

/// What to do it with.
#[derive(Clone)]
pub struct Tools {
    /// The cloud.
    pub client: Arc<Client>,
    /// Where the sealed run goes.
    pub store: Store,
    /// What outlives it.
    pub state: State,
    /// The relay, where one is configured.
    pub relay: Option<MailSettings>,
    /// The clock.
    pub now: fn() -> DateTime<Utc>,
    /// How long to read after a change.
    pub waits: Waits,
    /// Where this host's own metadata is, where it may be an ECS instance.
    pub metadata: Option<String>,
    /// Once it is asked, nothing more is read and no further group is changed; the run is sealed as far
    /// as it came.
    pub stop: Stop,
    /// Told of progress.
    pub progress: Arc<dyn Fn(Progress<'_>) + Send + Sync>,
}

/// What a person watching may want to know.
#[derive(Clone, Copy, Debug)]
pub enum Progress<'a> {
    /// Groups judged so far.
    Groups(u64),
    /// A region is done.
    Region(&'a RegionCoverage),
    /// A group is about to be changed.
    Changing(&'a str),
    /// Reports are being written, letters sent.
    Step(&'a str),
}

/// How it went.
#[derive(Clone, Debug)]
pub struct RunOutcome {
    /// The sealed run.
    pub sealed: SealedRun,
    /// What is in it.
    pub record: RunRecord,
    /// The plan as the guards left it.
    pub plan: RemediationPlan,
    /// What became of the letters.
    pub receipts: Vec<Receipt>,
    /// Copies of reports that were asked for.
    pub copies: Vec<PathBuf>,
    /// Why a copy could not be written.
    pub copy_error: Option<String>,
    /// The sealed run's own files that people read, as paths or URLs.
    pub artifacts: Vec<String>,
    /// Why the sealed run could not be sent to its store: it waits on this host.
    pub unsent: Option<String>,
}

impl RunOutcome {
    /// Whether a letter could not be delivered to someone.
    pub fn undelivered(&self) -> bool {
        self.copy_error.is_some()
            || self.unsent.is_some()
            || self.receipts.iter().any(|receipt| !receipt.accepted())
    }

    /// Whether it was asked to stop before all was read, or before all was changed that it would have.
    pub fn cut_short(&self) -> bool {
        let regions = &self.record.coverage.regions;
        let unread = regions
            .iter()
            .any(|region| region.error.as_ref().is_some_and(|e| e.code == Stop::CODE));
        let held = &self.record.held;
        unread
            || held
                .iter()
                .any(|held| held.reasons.contains(&HoldReason::Deadline))
    }

    /// Whether a change was attempted and is not verified, or the group is still exposed.
    pub fn broken_change(&self) -> bool {
        self.record.changes.iter().any(Change::is_broken)
    }
}

/// Why there is no sealed run.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The cloud would not let it begin.
    #[error("cannot start: {0}")]
    Start(#[source] Box<CallFailure>),
    /// The store said no.
    #[error("the evidence could not be kept")]
    Evidence(#[from] evidence::Error),
    /// The state said no, or another run holds it.
    #[error("the state could not be used")]
    State(#[from] state::Error),
    /// The schedule's lock was lost while it ran, or that could not be found out.
    #[error(
        "the run was not sealed, since another of its schedule may have been in its place: {0}; what it \
         changed stands in the journal of the state, and will in the evidence of the next run"
    )]
    Overtaken(state::Error),
    /// It had begun to change something when it failed.
    #[error(
        "run {run} had begun to change something, and its evidence could not be kept: the journal in the \
         state has every change, and the next run puts them into evidence"
    )]
    Unkept {
        /// Which.
        run: RunId,
        /// What went wrong.
        #[source]
        why: Box<Error>,
    },
    /// A report could not be made: a bug.
    #[error("a report could not be made")]
    Report(#[from] report::RenderError),
    /// A letter could not be composed.
    #[error("a letter could not be composed: {0}")]
    Letter(String),
    /// A plan or a run that may not be carried out as it is.
    #[error("{0}")]
    Refused(String),
    /// No randomness: no nonce and no run id can be made.
    #[error("the system gives no random numbers: {0}")]
    Random(getrandom::Error),
}

/// What a run has from its first moment.
struct Begun {
    run: RunId,
    started: DateTime<Utc>,
    identity: Identity,
    /// Who we are in other accounts.
    entered: Vec<Identity>,
    before: Before,
    draft: Draft,
    spool: Spool,
    after: Spool,
    /// Number of the last change intended in this run's journal.
    number: u64,
    /// Held while this run may change anything, or settles what another left.
    changing: Option<Lock>,
    /// Held from before the run before was looked for until this one is sealed: they are links of a chain.
    schedule: Lock,
}

/// Runs a job to its end.
///
/// # Errors
/// There is no sealed run then, and nothing that looks like a report.
pub async fn run(job: &Job, tools: &Tools) -> Result<RunOutcome, Error> {
    let (outcome, _) = run_for(job, None, tools).await?;
    Ok(outcome)
}

/// Runs a job that an event asked for: the same road, with the event in evidence and, where verdicts
/// are wanted back, handed back. Second: why they could not be.
///
/// # Errors
/// As [`run`].
pub async fn run_for(
    job: &Job,
    asked: Option<&event::Asked>,
    tools: &Tools,
) -> Result<(RunOutcome, Option<CallError>), Error> {
    let mut begun = begin(
        tools,
        &job.schedule.name,
        job.schedule.remediation.mode.changes(),
    )
    .await?;
    let run = begun.run.clone();
    let done = match whole(job, asked, tools, &mut begun).await {
        Ok((record, plan, unsaid)) => finish(job, tools, begun, record, plan)
            .await
            .map(|outcome| (outcome, unsaid)),
        Err(why) => {
            change::give_up(tools, begun);
            Err(why)
        }
    };
    done.map_err(|why| change::unkept(tools, &run, why))
}

async fn whole(
    job: &Job,
    asked: Option<&event::Asked>,
    tools: &Tools,
    begun: &mut Begun,
) -> Result<(RunRecord, RemediationPlan, Option<CallError>), Error> {
    let mut schedule = job.schedule.clone();
    if schedule.remediation.mode.changes()
        && let Some(base) = &tools.metadata
    {
        // The way in of the host this runs on is kept like that of a protected source.
        let own = crate::cloud::metadata::own_addresses(base).await;
        schedule.remediation.protect.sources.extend(own);
    }
    let schedule = &schedule;
    let policy = policy_of(schedule, begun.started)?;
    let settled = change::settle_orphans(tools, begun, &policy).await?;
    let mut tidying = Changing::new(tools, begun, &policy);
    let changes = schedule.remediation.mode.changes();
    tidying.tidy(&settled, changes, schedule).await?;
    let (tidied, left) = (tidying.changes, tidying.held);
    let mut trigger = asked.map(|asked| asked.trigger.clone());
    if let Some(trigger) = &mut trigger {
        event::look_up(tools, begun, trigger).await?;
    }
    let mut reading = Reading::new(tools, schedule, &policy, begun)?;
    if asked.is_some() {
        reading.keep_verdicts();
    }
    reading.everything(tools, schedule).await?;
    let read_at = (tools.now)();
    let (reading, entered) = reading.done();
    begun.entered = entered;
    let plan = guard::guard(
        reading.plan,
        &schedule.remediation,
        reading.groups,
        (tools.now)(),
        schedule.timezone,
    );
    let mut changing = Changing::new(tools, begun, &policy);
    changing.changes = settled;
    changing.changes.extend(tidied);
    changing.held = left;
    changing.held.extend(plan.held.clone());
    if schedule.remediation.mode.changes() {
        changing
            .carry_out(&plan, &schedule.remediation, schedule.timezone)
            .await?;
    }
    let (changes, held) = (changing.changes, changing.held);
    let reevaluation = changing.reevaluation;
    let mut findings = reading.findings;
    let confirmed = if schedule.attribution {
        (tools.progress)(Progress::Step("asking ActionTrail who opened what"));
        attribution::attribute(tools, begun, &reading.exposed, &mut findings).await?
    } else {
        Vec::new()
    };
    let planned = if schedule.remediation.mode.changes() {
        Vec::new()
    } else {
        plan.proposals()
    };
    (tools.progress)(Progress::Step("writing evidence"));
    let spool = std::mem::replace(&mut begun.spool, Spool::new(&begun.draft));
    let mut tally = tally(schedule, &policy);
    let mut totals = spool.finish(&mut begun.draft, &reading.doubted, |row, verdict| {
        tally.row(row, verdict);
    })?;
    // The population has groups; what interfaces are found with counts beside them.
    for finding in findings.iter().filter(|f| f.interface.is_some()) {
        totals.count(finding.verdict);
    }
    tally.interfaces(&findings);
    begun
        .before
        .history
        .date(&mut findings, &utc(begun.started));
    let checks: Vec<&str> = policy
        .checks
        .iter()
        .map(|check| check.id.as_str())
        .collect();
    let resolved = reading.history.resolved(
        &findings,
        &reading.coverage,
        &checks,
        schedule.scope.is_every_group(),
    );
    let waivers = policy.waivers.uses(&waivers::Seen {
        findings: &findings,
        judged: &reading.waivers_judged,
        checks: &checks,
        coverage: &reading.coverage,
        every_group: schedule.scope.is_every_group(),
    });
    let mut unsaid = None;
    if let (Some(asked), Some(trigger)) = (asked, &mut trigger) {
        let of = event::Outcomes {
            account: begun.identity.account.clone(),
            findings: &findings,
            changes: &changes,
            held: &held,
            coverage: &reading.coverage,
            verdicts: &reading.verdicts,
        };
        event::tell(trigger, &of);
        if let Some(evaluation) = &asked.evaluation {
            unsaid = event::evaluate(tools, begun, evaluation, trigger, &of).await?;
        }
    }
    let nothing = schedule.scope.is_nothing();
    let reasons = incomplete_reasons(&reading.coverage, &totals, nothing);
    // No clause holds for there having been nothing to judge.
    let (by_check, controls) = tally.finish(reasons.is_empty() && !nothing, &reading.coverage);
    let infos = policy.checks.iter().map(crate::policy::Check::info);
    let checks = infos
        .zip(by_check)
        .map(|(info, groups)| crate::model::CheckInfo { groups, ..info })
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
        scope: scope_of(&schedule.scope),
        times: Times {
            started: utc(begun.started),
            read: utc(read_at),
            ended: utc((tools.now)()),
            timezone: schedule.timezone.name().to_owned(),
            clock_offset_seconds: tools.client.clock_offset(),
        },
        checks,
        controls,
        trusted: policy.trusted.clone(),
        complete: reasons.is_empty(),
        incomplete_reasons: reasons,
        groups: reading.groups,
        rules: reading
            .coverage
            .regions
            .iter()
            .map(|region| region.rules_read)
            .sum(),
        totals,
        severities: Some(history::by_severity(&findings, &resolved, begun.started)),
        language: schedule.language,
        approval: None,
        trigger,
        reevaluation,
        restored_until: None,
    };
    let coverage = reading.coverage;
    let link = begun.before.link.as_ref();
    let trend = evidence::trend::back(&tools.store, &header, &policy_texts(schedule), link)?;
    Ok((
        RunRecord {
            header,
            findings,
            resolved,
            coverage,
            changes,
            held,
            planned,
            confirmed,
            part: None,
            idle_rules: reading.idle_rules,
            waivers,
            trend: Some(trend),
        },
        plan,
        unsaid,
    ))
}

/// Who we are, the locks, the run before, an empty folder.
async fn begin(tools: &Tools, name: &str, changes: bool) -> Result<Begun, Error> {
    let who = tools.client.caller_identity().await.map_err(Error::Start)?;
    let identity = who.value;
    let now = (tools.now)();
    let schedule_lock = tools.state.lock(name, now)?;
    // A run that only reads keeps others from changing only while it settles what a dead one left.
    let changing = if changes {
        Some(tools.state.lock(change::LOCK, now)?)
    } else if tools.state.orphans()?.is_empty() {
        None
    } else {
        match tools.state.lock(change::LOCK, now) {
            Ok(lock) => Some(lock),
            // Somebody is changing, and will settle it.
            Err(state::Error::Locked { .. }) => None,
            Err(why) => return Err(why.into()),
        }
    };
    tools.store.finish_renames(|run, sha256| {
        // Of this schedule only: its lock is ours, so that none of these is still being written.
        (RunId::new(run).name() == Some(name)).then(|| {
            tools
                .state
                .recall_sealed(run)
                .is_ok_and(|known| known == Remembered::Manifest(sha256.clone()))
        })
    })?;
    for run in delivery::send_waiting(&tools.store, &tools.state, None)? {
        tracing::info!(%run, "sent to the store, which was away when it was sealed");
    }
    let before = previous(tools, name)?;
    if let Some(last) = &before.link {
        delivery::name_what_waits(&tools.state, &last.run);
    }
    let mut salt = [0u8; 3];
    getrandom::fill(&mut salt).map_err(Error::Random)?;
    // Ids sort by time to the second: the chain's order must be theirs, whatever the clock did.
    let mut started = (tools.now)();
    let mut run = RunId::make(started, name, salt);
    if let Some(last) = &before.link {
        let stamp = |id: &RunId| id.as_str().get(..16).unwrap_or_default().to_owned();
        if stamp(&run) == stamp(&last.run) {
            tokio::time::sleep(std::time::Duration::from_millis(1010)).await;
            started = (tools.now)();
            run = RunId::make(started, name, salt);
        }
        if stamp(&run) <= stamp(&last.run) {
            return Err(Error::Refused(format!(
                "the last run, {}, began after this machine's time {}, and the chain of evidence would be out \
                 of order: set the clock, or, where it is right and was ahead then, run the schedule under \
                 another name, which begins a chain of its own",
                last.run,
                utc(started)
            )));
        }
    }
    let draft = Draft::begin(&tools.store, &run)?;
    let mut spool = Spool::new(&draft);
    let after = Spool::into_dir(&draft, format::RAW_AFTER);
    for answer in &who.raws {
        spool.answers(std::slice::from_ref(answer))?;
    }
    Ok(Begun {
        run,
        started,
        identity,
        entered: Vec::new(),
        before,
        draft,
        spool,
        after,
        number: 0,
        changing,
        schedule: schedule_lock,
    })
}

/// An error with what caused it, on one line.
fn said(why: &(dyn std::error::Error + 'static)) -> String {
    let mut text = why.to_string();
    let mut cause = why.source();
    while let Some(why) = cause {
        text.push_str(": ");
        text.push_str(&why.to_string());
        cause = why.source();
    }
    text
}

/// The plain files of a sealed run, where they are or will be.
fn files_of(sealed: &SealedRun) -> Vec<String> {
    let mut names: Vec<String> = std::fs::read_dir(&sealed.folder)
        .into_iter()
        .flatten()
        .flatten()
        .filter(|entry| entry.path().is_file())
        .map(|entry| {
            format!(
                "{}/{}",
                sealed.location,
                entry.file_name().to_string_lossy()
            )
        })
        .collect();
    names.sort();
    names
}

/// Renders, seals, copies and sends.
async fn finish(
    job: &Job,
    tools: &Tools,
    begun: Begun,
    record: RunRecord,
    plan: RemediationPlan,
) -> Result<RunOutcome, Error> {
    let Begun {
        mut draft,
        after,
        before,
        changing,
        schedule,
        ..
    } = begun;
    let header = &record.header;
    after.finish_raw(&mut draft)?;
    write_record(&mut draft, &record)?;
    (tools.progress)(Progress::Step("writing reports"));
    let formats: Vec<Format> = job
        .schedule
        .formats
        .iter()
        .filter_map(|name| Format::parse(name))
        .collect();
    let artifacts = report::render(&record, &formats)?;
    for artifact in &artifacts {
        draft.write(&artifact.name, &artifact.bytes)?;
    }
    if let Some(script) = report::undo::script(&record) {
        draft.write(format::UNDO, &script)?;
    }
    let manifest = Manifest {
        schema: format::MANIFEST_SCHEMA.to_owned(),
        header: header.clone(),
        policy: policy_texts(&job.schedule),
        previous: before.link,
        files: std::collections::BTreeMap::new(),
    };
    if let Err(why) = schedule.check() {
        change::put_aside(tools, &header.run, draft);
        return Err(Error::Overtaken(why));
    }
    let sealed = draft.seal(manifest, |hash| {
        tools
            .state
            .remember_sealed(&header.run, hash, &tools.store.identity())
            .map_err(Error::from)
    })?;
    let artifacts_there = files_of(&sealed);
    let unsent = tools.store.publish(&sealed).err().map(|why| said(&why));
    match &unsent {
        // What the store does not have yet stays in the journal too: this host may not come back.
        Some(why) => tracing::error!(run = %sealed.run, folder = %sealed.folder.display(), %why,
            "the sealed run could not be sent to its store"),
        // It is sealed and where it belongs: a journal that stays open is closed by the next run, which
        // finds the run in the store. The letters must go out.
        None => {
            if let Err(why) = change::close_journals(&tools.state, &record) {
                tracing::error!(run = %sealed.run, why = %said(&why), "its journal stays open");
            }
        }
    }
    drop(changing);
    (tools.progress)(Progress::Step("sending mail"));
    // The run is sealed: what goes wrong from here on is a delivery that failed, and hides nothing.
    let outgoing = delivery::keep(&job.schedule, tools, &record, &sealed, &artifacts);
    let receipts = outgoing.send(tools, &record.header.run).await;
    delivery::log_lost(&record.header.run, &receipts);
    let (copies, copy_error) = copy(job.copies.as_deref(), &artifacts);
    Ok(RunOutcome {
        sealed,
        record,
        plan,
        receipts,
        copies,
        copy_error,
        artifacts: artifacts_there,
        unsent,
    })
}

fn write_record(draft: &mut Draft, record: &RunRecord) -> Result<(), Error> {
    let header = &record.header;
    draft.write(
        format::COVERAGE,
        &format::pretty(format::COVERAGE, &record.coverage)?,
    )?;
    let findings = Findings {
        schema: format::FINDINGS_SCHEMA.to_owned(),
        run: header.run.clone(),
        complete: header.complete,
        findings: record.findings.clone(),
        resolved: record.resolved.clone(),
        idle_rules: record.idle_rules.clone(),
        waivers: record.waivers.clone(),
        trend: record.trend.clone(),
    };
    draft.write(
        format::FINDINGS,
        &format::pretty(format::FINDINGS, &findings)?,
    )?;
    let changes = Changes {
        schema: format::CHANGES_SCHEMA.to_owned(),
        run: header.run.clone(),
        changes: record.changes.clone(),
        held: record.held.clone(),
        planned: record.planned.clone(),
        confirmed: record.confirmed.clone(),
    };
    draft.write(format::CHANGES, &format::pretty(format::CHANGES, &changes)?)?;
    Ok(())
}

fn copy(folder: Option<&Path>, artifacts: &[Artifact]) -> (Vec<PathBuf>, Option<String>) {
    let Some(folder) = folder else {
        return (Vec::new(), None);
    };
    let mut out = Vec::new();
    let failed = |path: &Path, why: std::io::Error| {
        Some(format!(
            "the copy {} could not be written: {why}",
            path.display()
        ))
    };
    if let Err(why) = std::fs::create_dir_all(folder) {
        return (out, failed(folder, why));
    }
    for artifact in artifacts {
        let path = folder.join(&artifact.name);
        if let Err(why) = std::fs::write(&path, &artifact.bytes) {
            return (out, failed(&path, why));
        }
        out.push(path);
    }
    (out, None)
}

/// What a run that began then judges by: its waivers are those of that moment's day in the
/// schedule's zone.
fn policy_of(schedule: &Schedule, began: DateTime<Utc>) -> Result<Policy, Error> {
    // Each network was checked when the schedule was read.
    let internet = Internet::less_trusted(&schedule.trusted).unwrap_or_else(|_| Internet::whole());
    let today = began.with_timezone(&schedule.timezone).date_naive();
    let waivers = match &schedule.waivers {
        Waiving::None => Waivers::default(),
        Waiving::Read(file) => Waivers::on(file.waivers.clone(), today),
        Waiving::Named(name) => {
            return Err(Error::Refused(format!(
                "the schedule names {name} as its waivers, and it was not read: nothing is judged or \
                 changed without it; this is a bug of sgwarden"
            )));
        }
    };
    Ok(Policy {
        checks: schedule.checks.clone(),
        internet,
        trusted: schedule.trusted.clone(),
        waivers,
    })
}

/// Counts by check and by clause.
fn tally(schedule: &Schedule, policy: &Policy) -> Tally {
    let not_assessed: Vec<_> = schedule
        .packs
        .iter()
        .flat_map(|pack| pack.not_assessed.clone())
        .collect();
    Tally::new(
        &policy.checks,
        &not_assessed,
        &policy.internet,
        schedule.reads_everything(),
    )
}

fn scope_of(scope: &ScopeConfig) -> Scope {
    let all = |ids: &Option<Vec<String>>| ids.clone().unwrap_or_else(|| vec!["all".to_owned()]);
    let mut groups: Vec<String> = scope.groups.clone().unwrap_or_default();
    groups.extend(scope.names.iter().map(|name| format!("named {name}")));
    groups.extend(
        scope
            .tags
            .iter()
            .map(|tag| format!("tagged {}={}", tag.key, tag.value)),
    );
    if groups.is_empty() {
        groups.push("all".to_owned());
    }
    Scope {
        accounts: match &scope.accounts {
            Accounts::Own => vec!["self".to_owned()],
            Accounts::Directory => vec!["resource-directory".to_owned()],
            Accounts::Listed(accounts) => accounts.iter().map(ToString::to_string).collect(),
        },
        regions: all(&scope.regions),
        exclude_regions: scope.exclude_regions.clone(),
        groups,
        exclude_groups: scope.exclude_groups.clone(),
    }
}

/// Why the run is INCOMPLETE; none: it is complete. `nothing`: nothing was to be read.
fn incomplete_reasons(coverage: &Coverage, totals: &Totals, nothing: bool) -> Vec<String> {
    let mut out = Vec::new();
    let mut regions = coverage.regions.iter();
    if !nothing && regions.all(|region| region.status == RegionStatus::Skipped) {
        out.push("no region was read".to_owned());
    }
    for region in &coverage.regions {
        if region.status != RegionStatus::Failed {
            continue;
        }
        let what = region.error.as_ref().map_or_else(
            || "not read in full".to_owned(),
            |error| {
                let id = if error.request_id.is_empty() {
                    String::new()
                } else {
                    format!(" (request id {})", error.request_id)
                };
                format!("{}: {}{id}: {}", error.action, error.code, error.message)
            },
        );
        out.push(format!(
            "{} of account {}: {what}",
            region.region, region.account
        ));
    }
    match totals.undetermined {
        0 => {}
        1 => out.push("1 verdict is undetermined".to_owned()),
        several => out.push(format!("{several} verdicts are undetermined")),
    }
    out
}

/// Counts of what is held, for `--json`.
pub fn held_rules(held: &[Held]) -> usize {
    held.iter().map(|held| held.rules.len()).sum()
}

fn tool() -> String {
    format!("sgwarden {}", env!("CARGO_PKG_VERSION"))
}

fn utc(time: DateTime<Utc>) -> String {
    time.to_rfc3339_opts(SecondsFormat::Secs, true)
}
