//! Clauses of frameworks that checks are commonly mapped to, and what a run says of them. A mapping is
//! other people's reading, and not the standard's own word.

use super::Totals;
use serde::{Deserialize, Serialize};

/// A clause that public mappings commonly give for a check.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Control {
    /// Which clause.
    pub clause: Clause,
    /// The least exposure that its own words count.
    pub least: ClauseLeast,
}

/// A clause's place and title.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Clause {
    /// `PCI DSS`
    pub framework: String,
    /// `4.0`
    pub version: String,
    /// `1.3.1`
    pub clause: String,
    /// In a line, in our words.
    pub title: String,
}

/// The least exposure that a clause's own words count.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum ClauseLeast {
    /// Its words name neither the internet nor a size.
    Unstated,
    /// One network of that prefix length, per family; `None`: one address.
    Prefix {
        /// IPv4
        ipv4: Option<u32>,
        /// IPv6
        ipv6: Option<u32>,
    },
}

/// A clause that a pack names and that no check of it can answer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Unassessed {
    /// Which clause.
    pub clause: Clause,
    /// Why not.
    pub reason: String,
}

/// Why a check, as this run applied it, is looser than a clause's own words.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Looser {
    /// Part of the groups was left out.
    Scope,
    /// It counts from a greater exposure than the clause.
    Least,
    /// It would, were the trusted networks open and nothing else.
    Trusted,
}

impl Looser {
    /// The word used everywhere.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Scope => "scope",
            Self::Least => "least",
            Self::Trusted => "trusted",
        }
    }
}

/// A check that lost its reference to a clause.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct LostReference {
    /// The check's id.
    pub check: String,
    /// Why.
    pub why: Looser,
}

/// What a run says of a clause.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ControlStatus {
    /// Every group passed every check that counts.
    Passed,
    /// None is exposed but such as are approved by waivers.
    Waived,
    /// A group is exposed.
    Failed,
    /// Something was not read or judged, or no check counts.
    NotAssessed,
}

impl ControlStatus {
    /// The word used everywhere.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Passed => "passed",
            Self::Waived => "waived",
            Self::Failed => "failed",
            Self::NotAssessed => "not_assessed",
        }
    }
}

/// A clause in a run.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ControlResult {
    /// Which clause.
    #[serde(flatten)]
    pub clause: Clause,
    /// The checks that count for it.
    pub checks: Vec<String>,
    /// The checks that do not, being looser.
    pub lost: Vec<LostReference>,
    /// Groups, each by the gravest of its verdicts under those checks.
    pub groups: Totals,
    /// What that comes to.
    pub status: ControlStatus,
    /// Its checks are judged over interfaces too, and not all of those could be.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub interfaces_unjudged: bool,
    /// Why a pack calls it not assessed.
    pub reason: Option<String>,
}
