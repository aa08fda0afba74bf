//! What a rollback says of the time that it holds for.

use super::view::View;
use crate::model::RunRecord;

/// Until when what was put back is held, and what comes then; nothing of a run that put nothing back.
pub fn until(view: &View<'_>) -> Option<String> {
    let time = view.record.header.restored_until.as_deref()?;
    let (time, zone) = (view.local(time), view.zone());
    let said = [("time", time.as_str()), ("zone", zone)];
    Some(view.words.say("change.restored_until", &said))
}

/// Whether a letter about a rollback is wanted. It is a change, whatever it found; that something is not
/// back goes to everyone.
pub fn wanted(when: &str, record: &RunRecord) -> bool {
    record.is_not_back() || !matches!(when, "new" | "failures")
}
