//! What people and scripts see on a terminal. Answers go to stdout, all else to stderr.

use super::exit::{Exit, Failure};
use super::{Color, Global, LogFormat};
use crate::deliver::Receipt;
use crate::evidence::chain::Report;
use crate::evidence::store::Listed;
use crate::exposure::Policy;
use crate::exposure::explain::{Explanation, Question};
use crate::exposure::set::address_text;
use crate::job::{Progress, RunOutcome, held_rules};
use crate::model::{GroupReading, Outcome, RunHeader, RunId, Severity};
use crate::report::about::protocol;
use crate::report::view::visible;
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::io::{IsTerminal as _, Write as _};
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

/// A line on stdout. A reader that has gone (`| head`) is no error and changes no exit code.
macro_rules! say {
    () => { say!("") };
    ($($text:tt)*) => {{
        let _ = writeln!(std::io::stdout(), $($text)*);
    }};
}

/// A line on stderr.
macro_rules! tell {
    ($($text:tt)*) => {{
        let _ = writeln!(std::io::stderr(), $($text)*);
    }};
}

/// Part of a line on stderr.
macro_rules! mutter {
    ($($text:tt)*) => {{
        let _ = write!(std::io::stderr(), $($text)*);
    }};
}

mod found;
mod interface;
mod notes;
mod run;

pub(super) use found::{Found, found};
pub(super) use interface::{Asked, explained_interface};
pub(super) use notes::Notes;
use run::{changes, record};
pub(super) use run::{demo_run, planned};

/// Starts the log on stderr; `talks`: with what goes well, too.
pub(super) fn start_log(global: &Global, talks: bool) {
    let level = match (global.quiet, global.verbose) {
        (true, _) => tracing::Level::ERROR,
        (false, 0) if !talks => tracing::Level::WARN,
        (false, 0 | 1) => tracing::Level::INFO,
        (false, _) => tracing::Level::DEBUG,
    };
    let builder = tracing_subscriber::fmt()
        .with_max_level(level)
        .with_writer(std::io::stderr)
        .with_target(false)
        .with_ansi(colour(global, std::io::stderr().is_terminal()));
    // A second start (in tests) is no news.
    let _ = match global.log_format {
        LogFormat::Text => builder.try_init(),
        LogFormat::Json => builder.json().try_init(),
    };
}

fn colour(global: &Global, terminal: bool) -> bool {
    match global.color {
        Color::Always => true,
        Color::Never => false,
        Color::Auto => terminal && std::env::var_os("NO_COLOR").is_none(),
    }
}

/// Paints where colours are wanted.
struct Paint(bool);

impl Paint {
    fn of(global: &Global) -> Self {
        Self(colour(global, std::io::stdout().is_terminal()))
    }

    fn with(&self, code: &str, text: &str) -> String {
        if self.0 {
            format!("\x1b[{code}m{text}\x1b[0m")
        } else {
            text.to_owned()
        }
    }

    fn severity(&self, severity: Severity) -> String {
        let code = match severity {
            Severity::Critical => "1;31",
            Severity::High => "31",
            Severity::Medium => "33",
            Severity::Low => "34",
        };
        self.with(code, severity.as_str())
    }

    fn bold(&self, text: &str) -> String {
        self.with("1", text)
    }

    fn dim(&self, text: &str) -> String {
        self.with("2", text)
    }
}

/// A line that is written over, on a terminal only.
pub(super) fn progress(global: &Global) -> Arc<dyn Fn(Progress<'_>) + Send + Sync> {
    if global.quiet || global.no_progress || !std::io::stderr().is_terminal() {
        return Arc::new(|_| {});
    }
    let groups = AtomicU64::new(0);
    let regions = AtomicU64::new(0);
    Arc::new(move |progress| {
        match progress {
            Progress::Groups(n) => groups.store(n, Ordering::Relaxed),
            Progress::Region(_) => {
                regions.fetch_add(1, Ordering::Relaxed);
            }
            Progress::Changing(group) => {
                mutter!("\r\x1b[Kchanging {group}, then reading it twice");
                return;
            }
            Progress::Step(step) => {
                mutter!("\r\x1b[K{step}\r\x1b[K");
                return;
            }
        }
        let (groups, regions) = (
            groups.load(Ordering::Relaxed),
            regions.load(Ordering::Relaxed),
        );
        if groups % 16 == 0 || matches!(progress, Progress::Region(_)) {
            mutter!("\r\x1b[Kread {groups} groups, {regions} regions done");
        }
    })
}

/// Why a command has no answer.
pub(super) fn failure(global: &Global, failure: &Failure) {
    let paint = Paint(colour(global, std::io::stderr().is_terminal()));
    for line in failure.message.lines() {
        tell!("{} {}", paint.with("1;31", "error:"), visible(line));
    }
}

fn print_json(value: &Value) {
    say!("{value}");
}

/// A run's answer.
pub(super) fn outcome(global: &Global, outcome: &RunOutcome, exit: Exit) {
    if global.json {
        print_json(&outcome_json(outcome, exit));
        return;
    }
    let paint = Paint::of(global);
    record(&paint, &outcome.record);
    changes(&paint, &outcome.record);
    say!();
    say!("{} {}", paint.dim("evidence"), outcome.sealed.location);
    if let Some(why) = &outcome.unsent {
        say!(
            "{} not sent to the store: {}; it waits in {}, and the next run or `sgwarden resend {}` sends it",
            paint.with("1;31", "error   "),
            visible(why),
            outcome.sealed.folder.display(),
            outcome.sealed.run
        );
    }
    for path in &outcome.copies {
        say!("{} {}", paint.dim("report  "), path.display());
    }
    receipts_text(&paint, &outcome.receipts, &outcome.sealed.run);
    if let Some(why) = &outcome.copy_error {
        say!("{} {}", paint.with("1;31", "error   "), visible(why));
    }
    say!(
        "{} sgwarden verify {}",
        paint.dim("check   "),
        outcome.sealed.run
    );
    let rollback = outcome
        .record
        .changes
        .iter()
        .any(|c| c.outcome == Outcome::Verified && c.kind == crate::model::ChangeKind::Revoke);
    if rollback {
        say!(
            "{} sgwarden rollback {}",
            paint.dim("undo    "),
            outcome.sealed.run
        );
    }
    if exit != Exit::Done {
        say!("{} {}", paint.dim("exit    "), exit.code());
    }
}

/// A run's answer as JSON.
pub(super) fn outcome_json(outcome: &RunOutcome, exit: Exit) -> Value {
    let header = &outcome.record.header;
    let totals = &header.totals;
    let mut changes: BTreeMap<&str, u64> = BTreeMap::new();
    for change in &outcome.record.changes {
        let slot = changes.entry(change.outcome.as_str()).or_default();
        *slot = slot.saturating_add(1);
    }
    let mut artifacts = outcome.artifacts.clone();
    artifacts.extend(outcome.copies.iter().map(|path| path.display().to_string()));
    let mut value = json!({
        "run": header.run,
        "path": outcome.sealed.location,
        "exit": exit.code(),
        "complete": header.complete,
        "groups": header.groups,
        "rules": header.rules,
        "verdicts": {
            "exposed": totals.exposed,
            "managed": totals.managed,
            "waived": totals.waived,
            "undetermined": totals.undetermined,
            "compliant": totals.compliant,
        },
        "changes": changes,
        "held": held_rules(&outcome.record.held),
        "artifacts": artifacts,
    });
    if let (Some(object), Some(until)) = (value.as_object_mut(), &header.restored_until) {
        object.insert("restored_until".to_owned(), json!(until));
    }
    value
}

fn receipts_text(paint: &Paint, receipts: &[Receipt], run: &RunId) {
    for receipt in receipts {
        match (&receipt.reply, &receipt.error) {
            (Some(reply), _) => say!(
                "{} accepted for {} by {}: {}",
                paint.dim("mail    "),
                receipt.recipient,
                receipt.relay,
                visible(reply)
            ),
            (None, _) => say!(
                "{} {} for {}: {}",
                paint.dim("mail    "),
                paint.with("1;31", "NOT accepted"),
                receipt.recipient,
                visible(&receipt.undelivered(run.as_str()))
            ),
        }
    }
}

/// What `resend` did.
pub(super) fn resent(
    global: &Global,
    run: &RunId,
    sent: &[RunId],
    receipts: &[Receipt],
    exit: Exit,
) {
    if global.json {
        print_json(&json!({ "exit": exit.code(), "sent": sent, "receipts": receipts }));
        return;
    }
    for run in sent {
        say!("{run} is in the store now");
    }
    if receipts.is_empty() && sent.is_empty() {
        say!("nothing waits to be delivered");
    }
    receipts_text(&Paint::of(global), receipts, run);
}

/// What `verify` found.
pub(super) fn verified(global: &Global, reports: &[Report], loose: &[String], exit: Exit) {
    if global.json {
        let runs: Vec<Value> = reports
            .iter()
            .map(|report| {
                json!({
                    "run": report.run,
                    "files": report.files,
                    "bytes": report.bytes,
                    "manifest_sha256": report.manifest_sha256,
                    "problems": report.problems,
                    "notes": report.notes,
                })
            })
            .collect();
        print_json(&json!({ "exit": exit.code(), "runs": runs, "problems": loose }));
        return;
    }
    let paint = Paint::of(global);
    for report in reports {
        let word = if report.problems.is_empty() {
            paint.with("32", "sound")
        } else {
            paint.with("1;31", "NOT AS SEALED")
        };
        say!(
            "{word} {} ({} files, {} bytes)",
            visible(&report.run),
            report.files,
            report.bytes
        );
        if let Some(sha256) = &report.manifest_sha256 {
            say!("  {}", paint.dim(&format!("manifest.json sha256 {sha256}")));
        }
        for problem in &report.problems {
            say!("  {} {}", paint.with("1;31", "!"), visible(problem));
        }
        for note in &report.notes {
            say!("  {}", paint.dim(&visible(note)));
        }
    }
    for problem in loose {
        say!("{} {}", paint.with("1;31", "!"), visible(problem));
    }
}

/// What the changes of a stored run came to.
#[derive(Clone, Copy, Debug)]
pub(super) struct Changed {
    pub(super) verified: usize,
    pub(super) broken: usize,
}

/// What lies in the store, with the changes of each sealed run where they could be read; `looked`: where
/// that was.
pub(super) fn runs(global: &Global, listed: &[(Listed, Option<Changed>)], looked: &str) {
    if global.json {
        let rows: Vec<Value> = listed
            .iter()
            .map(|(entry, changed)| match entry {
                Listed::Sealed(sealed, manifest) => {
                    let header = &manifest.header;
                    json!({
                        "run": header.run, "schedule": header.schedule, "command": header.command,
                        "started": header.times.started, "complete": header.complete,
                        "account": header.identity.account, "groups": header.groups,
                        "verdicts": header.totals, "path": sealed.location,
                        "changed": changed.map(|changed| changed.verified),
                        "not_verified": changed.map(|changed| changed.broken),
                    })
                }
                Listed::Unfinished(name) => json!({ "unfinished": name }),
                Listed::Broken(name, why) => json!({ "broken": name, "error": why }),
            })
            .collect();
        print_json(&json!({ "runs": rows }));
        return;
    }
    let paint = Paint::of(global);
    if listed.is_empty() {
        say!("no runs yet; {looked}");
    }
    for (entry, changed) in listed {
        match entry {
            Listed::Sealed(_, manifest) => {
                let header = &manifest.header;
                let word = if header.complete {
                    "complete".to_owned()
                } else {
                    paint.with("1;31", "INCOMPLETE")
                };
                say!(
                    "{} {word} {} ({}, {})",
                    paint.bold(header.run.as_str()),
                    told(header, *changed),
                    header.command,
                    header.identity.account
                );
            }
            Listed::Unfinished(name) => say!("{} {name}", paint.with("33", "unfinished")),
            Listed::Broken(name, why) => {
                say!(
                    "{} {}: {}",
                    paint.with("1;31", "broken"),
                    visible(name),
                    visible(why)
                );
            }
        }
    }
}

/// A stored run in numbers: what it judged, and what it changed. One that only changes judges nothing.
fn told(header: &RunHeader, changed: Option<Changed>) -> String {
    let totals = &header.totals;
    let judges = !matches!(header.command.as_str(), "apply" | "rollback");
    let mut parts = Vec::new();
    if judges {
        parts.push(format!(
            "{} groups: {} exposed, {} undetermined, {} managed, {} waived, {} compliant",
            header.groups,
            totals.exposed,
            totals.undetermined,
            totals.managed,
            totals.waived,
            totals.compliant
        ));
    }
    match changed {
        Some(changed) => {
            if changed.verified > 0 || !judges {
                parts.push(format!("{} changed", changed.verified));
            }
            if changed.broken > 0 {
                parts.push(format!("{} NOT VERIFIED", changed.broken));
            }
        }
        None => parts.push("its changes cannot be read".to_owned()),
    }
    parts.join(", ")
}

/// Files that were written.
pub(super) fn paths(global: &Global, paths: &[PathBuf]) {
    let paths: Vec<String> = paths
        .iter()
        .map(|path| path.display().to_string())
        .collect();
    if global.json {
        print_json(&json!({ "artifacts": paths }));
    } else {
        paths.iter().for_each(|path| say!("{path}"));
    }
}

/// One JSON object, or lines.
pub(super) fn answer(global: &Global, value: &Value, lines: &[String]) {
    if global.json {
        print_json(value);
    } else {
        lines.iter().for_each(|line| say!("{line}"));
    }
}

/// One line, now: a platform reads it.
pub(super) fn line(text: &str) {
    say!("{text}");
}

/// A heading of `demo`.
pub(super) fn heading(global: &Global, text: &str) {
    if !global.json {
        say!("\n{}", Paint::of(global).with("1;7", &format!(" {text} ")));
    }
}

/// Why a packet is accepted or dropped.
pub(super) fn explained(
    global: &Global,
    group: &GroupReading,
    parts: &[(Question, Explanation, Explanation)],
    notes: &Notes,
) {
    if global.json {
        let answers = answers(parts, group.rules.incomplete.is_none(), steps);
        let mut answer = json!({
            "group": group.group.id, "name": group.group.name, "region": group.region,
            "incomplete": group.rules.incomplete, "answers": answers,
        });
        notes.into(&mut answer);
        print_json(&answer);
        return;
    }
    let paint = Paint::of(global);
    group_head(&paint, group);
    for (question, closing, opening) in parts {
        let whole = group.rules.incomplete.is_none();
        explain_one(&paint, question, whole, closing, opening);
    }
    notes.tell();
}

fn group_head(paint: &Paint, group: &GroupReading) {
    say!(
        "{} {} in {}",
        paint.bold(&visible(&group.group.name)),
        group.group.id,
        group.region
    );
    if let Some(why) = &group.rules.incomplete {
        say!(
            "{} {}",
            paint.with("1;35", "not all of its rules could be read:"),
            visible(why)
        );
    }
}

/// `whole`: all the rules are at hand; else those that are say nothing for certain.
fn explain_one(
    paint: &Paint,
    question: &Question,
    whole: bool,
    closing: &Explanation,
    opening: &Explanation,
) {
    let port = question
        .port
        .map(|port| format!(" port {port}"))
        .unwrap_or_default();
    let from = question.source.map_or_else(
        || format!("the {} internet", family(question)),
        |address| address_text(question.family, address),
    );
    let word = word(whole, closing, opening);
    let code = match word {
        "dropped" => "32",
        "undetermined" => "1;35",
        _ => "1;31",
    };
    let protocol = question.protocol.as_str();
    say!("\n{protocol}{port} from {from}: {}", paint.with(code, word));
    let shown = if word == "undetermined" {
        opening
    } else {
        closing
    };
    table(paint, shown, None);
    if !whole {
        say!("      of the rules that were read; others may come before them");
    }
}

/// The rules in deciding order, and what each took; `decider` decides the packet that is spoken of.
fn table(paint: &Paint, shown: &Explanation, decider: Option<usize>) {
    for (number, step) in shown.steps.iter().enumerate() {
        let action = match step.policy {
            Policy::Accept => "accept",
            Policy::Drop => "drop",
        };
        let took = match (step.took, shown.asked) {
            (0, _) => "decides nothing here: rules before it took all".to_owned(),
            (_, 1) => paint.bold("decides this packet"),
            (took, asked) if took == asked => paint.bold("decides every address"),
            (took, asked) => paint.bold(&format!("decides {took} of {asked} addresses")),
        };
        let took = if decider == Some(number) {
            format!("{took}; this packet too")
        } else {
            took
        };
        say!(
            "  {:>2}. priority {:>3} {action:<6} {} {} from {} ({}): {took}",
            number.saturating_add(1),
            visible(&step.priority),
            protocol(&step.protocol),
            visible(&step.ports),
            visible(&step.source),
            visible(&step.rule_id)
        );
        for why in &step.unreadable {
            say!(
                "        {} {}",
                paint.with("1;35", "could be anything:"),
                visible(why)
            );
        }
        if step.limited {
            say!(
                "        narrowed by a source port or destination; read as without, since a client chooses its source port"
            );
        }
    }
    for id in &shown.skipped {
        say!("      drop {} has a limit and closes nothing", visible(id));
    }
    if shown.steps.is_empty() {
        say!("      no rule matches: ingress is dropped");
    } else if shown.accepted.is_empty()
        && shown.steps.iter().all(|step| step.policy == Policy::Accept)
    {
        say!("      whatever no rule matches is dropped");
    }
}

fn family(question: &Question) -> &'static str {
    match question.family {
        crate::model::Family::Ipv4 => "IPv4",
        crate::model::Family::Ipv6 => "IPv6",
    }
}

fn word(whole: bool, closing: &Explanation, opening: &Explanation) -> &'static str {
    if !whole {
        "undetermined"
    } else if closing.accepted.count() >= closing.asked {
        "accepted"
    } else if !closing.accepted.is_empty() {
        "accepted in part"
    } else if !opening.accepted.is_empty() {
        "undetermined"
    } else {
        "dropped"
    }
}

/// Answers to questions about packets; `steps` says of an explanation which rules took what.
fn answers(
    parts: &[(Question, Explanation, Explanation)],
    whole: bool,
    steps: impl Fn(&Explanation) -> Vec<Value>,
) -> Vec<Value> {
    parts
        .iter()
        .map(|(question, closing, opening)| {
            json!({
                "family": question.family, "protocol": question.protocol, "port": question.port,
                "source": question.source.map(|a| address_text(question.family, a)),
                "answer": word(whole, closing, opening),
                "accepted_addresses": closing.accepted.count().to_string(),
                "asked_addresses": closing.asked.to_string(),
                "rules": steps(closing), "rules_if_doubt_opens": steps(opening),
                "drops_that_close_nothing": closing.skipped,
            })
        })
        .collect()
}

fn steps(explanation: &Explanation) -> Vec<Value> {
    explanation
        .steps
        .iter()
        .map(|step| {
            json!({
                "rule_id": step.rule_id, "priority": step.priority,
                "policy": match step.policy { Policy::Accept => "accept", Policy::Drop => "drop" },
                "protocol": step.protocol, "ports": step.ports, "source": step.source,
                "decides_addresses": step.took.to_string(), "unreadable": step.unreadable,
                "limited": step.limited,
            })
        })
        .collect()
}
