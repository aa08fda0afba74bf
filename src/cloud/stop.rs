//! A request to stop: asked once, heard by all who hold a clone. Reading ends where it is, with what
//! was not read named; a group that is being changed is finished.

use crate::model::CallError;
use std::sync::Arc;
use tokio::sync::watch;
use tokio::time::Instant;

/// Held by who asks and by who listens.
#[derive(Clone, Debug)]
pub struct Stop {
    why: Arc<watch::Sender<Option<String>>>,
    last: Option<Instant>,
}

impl Default for Stop {
    fn default() -> Self {
        Self {
            why: Arc::new(watch::Sender::new(None)),
            last: None,
        }
    }
}

impl Stop {
    /// The code of what was not read for it.
    pub const CODE: &str = "stopped";

    /// One for a run that is to have ended by then: whoever started it waits no longer.
    pub fn until(last: Instant) -> Self {
        Self {
            last: Some(last),
            ..Self::default()
        }
    }

    /// When the run is to have ended.
    pub fn last(&self) -> Option<Instant> {
        self.last
    }

    /// Hears when it is asked, and why.
    pub fn listener(&self) -> watch::Receiver<Option<String>> {
        self.why.subscribe()
    }

    /// Asks. The first reason stays.
    pub fn ask(&self, why: &str) {
        self.why.send_if_modified(|asked| {
            let first = asked.is_none();
            if first {
                *asked = Some(why.to_owned());
            }
            first
        });
    }

    /// The reason, where it was asked.
    pub fn asked(&self) -> Option<String> {
        self.why.borrow().clone()
    }

    /// Waits until it is asked; the reason.
    pub async fn wait(&self) -> String {
        let mut listener = self.why.subscribe();
        let asked = listener.wait_for(Option::is_some).await;
        let why = asked.ok().and_then(|why| why.clone());
        match why {
            Some(why) => why,
            // The sender lives in `self`: it cannot have gone.
            None => std::future::pending().await,
        }
    }

    /// Why something was not read.
    pub(super) fn error(why: &str) -> CallError {
        CallError {
            code: Self::CODE.to_owned(),
            message: format!("not read to its end: the run was asked to stop ({why})"),
            request_id: String::new(),
            action: String::new(),
        }
    }
}
