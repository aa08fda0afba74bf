//! `verify`: has anything been touched since it was sealed.

use super::exit::{Exit, Failure};
use super::{Global, setup, show};
use crate::evidence::chain::{self, Report};
use crate::evidence::store::Listed;
use crate::state::State;
use clap::Args;
use std::path::PathBuf;

/// Arguments of `verify`.
#[derive(Debug, Args)]
pub(super) struct Verify {
    /// Run ids, or paths of their folders
    #[arg(required_unless_present = "all", value_name = "RUN")]
    runs: Vec<String>,
    /// Every run of the store
    #[arg(long, conflicts_with = "runs")]
    all: bool,
}

impl Verify {
    pub(super) fn run(self, global: &Global) -> Result<Exit, Failure> {
        let program = setup::program(global)?;
        let store = setup::store(&program)?;
        let state = setup::state(&program)?;
        let mut reports: Vec<Report> = Vec::new();
        let mut loose: Vec<String> = Vec::new();
        let mut folders: Vec<PathBuf> = Vec::new();
        if self.all {
            for listed in store.list()? {
                match listed {
                    Listed::Sealed(sealed, _) => {
                        folders.push(store.find_whole(sealed.run.as_str())?);
                    }
                    Listed::Broken(name, _) => folders.push(store.find_whole(&name)?),
                    Listed::Unfinished(name) => {
                        tracing::warn!(%name, "unfinished: a run that was killed, or goes on");
                    }
                }
            }
            loose = chain::forks(&store)?;
            loose.extend(missing(&state, &folders)?);
            // A mistyped path must not pass for ever.
            if folders.is_empty() {
                loose.push(format!(
                    "nothing was verified: there is no sealed run; {}",
                    setup::looked(global, &store)
                ));
            }
        } else {
            for run in &self.runs {
                folders.push(store.find_whole(run)?);
            }
        }
        for folder in &folders {
            reports.push(setup::as_sealed(&program, &store, folder)?);
        }
        let sound = loose.is_empty() && reports.iter().all(|report| report.problems.is_empty());
        let exit = if sound { Exit::Done } else { Exit::Difference };
        show::verified(global, &reports, &loose, exit);
        Ok(exit)
    }
}

/// Runs that the state has sealed and the store no longer has.
fn missing(state: &State, folders: &[PathBuf]) -> Result<Vec<String>, Failure> {
    let there: Vec<String> = folders
        .iter()
        .filter_map(|folder| folder.file_name())
        .map(|name| name.to_string_lossy().into_owned())
        .collect();
    Ok(state
        .all_sealed()?
        .into_iter()
        .filter(|run| !there.contains(run))
        .map(|run| format!("{run} was sealed by this host and is no longer in the store"))
        .collect())
}
