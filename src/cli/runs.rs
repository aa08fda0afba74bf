//! `runs`: what lies in the store.

use super::exit::{Exit, Failure};
use super::{Global, setup, show};
use crate::evidence::Store;
use crate::evidence::store::Listed;
use crate::model::Outcome;
use clap::Args;

/// Arguments of `runs`.
#[derive(Debug, Args)]
pub(super) struct Runs {}

impl Runs {
    pub(super) fn run(self, global: &Global) -> Result<Exit, Failure> {
        let Self {} = self;
        let program = setup::program(global)?;
        let store = setup::store(&program)?;
        let listed: Vec<_> = store
            .list()?
            .into_iter()
            .map(|entry| {
                let changed = changed(&store, &entry);
                (entry, changed)
            })
            .collect();
        show::runs(global, &listed, &setup::looked(global, &store));
        Ok(Exit::Done)
    }
}

/// What a sealed run changed; `None`: it cannot be read, which `verify` says more of.
fn changed(store: &Store, entry: &Listed) -> Option<show::Changed> {
    let Listed::Sealed(sealed, manifest) = entry else {
        return None;
    };
    match store.changes(sealed, manifest) {
        Ok(changes) => Some(show::Changed {
            verified: changes
                .iter()
                .filter(|change| change.outcome == Outcome::Verified)
                .count(),
            broken: changes.iter().filter(|change| change.is_broken()).count(),
        }),
        Err(why) => {
            tracing::warn!(run = %sealed.run, %why, "its changes cannot be read: verify it");
            None
        }
    }
}
