//! `<state>/outbox/<run-id>/`: letters as they were composed (`N.eml`, with `N.json` beside), put
//! there before the first try and taken away when every recipient's relay accepted;
//! `<state>/receipts/<run-id>.jsonl`: what became of each try.

use super::{Error, State};
use crate::deliver::{Message, Receipt};
use crate::evidence::seal::{sync_folder, write_synced};
use crate::model::RunId;
use std::fs::{self, OpenOptions};
use std::io::Write as _;
use std::path::PathBuf;

/// A letter in the outbox.
#[derive(Debug)]
pub struct Waiting {
    /// The letter.
    pub message: Message,
    stem: PathBuf,
}

fn json<T: serde::Serialize>(path: &std::path::Path, value: &T) -> Result<Vec<u8>, Error> {
    serde_json::to_vec(value).map_err(|why| Error::Malformed {
        path: path.to_owned(),
        what: why.to_string(),
    })
}

impl State {
    /// Puts a letter into the outbox.
    ///
    /// # Errors
    /// The state cannot be written.
    pub fn put_letter(
        &self,
        run: &RunId,
        number: usize,
        message: Message,
    ) -> Result<Waiting, Error> {
        let folder = self.folder("outbox")?.join(run.as_str());
        fs::create_dir_all(&folder).map_err(Error::io("create", &folder))?;
        let stem = folder.join(number.to_string());
        write_synced(&stem.with_extension("eml"), &message.bytes)?;
        // The `.json` makes it a letter: it comes last.
        let path = stem.with_extension("json");
        write_synced(&path, &json(&path, &message)?)?;
        sync_folder(&folder)?;
        Ok(Waiting { message, stem })
    }

    /// Notes how a letter fared: away when nobody is left, else as it is now.
    ///
    /// # Errors
    /// The state cannot be written.
    pub fn settle_letter(
        &self,
        run: &RunId,
        letter: Waiting,
        receipts: &[Receipt],
    ) -> Result<(), Error> {
        let path = self.folder("receipts")?.join(format!("{run}.jsonl"));
        let mut lines = Vec::new();
        for receipt in receipts {
            lines.extend(json(&path, receipt)?);
            lines.push(b'\n');
        }
        OpenOptions::new()
            .create(true)
            .append(true)
            .open(&path)
            .and_then(|mut file| file.write_all(&lines).and_then(|()| file.sync_all()))
            .map_err(Error::io("write", &path))?;
        let note = letter.stem.with_extension("json");
        if letter.message.left.is_empty() {
            fs::remove_file(&note).map_err(Error::io("remove", &note))?;
            let eml = letter.stem.with_extension("eml");
            fs::remove_file(&eml).map_err(Error::io("remove", &eml))?;
            if let Some(folder) = letter.stem.parent() {
                // Goes with the last letter; not empty before.
                let _ = fs::remove_dir(folder);
            }
            return Ok(());
        }
        write_synced(&note, &json(&note, &letter.message)?)?;
        Ok(())
    }

    /// The letters of a run that wait.
    ///
    /// # Errors
    /// They are there and cannot be read.
    pub fn waiting(&self, run: &str) -> Result<Vec<Waiting>, Error> {
        let folder = self.root().join("outbox").join(run);
        if !folder.is_dir() {
            return Ok(Vec::new());
        }
        let mut out = Vec::new();
        for entry in fs::read_dir(&folder).map_err(Error::io("list", &folder))? {
            let path = entry.map_err(Error::io("list", &folder))?.path();
            if path.extension().is_none_or(|extension| extension != "json") {
                continue;
            }
            let bytes = fs::read(&path).map_err(Error::io("read", &path))?;
            let mut message: Message =
                serde_json::from_slice(&bytes).map_err(|why| Error::Malformed {
                    path: path.clone(),
                    what: why.to_string(),
                })?;
            let eml = path.with_extension("eml");
            message.bytes = fs::read(&eml).map_err(Error::io("read", &eml))?;
            out.push(Waiting {
                message,
                stem: path.with_extension(""),
            });
        }
        out.sort_by(|a, b| a.stem.cmp(&b.stem));
        Ok(out)
    }
}
