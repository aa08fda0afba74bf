//! What outlives a run and is not evidence. `<state>/` beside the sealed runs, never in them.
//!
//! | file | holds |
//! | --- | --- |
//! | `sealed` | the hashes of what was sealed, so that `verify` is not at the store's mercy |
//! | `lock` | one run of a schedule at a time |
//! | `journal` | changes intended and how they ended, so that a killed run is settled |
//! | `holds` | rules that came back, rules that were put back |
//! | `outbox` | letters that could not be delivered, and receipts of those that were |

pub mod holds;
pub mod journal;
pub mod lock;
pub mod outbox;
pub mod sealed;

use std::path::{Path, PathBuf};

/// The state on a local disk.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct State {
    root: PathBuf,
}

/// What went wrong with the state.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The file system said no.
    #[error("cannot {doing} {path} of the state", path = path.display())]
    Io {
        /// `write`, `read`, ...
        doing: &'static str,
        /// What.
        path: PathBuf,
        /// Why.
        source: std::io::Error,
    },
    /// A file is not what it should be.
    #[error("{path} of the state: {what}", path = path.display())]
    Malformed {
        /// Which.
        path: PathBuf,
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
    /// The store said no, while writing for the state.
    #[error(transparent)]
    Evidence(#[from] crate::evidence::Error),
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
        Self { root: root.into() }
    }

    /// Its root.
    pub fn root(&self) -> &Path {
        &self.root
    }

    /// A folder of it, made where it is not there.
    pub(crate) fn folder(&self, name: &str) -> Result<PathBuf, Error> {
        let folder = self.root.join(name);
        std::fs::create_dir_all(&folder).map_err(Error::io("create", &folder))?;
        Ok(folder)
    }
}
