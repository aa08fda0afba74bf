//! How many changes a run made, and what a run that judged nothing is called. Only a change that two
//! readings show counts as made: one that was refused, had been made before or cannot be vouched for was
//! no more than tried.

use super::view::{View, visible};
use crate::model::{Change, Finding, Outcome, Verdict};

/// Verdicts that the reasons of an INCOMPLETE run name: the findings have all.
const MOST_UNDETERMINED: usize = 5;

impl View<'_> {
    /// How many changes are verified.
    pub fn changed(&self) -> usize {
        let changes = self.record.changes.iter();
        changes
            .filter(|change| change.outcome == Outcome::Verified)
            .count()
    }

    /// Whether a change leaves the run's promise unkept.
    pub(super) fn is_broken(&self) -> bool {
        self.record.changes.iter().any(Change::is_broken)
    }

    /// How many changes were made, and of how many that were tried where not all were.
    pub fn change_lead(&self) -> String {
        let (made, tried) = (self.changed(), self.record.changes.len());
        let (n, tried_text) = (made.to_string(), tried.to_string());
        if made == tried {
            let key = if made == 1 {
                "change.lead.one"
            } else {
                "change.lead.other"
            };
            return self.words.say(key, &[("n", &n)]);
        }
        self.words
            .say("change.lead_tried", &[("tried", &tried_text), ("n", &n)])
    }

    /// The word for a run that judged nothing: what became of its changes.
    pub(super) fn unjudged_word(&self) -> &'static str {
        if self.is_broken() {
            "word.unverified"
        } else if self.changed() > 0 {
            "word.done"
        } else {
            "word.nothing_changed"
        }
    }

    /// The sentence under that word.
    pub(super) fn unjudged_headline(&self) -> String {
        self.words.get(if self.is_broken() {
            "headline.unjudged_unverified"
        } else if self.changed() > 0 {
            "headline.unjudged"
        } else {
            "headline.unjudged_nothing"
        })
    }

    /// The count beside that word.
    pub(super) fn unjudged_count(&self) -> String {
        match self.changed() {
            0 if self.is_broken() => self.words.get("headline.unjudged_unverified_short"),
            0 => self.words.get("headline.unjudged_nothing_short"),
            n => self
                .words
                .say("headline.unjudged_short", &[("n", &n.to_string())]),
        }
    }

    /// Why the run is INCOMPLETE; of verdicts that are undetermined the first, each with its reason.
    /// `most`: reasons beside those.
    pub(super) fn incomplete_reasons(&self, most: usize) -> Vec<String> {
        let header = &self.record.header;
        let reasons = header.incomplete_reasons.iter().take(most);
        let mut out: Vec<String> = reasons.map(|why| self.ours(why)).collect();
        if header.complete {
            return out;
        }
        let all = self.findings();
        let undetermined = all
            .iter()
            .filter(|finding| finding.verdict == Verdict::Undetermined);
        let total = undetermined.clone().count();
        out.extend(
            undetermined
                .take(MOST_UNDETERMINED)
                .map(|finding| self.about_group(finding)),
        );
        let more = total.saturating_sub(MOST_UNDETERMINED);
        if more > 0 {
            out.push(self.words.say("count.more", &[("n", &more.to_string())]));
        }
        out
    }

    /// A finding in a line of a list.
    pub(super) fn about_group(&self, finding: &Finding) -> String {
        format!(
            "{} {} ({}): {}",
            finding.region,
            finding.group_id,
            visible(&finding.group_name),
            self.sentence(finding)
        )
    }
}
