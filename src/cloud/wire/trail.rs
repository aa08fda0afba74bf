//! ActionTrail's LookupEvents. The events are free objects: field names are those of the help page
//! "Management event structure" (read 2026-08), values come as text, numbers, booleans, lists, or JSON
//! inside a string. An event that cannot be read is counted: whoever seeks the only one must know.

use super::object::{Object, items};
use super::{BadAnswer, next_token};
use crate::model::{TrailEvent, TrailIdentity};
use chrono::{DateTime, Utc};
use serde_json::Value;
use serde_json::value::RawValue;
use std::collections::BTreeMap;

/// A page of LookupEvents.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct EventsPage {
    /// In the service's order.
    pub events: Vec<TrailEvent>,
    /// Events without an id, a name or a time.
    pub unreadable: u64,
    /// `None` on the last page; a short or empty page need not be the last.
    pub next_token: Option<String>,
}

/// A page of LookupEvents. Errs where there is no list: an empty history must be said.
pub fn events_page(body: &[u8]) -> Result<EventsPage, BadAnswer> {
    let top = Object::parse(body)?;
    let list = top
        .get("Events")
        .ok_or_else(|| BadAnswer("no Events in the answer".to_owned()))?;
    let mut page = EventsPage {
        events: Vec::new(),
        unreadable: 0,
        next_token: next_token(&top)?,
    };
    for raw in items(list, "Events")? {
        match event(raw) {
            Some(event) => page.events.push(event),
            None => page.unreadable = page.unreadable.saturating_add(1),
        }
    }
    Ok(page)
}

fn event(raw: &RawValue) -> Option<TrailEvent> {
    let object = Object::of(raw, "event").ok()?;
    let text = |key: &str| shown(&object, key);
    let needed = |key: &str| text(key).filter(|text| !text.is_empty());
    let id = needed("eventId")?;
    let mut params = BTreeMap::new();
    for key in ["requestParameterJson", "requestParameters"] {
        if let Some(raw) = object.get(key) {
            // The second, where both are there, has the last word: it is the documented one.
            flatten_top(raw, &mut params);
        }
    }
    let mut answered = BTreeMap::new();
    if let Some(raw) = object.get("responseElements") {
        flatten_top(raw, &mut answered);
    }
    Some(TrailEvent {
        request_id: needed("requestId").unwrap_or_else(|| id.clone()),
        id,
        name: needed("eventName")?,
        service: text("serviceName")?,
        time: time(&needed("eventTime")?)?,
        region: text("acsRegion")?,
        kind: text("eventType")?,
        error_code: text("errorCode")?,
        source: text("sourceIpAddress")?,
        user_agent: text("userAgent")?,
        identity: identity(&object)?,
        params,
        answered,
    })
}

/// A field as text, whatever its type; `None` where its JSON cannot be read.
fn shown(object: &Object<'_>, key: &str) -> Option<String> {
    object.field(key).ok().map(|field| field.shown().to_owned())
}

fn identity(event: &Object<'_>) -> Option<TrailIdentity> {
    let Some(raw) = event.get("userIdentity") else {
        return Some(TrailIdentity::default());
    };
    let object = Object::of(raw, "userIdentity").ok()?;
    Some(TrailIdentity {
        kind: shown(&object, "type")?,
        principal: shown(&object, "principalId")?,
        account: shown(&object, "accountId")?,
        access_key: shown(&object, "accessKeyId")?,
        user: shown(&object, "userName")?,
    })
}

/// `2024-03-05T02:11:10Z`, as all records have it.
fn time(text: &str) -> Option<DateTime<Utc>> {
    DateTime::parse_from_rfc3339(text)
        .ok()
        .map(|time| time.with_timezone(&Utc))
}

/// An object, or the JSON of one inside a string.
fn flatten_top(raw: &RawValue, out: &mut BTreeMap<String, String>) {
    let mut value = serde_json::from_str::<Value>(raw.get()).unwrap_or_default();
    if let Value::String(text) = &value {
        value = serde_json::from_str(text).unwrap_or_default();
    }
    if let Value::Object(map) = value {
        for (key, inner) in map {
            flatten(&key, inner, out);
        }
    }
}

/// Lists and objects become `Name.1.Field`, as the RPC form spells them.
fn flatten(name: &str, value: Value, out: &mut BTreeMap<String, String>) {
    match value {
        Value::Null => {}
        Value::String(text) => {
            let inner = match text.trim_start().as_bytes().first() {
                Some(b'[' | b'{') => serde_json::from_str::<Value>(&text).ok(),
                _ => None,
            };
            match inner {
                Some(inner) => flatten(name, inner, out),
                None => {
                    out.insert(name.to_owned(), text);
                }
            }
        }
        Value::Array(list) => {
            for (at, inner) in list.into_iter().enumerate() {
                flatten(&format!("{name}.{}", at.saturating_add(1)), inner, out);
            }
        }
        Value::Object(map) => {
            for (key, inner) in map {
                flatten(&format!("{name}.{key}"), inner, out);
            }
        }
        Value::Bool(_) | Value::Number(_) => {
            out.insert(name.to_owned(), value.to_string());
        }
    }
}
