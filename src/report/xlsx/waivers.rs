//! The sheet Waivers: what somebody approved, and whether that still holds.

use super::{Sheet, filter, lines, table};
use crate::model::{Verdict, WaiverState};
use crate::report::view::View;
use crate::report::xlsx::styles::Styles;
use rust_xlsxwriter::{Worksheet, XlsxError};

pub(super) fn sheet(
    view: &View<'_>,
    styles: &Styles,
    sheet: &mut Worksheet,
) -> Result<(), XlsxError> {
    let columns = [
        ("waiver.state", 13.0),
        ("label.group_id", 24.0),
        ("label.check", 15.0),
        ("waiver.ports", 14.0),
        ("waiver.sources", 22.0),
        ("waiver.owner", 20.0),
        ("waiver.approved_by", 20.0),
        ("waiver.expires", 12.0),
        ("waiver.days_left", 9.0),
        ("waiver.findings", 10.0),
        ("waiver.reason", 40.0),
        ("waiver.ticket", 14.0),
        ("waiver.says", 60.0),
        ("label.region", 15.0),
        ("label.account", 19.0),
        ("waiver.line", 8.0),
    ];
    let mut s: Sheet<'_> = table(view, styles, sheet, "Waivers", &columns)?;
    for waiver in view.waivers() {
        let state = match waiver.state {
            WaiverState::Active => styles.verdict(Verdict::Compliant),
            WaiverState::Outgrown | WaiverState::Expired => styles.verdict(Verdict::Exposed),
            WaiverState::Unused => styles.verdict(Verdict::Waived),
            WaiverState::Unjudged => styles.verdict(Verdict::Undetermined),
        };
        let any = || view.words.get("label.all");
        let check = if waiver.check == "*" {
            any()
        } else {
            waiver.check.clone()
        };
        let region = waiver.region.as_ref();
        let account = waiver.account.as_ref();
        let (ports, sources) = (waiver.ports.join("\n"), waiver.sources.join("\n"));
        let says = view.waiver(waiver);
        s.text(0, &view.waiver_state(waiver.state), &state)?;
        s.text(1, waiver.group.as_str(), &styles.label)?;
        s.text(2, &check, &styles.text)?;
        s.text(3, &ports, &styles.text)?;
        s.text(4, &sources, &styles.text)?;
        s.text(5, &waiver.owner, &styles.text)?;
        s.text(6, &waiver.approved_by, &styles.text)?;
        s.text(7, &waiver.expires, &styles.text)?;
        let soon = if waiver.ends_soon() || waiver.days_left < 0 {
            styles.number.clone().set_bold()
        } else {
            styles.number.clone()
        };
        let days = i32::try_from(waiver.days_left).unwrap_or(i32::MAX);
        s.sheet
            .write_number_with_format(s.row, 8, f64::from(days), &soon)?;
        s.number(9, waiver.findings, &styles.number)?;
        s.text(10, &waiver.reason, &styles.text)?;
        s.text(
            11,
            waiver.ticket.as_deref().unwrap_or_default(),
            &styles.text,
        )?;
        s.text(12, &says, &styles.text)?;
        s.text(
            13,
            &region.map_or_else(any, |region| region.as_str().to_owned()),
            &styles.text,
        )?;
        s.text(
            14,
            &account.map_or_else(any, |account| account.as_str().to_owned()),
            &styles.text,
        )?;
        s.number(15, waiver.line, &styles.number)?;
        let each = |texts: &[String], width: usize| texts.iter().map(|t| lines(t, width)).sum();
        let tall = [
            lines(&says, 62),
            lines(&waiver.reason, 42),
            lines(&waiver.owner, 20),
            lines(&waiver.approved_by, 20),
            each(&waiver.ports, 14),
            each(&waiver.sources, 22),
        ]
        .into_iter()
        .fold(1.0, f64::max);
        s.sheet
            .set_row_height(s.row, (14.0 * tall + 4.0).min(400.0))?;
        s.next();
    }
    filter(&mut s, view, columns.len(), 12)
}
