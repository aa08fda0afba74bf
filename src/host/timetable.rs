//! Which schedule is due, given what is remembered; pure. A time that was missed, because the machine
//! slept or the daemon was not there, is made up for once, however many were missed; so is a run that
//! was cut off. Times that come while the same schedule runs are passed over.

use super::next_fire::Cron;
use crate::model::{AtHand, Fired, Fires, LastFire, People};
use chrono::{DateTime, TimeDelta, Utc};
use chrono_tz::Tz;
use std::collections::BTreeMap;

/// How often a run is begun for one time. A second cut-off is hardly a coincidence: a third try would
/// be cut off too, and so on without an end. Instead its people are told.
const TRIES: u32 = 2;

/// How far ahead of the clock the memory may be before it counts as wrong. Clocks are set back by
/// seconds often, and a time must not come twice for that.
const AHEAD: TimeDelta = TimeDelta::minutes(2);

/// A schedule as its folder has it.
#[derive(Clone, Debug)]
pub enum Entry {
    /// It can be run.
    Good {
        /// When; `None`: only by hand.
        cron: Option<Cron>,
        /// Where.
        zone: Tz,
        /// Whom to tell when its run cannot start.
        people: People,
    },
    /// What is wrong with its file.
    Broken(String),
}

/// A time that has come.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Due {
    /// The schedule.
    pub name: String,
    /// The time.
    pub time: DateTime<Utc>,
    /// Whether a run for that time was cut off before.
    pub again: bool,
    /// Why it is not run any more, where it was cut off too often: its people are to hear that.
    pub lost: Option<String>,
    /// Whom to tell where it cannot start, as the schedule's file was last right.
    pub people: People,
}

/// How a run ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Ended {
    /// The exit code that `run` would have ended with.
    pub exit: u8,
    /// The sealed run.
    pub run: Option<String>,
    /// Why there is none.
    pub problem: Option<String>,
    /// It was asked to stop before it was done.
    pub stopped: bool,
}

/// The schedules and what is remembered of them.
#[derive(Clone, Debug, Default)]
pub struct Timetable {
    entries: BTreeMap<String, Entry>,
    fires: Fires,
    /// What runs in this process.
    running: Option<String>,
}

impl Timetable {
    /// Begins with what was remembered.
    pub fn new(fires: Fires) -> Self {
        Self {
            entries: BTreeMap::new(),
            fires,
            running: None,
        }
    }

    /// What to remember.
    pub fn fires(&self) -> &Fires {
        &self.fires
    }

    /// The schedules.
    pub fn entries(&self) -> &BTreeMap<String, Entry> {
        &self.entries
    }

    /// What runs.
    pub fn running(&self) -> Option<&str> {
        self.running.as_deref()
    }

    /// Takes the folder as it is now; says what a person should know.
    pub fn take(&mut self, entries: BTreeMap<String, Entry>, now: DateTime<Utc>) -> Vec<String> {
        let running = self.running.as_deref();
        self.fires
            .schedules
            .retain(|name, _| entries.contains_key(name) || running == Some(name.as_str()));
        for (name, entry) in &entries {
            if let Entry::Good {
                cron: Some(cron),
                zone,
                people,
            } = entry
            {
                self.remember(name, cron, *zone, people, now);
            } else if let Entry::Good { cron: None, .. } = entry {
                self.fires.schedules.remove(name);
            }
        }
        self.entries = entries;
        self.follow_clock(now)
    }

    /// Lets nothing that is remembered lie ahead of the clock, or nothing would be run until then; says
    /// what a person should know. Asked on every look: a clock may be set at any time.
    pub fn follow_clock(&mut self, now: DateTime<Utc>) -> Vec<String> {
        let ahead = |time: DateTime<Utc>| time.signed_duration_since(now) > AHEAD;
        let running = self.running.as_deref();
        let mut notes = Vec::new();
        for (name, fired) in &mut self.fires.schedules {
            if ahead(fired.after) {
                notes.push(format!(
                    "{name}: its last time, {}, is ahead of the clock, which was set back: times count from now",
                    fired.after
                ));
                fired.after = now;
            }
            if running != Some(name.as_str())
                && let Some(cut) = &mut fired.at_hand
                && ahead(cut.due)
            {
                notes.push(format!(
                    "{name}: the run that was not ended was due at {}, which is ahead of the clock, which was \
                     set back: it is made up for now",
                    cut.due
                ));
                cut.due = now;
            }
        }
        notes
    }

    fn remember(&mut self, name: &str, cron: &Cron, zone: Tz, people: &People, now: DateTime<Utc>) {
        let (cron, timezone) = (cron.to_string(), zone.name().to_owned());
        let Some(fired) = self.fires.schedules.get_mut(name) else {
            let new = Fired {
                cron,
                timezone,
                after: now,
                at_hand: None,
                last: None,
                people: people.clone(),
            };
            self.fires.schedules.insert(name.to_owned(), new);
            return;
        };
        fired.people.clone_from(people);
        if fired.cron != cron || fired.timezone != timezone {
            // What the new times would have been before now, nobody has missed.
            fired.cron = cron;
            fired.timezone = timezone;
            fired.after = now;
        }
    }

    /// When a schedule is due next; in the past where it was missed.
    pub fn next(&self, name: &str) -> Option<DateTime<Utc>> {
        let fired = self.fires.schedules.get(name)?;
        if self.running() != Some(name)
            && let Some(cut) = &fired.at_hand
        {
            return Some(cut.due);
        }
        match self.entries.get(name)? {
            Entry::Good { cron, zone, .. } => cron.as_ref()?.next_after(fired.after, *zone),
            // A broken file's time comes all the same, as it last was: its people are told.
            Entry::Broken(_) => {
                let zone: Tz = fired.timezone.parse().ok()?;
                Cron::parse(&fired.cron).ok()?.next_after(fired.after, zone)
            }
        }
    }

    /// The next time of all.
    pub fn soonest(&self) -> Option<DateTime<Utc>> {
        self.entries.keys().filter_map(|name| self.next(name)).min()
    }

    /// What is due: the earliest time first. Nothing while something runs.
    pub fn due(&self, now: DateTime<Utc>) -> Option<Due> {
        if self.running.is_some() {
            return None;
        }
        self.entries
            .keys()
            .filter_map(|name| Some((self.next(name)?, name)))
            .filter(|(time, _)| *time <= now)
            .min()
            .map(|(time, name)| {
                let fired = self.fires.schedules.get(name);
                let cut = fired.and_then(|fired| fired.at_hand.as_ref());
                Due {
                    name: name.clone(),
                    time,
                    again: cut.is_some(),
                    lost: cut.filter(|cut| cut.tries >= TRIES).map(|cut| {
                        format!(
                            "the run for {time} was cut off {} times, by a kill or a failure of the machine, \
                             the last time begun at {}; it is not tried again",
                            cut.tries, cut.started
                        )
                    }),
                    people: fired.map(|fired| fired.people.clone()).unwrap_or_default(),
                }
            })
    }

    /// A run begins. To be remembered before it does.
    pub fn begin(&mut self, due: &Due, now: DateTime<Utc>) {
        self.running = Some(due.name.clone());
        if let Some(fired) = self.fires.schedules.get_mut(&due.name) {
            let tries = fired.at_hand.as_ref().map_or(0, |cut| cut.tries);
            fired.at_hand = Some(AtHand {
                due: due.time,
                started: now,
                tries: tries.saturating_add(1),
            });
            fired.after = fired.after.max(now);
        }
    }

    /// It has ended. Says whether a time of its own came meanwhile.
    pub fn end(&mut self, ended: Ended, now: DateTime<Utc>) -> Option<DateTime<Utc>> {
        let name = self.running.take()?;
        let passed_over = self.next_unless_cut(&name).filter(|time| *time <= now);
        let fired = self.fires.schedules.get_mut(&name)?;
        fired.after = fired.after.max(now);
        let at_hand = fired.at_hand.take()?;
        fired.last = Some(LastFire {
            due: at_hand.due,
            started: at_hand.started,
            ended: now,
            exit: ended.exit,
            run: ended.run,
            problem: ended.problem,
        });
        if ended.stopped {
            // Asked to stop is not cut off: it does not count as a try.
            fired.at_hand = Some(AtHand {
                tries: 0,
                ..at_hand
            });
        }
        passed_over
    }

    fn next_unless_cut(&self, name: &str) -> Option<DateTime<Utc>> {
        let fired = self.fires.schedules.get(name)?;
        match self.entries.get(name)? {
            Entry::Good { cron, zone, .. } => cron.as_ref()?.next_after(fired.after, *zone),
            Entry::Broken(_) => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::Recipients;

    fn at(text: &str) -> DateTime<Utc> {
        format!("2026-11-{text}:00Z").parse().expect("a moment")
    }

    fn folder(schedules: &[(&str, &str)]) -> BTreeMap<String, Entry> {
        let entry = |cron: &str| match cron {
            "broken" => Entry::Broken("cron: wrong".to_owned()),
            "" => Entry::Good {
                cron: None,
                zone: Tz::UTC,
                people: People::default(),
            },
            cron => Entry::Good {
                cron: Some(Cron::parse(cron).expect("a cron")),
                zone: Tz::UTC,
                people: People {
                    mails: vec![Recipients::default()],
                    chats: Vec::new(),
                },
            },
        };
        schedules
            .iter()
            .map(|(name, cron)| ((*name).to_owned(), entry(cron)))
            .collect()
    }

    fn done(stopped: bool) -> Ended {
        Ended {
            exit: 0,
            run: Some("run".to_owned()),
            problem: None,
            stopped,
        }
    }

    fn table(schedules: &[(&str, &str)], now: &str) -> Timetable {
        let mut table = Timetable::default();
        assert!(table.take(folder(schedules), at(now)).is_empty());
        table
    }

    /// The same after a restart, as the state keeps it.
    fn restarted(table: &Timetable, schedules: &[(&str, &str)], now: &str) -> Timetable {
        let kept = serde_json::to_string(table.fires()).expect("JSON");
        let mut table = Timetable::new(serde_json::from_str(&kept).expect("JSON"));
        let _ = table.take(folder(schedules), at(now));
        table
    }

    const DAILY: [(&str, &str); 1] = [("a", "0 2 * * *")];

    #[test]
    fn times_before_it_was_known_are_not_missed() {
        let table = table(&DAILY, "24T09:00");
        assert_eq!(table.due(at("25T01:59")), None);
        assert_eq!(table.next("a"), Some(at("25T02:00")));
        assert_eq!(table.soonest(), Some(at("25T02:00")));
        let due = table.due(at("25T02:00")).expect("due");
        assert_eq!((due.time, due.again), (at("25T02:00"), false));
    }

    #[test]
    fn missed_times_are_made_up_for_once() {
        let before = table(&DAILY, "20T09:00");
        let mut table = restarted(&before, &DAILY, "24T09:00");
        let due = table.due(at("24T09:00")).expect("due");
        assert_eq!((due.time, due.again), (at("21T02:00"), false));
        table.begin(&due, at("24T09:00"));
        assert_eq!(table.due(at("25T03:00")), None, "never twice at a time");
        assert_eq!(table.end(done(false), at("24T09:05")), None);
        assert_eq!(table.due(at("24T09:05")), None);
        assert_eq!(table.next("a"), Some(at("25T02:00")));
    }

    #[test]
    fn a_run_that_was_cut_off_is_made_up_for_once() {
        let mut first = table(&DAILY, "24T00:00");
        let due = first.due(at("24T02:00")).expect("due");
        first.begin(&due, at("24T02:00"));
        let mut second = restarted(&first, &DAILY, "24T02:10");
        let due = second.due(at("24T02:10")).expect("due");
        assert_eq!((due.time, due.again), (at("24T02:00"), true));
        second.begin(&due, at("24T02:10"));
        let mut third = restarted(&second, &DAILY, "24T02:20");
        let due = third.due(at("24T02:20")).expect("due");
        assert!(
            due.lost
                .as_ref()
                .is_some_and(|why| why.contains("cut off 2 times")),
            "{due:?}"
        );
        third.begin(&due, at("24T02:20"));
        third.end(done(false), at("24T02:20"));
        assert_eq!(third.due(at("24T02:20")), None);
        assert_eq!(third.next("a"), Some(at("25T02:00")));
    }

    #[test]
    fn a_run_that_was_asked_to_stop_is_made_up_for_as_often_as_it_is() {
        let mut table = table(&DAILY, "24T00:00");
        for minute in 10..20 {
            let now = format!("24T02:{minute}");
            let due = table.due(at(&now)).expect("due");
            assert_eq!(due.time, at("24T02:00"));
            table.begin(&due, at(&now));
            table.end(done(true), at(&now));
            table = restarted(&table, &DAILY, &now);
        }
    }

    #[test]
    fn times_that_come_while_it_runs_are_passed_over_and_others_wait() {
        let both = [("a", "*/10 * * * *"), ("b", "5 * * * *")];
        let mut table = table(&both, "24T02:01");
        let due = table.due(at("24T02:10")).expect("due");
        assert_eq!(due.name, "b", "the earliest first");
        table.begin(&due, at("24T02:10"));
        table.end(done(false), at("24T02:12"));
        let due = table.due(at("24T02:12")).expect("due");
        assert_eq!((due.name.as_str(), due.time), ("a", at("24T02:10")));
        table.begin(&due, at("24T02:12"));
        let passed = table.end(done(false), at("24T02:35"));
        assert_eq!(passed, Some(at("24T02:20")));
        assert_eq!(table.next("a"), Some(at("24T02:40")));
    }

    #[test]
    fn what_changes_counts_from_then_on() {
        let table = table(&DAILY, "24T00:00");
        // Another expression, while nobody watched.
        let other = restarted(&table, &[("a", "0 8 * * *")], "24T09:00");
        assert_eq!(other.due(at("24T09:00")), None);
        // Gone, and back.
        let gone = restarted(&table, &[], "24T01:00");
        assert_eq!(
            restarted(&gone, &DAILY, "24T09:00").due(at("24T09:00")),
            None
        );
        // Without a time, and with one again.
        let never = restarted(&table, &[("a", "")], "24T01:00");
        assert_eq!(never.soonest(), None);
        assert_eq!(
            restarted(&never, &DAILY, "24T09:00").due(at("24T09:00")),
            None
        );
    }

    #[test]
    fn a_broken_file_keeps_its_time_and_stops_nobody() {
        let mut table = table(&[("a", "0 2 * * *"), ("b", "0 3 * * *")], "24T00:00");
        let broken = [("a", "broken"), ("b", "0 3 * * *")];
        table.take(folder(&broken), at("24T01:00"));
        let due = table.due(at("24T03:00")).expect("due");
        assert_eq!((due.name.as_str(), due.time), ("a", at("24T02:00")));
        assert_eq!(due.people.mails.len(), 1, "as it was last right");
        let again = restarted(&table, &broken, "24T03:00").due(at("24T03:00"));
        assert_eq!(again, Some(due.clone()), "after a restart too");
        table.begin(&due, at("24T03:00"));
        table.end(done(false), at("24T03:00"));
        assert_eq!(
            table.due(at("24T03:00")).map(|due| due.name),
            Some("b".to_owned())
        );
        // One that was never whole has no time.
        table.take(folder(&[("c", "broken")]), at("24T04:00"));
        assert_eq!(table.soonest(), None);
    }

    #[test]
    fn a_clock_that_is_set_back_repeats_nothing_and_stops_nothing() {
        let mut table = table(&DAILY, "24T00:00");
        let due = table.due(at("24T02:00")).expect("due");
        table.begin(&due, at("24T02:00"));
        table.end(done(false), at("24T02:00"));
        assert!(table.take(folder(&DAILY), at("24T01:59")).is_empty());
        assert_eq!(table.due(at("24T02:00")), None, "not twice for a minute");
        // The clock was a month ahead.
        let notes = table.take(folder(&DAILY), at("10T12:00"));
        assert!(notes[0].contains("set back"), "{notes:?}");
        assert_eq!(table.next("a"), Some(at("11T02:00")));
    }

    #[test]
    fn a_clock_that_is_set_back_while_nobody_reads_the_folder_stops_nothing_either() {
        let both = [("a", "0 2 * * *"), ("b", "0 3 * * *")];
        let mut table = table(&both, "10T00:00");
        // A month ahead: one run ends, one is asked to stop, and one file breaks.
        for stopped in [false, true] {
            let due = table.due(at("24T12:00")).expect("due");
            table.begin(&due, at("24T12:00"));
            assert!(table.follow_clock(at("24T11:59")).is_empty());
            table.end(done(stopped), at("24T12:00"));
        }
        table.take(
            folder(&[("a", "broken"), ("b", "0 3 * * *")]),
            at("24T12:00"),
        );
        let at_hand = table.fires.schedules["b"].at_hand.clone().expect("kept");
        assert_eq!(at_hand.due, at("10T03:00"), "not ahead of what follows");
        table
            .fires
            .schedules
            .get_mut("b")
            .and_then(|fired| fired.at_hand.as_mut())
            .expect("kept")
            .due = at("24T12:00");
        let notes = table.follow_clock(at("10T12:00"));
        assert_eq!(notes.len(), 3, "{notes:?}");
        assert_eq!(table.next("a"), Some(at("11T02:00")), "broken, and told so");
        assert_eq!(table.next("b"), Some(at("10T12:00")), "made up for");
        assert!(table.follow_clock(at("10T12:00")).is_empty(), "once");
    }
}
