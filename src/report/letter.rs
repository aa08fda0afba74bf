//! The mail: verdict first in the subject, the whole message in the plain part, HTML that survives
//! Word. No lists of addresses in the subject, and a body that no client cuts off.

use super::RenderError;
use super::view::{View, visible};
use crate::model::{
    ChangeKind, DeliverySettings, Finding, FindingState, Outcome, Route, RunRecord, Verdict,
};
use minijinja::value::Serde;
use minijinja::{Value, context};
use serde::Serialize;

/// A letter without its recipients.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Letter {
    /// One line.
    pub subject: String,
    /// The plain part: everything.
    pub text: String,
    /// The HTML part: the same.
    pub html: String,
}

/// Findings in a letter: clients cut bodies beyond about 100 KB.
const MOST_FINDINGS: usize = 20;
/// Reasons of an INCOMPLETE run in a message into a chat.
const MOST_BRIEF_REASONS: usize = 3;
/// Characters of a route in a subject.
const MOST_BRIEF: usize = 48;
/// Lines of other kinds.
const MOST_LINES: usize = 20;

/// Whether a letter is wanted. INCOMPLETE and a change that is not verified go to everyone whatever
/// `when` says, and stand in every part of a run.
pub fn wanted(when: &str, record: &RunRecord) -> bool {
    let failed =
        !record.header.complete || record.changes.iter().any(crate::model::Change::is_broken);
    let found = record
        .findings
        .iter()
        .any(|finding| finding.verdict != Verdict::Waived);
    match when {
        _ if failed => true,
        _ if record.header.command == "rollback" => super::restored::wanted(when, record),
        "findings" => found,
        "new" => record.findings.iter().any(|finding| {
            matches!(finding.state, FindingState::New | FindingState::Reopened)
                && finding.verdict != Verdict::Waived
        }),
        "changes" => !record.changes.is_empty(),
        "failures" => false,
        _ => true,
    }
}

#[derive(Serialize)]
struct Line {
    severity: String,
    color: &'static str,
    verdict: String,
    state: String,
    reach: String,
    group: String,
    name: String,
    region: String,
    sentence: String,
    opened: Option<String>,
    explain: String,
}

/// Writes the letter.
///
/// # Errors
/// A template is wrong: a bug.
pub fn letter(record: &RunRecord, delivery: &DeliverySettings) -> Result<Letter, RenderError> {
    let view = View::new(record);
    let words = &view.words;
    let header = &record.header;
    let subject = subject(&view);
    let all = view.findings();
    let judged = |finding: &&&Finding| {
        finding.verdict != Verdict::Undetermined && view.closed(finding).is_none()
    };
    let first: Vec<Line> = all
        .iter()
        .filter(judged)
        .take(MOST_FINDINGS)
        .map(|finding| line(&view, finding))
        .collect();
    let unjudged: Vec<String> = all
        .iter()
        .filter(|finding| finding.verdict == Verdict::Undetermined)
        .take(MOST_LINES)
        .map(|finding| view.about_group(finding))
        .collect();
    let closed: Vec<String> = all
        .iter()
        .filter(|finding| view.closed(finding).is_some())
        .take(MOST_LINES)
        .map(|finding| view.about_group(finding))
        .collect();
    let total = all.iter().filter(judged).count();
    let more = (total > MOST_FINDINGS).then(|| {
        words.say(
            "note.cut_mail",
            &[
                ("n", &MOST_FINDINGS.to_string()),
                ("total", &total.to_string()),
            ],
        )
    });
    let broken: Vec<String> = record
        .changes
        .iter()
        .take(MOST_LINES)
        .map(|change| {
            format!(
                "{} {}: {}",
                change.region,
                change.group_id,
                view.change(change)
            )
        })
        .collect();
    let held: Vec<String> = record
        .held
        .iter()
        .take(MOST_LINES)
        .map(|held| {
            let name = match view.group_name(held) {
                name if name.is_empty() => name,
                name => format!(" ({})", visible(&name)),
            };
            format!(
                "{} {}{name} {}: {}",
                held.region,
                held.group_id,
                held.rules.join(" "),
                view.ours(&held.detail)
            )
        })
        .collect();
    let undo = record
        .changes
        .iter()
        .any(|change| change.kind == ChangeKind::Revoke && change.outcome == Outcome::Verified)
        .then(|| format!("sgwarden rollback {}", header.run));
    let regions = {
        let failed = view.failed_regions();
        failed.into_iter().take(MOST_LINES).collect::<Vec<_>>()
    };
    let context = context! {
        w => words.all(),
        subject => subject.as_str(),
        word => view.word(),
        incomplete => !header.complete,
        relaxations => view.relaxations(),
        exposed => header.totals.exposed,
        counts => view.counts(),
        headline => view.headline(),
        part => view.part(),
        band => if !header.complete { "#b91c1c" } else if view.is_open() || !view.judges() { "#b45309" } else { "#15803d" },
        reasons => view.incomplete_reasons(MOST_LINES),
        run => header.run.as_str(),
        schedule => header.schedule.as_str(),
        account => header.identity.account.as_str(),
        identity => header.identity.arn.as_str(),
        started => view.local(&header.times.started),
        zone => words.say("note.zone", &[("zone", view.zone())]),
        groups => view.number(&header.groups.to_string()),
        rules => view.number(&header.rules.to_string()),
        mode => header.mode.as_str(),
        first => Value::from(Serde(&first)),
        more => more,
        closed => closed,
        unjudged => unjudged,
        regions => regions,
        changes => broken,
        change_count => record.changes.len(),
        change_lead => view.change_lead(),
        held => held,
        confirmed => view.confirmations(),
        undo => undo.as_ref().map(|command| words.say("change.undo", &[("command", command)])),
        // A rollback asks Cloud Config nothing, and a run that does so puts nothing back.
        reevaluation => super::restored::until(&view).unwrap_or_else(|| view.reevaluation()),
        sessions => words.get("change.sessions"),
        resolved => record.resolved.iter().take(MOST_LINES).map(|f| view.resolved(f)).collect::<Vec<_>>(),
        waivers => view.waivers().into_iter().filter(|w| w.wants_a_person()).take(MOST_LINES).map(|w| view.waiver(w)).collect::<Vec<_>>(),
        unseen => view.unseen(),
        location => delivery.location.as_str(),
        sha256 => delivery.manifest_sha256.as_str(),
        automatic => words.say("note.automatic", &[("tool", &header.tool)]),
        lang => match header.language { crate::model::Language::En => "en", crate::model::Language::ZhCn => "zh-CN", crate::model::Language::ZhTw => "zh-TW" },
    };
    let error = RenderError::of("the mail");
    let mut environment = super::environment().map_err(|why| error(&why))?;
    let mut render = |name: &'static str, source: &'static str| -> Result<String, RenderError> {
        environment
            .add_template(name, source)
            .map_err(|why| error(&why))?;
        environment
            .get_template(name)
            .and_then(|t| t.render(&context))
            .map_err(|why| error(&why))
    };
    let text = render("mail.txt", include_str!("../../templates/mail.txt"))?;
    let html = render("mail.html", include_str!("../../templates/mail.html"))?;
    Ok(Letter {
        subject,
        text,
        html,
    })
}

/// Findings in a message into a chat.
const MOST_BRIEF_FINDINGS: usize = 5;

/// The same in a few lines, for a chat: what happened, the gravest of it, where to look.
pub fn message(record: &RunRecord, location: &str) -> String {
    let view = View::new(record);
    let mut lines = vec![subject(&view), view.headline()];
    lines.extend(view.part());
    if !record.header.complete {
        let reasons = record.header.incomplete_reasons.iter();
        lines.extend(
            reasons
                .take(MOST_BRIEF_REASONS)
                .map(|why| format!("! {}", view.ours(why))),
        );
    }
    for change in record.changes.iter().filter(|change| change.is_broken()) {
        lines.push(format!(
            "! {} {}: {}",
            change.region,
            change.group_id,
            view.change(change)
        ));
    }
    let all = view.findings();
    let open = |finding: &&&Finding| {
        matches!(finding.verdict, Verdict::Exposed | Verdict::Undetermined)
            && view.closed(finding).is_none()
    };
    for finding in all.iter().filter(open).take(MOST_BRIEF_FINDINGS) {
        lines.push(format!(
            "- {} {} {} ({}): {}",
            view.words
                .get(&format!("severity.{}", finding.severity.as_str())),
            finding.region,
            finding.group_id,
            visible(&finding.group_name),
            view.brief(finding)
        ));
    }
    lines.extend(super::restored::until(&view));
    let more = all
        .iter()
        .filter(open)
        .count()
        .saturating_sub(MOST_BRIEF_FINDINGS);
    if more > 0 {
        lines.push(view.words.say("count.more", &[("n", &more.to_string())]));
    }
    lines.push(format!("{} {location}", record.header.run));
    lines.join("\n")
}

/// `[sgwarden] FAIL 3 new, 12 open - <account> - 2026-11-24`
fn subject(view: &View<'_>) -> String {
    let words = &view.words;
    let header = &view.record.header;
    let mut parts = Vec::new();
    for (state, key) in [
        (FindingState::New, "count.new"),
        (FindingState::Reopened, "count.reopened"),
        (FindingState::Open, "count.open"),
    ] {
        let n = view.in_state(state);
        if n > 0 {
            parts.push(words.say(key, &[("n", &n.to_string())]));
        }
    }
    if header.totals.undetermined > 0 {
        parts.push(words.say(
            "count.undetermined",
            &[("n", &header.totals.undetermined.to_string())],
        ));
    }
    parts.extend(view.closed_count());
    let changed = view.changed();
    if changed > 0 {
        parts.push(words.say("count.changed", &[("n", &changed.to_string())]));
    }
    let date: String = view.local(&header.times.started).chars().take(10).collect();
    let counts = if parts.is_empty() {
        String::new()
    } else {
        format!(" {}", parts.join(", "))
    };
    let word = if view.is_broken() && !header.complete {
        "CHANGE NOT VERIFIED, INCOMPLETE"
    } else if view.is_broken() {
        "CHANGE NOT VERIFIED"
    } else if !header.complete {
        "INCOMPLETE"
    } else if !view.judges() {
        if changed > 0 {
            "DONE"
        } else {
            "NOTHING CHANGED"
        }
    } else if view.is_open() {
        "FAIL"
    } else if header.totals.exposed > 0 {
        "CLOSED"
    } else {
        "OK"
    };
    let part = match &view.record.part {
        Some(route) => format!(" - {}", brief(route)),
        None => String::new(),
    };
    format!(
        "[sgwarden] {word}{counts} - {} - {date}{part}",
        header.identity.account
    )
}

/// A route in a subject, such as `part owner=web`.
fn brief(route: &Route) -> String {
    let mut words = vec!["part".to_owned()];
    words.extend(
        route
            .tags
            .iter()
            .map(|tag| format!("{}={}", tag.key, tag.value)),
    );
    words.extend(route.accounts.iter().map(ToString::to_string));
    words.extend(route.regions.iter().map(ToString::to_string));
    words.extend(route.severity.map(|least| format!(">={least}")));
    let whole = visible(&words.join(" "));
    let short: String = whole.chars().take(MOST_BRIEF).collect();
    if short.len() < whole.len() {
        format!("{short}...")
    } else {
        short
    }
}

fn line(view: &View<'_>, finding: &Finding) -> Line {
    let words = &view.words;
    Line {
        severity: words.get(&format!("severity.{}", finding.severity.as_str())),
        color: match finding.severity {
            crate::model::Severity::Critical => "#991b1b",
            crate::model::Severity::High => "#c2410c",
            crate::model::Severity::Medium => "#a16207",
            crate::model::Severity::Low => "#1d4ed8",
        },
        verdict: words.get(&format!("verdict.{}", finding.verdict.as_str())),
        state: view.state(finding),
        reach: words.get(&format!("reach.{}", finding.reach.as_str())),
        group: finding.group_id.as_str().to_owned(),
        name: visible(&finding.group_name),
        region: finding.region.as_str().to_owned(),
        sentence: view.sentence(finding),
        opened: view.openers(finding),
        explain: view.explain(finding),
    }
}

/// What the plain part says of files that were too large to attach.
pub fn left_off(record: &RunRecord, names: &[String], location: &str) -> String {
    let view = View::new(record);
    let names = names.join(&view.words.get("count.list"));
    format!(
        "\n{}\n",
        view.words.say(
            "note.left_off",
            &[("names", &names), ("location", location)]
        )
    )
}
