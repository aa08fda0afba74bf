//! Evidence: what was answered, what was decided, and proof that nobody touched it since.
//!
//! | file | holds |
//! | --- | --- |
//! | `format` | file names, schemas, canonical JSON, hashes; shared by writer and reader |
//! | `spool` | raw answers hashed and compressed as they pass; population rows |
//! | `population` | which of some groups and checks a run judged |
//! | `seal` | a run's folder, written aside, synced, renamed, its manifest last |
//! | `store` | where sealed runs lie |
//! | `trend` | the chain read backwards for its counts |
//! | `chain` | verifying: sizes, hashes, the chain, what the state remembers |
//!
//! To add a file to a stored run: its name in `format`, a call of `Draft::write` in `job.rs`. To add
//! a store: its URL scheme in `store`.

pub mod chain;
pub mod format;
pub mod population;
mod remote;
pub mod seal;
pub mod spool;
pub mod store;
pub mod trend;

pub use format::Manifest;
pub use remote::Waiting;
pub use seal::{Draft, SealedRun};
pub use spool::Spool;
pub use store::Store;

use std::path::{Path, PathBuf};

/// What went wrong with the store or a stored run.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The file system said no.
    #[error("cannot {doing} {path}", path = path.display())]
    Io {
        /// `write`, `read`, ...
        doing: &'static str,
        /// What.
        path: PathBuf,
        /// Why.
        source: std::io::Error,
    },
    /// A file of a stored run is not what it should be.
    #[error("{path}: {what}", path = path.display())]
    Malformed {
        /// Which.
        path: PathBuf,
        /// In what way.
        what: String,
    },
    /// The bucket could not be had.
    #[error(transparent)]
    Storage(#[from] crate::storage::Error),
    /// No such run.
    #[error(
        "no sealed run \"{run}\" in {store}: `sgwarden runs` lists those that are; --config or --store \
         names another store"
    )]
    NoRun {
        /// As it was asked for.
        run: String,
        /// Where it was looked for.
        store: String,
    },
    /// A value of ours could not be written as JSON or CSV: a bug.
    #[error("cannot encode {what}: {why}; this is a bug of sgwarden")]
    Encode {
        /// Which file.
        what: String,
        /// Why.
        why: String,
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

    fn malformed(path: &Path, what: impl Into<String>) -> Self {
        Self::Malformed {
            path: path.to_owned(),
            what: what.into(),
        }
    }
}
