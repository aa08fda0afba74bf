//! The exact AuthorizeSecurityGroup request that puts a rule back.
//!
//! Exact: every packet is decided as before. The service no longer takes some spellings that live
//! on in old rules (TCP `-1/-1`, `0/65535`, Priority 110); one that decides alike is exact too.
//! Source: AuthorizeSecurityGroup's help text in the official SDK 7.11.8.

use crate::exposure::reading::{parse_port_range, read_rule};
use crate::exposure::traffic::difference;
use crate::exposure::{Certainty, GroupRules, Policy};
use crate::model::{ApiRequest, Field, GroupReading, Rule};
use std::collections::BTreeMap;

/// The highest Priority that a request may name.
const LAST_PRIORITY: u128 = 100;

/// The request, or why no request is exact.
///
/// # Errors
/// Says in words why the rule could not be put back exactly.
pub fn authorize(group: &GroupReading, rule: &Rule) -> Result<ApiRequest, String> {
    let classic = group.group.is_classic();
    let read = read_rule(rule, &group.lists, classic).ok_or("it is not an ingress rule")?;
    if !read.unreadable.is_empty() {
        return Err(read.unreadable.join("; "));
    }
    if let Some((name, _)) = rule.unknown.first() {
        return Err(format!(
            "it has a field {name} that no request of ours could name"
        ));
    }
    let mut fields: Vec<(&str, String)> = Vec::new();
    fields.push((
        "Policy",
        match read.policy {
            Some(Policy::Accept) => "accept".to_owned(),
            Some(Policy::Drop) => "drop".to_owned(),
            None => return Err("its Policy is not known".to_owned()),
        },
    ));
    let priority = read.priority.ok_or("its Priority is not known")?;
    fields.push(("Priority", priority.min(LAST_PRIORITY).to_string()));
    if priority > LAST_PRIORITY {
        lowered(group, rule, priority)?;
    }
    traffic(rule, &mut fields)?;
    source(rule, &mut fields)?;
    let as_it_is = |name: &'static str, field: &Field| {
        (!field.is_unset()).then(|| (name, field.shown().to_owned()))
    };
    fields.extend(
        as_it_is("SourcePortRange", &rule.source_port_range).filter(|(_, range)| {
            // Covers all: leaving it out decides alike.
            parse_port_range(range) != Some((1, u16::MAX))
        }),
    );
    fields.extend(as_it_is("DestCidrIp", &rule.dest_cidr_ip));
    fields.extend(as_it_is("Ipv6DestCidrIp", &rule.ipv6_dest_cidr_ip));
    if classic {
        // A rule without NicType is of the interface that was asked for.
        let nic = match rule.nic_type.text() {
            Some(text) => text.to_ascii_lowercase(),
            None => rule
                .asked_nic
                .map(|nic| nic.as_str().to_owned())
                .unwrap_or_default(),
        };
        fields.push(("NicType", nic));
    }
    fields.extend(as_it_is("Description", &rule.description));
    let mut params: BTreeMap<String, String> = fields
        .into_iter()
        .map(|(name, value)| (format!("Permissions.1.{name}"), value))
        .collect();
    params.insert("RegionId".to_owned(), group.region.as_str().to_owned());
    params.insert("SecurityGroupId".to_owned(), group.group.id.clone());
    Ok(ApiRequest {
        action: "AuthorizeSecurityGroup".to_owned(),
        params,
    })
}

fn traffic(rule: &Rule, fields: &mut Vec<(&str, String)>) -> Result<(), String> {
    let protocol = rule.ip_protocol.shown().to_ascii_uppercase();
    let protocol = match protocol.as_str() {
        "6" => "TCP".to_owned(),
        "17" => "UDP".to_owned(),
        "1" => "ICMP".to_owned(),
        "47" => "GRE".to_owned(),
        // Listed for Revoke only; whether Authorize takes it is not known.
        "58" | "ICMPV6" => return Err("AuthorizeSecurityGroup lists no ICMPv6".to_owned()),
        _ => protocol,
    };
    let has_ports = matches!(protocol.as_str(), "TCP" | "UDP");
    fields.push(("IpProtocol", protocol));
    if !has_ports {
        fields.push(("PortRange", "-1/-1".to_owned()));
    } else if rule.port_range.is_unset() {
        fields.push((
            "PortRangeListId",
            rule.port_range_list_id.shown().to_owned(),
        ));
    } else {
        let (low, high) = parse_port_range(rule.port_range.shown())
            .ok_or_else(|| format!("its PortRange \"{}\"", rule.port_range.shown()))?;
        fields.push(("PortRange", format!("{low}/{high}")));
    }
    Ok(())
}

fn source(rule: &Rule, fields: &mut Vec<(&str, String)>) -> Result<(), String> {
    let first = [
        ("SourceCidrIp", &rule.source_cidr_ip),
        ("Ipv6SourceCidrIp", &rule.ipv6_source_cidr_ip),
        ("SourceGroupId", &rule.source_group_id),
        ("SourcePrefixListId", &rule.source_prefix_list_id),
    ]
    .into_iter()
    .find(|(_, field)| !field.is_unset());
    let Some((name, field)) = first else {
        return Err("it has no source".to_owned());
    };
    fields.push((name, field.shown().to_owned()));
    if name == "SourceGroupId" && !rule.source_group_owner_account.is_unset() {
        let owner = rule.source_group_owner_account.shown();
        let by_id = owner.bytes().all(|b| b.is_ascii_digit());
        let name = if by_id {
            "SourceGroupOwnerId"
        } else {
            "SourceGroupOwnerAccount"
        };
        fields.push((name, owner.to_owned()));
    }
    Ok(())
}

/// Whether a rule above Priority 100 may come back at 100: every packet must be decided as before.
fn lowered(group: &GroupReading, rule: &Rule, priority: u128) -> Result<(), String> {
    let classic = group.group.is_classic();
    let before = GroupRules::read(&group.rules.read, &group.lists, classic);
    let moved: Vec<Rule> = group
        .rules
        .read
        .iter()
        .map(|other| {
            let mut other = other.clone();
            if other.id() == rule.id() {
                other.priority = Field::Text(LAST_PRIORITY.to_string().into());
            }
            other
        })
        .collect();
    let after = GroupRules::read(&moved, &group.lists, classic);
    for certainty in [Certainty::Closing, Certainty::Opening] {
        let change = difference(&before, &after, certainty);
        if !change.closed.is_empty() || !change.opened.is_empty() {
            return Err(format!(
                "its Priority {priority} can come back only as {LAST_PRIORITY}, before a Drop that \
                 stands between"
            ));
        }
    }
    if stands_between(&before, LAST_PRIORITY, priority) {
        return Err(format!(
            "its Priority {priority} can come back only as {LAST_PRIORITY}, before a Drop by group \
             that stands between"
        ));
    }
    Ok(())
}

/// Whether a Drop by group would be passed by an Accept that moved from the later Priority to the
/// earlier: its members' addresses are not known here.
pub(super) fn stands_between(group: &GroupRules<'_>, earlier: u128, later: u128) -> bool {
    group.rules().iter().any(|other| {
        other.policy == Some(Policy::Drop)
            && !other.rule.source_group_id.is_unset()
            && other.v4.is_empty()
            && other.v6.is_empty()
            && other.priority.is_some_and(|p| earlier < p && p <= later)
    })
}
