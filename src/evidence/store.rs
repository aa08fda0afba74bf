//! Where sealed runs lie: `<storage>/runs/<run-id>/`.

use super::format::{self, Changes, Findings, Manifest};
use super::seal::UNFINISHED;
use super::{Error, SealedRun};
use crate::model::{Coverage, RunId, RunRecord, Sha256};
use std::fs;
use std::path::{Path, PathBuf};

/// A store on a local disk.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Store {
    root: PathBuf,
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
        Self { root: root.into() }
    }

    /// The folder of runs.
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
            let folder = self.runs().join(&name);
            if name.ends_with(UNFINISHED) || !folder.join(format::MANIFEST).exists() {
                out.push(Listed::Unfinished(name));
                continue;
            }
            match read_manifest(&folder) {
                Ok((sealed, manifest)) => out.push(Listed::Sealed(sealed, Box::new(manifest))),
                Err(why) => out.push(Listed::Broken(name, why.to_string())),
            }
        }
        Ok(out)
    }

    fn names(&self) -> Result<Vec<String>, Error> {
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
            let of_schedule = RunId::new(name.clone()).name() == Some(schedule);
            let folder = self.runs().join(&name);
            if of_schedule && folder.join(format::MANIFEST).exists() {
                return read_manifest(&folder).map(Some);
            }
        }
        Ok(None)
    }

    /// Whether a run is sealed here.
    pub fn is_sealed(&self, run: &RunId) -> bool {
        self.runs()
            .join(run.as_str())
            .join(format::MANIFEST)
            .is_file()
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
        for name in self.names()? {
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

    /// The folder of a run named by id or path.
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
        Err(Error::NoRun(run.to_owned()))
    }
}

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
        part: None,
    };
    Ok((record, manifest))
}
