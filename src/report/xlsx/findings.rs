//! The sheets of findings and of the rules that they rest on.

use super::styles::Styles;
use super::{MOST_ROWS, filter, lines, table};
use crate::model::Verdict;
use crate::report::about::protocol;
use crate::report::view::{View, percent};
use rust_xlsxwriter::{Worksheet, XlsxError};

/// What was found, the gravest first.
pub(super) fn findings(
    view: &View<'_>,
    styles: &Styles,
    sheet: &mut Worksheet,
) -> Result<(), XlsxError> {
    let words = &view.words;
    // After a run that may change groups, what is still open stands beside what was read.
    let after = view.may_change();
    let mut columns = vec![
        ("label.severity", 11.0),
        ("label.verdict", 14.0),
        ("label.state", 10.0),
    ];
    if after {
        columns.push(("label.after_run", 17.0));
    }
    let shift = u16::from(after);
    columns.extend([
        ("label.region", 15.0),
        ("label.group_id", 26.0),
        ("label.group_name", 28.0),
        ("label.check", 16.0),
        ("label.finding", 70.0),
        ("label.exposed", 24.0),
        ("label.share", 12.0),
        ("label.first_seen", 17.0),
        ("label.reach", 13.0),
        ("label.vpc", 24.0),
        ("label.account", 19.0),
        ("label.attached", 24.0),
        ("age.label", 9.0),
    ]);
    let mut s = table(view, styles, sheet, "Findings", &columns)?;
    let printed = 7u16.saturating_add(shift);
    let all = view.findings();
    for finding in all.iter().take(MOST_ROWS) {
        let key = |group: &str, word: &str| words.get(&format!("{group}.{word}"));
        let sentence = view.sentence(finding);
        let what: Vec<String> = finding
            .exposed
            .iter()
            .take(8)
            .map(|run| format!("{} ({})", view.what(run), run.family.as_str()))
            .collect();
        // Of private networks it is a share of something else.
        let is_private = view.about(finding).private;
        let share = finding
            .exposed
            .iter()
            .filter(|_| !is_private)
            .map(|run| run.share.as_str())
            .max()
            .map(percent)
            .unwrap_or_default();
        let vpc = if finding.vpc_id.is_empty() {
            words.get("label.classic")
        } else {
            finding.vpc_id.clone()
        };
        s.text(
            0,
            &key("severity", finding.severity.as_str()),
            &styles.severity(finding.severity),
        )?;
        s.text(
            1,
            &key("verdict", finding.verdict.as_str()),
            &styles.verdict(finding.verdict),
        )?;
        s.text(2, &key("state", finding.state.as_str()), &styles.text)?;
        if after {
            let closed = view.closed(finding).map(|_| Verdict::Compliant);
            let look = match closed {
                Some(verdict) => styles.verdict(verdict),
                None if finding.verdict == Verdict::Exposed => styles.verdict(Verdict::Exposed),
                None => styles.text.clone(),
            };
            s.text(3, &view.after_run(finding), &look)?;
        }
        s.text(3 + shift, finding.region.as_str(), &styles.text)?;
        s.text(4 + shift, finding.group_id.as_str(), &styles.text)?;
        s.text(5 + shift, &finding.group_name, &styles.text)?;
        s.text(6 + shift, &finding.check, &styles.text)?;
        s.text(7 + shift, &sentence, &styles.text)?;
        s.text(8 + shift, &what.join("\n"), &styles.text)?;
        s.text(9 + shift, &share, &styles.text)?;
        s.date(10 + shift, &finding.first_seen, view, styles)?;
        s.text(
            11 + shift,
            &key("reach", finding.reach.as_str()),
            &styles.text,
        )?;
        s.text(12 + shift, &vpc, &styles.text)?;
        s.text(13 + shift, finding.account.as_str(), &styles.text)?;
        s.text(14 + shift, &view.attached(finding), &styles.text)?;
        match view.age_days(finding) {
            Some(days) => s.number(15 + shift, days, &styles.number)?,
            None => s.text(15 + shift, "", &styles.text)?,
        }
        let tall = lines(&sentence, 72).max(f64::from(u32::try_from(what.len()).unwrap_or(1)));
        s.sheet
            .set_row_height(s.row, (14.0 * tall + 4.0).min(400.0))?;
        s.next();
    }
    if all.is_empty() {
        let note = if view.record.header.complete {
            "note.no_findings_complete"
        } else {
            "note.no_findings_incomplete"
        };
        s.text(0, &words.get(note), &styles.note.clone().unset_text_wrap())?;
        s.next();
    }
    if all.len() > MOST_ROWS {
        let (n, total) = (MOST_ROWS.to_string(), all.len().to_string());
        s.text(
            0,
            &words.say("note.cut_rows", &[("n", &n), ("total", &total)]),
            &styles.note,
        )?;
        s.next();
    }
    filter(&mut s, view, columns.len(), printed)
}

/// The rules that findings rest on.
pub(super) fn rules(
    view: &View<'_>,
    styles: &Styles,
    sheet: &mut Worksheet,
) -> Result<(), XlsxError> {
    let words = &view.words;
    let columns = [
        ("label.region", 14.0),
        ("label.group_id", 24.0),
        ("label.group_name", 24.0),
        ("label.check", 15.0),
        ("label.rule", 24.0),
        ("label.priority", 9.0),
        ("label.protocol", 11.0),
        ("label.port_range", 13.0),
        ("label.source", 24.0),
        ("label.rule_reach", 20.0),
        (view.fate_label(), 12.0),
        ("label.held", 18.0),
        ("label.description", 30.0),
        ("label.unreadable", 34.0),
        ("label.opened_by", 60.0),
        ("label.account", 19.0),
    ];
    let mut s = table(view, styles, sheet, "Rules", &columns)?;
    // On paper too: what each rule lets in, and what became of it.
    let printed = 11;
    let mut written = 0usize;
    for finding in view.findings() {
        for rule in &finding.rules {
            written = written.saturating_add(1);
            if written > MOST_ROWS {
                continue;
            }
            let cells = [
                finding.region.as_str().to_owned(),
                rule.group_id
                    .as_ref()
                    .unwrap_or(&finding.group_id)
                    .to_string(),
                finding.group_name.clone(),
                finding.check.clone(),
                rule.rule_id.clone(),
                rule.priority.clone(),
                protocol(&rule.protocol),
                rule.port_range.clone(),
                rule.source.clone(),
                view.number(&rule.addresses),
                view.fate(finding, rule),
                rule.held.join(", "),
                rule.description.clone(),
                view.ours(&rule.unreadable.join("; ")),
                view.opened(rule).unwrap_or_default(),
                finding.account.as_str().to_owned(),
            ];
            for (column, cell) in (0u16..).zip(&cells) {
                s.text(column, cell, &styles.text)?;
            }
            let text = |at: usize| cells.get(at).map(String::as_str).unwrap_or_default();
            s.tall(&[
                (text(2), 24),
                (text(7), 13),
                (text(8), 24),
                (text(11), 18),
                (text(12), 30),
                (text(13), 34),
                (text(14), 60),
            ])?;
            s.next();
        }
    }
    if written > MOST_ROWS {
        s.text(
            0,
            &words.say("note.cut_rules", &[("n", &MOST_ROWS.to_string())]),
            &styles.note,
        )?;
        s.next();
    }
    filter(&mut s, view, columns.len(), printed)
}
