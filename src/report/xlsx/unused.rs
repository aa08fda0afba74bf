//! The sheet of groups that no interface and no instance uses.

use super::styles::Styles;
use super::{MOST_ROWS, View, filter, table};
use rust_xlsxwriter::{Workbook, XlsxError};

/// Adds the sheet where there are any.
pub(super) fn sheet(
    view: &View<'_>,
    styles: &Styles,
    book: &mut Workbook,
) -> Result<(), XlsxError> {
    let rows = || {
        let regions = view.record.coverage.regions.iter();
        regions.filter_map(|region| Some((region, region.attached.as_ref()?)))
    };
    if rows().all(|(_, seen)| seen.unused_groups.is_empty()) {
        return Ok(());
    }
    let columns = [
        ("label.region", 17.0),
        ("label.group_id", 28.0),
        ("label.group_name", 34.0),
        ("label.vpc", 28.0),
        ("label.account", 19.0),
    ];
    let mut s = table(
        view,
        styles,
        book.add_worksheet(),
        "Unused groups",
        &columns,
    )?;
    // The filter's header stays where it is: the note stands in the last rows.
    let mut written = 0usize;
    let mut left = 0u64;
    for (region, seen) in rows() {
        let named = u64::try_from(seen.unused_groups.len()).unwrap_or(u64::MAX);
        left = left.saturating_add(seen.unused.unwrap_or(named).saturating_sub(named));
        for group in &seen.unused_groups {
            if written == MOST_ROWS {
                left = left.saturating_add(1);
                continue;
            }
            written += 1;
            let vpc = if group.vpc_id.is_empty() {
                view.words.get("label.classic")
            } else {
                group.vpc_id.clone()
            };
            for (column, cell) in (0u16..).zip([
                region.region.as_str(),
                group.group_id.as_str(),
                &group.group_name,
                &vpc,
                region.account.as_str(),
            ]) {
                s.text(column, cell, &styles.text)?;
            }
            s.next();
        }
    }
    filter(&mut s, view, columns.len(), 4)?;
    let note = styles.note.clone().unset_text_wrap();
    if left > 0 {
        let text = view.words.say("note.cut_list", &[("n", &left.to_string())]);
        s.text(0, &text, &note)?;
        s.next();
    }
    s.text(0, &view.words.get("note.unused"), &note)
}
