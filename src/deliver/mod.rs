//! Delivery: what was accepted by whom, what was not. Sees no cloud and no policy.
//!
//! | file | holds |
//! | --- | --- |
//! | `mail` | composing and sending mail |
//! | `patience` | how long all that may take |
//! | `webhook` | short messages into chats, and the heartbeat |
//! | `probe` | the relay tried step by step, no letter sent |
//! | `reach` | whether the host of a chat or a watchman answers, no message sent |
//!
//! To add a channel: `NAME.rs`, its table in `config/schedule.rs`, a fake beside `sim/smtp.rs`.

pub mod mail;
pub mod patience;
pub mod probe;
pub mod reach;
pub mod webhook;

pub use mail::{MailSettings, Message, Password};
pub use patience::Patience;

use serde::{Deserialize, Serialize};

/// What became of a letter to one recipient.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Receipt {
    /// Whom it is for.
    pub recipient: String,
    /// Host and port of the relay; of a webhook its host.
    pub relay: String,
    /// The letter's Message-ID: receivers drop repeats by it.
    pub message_id: String,
    /// When the last try ended, RFC 3339 UTC.
    pub at: String,
    /// The relay's answer after it took the message: accepted, which is not delivered.
    pub reply: Option<String>,
    /// Why it was not accepted.
    pub error: Option<String>,
    /// Tries made.
    pub tries: u32,
}

impl Receipt {
    /// Whether the relay took it.
    pub fn accepted(&self) -> bool {
        self.reply.is_some()
    }

    /// Why it was not accepted, and what to do about it. A letter that was never kept has no Message-ID, and
    /// cannot be sent again.
    pub fn undelivered(&self, run: &str) -> String {
        let why = self.error.as_deref().unwrap_or("no answer");
        if self.message_id.is_empty() {
            return why.to_owned();
        }
        format!("{why}; it waits: sgwarden resend {run}")
    }
}
