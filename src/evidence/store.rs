//! Where sealed runs lie: `<storage>/runs/<run-id>/`.

use super::format::{self, Changes, Findings, Manifest};
use super::remote::{Remote, SENT};
use super::seal::UNFINISHED;
use super::{Error, SealedRun};
use crate::model::{Change, Coverage, RunId, RunRecord, Sha256};
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// A store: a folder of this host, or a bucket with a folder of this host before it, where runs are
/// written and from where they are sent.
#[derive(Clone, Debug)]
pub struct Store {
    root: PathBuf,
    pub(super) remote: Option<Arc<Remote>>,
}

/// One folder of the store.
#[derive(Clone, Debug)]
pub enum Listed {
    /// A sealed run.
    Sealed(SealedRun, Box<Manifest>),
    /// A folder without manifest: a run that was killed, or one still going on.
    Unfinished(String),
    /// A sealed run whose manifest cannot be read.
    Broken(String, String),
}

impl Store {
    /// The store under that folder; nothing is made yet.
    pub fn new(root: impl Into<PathBuf>) -> Self {
        Self {
            root: root.into(),
            remote: None,
        }
    }

    /// The folder of runs on this host: all of them, or those that were not sent to the bucket yet.
    pub fn runs(&self) -> PathBuf {
        self.root.join("runs")
    }

    /// Its root.
    pub fn root(&self) -> &Path {
        &self.root
    }

    /// Every folder, oldest first (ids begin with the time).
    ///
    /// # Errors
    /// The folder exists and cannot be listed.
    pub fn list(&self) -> Result<Vec<Listed>, Error> {
        let mut out = Vec::new();
        for name in self.names()? {
            let Some(folder) = self.sealed_folder(&name)? else {
                out.push(Listed::Unfinished(name));
                continue;
            };
            match read_manifest(&folder) {
                Ok((mut sealed, manifest)) => {
                    sealed.location = self.location(&sealed.run);
                    out.push(Listed::Sealed(sealed, Box::new(manifest)));
                }
                Err(why) => out.push(Listed::Broken(name, why.to_string())),
            }
        }
        Ok(out)
    }

    fn names(&self) -> Result<Vec<String>, Error> {
        let mut names = self.names_here()?;
        if let Some(remote) = &self.remote {
            names.extend(remote.names()?);
            names.sort();
            names.dedup();
        }
        Ok(names)
    }

    /// The folder of a sealed run with its manifest in it, brought here where it lies in the bucket.
    pub(super) fn sealed_folder(&self, name: &str) -> Result<Option<PathBuf>, Error> {
        if name.ends_with(UNFINISHED) {
            return Ok(None);
        }
        let here = self.runs().join(name);
        if here.join(format::MANIFEST).is_file() {
            return Ok(Some(here));
        }
        match &self.remote {
            Some(remote) => remote.fetch(name, &[format::MANIFEST]),
            None => Ok(None),
        }
    }

    /// Names of runs on this host, sealed or not.
    pub(super) fn names_here(&self) -> Result<Vec<String>, Error> {
        let mut names = self.folders_here()?;
        names.retain(|name| !name.ends_with(SENT));
        Ok(names)
    }

    pub(super) fn folders_here(&self) -> Result<Vec<String>, Error> {
        let runs = self.runs();
        let entries = match fs::read_dir(&runs) {
            Ok(entries) => entries,
            Err(why) if why.kind() == std::io::ErrorKind::NotFound => return Ok(Vec::new()),
            Err(why) => return Err(Error::io("list", &runs)(why)),
        };
        let mut names = Vec::new();
        for entry in entries {
            let entry = entry.map_err(Error::io("list", &runs))?;
            if entry.path().is_dir() {
                names.push(entry.file_name().to_string_lossy().into_owned());
            }
        }
        names.sort();
        Ok(names)
    }

    /// The last sealed run of that schedule.
    ///
    /// # Errors
    /// The store cannot be listed, or that run's manifest cannot be read: a chain is not continued
    /// past a broken link in silence.
    pub fn last_of(&self, schedule: &str) -> Result<Option<(SealedRun, Manifest)>, Error> {
        for name in self.names()?.into_iter().rev() {
            if RunId::new(name.clone()).name() != Some(schedule) {
                continue;
            }
            if let Some(folder) = self.sealed_folder(&name)? {
                return read_manifest(&folder).map(Some);
            }
        }
        Ok(None)
    }

    /// Whether a run is sealed here.
    ///
    /// # Errors
    /// The bucket could not be asked.
    pub fn is_sealed(&self, run: &RunId) -> Result<bool, Error> {
        Ok(self.sealed_folder(run.as_str())?.is_some())
    }

    /// A sealed run of this store as renderers see it.
    ///
    /// # Errors
    /// There is none, or a file of it cannot be read.
    pub fn read_record(&self, run: &RunId) -> Result<(RunRecord, Manifest), Error> {
        read_record(&self.find(run.as_str())?)
    }

    /// Where a run is or will be, as people read it.
    pub fn location(&self, run: &RunId) -> String {
        match &self.remote {
            Some(remote) => remote.location(run),
            None => self.runs().join(run.as_str()).display().to_string(),
        }
    }

    /// The store itself, as people read it.
    pub fn shown(&self) -> String {
        match &self.remote {
            Some(remote) => remote.shown(),
            None => self.root.display().to_string(),
        }
    }

    /// The same for who looks for it: a folder from the root of this host.
    pub fn named(&self) -> String {
        match &self.remote {
            Some(remote) => remote.shown(),
            None => std::path::absolute(&self.root)
                .unwrap_or_else(|_| self.root.clone())
                .display()
                .to_string(),
        }
    }

    /// The same for one that tells stores apart: a folder has one name, however its path was written
    /// and whether it is there or not.
    pub fn identity(&self) -> String {
        match &self.remote {
            Some(remote) => remote.shown(),
            None => resolved(&self.root).display().to_string(),
        }
    }

    /// Clears up after runs that were killed between their manifest and their name. `remembered` says
    /// of a run and its manifest's hash whether the state knows it (`None`: not ours to touch). One
    /// that it knows was sealed and gets its name; one that it does not never was, and loses the
    /// manifest that would make it look so: its changes stand in the journal.
    ///
    /// # Errors
    /// The store cannot be listed or written.
    pub fn finish_renames(
        &self,
        remembered: impl Fn(&str, &Sha256) -> Option<bool>,
    ) -> Result<(), Error> {
        for name in self.names_here()? {
            let Some(run) = name.strip_suffix(UNFINISHED) else {
                continue;
            };
            let folder = self.runs().join(&name);
            let manifest = folder.join(format::MANIFEST);
            let Ok(bytes) = fs::read(&manifest) else {
                continue;
            };
            match remembered(run, &format::sha256(&bytes)) {
                None => {}
                Some(true) => {
                    let to = self.runs().join(run);
                    fs::rename(&folder, &to).map_err(Error::io("rename", &folder))?;
                    super::seal::sync_folder(&self.runs())?;
                }
                Some(false) => {
                    fs::remove_file(&manifest).map_err(Error::io("remove", &manifest))?;
                }
            }
        }
        Ok(())
    }

    /// The folder of a run named by id or path, with what a record is read from; one of a bucket is
    /// brought here.
    ///
    /// # Errors
    /// There is none.
    pub fn find(&self, run: &str) -> Result<PathBuf, Error> {
        let by_id = self.runs().join(run);
        let path = PathBuf::from(run);
        for folder in [by_id, path] {
            if folder.join(format::MANIFEST).is_file() {
                return Ok(folder);
            }
        }
        if let Some(remote) = &self.remote
            && let Some(folder) = remote.fetch(run, &RECORD)?
        {
            return Ok(folder);
        }
        Err(Error::NoRun {
            run: run.to_owned(),
            store: self.named(),
        })
    }

    /// What a listed run changed, as it was sealed. Its manifest has the size of the file that says so:
    /// where that is the size of nothing, nothing is read.
    ///
    /// # Errors
    /// The file cannot be read.
    pub fn changes(&self, sealed: &SealedRun, manifest: &Manifest) -> Result<Vec<Change>, Error> {
        let nothing = Changes {
            schema: format::CHANGES_SCHEMA.to_owned(),
            run: sealed.run.clone(),
            changes: Vec::new(),
            held: Vec::new(),
            planned: Vec::new(),
            confirmed: Vec::new(),
        };
        let size = format::pretty(format::CHANGES, &nothing)?.len();
        let entry = manifest.files.get(format::CHANGES);
        if entry.is_some_and(|entry| usize::try_from(entry.size) == Ok(size)) {
            return Ok(Vec::new());
        }
        if let Some(remote) = &self.remote
            && sealed.folder.starts_with(&remote.mirror)
        {
            remote.fetch(sealed.run.as_str(), &[format::CHANGES])?;
        }
        Ok(read_json::<Changes>(&sealed.folder, format::CHANGES)?.changes)
    }
}

/// A path from the root without links, as far as there are folders on it.
fn resolved(path: &Path) -> PathBuf {
    let absolute = std::path::absolute(path).unwrap_or_else(|_| path.to_owned());
    for there in absolute.ancestors() {
        let Ok(mut real) = fs::canonicalize(there) else {
            continue;
        };
        if let Ok(rest) = absolute.strip_prefix(there) {
            real.extend(rest);
        }
        return real;
    }
    absolute
}

/// Files a record is read from.
const RECORD: [&str; 4] = [
    format::MANIFEST,
    format::FINDINGS,
    format::COVERAGE,
    format::CHANGES,
];

/// A run's manifest and its hash.
///
/// # Errors
/// It cannot be read or is not ours.
pub fn read_manifest(folder: &Path) -> Result<(SealedRun, Manifest), Error> {
    let path = folder.join(format::MANIFEST);
    let bytes = fs::read(&path).map_err(Error::io("read", &path))?;
    let manifest: Manifest = serde_json::from_slice(&bytes)
        .map_err(|why| Error::malformed(&path, format!("not a manifest: {why}")))?;
    if manifest.schema != format::MANIFEST_SCHEMA {
        return Err(Error::malformed(
            &path,
            format!(
                "schema \"{}\" is not one this version reads",
                manifest.schema
            ),
        ));
    }
    let sealed = SealedRun {
        run: manifest.header.run.clone(),
        folder: folder.to_owned(),
        location: folder.display().to_string(),
        manifest_sha256: format::sha256(&bytes),
    };
    Ok((sealed, manifest))
}

fn read_json<T: serde::de::DeserializeOwned>(folder: &Path, name: &str) -> Result<T, Error> {
    let path = folder.join(name);
    let bytes = fs::read(&path).map_err(Error::io("read", &path))?;
    serde_json::from_slice(&bytes).map_err(|why| Error::malformed(&path, why.to_string()))
}

/// A sealed run as renderers see it.
///
/// # Errors
/// A file of it cannot be read.
pub fn read_record(folder: &Path) -> Result<(RunRecord, Manifest), Error> {
    let (_, manifest) = read_manifest(folder)?;
    let findings: Findings = read_json(folder, format::FINDINGS)?;
    let coverage: Coverage = read_json(folder, format::COVERAGE)?;
    let changes: Changes = read_json(folder, format::CHANGES)?;
    let record = RunRecord {
        header: manifest.header.clone(),
        findings: findings.findings,
        resolved: findings.resolved,
        coverage,
        changes: changes.changes,
        held: changes.held,
        planned: changes.planned,
        confirmed: changes.confirmed,
        part: None,
        idle_rules: findings.idle_rules,
        waivers: findings.waivers,
        trend: findings.trend,
    };
    Ok((record, manifest))
}
