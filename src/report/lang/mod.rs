//! Every sentence of the reports, by key and language. To add a language: `TAG.toml` here, a line
//! in [`text`], a variant of `model::Language`; a test names the keys it lacks.

use crate::model::Language;
use std::collections::BTreeMap;

/// The sentences of one language; what it lacks is said in English.
#[derive(Clone, Debug)]
pub struct Words {
    own: BTreeMap<String, String>,
    english: BTreeMap<String, String>,
}

fn text(language: Language) -> &'static str {
    match language {
        Language::En => include_str!("en.toml"),
        Language::ZhCn => include_str!("zh-CN.toml"),
        Language::ZhTw => include_str!("zh-TW.toml"),
    }
}

/// The dotted keys of a language's file with their sentences.
pub fn keys(language: Language) -> BTreeMap<String, String> {
    let mut out = BTreeMap::new();
    if let Ok(table) = text(language).parse::<toml::Table>() {
        flatten("", &table, &mut out);
    }
    out
}

fn flatten(prefix: &str, table: &toml::Table, out: &mut BTreeMap<String, String>) {
    for (key, value) in table {
        let path = if prefix.is_empty() {
            key.clone()
        } else {
            format!("{prefix}.{key}")
        };
        match value {
            toml::Value::String(text) => {
                out.insert(path, text.clone());
            }
            toml::Value::Table(inner) => flatten(&path, inner, out),
            _ => {}
        }
    }
}

impl Words {
    /// The sentences of that language.
    pub fn new(language: Language) -> Self {
        Self {
            own: keys(language),
            english: keys(Language::En),
        }
    }

    /// A sentence, with `{name}` filled in. A key that nobody has is shown as itself.
    pub fn say(&self, key: &str, with: &[(&str, &str)]) -> String {
        // A language without a form for the number 1 says it as for any other.
        let other = || {
            let stem = key.strip_suffix(".one")?;
            self.own.get(&format!("{stem}.other"))
        };
        let sentence = self
            .own
            .get(key)
            .or_else(other)
            .or_else(|| self.english.get(key));
        let mut rest = sentence.map_or(key, String::as_str);
        let mut out = String::with_capacity(rest.len());
        // One pass: what is filled in is never filled in again, it may be an attacker's text.
        while let Some((before, after)) = rest.split_once('{') {
            out.push_str(before);
            match after.split_once('}') {
                Some((name, tail)) => {
                    match with.iter().find(|(known, _)| *known == name) {
                        Some((_, value)) => out.push_str(value),
                        None => {
                            out.push('{');
                            out.push_str(name);
                            out.push('}');
                        }
                    }
                    rest = tail;
                }
                None => {
                    out.push('{');
                    rest = after;
                }
            }
        }
        out.push_str(rest);
        out
    }

    /// A sentence without anything to fill in.
    pub fn get(&self, key: &str) -> String {
        self.say(key, &[])
    }

    /// The English sentences by key.
    pub fn english(&self) -> &BTreeMap<String, String> {
        &self.english
    }

    /// Every sentence, for templates.
    pub fn all(&self) -> BTreeMap<String, String> {
        let mut all = self.english.clone();
        all.extend(self.own.clone());
        all.into_iter()
            .map(|(key, text)| (key.replace('.', "_"), text))
            .collect()
    }
}
