//! What the record keeps in English, in the report's language: why a run is INCOMPLETE, why something is
//! held, could not be judged or went wrong; its times, which the record keeps in UTC, in the schedule's zone. Each sentence of ours stands under `[ours]` of every language;
//! the English one is what it is known by. The service's own words stay as they are, and so does what is
//! not found there.
//!
//! To add a sentence: a key under `[ours]` in every language, in English as the record has it.

use super::view::{View, visible};

/// How deep reasons lie within reasons.
const DEEPEST: usize = 4;

impl View<'_> {
    /// A text of the record for people.
    pub fn ours(&self, text: &str) -> String {
        self.said_anew(text, DEEPEST)
    }

    fn said_anew(&self, text: &str, deep: usize) -> String {
        if let Some(said) = self.sentence_of_ours(text, deep) {
            return said;
        }
        let parts: Vec<(&str, Option<String>)> = text
            .split("; ")
            .map(|part| (part, self.sentence_of_ours(part, deep)))
            .collect();
        if parts.iter().all(|(_, said)| said.is_none()) {
            return visible(text);
        }
        let each = parts
            .into_iter()
            .map(|(part, said)| said.unwrap_or_else(|| visible(part)));
        each.collect::<Vec<_>>()
            .join(&self.words.get("list.clauses"))
    }

    /// The sentence whose English form this is: of several the one with most words of its own.
    fn sentence_of_ours(&self, text: &str, deep: usize) -> Option<String> {
        let known = self.words.english().range("ours.".to_owned()..);
        let (key, found, _) = known
            .take_while(|(key, _)| key.starts_with("ours."))
            .filter_map(|(key, english)| {
                let found = read(english, text)?;
                let filled: usize = found.iter().map(|(_, value)| value.len()).sum();
                Some((key, found, filled))
            })
            .min_by_key(|(_, _, filled)| *filled)?;
        let shown: Vec<(&str, String)> = found
            .into_iter()
            .map(|(name, value)| {
                let is_reason = name == "why" && deep > 0;
                let value = if is_reason {
                    self.said_anew(value, deep.saturating_sub(1))
                } else if name == "time" {
                    self.local_with_zone(value)
                } else {
                    visible(value)
                };
                (name, value)
            })
            .collect();
        let with: Vec<(&str, &str)> = shown.iter().map(|(n, v)| (*n, v.as_str())).collect();
        Some(self.words.say(key, &with))
    }
}

/// What a text has in the places of a sentence; `None`: it is another sentence.
fn read<'s>(sentence: &'s str, text: &'s str) -> Option<Vec<(&'s str, &'s str)>> {
    let mut out = Vec::new();
    let (first, mut rest) = sentence.split_once('{').unwrap_or((sentence, ""));
    let mut text = text.strip_prefix(first)?;
    while let Some((name, tail)) = rest.split_once('}') {
        let (literal, more) = tail.split_once('{').unwrap_or((tail, ""));
        let (value, after) = if literal.is_empty() {
            (text, "")
        } else {
            text.split_once(literal)?
        };
        if value.is_empty() {
            return None;
        }
        out.push((name, value));
        text = after;
        rest = more;
    }
    text.is_empty().then_some(out)
}
