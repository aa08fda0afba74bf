//! What a group lets in altogether, private sources too, and the difference between two readings of
//! it: the proof of what a change closed, and that it opened nothing.

use super::first_match::{GroupRules, Run};
use super::internet::Internet;
use super::reading::{Certainty, ReadRule};
use super::set::{AddressSet, PortRange, PortSet, ports_text};
use crate::model::{Family, Protocol, Traffic};

/// What ended and what began between two readings.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Difference {
    /// Accepted before and not after.
    pub closed: Vec<Run>,
    /// Accepted after and not before.
    pub opened: Vec<Run>,
}

/// The difference over every packet of an address. Rules by group as source are not in it: their
/// members' addresses are not known here.
pub fn difference(
    before: &GroupRules<'_>,
    after: &GroupRules<'_>,
    certainty: Certainty,
) -> Difference {
    let everything = Internet::everything();
    let mut out = Difference::default();
    for family in Family::ALL {
        for protocol in Protocol::ALL {
            let segments = |group: &GroupRules<'_>| {
                group.segments(certainty, &everything, family, protocol, &PortSet::all())
            };
            let (old, new) = (segments(before), segments(after));
            for ports in common(&old, &new, protocol) {
                let (was, is) = (at(&old, ports), at(&new, ports));
                push(&mut out.closed, family, protocol, ports, was.subtract(&is));
                push(&mut out.opened, family, protocol, ports, is.subtract(&was));
            }
        }
    }
    out
}

type Segments = [(Option<PortRange>, AddressSet)];

/// Ports cut at the borders of both.
fn common(old: &Segments, new: &Segments, protocol: Protocol) -> Vec<Option<PortRange>> {
    if !protocol.has_ports() {
        return vec![None];
    }
    let mut starts: Vec<u16> = old
        .iter()
        .chain(new)
        .filter_map(|(ports, _)| ports.map(|(low, _)| low))
        .collect();
    starts.push(1);
    starts.sort_unstable();
    starts.dedup();
    let ends = starts
        .iter()
        .skip(1)
        .map(|start| start.saturating_sub(1))
        .chain([u16::MAX]);
    starts
        .iter()
        .zip(ends)
        .map(|(low, high)| Some((*low, high)))
        .collect()
}

fn at(segments: &Segments, ports: Option<PortRange>) -> AddressSet {
    segments
        .iter()
        .find(|(of, _)| match (of, ports) {
            (Some((low, high)), Some((from, _))) => *low <= from && from <= *high,
            (None, None) => true,
            _ => false,
        })
        .map_or(AddressSet::EMPTY, |(_, sources)| sources.clone())
}

fn push(
    runs: &mut Vec<Run>,
    family: Family,
    protocol: Protocol,
    ports: Option<PortRange>,
    sources: AddressSet,
) {
    if sources.is_empty() {
        return;
    }
    if let (Some(last), Some((low, high))) = (runs.last_mut(), ports)
        && last.family == family
        && last.protocol == protocol
        && let Some((_, last_high)) = &mut last.ports
        && last_high.checked_add(1) == Some(low)
        && last.sources == sources
    {
        *last_high = high;
        return;
    }
    runs.push(Run {
        family,
        protocol,
        ports,
        sources,
    });
}

/// Of some traffic, the part that one rule could match.
pub fn part_of(traffic: &[Run], rule: &ReadRule<'_>) -> Vec<Run> {
    let mut out = Vec::new();
    for run in traffic {
        if !rule.protocols.has(run.protocol) {
            continue;
        }
        let sources = run.sources.intersect(&rule.source_set(run.family));
        match run.ports {
            None => push(&mut out, run.family, run.protocol, None, sources),
            Some((from, to)) => {
                for (low, high) in
                    PortSet::from_ranges(rule.ports.as_slice().iter().copied()).ranges()
                {
                    let (low, high) = ((*low).max(from), (*high).min(to));
                    if low <= high {
                        push(
                            &mut out,
                            run.family,
                            run.protocol,
                            Some((low, high)),
                            sources.clone(),
                        );
                    }
                }
            }
        }
    }
    out
}

/// As records keep it: sources that are not internet first, since a person's own way in is among
/// them.
pub fn shown(traffic: &[Run]) -> Vec<Traffic> {
    let internet = Internet::whole();
    let mut out = Vec::new();
    for private in [true, false] {
        for run in traffic {
            let net = internet.of(run.family);
            let sources = if private {
                run.sources.subtract(net)
            } else {
                run.sources.intersect(net)
            };
            if sources.is_empty() {
                continue;
            }
            out.push(Traffic {
                family: run.family,
                protocol: run.protocol,
                ports: run.ports.map(ports_text).unwrap_or_default(),
                internet: !private,
                waived: false,
                addresses: sources.count().to_string(),
                sources: sources.cidrs(run.family),
            });
        }
    }
    out
}
