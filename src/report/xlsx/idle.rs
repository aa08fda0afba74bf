//! The sheet of rules that do nothing, and of groups that nothing uses. Reported, never changed.

use super::styles::Styles;
use super::{MOST_ROWS, filter, lines, table};
use crate::model::{IdleKind, IdleRule};
use crate::report::about::protocol;
use crate::report::view::View;
use rust_xlsxwriter::{Worksheet, XlsxError};

/// Writes it.
pub(super) fn sheet(
    view: &View<'_>,
    styles: &Styles,
    sheet: &mut Worksheet,
) -> Result<(), XlsxError> {
    let words = &view.words;
    let columns = [
        ("label.kind", 30.0),
        ("label.region", 15.0),
        ("label.group_id", 26.0),
        ("label.group_name", 26.0),
        ("label.rule", 26.0),
        ("label.policy", 9.0),
        ("label.priority", 9.0),
        ("label.protocol", 11.0),
        ("label.port_range", 13.0),
        ("label.source", 24.0),
        ("label.by", 26.0),
        ("label.description", 30.0),
        ("label.account", 19.0),
    ];
    let mut s = table(view, styles, sheet, "Idle rules", &columns)?;
    let all = &view.record.idle_rules;
    for idle in all.iter().take(MOST_ROWS) {
        let kind = words.get(&format!("idle.{}", idle.kind.as_str()));
        let by = idle.by.join("\n");
        for (column, cell) in (0u16..).zip([
            kind.as_str(),
            idle.region.as_str(),
            idle.group_id.as_str(),
            &idle.group_name,
            &idle.rule_id,
            &idle.policy,
            &idle.priority,
            &protocol(&idle.protocol),
            &idle.port_range,
            &idle.source,
            &by,
            &idle.description,
            idle.account.as_str(),
        ]) {
            s.text(column, cell, &styles.text)?;
        }
        let rows = f64::from(u32::try_from(idle.by.len()).unwrap_or(u32::MAX));
        let tall = rows.max(lines(&kind, 30));
        s.sheet
            .set_row_height(s.row, (14.0 * tall + 4.0).min(400.0))?;
        s.next();
    }
    if all.len() > MOST_ROWS {
        let (n, total) = (MOST_ROWS.to_string(), all.len().to_string());
        s.text(
            0,
            &words.say("note.cut_idle", &[("n", &n), ("total", &total)]),
            &styles.note,
        )?;
        s.next();
    }
    filter(&mut s, view, columns.len(), 10)?;
    let unused = |idle: &IdleRule| idle.kind == IdleKind::UnusedGroup;
    if all.iter().any(unused) {
        let note = styles.note.clone().unset_text_wrap();
        s.text(0, &words.get("note.unused"), &note)?;
        s.sheet.set_print_area(0, 0, s.row, 10)?;
    }
    Ok(())
}
