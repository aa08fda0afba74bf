//! Bytes in and out: parameters, refusals, JSON and XML text. Nothing here knows an action.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use serde_json::{Value, json};

/// Parameters of a call by name; a name that comes twice keeps its first value.
pub(super) type Params = BTreeMap<String, String>;

/// RFC 3986 percent-encoding: all but letters, digits, `-`, `_`, `.`, `~`.
pub(super) fn encode(text: &str, out: &mut String) {
    for byte in text.bytes() {
        match byte {
            b'A'..=b'Z' | b'a'..=b'z' | b'0'..=b'9' | b'-' | b'_' | b'.' | b'~' => {
                out.push(char::from(byte));
            }
            _ => {
                let _ = write!(out, "%{byte:02X}");
            }
        }
    }
}

/// A query or form text as pairs; `+` is a space in both. `None` where it is not percent-encoded UTF-8.
pub(super) fn decode_pairs(text: &str) -> Option<Vec<(String, String)>> {
    text.split('&')
        .filter(|part| !part.is_empty())
        .map(|part| {
            let (name, value) = part.split_once('=').unwrap_or((part, ""));
            Some((decode(name)?, decode(value)?))
        })
        .collect()
}

fn decode(text: &str) -> Option<String> {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.bytes();
    while let Some(byte) = rest.next() {
        bytes.push(match byte {
            b'+' => b' ',
            b'%' => {
                let high = char::from(rest.next()?).to_digit(16)?;
                let low = char::from(rest.next()?).to_digit(16)?;
                u8::try_from(high * 16 + low).ok()?
            }
            other => other,
        });
    }
    String::from_utf8(bytes).ok()
}

/// A refusal as the service words it.
#[derive(Debug, Clone)]
pub(super) struct Failure {
    pub(super) status: u16,
    pub(super) code: String,
    pub(super) message: String,
    pub(super) denied: Option<Value>,
}

impl Failure {
    pub(super) fn new(status: u16, code: &str, message: impl Into<String>) -> Failure {
        Failure {
            status,
            code: code.into(),
            message: message.into(),
            denied: None,
        }
    }

    pub(super) fn bad(code: &str, message: impl Into<String>) -> Failure {
        Failure::new(400, code, message)
    }

    pub(super) fn missing(name: &str) -> Failure {
        Failure::bad(
            &format!("MissingParameter.{name}"),
            format!(
                "The input parameter {name} that is mandatory for processing this request is not supplied."
            ),
        )
    }

    pub(super) fn json(&self, request_id: &str, host: &str, product: &str) -> String {
        let mut body = json!({
            "RequestId": request_id,
            "HostId": host,
            "Code": self.code,
            "Message": self.message,
            "Recommend": format!(
                "https://api.aliyun.com/troubleshoot?q={}&product={product}&requestId={request_id}",
                self.code
            ),
        });
        if let (Some(denied), Some(map)) = (&self.denied, body.as_object_mut()) {
            map.insert("AccessDeniedDetail".into(), denied.clone());
        }
        body.to_string()
    }

    pub(super) fn xml(&self, request_id: &str, host: &str) -> String {
        let mut out = String::from("<?xml version=\"1.0\" encoding=\"UTF-8\"?><Error>");
        for (name, text) in [
            ("RequestId", request_id),
            ("HostId", host),
            ("Code", &self.code),
            ("Message", &self.message),
        ] {
            element(&mut out, name, &Value::from(text));
        }
        out.push_str("</Error>");
        out
    }
}

/// A JSON answer as the XML that V1 gives without `Format=json`.
pub(super) fn xml_answer(action: &str, json: &str) -> String {
    let value: Value = serde_json::from_str(json).unwrap_or_default();
    let mut out = String::from("<?xml version=\"1.0\" encoding=\"UTF-8\"?>");
    element(&mut out, &format!("{action}Response"), &value);
    out
}

fn element(out: &mut String, name: &str, value: &Value) {
    if let Value::Array(list) = value {
        for item in list {
            element(out, name, item);
        }
        return;
    }
    let _ = write!(out, "<{name}>");
    match value {
        Value::Object(map) => {
            for (key, inner) in map {
                element(out, key, inner);
            }
        }
        Value::String(text) => {
            for c in text.chars() {
                match c {
                    '&' => out.push_str("&amp;"),
                    '<' => out.push_str("&lt;"),
                    '>' => out.push_str("&gt;"),
                    other => out.push(other),
                }
            }
        }
        Value::Null => {}
        other => {
            let _ = write!(out, "{other}");
        }
    }
    let _ = write!(out, "</{name}>");
}

/// Writes one JSON object field by field, without a tree in between: a page of a big world is a
/// few hundred kilobytes, and there are a hundred thousand of them.
pub(super) struct Obj<'a> {
    out: &'a mut String,
    first: bool,
}

impl<'a> Obj<'a> {
    pub(super) fn open(out: &'a mut String) -> Obj<'a> {
        out.push('{');
        Obj { out, first: true }
    }

    pub(super) fn key(&mut self, name: &str) -> &mut String {
        if !self.first {
            self.out.push(',');
        }
        self.first = false;
        self.out.push('"');
        self.out.push_str(name);
        self.out.push_str("\":");
        self.out
    }

    pub(super) fn text(&mut self, name: &str, value: &str) -> &mut Self {
        let out = self.key(name);
        json_text(out, value);
        self
    }

    pub(super) fn number(&mut self, name: &str, value: impl Into<i64>) -> &mut Self {
        let value: i64 = value.into();
        let out = self.key(name);
        let _ = write!(out, "{value}");
        self
    }

    pub(super) fn boolean(&mut self, name: &str, value: bool) -> &mut Self {
        self.key(name)
            .push_str(if value { "true" } else { "false" });
        self
    }

    pub(super) fn close(&mut self) {
        self.out.push('}');
    }
}

/// `{"RequestId":…}`, all that a change answers.
pub(super) fn only_request_id(request_id: &str) -> String {
    let mut out = String::new();
    Obj::open(&mut out).text("RequestId", request_id).close();
    out
}

/// A JSON array of whatever `each` writes.
pub(super) fn array<T>(
    out: &mut String,
    items: impl IntoIterator<Item = T>,
    mut each: impl FnMut(&mut String, T),
) {
    out.push('[');
    for (i, item) in items.into_iter().enumerate() {
        if i > 0 {
            out.push(',');
        }
        each(out, item);
    }
    out.push(']');
}

/// A JSON string with its quotes.
pub(super) fn json_text(out: &mut String, text: &str) {
    out.push('"');
    let plain = |b: u8| b >= 0x20 && b != b'"' && b != b'\\';
    if text.bytes().all(plain) {
        out.push_str(text);
    } else {
        for c in text.chars() {
            match c {
                '"' => out.push_str("\\\""),
                '\\' => out.push_str("\\\\"),
                '\n' => out.push_str("\\n"),
                c if u32::from(c) < 0x20 => {
                    let _ = write!(out, "\\u{:04x}", u32::from(c));
                }
                c => out.push(c),
            }
        }
    }
    out.push('"');
}
