//! Raw answers and population rows, written as they pass: nothing of a compliant group stays in
//! memory.

use super::format::{self, FileEntry};
use super::{Draft, Error};
use crate::model::{PopulationRow, RawAnswer, Sha256, Totals, Verdict};
use base64::Engine as _;
use serde::Serialize;
use sha2::Digest as _;
use std::collections::{BTreeMap, BTreeSet};
use std::fs::{self, File};
use std::io::{BufWriter, Write};
use std::path::{Path, PathBuf};

/// Uncompressed bytes after which a raw file is closed and the next begun: an auditor who samples
/// one group should not have to unpack the estate. Sixteen MiB unpack in well under a second.
const RAW_FILE_BYTES: u64 = 16 << 20;
/// zstd level: 1 costs half of the default 3, and answers that are so alike pack nearly as well.
const LEVEL: i32 = 1;

#[derive(Serialize)]
struct Line<'a> {
    time: String,
    account: &'a str,
    region: &'a str,
    action: &'a str,
    params: &'a BTreeMap<String, String>,
    status: u16,
    request_id: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    body: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    body_base64: Option<String>,
}

/// Counts and hashes what passes.
struct Hashing<W> {
    inner: W,
    hash: sha2::Sha256,
    size: u64,
}

impl<W: Write> Write for Hashing<W> {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        let n = self.inner.write(bytes)?;
        self.hash.update(bytes.get(..n).unwrap_or_default());
        self.size = self
            .size
            .saturating_add(u64::try_from(n).unwrap_or(u64::MAX));
        Ok(n)
    }

    fn flush(&mut self) -> std::io::Result<()> {
        self.inner.flush()
    }
}

type Encoder = zstd::stream::write::Encoder<'static, Hashing<BufWriter<File>>>;

struct RawFile {
    name: String,
    path: PathBuf,
    encoder: Encoder,
    plain: u64,
}

/// What belongs to one account's region.
#[derive(Default)]
struct Region {
    raw: Option<RawFile>,
    rows: Option<(PathBuf, csv::Writer<File>)>,
}

/// Writes raw answers and rows of all regions that are being read.
pub struct Spool {
    folder: PathBuf,
    raw_dir: &'static str,
    /// Number of the last raw file: a region that comes again gets another.
    number: u32,
    regions: BTreeMap<(String, String), Region>,
    done: BTreeMap<String, FileEntry>,
    row_files: BTreeMap<(String, String), PathBuf>,
}

impl std::fmt::Debug for Spool {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Spool")
            .field("folder", &self.folder)
            .finish_non_exhaustive()
    }
}

/// A safe file name out of ids: they come from answers.
fn file_part(text: &str) -> String {
    let safe: String = text
        .chars()
        .map(|c| {
            if c.is_ascii_alphanumeric() || c == '-' {
                c
            } else {
                '_'
            }
        })
        .take(64)
        .collect();
    if safe.is_empty() {
        "global".to_owned()
    } else {
        safe
    }
}

impl Spool {
    /// Spools into a draft's folder.
    pub fn new(draft: &Draft) -> Self {
        Self::into_dir(draft, format::RAW_BEFORE)
    }

    /// Spools into another folder of raw answers.
    pub fn into_dir(draft: &Draft, raw_dir: &'static str) -> Self {
        Self {
            folder: draft.folder().to_owned(),
            raw_dir,
            number: 0,
            regions: BTreeMap::new(),
            done: BTreeMap::new(),
            row_files: BTreeMap::new(),
        }
    }

    /// Keeps answers that belong together in one file, and says in which.
    ///
    /// # Errors
    /// The store cannot be written.
    pub fn answers(&mut self, answers: &[RawAnswer]) -> Result<Option<String>, Error> {
        let Some(first) = answers.first() else {
            return Ok(None);
        };
        let key = (first.account.as_str().to_owned(), first.region.clone());
        let region = self.regions.entry(key.clone()).or_default();
        if region
            .raw
            .as_ref()
            .is_some_and(|raw| raw.plain >= RAW_FILE_BYTES)
            && let Some(full) = region.raw.take()
        {
            let (name, entry) = close(full)?;
            self.done.insert(name, entry);
        }
        let raw = match &mut region.raw {
            Some(raw) => raw,
            slot => {
                self.number = self.number.saturating_add(1);
                slot.insert(open(&self.folder, self.raw_dir, &key, self.number)?)
            }
        };
        for answer in answers {
            write_line(raw, answer)?;
        }
        Ok(Some(raw.name.clone()))
    }

    /// Notes one group and check. `raw_sha256` is filled when all files are closed.
    ///
    /// # Errors
    /// The store cannot be written.
    pub fn row(&mut self, row: &PopulationRow) -> Result<(), Error> {
        let key = (row.account.clone(), row.region.clone());
        let region = self.regions.entry(key.clone()).or_default();
        let (path, writer) = match &mut region.rows {
            Some(rows) => rows,
            slot => {
                let name = format!("rows-{}-{}.tmp", file_part(&key.0), file_part(&key.1));
                let path = self.folder.join(name);
                let file = File::create_new(&path).map_err(Error::io("create", &path))?;
                slot.insert((
                    path,
                    csv::WriterBuilder::new()
                        .has_headers(false)
                        .from_writer(file),
                ))
            }
        };
        writer.serialize(row).map_err(|why| csv_error(path, why))
    }

    /// Closes what belongs to one account's region.
    ///
    /// # Errors
    /// The store cannot be written.
    pub fn region_done(&mut self, account: &str, region: &str) -> Result<(), Error> {
        let key = (account.to_owned(), region.to_owned());
        let Some(done) = self.regions.remove(&key) else {
            return Ok(());
        };
        if let Some(raw) = done.raw {
            let (name, entry) = close(raw)?;
            self.done.insert(name, entry);
        }
        if let Some((path, mut writer)) = done.rows {
            writer.flush().map_err(Error::io("write", &path))?;
            self.row_files.insert(key, path);
        }
        Ok(())
    }

    /// Closes the raw files and notes them in the draft, where there is no population.
    ///
    /// # Errors
    /// The store cannot be written.
    pub fn finish_raw(mut self, draft: &mut Draft) -> Result<(), Error> {
        let open: Vec<(String, String)> = self.regions.keys().cloned().collect();
        for (account, region) in open {
            self.region_done(&account, &region)?;
        }
        for (name, entry) in &self.done {
            draft.note(name, entry.clone());
        }
        Ok(())
    }

    /// Closes everything, notes the raw files in the draft and writes `population.csv` by account
    /// and region. `doubted` are groups whose verdict was withdrawn after it was written. Each row is
    /// told to `count` with its last verdict. Returns the counts over all rows.
    ///
    /// # Errors
    /// The store cannot be written.
    pub fn finish(
        mut self,
        draft: &mut Draft,
        doubted: &BTreeSet<(String, String, String)>,
        mut count: impl FnMut(&PopulationRow, Verdict),
    ) -> Result<Totals, Error> {
        let open: Vec<(String, String)> = self.regions.keys().cloned().collect();
        for (account, region) in open {
            self.region_done(&account, &region)?;
        }
        for (name, entry) in &self.done {
            draft.note(name, entry.clone());
        }
        let path = self.folder.join(format::POPULATION);
        let file = File::create_new(&path).map_err(Error::io("create", &path))?;
        let hashing = Hashing {
            inner: BufWriter::new(file),
            hash: sha2::Sha256::new(),
            size: 0,
        };
        let mut out = csv::WriterBuilder::new()
            .has_headers(false)
            .from_writer(hashing);
        out.write_record(POPULATION_HEADER)
            .map_err(|why| csv_error(&path, why))?;
        let mut totals = Totals::default();
        for rows in self.row_files.values() {
            let mut count = |row: &PopulationRow, verdict| {
                totals.count(verdict);
                count(row, verdict);
            };
            self.copy_rows(rows, &path, &mut out, doubted, &mut count)?;
            fs::remove_file(rows).map_err(Error::io("remove", rows))?;
        }
        out.flush().map_err(Error::io("write", &path))?;
        let hashing = out
            .into_inner()
            .map_err(|why| Error::io("write", &path)(std::io::Error::other(why.to_string())))?;
        let entry = finish_file(&path, hashing)?;
        draft.note(format::POPULATION, entry);
        Ok(totals)
    }

    fn copy_rows<W: Write>(
        &self,
        rows: &Path,
        path: &Path,
        out: &mut csv::Writer<W>,
        doubted: &BTreeSet<(String, String, String)>,
        count: &mut impl FnMut(&PopulationRow, Verdict),
    ) -> Result<(), Error> {
        let mut reader = csv::ReaderBuilder::new()
            .has_headers(false)
            .from_path(rows)
            .map_err(|why| csv_error(rows, why))?;
        for row in reader.deserialize::<PopulationRow>() {
            let mut row = row.map_err(|why| csv_error(rows, why))?;
            let key = (
                row.account.clone(),
                row.region.clone(),
                row.group_id.clone(),
            );
            if doubted.contains(&key) {
                Verdict::Undetermined.as_str().clone_into(&mut row.verdict);
            }
            if let Some(entry) = self.done.get(&row.raw_file) {
                entry.sha256.as_str().clone_into(&mut row.raw_sha256);
            }
            let verdict = Verdict::parse(&row.verdict)
                .ok_or_else(|| Error::malformed(rows, format!("verdict \"{}\"", row.verdict)))?;
            count(&row, verdict);
            row.group_name = guard_formula(&row.group_name);
            out.serialize(&row).map_err(|why| csv_error(path, why))?;
        }
        Ok(())
    }
}

const POPULATION_HEADER: [&str; 10] = [
    "account",
    "region",
    "group_id",
    "group_name",
    "check",
    "verdict",
    "rule_count",
    "rules_read",
    "raw_file",
    "raw_sha256",
];

/// A group's name is an attacker's text: a spreadsheet must not run it.
fn guard_formula(text: &str) -> String {
    let risky = text.trim_start_matches([' ', '\u{3000}']).starts_with([
        '=', '+', '-', '@', '\t', '\r', '\n', '\u{ff1d}', '\u{ff0b}', '\u{ff0d}', '\u{ff20}',
    ]);
    if risky {
        format!("'{text}")
    } else {
        text.to_owned()
    }
}

fn csv_error(path: &Path, why: csv::Error) -> Error {
    match why.into_kind() {
        csv::ErrorKind::Io(source) => Error::io("write", path)(source),
        other => Error::malformed(path, format!("{other:?}")),
    }
}

fn open(
    folder: &Path,
    raw_dir: &str,
    (account, region): &(String, String),
    number: u32,
) -> Result<RawFile, Error> {
    let name = format!(
        "{raw_dir}/{}_{}-{number:04}.jsonl.zst",
        file_part(account),
        file_part(region)
    );
    let path = folder.join(&name);
    let file = File::create_new(&path).map_err(Error::io("create", &path))?;
    let hashing = Hashing {
        inner: BufWriter::new(file),
        hash: sha2::Sha256::new(),
        size: 0,
    };
    let mut encoder = Encoder::new(hashing, LEVEL).map_err(Error::io("compress", &path))?;
    encoder
        .include_checksum(true)
        .map_err(Error::io("compress", &path))?;
    Ok(RawFile {
        name,
        path,
        encoder,
        plain: 0,
    })
}

fn write_line(raw: &mut RawFile, answer: &RawAnswer) -> Result<(), Error> {
    let text = std::str::from_utf8(&answer.body).ok();
    let line = Line {
        time: answer
            .time
            .to_rfc3339_opts(chrono::SecondsFormat::Millis, true),
        account: answer.account.as_str(),
        region: &answer.region,
        action: &answer.action,
        params: &answer.params,
        status: answer.status,
        request_id: &answer.request_id,
        body: text,
        body_base64: text
            .is_none()
            .then(|| base64::engine::general_purpose::STANDARD.encode(&answer.body)),
    };
    // A body in a JSON string grows by its quotes: about a quarter.
    let mut bytes = Vec::with_capacity(answer.body.len().saturating_mul(5) / 4 + 1024);
    serde_json::to_writer(&mut bytes, &line).map_err(|why| Error::Encode {
        what: raw.name.clone(),
        why: why.to_string(),
    })?;
    bytes.push(b'\n');
    raw.plain = raw
        .plain
        .saturating_add(u64::try_from(bytes.len()).unwrap_or(u64::MAX));
    raw.encoder
        .write_all(&bytes)
        .map_err(Error::io("write", &raw.path))
}

fn close(raw: RawFile) -> Result<(String, FileEntry), Error> {
    let hashing = raw
        .encoder
        .finish()
        .map_err(Error::io("write", &raw.path))?;
    Ok((raw.name, finish_file(&raw.path, hashing)?))
}

fn finish_file(path: &Path, mut hashing: Hashing<BufWriter<File>>) -> Result<FileEntry, Error> {
    hashing.flush().map_err(Error::io("write", path))?;
    hashing
        .inner
        .get_ref()
        .sync_all()
        .map_err(Error::io("sync", path))?;
    let sha256 = Sha256::new(format::hex(&hashing.hash.finalize()));
    Ok(FileEntry {
        size: hashing.size,
        sha256,
    })
}
