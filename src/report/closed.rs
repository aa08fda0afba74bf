//! What a run closed. `findings.json` keeps what was read before any change; whoever reads a report must
//! see at once which findings are still open after the run.
//!
//! A finding counts as closed only where that is certain: it is one group's own, every change of the
//! group in this run is verified, and by the last of their readings its check no longer finds the group
//! exposed. All else counts as open.

use super::view::View;
use crate::model::{
    Change, Finding, FindingRule, GroupId, Narrowing, Outcome, RegionId, Severity, Verdict,
};

/// How a finding was closed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Closed {
    /// Nothing of it is left.
    Whole,
    /// What is left of it is approved by waivers.
    ToApproved,
}

impl View<'_> {
    /// Whether the run may change groups, so that its rules were revoked or held, and no plan is told.
    pub fn may_change(&self) -> bool {
        matches!(self.record.header.mode.as_str(), "revoke" | "narrow")
    }

    /// How this run closed a finding; `None`: it is as it was read, or that is not certain.
    pub fn closed(&self, finding: &Finding) -> Option<Closed> {
        // Of interfaces, groups together decide: one group's reading after says nothing certain.
        if finding.verdict != Verdict::Exposed || finding.interface.is_some() {
            return None;
        }
        let mut last = None;
        let mut took_away = false;
        for change in self.own_changes(finding, &finding.group_id) {
            if change.outcome != Outcome::Verified {
                return None;
            }
            took_away |= change.took_away();
            last = Some(change);
        }
        let verdict = last
            .filter(|_| took_away)?
            .verdict_after
            .get(&finding.check)?;
        match Verdict::parse(verdict)? {
            Verdict::Compliant => Some(Closed::Whole),
            Verdict::Waived => Some(Closed::ToApproved),
            Verdict::Exposed | Verdict::Managed | Verdict::Undetermined => None,
        }
    }

    /// How many exposed findings were closed, and of how many; `None` of a run that changed nothing.
    pub fn closed_of(&self) -> Option<(usize, usize)> {
        let changed = self.record.changes.iter();
        if !changed
            .filter(|c| c.intent_of.is_none())
            .any(Change::took_away)
        {
            return None;
        }
        let exposed = self.exposed_findings();
        let closed = exposed.filter(|finding| self.closed(finding).is_some());
        let (n, of) = (closed.count(), self.exposed_findings().count());
        (of > 0).then_some((n, of))
    }

    /// How many findings of a severity were closed.
    pub(super) fn closed_at(&self, severity: Severity) -> usize {
        self.exposed_findings()
            .filter(|finding| finding.severity == severity && self.closed(finding).is_some())
            .count()
    }

    /// Whether something exposed is still open after the run, as far as is certain.
    pub fn is_open(&self) -> bool {
        let exposed = usize::try_from(self.record.header.totals.exposed).unwrap_or(usize::MAX);
        let closed = self.closed_of().map_or(0, |(n, _)| n);
        exposed > closed
    }

    /// `7 of 12 findings closed in this run`
    pub(super) fn closed_count(&self) -> Option<String> {
        let (n, of) = self.closed_of()?;
        let with = [("n", n.to_string()), ("m", of.to_string())];
        let with = [("n", with[0].1.as_str()), ("m", with[1].1.as_str())];
        Some(self.words.say("closed.count", &with))
    }

    /// `closed in this run, verified`; empty of a finding that was not.
    pub fn closed_word(&self, finding: &Finding) -> String {
        match self.closed(finding) {
            Some(Closed::Whole) => self.words.get("closed.word"),
            Some(Closed::ToApproved) => self.words.get("closed.word_approved"),
            None => String::new(),
        }
    }

    /// Where an exposed finding stands after a run that may change groups; empty of all others.
    pub(super) fn after_run(&self, finding: &Finding) -> String {
        match self.closed_word(finding) {
            word if !word.is_empty() => word,
            _ if finding.verdict == Verdict::Exposed => self.words.get("closed.still_open"),
            _ => String::new(),
        }
    }

    /// A finding's sentence, after what says that it was closed.
    pub(super) fn with_closing(&self, finding: &Finding, sentence: String) -> String {
        let key = match self.closed(finding) {
            Some(Closed::Whole) => "closed.sentence",
            Some(Closed::ToApproved) => "closed.sentence_approved",
            None => return sentence,
        };
        self.words.say(key, &[("sentence", &sentence)])
    }

    /// What became of a rule; in a run that may not change anything, whether it would be revoked.
    pub(super) fn fate(&self, finding: &Finding, rule: &FindingRule) -> String {
        if !self.may_change() {
            return self
                .words
                .get(if rule.in_cut { "label.yes" } else { "label.no" });
        }
        let group = rule.group_id.as_ref().unwrap_or(&finding.group_id);
        let revoked = self
            .own_changes(finding, group)
            .filter(|change| change.took_away() && change.rule_id() == rule.rule_id)
            .last();
        if let Some(change) = revoked {
            return match (&change.narrowing, change.outcome) {
                (Some(Narrowing::ReplacedBy(_)), Outcome::Verified) => {
                    self.words.get("fate.narrowed")
                }
                (_, Outcome::Verified) => self.words.get("fate.revoked"),
                (_, outcome) => self.words.get(&format!("outcome.{}", outcome.as_str())),
            };
        }
        let is_held = !rule.held.is_empty()
            || self.record.held.iter().any(|held| {
                held.account == finding.account
                    && held.region == finding.region
                    && held.group_id == *group
                    && held.rules.contains(&rule.rule_id)
            });
        self.words
            .get(if is_held { "outcome.held" } else { "label.no" })
    }

    /// The heading over [`View::fate`].
    pub(super) fn fate_label(&self) -> &'static str {
        if self.may_change() {
            "label.fate"
        } else {
            "label.in_cut"
        }
    }

    fn exposed_findings(&self) -> impl Iterator<Item = &Finding> {
        let findings = self.record.findings.iter();
        findings.filter(|finding| finding.verdict == Verdict::Exposed)
    }

    /// What this run itself did to a group; what it settled for a killed run was done before it read.
    fn own_changes<'v>(
        &'v self,
        finding: &'v Finding,
        group: &'v GroupId,
    ) -> impl Iterator<Item = &'v Change> {
        let region: &RegionId = &finding.region;
        self.record.changes.iter().filter(move |change| {
            change.intent_of.is_none()
                && change.account == finding.account
                && change.region == *region
                && change.group_id == *group
        })
    }
}
