//! What AuthorizeSecurityGroup demands of a rule (reference 3.5), in the service's order of codes as
//! far as it is known. All rules of a request are checked before any is added.

use std::collections::BTreeMap;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use super::super::rule::{Priority, Rule};
use super::super::wire::Failure;
use super::super::world::{Group, World};
use super::Call;

/// The regions that take an IANA number as IpProtocol (reference 4.6).
const NUMERIC_REGIONS: &[&str] = &[
    "cn-huhehaote",
    "cn-qingdao",
    "ap-southeast-6",
    "eu-west-1",
    "ap-southeast-3",
    "us-west-1",
    "ap-southeast-1",
];

/// One `Permissions.N` as sent, empty fields left out.
pub(super) type Fields<'a> = BTreeMap<&'a str, &'a str>;

fn v4(text: &str) -> bool {
    match text.split_once('/') {
        Some((ip, len)) => {
            ip.parse::<Ipv4Addr>().is_ok() && len.parse::<u8>().is_ok_and(|n| n <= 32)
        }
        None => text.parse::<Ipv4Addr>().is_ok(),
    }
}

fn v6(text: &str) -> bool {
    match text.split_once('/') {
        Some((ip, len)) => {
            ip.parse::<Ipv6Addr>().is_ok() && len.parse::<u8>().is_ok_and(|n| n <= 128)
        }
        None => text.parse::<Ipv6Addr>().is_ok(),
    }
}

fn range(text: &str) -> bool {
    let Some((low, high)) = text.split_once('/') else {
        return false;
    };
    match (low.parse::<u16>(), high.parse::<u16>()) {
        (Ok(low), Ok(high)) => low >= 1 && low <= high,
        _ => false,
    }
}

/// The families of a protocol that has only one.
fn only_family(protocol: &str) -> Option<&'static str> {
    match protocol {
        "ICMP" | "1" => Some("IPv4"),
        "ICMPV6" | "58" => Some("IPv6"),
        _ => None,
    }
}

pub(super) fn peer_fields(ingress: bool) -> [&'static str; 4] {
    if ingress {
        [
            "SourceCidrIp",
            "Ipv6SourceCidrIp",
            "SourceGroupId",
            "SourcePrefixListId",
        ]
    } else {
        [
            "DestCidrIp",
            "Ipv6DestCidrIp",
            "DestGroupId",
            "DestPrefixListId",
        ]
    }
}

/// The rule that the fields describe, as it would be stored, without an id.
pub(super) fn rule(
    call: &Call<'_>,
    world: &World,
    group: &Group,
    ingress: bool,
    fields: &Fields<'_>,
) -> Result<Rule, Failure> {
    let get = |name: &str| fields.get(name).copied();
    let text = |name: &str| get(name).unwrap_or_default().to_owned();
    let mut rule = Rule {
        direction: if ingress { "ingress" } else { "egress" }.into(),
        create_time: call.now.format("%Y-%m-%dT%H:%M:%SZ").to_string(),
        ..Rule::default()
    };
    rule.policy = match get("Policy").unwrap_or("accept") {
        p if p.eq_ignore_ascii_case("accept") => "Accept".into(),
        p if p.eq_ignore_ascii_case("drop") => "Drop".into(),
        p => {
            return Err(Failure::bad(
                "InvalidPolicy.Malformed",
                format!("The specified Policy {p} is not valid."),
            ));
        }
    };
    rule.priority = match get("Priority").unwrap_or("1").parse() {
        Ok(n @ 1..=100) => Priority::Number(n),
        _ => {
            return Err(Failure::bad(
                "InvalidPriority.ValueNotSupported",
                "The specified Priority is not within 1 to 100.",
            ));
        }
    };
    let description = text("Description");
    if description.chars().count() > 512 {
        return Err(Failure::bad(
            "InvalidSecurityGroupDiscription.Malformed",
            "The specified description is longer than 512 characters.",
        ));
    }
    rule.description = description;
    rule.ip_protocol = protocol(call, get("IpProtocol"))?;
    ports(call, world, group, &mut rule, fields)?;
    peer(call, world, group, ingress, &mut rule, fields)?;
    limits(ingress, &mut rule, fields)?;
    nic(group, &mut rule, get("NicType"))?;
    if group.is_classic() && rule.source_port_range.is_empty() {
        rule.source_port_range = "-1/-1".into();
    }
    Ok(rule)
}

fn protocol(call: &Call<'_>, text: Option<&str>) -> Result<String, Failure> {
    let text = text.ok_or_else(|| Failure::missing("IpProtocol"))?;
    let upper = text.to_ascii_uppercase();
    let named = ["TCP", "UDP", "ICMP", "GRE", "ALL"].contains(&upper.as_str());
    let numbered = upper.parse::<u8>().is_ok() && NUMERIC_REGIONS.contains(&call.region_id());
    if named || numbered {
        return Ok(upper);
    }
    Err(Failure::bad(
        "InvalidIpProtocol.ValueNotSupported",
        format!("The specified IpProtocol {text} is not supported here."),
    ))
}

fn ports(
    call: &Call<'_>,
    world: &World,
    group: &Group,
    rule: &mut Rule,
    fields: &Fields<'_>,
) -> Result<(), Failure> {
    let with_ports = ["TCP", "UDP", "6", "17"].contains(&rule.ip_protocol.as_str());
    match (fields.get("PortRange"), fields.get("PortRangeListId")) {
        (Some(text), _) => {
            let fits = if with_ports {
                range(text)
            } else {
                *text == "-1/-1"
            };
            if !fits {
                let code = if !with_ports && range(text) {
                    "OperationDenied"
                } else {
                    "InvalidParam.PortRange"
                };
                return Err(Failure::bad(
                    code,
                    format!(
                        "The specified PortRange {text} is not valid for {}.",
                        rule.ip_protocol
                    ),
                ));
            }
            rule.port_range = (*text).into();
        }
        (None, Some(id)) => {
            if !with_ports {
                return Err(Failure::bad(
                    "InvalidParam.ProtocolNotSupportPortRangeList",
                    "Only TCP and UDP take a port list.",
                ));
            }
            if group.is_classic() {
                return Err(Failure::new(
                    403,
                    "InvalidNetworkType.Mismatch",
                    "A classic group takes no port list.",
                ));
            }
            let list = world
                .region(&call.caller.account, call.region_id())
                .and_then(|r| r.port_lists.get(*id))
                .ok_or_else(|| {
                    Failure::new(
                        404,
                        "InvalidPortRangeListId.NotFound",
                        "The specified port list was not found.",
                    )
                })?;
            rule.port_range_list_id = (*id).into();
            rule.port_range_list_name = list.port_range_list_name.clone();
        }
        (None, None) => {
            return Err(Failure::bad(
                "InvalidParam.PortRange",
                "The parameter PortRange is missing.",
            ));
        }
    }
    Ok(())
}

fn peer(
    call: &Call<'_>,
    world: &World,
    group: &Group,
    ingress: bool,
    rule: &mut Rule,
    fields: &Fields<'_>,
) -> Result<(), Failure> {
    let [cidr, ipv6, group_id, prefix] = peer_fields(ingress).map(|n| fields.get(n).copied());
    let only = only_family(&rule.ip_protocol);
    match (cidr, ipv6) {
        (Some(_), Some(_)) => {
            return Err(Failure::bad(
                "InvalidParam.Ipv6SourceCidrIp",
                "An IPv4 and an IPv6 range cannot be given together.",
            ));
        }
        (Some(cidr), None) => {
            if !v4(cidr) {
                let code = if ingress {
                    "InvalidParam.SourceIp"
                } else {
                    "InvalidParam.DestIp"
                };
                return Err(Failure::bad(code, format!("{cidr} is not an IPv4 range.")));
            }
            if only == Some("IPv6") {
                return Err(Failure::bad(
                    "InvalidParam.Ipv6ProtocolConflictWithIpv4Address",
                    "An IPv6 protocol conflicts with an IPv4 address.",
                ));
            }
            if ingress {
                rule.source_cidr_ip = cidr.into();
            } else {
                rule.dest_cidr_ip = cidr.into();
            }
            return Ok(());
        }
        (None, Some(cidr)) => {
            if !v6(cidr) {
                return Err(Failure::bad(
                    "ILLEGAL_IPV6_CIDR",
                    format!("{cidr} is not an IPv6 range."),
                ));
            }
            if only == Some("IPv4") {
                return Err(Failure::bad(
                    "InvalidParam.Ipv4ProtocolConflictWithIpv6Address",
                    "An IPv4 protocol conflicts with an IPv6 address.",
                ));
            }
            if ingress {
                rule.ipv6_source_cidr_ip = cidr.into();
            } else {
                rule.ipv6_dest_cidr_ip = cidr.into();
            }
            return Ok(());
        }
        (None, None) => {}
    }
    if let Some(id) = group_id {
        return group_peer(call, world, group, ingress, rule, id, fields);
    }
    let Some(id) = prefix else {
        return Err(Failure::missing(if ingress { "Source" } else { "Dest" }));
    };
    if group.is_classic() {
        return Err(Failure::bad(
            "NotSupported.ClassicNetworkPrefixList",
            "A classic group takes no prefix list.",
        ));
    }
    let list = world
        .region(&call.caller.account, call.region_id())
        .and_then(|r| r.prefix_lists.get(id))
        .ok_or_else(|| {
            Failure::new(
                404,
                "InvalidPrefixListId.NotFound",
                "The specified prefix list was not found.",
            )
        })?;
    if only.is_some_and(|family| family != list.address_family) {
        return Err(Failure::bad(
            "InvalidParam.PrefixListAddressFamilyMismatch",
            "The prefix list is of the other address family.",
        ));
    }
    let name = list.prefix_list_name.clone();
    if ingress {
        rule.source_prefix_list_id = id.into();
        rule.source_prefix_list_name = name;
    } else {
        rule.dest_prefix_list_id = id.into();
        rule.dest_prefix_list_name = name;
    }
    Ok(())
}

fn group_peer(
    call: &Call<'_>,
    world: &World,
    group: &Group,
    ingress: bool,
    rule: &mut Rule,
    id: &str,
    fields: &Fields<'_>,
) -> Result<(), Failure> {
    if group.security_group_type == "enterprise" {
        return Err(Failure::bad(
            "InvalidGroupParameter.OperationDenied",
            "An advanced group cannot name groups.",
        ));
    }
    let owner_fields = if ingress {
        ["SourceGroupOwnerAccount", "SourceGroupOwnerId"]
    } else {
        ["DestGroupOwnerAccount", "DestGroupOwnerId"]
    };
    let owner = owner_fields.iter().find_map(|n| fields.get(n).copied());
    let account = owner.unwrap_or(&call.caller.account);
    // Of an account that is not simulated nothing can be said: it is believed.
    let name = match world.accounts.get(account) {
        None => String::new(),
        Some(_) => world
            .group(account, call.region_id(), id)
            .map(|g| g.security_group_name.clone())
            .ok_or_else(|| {
                Failure::new(
                    404,
                    "InvalidSourceGroupId.NotFound",
                    "The specified source group was not found.",
                )
            })?,
    };
    let owner = owner
        .filter(|o| *o != call.caller.account)
        .unwrap_or_default();
    if ingress {
        rule.source_group_id = id.into();
        rule.source_group_name = name;
        rule.source_group_owner_account = owner.into();
    } else {
        rule.dest_group_id = id.into();
        rule.dest_group_name = name;
        rule.dest_group_owner_account = owner.into();
    }
    Ok(())
}

fn limits(ingress: bool, rule: &mut Rule, fields: &Fields<'_>) -> Result<(), Failure> {
    if let Some(text) = fields.get("SourcePortRange") {
        if *text != "-1/-1" && !range(text) {
            return Err(Failure::bad(
                "InvalidParam.SourcePortRange",
                format!("The specified SourcePortRange {text} is not valid."),
            ));
        }
        rule.source_port_range = (*text).into();
    }
    let [limit4, limit6, ..] = peer_fields(!ingress);
    if let Some(text) = fields.get(limit4) {
        if !v4(text) {
            return Err(Failure::bad(
                "InvalidParam.DestIp",
                format!("{text} is not an IPv4 range."),
            ));
        }
        if ingress {
            rule.dest_cidr_ip = (*text).into();
        } else {
            rule.source_cidr_ip = (*text).into();
        }
    }
    if let Some(text) = fields.get(limit6) {
        if !v6(text) {
            return Err(Failure::bad(
                "ILLEGAL_IPV6_CIDR",
                format!("{text} is not an IPv6 range."),
            ));
        }
        if ingress {
            rule.ipv6_dest_cidr_ip = (*text).into();
        } else {
            rule.ipv6_source_cidr_ip = (*text).into();
        }
    }
    Ok(())
}

fn nic(group: &Group, rule: &mut Rule, asked: Option<&str>) -> Result<(), Failure> {
    let nic = match (group.is_classic(), asked) {
        (false, None | Some("intranet")) => "intranet",
        (true, None | Some("internet")) => "internet",
        (true, Some("intranet")) => "intranet",
        (false, Some("internet")) => {
            return Err(Failure::new(
                403,
                "InvalidNicType.Mismatch",
                "In a VPC the NicType is intranet.",
            ));
        }
        (_, Some(other)) => {
            return Err(Failure::bad(
                "InvalidNicType.ValueNotSupported",
                format!("The specified NicType {other} is not supported."),
            ));
        }
    };
    let by_group = !rule.source_group_id.is_empty() || !rule.dest_group_id.is_empty();
    if nic == "internet" && by_group {
        return Err(Failure::new(
            403,
            "InvalidNicType.Mismatch",
            "A rule of the public card cannot name a group.",
        ));
    }
    rule.nic_type = nic.into();
    Ok(())
}

/// Whether two addresses or ranges, as texts, are of the same family; for Modify.
pub(super) fn same_kind(old: &str, new: &str) -> bool {
    let family = |text: &str| {
        let ip = text.split('/').next().unwrap_or_default();
        ip.parse::<IpAddr>().ok().map(|ip| ip.is_ipv4())
    };
    family(old) == family(new)
}
