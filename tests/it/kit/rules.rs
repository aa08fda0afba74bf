//! Groups written down in a line a rule.

use sgwarden::exposure::Internet;
use sgwarden::exposure::set::PortSet;
use sgwarden::model::{
    Field, GroupReading, Lists, Protocol, Rule, Rules, SecurityGroup, Severity, Verdict,
};
use sgwarden::policy::{
    Audience, Check, Direction, GroupVerdicts, Kind, MinPublic, Policy, assess,
};
use std::sync::Arc;

/// `accept tcp 22/22 0.0.0.0/0 1 [key=value ...]`: policy, protocol, ports, source, priority. A
/// source is a CIDR, `sg-..`, `pl-..`; `-` is unset. Keys: `srcport`, `dest`, `dest6`, `nic`, `dir`,
/// `prl`, `cidr6` (a second source), `id`.
pub(crate) fn rule(at: usize, line: &str) -> Rule {
    let mut words = line.split_whitespace();
    let mut next = || match words.next() {
        Some("-") | None => Field::Unset,
        Some(word) => Field::Text(word.into()),
    };
    let mut rule = Rule {
        security_group_rule_id: Field::Text(format!("sgr-{at:03}").into()),
        direction: Field::Text("ingress".into()),
        policy: next(),
        ip_protocol: next(),
        port_range: next(),
        ..Rule::default()
    };
    let source = next();
    match source.text() {
        Some(text) if text.starts_with("sg-") => rule.source_group_id = source,
        Some(text) if text.starts_with("pl-") => rule.source_prefix_list_id = source,
        Some(text) if text.contains(':') => rule.ipv6_source_cidr_ip = source,
        _ => rule.source_cidr_ip = source,
    }
    rule.priority = next();
    for word in words {
        let (key, value) = word.split_once('=').expect("key=value");
        let value = Field::from(value);
        match key {
            "srcport" => rule.source_port_range = value,
            "dest" => rule.dest_cidr_ip = value,
            "dest6" => rule.ipv6_dest_cidr_ip = value,
            "nic" => rule.nic_type = value,
            "dir" => rule.direction = value,
            "prl" => rule.port_range_list_id = value,
            "cidr6" => rule.ipv6_source_cidr_ip = value,
            "id" => rule.security_group_rule_id = value,
            other => panic!("unknown key {other}"),
        }
    }
    rule
}

/// A group of a VPC with those rules.
pub(crate) fn group(lines: &[&str]) -> GroupReading {
    let rules: Vec<Rule> = lines
        .iter()
        .enumerate()
        .map(|(at, line)| rule(at, line))
        .collect();
    reading(rules)
}

pub(crate) fn reading(rules: Vec<Rule>) -> GroupReading {
    GroupReading {
        account: "1234567890123456".into(),
        region: "cn-hangzhou".into(),
        group: SecurityGroup {
            id: "sg-1".to_owned(),
            name: "one".to_owned(),
            vpc_id: "vpc-1".to_owned(),
            service_managed: Some(false),
            rule_count: u64::try_from(rules.len()).ok(),
            ..SecurityGroup::default()
        },
        rules: Rules {
            read: rules,
            incomplete: None,
        },
        lists: Lists::default(),
        warnings: Vec::new(),
        answers: Vec::new(),
    }
}

pub(crate) fn with_prefix_list(
    mut group: GroupReading,
    id: &str,
    entries: Result<&[&str], &str>,
) -> GroupReading {
    let read = entries
        .map(|entries| entries.iter().map(|&text| text.to_owned()).collect())
        .map_err(str::to_owned);
    group.lists.prefix.insert(id.to_owned(), Arc::new(read));
    group
}

pub(crate) fn with_port_list(
    mut group: GroupReading,
    id: &str,
    entries: Result<&[&str], &str>,
) -> GroupReading {
    let read = entries
        .map(|entries| entries.iter().map(|&text| text.to_owned()).collect())
        .map_err(str::to_owned);
    group.lists.port.insert(id.to_owned(), Arc::new(read));
    group
}

/// A check of that kind.
pub(crate) fn check(kind: Kind, protocols: &[Protocol], ports: &[(u16, u16)]) -> Check {
    Check {
        id: "test".to_owned(),
        title: "test".to_owned(),
        titles: std::collections::BTreeMap::new(),
        why: String::new(),
        fix: String::new(),
        severity: Severity::High,
        kind,
        audience: Audience::Internet,
        direction: Direction::Ingress,
        report_only: false,
        protocols: protocols.to_vec(),
        ports: PortSet::from_ranges(ports.iter().copied()),
        min_public: MinPublic::default(),
        differs: String::new(),
        controls: Vec::new(),
    }
}

/// `risky-ports` as it ships.
pub(crate) fn risky_ports() -> Check {
    sgwarden::config::checks::pack("risky-ports")
        .expect("it ships")
        .remove(0)
}

/// A policy without checks.
pub(crate) fn policy() -> Policy {
    Policy {
        checks: Vec::new(),
        internet: Internet::whole(),
        trusted: Vec::new(),
        waivers: sgwarden::policy::Waivers::default(),
    }
}

pub(crate) fn judge(check: Check, group: &GroupReading) -> GroupVerdicts {
    let policy = Policy {
        checks: vec![check],
        ..policy()
    };
    assess(&policy, group)
}

/// The verdict of `risky-ports`.
pub(crate) fn verdict(group: &GroupReading) -> Verdict {
    judge(risky_ports(), group).verdicts[0]
}
