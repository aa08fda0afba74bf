//! Where evidence and state lie: a folder of this host, or a bucket.
//!
//! | file | holds |
//! | --- | --- |
//! | `place` | a URL of `[storage]`, read |
//! | `bucket` | objects under such a URL, over opendal |
//! | `lease` | a lock in a bucket, by conditional puts alone |
//! | `shelf` | named files that are durable when the call returns, on either |
//!
//! Stores and state are asked from code that cannot wait on a future (a journal line must be durable
//! before the next call is made), so [`Bucket`] runs its requests on a thread of its own and blocks
//! the asker, as a sync to disk would.
//!
//! To add a kind of store: its opendal service in `Cargo.toml`, its scheme in `place.rs`, its builder in
//! `bucket.rs`; it must be able to put an object only where none is (`if_not_exists`).

mod bucket;
pub mod lease;
pub mod place;
mod shelf;

pub use bucket::{AccessKeys, Bucket, Keys};
pub use place::Place;
pub use shelf::Shelf;
pub(crate) use shelf::whole_lines;

/// What went wrong, with what, where.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The file system said no.
    #[error("cannot {doing} {what}")]
    Io {
        /// `write`, `read`, ...
        doing: &'static str,
        /// Which file.
        what: String,
        /// Why.
        source: std::io::Error,
    },
    /// The object store said no.
    #[error("cannot {doing} {what}: {why}")]
    Remote {
        /// `write`, `read`, ...
        doing: &'static str,
        /// Which object, as a URL.
        what: String,
        /// What the service answered, and what to do.
        why: String,
    },
    /// An object is there already, with other bytes: it is never overwritten.
    #[error(
        "{what} is there already with other content, and is not overwritten: find out who wrote it"
    )]
    Differs {
        /// Which object, as a URL.
        what: String,
    },
    /// Somebody else holds the lock.
    #[error("the lock {what} is held by {holder}")]
    Held {
        /// Which lock, as a URL.
        what: String,
        /// As the holder wrote it.
        holder: String,
    },
    /// The lock was ours and is not any more.
    #[error("the lock {what} was lost: {why}; nothing more may be changed under it")]
    Lost {
        /// Which lock, as a URL.
        what: String,
        /// In what way.
        why: String,
    },
}

impl Error {
    pub(crate) fn io(
        doing: &'static str,
        what: &std::path::Path,
    ) -> impl FnOnce(std::io::Error) -> Self {
        let what = what.display().to_string();
        move |source| Self::Io {
            doing,
            what,
            source,
        }
    }
}
