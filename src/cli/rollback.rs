//! `rollback`: puts back what a run revoked.

use super::exit::{Exit, Failure};
use super::{Global, run, secret, setup, show};
use crate::config::Problems;
use crate::config::program::Program;
use crate::config::schedule::{Schedule, is_group, parse_span};
use crate::evidence::store::read_manifest;
use crate::job::{self, Job, Restore};
use crate::model::GroupId;
use clap::Args;
use std::path::Path;

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
        let schedule = schedule_of(global, &program, &folder);
        let job = Job {
            command: "rollback".to_owned(),
            schedule,
            copies: None,
        };
        let restore = Restore {
            group: self.group.map(GroupId::new),
            rule: self.rule,
            merge: self.merge,
            hold,
        };
        let mut begun = None;
        let work = async {
            let mails = !job.schedule.mails.is_empty();
            let tools = setup::tools(global, &program, mails).await?;
            let outcome = job::rollback(&job, &tools, &folder, &restore).await;
            outcome.map_err(|error| {
                begun = run::begun_by(&error);
                Failure::from(error)
            })
        };
        let outcome = match work.await {
            Ok(outcome) => outcome,
            Err(failure) => {
                if failure.exit == Exit::NotStarted {
                    run::tell(
                        global,
                        &program,
                        &job.schedule,
                        job::NoReport {
                            why: &failure.message,
                            begun: begun.as_ref(),
                        },
                        &job::Stop::default(),
                    )
                    .await;
                }
                return Err(failure);
            }
        };
        let exit = Exit::of_rollback(&outcome);
        show::outcome(global, &outcome, exit);
        Ok(exit)
    }
}

/// A rollback's schedule: whom the run's own told, in its language and zone. It is read as the run kept it.
/// What cannot be read keeps nothing from being put back: it is said, and those people are not told.
fn schedule_of(global: &Global, program: &Program, folder: &Path) -> Schedule {
    let mut out = Schedule::defaults("rollback");
    let nobody = |why: String| {
        tracing::warn!(%why, "the people of the run's schedule are not told of this rollback");
    };
    let manifest = match read_manifest(folder) {
        Ok((_, manifest)) => manifest,
        Err(why) => {
            nobody(why.to_string());
            return out;
        }
    };
    // The schedule's own text is the first. Its heartbeat may be blanked: a rollback calls none.
    let Some(kept) = manifest.policy.first() else {
        return out;
    };
    match Schedule::read_in(&program.base, &kept.name, "rolled-back", &kept.text) {
        Ok(theirs) => {
            out.timezone = theirs.timezone;
            out.language = theirs.language;
            out.formats = theirs.formats;
            out.mails = theirs.mails;
            out.webhooks = theirs.webhooks;
        }
        Err(problems) => {
            nobody(Problems(problems).to_string().replace('\n', "; "));
            return out;
        }
    }
    if !out.mails.is_empty()
        && let Err(why) = relay(global, program)
    {
        nobody(why);
        out.mails.clear();
    }
    let mut problems = Vec::new();
    setup::resolve_hooks(Path::new(&kept.name), program, &mut out, &mut problems);
    if !problems.is_empty() {
        nobody(Problems(problems).to_string().replace('\n', "; "));
        out.webhooks.clear();
    }
    out
}

/// Whether there is a relay to send by.
fn relay(global: &Global, program: &Program) -> Result<(), String> {
    let Some(relay) = &program.mail else {
        return Err("sgwarden.toml has no [mail] to send by".to_owned());
    };
    let client = secret::JobClient::default();
    let settings = setup::mail_settings(global, program, relay, &client);
    settings.map(drop).map_err(|why| why.message)
}
