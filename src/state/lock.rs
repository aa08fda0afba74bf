//! One run of a schedule at a time on one state. On a disk the kernel's lock on the file decides, so
//! that a lock left by the dead is none, and the text in it says who holds it since when. In a bucket
//! it is a lease: one left by the dead runs out.

use super::{Error, State};
use crate::storage::lease::Lease;
use crate::storage::{self, Shelf};
use chrono::{DateTime, SecondsFormat, Utc};
use std::fs::{File, OpenOptions, TryLockError};
use std::io::{Read as _, Seek as _, Write as _};
use std::path::PathBuf;

/// Held until dropped.
#[derive(Debug)]
pub struct Lock {
    held: Held,
}

#[derive(Debug)]
enum Held {
    File { file: File, path: PathBuf },
    Lease(Lease),
}

impl State {
    /// Takes the lock of that name, or says who holds it.
    ///
    /// # Errors
    /// Another process holds it, or the state cannot be written.
    pub fn lock(&self, name: &str, now: DateTime<Utc>) -> Result<Lock, Error> {
        let since = now.to_rfc3339_opts(SecondsFormat::Secs, true);
        let me = format!("process {} since {since}", std::process::id());
        let root = match self.shelf() {
            Shelf::Folder(root) => root,
            Shelf::Bucket(bucket) => {
                let host = hostname();
                return match Lease::take(bucket, name, &format!("{me} on {host}"), now) {
                    Ok(lease) => Ok(Lock {
                        held: Held::Lease(lease),
                    }),
                    Err(storage::Error::Held { holder, .. }) => Err(Error::Locked {
                        name: name.to_owned(),
                        holder,
                    }),
                    Err(why) => Err(why.into()),
                };
            }
        };
        let folder = root.join("locks");
        std::fs::create_dir_all(&folder).map_err(Error::io("create", &folder))?;
        let path = folder.join(format!("{name}.lock"));
        let mut file = OpenOptions::new()
            .create(true)
            .truncate(false)
            .read(true)
            .write(true)
            .open(&path)
            .map_err(Error::io("open", &path))?;
        match file.try_lock() {
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => {
                let mut holder = String::new();
                // What it says is for people; that it is locked is certain without.
                let _ = file.read_to_string(&mut holder);
                let holder = match holder.trim() {
                    "" => "it has just begun".to_owned(),
                    said => said.to_owned(),
                };
                return Err(Error::Locked {
                    name: name.to_owned(),
                    holder,
                });
            }
            Err(TryLockError::Error(why)) => return Err(Error::io("lock", &path)(why)),
        }
        file.set_len(0)
            .and_then(|()| file.rewind())
            .and_then(|()| file.write_all(format!("{me}\n").as_bytes()))
            .and_then(|()| file.sync_all())
            .map_err(Error::io("write", &path))?;
        Ok(Lock {
            held: Held::File { file, path },
        })
    }
}

/// For people who look for the holder.
fn hostname() -> String {
    std::fs::read_to_string("/proc/sys/kernel/hostname")
        .map(|text| text.trim().to_owned())
        .ok()
        .filter(|name| !name.is_empty())
        .unwrap_or_else(|| "a host without name".to_owned())
}

impl Lock {
    /// The lock's file or object.
    pub fn shown(&self) -> String {
        match &self.held {
            Held::File { path, .. } => path.display().to_string(),
            Held::Lease(lease) => lease.shown(),
        }
    }

    /// Says whether it is still ours: asked before each change. The kernel's lock cannot be lost.
    ///
    /// # Errors
    /// It was lost, or that could not be found out.
    pub fn check(&self) -> Result<(), Error> {
        match &self.held {
            Held::File { .. } => Ok(()),
            Held::Lease(lease) => Ok(lease.check()?),
        }
    }

    /// Who has taken it since, where anybody has. `None` of a lock that [`Lock::check`] no longer trusts:
    /// it may be renewed yet.
    ///
    /// # Errors
    /// That could not be found out.
    pub fn taken_by(&self) -> Result<Option<String>, Error> {
        match &self.held {
            Held::File { .. } => Ok(None),
            Held::Lease(lease) => Ok(lease.taken_by()?),
        }
    }
}

impl Drop for Lock {
    fn drop(&mut self) {
        if let Held::File { file, .. } = &mut self.held {
            // The lock ends with the descriptor in any case; the text would only mislead a reader.
            let _ = file.set_len(0);
            let _ = file.unlock();
        }
    }
}
