//! Which rules a finding rests on.

use super::first_match::{GroupRules, Run, borders, covers};
use super::internet::Internet;
use super::left::Left;
use super::reading::{Certainty, Policy, ReadRule};
use super::set::{AddressSet, PortSet};
use crate::model::{Family, Protocol};

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
    // Then both readings are one, and a run has what the closing one accepts.
    let all_read = group.rules().iter().all(|rule| rule.unreadable.is_empty());
    let mut parts: Vec<Contribution<'r, 'a>> = order
        .iter()
        .map(|(_, rule)| Contribution {
            rule,
            reach_v4: 0,
            reach_v6: 0,
        })
        .collect();
    for family in Family::ALL {
        for protocol in Protocol::ALL {
            let is_here = |run: &&Run| run.family == family && run.protocol == protocol;
            let runs: Vec<&Run> = exposed.iter().filter(is_here).collect();
            if runs.is_empty() {
                continue;
            }
            let of_all = match only_accept(&order, family, protocol, &runs) {
                // What comes in is what it lets in.
                Some(place) if all_read => {
                    let most = runs.iter().map(|run| run.sources.count()).max();
                    vec![(place, most.unwrap_or(0))]
                }
                _ => {
                    let actors = actors(&order, internet.of(family), family, protocol, &runs);
                    reaches(&actors, internet.of(family), &runs)
                }
            };
            for (place, best) in of_all {
                let Some(part) = parts.get_mut(place) else {
                    continue;
                };
                match family {
                    Family::Ipv4 => part.reach_v4 = part.reach_v4.max(best),
                    Family::Ipv6 => part.reach_v6 = part.reach_v6.max(best),
                }
            }
        }
    }
    parts.retain(|part| part.reach() > 0);
    parts.sort_by(|a, b| {
        b.reach()
            .cmp(&a.reach())
            .then_with(|| a.rule.rule.id().cmp(b.rule.rule.id()))
    });
    parts
}

/// The place of the one Accept that reaches the runs; `None` where there are more.
fn only_accept(
    order: &[(Policy, &ReadRule<'_>)],
    family: Family,
    protocol: Protocol,
    runs: &[&Run],
) -> Option<usize> {
    let scope = scope(runs);
    let mut accepts = order.iter().enumerate().filter(|(_, (policy, rule))| {
        *policy == Policy::Accept && rule.reaches(family, protocol, &scope)
    });
    match (accepts.next(), accepts.next()) {
        (Some((place, _)), None) => Some(place),
        _ => None,
    }
}

/// The ports of some runs.
fn scope(runs: &[&Run]) -> PortSet {
    PortSet::from_ranges(runs.iter().filter_map(|run| run.ports))
}

/// A rule that has a part in some exposed runs of one family and protocol.
struct Actor<'r, 'a> {
    /// In deciding order.
    place: usize,
    is_drop: bool,
    rule: &'r ReadRule<'a>,
    sources: AddressSet,
    /// How many internet addresses its sources have, before any Drop.
    most: u128,
}

/// The Drops and readable Accepts that reach one of the runs, in deciding order.
fn actors<'r, 'a>(
    order: &[(Policy, &'r ReadRule<'a>)],
    net: &AddressSet,
    family: Family,
    protocol: Protocol,
    runs: &[&Run],
) -> Vec<Actor<'r, 'a>> {
    let scope = scope(runs);
    order
        .iter()
        .enumerate()
        .filter(|(_, (policy, rule))| {
            (*policy == Policy::Drop || rule.is_readable_accept())
                && rule.reaches(family, protocol, &scope)
        })
        .map(|(place, (policy, rule))| {
            let sources = rule.source_set(family);
            let counts = sources
                .ranges()
                .iter()
                .map(|range| net.count_within(*range));
            Actor {
                place,
                is_drop: *policy == Policy::Drop,
                rule,
                most: counts.fold(0, u128::saturating_add),
                sources,
            }
        })
        .collect()
}

/// For each Accept, by its place: the most internet addresses it alone lets in at one point of the
/// runs.
fn reaches(actors: &[Actor<'_, '_>], net: &AddressSet, runs: &[&Run]) -> Vec<(usize, u128)> {
    let mut best = vec![0u128; actors.len()];
    let ranges = actors.iter().flat_map(|actor| actor.sources.ranges());
    let untouched = Left::new(net, ranges.copied());
    for run in runs {
        // Ports between two borders of the Drops are treated alike.
        let stretches = match run.ports {
            None => vec![None],
            Some(ports) => {
                let drops = actors.iter().filter(|actor| actor.is_drop);
                let cut = borders(drops.map(|drop| drop.rule), &PortSet::from_ranges([ports]));
                cut.into_iter().map(Some).collect()
            }
        };
        for stretch in stretches {
            let is_here = |actor: &Actor<'_, '_>| match stretch {
                None => true,
                Some(ports) if actor.is_drop => covers(actor.rule, ports),
                Some((low, high)) => {
                    let mut ranges = actor.rule.ports.as_slice().iter();
                    ranges.any(|(from, to)| low <= *to && *from <= high)
                }
            };
            let could_grow = |(actor, best): (&Actor<'_, '_>, &u128)| {
                !actor.is_drop && *best < actor.most && is_here(actor)
            };
            if !actors.iter().zip(&best).any(could_grow) {
                continue;
            }
            let mut left = untouched.clone();
            for (actor, best) in actors
                .iter()
                .zip(&mut best)
                .filter(|(actor, _)| is_here(actor))
            {
                let ranges = actor.sources.ranges().iter().copied();
                if actor.is_drop {
                    ranges.for_each(|range| left.take(range));
                } else if *best < actor.most {
                    let lets_in = ranges.map(|range| left.count(range));
                    *best = lets_in.fold(0, u128::saturating_add).max(*best);
                }
            }
        }
    }
    actors
        .iter()
        .zip(best)
        .filter(|(actor, _)| !actor.is_drop)
        .map(|(actor, best)| (actor.place, best))
        .collect()
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
    protocol: Protocol,
    scope: &PortSet,
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
