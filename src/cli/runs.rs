//! `runs`: what lies in the store.

use super::exit::{Exit, Failure};
use super::{Global, setup, show};
use clap::Args;

/// Arguments of `runs`.
#[derive(Debug, Args)]
pub(super) struct Runs {}

impl Runs {
    pub(super) fn run(self, global: &Global) -> Result<Exit, Failure> {
        let Self {} = self;
        let program = setup::program(global)?;
        show::runs(global, &setup::store(&program)?.list()?);
        Ok(Exit::Done)
    }
}
