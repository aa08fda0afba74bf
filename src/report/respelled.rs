//! What a rule says otherwise when it is back, in words.

use super::view::{View, visible};
use crate::model::respelled::{Respelled, once_back};
use crate::model::{ApiRequest, Change};
use std::collections::BTreeMap;

impl View<'_> {
    /// What a rule will say otherwise once its undo has put it back; empty where it comes back as it was.
    pub fn once_back(&self, rule: &BTreeMap<String, String>, undo: &ApiRequest) -> String {
        self.respelled("change.once_back", &once_back(rule, undo))
    }

    /// The same of a change that took a rule away, or of one that has put it back.
    pub(super) fn comes_back(&self, change: &Change) -> String {
        if !change.spelled_before.is_empty() {
            return self.respelled("change.spelled_before", &change.spelled_before);
        }
        if change.took_away() {
            self.once_back(&change.rule, &change.undo)
        } else {
            String::new()
        }
    }

    /// The undo of a rule as a command, and what it will say otherwise.
    pub(super) fn undo(&self, rule: &BTreeMap<String, String>, undo: &ApiRequest) -> String {
        let command = super::undo::command(undo);
        match self.once_back(rule, undo) {
            told if told.is_empty() => command,
            told => format!("{command}\n{told}"),
        }
    }

    fn respelled(&self, key: &str, fields: &[Respelled]) -> String {
        if fields.is_empty() {
            return String::new();
        }
        let each: Vec<String> = fields
            .iter()
            .map(|field| {
                let with = [
                    ("field", field.field.as_str()),
                    ("was", &visible(&field.was)),
                    ("is", &visible(&field.is)),
                ];
                let key = if field.is.is_empty() {
                    "change.left_out"
                } else {
                    "change.respelled"
                };
                self.words.say(key, &with)
            })
            .collect();
        let list = each.join(&self.words.get("count.list"));
        self.words.say(key, &[("list", &list)])
    }
}

/// The comment of `undo.sh`.
pub(super) fn comment(change: &Change) -> Option<String> {
    let told: Vec<String> = once_back(&change.rule, &change.undo)
        .into_iter()
        .map(|field| match field.is.as_str() {
            "" => format!("without its {} {}", field.field, visible(&field.was)),
            is => format!("{} {is} in place of {}", field.field, visible(&field.was)),
        })
        .collect();
    (!told.is_empty()).then(|| {
        format!(
            "# It comes back with {}, as the service takes rules today; every packet is decided as \
             before.",
            told.join(", ")
        )
    })
}
