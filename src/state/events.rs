//! `<state>/fired/<trigger>-<time>`: events that were taken, so that one that comes twice is one run.

use super::{Error, State};

/// What is known of an event.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Fired {
    /// It never came.
    Never,
    /// It was taken, and whatever took it did not end: it may be taken again.
    Unfinished,
    /// It was answered so.
    Answered(String),
}

fn name(trigger: &str, time: &str) -> String {
    let time: String = time.chars().filter(char::is_ascii_alphanumeric).collect();
    format!("fired/{trigger}-{time}")
}

impl State {
    /// What is known of a trigger's event.
    ///
    /// # Errors
    /// The state could not be asked.
    pub fn fired(&self, trigger: &str, time: &str) -> Result<Fired, Error> {
        Ok(match self.shelf().read(&name(trigger, time))? {
            None => Fired::Never,
            Some(bytes) if bytes.is_empty() => Fired::Unfinished,
            Some(bytes) => Fired::Answered(String::from_utf8_lossy(&bytes).into_owned()),
        })
    }

    /// Notes that an event is being taken (an empty answer) or was answered.
    ///
    /// # Errors
    /// The state cannot be written.
    pub fn note_fired(&self, trigger: &str, time: &str, answer: &str) -> Result<(), Error> {
        Ok(self
            .shelf()
            .write(&name(trigger, time), answer.as_bytes())?)
    }
}
