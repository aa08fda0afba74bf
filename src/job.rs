//! One whole job, top to bottom; the only file that knows the order. `scan`, `run` and `demo` call
//! the same [`run`].

use crate::cloud::collect::{Collected, Request, collect};
use crate::cloud::{CallFailure, Client};
use crate::config::schedule::{MailConfig, Schedule, ScopeConfig};
use crate::deliver::{self, Letter, MailSettings, Receipt};
use crate::evidence::format::{self, Findings, Manifest, PolicyText, Previous};
use crate::evidence::{self, Draft, SealedRun, Spool, Store};
use crate::exposure::Internet;
use crate::model::{
    AccountId, Artifact, CallError, Coverage, DeliverySettings, Finding, GroupId, GroupReading,
    Identity, PopulationRow, RawAnswer, RegionCoverage, RegionId, RegionStatus, RunHeader, RunId,
    RunRecord, Rules, Scope, SecurityGroup, Times, Totals, Verdict,
};
use crate::policy::{History, Policy, assess};
use crate::report::{self, Format};
use crate::state::{self, State};
use chrono::{DateTime, SecondsFormat, Utc};
use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// What to do.
#[derive(Clone, Debug)]
pub struct Job {
    /// `scan`, `run`, ...
    pub command: String,
    /// What to read, how to judge, whom to tell.
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
    /// Told of progress: groups read so far, and the region just finished.
    pub progress: Arc<dyn Fn(Progress<'_>) + Send + Sync>,
}

/// What a person watching may want to know.
#[derive(Clone, Copy, Debug)]
pub enum Progress<'a> {
    /// Groups judged so far.
    Groups(u64),
    /// A region is done.
    Region(&'a RegionCoverage),
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
    /// What became of the letters.
    pub receipts: Vec<Receipt>,
    /// Copies of reports that were asked for.
    pub copies: Vec<PathBuf>,
}

impl RunOutcome {
    /// Whether a letter could not be delivered to someone.
    pub fn undelivered(&self) -> bool {
        self.receipts.iter().any(|receipt| !receipt.accepted())
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
    /// A report could not be made: a bug.
    #[error("a report could not be made")]
    Report(#[from] report::RenderError),
    /// The copies asked for could not be written; the run itself is sealed.
    #[error("the run {run} is sealed, but the copy {path} could not be written", path = path.display())]
    Copy {
        /// The run.
        run: RunId,
        /// Which copy.
        path: PathBuf,
        /// Why.
        source: std::io::Error,
    },
    /// No randomness: no nonce and no run id can be made.
    #[error("the system gives no random numbers: {0}")]
    Random(getrandom::Error),
}

/// Runs a job to its end.
///
/// # Errors
/// There is no sealed run then, and nothing that looks like a report.
pub async fn run(job: &Job, tools: &Tools) -> Result<RunOutcome, Error> {
    let started = (tools.now)();
    let (identity, who) = tools.client.caller_identity().await.map_err(Box::new).map_err(Error::Start)?;
    let _lock = tools.state.lock(&job.schedule.name, &utc(started))?;
    let run = RunId::make(started, &job.schedule.name, salt()?);
    let previous = previous(tools, &job.schedule.name)?;
    let mut draft = Draft::begin(&tools.store, &run)?;
    match record(job, tools, &run, &identity, who, started, &previous, &mut draft).await {
        Ok(record) => finish(job, tools, record, previous.link, draft).await,
        Err(why) => {
            draft.abandon();
            Err(why)
        }
    }
}

/// The run before, of the same schedule.
struct Before {
    link: Option<Previous>,
    history: History,
}

fn previous(tools: &Tools, schedule: &str) -> Result<Before, Error> {
    let Some((sealed, _)) = tools.store.last_of(schedule)? else {
        return Ok(Before { link: None, history: History::default() });
    };
    let (record, _) = evidence::store::read_record(&sealed.folder)?;
    Ok(Before {
        link: Some(Previous { run: sealed.run, manifest_sha256: sealed.manifest_sha256 }),
        history: History::new(record.findings, record.resolved),
    })
}

/// Reads and judges everything in scope; raw answers and rows go to the draft as they pass.
#[expect(clippy::too_many_arguments, reason = "the pipeline's one meeting point")]
async fn record(
    job: &Job,
    tools: &Tools,
    run: &RunId,
    identity: &Identity,
    mut who: RawAnswer,
    started: DateTime<Utc>,
    before: &Before,
    draft: &mut Draft,
) -> Result<RunRecord, Error> {
    let policy = policy_of(&job.schedule);
    let mut reading = Reading {
        policy: &policy,
        spool: Spool::new(draft),
        history: before.history.clone(),
        findings: Vec::new(),
        regions: Vec::new(),
        excluded: Vec::new(),
        doubted: BTreeSet::new(),
        groups: 0,
    };
    who.account = identity.account.clone();
    reading.spool.answers(&[who])?;
    let mut stream =
        collect(Arc::clone(&tools.client), request(&job.schedule.scope, &identity.account));
    while let Some(event) = stream.recv().await {
        reading.take(event, &tools.progress)?;
    }
    let read = (tools.now)();
    let Reading { spool, history, mut findings, mut regions, mut excluded, doubted, groups, .. } =
        reading;
    (tools.progress)(Progress::Step("writing evidence"));
    let totals = spool.finish(draft, &doubted)?;
    regions.sort_by(|a, b| (&a.account, &a.region).cmp(&(&b.account, &b.region)));
    excluded.sort();
    let coverage = Coverage {
        schema: Coverage::SCHEMA.to_owned(),
        regions,
        excluded_groups: excluded,
    };
    findings.sort_by(|a, b| {
        (&a.account, &a.region, &a.group_id, &a.check)
            .cmp(&(&b.account, &b.region, &b.group_id, &b.check))
    });
    history.date(&mut findings, &utc(started));
    let checks: Vec<&str> = policy.checks.iter().map(|check| check.id.as_str()).collect();
    let resolved = history.resolved(&findings, &coverage, &checks);
    let reasons = incomplete_reasons(&coverage, &totals);
    let header = RunHeader {
        run: run.clone(),
        schedule: job.schedule.name.clone(),
        command: job.command.clone(),
        tool: format!("sgwarden {}", env!("CARGO_PKG_VERSION")),
        mode: job.schedule.remediation.mode.as_str().to_owned(),
        identity: identity.clone(),
        scope: scope_of(&job.schedule.scope),
        times: Times {
            started: utc(started),
            read: utc(read),
            ended: utc((tools.now)()),
            timezone: job.schedule.timezone.name().to_owned(),
            clock_offset_seconds: tools.client.clock_offset(),
        },
        checks: policy.checks.iter().map(crate::policy::Check::info).collect(),
        trusted: policy.trusted.clone(),
        complete: reasons.is_empty(),
        incomplete_reasons: reasons,
        groups,
        rules: coverage.regions.iter().map(|region| region.rules_read).sum(),
        totals,
        language: job.schedule.language,
    };
    Ok(RunRecord { header, findings, resolved, coverage })
}

/// Renders, seals, copies and sends.
async fn finish(
    job: &Job,
    tools: &Tools,
    record: RunRecord,
    previous: Option<Previous>,
    mut draft: Draft,
) -> Result<RunOutcome, Error> {
    let header = &record.header;
    draft.write(format::COVERAGE, &format::pretty(format::COVERAGE, &record.coverage)?)?;
    let findings = Findings {
        schema: format::FINDINGS_SCHEMA.to_owned(),
        run: header.run.clone(),
        complete: header.complete,
        findings: record.findings.clone(),
        resolved: record.resolved.clone(),
    };
    draft.write(format::FINDINGS, &format::pretty(format::FINDINGS, &findings)?)?;
    draft.write(format::CHANGES, &format::no_changes(&header.run)?)?;
    (tools.progress)(Progress::Step("writing reports"));
    let formats: Vec<Format> =
        job.schedule.formats.iter().filter_map(|name| Format::parse(name)).collect();
    let artifacts = report::render(&record, &formats)?;
    for artifact in &artifacts {
        draft.write(&artifact.name, &artifact.bytes)?;
    }
    let manifest = Manifest {
        schema: format::MANIFEST_SCHEMA.to_owned(),
        header: header.clone(),
        policy: policy_texts(&job.schedule),
        previous,
        files: std::collections::BTreeMap::new(),
    };
    let sealed = draft.seal(manifest, |hash| {
        tools.state.remember_sealed(&header.run, hash).map_err(Error::from)
    })?;
    let copies = copy(job.copies.as_deref(), &sealed, &artifacts)?;
    (tools.progress)(Progress::Step("sending mail"));
    let receipts = mail(&job.schedule.mails, tools, &record, &sealed, &artifacts).await?;
    Ok(RunOutcome { sealed, record, receipts, copies })
}

fn copy(
    folder: Option<&Path>,
    sealed: &SealedRun,
    artifacts: &[Artifact],
) -> Result<Vec<PathBuf>, Error> {
    let Some(folder) = folder else { return Ok(Vec::new()) };
    let failed = |path: &Path| {
        let path = path.to_owned();
        let run = sealed.run.clone();
        move |source| Error::Copy { run, path, source }
    };
    std::fs::create_dir_all(folder).map_err(failed(folder))?;
    let mut out = Vec::new();
    for artifact in artifacts {
        let path = folder.join(&artifact.name);
        std::fs::write(&path, &artifact.bytes).map_err(failed(&path))?;
        out.push(path);
    }
    Ok(out)
}

/// Composes and sends each letter that is wanted; what is not accepted goes to the outbox.
async fn mail(
    mails: &[MailConfig],
    tools: &Tools,
    record: &RunRecord,
    sealed: &SealedRun,
    artifacts: &[Artifact],
) -> Result<Vec<Receipt>, Error> {
    let Some(relay) = &tools.relay else { return Ok(Vec::new()) };
    let settings = DeliverySettings {
        location: sealed.folder.display().to_string(),
        manifest_sha256: sealed.manifest_sha256.clone(),
    };
    let mut receipts = Vec::new();
    for (at, mail) in mails.iter().enumerate() {
        if !report::letter::wanted(mail.when.as_str(), record) {
            continue;
        }
        let letter: Letter = report::letter::letter(record, &settings)?;
        let attached: Vec<&Artifact> = artifacts
            .iter()
            .filter(|artifact| mail.attach.iter().any(|name| artifact.name.ends_with(name.as_str())))
            .collect();
        let _ = (at, relay, letter, attached, &mut receipts);
        let _ = deliver::mail::send;
    }
    Ok(receipts)
}

/// The state of a reading that goes on.
struct Reading<'p> {
    policy: &'p Policy,
    spool: Spool,
    history: History,
    findings: Vec<Finding>,
    regions: Vec<RegionCoverage>,
    excluded: Vec<String>,
    /// Groups whose verdict was withdrawn after it was given.
    doubted: BTreeSet<(String, String, String)>,
    groups: u64,
}

impl Reading<'_> {
    fn take(
        &mut self,
        event: Collected,
        progress: &Arc<dyn Fn(Progress<'_>) + Send + Sync>,
    ) -> Result<(), Error> {
        match event {
            Collected::Answers(answers) => {
                // Each answer finds its own file: a batch may hold several regions'.
                for answer in &answers {
                    self.spool.answers(std::slice::from_ref(answer))?;
                }
            }
            Collected::Group(group) => {
                self.judge(&group)?;
                self.groups = self.groups.saturating_add(1);
                progress(Progress::Groups(self.groups));
            }
            Collected::Excluded { region, group, .. } => {
                self.excluded.push(format!("{region}/{group}"));
            }
            Collected::Conflict { account, region, group } => {
                self.withdraw(&account, &region, group);
            }
            Collected::Region(region) => {
                self.spool.region_done(region.account.as_str(), region.region.as_str())?;
                progress(Progress::Region(&region));
                self.regions.push(region);
            }
        }
        Ok(())
    }

    fn judge(&mut self, group: &GroupReading) -> Result<(), Error> {
        let raw_file = self.spool.answers(&group.answers)?.unwrap_or_default();
        let judged = assess(self.policy, group);
        for (check, verdict) in self.policy.checks.iter().zip(&judged.verdicts) {
            if *verdict == Verdict::Compliant {
                self.history.saw_compliant(
                    group.account.as_str(),
                    group.region.as_str(),
                    &group.group.id,
                    &check.id,
                );
            }
            self.spool.row(&PopulationRow {
                account: group.account.as_str().to_owned(),
                region: group.region.as_str().to_owned(),
                group_id: group.group.id.clone(),
                group_name: group.group.name.clone(),
                check: check.id.clone(),
                verdict: verdict.as_str().to_owned(),
                rule_count: group.group.rule_count.map(|n| n.to_string()).unwrap_or_default(),
                rules_read: u64::try_from(group.rules.read.len()).unwrap_or(u64::MAX),
                raw_file: raw_file.clone(),
                raw_sha256: String::new(),
            })?;
        }
        self.findings.extend(judged.findings);
        Ok(())
    }

    /// A group that was judged comes again in the listing with differing content: which of the two
    /// it was is not known, and no verdict stands.
    fn withdraw(&mut self, account: &AccountId, region: &RegionId, group: SecurityGroup) {
        self.doubted.insert((
            account.as_str().to_owned(),
            region.as_str().to_owned(),
            group.id.clone(),
        ));
        let id = GroupId::new(group.id.clone());
        self.findings.retain(|finding| {
            !(finding.account == *account && finding.region == *region && finding.group_id == id)
        });
        let nothing = GroupReading {
            account: account.clone(),
            region: region.clone(),
            group,
            rules: Rules {
                read: Vec::new(),
                incomplete: Some("listed twice with differing content".to_owned()),
            },
            lists: crate::model::Lists::default(),
            warnings: Vec::new(),
            answers: Vec::new(),
        };
        self.findings.extend(assess(self.policy, &nothing).findings);
    }
}

fn policy_of(schedule: &Schedule) -> Policy {
    // Each network was checked when the schedule was read.
    let internet = Internet::less_trusted(&schedule.trusted).unwrap_or_else(|_| Internet::whole());
    Policy { checks: schedule.checks.clone(), internet, trusted: schedule.trusted.clone() }
}

fn policy_texts(schedule: &Schedule) -> Vec<PolicyText> {
    let mut out = vec![PolicyText::new(format!("{}.toml", schedule.name), schedule.text.clone())];
    for pack in &schedule.packs {
        if let Some(text) = crate::policy::packs::text(pack) {
            out.push(PolicyText::new(format!("pack {pack}"), text));
        }
    }
    out
}

fn request(scope: &ScopeConfig, account: &AccountId) -> Request {
    let regions = |ids: &[String]| ids.iter().map(|id| RegionId::new(id.clone())).collect();
    let groups = |ids: &[String]| ids.iter().map(|id| GroupId::new(id.clone())).collect();
    Request {
        account: account.clone(),
        regions: scope.regions.as_deref().map(regions),
        exclude_regions: regions(&scope.exclude_regions),
        groups: scope.groups.as_deref().map(groups),
        names: scope.names.clone(),
        tags: scope.tags.clone(),
        exclude_groups: groups(&scope.exclude_groups),
        regions_at_once: REGIONS_AT_ONCE,
        groups_at_once: GROUPS_AT_ONCE,
    }
}

/// Regions read at once: about forty exist; eight keep `max_in_flight` busy and bound the memory of
/// their raw files (about 1 MiB of compressor each).
const REGIONS_AT_ONCE: usize = 8;
/// Groups of one region read at once. The service counts calls per region and action.
const GROUPS_AT_ONCE: usize = 16;

fn scope_of(scope: &ScopeConfig) -> Scope {
    let all = |ids: &Option<Vec<String>>| ids.clone().unwrap_or_else(|| vec!["all".to_owned()]);
    let mut groups = Vec::new();
    if let Some(ids) = &scope.groups {
        groups.extend(ids.iter().cloned());
    }
    groups.extend(scope.names.iter().map(|name| format!("named {name}")));
    groups.extend(scope.tags.iter().map(|tag| format!("tagged {}={}", tag.key, tag.value)));
    if groups.is_empty() {
        groups.push("all".to_owned());
    }
    Scope {
        accounts: vec!["self".to_owned()],
        regions: all(&scope.regions),
        exclude_regions: scope.exclude_regions.clone(),
        groups,
        exclude_groups: scope.exclude_groups.clone(),
    }
}

/// Why the run is INCOMPLETE; none: it is complete.
fn incomplete_reasons(coverage: &Coverage, totals: &Totals) -> Vec<String> {
    let mut out = Vec::new();
    if coverage.regions.iter().all(|region| region.status == RegionStatus::Skipped) {
        out.push("no region was read".to_owned());
    }
    for region in &coverage.regions {
        if region.status != RegionStatus::Failed {
            continue;
        }
        let what = match &region.error {
            Some(CallError { code, message, request_id, action }) => {
                let id = if request_id.is_empty() {
                    String::new()
                } else {
                    format!(" (request id {request_id})")
                };
                format!("{action}: {code}{id}: {message}")
            }
            None => "not read in full".to_owned(),
        };
        out.push(format!("{} of account {}: {what}", region.region, region.account));
    }
    if totals.undetermined > 0 {
        out.push(format!("{} verdicts are undetermined", totals.undetermined));
    }
    out
}

fn utc(time: DateTime<Utc>) -> String {
    time.to_rfc3339_opts(SecondsFormat::Secs, true)
}

fn salt() -> Result<[u8; 3], Error> {
    let mut salt = [0u8; 3];
    getrandom::fill(&mut salt).map_err(Error::Random)?;
    Ok(salt)
}
