//! What differs between two sealed runs.

use super::{AccountId, GroupId, RegionId, RunId, Severity, Totals, Traffic, Verdict};
use serde::Serialize;

/// One of the two runs.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct RunSide {
    /// Its id.
    pub run: RunId,
    /// The schedule's name, or the command's.
    pub schedule: String,
    /// When it began, RFC 3339 UTC.
    pub started: String,
    /// Whether everything in scope was read and judged.
    pub complete: bool,
    /// Verdicts.
    pub verdicts: Totals,
}

/// A finding by its name.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct FindingName {
    /// The account.
    pub account: AccountId,
    /// The region.
    pub region: RegionId,
    /// The group; of interfaces with several, the first.
    pub group_id: GroupId,
    /// Its name; an attacker's text.
    pub group_name: String,
    /// The groups of interfaces that are exposed by several together.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub groups: Vec<GroupId>,
    /// The check's id.
    pub check: String,
    /// The check's severity.
    pub severity: Severity,
    /// The verdict in the run that has it; in both, the second's.
    pub verdict: Verdict,
}

/// Something that was one text and is another.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct FieldChange {
    /// What.
    pub what: String,
    /// In the first run; null where it had none.
    pub from: Option<String>,
    /// In the second.
    pub to: Option<String>,
}

/// A finding that both runs have.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct FindingChange {
    /// Which.
    #[serde(flatten)]
    pub finding: FindingName,
    /// `verdict`, `severity`, `reach`, `reason`, `waiver`, where they differ.
    pub fields: Vec<FieldChange>,
    /// Exposed in the second run and not in the first; empty where either verdict is undetermined.
    pub opened: Vec<Traffic>,
    /// Exposed in the first run and not in the second; likewise.
    pub closed: Vec<Traffic>,
    /// Rules to blame that the first run did not have: id, priority, protocol, ports, source.
    pub rules_added: Vec<String>,
    /// Rules to blame that the second run does not have.
    pub rules_removed: Vec<String>,
}

/// A finding of one run of which the other says nothing.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Incomparable {
    /// Which.
    #[serde(flatten)]
    pub finding: FindingName,
    /// The run that has it.
    pub only_in: RunId,
    /// Why the other run says nothing of it.
    pub why: String,
}

/// One account's region.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct CoverageChange {
    /// The account.
    pub account: AccountId,
    /// The region.
    pub region: RegionId,
    /// What differs, under the names of `coverage.json`.
    pub fields: Vec<FieldChange>,
}

/// One waiver.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct WaiverChange {
    /// The group.
    pub group: GroupId,
    /// A check's id, or `*`.
    pub check: String,
    /// The ports as written.
    pub ports: Vec<String>,
    /// The sources as written.
    pub sources: Vec<String>,
    /// `state` (null where a run does not have it), `expires`, `owner`, `approved_by`, `reason`, `ticket`.
    pub fields: Vec<FieldChange>,
}

/// All of it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct RunDiff {
    /// `sgwarden/diff/1`
    pub schema: String,
    /// The first run.
    pub from: RunSide,
    /// The second.
    pub to: RunSide,
    /// Whether there is anything below.
    pub different: bool,
    /// `complete`, `account`, `identity`, `tool`, `mode`, `scope`, where they differ.
    pub run: Vec<FieldChange>,
    /// Findings of the second run that the first judged compliant, or whose group was not there.
    pub new: Vec<FindingName>,
    /// Findings of the first run that the second judged compliant, or whose group is gone.
    pub resolved: Vec<FindingName>,
    /// Findings of one run of which the other says nothing: not read, not in scope, not checked.
    pub incomparable: Vec<Incomparable>,
    /// Findings of both that differ.
    pub changed: Vec<FindingChange>,
    /// Regions that were read otherwise.
    pub coverage: Vec<CoverageChange>,
    /// Policy texts by name with their SHA-256, null where a run does not have it.
    pub policy: Vec<FieldChange>,
    /// Waivers.
    pub waivers: Vec<WaiverChange>,
}

impl RunDiff {
    /// The schema's name.
    pub const SCHEMA: &str = "sgwarden/diff/1";
}
