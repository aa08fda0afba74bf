//! What becomes of one packet: a brute-force reading of a group's rules, kept apart from the exposure
//! engine so that tests can hold one against the other.
//!
//! One packet at a time, rule by rule, in order of Priority with Drop before Accept. A field that cannot
//! be read stands for every value it could have: [`Reading::Closing`] lets unreadable Drops drop,
//! [`Reading::Opening`] lets unreadable Accepts accept. Where the two differ nothing is certain.

use std::net::IpAddr;

use serde_json::Value;

use super::rule::Rule;
use super::world::{Group, Region};

/// Protocol of a packet; `icmp` is of IPv4, `icmpv6` of IPv6.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Transport {
    /// TCP.
    Tcp,
    /// UDP.
    Udp,
    /// ICMP of IPv4.
    Icmp,
    /// ICMP of IPv6.
    Icmpv6,
    /// GRE.
    Gre,
}

/// A packet that arrives from outside; its family is that of its source.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Packet {
    /// Its protocol.
    pub transport: Transport,
    /// Destination port, 1 to 65535; of TCP and UDP only.
    pub port: u16,
    /// Where it comes from.
    pub source: IpAddr,
}

/// How unreadable fields are taken.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Reading {
    /// Unreadable Drops drop, unreadable Accepts do nothing.
    Closing,
    /// Unreadable Accepts accept, unreadable Drops do nothing.
    Opening,
}

/// The fate of a packet.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Fate {
    /// Accepted, by the rule of this id.
    Accepted(String),
    /// Dropped, by the rule of this id.
    Dropped(String),
    /// No rule matched: dropped.
    NoMatch,
}

/// Yes, no, or: it cannot be known.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Match {
    Yes,
    No,
    Maybe,
}

fn sure(yes: bool) -> Match {
    if yes { Match::Yes } else { Match::No }
}

/// The fate of a packet at a group of a region. Groups as sources match nothing: their members are
/// private, and the packet comes from outside.
pub fn fate(region: &Region, group: &Group, packet: &Packet, reading: Reading) -> Fate {
    let mut ordered: Vec<(i64, u8, &Rule)> = group
        .permissions
        .iter()
        .map(|rule| (priority(rule), u8::from(policy(rule) == Some(true)), rule))
        .collect();
    ordered.sort_by_key(|(priority, accept, _)| (*priority, *accept));
    for (priority, _, rule) in ordered {
        let mut matched = matches(region, group, rule, packet);
        let policy = policy(rule);
        if matched == Match::Yes && (priority == i64::MIN || policy.is_none()) {
            matched = Match::Maybe;
        }
        let accepts = match (matched, policy, reading) {
            (Match::No, _, _) => continue,
            (Match::Yes, Some(accepts), _) => accepts,
            (_, Some(true), Reading::Closing) | (_, Some(false), Reading::Opening) => continue,
            (_, _, Reading::Closing) => false,
            (_, _, Reading::Opening) => true,
        };
        let id = rule.security_group_rule_id.clone();
        return if accepts {
            Fate::Accepted(id)
        } else {
            Fate::Dropped(id)
        };
    }
    Fate::NoMatch
}

/// Whether a packet gets in.
pub fn accepted(region: &Region, group: &Group, packet: &Packet, reading: Reading) -> bool {
    matches!(fate(region, group, packet, reading), Fate::Accepted(_))
}

/// A field as an answer would show it: overridden, absent, or as stored.
fn shown(rule: &Rule, name: &str, stored: &str) -> String {
    if rule.absent.iter().any(|a| a == name) {
        return String::new();
    }
    match rule.overrides.get(name) {
        None => stored.to_owned(),
        Some(Value::Null) => String::new(),
        Some(Value::String(text)) => text.clone(),
        Some(other) => other.to_string(),
    }
}

/// `i64::MIN` where it cannot be read: before all others.
fn priority(rule: &Rule) -> i64 {
    let stored = match &rule.priority {
        super::rule::Priority::Number(n) => n.to_string(),
        super::rule::Priority::Text(text) => text.clone(),
    };
    match shown(rule, "Priority", &stored).parse() {
        Ok(n) if n >= 1 => n,
        _ => i64::MIN,
    }
}

/// `Some(true)` accepts, `Some(false)` drops, `None` is unreadable.
fn policy(rule: &Rule) -> Option<bool> {
    match shown(rule, "Policy", &rule.policy)
        .to_ascii_lowercase()
        .as_str()
    {
        "accept" => Some(true),
        "drop" => Some(false),
        _ => None,
    }
}

fn matches(region: &Region, group: &Group, rule: &Rule, packet: &Packet) -> Match {
    let fields = [
        direction(rule),
        nic(group, rule),
        protocol_and_port(region, rule, packet),
        source(region, rule, packet),
        limit(rule),
    ];
    if fields.contains(&Match::No) {
        Match::No
    } else if fields.contains(&Match::Maybe) {
        Match::Maybe
    } else {
        Match::Yes
    }
}

fn direction(rule: &Rule) -> Match {
    match shown(rule, "Direction", &rule.direction)
        .to_ascii_lowercase()
        .as_str()
    {
        "ingress" => Match::Yes,
        "egress" => Match::No,
        _ => Match::Maybe,
    }
}

fn nic(group: &Group, rule: &Rule) -> Match {
    if !group.is_classic() {
        return Match::Yes;
    }
    // A stored rule says which call shows it, so an unset field in the answer is known all the same.
    let stored = rule.nic_type.to_ascii_lowercase();
    let shown = shown(rule, "NicType", &rule.nic_type).to_ascii_lowercase();
    match if shown.is_empty() {
        stored.as_str()
    } else {
        shown.as_str()
    } {
        "internet" => Match::Yes,
        "intranet" => Match::No,
        _ => Match::Maybe,
    }
}

fn protocol_and_port(region: &Region, rule: &Rule, packet: &Packet) -> Match {
    let name = shown(rule, "IpProtocol", &rule.ip_protocol).to_ascii_lowercase();
    let wanted = match name.as_str() {
        "all" => return Match::Yes,
        "tcp" | "6" => Transport::Tcp,
        "udp" | "17" => Transport::Udp,
        "icmp" | "1" => Transport::Icmp,
        "icmpv6" | "58" => Transport::Icmpv6,
        "gre" | "47" => Transport::Gre,
        other if other.parse::<u8>().is_ok() => return Match::No,
        _ => return Match::Maybe,
    };
    if wanted != packet.transport {
        return Match::No;
    }
    if !matches!(wanted, Transport::Tcp | Transport::Udp) {
        return Match::Yes;
    }
    let range = shown(rule, "PortRange", &rule.port_range);
    if !range.is_empty() {
        return in_range(&range, packet.port);
    }
    let list = shown(rule, "PortRangeListId", &rule.port_range_list_id);
    let Some(list) = region.port_lists.get(&list) else {
        return Match::Maybe;
    };
    let mut any = Match::No;
    for entry in &list.entries {
        match in_range(&entry.port_range, packet.port) {
            Match::Maybe => return Match::Maybe,
            Match::Yes => any = Match::Yes,
            Match::No => {}
        }
    }
    any
}

fn in_range(text: &str, port: u16) -> Match {
    if text == "-1/-1" {
        return Match::Yes;
    }
    let digits = |part: &str| {
        let plain = !part.is_empty() && part.bytes().all(|b| b.is_ascii_digit());
        if plain {
            part.parse::<u16>().ok()
        } else {
            None
        }
    };
    match text
        .split_once('/')
        .and_then(|(a, b)| Some((digits(a)?, digits(b)?)))
    {
        Some((low, high)) if high >= 1 && low <= high => sure((low..=high).contains(&port)),
        _ => Match::Maybe,
    }
}

/// Whether an address lies in a range of its own family; `None`: the text is no range.
fn in_cidr(text: &str, source: IpAddr) -> Option<bool> {
    let (ip, length) = match text.split_once('/') {
        Some((ip, length)) => {
            let plain = !length.is_empty() && length.bytes().all(|b| b.is_ascii_digit());
            (
                ip,
                Some(if plain {
                    length.parse::<u32>().ok()?
                } else {
                    return None;
                }),
            )
        }
        None => (text, None),
    };
    match (ip.parse().ok()?, source) {
        (IpAddr::V4(net), IpAddr::V4(source)) => {
            let length = length.unwrap_or(32);
            if length > 32 {
                return None;
            }
            let shift = 32 - length;
            let cut = |ip: u32| ip.checked_shr(shift).unwrap_or(0);
            Some(cut(net.to_bits()) == cut(source.to_bits()))
        }
        (IpAddr::V6(net), IpAddr::V6(source)) => {
            let length = length.unwrap_or(128);
            if length > 128 {
                return None;
            }
            let shift = 128 - length;
            let cut = |ip: u128| ip.checked_shr(shift).unwrap_or(0);
            Some(cut(net.to_bits()) == cut(source.to_bits()))
        }
        (IpAddr::V4(_), IpAddr::V6(_)) => (length.unwrap_or(0) <= 32).then_some(false),
        (IpAddr::V6(_), IpAddr::V4(_)) => (length.unwrap_or(0) <= 128).then_some(false),
    }
}

fn source(region: &Region, rule: &Rule, packet: &Packet) -> Match {
    let v4 = shown(rule, "SourceCidrIp", &rule.source_cidr_ip);
    let v6 = shown(rule, "Ipv6SourceCidrIp", &rule.ipv6_source_cidr_ip);
    let protocol = shown(rule, "IpProtocol", &rule.ip_protocol).to_ascii_lowercase();
    match (v4.is_empty(), v6.is_empty()) {
        (false, false) => return Match::Maybe,
        (false, true) => {
            let foreign = v4.contains(':') || ["icmpv6", "58"].contains(&protocol.as_str());
            if v4 == "0.0.0.0" || foreign {
                return Match::Maybe;
            }
            return in_cidr(&v4, packet.source).map_or(Match::Maybe, sure);
        }
        (true, false) => {
            let foreign = !v6.contains(':') || ["icmp", "1"].contains(&protocol.as_str());
            if v6 == "::" || foreign {
                return Match::Maybe;
            }
            return in_cidr(&v6, packet.source).map_or(Match::Maybe, sure);
        }
        (true, true) => {}
    }
    if !shown(rule, "SourceGroupId", &rule.source_group_id).is_empty() {
        return Match::No;
    }
    let list = shown(rule, "SourcePrefixListId", &rule.source_prefix_list_id);
    let Some(list) = region.prefix_lists.get(&list) else {
        return Match::Maybe;
    };
    let mut any = Match::No;
    for entry in &list.entries {
        let bare = ["0.0.0.0", "::"].contains(&entry.cidr.as_str());
        match in_cidr(&entry.cidr, packet.source) {
            _ if bare => return Match::Maybe,
            None => return Match::Maybe,
            Some(true) => any = Match::Yes,
            Some(false) => {}
        }
    }
    any
}

/// A limited Accept still accepts (a client chooses its source port), a limited Drop drops nothing
/// for certain and is skipped; a limit that cannot be read makes a Drop unreadable.
fn limit(rule: &Rule) -> Match {
    if policy(rule) == Some(true) {
        return Match::Yes;
    }
    let ports = shown(rule, "SourcePortRange", &rule.source_port_range);
    let v4 = shown(rule, "DestCidrIp", &rule.dest_cidr_ip);
    let v6 = shown(rule, "Ipv6DestCidrIp", &rule.ipv6_dest_cidr_ip);
    let of_ports = match ports.as_str() {
        "" | "-1/-1" | "1/65535" | "0/65535" => Match::Yes,
        text if in_range(text, 1) == Match::Maybe => Match::Maybe,
        _ => Match::No,
    };
    let of_range = |text: &str| match text {
        "" => Match::Yes,
        text => match (
            text.split_once('/'),
            in_cidr(text, IpAddr::from([1, 1, 1, 1])),
        ) {
            (_, None) => Match::Maybe,
            (Some((_, length)), _) if length.bytes().all(|b| b == b'0') => Match::Yes,
            _ => Match::No,
        },
    };
    let all = [of_ports, of_range(&v4), of_range(&v6)];
    if all.contains(&Match::No) {
        Match::No
    } else if all.contains(&Match::Maybe) {
        Match::Maybe
    } else {
        Match::Yes
    }
}
