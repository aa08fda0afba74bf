//! `verify`: has anything been touched since it was sealed.

use super::exit::{Exit, Failure};
use super::{Global, setup, show};
use crate::evidence::Store;
use crate::evidence::chain::{self, Report};
use crate::evidence::store::Listed;
use crate::state::State;
use clap::Args;
use std::collections::BTreeMap;
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
        let mut loose: Vec<String> = Vec::new();
        // What was asked for, and its folder, or why there is none.
        let mut found: Vec<(String, Result<PathBuf, Failure>)> = Vec::new();
        if self.all {
            for listed in store.list()? {
                // By the folder's name: what its manifest says may not be true.
                let name = match listed {
                    Listed::Sealed(sealed, _) => sealed.folder_name(),
                    Listed::Broken(name, _) => name,
                    Listed::Unfinished(name) => {
                        tracing::warn!(%name, "unfinished: a run that was killed, or goes on");
                        continue;
                    }
                };
                let folder = store.find_whole(&name).map_err(Failure::from);
                found.push((name, folder));
            }
            loose = chain::forks(&store)?;
            loose.extend(missing(&state, &store, &found)?);
            // A mistyped path must not pass for ever.
            if found.is_empty() {
                loose.push(format!(
                    "nothing was verified: there is no sealed run; {}",
                    setup::looked(global, &store)
                ));
            }
        } else {
            for run in &self.runs {
                found.push((run.clone(), Ok(store.find_whole(run)?)));
            }
        }
        let check = |(name, folder): (String, Result<PathBuf, Failure>)| {
            folder
                .and_then(|folder| setup::as_sealed(&program, &store, &folder))
                .unwrap_or_else(|why| not_verified(name, why))
        };
        let reports: Vec<Report> = found.into_iter().map(check).collect();
        let sound = loose.is_empty() && reports.iter().all(|report| report.problems.is_empty());
        let exit = if sound { Exit::Done } else { Exit::Difference };
        show::verified(global, &reports, &loose, exit);
        Ok(exit)
    }
}

/// A run that could not be verified is not sound, and keeps nobody from verifying the others.
fn not_verified(run: String, why: Failure) -> Report {
    Report {
        run,
        problems: vec![format!("it could not be verified: {}", why.message)],
        ..Report::default()
    }
}

/// Runs that the state has sealed in this store and the store no longer has. Of a note that does not say
/// which store, it may have been this one.
fn missing(
    state: &State,
    store: &Store,
    found: &[(String, Result<PathBuf, Failure>)],
) -> Result<Vec<String>, Failure> {
    let this = store.identity();
    let mut gone = Vec::new();
    let mut elsewhere: BTreeMap<String, usize> = BTreeMap::new();
    for run in state.all_sealed()? {
        if found.iter().any(|(name, _)| *name == run) {
            continue;
        }
        let what = format!("{run} was sealed by this host and is no longer in the store");
        match state.store_of(&run) {
            Ok(Some(other)) if other != this => *elsewhere.entry(other).or_default() += 1,
            Ok(_) => gone.push(what),
            Err(why) => gone.push(format!("{what}, as far as is known: {why}")),
        }
    }
    for (store, runs) in elsewhere {
        tracing::warn!(%store, runs, "sealed by this host in another store, and not looked for here");
    }
    Ok(gone)
}
