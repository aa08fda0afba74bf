//! What the daemon remembers of a schedule, so that neither a restart nor a sleep loses a time.

use super::WebhookKind;
use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::path::PathBuf;

/// `<state>/daemon.json`
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Fires {
    /// `sgwarden/daemon/1`
    pub schema: String,
    /// By schedule.
    pub schedules: BTreeMap<String, Fired>,
}

impl Fires {
    /// The schema's name.
    pub const SCHEMA: &str = "sgwarden/daemon/1";
}

impl Default for Fires {
    fn default() -> Self {
        Self {
            schema: Self::SCHEMA.to_owned(),
            schedules: BTreeMap::new(),
        }
    }
}

/// One schedule.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Fired {
    /// The expression that `after` was reckoned with: another one begins anew.
    pub cron: String,
    /// Its zone, likewise.
    pub timezone: String,
    /// Times up to here are dealt with.
    pub after: DateTime<Utc>,
    /// A run that has begun and not ended; of an earlier process: one that was cut off.
    pub at_hand: Option<AtHand>,
    /// The last one that ended.
    pub last: Option<LastFire>,
    /// Whom to tell when a run cannot start.
    #[serde(default)]
    pub people: People,
}

/// Who a schedule's file named when it was last right: one that is broken names nobody for certain.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct People {
    /// By mail.
    pub mails: Vec<Recipients>,
    /// In chats.
    pub chats: Vec<Chat>,
}

/// One `[[mail]]`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Recipients {
    /// Recipients.
    pub to: Vec<String>,
    /// Copies.
    pub cc: Vec<String>,
    /// Whom answers go to.
    pub reply_to: Option<String>,
}

/// One `[[webhook]]`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Chat {
    /// Whose form the message has.
    pub kind: WebhookKind,
    /// The file with the address, which is read when there is something to say.
    pub url_file: PathBuf,
}

/// A run that has begun.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct AtHand {
    /// The time it was due.
    pub due: DateTime<Utc>,
    /// When it began.
    pub started: DateTime<Utc>,
    /// How often it has begun for that time.
    pub tries: u32,
}

/// A run that has ended.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct LastFire {
    /// The time it was due.
    pub due: DateTime<Utc>,
    /// When it began.
    pub started: DateTime<Utc>,
    /// When it ended.
    pub ended: DateTime<Utc>,
    /// The exit code that `run` would have ended with.
    pub exit: u8,
    /// The sealed run; `None` where there is none.
    pub run: Option<String>,
    /// Why there is none.
    pub problem: Option<String>,
}
