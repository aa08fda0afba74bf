//! Reading a rule: from the service's texts to what the rule matches, or to the knowledge that it
//! cannot be known. A field that is required and unset, or has any value the page does not name, is
//! unreadable and stands for every value it could have.

use super::set::{AddressRange, AddressSet, PortRange, PortSet, parse_any_cidr, parse_cidr};
use crate::model::{Family, Field, Lists, NicType, Protocol, Rule};

/// What a rule does to a packet that it matches.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Policy {
    /// First: at equal Priority a Drop comes before an Accept.
    Drop,
    /// Lets the packet in.
    Accept,
}

/// Which of the two readings of unreadable fields is meant.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Certainty {
    /// Everything in doubt closes. Exposed here is `exposed`.
    Closing,
    /// Everything in doubt opens. Not exposed here is `compliant`.
    Opening,
}

/// A set that is mostly one range: no allocation on the common way.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Few<T> {
    /// Nothing.
    None,
    /// One range.
    One(T),
    /// Several, in any order.
    Many(Vec<T>),
}

impl<T> Few<T> {
    /// The ranges.
    pub fn as_slice(&self) -> &[T] {
        match self {
            Self::None => &[],
            Self::One(range) => std::slice::from_ref(range),
            Self::Many(ranges) => ranges,
        }
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.as_slice().is_empty()
    }
}

/// The protocols a rule could match, one bit each.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Protocols(u8);

impl Protocols {
    /// Every one.
    pub const ALL: Self = Self(0b1_1111);
    /// None of ours.
    pub const NONE: Self = Self(0);

    /// Just that one.
    pub fn one(protocol: Protocol) -> Self {
        Self(match protocol {
            Protocol::Tcp => 1,
            Protocol::Udp => 2,
            Protocol::Icmp => 4,
            Protocol::Icmpv6 => 8,
            Protocol::Gre => 16,
        })
    }

    /// Whether it is among them.
    pub fn has(self, protocol: Protocol) -> bool {
        self.0 & Self::one(protocol).0 != 0
    }

    /// Whether both have one in common.
    pub fn meets(self, other: Self) -> bool {
        self.0 & other.0 != 0
    }

    /// Whether it has all of the other's.
    pub fn holds(self, other: Self) -> bool {
        self.0 & other.0 == other.0
    }
}

/// A rule as read. What is unreadable has been widened to all it could be.
#[derive(Clone, Debug)]
pub struct ReadRule<'a> {
    /// As the service gave it.
    pub rule: &'a Rule,
    /// `None`: unreadable.
    pub policy: Option<Policy>,
    /// `None`: unreadable, before all others.
    pub priority: Option<u128>,
    /// The protocols it could match.
    pub protocols: Protocols,
    /// The ports it could match, of protocols that have ports.
    pub ports: Few<PortRange>,
    /// The IPv4 sources it could match.
    pub v4: Few<AddressRange>,
    /// The IPv6 sources it could match.
    pub v6: Few<AddressRange>,
    /// Narrowed by a source port or a destination, both of which parse.
    pub limited: bool,
    /// Narrowed by anything at all, parsed or not.
    pub has_limit: bool,
    /// What could not be read, in words; empty for a readable rule.
    pub unreadable: Vec<String>,
}

impl ReadRule<'_> {
    /// The sources it could match.
    pub fn sources(&self, family: Family) -> &[AddressRange] {
        match family {
            Family::Ipv4 => self.v4.as_slice(),
            Family::Ipv6 => self.v6.as_slice(),
        }
    }

    /// The sources as a set.
    pub fn source_set(&self, family: Family) -> AddressSet {
        AddressSet::from_ranges(self.sources(family).iter().copied())
    }

    /// Whether it could match that protocol at that port (of protocols that have ports).
    pub fn matches_point(&self, protocol: Protocol, port: Option<u16>) -> bool {
        self.protocols.has(protocol)
            && match port {
                Some(port) if protocol.has_ports() => self
                    .ports
                    .as_slice()
                    .iter()
                    .any(|(low, high)| *low <= port && port <= *high),
                _ => true,
            }
    }

    /// Whether it could match a packet of that family and protocol, at a port of the scope where the
    /// protocol has ports.
    pub fn reaches(&self, family: Family, protocol: Protocol, scope: &PortSet) -> bool {
        self.protocols.has(protocol)
            && !self.sources(family).is_empty()
            && (!protocol.has_ports()
                || self
                    .ports
                    .as_slice()
                    .iter()
                    .any(|range| scope.overlaps(*range)))
    }

    /// What it does under one of the two readings, and where it stands in the order; `None` where it
    /// matches nothing there.
    pub fn acts(&self, certainty: Certainty) -> Option<(u128, Policy)> {
        let policy = if self.unreadable.is_empty() {
            self.policy?
        } else {
            match (certainty, self.policy) {
                (Certainty::Closing, Some(Policy::Drop) | None) => Policy::Drop,
                (Certainty::Opening, Some(Policy::Accept) | None) => Policy::Accept,
                (Certainty::Closing, Some(Policy::Accept))
                | (Certainty::Opening, Some(Policy::Drop)) => return None,
            }
        };
        // A Drop with a limit closes nothing; an Accept with one is read as without.
        if policy == Policy::Drop && self.limited {
            return None;
        }
        // Priorities begin at 1: 0 stands before all others.
        Some((self.priority.unwrap_or(0), policy))
    }

    /// Whether it is an Accept that could be read in full.
    pub fn is_readable_accept(&self) -> bool {
        self.unreadable.is_empty() && self.policy == Some(Policy::Accept)
    }
}

/// Reads one rule of a group; `None` for egress and for the private interface of a classic group,
/// which do not count here.
pub fn read_rule<'a>(rule: &'a Rule, lists: &Lists, classic: bool) -> Option<ReadRule<'a>> {
    let mut unreadable = Vec::new();
    match read_word(&rule.direction, &["ingress", "egress"]) {
        Some("egress") => return None,
        Some(_) => {}
        None => unreadable.push(odd("Direction", &rule.direction)),
    }
    if classic {
        match (
            read_word(&rule.nic_type, &["internet", "intranet"]),
            rule.asked_nic,
        ) {
            (Some("intranet"), _) => return None,
            (Some(_), _) => {}
            (None, Some(asked)) if rule.nic_type.is_unset() => {
                if asked == NicType::Intranet {
                    return None;
                }
            }
            (None, _) => unreadable.push(odd("NicType", &rule.nic_type)),
        }
    }
    let policy = match read_word(&rule.policy, &["accept", "drop"]) {
        Some("accept") => Some(Policy::Accept),
        Some(_) => Some(Policy::Drop),
        None => {
            unreadable.push(odd("Policy", &rule.policy));
            None
        }
    };
    let priority = read_priority(&rule.priority);
    if priority.is_none() {
        unreadable.push(odd("Priority", &rule.priority));
    }
    let (protocols, ports) = read_traffic(rule, lists, &mut unreadable);
    let (v4, v6) = read_source(rule, lists, protocols, &mut unreadable);
    let limit = read_limits(rule);
    let has_limit = !matches!(limit, Limit::None);
    let limited = match limit {
        Limit::None => false,
        Limit::Some => true,
        // Could be none. On an Accept that changes nothing: it is read as without.
        Limit::Odd(what) => {
            if policy != Some(Policy::Accept) {
                unreadable.push(what);
            }
            false
        }
    };
    // It could be a limit of a kind that the service has since: of a Drop it would leave part open, and
    // an Accept is read as without.
    if policy != Some(Policy::Accept) {
        let unknown = rule.unknown.iter();
        unreadable.extend(unknown.map(|(name, _)| format!("the field {name} is not known here")));
    }
    Some(ReadRule {
        rule,
        policy,
        priority,
        protocols,
        ports,
        v4,
        v6,
        limited,
        has_limit,
        unreadable,
    })
}

fn odd(name: &str, field: &Field) -> String {
    match field {
        Field::Unset => format!("{name} is not set"),
        Field::Text(text) => format!("{name} \"{text}\" is not understood"),
        Field::Alien(json) => format!("{name} is not text: {json}"),
    }
}

/// One of the words, without case.
fn read_word<'w>(field: &Field, words: &[&'w str]) -> Option<&'w str> {
    let text = field.text()?;
    words
        .iter()
        .find(|word| word.eq_ignore_ascii_case(text))
        .copied()
}

/// Any integer from 1.
fn read_priority(field: &Field) -> Option<u128> {
    let text = field.text()?;
    if text.is_empty() || !text.bytes().all(|b| b.is_ascii_digit()) {
        return None;
    }
    // One beyond all that is counted here is not understood: two of them could not be put in order.
    text.parse::<u128>().ok().filter(|priority| *priority >= 1)
}

enum ProtocolName {
    One(Protocol),
    All,
    Other,
}

fn read_protocol(field: &Field) -> Option<ProtocolName> {
    let text = field.text()?;
    if text.bytes().all(|b| b.is_ascii_digit()) {
        return match text.parse::<u32>().ok()? {
            6 => Some(ProtocolName::One(Protocol::Tcp)),
            17 => Some(ProtocolName::One(Protocol::Udp)),
            1 => Some(ProtocolName::One(Protocol::Icmp)),
            58 => Some(ProtocolName::One(Protocol::Icmpv6)),
            47 => Some(ProtocolName::One(Protocol::Gre)),
            0..=255 => Some(ProtocolName::Other),
            _ => None,
        };
    }
    if text.eq_ignore_ascii_case("all") {
        return Some(ProtocolName::All);
    }
    Protocol::ALL
        .into_iter()
        .find(|protocol| protocol.as_str().eq_ignore_ascii_case(text))
        .map(ProtocolName::One)
}

fn read_traffic(
    rule: &Rule,
    lists: &Lists,
    unreadable: &mut Vec<String>,
) -> (Protocols, Few<PortRange>) {
    const EVERY_PORT: Few<PortRange> = Few::One((1, u16::MAX));
    match read_protocol(&rule.ip_protocol) {
        None => {
            unreadable.push(odd("IpProtocol", &rule.ip_protocol));
            (Protocols::ALL, EVERY_PORT)
        }
        Some(ProtocolName::All) => (Protocols::ALL, EVERY_PORT),
        Some(ProtocolName::Other) => (Protocols::NONE, Few::None),
        Some(ProtocolName::One(protocol)) if protocol.has_ports() => {
            let ports = read_ports(rule, lists).unwrap_or_else(|why| {
                unreadable.push(why);
                EVERY_PORT
            });
            (Protocols::one(protocol), ports)
        }
        Some(ProtocolName::One(protocol)) => (Protocols::one(protocol), EVERY_PORT),
    }
}

fn read_ports(rule: &Rule, lists: &Lists) -> Result<Few<PortRange>, String> {
    if !rule.port_range.is_unset() {
        return rule
            .port_range
            .text()
            .and_then(parse_port_range)
            .map(Few::One)
            .ok_or_else(|| odd("PortRange", &rule.port_range));
    }
    if rule.port_range_list_id.is_unset() {
        return Err("neither PortRange nor PortRangeListId is set".to_owned());
    }
    let id = rule
        .port_range_list_id
        .text()
        .ok_or_else(|| odd("PortRangeListId", &rule.port_range_list_id))?;
    let entries = match lists.port.get(id).map(AsRef::as_ref) {
        None => return Err(format!("port list {id} was not read")),
        Some(Err(why)) => return Err(format!("port list {id} could not be read: {why}")),
        Some(Ok(entries)) => entries,
    };
    let ranges = entries
        .iter()
        .map(|entry| {
            parse_port_range(entry)
                .ok_or_else(|| format!("port list {id}: entry \"{entry}\" is not understood"))
        })
        .collect::<Result<Vec<_>, _>>()?;
    Ok(Few::Many(ranges))
}

/// `low/high`, inclusive, decimal, 1 to 65535; a low of 0 is read as 1, `0/0` is unreadable,
/// `-1/-1` is every port.
pub fn parse_port_range(text: &str) -> Option<PortRange> {
    if text == "-1/-1" {
        return Some((1, u16::MAX));
    }
    let (low, high) = text.split_once('/')?;
    let (low, high) = (parse_port(low)?, parse_port(high)?);
    (high >= 1 && low <= high).then_some((low.max(1), high))
}

fn parse_port(digits: &str) -> Option<u16> {
    if digits.is_empty() || !digits.bytes().all(|b| b.is_ascii_digit()) {
        return None;
    }
    digits.parse::<u16>().ok()
}

type Sources = (Few<AddressRange>, Few<AddressRange>);

fn read_source(
    rule: &Rule,
    lists: &Lists,
    protocols: Protocols,
    unreadable: &mut Vec<String>,
) -> Sources {
    // All that a source could be: of an unreadable one not even the family is known.
    const ANY: Sources = (Few::One((0, 0xffff_ffff)), Few::One((0, u128::MAX)));
    let (four, six) = (&rule.source_cidr_ip, &rule.ipv6_source_cidr_ip);
    let cidr = |family, name, field: &Field| {
        field
            .text()
            .and_then(|text| parse_cidr(family, text))
            .ok_or_else(|| odd(name, field))
    };
    let read = match (four.is_unset(), six.is_unset()) {
        (false, false) => Err("SourceCidrIp and Ipv6SourceCidrIp are both set".to_owned()),
        (false, true) => cidr(Family::Ipv4, "SourceCidrIp", four).and_then(|range| {
            if protocols == Protocols::one(Protocol::Icmpv6) {
                Err("ICMPv6 with an IPv4 source".to_owned())
            } else {
                Ok((Few::One(range), Few::None))
            }
        }),
        (true, false) => cidr(Family::Ipv6, "Ipv6SourceCidrIp", six).and_then(|range| {
            if protocols == Protocols::one(Protocol::Icmp) {
                Err("ICMP with an IPv6 source".to_owned())
            } else {
                Ok((Few::None, Few::One(range)))
            }
        }),
        (true, true) if !rule.source_group_id.is_unset() => match rule.source_group_id.text() {
            // Private traffic: no internet address.
            Some(_) => Ok((Few::None, Few::None)),
            None => Err(odd("SourceGroupId", &rule.source_group_id)),
        },
        (true, true) if !rule.source_prefix_list_id.is_unset() => {
            read_prefix_list(&rule.source_prefix_list_id, lists)
        }
        (true, true) => Err("no source is set".to_owned()),
    };
    read.unwrap_or_else(|why| {
        unreadable.push(why);
        ANY
    })
}

fn read_prefix_list(field: &Field, lists: &Lists) -> Result<Sources, String> {
    let id = field
        .text()
        .ok_or_else(|| odd("SourcePrefixListId", field))?;
    let entries = match lists.prefix.get(id).map(AsRef::as_ref) {
        None => return Err(format!("prefix list {id} was not read")),
        Some(Err(why)) => return Err(format!("prefix list {id} could not be read: {why}")),
        Some(Ok(entries)) => entries,
    };
    let (mut v4, mut v6) = (Vec::new(), Vec::new());
    for entry in entries {
        match parse_any_cidr(entry) {
            Some((Family::Ipv4, range)) => v4.push(range),
            Some((Family::Ipv6, range)) => v6.push(range),
            None => {
                return Err(format!(
                    "prefix list {id}: entry \"{entry}\" is not understood"
                ));
            }
        }
    }
    Ok((Few::Many(v4), Few::Many(v6)))
}

enum Limit {
    None,
    Some,
    Odd(String),
}

fn read_limits(rule: &Rule) -> Limit {
    let mut odd_one: Option<String> = None;
    let mut limited = false;
    if !rule.source_port_range.is_unset() {
        match rule.source_port_range.text().and_then(parse_port_range) {
            Some((1, u16::MAX)) => {}
            Some(_) => limited = true,
            None => odd_one = Some(odd("SourcePortRange", &rule.source_port_range)),
        }
    }
    for (family, name, field) in [
        (Family::Ipv4, "DestCidrIp", &rule.dest_cidr_ip),
        (Family::Ipv6, "Ipv6DestCidrIp", &rule.ipv6_dest_cidr_ip),
    ] {
        if field.is_unset() {
            continue;
        }
        match field.text().and_then(|text| parse_cidr(family, text)) {
            Some((0, high)) if high == super::set::last_address(family) => {}
            Some(_) => limited = true,
            None => odd_one = Some(odd(name, field)),
        }
    }
    // Fields of egress rules; the service does not document them here. They could narrow the rule.
    for (name, field) in [
        ("DestGroupId", &rule.dest_group_id),
        ("DestPrefixListId", &rule.dest_prefix_list_id),
    ] {
        if !field.is_unset() {
            odd_one = Some(format!("{name} on an ingress rule is not understood"));
        }
    }
    // "A limit that does not parse [...] on a Drop makes the rule unreadable", whatever stands beside.
    match odd_one {
        Some(what) => Limit::Odd(what),
        None if limited => Limit::Some,
        None => Limit::None,
    }
}
