//! Rules for traffic that goes out. Seen from the other side such a rule is one for traffic that
//! comes in: what it calls destination is the peer, what it calls source narrows it. So it is turned
//! round, and read and decided by the same code.

use super::first_match::GroupRules;
use super::reading::{Few, Policy, Protocols, ReadRule};
use super::set::last_address;
use crate::model::{Family, Field, GroupReading, Rule};

/// What a group lets out: its egress rules turned round, and what becomes of the rest.
#[derive(Clone, Debug)]
pub struct Egress {
    turned: Vec<Rule>,
    unmatched: Unmatched,
    /// Stands for the service's own default where people ask which rule it was.
    default: Rule,
}

/// What becomes of a packet that no egress rule matches.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Unmatched {
    /// A basic group lets it out.
    Out,
    /// An advanced group drops it.
    Dropped,
    /// The service did not say which type the group is.
    Unknown,
}

impl Egress {
    /// Of one group.
    pub fn of(reading: &GroupReading) -> Self {
        Self {
            turned: reading.rules.read.iter().map(turned).collect(),
            unmatched: match reading.group.kind.to_ascii_lowercase().as_str() {
                "normal" => Unmatched::Out,
                "enterprise" => Unmatched::Dropped,
                _ => Unmatched::Unknown,
            },
            default: Rule {
                security_group_rule_id: Field::from("(no rule)"),
                policy: Field::from("Accept"),
                priority: Field::from("last"),
                ip_protocol: Field::from("ALL"),
                port_range: Field::from("-1/-1"),
                source_cidr_ip: Field::from("everything"),
                description: Field::from(
                    "what no rule matches: a basic group lets it out, an advanced group drops it",
                ),
                ..Rule::default()
            },
        }
    }

    /// The rules as the engine decides by them. Their sources are the peers that are reached.
    pub fn rules<'a>(&'a self, reading: &GroupReading) -> GroupRules<'a> {
        let group = GroupRules::read(&self.turned, &reading.lists, reading.group.is_classic());
        let mut rules = group.rules().to_vec();
        for rule in &mut rules {
            for text in &mut rule.unreadable {
                *text = as_written(text);
            }
        }
        if self.unmatched != Unmatched::Dropped {
            rules.push(self.last(reading));
        }
        GroupRules::of(rules)
    }

    fn last<'a>(&'a self, reading: &GroupReading) -> ReadRule<'a> {
        let unreadable = match self.unmatched {
            Unmatched::Unknown => vec![format!(
                "SecurityGroupType \"{}\" is not understood, so it is not known whether the group lets \
                 out what no rule matches",
                reading.group.kind
            )],
            Unmatched::Out | Unmatched::Dropped => Vec::new(),
        };
        ReadRule {
            rule: &self.default,
            policy: Some(Policy::Accept),
            priority: Some(u128::MAX),
            protocols: Protocols::ALL,
            ports: Few::One((1, u16::MAX)),
            v4: Few::One((0, last_address(Family::Ipv4))),
            v6: Few::One((0, last_address(Family::Ipv6))),
            limited: false,
            has_limit: false,
            unreadable,
        }
    }
}

/// The rule with both ends exchanged. A direction that is neither stays as it is: the rule could be
/// of either.
fn turned(rule: &Rule) -> Rule {
    let direction = match rule.direction.text() {
        Some(text) if text.eq_ignore_ascii_case("egress") => Field::from("ingress"),
        Some(text) if text.eq_ignore_ascii_case("ingress") => Field::from("egress"),
        _ => rule.direction.clone(),
    };
    let own = rule.clone();
    Rule {
        direction,
        source_cidr_ip: own.dest_cidr_ip,
        ipv6_source_cidr_ip: own.ipv6_dest_cidr_ip,
        source_group_id: own.dest_group_id,
        source_group_name: own.dest_group_name,
        source_group_owner_account: own.dest_group_owner_account,
        source_prefix_list_id: own.dest_prefix_list_id,
        source_prefix_list_name: own.dest_prefix_list_name,
        dest_cidr_ip: own.source_cidr_ip,
        ipv6_dest_cidr_ip: own.ipv6_source_cidr_ip,
        dest_group_id: own.source_group_id,
        dest_group_name: own.source_group_name,
        dest_group_owner_account: own.source_group_owner_account,
        dest_prefix_list_id: own.source_prefix_list_id,
        dest_prefix_list_name: own.source_prefix_list_name,
        ..rule.clone()
    }
}

/// What could not be read, under the names that stand in the rule itself.
fn as_written(text: &str) -> String {
    const NAMES: [(&str, &str); 10] = [
        (
            "SourceCidrIp and Ipv6SourceCidrIp",
            "DestCidrIp and Ipv6DestCidrIp",
        ),
        ("Ipv6SourceCidrIp", "Ipv6DestCidrIp"),
        ("SourceCidrIp", "DestCidrIp"),
        ("SourceGroupId", "DestGroupId"),
        ("SourcePrefixListId", "DestPrefixListId"),
        ("Ipv6DestCidrIp", "Ipv6SourceCidrIp"),
        ("DestCidrIp", "SourceCidrIp"),
        ("no source is set", "no destination is set"),
        ("DestGroupId on an ingress", "SourceGroupId on an egress"),
        (
            "DestPrefixListId on an ingress",
            "SourcePrefixListId on an egress",
        ),
    ];
    // Each message begins with the field's name; what the service said in it is left alone.
    NAMES
        .into_iter()
        .find_map(|(turned, own)| Some(format!("{own}{}", text.strip_prefix(turned)?)))
        .unwrap_or_else(|| text.to_owned())
}
