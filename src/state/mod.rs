//! What outlives a run and is not evidence. `<state>/` beside the sealed runs, never in them: a folder
//! of this host, or objects in a bucket that several hosts share.
//!
//! | file | holds |
//! | --- | --- |
//! | `events` | events that were taken, so that one that comes twice is one run |
//! | `sealed` | the hashes of what was sealed, so that `verify` is not at the store's mercy |
//! | `lock` | one run of a schedule at a time |
//! | `journal` | changes intended and how they ended, so that a killed run is settled |
//! | `holds` | rules that came back, rules that were put back |
//! | `fires` | what the daemon remembers of its schedules |
//! | `outbox` | letters that could not be delivered, and receipts of those that were |

pub mod events;
mod fires;
pub mod holds;
pub mod journal;
pub mod lock;
pub mod outbox;
pub mod sealed;

use crate::storage::{self, Bucket, Shelf};
use std::path::{Path, PathBuf};

/// The state, on a local disk or in a bucket.
#[derive(Clone, Debug)]
pub struct State {
    shelf: Shelf,
}

/// What went wrong with the state.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// A file or an object could not be had.
    #[error("the state: {0}")]
    Storage(#[from] storage::Error),
    /// The file system said no to a lock.
    #[error("cannot {doing} {path} of the state", path = path.display())]
    Io {
        /// `open`, `lock`, ...
        doing: &'static str,
        /// What.
        path: PathBuf,
        /// Why.
        source: std::io::Error,
    },
    /// A file is not what it should be.
    #[error("{name} of the state: {what}")]
    Malformed {
        /// Which.
        name: String,
        /// In what way.
        what: String,
    },
    /// Another run holds the lock.
    #[error(
        "\"{name}\" is being run by another process: {holder}; wait for it, or end that process"
    )]
    Locked {
        /// What is locked.
        name: String,
        /// Process, host and time, as it wrote them.
        holder: String,
    },
}

impl Error {
    pub(crate) fn io(doing: &'static str, path: &Path) -> impl FnOnce(std::io::Error) -> Self {
        let path = path.to_owned();
        move |source| Self::Io {
            doing,
            path,
            source,
        }
    }
}

impl State {
    /// The state under that folder; nothing is made yet.
    pub fn new(root: impl Into<PathBuf>) -> Self {
        Self {
            shelf: Shelf::Folder(root.into()),
        }
    }

    /// The state in a bucket; nothing is asked yet.
    pub fn in_bucket(bucket: Bucket) -> Self {
        Self {
            shelf: Shelf::Bucket(bucket),
        }
    }

    /// Where its files are.
    pub(crate) fn shelf(&self) -> &Shelf {
        &self.shelf
    }

    fn malformed(&self, name: &str, what: impl ToString) -> Error {
        Error::Malformed {
            name: self.shelf.shown(name),
            what: what.to_string(),
        }
    }
}
