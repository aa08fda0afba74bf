//! When a schedule is due, held against years of dates: a table that Python made (see
//! `tests/fixtures/cron/generate.py`), and a walker that looks at every minute of the clock's face.

use chrono::{DateTime, Datelike, NaiveDateTime, TimeDelta, Timelike, Utc};
use chrono_tz::Tz;
use proptest::prelude::*;
use sgwarden::host::next_fire::Cron;

const TABLE: &str = include_str!("../fixtures/cron/cases.tsv");

fn cron(text: &str) -> Cron {
    Cron::parse(text).unwrap_or_else(|why| panic!("{why}"))
}

fn moment(text: &str) -> DateTime<Utc> {
    NaiveDateTime::parse_from_str(text, "%Y-%m-%dT%H:%MZ")
        .unwrap_or_else(|why| panic!("{text}: {why}"))
        .and_utc()
}

/// Every moment in `[from, to)`.
fn walk(cron: &Cron, zone: Tz, from: DateTime<Utc>, to: DateTime<Utc>) -> Vec<DateTime<Utc>> {
    let mut out = Vec::new();
    let mut after = from - TimeDelta::seconds(1);
    while let Some(next) = cron.next_after(after, zone).filter(|next| *next < to) {
        assert!(next > after, "{cron}: {next} is not after {after}");
        out.push(next);
        after = next;
    }
    out
}

#[test]
fn the_table_of_another_program() {
    let mut rows = 0;
    for line in TABLE.lines() {
        let columns: Vec<&str> = line.split('\t').collect();
        let [text, zone, from, to, due] = columns.as_slice() else {
            panic!("{line}");
        };
        let tz: Tz = zone.parse().expect("a zone");
        let due: Vec<DateTime<Utc>> = due.split(' ').map(moment).collect();
        let found = walk(&cron(text), tz, moment(from), moment(to));
        let wrong = found.iter().zip(&due).find(|(found, due)| found != due);
        assert_eq!(wrong, None, "{text} in {zone}");
        assert_eq!(found.len(), due.len(), "{text} in {zone}");
        // The same with the zone in the expression, whatever the schedule's.
        if !text.starts_with('@') {
            let own = cron(&format!("CRON_TZ={zone} {text}"));
            assert_eq!(own.zone(), Some(tz));
            let first = own.next_after(moment(from), Tz::Pacific__Apia);
            assert_eq!(
                first,
                cron(text).next_after(moment(from), tz),
                "{text} in {zone}"
            );
        }
        rows += 1;
    }
    assert_eq!(rows, 49);
}

/// Whether a field of plain numbers holds a value; a parser that shares nothing with the program's.
fn holds(field: &str, value: u32, low: u32, high: u32) -> bool {
    field.split(',').any(|part| {
        let mut halves = part.split('/');
        let span = halves.next().expect("a span");
        let step: Option<u32> = halves.next().map(|step| step.parse().expect("a step"));
        let (first, last) = match span.split_once('-') {
            _ if span == "*" => (low, high),
            Some((first, last)) => (
                first.parse().expect("a number"),
                last.parse().expect("a number"),
            ),
            None => {
                let first = span.parse().expect("a number");
                (first, if step.is_some() { high } else { first })
            }
        };
        (first..=last).contains(&value) && (value - first).is_multiple_of(step.unwrap_or(1))
    })
}

fn shows(fields: &[String], face: NaiveDateTime) -> bool {
    let [minute, hour, day, month, weekday] = fields else {
        panic!("{fields:?}");
    };
    let sunday_first = face.weekday().num_days_from_sunday();
    let days = holds(day, face.day(), 1, 31);
    let weekdays =
        holds(weekday, sunday_first, 0, 7) || (sunday_first == 0 && holds(weekday, 7, 0, 7));
    let on_this_day = if day.starts_with('*') || weekday.starts_with('*') {
        days && weekdays
    } else {
        days || weekdays
    };
    on_this_day
        && holds(minute, face.minute(), 0, 59)
        && holds(hour, face.hour(), 0, 23)
        && holds(month, face.month(), 1, 12)
}

/// Looks at every minute. What the clock's face shows for the first time, times that it jumps over
/// too, is new: a time of the day is due when it is new, an interval whenever it is shown.
fn look(fields: &[String], zone: Tz, from: DateTime<Utc>, to: DateTime<Utc>) -> Vec<DateTime<Utc>> {
    let interval = fields[0].starts_with('*') || fields[1].starts_with('*');
    let face = |at: DateTime<Utc>| at.with_timezone(&zone).naive_local();
    let mut at = from - TimeDelta::hours(30);
    let mut latest = face(at);
    let mut out = Vec::new();
    while at < to {
        let now = face(at);
        let due = if interval {
            shows(fields, now)
        } else {
            let mut new = latest + TimeDelta::minutes(1);
            let mut due = false;
            while new <= now {
                due |= shows(fields, new);
                new += TimeDelta::minutes(1);
            }
            due
        };
        latest = latest.max(now);
        if due && at >= from {
            out.push(at);
        }
        at += TimeDelta::minutes(1);
    }
    out
}

fn field(low: u32, high: u32) -> impl Strategy<Value = String> {
    let one = (low..=high).prop_map(|n| n.to_string());
    let span = (low..=high, low..=high).prop_map(|(a, b)| format!("{}-{}", a.min(b), a.max(b)));
    let stepped = (prop_oneof![Just("*".to_owned()), span.clone()], 1..=12_u32)
        .prop_map(|(span, step)| format!("{span}/{step}"));
    let part = prop_oneof![3 => one, 1 => span, 1 => stepped.clone()];
    prop_oneof![
        3 => Just("*".to_owned()),
        1 => stepped,
        4 => prop::collection::vec(part, 1..4).prop_map(|parts| parts.join(",")),
    ]
}

/// Hours at which clocks are set come up often.
fn expression() -> impl Strategy<Value = Vec<String>> {
    let hour = prop_oneof![
        field(0, 23),
        field(0, 3),
        (0..=3_u32).prop_map(|h| h.to_string())
    ];
    let rarely = |field: BoxedStrategy<String>| prop_oneof![2 => Just("*".to_owned()), 1 => field];
    (
        field(0, 59),
        hour,
        rarely(field(1, 31).boxed()),
        rarely(field(1, 12).boxed()),
        rarely(field(0, 7).boxed()),
    )
        .prop_map(|(minute, hour, day, month, weekday)| vec![minute, hour, day, month, weekday])
}

/// Two days around a change of the clocks, or any two days.
fn window() -> impl Strategy<Value = (Tz, DateTime<Utc>)> {
    let changes = [
        (Tz::Europe__Berlin, "2024-03-31T01:00Z"),
        (Tz::Europe__Berlin, "2024-10-27T01:00Z"),
        (Tz::America__New_York, "2022-03-13T07:00Z"),
        (Tz::America__New_York, "2022-11-06T06:00Z"),
        (Tz::Australia__Lord_Howe, "2021-04-03T15:00Z"),
        (Tz::Australia__Lord_Howe, "2021-10-02T15:30Z"),
        (Tz::America__Sao_Paulo, "2018-11-04T03:00Z"),
        (Tz::America__Sao_Paulo, "2018-02-18T02:00Z"),
        (Tz::Antarctica__Troll, "2023-03-26T01:00Z"),
        (Tz::Antarctica__Troll, "2023-10-29T01:00Z"),
        (Tz::Africa__Casablanca, "2023-03-19T02:00Z"),
        // A whole day that is not there.
        (Tz::Pacific__Apia, "2011-12-30T10:00Z"),
    ];
    let around = (prop::sample::select(changes.to_vec()), 0..30_i64)
        .prop_map(|((zone, at), hours)| (zone, moment(at) - TimeDelta::hours(hours)));
    let zones = vec![
        Tz::UTC,
        Tz::Asia__Taipei,
        Tz::Asia__Kathmandu,
        Tz::America__St_Johns,
    ];
    let any = (prop::sample::select(zones), 0..15_000_000_i64).prop_map(|(zone, minutes)| {
        (
            zone,
            moment("2005-01-01T00:00Z") + TimeDelta::minutes(minutes),
        )
    });
    prop_oneof![3 => around, 1 => any]
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 300, ..ProptestConfig::default() })]
    #[test]
    fn the_face_of_the_clock_minute_by_minute(fields in expression(), (zone, from) in window()) {
        let text = fields.join(" ");
        let to = from + TimeDelta::hours(48);
        // Days that no month of the expression has are refused.
        if let Ok(cron) = Cron::parse(&text) {
            prop_assert_eq!(walk(&cron, zone, from, to), look(&fields, zone, from, to), "{} in {}", text, zone);
        }
    }
}

#[test]
fn seconds_stand_in_front() {
    let from = moment("2026-11-24T02:00Z");
    let shown = |text: &str| -> Vec<String> {
        let mut after = from;
        (0..3)
            .map(|_| {
                after = cron(text).next_after(after, Tz::UTC).expect("a time");
                after.format("%dT%H:%M:%S").to_string()
            })
            .collect()
    };
    assert_eq!(
        shown("* * * * * *"),
        ["24T02:00:01", "24T02:00:02", "24T02:00:03"]
    );
    assert_eq!(
        shown("*/20 5 2 * * *"),
        ["24T02:05:00", "24T02:05:20", "24T02:05:40"]
    );
    assert_eq!(
        shown("15 0 0 * * *"),
        ["25T00:00:15", "26T00:00:15", "27T00:00:15"]
    );
    // Parts of a second do not make it due twice, nor late.
    let between = from + TimeDelta::milliseconds(400);
    assert_eq!(
        cron("* * * * * *").next_after(between, Tz::UTC),
        Some(from + TimeDelta::seconds(1))
    );
    assert_eq!(
        cron("* * * * *").next_after(from - TimeDelta::milliseconds(1), Tz::UTC),
        Some(from)
    );
    // Every second of the hour that comes twice.
    let berlin = moment("2023-10-29T00:59Z");
    let all = walk(
        &cron("* * * * * *"),
        Tz::Europe__Berlin,
        berlin,
        berlin + TimeDelta::minutes(2),
    );
    assert_eq!(all.len(), 120);
}

#[test]
fn what_is_refused_is_refused_by_name() {
    for (text, says) in [
        ("", "0 fields"),
        ("* * * *", "4 fields"),
        ("* * * * * * *", "7 fields"),
        ("60 * * * *", "minute \"60\""),
        ("* 24 * * *", "hour \"24\""),
        ("* * 0 * *", "day of the month \"0\""),
        ("* * 32 * *", "day of the month \"32\""),
        ("* * * 13 *", "month \"13\""),
        ("* * * * 8", "day of the week \"8\""),
        ("* * * mon *", "month \"mon\""),
        ("? * * * *", "minute \"?\""),
        ("5-1 * * * *", "runs backwards"),
        ("* * * * sat-mon", "runs backwards"),
        ("*/0 * * * *", "no step"),
        ("*/+5 * * * *", "no step"),
        ("1, * * * *", "minute \"1,\""),
        ("-1 * * * *", "minute \"-1\""),
        ("+1 * * * *", "minute \"+1\""),
        ("0 0 L * *", "day of the month \"L\""),
        ("0 0 * * 5#2", "day of the week \"5#2\""),
        ("0 0 31 2 *", "never comes"),
        ("0 0 31 4,6 *", "never comes"),
        ("@reboot", "\"@reboot\" is no time"),
        ("@every 4m", "counts from no fixed time"),
        ("@fortnightly", "@weekly"),
        ("TZ=Asia/Taipei 0 2 * * *", "\"TZ=\" is not understood"),
        (
            "CRON_TZ=Asia/Taipeh 0 2 * * *",
            "\"Asia/Taipeh\" is no IANA time zone",
        ),
        ("CRON_TZ=Asia/Taipei", "0 fields"),
    ] {
        let why = Cron::parse(text).expect_err(text);
        assert!(why.contains(says), "{text}: {why}");
    }
}
