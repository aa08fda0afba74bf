//! Changes: planned, held, made.

use super::respelled::Respelled;
use super::{AccountId, Family, GroupId, Protocol, RegionId};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// Packets that are let in: one stretch of ports and the sources that reach it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Traffic {
    /// Address family.
    pub family: Family,
    /// Protocol.
    pub protocol: Protocol,
    /// `22` or `1-65535`; empty for protocols without ports.
    pub ports: String,
    /// Whether the sources are internet addresses, or else private and reserved ones.
    pub internet: bool,
    /// Whether it is what a waiver approves.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub waived: bool,
    /// As the fewest CIDRs.
    pub sources: Vec<String>,
    /// How many addresses that is, decimal.
    pub addresses: String,
}

/// What is done to a rule.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
#[expect(missing_docs, reason = "the words are the meaning")]
pub enum ChangeKind {
    Revoke,
    Authorize,
    Modify,
}

impl ChangeKind {
    /// The word used everywhere.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Revoke => "revoke",
            Self::Authorize => "authorize",
            Self::Modify => "modify",
        }
    }
}

/// What part a change has in a narrowing, which puts other rules in a rule's place.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Narrowing {
    /// Added in the place of the rules of these ids.
    InPlaceOf(Vec<String>),
    /// Revoked when these stood in its place; their fields under the service's own names. Those that
    /// were there already are among them.
    ReplacedBy(Vec<BTreeMap<String, String>>),
    /// Added in the place of the rules of these ids, which are there (again), and so taken back.
    TakenBack(Vec<String>),
}

/// How an attempted change ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Outcome {
    /// Two equal readings, at least a second apart, show it done, and nothing else changed.
    Verified,
    /// It was so before we came.
    AlreadyGone,
    /// The group was not (or is no longer) as planned; we left it alone, or another hand was in it.
    Drifted,
    /// The service refused.
    Refused,
    /// It was asked for and is not so.
    Failed,
    /// Nobody could find out.
    Unknown,
}

impl Outcome {
    /// All of them.
    pub const ALL: [Self; 6] = [
        Self::Verified,
        Self::AlreadyGone,
        Self::Drifted,
        Self::Refused,
        Self::Failed,
        Self::Unknown,
    ];

    /// The word used everywhere.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Verified => "verified",
            Self::AlreadyGone => "already_gone",
            Self::Drifted => "drifted",
            Self::Refused => "refused",
            Self::Failed => "failed",
            Self::Unknown => "unknown",
        }
    }
}

/// Why something remediable is not changed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum HoldReason {
    /// Its reach is below `revoke_min`: a person knows why it is there.
    Narrow,
    /// It opens points that no check names.
    Overbroad,
    /// It has a source port or destination.
    Limited,
    /// It has no rule id.
    NoId,
    /// It could not be put back exactly.
    NoUndo,
    /// Protected by tag, id or configuration.
    Protected,
    /// It takes the last way in from a protected source.
    Lockout,
    /// Not reported long enough ago.
    Grace,
    /// Outside the change windows.
    Window,
    /// The run wants more changes than `max_changes`.
    MaxChanges,
    /// The run wants to change more groups than `max_share`.
    MaxShare,
    /// Revoked twice and came back.
    FoughtOver,
    /// Put back by a rollback, still held.
    Restored,
    /// Mode off or plan.
    Mode,
    /// A change before it was not verified.
    CanaryFailed,
    /// It could not have been verified in time.
    Deadline,
    /// Another rule of the group is held.
    StoodInTheWay,
}

impl HoldReason {
    /// The word used everywhere.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Narrow => "narrow",
            Self::Overbroad => "overbroad",
            Self::Limited => "limited",
            Self::NoId => "no_id",
            Self::NoUndo => "no_undo",
            Self::Protected => "protected",
            Self::Lockout => "lockout",
            Self::Grace => "grace",
            Self::Window => "window",
            Self::MaxChanges => "max_changes",
            Self::MaxShare => "max_share",
            Self::FoughtOver => "fought_over",
            Self::Restored => "restored",
            Self::Mode => "mode",
            Self::CanaryFailed => "canary_failed",
            Self::Deadline => "deadline",
            Self::StoodInTheWay => "stood_in_the_way",
        }
    }
}

/// Rules of a group that are not changed, and why.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Held {
    /// The account.
    pub account: AccountId,
    /// The region.
    pub region: RegionId,
    /// The group.
    pub group_id: GroupId,
    /// Rule ids.
    pub rules: Vec<String>,
    /// Why, each once.
    pub reasons: Vec<HoldReason>,
    /// The same in words: since when, until when, what would have to be different.
    pub detail: String,
}

/// A request, exactly.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ApiRequest {
    /// Such as `AuthorizeSecurityGroup`.
    pub action: String,
    /// Its parameters, flattened as they are sent.
    pub params: BTreeMap<String, String>,
}

/// One change that a run would make and was not told to.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Proposal {
    /// The account.
    pub account: AccountId,
    /// The region.
    pub region: RegionId,
    /// The group.
    pub group_id: GroupId,
    /// Its name; an attacker's text.
    pub group_name: String,
    /// The rule to revoke, all its fields under the service's own names.
    pub rule: BTreeMap<String, String>,
    /// What would come in its place, of a rule that would be narrowed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub narrowing: Option<Narrowing>,
    /// All traffic that would end with it, private sources first.
    pub ends: Vec<Traffic>,
    /// The exact request that would put it back.
    pub undo: ApiRequest,
    /// The group's verdict on each check, as it would be.
    pub predicted: BTreeMap<String, String>,
}

/// One change that was attempted.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Change {
    /// The account.
    pub account: AccountId,
    /// The region.
    pub region: RegionId,
    /// The group.
    pub group_id: GroupId,
    /// Its name; an attacker's text.
    pub group_name: String,
    /// What was done.
    pub kind: ChangeKind,
    /// All the rule's fields as they were, under the service's own names.
    pub rule: BTreeMap<String, String>,
    /// What part it has in a narrowing.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub narrowing: Option<Narrowing>,
    /// The exact request that puts it back. Of a rule that was added: by its id, as soon as that is
    /// known; before, a request without any id, which the service refuses.
    pub undo: ApiRequest,
    /// The checks it was done for.
    pub checks: Vec<String>,
    /// The service's request id of the change.
    pub request_id: Option<String>,
    /// When it was asked for, RFC 3339 UTC.
    pub attempted_at: Option<String>,
    /// When the second of two equal readings was taken.
    pub verified_at: Option<String>,
    /// What this rule let in and is let in no longer, by the two readings.
    pub traffic_closed: Vec<Traffic>,
    /// What the group lets in and did not before, by the two readings.
    pub traffic_opened: Vec<Traffic>,
    /// Whether both are what the plan said.
    pub as_planned: bool,
    /// How it ended.
    pub outcome: Outcome,
    /// What was answered, where it was an error.
    pub error: Option<String>,
    /// Digest of the reading before.
    pub before_sha256: String,
    /// Digest of the reading after.
    pub after_sha256: Option<String>,
    /// The group's verdict on each check afterwards.
    pub verdict_after: BTreeMap<String, String>,
    /// The group's rules by the reading after, a line a rule: id and what it says. A rollback holds
    /// the group to them.
    pub group_after: Vec<String>,
    /// Of a rule that a rollback put back: what it said otherwise before it was revoked. Every packet is
    /// decided as then.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub spelled_before: Vec<Respelled>,
    /// The killed run that wanted it, where this run only settled it.
    pub intent_of: Option<String>,
}

impl Change {
    /// The id of the rule, or empty.
    pub fn rule_id(&self) -> &str {
        self.rule
            .get("SecurityGroupRuleId")
            .map_or("", String::as_str)
    }

    /// Whether it took a rule of the user's away, or may have. What the program took back of its own
    /// is none.
    pub fn took_away(&self) -> bool {
        self.kind == ChangeKind::Revoke
            && self.attempted_at.is_some()
            && !matches!(self.narrowing, Some(Narrowing::TakenBack(_)))
            && match self.outcome {
                Outcome::Verified | Outcome::Drifted | Outcome::Failed | Outcome::Unknown => true,
                Outcome::AlreadyGone | Outcome::Refused => false,
            }
    }

    /// The ids of the rules in whose place it put one that is ours, known by its id: also where another
    /// hand changed the group meanwhile, or what became of it was not found out.
    pub fn stands_in_for(&self) -> Option<&[String]> {
        match &self.narrowing {
            Some(Narrowing::InPlaceOf(old))
                if self.attempted_at.is_some()
                    && !self.rule_id().is_empty()
                    && !matches!(self.outcome, Outcome::AlreadyGone | Outcome::Refused) =>
            {
                Some(old)
            }
            _ => None,
        }
    }

    /// Whether it leaves the run's promise unkept (exit 4): attempted and not verified, or done and
    /// the group is still exposed. Left alone before anything was asked for is no attempt.
    pub fn is_broken(&self) -> bool {
        if self.intent_of.is_some() {
            // What a killed run added and nobody can vouch for stays a task, not a record.
            return self.outcome == Outcome::Unknown
                || (self.outcome == Outcome::Drifted && self.stands_in_for().is_some());
        }
        match self.outcome {
            Outcome::Verified | Outcome::AlreadyGone => {
                self.kind == ChangeKind::Revoke
                    && self.checks.iter().any(|check| {
                        self.verdict_after
                            .get(check)
                            .is_some_and(|verdict| verdict == "exposed")
                    })
            }
            Outcome::Drifted => self.attempted_at.is_some(),
            Outcome::Refused | Outcome::Failed | Outcome::Unknown => true,
        }
    }
}

/// Of some changes those that put a rule in another's place and were not taken back since.
pub fn stand_ins(changes: &[Change]) -> Vec<&Change> {
    let is_taken_back = |id: &str| {
        changes.iter().any(|change| {
            matches!(change.narrowing, Some(Narrowing::TakenBack(_)))
                && matches!(change.outcome, Outcome::Verified | Outcome::AlreadyGone)
                && change.rule_id() == id
        })
    };
    changes
        .iter()
        .filter(|change| change.stands_in_for().is_some() && !is_taken_back(change.rule_id()))
        .collect()
}
