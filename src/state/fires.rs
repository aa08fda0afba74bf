//! `<state>/daemon.json`: what the daemon remembers of its schedules. Written whole, so that a cut-off
//! write loses nothing.

use super::{Error, State};
use crate::model::Fires;

const FILE: &str = "daemon.json";

impl State {
    /// What was remembered; nothing yet is not an error.
    ///
    /// # Errors
    /// It is there and cannot be read: then it is not known what was missed.
    pub fn fires(&self) -> Result<Fires, Error> {
        let Some(bytes) = self.shelf().read(FILE)? else {
            return Ok(Fires::default());
        };
        let malformed =
            |what: String| self.malformed(FILE, format!("{what}; move it away to begin anew"));
        let fires: Fires =
            serde_json::from_slice(&bytes).map_err(|why| malformed(why.to_string()))?;
        if fires.schema != Fires::SCHEMA {
            let (is, known) = (&fires.schema, Fires::SCHEMA);
            return Err(malformed(format!("schema \"{is}\" is not {known}")));
        }
        Ok(fires)
    }

    /// Remembers, durably.
    ///
    /// # Errors
    /// The state cannot be written.
    pub fn keep_fires(&self, fires: &Fires) -> Result<(), Error> {
        let bytes = serde_json::to_vec_pretty(fires).map_err(|why| self.malformed(FILE, why))?;
        Ok(self.shelf().write(FILE, &bytes)?)
    }
}
