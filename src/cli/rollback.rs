//! `rollback`: puts back what a run revoked.

use super::exit::{Exit, Failure};
use super::{Global, setup, show};
use crate::config::schedule::{Schedule, is_group, parse_span};
use crate::job::{self, Job, Restore};
use crate::model::GroupId;
use clap::Args;

/// Arguments of `rollback`.
#[derive(Debug, Args)]
pub(super) struct Rollback {
    /// Run id, or path of its folder
    #[arg(value_name = "RUN")]
    run: String,
    /// Only this group
    #[arg(long, value_name = "SG")]
    group: Option<String>,
    /// Only this rule, by the id it had
    #[arg(long, value_name = "SGR")]
    rule: Option<String>,
    /// Put rules back although their group has moved on since
    #[arg(long)]
    merge: bool,
    /// How long what is put back is held from being revoked again
    #[arg(long, default_value = "7d", value_name = "SPAN")]
    hold: String,
}

impl Rollback {
    pub(super) async fn run(self, global: &Global) -> Result<Exit, Failure> {
        let hold = parse_span(&self.hold).ok_or_else(|| {
            Failure::usage(format!(
                "--hold \"{}\" must be a time such as 7d or 12h",
                self.hold
            ))
        })?;
        if let Some(group) = self.group.as_ref().filter(|group| !is_group(group)) {
            return Err(Failure::usage(format!(
                "--group \"{group}\" must be a group id"
            )));
        }
        let program = setup::program(global)?;
        let store = setup::store(&program)?;
        let folder = store.find_whole(&self.run)?;
        let checked = setup::as_sealed(&program, &store, &folder)?;
        if !checked.problems.is_empty() {
            return Err(Failure::usage(format!(
                "{} is not as it was sealed, so nothing is put back from it: {}",
                checked.run,
                checked.problems.join("; ")
            )));
        }
        let tools = setup::tools(global, &program, false).await?;
        let job = Job {
            command: "rollback".to_owned(),
            schedule: Schedule::defaults("rollback"),
            copies: None,
        };
        let restore = Restore {
            group: self.group.map(GroupId::new),
            rule: self.rule,
            merge: self.merge,
            hold,
        };
        let outcome = job::rollback(&job, &tools, &folder, &restore).await?;
        let exit = Exit::of_rollback(&outcome);
        show::outcome(global, &outcome, exit);
        Ok(exit)
    }
}
