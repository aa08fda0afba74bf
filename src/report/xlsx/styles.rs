//! How the workbook's cells look: word and colour together, never colour alone.

use crate::model::{Outcome, Severity, Verdict};
use rust_xlsxwriter::{Color, Format, FormatAlign, FormatBorder};

/// Every style of the workbook.
pub(super) struct Styles {
    pub(super) title: Format,
    pub(super) header: Format,
    pub(super) text: Format,
    pub(super) label: Format,
    pub(super) date: Format,
    pub(super) number: Format,
    pub(super) section: Format,
    pub(super) band_bad: Format,
    pub(super) band_fail: Format,
    pub(super) band_ok: Format,
    pub(super) note: Format,
}

const INK: u32 = 0x001F_2937;
const LINE: u32 = 0x00D1_D5DB;

fn base() -> Format {
    Format::new()
        .set_font_name("Arial")
        .set_font_size(10)
        .set_font_color(Color::RGB(INK))
        .set_align(FormatAlign::Top)
}

impl Styles {
    pub(super) fn new() -> Self {
        let cell = || {
            base()
                .set_border_bottom(FormatBorder::Hair)
                .set_border_color(Color::RGB(LINE))
        };
        let band = |color: u32| {
            base()
                .set_bold()
                .set_font_size(13)
                .set_font_color(Color::RGB(0x00FF_FFFF))
                .set_background_color(Color::RGB(color))
                .set_align(FormatAlign::VerticalCenter)
                .set_text_wrap()
        };
        Self {
            title: base().set_bold().set_font_size(18),
            header: base()
                .set_bold()
                .set_font_color(Color::RGB(0x00FF_FFFF))
                .set_background_color(Color::RGB(0x0037_4151))
                .set_align(FormatAlign::VerticalCenter)
                .set_text_wrap(),
            text: cell().set_text_wrap(),
            label: cell().set_bold().set_text_wrap(),
            date: cell()
                .set_num_format("yyyy-mm-dd hh:mm")
                .set_align(FormatAlign::Left),
            number: cell().set_num_format("#,##0"),
            section: base()
                .set_bold()
                .set_font_size(12)
                .set_border_bottom(FormatBorder::Medium)
                .set_border_color(Color::RGB(0x0037_4151)),
            band_bad: band(0x00B9_1C1C),
            band_fail: band(0x00B4_5309),
            band_ok: band(0x0015_803D),
            note: base()
                .set_italic()
                .set_font_color(Color::RGB(0x006B_7280))
                .set_text_wrap(),
        }
    }

    pub(super) fn severity(&self, severity: Severity) -> Format {
        let (ink, fill) = match severity {
            Severity::Critical => (0x007F_1D1D, 0x00FE_CACA),
            Severity::High => (0x009A_3412, 0x00FF_EDD5),
            Severity::Medium => (0x0085_4D0E, 0x00FE_F9C3),
            Severity::Low => (0x001E_40AF, 0x00DB_EAFE),
        };
        self.text
            .clone()
            .set_bold()
            .set_font_color(Color::RGB(ink))
            .set_background_color(Color::RGB(fill))
    }

    pub(super) fn verdict(&self, verdict: Verdict) -> Format {
        let (ink, fill) = match verdict {
            Verdict::Exposed => (0x007F_1D1D, 0x00FE_CACA),
            Verdict::Undetermined => (0x006B_21A8, 0x00F3_E8FF),
            Verdict::Managed | Verdict::Waived => (0x0037_4151, 0x00E5_E7EB),
            Verdict::Compliant => (0x0016_6534, 0x00DC_FCE7),
        };
        self.text
            .clone()
            .set_bold()
            .set_font_color(Color::RGB(ink))
            .set_background_color(Color::RGB(fill))
    }

    pub(super) fn outcome(&self, outcome: Outcome) -> Format {
        match outcome {
            Outcome::Verified | Outcome::AlreadyGone => self.verdict(Verdict::Compliant),
            Outcome::Drifted => self.verdict(Verdict::Undetermined),
            Outcome::Refused | Outcome::Failed | Outcome::Unknown => self.verdict(Verdict::Exposed),
        }
    }
}
