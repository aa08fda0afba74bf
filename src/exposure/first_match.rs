//! First match wins: which internet sources each point of a group accepts.
//!
//! A point is (family, protocol, port). Ports between two borders of the rules' ranges are decided
//! alike, so a segment of ports is decided once. Before that, [`GroupRules::at_most`] settles what
//! cannot be exposed by adding up sources, which is most of all groups.

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
        let mut read = Vec::with_capacity(rules.len());
        for rule in rules {
            read.extend(read_rule(rule, lists, classic));
        }
        Self { rules: read }
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

    /// The same group with more rules.
    pub fn with(&self, more: impl IntoIterator<Item = ReadRule<'a>>) -> Self {
        Self {
            rules: self.rules.iter().cloned().chain(more).collect(),
        }
    }

    /// The ingress rules, in the service's order.
    pub fn rules(&self) -> &[ReadRule<'a>] {
        &self.rules
    }

    /// Those of the rules that act under one reading, in the order in which they decide.
    fn acting(
        &self,
        certainty: Certainty,
        wanted: impl Fn(&ReadRule<'a>) -> bool,
    ) -> Vec<Acting<'_, 'a>> {
        let mut acting: Vec<((u128, Policy), Acting<'_, 'a>)> = self
            .rules
            .iter()
            .filter(|rule| wanted(rule))
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
        self.acting(certainty, |_| true)
            .into_iter()
            .map(|a| (a.policy, a.rule))
            .collect()
    }

    /// More internet sources than this no point of the protocol and scope accepts: the sources of
    /// all Accepts that reach it, added up. Most groups are settled by this alone.
    pub fn at_most(
        &self,
        certainty: Certainty,
        internet: &Internet,
        family: Family,
        protocol: Protocol,
        scope: &PortSet,
    ) -> u128 {
        let net = internet.of(family);
        self.rules
            .iter()
            .filter(|rule| rule.reaches(family, protocol, scope))
            .filter(|rule| matches!(rule.acts(certainty), Some((_, Policy::Accept))))
            .flat_map(|rule| rule.sources(family))
            .fold(0, |sum, range| sum.saturating_add(net.count_within(*range)))
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
        let candidates = self.acting(certainty, |rule| rule.reaches(family, protocol, scope));
        if !candidates.iter().any(|a| a.policy == Policy::Accept) {
            return Vec::new();
        }
        let mut sweep = Sweep::new(&candidates, family);
        let mut accepted = |active: &[bool]| {
            let accepts = |rank: usize| {
                candidates
                    .get(rank)
                    .is_some_and(|acting| acting.policy == Policy::Accept)
            };
            sweep.of(active, accepts).intersect(internet.of(family))
        };
        if !protocol.has_ports() {
            let sources = accepted(&vec![true; candidates.len()]);
            return vec![(None, sources)];
        }
        let mut last: Option<(Vec<bool>, AddressSet)> = None;
        let mut out = Vec::new();
        for segment in borders(candidates.iter().map(|a| a.rule), scope) {
            let covering: Vec<bool> = candidates
                .iter()
                .map(|acting| covers(acting.rule, segment))
                .collect();
            let sources = match &last {
                Some((same, sources)) if *same == covering => sources.clone(),
                _ => accepted(&covering),
            };
            out.push((Some(segment), sources.clone()));
            last = Some((covering, sources));
        }
        out
    }
}

/// Whether the rule matches every port of a segment; a segment lies between borders, so that a rule
/// matches all of it or nothing.
pub(super) fn covers(rule: &ReadRule<'_>, (low, high): PortRange) -> bool {
    rule.ports
        .as_slice()
        .iter()
        .any(|(from, to)| *from <= low && high <= *to)
}

/// Cuts the scope at every border of the rules' port ranges.
pub(super) fn borders<'r, 'a: 'r>(
    rules: impl Iterator<Item = &'r ReadRule<'a>>,
    scope: &PortSet,
) -> Vec<PortRange> {
    // Where a segment begins: at a range's low, and after a range's high. A list may have ranges that
    // adjoin or overlap; `covers` holds for each segment all the same.
    let mut starts: Vec<u16> = rules
        .flat_map(|rule| rule.ports.as_slice())
        .flat_map(|(low, high)| [Some(*low), high.checked_add(1)])
        .flatten()
        .collect();
    starts.sort_unstable();
    starts.dedup();
    let mut out = Vec::new();
    for (low, high) in scope.ranges() {
        let mut from = *low;
        let inside = starts.partition_point(|start| *start <= from);
        for start in starts
            .iter()
            .skip(inside)
            .take_while(|start| *start <= high)
        {
            out.push((from, start.saturating_sub(1)));
            from = *start;
        }
        out.push((from, *high));
    }
    out
}

/// Rules in deciding order, made ready to ask many times which addresses are decided by whom: at each
/// stretch of addresses the first rule that matches it decides.
pub(super) struct Sweep {
    /// Sources with the rank of their rule, by their first address.
    ranges: Vec<(u128, u128, usize)>,
    /// Ranges that have begun, the lowest rank on top; those that ended are dropped when met.
    open: BinaryHeap<Reverse<(usize, u128)>>,
}

impl Sweep {
    fn new(ordered: &[Acting<'_, '_>], family: Family) -> Self {
        Self::of_ranges(ordered.iter().enumerate().flat_map(|(rank, acting)| {
            let sources = acting.rule.sources(family).iter();
            sources.map(move |(low, high)| (*low, *high, rank))
        }))
    }

    /// Of ranges with ranks.
    pub(super) fn of_ranges(ranges: impl Iterator<Item = (u128, u128, usize)>) -> Self {
        let mut ranges: Vec<_> = ranges.collect();
        ranges.sort_unstable();
        Self {
            ranges,
            open: BinaryHeap::new(),
        }
    }

    /// The union of all stretches whose lowest rank, among those that are active, is wanted.
    pub(super) fn of(
        &mut self,
        active: &[bool],
        mut wanted: impl FnMut(usize) -> bool,
    ) -> AddressSet {
        let Self { ranges, open } = self;
        open.clear();
        let mut out: Vec<AddressRange> = Vec::new();
        let mut ranges = ranges
            .iter()
            .filter(|(_, _, rank)| active.get(*rank).copied().unwrap_or(false))
            .copied()
            .peekable();
        let mut at: u128 = match ranges.peek() {
            Some((low, _, _)) => *low,
            None => return AddressSet::EMPTY,
        };
        loop {
            while let Some((_, high, rank)) = ranges.next_if(|(low, _, _)| *low <= at) {
                open.push(Reverse((rank, high)));
            }
            while open.peek().is_some_and(|Reverse((_, high))| *high < at) {
                open.pop();
            }
            let next_begin = ranges.peek().map(|(low, _, _)| *low);
            let Some(Reverse((rank, high))) = open.peek().copied() else {
                match next_begin {
                    Some(low) => {
                        at = low;
                        continue;
                    }
                    None => break,
                }
            };
            // Until this range ends or another begins the same rule decides (a later one may outrank).
            let until = match next_begin {
                Some(low) => high.min(low.saturating_sub(1)),
                None => high,
            };
            if wanted(rank) {
                match out.last_mut() {
                    Some(last) if last.1.checked_add(1) == Some(at) => last.1 = until,
                    _ => out.push((at, until)),
                }
            }
            match until.checked_add(1) {
                Some(next) => at = next,
                None => break,
            }
        }
        AddressSet::from_sorted(out)
    }
}
