//! The part of a run that one recipient is responsible for, and the forms of messages into chats.

use super::{AccountId, Finding, IdleRule, RegionId, Severity, Tag};
use serde::{Deserialize, Serialize};

/// What a recipient wants to hear of. What is left out narrows nothing.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Route {
    /// A group has all of them.
    pub tags: Vec<Tag>,
    /// One of them; none: every account.
    pub accounts: Vec<AccountId>,
    /// One of them; none: every region.
    pub regions: Vec<RegionId>,
    /// At least this grave.
    pub severity: Option<Severity>,
}

impl Route {
    /// Whether it leaves nothing out.
    pub fn is_everything(&self) -> bool {
        *self == Self::default()
    }

    /// Whether a place is in it, whatever the group.
    pub fn has_place(&self, account: &AccountId, region: &RegionId) -> bool {
        (self.accounts.is_empty() || self.accounts.contains(account))
            && (self.regions.is_empty() || self.regions.contains(region))
    }

    /// Whether an idle rule is in it. It has no severity: whoever asks for one does not ask for these.
    pub fn has_idle(&self, idle: &IdleRule) -> bool {
        self.has_place(&idle.account, &idle.region)
            && self.tags.iter().all(|wanted| idle.tags.contains(wanted))
            && self.severity.is_none()
    }

    /// Whether a finding is in it. One whose group's tags are not known (of a run of an older version)
    /// is in every route by tags: not known is not "somebody else's".
    pub fn has(&self, finding: &Finding) -> bool {
        let tagged = finding
            .tags
            .as_ref()
            .is_none_or(|tags| self.tags.iter().all(|wanted| tags.contains(wanted)));
        self.has_place(&finding.account, &finding.region)
            && tagged
            && self.severity.is_none_or(|least| finding.severity >= least)
    }
}

/// Whose form a message into a chat has.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
#[expect(missing_docs, reason = "the words are the meaning")]
pub enum WebhookKind {
    Dingtalk,
    Feishu,
    Wecom,
    Slack,
    Generic,
}

impl WebhookKind {
    /// All of them.
    pub const ALL: [Self; 5] = [
        Self::Dingtalk,
        Self::Feishu,
        Self::Wecom,
        Self::Slack,
        Self::Generic,
    ];

    /// The inverse of [`WebhookKind::as_str`].
    pub fn parse(text: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|kind| kind.as_str() == text)
    }

    /// The word in configuration.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Dingtalk => "dingtalk",
            Self::Feishu => "feishu",
            Self::Wecom => "wecom",
            Self::Slack => "slack",
            Self::Generic => "generic",
        }
    }
}
