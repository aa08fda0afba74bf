//! Interfaces with several groups: all rules of all groups in one order. Where that exposes a point
//! that no group of them exposes alone, the finding is the interfaces'.

use super::assess::{Policy, exposed_run, finding_rule, reason_of};
use super::check::Check;
use super::side::{Direction, Side};
use crate::exposure::set::PortSet;
use crate::exposure::{Certainty, GroupRules, Internet, ReadRule, Run, contributions};
use crate::model::{
    Attached, Family, Finding, FindingRule, FindingState, GroupId, GroupReading, InterfaceNote,
    Lists, Reach, Rule, SecurityGroup, Tag, Verdict,
};
use std::collections::BTreeSet;
use std::sync::Arc;

/// What stays of a group until every group of its region is read: the rules that could decide a
/// packet of a check, which are few.
#[derive(Clone, Debug)]
pub struct Member {
    group: SecurityGroup,
    rules: Vec<Rule>,
    lists: Lists,
    incomplete: Option<String>,
    may_accept: bool,
}

impl Member {
    /// Of a group that was read.
    pub fn of(policy: &Policy, reading: &GroupReading) -> Self {
        let read = GroupRules::read(
            &reading.rules.read,
            &reading.lists,
            reading.group.is_classic(),
        );
        let sides: Vec<(&Check, &Internet)> = judged(policy)
            .map(|check| (check, Side::of(policy, check, &read, None).addresses))
            .collect();
        let counts = |rule: &&ReadRule<'_>| {
            sides.iter().any(|(check, addresses)| {
                let could = |family| {
                    let counted = addresses.of(family);
                    !rule.source_set(family).intersect(counted).is_empty()
                };
                check.looks_at(rule) && Family::ALL.into_iter().any(could)
            })
        };
        let kept: Vec<&ReadRule<'_>> = read.rules().iter().filter(counts).collect();
        let may_accept = kept
            .iter()
            .any(|rule| rule.policy != Some(crate::exposure::Policy::Drop));
        let mut lists = Lists::default();
        for rule in &kept {
            for (from, into, id) in [
                (
                    &reading.lists.prefix,
                    &mut lists.prefix,
                    &rule.rule.source_prefix_list_id,
                ),
                (
                    &reading.lists.port,
                    &mut lists.port,
                    &rule.rule.port_range_list_id,
                ),
            ] {
                if let Some((id, list)) = id.text().and_then(|id| from.get_key_value(id)) {
                    into.insert(id.clone(), Arc::clone(list));
                }
            }
        }
        Self {
            rules: kept.into_iter().map(|rule| rule.rule.clone()).collect(),
            group: reading.group.clone(),
            lists,
            incomplete: reading.rules.incomplete.clone(),
            may_accept,
        }
    }

    /// Nothing about it is certain any more.
    pub fn doubt(&mut self, why: &str) {
        self.incomplete = Some(why.to_owned());
    }

    fn read(&self) -> GroupRules<'_> {
        GroupRules::read(&self.rules, &self.lists, self.group.is_classic())
    }

    fn id(&self) -> GroupId {
        GroupId::new(self.group.id.clone())
    }
}

/// Judges interfaces that have these groups, at least two, by id. A finding for each check under
/// which they are exposed, or may be, where no group is alone. `reach`, `attached` and the ids of
/// the interfaces are the caller's part, as are account and region, taken from `of`.
pub fn assess_together(policy: &Policy, members: &[&Member], of: &Whose<'_>) -> Vec<Finding> {
    let unread = members.iter().any(|member| member.incomplete.is_some());
    // One order of rules accepts no more than its Accepts do, and Drops only take away: with the
    // Accepts of one group there is nothing that this group does not expose alone.
    if !unread && members.iter().filter(|member| member.may_accept).count() < 2 {
        return Vec::new();
    }
    let alone: Vec<GroupRules<'_>> = members.iter().map(|member| member.read()).collect();
    let all = GroupRules::of(
        alone
            .iter()
            .flat_map(|group| group.rules().iter().cloned())
            .collect(),
    );
    let judge = Judge {
        policy,
        members,
        alone: &alone,
        all: &all,
    };
    judged(policy)
        .filter_map(|check| {
            let (mut verdict, runs) = judge.verdict(check, unread)?;
            let mut waiver = None;
            if verdict == Verdict::Exposed {
                let place = (of.account, of.region);
                let groups: Vec<GroupId> = members.iter().map(|member| member.id()).collect();
                waiver = policy
                    .waivers
                    .covering_all(place, &groups, &check.id, &runs);
                if waiver.is_some() {
                    verdict = Verdict::Waived;
                }
            }
            let mut finding = judge.finding(check, verdict, &runs, of);
            finding.waiver = waiver;
            Some(finding)
        })
        .collect()
}

/// The checks that are judged over interfaces: those on what comes in. What goes out, and what a
/// group is, is each group's own.
pub fn judged(policy: &Policy) -> impl Iterator<Item = &Check> {
    policy.checks.iter().filter(|check| is_judged(check))
}

/// Whether a check is judged over interfaces.
pub fn is_judged(check: &Check) -> bool {
    check.direction == Direction::Ingress && !check.kind.is_property()
}

/// Whose interfaces they are.
#[derive(Clone, Debug)]
pub struct Whose<'a> {
    /// The account.
    pub account: &'a crate::model::AccountId,
    /// The region.
    pub region: &'a crate::model::RegionId,
    /// Some of the interfaces, by id.
    pub ids: &'a [String],
    /// How many there are.
    pub count: u64,
    /// What is behind them.
    pub reach: Reach,
    /// Counts of that.
    pub attached: Option<Attached>,
}

struct Judge<'m, 'a> {
    policy: &'m Policy,
    members: &'m [&'m Member],
    alone: &'m [GroupRules<'a>],
    all: &'m GroupRules<'a>,
}

impl Judge<'_, '_> {
    fn addresses(&self, check: &Check) -> &Internet {
        Side::of(self.policy, check, self.all, None).addresses
    }

    fn verdict(&self, check: &Check, unread: bool) -> Option<(Verdict, Vec<Run>)> {
        let addresses = self.addresses(check);
        let together = |certainty| check.exposed(self.all, certainty, addresses);
        let by_one = |certainty| -> Vec<Run> {
            let each = self.alone.iter();
            each.flat_map(|group| check.exposed(group, certainty, addresses))
                .collect()
        };
        if unread {
            return Some((Verdict::Undetermined, together(Certainty::Opening)));
        }
        let certain = without(together(Certainty::Closing), &by_one(Certainty::Closing));
        if !certain.is_empty() {
            let managed = |member: &&Member| member.group.service_managed == Some(true);
            let verdict = if self.members.iter().all(managed) {
                Verdict::Managed
            } else {
                Verdict::Exposed
            };
            return Some((verdict, certain));
        }
        let readable = |group: &GroupRules<'_>| {
            let mut rules = group.rules().iter();
            rules.all(|rule| rule.unreadable.is_empty())
        };
        if readable(self.all) {
            return None;
        }
        // Where a group may be exposed alone, the group's own finding says so.
        let possible = without(together(Certainty::Opening), &by_one(Certainty::Opening));
        (!possible.is_empty()).then_some((Verdict::Undetermined, possible))
    }

    fn finding(&self, check: &Check, verdict: Verdict, runs: &[Run], of: &Whose<'_>) -> Finding {
        let certain = verdict != Verdict::Undetermined;
        let mut rules: Vec<FindingRule> = Vec::new();
        for part in contributions(self.all, self.addresses(check), runs) {
            let reach = part.reach().to_string();
            rules.push(self.owned(finding_rule(part.rule, reach), part.rule));
        }
        if !certain {
            for rule in self.all.rules() {
                if !rule.unreadable.is_empty() && check.looks_at(rule) {
                    rules.push(self.owned(finding_rule(rule, "0".to_owned()), rule));
                }
            }
        }
        let unread: Vec<String> = self
            .members
            .iter()
            .filter_map(|member| {
                let why = member.incomplete.as_ref()?;
                Some(format!("{}: {why}", member.group.id))
            })
            .collect();
        let reason = match (certain, unread.is_empty()) {
            (true, _) => None,
            (false, false) => Some(unread.join(". ")),
            (false, true) => Some(reason_of(&rules)),
        };
        let first = self.members.first();
        // Whoever owns one of the groups is to be told.
        let tags: BTreeSet<Tag> = self
            .members
            .iter()
            .flat_map(|member| member.group.tags.iter().cloned())
            .collect();
        Finding {
            account: of.account.clone(),
            region: of.region.clone(),
            group_id: first.map_or_else(|| GroupId::from(""), |member| member.id()),
            group_name: first.map_or_else(String::new, |member| member.group.name.clone()),
            vpc_id: first.map_or_else(String::new, |member| member.group.vpc_id.clone()),
            tags: Some(tags.into_iter().collect()),
            check: check.id.clone(),
            severity: check.severity,
            verdict,
            first_seen: String::new(),
            state: FindingState::New,
            exposed: runs
                .iter()
                .map(|run| exposed_run(self.addresses(check), run))
                .collect(),
            rules,
            reach: of.reach,
            attached: of.attached.clone(),
            waiver: None,
            reason,
            interface: Some(InterfaceNote {
                ids: of.ids.to_vec(),
                count: of.count,
                groups: self.members.iter().map(|member| member.id()).collect(),
            }),
        }
    }

    /// The same with the group whose rule it is.
    fn owned(&self, mut shown: FindingRule, rule: &ReadRule<'_>) -> FindingRule {
        let owner = self.members.iter().find(|member| {
            let mut rules = member.rules.iter();
            rules.any(|own| std::ptr::eq(own, rule.rule))
        });
        shown.group_id = owner.map(|member| member.id());
        shown
    }
}

/// The points of runs that are in none of the others.
fn without(runs: Vec<Run>, others: &[Run]) -> Vec<Run> {
    let mut out = Vec::new();
    for run in runs {
        let same: Vec<&Run> = others
            .iter()
            .filter(|other| other.family == run.family && other.protocol == run.protocol)
            .collect();
        let Some((low, high)) = run.ports else {
            if same.is_empty() {
                out.push(run);
            }
            continue;
        };
        let taken = PortSet::from_ranges(same.iter().filter_map(|other| other.ports));
        for (from, to) in taken.complement().ranges() {
            let ports = (low.max(*from), high.min(*to));
            if ports.0 <= ports.1 {
                out.push(Run {
                    ports: Some(ports),
                    ..run.clone()
                });
            }
        }
    }
    out
}
