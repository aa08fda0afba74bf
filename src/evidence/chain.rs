//! Verifying a stored run: every size and hash, nothing beside, the chain, what the state remembers.

use super::format::{self, Findings, Manifest};
use super::store::read_manifest;
use super::{Error, Store};
use crate::model::{Coverage, PopulationRow, RunId, Sha256, Totals, Verdict};
use sha2::Digest as _;
use std::collections::BTreeSet;
use std::fs::{self, File};
use std::io::Read as _;
use std::path::{Component, Path};

/// What the state knows of a run.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Remembered {
    /// No state is at hand, or the run lies outside its store.
    NotAtHand,
    /// The state is at hand and has never sealed that run.
    Unknown,
    /// The manifest's hash at the time of sealing.
    Manifest(Sha256),
}

/// What was found of one run.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Report {
    /// The folder's name, which is the run's id unless somebody renamed it.
    pub run: String,
    /// Files checked.
    pub files: u64,
    /// Bytes hashed.
    pub bytes: u64,
    /// SHA-256 of the manifest as it lies there.
    pub manifest_sha256: Option<Sha256>,
    /// What is wrong; none: the run is as it was sealed.
    pub problems: Vec<String>,
    /// What could not be checked.
    pub notes: Vec<String>,
}

/// Checks one run's folder. The chain is followed one step back, in the same folder of runs.
///
/// # Errors
/// The folder cannot be read at all. What is wrong with the run is in the report.
pub fn verify(folder: &Path, remembered: &Remembered) -> Result<Report, Error> {
    let name = folder
        .file_name()
        .map(|name| name.to_string_lossy().into_owned());
    let mut report = Report {
        run: name.clone().unwrap_or_default(),
        ..Report::default()
    };
    let path = folder.join(format::MANIFEST);
    let bytes = fs::read(&path).map_err(Error::io("read", &path))?;
    report.manifest_sha256 = Some(format::sha256(&bytes));
    let (sealed, manifest) = match read_manifest(folder) {
        Ok(read) => read,
        Err(why) => {
            report.problems.push(why.to_string());
            return Ok(report);
        }
    };
    check_canonical(&bytes, &manifest, &mut report);
    let real_name = fs::canonicalize(folder)
        .ok()
        .and_then(|path| {
            path.file_name()
                .map(|name| name.to_string_lossy().into_owned())
        })
        .or(name);
    let named = real_name.unwrap_or_default();
    if named != sealed.run.as_str() {
        report.problems.push(format!(
            "the folder is named {named}, its manifest says {}",
            sealed.run
        ));
    }
    // Of two folders that claim one run each is told by its own name.
    report.run = named;
    check_files(folder, &manifest, &mut report)?;
    check_contents(folder, &manifest, &mut report);
    check_previous(folder, &manifest, &mut report);
    match remembered {
        Remembered::NotAtHand => report
            .notes
            .push("the state of the host that sealed it is not at hand".to_owned()),
        Remembered::Unknown => report.problems.push(
            "the state of this host has never sealed this run: it was made or brought here by \
             another hand"
                .to_owned(),
        ),
        Remembered::Manifest(sha256) if *sha256 != sealed.manifest_sha256 => {
            report.problems.push(format!(
                "manifest.json has sha256 {}, the state remembers {sha256}: it was changed after \
                 sealing",
                sealed.manifest_sha256
            ));
        }
        Remembered::Manifest(_) => {}
    }
    Ok(report)
}

fn check_canonical(bytes: &[u8], manifest: &Manifest, report: &mut Report) {
    match format::canonical(format::MANIFEST, manifest) {
        Ok(canonical) if canonical == bytes => {}
        Ok(_) => report.problems.push(
            "manifest.json is not canonical, or has keys this version does not know: it is not the \
             file that was sealed"
                .to_owned(),
        ),
        Err(why) => report.problems.push(why.to_string()),
    }
}

fn check_files(folder: &Path, manifest: &Manifest, report: &mut Report) -> Result<(), Error> {
    for (name, entry) in &manifest.files {
        let plain = Path::new(name)
            .components()
            .all(|part| matches!(part, Component::Normal(_)));
        if !plain || name.is_empty() {
            report
                .problems
                .push(format!("manifest.json lists \"{name}\", outside the run"));
            continue;
        }
        let path = folder.join(name);
        match fs::symlink_metadata(&path) {
            Ok(meta) if meta.is_file() => {}
            Ok(_) => {
                report.problems.push(format!("{name} is not a plain file"));
                continue;
            }
            Err(why) => {
                report
                    .problems
                    .push(format!("{name} cannot be read: {why}"));
                continue;
            }
        }
        let (size, sha256) = hash_file(&path)?;
        report.files = report.files.saturating_add(1);
        report.bytes = report.bytes.saturating_add(size);
        if size != entry.size {
            report.problems.push(format!(
                "{name} has {size} bytes, sealed with {}",
                entry.size
            ));
        }
        if sha256 != entry.sha256 {
            report.problems.push(format!(
                "{name} has sha256 {sha256}, sealed with {}",
                entry.sha256
            ));
        }
    }
    let mut there = BTreeSet::new();
    walk(folder, "", &mut there)?;
    for name in there {
        if name != format::MANIFEST && !manifest.files.contains_key(&name) {
            report
                .problems
                .push(format!("{name} is not listed in the manifest: added later"));
        }
    }
    Ok(())
}

fn walk(folder: &Path, prefix: &str, out: &mut BTreeSet<String>) -> Result<(), Error> {
    for entry in fs::read_dir(folder).map_err(Error::io("list", folder))? {
        let entry = entry.map_err(Error::io("list", folder))?;
        let name = format!("{prefix}{}", entry.file_name().to_string_lossy());
        let kind = entry
            .file_type()
            .map_err(Error::io("read", &entry.path()))?;
        if kind.is_dir() {
            walk(&entry.path(), &format!("{name}/"), out)?;
        } else {
            out.insert(name);
        }
    }
    Ok(())
}

fn hash_file(path: &Path) -> Result<(u64, Sha256), Error> {
    let mut file = File::open(path).map_err(Error::io("read", path))?;
    let mut hash = sha2::Sha256::new();
    let mut size = 0u64;
    let mut buffer = vec![0u8; 64 << 10];
    loop {
        let n = file.read(&mut buffer).map_err(Error::io("read", path))?;
        if n == 0 {
            break;
        }
        hash.update(buffer.get(..n).unwrap_or_default());
        size = size.saturating_add(u64::try_from(n).unwrap_or(u64::MAX));
    }
    Ok((size, Sha256::new(format::hex(&hash.finalize()))))
}

/// The files must agree with each other, not only with their hashes.
fn check_contents(folder: &Path, manifest: &Manifest, report: &mut Report) {
    for name in [
        format::COVERAGE,
        format::FINDINGS,
        format::CHANGES,
        format::POPULATION,
    ] {
        if !manifest.files.contains_key(name) {
            report
                .problems
                .push(format!("{name} is missing: every sealed run has one"));
        }
    }
    let read = |name: &str| fs::read(folder.join(name)).ok();
    let mut beside = Vec::new();
    match read(format::FINDINGS).map(|bytes| serde_json::from_slice::<Findings>(&bytes)) {
        Some(Ok(findings))
            if findings.run != manifest.header.run
                || findings.complete != manifest.header.complete =>
        {
            report
                .problems
                .push("findings.json and manifest.json are not of one run".to_owned());
        }
        // Of interfaces, which the population does not have.
        Some(Ok(findings)) => beside.extend(
            findings
                .findings
                .iter()
                .filter(|finding| finding.interface.is_some())
                .map(|finding| finding.verdict),
        ),
        Some(Err(why)) => report.problems.push(format!("findings.json: {why}")),
        None => {}
    }
    if let Some(Err(why)) =
        read(format::COVERAGE).map(|bytes| serde_json::from_slice::<Coverage>(&bytes))
    {
        report.problems.push(format!("coverage.json: {why}"));
    }
    if let Err(why) = check_population(folder, manifest, &beside, report) {
        report.problems.push(format!("population.csv: {why}"));
    }
}

fn check_population(
    folder: &Path,
    manifest: &Manifest,
    beside: &[Verdict],
    report: &mut Report,
) -> Result<(), csv::Error> {
    let path = folder.join(format::POPULATION);
    if !path.is_file() {
        return Ok(());
    }
    let mut totals = Totals::default();
    for verdict in beside {
        totals.count(*verdict);
    }
    let mut loose = 0u64;
    for row in csv::Reader::from_path(&path)?.deserialize::<PopulationRow>() {
        let row = row?;
        let tied = manifest
            .files
            .get(&row.raw_file)
            .is_some_and(|entry| entry.sha256.as_str() == row.raw_sha256);
        if !tied {
            loose = loose.saturating_add(1);
        }
        match Verdict::parse(&row.verdict) {
            Some(verdict) => totals.count(verdict),
            None => report
                .problems
                .push(format!("population.csv: verdict \"{}\"", row.verdict)),
        }
    }
    if loose > 0 {
        report.problems.push(format!(
            "population.csv: {loose} rows are tied to no raw answers"
        ));
    }
    if totals != manifest.header.totals {
        report.problems.push(
            "population.csv and the findings of interfaces do not add up to the manifest's counts"
                .to_owned(),
        );
    }
    Ok(())
}

fn check_previous(folder: &Path, manifest: &Manifest, report: &mut Report) {
    let Some(previous) = &manifest.previous else {
        return;
    };
    let Some(runs) = folder.parent() else { return };
    let before = runs.join(previous.run.as_str());
    if !before.join(format::MANIFEST).is_file() {
        let what = format!("the run before, {}, is not in the same store", previous.run);
        if has_other_runs(runs, &manifest.header.run) {
            report
                .problems
                .push(format!("{what}: removed, or the chain was cut"));
        } else {
            report.notes.push(format!("{what}: the chain ends here"));
        }
        return;
    }
    match fs::read(before.join(format::MANIFEST)) {
        Ok(bytes) => {
            let sha256 = format::sha256(&bytes);
            if sha256 != previous.manifest_sha256 {
                report.problems.push(format!(
                    "the run before, {}, has manifest sha256 {sha256}, this one was chained to {}",
                    previous.run, previous.manifest_sha256
                ));
            }
        }
        Err(why) => report
            .problems
            .push(format!("the run before, {}: {why}", previous.run)),
    }
}

fn has_other_runs(runs: &Path, this: &RunId) -> bool {
    fs::read_dir(runs).is_ok_and(|entries| {
        entries.flatten().any(|entry| {
            entry.file_name().to_string_lossy() != this.as_str()
                && entry.path().join(format::MANIFEST).is_file()
        })
    })
}

/// Runs of one schedule that name the same run before: two chains where there should be one.
pub fn forks(store: &Store) -> Result<Vec<String>, Error> {
    let mut seen: std::collections::BTreeMap<String, String> = std::collections::BTreeMap::new();
    let mut out = Vec::new();
    for listed in store.list()? {
        let super::store::Listed::Sealed(sealed, manifest) = listed else {
            continue;
        };
        let before = match &manifest.previous {
            Some(previous) => previous.run.as_str().to_owned(),
            None => format!("the beginning of {}", manifest.header.schedule),
        };
        let name = sealed.folder_name();
        if let Some(other) = seen.insert(before.clone(), name.clone()) {
            out.push(format!("{other} and {name} both follow {before}"));
        }
    }
    Ok(out)
}
