//! The sheets of what was changed, held back, and what would be changed.

use super::styles::Styles;
use super::{MOST_ROWS, confirm, filter, table};
use crate::model::{Change, ChangeKind, Outcome, Verdict};
use crate::report::csv::rule_words;
use crate::report::view::View;
use rust_xlsxwriter::{Worksheet, XlsxError};

/// Widths of columns, that heights of rows are reckoned by too.
const RULE: usize = 34;
const AFTER: usize = 30;
const WHY: usize = 36;
const UNDO: usize = 46;

/// What was changed and what is held. All of it is for paper too: who approves or audits may have no
/// more than that.
pub(super) fn changes(
    view: &View<'_>,
    styles: &Styles,
    sheet: &mut Worksheet,
) -> Result<(), XlsxError> {
    let words = &view.words;
    let columns = [
        ("label.outcome", 12.0),
        ("label.region", 13.0),
        ("label.group_id", 21.0),
        ("label.group_name", 20.0),
        ("label.rule", 21.0),
        ("label.rule_before", 34.0),
        ("label.rule_after", 30.0),
        ("label.verdict_then", 18.0),
        ("label.because", 36.0),
        ("label.undo", 46.0),
        ("label.request_id", 20.0),
        ("label.attempted", 16.5),
        ("label.verified", 16.5),
    ];
    let mut s = table(view, styles, sheet, "Changes", &columns)?;
    for change in &view.record.changes {
        let verdicts: Vec<String> = change
            .verdict_after
            .iter()
            .map(|(check, verdict)| format!("{check}: {verdict}"))
            .collect();
        let verdicts = verdicts.join("\n");
        let before = rule_words(&change.rule);
        let after = after(view, change);
        let why = change
            .error
            .as_deref()
            .map(|why| view.ours(why))
            .unwrap_or_default();
        let undo = view.undo(&change.rule, &change.undo);
        let look = styles.outcome(change.outcome);
        let outcome = words.get(&format!("outcome.{}", change.outcome.as_str()));
        s.text(0, &outcome, &look)?;
        for (column, cell) in (1u16..).zip([
            change.region.as_str(),
            change.group_id.as_str(),
            &change.group_name,
            change.rule_id(),
            &before,
            &after,
            &verdicts,
            &why,
            &undo,
            change.request_id.as_deref().unwrap_or_default(),
        ]) {
            s.text(column, cell, &styles.text)?;
        }
        for (column, time) in [(11, &change.attempted_at), (12, &change.verified_at)] {
            match time {
                Some(time) => s.date(column, time, view, styles)?,
                None => s.text(column, "", &styles.text)?,
            }
        }
        s.tall(&[
            (&before, RULE),
            (&after, AFTER),
            (&verdicts, 18),
            (&why, WHY),
            (&undo, UNDO),
            (&change.group_name, 20),
            // An id breaks at its hyphens.
            (change.request_id.as_deref().unwrap_or_default(), 17),
        ])?;
        s.next();
    }
    for held in &view.record.held {
        let reasons: Vec<&str> = held.reasons.iter().map(|reason| reason.as_str()).collect();
        let why = format!("{}: {}", reasons.join(", "), view.ours(&held.detail));
        let (name, rules) = (view.group_name(held), held.rules.join("\n"));
        let before = view.held_rules(held).join("\n");
        s.text(
            0,
            &words.get("outcome.held"),
            &styles.verdict(Verdict::Managed),
        )?;
        for (column, cell) in (1u16..).zip([
            held.region.as_str(),
            held.group_id.as_str(),
            &name,
            &rules,
            &before,
            "",
            "",
            &why,
            "",
            "",
            "",
            "",
        ]) {
            s.text(column, cell, &styles.text)?;
        }
        s.tall(&[(&rules, 24), (&before, RULE), (&why, WHY), (&name, 20)])?;
        s.next();
    }
    confirm::rows(&mut s, view, styles)?;
    if view.record.changes.is_empty() && view.record.held.is_empty() {
        s.text(
            0,
            &words.get("change.none"),
            &styles.note.clone().unset_text_wrap(),
        )?;
        s.next();
    }
    filter(&mut s, view, columns.len(), 12)
}

/// What stands, and what is let in, after a change.
fn after(view: &View<'_>, change: &Change) -> String {
    let closed = view.traffic(&change.traffic_closed);
    let opened = view.traffic(&change.traffic_opened);
    let gone = change.kind == ChangeKind::Revoke && change.outcome == Outcome::Verified;
    let closed = if gone {
        view.words.say("change.closed", &[("traffic", &closed)])
    } else {
        closed
    };
    let opened = if opened.is_empty() {
        opened
    } else {
        view.words.say("change.opened", &[("traffic", &opened)])
    };
    let mut lines = vec![view.after(change.narrowing.as_ref()), closed, opened];
    lines.retain(|line| !line.is_empty());
    lines.join("\n")
}

/// What a run would revoke, for the person who approves it.
pub(super) fn plan(
    view: &View<'_>,
    styles: &Styles,
    sheet: &mut Worksheet,
) -> Result<(), XlsxError> {
    let columns = [
        ("label.region", 13.0),
        ("label.group_id", 24.0),
        ("label.group_name", 20.0),
        ("label.rule", 24.0),
        ("label.rule_before", 34.0),
        ("label.rule_after", 30.0),
        ("label.ends", 40.0),
        ("label.verdict_then", 18.0),
        ("label.undo", 46.0),
    ];
    let mut s = table(view, styles, sheet, "Plan", &columns)?;
    for planned in view.record.planned.iter().take(MOST_ROWS) {
        let before = rule_words(&planned.rule);
        let after = view.after(planned.narrowing.as_ref());
        let ends = view.traffic(&planned.ends);
        let undo = view.undo(&planned.rule, &planned.undo);
        let then: Vec<String> = planned
            .predicted
            .iter()
            .map(|(check, verdict)| format!("{check}: {verdict}"))
            .collect();
        let id = planned.rule.get("SecurityGroupRuleId");
        for (column, cell) in (0u16..).zip([
            planned.region.as_str(),
            planned.group_id.as_str(),
            &planned.group_name,
            id.map_or("", String::as_str),
            &before,
            &after,
            &ends,
            &then.join("\n"),
            &undo,
        ]) {
            s.text(column, cell, &styles.text)?;
        }
        s.tall(&[
            (&undo, UNDO),
            (&ends, 40),
            (&after, AFTER),
            (&before, RULE),
            (&then.join("\n"), 18),
        ])?;
        s.next();
    }
    filter(&mut s, view, columns.len(), 8)
}
