//! The sheet of controls.

use super::styles::Styles;
use super::{filter, lines, table};
use crate::model::{ControlStatus, Verdict};
use crate::report::view::View;
use rust_xlsxwriter::{Worksheet, XlsxError};

pub(super) fn controls(
    view: &View<'_>,
    styles: &Styles,
    sheet: &mut Worksheet,
) -> Result<(), XlsxError> {
    let columns = [
        ("label.framework", 24.0),
        ("label.version", 9.0),
        ("label.clause", 24.0),
        ("label.clause_title", 44.0),
        ("label.status", 13.0),
        ("label.passed", 9.0),
        ("verdict.exposed", 9.0),
        ("verdict.managed", 9.0),
        ("verdict.waived", 9.0),
        ("verdict.undetermined", 13.0),
        ("label.checks_counted", 26.0),
        ("label.why_not", 52.0),
    ];
    let mut s = table(view, styles, sheet, "Controls", &columns)?;
    let printed = 11;
    for result in &view.record.header.controls {
        let (clause, groups) = (&result.clause, &result.groups);
        let look = match result.status {
            ControlStatus::Passed => styles.verdict(Verdict::Compliant),
            ControlStatus::Waived => styles.verdict(Verdict::Waived),
            ControlStatus::Failed => styles.verdict(Verdict::Exposed),
            ControlStatus::NotAssessed => styles.verdict(Verdict::Undetermined),
        };
        s.text(0, &clause.framework, &styles.text)?;
        s.text(1, &clause.version, &styles.text)?;
        s.text(2, &clause.clause, &styles.label)?;
        s.text(3, &clause.title, &styles.text)?;
        s.text(4, &view.control_status(result), &look)?;
        for (column, n) in [
            (5, groups.compliant),
            (6, groups.exposed),
            (7, groups.managed),
            (8, groups.waived),
            (9, groups.undetermined),
        ] {
            // Where no check counts, no group was counted: nothing is no zero.
            if result.checks.is_empty() {
                s.text(column, "", &styles.text)?;
            } else {
                s.number(column, n, &styles.number)?;
            }
        }
        let checks = result.checks.join(", ");
        let why = view.control_why(result);
        s.text(10, &checks, &styles.text)?;
        s.text(11, &why, &styles.text)?;
        let tall = lines(&checks, 26)
            .max(why.lines().map(|line| lines(line, 52)).sum())
            .max(lines(&clause.title, 44))
            .max(lines(&clause.framework, 24))
            .max(lines(&clause.clause, 22));
        s.sheet
            .set_row_height(s.row, (14.0 * tall + 4.0).min(400.0))?;
        s.next();
    }
    filter(&mut s, view, columns.len(), printed)?;
    s.next();
    for note in view.control_notes() {
        let height = 14.0 * lines(&note, 200) + 3.0;
        s.wide(printed, &note, &styles.note, height)?;
    }
    let last = s.row.saturating_sub(1);
    s.sheet.set_print_area(0, 0, last, printed)?;
    Ok(())
}
