//! What every answer says of itself: request id, code, message; JSON, XML or nothing of the kind.

use super::wire::Object;

/// The envelope of an answer.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Envelope {
    /// Whether the body is a JSON object without duplicate keys at its top.
    pub(super) is_object: bool,
    /// The request id, or empty.
    pub(super) request_id: String,
    /// The error's code, or empty.
    pub(super) code: String,
    /// The error's message, or empty.
    pub(super) message: String,
}

/// Reads the envelope. Lower-case names are what some gateways send (the SDKs read both).
pub(super) fn envelope(body: &[u8]) -> Envelope {
    let first = body.iter().find(|byte| !byte.is_ascii_whitespace());
    match first {
        Some(b'{') => {
            let Ok(object) = Object::parse(body) else {
                return Envelope::default();
            };
            let either = |upper: &str, lower: &str| {
                for key in [upper, lower] {
                    if let Ok(field) = object.field(key)
                        && let Some(text) = field.text()
                    {
                        return text.to_owned();
                    }
                }
                String::new()
            };
            Envelope {
                is_object: true,
                request_id: either("RequestId", "requestId"),
                code: either("Code", "code"),
                message: either("Message", "message"),
            }
        }
        Some(b'<') => {
            let Ok(text) = std::str::from_utf8(body) else {
                return Envelope::default();
            };
            let Some(error) = element(text, "Error") else {
                return Envelope::default();
            };
            let child = |name: &str| match element(error, name) {
                Some(text) => unescaped(text),
                None => String::new(),
            };
            Envelope {
                is_object: false,
                request_id: child("RequestId"),
                code: child("Code"),
                message: child("Message"),
            }
        }
        Some(_) | None => Envelope::default(),
    }
}

/// The inside of the first element of that name, where it has no attributes: as the service writes it.
fn element<'a>(text: &'a str, name: &str) -> Option<&'a str> {
    let (_, after) = text.split_once(&format!("<{name}>"))?;
    let (inside, _) = after.split_once(&format!("</{name}>"))?;
    Some(inside)
}

fn unescaped(text: &str) -> String {
    let mut out = text.to_owned();
    for (escape, plain) in [
        ("&#10;", "\n"),
        ("&#xA;", "\n"),
        ("&lt;", "<"),
        ("&gt;", ">"),
        ("&quot;", "\""),
        ("&apos;", "'"),
        ("&amp;", "&"),
    ] {
        out = out.replace(escape, plain);
    }
    out
}

/// The first characters of a body that nobody understands, for a message.
pub(super) fn beginning(body: &[u8]) -> String {
    let text = String::from_utf8_lossy(&body[..body.len().min(400)]);
    let mut shown: String = text
        .chars()
        .map(|c| if c.is_control() { ' ' } else { c })
        .take(120)
        .collect();
    if shown.trim().is_empty() {
        shown = "an empty body".to_owned();
    }
    shown
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn envelopes() {
        let json = envelope(br#"{"code":"Throttling","message":"slow","requestId":"r"}"#);
        assert_eq!(json.code, "Throttling");
        assert_eq!(json.request_id, "r");
        let xml = envelope(
            b"<?xml version=\"1.0\"?><Error><RequestId>r</RequestId><Code>A.B</Code><Message>a &amp;lt; b</Message></Error>",
        );
        assert_eq!(xml.code, "A.B");
        assert_eq!(xml.message, "a &lt; b");
        assert_eq!(
            envelope(b"<html><body>502</body></html>"),
            Envelope::default()
        );
        assert_eq!(envelope(b""), Envelope::default());
        assert_eq!(envelope(br#"{"Code":"a","Code":"b"}"#), Envelope::default());
        assert_eq!(beginning(b""), "an empty body");
    }
}
