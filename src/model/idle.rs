//! Rules that do nothing.

use super::{AccountId, GroupId, RegionId, Tag};
use serde::{Deserialize, Serialize};

/// Why a rule does nothing.
///
/// To add a kind: a variant, its word in [`IdleKind::as_str`], and its sentence (`idle.WORD`) in every
/// language of `report/lang`. A kind that speaks of a whole group leaves the rule's fields empty.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum IdleKind {
    /// Rules before it decide every packet that it matches.
    Dead,
    /// Another rule decides the same packets in the same way, at the same place.
    Duplicate,
    /// No listed interface or instance uses the group.
    #[serde(rename = "unused-group")]
    UnusedGroup,
}

impl IdleKind {
    /// The word used everywhere.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Dead => "dead",
            Self::Duplicate => "duplicate",
            Self::UnusedGroup => "unused-group",
        }
    }
}

/// A rule without which every packet is decided as with it. Reported, never changed.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct IdleRule {
    /// The account.
    pub account: AccountId,
    /// The region.
    pub region: RegionId,
    /// The group.
    pub group_id: GroupId,
    /// Its name; an attacker's text.
    pub group_name: String,
    /// Its tags, by which letters are routed.
    pub tags: Vec<Tag>,
    /// Why it does nothing.
    pub kind: IdleKind,
    /// `sgr-...`, or empty in answers that have none.
    pub rule_id: String,
    /// As the service spells it.
    pub policy: String,
    /// As the service spells it.
    pub priority: String,
    /// As the service spells it.
    pub protocol: String,
    /// As the service spells it; a port list's id where there is no range.
    pub port_range: String,
    /// CIDR, group or prefix list.
    pub source: String,
    /// The rule's description; an attacker's text.
    pub description: String,
    /// Ids of the rules that decide in its place, in deciding order.
    pub by: Vec<String>,
}
