//! What a rule says, whatever its id: two rules that say the same decide alike. The service gives a
//! new id each time a rule comes back, and rewrites some spellings.

use crate::model::{GroupReading, Rule};
use std::collections::BTreeMap;

/// Of a rule as read.
pub fn said(rule: &Rule) -> String {
    said_by(&rule.field_map())
}

/// Of a rule's fields in a group: in a VPC, which has no interfaces to tell apart, NicType says nothing,
/// and a rule comes back with the service's own.
pub fn said_in(group: &GroupReading, fields: &BTreeMap<String, String>) -> String {
    if group.group.is_classic() {
        return said_by(fields);
    }
    let mut fields = fields.clone();
    fields.remove("NicType");
    said_by(&fields)
}

/// Whether a group has a rule that says what these fields say.
pub fn is_there(group: &GroupReading, fields: &BTreeMap<String, String>) -> bool {
    let wanted = said_in(group, fields);
    group
        .rules
        .read
        .iter()
        .any(|rule| said_in(group, &rule.field_map()) == wanted)
}

/// Of a rule's fields.
pub fn said_by(fields: &BTreeMap<String, String>) -> String {
    let field = |name: &str| {
        fields
            .get(name)
            .map(|v| v.to_ascii_lowercase())
            .unwrap_or_default()
    };
    let protocol = match field("IpProtocol").as_str() {
        "6" => "tcp".to_owned(),
        "17" => "udp".to_owned(),
        "1" => "icmp".to_owned(),
        "58" => "icmpv6".to_owned(),
        "47" => "gre".to_owned(),
        other => other.to_owned(),
    };
    let priority = match field("Priority").parse::<u64>() {
        // Old rules of 110 come back as 100, where that decides alike.
        Ok(priority) => priority.min(100).to_string(),
        Err(_) => field("Priority"),
    };
    let ports = match (protocol.as_str(), field("PortRange")) {
        ("tcp" | "udp", range) if range.is_empty() => field("PortRangeListId"),
        ("tcp" | "udp", range) => match crate::exposure::reading::parse_port_range(&range) {
            Some((low, high)) => format!("{low}/{high}"),
            None => range,
        },
        _ => "all".to_owned(),
    };
    // The first that is set counts; what stands beside it is ignored by the service.
    let source = [
        "SourceCidrIp",
        "Ipv6SourceCidrIp",
        "SourceGroupId",
        "SourcePrefixListId",
    ]
    .iter()
    .map(|name| field(name))
    .find(|value| !value.is_empty())
    .unwrap_or_default();
    let source_ports = match crate::exposure::reading::parse_port_range(&field("SourcePortRange")) {
        Some((1, u16::MAX)) => String::new(),
        _ => field("SourcePortRange"),
    };
    let mut out = format!(
        "{} {} {protocol} {ports} from {source} at {priority}",
        field("Direction"),
        field("Policy")
    );
    // The two interfaces of the classic network have rules of their own.
    let public = if field("NicType") == "internet" {
        "internet".to_owned()
    } else {
        String::new()
    };
    for (name, value) in [
        ("nic", public),
        ("srcports", source_ports),
        ("dest", field("DestCidrIp")),
        ("dest6", field("Ipv6DestCidrIp")),
    ] {
        if !value.is_empty() {
            out.push_str(&format!(" {name} {value}"));
        }
    }
    out
}

/// A group's rules, a line a rule, in an order of their own.
pub fn lines(group: &GroupReading) -> Vec<String> {
    let rules = group.rules.read.iter();
    let mut lines: Vec<String> = rules
        .map(|rule| format!("{} {}", rule.id(), said_in(group, &rule.field_map())))
        .collect();
    lines.sort();
    lines
}
