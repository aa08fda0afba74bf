//! `report`: a sealed run rendered again, from its own record.

use super::exit::{Exit, Failure};
use super::{Global, setup, show};
use crate::config::schedule::FORMATS;
use crate::evidence::store::read_record;
use crate::report::{self as renderers, Format};
use clap::Args;
use std::path::PathBuf;

/// Arguments of `report`.
#[derive(Debug, Args)]
pub(super) struct Report {
    /// Run id, or path of its folder
    #[arg(value_name = "RUN")]
    run: String,
    /// csv, xlsx, html, json
    #[arg(
        long,
        value_delimiter = ',',
        default_value = "csv,xlsx,html",
        value_name = "LIST"
    )]
    format: Vec<String>,
    /// Folder for the reports
    #[arg(long, default_value = ".", value_name = "DIR")]
    out: PathBuf,
}

impl Report {
    pub(super) fn run(self, global: &Global) -> Result<Exit, Failure> {
        if let Some(odd) = self
            .format
            .iter()
            .find(|format| !FORMATS.contains(&format.as_str()))
        {
            return Err(Failure::usage(format!(
                "--format \"{odd}\" must be of csv, xlsx, html, json"
            )));
        }
        let formats: Vec<Format> = self
            .format
            .iter()
            .filter_map(|name| Format::parse(name))
            .collect();
        let program = setup::program(global)?;
        // The copy that a bucket's run is read from lives as long as its store.
        let store = setup::store(&program)?;
        let folder = store.find_whole(&self.run)?;
        let checked = setup::as_sealed(&program, &store, &folder)?;
        if !checked.problems.is_empty() {
            return Err(Failure {
                exit: Exit::Difference,
                message: format!(
                    "{} is not as it was sealed, so no report is made of it: {}",
                    checked.run,
                    checked.problems.join("; ")
                ),
            });
        }
        let (record, _) = read_record(&folder)?;
        let artifacts = renderers::render(&record, &formats)
            .map_err(|why| Failure::chain(Exit::NotStarted, &why))?;
        let mut paths = Vec::new();
        let failed = |path: &std::path::Path, why: std::io::Error| {
            Failure::start(format!("cannot write {}: {why}", path.display()))
        };
        std::fs::create_dir_all(&self.out).map_err(|why| failed(&self.out, why))?;
        for artifact in artifacts {
            let path = self.out.join(&artifact.name);
            std::fs::write(&path, &artifact.bytes).map_err(|why| failed(&path, why))?;
            paths.push(path);
        }
        show::paths(global, &paths);
        Ok(Exit::Done)
    }
}
