//! `<state>/sealed/<run-id>`: the hash of a run's manifest, as it was when it was sealed, in the form
//! of `sha256sum`, and as a comment there the store that it was written to.

use super::{Error, State};
use crate::evidence::chain::Remembered;
use crate::evidence::format::MANIFEST;
use crate::model::{RunId, Sha256};

const SEALED: &str = "sealed";

/// What the store's line begins with; the store is a JSON string, since a path may have any character.
const STORE: &str = "# store ";

impl State {
    /// Notes a run that was sealed in that store.
    ///
    /// # Errors
    /// The state cannot be written.
    pub fn remember_sealed(
        &self,
        run: &RunId,
        manifest: &Sha256,
        store: &str,
    ) -> Result<(), Error> {
        let store = serde_json::Value::from(store);
        let note = format!("{manifest}  {MANIFEST}\n{STORE}{store}\n");
        Ok(self
            .shelf()
            .write(&format!("{SEALED}/{run}"), note.as_bytes())?)
    }

    /// The store in which a run was sealed; `None`: that was not noted, as by versions before.
    ///
    /// # Errors
    /// The note cannot be read.
    pub fn store_of(&self, run: &str) -> Result<Option<String>, Error> {
        let name = format!("{SEALED}/{run}");
        let bytes = self.shelf().read(&name)?.unwrap_or_default();
        String::from_utf8_lossy(&bytes)
            .lines()
            .find_map(|line| line.strip_prefix(STORE))
            .map(|store| serde_json::from_str(store).map_err(|why| self.malformed(&name, why)))
            .transpose()
    }

    /// What it knows of a run.
    ///
    /// # Errors
    /// The note is there and cannot be read.
    pub fn recall_sealed(&self, run: &str) -> Result<Remembered, Error> {
        let name = format!("{SEALED}/{run}");
        let Some(bytes) = self.shelf().read(&name)? else {
            return Ok(if self.shelf().has_folder(SEALED)? {
                Remembered::Unknown
            } else {
                Remembered::NotAtHand
            });
        };
        let text = String::from_utf8_lossy(&bytes);
        text.lines()
            .find_map(|line| line.strip_suffix(MANIFEST))
            .map(|hash| Remembered::Manifest(Sha256::new(hash.trim())))
            .ok_or_else(|| self.malformed(&name, format!("no line for {MANIFEST}")))
    }

    /// Every run it has sealed, by id.
    ///
    /// # Errors
    /// The notes are there and cannot be listed.
    pub fn all_sealed(&self) -> Result<Vec<String>, Error> {
        Ok(self.shelf().names(SEALED)?)
    }

    /// Notes a plan that was made here, by its digest.
    ///
    /// # Errors
    /// The state cannot be written.
    pub fn remember_plan(&self, sha256: &str) -> Result<(), Error> {
        Ok(self.shelf().write(&plan(sha256), b"made here\n")?)
    }

    /// Whether a plan was made here.
    ///
    /// # Errors
    /// The digest is none, or the state could not be asked.
    pub fn knows_plan(&self, sha256: &str) -> Result<bool, Error> {
        if sha256.len() != 64 || !sha256.bytes().all(|b| b.is_ascii_hexdigit()) {
            return Err(self.malformed(&plan(sha256), "a plan's digest is 64 hexadecimal digits"));
        }
        Ok(self.shelf().read(&plan(sha256))?.is_some())
    }
}

fn plan(sha256: &str) -> String {
    format!("plans/{sha256}")
}
