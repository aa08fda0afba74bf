//! When a schedule is due. The `cron` crate does the arithmetic of dates; this file gives it Vixie's
//! meaning, where they differ:
//!
//! | | Vixie | the crate |
//! | --- | --- | --- |
//! | days of the week | 0 and 7 are Sunday | 1 is Sunday |
//! | both day fields set | either | both |
//! | seconds | none, or a sixth field in front | always |
//!
//! A day field that begins with `*` (`*/2` too) counts as not set: then both must match.

use chrono::{DateTime, LocalResult, NaiveDateTime, TimeDelta, TimeZone as _, Utc};
use chrono_tz::Tz;
use std::str::FromStr as _;

/// A cron expression with Vixie's meaning.
#[derive(Clone, Debug)]
pub struct Cron {
    /// One, or two where either day field may match.
    schedules: Vec<cron::Schedule>,
}

const NAMES: [(&str, &str); 8] = [
    ("@yearly", "0 0 1 1 *"),
    ("@annually", "0 0 1 1 *"),
    ("@monthly", "0 0 1 * *"),
    ("@weekly", "0 0 * * 0"),
    ("@daily", "0 0 * * *"),
    ("@midnight", "0 0 * * *"),
    ("@hourly", "0 * * * *"),
    ("@every_minute", "* * * * *"),
];

const DAYS: [&str; 7] = ["sun", "mon", "tue", "wed", "thu", "fri", "sat"];
const MONTHS: [&str; 12] = [
    "jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec",
];

impl Cron {
    /// Reads five fields, six with seconds first, or `@daily` and friends.
    ///
    /// # Errors
    /// Says which field is wrong and what it may hold.
    pub fn parse(text: &str) -> Result<Self, String> {
        let text = text.trim();
        if text.starts_with('@') {
            let lower = text.to_ascii_lowercase();
            let (_, fields) = NAMES
                .iter()
                .find(|(name, _)| *name == lower)
                .ok_or_else(|| {
                    let known: Vec<&str> = NAMES.iter().map(|(name, _)| *name).collect();
                    format!("\"{text}\" is not one of {}", known.join(", "))
                })?;
            return Self::parse(fields);
        }
        let fields: Vec<&str> = text.split_ascii_whitespace().collect();
        let (second, rest) = match fields.as_slice() {
            [second, rest @ ..] if rest.len() == 5 => (*second, rest),
            rest if rest.len() == 5 => ("0", rest),
            other => {
                return Err(format!(
                    "\"{text}\" has {} fields: five (minute hour day month weekday), or six with \
                     seconds first",
                    other.len()
                ));
            }
        };
        let [minute, hour, day, month, weekday] = rest else {
            return Err(format!("\"{text}\" has too few fields"));
        };
        let second = Field::new("second", 0, 59, &[]).read(second)?;
        let minute = Field::new("minute", 0, 59, &[]).read(minute)?;
        let hour = Field::new("hour", 0, 23, &[]).read(hour)?;
        let month = Field::new("month", 1, 12, &MONTHS).read(month)?;
        let free = (day.starts_with('*'), weekday.starts_with('*'));
        let days = Field::new("day of the month", 1, 31, &[]).read(day)?;
        let weekdays = Field::new("day of the week", 0, 7, &DAYS).read(weekday)?;
        // 0 and 7 are Sunday, which the crate calls 1.
        let mut crate_days: Vec<u32> = weekdays
            .iter()
            .map(|day| (day % 7).saturating_add(1))
            .collect();
        crate_days.sort_unstable();
        crate_days.dedup();
        let pairs: Vec<(String, String)> = if free.0 || free.1 {
            vec![(list(&days), list(&crate_days))]
        } else {
            vec![
                (list(&days), "*".to_owned()),
                ("*".to_owned(), list(&crate_days)),
            ]
        };
        let schedules = pairs
            .into_iter()
            .map(|(days, weekdays)| {
                let fields = format!(
                    "{} {} {} {days} {} {weekdays}",
                    list(&second),
                    list(&minute),
                    list(&hour),
                    list(&month)
                );
                cron::Schedule::from_str(&fields).map_err(|why| format!("\"{text}\": {why}"))
            })
            .collect::<Result<Vec<_>, String>>()?;
        let cron = Self { schedules };
        if cron.next_naive(NaiveDateTime::default()).is_none() {
            return Err(format!("\"{text}\" never comes (such as 31 February)"));
        }
        Ok(cron)
    }

    /// The next moment after `after` at which it is due in that zone. A local time that is skipped
    /// is due at the next moment that exists, one that comes twice is due the first time.
    pub fn next_after(&self, after: DateTime<Utc>, zone: Tz) -> Option<DateTime<Utc>> {
        // Where the clock was set forward, a skipped time lies before the local time of `after`:
        // begin far enough back to meet it. No zone jumps by more than a day.
        let mut naive = after
            .with_timezone(&zone)
            .naive_local()
            .checked_sub_signed(TimeDelta::days(1))?;
        loop {
            naive = self.next_naive(naive)?;
            let moment = moment_of(naive, zone)?;
            if moment > after {
                return Some(moment);
            }
        }
    }

    fn next_naive(&self, after: NaiveDateTime) -> Option<NaiveDateTime> {
        self.schedules
            .iter()
            .filter_map(|schedule| schedule.after(&after.and_utc()).next())
            .min()
            .map(|moment| moment.naive_utc())
    }
}

/// The moment at which a zone's clocks first show that time, or the first after it.
fn moment_of(naive: NaiveDateTime, zone: Tz) -> Option<DateTime<Utc>> {
    match zone.from_local_datetime(&naive) {
        LocalResult::Single(moment) => Some(moment.to_utc()),
        LocalResult::Ambiguous(first, _) => Some(first.to_utc()),
        LocalResult::None => {
            // The gap's end: between a local time before it and one after it, to the second.
            let mut low = naive.checked_sub_signed(TimeDelta::days(2))?;
            let mut high = naive.checked_add_signed(TimeDelta::days(2))?;
            let valid_high = |time: &NaiveDateTime| {
                zone.from_local_datetime(time)
                    .earliest()
                    .map(|moment| moment.to_utc())
            };
            // Invariant: `low` is before the gap or in it, `high` is after it.
            while high.signed_duration_since(low) > TimeDelta::seconds(1) {
                let half = high.signed_duration_since(low) / 2;
                let middle = low.checked_add_signed(half)?;
                let after_gap = middle > naive && valid_high(&middle).is_some();
                if after_gap {
                    high = middle
                } else {
                    low = middle
                }
            }
            valid_high(&high)
        }
    }
}

fn list(values: &[u32]) -> String {
    values
        .iter()
        .map(u32::to_string)
        .collect::<Vec<_>>()
        .join(",")
}

struct Field {
    name: &'static str,
    low: u32,
    high: u32,
    names: &'static [&'static str],
}

impl Field {
    fn new(name: &'static str, low: u32, high: u32, names: &'static [&'static str]) -> Self {
        Self {
            name,
            low,
            high,
            names,
        }
    }

    /// Every value the field holds, in order.
    fn read(&self, text: &str) -> Result<Vec<u32>, String> {
        let mut out = Vec::new();
        for part in text.split(',') {
            let (range, step) = match part.split_once('/') {
                Some((range, step)) => (range, Some(self.step(step, text)?)),
                None => (part, None),
            };
            let (from, to) = if range == "*" {
                (self.low, self.high)
            } else if let Some((from, to)) = range.split_once('-') {
                (self.value(from, text)?, self.value(to, text)?)
            } else {
                let from = self.value(range, text)?;
                // Vixie: a step needs a range; `5/10` is read as from 5 on by most crons.
                (from, if step.is_some() { self.high } else { from })
            };
            if from > to {
                return Err(self.wrong(text, "runs backwards"));
            }
            let step = usize::try_from(step.unwrap_or(1)).unwrap_or(usize::MAX);
            out.extend((from..=to).step_by(step));
        }
        out.sort_unstable();
        out.dedup();
        Ok(out)
    }

    fn step(&self, digits: &str, text: &str) -> Result<u32, String> {
        match digits.parse::<u32>() {
            Ok(step) if step >= 1 => Ok(step),
            _ => Err(self.wrong(text, "has no step such as */5")),
        }
    }

    fn value(&self, word: &str, text: &str) -> Result<u32, String> {
        let by_name = self
            .names
            .iter()
            .position(|name| name.eq_ignore_ascii_case(word));
        let value = match by_name {
            // Months count from 1, days from 0: as the field's lowest value does.
            Some(at) => u32::try_from(at).ok().map(|at| at.saturating_add(self.low)),
            None if word.bytes().all(|b| b.is_ascii_digit()) => word.parse::<u32>().ok(),
            None => None,
        };
        value
            .filter(|value| (self.low..=self.high).contains(value))
            .ok_or_else(|| self.wrong(text, "has a value that is not"))
    }

    fn wrong(&self, text: &str, what: &str) -> String {
        format!(
            "{} \"{text}\" {what}: {} to {}",
            self.name, self.low, self.high
        )
    }
}
