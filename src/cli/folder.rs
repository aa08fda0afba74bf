//! A folder of schedules, read as a whole: what is wrong with one says nothing about the others.

use super::exit::Failure;
use super::setup;
use crate::config::{Problems, Program, Schedule};
use std::fmt::Write as _;
use std::path::{Path, PathBuf};
use std::time::SystemTime;

/// Where schedules lie unless one says otherwise.
pub(super) const FOLDER: &str = "schedules";

/// One file of it.
pub(super) struct Listed {
    /// Its stem, the schedule's name.
    pub(super) name: String,
    /// The file.
    pub(super) file: PathBuf,
    /// What it says, or all that is wrong with it.
    pub(super) schedule: Result<Schedule, Problems>,
}

/// Every schedule of the folder, by name. `program` where it could be read.
pub(super) fn read(folder: &Path, program: Option<&Program>) -> Result<Vec<Listed>, Failure> {
    let base = program.map_or_else(|| PathBuf::from("."), |program| program.base.clone());
    let listed = files(folder)?.into_iter().map(|file| Listed {
        name: name(&file),
        schedule: setup::schedule(&file, &base, program).map_err(Problems),
        file,
    });
    Ok(listed.collect())
}

/// A schedule's name.
pub(super) fn name(file: &Path) -> String {
    file.file_stem()
        .map(|stem| stem.to_string_lossy().into_owned())
        .unwrap_or_default()
}

/// The folder's `*.toml`, in order; not the hidden ones, which editors leave.
fn files(folder: &Path) -> Result<Vec<PathBuf>, Failure> {
    let unread = |why: std::io::Error| {
        Failure::usage(format!(
            "the folder of schedules {} cannot be read: {why}",
            folder.display()
        ))
    };
    let mut files = Vec::new();
    for entry in std::fs::read_dir(folder).map_err(unread)? {
        let path = entry.map_err(unread)?.path();
        let hidden = path
            .file_name()
            .is_some_and(|name| name.to_string_lossy().starts_with('.'));
        // A dangling link is listed too, and found broken.
        if !hidden && path.extension().is_some_and(|end| end == "toml") && !path.is_dir() {
            files.push(path);
        }
    }
    files.sort();
    Ok(files)
}

/// Differs when the folder does: names, sizes, times of change.
pub(super) fn stamp(folder: &Path) -> Result<String, String> {
    let mut stamp = String::new();
    for file in files(folder).map_err(|failure| failure.message)? {
        let (size, changed) = match std::fs::metadata(&file) {
            Ok(meta) => (meta.len(), meta.modified().ok()),
            Err(_) => (0, None),
        };
        let since = changed.and_then(|time| time.duration_since(SystemTime::UNIX_EPOCH).ok());
        let nanos = since.unwrap_or_default().as_nanos();
        // Writing to a string cannot fail.
        let _ = writeln!(stamp, "{} {size} {nanos}", file.display());
    }
    Ok(stamp)
}
