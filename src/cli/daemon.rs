//! `daemon`: runs every schedule of a folder at its times, until a signal ends it.

use super::exit::{Exit, Failure};
use super::folder::{self, FOLDER};
use super::signals::{self, Ends};
use super::{Global, run, setup, show};
use crate::config::schedule::{MailConfig, WebhookConfig, When};
use crate::config::{Program, Schedule};
use crate::host::daemon::{self, Hands, NotHeld};
use crate::host::health::{self, Health};
use crate::host::notify::Notify;
use crate::host::timetable::{Due, Ended, Entry};
use crate::job::{self, Job, RunOutcome, Stop};
use crate::model::{Chat, People, Recipients};
use crate::state::State;
use crate::state::lock::Lock;
use chrono::Utc;
use clap::Args;
use serde_json::json;
use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};
use tokio::signal::unix::SignalKind;
use tokio::sync::{mpsc, watch};

/// Arguments of `daemon`.
#[derive(Debug, Args)]
pub(super) struct Daemon {
    /// Where the schedules lie
    #[arg(default_value = FOLDER)]
    folder: PathBuf,
    /// Answer /healthz and /readyz there, such as 127.0.0.1:8090
    #[arg(long, value_name = "ADDR")]
    health: Option<SocketAddr>,
}

/// The lock of the one daemon of a state.
const LOCK: &str = ".daemon";

/// `sgwarden.toml` as it was when it was last right: what people are told by when it no longer is.
type LastGood = Arc<Mutex<Program>>;

impl Daemon {
    pub(super) async fn run(self, global: &Global) -> Result<Exit, Failure> {
        let mut ends = Ends::new()?;
        let hangup = signals::heard(SignalKind::hangup(), "SIGHUP")?;
        let program = setup::program(global)?;
        self.refuse_nothing_to_do(&program)?;
        let state = setup::state(&program)?;
        let lock = state.lock(LOCK, Utc::now())?;
        let fires = state.fires()?;
        let environment = setup::environment();
        let notify = Notify::new(
            environment.get("NOTIFY_SOCKET"),
            environment.get("WATCHDOG_USEC"),
            environment.get("WATCHDOG_PID"),
            std::process::id(),
        )
        .map_err(Failure::start)?;
        let (health, listener) = watch::channel(Health::default());
        if let Some(address) = self.health {
            let (bound, serving) = health::serve(address, listener).await.map_err(|why| {
                Failure::start(format!("cannot serve health on {address}: {why}"))
            })?;
            tracing::info!("health on http://{bound}/healthz and /readyz");
            tokio::spawn(serving);
        }
        let stop = Stop::default();
        let good = Arc::new(Mutex::new(program));
        let kept = Kept { good, state, lock };
        let hands = self.hands(global, kept, &stop, hangups(hangup), health, notify);
        let mut serving = std::pin::pin!(daemon::serve(hands, fires, stop.clone()));
        let served = loop {
            tokio::select! {
                served = &mut serving => break served,
                name = ends.next() => {
                    if stop.asked().is_some() {
                        return Err(signals::at_once(name));
                    }
                    tracing::info!("{name}: no new runs; once more ends at once");
                    stop.ask(name);
                }
            }
        };
        if let Some(by) = served.taken {
            return Err(Failure::start(format!(
                "this is no longer the one daemon of its state, and it has ended: its lock was taken by {by}"
            )));
        }
        let why = stop.asked().unwrap_or_default();
        show::answer(
            global,
            &json!({ "ended": why, "runs": served.runs, "failed": served.failed }),
            &[format!(
                "ended by {why}: {} runs, {} of them with another code than 0",
                served.runs, served.failed
            )],
        );
        Ok(Exit::Done)
    }

    /// A folder without one schedule that is right is a mistake of whoever starts the daemon; later
    /// on it is news, and the daemon stays.
    fn refuse_nothing_to_do(&self, program: &Program) -> Result<(), Failure> {
        let listed = folder::read(&self.folder, Some(program))?;
        if listed.iter().any(|one| one.schedule.is_ok()) {
            return Ok(());
        }
        let mut lines = vec![format!(
            "no schedule in {} can be run",
            self.folder.display()
        )];
        for problems in listed.iter().filter_map(|one| one.schedule.as_ref().err()) {
            lines.push(problems.to_string());
        }
        Err(Failure::usage(lines.join("\n")))
    }

    fn hands(
        self,
        global: &Global,
        kept: Kept,
        stop: &Stop,
        again: mpsc::Receiver<()>,
        health: watch::Sender<Health>,
        notify: Notify,
    ) -> Hands {
        let Kept { good, state, lock } = kept;
        let folder = self.folder;
        let stamped = folder.clone();
        let reader = {
            let (global, folder, good) = (global.clone(), folder.clone(), Arc::clone(&good));
            move || entries(&global, &folder, &good)
        };
        let runner = {
            let (global, stop) = (global.clone(), stop.clone());
            move |due: &Due| -> daemon::Running {
                let file = folder.join(format!("{}.toml", due.name));
                let people = Told {
                    global: global.clone(),
                    good: Arc::clone(&good),
                    schedule: addressed(due),
                };
                if let Some(why) = due.lost.clone() {
                    return Box::pin(lost(people, why));
                }
                Box::pin(one(people, file, stop.clone()))
            }
        };
        Hands {
            held: Box::new(move || held(&lock)),
            stamp: Box::new(move || folder::stamp(&stamped)),
            read: Box::new(reader),
            run: Box::new(runner),
            keep: Box::new(move |fires| {
                state
                    .keep_fires(fires)
                    .map_err(|why| Failure::from(why).message)
            }),
            now: Utc::now,
            again,
            health,
            notify,
        }
    }
}

/// What a daemon has from its start: the configuration, the state, the lock of its one daemon.
struct Kept {
    good: LastGood,
    state: State,
    lock: Lock,
}

fn held(lock: &Lock) -> Result<(), NotHeld> {
    let Err(why) = lock.check() else {
        return Ok(());
    };
    match lock.taken_by() {
        Ok(Some(by)) => Err(NotHeld::Taken(by)),
        // One that could not be renewed in time is renewed when its store is back, if nobody took it.
        Ok(None) | Err(_) => Err(NotHeld::Unsure(Failure::from(why).message)),
    }
}

/// Hang-ups, as a channel: one that waits already says it all.
fn hangups(mut hangup: tokio::signal::unix::Signal) -> mpsc::Receiver<()> {
    let (sender, receiver) = mpsc::channel(1);
    tokio::spawn(async move {
        while hangup.recv().await.is_some() {
            if sender.send(()).await.is_err() {
                break;
            }
        }
    });
    receiver
}

/// The folder as the timetable takes it.
fn entries(
    global: &Global,
    folder: &std::path::Path,
    good: &LastGood,
) -> Result<BTreeMap<String, Entry>, String> {
    // A broken sgwarden.toml breaks every run, and each run says so at its time. Until then the files that
    // schedules name are looked for where they were.
    let program = program_or(global, good);
    let listed = folder::read(folder, Some(&program)).map_err(|failure| failure.message)?;
    let mut entries = BTreeMap::new();
    for one in listed {
        let entry = match one.schedule {
            Ok(schedule) => Entry::Good {
                people: people_of(&schedule),
                zone: schedule.timezone,
                cron: schedule.cron,
            },
            Err(problems) => Entry::Broken(problems.to_string()),
        };
        entries.insert(one.name, entry);
    }
    Ok(entries)
}

/// `sgwarden.toml` as it is, or else as it was last right.
fn program_or(global: &Global, good: &LastGood) -> Program {
    let now = setup::program(global);
    let mut good = good.lock().unwrap_or_else(PoisonError::into_inner);
    if let Ok(now) = now {
        *good = now;
    }
    good.clone()
}

/// Whom a schedule names, as the state keeps it. A restart may have another working directory.
fn people_of(schedule: &Schedule) -> People {
    let mails = schedule.mails.iter().map(|mail| Recipients {
        to: mail.to.clone(),
        cc: mail.cc.clone(),
        reply_to: mail.reply_to.clone(),
    });
    let chats = schedule.webhooks.iter().map(|hook| Chat {
        kind: hook.kind,
        url_file: std::path::absolute(&hook.url_file).unwrap_or_else(|_| hook.url_file.clone()),
    });
    People {
        mails: mails.collect(),
        chats: chats.collect(),
    }
}

/// The schedule that is due as far as its people go. Everybody hears of a run that could not start, whatever
/// their `when` and `route` say.
fn addressed(due: &Due) -> Schedule {
    let mails = due.people.mails.iter().map(|mail| MailConfig {
        to: mail.to.clone(),
        cc: mail.cc.clone(),
        reply_to: mail.reply_to.clone(),
        ..MailConfig::default()
    });
    let webhooks = due.people.chats.iter().map(|chat| WebhookConfig {
        kind: chat.kind,
        url_file: chat.url_file.clone(),
        when: When::default(),
        route: None,
    });
    Schedule {
        mails: mails.collect(),
        webhooks: webhooks.collect(),
        ..Schedule::defaults(&due.name)
    }
}

/// Those who are told of a run that could not start, and by what.
struct Told {
    global: Global,
    good: LastGood,
    schedule: Schedule,
}

impl Told {
    async fn tell(&self, why: &str, stop: &Stop) {
        let program = program_or(&self.global, &self.good);
        if self.schedule.mails.is_empty() && self.schedule.webhooks.is_empty() {
            tracing::error!(
                schedule = %self.schedule.name,
                "nobody is told that the run could not start: no [[mail]] and no [[webhook]] of the schedule is known"
            );
        }
        let none = job::NoReport::not_started(why);
        run::tell(&self.global, &program, &self.schedule, none, stop).await;
    }
}

/// One run, as `run --schedule` would do it: files, credentials and passwords are read anew, so that
/// what was changed or renewed since the daemon began counts.
async fn one(people: Told, file: PathBuf, stop: Stop) -> Ended {
    match begin(&people.global, &file, &stop).await {
        Ok(outcome) => Ended {
            exit: Exit::of(&outcome, None).code(),
            run: Some(outcome.sealed.run.as_str().to_owned()),
            problem: None,
            stopped: outcome.cut_short(),
        },
        Err(failure) => {
            if failure.exit == Exit::Usage {
                // At a terminal somebody would read it; here its people must be told.
                people.tell(&failure.message, &stop).await;
            }
            Ended {
                exit: failure.exit.code(),
                run: None,
                problem: Some(failure.message),
                stopped: stop.asked().is_some(),
            }
        }
    }
}

/// A time whose run is given up.
async fn lost(people: Told, why: String) -> Ended {
    people.tell(&why, &Stop::default()).await;
    Ended {
        exit: Exit::NotStarted.code(),
        run: None,
        problem: Some(why),
        stopped: false,
    }
}

async fn begin(
    global: &Global,
    file: &std::path::Path,
    stop: &Stop,
) -> Result<RunOutcome, Failure> {
    let (program, schedule) = setup::program_and_schedule(global, file)?;
    let job = Job {
        command: "daemon".to_owned(),
        schedule,
        copies: None,
    };
    let outcome = run::whole(global, &program, &job, stop).await?;
    job::heartbeat(&job.schedule, Exit::of(&outcome, None).code(), stop).await;
    Ok(outcome)
}
