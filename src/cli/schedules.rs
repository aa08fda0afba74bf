//! `schedules`: every schedule of a folder with its next times, and what is wrong in any.

use super::exit::{Exit, Failure};
use super::folder::{self, FOLDER, Listed};
use super::{Global, setup, show};
use chrono::{DateTime, SecondsFormat, Utc};
use chrono_tz::Tz;
use clap::Args;
use serde_json::{Value, json};
use std::path::PathBuf;

/// Times shown of each.
const TIMES: usize = 5;

/// Arguments of `schedules`.
#[derive(Debug, Args)]
pub(super) struct Schedules {
    /// Where the schedules lie
    #[arg(default_value = FOLDER)]
    folder: PathBuf,
}

impl Schedules {
    /// Exit 2 where any is broken: a `run` or the daemon would refuse it so.
    pub(super) fn run(self, global: &Global) -> Result<Exit, Failure> {
        // What is wrong with sgwarden.toml hides nothing of what is wrong with the schedules.
        let program = setup::program(global);
        let listed = folder::read(&self.folder, program.as_ref().ok())?;
        let now = Utc::now();
        let values: Vec<Value> = listed.iter().map(|one| value(one, now)).collect();
        let mut lines: Vec<String> = listed.iter().flat_map(|one| text(one, now)).collect();
        if listed.is_empty() {
            lines.push(format!("no schedule lies in {}", self.folder.display()));
        }
        show::answer(global, &Value::Array(values), &lines);
        program?;
        let broken = listed.iter().any(|one| one.schedule.is_err());
        Ok(if broken { Exit::Usage } else { Exit::Done })
    }
}

/// The next times, in the zone that people of this schedule read.
fn times(one: &Listed, now: DateTime<Utc>) -> Vec<DateTime<Tz>> {
    let Ok(schedule) = &one.schedule else {
        return Vec::new();
    };
    let Some(cron) = &schedule.cron else {
        return Vec::new();
    };
    std::iter::successors(cron.next_after(now, schedule.timezone), |last| {
        cron.next_after(*last, schedule.timezone)
    })
    .take(TIMES)
    .map(|time| time.with_timezone(&schedule.timezone))
    .collect()
}

fn value(one: &Listed, now: DateTime<Utc>) -> Value {
    let next: Vec<String> = times(one, now)
        .iter()
        .map(|time| time.to_rfc3339_opts(SecondsFormat::Secs, true))
        .collect();
    let (cron, zone, error) = match &one.schedule {
        Ok(schedule) => (
            schedule.cron.as_ref().map(ToString::to_string),
            Some(schedule.timezone.name()),
            None,
        ),
        Err(problems) => (None, None, Some(problems.to_string())),
    };
    json!({
        "name": one.name,
        "file": one.file.display().to_string(),
        "cron": cron,
        "timezone": zone,
        "next": next,
        "error": error,
    })
}

fn text(one: &Listed, now: DateTime<Utc>) -> Vec<String> {
    let mut lines = Vec::new();
    let file = one.file.display();
    match &one.schedule {
        Ok(schedule) => {
            let when = match &schedule.cron {
                Some(cron) => format!("\"{cron}\" in {}", schedule.timezone),
                None => "no cron: only `run --schedule` starts it".to_owned(),
            };
            lines.push(format!("{}  {when}  {file}", one.name));
            for time in times(one, now) {
                lines.push(format!("  {}", time.format("%a %Y-%m-%d %H:%M:%S %:z")));
            }
        }
        Err(problems) => {
            lines.push(format!("{}  BROKEN  {file}", one.name));
            for problem in &problems.0 {
                lines.push(format!("  {problem}"));
            }
        }
    }
    lines
}
