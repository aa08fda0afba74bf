//! When a schedule is due. The `cron` crate does the arithmetic of dates; this file gives it Vixie's
//! meaning, where they differ:
//!
//! | | Vixie | the crate |
//! | --- | --- | --- |
//! | days of the week | 0 and 7 are Sunday | 1 is Sunday |
//! | both day fields set | either | both |
//! | seconds | none, or a sixth field in front | always |
//!
//! A day field that begins with `*` (`*/2` too) counts as not set: then both must match. `?`, which
//! Function Compute writes for a day that is not set, is read as `*`; so is its prefix
//! `CRON_TZ=Asia/Taipei`, which names the zone in the expression itself.
//!
//! Where a zone sets its clocks, Vixie tells two kinds apart by the minute and hour fields:
//!
//! | | a time that is skipped | a time that comes twice |
//! | --- | --- | --- |
//! | neither begins with `*`: a time of the day | due at the next moment that exists | due the first time |
//! | one does: an interval | not due | due both times |
//!
//! `tests/it/next_fire.rs` holds this against years of dates worked out by other means.

use chrono::{DateTime, LocalResult, NaiveDateTime, Offset as _, TimeDelta, TimeZone as _, Utc};
use chrono_tz::Tz;
use std::fmt;
use std::str::FromStr as _;

/// A cron expression with Vixie's meaning.
#[derive(Clone, Debug)]
pub struct Cron {
    /// As written.
    text: String,
    /// One, or two where either day field may match.
    schedules: Vec<cron::Schedule>,
    /// Whether it is an interval, which follows the time that passes and not the clock's face.
    interval: bool,
    /// Of `CRON_TZ=`.
    zone: Option<Tz>,
}

impl fmt::Display for Cron {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
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
    /// Reads five fields, six with seconds first, or `@daily` and friends; with or without
    /// `CRON_TZ=ZONE` before them.
    ///
    /// # Errors
    /// Says which field is wrong and what it may hold.
    pub fn parse(text: &str) -> Result<Self, String> {
        let whole = text.trim();
        let (zone, text) = split_zone(whole)?;
        let fields = if text.starts_with('@') {
            nickname(text)?
        } else {
            text
        };
        let fields: Vec<&str> = fields.split_ascii_whitespace().collect();
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
        let interval = minute.starts_with('*') || hour.starts_with('*');
        let [day, weekday] = [*day, *weekday].map(|field| if field == "?" { "*" } else { field });
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
        let cron = Self {
            text: whole.to_owned(),
            schedules,
            interval,
            zone,
        };
        if cron.next_naive(NaiveDateTime::default()).is_none() {
            return Err(format!("\"{text}\" never comes (such as 31 February)"));
        }
        Ok(cron)
    }

    /// The zone that the expression itself names by `CRON_TZ=`.
    pub fn zone(&self) -> Option<Tz> {
        self.zone
    }

    /// The next moment after `after` at which it is due, in the expression's own zone or else in
    /// `zone`; `None` past the year 2100, where the crate's calendar ends.
    pub fn next_after(&self, after: DateTime<Utc>, zone: Tz) -> Option<DateTime<Utc>> {
        let zone = self.zone.unwrap_or(zone);
        if self.interval {
            self.next_of_interval(after, zone)
        } else {
            self.next_of_day(after, zone)
        }
    }

    /// A time that is skipped is due at the gap's end, one that comes twice the first time. Both
    /// come in the order of the clock's face, so that the first that is late enough is the next.
    fn next_of_day(&self, after: DateTime<Utc>, zone: Tz) -> Option<DateTime<Utc>> {
        // A gap that is still ahead lies ahead on the clock's face too: no need to look back.
        let mut naive = after.with_timezone(&zone).naive_local();
        loop {
            naive = self.next_naive(naive)?;
            let moment = match zone.from_local_datetime(&naive) {
                LocalResult::Single(moment) | LocalResult::Ambiguous(moment, _) => moment.to_utc(),
                LocalResult::None => end_of_gap(naive, zone)?,
            };
            if moment > after {
                return Some(moment);
            }
        }
    }

    /// Each moment whose local time matches, the second pass through a repeated hour too.
    fn next_of_interval(&self, after: DateTime<Utc>, zone: Tz) -> Option<DateTime<Utc>> {
        let mut naive = after.with_timezone(&zone).naive_local();
        if let LocalResult::Ambiguous(first, second) = zone.from_local_datetime(&naive) {
            let (first, second) = (first.to_utc(), second.to_utc());
            if after < second {
                // In the first pass: the second begins with times that the clock showed already.
                naive = naive.checked_sub_signed(second.signed_duration_since(first))?;
            }
        }
        let mut best: Option<DateTime<Utc>> = None;
        loop {
            let Some(next) = self.next_naive(naive) else {
                return best;
            };
            naive = next;
            let (first, second) = match zone.from_local_datetime(&naive) {
                LocalResult::None => continue,
                LocalResult::Single(moment) => (moment.to_utc(), None),
                LocalResult::Ambiguous(first, second) => (first.to_utc(), Some(second.to_utc())),
            };
            // The first passes come in order: what follows can no longer be earlier.
            if best.is_some_and(|best| best <= first) {
                return best;
            }
            let late_enough = [Some(first), second]
                .into_iter()
                .flatten()
                .find(|moment| *moment > after);
            best = match (best, late_enough) {
                (Some(best), Some(moment)) => Some(best.min(moment)),
                (best, moment) => best.or(moment),
            };
            if best == Some(first) {
                return best;
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

/// `CRON_TZ=Asia/Taipei` and what follows it.
fn split_zone(text: &str) -> Result<(Option<Tz>, &str), String> {
    let first = text.split_ascii_whitespace().next().unwrap_or_default();
    let Some((name, value)) = first.split_once('=') else {
        return Ok((None, text));
    };
    if name != "CRON_TZ" {
        return Err(format!(
            "\"{name}=\" is not understood: a zone is given as timezone = \"Asia/Taipei\", or as \
             CRON_TZ=Asia/Taipei before the fields"
        ));
    }
    let zone = value
        .parse::<Tz>()
        .map_err(|_| format!("\"{value}\" is no IANA time zone such as Asia/Taipei"))?;
    let rest = text.get(first.len()..).unwrap_or_default().trim_start();
    Ok((Some(zone), rest))
}

/// The fields that `@daily` and friends stand for.
fn nickname(text: &str) -> Result<&'static str, String> {
    let lower = text.to_ascii_lowercase();
    if let Some((_, fields)) = NAMES.iter().find(|(name, _)| *name == lower) {
        return Ok(fields);
    }
    Err(match lower.split_ascii_whitespace().next() {
        Some("@reboot") => "\"@reboot\" is no time: a run is due by the clock, and one that was \
                            missed is made up for"
            .to_owned(),
        Some("@every") => format!(
            "\"{text}\" counts from no fixed time: write it as fields, such as */30 * * * *"
        ),
        _ => {
            let known: Vec<&str> = NAMES.iter().map(|(name, _)| *name).collect();
            format!("\"{text}\" is not one of {}", known.join(", "))
        }
    })
}

/// The first moment after a time that the zone's clocks skip, to the second.
fn end_of_gap(naive: NaiveDateTime, zone: Tz) -> Option<DateTime<Utc>> {
    // No zone is further from UTC than 14 hours, and none jumps by more than 24.
    let shown_at = |second: i64| {
        let moment = DateTime::from_timestamp(second, 0)?;
        let offset = zone.offset_from_utc_datetime(&moment.naive_utc()).fix();
        moment
            .naive_utc()
            .checked_add_offset(offset)
            .map(|shown| (moment, shown))
    };
    let middle = naive.and_utc().timestamp();
    let day_and_half = TimeDelta::hours(39).num_seconds();
    let mut low = middle.checked_sub(day_and_half)?;
    let mut high = middle.checked_add(day_and_half)?;
    // INVARIANT: at `low` the clocks show a time before the gap, at `high` one after it.
    while high.saturating_sub(low) > 1 {
        let half = low.midpoint(high);
        let (_, shown) = shown_at(half)?;
        if shown > naive {
            high = half;
        } else {
            low = half;
        }
    }
    shown_at(high).map(|(moment, _)| moment)
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
            } else if let Some((first, last)) = range.split_once('-') {
                let (from, to) = (self.value(first, text)?, self.value(last, text)?);
                // The week may end with Sunday by name too: MON-SUN is 1-7.
                let ends_the_week = self.high == 7 && to == 0 && last.eq_ignore_ascii_case("sun");
                (from, if ends_the_week && from > 0 { 7 } else { to })
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
        let plain = digits.bytes().all(|b| b.is_ascii_digit());
        match digits.parse::<u32>() {
            Ok(step) if step >= 1 && plain => Ok(step),
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
