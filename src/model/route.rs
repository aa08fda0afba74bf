//! The part of a run that one recipient is responsible for.

use super::{AccountId, Finding, IdleRule, RegionId, Severity, Tag};
use serde::Serialize;

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
