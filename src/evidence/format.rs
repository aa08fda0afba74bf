//! The form of a stored run: one file for writer and reader.

use super::Error;
use crate::model::{
    Change, Confirmation, Finding, Held, IdleRule, Proposal, RunHeader, RunId, Sha256, Trend,
    WaiverUse,
};
use serde::{Deserialize, Serialize};
use sha2::Digest as _;
use std::collections::BTreeMap;

/// The file that makes a folder a sealed run.
pub const MANIFEST: &str = "manifest.json";
/// What was read.
pub const COVERAGE: &str = "coverage.json";
/// What was found.
pub const FINDINGS: &str = "findings.json";
/// What was changed.
pub const CHANGES: &str = "changes.json";
/// Every group and check.
pub const POPULATION: &str = "population.csv";
/// Raw answers from before any change.
pub const RAW_BEFORE: &str = "raw/before";
/// Raw answers of the changes and from after them.
pub const RAW_AFTER: &str = "raw/after";
/// Plain command lines that put everything back.
pub const UNDO: &str = "undo.sh";

/// Schema of the manifest.
pub const MANIFEST_SCHEMA: &str = "sgwarden/manifest/1";
/// Schema of the findings.
pub const FINDINGS_SCHEMA: &str = "sgwarden/findings/1";
/// Schema of the changes.
pub const CHANGES_SCHEMA: &str = "sgwarden/changes/1";

/// Size and hash of a file.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct FileEntry {
    /// Bytes.
    pub size: u64,
    /// Of the file as stored.
    pub sha256: Sha256,
}

/// The run before this one, of the same schedule.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Previous {
    /// Its id.
    pub run: RunId,
    /// SHA-256 of its `manifest.json`.
    pub manifest_sha256: Sha256,
}

/// A text that decided what the run did.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct PolicyText {
    /// File name, or the built-in's name.
    pub name: String,
    /// In full, or with the values of `blanked` taken out.
    pub text: String,
    /// Of the text as it stands here.
    pub sha256: Sha256,
    /// Keys whose values are secrets and do not stand in the text.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub blanked: Vec<String>,
    /// Of the text with them, where there are any.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub original_sha256: Option<Sha256>,
}

impl PolicyText {
    /// With its hash.
    pub fn new(name: impl Into<String>, text: impl Into<String>) -> Self {
        let text = text.into();
        Self {
            name: name.into(),
            sha256: sha256(text.as_bytes()),
            text,
            blanked: Vec::new(),
            original_sha256: None,
        }
    }

    /// Of a text that is kept without some values.
    pub fn without(
        name: impl Into<String>,
        original: &str,
        kept: impl Into<String>,
        blanked: Vec<String>,
    ) -> Self {
        let hash = (!blanked.is_empty()).then(|| sha256(original.as_bytes()));
        Self {
            blanked,
            original_sha256: hash,
            ..Self::new(name, kept)
        }
    }

    /// Of the text that decided: two runs by which the same text decided have the same, whether it was kept
    /// whole or not.
    pub fn decided_sha256(&self) -> &Sha256 {
        self.original_sha256.as_ref().unwrap_or(&self.sha256)
    }
}

/// `manifest.json`
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Manifest {
    /// [`MANIFEST_SCHEMA`]
    pub schema: String,
    /// The run.
    #[serde(flatten)]
    pub header: RunHeader,
    /// Schedule, packs: in full.
    pub policy: Vec<PolicyText>,
    /// The run before, or null.
    pub previous: Option<Previous>,
    /// Every other file, by its path from the run's folder.
    pub files: BTreeMap<String, FileEntry>,
}

/// `findings.json`
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Findings {
    /// [`FINDINGS_SCHEMA`]
    pub schema: String,
    /// The run.
    pub run: RunId,
    /// Whether everything in scope was read and judged.
    pub complete: bool,
    /// By account, region, group, check.
    pub findings: Vec<Finding>,
    /// Of the last run and gone.
    pub resolved: Vec<Finding>,
    /// Rules that do nothing; runs of before 0.1 had none of this.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub idle_rules: Vec<IdleRule>,
    /// What became of each waiver.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub waivers: Vec<WaiverUse>,
    /// The last runs of the schedule, as their manifests had them.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub trend: Option<Trend>,
}

/// The bytes of a value as stored: RFC 8785 canonical JSON.
///
/// # Errors
/// A value that JSON cannot hold: a bug.
pub fn canonical<T: Serialize>(what: &str, value: &T) -> Result<Vec<u8>, Error> {
    serde_json_canonicalizer::to_vec(value).map_err(|why| Error::Encode {
        what: what.to_owned(),
        why: why.to_string(),
    })
}

/// Indented JSON with a last newline, for files that people open.
///
/// # Errors
/// A value that JSON cannot hold: a bug.
pub fn pretty<T: Serialize>(what: &str, value: &T) -> Result<Vec<u8>, Error> {
    let mut bytes = serde_json::to_vec_pretty(value).map_err(|why| Error::Encode {
        what: what.to_owned(),
        why: why.to_string(),
    })?;
    bytes.push(b'\n');
    Ok(bytes)
}

/// Hash of bytes.
pub fn sha256(bytes: &[u8]) -> Sha256 {
    Sha256::new(hex(&sha2::Sha256::digest(bytes)))
}

/// Lower-case hexadecimal.
pub fn hex(bytes: &[u8]) -> String {
    const DIGITS: [char; 16] = [
        '0', '1', '2', '3', '4', '5', '6', '7', '8', '9', 'a', 'b', 'c', 'd', 'e', 'f',
    ];
    let mut out = String::with_capacity(bytes.len().saturating_mul(2));
    for byte in bytes {
        for nibble in [byte >> 4, byte & 0xf] {
            out.extend(DIGITS.get(usize::from(nibble)));
        }
    }
    out
}

/// `changes.json`
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Changes {
    /// [`CHANGES_SCHEMA`]
    pub schema: String,
    /// The run.
    pub run: RunId,
    /// What was changed, in the order in which it was done.
    pub changes: Vec<Change>,
    /// What is remediable and was not changed.
    pub held: Vec<Held>,
    /// What would be changed, of a run that only plans.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub planned: Vec<Proposal>,
    /// What the cloud's own history says of the changes of earlier runs, where it was asked.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub confirmed: Vec<Confirmation>,
}
