//! `run`: one whole job, as a schedule says.

use super::exit::{Exit, Failure};
use super::secret::JobClient;
use super::{Global, scan, setup, show, signals};
use crate::config::{Program, Schedule};
use crate::job::event::Asked;
use crate::job::{self, Job, NoReport, RunOutcome, Stop};
use crate::model::{CallError, RunId, Severity};
use chrono::Utc;
use clap::Args;
use std::path::PathBuf;

/// Arguments of `run`.
#[derive(Debug, Args)]
pub(super) struct Run {
    /// The schedule
    #[arg(long, value_name = "FILE")]
    schedule: PathBuf,
    /// Change nothing, whatever the schedule says
    #[arg(long)]
    dry_run: bool,
    /// Exit 1 where there is a finding of this severity or worse
    #[arg(long, value_name = "SEVERITY", value_parser = scan::parse_severity)]
    fail_on: Option<Severity>,
}

impl Run {
    pub(super) async fn run(self, global: &Global) -> Result<Exit, Failure> {
        let (program, mut schedule) = setup::program_and_schedule(global, &self.schedule)?;
        if self.dry_run {
            schedule.remediation = schedule.remediation.rehearsed();
        }
        let job = Job {
            command: "run".to_owned(),
            schedule,
            copies: None,
        };
        let stop = Stop::default();
        let outcome = signals::heed(&stop, whole(global, &program, &job, &stop)).await??;
        let exit = Exit::of(&outcome, self.fail_on);
        show::outcome(global, &outcome, exit);
        job::heartbeat(&job.schedule, exit.code(), &stop).await;
        Ok(exit)
    }
}

/// A schedule's job to its end, whoever starts it: its people hear of one that could not start.
pub(super) async fn whole(
    global: &Global,
    program: &Program,
    job: &Job,
    stop: &Stop,
) -> Result<RunOutcome, Failure> {
    let (outcome, _) = whole_for(global, program, job, None, stop).await?;
    Ok(outcome)
}

/// The same, that an event asked for. Second: why verdicts that it wanted could not be handed back.
pub(super) async fn whole_for(
    global: &Global,
    program: &Program,
    job: &Job,
    asked: Option<&Asked>,
    stop: &Stop,
) -> Result<(RunOutcome, Option<CallError>), Failure> {
    let mut begun = None;
    let work = async {
        let mails = !job.schedule.mails.is_empty();
        let mut tools = setup::tools(global, program, mails).await?;
        tools.stop = stop.clone();
        job::run_for(job, asked, &tools).await.map_err(|error| {
            begun = begun_by(&error);
            Failure::from(error)
        })
    };
    let failure = match work.await {
        Ok(outcome) => return Ok(outcome),
        Err(failure) => failure,
    };
    if failure.exit == Exit::NotStarted {
        let none = NoReport {
            why: &failure.message,
            begun: begun.as_ref(),
        };
        tell(global, program, &job.schedule, none, stop).await;
    }
    Err(failure)
}

/// The run that had begun to change something when it failed.
pub(super) fn begun_by(error: &job::Error) -> Option<RunId> {
    match error {
        job::Error::Unkept { run, .. } => Some(run.clone()),
        _ => None,
    }
}

/// Tells a schedule's people that its run could not start; where there is no way to, the log has it.
pub(super) async fn tell(
    global: &Global,
    program: &Program,
    schedule: &Schedule,
    none: NoReport<'_>,
    stop: &Stop,
) {
    let client = JobClient::default();
    let settings = match &program.mail {
        _ if schedule.mails.is_empty() => Ok(None),
        None => Err(Failure::usage("sgwarden.toml has no [mail] to send by")),
        Some(relay) => setup::mail_settings(global, program, relay, &client).map(Some),
    };
    let relay = settings.unwrap_or_else(|failure| {
        tracing::error!("nobody could be told by mail: {}", failure.message);
        None
    });
    let receipts = job::not_started(relay.as_ref(), schedule, none, stop, Utc::now).await;
    for receipt in receipts.iter().filter(|receipt| !receipt.accepted()) {
        tracing::error!(
            recipient = %receipt.recipient,
            why = receipt.error.as_deref().unwrap_or("no answer"),
            "was not told that the run could not start"
        );
    }
}
