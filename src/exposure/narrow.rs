//! Narrowing: the rules that come in a rule's place, by a fixed construction. Of its ports that no
//! remediable check names everything stays; of the ports that one names only what is kept.
//!
//! Every packet outside the checks is decided as before, and so is every one from a kept source; any
//! other is decided as if the rule were not there. While old and new stand together every packet is
//! decided as before.

use super::first_match::GroupRules;
use super::internet::{Internet, WIDEST_TRUSTED};
use super::reading::{Certainty, ReadRule};
use super::set::{AddressSet, PortRange, PortSet, network_size, parse_any_cidr};
use super::traffic::difference;
use crate::model::{Family, Field, Protocol, Rule};
use std::collections::BTreeMap;

/// The networks that a narrowed rule still lets in at the checks' ports.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Keep {
    v4: AddressSet,
    v6: AddressSet,
}

impl Keep {
    /// The union of networks.
    ///
    /// # Errors
    /// Names the first entry that is not a network, or that keeps more of the internet than may be
    /// trusted: what it kept would stay exposed.
    pub fn read(networks: &[String]) -> Result<Self, String> {
        let mut out = Self::default();
        let internet = Internet::whole();
        for text in networks {
            let (family, range) = parse_any_cidr(text)
                .ok_or_else(|| format!("\"{text}\" is not a network (such as 10.0.0.0/8)"))?;
            let set = AddressSet::from_ranges([range]);
            for (of, widest) in WIDEST_TRUSTED {
                if of == family
                    && set.intersect(internet.of(family)).count() > network_size(family, widest)
                {
                    return Err(format!(
                        "\"{text}\" keeps too much of the internet: at most a /{widest} of {}",
                        family.as_str()
                    ));
                }
            }
            let slot = match family {
                Family::Ipv4 => &mut out.v4,
                Family::Ipv6 => &mut out.v6,
            };
            *slot = slot.union(&set);
        }
        Ok(out)
    }

    /// What is kept of a family.
    pub fn of(&self, family: Family) -> &AddressSet {
        match family {
            Family::Ipv4 => &self.v4,
            Family::Ipv6 => &self.v6,
        }
    }
}

/// The points that the remediable checks name: the ports of each protocol, every port of one that
/// has none.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Inside(BTreeMap<Protocol, PortSet>);

impl Inside {
    /// Adds ports of a protocol.
    pub fn add(&mut self, protocol: Protocol, ports: &PortSet) {
        let all = PortSet::all();
        let ports = if protocol.has_ports() { ports } else { &all };
        let slot = self.0.entry(protocol).or_default();
        *slot = PortSet::from_ranges(slot.ranges().iter().chain(ports.ranges()).copied());
    }

    /// The ports of a protocol that are named; empty where it is not.
    pub fn ports(&self, protocol: Protocol) -> PortSet {
        self.0.get(&protocol).cloned().unwrap_or_default()
    }
}

/// The rules that come in a rule's place, without ids, by port and then by address; none where
/// nothing of it is kept.
///
/// # Errors
/// Says in words why no rules can say what has to stay.
pub fn narrow(rule: &ReadRule<'_>, inside: &Inside, keep: &Keep) -> Result<Vec<Rule>, String> {
    if !rule.is_readable_accept() {
        return Err("it is not an Accept that could be read in full".to_owned());
    }
    let mut protocols = Protocol::ALL
        .into_iter()
        .filter(|protocol| rule.protocols.has(*protocol));
    let (Some(protocol), None) = (protocols.next(), protocols.next()) else {
        return Err(
            "it is of protocol ALL, and what else it lets in could not be given back by rules of \
             single protocols"
                .to_owned(),
        );
    };
    if protocol.has_ports() && rule.rule.port_range.is_unset() {
        return Err("its ports are a port list".to_owned());
    }
    let by_cidr = !rule.rule.source_cidr_ip.is_unset() || !rule.rule.ipv6_source_cidr_ip.is_unset();
    let (family, range) = match (rule.v4.as_slice(), rule.v6.as_slice()) {
        ([range], []) if by_cidr => (Family::Ipv4, *range),
        ([], [range]) if by_cidr => (Family::Ipv6, *range),
        _ => return Err("its source is no network but a prefix list or a group".to_owned()),
    };
    let source = AddressSet::from_ranges([range]);
    let kept = source.intersect(keep.of(family));
    let named = inside.ports(protocol);
    if !protocol.has_ports() {
        let stays = if named.is_empty() { &source } else { &kept };
        return Ok(pieces(rule.rule, protocol, None, family, stays));
    }
    let own = PortSet::from_ranges(rule.ports.as_slice().iter().copied());
    let mut runs: Vec<(PortRange, &AddressSet)> = Vec::new();
    for run in own.intersect(&named.complement()).ranges() {
        runs.push((*run, &source));
    }
    for run in own.intersect(&named).ranges() {
        runs.push((*run, &kept));
    }
    runs.sort_by_key(|(run, _)| *run);
    Ok(runs
        .into_iter()
        .flat_map(|(run, stays)| pieces(rule.rule, protocol, Some(run), family, stays))
        .collect())
}

/// The last Priority that the service still takes; a rule above it comes back there.
const LAST_PRIORITY: u128 = 100;

/// One rule for each network that stays: all else as in the old one.
fn pieces(
    old: &Rule,
    protocol: Protocol,
    ports: Option<PortRange>,
    family: Family,
    stays: &AddressSet,
) -> Vec<Rule> {
    let ports = ports.map_or_else(|| "-1/-1".to_owned(), |(low, high)| format!("{low}/{high}"));
    let above = old
        .priority
        .text()
        .and_then(|text| text.parse::<u128>().ok())
        .is_some_and(|priority| priority > LAST_PRIORITY);
    let priority = if above {
        Field::Text(LAST_PRIORITY.to_string().into())
    } else {
        old.priority.clone()
    };
    stays
        .cidrs(family)
        .into_iter()
        .map(|network| {
            let network = Field::from(network.as_str());
            let (v4, v6) = match family {
                Family::Ipv4 => (network, Field::Unset),
                Family::Ipv6 => (Field::Unset, network),
            };
            Rule {
                security_group_rule_id: Field::Unset,
                create_time: Field::Unset,
                priority: priority.clone(),
                ip_protocol: Field::from(protocol.as_str().to_ascii_uppercase().as_str()),
                port_range: Field::from(ports.as_str()),
                port_range_list_id: Field::Unset,
                port_range_list_name: Field::Unset,
                source_cidr_ip: v4,
                ipv6_source_cidr_ip: v6,
                // Ignored beside a network.
                source_group_id: Field::Unset,
                source_group_name: Field::Unset,
                source_group_owner_account: Field::Unset,
                source_prefix_list_id: Field::Unset,
                source_prefix_list_name: Field::Unset,
                ..old.clone()
            }
        })
        .collect()
}

/// Whether two rules are one but for Priority: both read in full, without limits and lists (whose
/// entries may change any time), and matching the same packets with the same policy. What they say may
/// be spelled otherwise.
pub fn are_twins(one: &ReadRule<'_>, other: &ReadRule<'_>) -> bool {
    let plain = |rule: &ReadRule<'_>| {
        rule.unreadable.is_empty()
            && !rule.has_limit
            && !rule.rule.names_a_list()
            && rule.rule.unknown.is_empty()
    };
    let ports = |rule: &ReadRule<'_>| {
        let has_ports = Protocol::ALL
            .into_iter()
            .any(|protocol| rule.protocols.has(protocol) && protocol.has_ports());
        has_ports.then(|| PortSet::from_ranges(rule.ports.as_slice().iter().copied()))
    };
    plain(one)
        && plain(other)
        && one.policy == other.policy
        && one.protocols == other.protocols
        && ports(one) == ports(other)
        && Family::ALL
            .into_iter()
            .all(|family| one.source_set(family) == other.source_set(family))
}

/// Whether a group keeps the page's promise as it is narrowed: nothing is opened and, while old and new
/// stand together, nothing closed; what is closed in the end lies at the checks' points and is not kept.
pub fn is_as_promised(
    before: &GroupRules<'_>,
    between: &GroupRules<'_>,
    after: &GroupRules<'_>,
    inside: &Inside,
    keep: &Keep,
) -> bool {
    [Certainty::Closing, Certainty::Opening]
        .into_iter()
        .all(|certainty| {
            let first = difference(before, between, certainty);
            let whole = difference(before, after, certainty);
            let promised = |run: &super::Run| {
                let named = inside.ports(run.protocol);
                let at = run.ports.unwrap_or((1, u16::MAX));
                PortSet::from_ranges([at])
                    .intersect(&named.complement())
                    .is_empty()
                    && run.sources.intersect(keep.of(run.family)).is_empty()
            };
            first.opened.is_empty()
                && first.closed.is_empty()
                && whole.opened.is_empty()
                && whole.closed.iter().all(promised)
        })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_kept_may_be_private_however_wide_but_not_the_internet() {
        let read = |text: &str| Keep::read(&[text.to_owned()]);
        assert!(read("fc00::/7").is_ok(), "no internet address in it");
        assert!(read("10.0.0.0/8").is_ok());
        assert!(read("240.0.0.0/4").is_ok());
        assert!(read("47.0.0.0/8").is_ok());
        for wide in ["0.0.0.0/0", "::/0", "46.0.0.0/7", "2400::/19"] {
            let why = read(wide).expect_err(wide);
            assert!(why.contains(wide), "{why}");
        }
        assert!(read("office").is_err());
        assert!(read("0.0.0.0").is_err(), "one address or all?");
    }
}
