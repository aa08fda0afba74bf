//! The engine against a brute-force packet evaluator that shares no code with it: thousands of
//! random groups, unreadable fields among them. The evaluator asks of one packet at a time, for one
//! address of each stretch and one port of each stretch that any border can tell apart.

mod narrow;
mod together;

use crate::kit::rules::{check, judge, reading};
use proptest::prelude::*;
use sgwarden::model::{Field, Lists, Protocol, Rule, Verdict};
use sgwarden::policy::Kind;
use std::collections::BTreeSet;
use std::net::{Ipv4Addr, Ipv6Addr};
use std::sync::Arc;

/// A packet: IPv6?, protocol, port (0 where there is none), source.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Packet {
    six: bool,
    protocol: &'static str,
    port: u32,
    source: u128,
}

/// Closing or opening.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Side {
    Closing,
    Opening,
}

/// A set of values, or all of them because the field cannot be read.
enum Known<T> {
    Just(T),
    Any,
}

fn text(field: &Field) -> Option<String> {
    match field {
        Field::Unset => None,
        Field::Text(text) => Some(text.to_lowercase()),
        Field::Alien(_) => Some("?".to_owned()),
    }
}

/// Low and high of a network; `None` where it cannot be read.
fn network(six: bool, text: &str) -> Option<(u128, u128)> {
    let (base, length) = match text.split_once('/') {
        Some((base, length)) => (base, Some(length.parse::<u32>().ok()?)),
        None => (text, None),
    };
    let (value, bits) = if six {
        (base.parse::<Ipv6Addr>().ok()?.to_bits(), 128)
    } else {
        (u128::from(base.parse::<Ipv4Addr>().ok()?.to_bits()), 32)
    };
    if length.is_none() && value == 0 {
        return None;
    }
    let length = length.unwrap_or(bits);
    if length > bits {
        return None;
    }
    let mut low = value;
    let mut high = value;
    for bit in 0..(bits - length) {
        low &= !(1u128 << bit);
        high |= 1u128 << bit;
    }
    Some((low, high))
}

fn ports(text: &str) -> Option<(u32, u32)> {
    if text == "-1/-1" {
        return Some((1, 65535));
    }
    let (low, high) = text.split_once('/')?;
    if low.contains(['-', '+']) || high.contains(['-', '+']) {
        return None;
    }
    let (low, high) = (low.parse::<u32>().ok()?, high.parse::<u32>().ok()?);
    if high == 0 || high > 65535 || low > high {
        return None;
    }
    Some((low.max(1), high))
}

/// Whether the rule decides the packet, and how: the page, one packet at a time.
fn decides(rule: &Rule, lists: &Lists, packet: Packet, side: Side) -> Option<(u128, u8)> {
    let mut odd = false;
    match text(&rule.direction).as_deref() {
        Some("egress") => return None,
        Some("ingress") => {}
        _ => odd = true,
    }
    let policy = match text(&rule.policy).as_deref() {
        Some("accept") => Some(true),
        Some("drop") => Some(false),
        _ => {
            odd = true;
            None
        }
    };
    let priority = text(&rule.priority)
        .and_then(|t| t.parse::<u128>().ok())
        .filter(|p| *p >= 1);
    odd |= priority.is_none();
    // Protocol: which it is, `all`, or unknown.
    let named = match text(&rule.ip_protocol).as_deref() {
        Some("tcp" | "6") => Known::Just("tcp"),
        Some("udp" | "17") => Known::Just("udp"),
        Some("icmp" | "1") => Known::Just("icmp"),
        Some("icmpv6" | "58") => Known::Just("icmpv6"),
        Some("gre" | "47") => Known::Just("gre"),
        Some("all") => Known::Just("all"),
        Some(other) if other.parse::<u16>().is_ok_and(|n| n < 256) => Known::Just("other"),
        _ => Known::Any,
    };
    let protocol_matches = match &named {
        Known::Just("all") => true,
        Known::Just(name) => *name == packet.protocol,
        Known::Any => {
            odd = true;
            true
        }
    };
    if let Known::Just("tcp" | "udp") = named {
        let range = if let Some(range) = text(&rule.port_range) {
            ports(&range).map(|range| vec![range])
        } else {
            text(&rule.port_range_list_id)
                .and_then(|id| lists.port.get(&id).cloned())
                .and_then(|list| list.as_ref().clone().ok())
                .and_then(|entries| entries.iter().map(|e| ports(e)).collect::<Option<Vec<_>>>())
        };
        match range {
            Some(ranges) => {
                if !ranges
                    .iter()
                    .any(|(low, high)| *low <= packet.port && packet.port <= *high)
                {
                    return None;
                }
            }
            None => odd = true,
        }
    }
    // Source.
    let four = text(&rule.source_cidr_ip);
    let six = text(&rule.ipv6_source_cidr_ip);
    let source: Known<Vec<(bool, u128, u128)>> = match (four, six) {
        (Some(_), Some(_)) => Known::Any,
        (Some(four), None) => match network(false, &four) {
            Some((low, high)) if !matches!(named, Known::Just("icmpv6")) => {
                Known::Just(vec![(false, low, high)])
            }
            _ => Known::Any,
        },
        (None, Some(six)) => match network(true, &six) {
            Some((low, high)) if !matches!(named, Known::Just("icmp")) => {
                Known::Just(vec![(true, low, high)])
            }
            _ => Known::Any,
        },
        (None, None) => {
            if text(&rule.source_group_id).is_some() {
                Known::Just(Vec::new())
            } else {
                let entries = text(&rule.source_prefix_list_id)
                    .and_then(|id| lists.prefix.get(&id).cloned())
                    .and_then(|list| list.as_ref().clone().ok())
                    .and_then(|entries| {
                        entries
                            .iter()
                            .map(|entry| {
                                let six = entry.contains(':');
                                network(six, entry).map(|(low, high)| (six, low, high))
                            })
                            .collect::<Option<Vec<_>>>()
                    });
                match entries {
                    Some(entries) => Known::Just(entries),
                    None => Known::Any,
                }
            }
        }
    };
    let source_matches = match &source {
        Known::Just(parts) => parts.iter().any(|(six, low, high)| {
            *six == packet.six && *low <= packet.source && packet.source <= *high
        }),
        Known::Any => {
            odd = true;
            true
        }
    };
    // Limits.
    let mut limit = false;
    let mut odd_limit = false;
    if let Some(t) = text(&rule.source_port_range) {
        match ports(&t) {
            Some((1, 65535)) => {}
            Some(_) => limit = true,
            None => odd_limit = true,
        }
    }
    if let Some(t) = text(&rule.dest_cidr_ip) {
        match network(false, &t) {
            Some((0, high)) if high == u128::from(u32::MAX) => {}
            Some(_) => limit = true,
            None => odd_limit = true,
        }
    }
    if odd_limit && policy != Some(true) {
        odd = true;
    }
    if !protocol_matches || !source_matches {
        return None;
    }
    let accepts = match (odd, policy, side) {
        (false, Some(accepts), _) => accepts,
        (true, Some(false) | None, Side::Closing) => false,
        (true, Some(true) | None, Side::Opening) => true,
        _ => return None,
    };
    if !accepts && limit && !odd_limit {
        return None;
    }
    Some((priority.unwrap_or(0), u8::from(accepts)))
}

fn accepted(rules: &[Rule], lists: &Lists, packet: Packet, side: Side) -> bool {
    let best = rules
        .iter()
        .filter_map(|rule| decides(rule, lists, packet, side))
        .min();
    best.is_some_and(|(_, accepts)| accepts == 1)
}

const SPECIAL_V4: [&str; 15] = [
    "0.0.0.0/8",
    "10.0.0.0/8",
    "100.64.0.0/10",
    "127.0.0.0/8",
    "169.254.0.0/16",
    "172.16.0.0/12",
    "192.0.0.0/24",
    "192.0.2.0/24",
    "192.88.99.0/24",
    "192.168.0.0/16",
    "198.18.0.0/15",
    "198.51.100.0/24",
    "203.0.113.0/24",
    "224.0.0.0/4",
    "240.0.0.0/4",
];
const SPECIAL_V6: [&str; 4] = ["2001::/23", "2001:db8::/32", "2002::/16", "3fff::/20"];

fn is_internet(six: bool, address: u128) -> bool {
    let within = |text: &str| {
        network(six, text).is_some_and(|(low, high)| low <= address && address <= high)
    };
    if six {
        within("2000::/3") && !SPECIAL_V6.iter().any(|t| within(t))
    } else {
        !SPECIAL_V4.iter().any(|t| within(t))
    }
}

/// Stretches of addresses that nothing in the group can tell apart: first address and size.
fn stretches(six: bool, rules: &[Rule], lists: &Lists) -> Vec<(u128, u128)> {
    let last = if six { u128::MAX } else { u128::from(u32::MAX) };
    let mut borders: BTreeSet<u128> = BTreeSet::from([0]);
    let mut add = |text: &str| {
        if let Some((low, high)) = network(six, text) {
            borders.insert(low);
            if high < last {
                borders.insert(high + 1);
            }
        }
    };
    for rule in rules {
        for field in [&rule.source_cidr_ip, &rule.ipv6_source_cidr_ip] {
            if let Some(text) = text(field) {
                add(&text);
            }
        }
    }
    for list in lists.prefix.values() {
        if let Ok(entries) = list.as_ref() {
            entries.iter().for_each(|entry| add(entry));
        }
    }
    let special: &[&str] = if six { &SPECIAL_V6 } else { &SPECIAL_V4 };
    special.iter().for_each(|text| add(text));
    if six {
        add("2000::/3");
    }
    let starts: Vec<u128> = borders.into_iter().collect();
    starts
        .iter()
        .enumerate()
        .map(|(at, start)| {
            let end = starts.get(at + 1).map_or(last, |next| next - 1);
            (*start, (end - start).saturating_add(1))
        })
        .collect()
}

/// Ports after which the rules may decide otherwise, within a scope.
fn port_starts(rules: &[Rule], lists: &Lists, scope: &[(u16, u16)]) -> Vec<(u32, u32)> {
    let mut borders = BTreeSet::new();
    let mut add = |text: &str| {
        if let Some((low, high)) = ports(text) {
            borders.insert(low);
            borders.insert(high + 1);
        }
    };
    for rule in rules {
        if let Some(text) = text(&rule.port_range) {
            add(&text);
        }
    }
    for list in lists.port.values() {
        if let Ok(entries) = list.as_ref() {
            entries.iter().for_each(|entry| add(entry));
        }
    }
    let mut out = Vec::new();
    for (low, high) in scope {
        let (low, high) = (u32::from(*low), u32::from(*high));
        let mut from = low;
        for border in borders.iter().filter(|b| low < **b && **b <= high) {
            out.push((from, border - 1));
            from = *border;
        }
        out.push((from, high));
    }
    out
}

/// What the check exposes, point by point: family, protocol, first and last port, |S|.
fn exposed_points(
    rules: &[Rule],
    lists: &Lists,
    side: Side,
    protocols: &[&'static str],
    scope: &[(u16, u16)],
) -> Vec<(bool, &'static str, u32, u32, u128)> {
    let mut out: Vec<(bool, &'static str, u32, u32, u128)> = Vec::new();
    for six in [false, true] {
        let stretches = stretches(six, rules, lists);
        let least = if six { 1u128 << 96 } else { 1 << 16 };
        for protocol in protocols {
            if (*protocol == "icmp" && six) || (*protocol == "icmpv6" && !six) {
                continue;
            }
            let points = if matches!(*protocol, "tcp" | "udp") {
                port_starts(rules, lists, scope)
            } else {
                vec![(0, 0)]
            };
            let mut before: Option<(u32, Vec<u128>)> = None;
            for (low, high) in points {
                let open: Vec<(u128, u128)> = stretches
                    .iter()
                    .copied()
                    .filter(|(source, _)| {
                        let packet = Packet {
                            six,
                            protocol,
                            port: low,
                            source: *source,
                        };
                        is_internet(six, *source) && accepted(rules, lists, packet, side)
                    })
                    .collect();
                let size: u128 = open.iter().map(|(_, size)| size).sum();
                if size < least {
                    before = None;
                    continue;
                }
                let set: Vec<u128> = open.iter().map(|(source, _)| *source).collect();
                match (&before, out.last_mut()) {
                    (Some((end, same)), Some(last)) if end + 1 == low && *same == set => {
                        last.3 = high;
                    }
                    _ => out.push((six, protocol, low, high, size)),
                }
                before = Some((high, set));
            }
        }
    }
    out
}

fn word(options: &'static [&'static str]) -> impl Strategy<Value = Field> + Clone {
    prop::sample::select(options).prop_map(Field::from)
}

pub(crate) fn any_rule() -> impl Strategy<Value = Rule> {
    let policy = word(&["accept", "Accept", "accept", "drop", "Drop", "x", ""]);
    let priority = word(&["1", "1", "2", "3", "100", "110", "", "x", "0"]);
    let protocol = word(&[
        "tcp", "TCP", "TCP", "6", "udp", "17", "ALL", "icmp", "icmpv6", "58", "gre", "50", "x", "",
    ]);
    let ports = word(&[
        "22/22",
        "22/22",
        "20/25",
        "1/65535",
        "-1/-1",
        "0/22",
        "3389/3389",
        "23/3388",
        "3390/65535",
        "1/21",
        "80/80",
        "",
        "25/20",
        "x",
        "0/0",
    ]);
    let four = word(&[
        "0.0.0.0/0",
        "0.0.0.0/0",
        "0.0.0.0/1",
        "128.0.0.0/1",
        "47.96.0.0/11",
        "47.96.0.0/16",
        "47.96.0.0/17",
        "47.96.128.0/17",
        "10.0.0.0/8",
        "192.0.0.0/8",
        "47.96.1.2",
        "0.0.0.0",
        "x",
    ]);
    let six = word(&[
        "::/0",
        "2000::/3",
        "2400::/12",
        "2400:3200::/32",
        "2400:3200::/33",
        "2001::/16",
        "::1",
        "::",
        "fe80::/10",
        "x",
    ]);
    let source = prop_oneof![
        10 => four.clone().prop_map(|f| (f, Field::Unset, Field::Unset, Field::Unset)),
        6 => six.clone().prop_map(|f| (Field::Unset, f, Field::Unset, Field::Unset)),
        1 => (four, six).prop_map(|(a, b)| (a, b, Field::Unset, Field::Unset)),
        1 => Just((Field::Unset, Field::Unset, Field::from("sg-x"), Field::Unset)),
        3 => word(&["pl-a", "pl-b", "pl-c", "pl-d", "pl-missing"])
            .prop_map(|f| (Field::Unset, Field::Unset, Field::Unset, f)),
        1 => Just((Field::Unset, Field::Unset, Field::Unset, Field::Unset)),
    ];
    let limit = word(&["", "", "", "", "", "-1/-1", "1/65535", "1024/2048", "x"]);
    let dest = word(&["", "", "", "", "", "", "0.0.0.0/0", "10.0.0.5", "x"]);
    let direction = word(&[
        "ingress", "ingress", "ingress", "ingress", "INGRESS", "egress", "x",
    ]);
    let list = word(&["", "prl-a", "prl-b", "prl-c"]);
    (
        policy, priority, protocol, ports, source, limit, dest, direction, list,
    )
        .prop_map(
            |(
                policy,
                priority,
                ip_protocol,
                port_range,
                (four, six, group, list),
                limit,
                dest,
                dir,
                prl,
            )| {
                Rule {
                    direction: dir,
                    policy,
                    priority,
                    ip_protocol,
                    port_range,
                    port_range_list_id: prl,
                    source_cidr_ip: four,
                    ipv6_source_cidr_ip: six,
                    source_group_id: group,
                    source_prefix_list_id: list,
                    source_port_range: limit,
                    dest_cidr_ip: dest,
                    ..Rule::default()
                }
            },
        )
}

pub(crate) fn lists() -> Lists {
    let texts = |list: &[&str]| Arc::new(Ok(list.iter().map(|&t| t.to_owned()).collect()));
    let mut out = Lists::default();
    out.prefix.insert(
        "pl-a".to_owned(),
        texts(&["0.0.0.0/1", "128.0.0.0/2", "192.0.0.0/2"]),
    );
    out.prefix
        .insert("pl-b".to_owned(), texts(&["2400::/12", "2600::/12"]));
    out.prefix
        .insert("pl-c".to_owned(), texts(&["47.96.0.0/17", "odd"]));
    out.prefix.insert("pl-d".to_owned(), texts(&[]));
    out.port
        .insert("prl-a".to_owned(), texts(&["20/21", "22/23", "3389/3389"]));
    out.port
        .insert("prl-b".to_owned(), texts(&["80/80", "odd"]));
    out.port.insert(
        "prl-c".to_owned(),
        Arc::new(Err("Forbidden.RAM".to_owned())),
    );
    out
}

/// What the check asks: kind, protocols, ports.
type Asked = (&'static [&'static str], &'static [(u16, u16)]);

const ASKED: [Asked; 3] = [
    (&["tcp"], &[(22, 22), (3389, 3389)]),
    (&["tcp", "udp"], &[(1, 65535)]),
    (&["icmp", "icmpv6", "gre", "udp"], &[(20, 30)]),
];

fn compare(rules: Vec<Rule>, asked: Asked) -> Result<(), TestCaseError> {
    let lists = lists();
    let (protocols, scope) = asked;
    let parsed: Vec<Protocol> = protocols
        .iter()
        .filter_map(|p| Protocol::parse(p))
        .collect();
    let closing = exposed_points(&rules, &lists, Side::Closing, protocols, scope);
    let opening = exposed_points(&rules, &lists, Side::Opening, protocols, scope);
    let (want, points) = if !closing.is_empty() {
        (Verdict::Exposed, closing)
    } else if !opening.is_empty() {
        (Verdict::Undetermined, opening)
    } else {
        (Verdict::Compliant, Vec::new())
    };
    let mut group = reading(rules);
    group.lists = lists;
    let judged = judge(check(Kind::Ports, &parsed, scope), &group);
    prop_assert_eq!(judged.verdicts[0], want);
    let got: Vec<(bool, &str, String, String)> = judged
        .findings
        .iter()
        .flat_map(|finding| &finding.exposed)
        .map(|run| {
            (
                run.family == sgwarden::model::Family::Ipv6,
                run.protocol.as_str(),
                run.ports.clone(),
                run.addresses.clone(),
            )
        })
        .collect();
    let wanted: Vec<(bool, &str, String, String)> = points
        .into_iter()
        .map(|(six, protocol, low, high, size)| {
            let ports = match (low, high) {
                (0, _) => String::new(),
                (low, high) if low == high => low.to_string(),
                (low, high) => format!("{low}-{high}"),
            };
            (six, protocol, ports, size.to_string())
        })
        .collect();
    prop_assert_eq!(got, wanted);
    if want == Verdict::Undetermined {
        prop_assert!(
            judged.findings[0]
                .reason
                .as_ref()
                .is_some_and(|why| !why.is_empty())
        );
    }
    Ok(())
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 3000, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn verdict_runs_and_sizes_are_those_of_the_packets(
        rules in prop::collection::vec(any_rule(), 0..8),
        asked in prop::sample::select(&ASKED[..]),
    ) {
        compare(rules, asked)?;
    }
}
