//! A letter taken apart, as a mail program would.

use base64::Engine as _;
use std::io::Read as _;

/// Every leaf of a letter: its file's name (empty for the letter's own text) and what it says; of a
/// workbook, all its sheets' strings.
pub(crate) fn parts(data: &[u8]) -> Vec<(String, String)> {
    let mut out = Vec::new();
    walk(&String::from_utf8_lossy(data), &mut out);
    out
}

/// The plain text of a letter that was taken apart.
pub(crate) fn plain(parts: &[(String, String)]) -> String {
    parts
        .first()
        .map(|(_, text)| text.clone())
        .unwrap_or_default()
}

/// A workbook's strings, all sheets together.
pub(crate) fn workbook(bytes: &[u8]) -> String {
    let mut zip = zip::ZipArchive::new(std::io::Cursor::new(bytes)).expect("a zip");
    let mut text = String::new();
    let mut strings = zip.by_name("xl/sharedStrings.xml").expect("strings");
    strings.read_to_string(&mut text).expect("text");
    text
}

fn walk(entity: &str, out: &mut Vec<(String, String)>) {
    let (head, body) = entity.split_once("\r\n\r\n").expect("a header and a body");
    let head = head.replace("\r\n\t", " ").replace("\r\n ", " ");
    if let Some(boundary) = after(&head, "boundary=\"") {
        let line = format!("--{boundary}");
        for inner in body.split(&line).skip(1) {
            if !inner.starts_with("--") {
                walk(inner.trim_start_matches("\r\n"), out);
            }
        }
        return;
    }
    let name = after(&head, "filename=\"").unwrap_or_default();
    let bytes = match after(&format!("{head}\r\n"), "Content-Transfer-Encoding: ") {
        Some(how) if how.starts_with("base64") => {
            let text: String = body.split_whitespace().collect();
            base64::engine::general_purpose::STANDARD
                .decode(text)
                .expect("base64")
        }
        Some(how) if how.starts_with("quoted-printable") => unquoted(body),
        _ => body.as_bytes().to_vec(),
    };
    let text = if name.ends_with(".xlsx") {
        workbook(&bytes)
    } else {
        String::from_utf8_lossy(&bytes).into_owned()
    };
    out.push((name, text));
}

/// What follows a mark, up to a quote or the line's end.
fn after(text: &str, mark: &str) -> Option<String> {
    let (_, rest) = text.split_once(mark)?;
    rest.split(['"', '\r', '\n']).next().map(str::to_owned)
}

fn unquoted(text: &str) -> Vec<u8> {
    let mut out = Vec::new();
    let joined = text.replace("=\r\n", "");
    let mut rest = joined.bytes();
    while let Some(byte) = rest.next() {
        if byte != b'=' {
            out.push(byte);
            continue;
        }
        let digits: Vec<u8> = rest.by_ref().take(2).collect();
        let digits = String::from_utf8_lossy(&digits).into_owned();
        out.push(u8::from_str_radix(&digits, 16).expect("two hex digits"));
    }
    out
}
