//! `run`: one whole job, as a schedule says.

use super::exit::{Exit, Failure};
use super::{Global, scan, setup, show};
use crate::job::{self, Job};
use crate::model::Severity;
use crate::policy::remediation::Mode;
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
            schedule.remediation.mode = Mode::Off;
        }
        let tools = setup::tools(global, &program, !schedule.mails.is_empty()).await?;
        let job = Job {
            command: "run".to_owned(),
            schedule,
            copies: None,
        };
        let outcome = match job::run(&job, &tools).await {
            Ok(outcome) => outcome,
            Err(why) => {
                let failure = Failure::from(why);
                if failure.exit == Exit::NotStarted
                    && let Some(relay) = &tools.relay
                {
                    let schedule = &job.schedule;
                    job::not_started(
                        relay,
                        &schedule.mails,
                        &schedule.name,
                        &failure.message,
                        tools.now,
                    )
                    .await;
                }
                return Err(failure);
            }
        };
        let exit = Exit::of(&outcome, self.fail_on);
        show::outcome(global, &outcome, exit);
        Ok(exit)
    }
}
