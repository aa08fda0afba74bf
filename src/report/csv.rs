//! `findings.csv`, `changes.csv`, `controls.csv`: UTF-8 with a BOM, so that Excel reads Chinese right; English
//! field names in every language, since scripts read them. No cell ever begins a formula.

mod controls;

use super::view::{View, visible};
use super::{RenderError, Renderer};
use crate::model::{Artifact, Attached, ExposedRun, Finding, GroupId, RegionStatus, RunRecord};

/// Renders both.
#[derive(Debug)]
pub(super) struct Csv;

const BOM: &[u8] = b"\xef\xbb\xbf";
const MEDIA_TYPE: &str = "text/csv; charset=utf-8";

/// A cell that a spreadsheet does not take for a formula: one that begins with `= + - @`, a tab or
/// a carriage return (also after blanks, also in full width) gets an apostrophe in front.
pub(super) fn guard(text: &str) -> String {
    let first = text
        .trim_start_matches([' ', '\u{3000}', '\u{a0}'])
        .chars()
        .next();
    match first {
        Some('=' | '+' | '-' | '@' | '\t' | '\r' | '\n' | '＝' | '＋' | '－' | '＠') => {
            format!("'{text}")
        }
        _ => text.to_owned(),
    }
}

const FINDINGS: [&str; 29] = [
    "complete",
    "account",
    "region",
    "group_id",
    "group_name",
    "vpc_id",
    "check",
    "severity",
    "verdict",
    "state",
    "first_seen",
    "reach",
    "family",
    "protocol",
    "ports",
    "addresses",
    "share",
    "sources",
    "rules",
    "held",
    "reason",
    "summary",
    "interfaces",
    "reachable",
    "instances",
    "interface_ids",
    "interface_groups",
    "opened_by",
    "closed_in_this_run",
];

/// Sources in one cell: the first few CIDRs; `findings.json` has all.
const MOST_SOURCES: usize = 20;

impl Renderer for Csv {
    fn render(&self, record: &RunRecord) -> Result<Vec<Artifact>, RenderError> {
        let view = View::new(record);
        let mut out = vec![findings(&view)?];
        if !record.changes.is_empty() || !record.held.is_empty() || !record.confirmed.is_empty() {
            out.push(changes(&view)?);
        }
        if !record.header.controls.is_empty() {
            out.push(controls::controls(&view)?);
        }
        Ok(out)
    }
}

fn write(
    name: &'static str,
    header: &[&str],
    rows: &[Vec<String>],
) -> Result<Artifact, RenderError> {
    let error = RenderError::of(name);
    let mut bytes = BOM.to_vec();
    let mut writer = csv::WriterBuilder::new()
        .terminator(csv::Terminator::CRLF)
        .from_writer(&mut bytes);
    writer.write_record(header).map_err(|why| error(&why))?;
    for row in rows {
        writer
            .write_record(row.iter().map(|cell| guard(&visible(cell))))
            .map_err(|why| error(&why))?;
    }
    writer.flush().map_err(|why| error(&why))?;
    drop(writer);
    Ok(Artifact {
        name: name.to_owned(),
        media_type: MEDIA_TYPE,
        bytes,
    })
}

fn findings(view: &View<'_>) -> Result<Artifact, RenderError> {
    let record = view.record;
    let complete = if record.header.complete {
        "complete"
    } else {
        "INCOMPLETE"
    };
    let mut rows = Vec::new();
    // What was not read stands first: no one may take this file for the whole.
    for region in &record.coverage.regions {
        if region.status != RegionStatus::Failed {
            continue;
        }
        let mut row = vec![String::new(); FINDINGS.len()];
        let why = region.error.as_ref().map_or_else(
            || "not read in full".to_owned(),
            |error| {
                format!(
                    "{} {} {}: {}",
                    error.action, error.code, error.request_id, error.message
                )
            },
        );
        for (at, cell) in [
            (0, complete.to_owned()),
            (1, region.account.as_str().to_owned()),
            (2, region.region.as_str().to_owned()),
            (8, "unread".to_owned()),
            (20, why),
        ] {
            if let Some(slot) = row.get_mut(at) {
                *slot = cell;
            }
        }
        rows.push(row);
    }
    if !record.header.complete && rows.is_empty() {
        for reason in &record.header.incomplete_reasons {
            let mut row = vec![String::new(); FINDINGS.len()];
            for (at, cell) in [
                (0, complete.to_owned()),
                (8, "unread".to_owned()),
                (20, reason.clone()),
            ] {
                if let Some(slot) = row.get_mut(at) {
                    *slot = cell;
                }
            }
            rows.push(row);
        }
    }
    for finding in view.findings() {
        let none = [];
        let runs: &[ExposedRun] = if finding.exposed.is_empty() {
            &none
        } else {
            &finding.exposed
        };
        if runs.is_empty() {
            rows.push(row(view, complete, finding, None));
        }
        for run in runs {
            rows.push(row(view, complete, finding, Some(run)));
        }
    }
    write("findings.csv", &FINDINGS, &rows)
}

fn row(
    view: &View<'_>,
    complete: &str,
    finding: &Finding,
    run: Option<&ExposedRun>,
) -> Vec<String> {
    let rules: Vec<String> = finding
        .rules
        .iter()
        .map(|rule| {
            format!(
                "{} ({} {} {} priority {})",
                rule.rule_id, rule.protocol, rule.port_range, rule.source, rule.priority
            )
        })
        .collect();
    let held: Vec<String> = finding
        .rules
        .iter()
        .filter(|rule| !rule.held.is_empty())
        .map(|rule| format!("{}: {}", rule.rule_id, rule.held.join("+")))
        .collect();
    let sources = run.map_or_else(String::new, |run| {
        let more = run.sources.len().saturating_sub(MOST_SOURCES);
        let first: Vec<&str> = run
            .sources
            .iter()
            .take(MOST_SOURCES)
            .map(String::as_str)
            .collect();
        let tail = if more > 0 {
            format!(" and {more} more")
        } else {
            String::new()
        };
        format!("{}{tail}", first.join(" "))
    });
    let attached = |f: fn(&Attached) -> u64| {
        let counts = finding.attached.as_ref();
        counts
            .map(|counts| f(counts).to_string())
            .unwrap_or_default()
    };
    let note = finding.interface.as_ref();
    let of = |f: fn(&ExposedRun) -> &str| run.map(f).unwrap_or_default().to_owned();
    vec![
        complete.to_owned(),
        finding.account.as_str().to_owned(),
        finding.region.as_str().to_owned(),
        finding.group_id.as_str().to_owned(),
        finding.group_name.clone(),
        finding.vpc_id.clone(),
        finding.check.clone(),
        finding.severity.as_str().to_owned(),
        finding.verdict.as_str().to_owned(),
        finding.state.as_str().to_owned(),
        finding.first_seen.clone(),
        finding.reach.as_str().to_owned(),
        of(|run| run.family.as_str()),
        of(|run| run.protocol.as_str()),
        of(|run| &run.ports),
        of(|run| &run.addresses),
        of(|run| &run.share),
        sources,
        rules.join("; "),
        held.join("; "),
        finding.reason.clone().unwrap_or_default(),
        view.sentence(finding),
        attached(|a| a.interfaces),
        attached(|a| a.reachable),
        attached(|a| a.instances),
        note.map(|n| n.ids.join(" ")).unwrap_or_default(),
        note.map(|n| {
            n.groups
                .iter()
                .map(GroupId::as_str)
                .collect::<Vec<_>>()
                .join(" ")
        })
        .unwrap_or_default(),
        view.openers(finding).unwrap_or_default(),
        view.closed(finding)
            .map(|_| "yes".to_owned())
            .unwrap_or_default(),
    ]
}

const CHANGES: [&str; 22] = [
    "complete",
    "account",
    "region",
    "group_id",
    "group_name",
    "kind",
    "rule_id",
    "rule",
    "checks",
    "outcome",
    "reasons",
    "request_id",
    "attempted_at",
    "verified_at",
    "as_planned",
    "traffic_closed",
    "traffic_opened",
    "verdict_after",
    "before_sha256",
    "after_sha256",
    "undo",
    "narrowing",
];

fn changes(view: &View<'_>) -> Result<Artifact, RenderError> {
    let record = view.record;
    // Scripts read it.
    let english = View::in_english(record);
    let complete = if record.header.complete {
        "complete"
    } else {
        "INCOMPLETE"
    };
    let mut rows = Vec::new();
    for change in &record.changes {
        let verdicts: Vec<String> = change
            .verdict_after
            .iter()
            .map(|(check, verdict)| format!("{check}: {verdict}"))
            .collect();
        rows.push(vec![
            complete.to_owned(),
            change.account.as_str().to_owned(),
            change.region.as_str().to_owned(),
            change.group_id.as_str().to_owned(),
            change.group_name.clone(),
            change.kind.as_str().to_owned(),
            change
                .rule
                .get("SecurityGroupRuleId")
                .cloned()
                .unwrap_or_default(),
            rule_text(&change.rule),
            change.checks.join(" "),
            change.outcome.as_str().to_owned(),
            change.error.clone().unwrap_or_default(),
            change.request_id.clone().unwrap_or_default(),
            change.attempted_at.clone().unwrap_or_default(),
            change.verified_at.clone().unwrap_or_default(),
            change.as_planned.to_string(),
            english.traffic(&change.traffic_closed),
            english.traffic(&change.traffic_opened),
            verdicts.join("; "),
            change.before_sha256.clone(),
            change.after_sha256.clone().unwrap_or_default(),
            super::undo::command(&change.undo),
            super::narrowed::cell(change.narrowing.as_ref()),
        ]);
    }
    for held in &record.held {
        let mut row = vec![String::new(); CHANGES.len()];
        let reasons: Vec<&str> = held.reasons.iter().map(|reason| reason.as_str()).collect();
        for (at, cell) in [
            (0, complete.to_owned()),
            (1, held.account.as_str().to_owned()),
            (2, held.region.as_str().to_owned()),
            (3, held.group_id.as_str().to_owned()),
            (6, held.rules.join(" ")),
            (9, "held".to_owned()),
            (10, format!("{}: {}", reasons.join("+"), held.detail)),
        ] {
            if let Some(slot) = row.get_mut(at) {
                *slot = cell;
            }
        }
        rows.push(row);
    }
    for call in &record.confirmed {
        let mut row = vec![String::new(); CHANGES.len()];
        for (at, cell) in [
            (0, complete.to_owned()),
            (1, call.account.as_str().to_owned()),
            (2, call.region.as_str().to_owned()),
            (3, call.group_id.as_str().to_owned()),
            (5, call.action.clone()),
            (9, call.found.as_str().to_owned()),
            (10, format!("run {}: {}", call.run, call.detail)),
            (11, call.request_id.clone()),
            (12, call.attempted_at.clone()),
        ] {
            if let Some(slot) = row.get_mut(at) {
                *slot = cell;
            }
        }
        rows.push(row);
    }
    write("changes.csv", &CHANGES, &rows)
}

/// A rule's fields in a line for people: with the name of a protocol that is a number.
pub(super) fn rule_words(rule: &std::collections::BTreeMap<String, String>) -> String {
    let mut rule = rule.clone();
    if let Some(protocol) = rule.get_mut("IpProtocol") {
        *protocol = super::about::protocol(protocol);
    }
    rule_text(&rule)
}

/// A rule's fields in a line.
pub(super) fn rule_text(rule: &std::collections::BTreeMap<String, String>) -> String {
    let mut parts = Vec::new();
    for name in [
        "Policy",
        "Priority",
        "IpProtocol",
        "PortRange",
        "PortRangeListId",
        "SourceCidrIp",
        "Ipv6SourceCidrIp",
        "SourcePrefixListId",
        "SourceGroupId",
        "SourcePortRange",
        "DestCidrIp",
        "NicType",
        "Description",
    ] {
        if let Some(value) = rule.get(name) {
            parts.push(format!("{name}={value}"));
        }
    }
    parts.join(" ")
}
