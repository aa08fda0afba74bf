//! `scan`: read only.

use super::exit::{Exit, Failure};
use super::{Global, setup, show, signals};
use crate::config::program::is_region;
use crate::config::schedule::{FORMATS, Schedule, is_group, severity};
use crate::job::{self, Job};
use crate::model::Severity;
use crate::policy::Check;
use clap::Args;
use std::path::PathBuf;

/// Arguments of `scan`.
#[derive(Debug, Args)]
pub(super) struct Scan {
    /// Only this region; repeatable [default: all]
    #[arg(long = "region", value_name = "R")]
    regions: Vec<String>,
    /// Only this group; repeatable [default: all]
    #[arg(long = "group", value_name = "SG")]
    groups: Vec<String>,
    /// Judge by this pack; repeatable [default: risky-ports]
    #[arg(long = "pack", value_name = "NAME")]
    packs: Vec<String>,
    /// Report formats: csv, xlsx, html, json
    #[arg(
        long,
        value_delimiter = ',',
        default_value = "csv,xlsx",
        value_name = "LIST"
    )]
    format: Vec<String>,
    /// Folder for copies of the reports
    #[arg(long, value_name = "DIR")]
    out: Option<PathBuf>,
    /// Exit 1 where there is a finding of this severity or worse
    #[arg(long, value_name = "SEVERITY", value_parser = parse_severity)]
    fail_on: Option<Severity>,
}

/// `critical`, `high`, `medium` or `low`.
pub(super) fn parse_severity(text: &str) -> Result<Severity, String> {
    severity(text).ok_or_else(|| "must be critical, high, medium or low".to_owned())
}

impl Scan {
    pub(super) async fn run(self, global: &Global) -> Result<Exit, Failure> {
        let mut schedule = Schedule::defaults("scan");
        refuse(
            "--region",
            &self.regions,
            is_region,
            "a region id such as cn-hangzhou",
        )?;
        refuse(
            "--group",
            &self.groups,
            is_group,
            "a group id such as sg-bp1...",
        )?;
        refuse(
            "--format",
            &self.format,
            |f| FORMATS.contains(&f),
            "csv, xlsx, html or json",
        )?;
        if !self.regions.is_empty() {
            schedule.scope.regions = Some(self.regions);
        }
        if !self.groups.is_empty() {
            schedule.scope.groups = Some(self.groups);
        }
        if !self.packs.is_empty() {
            schedule.checks = checks_of(&self.packs)?;
            schedule.packs = self.packs;
        }
        schedule.formats = self.format;
        let program = setup::program(global)?;
        let tools = setup::tools(global, &program, false).await?;
        let job = Job {
            command: "scan".to_owned(),
            schedule,
            copies: self.out,
        };
        let outcome = signals::heed(&tools.stop, job::run(&job, &tools)).await??;
        let exit = Exit::of(&outcome, self.fail_on);
        show::outcome(global, &outcome, exit);
        Ok(exit)
    }
}

/// The checks of those packs, the default ones where none is named.
pub(super) fn checks_of(packs: &[String]) -> Result<Vec<Check>, Failure> {
    if packs.is_empty() {
        return Ok(Schedule::defaults("scan").checks);
    }
    let mut checks = Vec::new();
    for (at, pack) in packs.iter().enumerate() {
        if packs.iter().take(at).any(|before| before == pack) {
            return Err(Failure::usage(format!("--pack {pack} is named twice")));
        }
        checks.extend(crate::config::checks::pack(pack).map_err(Failure::usage)?);
    }
    Ok(checks)
}

fn refuse(
    flag: &str,
    values: &[String],
    ok: impl Fn(&str) -> bool,
    what: &str,
) -> Result<(), Failure> {
    match values.iter().find(|value| !ok(value)) {
        None => Ok(()),
        Some(value) => Err(Failure::usage(format!("{flag} \"{value}\" must be {what}"))),
    }
}
