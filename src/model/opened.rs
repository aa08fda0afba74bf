//! Who opened a rule, and which of our own changes others recorded: from ActionTrail's history.

use super::{AccountId, GroupId, RegionId, RunId};
use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// One call as the history has it, nothing interpreted. Every text is foreign, and who made the call
/// chose some of them (user agent, session name).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TrailEvent {
    /// `eventId`, unique.
    pub id: String,
    /// `requestId`: what the caller got back.
    pub request_id: String,
    /// `eventName`, such as `AuthorizeSecurityGroup`.
    pub name: String,
    /// `serviceName`, such as `Ecs`.
    pub service: String,
    /// `eventTime`, whole seconds.
    pub time: DateTime<Utc>,
    /// `acsRegion`
    pub region: String,
    /// `eventType`: `ApiCall`, `ConsoleOperation`, `AliyunServiceEvent`, ...
    pub kind: String,
    /// `errorCode`; empty: it succeeded.
    pub error_code: String,
    /// `sourceIpAddress`; not always an address.
    pub source: String,
    /// `userAgent`
    pub user_agent: String,
    /// `userIdentity`
    pub identity: TrailIdentity,
    /// `requestParameters`, flattened as RPC calls are.
    pub params: BTreeMap<String, String>,
    /// `responseElements`, likewise.
    pub answered: BTreeMap<String, String>,
}

/// `userIdentity` of an event.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct TrailIdentity {
    /// `root-account`, `ram-user`, `assumed-role`, `system`, or what else there is.
    pub kind: String,
    /// `principalId`
    pub principal: String,
    /// `accountId`
    pub account: String,
    /// `accessKeyId`; absent for sign-ins.
    pub access_key: String,
    /// `userName`; of a role `role:session`.
    pub user: String,
}

/// How sure it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Sureness {
    /// One recorded call fits in every field, at the time the rule was made.
    Certain,
    /// It came with the group, whose maker is named.
    Likely,
    /// See the reason.
    Unknown,
}

impl Sureness {
    /// The word used everywhere.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Certain => "certain",
            Self::Likely => "likely",
            Self::Unknown => "unknown",
        }
    }
}

/// What opened it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Opening {
    /// The call that made the rule.
    Authorized,
    /// A later call that changed it.
    Modified,
    /// The making of the group.
    WithGroup,
}

/// Why it is not known. An empty history is never "nobody".
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum UnknownReason {
    /// The rule was made before the 90 days that the history keeps.
    TooOld,
    /// It was made minutes ago, and calls show after about ten.
    TooNew,
    /// `actiontrail:LookupEvents` is not granted.
    NoPermission,
    /// The region has no ActionTrail host that is known.
    NoEndpoint,
    /// Throttled, not answered, or not understood.
    CallFailed,
    /// The run's calls, pages or time were used up.
    BudgetSpent,
    /// The whole time was read, and no call fits.
    NoEvent,
    /// More than one call fits.
    Ambiguous,
    /// The call that made it said something else, and who changed it since is not recorded.
    ChangedSince,
    /// A cloud service did it: no person is recorded.
    ByService,
    /// The rule has no id or no time to look for it by.
    Unidentified,
}

impl UnknownReason {
    /// All of them.
    pub const ALL: [Self; 11] = [
        Self::TooOld,
        Self::TooNew,
        Self::NoPermission,
        Self::NoEndpoint,
        Self::CallFailed,
        Self::BudgetSpent,
        Self::NoEvent,
        Self::Ambiguous,
        Self::ChangedSince,
        Self::ByService,
        Self::Unidentified,
    ];

    /// The word used everywhere.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::TooOld => "too_old",
            Self::TooNew => "too_new",
            Self::NoPermission => "no_permission",
            Self::NoEndpoint => "no_endpoint",
            Self::CallFailed => "call_failed",
            Self::BudgetSpent => "budget_spent",
            Self::NoEvent => "no_event",
            Self::Ambiguous => "ambiguous",
            Self::ChangedSince => "changed_since",
            Self::ByService => "by_service",
            Self::Unidentified => "unidentified",
        }
    }
}

/// A question that the history did not answer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Unanswered {
    /// Why.
    pub reason: UnknownReason,
    /// What the service said, or what was used up; may be empty.
    pub detail: String,
}

/// One recorded call, as reports show it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct OpeningEvent {
    /// `eventId`
    pub event_id: String,
    /// `eventName`
    pub action: String,
    /// When, RFC 3339 UTC.
    pub time: String,
    /// `userName`; of a role `role:session`, where the session's name is the caller's choice.
    pub principal: String,
    /// `ram-user`, `assumed-role`, `root-account`, `system`, ...
    pub principal_type: String,
    /// `principalId`
    pub principal_id: String,
    /// The identity's account.
    pub account: String,
    /// The access key's id, or empty.
    pub access_key_id: String,
    /// `sourceIpAddress`; not always an address.
    pub source: String,
    /// What made the call, read off the user agent; forgeable.
    pub tool: String,
    /// The user agent itself.
    pub user_agent: String,
}

/// Who opened a rule. Not who added entries to its lists, or removed a Drop above it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct OpenedBy {
    /// How sure it is.
    pub sureness: Sureness,
    /// What opened it, where that is known.
    pub how: Option<Opening>,
    /// Why it is not known; always there with `unknown`, and only then.
    pub reason: Option<UnknownReason>,
    /// The call; with `ambiguous` each that fits.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub events: Vec<OpeningEvent>,
    /// Of a rule that was opened by a later change, or changed since: the call that made it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub created_by: Option<OpeningEvent>,
    /// More about the reason, such as what the service answered; may be empty.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub detail: String,
}

/// What the history says of a change that an earlier run made.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Confirmed {
    /// It has a call with the same request id, of the same group.
    Confirmed,
    /// The whole time was read, and it has none.
    Missing,
    /// Made too few minutes ago; asked again by the next run.
    TooEarly,
    /// The history could not be read; asked again by the next run.
    Unread,
}

impl Confirmed {
    /// The word used everywhere.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Confirmed => "confirmed",
            Self::Missing => "missing",
            Self::TooEarly => "too_early",
            Self::Unread => "unread",
        }
    }
}

/// A change of an earlier run, held against a record that is not ours.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Confirmation {
    /// The run that made it.
    pub run: RunId,
    /// The account.
    pub account: AccountId,
    /// The region.
    pub region: RegionId,
    /// The group.
    pub group_id: GroupId,
    /// The call, such as `RevokeSecurityGroup`.
    pub action: String,
    /// Its request id, by which the two records meet.
    pub request_id: String,
    /// When we asked for it, RFC 3339 UTC.
    pub attempted_at: String,
    /// What was found.
    pub found: Confirmed,
    /// Who made the call, as the history has it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub event: Option<OpeningEvent>,
    /// Why it could not be read.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub detail: String,
}
