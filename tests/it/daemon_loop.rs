//! The daemon's loop with hands of a test: a clock that can be set, a folder that needs no disk, and no
//! waiting, since tokio's own clock is paused and goes on by itself.

use chrono::{DateTime, TimeDelta, Utc};
use sgwarden::host::daemon::{Hands, NotHeld, Served, serve};
use sgwarden::host::health::Health;
use sgwarden::host::next_fire::Cron;
use sgwarden::host::notify::Notify;
use sgwarden::host::timetable::{Ended, Entry};
use sgwarden::job::Stop;
use sgwarden::model::{Fires, People};
use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;
use tokio::sync::{mpsc, watch};
use tokio::task::JoinHandle;
use tokio::time::Instant;

/// What a test sets, and what it sees.
#[derive(Default)]
struct World {
    /// The folder, as it is read.
    folder: BTreeMap<String, Entry>,
    /// How often it was read.
    reads: usize,
    /// Runs begun, by the time they were due.
    runs: Vec<(String, DateTime<Utc>)>,
    /// What was kept last.
    kept: Fires,
    /// Whose the state is.
    held: Option<NotHeld>,
}

/// A daemon of a test.
struct Loop {
    world: Arc<Mutex<World>>,
    health: watch::Receiver<Health>,
    stop: Stop,
    serving: JoinHandle<Served>,
}

tokio::task_local! {
    /// When the test began, and how far the clock was set from there.
    static CLOCK: (Instant, Arc<Mutex<TimeDelta>>);
}

/// The clock: it goes as tokio's does, from where it was set.
fn now() -> DateTime<Utc> {
    CLOCK.with(|(begun, set)| {
        let gone = TimeDelta::from_std(begun.elapsed()).expect("a short test");
        start() + gone + *set.lock().unwrap_or_else(PoisonError::into_inner)
    })
}

fn start() -> DateTime<Utc> {
    "2026-11-10T00:00:30Z".parse().expect("a moment")
}

fn every_minute() -> Entry {
    Entry::Good {
        cron: Some(Cron::parse("* * * * *").expect("a cron")),
        zone: chrono_tz::Tz::UTC,
        people: People::default(),
    }
}

impl Loop {
    fn start(folder: &[(&str, Entry)], clock: &Arc<Mutex<TimeDelta>>) -> Self {
        let folder = folder
            .iter()
            .map(|(name, entry)| ((*name).to_owned(), entry.clone()))
            .collect();
        let world = Arc::new(Mutex::new(World {
            folder,
            ..World::default()
        }));
        let stop = Stop::default();
        let (sender, health) = watch::channel(Health::default());
        let (_, again) = mpsc::channel(1);
        let seen = |change: fn(&mut World)| {
            let world = Arc::clone(&world);
            move || change(&mut world.lock().unwrap_or_else(PoisonError::into_inner))
        };
        let read = {
            let (world, count) = (Arc::clone(&world), seen(|world| world.reads += 1));
            move || {
                count();
                Ok(world
                    .lock()
                    .unwrap_or_else(PoisonError::into_inner)
                    .folder
                    .clone())
            }
        };
        let (runs, kept, held) = (Arc::clone(&world), Arc::clone(&world), Arc::clone(&world));
        let hands = Hands {
            held: Box::new(move || {
                let world = held.lock().unwrap_or_else(PoisonError::into_inner);
                world.held.clone().map_or(Ok(()), Err)
            }),
            stamp: Box::new(|| Ok("it never changes".to_owned())),
            read: Box::new(read),
            run: Box::new(move |due| {
                let mut world = runs.lock().unwrap_or_else(PoisonError::into_inner);
                world.runs.push((due.name.clone(), due.time));
                Box::pin(async {
                    Ended {
                        exit: 0,
                        run: Some("run".to_owned()),
                        problem: None,
                        stopped: false,
                    }
                })
            }),
            keep: Box::new(move |fires| {
                kept.lock().unwrap_or_else(PoisonError::into_inner).kept = fires.clone();
                Ok(())
            }),
            now,
            again,
            health: sender,
            notify: Notify::new(None, None, None, 0).expect("nobody to tell"),
        };
        let clock = (Instant::now(), Arc::clone(clock));
        let serving = serve(hands, Fires::default(), stop.clone());
        Self {
            world,
            health,
            stop,
            serving: tokio::spawn(CLOCK.scope(clock, serving)),
        }
    }

    fn see<T>(&self, what: impl Fn(&mut World) -> T) -> T {
        what(&mut self.world.lock().unwrap_or_else(PoisonError::into_inner))
    }

    async fn end(self) -> Served {
        self.stop.ask("the test is over");
        self.serving.await.expect("it ends")
    }
}

#[tokio::test(start_paused = true)]
async fn a_clock_that_was_set_ahead_and_back_silences_nothing() {
    let clock = Arc::new(Mutex::new(TimeDelta::zero()));
    let daemon = Loop::start(&[("a", every_minute())], &clock);
    tokio::time::sleep(Duration::from_secs(60)).await;
    assert_eq!(daemon.see(|world| world.runs.len()), 1);
    *clock.lock().expect("the clock") = TimeDelta::days(30);
    tokio::time::sleep(Duration::from_secs(60)).await;
    let ahead = daemon.see(|world| world.runs.clone());
    assert!(ahead.len() > 1, "{ahead:?}");
    assert!(daemon.see(|world| world.kept.schedules["a"].after) > start() + TimeDelta::days(29));

    *clock.lock().expect("the clock") = TimeDelta::zero();
    tokio::time::sleep(Duration::from_secs(120)).await;
    let back = daemon.see(|world| world.runs.clone());
    assert!(back.len() > ahead.len(), "nothing is run: {back:?}");
    let last = back.last().expect("a run").1;
    assert!(last < start() + TimeDelta::minutes(6), "{last}");
    assert!(daemon.see(|world| world.kept.schedules["a"].after) < start() + TimeDelta::minutes(6));
    let next = daemon.health.borrow().schedules[0].next;
    assert!(
        next.is_some_and(|next| next < start() + TimeDelta::minutes(7)),
        "{next:?}"
    );
    assert_eq!(daemon.see(|world| world.reads), 1, "the folder stood still");
    daemon.end().await;
}

#[tokio::test(start_paused = true)]
async fn a_schedule_that_is_repaired_elsewhere_is_run_though_its_folder_stands_still() {
    let clock = Arc::new(Mutex::new(TimeDelta::zero()));
    let broken = Entry::Broken("policy.waivers: w.toml: No such file".to_owned());
    let folder = [("a", broken), ("b", every_minute())];
    let daemon = Loop::start(&folder, &clock);
    tokio::time::sleep(Duration::from_secs(150)).await;
    assert!(daemon.see(|world| world.runs.iter().all(|(name, _)| name == "b")));
    let reads = daemon.see(|world| world.reads);
    assert!(
        (2..=4).contains(&reads),
        "read {reads} times in 150 seconds"
    );

    daemon.see(|world| world.folder.insert("a".to_owned(), every_minute()));
    tokio::time::sleep(Duration::from_secs(150)).await;
    assert!(daemon.see(|world| world.runs.iter().any(|(name, _)| name == "a")));
    assert!(
        daemon
            .health
            .borrow()
            .schedules
            .iter()
            .all(|one| one.problem.is_none())
    );

    // Nothing is wrong any more: the folder's stamp alone counts.
    let reads = daemon.see(|world| world.reads);
    tokio::time::sleep(Duration::from_secs(300)).await;
    assert_eq!(daemon.see(|world| world.reads), reads);
    daemon.end().await;
}

#[tokio::test(start_paused = true)]
async fn a_daemon_whose_state_another_has_begins_nothing_keeps_nothing_and_ends() {
    let clock = Arc::new(Mutex::new(TimeDelta::zero()));
    let daemon = Loop::start(&[("a", every_minute())], &clock);
    tokio::time::sleep(Duration::from_secs(60)).await;
    assert_eq!(daemon.see(|world| world.runs.len()), 1);

    // While that cannot be told it waits, says so, and makes up for it.
    daemon.see(|world| world.held = Some(NotHeld::Unsure("the bucket is away".to_owned())));
    tokio::time::sleep(Duration::from_secs(180)).await;
    assert_eq!(daemon.see(|world| world.runs.len()), 1);
    let not_ready = daemon.health.borrow().not_ready.clone();
    assert_eq!(not_ready.as_deref(), Some("the bucket is away"));
    daemon.see(|world| world.held = None);
    tokio::time::sleep(Duration::from_secs(15)).await;
    let runs = daemon.see(|world| world.runs.clone());
    assert_eq!(runs.len(), 2, "{runs:?}");
    assert_eq!(daemon.health.borrow().not_ready, None);

    let kept = daemon.see(|world| world.kept.clone());
    daemon.see(|world| world.held = Some(NotHeld::Taken("process 7 on b".to_owned())));
    let ended = tokio::time::timeout(Duration::from_secs(120), daemon.serving).await;
    let served = ended.expect("by itself").expect("in order");
    assert_eq!(served.taken.as_deref(), Some("process 7 on b"));
    assert_eq!(served.runs, 2);
    let world = daemon.world.lock().unwrap_or_else(PoisonError::into_inner);
    assert_eq!(world.runs.len(), 2);
    assert_eq!(world.kept, kept);
}
