//! Rows of the sheet Changes for what the cloud's own history has of earlier changes.

use super::styles::Styles;
use super::{Sheet, View};
use crate::model::{Confirmed, Verdict};
use rust_xlsxwriter::XlsxError;

pub(super) fn rows(s: &mut Sheet<'_>, view: &View<'_>, styles: &Styles) -> Result<(), XlsxError> {
    for call in &view.record.confirmed {
        let format = match call.found {
            Confirmed::Confirmed => styles.verdict(Verdict::Compliant),
            Confirmed::Missing => styles.verdict(Verdict::Exposed),
            Confirmed::TooEarly | Confirmed::Unread => styles.verdict(Verdict::Managed),
        };
        let word = view
            .words
            .get(&format!("confirm.word_{}", call.found.as_str()));
        s.text(0, &word, &format)?;
        s.text(1, call.region.as_str(), &styles.text)?;
        s.text(2, call.group_id.as_str(), &styles.text)?;
        s.text(10, &call.request_id, &styles.text)?;
        s.date(11, &call.attempted_at, view, styles)?;
        let why = format!("{} {} {}", call.action, call.run, call.detail);
        s.text(8, why.trim_end(), &styles.text)?;
        s.tall(&[(why.trim_end(), 36), (&call.request_id, 17)])?;
        s.next();
    }
    Ok(())
}
