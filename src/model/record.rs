//! One run as a value. A renderer sees this and nothing else; `report` reads it back from a sealed
//! run.

use super::{
    AccountId, BySeverity, CallError, Change, Confirmation, ControlResult, Coverage, Finding, Held,
    IdleRule, Outcome, Proposal, Route, RunId, Severity, Sha256, Trend, WaiverUse,
};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// Who asked the cloud: GetCallerIdentity's answer.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Identity {
    /// The account.
    pub account: AccountId,
    /// `acs:ram::...`
    pub arn: String,
    /// `Account`, `RAMUser`, `AssumedRoleUser`
    pub kind: String,
    /// `PrincipalId`
    pub principal: String,
}

/// What was asked for, in words a reader can check against [`Coverage`].
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Scope {
    /// `self`, or account ids.
    pub accounts: Vec<String>,
    /// `all`, or region ids.
    pub regions: Vec<String>,
    /// Left out on purpose.
    pub exclude_regions: Vec<String>,
    /// `all`, or what narrows them, in words.
    pub groups: Vec<String>,
    /// Left out on purpose.
    pub exclude_groups: Vec<String>,
}

/// Times of a run, RFC 3339 UTC, whole seconds.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Times {
    /// When it began.
    pub started: String,
    /// When everything had been read.
    pub read: String,
    /// When the record was closed.
    pub ended: String,
    /// Zone of the times that people read, an IANA name.
    pub timezone: String,
    /// Our clock less the service's, in seconds, by its `Date` header; `None` where it gave none.
    pub clock_offset_seconds: Option<i64>,
}

/// Counts over (account, region, group, check).
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[expect(missing_docs, reason = "the words are the meaning")]
pub struct Totals {
    pub exposed: u64,
    pub managed: u64,
    pub waived: u64,
    pub undetermined: u64,
    pub compliant: u64,
}

impl Totals {
    /// Counts one verdict.
    pub fn count(&mut self, verdict: super::Verdict) {
        use super::Verdict as V;
        let slot = match verdict {
            V::Exposed => &mut self.exposed,
            V::Managed => &mut self.managed,
            V::Waived => &mut self.waived,
            V::Undetermined => &mut self.undetermined,
            V::Compliant => &mut self.compliant,
        };
        *slot = slot.saturating_add(1);
    }

    /// Whether nothing was counted.
    pub fn is_nothing(&self) -> bool {
        *self == Self::default()
    }

    /// Takes one back.
    pub fn uncount(&mut self, verdict: super::Verdict) {
        use super::Verdict as V;
        let slot = match verdict {
            V::Exposed => &mut self.exposed,
            V::Managed => &mut self.managed,
            V::Waived => &mut self.waived,
            V::Undetermined => &mut self.undetermined,
            V::Compliant => &mut self.compliant,
        };
        *slot = slot.saturating_sub(1);
    }
}

/// A check as the run applied it, in words for a report.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct CheckInfo {
    /// Its id.
    pub id: String,
    /// One line.
    pub title: String,
    /// The line in other languages, by tag.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub titles: BTreeMap<String, String>,
    /// Groups by their verdict under it, as they were read.
    #[serde(default, skip_serializing_if = "Totals::is_nothing")]
    pub groups: Totals,
    /// Why it matters.
    pub why: String,
    /// How to fix it.
    pub fix: String,
    /// How bad.
    pub severity: Severity,
    /// `ports`, ...
    pub kind: String,
    /// `internet` or `private`
    #[serde(default = "internet", skip_serializing_if = "is_internet")]
    pub audience: String,
    /// `ingress` or `egress`
    #[serde(default = "ingress", skip_serializing_if = "is_ingress")]
    pub direction: String,
    /// Shown and never acted on, although its kind could be.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub report_only: bool,
    /// Where it decides otherwise than what it stands for, and why; or empty.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub differs: String,
    /// `tcp`, ...
    pub protocols: Vec<String>,
    /// `22`, `2375-2376`
    pub ports: Vec<String>,
    /// The least exposure that counts, `/16` or `any`, per family.
    pub min_public: BTreeMap<String, String>,
}

impl CheckInfo {
    /// Whether it is about what a group is, and not about packets.
    pub fn is_of_group(&self) -> bool {
        matches!(
            self.kind.as_str(),
            "classic-network" | "basic-type" | "no-description"
        )
    }
}

// Runs from before these fields looked at nothing else, and their manifests stay canonical: what is
// as it was then is not written.
fn internet() -> String {
    "internet".to_owned()
}

fn is_internet(audience: &str) -> bool {
    audience == "internet"
}

fn ingress() -> String {
    "ingress".to_owned()
}

fn is_ingress(direction: &str) -> bool {
    direction == "ingress"
}

/// The language of what people read.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub enum Language {
    /// English
    #[default]
    #[serde(rename = "en")]
    En,
    /// Simplified Chinese
    #[serde(rename = "zh-CN")]
    ZhCn,
    /// Traditional Chinese
    #[serde(rename = "zh-TW")]
    ZhTw,
}

/// All of a run that is not findings, coverage or changes. Stands in the manifest.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct RunHeader {
    /// The run's id.
    pub run: RunId,
    /// The schedule's name, or the command's.
    pub schedule: String,
    /// Its file, as it was named where the run was started; `None`: it had none, or was not told.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub schedule_file: Option<String>,
    /// `scan`, `run`, ...
    pub command: String,
    /// `sgwarden 0.1.0`
    pub tool: String,
    /// `off`, `plan`, ...
    pub mode: String,
    /// Who asked.
    pub identity: Identity,
    /// Where the keys came from, such as `environment variables`; `None`: not told.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub credentials: Option<String>,
    /// Who we were in every other account: the role that was assumed there.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub accounts: Vec<Identity>,
    /// What was asked for.
    pub scope: Scope,
    /// When.
    pub times: Times,
    /// The checks.
    pub checks: Vec<CheckInfo>,
    /// Networks that do not count as internet.
    pub trusted: Vec<String>,
    /// Whether everything in scope was read and judged.
    pub complete: bool,
    /// Why not; one line each, the first the gravest.
    pub incomplete_reasons: Vec<String>,
    /// Groups judged.
    pub groups: u64,
    /// Rules read.
    pub rules: u64,
    /// Verdicts.
    pub totals: Totals,
    /// The same by severity; `None` of a run that judged nothing, or by a version that did not count.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub severities: Option<BySeverity>,
    /// Clauses that the checks are commonly mapped to, and what the run says of them.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub controls: Vec<ControlResult>,
    /// Language of the reports.
    pub language: Language,
    /// Who let a plan be carried out.
    pub approval: Option<Approval>,
    /// The event that asked for the run, where one did.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub trigger: Option<Trigger>,
    /// Whether Cloud Config was asked to evaluate a rule again after the changes; `None`: nobody asked.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reevaluation: Option<Reevaluation>,
    /// Of a rollback: until when what it put back is held from being revoked again.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub restored_until: Option<String>,
}

/// Cloud Config asked to evaluate a rule again.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Reevaluation {
    /// The rule, `cr-...`.
    pub rule: String,
    /// Why it does not do so; `None`: it does.
    pub error: Option<CallError>,
}

/// An event that asked for a run.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Trigger {
    /// `timer`, `remediation`, `custom-rule`
    pub kind: String,
    /// The timer trigger's name, or Cloud Config's rule; empty where the event names none.
    pub name: String,
    /// The event's own time, RFC 3339 UTC, where it has one.
    pub time: Option<String>,
    /// The invocation.
    pub request_id: String,
    /// What it is about; empty: the whole schedule.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub resources: Vec<TriggerResource>,
}

/// A resource that an event names.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct TriggerResource {
    /// Its account.
    pub account: AccountId,
    /// Its region.
    pub region: String,
    /// Its id.
    pub id: String,
    /// Its type.
    pub kind: String,
    /// What Cloud Config's record says of it now: `exists`, `deleted`, or why it was not told. It lags; no
    /// verdict and no change follows from it.
    pub config: Option<String>,
    /// What became of it, in words.
    #[serde(default)]
    pub outcome: String,
}

/// Who let a plan be carried out, and under which ticket.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Approval {
    /// A name.
    pub approved_by: String,
    /// A ticket's id.
    pub ticket: Option<String>,
    /// SHA-256 of the plan's file.
    pub plan_sha256: String,
}

/// A group and check of the population.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[expect(missing_docs, reason = "population.csv's own columns")]
pub struct PopulationRow {
    pub account: String,
    pub region: String,
    pub group_id: String,
    pub group_name: String,
    pub check: String,
    pub verdict: String,
    /// The listing's RuleCount, or empty.
    pub rule_count: String,
    pub rules_read: u64,
    pub raw_file: String,
    pub raw_sha256: String,
}

/// A run as renderers see it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RunRecord {
    /// The run.
    pub header: RunHeader,
    /// By account, region, group, check.
    pub findings: Vec<Finding>,
    /// Findings of the last run that are gone.
    pub resolved: Vec<Finding>,
    /// What was read.
    pub coverage: Coverage,
    /// What was changed.
    pub changes: Vec<Change>,
    /// What is remediable and was not changed.
    pub held: Vec<Held>,
    /// What would be changed, of a run that only plans.
    pub planned: Vec<Proposal>,
    /// What the cloud's own history says of the changes of earlier runs, where it was asked.
    pub confirmed: Vec<Confirmation>,
    /// The part of the run that this record holds, for one recipient; `None`: all of it.
    pub part: Option<Route>,
    /// Rules that do nothing, by account, region, group, and in deciding order.
    pub idle_rules: Vec<IdleRule>,
    /// What became of each waiver, in the order of their file.
    pub waivers: Vec<WaiverUse>,
    /// The last runs of the schedule, this one too; `None` of a run that judged nothing.
    pub trend: Option<Trend>,
}

impl RunRecord {
    /// Of a rollback: whether anything that was asked for is not back.
    pub fn is_not_back(&self) -> bool {
        let not_back = |change: &Change| {
            change.intent_of.is_none()
                && !matches!(change.outcome, Outcome::Verified | Outcome::AlreadyGone)
        };
        !self.held.is_empty() || self.changes.iter().any(not_back)
    }
}

/// A rendered report.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Artifact {
    /// File name, ASCII.
    pub name: String,
    /// Media type, for mail.
    pub media_type: &'static str,
    /// The file.
    pub bytes: Vec<u8>,
}

/// What a letter needs to know beside the record.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DeliverySettings {
    /// Where the sealed run lies, as a person would look for it.
    pub location: String,
    /// SHA-256 of `manifest.json`.
    pub manifest_sha256: Sha256,
}
