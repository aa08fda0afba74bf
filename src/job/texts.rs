//! The texts that decided what a run did, as evidence and plans keep them: in full, but for what is secret.

use crate::config::Schedule;
use crate::config::address::kept;
use crate::config::waivers::WaiverFile;
use crate::evidence::format::PolicyText;

/// All of a schedule's: its own, its packs', its waivers'.
pub(super) fn policy_texts(schedule: &Schedule) -> Vec<PolicyText> {
    let mut out = vec![schedule_text(
        format!("{}.toml", schedule.name),
        &schedule.text,
    )];
    for pack in &schedule.packs {
        out.push(PolicyText::new(
            format!("pack {}", pack.name),
            pack.text.clone(),
        ));
    }
    if let Some(file) = schedule.waivers.file() {
        out.push(waivers_text(file));
    }
    out
}

/// A schedule's text as evidence and plans keep it.
pub fn schedule_text(name: impl Into<String>, text: &str) -> PolicyText {
    let (without, blanked) = kept(text);
    PolicyText::without(name, text, without, blanked)
}

/// A waivers' file as evidence and plans keep it.
pub fn waivers_text(file: &WaiverFile) -> PolicyText {
    PolicyText::new(format!("waivers {}", file.name), file.text.clone())
}
