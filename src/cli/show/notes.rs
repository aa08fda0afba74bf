//! What a policy adds to an explanation: networks that do not count as internet, and what is approved.

use crate::model::Language;
use crate::policy::Waiver;
use crate::report::lang::Words;
use crate::report::view::visible;
use chrono::NaiveDate;
use serde_json::{Value, json};
use std::io::Write as _;

/// Of the policy that was given, what concerns the groups that were asked about.
pub(in crate::cli) struct Notes {
    /// Networks that do not count as internet.
    pub(in crate::cli) trusted: Vec<String>,
    /// The one of them that the asked source lies in.
    pub(in crate::cli) source_trusted_by: Option<String>,
    /// Waivers of these groups, expired ones too.
    pub(in crate::cli) waivers: Vec<Waiver>,
    /// The day that they are held against.
    pub(in crate::cli) today: NaiveDate,
}

impl Notes {
    /// Lines for people; none where the policy adds nothing.
    pub(super) fn tell(&self) {
        let lines = self.lines();
        if !lines.is_empty() {
            say!();
        }
        lines.iter().for_each(|line| say!("{line}"));
    }

    fn lines(&self) -> Vec<String> {
        let mut out = Vec::new();
        if !self.trusted.is_empty() {
            let list = visible(&self.trusted.join(", "));
            let words = Words::new(Language::En);
            out.push(words.say("relaxed.trusted", &[("list", &list)]));
        }
        if let Some(network) = &self.source_trusted_by {
            out.push(format!(
                "The source asked about lies in the trusted {}: what gets in from there alone is no finding.",
                visible(network)
            ));
        }
        out.extend(self.waivers.iter().map(|waiver| self.waiver(waiver)));
        out
    }

    fn waiver(&self, waiver: &Waiver) -> String {
        let check = waiver.check.as_deref().unwrap_or("every check");
        let what = format!(
            "of {} under {check}: {} from {}, approved by {} for {} until {}: {}",
            waiver.group,
            waiver.ports.join(", "),
            waiver.sources.join(", "),
            waiver.approved_by,
            waiver.owner,
            waiver.expires,
            waiver.reason
        );
        let what = visible(&what);
        if self.is_active(waiver) {
            format!(
                "Waiver {what}. A finding of which it covers everything is waived: shown, and never changed."
            )
        } else {
            format!("EXPIRED waiver {what}. It counts for nothing.")
        }
    }

    fn is_active(&self, waiver: &Waiver) -> bool {
        self.today <= waiver.expires
    }

    /// Puts them into an answer.
    pub(super) fn into(&self, answer: &mut Value) {
        let waivers: Vec<Value> = self
            .waivers
            .iter()
            .map(|waiver| {
                json!({
                    "group": waiver.group, "check": waiver.check.as_deref().unwrap_or("*"),
                    "ports": waiver.ports, "sources": waiver.sources, "owner": waiver.owner,
                    "approved_by": waiver.approved_by, "reason": waiver.reason,
                    "expires": waiver.expires.to_string(), "ticket": waiver.ticket,
                    "active": self.is_active(waiver),
                })
            })
            .collect();
        answer["trusted"] = json!(self.trusted);
        answer["source_trusted_by"] = json!(self.source_trusted_by);
        answer["waivers"] = json!(waivers);
    }
}
