//! Percent-encoding of RFC 3986, as both signature versions want it.

use std::collections::BTreeMap;

const HEX: &[u8; 16] = b"0123456789ABCDEF";

/// Appends `text` percent-encoded: letters, digits and `-_.~` stay, every other byte becomes `%XX`.
pub fn push_encoded(out: &mut String, text: &str) {
    for byte in text.bytes() {
        if byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_' | b'.' | b'~') {
            out.push(char::from(byte));
        } else {
            out.push('%');
            out.push(char::from(HEX[usize::from(byte >> 4)]));
            out.push(char::from(HEX[usize::from(byte & 15)]));
        }
    }
}

/// `text` percent-encoded.
pub fn encoded(text: &str) -> String {
    let mut out = String::with_capacity(text.len() + 16);
    push_encoded(&mut out, text);
    out
}

/// `name=value` joined by `&`, both encoded, sorted by name's bytes (the map's own order).
pub fn canonical_query(params: &BTreeMap<String, String>) -> String {
    let mut out = String::new();
    for (name, value) in params {
        if !out.is_empty() {
            out.push('&');
        }
        push_encoded(&mut out, name);
        out.push('=');
        push_encoded(&mut out, value);
    }
    out
}

/// Lower-case hexadecimal digits of `bytes`.
pub fn hex(bytes: &[u8]) -> String {
    let mut out = String::with_capacity(bytes.len() * 2);
    for byte in bytes {
        out.push(char::from(HEX[usize::from(byte >> 4)].to_ascii_lowercase()));
        out.push(char::from(HEX[usize::from(byte & 15)].to_ascii_lowercase()));
    }
    out
}
