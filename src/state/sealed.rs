//! `<state>/sealed/<run-id>`: the hashes of a run's manifest, as they were when it was sealed, in
//! the form of `sha256sum`.

use super::{Error, State};
use crate::evidence::chain::Remembered;
use crate::evidence::format::MANIFEST;
use crate::evidence::seal::{sync_folder, write_synced};
use crate::model::{RunId, Sha256};
use std::fs;

impl State {
    /// Notes a sealed run.
    ///
    /// # Errors
    /// The state cannot be written.
    pub fn remember_sealed(&self, run: &RunId, manifest: &Sha256) -> Result<(), Error> {
        let folder = self.folder("sealed")?;
        write_synced(
            &folder.join(run.as_str()),
            format!("{manifest}  {MANIFEST}\n").as_bytes(),
        )?;
        sync_folder(&folder)?;
        Ok(())
    }

    /// What it knows of a run.
    ///
    /// # Errors
    /// The note is there and cannot be read.
    pub fn recall_sealed(&self, run: &str) -> Result<Remembered, Error> {
        let folder = self.root().join("sealed");
        if !folder.is_dir() {
            return Ok(Remembered::NotAtHand);
        }
        let path = folder.join(run);
        let text = match fs::read_to_string(&path) {
            Ok(text) => text,
            Err(why) if why.kind() == std::io::ErrorKind::NotFound => {
                return Ok(Remembered::Unknown);
            }
            Err(why) => return Err(Error::io("read", &path)(why)),
        };
        text.lines()
            .find_map(|line| line.strip_suffix(MANIFEST))
            .map(|hash| Remembered::Manifest(Sha256::new(hash.trim())))
            .ok_or_else(|| Error::Malformed {
                path,
                what: format!("no line for {MANIFEST}"),
            })
    }
}

impl State {
    /// Every run it has sealed, by id.
    ///
    /// # Errors
    /// The notes are there and cannot be listed.
    pub fn all_sealed(&self) -> Result<Vec<String>, Error> {
        let folder = self.root().join("sealed");
        if !folder.is_dir() {
            return Ok(Vec::new());
        }
        let mut out = Vec::new();
        for entry in fs::read_dir(&folder).map_err(Error::io("list", &folder))? {
            let entry = entry.map_err(Error::io("list", &folder))?;
            let name = entry.file_name().to_string_lossy().into_owned();
            if !name.ends_with(".tmp") {
                out.push(name);
            }
        }
        out.sort();
        Ok(out)
    }
}

impl State {
    /// Notes a plan that was made here, by its digest.
    ///
    /// # Errors
    /// The state cannot be written.
    pub fn remember_plan(&self, sha256: &str) -> Result<(), Error> {
        let folder = self.folder("plans")?;
        write_synced(&folder.join(sha256), b"")?;
        sync_folder(&folder)?;
        Ok(())
    }

    /// Whether a plan was made here.
    ///
    /// # Errors
    /// The digest is none.
    pub fn knows_plan(&self, sha256: &str) -> Result<bool, Error> {
        let path = self.root().join("plans").join(sha256);
        if sha256.len() != 64 || !sha256.bytes().all(|b| b.is_ascii_hexdigit()) {
            return Err(Error::Malformed {
                path,
                what: "a plan's digest is 64 hexadecimal digits".to_owned(),
            });
        }
        Ok(path.is_file())
    }
}
