//! What a run found, changed, held and would change, on a terminal.

use super::{Paint, outcome_json, print_json};
use crate::cli::Global;
use crate::cli::exit::Exit;
use crate::job::RunOutcome;
use crate::model::{Finding, Held, HoldReason, Outcome, RegionStatus, RunRecord, Verdict};
use crate::policy::lasting::lasting;
use crate::report::about::protocol;
use crate::report::view::{View, visible};
use serde_json::json;
use std::collections::BTreeMap;
use std::io::Write as _;

/// Findings on a terminal: one screen; the reports have all.
const MOST: usize = 30;

/// What a run found.
pub(super) fn record(paint: &Paint, record: &RunRecord) {
    let view = View::in_english(record);
    headline(paint, &view);
    let all = view.findings();
    let open = |f: &&&Finding| view.closed(f).is_none();
    for (title, wanted) in [
        (exposed_title(&view, "Exposed, and why"), Verdict::Exposed),
        ("Could not be judged, and why", Verdict::Undetermined),
        (
            "Managed by a cloud service, never changed",
            Verdict::Managed,
        ),
        ("Waived", Verdict::Waived),
    ] {
        let some = all.iter().filter(|f| f.verdict == wanted).filter(open);
        list(paint, &view, title, &some.copied().collect::<Vec<_>>());
    }
    let closed = all.iter().filter(|f| view.closed(f).is_some());
    let closed: Vec<&Finding> = closed.copied().collect();
    list(paint, &view, "Closed in this run, verified", &closed);
    if !record.resolved.is_empty() {
        say!("\n{}", paint.bold("No longer exposed since the last run"));
        for finding in record.resolved.iter().take(MOST) {
            say!(
                "  {} {} {}",
                finding.region,
                visible(&finding.group_name),
                paint.dim(finding.group_id.as_str())
            );
        }
    }
}

/// What is exposed under one heading, or what is left of it where the run closed some.
fn exposed_title<'t>(view: &View<'_>, title: &'t str) -> &'t str {
    match view.closed_of() {
        Some((n, _)) if n > 0 => "Still exposed, and why",
        Some(_) | None => title,
    }
}

fn list(paint: &Paint, view: &View<'_>, title: &str, some: &[&Finding]) {
    if some.is_empty() {
        return;
    }
    say!("\n{}", paint.bold(title));
    for finding in some.iter().take(MOST) {
        say!(
            "  {} {} {} {}",
            paint.severity(finding.severity),
            finding.region,
            paint.bold(&visible(&finding.group_name)),
            paint.dim(&format!(
                "{} {} {}",
                finding.group_id,
                finding.check,
                finding.state.as_str()
            ))
        );
        say!("      {}", view.sentence(finding));
    }
    if some.len() > MOST {
        let more = some.len() - MOST;
        say!(
            "  {}",
            paint.dim(&format!("and {more} more: the reports have all"))
        );
    }
}

/// What it changed and held.
pub(super) fn changes(paint: &Paint, record: &RunRecord) {
    changed(paint, record);
    let view = View::in_english(record);
    held_back(paint, &view, &record.held.iter().collect::<Vec<_>>());
    let reevaluation = view.reevaluation();
    if !reevaluation.is_empty() {
        say!("\n{reevaluation}");
    }
}

fn held_back(paint: &Paint, view: &View<'_>, some: &[&Held]) {
    if some.is_empty() {
        return;
    }
    say!("\n{}", paint.bold("Held back"));
    for held in some.iter().take(MOST) {
        let reasons: Vec<&str> = held.reasons.iter().map(|reason| reason.as_str()).collect();
        say!(
            "  {} {} {}",
            paint.with("33", &reasons.join("+")),
            held.region,
            paint.dim(&format!("{} {}", held.group_id, held.rules.join(" ")))
        );
        say!("      {}", view.ours(&held.detail));
    }
    if some.len() > MOST {
        let more = some.len() - MOST;
        say!(
            "  {}",
            paint.dim(&format!("and {more} more: the reports have all"))
        );
    }
}

fn changed(paint: &Paint, record: &RunRecord) {
    let view = View::in_english(record);
    if !record.changes.is_empty() {
        say!("\n{}", paint.bold(&view.change_lead()));
        for change in &record.changes {
            let code = match change.outcome {
                Outcome::Verified | Outcome::AlreadyGone => "32",
                Outcome::Drifted => "35",
                Outcome::Refused | Outcome::Failed | Outcome::Unknown => "1;31",
            };
            say!(
                "  {} {} {} {}",
                paint.with(code, change.outcome.as_str()),
                change.region,
                paint.bold(&visible(&change.group_name)),
                paint.dim(change.group_id.as_str())
            );
            say!("      {}", view.change(change));
        }
    }
    if let Some(until) = crate::report::restored::until(&view) {
        say!("\n{until}");
    }
}

/// A plan, for the person who approves it.
pub(in crate::cli) fn planned(
    global: &Global,
    outcome: &RunOutcome,
    file: &std::path::Path,
    exit: Exit,
) {
    if global.json {
        let mut value = outcome_json(outcome, exit);
        if let Some(object) = value.as_object_mut() {
            object.insert("plan".to_owned(), json!(file.display().to_string()));
            object.insert("would_change".to_owned(), json!(outcome.plan.groups));
        }
        print_json(&value);
        return;
    }
    let paint = Paint::of(global);
    record(&paint, &outcome.record);
    let view = View::in_english(&outcome.record);
    let narrows = crate::report::narrowed::narrows(&outcome.record.planned);
    say!(
        "\n{}",
        paint.bold(if narrows {
            "Would be revoked or narrowed"
        } else {
            "Would be revoked"
        })
    );
    for group in &outcome.plan.groups {
        say!(
            "  {} {} {}",
            group.region,
            paint.bold(&visible(&group.group_name)),
            paint.dim(group.group_id.as_str())
        );
        for change in group.taken_rules() {
            let fields: Vec<String> = change
                .rule
                .iter()
                .map(|(name, value)| match name.as_str() {
                    "IpProtocol" => format!("{name}={}", protocol(value)),
                    _ => format!("{name}={}", visible(value)),
                })
                .collect();
            say!("    {} {}", paint.bold(&change.rule_id), fields.join(" "));
            let instead = view.after(change.narrowing.as_ref());
            if !instead.is_empty() {
                say!("      {instead}");
            }
            let back = view.once_back(&change.rule, &change.undo);
            if !back.is_empty() {
                say!("      {back}");
            }
            for traffic in &change.ends {
                let kind = if traffic.internet {
                    "internet"
                } else {
                    "private and reserved"
                };
                let first: Vec<&str> = traffic.sources.iter().take(4).map(String::as_str).collect();
                say!(
                    "      ends {} {} from {} {kind} addresses: {}{}",
                    traffic.protocol.as_str(),
                    traffic.ports,
                    traffic.addresses,
                    first.join(" "),
                    if traffic.sources.len() > 4 {
                        " ..."
                    } else {
                        ""
                    }
                );
            }
        }
        let predicted: Vec<String> = group
            .predicted
            .iter()
            .map(|(check, verdict)| format!("{check}: {verdict}"))
            .collect();
        say!("      then {}", predicted.join(", "));
    }
    if outcome.plan.groups.is_empty() {
        say!("  nothing");
    }
    changed(&paint, &outcome.record);
    // What only waits for `apply` stands above; that the mode is `plan` is why it was called.
    let only_waits = |held: &&Held| held.reasons.iter().all(|why| *why == HoldReason::Mode);
    let held = outcome.record.held.iter().filter(|held| !only_waits(held));
    held_back(&paint, &view, &held.collect::<Vec<_>>());
    say!("\n{} {}", paint.dim("plan    "), file.display());
    if outcome.plan.groups.is_empty() {
        say!("nothing to carry out");
        for (reason, key) in [
            (HoldReason::MaxChanges, "max_changes"),
            (HoldReason::MaxShare, "max_share"),
        ] {
            let held = &outcome.record.held;
            if held.iter().any(|held| held.reasons.contains(&reason)) {
                say!(
                    "  remediation.{key} of the schedule holds it back: raise it where so much is to change \
                     at once, and plan again"
                );
            }
        }
        return;
    }
    say!(
        "{} sgwarden apply {} --approved-by NAME --ticket ID",
        paint.dim("carry out"),
        file.display()
    );
}

/// One run of the demo on part of a screen: a line a group. The reports have all.
pub(in crate::cli) fn demo_run(global: &Global, outcome: &RunOutcome, exit: Exit) {
    if global.json {
        return;
    }
    let paint = Paint::of(global);
    let record = &outcome.record;
    let view = View::in_english(record);
    headline(&paint, &view);
    let all = view.findings();
    for (title, wanted) in [
        (
            exposed_title(&view, "Exposed, and by which rule"),
            Verdict::Exposed,
        ),
        ("Could not be judged, and why", Verdict::Undetermined),
        (
            "Managed by a cloud service, never changed",
            Verdict::Managed,
        ),
    ] {
        let some = all.iter().filter(|f| f.verdict == wanted);
        let some: Vec<_> = some.filter(|f| view.closed(f).is_none()).collect();
        if some.is_empty() {
            continue;
        }
        say!("{}", paint.bold(title));
        for finding in some {
            say!(
                "  {:<27} {}",
                visible(&finding.group_name),
                view.brief(finding)
            );
        }
    }
    let closed: Vec<String> = all
        .iter()
        .filter(|finding| view.closed(finding).is_some())
        .map(|finding| visible(&finding.group_name))
        .collect();
    if !closed.is_empty() {
        say!("{}", paint.bold("Closed in this run, verified"));
        say!("  {}", closed.join(", "));
    }
    let mut outcomes: BTreeMap<&str, u64> = BTreeMap::new();
    for change in &record.changes {
        let slot = outcomes.entry(change.outcome.as_str()).or_default();
        *slot = slot.saturating_add(1);
    }
    for (outcome, n) in outcomes {
        if outcome == Outcome::Verified.as_str() {
            say!(
                "{} {n} rules revoked, {outcome} by two readings",
                paint.bold("Changed")
            );
        } else {
            say!("{} {n} rules tried: {outcome}", paint.bold("Not changed"));
        }
    }
    let mut held: BTreeMap<String, u64> = BTreeMap::new();
    for entry in &record.held {
        let reasons: Vec<&str> = entry.reasons.iter().map(|reason| reason.as_str()).collect();
        let slot = held.entry(reasons.join("+")).or_default();
        *slot = slot.saturating_add(1);
    }
    if !held.is_empty() {
        let parts: Vec<String> = held
            .iter()
            .map(|(reason, n)| format!("{n} {reason}"))
            .collect();
        say!(
            "{} {}: the reports say of each why",
            paint.bold("Held back"),
            parts.join(", ")
        );
    }
    if exit != Exit::Done {
        let code = exit.code();
        say!(
            "{}",
            paint.dim(&format!("a run of your own would exit {code} here"))
        );
    }
}

fn headline(paint: &Paint, view: &View<'_>) {
    let header = &view.record.header;
    let code = if !header.complete {
        "1;41;97"
    } else if view.is_open() {
        "1;31"
    } else if !view.judges() {
        "1"
    } else {
        "1;32"
    };
    let read = view.record.coverage.regions.iter();
    let regions = read
        .filter(|region| region.status == RegionStatus::Ok)
        .count();
    say!(
        "{} {}",
        paint.with(code, &view.word()),
        paint.bold(&view.counts())
    );
    say!(
        "{} groups with {} rules in {} region(s) read, {} compliant. Account {}, as {}.",
        header.groups,
        header.rules,
        regions,
        header.totals.compliant,
        header.identity.account,
        header.identity.arn
    );
    for reason in &header.incomplete_reasons {
        say!("  {} {}", paint.with("1;35", "!"), visible(reason));
    }
    for line in not_looked_at(view) {
        say!("  {} {}", paint.with("33", "!"), visible(&line));
    }
}

/// Which interfaces were not looked at or not judged, and why: regions with one reason in one line.
fn not_looked_at(view: &View<'_>) -> Vec<String> {
    if !view.judges() {
        return Vec::new();
    }
    let mut by_reason: BTreeMap<(&str, String), (String, Vec<&str>)> = BTreeMap::new();
    for region in &view.record.coverage.regions {
        let what = match &region.attached {
            _ if region.status != RegionStatus::Ok || region.groups_listed == 0 => continue,
            None => "interfaces not looked at",
            Some(seen) if seen.not_judged > 0 => "interfaces not judged by all their groups",
            Some(seen) if seen.instances.is_none() => "instances not looked at",
            Some(_) => continue,
        };
        let about = |warning: &&String| {
            warning.contains("what uses the groups") || warning.contains("interfaces with")
        };
        let why = region.warnings.iter().find(about);
        let why = why.map_or("no reason was recorded", String::as_str);
        let why = why
            .strip_prefix("what uses the groups could not be looked at in full: ")
            .unwrap_or(why);
        // The request id of the first: the reports have each region's own.
        let slot = by_reason.entry((what, lasting(why)));
        let (_, regions) = slot.or_insert_with(|| (why.to_owned(), Vec::new()));
        regions.push(region.region.as_str());
    }
    by_reason
        .into_iter()
        .map(|((what, _), (why, regions))| {
            let place = match regions.as_slice() {
                [first, _, ..] => format!("{first} and {} more regions", regions.len() - 1),
                _ => regions.concat(),
            };
            format!("{what} in {place}: {why}")
        })
        .collect()
}
