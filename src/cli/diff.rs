//! `diff`: what changed between two sealed runs.

use super::exit::{Exit, Failure};
use super::{Global, setup, show};
use crate::config::Program;
use crate::evidence::format::Manifest;
use crate::evidence::store::read_record;
use crate::evidence::{Store, population};
use crate::model::{FieldChange, FindingName, RunDiff, RunRecord, Traffic};
use crate::policy::compare::{Compared, Key, compare, key};
use crate::report::view::visible;
use clap::Args;
use std::collections::BTreeSet;
use std::path::PathBuf;

/// Arguments of `diff`.
#[derive(Debug, Args)]
pub(super) struct Diff {
    /// The run before: its id, or its folder's path
    #[arg(value_name = "FROM")]
    from: String,
    /// The run after
    #[arg(value_name = "TO")]
    to: String,
}

/// A run that is as it was sealed.
struct Read {
    folder: PathBuf,
    record: RunRecord,
    manifest: Manifest,
}

/// Names in a list on a terminal; `--json` has all.
const MOST: usize = 50;

impl Diff {
    pub(super) fn run(self, global: &Global) -> Result<Exit, Failure> {
        let program = setup::program(global)?;
        let store = setup::store(&program)?;
        let from = read(&program, &store, &self.from)?;
        let to = read(&program, &store, &self.to)?;
        let diff = compare(&compared(&from, &to)?, &compared(&to, &from)?);
        let value = serde_json::to_value(&diff)
            .map_err(|why| Failure::start(format!("the difference cannot be written: {why}")))?;
        show::answer(global, &value, &lines(&diff));
        Ok(if diff.different {
            Exit::Difference
        } else {
            Exit::Done
        })
    }
}

fn read(program: &Program, store: &Store, run: &str) -> Result<Read, Failure> {
    let folder = store.find_whole(run)?;
    let checked = setup::as_sealed(program, store, &folder)?;
    if !checked.problems.is_empty() {
        return Err(Failure {
            exit: Exit::Difference,
            message: format!(
                "{} is not as it was sealed, so nothing is compared with it: {}",
                checked.run,
                checked.problems.join("; ")
            ),
        });
    }
    let (record, manifest) = read_record(&folder)?;
    if matches!(record.header.command.as_str(), "apply" | "rollback") {
        return Err(Failure::usage(format!(
            "{} is of `{}`, which judges nothing: its changes stand in its changes.json; compare the \
             scans before and after it",
            record.header.run, record.header.command
        )));
    }
    Ok(Read {
        folder,
        record,
        manifest,
    })
}

fn compared<'r>(own: &'r Read, other: &Read) -> Result<Compared<'r>, Failure> {
    let wanted: BTreeSet<Key> = other.record.findings.iter().map(key).collect();
    Ok(Compared {
        record: &own.record,
        policy: own
            .manifest
            .policy
            .iter()
            .map(|text| (text.name.clone(), text.decided_sha256().as_str().to_owned()))
            .collect(),
        judged: population::judged(&own.folder, &wanted)?,
    })
}

fn lines(diff: &RunDiff) -> Vec<String> {
    let mut out = Vec::new();
    for (word, side) in [("from", &diff.from), ("to  ", &diff.to)] {
        let verdicts = &side.verdicts;
        out.push(format!(
            "{word} {} {}: {} exposed, {} undetermined, {} managed, {} waived, {} compliant",
            side.run,
            if side.complete {
                "complete"
            } else {
                "INCOMPLETE"
            },
            verdicts.exposed,
            verdicts.undetermined,
            verdicts.managed,
            verdicts.waived,
            verdicts.compliant
        ));
    }
    if !diff.different {
        out.push("no difference".to_owned());
        return out;
    }
    part(&mut out, "The runs", diff.run.iter().map(told));
    part(&mut out, "New", diff.new.iter().map(named));
    part(
        &mut out,
        "Changed",
        diff.changed.iter().map(|change| {
            let mut text = named(&change.finding);
            for field in &change.fields {
                text.push_str(&format!("\n    {}", told(field)));
            }
            for (sign, traffic) in [("+", &change.opened), ("-", &change.closed)] {
                for part in traffic {
                    text.push_str(&format!("\n    {sign} {}", open(part)));
                }
            }
            for (sign, rules) in [("+", &change.rules_added), ("-", &change.rules_removed)] {
                for rule in rules {
                    text.push_str(&format!("\n    {sign} rule {}", visible(rule)));
                }
            }
            text
        }),
    );
    part(&mut out, "Resolved", diff.resolved.iter().map(named));
    part(
        &mut out,
        "Not comparable",
        diff.incomparable.iter().map(|one| {
            format!(
                "{}\n    only in {}; of the other run: {}",
                named(&one.finding),
                one.only_in,
                one.why
            )
        }),
    );
    part(
        &mut out,
        "Coverage",
        diff.coverage.iter().map(|region| {
            let fields: Vec<String> = region.fields.iter().map(told).collect();
            format!(
                "{} {}: {}",
                region.account,
                region.region,
                fields.join("; ")
            )
        }),
    );
    part(&mut out, "Policy", diff.policy.iter().map(told));
    part(
        &mut out,
        "Waivers",
        diff.waivers.iter().map(|waiver| {
            let fields: Vec<String> = waiver.fields.iter().map(told).collect();
            format!(
                "{} {} {} from {}: {}",
                waiver.group,
                waiver.check,
                waiver.ports.join(", "),
                waiver.sources.join(", "),
                fields.join("; ")
            )
        }),
    );
    out
}

fn part(out: &mut Vec<String>, title: &str, entries: impl ExactSizeIterator<Item = String>) {
    let count = entries.len();
    if count == 0 {
        return;
    }
    out.push(String::new());
    out.push(format!("{title} ({count})"));
    for entry in entries.take(MOST) {
        out.extend(entry.lines().map(|line| format!("  {line}")));
    }
    if count > MOST {
        out.push(format!(
            "  and {} more: --json has all",
            count.saturating_sub(MOST)
        ));
    }
}

fn named(finding: &FindingName) -> String {
    let groups = if finding.groups.is_empty() {
        finding.group_id.as_str().to_owned()
    } else {
        let ids: Vec<&str> = finding.groups.iter().map(|group| group.as_str()).collect();
        format!("interfaces of {}", ids.join(" and "))
    };
    format!(
        "{} {} {groups} ({}) under {}: {}",
        finding.severity,
        finding.region,
        visible(&finding.group_name),
        finding.check,
        finding.verdict
    )
}

fn told(field: &FieldChange) -> String {
    let value = |text: &Option<String>| text.as_deref().map_or("none".to_owned(), visible);
    format!(
        "{}: {} -> {}",
        visible(&field.what),
        value(&field.from),
        value(&field.to)
    )
}

fn open(traffic: &Traffic) -> String {
    let from = match traffic.sources.as_slice() {
        [] => String::new(),
        [one] => one.clone(),
        [first, rest @ ..] => format!("{first} and {} more networks", rest.len()),
    };
    format!(
        "{} {} from {from} ({} {} addresses)",
        traffic.protocol.as_str(),
        traffic.ports,
        traffic.addresses,
        traffic.family.as_str()
    )
}
