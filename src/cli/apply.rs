//! `apply`: carries out a plan that a person approved, that and nothing else.

use super::exit::{Exit, Failure};
use super::plan::PlanFile;
use super::{Global, setup, show, signals};
use crate::config::{Problems, Schedule, waivers};
use crate::evidence::format::sha256;
use crate::job::{self, Job};
use crate::model::Approval;
use chrono::Utc;
use clap::Args;
use std::path::PathBuf;

/// Arguments of `apply`.
#[derive(Debug, Args)]
pub(super) struct Apply {
    /// The plan's file
    #[arg(value_name = "PLAN")]
    plan: PathBuf,
    /// Who approved it; kept in the evidence
    #[arg(long, value_name = "NAME")]
    approved_by: String,
    /// The ticket it was approved under; kept in the evidence
    #[arg(long, value_name = "ID")]
    ticket: Option<String>,
}

impl Apply {
    pub(super) async fn run(self, global: &Global) -> Result<Exit, Failure> {
        if self.approved_by.trim().is_empty() {
            return Err(Failure::usage(
                "--approved-by is empty: an auditor will ask who",
            ));
        }
        let base = setup::base(global);
        let (file, text) = PlanFile::read(&self.plan, &base, Utc::now())?;
        let bytes = std::fs::read(&self.plan)
            .map_err(|why| Failure::usage(format!("cannot read {}: {why}", self.plan.display())))?;
        let stem = std::path::Path::new(&file.schedule)
            .file_stem()
            .map(|stem| stem.to_string_lossy().into_owned())
            .unwrap_or_default();
        let mut schedule = Schedule::read_in(&base, &file.schedule, &stem, &text)
            .map_err(|problems| Failure::usage(Problems(problems).to_string()))?;
        waivers::attach(&mut schedule, &setup::base(global))
            .map_err(|problems| Failure::usage(Problems(problems).to_string()))?;
        file.same_waivers(&schedule)?;
        "apply".clone_into(&mut schedule.name);
        schedule.remediation.mode = schedule.remediation.acting_mode();
        if !schedule.remediation.is_open(Utc::now(), schedule.timezone) {
            return Err(Failure::usage(
                "now is in none of the schedule's windows; nothing was changed",
            ));
        }
        let program = setup::program(global)?;
        let mut problems = Vec::new();
        let of = std::path::Path::new(&file.schedule);
        setup::resolve_hooks(of, &program, &mut schedule, &mut problems);
        setup::refuse(problems)?;
        if !setup::state(&program)?.knows_plan(&file.sha256)? {
            return Err(Failure::usage(format!(
                "{} was not made on this state, or was edited and given a digest of its own; make a new \
                 plan here",
                self.plan.display()
            )));
        }
        let mails = !schedule.mails.is_empty() && program.mail.is_some();
        let tools = setup::tools(global, &program, mails).await?;
        let job = Job {
            command: "apply".to_owned(),
            schedule,
            copies: None,
        };
        let approval = Approval {
            approved_by: self.approved_by,
            ticket: self.ticket,
            plan_sha256: sha256(&bytes).as_str().to_owned(),
        };
        let work = job::apply_plan(&job, &tools, &file.plan, &file.account, approval);
        let outcome = signals::heed(&tools.stop, work).await??;
        let exit = Exit::of(&outcome, None);
        show::outcome(global, &outcome, exit);
        Ok(exit)
    }
}
