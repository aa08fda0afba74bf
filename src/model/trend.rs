//! How runs of one schedule compare: counts by severity, and how long it took to close.

use super::{RunId, Severity};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// One severity's counts in one run. Stands in the manifest, so that later runs need to read no more.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct SeverityCounts {
    /// Findings with that verdict.
    pub exposed: u64,
    /// Findings with that verdict.
    pub managed: u64,
    /// Findings with that verdict.
    pub waived: u64,
    /// Findings with that verdict.
    pub undetermined: u64,
    /// Of the exposed: new or reopened in this run.
    pub new: u64,
    /// Findings that were exposed in the run before and are gone in this one.
    pub closed: u64,
    /// Seconds from the first sight of each of these to the start of this run, added up.
    pub closed_seconds: u64,
    /// The longest of these.
    pub closed_longest_seconds: u64,
}

/// A run's counts, all four severities.
pub type BySeverity = BTreeMap<Severity, SeverityCounts>;

/// One run of the chain.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct TrendPoint {
    /// The run.
    pub run: RunId,
    /// When it began, RFC 3339 UTC.
    pub started: String,
    /// Whether everything in scope was read and judged.
    pub complete: bool,
    /// Groups judged.
    pub groups: u64,
    /// Its counts; null of a run by a version that did not keep them.
    pub severities: Option<BySeverity>,
    /// Whether the policy's texts or the scope were others than in the run before it: then the two do
    /// not measure the same. `None` where the run before is not known.
    pub basis_changed: Option<bool>,
}

/// The last runs of the chain, oldest first, this run last.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Trend {
    /// The runs.
    pub points: Vec<TrendPoint>,
    /// Why earlier runs of the chain are not in it, where there should be some.
    pub broken: Option<String>,
}

impl Trend {
    /// How many runs are shown: a quarter of a year of a weekly schedule.
    pub const MOST: usize = 12;
}
