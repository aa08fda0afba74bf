//! TOML with places. Values are taken by key; what was not taken is unknown, and said so.

use chrono::NaiveDate;
use std::cell::RefCell;
use std::collections::BTreeSet;
use std::fmt;
use std::ops::Range;
use toml::Spanned;
use toml::de::{DeTable, DeValue};

/// One mistake, with the place it stands.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Problem {
    /// The file, as the user named it.
    pub file: String,
    /// Line, from 1; 0 where there is none.
    pub line: usize,
    /// Dotted key; empty for the file as a whole.
    pub key: String,
    /// What is wrong and what would be right.
    pub what: String,
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.file)?;
        if self.line > 0 {
            write!(f, ":{}", self.line)?;
        }
        if !self.key.is_empty() {
            write!(f, ": {}", self.key)?;
        }
        write!(f, ": {}", self.what)
    }
}

/// All mistakes of all files.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Problems(pub Vec<Problem>);

impl fmt::Display for Problems {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (at, problem) in self.0.iter().enumerate() {
            if at > 0 {
                writeln!(f)?;
            }
            write!(f, "{problem}")?;
        }
        Ok(())
    }
}

impl std::error::Error for Problems {}

/// A file being read.
#[derive(Debug)]
pub struct Source<'t> {
    file: String,
    text: &'t str,
    problems: RefCell<Vec<Problem>>,
}

impl<'t> Source<'t> {
    /// A file's text and the name to call it by.
    pub fn new(file: impl Into<String>, text: &'t str) -> Self {
        Self {
            file: file.into(),
            text,
            problems: RefCell::new(Vec::new()),
        }
    }

    /// Parses it; syntax errors become problems, what could be read is read.
    pub fn parse(&self) -> Spanned<DeTable<'t>> {
        let (table, errors) = DeTable::parse_recoverable(self.text);
        for error in errors {
            self.problem(error.span().unwrap_or(0..0), "", error.message().to_owned());
        }
        table
    }

    /// The line of a place, from 1.
    pub fn line(&self, at: usize) -> usize {
        self.text
            .get(..at)
            .map_or(0, |before| before.matches('\n').count())
            .saturating_add(1)
    }

    /// Notes a problem at a place.
    pub fn problem(&self, span: Range<usize>, key: &str, what: String) {
        self.problems.borrow_mut().push(Problem {
            file: self.file.clone(),
            line: self.line(span.start),
            key: key.to_owned(),
            what,
        });
    }

    /// Whether there are none so far.
    pub fn is_clean(&self) -> bool {
        self.problems.borrow().is_empty()
    }

    /// The problems, by line.
    pub fn into_problems(self) -> Vec<Problem> {
        let mut problems = self.problems.into_inner();
        problems.sort();
        problems
    }
}

/// The line of a dotted key such as `webhook[1].url_file`, for what is found wrong after the file was read. Where
/// the key is not there: that of the innermost table around it; 0 where there is none.
pub fn line_of(text: &str, key: &str) -> usize {
    let source = Source::new("", text);
    let (parsed, _) = DeTable::parse_recoverable(text);
    let mut table = parsed.get_ref();
    let mut line = 0;
    for part in key.split('.') {
        let (name, at) = match part.strip_suffix(']').and_then(|part| part.split_once('[')) {
            Some((name, at)) => (name, at.parse::<usize>().ok()),
            None => (part, None),
        };
        let Some((written, value)) = table.get_key_value(name) else {
            break;
        };
        let item = at.and_then(|at| value.get_ref().as_array()?.get(at));
        line = match item {
            Some(item) => source.line(item.span().start),
            None => source.line(written.span().start),
        };
        match item.unwrap_or(value).get_ref().as_table() {
            Some(inner) => table = inner,
            None => break,
        }
    }
    line
}

/// A table whose keys are taken one by one.
#[derive(Debug)]
pub struct Table<'s, 't> {
    source: &'s Source<'t>,
    prefix: String,
    span: Range<usize>,
    table: &'s DeTable<'t>,
    known: RefCell<BTreeSet<String>>,
}

/// A value and its place.
#[derive(Clone, Debug)]
pub struct Placed<T> {
    /// The value.
    pub value: T,
    /// Where it stands.
    pub span: Range<usize>,
    /// Its dotted key.
    pub key: String,
}

impl<'s, 't> Table<'s, 't> {
    /// The file's top.
    pub fn top(source: &'s Source<'t>, parsed: &'s Spanned<DeTable<'t>>) -> Self {
        Self::new(source, String::new(), parsed.span(), parsed.get_ref())
    }

    fn new(
        source: &'s Source<'t>,
        prefix: String,
        span: Range<usize>,
        table: &'s DeTable<'t>,
    ) -> Self {
        Self {
            source,
            prefix,
            span,
            table,
            known: RefCell::default(),
        }
    }

    fn path(&self, key: &str) -> String {
        if self.prefix.is_empty() {
            key.to_owned()
        } else {
            format!("{}.{key}", self.prefix)
        }
    }

    /// Where the table stands.
    pub fn span(&self) -> Range<usize> {
        self.span.clone()
    }

    fn take(&self, key: &str) -> Option<&'s Spanned<DeValue<'t>>> {
        self.known.borrow_mut().insert(key.to_owned());
        self.table.get(key)
    }

    fn wrong_type(&self, key: &str, value: &Spanned<DeValue<'t>>, want: &str) {
        let what = format!("must be {want}, not {}", value.get_ref().type_str());
        self.source.problem(value.span(), &self.path(key), what);
    }

    /// Notes a problem with a value of this table.
    pub fn problem<T>(&self, placed: &Placed<T>, what: impl Into<String>) {
        self.source
            .problem(placed.span.clone(), &placed.key, what.into());
    }

    /// Notes a problem with a key that is there and must not be.
    pub fn wrong(&self, key: &str, what: &str) {
        if let Some(value) = self.take(key) {
            self.source
                .problem(value.span(), &self.path(key), what.to_owned());
        }
    }

    /// Notes that a key must be there, with something in it.
    pub fn missing(&self, key: &str, what: &str) {
        let (span, how) = match self.take(key) {
            Some(value) if is_empty(value.get_ref()) => (value.span(), "empty"),
            _ => (self.span.clone(), "missing"),
        };
        let what = format!("is {how}: {what}");
        self.source.problem(span, &self.path(key), what);
    }

    /// Notes a list or a table that was written with nothing in it. Of one from which nothing could be
    /// taken each mistake was noted already: this would be a second, and a wrong one.
    pub fn never_empty(&self, key: &str, what: &str) {
        if self
            .take(key)
            .is_some_and(|value| is_empty(value.get_ref()))
        {
            self.missing(key, what);
        }
    }

    /// A string.
    pub fn text(&self, key: &str) -> Option<Placed<String>> {
        let value = self.take(key)?;
        match value.get_ref().as_str() {
            Some(text) => Some(self.placed(key, value, text.to_owned())),
            None => {
                self.wrong_type(key, value, "a string");
                None
            }
        }
    }

    fn placed<T>(&self, key: &str, value: &Spanned<DeValue<'t>>, inner: T) -> Placed<T> {
        Placed {
            value: inner,
            span: value.span(),
            key: self.path(key),
        }
    }

    /// A whole number from 0.
    pub fn count(&self, key: &str) -> Option<Placed<u64>> {
        let value = self.take(key)?;
        let number = value
            .get_ref()
            .as_integer()
            .and_then(|integer| u64::from_str_radix(integer.as_str(), integer.radix()).ok());
        match number {
            Some(number) => Some(self.placed(key, value, number)),
            None => {
                self.wrong_type(key, value, "a whole number from 0");
                None
            }
        }
    }

    /// A day: `2027-03-31`, as TOML's own date or as a string.
    pub fn day(&self, key: &str) -> Option<Placed<NaiveDate>> {
        let value = self.take(key)?;
        let written = match value.get_ref() {
            DeValue::String(text) => Some(text.to_string()),
            DeValue::Datetime(at) if at.time.is_none() && at.offset.is_none() => {
                Some(at.to_string())
            }
            _ => None,
        };
        let Some(written) = written else {
            self.wrong_type(key, value, "a date such as \"2027-03-31\"");
            return None;
        };
        let day = (written.len() == "2027-03-31".len())
            .then(|| NaiveDate::parse_from_str(&written, "%Y-%m-%d").ok())
            .flatten();
        if day.is_none() {
            let what = format!("\"{written}\" is no date such as \"2027-03-31\"");
            self.source.problem(value.span(), &self.path(key), what);
        }
        day.map(|day| self.placed(key, value, day))
    }

    /// Notes a key as one that may be here, where it is not.
    pub fn knows(&self, key: &str) {
        self.known.borrow_mut().insert(key.to_owned());
    }

    /// `true` or `false`.
    pub fn flag(&self, key: &str) -> Option<Placed<bool>> {
        let value = self.take(key)?;
        match value.get_ref().as_bool() {
            Some(flag) => Some(self.placed(key, value, flag)),
            None => {
                self.wrong_type(key, value, "true or false");
                None
            }
        }
    }

    /// A list of strings.
    pub fn texts(&self, key: &str) -> Option<Vec<Placed<String>>> {
        let value = self.take(key)?;
        let Some(array) = value.get_ref().as_array() else {
            self.wrong_type(key, value, "a list of strings");
            return None;
        };
        let mut out = Vec::new();
        for item in array.iter() {
            match item.get_ref().as_str() {
                Some(text) => out.push(self.placed(key, item, text.to_owned())),
                None => self.wrong_type(key, item, "a list of strings"),
            }
        }
        Some(out)
    }

    /// Whether a key is a string rather than a list, for keys that may be either.
    pub fn is_text(&self, key: &str) -> bool {
        self.table
            .get(key)
            .is_some_and(|value| value.get_ref().is_str())
    }

    /// Whether a key is there.
    pub fn has(&self, key: &str) -> bool {
        self.table.contains_key(key)
    }

    /// A table.
    pub fn table(&self, key: &str) -> Option<Self> {
        let value = self.take(key)?;
        match value.get_ref().as_table() {
            Some(table) => Some(Self::new(self.source, self.path(key), value.span(), table)),
            None => {
                self.wrong_type(key, value, "a table");
                None
            }
        }
    }

    /// A list of tables.
    pub fn tables(&self, key: &str) -> Vec<Self> {
        let Some(value) = self.take(key) else {
            return Vec::new();
        };
        let Some(array) = value.get_ref().as_array() else {
            self.wrong_type(key, value, "a list of tables");
            return Vec::new();
        };
        let mut out = Vec::new();
        for (at, item) in array.iter().enumerate() {
            match item.get_ref().as_table() {
                Some(table) => {
                    let prefix = format!("{}[{at}]", self.path(key));
                    out.push(Self::new(self.source, prefix, item.span(), table));
                }
                None => self.wrong_type(key, item, "a list of tables"),
            }
        }
        out
    }

    /// Every key with a string, for tables whose keys are the user's own.
    pub fn entries(&self) -> Vec<(String, Placed<String>)> {
        let mut out = Vec::new();
        for key in self.table.keys() {
            let key: &str = key.get_ref();
            if let Some(value) = self.text(key) {
                out.push((key.to_owned(), value));
            }
        }
        out
    }

    /// Refuses keys of the contract that this version does not honour yet, by name.
    pub fn not_built(&self, keys: &[&str]) {
        for key in keys {
            if let Some(value) = self.take(key) {
                let what = "is not built yet in this version; refused, so that nothing is ignored \
                            in silence. Remove it";
                self.source
                    .problem(value.span(), &self.path(key), what.to_owned());
            }
        }
    }

    /// Whether there is a key that nobody took so far.
    pub fn has_unknown(&self) -> bool {
        let known = self.known.borrow();
        self.table.keys().any(|key| {
            let name: &str = key.get_ref();
            !known.contains(name)
        })
    }

    /// Says which keys nobody took.
    pub fn finish(self) {
        let known = self.known.borrow();
        for key in self.table.keys() {
            let name: &str = key.get_ref();
            if known.contains(name) {
                continue;
            }
            let nearest = known
                .iter()
                .map(|candidate| (strsim::jaro_winkler(candidate, name), candidate))
                .filter(|(likeness, _)| *likeness > 0.7)
                .max_by(|a, b| a.0.total_cmp(&b.0));
            let what = match nearest {
                Some((_, candidate)) => format!("unknown key; did you mean \"{candidate}\"?"),
                None => format!(
                    "unknown key; known here: {}",
                    known
                        .iter()
                        .map(String::as_str)
                        .collect::<Vec<_>>()
                        .join(", ")
                ),
            };
            self.source.problem(key.span(), &self.path(name), what);
        }
    }
}

fn is_empty(value: &DeValue<'_>) -> bool {
    match value {
        DeValue::Array(list) => list.is_empty(),
        DeValue::Table(table) => table.is_empty(),
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::line_of;

    #[test]
    fn a_keys_line_is_found_again() {
        let text = "\n[mail]\nurl = \"u\"\n\n[[webhook]]\nkind = \"slack\"\n[[webhook]]\n  url_file = \"f\"\n[a]\nb.c = { d = 1 }\n";
        for (key, line) in [
            ("mail", 2),
            ("mail.url", 3),
            ("mail.from", 2),
            ("webhook[0].kind", 6),
            ("webhook[0].url_file", 5),
            ("webhook[1]", 7),
            ("webhook[1].url_file", 8),
            ("a.b.c.d", 10),
            ("nothing", 0),
            ("nothing[3].at", 0),
        ] {
            assert_eq!(line_of(text, key), line, "{key}");
        }
    }
}
