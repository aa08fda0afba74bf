//! Renderers and letters: the run's record in, bytes out. No clock, no I/O; the same record gives
//! the same bytes.
//!
//! | file | makes |
//! | --- | --- |
//! | `view` | what several of them say |
//! | `about` | what a finding is about, by its check |
//! | `attached` | the same about interfaces, unused groups and a second source |
//! | `waivers` | waivers and ages in words |
//! | `closed` | what a run closed, and what became of rules |
//! | `controls` | relaxations, clauses and their status, checks' titles |
//! | `csv` | `findings.csv`, `changes.csv`, `controls.csv` |
//! | `narrowed` | how a narrowed rule is told |
//! | `restored` | until when what was put back is held |
//! | `respelled` | what a rule says otherwise when it is back |
//! | `xlsx` | `report.xlsx`; its styles and some sheets in `xlsx/` |
//! | `html` | `report.html` |
//! | `json` | `report.json` |
//! | `letter` | the mail's subject, text and HTML |
//! | `opened` | who opened a rule, in words |
//! | `ours` | what the record keeps in English, in the report's language |
//! | `part` | one recipient's part of a record |
//! | `tally` | how many changes were made, and why a run is INCOMPLETE |
//! | `undo` | `undo.sh` |
//! | `lang` | every sentence, by language |
//!
//! To add a report format: a file that implements [`Renderer`], a line in [`Format`], a golden in
//! `tests/golden/`.

pub mod about;
mod attached;
mod closed;
mod controls;
mod csv;
mod html;
mod json;
pub mod lang;
pub mod letter;
pub mod narrowed;
mod opened;
mod ours;
pub mod part;
mod respelled;
pub mod restored;
mod tally;
pub mod undo;
pub mod view;
mod waivers;
mod xlsx;

use crate::model::{Artifact, RunRecord};

/// From a record to files.
pub trait Renderer {
    /// Renders them.
    ///
    /// # Errors
    /// A bug: a template or a library refused what we gave it.
    fn render(&self, record: &RunRecord) -> Result<Vec<Artifact>, RenderError>;
}

/// A report that could not be made.
#[derive(Debug, thiserror::Error)]
#[error("cannot make {name}: {why}; this is a bug of sgwarden")]
pub struct RenderError {
    /// Which.
    pub name: &'static str,
    /// Why.
    pub why: String,
}

impl RenderError {
    fn of(name: &'static str) -> impl Fn(&dyn std::fmt::Display) -> Self {
        move |why| Self {
            name,
            why: format!("{why:#}"),
        }
    }
}

/// Templates as ours are written: tags on lines of their own leave no empty lines, HTML is escaped.
fn environment<'t>() -> Result<minijinja::Environment<'t>, minijinja::Error> {
    let mut environment = minijinja::Environment::new();
    let syntax = minijinja::syntax::SyntaxConfig::builder()
        .trim_blocks(true)
        .lstrip_blocks(true)
        .build()?;
    environment.set_syntax(syntax);
    environment.set_auto_escape_callback(|name| {
        if name.ends_with(".html") {
            minijinja::AutoEscape::Html
        } else {
            minijinja::AutoEscape::None
        }
    });
    Ok(environment)
}

/// The formats there are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[expect(missing_docs, reason = "the words are the meaning")]
pub enum Format {
    Csv,
    Xlsx,
    Html,
    Json,
}

impl Format {
    /// By name.
    pub fn parse(name: &str) -> Option<Self> {
        match name {
            "csv" => Some(Self::Csv),
            "xlsx" => Some(Self::Xlsx),
            "html" => Some(Self::Html),
            "json" => Some(Self::Json),
            _ => None,
        }
    }

    fn renderer(self) -> &'static dyn Renderer {
        match self {
            Self::Csv => &csv::Csv,
            Self::Xlsx => &xlsx::Xlsx,
            Self::Html => &html::Html,
            Self::Json => &json::Json,
        }
    }
}

/// Renders a record in those formats, in that order.
///
/// # Errors
/// A bug.
pub fn render(record: &RunRecord, formats: &[Format]) -> Result<Vec<Artifact>, RenderError> {
    let mut out = Vec::new();
    for format in formats {
        out.extend(format.renderer().render(record)?);
    }
    Ok(out)
}
