//! JSON objects, borrowed from the answer, in which no key may come twice.

use super::BadAnswer;
use crate::model::Field;
use serde::de::{self, Deserialize, Deserializer, MapAccess, Visitor};
use serde_json::value::RawValue;
use std::borrow::Cow;
use std::fmt;

/// Keys of one object that are looked at before it counts as no answer of this service; far above
/// the 30 of a rule, and it keeps the search for duplicates cheap whatever is sent.
const MAX_KEYS: usize = 500;

/// A string, borrowed where it has no escapes.
pub(super) struct Text<'a>(pub(super) Cow<'a, str>);

impl<'de> Deserialize<'de> for Text<'de> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct TextVisitor;
        impl<'de> Visitor<'de> for TextVisitor {
            type Value = Text<'de>;
            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a string")
            }
            fn visit_borrowed_str<E: de::Error>(self, text: &'de str) -> Result<Self::Value, E> {
                Ok(Text(Cow::Borrowed(text)))
            }
            fn visit_str<E: de::Error>(self, text: &str) -> Result<Self::Value, E> {
                Ok(Text(Cow::Owned(text.to_owned())))
            }
        }
        deserializer.deserialize_str(TextVisitor)
    }
}

/// Keys and values of an object, in order.
pub(crate) struct Object<'a>(Vec<(Cow<'a, str>, &'a RawValue)>);

impl<'de> Deserialize<'de> for Object<'de> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct ObjectVisitor;
        impl<'de> Visitor<'de> for ObjectVisitor {
            type Value = Object<'de>;
            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("an object")
            }
            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
                let mut pairs: Vec<(Cow<'de, str>, &'de RawValue)> = Vec::with_capacity(16);
                while let Some(Text(key)) = map.next_key()? {
                    if pairs.iter().any(|(seen, _)| *seen == key) {
                        return Err(duplicate(&key));
                    }
                    if pairs.len() == MAX_KEYS {
                        return Err(de::Error::custom("an object with too many keys"));
                    }
                    pairs.push((key, map.next_value()?));
                }
                Ok(Object(pairs))
            }
        }
        deserializer.deserialize_map(ObjectVisitor)
    }
}

/// The error of a key that comes twice.
pub(super) fn duplicate<E: de::Error>(key: &str) -> E {
    de::Error::custom(format!("the key `{key}` comes twice in one object"))
}

impl<'a> Object<'a> {
    /// The answer's top level.
    pub(crate) fn parse(body: &'a [u8]) -> Result<Self, BadAnswer> {
        // Checked once as a whole: `from_slice` would check each string by itself.
        let text = std::str::from_utf8(body)
            .map_err(|error| BadAnswer(format!("the answer is not UTF-8: {error}")))?;
        serde_json::from_str(text).map_err(|error| BadAnswer::new("the answer", &error))
    }

    /// An object inside an answer; `what` is its name in messages.
    pub(super) fn of(raw: &'a RawValue, what: &str) -> Result<Self, BadAnswer> {
        serde_json::from_str(raw.get()).map_err(|error| BadAnswer::new(what, &error))
    }

    /// The value of a key; `None` where it is absent or null.
    pub(crate) fn get(&self, key: &str) -> Option<&'a RawValue> {
        self.0
            .iter()
            .find(|(name, value)| name == key && value.get() != "null")
            .map(|(_, value)| *value)
    }

    /// The field of that name.
    pub(crate) fn field(&self, key: &str) -> Result<Field, BadAnswer> {
        match self.get(key) {
            None => Ok(Field::Unset),
            Some(raw) => field(raw).map_err(|error| BadAnswer::new(key, &error)),
        }
    }

    /// Text that may be unset; any other type of JSON errs.
    pub(super) fn text(&self, key: &str) -> Result<String, BadAnswer> {
        match self.field(key)? {
            Field::Unset => Ok(String::new()),
            Field::Text(text) => Ok(text.into()),
            Field::Alien(_) => Err(BadAnswer(format!("{key} is not text"))),
        }
    }

    /// Text that must be set.
    pub(super) fn required(&self, key: &str) -> Result<String, BadAnswer> {
        let text = self.text(key)?;
        if text.is_empty() {
            return Err(BadAnswer(format!("no {key} in the answer")));
        }
        Ok(text)
    }

    /// `outer.inner[]`; `None` where `outer`, or an `inner` that is there, is null or `outer` is
    /// absent. `{}` is an empty list.
    pub(super) fn wrapped_list(
        &self,
        outer: &str,
        inner: &str,
    ) -> Result<Option<&'a RawValue>, BadAnswer> {
        let Some(raw) = self.get(outer) else {
            return Ok(None);
        };
        let object = Object::of(raw, outer)?;
        if object.0.is_empty() {
            return Ok(Some(empty_list()));
        }
        Ok(object.get(inner))
    }
}

fn empty_list() -> &'static RawValue {
    // Leaks nothing: the value is borrowed from the literal.
    serde_json::from_str("[]").expect("a literal that is JSON")
}

/// A list's items, unread.
pub(super) fn items<'a>(raw: &'a RawValue, what: &str) -> Result<Vec<&'a RawValue>, BadAnswer> {
    serde_json::from_str(raw.get()).map_err(|error| BadAnswer::new(what, &error))
}

/// One field: a string's text, a number's literal, unset, or the JSON of anything else.
pub(super) fn field(raw: &RawValue) -> Result<Field, serde_json::Error> {
    let json = raw.get();
    Ok(match json.as_bytes().first() {
        Some(b'"') => {
            let inner = json.get(1..json.len().saturating_sub(1));
            match inner {
                Some("") => Field::Unset,
                // The parser has checked the string; without an escape its text is itself.
                Some(plain) if !plain.contains('\\') => Field::Text(plain.into()),
                Some(_) | None => {
                    let Text(text) = serde_json::from_str(json)?;
                    Field::from(text.as_ref())
                }
            }
        }
        Some(b'-' | b'0'..=b'9') => Field::Text(json.into()),
        Some(b'n') => Field::Unset,
        Some(_) | None => Field::Alien(json.into()),
    })
}
