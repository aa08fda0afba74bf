//! `report.xlsx`. Every text is written as text, never as a formula; the same record gives the same
//! bytes, so the file's own dates are the run's.

mod changes;
mod confirm;
mod controls;
mod findings;
mod idle;
mod styles;
mod trend;
mod waivers;

use super::view::{View, visible};
use super::{RenderError, Renderer};
use crate::model::{Artifact, FindingState, RegionStatus, RunRecord, Severity, Verdict};
use rust_xlsxwriter::{
    DocProperties, ExcelDateTime, Format, FormatAlign, Workbook, Worksheet, XlsxError,
};
use styles::Styles;

/// Renders it.
#[derive(Debug)]
pub(super) struct Xlsx;

/// Rows of one sheet that hold findings; Excel ends at 1,048,576.
const MOST_ROWS: usize = 1_000_000;

impl Renderer for Xlsx {
    fn render(&self, record: &RunRecord) -> Result<Vec<Artifact>, RenderError> {
        let bytes =
            workbook(&View::new(record)).map_err(|why| RenderError::of("report.xlsx")(&why))?;
        Ok(vec![Artifact {
            name: "report.xlsx".to_owned(),
            media_type: "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet",
            bytes,
        }])
    }
}

/// A sheet with a cursor.
struct Sheet<'w> {
    sheet: &'w mut Worksheet,
    row: u32,
}

impl Sheet<'_> {
    fn text(&mut self, column: u16, text: &str, format: &Format) -> Result<(), XlsxError> {
        // Excel's own limit for a cell.
        let lines: Vec<String> = text.split('\n').map(visible).collect();
        let short: String = lines.join("\n").chars().take(32_000).collect();
        self.sheet
            .write_string_with_format(self.row, column, short, format)?;
        Ok(())
    }

    fn number(&mut self, column: u16, n: u64, format: &Format) -> Result<(), XlsxError> {
        // Exact up to 2^53, far above any count of ours.
        #[expect(clippy::cast_precision_loss, reason = "counts are below 2^53")]
        self.sheet
            .write_number_with_format(self.row, column, n as f64, format)?;
        Ok(())
    }

    fn date(
        &mut self,
        column: u16,
        utc: &str,
        view: &View<'_>,
        styles: &Styles,
    ) -> Result<(), XlsxError> {
        let date = view.local_naive(utc).and_then(|time| {
            ExcelDateTime::parse_from_str(&time.format("%Y-%m-%dT%H:%M:%S").to_string()).ok()
        });
        match date {
            Some(date) => {
                self.sheet
                    .write_datetime_with_format(self.row, column, &date, &styles.date)?;
                Ok(())
            }
            None => self.text(column, utc, &styles.text),
        }
    }

    /// Makes the row as high as its longest cell, each with its column's width in characters.
    fn tall(&mut self, cells: &[(&str, usize)]) -> Result<(), XlsxError> {
        let each = |(text, width): &(&str, usize)| -> f64 {
            text.lines().map(|line| lines(line, *width)).sum()
        };
        let most = cells.iter().map(each).fold(1.0, f64::max);
        self.sheet
            .set_row_height(self.row, (14.0 * most + 4.0).min(400.0))?;
        Ok(())
    }

    fn next(&mut self) {
        self.row = self.row.saturating_add(1);
    }

    fn wide(
        &mut self,
        last: u16,
        text: &str,
        format: &Format,
        height: f64,
    ) -> Result<(), XlsxError> {
        self.sheet.merge_range(
            self.row,
            0,
            self.row,
            last,
            &text.split('\n').map(visible).collect::<Vec<_>>().join("\n"),
            format,
        )?;
        self.sheet.set_row_height(self.row, height)?;
        self.next();
        Ok(())
    }
}

/// Lines that a text takes at about that many characters a line; Chinese counts double.
fn lines(text: &str, width: usize) -> f64 {
    let units: usize = text.chars().map(|c| if c.is_ascii() { 1 } else { 2 }).sum();
    f64::from(u32::try_from(units.div_ceil(width.max(1)).max(1)).unwrap_or(1))
}

fn workbook(view: &View<'_>) -> Result<Vec<u8>, XlsxError> {
    let record = view.record;
    let styles = Styles::new();
    let mut book = Workbook::new();
    let mut properties = DocProperties::new()
        .set_title(view.words.get("title.report"))
        .set_subject(record.header.run.as_str())
        .set_author(&record.header.tool);
    if let Ok(created) =
        ExcelDateTime::parse_from_str(record.header.times.ended.trim_end_matches('Z'))
    {
        properties = properties.set_creation_datetime(&created);
    }
    book.set_properties(&properties);
    summary(view, &styles, book.add_worksheet())?;
    findings::findings(view, &styles, book.add_worksheet())?;
    findings::rules(view, &styles, book.add_worksheet())?;
    if !record.planned.is_empty() {
        changes::plan(view, &styles, book.add_worksheet())?;
    }
    changes::changes(view, &styles, book.add_worksheet())?;
    coverage(view, &styles, book.add_worksheet())?;
    if !record.idle_rules.is_empty() {
        idle::sheet(view, &styles, book.add_worksheet())?;
    }
    if !record.waivers.is_empty() {
        waivers::sheet(view, &styles, book.add_worksheet())?;
    }
    if let Some(trend) = &record.trend {
        trend::sheet(view, trend, &styles, book.add_worksheet())?;
    }
    if !record.header.controls.is_empty() {
        controls::controls(view, &styles, book.add_worksheet())?;
    }
    book.save_to_buffer()
}

fn page(sheet: &mut Worksheet, name: &str) -> Result<(), XlsxError> {
    sheet.set_name(name)?;
    sheet
        .set_landscape()
        .set_paper_size(9)
        .set_print_fit_to_pages(1, 0);
    sheet.set_margins(0.4, 0.4, 0.5, 0.5, 0.3, 0.3);
    sheet.set_footer("&L&8&A&R&8&P / &N");
    sheet.set_screen_gridlines(false);
    Ok(())
}

fn summary(view: &View<'_>, styles: &Styles, sheet: &mut Worksheet) -> Result<(), XlsxError> {
    let (record, words) = (view.record, &view.words);
    let header = &record.header;
    page(sheet, "Summary")?;
    for (column, width) in [
        (0u16, 26.0),
        (1, 22.0),
        (2, 20.0),
        (3, 20.0),
        (4, 20.0),
        (5, 44.0),
    ] {
        sheet.set_column_width(column, width)?;
    }
    let mut s = Sheet { sheet, row: 0 };
    s.wide(5, &words.get("title.report"), &styles.title, 30.0)?;
    if !header.complete {
        s.wide(
            5,
            &words.get("headline.incomplete_band"),
            &styles.band_bad,
            34.0,
        )?;
        let reasons = view.incomplete_reasons(usize::MAX);
        let height = reasons.iter().map(|r| lines(r, 130)).sum::<f64>().min(24.0);
        s.wide(
            5,
            &reasons.join("\n"),
            &styles.band_bad.clone().set_font_size(10),
            15.0 * height.max(1.0) + 6.0,
        )?;
    }
    let (band, sentence) = if view.is_open() {
        (&styles.band_fail, view.failing())
    } else if header.complete && view.judges() {
        (&styles.band_ok, view.headline())
    } else {
        (&styles.band_fail, view.headline())
    };
    s.wide(
        5,
        &format!("{}: {}. {sentence}", view.word(), view.counts()),
        band,
        30.0,
    )?;
    if let Some(part) = view.part() {
        let height = 15.0 * lines(&part, 130) + 4.0;
        s.wide(5, &part, &styles.label, height)?;
    }
    s.next();
    let relaxations = view.relaxations();
    if !relaxations.is_empty() {
        section(&mut s, styles, &words.get("title.relaxations"))?;
        for line in relaxations {
            let height = 14.0 * lines(&line, 150) + 3.0;
            s.wide(5, &line, &styles.text, height)?;
        }
        s.next();
    }
    section(&mut s, styles, &words.get("title.run"))?;
    let times = &header.times;
    let identity = match &header.credentials {
        Some(source) => format!(
            "{} ({}; {source})",
            header.identity.arn, header.identity.kind
        ),
        None => format!("{} ({})", header.identity.arn, header.identity.kind),
    };
    let clock = times.clock_offset_seconds.map_or_else(
        || words.get("label.none"),
        |n| words.say("label.seconds", &[("n", &n.to_string())]),
    );
    let trusted = if header.trusted.is_empty() {
        words.get("label.none")
    } else {
        header.trusted.join(", ")
    };
    let mut left: Vec<String> = header.scope.exclude_regions.clone();
    left.extend(record.coverage.excluded_groups.iter().cloned());
    let left = if left.is_empty() {
        words.get("label.none")
    } else {
        left.join(", ")
    };
    let scope = |all: &[String]| {
        let each: Vec<String> = all.iter().map(|word| view.ours(word)).collect();
        each.join(", ")
    };
    for (label, value) in [
        ("label.run", header.run.as_str()),
        ("label.schedule", &header.schedule),
        ("label.mode", &header.mode),
        ("label.account", header.identity.account.as_str()),
        ("label.identity", &identity),
        ("label.regions", &scope(&header.scope.regions)),
        ("label.groups_scope", &scope(&header.scope.groups)),
        ("label.excluded", &left),
        ("label.trusted", &trusted),
        ("label.tool", &header.tool),
        ("label.clock", &clock),
    ] {
        fact(&mut s, styles, &words.get(label), value)?;
    }
    if !record.changes.is_empty() {
        let label = words.get("title.changes");
        fact(&mut s, styles, &label, &view.change_lead())?;
    }
    let reevaluation = view.reevaluation();
    if !reevaluation.is_empty() {
        fact(&mut s, styles, &words.get("label.expected"), &reevaluation)?;
    }
    for (label, time) in [
        ("label.started", &times.started),
        ("label.read", &times.read),
    ] {
        s.text(0, &words.get(label), &styles.label)?;
        s.date(1, time, view, styles)?;
        s.next();
    }
    s.wide(
        5,
        &words.say("note.zone", &[("zone", view.zone())]),
        &styles.note,
        16.0,
    )?;
    s.next();
    section(&mut s, styles, &words.get("title.by_severity"))?;
    totals(&mut s, view, styles)?;
    s.next();
    section(&mut s, styles, &words.get("title.by_region"))?;
    regions(&mut s, view, styles)?;
    s.next();
    section(&mut s, styles, &words.get("title.checks"))?;
    for check in &header.checks {
        s.text(0, &check.id, &styles.label)?;
        let what = view.check_text(check);
        let height = what.lines().map(|line| lines(line, 118)).sum::<f64>();
        let shown: Vec<String> = what.lines().map(visible).collect();
        s.sheet
            .merge_range(s.row, 1, s.row, 5, &shown.join("\n"), &styles.text)?;
        s.sheet.set_row_height(s.row, 14.0 * height + 4.0)?;
        s.next();
    }
    s.next();
    section(&mut s, styles, &words.get("title.unseen"))?;
    for line in view.unseen() {
        let height = 14.0 * lines(&line, 150) + 3.0;
        s.wide(5, &line, &styles.text, height)?;
    }
    Ok(())
}

fn section(s: &mut Sheet<'_>, styles: &Styles, title: &str) -> Result<(), XlsxError> {
    s.wide(5, title, &styles.section, 20.0)
}

fn fact(s: &mut Sheet<'_>, styles: &Styles, label: &str, value: &str) -> Result<(), XlsxError> {
    s.text(0, label, &styles.label)?;
    s.sheet
        .merge_range(s.row, 1, s.row, 5, &visible(value), &styles.text)?;
    s.sheet
        .set_row_height(s.row, 14.0 * lines(value, 110) + 2.0)?;
    s.next();
    Ok(())
}

fn totals(s: &mut Sheet<'_>, view: &View<'_>, styles: &Styles) -> Result<(), XlsxError> {
    let words = &view.words;
    let mut columns = vec![
        "label.severity",
        "verdict.exposed",
        "verdict.undetermined",
        "verdict.managed",
        "state.new",
    ];
    let closed = view.closed_of().is_some();
    if closed {
        columns.push("closed.column");
    }
    for (column, key) in (0u16..).zip(columns) {
        s.text(column, &words.get(key), &styles.header)?;
    }
    s.next();
    for severity in Severity::ALL {
        let of = |test: &dyn Fn(&crate::model::Finding) -> bool| -> u64 {
            let n = view
                .record
                .findings
                .iter()
                .filter(|f| f.severity == severity && test(f))
                .count();
            u64::try_from(n).unwrap_or(u64::MAX)
        };
        let format = styles.severity(severity);
        s.text(
            0,
            &words.get(&format!("severity.{}", severity.as_str())),
            &format,
        )?;
        s.number(1, of(&|f| f.verdict == Verdict::Exposed), &styles.number)?;
        s.number(
            2,
            of(&|f| f.verdict == Verdict::Undetermined),
            &styles.number,
        )?;
        s.number(3, of(&|f| f.verdict == Verdict::Managed), &styles.number)?;
        s.number(
            4,
            of(&|f| f.verdict == Verdict::Exposed && f.state == FindingState::New),
            &styles.number,
        )?;
        if closed {
            let n = u64::try_from(view.closed_at(severity)).unwrap_or(u64::MAX);
            let left = styles
                .number
                .clone()
                .set_align(FormatAlign::Left)
                .set_indent(2);
            s.number(5, n, &left)?;
        }
        s.next();
    }
    Ok(())
}

fn regions(s: &mut Sheet<'_>, view: &View<'_>, styles: &Styles) -> Result<(), XlsxError> {
    let words = &view.words;
    let columns = [
        "label.region",
        "label.status",
        "label.groups",
        "label.rules",
        "verdict.exposed",
        "label.error",
    ];
    for (column, key) in (0u16..).zip(columns) {
        s.text(column, &words.get(key), &styles.header)?;
    }
    s.next();
    for region in &view.record.coverage.regions {
        let format = match region.status {
            RegionStatus::Failed => styles.verdict(Verdict::Exposed),
            RegionStatus::Ok | RegionStatus::Skipped => styles.text.clone(),
        };
        let status = match region.status {
            RegionStatus::Ok => "status.ok",
            RegionStatus::Failed => "status.failed",
            RegionStatus::Skipped => "status.skipped",
        };
        let exposed = view
            .record
            .findings
            .iter()
            .filter(|f| {
                f.region == region.region
                    && f.account == region.account
                    && f.verdict == Verdict::Exposed
            })
            .count();
        s.text(0, region.region.as_str(), &styles.label)?;
        s.text(1, &words.get(status), &format)?;
        s.number(2, region.groups_read, &styles.number)?;
        s.number(3, region.rules_read, &styles.number)?;
        s.number(
            4,
            u64::try_from(exposed).unwrap_or(u64::MAX),
            &styles.number,
        )?;
        let error = region
            .error
            .as_ref()
            .map(|e| format!("{} {}", e.action, e.code))
            .unwrap_or_default();
        s.text(5, &error, &styles.text)?;
        s.next();
    }
    Ok(())
}

/// A table's sheet: the band where the run is INCOMPLETE, the header frozen and filtered.
fn table<'w>(
    view: &View<'_>,
    styles: &Styles,
    sheet: &'w mut Worksheet,
    name: &str,
    columns: &[(&str, f64)],
) -> Result<Sheet<'w>, XlsxError> {
    page(sheet, name)?;
    let last = u16::try_from(columns.len().saturating_sub(1)).unwrap_or(u16::MAX);
    let mut s = Sheet { sheet, row: 0 };
    if !view.record.header.complete {
        // The band spans what one screen shows, not the whole width.
        s.wide(
            last.min(6),
            &view.words.get("headline.incomplete_short"),
            &styles.band_bad,
            26.0,
        )?;
    }
    let row = s.row;
    for (column, (label, width)) in (0u16..).zip(columns) {
        s.sheet.set_column_width(column, *width)?;
        s.text(column, &view.words.get(label), &styles.header)?;
    }
    s.sheet.set_row_height(row, 30.0)?;
    s.next();
    s.sheet.set_freeze_panes(s.row, 0)?;
    s.sheet.set_repeat_rows(0, row)?;
    Ok(s)
}

/// The filter, once the last row is known.
/// Paper shows the columns for people, up to `printed`; those for filters stand to their right.
fn filter(
    s: &mut Sheet<'_>,
    view: &View<'_>,
    columns: usize,
    printed: u16,
) -> Result<(), XlsxError> {
    let first = u32::from(!view.record.header.complete);
    let last = s.row.saturating_sub(1).max(first);
    let width = u16::try_from(columns.saturating_sub(1)).unwrap_or(u16::MAX);
    s.sheet.autofilter(first, 0, last, width)?;
    s.sheet.set_print_area(0, 0, last, printed.min(width))?;
    Ok(())
}

fn coverage(view: &View<'_>, styles: &Styles, sheet: &mut Worksheet) -> Result<(), XlsxError> {
    let words = &view.words;
    let columns = [
        ("label.account", 19.0),
        ("label.region", 17.0),
        ("label.status", 11.0),
        ("label.groups_listed", 11.0),
        ("label.groups_total", 11.0),
        ("label.groups_read", 11.0),
        ("label.groups_vanished", 11.0),
        ("label.rules_listed", 11.0),
        ("label.rules_read", 11.0),
        ("label.requests", 11.0),
        ("label.error", 44.0),
        ("label.warnings", 50.0),
        ("label.interfaces", 12.0),
        ("label.instances", 12.0),
        ("label.expected", 34.0),
    ];
    let mut s = table(view, styles, sheet, "Coverage", &columns)?;
    let printed = 14;
    for region in &view.record.coverage.regions {
        let (status, format) = match region.status {
            RegionStatus::Ok => ("status.ok", styles.verdict(Verdict::Compliant)),
            RegionStatus::Failed => ("status.failed", styles.verdict(Verdict::Exposed)),
            RegionStatus::Skipped => ("status.skipped", styles.verdict(Verdict::Managed)),
        };
        s.text(0, region.account.as_str(), &styles.text)?;
        s.text(1, region.region.as_str(), &styles.label)?;
        s.text(2, &words.get(status), &format)?;
        s.number(3, region.groups_listed, &styles.number)?;
        match region.groups_total {
            Some(n) => s.number(4, n, &styles.number)?,
            None => s.text(4, "", &styles.text)?,
        }
        for (column, n) in [
            (5, region.groups_read),
            (6, region.groups_vanished),
            (7, region.rules_listed),
            (8, region.rules_read),
            (9, region.requests),
        ] {
            s.number(column, n, &styles.number)?;
        }
        let error = region.error.as_ref().map_or_else(String::new, |e| {
            format!("{} {} {}: {}", e.action, e.code, e.request_id, e.message)
        });
        s.text(10, &error, &styles.text)?;
        let warnings: Vec<String> = region.warnings.iter().map(|w| view.ours(w)).collect();
        let warnings = warnings.join("\n");
        s.text(11, &warnings, &styles.text)?;
        let seen = region.attached.as_ref();
        for (column, n) in [
            (12, seen.map(|seen| seen.interfaces)),
            (13, seen.and_then(|seen| seen.instances)),
        ] {
            match n {
                Some(n) => s.number(column, n, &styles.number)?,
                None => s.text(column, &words.get("reach.unknown"), &styles.text)?,
            }
        }
        let expected = view.expected(region);
        s.text(14, &expected, &styles.text)?;
        s.tall(&[(&error, 44), (&expected, 34), (&warnings, 50)])?;
        s.next();
    }
    filter(&mut s, view, columns.len(), printed)
}
