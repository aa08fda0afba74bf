//! Verdicts and findings.

use super::{AccountId, GroupId, OpenedBy, RegionId, Tag};
use serde::{Deserialize, Serialize};
use std::fmt;

/// The verdict on one (account, region, group, check).
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Verdict {
    /// Exposed under every reading of what the service said.
    Exposed,
    /// Exposed, and a cloud service owns the group.
    Managed,
    /// Exposed, and approved in full.
    Waived,
    /// Neither certain.
    Undetermined,
    /// Not exposed under any reading.
    Compliant,
}

impl Verdict {
    /// All five.
    pub const ALL: [Self; 5] = [
        Self::Exposed,
        Self::Managed,
        Self::Waived,
        Self::Undetermined,
        Self::Compliant,
    ];

    /// The inverse of [`Verdict::as_str`].
    pub fn parse(text: &str) -> Option<Self> {
        Self::ALL
            .into_iter()
            .find(|verdict| verdict.as_str() == text)
    }

    /// The word used everywhere.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Exposed => "exposed",
            Self::Managed => "managed",
            Self::Waived => "waived",
            Self::Undetermined => "undetermined",
            Self::Compliant => "compliant",
        }
    }
}

impl fmt::Display for Verdict {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.as_str())
    }
}

/// How bad; the order is from mild to grave, so that `>=` reads as "at least".
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
#[expect(missing_docs, reason = "the words are the meaning")]
pub enum Severity {
    Low,
    Medium,
    High,
    Critical,
}

impl Severity {
    /// All, gravest first.
    pub const ALL: [Self; 4] = [Self::Critical, Self::High, Self::Medium, Self::Low];

    /// The word used everywhere.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Low => "low",
            Self::Medium => "medium",
            Self::High => "high",
            Self::Critical => "critical",
        }
    }

    /// The inverse of [`Severity::as_str`].
    pub fn parse(text: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|s| s.as_str() == text)
    }
}

impl fmt::Display for Severity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.as_str())
    }
}

/// An address family.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
#[expect(missing_docs, reason = "the words are the meaning")]
pub enum Family {
    Ipv4,
    Ipv6,
}

impl Family {
    /// Both.
    pub const ALL: [Self; 2] = [Self::Ipv4, Self::Ipv6];

    /// `ipv4` or `ipv6`
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Ipv4 => "ipv4",
            Self::Ipv6 => "ipv6",
        }
    }
}

/// A protocol that a packet of ours can have.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
#[expect(missing_docs, reason = "the words are the meaning")]
pub enum Protocol {
    Tcp,
    Udp,
    Icmp,
    Icmpv6,
    Gre,
}

impl Protocol {
    /// All five.
    pub const ALL: [Self; 5] = [Self::Tcp, Self::Udp, Self::Icmp, Self::Icmpv6, Self::Gre];

    /// The word used everywhere.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Tcp => "tcp",
            Self::Udp => "udp",
            Self::Icmp => "icmp",
            Self::Icmpv6 => "icmpv6",
            Self::Gre => "gre",
        }
    }

    /// The inverse of [`Protocol::as_str`].
    pub fn parse(text: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|p| p.as_str() == text)
    }

    /// Whether ports belong to it; the others are one point each.
    pub fn has_ports(self) -> bool {
        matches!(self, Self::Tcp | Self::Udp)
    }

    /// Whether packets of that family can have it.
    pub fn is_of(self, family: Family) -> bool {
        match self {
            Self::Tcp | Self::Udp | Self::Gre => true,
            Self::Icmp => family == Family::Ipv4,
            Self::Icmpv6 => family == Family::Ipv6,
        }
    }
}

/// A maximal run of ports with one and the same set S of internet sources.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ExposedRun {
    /// Address family.
    pub family: Family,
    /// Protocol.
    pub protocol: Protocol,
    /// `22` or `1-65535`; empty for protocols without ports.
    pub ports: String,
    /// S as the fewest CIDRs, in address order.
    pub sources: Vec<String>,
    /// The number of addresses in S, decimal.
    pub addresses: String,
    /// That number as a share of the family's whole internet, four digits; for display only.
    pub share: String,
}

/// A rule that a finding rests on.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct FindingRule {
    /// `sgr-...`, or empty in answers that have none.
    pub rule_id: String,
    /// As the service spells it.
    pub priority: String,
    /// As the service spells it.
    pub protocol: String,
    /// As the service spells it; a port list's id where there is no range.
    pub port_range: String,
    /// CIDR, group or prefix list.
    pub source: String,
    /// Its reach: the most internet addresses it alone lets in at one exposed point, decimal;
    /// `0` for a rule that is shown because it could not be read.
    pub addresses: String,
    /// Whether it would be revoked, had the policy its way.
    pub in_cut: bool,
    /// Why it is never touched.
    pub held: Vec<String>,
    /// The rule's description; an attacker's text.
    pub description: String,
    /// What could not be read about it, in words; empty for a rule that was.
    pub unreadable: Vec<String>,
    /// When an unbroken series of runs first reported it, RFC 3339: what `grace` counts from.
    pub first_seen: String,
    /// Whose rule it is, in a finding of interfaces; else the finding's own group's.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub group_id: Option<GroupId>,
    /// Who opened it, where that was asked.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub opened_by: Option<OpenedBy>,
}

/// Where a finding stands between two runs.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
#[expect(missing_docs, reason = "the words are the meaning")]
pub enum FindingState {
    New,
    Open,
    Reopened,
}

impl FindingState {
    /// The word used everywhere.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::New => "new",
            Self::Open => "open",
            Self::Reopened => "reopened",
        }
    }
}

/// What is behind a group. The order is that of reports: what may be reached stands first.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Reach {
    /// Something attached can be reached from the internet.
    Internet,
    /// Something is attached.
    Attached,
    /// Not looked at, or not to be known: an IPv6 address's bandwidth.
    Unknown,
    /// Nothing is attached.
    None,
}

impl Reach {
    /// The word used everywhere.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Internet => "internet",
            Self::Attached => "attached",
            Self::None => "none",
            Self::Unknown => "unknown",
        }
    }
}

/// Counts of what uses a group.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[expect(missing_docs, reason = "the words are the meaning")]
pub struct Attached {
    pub interfaces: u64,
    pub reachable: u64,
    pub instances: u64,
}

/// The interfaces that a finding is about: they have several groups, whose rules together expose what
/// no group of them exposes alone.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct InterfaceNote {
    /// Interfaces (or instances of the classic network) with these groups, the first ones.
    pub ids: Vec<String>,
    /// How many there are.
    pub count: u64,
    /// Their groups, by id; the first is the finding's `group_id`.
    pub groups: Vec<GroupId>,
}

/// The waiver that covers a finding.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[expect(missing_docs, reason = "the words are the meaning")]
pub struct WaiverNote {
    pub owner: String,
    pub approved_by: String,
    pub reason: String,
    /// A date, `YYYY-MM-DD`.
    pub expires: String,
    pub ticket: Option<String>,
}

/// One (account, region, group, check) that is not compliant.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Finding {
    /// The account.
    pub account: AccountId,
    /// The region.
    pub region: RegionId,
    /// The group.
    pub group_id: GroupId,
    /// Its name; an attacker's text.
    pub group_name: String,
    /// Its VPC; empty in the classic network.
    pub vpc_id: String,
    /// Its tags, by which letters are routed; `None` in runs of versions that did not keep them.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tags: Option<Vec<Tag>>,
    /// The check's id.
    pub check: String,
    /// The check's severity.
    pub severity: Severity,
    /// Never [`Verdict::Compliant`].
    pub verdict: Verdict,
    /// When an unbroken series of runs first saw it, RFC 3339.
    pub first_seen: String,
    /// Against the last run.
    pub state: FindingState,
    /// What is exposed; of an undetermined finding, the points of the opening reading.
    pub exposed: Vec<ExposedRun>,
    /// The rules to blame; of an undetermined finding also those that could not be read.
    pub rules: Vec<FindingRule>,
    /// What is behind the group.
    pub reach: Reach,
    /// What uses the group, where it was looked at.
    pub attached: Option<Attached>,
    /// The waiver, where the verdict is `waived`.
    pub waiver: Option<WaiverNote>,
    /// Why undetermined.
    pub reason: Option<String>,
    /// Set where the finding is not the group's but that of interfaces with several groups.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub interface: Option<InterfaceNote>,
}

impl Finding {
    /// What it is about, for comparing findings: the group's id, or those of all groups together.
    pub fn subject(&self) -> String {
        match &self.interface {
            None => self.group_id.as_str().to_owned(),
            Some(note) => subject_of(&note.groups),
        }
    }
}

/// The subject of a finding about interfaces with these groups.
pub fn subject_of(groups: &[GroupId]) -> String {
    let ids: Vec<&str> = groups.iter().map(GroupId::as_str).collect();
    ids.join("+")
}
