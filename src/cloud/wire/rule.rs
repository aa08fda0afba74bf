//! One rule of DescribeSecurityGroupAttribute, straight into the model.

use super::object::{Text, duplicate, field};
use crate::model::{Field, Rule};
use serde::de::{self, Deserialize, Deserializer, MapAccess, Visitor};
use serde_json::value::RawValue;
use std::borrow::Cow;
use std::fmt;

/// A rule, and whether anything about it is new to us.
pub(super) struct WireRule {
    pub(super) rule: Rule,
    pub(super) odd: bool,
}

/// The rule's field for a key, and the field's number.
fn slot<'r>(rule: &'r mut Rule, key: &str) -> Option<(&'r mut Field, u32)> {
    Some(match key {
        "SecurityGroupRuleId" => (&mut rule.security_group_rule_id, 0),
        "Direction" => (&mut rule.direction, 1),
        "Policy" => (&mut rule.policy, 2),
        "Priority" => (&mut rule.priority, 3),
        "IpProtocol" => (&mut rule.ip_protocol, 4),
        "PortRange" => (&mut rule.port_range, 5),
        "PortRangeListId" => (&mut rule.port_range_list_id, 6),
        "PortRangeListName" => (&mut rule.port_range_list_name, 7),
        "SourceCidrIp" => (&mut rule.source_cidr_ip, 8),
        "Ipv6SourceCidrIp" => (&mut rule.ipv6_source_cidr_ip, 9),
        "SourceGroupId" => (&mut rule.source_group_id, 10),
        "SourceGroupName" => (&mut rule.source_group_name, 11),
        "SourceGroupOwnerAccount" => (&mut rule.source_group_owner_account, 12),
        "SourcePrefixListId" => (&mut rule.source_prefix_list_id, 13),
        "SourcePrefixListName" => (&mut rule.source_prefix_list_name, 14),
        "SourcePortRange" => (&mut rule.source_port_range, 15),
        "DestCidrIp" => (&mut rule.dest_cidr_ip, 16),
        "Ipv6DestCidrIp" => (&mut rule.ipv6_dest_cidr_ip, 17),
        "DestGroupId" => (&mut rule.dest_group_id, 18),
        "DestGroupName" => (&mut rule.dest_group_name, 19),
        "DestGroupOwnerAccount" => (&mut rule.dest_group_owner_account, 20),
        "DestPrefixListId" => (&mut rule.dest_prefix_list_id, 21),
        "DestPrefixListName" => (&mut rule.dest_prefix_list_name, 22),
        "NicType" => (&mut rule.nic_type, 23),
        "Description" => (&mut rule.description, 24),
        "CreateTime" => (&mut rule.create_time, 25),
        _ => return None,
    })
}

impl<'de> Deserialize<'de> for WireRule {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct RuleVisitor;
        impl<'de> Visitor<'de> for RuleVisitor {
            type Value = WireRule;
            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a rule, which is an object")
            }
            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
                let mut rule = Rule::default();
                let mut odd = false;
                let mut seen = 0_u32;
                let mut others: Vec<Cow<'de, str>> = Vec::new();
                while let Some(Text(key)) = map.next_key()? {
                    let raw: &'de RawValue = map.next_value()?;
                    let value = field(raw).map_err(de::Error::custom)?;
                    if let Some((place, number)) = slot(&mut rule, &key) {
                        let bit = 1 << number;
                        if seen & bit != 0 {
                            return Err(duplicate(&key));
                        }
                        seen |= bit;
                        odd |= matches!(value, Field::Alien(_));
                        *place = value;
                        continue;
                    }
                    if others.contains(&key) {
                        return Err(duplicate(&key));
                    }
                    if others.len() == 200 {
                        return Err(de::Error::custom("a rule with too many keys"));
                    }
                    if !value.is_unset() {
                        odd = true;
                        rule.unknown
                            .push((key.clone().into_owned(), raw.get().to_owned()));
                    }
                    others.push(key);
                }
                Ok(WireRule { rule, odd })
            }
        }
        deserializer.deserialize_map(RuleVisitor)
    }
}

/// `Permissions`: an empty object is an empty list, a missing or null `Permission` is none at all.
pub(super) struct Wrapped(pub(super) Option<Vec<WireRule>>);

impl<'de> Deserialize<'de> for Wrapped {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct WrappedVisitor;
        impl<'de> Visitor<'de> for WrappedVisitor {
            type Value = Wrapped;
            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("Permissions, which is an object")
            }
            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
                let mut rules: Option<Option<Vec<WireRule>>> = None;
                let mut others = false;
                while let Some(Text(key)) = map.next_key()? {
                    if key == "Permission" {
                        if rules.is_some() {
                            return Err(duplicate(&key));
                        }
                        rules = Some(map.next_value()?);
                    } else {
                        others = true;
                        map.next_value::<de::IgnoredAny>()?;
                    }
                }
                Ok(Wrapped(match rules {
                    Some(rules) => rules,
                    None if others => None,
                    None => Some(Vec::new()),
                }))
            }
        }
        deserializer.deserialize_map(WrappedVisitor)
    }
}
