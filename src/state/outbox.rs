//! `<state>/outbox/<run-id>/`: letters as they were composed (`N.eml`, with `N.json` beside), put
//! there before the first try and taken away when every recipient's relay accepted; messages into chats
//! likewise (`hook-N.post`);
//! `<state>/receipts/<run-id>.jsonl`: what became of each try.

use super::{Error, State};
use crate::deliver::webhook::Post;
use crate::deliver::{Message, Receipt};
use crate::model::RunId;

/// A letter in the outbox.
#[derive(Debug)]
pub struct Waiting {
    /// The letter.
    pub message: Message,
    /// Its files' names without extension.
    stem: String,
}

/// A message in the outbox.
#[derive(Debug)]
pub struct WaitingPost {
    /// The message.
    pub post: Post,
    /// Its file's name.
    name: String,
}

impl State {
    fn line<T: serde::Serialize>(&self, name: &str, value: &T) -> Result<Vec<u8>, Error> {
        serde_json::to_vec(value).map_err(|why| self.malformed(name, why))
    }

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
        let stem = format!("{}/{number}", folder(run.as_str()));
        self.shelf().write(&format!("{stem}.eml"), &message.bytes)?;
        // The `.json` makes it a letter: it comes last.
        let note = format!("{stem}.json");
        self.shelf().write(&note, &self.line(&note, &message)?)?;
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
        self.note_receipts(run, receipts)?;
        let note = format!("{}.json", letter.stem);
        if letter.message.left.is_empty() {
            self.shelf().remove(&note)?;
            self.shelf().remove(&format!("{}.eml", letter.stem))?;
            return Ok(());
        }
        self.shelf()
            .write(&note, &self.line(&note, &letter.message)?)?;
        Ok(())
    }

    fn note_receipts(&self, run: &RunId, receipts: &[Receipt]) -> Result<(), Error> {
        let name = format!("receipts/{run}.jsonl");
        let mut lines = Vec::new();
        for receipt in receipts {
            lines.extend(self.line(&name, receipt)?);
            lines.push(b'\n');
        }
        Ok(self.shelf().append(&name, &lines)?)
    }

    /// Puts a message into the outbox.
    ///
    /// # Errors
    /// The state cannot be written.
    pub fn put_post(&self, run: &RunId, number: usize, post: Post) -> Result<WaitingPost, Error> {
        let name = format!("{}/hook-{number}.post", folder(run.as_str()));
        self.shelf().write(&name, &self.line(&name, &post)?)?;
        Ok(WaitingPost { post, name })
    }

    /// Notes how a message fared: away when it was taken.
    ///
    /// # Errors
    /// The state cannot be written.
    pub fn settle_post(
        &self,
        run: &RunId,
        waiting: &WaitingPost,
        receipt: &Receipt,
    ) -> Result<(), Error> {
        self.note_receipts(run, std::slice::from_ref(receipt))?;
        if receipt.accepted() {
            self.shelf().remove(&waiting.name)?;
        }
        Ok(())
    }

    /// The messages of a run that wait.
    ///
    /// # Errors
    /// They are there and cannot be read.
    pub fn waiting_posts(&self, run: &str) -> Result<Vec<WaitingPost>, Error> {
        let mut out = Vec::new();
        for file in self.shelf().names(&folder(run))? {
            if !file.ends_with(".post") {
                continue;
            }
            let name = format!("{}/{file}", folder(run));
            let Some(bytes) = self.shelf().read(&name)? else {
                continue;
            };
            let post = serde_json::from_slice(&bytes).map_err(|why| self.malformed(&name, why))?;
            out.push(WaitingPost { post, name });
        }
        Ok(out)
    }

    /// The letters of a run that wait.
    ///
    /// # Errors
    /// They are there and cannot be read.
    pub fn waiting(&self, run: &str) -> Result<Vec<Waiting>, Error> {
        let mut out = Vec::new();
        for file in self.shelf().names(&folder(run))? {
            let Some(number) = file.strip_suffix(".json") else {
                continue;
            };
            let stem = format!("{}/{number}", folder(run));
            let note = format!("{stem}.json");
            let Some(bytes) = self.shelf().read(&note)? else {
                continue;
            };
            let mut message: Message =
                serde_json::from_slice(&bytes).map_err(|why| self.malformed(&note, why))?;
            let eml = format!("{stem}.eml");
            message.bytes = self
                .shelf()
                .read(&eml)?
                .ok_or_else(|| self.malformed(&eml, "the letter itself is missing"))?;
            out.push(Waiting { message, stem });
        }
        Ok(out)
    }
}

fn folder(run: &str) -> String {
    format!("outbox/{run}")
}
