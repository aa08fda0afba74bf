//! Packs of checks: those that ship, by name, and the user's own, by a path that ends in `.toml`. The
//! same form for both.

use super::checks;
use super::reader::{Placed, Problem, Source, Table};
use crate::model::{Clause, ClauseLeast, Control, Unassessed};
use crate::policy::{Check, MinPublic, packs};
use std::path::Path;
use std::sync::LazyLock;

/// A pack as a policy uses it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Pack {
    /// As the schedule names it: a name, or a path.
    pub name: String,
    /// Its TOML, as evidence keeps it.
    pub text: String,
    /// Its checks.
    pub checks: Vec<Check>,
    /// What it names and no check of it can answer.
    pub not_assessed: Vec<Unassessed>,
}

/// Why there is no such pack.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum NoPack {
    /// The name is wrong, or the file cannot be read.
    Name(String),
    /// The file's mistakes.
    Problems(Vec<Problem>),
}

/// Whether a pack's name is the path of a file of the user's.
pub fn is_file(name: &str) -> bool {
    Path::new(name)
        .extension()
        .is_some_and(|extension| extension == "toml")
}

/// A pack by its name, or by its path from `base`.
///
/// # Errors
/// There is none, or all its mistakes.
pub fn named(name: &str, base: &Path) -> Result<Pack, NoPack> {
    if is_file(name) {
        let text = own_text(name, base).map_err(NoPack::Name)?;
        return read(name, name, &text).map_err(NoPack::Problems);
    }
    let Some(text) = packs::text(name) else {
        return Err(NoPack::Name(format!(
            "there is no pack \"{name}\"; there is {}, and a pack of your own is a path that ends in .toml",
            packs::names().join(", ")
        )));
    };
    read(&format!("pack {name}"), name, text).map_err(NoPack::Problems)
}

/// The text of a pack, as it is now.
///
/// # Errors
/// There is none, or it cannot be read.
pub fn text_of(name: &str, base: &Path) -> Result<String, String> {
    if is_file(name) {
        return own_text(name, base);
    }
    packs::text(name)
        .map(str::to_owned)
        .ok_or_else(|| format!("there is no pack \"{name}\""))
}

fn own_text(name: &str, base: &Path) -> Result<String, String> {
    let path = base.join(name);
    std::fs::read_to_string(&path)
        .map_err(|why| format!("pack \"{name}\": {} cannot be read: {why}", path.display()))
}

/// Reads a pack's text. `file` is what to call it where something is wrong.
///
/// # Errors
/// All its mistakes.
pub fn read(file: &str, name: &str, text: &str) -> Result<Pack, Vec<Problem>> {
    let source = Source::new(file, text);
    let parsed = source.parse();
    let top = Table::top(&source, &parsed);
    let mut pack = Pack {
        name: name.to_owned(),
        text: text.to_owned(),
        checks: Vec::new(),
        not_assessed: Vec::new(),
    };
    let tables = top.tables("check");
    if tables.is_empty() && !top.has("check") {
        top.missing("check", "a pack has at least one [[check]]");
    }
    for table in tables {
        if let Some(check) = checks::read(&table) {
            if let Some(id) = table.text("id")
                && pack.checks.iter().any(|other| other.id == check.id)
            {
                table.problem(&id, format!("there is already a check \"{}\"", check.id));
            }
            pack.checks.push(check);
        }
        table.finish();
    }
    for table in top.tables("not_assessed") {
        let reason = needed(&table, "reason", "why nothing here can judge it");
        if let (Some(clause), Some(reason)) = (read_clause(&table), reason) {
            pack.not_assessed.push(Unassessed {
                clause,
                reason: reason.value,
            });
        }
        table.finish();
    }
    top.finish();
    if source.is_clean() {
        Ok(pack)
    } else {
        Err(source.into_problems())
    }
}

/// The checks of several packs together. The same check in two packs is one, with the clauses of both.
///
/// # Errors
/// Two packs have checks of one id that differ: the ids, and the later pack.
pub fn unite(packs: &[Pack]) -> Result<Vec<Check>, Vec<(String, String)>> {
    let mut out: Vec<(Check, &str)> = Vec::new();
    let mut differing = Vec::new();
    for pack in packs {
        for check in &pack.checks {
            let Some((same, first)) = out.iter_mut().find(|(other, _)| other.id == check.id) else {
                out.push((check.clone(), &pack.name));
                continue;
            };
            let bare = |check: &Check| Check {
                controls: Vec::new(),
                ..check.clone()
            };
            if bare(same) != bare(check) {
                let what = format!(
                    "packs \"{first}\" and \"{}\" both have a check \"{}\", and the two differ",
                    pack.name, check.id
                );
                differing.push((pack.name.clone(), what));
                continue;
            }
            for control in &check.controls {
                if !same.controls.contains(control) {
                    same.controls.push(control.clone());
                }
            }
        }
    }
    if differing.is_empty() {
        Ok(out.into_iter().map(|(check, _)| check).collect())
    } else {
        Err(differing)
    }
}

/// `controls` and `clauses` of a check: the clauses it is mapped to.
pub(super) fn read_controls(table: &Table<'_, '_>) -> Vec<Control> {
    let mut out: Vec<Control> = Vec::new();
    for inner in table.tables("controls") {
        let least = read_clause_least(&inner);
        if let (Some(clause), Some(least)) = (read_clause(&inner), least) {
            out.push(Control { clause, least });
        }
        inner.finish();
    }
    for name in table.texts("clauses").unwrap_or_default() {
        match SETS.iter().find(|(set, _)| *set == name.value) {
            Some((_, controls)) => out.extend(controls.iter().cloned()),
            None => {
                let known: Vec<&str> = SETS.iter().map(|(set, _)| set.as_str()).collect();
                let what = format!("\"{}\" must be one of {}", name.value, known.join(", "));
                table.problem(&name, what);
            }
        }
    }
    out
}

fn read_clause(table: &Table<'_, '_>) -> Option<Clause> {
    let framework = needed(table, "framework", "such as \"PCI DSS\"");
    let version = needed(table, "version", "such as \"4.0\"");
    let clause = needed(table, "clause", "such as \"1.3.1\"");
    let title = needed(table, "title", "the clause in a line");
    Some(Clause {
        framework: framework?.value,
        version: version?.value,
        clause: clause?.value,
        title: title?.value,
    })
}

fn needed(table: &Table<'_, '_>, key: &str, what: &str) -> Option<Placed<String>> {
    let text = table.text(key);
    match &text {
        Some(given) if given.value.trim().is_empty() => table.problem(given, "is empty"),
        None if !table.has(key) => table.missing(key, what),
        _ => {}
    }
    text
}

/// Left out: the strictest, so that no check counts that might be looser.
fn read_clause_least(table: &Table<'_, '_>) -> Option<ClauseLeast> {
    if table.is_text("min_public") {
        let text = table.text("min_public")?;
        let words = |word: &str| match word {
            "any" => Some(ClauseLeast::Prefix {
                ipv4: None,
                ipv6: None,
            }),
            "unstated" => Some(ClauseLeast::Unstated),
            _ => None,
        };
        return checks::parsed(
            table,
            &text,
            words,
            "\"any\", \"unstated\", or { ipv4 = \"/0\", ipv6 = \"/0\" }",
        );
    }
    let MinPublic { ipv4, ipv6 } = checks::read_min_public(table, "min_public", MinPublic::ANY)?;
    Some(ClauseLeast::Prefix { ipv4, ipv6 })
}

/// The sets of clauses that ship.
static SETS: LazyLock<Vec<(String, Vec<Control>)>> = LazyLock::new(|| {
    let source = Source::new("clauses", packs::CLAUSES);
    let parsed = source.parse();
    let top = Table::top(&source, &parsed);
    let mut out = Vec::new();
    for table in top.tables("set") {
        if let Some(name) = table.text("name") {
            out.push((name.value, read_controls(&table)));
        }
    }
    out
});
