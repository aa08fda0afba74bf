//! The daemon: starts each schedule's run at its times, one run at a time. Two runs at once would share
//! one account's limit of calls and be no faster, and two that change would be in each other's way; a
//! schedule whose time comes meanwhile waits for its turn. What is due is decided in `timetable`; what
//! a run is, and where schedules and memory lie, is told by who starts it.

use super::health::{Health, ScheduleHealth};
use super::notify::Notify;
use super::timetable::{Due, Ended, Entry, Timetable};
use crate::job::Stop;
use crate::model::Fires;
use chrono::{DateTime, Utc};
use std::collections::BTreeMap;
use std::pin::Pin;
use std::time::Duration;
use tokio::sync::{mpsc, watch};
use tokio::task::{JoinError, JoinSet};
use tokio::time::Instant;

/// How often the folder is looked at. Also how soon a clock that was set, or a machine that woke up, is
/// noticed: the monotonic clock that waits are made of stands still while a machine sleeps.
const LOOK: Duration = Duration::from_secs(1);

/// How often a schedule that is broken, or a folder that could not be read, is tried again though the
/// folder's stamp is the same: what is wrong may lie in a file elsewhere that it names.
const AGAIN: Duration = Duration::from_secs(60);

/// How long nothing is begun after it could not be found out whose the state is.
const UNSURE: Duration = Duration::from_secs(10);

/// Why a daemon may do nothing under its lock.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum NotHeld {
    /// Another process took it; who.
    Taken(String),
    /// It cannot be told now, and may be ours later.
    Unsure(String),
}

/// A run under way.
pub type Running = Pin<Box<dyn Future<Output = Ended> + Send>>;

/// Reads the folder's schedules.
pub type Read = Box<dyn Fn() -> Result<BTreeMap<String, Entry>, String> + Send>;

/// Writes down what is to outlive the process.
pub type Keep = Box<dyn Fn(&Fires) -> Result<(), String> + Send>;

/// What the daemon asks of those who start it.
pub struct Hands {
    /// Something that differs when the folder does; cheap.
    pub stamp: Box<dyn Fn() -> Result<String, String> + Send>,
    /// The folder's schedules.
    pub read: Read,
    /// Runs a schedule to its end, whatever that is.
    pub run: Box<dyn Fn(&Due) -> Running + Send>,
    /// Remembers.
    pub keep: Keep,
    /// Whether this is still the one daemon of its state. A lease runs out while a process is stopped, or
    /// its bucket cannot be reached, and another daemon takes it.
    pub held: Box<dyn Fn() -> Result<(), NotHeld> + Send>,
    /// The clock.
    pub now: fn() -> DateTime<Utc>,
    /// Asks to read the folder again (SIGHUP).
    pub again: mpsc::Receiver<()>,
    /// Told how it is.
    pub health: watch::Sender<Health>,
    /// Told how it is, by systemd's protocol.
    pub notify: Notify,
}

/// What the daemon did.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Served {
    /// Runs begun.
    pub runs: u64,
    /// Of them, ended with another code than 0 and 1.
    pub failed: u64,
    /// Who took its state from it, where that is why it ended.
    pub taken: Option<String>,
}

struct Daemon {
    hands: Hands,
    table: Timetable,
    /// The folder's stamp as it was read, and as it was seen last.
    read: String,
    seen: String,
    /// When the folder was read, or tried, last.
    tried: Instant,
    not_ready: Option<String>,
    /// Why and since when it is not known whether the state is ours.
    unsure: Option<(String, Instant)>,
    stop: Stop,
    tasks: JoinSet<Ended>,
    served: Served,
    told: String,
}

/// Serves until it is asked to stop; then waits for the run at hand, which was asked too.
pub async fn serve(hands: Hands, fires: Fires, stop: Stop) -> Served {
    let mut daemon = Daemon {
        hands,
        table: Timetable::new(fires),
        read: String::new(),
        seen: String::new(),
        tried: Instant::now(),
        not_ready: None,
        unsure: None,
        stop: stop.clone(),
        tasks: JoinSet::new(),
        served: Served::default(),
        told: String::new(),
    };
    daemon.reload("start");
    daemon.tell();
    let status = daemon.told.clone();
    daemon.hands.notify.ready(&status);
    while stop.asked().is_none() {
        if !daemon.hesitates()
            && let Some(due) = daemon.table.due((daemon.hands.now)())
        {
            daemon.begin(&due);
        }
        daemon.tell();
        let wait = daemon.wait();
        tokio::select! {
            biased;
            _ = stop.wait() => break,
            Some(done) = daemon.tasks.join_next() => daemon.end(done),
            Some(()) = daemon.hands.again.recv() => daemon.reload("SIGHUP"),
            () = tokio::time::sleep(wait) => daemon.look(),
        }
    }
    daemon.finish().await;
    daemon.served
}

impl Daemon {
    /// Until the next time, or the next look.
    fn wait(&self) -> Duration {
        let watchdog = self.hands.notify.watchdog();
        let look = watchdog.map_or(LOOK, |limit| LOOK.min(limit / 3));
        // A time that has come and may not be begun is no reason to spin.
        if self.table.running().is_some() || self.unsure.is_some() {
            return look;
        }
        let now = (self.hands.now)();
        self.table
            .soonest()
            .and_then(|time| time.signed_duration_since(now).to_std().ok())
            .map_or(look, |until| look.min(until))
    }

    /// Reads the folder again where it changed and then stood still for one look: an editor that is
    /// just writing makes no broken schedule.
    fn look(&mut self) {
        self.follow_clock();
        let stamp = self.stamp();
        if stamp == self.read {
            self.try_again();
        } else if stamp == self.seen {
            self.reload("the folder changed");
        }
        self.seen = stamp;
    }

    /// Reads what was wrong once more, from time to time. Where it is as it was, nothing is said anew.
    fn try_again(&mut self) {
        let broken = |entries: &BTreeMap<String, Entry>| -> Vec<(String, String)> {
            let broken = entries.iter().filter_map(|(name, entry)| match entry {
                Entry::Broken(why) => Some((name.clone(), why.clone())),
                Entry::Good { .. } => None,
            });
            broken.collect()
        };
        let known = broken(self.table.entries());
        let wrong = self.not_ready.is_some() || !known.is_empty();
        if !wrong || self.tried.elapsed() < AGAIN {
            return;
        }
        self.tried = Instant::now();
        let changed = match (self.hands.read)() {
            Ok(entries) => self.not_ready.is_some() || broken(&entries) != known,
            Err(why) => self.not_ready.as_ref() != Some(&why),
        };
        if changed {
            self.reload("what was wrong changed");
        }
    }

    /// The folder stands still when a clock is set.
    fn follow_clock(&mut self) {
        let notes = self.table.follow_clock((self.hands.now)());
        if notes.is_empty() {
            return;
        }
        for note in notes {
            tracing::warn!("{note}");
        }
        self.keep();
    }

    fn stamp(&self) -> String {
        (self.hands.stamp)().unwrap_or_else(|why| why)
    }

    fn reload(&mut self, because: &str) {
        self.read = self.stamp();
        self.tried = Instant::now();
        let now = (self.hands.now)();
        let entries = match (self.hands.read)() {
            Ok(entries) => {
                self.not_ready = None;
                entries
            }
            Err(why) => {
                // Nobody said that the schedules are gone: they go on as they were.
                tracing::error!(%because, "{why}; the schedules stay as they were");
                self.not_ready = Some(why);
                return;
            }
        };
        for note in self.table.take(entries, now) {
            tracing::warn!("{note}");
        }
        self.keep();
        tracing::info!(schedules = self.table.entries().len(), %because, "schedules read");
        for (name, entry) in self.table.entries() {
            match (entry, self.table.next(name)) {
                (Entry::Broken(why), _) => {
                    tracing::error!(schedule = %name, "not run until it is right: {why}");
                }
                (Entry::Good { .. }, Some(next)) => {
                    tracing::info!(schedule = %name, %next, "waits for its time");
                }
                (Entry::Good { .. }, None) => {
                    tracing::info!(schedule = %name, "has no cron: only `run --schedule` starts it");
                }
            }
        }
    }

    /// Asked before each thing that two daemons of one state must not do. Once another has it, this one
    /// ends; the run at hand is asked to stop.
    fn is_ours(&mut self) -> bool {
        if self.served.taken.is_some() {
            return false;
        }
        match (self.hands.held)() {
            Ok(()) => {
                if self.unsure.take().is_some() {
                    tracing::info!("the state is this daemon's for certain again");
                }
                true
            }
            Err(NotHeld::Taken(by)) => {
                tracing::error!(%by, "another process has taken the lock of the one daemon of this state");
                self.stop.ask("another daemon has its state");
                self.served.taken = Some(by);
                false
            }
            Err(NotHeld::Unsure(why)) => {
                tracing::error!(
                    "nothing is begun: whether the state is this daemon's is not known: {why}"
                );
                self.unsure = Some((why, Instant::now()));
                false
            }
        }
    }

    fn hesitates(&self) -> bool {
        let since = self.unsure.as_ref().map(|(_, since)| since.elapsed());
        since.is_some_and(|since| since < UNSURE)
    }

    fn keep(&mut self) {
        if self.is_ours() {
            self.write();
        } else if self.served.taken.is_none() {
            tracing::error!("nothing was kept: after a restart a time may be run twice");
        }
    }

    fn write(&self) {
        if let Err(why) = (self.hands.keep)(self.table.fires()) {
            tracing::error!(
                "{why}; after a restart a time may be run twice, or not be made up for"
            );
        }
    }

    fn begin(&mut self, due: &Due) {
        if !self.is_ours() {
            return;
        }
        let now = (self.hands.now)();
        self.table.begin(due, now);
        // Before the run: one that takes the machine down with it is not begun without an end.
        self.write();
        let late = now.signed_duration_since(due.time).num_seconds();
        tracing::info!(schedule = %due.name, due = %due.time, late_s = late, again = due.again, "begins");
        let run = (self.hands.run)(due);
        self.tasks.spawn(run);
        self.served.runs = self.served.runs.saturating_add(1);
    }

    fn end(&mut self, done: Result<Ended, JoinError>) {
        let name = self.table.running().unwrap_or_default().to_owned();
        let ended = done.unwrap_or_else(|why| Ended {
            exit: 6,
            run: None,
            problem: Some(format!("a bug: {why}")),
            stopped: false,
        });
        let run = ended.run.as_deref().unwrap_or("none");
        match (ended.exit, &ended.problem) {
            (0 | 1, _) => tracing::info!(schedule = %name, exit = ended.exit, %run, "ended"),
            (exit, None) => tracing::warn!(schedule = %name, exit, %run, "ended"),
            (exit, Some(why)) => tracing::error!(schedule = %name, exit, %run, "ended: {why}"),
        }
        if !matches!(ended.exit, 0 | 1) {
            self.served.failed = self.served.failed.saturating_add(1);
        }
        if let Some(time) = self.table.end(ended, (self.hands.now)()) {
            tracing::warn!(schedule = %name, %time, "its own time came while it ran, and is passed over");
        }
        self.keep();
    }

    /// No new runs; the one at hand comes to its end.
    async fn finish(&mut self) {
        self.not_ready = Some("stopping".to_owned());
        tracing::info!(
            running = self.table.running().unwrap_or("nothing"),
            "stopping"
        );
        self.tell();
        self.hands.notify.stopping("stopping");
        loop {
            let wait = self.wait();
            tokio::select! {
                done = self.tasks.join_next() => match done {
                    Some(done) => self.end(done),
                    None => break,
                },
                () = tokio::time::sleep(wait) => self.tell(),
            }
        }
        tracing::info!("stopped");
    }

    /// Health, and systemd.
    fn tell(&mut self) {
        let schedules: Vec<ScheduleHealth> = self
            .table
            .entries()
            .iter()
            .map(|(name, entry)| ScheduleHealth {
                name: name.clone(),
                next: self.table.next(name),
                running: self.table.running() == Some(name),
                last: (self.table.fires().schedules.get(name)).and_then(|fired| fired.last.clone()),
                problem: match entry {
                    Entry::Broken(why) => Some(why.clone()),
                    Entry::Good { .. } => None,
                },
            })
            .collect();
        let status = match (self.table.running(), self.table.soonest()) {
            (Some(name), _) => format!("running {name}"),
            (None, Some(time)) => format!("next run at {time}"),
            (None, None) => "no schedule has a time".to_owned(),
        };
        self.hands.health.send_replace(Health {
            looked: Instant::now(),
            not_ready: (self.not_ready.clone())
                .or_else(|| self.unsure.as_ref().map(|(why, _)| why.clone())),
            schedules,
        });
        self.hands.notify.alive();
        if status != self.told {
            self.hands.notify.status(&status);
            self.told = status;
        }
    }
}
