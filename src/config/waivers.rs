//! `waivers.toml`: what somebody approved, in full, until a day. Named by a schedule's
//! `[policy] waivers`, relative to the folder of `sgwarden.toml`.

use super::checks;
use super::program::is_region;
use super::reader::{Placed, Problem, Source, Table};
use super::schedule::{Schedule, is_group};
use crate::exposure::set::parse_any_cidr;
use crate::model::{AccountId, GroupId, RegionId};
use crate::policy::{Waiver, packs, waivers};
use std::path::Path;

/// A schedule's waivers, from its key to what the file says.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum Waiving {
    /// It names no file.
    #[default]
    None,
    /// It names a file that was not read: no run may begin like that.
    Named(String),
    /// Read.
    Read(WaiverFile),
}

/// A file of waivers.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct WaiverFile {
    /// As the schedule names it.
    pub name: String,
    /// Its text, as evidence keeps it.
    pub text: String,
    /// What it says.
    pub waivers: Vec<Waiver>,
}

impl Waiving {
    /// The file, where it was read.
    pub fn file(&self) -> Option<&WaiverFile> {
        match self {
            Self::Read(file) => Some(file),
            Self::None | Self::Named(_) => None,
        }
    }
}

/// Reads the file that a schedule names, where it names one.
///
/// # Errors
/// It cannot be read, or all its mistakes.
pub fn attach(schedule: &mut Schedule, base: &Path) -> Result<(), Vec<Problem>> {
    let Waiving::Named(name) = &schedule.waivers else {
        return Ok(());
    };
    let own: Vec<&str> = schedule
        .checks
        .iter()
        .map(|check| check.id.as_str())
        .collect();
    let file = load(name, base, Some(&own))?;
    schedule.waivers = Waiving::Read(file);
    Ok(())
}

/// The mistakes of the file that a schedule's text names, of a schedule that itself could not be read:
/// so that all of both are said at once.
pub fn problems_of(schedule_text: &str, base: &Path) -> Vec<Problem> {
    let named = schedule_text.parse::<toml::Table>().ok().and_then(|table| {
        let name = table.get("policy")?.get("waivers")?.as_str()?;
        Some(name.to_owned())
    });
    // Its own checks may be what is wrong with it: then no id is held against them.
    named
        .and_then(|name| load(&name, base, None).err())
        .unwrap_or_default()
}

fn load(name: &str, base: &Path, own_checks: Option<&[&str]>) -> Result<WaiverFile, Vec<Problem>> {
    let path = base.join(name);
    let file = path.display().to_string();
    let text = std::fs::read_to_string(&path).map_err(|why| {
        vec![Problem {
            file: file.clone(),
            line: 0,
            key: String::new(),
            what: format!(
                "cannot be read, and the schedule names it as its waivers: {why}. Nothing is judged \
                 without it"
            ),
        }]
    })?;
    let waivers = read(&file, &text, own_checks)?;
    Ok(WaiverFile {
        name: name.to_owned(),
        text,
        waivers,
    })
}

/// Reads the file's text. `file` is what to call it; `own_checks` the checks of the schedule beside
/// those that ship, `None` where they are not known.
///
/// # Errors
/// All its mistakes.
pub fn read(
    file: &str,
    text: &str,
    own_checks: Option<&[&str]>,
) -> Result<Vec<Waiver>, Vec<Problem>> {
    let source = Source::new(file, text);
    let parsed = source.parse();
    let top = Table::top(&source, &parsed);
    let mut out = Vec::new();
    for table in top.tables("waiver") {
        let line = source.line(table.span().start);
        out.extend(waiver(&table, line, own_checks));
        table.finish();
    }
    top.finish();
    if source.is_clean() {
        Ok(out)
    } else {
        Err(source.into_problems())
    }
}

/// A placeholder of `sgwarden waive`, which a person must fill in.
fn is_placeholder(text: &str) -> bool {
    let text = text.trim();
    text.starts_with('<') && text.ends_with('>')
}

/// A text that must say something.
fn said(table: &Table<'_, '_>, key: &str, what: &str) -> Option<String> {
    let Some(text) = table.text(key) else {
        if !table.has(key) {
            table.missing(key, what);
        }
        return None;
    };
    if text.value.trim().is_empty() {
        table.problem(&text, format!("is empty: {what}"));
        return None;
    }
    if is_placeholder(&text.value) {
        table.problem(&text, format!("is still to be filled in: {what}"));
        return None;
    }
    Some(text.value)
}

fn waiver(table: &Table<'_, '_>, line: usize, own_checks: Option<&[&str]>) -> Option<Waiver> {
    let of = |key: &str, what: &str, ok: fn(&str) -> bool| -> Option<String> {
        let value = said(table, key, what)?;
        if ok(&value) {
            return Some(value);
        }
        let placed = table.text(key)?;
        table.problem(&placed, format!("\"{value}\" must be {what}"));
        None
    };
    let optional = |key: &str, what: &str, ok: fn(&str) -> bool| {
        // The outer: whether it is fine; the inner: whether it is there.
        if table.has(key) {
            of(key, what, ok).map(Some)
        } else {
            table.knows(key);
            Some(None)
        }
    };
    let group = of("group", "a group id such as sg-bp1...", is_group);
    let account = optional("account", "an account id of digits", is_account);
    let region = optional("region", "a region id such as cn-hangzhou", is_region);
    let check = check(table, own_checks);
    let ports = list(
        table,
        "ports",
        "a port or range of ports such as \"22\" or \"8000-8100\" (of tcp and udp), \"tcp/22\", or icmp, \
         icmpv6, gre",
        |text| waivers::parse_ports(text).is_some(),
    );
    let sources = list(
        table,
        "sources",
        "an address or network such as \"0.0.0.0/0\"",
        |text| parse_any_cidr(text).is_some(),
    );
    let owner = said(table, "owner", "who answers for what is open");
    let approved_by = said(table, "approved_by", "who approved it");
    let reason = said(table, "reason", "why it must be open");
    let expires = match table.day("expires") {
        Some(day) => Some(day.value),
        None => {
            if !table.has("expires") {
                table.missing("expires", "its last day, such as \"2027-03-31\"");
            }
            None
        }
    };
    let ticket = optional("ticket", "a ticket's id", |_| true);
    Some(Waiver {
        account: account?.map(AccountId::new),
        region: region?.map(RegionId::new),
        group: GroupId::new(group?),
        check: check?,
        ports: ports?,
        sources: sources?,
        owner: owner?,
        approved_by: approved_by?,
        reason: reason?,
        ticket: ticket?,
        expires: expires?,
        line: u64::try_from(line).unwrap_or(u64::MAX),
    })
}

fn is_account(text: &str) -> bool {
    !text.is_empty() && text.len() <= 20 && text.bytes().all(|b| b.is_ascii_digit())
}

/// The inner `None` is every check. An id that nobody has would leave open what somebody wanted kept
/// open out of every run's sight, and revoked: it is refused.
fn check(table: &Table<'_, '_>, own_checks: Option<&[&str]>) -> Option<Option<String>> {
    let value = said(table, "check", "a check's id, or \"*\" for every check")?;
    if value == "*" {
        return Some(None);
    }
    let Some(own) = own_checks else {
        return Some(Some(value));
    };
    let mut known: Vec<String> = own.iter().map(|id| (*id).to_owned()).collect();
    for (pack, _) in packs::PACKS {
        known.extend(
            checks::pack(pack)
                .unwrap_or_default()
                .into_iter()
                .map(|check| check.id),
        );
    }
    if known.contains(&value) {
        return Some(Some(value));
    }
    let nearest = known
        .iter()
        .map(|id| (strsim::jaro_winkler(id, &value), id))
        .filter(|(likeness, _)| *likeness > 0.7)
        .max_by(|a, b| a.0.total_cmp(&b.0));
    let hint = nearest.map_or_else(String::new, |(_, id)| format!("; did you mean \"{id}\"?"));
    let placed = table.text("check")?;
    table.problem(
        &placed,
        format!("\"{value}\" is no check of this schedule nor of a pack that ships{hint}"),
    );
    None
}

fn list(table: &Table<'_, '_>, key: &str, what: &str, ok: fn(&str) -> bool) -> Option<Vec<String>> {
    let Some(texts) = table.texts(key) else {
        if !table.has(key) {
            table.missing(key, &format!("a list, each {what}"));
        }
        return None;
    };
    if texts.is_empty() {
        table.missing(key, &format!("an empty list approves nothing; name {what}"));
        return None;
    }
    let wrong: Vec<&Placed<String>> = texts.iter().filter(|text| !ok(&text.value)).collect();
    for text in &wrong {
        table.problem(text, format!("\"{}\" must be {what}", text.value));
    }
    wrong
        .is_empty()
        .then(|| texts.into_iter().map(|text| text.value).collect())
}
