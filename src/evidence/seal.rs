//! A run's folder, from its first byte to its seal. It is written aside (`<run>.unfinished`), every
//! file synced, the manifest last; then renamed. A process that is killed leaves a sealed run or a
//! folder that says it is none.

use super::format::{self, FileEntry, Manifest};
use super::{Error, Store};
use crate::model::{RunId, Sha256};
use std::collections::BTreeMap;
use std::fs::{self, File};
use std::io::Write as _;
use std::path::{Path, PathBuf};

/// What an unfinished run's folder ends in.
pub const UNFINISHED: &str = ".unfinished";

/// A run that is being written.
#[derive(Debug)]
pub struct Draft {
    run: RunId,
    store: Store,
    folder: PathBuf,
    files: BTreeMap<String, FileEntry>,
}

/// A run that was sealed; never changed again.
#[derive(Clone, Debug)]
pub struct SealedRun {
    /// Its id.
    pub run: RunId,
    /// Its folder on this host.
    pub folder: PathBuf,
    /// Where it is kept, as people read it: that folder, or a URL.
    pub location: String,
    /// SHA-256 of its `manifest.json`.
    pub manifest_sha256: Sha256,
}

impl SealedRun {
    /// The name of its folder: its id, unless somebody renamed or copied it.
    pub fn folder_name(&self) -> String {
        let name = self.folder.file_name();
        name.map(|name| name.to_string_lossy().into_owned())
            .unwrap_or_default()
    }
}

impl Draft {
    /// Makes the folder.
    ///
    /// # Errors
    /// The store cannot be written.
    pub fn begin(store: &Store, run: &RunId) -> Result<Self, Error> {
        let folder = store.runs().join(format!("{run}{UNFINISHED}"));
        for raw in [format::RAW_BEFORE, format::RAW_AFTER] {
            let raw = folder.join(raw);
            fs::create_dir_all(&raw).map_err(Error::io("create", &raw))?;
        }
        Ok(Self {
            run: run.clone(),
            store: store.clone(),
            folder,
            files: BTreeMap::new(),
        })
    }

    /// Where files are being written.
    pub fn folder(&self) -> &Path {
        &self.folder
    }

    /// Writes one file, synced.
    ///
    /// # Errors
    /// The store cannot be written.
    pub fn write(&mut self, name: &str, bytes: &[u8]) -> Result<(), Error> {
        write_synced(&self.folder.join(name), bytes)?;
        let size = u64::try_from(bytes.len()).unwrap_or(u64::MAX);
        self.files.insert(
            name.to_owned(),
            FileEntry {
                size,
                sha256: format::sha256(bytes),
            },
        );
        Ok(())
    }

    /// Notes a file that another hand wrote and synced.
    pub fn note(&mut self, name: &str, entry: FileEntry) {
        self.files.insert(name.to_owned(), entry);
    }

    /// What has been noted of a file.
    pub fn entry(&self, name: &str) -> Option<&FileEntry> {
        self.files.get(name)
    }

    /// Writes the manifest and gives the folder its name. `remember` is told the manifest's hash
    /// after the manifest is on disk and before the folder has its name, so that no sealed run is
    /// unknown to the state.
    ///
    /// # Errors
    /// The store cannot be written; then the folder stays unfinished.
    pub fn seal<E: From<Error>>(
        self,
        mut manifest: Manifest,
        remember: impl FnOnce(&Sha256) -> Result<(), E>,
    ) -> Result<SealedRun, E> {
        manifest.files = self.files;
        let bytes = format::canonical(format::MANIFEST, &manifest)?;
        sync_folders(&self.folder)?;
        write_synced(&self.folder.join(format::MANIFEST), &bytes)?;
        sync_folder(&self.folder)?;
        let manifest_sha256 = format::sha256(&bytes);
        remember(&manifest_sha256)?;
        let folder = self.store.runs().join(self.run.as_str());
        fs::rename(&self.folder, &folder).map_err(Error::io("rename", &self.folder))?;
        sync_folder(&self.store.runs())?;
        Ok(SealedRun {
            location: self.store.location(&self.run),
            run: self.run,
            folder,
            manifest_sha256,
        })
    }

    /// Throws the folder away: nothing was found out that is worth keeping.
    pub fn abandon(self) {
        // A leftover is recognisable by its name; nothing depends on its removal.
        let _ = fs::remove_dir_all(&self.folder);
    }
}

/// Writes a file aside, syncs it and gives it its name.
///
/// # Errors
/// The file system said no.
pub fn write_synced(path: &Path, bytes: &[u8]) -> Result<(), Error> {
    let aside = aside_name(path);
    let mut file = File::create(&aside).map_err(Error::io("create", &aside))?;
    file.write_all(bytes).map_err(Error::io("write", &aside))?;
    file.sync_all().map_err(Error::io("sync", &aside))?;
    fs::rename(&aside, path).map_err(Error::io("rename", &aside))?;
    Ok(())
}

fn aside_name(path: &Path) -> PathBuf {
    let mut name = path.file_name().unwrap_or_default().to_owned();
    name.push(".tmp");
    path.with_file_name(name)
}

/// Makes the names in a folder durable.
///
/// # Errors
/// The file system said no.
pub fn sync_folder(folder: &Path) -> Result<(), Error> {
    File::open(folder)
        .and_then(|folder| folder.sync_all())
        .map_err(Error::io("sync", folder))
}

fn sync_folders(folder: &Path) -> Result<(), Error> {
    let entries = fs::read_dir(folder).map_err(Error::io("list", folder))?;
    for entry in entries {
        let path = entry.map_err(Error::io("list", folder))?.path();
        if path.is_dir() {
            sync_folders(&path)?;
        }
    }
    sync_folder(folder)
}
