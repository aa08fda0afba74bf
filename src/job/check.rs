//! Tries what a job will need before it needs it, and changes nothing: credentials, clock, permissions,
//! mail, chats, watchmen, storage. What is found is data; `cli/check.rs` prints it.

mod hooks;
mod permissions;
mod secret;

pub use secret::secret;

pub use hooks::hooks;

use super::Tools;
use crate::cloud::CallFailure;
use crate::config::Schedule;
use crate::config::schedule::Accounts;
use crate::model::actions::Task;
use crate::model::{AccountId, Identity};
use crate::storage::Shelf;
use chrono::{DateTime, SecondsFormat, Utc};
use std::collections::BTreeSet;

/// How a thing that was tried stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Standing {
    /// It works.
    Works,
    /// The service did not refuse for want of permission: all that can be said without doing it.
    Indicative,
    /// It was not tried, and why not is said.
    NotTried,
    /// It is missing, and every run is complete without it.
    Optional,
    /// It is missing, or broken.
    Missing,
}

impl Standing {
    /// The word for people and scripts.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Works => "works",
            Self::Indicative => "indicative",
            Self::NotTried => "not_tried",
            Self::Optional => "optional",
            Self::Missing => "missing",
        }
    }
}

/// One thing that was tried.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Tried {
    /// `credentials`, `clock`, `accounts`, `permission`, `mail`, `webhook`, `heartbeat`, `storage`, `schedule`
    pub part: &'static str,
    /// What: a RAM action, a step, a file.
    pub what: String,
    /// How it stands.
    pub standing: Standing,
    /// What was found.
    pub found: String,
    /// What to do, where something is missing.
    pub todo: Option<String>,
}

impl Tried {
    /// Something that works.
    pub fn works(part: &'static str, what: impl Into<String>, found: impl Into<String>) -> Self {
        Self {
            part,
            what: what.into(),
            standing: Standing::Works,
            found: found.into(),
            todo: None,
        }
    }

    /// Something that is missing or broken.
    pub fn missing(
        part: &'static str,
        what: impl Into<String>,
        found: impl Into<String>,
        todo: impl Into<String>,
    ) -> Self {
        Self {
            part,
            what: what.into(),
            standing: Standing::Missing,
            found: found.into(),
            todo: Some(todo.into()),
        }
    }
}

/// The schedule that `fc` judges events of Cloud Config under, unless told otherwise.
const EVENTS: &str = "config";

/// What one schedule asks for, and in which accounts.
#[derive(Clone, Debug)]
struct Want {
    tasks: BTreeSet<Task>,
    accounts: Accounts,
}

/// What schedules ask for, together.
#[derive(Clone, Debug)]
pub struct Wanted(Vec<Want>);

/// What is asked in the program's own account, whichever the scope is.
const AT_HOME: [Task; 2] = [Task::ConfigRule, Task::Events];

impl Wanted {
    /// Of these schedules; of none: what `scan` asks for.
    pub fn of(schedules: &[Schedule]) -> Self {
        let mut out: Vec<Want> = schedules.iter().map(Want::of).collect();
        if out.is_empty() {
            out.push(Want::of_scan(Accounts::Own));
        }
        Self(out)
    }

    /// Whether the resource directory is asked for its accounts.
    pub fn directory(&self) -> bool {
        let mut scopes = self.0.iter();
        scopes.any(|want| matches!(want.accounts, Accounts::Directory))
    }

    /// Accounts named in scopes.
    pub fn accounts(&self) -> BTreeSet<AccountId> {
        let mut out = BTreeSet::new();
        for want in &self.0 {
            if let Accounts::Listed(accounts) = &want.accounts {
                out.extend(accounts.iter().cloned());
            }
        }
        out
    }

    /// The jobs that are done in an account: those of the schedules whose scope it is in, and no others.
    pub fn tasks(&self, account: &AccountId, home: &AccountId) -> BTreeSet<Task> {
        let mut out = BTreeSet::new();
        for want in &self.0 {
            let reached = match &want.accounts {
                Accounts::Own => account == home,
                // Its own account is one of the directory's.
                Accounts::Directory => true,
                Accounts::Listed(accounts) => accounts.contains(account),
            };
            for task in &want.tasks {
                let there = if AT_HOME.contains(task) {
                    account == home
                } else {
                    reached
                };
                if there {
                    out.insert(*task);
                }
            }
        }
        out
    }
}

impl Want {
    fn of_scan(accounts: Accounts) -> Self {
        Self {
            // Every run asks for the last two, and is complete without.
            tasks: BTreeSet::from([Task::Scan, Task::Attached, Task::Completeness]),
            accounts,
        }
    }

    fn of(schedule: &Schedule) -> Self {
        let mut out = Self::of_scan(schedule.scope.accounts.clone());
        let mode = schedule.remediation.mode;
        if mode.changes() {
            // The jobs that change are called like the modes.
            let named = |task: &Task| task.as_str() == mode.as_str();
            out.tasks.extend(Task::ALL.into_iter().filter(named));
            out.tasks.insert(Task::Rollback);
        }
        if schedule.remediation.config_rule.is_some() {
            out.tasks.insert(Task::ConfigRule);
        }
        if schedule.attribution {
            out.tasks.insert(Task::Attribution);
        }
        if schedule.name == EVENTS {
            out.tasks.insert(Task::Events);
        }
        out
    }
}

/// The clock's distance beyond which it is called wrong: the service refuses at 15 minutes, and evidence
/// is out of order long before.
const CLOCK: i64 = 60;

/// Who we are, the clock, and each permission that is wanted, in each account.
///
/// # Errors
/// Not even GetCallerIdentity is answered: nothing else can be tried.
pub async fn cloud(
    tools: &Tools,
    wanted: &Wanted,
    region: &str,
) -> Result<(Identity, Vec<Tried>), Box<CallFailure>> {
    let client = &tools.client;
    let identity = client.caller_identity().await?.value;
    let source = client.keys().source();
    let mut out = vec![Tried::works(
        "credentials",
        source.as_deref().unwrap_or("given"),
        match client.keys().expires() {
            Some(expires) => format!("{}, renewed before {}", identity.arn, utc(expires)),
            None => identity.arn.clone(),
        },
    )];
    if identity.kind == "Account" {
        out.push(Tried {
            part: "credentials",
            what: "the account's own key".to_owned(),
            standing: Standing::Optional,
            found: "it may do everything, and cannot assume a role".to_owned(),
            todo: Some("use a RAM user or role with a policy of deploy/ram".to_owned()),
        });
    }
    out.push(match client.clock_offset() {
        Some(offset) if offset.abs() <= CLOCK => {
            Tried::works("clock", "offset", format!("{offset} s from the service's"))
        }
        Some(offset) => Tried::missing(
            "clock",
            "offset",
            format!("{offset} s from the service's"),
            "set this machine's clock, by NTP: the service refuses what is 900 s off",
        ),
        None => Tried {
            part: "clock",
            what: "offset".to_owned(),
            standing: Standing::NotTried,
            found: "the service sends no date to compare with".to_owned(),
            todo: None,
        },
    });
    out.extend(permissions::try_all(client, wanted, &identity.account, region).await);
    Ok((identity, out))
}

/// The store of sealed runs. What is written into a bucket of evidence stays there: nobody may delete it,
/// and retention refuses whoever may. So a bucket is listed and read from, and nothing is left in it.
pub fn evidence(what: &str, shelf: &Shelf) -> Vec<Tried> {
    let Shelf::Bucket(_) = shelf else {
        return vec![storage(what, shelf)];
    };
    let shown = shelf.shown("");
    let missing = |doing: &str, why: String| {
        let todo = format!("let this identity list, read and put objects in {shown}");
        vec![Tried::missing(
            "storage",
            what,
            format!("{doing}: {why}"),
            todo,
        )]
    };
    if let Err(why) = shelf.names("runs") {
        return missing("cannot be listed", chain(&why));
    }
    // None is there, and whoever may not read is told so before that.
    if let Err(why) = shelf.read(PROBE) {
        return missing("cannot be read", chain(&why));
    }
    vec![
        Tried::works("storage", what, format!("{shown}: listed, read from")),
        Tried {
            part: "storage",
            what: format!("{what}, writing"),
            standing: Standing::NotTried,
            found: format!("what is written to {shown} stays there: the first run tries it"),
            todo: None,
        },
    ]
}

/// What is written, read back and removed again.
const PROBE: &str = "sgwarden-check.probe";

/// A file is written, read back and removed.
pub fn storage(what: &str, shelf: &Shelf) -> Tried {
    // A folder that is not there is made by the first run; what a probe made is taken away again.
    let made = match shelf {
        Shelf::Folder(root) if !root.exists() => Some(root),
        Shelf::Folder(_) | Shelf::Bucket(_) => None,
    };
    let text = b"written by sgwarden check, and removed again\n";
    let missing = |doing: &str, why: String| {
        Tried::missing(
            "storage",
            what,
            format!("{doing}: {why}"),
            format!(
                "let this user write, read and remove files in {}",
                shelf.shown("")
            ),
        )
    };
    if let Err(why) = shelf.write(PROBE, text) {
        return missing("cannot be written", chain(&why));
    }
    let read = shelf.read(PROBE);
    let removed = shelf.remove(PROBE);
    if let Some(root) = made {
        // Only where it is empty, which is all that a probe leaves.
        let _ = std::fs::remove_dir(root);
    }
    match read {
        Ok(Some(bytes)) if bytes == text => {}
        Ok(_) => return missing("is not read as it was written", "other bytes".to_owned()),
        Err(why) => return missing("cannot be read back", chain(&why)),
    }
    match removed {
        Ok(()) => Tried::works(
            "storage",
            what,
            format!("{}: written, read back, removed", shelf.shown("")),
        ),
        Err(why) => missing("a file cannot be removed", chain(&why)),
    }
}

fn chain(error: &dyn std::error::Error) -> String {
    let mut out = error.to_string();
    let mut source = error.source();
    while let Some(cause) = source {
        let text = cause.to_string();
        if !out.contains(&text) {
            out.push_str(": ");
            out.push_str(&text);
        }
        source = cause.source();
    }
    out
}

fn utc(time: DateTime<Utc>) -> String {
    time.to_rfc3339_opts(SecondsFormat::Secs, true)
}
