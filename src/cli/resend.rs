//! `resend`: delivers what could not be delivered.

use super::exit::{Exit, Failure};
use super::secret::JobClient;
use super::{Global, setup, show};
use crate::job;
use crate::model::RunId;
use chrono::Utc;
use clap::Args;

/// Arguments of `resend`.
#[derive(Debug, Args)]
pub(super) struct Resend {
    /// Run id
    #[arg(value_name = "RUN")]
    run: String,
}

impl Resend {
    pub(super) async fn run(self, global: &Global) -> Result<Exit, Failure> {
        let program = setup::program(global)?;
        let run = RunId::new(self.run.clone());
        if run.name().is_none() {
            return Err(Failure::usage(format!(
                "\"{}\" is no run id; `sgwarden runs` lists them",
                self.run
            )));
        }
        let (store, state) = (setup::store(&program)?, setup::state(&program)?);
        let sent = job::send_waiting(&store, &state, Some(&run))
            .map_err(|why| Failure::chain(Exit::Undelivered, &why))?;
        let relay = match &program.mail {
            Some(relay) if !state.waiting(run.as_str())?.is_empty() => {
                let client = JobClient::default();
                Some(setup::mail_settings(global, &program, relay, &client)?)
            }
            _ => None,
        };
        let receipts = job::resend(&state, relay.as_ref(), &run, Utc::now).await?;
        let lost = receipts.iter().any(|receipt| !receipt.accepted());
        let exit = if lost { Exit::Undelivered } else { Exit::Done };
        show::resent(global, &run, &sent, &receipts, exit);
        Ok(exit)
    }
}
