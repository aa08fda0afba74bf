//! The sheets of what was changed, held back, and what would be changed.

use super::styles::Styles;
use super::{MOST_ROWS, confirm, filter, lines, table};
use crate::model::{ChangeKind, Outcome, Verdict};
use crate::report::csv::{rule_text, traffic_text};
use crate::report::view::View;
use rust_xlsxwriter::{Worksheet, XlsxError};

/// What was changed and what is held.
pub(super) fn changes(
    view: &View<'_>,
    styles: &Styles,
    sheet: &mut Worksheet,
) -> Result<(), XlsxError> {
    let words = &view.words;
    let columns = [
        ("label.outcome", 14.0),
        ("label.region", 15.0),
        ("label.group_id", 26.0),
        ("label.group_name", 26.0),
        ("label.rule", 26.0),
        ("label.rule_before", 46.0),
        ("label.rule_after", 40.0),
        ("label.verdict_then", 24.0),
        ("label.request_id", 38.0),
        ("label.attempted", 17.0),
        ("label.verified", 17.0),
        ("label.why", 50.0),
        ("label.undo", 70.0),
    ];
    let mut s = table(view, styles, sheet, "Changes", &columns)?;
    let printed = 8;
    for change in &view.record.changes {
        let verdicts: Vec<String> = change
            .verdict_after
            .iter()
            .map(|(check, verdict)| format!("{check}: {verdict}"))
            .collect();
        let closed = traffic_text(&change.traffic_closed);
        let gone = change.kind == ChangeKind::Revoke && change.outcome == Outcome::Verified;
        let mut after = if gone {
            words.say("change.closed", &[("traffic", &closed)])
        } else {
            closed
        };
        let instead = view.after(change.narrowing.as_ref());
        if !instead.is_empty() {
            after = format!("{instead}\n{after}");
        }
        s.text(
            0,
            &words.get(&format!("outcome.{}", change.outcome.as_str())),
            &styles.outcome(change.outcome),
        )?;
        s.text(1, change.region.as_str(), &styles.text)?;
        s.text(2, change.group_id.as_str(), &styles.text)?;
        s.text(3, &change.group_name, &styles.text)?;
        s.text(
            4,
            change
                .rule
                .get("SecurityGroupRuleId")
                .map_or("", String::as_str),
            &styles.text,
        )?;
        let before = rule_text(&change.rule);
        s.text(5, &before, &styles.text)?;
        s.text(6, &after, &styles.text)?;
        s.text(7, &verdicts.join("\n"), &styles.text)?;
        s.text(
            8,
            change.request_id.as_deref().unwrap_or_default(),
            &styles.text,
        )?;
        for (column, time) in [(9, &change.attempted_at), (10, &change.verified_at)] {
            match time {
                Some(time) => s.date(column, time, view, styles)?,
                None => s.text(column, "", &styles.text)?,
            }
        }
        s.text(
            11,
            change.error.as_deref().unwrap_or_default(),
            &styles.text,
        )?;
        let undo = view.undo(&change.rule, &change.undo);
        s.text(12, &undo, &styles.text)?;
        let tall = lines(&undo, 72)
            .max(lines(&after, 40))
            .max(lines(&before, 48));
        s.sheet
            .set_row_height(s.row, (14.0 * tall + 4.0).min(400.0))?;
        s.next();
    }
    for held in &view.record.held {
        let reasons: Vec<&str> = held.reasons.iter().map(|reason| reason.as_str()).collect();
        s.text(
            0,
            &words.get("outcome.held"),
            &styles.verdict(Verdict::Managed),
        )?;
        s.text(1, held.region.as_str(), &styles.text)?;
        s.text(2, held.group_id.as_str(), &styles.text)?;
        s.text(4, &held.rules.join("\n"), &styles.text)?;
        let why = format!("{}: {}", reasons.join(", "), held.detail);
        s.text(11, &why, &styles.text)?;
        let rows = f64::from(u32::try_from(held.rules.len()).unwrap_or(1));
        s.sheet
            .set_row_height(s.row, (14.0 * lines(&why, 50).max(rows) + 4.0).min(400.0))?;
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
    filter(&mut s, view, columns.len(), printed)
}

/// What a run would revoke, for the person who approves it.
pub(super) fn plan(
    view: &View<'_>,
    styles: &Styles,
    sheet: &mut Worksheet,
) -> Result<(), XlsxError> {
    let columns = [
        ("label.region", 15.0),
        ("label.group_id", 26.0),
        ("label.group_name", 26.0),
        ("label.rule", 26.0),
        ("label.rule_before", 46.0),
        ("label.rule_after", 40.0),
        ("label.ends", 60.0),
        ("label.verdict_then", 24.0),
        ("label.undo", 70.0),
    ];
    let mut s = table(view, styles, sheet, "Plan", &columns)?;
    for planned in view.record.planned.iter().take(MOST_ROWS) {
        let before = rule_text(&planned.rule);
        let after = view.after(planned.narrowing.as_ref());
        let ends = traffic_text(&planned.ends);
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
        let tall = lines(&undo, 72)
            .max(lines(&ends, 60))
            .max(lines(&after, 40))
            .max(lines(&before, 48));
        s.sheet
            .set_row_height(s.row, (14.0 * tall + 4.0).min(400.0))?;
        s.next();
    }
    filter(&mut s, view, columns.len(), 7)
}
