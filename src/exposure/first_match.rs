//! First match wins: which internet sources each point of a group accepts.
//!
//! A point is (family, protocol, port). Ports between two borders of the rules' ranges are decided
//! alike, so a segment of ports is decided once.

use super::internet::Internet;
use super::reading::{Certainty, Policy, ReadRule, read_rule};
use super::set::{AddressRange, AddressSet, PortRange, PortSet};
use crate::model::{Family, Lists, Protocol, Rule};
use std::cmp::Reverse;
use std::collections::BinaryHeap;

/// A group's ingress rules as read.
#[derive(Clone, Debug)]
pub struct GroupRules<'a> {
    rules: Vec<ReadRule<'a>>,
}

/// One rule's place in the order under one reading.
#[derive(Clone, Copy)]
struct Acting<'r, 'a> {
    policy: Policy,
    rule: &'r ReadRule<'a>,
}

/// A maximal run of ports of one protocol and family whose accepted internet sources are one and
/// the same set, never empty.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Run {
    /// Address family.
    pub family: Family,
    /// Protocol.
    pub protocol: Protocol,
    /// `None` for protocols without ports.
    pub ports: Option<PortRange>,
    /// S: the internet sources, less the trusted, whose packet is accepted.
    pub sources: AddressSet,
}

impl<'a> GroupRules<'a> {
    /// Reads the rules of one group.
    pub fn read(rules: &'a [Rule], lists: &Lists, classic: bool) -> Self {
        Self {
            rules: rules
                .iter()
                .filter_map(|rule| read_rule(rule, lists, classic))
                .collect(),
        }
    }

    /// Of rules that were read already.
    pub fn of(rules: Vec<ReadRule<'a>>) -> Self {
        Self { rules }
    }

    /// The same group without the rules of those ids.
    pub fn without(&self, ids: &std::collections::BTreeSet<String>) -> Self {
        let keep = |rule: &&ReadRule<'a>| !ids.contains(rule.rule.id());
        Self {
            rules: self.rules.iter().filter(keep).cloned().collect(),
        }
    }

    /// The ingress rules, in the service's order.
    pub fn rules(&self) -> &[ReadRule<'a>] {
        &self.rules
    }

    /// The rules that act under one reading, in the order in which they decide.
    fn acting(&self, certainty: Certainty) -> Vec<Acting<'_, 'a>> {
        let mut acting: Vec<((u128, Policy), Acting<'_, 'a>)> = self
            .rules
            .iter()
            .filter_map(|rule| {
                let key = rule.acts(certainty)?;
                Some((
                    key,
                    Acting {
                        policy: key.1,
                        rule,
                    },
                ))
            })
            .collect();
        // Stable: among equals the service's order stays, which decides nothing.
        acting.sort_by_key(|(key, _)| *key);
        acting.into_iter().map(|(_, acting)| acting).collect()
    }

    /// The rules that act under one reading in deciding order, for people.
    pub fn in_order(&self, certainty: Certainty) -> Vec<(Policy, &ReadRule<'a>)> {
        self.acting(certainty)
            .into_iter()
            .map(|a| (a.policy, a.rule))
            .collect()
    }

    /// What one protocol of one family accepts from the internet, over a scope of ports (ignored
    /// for protocols without ports), as maximal runs.
    pub fn accepted(
        &self,
        certainty: Certainty,
        internet: &Internet,
        family: Family,
        protocol: Protocol,
        scope: &PortSet,
    ) -> Vec<Run> {
        let mut runs: Vec<Run> = Vec::new();
        for (ports, sources) in self.segments(certainty, internet, family, protocol, scope) {
            if sources.is_empty() {
                continue;
            }
            if let (Some(last), Some((low, high))) = (runs.last_mut(), ports)
                && let Some((_, last_high)) = &mut last.ports
                && last_high.checked_add(1) == Some(low)
                && last.sources == sources
            {
                *last_high = high;
                continue;
            }
            runs.push(Run {
                family,
                protocol,
                ports,
                sources,
            });
        }
        runs
    }

    /// The same, undivided by equal sets: one entry for each segment of ports that the rules'
    /// borders make.
    pub fn segments(
        &self,
        certainty: Certainty,
        internet: &Internet,
        family: Family,
        protocol: Protocol,
        scope: &PortSet,
    ) -> Vec<(Option<PortRange>, AddressSet)> {
        if !protocol.is_of(family) {
            return Vec::new();
        }
        let candidates: Vec<Acting<'_, 'a>> = self
            .acting(certainty)
            .into_iter()
            .filter(|a| a.rule.protocols.has(protocol) && !a.rule.sources(family).is_empty())
            .collect();
        if !candidates.iter().any(|a| a.policy == Policy::Accept) {
            return Vec::new();
        }
        if !protocol.has_ports() {
            let sources = accepted_by(&candidates, family, internet);
            return vec![(None, sources)];
        }
        let mut last: Option<(Vec<usize>, AddressSet)> = None;
        let mut out = Vec::new();
        for segment in borders(&candidates, scope) {
            let covering: Vec<usize> = candidates
                .iter()
                .enumerate()
                .filter(|(_, a)| covers(a.rule, segment))
                .map(|(at, _)| at)
                .collect();
            let sources = match &last {
                Some((same, sources)) if *same == covering => sources.clone(),
                _ => {
                    let here: Vec<Acting<'_, 'a>> = covering
                        .iter()
                        .filter_map(|at| candidates.get(*at).copied())
                        .collect();
                    accepted_by(&here, family, internet)
                }
            };
            out.push((Some(segment), sources.clone()));
            last = Some((covering, sources));
        }
        out
    }
}

fn covers(rule: &ReadRule<'_>, (low, high): PortRange) -> bool {
    rule.ports
        .as_slice()
        .iter()
        .any(|(from, to)| *from <= low && high <= *to)
}

/// Cuts the scope at every border of the candidates' port ranges.
fn borders(candidates: &[Acting<'_, '_>], scope: &PortSet) -> Vec<PortRange> {
    // Where a segment begins: at a range's low, and after a range's high.
    let mut starts: Vec<u32> = Vec::new();
    for acting in candidates {
        // A list may have ranges that adjoin or overlap: united, `covers` holds for each segment.
        for (low, high) in acting.rule.ports.as_slice() {
            starts.push(u32::from(*low));
            starts.push(u32::from(*high).saturating_add(1));
        }
    }
    starts.sort_unstable();
    starts.dedup();
    let mut out = Vec::new();
    for (low, high) in scope.ranges() {
        let mut from = *low;
        for start in &starts {
            let Ok(start) = u16::try_from(*start) else {
                break;
            };
            if start > from && start <= *high {
                out.push((from, start.saturating_sub(1)));
                from = start;
            }
        }
        out.push((from, *high));
    }
    out
}

/// The internet sources that are accepted by rules in deciding order, all of which match the point:
/// a sweep over the addresses, at each stretch the first rule decides.
fn accepted_by(ordered: &[Acting<'_, '_>], family: Family, internet: &Internet) -> AddressSet {
    let mut events: Vec<(u128, u128, usize)> = Vec::new();
    for (rank, acting) in ordered.iter().enumerate() {
        for (low, high) in acting.rule.sources(family) {
            events.push((*low, *high, rank));
        }
    }
    let accepted = sweep(events, |rank| {
        ordered
            .get(rank)
            .is_some_and(|acting| acting.policy == Policy::Accept)
    });
    accepted.intersect(internet.of(family))
}

/// Of ranges with ranks: the union of all stretches whose lowest rank satisfies `wanted`.
fn sweep(mut events: Vec<(u128, u128, usize)>, wanted: impl Fn(usize) -> bool) -> AddressSet {
    events.sort_unstable();
    let mut out: Vec<AddressRange> = Vec::new();
    // Ranges that have begun, the lowest rank on top; those that ended are dropped when met.
    let mut open: BinaryHeap<Reverse<(usize, u128)>> = BinaryHeap::new();
    let mut events = events.into_iter().peekable();
    let mut at: u128 = match events.peek() {
        Some((low, _, _)) => *low,
        None => return AddressSet::EMPTY,
    };
    loop {
        while let Some((low, high, rank)) = events.peek().copied() {
            if low > at {
                break;
            }
            open.push(Reverse((rank, high)));
            events.next();
        }
        while open.peek().is_some_and(|Reverse((_, high))| *high < at) {
            open.pop();
        }
        let next_begin = events.peek().map(|(low, _, _)| *low);
        let Some(Reverse((rank, high))) = open.peek().copied() else {
            match next_begin {
                Some(low) => {
                    at = low;
                    continue;
                }
                None => break,
            }
        };
        // Until this range ends or another begins, the same rule decides (a later one may outrank).
        let until = match next_begin {
            Some(low) => high.min(low.saturating_sub(1)),
            None => high,
        };
        if wanted(rank) {
            out.push((at, until));
        }
        match until.checked_add(1) {
            Some(next) => at = next,
            None => break,
        }
    }
    AddressSet::from_ranges(out)
}
