//! Signals: the first asks for an end in order, the second ends at once. As process 1 of a container
//! none would be heard without this.

use super::exit::Failure;
use crate::job::Stop;
use std::pin::pin;
use tokio::signal::unix::{Signal, SignalKind, signal};

/// SIGINT and SIGTERM, from now on.
pub(super) struct Ends {
    interrupt: Signal,
    terminate: Signal,
}

impl Ends {
    pub(super) fn new() -> Result<Self, Failure> {
        Ok(Self {
            interrupt: heard(SignalKind::interrupt(), "SIGINT")?,
            terminate: heard(SignalKind::terminate(), "SIGTERM")?,
        })
    }

    /// The next one's name.
    pub(super) async fn next(&mut self) -> &'static str {
        tokio::select! {
            _ = self.interrupt.recv() => "SIGINT",
            _ = self.terminate.recv() => "SIGTERM",
        }
    }
}

/// One kind of signal, which no longer ends the process by itself.
pub(super) fn heard(kind: SignalKind, name: &str) -> Result<Signal, Failure> {
    signal(kind).map_err(|why| Failure::start(format!("cannot listen for {name}: {why}")))
}

/// Does the work; the first signal is passed on to it by `stop`, a second drops it.
pub(super) async fn heed<T>(stop: &Stop, work: impl Future<Output = T>) -> Result<T, Failure> {
    let mut ends = Ends::new()?;
    let mut work = pin!(work);
    loop {
        tokio::select! {
            done = &mut work => return Ok(done),
            name = ends.next() => {
                if stop.asked().is_some() {
                    return Err(at_once(name));
                }
                tracing::warn!("{name}: the group at hand is finished, then the run is sealed; once more ends at once");
                stop.ask(name);
            }
        }
    }
}

/// What a second signal leaves.
pub(super) fn at_once(name: &str) -> Failure {
    Failure::start(format!(
        "ended at once by a second signal, {name}. Where the run at hand was not sealed yet, what it had \
         begun to change is in the journal of the state, and the next run settles it; where it was \
         (`sgwarden runs` shows it), what it had not told yet waits for `sgwarden resend RUN`"
    ))
}
