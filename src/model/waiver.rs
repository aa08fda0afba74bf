//! What became of each waiver in a run.

use super::{AccountId, GroupId, RegionId};
use serde::{Deserialize, Serialize};

/// Whether a waiver still does what somebody approved.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum WaiverState {
    /// It is part of what is exposed and no longer covers all of it: the finding is exposed again.
    Outgrown,
    /// Its last day is over: it counts for nothing.
    Expired,
    /// Nothing that it approves is exposed.
    Unused,
    /// The run did not judge its group under its check, so that nothing is said of it.
    Unjudged,
    /// It covers, alone or with others, all that is exposed.
    Active,
}

impl WaiverState {
    /// All, the ones that want a person first.
    pub const ALL: [Self; 5] = [
        Self::Outgrown,
        Self::Expired,
        Self::Unused,
        Self::Unjudged,
        Self::Active,
    ];

    /// The word used everywhere.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Outgrown => "outgrown",
            Self::Expired => "expired",
            Self::Unused => "unused",
            Self::Unjudged => "unjudged",
            Self::Active => "active",
        }
    }
}

/// A waiver as written, and what became of it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct WaiverUse {
    /// What became of it.
    pub state: WaiverState,
    /// The group.
    pub group: GroupId,
    /// A check's id, or `*`.
    pub check: String,
    /// Only in this account.
    pub account: Option<AccountId>,
    /// Only in this region.
    pub region: Option<RegionId>,
    /// The ports approved, as written.
    pub ports: Vec<String>,
    /// The sources approved, as written.
    pub sources: Vec<String>,
    /// Who answers for it.
    pub owner: String,
    /// Who approved it.
    pub approved_by: String,
    /// Why.
    pub reason: String,
    /// Its last day in the schedule's zone, `YYYY-MM-DD`.
    pub expires: String,
    /// Days from the run's own day to its last; 0 on the last, negative when it is over.
    pub days_left: i64,
    /// The ticket, where one is named.
    pub ticket: Option<String>,
    /// The line of the waivers' file where it begins.
    pub line: u64,
    /// Findings with verdict `waived` that it has a part in.
    pub findings: u64,
}

impl WaiverUse {
    /// Two weeks: time enough to renew an approval, or to close what it covers.
    pub const SOON_DAYS: i64 = 14;

    /// Whether it ends within [`Self::SOON_DAYS`] days.
    pub fn ends_soon(&self) -> bool {
        (0..=Self::SOON_DAYS).contains(&self.days_left)
    }

    /// Whether a person should look at it.
    pub fn wants_a_person(&self) -> bool {
        match self.state {
            WaiverState::Outgrown | WaiverState::Expired | WaiverState::Unused => true,
            WaiverState::Unjudged | WaiverState::Active => self.ends_soon(),
        }
    }
}
