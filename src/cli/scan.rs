//! `scan`: read only.

use super::exit::{Exit, Failure};
use super::{Global, setup, show, signals};
use crate::config::Problems;
use crate::config::packs::{self, NoPack, Pack};
use crate::config::program::is_region;
use crate::config::schedule::{Accounts, FORMATS, Schedule, is_account, is_group, severity};
use crate::job::{self, Job};
use crate::model::{AccountId, Severity};
use crate::policy::Check;
use clap::Args;
use std::path::{Path, PathBuf};

/// Arguments of `scan`.
#[derive(Debug, Args)]
pub(super) struct Scan {
    /// This account and not that of the keys; repeatable. The role of [accounts] is assumed there
    #[arg(long = "account", value_name = "A")]
    accounts: Vec<String>,
    /// Only this region; repeatable [default: all]
    #[arg(long = "region", value_name = "R")]
    regions: Vec<String>,
    /// Only this group; repeatable [default: all]
    #[arg(long = "group", value_name = "SG")]
    groups: Vec<String>,
    /// Judge by this pack, a name or the path of your own; repeatable [default: risky-ports]
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
        refuse(
            "--account",
            &self.accounts,
            is_account,
            "an account id of 16 digits",
        )?;
        if self.accounts.len() > 1 && !self.groups.is_empty() {
            return Err(Failure::usage(
                "--group belongs to one account: name one --account with it",
            ));
        }
        if !self.accounts.is_empty() {
            let mut accounts: Vec<AccountId> =
                self.accounts.into_iter().map(AccountId::new).collect();
            accounts.sort();
            accounts.dedup();
            schedule.scope.accounts = Accounts::Listed(accounts);
        }
        if !self.regions.is_empty() {
            schedule.scope.regions = Some(self.regions);
        }
        if !self.groups.is_empty() {
            schedule.scope.groups = Some(self.groups);
        }
        if !self.packs.is_empty() {
            schedule.packs = packs_of(&self.packs, &setup::base(global))?;
            schedule.checks = checks_of(&schedule.packs)?;
        }
        schedule.formats = self.format;
        let program = setup::program(global)?;
        if schedule.scope.accounts.needs_role() && program.role.is_none() {
            return Err(Failure::usage(setup::NO_ROLE));
        }
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

/// The packs of `--pack`; the mistakes of all of them at once.
pub(super) fn packs_of(names: &[String], base: &Path) -> Result<Vec<Pack>, Failure> {
    let mut out: Vec<Pack> = Vec::new();
    let mut wrong = Vec::new();
    for name in names {
        if out.iter().any(|pack| pack.name == *name) {
            wrong.push(format!("--pack {name} is named twice"));
            continue;
        }
        match packs::named(name, base) {
            Ok(pack) => out.push(pack),
            Err(NoPack::Name(why)) => wrong.push(format!("--pack: {why}")),
            Err(NoPack::Problems(problems)) => wrong.push(Problems(problems).to_string()),
        }
    }
    if wrong.is_empty() {
        Ok(out)
    } else {
        Err(Failure::usage(wrong.join("\n")))
    }
}

/// The checks of those packs together.
pub(super) fn checks_of(packs: &[Pack]) -> Result<Vec<Check>, Failure> {
    packs::unite(packs).map_err(|differing| {
        let what: Vec<String> = differing.into_iter().map(|(_, what)| what).collect();
        Failure::usage(what.join("\n"))
    })
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
