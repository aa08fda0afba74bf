//! A store in a bucket. A run is written and sealed in a folder of this host (the spool), then sent, its
//! manifest last, never over anything that is there: without a manifest a run in the bucket is
//! unfinished. What could not be sent stays in the spool and is sent by the next run, or `resend`.
//! Each bucket has a folder of its own in the spool. A run that was sent is renamed before its files are
//! removed here, so that a process killed in the middle leaves nothing that looks like a run.
//! What is read from the bucket is brought here anew each time; nothing that was brought is believed
//! later.

use super::format::{self, Manifest};
use super::store::read_manifest;
use super::{Error, SealedRun, Store};
use crate::model::RunId;
use crate::storage::{self, Bucket};
use std::fs;
use std::path::{Component, Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

/// The bucket's side of a store.
#[derive(Debug)]
pub(super) struct Remote {
    bucket: Bucket,
    /// Where what is read is brought: of this value only, gone with it.
    pub(super) mirror: PathBuf,
}

impl Drop for Remote {
    fn drop(&mut self) {
        // A leftover holds copies only.
        let _ = fs::remove_dir_all(&self.mirror);
    }
}

/// What the folder of a run that was sent ends in, while it is removed.
pub(super) const SENT: &str = ".sent";

/// A run in the spool.
#[derive(Debug)]
pub enum Waiting {
    /// It is to be sent.
    Sealed(SealedRun),
    /// It has a manifest that cannot be read.
    Unreadable(PathBuf, Error),
}

/// The folder of runs in the bucket.
const RUNS: &str = "runs/";

impl Remote {
    pub(super) fn names(&self) -> Result<Vec<String>, Error> {
        Ok(self
            .bucket
            .names(RUNS)?
            .iter()
            .filter_map(|name| name.strip_suffix('/'))
            .map(ToOwned::to_owned)
            .collect())
    }

    pub(super) fn location(&self, run: &RunId) -> String {
        self.bucket.shown(&format!("{RUNS}{run}"))
    }

    pub(super) fn shown(&self) -> String {
        self.bucket.shown("")
    }

    fn runs(&self) -> PathBuf {
        self.mirror.join("runs")
    }

    /// Brings files of a sealed run here; `None` where the bucket has no manifest of it. A file that
    /// is missing stays missing: who needs it says so.
    pub(super) fn fetch(&self, run: &str, files: &[&str]) -> Result<Option<PathBuf>, Error> {
        if !is_plain(run) || run.contains('/') {
            return Ok(None);
        }
        let folder = self.runs().join(run);
        for file in files {
            let Some(bytes) = self.bucket.read(&format!("{RUNS}{run}/{file}"))? else {
                if *file == format::MANIFEST {
                    return Ok(None);
                }
                continue;
            };
            put(&folder.join(file), &bytes)?;
        }
        Ok(Some(folder))
    }

    /// Brings a whole run here, with whatever lies beside its files.
    fn fetch_all(&self, run: &str) -> Result<PathBuf, Error> {
        let folder = self.runs().join(run);
        // An older copy must not lend a file to what is checked now.
        match fs::remove_dir_all(&folder) {
            Err(why) if why.kind() != std::io::ErrorKind::NotFound => {
                return Err(Error::io("remove", &folder)(why));
            }
            _ => {}
        }
        for name in self.bucket.below(&format!("{RUNS}{run}/"))? {
            if !is_plain(&name) {
                return Err(Error::malformed(
                    Path::new(&self.bucket.shown(&format!("{RUNS}{run}/{name}"))),
                    "a name that cannot be of a run's file",
                ));
            }
            if let Some(bytes) = self.bucket.read(&format!("{RUNS}{run}/{name}"))? {
                put(&folder.join(&name), &bytes)?;
            }
        }
        Ok(folder)
    }

    /// Sends a sealed run: every file where none is, the manifest last.
    fn send(&self, folder: &Path, manifest: &Manifest) -> Result<(), Error> {
        let run = &manifest.header.run;
        let files = manifest
            .files
            .keys()
            .map(String::as_str)
            .chain([format::MANIFEST]);
        for file in files {
            let path = folder.join(file);
            let bytes = fs::read(&path).map_err(Error::io("read", &path))?;
            let key = format!("{RUNS}{run}/{file}");
            if !self.bucket.create(&key, &bytes)? {
                return Err(storage::Error::Differs {
                    what: self.bucket.shown(&key),
                }
                .into());
            }
        }
        Ok(())
    }
}

/// Whether a name stays inside the folder it is joined to.
fn is_plain(name: &str) -> bool {
    !name.is_empty()
        && Path::new(name)
            .components()
            .all(|part| matches!(part, Component::Normal(_)))
}

fn put(path: &Path, bytes: &[u8]) -> Result<(), Error> {
    if let Some(folder) = path.parent() {
        fs::create_dir_all(folder).map_err(Error::io("create", folder))?;
    }
    fs::write(path, bytes).map_err(Error::io("write", path))
}

static OPENED: AtomicU64 = AtomicU64::new(0);

impl Store {
    /// The store in a bucket, with a folder of this host where runs are written before they are
    /// sent.
    pub fn in_bucket(bucket: Bucket, spool: impl Into<PathBuf>) -> Self {
        // What waits for one bucket is nobody else's: each has a folder of its own.
        let spool = spool.into().join(bucket.mark());
        let mirror = spool.join("mirror").join(format!(
            "{}-{}",
            std::process::id(),
            OPENED.fetch_add(1, Ordering::Relaxed)
        ));
        let mut store = Self::new(spool);
        store.remote = Some(Arc::new(Remote { bucket, mirror }));
        store
    }

    /// Whether runs are sent to a bucket after they were sealed.
    pub fn is_remote(&self) -> bool {
        self.remote.is_some()
    }

    /// Sends a run that was just sealed; a store of this host has it already.
    ///
    /// # Errors
    /// The bucket could not be asked, or has other bytes under one of its names. The run stays in
    /// the spool.
    pub fn publish(&self, sealed: &SealedRun) -> Result<(), Error> {
        let Some(remote) = &self.remote else {
            return Ok(());
        };
        let (_, manifest) = read_manifest(&sealed.folder)?;
        remote.send(&sealed.folder, &manifest)?;
        self.clear(sealed)
    }

    /// Whether the bucket has a run: its manifest is sent last, so that with it all is there.
    ///
    /// # Errors
    /// The bucket could not be asked.
    pub fn is_sent(&self, sealed: &SealedRun) -> Result<bool, Error> {
        let Some(remote) = &self.remote else {
            return Ok(false);
        };
        let key = format!("{RUNS}{}/{}", sealed.run, format::MANIFEST);
        let there = remote.bucket.read(&key)?;
        Ok(there.is_some_and(|bytes| format::sha256(&bytes) == sealed.manifest_sha256))
    }

    /// Removes a run that was sent from this host.
    ///
    /// # Errors
    /// The spool cannot be written.
    pub fn clear(&self, sealed: &SealedRun) -> Result<(), Error> {
        let sent = self.runs().join(format!("{}{SENT}", sealed.run));
        match fs::rename(&sealed.folder, &sent) {
            Ok(()) => {
                // The rest is removed now or by a later run: it is no run any more.
                let _ = fs::remove_dir_all(&sent);
                Ok(())
            }
            // Another run of this host has sent and removed it too.
            Err(why) if why.kind() == std::io::ErrorKind::NotFound => Ok(()),
            Err(why) => Err(Error::io("rename", &sealed.folder)(why)),
        }
    }

    /// Sealed runs that were not sent yet, each with why it cannot be read, where it cannot.
    ///
    /// # Errors
    /// The spool cannot be listed.
    pub fn waiting(&self) -> Result<Vec<Waiting>, Error> {
        let mut out = Vec::new();
        if self.remote.is_none() {
            return Ok(out);
        }
        for name in self.folders_here()? {
            let folder = self.runs().join(&name);
            if name.ends_with(SENT) {
                // Left by a process that was killed while it removed it.
                let _ = fs::remove_dir_all(&folder);
            } else if !name.ends_with(super::seal::UNFINISHED)
                && folder.join(format::MANIFEST).is_file()
            {
                out.push(match read_manifest(&folder) {
                    Ok((sealed, _)) => Waiting::Sealed(sealed),
                    Err(why) => Waiting::Unreadable(folder, why),
                });
            }
        }
        Ok(out)
    }

    /// The folder of a run to be checked: everything that lies under its name, brought here anew where
    /// it lies in a bucket, with the manifests of its neighbours beside it.
    ///
    /// # Errors
    /// There is none, or it cannot be brought here.
    pub fn find_whole(&self, run: &str) -> Result<PathBuf, Error> {
        let folder = self.find(run)?;
        let Some(remote) = self
            .remote
            .as_ref()
            .filter(|remote| folder.starts_with(&remote.mirror))
        else {
            return Ok(folder);
        };
        for name in remote.names()? {
            if name != run {
                remote.fetch(&name, &[format::MANIFEST])?;
            }
        }
        remote.fetch_all(run)
    }

    /// Whether a folder is one of this store's runs.
    pub fn holds(&self, folder: &Path) -> bool {
        let canonical = |path: &Path| fs::canonicalize(path).ok();
        let Some(parent) = folder.parent().and_then(canonical) else {
            return false;
        };
        let brought = self.remote.as_ref().map(|remote| remote.runs());
        [Some(self.runs()), brought]
            .into_iter()
            .flatten()
            .any(|runs| canonical(&runs).is_some_and(|runs| runs == parent))
    }
}
