//! Which rules a finding rests on.

use super::first_match::{GroupRules, Run};
use super::internet::Internet;
use super::reading::{Certainty, Policy, ReadRule};
use super::set::{AddressSet, PortRange};
use crate::model::Family;

/// A readable Accept that by itself lets at least one internet packet of an exposed point in, after
/// all Drops that come before it have taken theirs.
#[derive(Clone, Debug)]
pub struct Contribution<'r, 'a> {
    /// The rule.
    pub rule: &'r ReadRule<'a>,
    /// Its reach in IPv4: the most internet addresses it alone lets in at one exposed point.
    pub reach_v4: u128,
    /// Its reach in IPv6.
    pub reach_v6: u128,
}

impl Contribution<'_, '_> {
    /// The larger of both families.
    pub fn reach(&self) -> u128 {
        self.reach_v4.max(self.reach_v6)
    }
}

/// The rules to blame for exposed runs, by falling reach (ties: by rule id). Accepts shadow each
/// other for traffic but not for blame.
pub fn contributions<'r, 'a>(
    group: &'r GroupRules<'a>,
    internet: &Internet,
    exposed: &[Run],
) -> Vec<Contribution<'r, 'a>> {
    // "Drops that come before" are those of the closing reading.
    let order = group.in_order(Certainty::Closing);
    let mut out: Vec<Contribution<'r, 'a>> = Vec::new();
    for (at, (policy, rule)) in order.iter().enumerate() {
        if *policy != Policy::Accept || !rule.is_readable_accept() {
            continue;
        }
        let drops: Vec<&ReadRule<'a>> = order
            .iter()
            .take(at)
            .filter(|(policy, _)| *policy == Policy::Drop)
            .map(|(_, drop)| *drop)
            .collect();
        let (mut reach_v4, mut reach_v6) = (0u128, 0u128);
        for run in exposed {
            let best = reach_in_run(rule, &drops, internet, run);
            match run.family {
                Family::Ipv4 => reach_v4 = reach_v4.max(best),
                Family::Ipv6 => reach_v6 = reach_v6.max(best),
            }
        }
        if reach_v4 > 0 || reach_v6 > 0 {
            out.push(Contribution {
                rule,
                reach_v4,
                reach_v6,
            });
        }
    }
    out.sort_by(|a, b| {
        b.reach()
            .cmp(&a.reach())
            .then_with(|| a.rule.rule.id().cmp(b.rule.rule.id()))
    });
    out
}

/// The most internet addresses the rule alone lets in at one point of the run.
fn reach_in_run(
    rule: &ReadRule<'_>,
    drops: &[&ReadRule<'_>],
    internet: &Internet,
    run: &Run,
) -> u128 {
    if !rule.protocols.has(run.protocol) {
        return 0;
    }
    let own = rule
        .source_set(run.family)
        .intersect(internet.of(run.family));
    if own.is_empty() {
        return 0;
    }
    let Some(ports) = run.ports else {
        return after_drops(&own, drops, run, None).count();
    };
    // The rule's ports in the run, cut where a Drop begins or ends.
    let mut best = 0;
    for (low, high) in rule.ports.as_slice() {
        let (low, high) = ((*low).max(ports.0), (*high).min(ports.1));
        if low > high {
            continue;
        }
        for port in first_ports((low, high), drops) {
            best = best.max(after_drops(&own, drops, run, Some(port)).count());
        }
    }
    best
}

/// One port for each stretch of the range that the Drops treat alike.
fn first_ports((low, high): PortRange, drops: &[&ReadRule<'_>]) -> Vec<u16> {
    let mut starts = vec![low];
    for drop in drops {
        for (from, to) in drop.ports.as_slice() {
            starts.push(*from);
            starts.extend(to.checked_add(1));
        }
    }
    starts.retain(|port| low <= *port && *port <= high);
    starts.sort_unstable();
    starts.dedup();
    starts
}

fn after_drops(
    own: &AddressSet,
    drops: &[&ReadRule<'_>],
    run: &Run,
    port: Option<u16>,
) -> AddressSet {
    let taken = AddressSet::from_ranges(
        drops
            .iter()
            .filter(|drop| drop.matches_point(run.protocol, port))
            .flat_map(|drop| drop.sources(run.family).iter().copied()),
    );
    own.subtract(&taken)
}

/// The rules to revoke: of candidates by falling reach, take until nothing is exposed, then give
/// back, last taken first, each that is not needed. `closes` says whether the group without those
/// is closed. `None`: not even all of them close it.
///
/// The result is irreducible: none of its rules can be spared.
pub fn cut<K: Clone + Ord>(
    candidates: &[K],
    closes: impl Fn(&std::collections::BTreeSet<K>) -> bool,
) -> Option<Vec<K>> {
    let mut taken: Vec<K> = Vec::new();
    let mut set = std::collections::BTreeSet::new();
    let mut closed = closes(&set);
    for candidate in candidates {
        if closed {
            break;
        }
        taken.push(candidate.clone());
        set.insert(candidate.clone());
        closed = closes(&set);
    }
    if !closed {
        return None;
    }
    for candidate in taken.iter().rev() {
        set.remove(candidate);
        if !closes(&set) {
            set.insert(candidate.clone());
        }
    }
    Some(
        taken
            .into_iter()
            .filter(|candidate| set.contains(candidate))
            .collect(),
    )
}

/// What a rule alone lets in from the internet at each point of a protocol and scope, after the
/// Drops that come before it: runs with their sets.
pub fn reach_after_drops(
    group: &GroupRules<'_>,
    rule: &ReadRule<'_>,
    internet: &Internet,
    family: Family,
    protocol: crate::model::Protocol,
    scope: &super::set::PortSet,
) -> Vec<Run> {
    let order = group.in_order(Certainty::Closing);
    let Some(place) = order
        .iter()
        .position(|(_, other)| std::ptr::eq(*other, rule))
    else {
        return Vec::new();
    };
    let drops = order
        .iter()
        .take(place)
        .filter(|(policy, _)| *policy == Policy::Drop)
        .map(|(_, drop)| (*drop).clone());
    GroupRules::of(drops.chain([rule.clone()]).collect()).accepted(
        Certainty::Closing,
        internet,
        family,
        protocol,
        scope,
    )
}
