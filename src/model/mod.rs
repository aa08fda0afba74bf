//! The nouns everyone speaks. Plain data, parsed and formatted; imports no other module.
//!
//! | file | holds |
//! | --- | --- |
//! | `actions` | every action of the cloud that may be called, and the permission it needs |
//! | `ids` | account, region, group and run ids |
//! | `group` | what the cloud said: security groups, rules, prefix lists, one group's reading |
//! | `verdict` | what it means: verdicts, findings, severities |
//! | `attached` | what uses the groups of a region, and what another source says is in it |
//! | `idle` | rules that do nothing |
//! | `change` | changes: planned, held, made |
//! | `respelled` | how a rule reads otherwise when it is back |
//! | `opened` | who opened a rule, by the cloud's own history of calls |
//! | `control` | clauses of frameworks, and what a run says of them |
//! | `coverage` | what was read and what was not |
//! | `record` | one run as a value: all that a renderer may see |
//! | `route` | the part of a run that one recipient hears of |
//! | `secret` | a secret that passes through, and its name where it is kept |
//!
//! To add a noun: a file here, if two other modules speak of it; else keep it where it is used.

pub mod actions;
mod attached;
mod change;
mod control;
mod coverage;
mod diff;
mod fire;
mod group;
mod idle;
mod ids;
mod opened;
mod record;
pub mod respelled;
mod route;
mod secret;
mod trend;
mod verdict;
mod waiver;

pub use attached::{AttachedCoverage, Attachments, Expected, Together, Uses};
pub use change::{
    ApiRequest, Change, ChangeKind, Held, HoldReason, Narrowing, Outcome, Proposal, Traffic,
    stand_ins,
};
pub use control::{
    Clause, ClauseLeast, Control, ControlResult, ControlStatus, Looser, LostReference, Unassessed,
};
pub use coverage::{CallError, Coverage, RegionCoverage, RegionStatus, UnnamedRegions};
pub use diff::{
    CoverageChange, FieldChange, FindingChange, FindingName, Incomparable, RunDiff, RunSide,
    WaiverChange,
};
pub use fire::{AtHand, Chat, Fired, Fires, LastFire, People, Recipients};
pub use group::{
    Field, GroupReading, ListReading, Lists, NicType, RawAnswer, Rule, Rules, SecurityGroup, Tag,
};
pub use idle::{IdleKind, IdleRule};
pub use ids::{AccountId, GroupId, RegionId, RunId, Sha256};
pub use opened::{
    Confirmation, Confirmed, OpenedBy, Opening, OpeningEvent, Sureness, TrailEvent, TrailIdentity,
    Unanswered, UnknownReason,
};
pub use record::{
    Approval, Artifact, CheckInfo, DeliverySettings, Identity, Language, PopulationRow,
    Reevaluation, RunHeader, RunRecord, Scope, Times, Totals, Trigger, TriggerResource,
};
pub use route::{Route, WebhookKind};
pub use secret::{Secret, SecretName};
pub use trend::{BySeverity, SeverityCounts, Trend, TrendPoint};
pub use verdict::{
    Attached, ExposedRun, Family, Finding, FindingRule, FindingState, InterfaceNote, Protocol,
    Reach, Severity, Verdict, WaiverNote, subject_of,
};
pub use waiver::{WaiverState, WaiverUse};
