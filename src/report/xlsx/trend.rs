//! The sheet Trend: the last runs of the schedule, exposed by severity as a chart of Excel's own, and
//! how long it took to close.

use super::{Sheet, lines, table};
use crate::model::{Finding, Severity, Trend, TrendPoint, Verdict};
use crate::report::view::View;
use crate::report::xlsx::styles::Styles;
use rust_xlsxwriter::{
    Chart, ChartFormat, ChartLegendPosition, ChartSolidFill, ChartType, Color, Worksheet, XlsxError,
};

/// The first of four columns of severities.
const FIRST: u16 = 3;
const COLUMNS: [(&str, f64); 14] = [
    ("trend.when", 24.0),
    ("trend.complete", 14.0),
    ("label.groups", 12.0),
    ("severity.critical", 12.0),
    ("severity.high", 12.0),
    ("severity.medium", 12.0),
    ("severity.low", 12.0),
    ("trend.total", 11.0),
    ("verdict.waived", 11.0),
    ("verdict.undetermined", 13.0),
    ("trend.new", 11.0),
    ("trend.closed", 11.0),
    ("trend.basis", 13.0),
    ("label.run", 44.0),
];

fn colour(severity: Severity) -> u32 {
    match severity {
        Severity::Critical => 0x0099_1B1B,
        Severity::High => 0x00C2_410C,
        Severity::Medium => 0x00CA_8A04,
        Severity::Low => 0x001D_4ED8,
    }
}

pub(super) fn sheet(
    view: &View<'_>,
    trend: &Trend,
    styles: &Styles,
    sheet: &mut Worksheet,
) -> Result<(), XlsxError> {
    let words = &view.words;
    let mut s = table(view, styles, sheet, "Trend", &COLUMNS)?;
    let first = s.row;
    for point in &trend.points {
        row(&mut s, view, point, styles)?;
    }
    let last = s.row.saturating_sub(1);
    let width = u16::try_from(COLUMNS.len().saturating_sub(1)).unwrap_or(u16::MAX);
    s.sheet
        .autofilter(first.saturating_sub(1), 0, last, width)?;
    if let Some(why) = &trend.broken {
        let text = words.say("trend.broken", &[("why", why)]);
        let height = 14.0 * lines(&text, 170) + 4.0;
        s.wide(width, &text, &styles.note, height)?;
    }
    s.next();
    closing(&mut s, view, trend, styles)?;
    s.next();
    let chart = chart(&words.get("trend.title"), view, first, last);
    s.sheet.insert_chart(s.row, 0, &chart)?;
    // The chart is as tall as twenty rows.
    let end = s.row.saturating_add(20);
    s.sheet.set_print_area(0, 0, end, width)?;
    Ok(())
}

fn row(
    s: &mut Sheet<'_>,
    view: &View<'_>,
    point: &TrendPoint,
    styles: &Styles,
) -> Result<(), XlsxError> {
    let words = &view.words;
    let word = |yes: bool| words.get(if yes { "label.yes" } else { "label.no" });
    let (complete, look) = if point.complete {
        (word(true), styles.text.clone())
    } else {
        (
            words.get("word.incomplete"),
            styles.verdict(Verdict::Exposed),
        )
    };
    s.text(0, &view.local(&point.started), &styles.label)?;
    s.text(1, &complete, &look)?;
    s.number(2, point.groups, &styles.number)?;
    match &point.severities {
        Some(counts) => {
            let sum = |part: fn(&crate::model::SeverityCounts) -> u64| {
                counts.values().map(part).fold(0u64, u64::saturating_add)
            };
            for (column, severity) in (FIRST..).zip(Severity::ALL) {
                let exposed = counts.get(&severity).map_or(0, |counts| counts.exposed);
                s.number(column, exposed, &styles.number)?;
            }
            for (column, n) in (7u16..).zip([
                sum(|c| c.exposed),
                sum(|c| c.waived),
                sum(|c| c.undetermined),
                sum(|c| c.new),
                sum(|c| c.closed),
            ]) {
                s.number(column, n, &styles.number)?;
            }
        }
        // Not counted is not zero.
        None => {
            for column in FIRST..12 {
                s.text(column, "", &styles.text)?;
            }
        }
    }
    let basis = point.basis_changed.map(word).unwrap_or_default();
    s.text(12, &basis, &styles.text)?;
    s.text(13, point.run.as_str(), &styles.text)?;
    s.next();
    Ok(())
}

/// Closed in these runs, and what is open now, by severity.
fn closing(
    s: &mut Sheet<'_>,
    view: &View<'_>,
    trend: &Trend,
    styles: &Styles,
) -> Result<(), XlsxError> {
    let words = &view.words;
    s.wide(6, &words.get("trend.close"), &styles.section, 20.0)?;
    let columns = [
        "label.severity",
        "trend.close_count",
        "trend.close_mean",
        "trend.close_longest",
        "trend.open_now",
        "trend.open_oldest",
    ];
    for (column, key) in (0u16..).zip(columns) {
        s.text(column, &words.get(key), &styles.header)?;
    }
    s.sheet.set_row_height(s.row, 44.0)?;
    s.next();
    for severity in Severity::ALL {
        let (mut closed, mut seconds, mut longest) = (0u64, 0u64, 0u64);
        for counts in trend
            .points
            .iter()
            .filter_map(|point| point.severities.as_ref()?.get(&severity))
        {
            closed = closed.saturating_add(counts.closed);
            seconds = seconds.saturating_add(counts.closed_seconds);
            longest = longest.max(counts.closed_longest_seconds);
        }
        let open: Vec<&Finding> = view
            .record
            .findings
            .iter()
            .filter(|f| f.severity == severity && f.verdict == Verdict::Exposed)
            .collect();
        let oldest = open.iter().filter_map(|f| view.age_days(f)).max();
        let word = words.get(&format!("severity.{}", severity.as_str()));
        s.text(0, &word, &styles.severity(severity))?;
        s.number(1, closed, &styles.number)?;
        match seconds.checked_div(closed) {
            Some(mean) => {
                s.text(2, &days(mean), &styles.text)?;
                s.text(3, &days(longest), &styles.text)?;
            }
            None => {
                s.text(2, "", &styles.text)?;
                s.text(3, "", &styles.text)?;
            }
        }
        s.number(
            4,
            u64::try_from(open.len()).unwrap_or(u64::MAX),
            &styles.number,
        )?;
        match oldest {
            Some(oldest) => s.number(5, oldest, &styles.number)?,
            None => s.text(5, "", &styles.text)?,
        }
        s.next();
    }
    let note = words.get("trend.note");
    let height = 14.0 * lines(&note, 100) + 4.0;
    s.wide(6, &note, &styles.note, height)
}

/// Seconds as days with one decimal, cut.
fn days(seconds: u64) -> String {
    let tenths = seconds.saturating_mul(10) / 86_400;
    format!("{}.{}", tenths / 10, tenths % 10)
}

fn chart(title: &str, view: &View<'_>, first: u32, last: u32) -> Chart {
    let mut chart = Chart::new(ChartType::ColumnStacked);
    chart.title().set_name(title);
    chart.legend().set_position(ChartLegendPosition::Bottom);
    // Whole findings: no halves between the lines.
    chart.y_axis().set_num_format("0").set_min(0);
    for (column, severity) in (FIRST..).zip(Severity::ALL) {
        let name = view.words.get(&format!("severity.{}", severity.as_str()));
        chart
            .add_series()
            .set_name(name.as_str())
            .set_categories(("Trend", first, 0, last, 0))
            .set_values(("Trend", first, column, last, column))
            .set_gap(80)
            .set_format(
                ChartFormat::new()
                    .set_solid_fill(ChartSolidFill::new().set_color(Color::RGB(colour(severity)))),
            );
    }
    chart.set_width(980);
    chart.set_height(380);
    chart
}

#[cfg(test)]
mod tests {
    #[test]
    fn days_are_cut_to_a_tenth() {
        assert_eq!(super::days(0), "0.0");
        assert_eq!(super::days(8_639), "0.0");
        assert_eq!(super::days(8_640), "0.1");
        assert_eq!(super::days(7 * 86_400 + 43_200), "7.5");
    }
}
