//! A store in a bucket. A run is written and sealed in a folder of this host (the spool), then sent, its
//! manifest last, never over anything that is there: without a manifest a run in the bucket is
//! unfinished. What could not be sent stays in the spool and is sent by the next run, or `resend`.
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
    mirror: PathBuf,
}

impl Drop for Remote {
    fn drop(&mut self) {
        // A leftover holds copies only.
        let _ = fs::remove_dir_all(&self.mirror);
    }
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
        let signature = folder.join(format::SIGNATURE).is_file();
        let files = manifest
            .files
            .keys()
            .map(String::as_str)
            .chain(signature.then_some(format::SIGNATURE))
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
        let spool = spool.into();
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
        match fs::remove_dir_all(&sealed.folder) {
            // Another run of this host may have sent it too: the same bytes.
            Err(why) if why.kind() != std::io::ErrorKind::NotFound => {
                Err(Error::io("remove", &sealed.folder)(why))
            }
            _ => Ok(()),
        }
    }

    /// Sealed runs that were not sent yet.
    ///
    /// # Errors
    /// The spool cannot be read.
    pub fn waiting(&self) -> Result<Vec<SealedRun>, Error> {
        let mut out = Vec::new();
        if self.remote.is_none() {
            return Ok(out);
        }
        for name in self.names_here()? {
            let folder = self.runs().join(&name);
            if !name.ends_with(super::seal::UNFINISHED) && folder.join(format::MANIFEST).is_file() {
                out.push(read_manifest(&folder)?.0);
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
