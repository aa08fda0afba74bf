//! What of a reason in words lasts from one run to the next. Request ids and times are others each time,
//! also where the reason is the same.

/// A reason without its request ids and times.
pub fn lasting(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    let mut rest = text;
    while let Some((before, after)) = rest.split_once("request id ") {
        let end = after
            .find(|c: char| !(c.is_ascii_alphanumeric() || c == '-' || c == '_'))
            .unwrap_or(after.len());
        out.push_str(&plain(before));
        out.push_str("request id ...");
        rest = after.get(end..).unwrap_or_default();
    }
    out.push_str(&plain(rest));
    out
}

/// Without ids such as `473469C7-AA6F-4DC5-B3DB-A3DC0DE3003A` and times such as `2026-11-24T02:00:00Z`,
/// wherever they stand.
fn plain(text: &str) -> String {
    let is_part = |c: char| c.is_ascii_alphanumeric() || "-:.+".contains(c);
    let mut out = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(start) = rest.find(is_part) {
        let (before, from) = rest.split_at(start);
        let end = from.find(|c| !is_part(c)).unwrap_or(from.len());
        let (word, after) = from.split_at(end);
        let bare = word.trim_end_matches([':', '.', '-', '+']);
        out.push_str(before);
        if is_request_id(bare) || chrono::DateTime::parse_from_rfc3339(bare).is_ok() {
            out.push_str("...");
            out.push_str(word.get(bare.len()..).unwrap_or_default());
        } else {
            out.push_str(word);
        }
        rest = after;
    }
    out.push_str(rest);
    out
}

/// Eight, four, four, four and twelve hexadecimal digits.
fn is_request_id(word: &str) -> bool {
    let lengths = word.split('-').map(|part| {
        let is_hex = part.bytes().all(|b| b.is_ascii_hexdigit());
        if is_hex { part.len() } else { 0 }
    });
    lengths.eq([8, 4, 4, 4, 12])
}
