//! What was read and what was not: the first thing an auditor asks.

use super::{AccountId, AttachedCoverage, Expected, RegionId};
use serde::{Deserialize, Serialize};

/// A call that failed for good, as the service put it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct CallError {
    /// The service's `Code`; ours in lower case where there was no answer (`timeout`, `connect`, ...).
    pub code: String,
    /// The service's `Message`, or what happened.
    pub message: String,
    /// The service's request id, or empty.
    pub request_id: String,
    /// Such as `DescribeSecurityGroups`.
    pub action: String,
}

/// How the reading of one region ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum RegionStatus {
    /// Every group in scope was listed and read.
    Ok,
    /// Something could not be read: the run is INCOMPLETE.
    Failed,
    /// Left out by the scope, and named for that.
    Skipped,
}

/// One account's region.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct RegionCoverage {
    /// The account.
    pub account: AccountId,
    /// The region; `*` where not even the regions could be listed.
    pub region: RegionId,
    /// How it ended.
    pub status: RegionStatus,
    /// Groups in the listing and in scope, distinct.
    pub groups_listed: u64,
    /// The service's own total where it gives one.
    pub groups_total: Option<u64>,
    /// Groups whose rules were read in full.
    pub groups_read: u64,
    /// Groups that were listed and had gone before they were read.
    pub groups_vanished: u64,
    /// Sum of RuleCount over the groups listed, less the vanished.
    pub rules_listed: u64,
    /// Rules read, distinct by id.
    pub rules_read: u64,
    /// Requests sent, retries too.
    pub requests: u64,
    /// Why it failed; the first reason where there are several.
    pub error: Option<CallError>,
    /// What a reader should know and what decides nothing.
    pub warnings: Vec<String>,
    /// What uses the groups; `None`: not looked at.
    #[serde(default)]
    pub attached: Option<AttachedCoverage>,
    /// What Cloud Config says there is; `None`: not asked, or no answer.
    #[serde(default)]
    pub expected: Option<Expected>,
    /// Why `expected` is null; empty where it is not.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub expected_note: String,
}

impl RegionCoverage {
    /// Whether there may be interfaces with several groups that were not judged by all their rules.
    pub fn leaves_interfaces_unjudged(&self) -> bool {
        let unjudged = |seen: &AttachedCoverage| seen.not_judged > 0 || seen.classic_unknown;
        self.status != RegionStatus::Skipped
            && self.groups_listed > 0
            && self.attached.as_ref().is_none_or(unjudged)
    }

    /// A region of which nothing is known yet.
    pub fn new(account: AccountId, region: RegionId) -> Self {
        Self {
            account,
            region,
            status: RegionStatus::Ok,
            groups_listed: 0,
            groups_total: None,
            groups_read: 0,
            groups_vanished: 0,
            rules_listed: 0,
            rules_read: 0,
            requests: 0,
            error: None,
            warnings: Vec::new(),
            attached: None,
            expected: None,
            expected_note: String::new(),
        }
    }
}

/// `coverage.json`
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Coverage {
    /// `sgwarden/coverage/1`
    pub schema: String,
    /// By account, then region.
    pub regions: Vec<RegionCoverage>,
    /// Groups left out by `exclude_groups`, by name, where they were met.
    pub excluded_groups: Vec<String>,
    /// Regions that are known of and that DescribeRegions did not name, by account.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub unnamed_regions: Vec<UnnamedRegions>,
}

/// Regions of a dated list that the service does not name to an account.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct UnnamedRegions {
    /// The account.
    pub account: AccountId,
    /// The regions.
    pub regions: Vec<RegionId>,
    /// When the list was made, `YYYY-MM`.
    pub list: String,
}

impl Coverage {
    /// The schema's name.
    pub const SCHEMA: &str = "sgwarden/coverage/1";
}
