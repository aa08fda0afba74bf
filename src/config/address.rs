//! Addresses that are secrets in themselves: who knows that of a chat or of a watchman can speak to it as
//! the job does. A schedule is kept in the evidence and in plans, so that an address that stands in it is
//! taken out there.

use super::reader::{Placed, Table};
use crate::model::Secret;
use std::path::PathBuf;
use toml::de::DeTable;

/// Where a watchman is told that a run ended.
#[derive(Clone, Debug)]
pub enum Heartbeat {
    /// `url`
    Url(Secret),
    /// `url_file`, relative to the folder of `sgwarden.toml`: the address is read when there is something
    /// to tell.
    File(PathBuf),
}

/// Reads `[heartbeat]`: `url` or `url_file`.
pub(super) fn heartbeat(table: &Table<'_, '_>) -> Option<Heartbeat> {
    let (url, url_file) = (table.text("url"), file(table));
    if table.has("url") && table.has("url_file") {
        table.wrong("url_file", "stands beside url: name the address once");
        return None;
    }
    if !table.has("url") && !table.has("url_file") {
        table.missing(
            "url",
            "such as \"https://watch.example.com/job\", or url_file, a file with the address",
        );
    }
    match (url, url_file) {
        (Some(url), _) => Some(Heartbeat::Url(Secret::new(url.value))),
        (None, Some(file)) => Some(Heartbeat::File(PathBuf::from(file.value))),
        (None, None) => None,
    }
}

/// Reads `url_file`. An address in its place is refused before anybody shows it as a file's name.
pub(super) fn file(table: &Table<'_, '_>) -> Option<Placed<String>> {
    let file = table.text("url_file")?;
    if file.value.contains("://") {
        table.problem(&file, "names a file with the address, not the address");
        return None;
    }
    Some(file)
}

/// What stands where an address stood.
const NOT_KEPT: &str = "(not kept: a secret)";

/// A schedule's text as evidence and plans keep it, and the keys whose values are not in it. Every line
/// stays in its place. Where the address stands elsewhere too, in a comment, it is taken out as well.
pub fn kept(text: &str) -> (String, Vec<String>) {
    let (parsed, _) = DeTable::parse_recoverable(text);
    let heartbeat = parsed.get_ref().get("heartbeat");
    let url = heartbeat.and_then(|value| value.get_ref().as_table()?.get("url"));
    let written = url.and_then(|url| {
        let (start, end) = (url.span().start, url.span().end);
        let parts = (text.get(..start)?, text.get(start..end)?, text.get(end..)?);
        Some((url.get_ref().as_str()?.trim(), parts))
    });
    let Some((address, (before, raw, after))) = written else {
        return (text.to_owned(), Vec::new());
    };
    let without = |part: &str| match address {
        "" => part.to_owned(),
        address => part.replace(address, NOT_KEPT),
    };
    let quoted = match raw.matches('\n').count() {
        0 => format!("\"{NOT_KEPT}\""),
        lines => format!("\"\"\"{NOT_KEPT}{}\"\"\"", "\n".repeat(lines)),
    };
    let kept = format!("{}{quoted}{}", without(before), without(after));
    (kept, vec!["heartbeat.url".to_owned()])
}

#[cfg(test)]
mod tests {
    use super::kept;

    #[test]
    fn an_address_is_taken_out_however_it_is_written_and_lines_stay() {
        for written in [
            "cron = \"0 2 * * *\"\n[heartbeat]\nurl = \"https://w.example.com/s3cret\" # weekly\n[report]\n",
            "heartbeat.url = 'https://w.example.com/s3cret'\ncron = \"0 2 * * *\"\n",
            "heartbeat = { url = \"https://w.example.com/s3cret\" }\r\n[report]\r\n",
            "[heartbeat]\nurl = \"\"\"\nhttps://w.example.com/s3cret\n\"\"\"\n[report]\n",
            "# once https://w.example.com/s3cret\n[heartbeat]\n\"url\" = \"https://w.example.com/\\u00733cret\"",
        ] {
            let (text, blanked) = kept(written);
            assert_eq!(blanked, ["heartbeat.url"], "{written}");
            assert!(!text.contains("3cret"), "{text}");
            assert_eq!(text.matches('\n').count(), written.matches('\n').count());
            assert_eq!(text.contains("# weekly"), written.contains("# weekly"));
            let table: toml::Table = text.parse().expect("still TOML");
            let url = table["heartbeat"]["url"].as_str().expect("a string");
            assert_eq!(url.trim(), "(not kept: a secret)");
            let without = |text: &str| {
                let mut table: toml::Table = text.parse().expect("TOML");
                table.remove("heartbeat");
                table
            };
            assert_eq!(without(&text), without(written), "nothing else");
        }
        for plain in [
            "",
            "[heartbeat]\nurl_file = \"beat.url\"\n",
            "[[webhook]]\nkind = \"slack\"\nurl_file = \"hook.url\"\n",
        ] {
            assert_eq!(kept(plain), (plain.to_owned(), Vec::new()));
        }
    }
}
