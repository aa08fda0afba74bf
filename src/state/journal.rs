//! `<state>/journal/<run-id>.jsonl`: every change intended, written and synced before the call, and
//! its outcome after. A killed run leaves open intents; the next start settles them.

use super::{Error, State};
use crate::evidence::seal::sync_folder;
use crate::model::{
    Change, GroupReading, ListReading, Lists, Rule, Rules, RunId, SecurityGroup, Tag,
};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::fs::{self, File, OpenOptions};
use std::io::Write as _;
use std::path::PathBuf;
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
    file: File,
    path: PathBuf,
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
    /// Writes a line and syncs it: when this returns, the line outlives the process.
    ///
    /// # Errors
    /// The state cannot be written: the call must not be made then.
    pub fn write(&mut self, entry: &Entry) -> Result<(), Error> {
        let mut line = serde_json::to_vec(entry).map_err(|why| Error::Malformed {
            path: self.path.clone(),
            what: why.to_string(),
        })?;
        line.push(b'\n');
        self.file
            .write_all(&line)
            .and_then(|()| self.file.sync_all())
            .map_err(Error::io("write", &self.path))
    }
}

impl State {
    /// Opens a run's journal, made where it is not there.
    ///
    /// # Errors
    /// The state cannot be written.
    pub fn journal(&self, run: &RunId) -> Result<Journal, Error> {
        let folder = self.folder("journal")?;
        let path = folder.join(format!("{run}.jsonl"));
        let file = open_whole_lines(&path)?;
        sync_folder(&folder)?;
        Ok(Journal { file, path })
    }

    /// Whether a run has written a journal: it attempted something.
    pub fn has_journal(&self, run: &RunId) -> bool {
        let path = self.root().join("journal").join(format!("{run}.jsonl"));
        fs::metadata(path).is_ok_and(|meta| meta.len() > 0)
    }

    /// Journals that no sealed run has, oldest first.
    ///
    /// # Errors
    /// One is there and cannot be read: what it holds must not be lost.
    pub fn orphans(&self) -> Result<Vec<Orphan>, Error> {
        let folder = self.root().join("journal");
        if !folder.is_dir() {
            return Ok(Vec::new());
        }
        let mut names = Vec::new();
        for entry in fs::read_dir(&folder).map_err(Error::io("list", &folder))? {
            let entry = entry.map_err(Error::io("list", &folder))?;
            let name = entry.file_name().to_string_lossy().into_owned();
            if let Some(run) = name.strip_suffix(".jsonl") {
                names.push(run.to_owned());
            }
        }
        names.sort();
        let mut out = Vec::new();
        for name in names {
            let path = folder.join(format!("{name}.jsonl"));
            let bytes = fs::read(&path).map_err(Error::io("read", &path))?;
            let (changes, before, sealed) = replay(&path, whole_lines(&bytes))?;
            if !sealed && !changes.is_empty() {
                out.push(Orphan {
                    run: RunId::new(name),
                    changes,
                    before,
                });
            }
        }
        Ok(out)
    }
}

/// The lines that were written to their end. A torn last one was not synced: its call was not made.
pub(super) fn whole_lines(bytes: &[u8]) -> &[u8] {
    let end = bytes
        .iter()
        .rposition(|byte| *byte == b'\n')
        .map_or(0, |at| at.saturating_add(1));
    bytes.get(..end).unwrap_or_default()
}

/// Opens a file of lines to add to; a torn last line is cut off, so that none is glued to it.
pub(super) fn open_whole_lines(path: &std::path::Path) -> Result<File, Error> {
    let file = OpenOptions::new()
        .create(true)
        .append(true)
        .open(path)
        .map_err(Error::io("open", path))?;
    let bytes = fs::read(path).map_err(Error::io("read", path))?;
    let whole = whole_lines(&bytes).len();
    if whole < bytes.len() {
        file.set_len(u64::try_from(whole).unwrap_or(0))
            .and_then(|()| file.sync_all())
            .map_err(Error::io("mend", path))?;
    }
    Ok(file)
}

type Replayed = (Vec<(u64, Change)>, BTreeMap<u64, GroupReading>, bool);

fn replay(path: &std::path::Path, bytes: &[u8]) -> Result<Replayed, Error> {
    let mut changes = BTreeMap::new();
    let mut befores = BTreeMap::new();
    let mut sealed = false;
    for (at, line) in bytes.split(|byte| *byte == b'\n').enumerate() {
        if line.is_empty() {
            continue;
        }
        let entry = match serde_json::from_slice::<Entry>(line) {
            Ok(entry) => entry,
            Err(why) => {
                return Err(Error::Malformed {
                    path: path.to_owned(),
                    what: format!("line {}: {why}", at.saturating_add(1)),
                });
            }
        };
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
