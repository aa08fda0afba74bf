//! Waivers and ages in words, for every renderer.

use super::view::{View, visible};
use crate::model::{Finding, FindingState, Verdict, WaiverState, WaiverUse};
use chrono::{DateTime, Utc};

impl<'r> View<'r> {
    /// The waivers, those that want a person first.
    pub fn waivers(&self) -> Vec<&'r WaiverUse> {
        let mut out: Vec<&WaiverUse> = self.record.waivers.iter().collect();
        out.sort_by_key(|waiver| {
            (
                !waiver.wants_a_person(),
                waiver.state,
                waiver.days_left,
                waiver.line,
            )
        });
        out
    }

    /// What became of a waiver, in a sentence or two.
    pub fn waiver(&self, waiver: &WaiverUse) -> String {
        let check = if waiver.check == "*" {
            self.words.get("label.all")
        } else {
            waiver.check.clone()
        };
        let place = self.words.say(
            "waiver.where",
            &[("group", waiver.group.as_str()), ("check", &check)],
        );
        let list = self.words.get("count.list");
        let some = |texts: &[String]| {
            const MOST: usize = 4;
            let mut out = texts.iter().take(MOST).cloned().collect::<Vec<_>>();
            let more = texts.len().saturating_sub(MOST);
            if more > 0 {
                out.push(self.words.say("count.more", &[("n", &more.to_string())]));
            }
            visible(&out.join(&list))
        };
        let what = self.words.say(
            "waiver.what",
            &[
                ("ports", &some(&waiver.ports)),
                ("sources", &some(&waiver.sources)),
                ("approved_by", &visible(&waiver.approved_by)),
                ("owner", &visible(&waiver.owner)),
                ("expires", &waiver.expires),
            ],
        );
        let mut out = self.words.say(
            &format!("waiver.{}", waiver.state.as_str()),
            &[("where", &place), ("what", &what)],
        );
        if waiver.ends_soon() {
            let key = match waiver.days_left {
                0 => "waiver.ends_today",
                1 => "waiver.ends_tomorrow",
                _ => "waiver.ends",
            };
            let days = waiver.days_left.to_string();
            out.push_str(&self.words.say(key, &[("n", &days)]));
        }
        out
    }

    /// A waiver's state in a word.
    pub fn waiver_state(&self, state: WaiverState) -> String {
        self.words.get(&format!("waiver_state.{}", state.as_str()))
    }

    /// How many whole days a finding has been open at the start of the run; `None` where its first
    /// sight is not a time before that.
    pub fn age_days(&self, finding: &Finding) -> Option<u64> {
        let at = |text: &str| text.parse::<DateTime<Utc>>().ok();
        let open =
            at(&self.record.header.times.started)?.signed_duration_since(at(&finding.first_seen)?);
        u64::try_from(open.num_days()).ok()
    }

    /// `12 days`; `None` under a day.
    pub fn age(&self, finding: &Finding) -> Option<String> {
        let days = self.age_days(finding).filter(|days| *days > 0)?;
        let key = if days == 1 {
            "age.days.one"
        } else {
            "age.days.other"
        };
        Some(self.words.say(key, &[("n", &days.to_string())]))
    }

    /// `new`, `reopened`, `open for 12 days`.
    pub fn state(&self, finding: &Finding) -> String {
        let state = self.words.get(&format!("state.{}", finding.state.as_str()));
        match self.age(finding) {
            Some(age) if finding.state == FindingState::Open => self
                .words
                .say("age.open", &[("state", &state), ("age", &age)]),
            _ => state,
        }
    }

    /// When it was first seen, and how long ago that is.
    pub fn first_seen(&self, finding: &Finding) -> String {
        let first_seen = self.local(&finding.first_seen);
        match self.age(finding) {
            Some(age) => self
                .words
                .say("age.seen", &[("first_seen", &first_seen), ("age", &age)]),
            None => first_seen,
        }
    }

    /// A finding of the last run that is gone, in a sentence.
    pub fn resolved(&self, finding: &Finding) -> String {
        let name = format!("{} ({})", finding.group_id, visible(&finding.group_name));
        let known = [("name", name.as_str()), ("check", &finding.check)];
        match self.age(finding) {
            Some(age) if finding.verdict == Verdict::Exposed => self
                .words
                .say("age.resolved", &[known[0], known[1], ("age", age.as_str())]),
            _ => self.words.say("sentence.resolved", &known),
        }
    }
}
