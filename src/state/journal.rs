//! `<state>/journal/<run-id>.jsonl`: every change intended, written and synced before the call, and
//! its outcome after. A killed run leaves open intents; the next start settles them.

use super::{Error, State};
use crate::model::{
    Change, GroupReading, ListReading, Lists, Rule, Rules, RunId, SecurityGroup, Tag,
};
use crate::storage::whole_lines;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::sync::Arc;

/// One line.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "event", rename_all = "snake_case")]
pub enum Entry {
    /// About to be asked for. `number` counts from 1 in the run.
    Intent {
        /// Which change of the run.
        number: u64,
        /// When, RFC 3339 UTC.
        at: String,
        /// The idempotency token of the call.
        client_token: String,
        /// The change as far as it is known: outcome `unknown`.
        change: Box<Change>,
        /// The group as it was; with the first intent of each group.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        before: Option<Box<Before>>,
    },
    /// How it ended.
    Outcome {
        /// Which change of the run.
        number: u64,
        /// When.
        at: String,
        /// The change as it ended.
        change: Box<Change>,
    },
    /// All of it stands in a sealed run.
    Sealed {
        /// Which run has it.
        run: RunId,
    },
}

/// A group as it was before it was changed, enough to hold a later reading against it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Before {
    name: String,
    vpc_id: String,
    service_managed: Option<bool>,
    tags: Vec<Tag>,
    rules: Vec<BTreeMap<String, String>>,
    prefix_lists: BTreeMap<String, Result<Vec<String>, String>>,
    port_lists: BTreeMap<String, Result<Vec<String>, String>>,
}

impl Before {
    /// Of a reading.
    pub fn of(reading: &GroupReading) -> Self {
        let lists = |lists: &BTreeMap<String, Arc<ListReading>>| {
            lists
                .iter()
                .map(|(id, list)| (id.clone(), list.as_ref().clone()))
                .collect()
        };
        Self {
            name: reading.group.name.clone(),
            vpc_id: reading.group.vpc_id.clone(),
            service_managed: reading.group.service_managed,
            tags: reading.group.tags.clone(),
            rules: reading.rules.read.iter().map(Rule::field_map).collect(),
            prefix_lists: lists(&reading.lists.prefix),
            port_lists: lists(&reading.lists.port),
        }
    }

    /// The reading again, of a change's group.
    fn reading(self, change: &Change) -> GroupReading {
        let lists = |lists: BTreeMap<String, Result<Vec<String>, String>>| {
            lists
                .into_iter()
                .map(|(id, list)| (id, Arc::new(list)))
                .collect()
        };
        GroupReading {
            account: change.account.clone(),
            region: change.region.clone(),
            group: SecurityGroup {
                id: change.group_id.as_str().to_owned(),
                name: self.name,
                vpc_id: self.vpc_id,
                service_managed: self.service_managed,
                tags: self.tags,
                ..SecurityGroup::default()
            },
            rules: Rules {
                read: self.rules.iter().map(Rule::from_fields).collect(),
                incomplete: None,
            },
            lists: Lists {
                prefix: lists(self.prefix_lists),
                port: lists(self.port_lists),
            },
            warnings: Vec::new(),
            answers: Vec::new(),
        }
    }
}

/// A run's journal while it is being written.
#[derive(Debug)]
pub struct Journal {
    state: State,
    name: String,
}

/// A journal that no sealed run has: its run was killed.
#[derive(Clone, Debug)]
pub struct Orphan {
    /// The killed run.
    pub run: RunId,
    /// Each change as it was last known, by number.
    pub changes: Vec<(u64, Change)>,
    /// Groups as they were, by the number of the change they were noted with.
    pub before: BTreeMap<u64, GroupReading>,
}

impl Journal {
    /// Writes a line: when this returns, the line outlives the process.
    ///
    /// # Errors
    /// The state cannot be written: the call must not be made then.
    pub fn write(&mut self, entry: &Entry) -> Result<(), Error> {
        let mut line =
            serde_json::to_vec(entry).map_err(|why| self.state.malformed(&self.name, why))?;
        line.push(b'\n');
        Ok(self.state.shelf().append(&self.name, &line)?)
    }
}

const FOLDER: &str = "journal";

fn name_of(run: &str) -> String {
    format!("{FOLDER}/{run}.jsonl")
}

impl State {
    /// A run's journal, made where it is not there: a state that cannot be written says so before
    /// anything is done.
    ///
    /// # Errors
    /// The state cannot be written.
    pub fn journal(&self, run: &RunId) -> Result<Journal, Error> {
        let name = name_of(run.as_str());
        self.shelf().append(&name, b"")?;
        Ok(Journal {
            state: self.clone(),
            name,
        })
    }

    /// Whether a run has written a journal: it attempted something.
    ///
    /// # Errors
    /// The state could not be asked.
    pub fn has_journal(&self, run: &RunId) -> Result<bool, Error> {
        let bytes = self.shelf().read(&name_of(run.as_str()))?;
        Ok(bytes.is_some_and(|bytes| !bytes.is_empty()))
    }

    /// Journals that no sealed run has, oldest first.
    ///
    /// # Errors
    /// One is there and cannot be read: what it holds must not be lost.
    pub fn orphans(&self) -> Result<Vec<Orphan>, Error> {
        let mut out = Vec::new();
        for file in self.shelf().names(FOLDER)? {
            let Some(run) = file.strip_suffix(".jsonl") else {
                continue;
            };
            let bytes = self.shelf().read(&name_of(run))?.unwrap_or_default();
            let (changes, before, sealed) =
                replay(whole_lines(&bytes)).map_err(|what| self.malformed(&name_of(run), what))?;
            if !sealed && !changes.is_empty() {
                out.push(Orphan {
                    run: RunId::new(run),
                    changes,
                    before,
                });
            }
        }
        Ok(out)
    }
}

type Replayed = (Vec<(u64, Change)>, BTreeMap<u64, GroupReading>, bool);

fn replay(bytes: &[u8]) -> Result<Replayed, String> {
    let mut changes = BTreeMap::new();
    let mut befores = BTreeMap::new();
    let mut sealed = false;
    for (at, line) in bytes.split(|byte| *byte == b'\n').enumerate() {
        if line.is_empty() {
            continue;
        }
        let entry: Entry = serde_json::from_slice(line)
            .map_err(|why| format!("line {}: {why}", at.saturating_add(1)))?;
        match entry {
            Entry::Intent {
                number,
                change,
                before,
                ..
            } => {
                if let Some(before) = before {
                    befores.insert(number, before.reading(&change));
                }
                changes.insert(number, *change);
            }
            Entry::Outcome { number, change, .. } => {
                changes.insert(number, *change);
            }
            Entry::Sealed { .. } => sealed = true,
        }
    }
    Ok((changes.into_iter().collect(), befores, sealed))
}
