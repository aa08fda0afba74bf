//! Rules that do nothing: dead ones, of which every packet is decided by rules before them, and
//! duplicates, which decide what another rule decides in the same way. Over all sources, private ones
//! too, and certain only: a rule that is not understood in full, an unknown key included, is never
//! dead and never makes another dead.
//!
//! Ingress only: egress rules are not read here.

use super::first_match::{GroupRules, Sweep, borders, covers};
use super::reading::{Policy, Protocols, ReadRule};
use super::set::{AddressRange, AddressSet, PortRange, PortSet};

use crate::model::{Family, Field, IdleKind, Protocol};

/// A rule without which every packet is decided as with it.
#[derive(Clone, Debug)]
pub struct Idle<'r, 'a> {
    /// The rule.
    pub rule: &'r ReadRule<'a>,
    /// Why it does nothing.
    pub kind: IdleKind,
    /// The rules that decide in its place, in deciding order. All idle rules of a group may go
    /// together: none of these is idle itself.
    pub by: Vec<&'r ReadRule<'a>>,
}

/// The idle rules of a group, in deciding order. The group's rules must be all there.
pub fn idle<'r, 'a>(group: &'r GroupRules<'a>) -> Vec<Idle<'r, 'a>> {
    let mut order: Vec<Certain<'r, 'a>> = group.rules().iter().filter_map(certain).collect();
    // Where all stand at one place nothing comes before anything.
    let some_differ = order
        .windows(2)
        .any(|pair| matches!(pair, [a, b] if a.key != b.key));
    let mut out = if some_differ {
        dead(&mut order)
    } else {
        Vec::new()
    };
    out.extend(duplicates(&order));
    let place = |idle: &Idle<'r, 'a>| (idle.rule.priority, idle.rule.policy);
    out.sort_by(|a, b| {
        place(a)
            .cmp(&place(b))
            .then_with(|| a.rule.rule.id().cmp(b.rule.rule.id()))
    });
    out
}

/// A rule that is understood in full.
#[derive(Clone, Copy)]
struct Certain<'r, 'a> {
    /// Its place in the deciding order; equals decide alike.
    key: (u128, Policy),
    rule: &'r ReadRule<'a>,
}

fn certain<'r, 'a>(rule: &'r ReadRule<'a>) -> Option<Certain<'r, 'a>> {
    let odd_limit = rule.has_limit && !rule.limited;
    if !rule.unreadable.is_empty() || !rule.rule.unknown.is_empty() || odd_limit {
        return None;
    }
    Some(Certain {
        key: (rule.priority?, rule.policy?),
        rule,
    })
}

/// Takes the dead ones out, and leaves the rest in deciding order.
fn dead<'r, 'a>(order: &mut Vec<Certain<'r, 'a>>) -> Vec<Idle<'r, 'a>> {
    order.sort_by(|a, b| {
        a.key
            .cmp(&b.key)
            .then_with(|| a.rule.rule.id().cmp(b.rule.rule.id()))
    });
    let mut out = Vec::new();
    let mut live: Vec<Certain<'r, 'a>> = Vec::with_capacity(order.len());
    for victim in order.drain(..) {
        // What a dead rule matches is decided by live ones before it: those are enough to look at.
        let before: Vec<&'r ReadRule<'a>> = live
            .iter()
            .take_while(|other| other.key < victim.key)
            .map(|other| other.rule)
            .filter(|other| could_shadow(other, victim.rule))
            .collect();
        match shadowed_by(victim.rule, &before) {
            None => live.push(victim),
            Some(by) => out.push(Idle {
                rule: victim.rule,
                kind: IdleKind::Dead,
                by,
            }),
        }
    }
    *order = live;
    out
}

/// Whether an earlier rule could take any of the victim's packets. One with a limit takes only part
/// of what it seems to.
fn could_shadow(earlier: &ReadRule<'_>, victim: &ReadRule<'_>) -> bool {
    if earlier.has_limit {
        return false;
    }
    // `ALL` has protocols that are none of ours, which nothing but `ALL` decides.
    if victim.protocols == Protocols::ALL && earlier.protocols != Protocols::ALL {
        return false;
    }
    let shares_ports = || {
        !has_ports(victim.protocols)
            || victim.ports.as_slice().iter().any(|(low, high)| {
                let mut ranges = earlier.ports.as_slice().iter();
                ranges.any(|(from, to)| low <= to && from <= high)
            })
    };
    let shares_sources = || {
        Family::ALL.into_iter().any(|family| {
            let own = sources(victim, victim, family);
            let other = sources(earlier, victim, family);
            own.iter()
                .any(|(low, high)| other.iter().any(|(from, to)| low <= to && from <= high))
        })
    };
    victim.protocols.meets(earlier.protocols) && shares_ports() && shares_sources()
}

/// The rules before the victim that together decide all it matches; `None` where anything is left.
fn shadowed_by<'r, 'a>(
    victim: &ReadRule<'a>,
    before: &[&'r ReadRule<'a>],
) -> Option<Vec<&'r ReadRule<'a>>> {
    if before.is_empty() {
        return None;
    }
    if let Some(one) = before.iter().find(|other| is_within(victim, other)) {
        return Some(vec![one]);
    }
    if some_packet_is_left(victim, before) {
        return None;
    }
    let mut decides = vec![false; before.len()];
    let mut matches_anything = false;
    for family in Family::ALL {
        let own = AddressSet::from_ranges(sources(victim, victim, family).iter().copied());
        if own.is_empty() {
            continue;
        }
        // All of `ALL` is decided alike: one protocol stands for it.
        let protocols: &[Protocol] = if victim.protocols == Protocols::ALL {
            &[Protocol::Gre]
        } else {
            &Protocol::ALL
        };
        for protocol in protocols {
            if victim.protocols.has(*protocol) && protocol.is_of(family) {
                matches_anything = true;
                if !covered(victim, &own, before, family, *protocol, &mut decides) {
                    return None;
                }
            }
        }
    }
    // What matches nothing at all, such as an empty list's rule, is not shadowed by anyone.
    matches_anything.then(|| {
        let with = before.iter().zip(decides).filter(|(_, decides)| *decides);
        with.map(|(rule, _)| *rule).collect()
    })
}

/// Looks at the corners: the first and last port from the first and last address. Where nobody before
/// decides such a packet the rule is alive, and most are.
fn some_packet_is_left(victim: &ReadRule<'_>, before: &[&ReadRule<'_>]) -> bool {
    let ends = |ranges: &[AddressRange]| {
        let (first, last) = (ranges.first(), ranges.last());
        [first.map(|(low, _)| *low), last.map(|(_, high)| *high)]
    };
    let ports = victim.ports.as_slice();
    let ports = [
        ports.first().map(|(low, _)| *low),
        ports.last().map(|(_, high)| *high),
    ];
    Family::ALL.into_iter().any(|family| {
        let of_family =
            |protocol: &Protocol| victim.protocols.has(*protocol) && protocol.is_of(family);
        let Some(protocol) = Protocol::ALL.into_iter().find(of_family) else {
            return false;
        };
        let addresses = ends(sources(victim, victim, family));
        addresses.into_iter().flatten().any(|address| {
            ports.into_iter().any(|port| {
                !before.iter().any(|other| {
                    let mut ranges = sources(other, victim, family).iter();
                    other.matches_point(protocol, port)
                        && ranges.any(|(low, high)| *low <= address && address <= *high)
                })
            })
        })
    })
}

/// Whether the rules decide every packet of one family and protocol that the victim matches; notes
/// which of them do.
fn covered(
    victim: &ReadRule<'_>,
    own: &AddressSet,
    before: &[&ReadRule<'_>],
    family: Family,
    protocol: Protocol,
    decides: &mut [bool],
) -> bool {
    let itself = before.len();
    let of_rules = before.iter().enumerate().flat_map(|(rank, other)| {
        let set = AddressSet::from_ranges(sources(other, victim, family).iter().copied());
        let shared = set.intersect(own);
        let ranges: Vec<AddressRange> = shared.ranges().to_vec();
        ranges.into_iter().map(move |(low, high)| (low, high, rank))
    });
    let of_itself = own.ranges().iter().map(|(low, high)| (*low, *high, itself));
    let mut sweep = Sweep::of_ranges(of_rules.chain(of_itself));
    let segments: Vec<Option<PortRange>> = if protocol.has_ports() {
        let scope = PortSet::from_ranges(victim.ports.as_slice().iter().copied());
        let cut = borders(before.iter().copied(), &scope);
        cut.into_iter().map(Some).collect()
    } else {
        vec![None]
    };
    segments.into_iter().all(|segment| {
        let mut active: Vec<bool> = before
            .iter()
            .map(|other| {
                other.protocols.has(protocol) && segment.is_none_or(|ports| covers(other, ports))
            })
            .collect();
        active.push(true);
        let mut left_to_itself = false;
        sweep.of(&active, |rank| {
            match decides.get_mut(rank) {
                Some(slot) => *slot = true,
                None => left_to_itself = true,
            }
            false
        });
        !left_to_itself
    })
}

/// Whether one rule alone matches all that the victim matches. `false` where it takes more to see.
fn is_within(victim: &ReadRule<'_>, other: &ReadRule<'_>) -> bool {
    fn inside<T: PartialOrd>(own: &[(T, T)], others: &[(T, T)]) -> bool {
        own.iter()
            .all(|(low, high)| others.iter().any(|(from, to)| from <= low && high <= to))
    }
    other.protocols.holds(victim.protocols)
        && (!has_ports(victim.protocols) || inside(victim.ports.as_slice(), other.ports.as_slice()))
        && Family::ALL.into_iter().all(|family| {
            inside(
                sources(victim, victim, family),
                sources(other, victim, family),
            )
        })
        && matches_packets(victim)
}

/// Whether any packet we know of matches it.
fn matches_packets(rule: &ReadRule<'_>) -> bool {
    Family::ALL.into_iter().any(|family| {
        !sources(rule, rule, family).is_empty()
            && Protocol::ALL
                .into_iter()
                .any(|protocol| rule.protocols.has(protocol) && protocol.is_of(family))
    }) && (!has_ports(rule.protocols) || !rule.ports.is_empty())
}

/// Tcp or udp alone; of `ALL` the ports are every port.
fn has_ports(protocols: Protocols) -> bool {
    [Protocol::Tcp, Protocol::Udp]
        .into_iter()
        .any(|protocol| protocols == Protocols::one(protocol))
}

/// A rule's sources where those of the victim are asked about. Addresses of a group's members are not
/// known: they could be any, and only the same group, or every address, has them all.
fn sources<'x>(
    rule: &'x ReadRule<'_>,
    victim: &ReadRule<'_>,
    family: Family,
) -> &'x [AddressRange] {
    const V4: [AddressRange; 1] = [(0, 0xffff_ffff)];
    const V6: [AddressRange; 1] = [(0, u128::MAX)];
    match (group_of(rule), group_of(victim)) {
        (Some(own), Some(asked)) if own == asked => match family {
            Family::Ipv4 => &V4,
            Family::Ipv6 => &V6,
        },
        (Some(_), _) => &[],
        (None, _) => rule.sources(family),
    }
}

/// The group whose members are the source, with its owner.
fn group_of<'x>(rule: &'x ReadRule<'_>) -> Option<(&'x Field, &'x Field)> {
    let fields = rule.rule;
    let is_group = fields.source_cidr_ip.is_unset()
        && fields.ipv6_source_cidr_ip.is_unset()
        && !fields.source_group_id.is_unset();
    is_group.then_some((&fields.source_group_id, &fields.source_group_owner_account))
}

/// A number that rules of the same effect share, and others hardly ever.
fn mark(of: &Certain<'_, '_>) -> u64 {
    // An odd constant with many bits (2^64 over the golden ratio) spreads what is multiplied by it.
    const SPREAD: u64 = 0x9e37_79b9_7f4a_7c15;
    let mut mark = 0u64;
    let mut mix = |part: u128| {
        for half in part.to_ne_bytes().as_chunks::<8>().0 {
            mark = (mark ^ u64::from_ne_bytes(*half))
                .wrapping_mul(SPREAD)
                .rotate_left(29);
        }
    };
    mix(of.key.0);
    mix(u128::from(of.key.1 == Policy::Drop));
    for (low, high) in of.rule.ports.as_slice().iter().take(1) {
        mix((u128::from(*low) << 16) | u128::from(*high));
    }
    for family in Family::ALL {
        for (low, high) in of.rule.sources(family).iter().take(1) {
            mix(*low);
            mix(*high);
        }
    }
    mark
}

/// All that says what a rule does. What lists hold may change without the rule: lists are equal by id.
#[derive(PartialEq, Eq, PartialOrd, Ord)]
struct Effect<'x> {
    key: (u128, Policy),
    protocols: Protocols,
    /// Where it is none of ours.
    other_protocol: Option<&'x Field>,
    ports: Option<Result<&'x [PortRange], &'x Field>>,
    source: Source<'x>,
    limits: [Option<&'x Field>; 3],
}

#[derive(PartialEq, Eq, PartialOrd, Ord)]
enum Source<'x> {
    Networks(&'x [AddressRange], &'x [AddressRange]),
    Group(&'x Field, &'x Field),
    List(&'x Field),
}

fn effect<'x>(of: &Certain<'x, '_>) -> Effect<'x> {
    let (read, fields) = (of.rule, of.rule.rule);
    let ports = if fields.port_range.is_unset() {
        Err(&fields.port_range_list_id)
    } else {
        Ok(read.ports.as_slice())
    };
    let by_network = !fields.source_cidr_ip.is_unset() || !fields.ipv6_source_cidr_ip.is_unset();
    let limit = |field| read.limited.then_some(field);
    Effect {
        key: of.key,
        protocols: read.protocols,
        other_protocol: (read.protocols == Protocols::NONE).then_some(&fields.ip_protocol),
        ports: has_ports(read.protocols).then_some(ports),
        source: match group_of(read) {
            Some((group, owner)) => Source::Group(group, owner),
            None if by_network => Source::Networks(read.v4.as_slice(), read.v6.as_slice()),
            None => Source::List(&fields.source_prefix_list_id),
        },
        limits: [
            limit(&fields.source_port_range),
            limit(&fields.dest_cidr_ip),
            limit(&fields.ipv6_dest_cidr_ip),
        ],
    }
}

/// Of rules with one and the same effect all but the first, by rule id.
fn duplicates<'r, 'a>(rules: &[Certain<'r, 'a>]) -> Vec<Idle<'r, 'a>> {
    let mut marked: Vec<(u64, Certain<'r, 'a>)> = rules.iter().map(|of| (mark(of), *of)).collect();
    marked.sort_unstable_by_key(|(mark, _)| *mark);
    let mut out = Vec::new();
    for alike in marked.chunk_by(|(a, _), (b, _)| a == b) {
        if alike.len() < 2 {
            continue;
        }
        let mut alike: Vec<(Effect<'_>, &'r ReadRule<'a>)> = alike
            .iter()
            .map(|(_, certain)| (effect(certain), certain.rule))
            .collect();
        alike.sort_by(|(a, one), (b, other)| {
            a.cmp(b).then_with(|| one.rule.id().cmp(other.rule.id()))
        });
        for same in alike.chunk_by(|(a, _), (b, _)| a == b) {
            let Some(((_, kept), others)) = same.split_first() else {
                continue;
            };
            out.extend(others.iter().map(|(_, rule)| Idle {
                rule,
                kind: IdleKind::Duplicate,
                by: vec![kept],
            }));
        }
    }
    out
}
