//! Checks beyond ports from the internet: the private side, what goes out, what a group is.

use crate::kit::rules::{check, group, judge, with_prefix_list};
use Verdict::{Compliant, Exposed, Managed, Undetermined};
use sgwarden::config::Schedule;
use sgwarden::model::{GroupReading, Protocol, Verdict};
use sgwarden::policy::{Audience, Check, Direction, Kind, MinPublic};

/// Every port of a protocol, towards the private networks.
fn private_side() -> Check {
    let mut check = check(
        Kind::AllPorts,
        &[Protocol::Tcp, Protocol::Udp],
        &[(1, 65535)],
    );
    check.audience = Audience::Private;
    check.min_public = MinPublic::PRIVATE;
    check
}

#[test]
fn the_private_side_counts_whole_private_networks_at_every_port() {
    let table: [(&[&str], Verdict); 12] = [
        (&["accept tcp 1/65535 10.0.0.0/8 1"], Exposed),
        (&["accept all -1/-1 192.168.0.0/16 1"], Exposed),
        (&["accept all -1/-1 fd00::/8 1"], Exposed),
        // The internet in one rule lets the private networks in too.
        (&["accept udp 1/65535 0.0.0.0/0 1"], Exposed),
        // Two halves of a network, two halves of the ports.
        (
            &[
                "accept tcp 1/100 172.16.0.0/13 1",
                "accept tcp 101/65535 172.24.0.0/13 1",
            ],
            Exposed,
        ),
        (&["accept tcp 1/65535 10.1.0.0/17 1"], Compliant),
        (&["accept tcp 1/65534 10.0.0.0/8 1"], Compliant),
        (
            &[
                "accept tcp 1/65535 10.0.0.0/8 2",
                "drop tcp 22/22 10.0.0.0/8 1",
            ],
            Compliant,
        ),
        // The internet alone, and a group's members: no private network.
        (&["accept all -1/-1 8.0.0.0/7 1"], Compliant),
        (&["accept all -1/-1 sg-2 1"], Compliant),
        (&["accept tcp 1/65535 nonsense 1"], Undetermined),
        (
            &["drop tcp x 0.0.0.0/0 1", "accept tcp 1/65535 10.0.0.0/8 2"],
            Undetermined,
        ),
    ];
    for (lines, want) in table {
        let judged = judge(private_side(), &group(lines));
        assert_eq!(judged.verdicts[0], want, "{lines:#?}");
    }
    let finding = judge(private_side(), &group(&["accept tcp 1/65535 0.0.0.0/0 1"]))
        .findings
        .remove(0);
    assert_eq!(
        finding.exposed[0].sources,
        [
            "10.0.0.0/8",
            "100.64.0.0/10",
            "172.16.0.0/12",
            "192.168.0.0/16"
        ]
    );
    assert_eq!(finding.rules[0].rule_id, "sgr-000");
}

#[test]
fn trusted_networks_say_nothing_about_the_private_side() {
    let policy = sgwarden::policy::Policy {
        checks: vec![private_side()],
        internet: sgwarden::exposure::Internet::less_trusted(&["10.0.0.0/8".to_owned()])
            .expect("a network"),
        trusted: vec!["10.0.0.0/8".to_owned()],
        waivers: sgwarden::policy::Waivers::default(),
    };
    let open = group(&["accept all -1/-1 10.0.0.0/8 1"]);
    assert_eq!(
        sgwarden::policy::assess(&policy, &open).verdicts[0],
        Exposed
    );
}

/// An egress rule: its peer stands where `line` has a source.
fn out(line: &str) -> sgwarden::model::Rule {
    let mut rule = crate::kit::rules::rule(0, line);
    rule.direction = sgwarden::model::Field::from("egress");
    rule.dest_cidr_ip = std::mem::take(&mut rule.source_cidr_ip);
    rule.ipv6_dest_cidr_ip = std::mem::take(&mut rule.ipv6_source_cidr_ip);
    rule.dest_group_id = std::mem::take(&mut rule.source_group_id);
    rule.dest_prefix_list_id = std::mem::take(&mut rule.source_prefix_list_id);
    rule
}

fn egress(kind: &str, lines: &[&str]) -> GroupReading {
    let mut reading = crate::kit::rules::reading(lines.iter().map(|line| out(line)).collect());
    kind.clone_into(&mut reading.group.kind);
    reading
}

fn everything_goes_out() -> Check {
    let mut check = check(Kind::AllProtocols, &Protocol::ALL, &[(1, 65535)]);
    check.direction = Direction::Egress;
    check.min_public = MinPublic {
        ipv4: Some(1),
        ipv6: Some(4),
    };
    check
}

#[test]
fn egress_is_judged_by_what_gets_out_defaults_included() {
    let all = "accept all -1/-1 0.0.0.0/0 1";
    let none = ["drop all -1/-1 0.0.0.0/0 100", "drop all -1/-1 ::/0 100"];
    let table: [(&str, &[&str], Verdict); 11] = [
        ("enterprise", &[all], Exposed),
        ("enterprise", &["accept all -1/-1 ::/0 1"], Exposed),
        // "no match out: a basic group allows, an advanced group denies"
        ("enterprise", &[], Compliant),
        ("normal", &[], Exposed),
        ("", &[], Undetermined),
        ("normal", &none, Compliant),
        ("", &none, Compliant),
        (
            "enterprise",
            &[
                "accept all -1/-1 0.0.0.0/1 1",
                "accept all -1/-1 128.0.0.0/1 1",
            ],
            Exposed,
        ),
        (
            "enterprise",
            &["drop tcp 25/25 0.0.0.0/0 1", "accept all -1/-1 0.0.0.0/0 2"],
            Compliant,
        ),
        ("enterprise", &["accept all -1/-1 10.0.0.0/8 1"], Compliant),
        ("enterprise", &["accept all -1/-1 - 1"], Undetermined),
    ];
    for (kind, lines, want) in table {
        let judged = judge(everything_goes_out(), &egress(kind, lines));
        assert_eq!(judged.verdicts[0], want, "{kind} {lines:#?}");
    }
    // Rules for what comes in say nothing about what goes out, and the reverse.
    let mut reading = group(&[all]);
    "enterprise".clone_into(&mut reading.group.kind);
    assert_eq!(
        judge(everything_goes_out(), &reading).verdicts[0],
        Compliant
    );
    // A list as destination.
    let listed = with_prefix_list(
        egress("enterprise", &["accept all -1/-1 pl-1 1"]),
        "pl-1",
        Ok(&["0.0.0.0/0"]),
    );
    assert_eq!(judge(everything_goes_out(), &listed).verdicts[0], Exposed);
}

#[test]
fn an_egress_finding_names_the_rule_and_its_own_fields() {
    let open = judge(
        everything_goes_out(),
        &egress("enterprise", &["accept all -1/-1 0.0.0.0/0 7"]),
    );
    let rule = &open.findings[0].rules[0];
    assert_eq!(
        (rule.rule_id.as_str(), rule.source.as_str()),
        ("sgr-000", "0.0.0.0/0")
    );
    let odd = judge(
        everything_goes_out(),
        &egress("enterprise", &["accept all -1/-1 0.0.0.300/0 7"]),
    );
    let reason = odd.findings[0].reason.clone().expect("a reason");
    assert_eq!(
        reason,
        "rule sgr-000: DestCidrIp \"0.0.0.300/0\" is not understood"
    );
    let basic = judge(everything_goes_out(), &egress("normal", &[]));
    assert_eq!(basic.findings[0].rules[0].rule_id, "(no rule)");
}

#[test]
fn what_a_group_is() {
    let of = |kind, change: fn(&mut GroupReading)| {
        let mut reading = group(&[]);
        change(&mut reading);
        judge(check(kind, &[], &[]), &reading).verdicts[0]
    };
    assert_eq!(of(Kind::ClassicNetwork, |_| {}), Compliant);
    assert_eq!(
        of(Kind::ClassicNetwork, |r| r.group.vpc_id.clear()),
        Exposed
    );
    assert_eq!(
        of(Kind::ClassicNetwork, |r| {
            r.group.vpc_id.clear();
            r.group.service_managed = Some(true);
        }),
        Managed
    );
    assert_eq!(of(Kind::BasicType, |_| {}), Undetermined);
    assert_eq!(
        of(Kind::BasicType, |r| r.group.kind = "Normal".to_owned()),
        Exposed
    );
    assert_eq!(
        of(Kind::BasicType, |r| r.group.kind = "enterprise".to_owned()),
        Compliant
    );
    assert_eq!(of(Kind::NoDescription, |_| {}), Exposed);
    assert_eq!(
        of(Kind::NoDescription, |r| r.group.description =
            "web".to_owned()),
        Compliant
    );
    // "undetermined under every check"
    assert_eq!(
        of(Kind::ClassicNetwork, |r| r.rules.incomplete =
            Some("x".to_owned())),
        Undetermined
    );
}

#[test]
fn only_ports_from_the_internet_are_ever_acted_on() {
    let ports = check(Kind::Ports, &[Protocol::Tcp], &[(22, 22)]);
    assert!(ports.is_remediable());
    for change in [
        (|c: &mut Check| c.audience = Audience::Private) as fn(&mut Check),
        |c| c.direction = Direction::Egress,
        |c| c.report_only = true,
        |c| c.kind = Kind::OutsideList,
        |c| c.kind = Kind::ClassicNetwork,
    ] {
        let mut other = ports.clone();
        change(&mut other);
        assert!(!other.is_remediable(), "{other:?}");
    }
    assert!(!private_side().is_remediable());
}

/// The mistakes of a schedule with one check of one's own.
fn mistakes(check: &str) -> Vec<String> {
    let text = format!("[[policy.check]]\nid = \"own\"\nseverity = \"low\"\n{check}");
    match Schedule::read("s.toml", "s", &text) {
        Ok(_) => Vec::new(),
        Err(problems) => problems.iter().map(ToString::to_string).collect(),
    }
}

#[test]
fn keys_that_a_kind_does_not_have_are_refused_with_their_place() {
    let refused = |text: &str, want: &str| {
        let problems = mistakes(text);
        assert!(
            problems.len() == 1 && problems[0].contains(want),
            "{text}: {problems:#?}"
        );
    };
    refused(
        "kind = \"classic-network\"\nports = [\"22\"]",
        "s.toml:5: policy.check[0].ports: a check of this kind looks at the group",
    );
    refused(
        "kind = \"all-ports\"\nports = [\"22\"]",
        "policy.check[0].ports: ",
    );
    refused(
        "kind = \"all-protocols\"\nprotocols = [\"tcp\"]",
        "policy.check[0].protocols: ",
    );
    refused("ports = []", "at least one port");
    refused(
        "audience = \"private\"\nports = [\"22\"]\nmin_public = \"any\"",
        "counts by \"min_private\"",
    );
    refused(
        "ports = [\"22\"]\naudience = \"everyone\"",
        "internet or private",
    );
    refused("ports = [\"22\"]\ndirection = \"in\"", "ingress or egress");
    refused("ports = [\"22\"]\nreport_only = \"yes\"", "true or false");
    assert_eq!(
        mistakes("kind = \"all-ports\"\naudience = \"private\"\nmin_private = { ipv4 = \"/12\" }"),
        Vec::<String>::new()
    );
}
