//! What uses the groups, beside their reading: reach of findings, groups that nothing uses, and
//! interfaces with several groups, judged when all of a region's groups are read.

use crate::model::{
    AccountId, AttachedCoverage, Attachments, Finding, GroupId, GroupReading, IdleKind, IdleRule,
    RegionCoverage, RegionId, subject_of,
};
use crate::policy::{History, Member, Policy, Whose, assess_together, together};
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

/// Unused groups of one region that are named; all are counted. A region begins with a quota of a
/// hundred groups.
const MOST_UNUSED: u64 = 1000;

/// Groups named in a warning about interfaces that were not judged.
const MOST_NAMED: usize = 5;

/// The regions that are being read.
#[derive(Default)]
pub(super) struct Places(BTreeMap<(AccountId, RegionId), Place>);

/// One region, while its groups pass.
struct Place {
    attachments: Arc<Attachments>,
    /// Groups that an interface has together with others; their rules are kept.
    shared: BTreeSet<GroupId>,
    members: BTreeMap<GroupId, Member>,
    unused: u64,
    /// A group of the classic network was read.
    classic: bool,
}

impl Places {
    pub(super) fn begin(
        &mut self,
        account: AccountId,
        region: RegionId,
        attachments: Arc<Attachments>,
    ) {
        let sets = attachments.together.iter();
        let place = Place {
            shared: sets
                .filter(|(_, together)| together.uses.interfaces > 0)
                .flat_map(|(groups, _)| groups.iter().cloned())
                .collect(),
            members: BTreeMap::new(),
            unused: 0,
            classic: false,
            attachments,
        };
        self.0.insert((account, region), place);
    }

    /// Takes note of a group that was read, and says what is behind its findings; the line of one that
    /// nothing uses.
    pub(super) fn group(
        &mut self,
        policy: &Policy,
        reading: &GroupReading,
        findings: &mut [Finding],
    ) -> Option<IdleRule> {
        self.reach(findings);
        let key = (reading.account.clone(), reading.region.clone());
        let place = self.0.get_mut(&key)?;
        let id = reading.id();
        place.classic |= reading.group.is_classic();
        if place.shared.contains(&id) {
            place.members.insert(id, Member::of(policy, reading));
            return None;
        }
        if place.attachments.instances.is_none() || place.attachments.groups.contains_key(&id) {
            return None;
        }
        place.unused = place.unused.saturating_add(1);
        (place.unused <= MOST_UNUSED).then(|| IdleRule {
            account: reading.account.clone(),
            region: reading.region.clone(),
            group_id: id,
            group_name: reading.group.name.clone(),
            tags: reading.group.tags.clone(),
            kind: IdleKind::UnusedGroup,
            rule_id: String::new(),
            policy: String::new(),
            priority: String::new(),
            protocol: String::new(),
            port_range: String::new(),
            source: String::new(),
            description: String::new(),
            by: Vec::new(),
        })
    }

    /// Says what is behind groups' findings.
    pub(super) fn reach(&self, findings: &mut [Finding]) {
        for finding in findings {
            let key = (finding.account.clone(), finding.region.clone());
            if let Some(place) = self.0.get(&key) {
                (finding.reach, finding.attached) = place.attachments.of(&finding.group_id);
            }
        }
    }

    /// A group about which nothing is certain any more.
    pub(super) fn doubt(
        &mut self,
        account: &AccountId,
        region: &RegionId,
        group: &GroupId,
        why: &str,
    ) {
        let place = self.0.get_mut(&(account.clone(), region.clone()));
        if let Some(member) = place.and_then(|place| place.members.get_mut(group)) {
            member.doubt(why);
        }
    }

    /// Judges the interfaces of a region whose groups are all read, and notes in its coverage what
    /// was looked at.
    pub(super) fn end(
        &mut self,
        policy: &Policy,
        coverage: &mut RegionCoverage,
        history: &mut History,
    ) -> Vec<Finding> {
        let (account, region) = (coverage.account.clone(), coverage.region.clone());
        let Some(place) = self.0.remove(&(account.clone(), region.clone())) else {
            return Vec::new();
        };
        let attachments = &place.attachments;
        let known = attachments.instances.is_some();
        let mut out = AttachedCoverage {
            interfaces: attachments.interfaces,
            instances: attachments.instances,
            unused: known.then_some(place.unused),
            classic_unknown: !known && place.classic,
            ..AttachedCoverage::default()
        };
        let mut findings = Vec::new();
        let mut absent: BTreeSet<&GroupId> = BTreeSet::new();
        for (groups, together) in &attachments.together {
            let count = together.uses.interfaces;
            if count == 0 {
                continue;
            }
            let members: Vec<&Member> = groups
                .iter()
                .filter_map(|group| place.members.get(group))
                .collect();
            if members.len() < groups.len() {
                out.not_judged = out.not_judged.saturating_add(count);
                absent.extend(groups.iter().filter(|g| !place.members.contains_key(*g)));
                continue;
            }
            out.judged = out.judged.saturating_add(count);
            let (reach, attached) = attachments.of_set(groups);
            let whose = Whose {
                account: &account,
                region: &region,
                ids: &together.ids,
                count,
                reach,
                attached,
            };
            let found = assess_together(policy, &members, &whose);
            for check in together::judged(policy) {
                if !found.iter().any(|finding| finding.check == check.id) {
                    let subject = subject_of(groups);
                    history.saw_compliant(account.as_str(), region.as_str(), &subject, &check.id);
                }
            }
            findings.extend(found);
        }
        if !absent.is_empty() {
            let names: Vec<&str> = absent
                .iter()
                .take(MOST_NAMED)
                .map(|group| group.as_str())
                .collect();
            let more = match absent.len().saturating_sub(names.len()) {
                0 => String::new(),
                n => format!(" and {n} more"),
            };
            coverage.warnings.push(format!(
                "{} interfaces with several groups were not judged by all their rules: {}{more} \
                 was not read in this run (out of scope, or not listed)",
                out.not_judged,
                names.join(", ")
            ));
        }
        coverage.attached = Some(out);
        findings
    }
}
