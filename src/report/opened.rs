//! Who opened a rule, in words; and which changes of earlier runs the history has. User names, session
//! names and user agents are foreign text.

use super::view::{View, visible};
use crate::model::{
    Confirmation, Confirmed, Finding, FindingRule, OpenedBy, Opening, OpeningEvent,
};

/// Rules of one finding whose openers a line names.
const MOST_RULES: usize = 3;
/// Calls that fit, named one by one.
const MOST_EVENTS: usize = 3;
/// Characters of one foreign text: some user agents are pages long.
const LONGEST: usize = 80;

fn short(text: &str) -> String {
    let shown = visible(text);
    let cut: String = shown.chars().take(LONGEST).collect();
    if cut.len() < shown.len() {
        format!("{cut}...")
    } else {
        cut
    }
}

impl View<'_> {
    /// Who opened a rule; `None` where it was not asked.
    pub fn opened(&self, rule: &FindingRule) -> Option<String> {
        rule.opened_by.as_ref().map(|opened| self.opener(opened))
    }

    /// The openers of a finding's rules in a line; `None` where they were not asked.
    pub fn openers(&self, finding: &Finding) -> Option<String> {
        let said: Vec<String> = finding
            .rules
            .iter()
            .filter_map(|rule| {
                let who = self.opened(rule)?;
                let id = if rule.rule_id.is_empty() {
                    self.words.get("sentence.no_rule_id")
                } else {
                    visible(&rule.rule_id)
                };
                Some(format!("{id}: {who}"))
            })
            .collect();
        let more = said.len().saturating_sub(MOST_RULES);
        let mut text = said
            .into_iter()
            .take(MOST_RULES)
            .collect::<Vec<_>>()
            .join("; ");
        if more > 0 {
            text.push_str("; ");
            text.push_str(&self.words.say("count.more", &[("n", &more.to_string())]));
        }
        (!text.is_empty()).then_some(text)
    }

    fn opener(&self, opened: &OpenedBy) -> String {
        let events: Vec<String> = opened
            .events
            .iter()
            .take(MOST_EVENTS)
            .map(|event| self.event(event))
            .collect();
        let by = events.join("; ");
        let made = opened.created_by.as_ref().map(|event| self.event(event));
        let Some(reason) = opened.reason else {
            let key = match opened.how {
                Some(Opening::Modified) => "opened.modified",
                Some(Opening::WithGroup) => "opened.with_group",
                Some(Opening::Authorized) | None => "opened.authorized",
            };
            let said = self.words.say(key, &[("by", &by)]);
            return self.and_made(said, made);
        };
        let mut text = self
            .words
            .get(&format!("unknown_opener.{}", reason.as_str()));
        if !by.is_empty() {
            text = self
                .words
                .say("opened.named", &[("reason", &text), ("by", &by)]);
        } else if !opened.detail.is_empty() {
            text = self.words.say(
                "opened.named",
                &[("reason", &text), ("by", &short(&opened.detail))],
            );
        }
        self.and_made(self.words.say("opened.unknown", &[("reason", &text)]), made)
    }

    fn and_made(&self, said: String, made: Option<String>) -> String {
        match made {
            Some(made) => self
                .words
                .say("opened.made", &[("opened", &said), ("by", &made)]),
            None => said,
        }
    }

    fn event(&self, event: &OpeningEvent) -> String {
        let given = |text: &str| {
            if text.is_empty() {
                self.words.get("opened.not_said")
            } else {
                short(text)
            }
        };
        self.words.say(
            "opened.event",
            &[
                ("who", &given(&event.principal)),
                ("type", &given(&event.principal_type)),
                ("time", &self.local(&event.time)),
                ("address", &given(&event.source)),
                ("tool", &given(&event.tool)),
                ("event", &given(&event.event_id)),
            ],
        )
    }

    /// What the history says of the changes of earlier runs, in sentences; none: nothing was asked.
    pub fn confirmations(&self) -> Vec<String> {
        let all = &self.record.confirmed;
        if all.is_empty() {
            return Vec::new();
        }
        let of = |found: Confirmed| -> Vec<&Confirmation> {
            all.iter().filter(|call| call.found == found).collect()
        };
        let mut out = vec![self.words.say(
            "confirm.lead",
            &[
                ("n", &of(Confirmed::Confirmed).len().to_string()),
                ("m", &all.len().to_string()),
            ],
        )];
        for (found, key) in [
            (Confirmed::Missing, "confirm.missing"),
            (Confirmed::TooEarly, "confirm.too_early"),
            (Confirmed::Unread, "confirm.unread"),
        ] {
            let calls: Vec<String> = of(found).into_iter().map(named).collect();
            if !calls.is_empty() {
                let list = calls.join(&self.words.get("count.list"));
                out.push(self.words.say(key, &[("list", &list)]));
            }
        }
        out
    }
}

/// A call by its request id, and why it was not read.
fn named(call: &Confirmation) -> String {
    let mut text = format!(
        "{} {} ({} {})",
        call.action,
        visible(&call.request_id),
        call.region,
        call.group_id
    );
    if !call.detail.is_empty() {
        text.push_str(": ");
        text.push_str(&short(&call.detail));
    }
    text
}
