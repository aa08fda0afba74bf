//! What uses the groups of a region, and what another source says there is in it.

use super::{Attached, GroupId, Reach};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// Interfaces that are named, of those that have the same groups: enough to begin with, and a fleet
/// of thousands has one set of groups.
const MOST_NAMED: usize = 20;

/// What uses one group, or one set of groups together.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Uses {
    /// Network interfaces, and instances of the classic network, which have none.
    pub interfaces: u64,
    /// Of those, with a public or elastic IPv4 address.
    pub reachable: u64,
    /// Distinct instances behind them.
    pub instances: u64,
    /// An interface has an IPv6 address: whether that has internet bandwidth is not in the answers.
    pub perhaps_ipv6: bool,
}

/// Interfaces with one and the same set of several groups.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Together {
    /// Their ids in the service's order, the first ones.
    pub ids: Vec<String>,
    /// What they are.
    pub uses: Uses,
}

impl Together {
    /// Notes an interface's id.
    pub fn name(&mut self, id: &str) {
        if self.ids.len() < MOST_NAMED {
            self.ids.push(id.to_owned());
        }
    }
}

/// What uses the groups of one region: as much as counts and sets of groups, never the interfaces.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Attachments {
    /// By group; one that is not in it has no interface.
    pub groups: BTreeMap<GroupId, Uses>,
    /// By set of groups, sorted, of at least two.
    pub together: BTreeMap<Vec<GroupId>, Together>,
    /// Interfaces listed.
    pub interfaces: u64,
    /// Instances listed; `None` where they could not be.
    pub instances: Option<u64>,
}

impl Attachments {
    /// What is behind a group.
    pub fn of(&self, group: &GroupId) -> (Reach, Option<Attached>) {
        self.reach(self.groups.get(group))
    }

    /// What is behind a set of groups.
    pub fn of_set(&self, groups: &[GroupId]) -> (Reach, Option<Attached>) {
        self.reach(self.together.get(groups).map(|together| &together.uses))
    }

    /// Without the instances nothing is known of their public addresses, nor of the classic network.
    fn reach(&self, uses: Option<&Uses>) -> (Reach, Option<Attached>) {
        let whole = self.instances.is_some();
        let none = Uses::default();
        let known = uses.unwrap_or(&none);
        let reach = match known {
            uses if uses.reachable > 0 => Reach::Internet,
            uses if !whole || uses.perhaps_ipv6 => Reach::Unknown,
            uses if uses.interfaces > 0 => Reach::Attached,
            _ => Reach::None,
        };
        let counts = Attached {
            interfaces: known.interfaces,
            reachable: known.reachable,
            instances: known.instances,
        };
        (reach, whole.then_some(counts))
    }
}

/// What was seen of interfaces and instances in one region.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct AttachedCoverage {
    /// Interfaces listed.
    pub interfaces: u64,
    /// Instances listed; `None` where they could not be.
    pub instances: Option<u64>,
    /// Interfaces with several groups that were judged by all their rules.
    pub judged: u64,
    /// Interfaces with several groups that were not, since a group of theirs is out of scope, or was
    /// not read: no finding speaks of them.
    pub not_judged: u64,
    /// There are groups of the classic network, and its instances, which have no interfaces, could not be
    /// listed: which of them have several groups is not known.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub classic_unknown: bool,
    /// Groups that none of these uses; `None` where that is not known. They are among the record's idle
    /// rules.
    pub unused: Option<u64>,
}

/// What another source says there is in a region, against what was listed.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Expected {
    /// `cloud-config`
    pub source: String,
    /// Groups that it calls existing.
    pub count: u64,
    /// Of those, not in our listing, and not made since it began.
    pub missing: u64,
    /// In our listing and not there: the source lags, or does not watch all.
    pub surplus: u64,
    /// Of the missing, those that answer when they are read by id, or refuse to be read: the run is
    /// INCOMPLETE. The first hundred.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub unlisted: Vec<GroupId>,
}

impl Expected {
    /// The name of the one source there is.
    pub const CLOUD_CONFIG: &str = "cloud-config";
}
