//! `<state>/rules.jsonl`: what was done to which rule, so that a rule that keeps coming back is
//! noticed and one that was put back is left alone. A rule is known by what it says, not by its id:
//! the service gives a new id each time.

use super::{Error, State};
use crate::model::{GroupId, RegionId};
use crate::storage::whole_lines;
use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};

/// What was done to a rule.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct RuleNote {
    /// When.
    pub at: DateTime<Utc>,
    /// The account.
    pub account: String,
    /// The region.
    pub region: RegionId,
    /// The group.
    pub group_id: GroupId,
    /// What the rule says; see `remedy::said`.
    pub rule: String,
    /// The run that did it: a note that is written again counts once.
    pub run: String,
    /// What was done.
    pub what: Done,
}

/// What was done.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Done {
    /// Revoked and verified.
    Revoked,
    /// Put back by a rollback; not to be revoked before that time.
    RestoredUntil(DateTime<Utc>),
}

const NOTES: &str = "rules.jsonl";

impl State {
    /// Adds notes, synced.
    ///
    /// # Errors
    /// The state cannot be written.
    pub fn note_rules(&self, notes: &[RuleNote]) -> Result<(), Error> {
        if notes.is_empty() {
            return Ok(());
        }
        let mut bytes = Vec::new();
        for note in notes {
            let line = serde_json::to_vec(note).map_err(|why| self.malformed(NOTES, why))?;
            bytes.extend(line);
            bytes.push(b'\n');
        }
        Ok(self.shelf().append(NOTES, &bytes)?)
    }

    /// All notes.
    ///
    /// # Errors
    /// They are there and cannot be read: a hold must not be lost.
    pub fn rule_notes(&self) -> Result<Vec<RuleNote>, Error> {
        let bytes = self.shelf().read(NOTES)?.unwrap_or_default();
        whole_lines(&bytes)
            .split(|byte| *byte == b'\n')
            .enumerate()
            .filter(|(_, line)| !line.is_empty())
            .map(|(at, line)| {
                serde_json::from_slice(line).map_err(|why| {
                    self.malformed(NOTES, format!("line {}: {why}", at.saturating_add(1)))
                })
            })
            .collect()
    }
}
