//! One run of a schedule at a time on one state. The kernel's lock on the file decides, so that a
//! lock left by the dead is none; the text in it says who holds it since when.

use super::{Error, State};
use std::fs::{File, OpenOptions, TryLockError};
use std::io::{Read as _, Seek as _, Write as _};
use std::path::PathBuf;

/// Held until dropped.
#[derive(Debug)]
pub struct Lock {
    file: File,
    path: PathBuf,
}

impl State {
    /// Takes the lock of that name, or says who holds it. `now` is RFC 3339.
    ///
    /// # Errors
    /// Another process holds it, or the state cannot be written.
    pub fn lock(&self, name: &str, now: &str) -> Result<Lock, Error> {
        let path = self.folder("locks")?.join(format!("{name}.lock"));
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
        let text = format!("process {} since {now}\n", std::process::id());
        file.set_len(0)
            .and_then(|()| file.rewind())
            .and_then(|()| file.write_all(text.as_bytes()))
            .and_then(|()| file.sync_all())
            .map_err(Error::io("write", &path))?;
        Ok(Lock { file, path })
    }
}

impl Lock {
    /// The lock's file.
    pub fn path(&self) -> &std::path::Path {
        &self.path
    }
}

impl Drop for Lock {
    fn drop(&mut self) {
        // The lock ends with the descriptor in any case; the text would only mislead a reader.
        let _ = self.file.set_len(0);
        let _ = self.file.unlock();
    }
}
