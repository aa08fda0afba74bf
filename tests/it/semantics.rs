//! `docs/semantics.md`, sentence by sentence. Each test quotes the sentence it holds.

use crate::kit::rules::{
    check, group, judge, risky_ports, rule, verdict, with_port_list, with_prefix_list,
};
use Verdict::{Compliant, Exposed, Managed, Undetermined};
use sgwarden::model::{Field, NicType, Protocol, Verdict};
use sgwarden::policy::{Kind, MinPublic};

const OPEN: &str = "accept tcp 22/22 0.0.0.0/0 1";

/// One rule list a row: the verdict of `risky-ports`.
fn table(rows: &[(&[&str], Verdict)]) {
    for (lines, want) in rows {
        assert_eq!(verdict(&group(lines)), *want, "{lines:#?}");
    }
}

#[test]
fn so_these_are_exposed() {
    table(&[
        (&[OPEN], Exposed),
        (
            &[
                "accept tcp 22/22 0.0.0.0/1 1",
                "accept tcp 22/22 128.0.0.0/1 1",
            ],
            Exposed,
        ),
        (&["accept tcp 3389/3389 ::/0 1"], Exposed),
        (&["accept tcp 22/22 2400::/12 1"], Exposed),
        (
            &[
                "accept tcp 22/22 47.96.0.0/18 1",
                "accept tcp 22/22 47.96.64.0/18 2",
                "accept tcp 22/22 47.96.128.0/18 3",
                "accept tcp 22/22 47.96.192.0/18 4",
            ],
            Exposed,
        ),
        (&["accept tcp 22/22 47.96.0.0/11 1"], Exposed),
        (&["accept tcp 1/65535 0.0.0.0/0 1"], Exposed),
        (&["accept tcp -1/-1 0.0.0.0/0 1"], Exposed),
        (&["accept ALL -1/-1 0.0.0.0/0 1"], Exposed),
    ]);
    let list = with_prefix_list(
        group(&["accept tcp 22/22 pl-1 1"]),
        "pl-1",
        Ok(&["198.51.100.0/24", "0.0.0.0/0"]),
    );
    assert_eq!(
        verdict(&list),
        Exposed,
        "a prefix list with 0.0.0.0/0 in it"
    );
}

#[test]
fn and_these_are_not() {
    table(&[
        // "an Accept wholly shadowed by an earlier Drop, or by a Drop of the same Priority"
        (
            &["drop tcp 22/22 0.0.0.0/0 1", "accept tcp 22/22 0.0.0.0/0 2"],
            Compliant,
        ),
        (
            &["accept tcp 22/22 0.0.0.0/0 5", "drop tcp 22/22 0.0.0.0/0 5"],
            Compliant,
        ),
        (
            &[
                "drop all -1/-1 0.0.0.0/0 1",
                "accept tcp 1/65535 0.0.0.0/0 1",
            ],
            Compliant,
        ),
        // "a /32; 10.0.0.0/8"
        (&["accept tcp 22/22 47.96.1.2/32 1"], Compliant),
        (&["accept tcp 22/22 10.0.0.0/8 1"], Compliant),
        // A Drop that comes later closes nothing.
        (
            &["accept tcp 22/22 0.0.0.0/0 1", "drop tcp 22/22 0.0.0.0/0 2"],
            Exposed,
        ),
        // A Drop of the other family closes nothing.
        (
            &["drop tcp 22/22 0.0.0.0/0 1", "accept tcp 22/22 ::/0 1"],
            Exposed,
        ),
        // Other ports and protocols.
        (&["accept tcp 8080/8080 0.0.0.0/0 1"], Compliant),
        (&["accept udp 22/22 0.0.0.0/0 1"], Compliant),
        (&[], Compliant),
    ]);
}

#[test]
fn empty_string_null_and_absent_are_unset_and_text_is_compared_without_case() {
    table(&[
        (&["ACCEPT TCP 22/22 0.0.0.0/0 1 dir=INGRESS"], Exposed),
        (&["aCCept tCp 22/22 0.0.0.0/0 1 srcport= dest="], Exposed),
        (&["DROP All - 0.0.0.0/0 1", OPEN], Compliant),
    ]);
}

#[test]
fn ingress_counts_here_egress_does_not() {
    table(&[
        (&["accept tcp 22/22 0.0.0.0/0 1 dir=egress"], Compliant),
        // Not even where it is unreadable.
        (&["accept nonsense x y z dir=egress"], Compliant),
        (&["accept tcp 22/22 0.0.0.0/0 1 dir=sideways"], Undetermined),
        (&["accept tcp 22/22 0.0.0.0/0 1 dir="], Undetermined),
    ]);
}

#[test]
fn a_drop_with_a_key_that_is_not_known_could_leave_part_open() {
    let with_key = |lines: &[&str], at: usize| {
        let mut group = group(lines);
        let key = ("SourceCountry".to_owned(), "\"cn\"".to_owned());
        group.rules.read[at].unknown.push(key);
        group
    };
    let dropped = ["drop tcp 22/22 0.0.0.0/0 1", "accept tcp 22/22 0.0.0.0/0 2"];
    assert_eq!(verdict(&group(&dropped)), Compliant);
    let doubted = with_key(&dropped, 0);
    assert_eq!(verdict(&doubted), Undetermined);
    let judged = judge(risky_ports(), &doubted);
    let reason = judged.findings[0].reason.clone().unwrap_or_default();
    assert!(
        reason.contains("the field SourceCountry is not known here"),
        "{reason}"
    );
    // An Accept is read as without it, as with every limit.
    assert_eq!(verdict(&with_key(&[OPEN], 0)), Exposed);
    assert_eq!(verdict(&with_key(&dropped, 1)), Compliant);
}

#[test]
fn priority_is_any_integer_from_1_as_number_or_text() {
    table(&[
        (&["accept tcp 22/22 0.0.0.0/0 110"], Exposed),
        (
            &[
                "drop tcp 22/22 0.0.0.0/0 100",
                "accept tcp 22/22 0.0.0.0/0 110",
            ],
            Compliant,
        ),
        // As numbers, not as text: 9 comes before 10.
        (
            &[
                "drop tcp 22/22 0.0.0.0/0 10",
                "accept tcp 22/22 0.0.0.0/0 9",
            ],
            Exposed,
        ),
        // However large, up to 2^128: of two beyond that nobody here could say which comes first.
        (
            &["accept tcp 22/22 0.0.0.0/0 340282366920938463463374607431768211455"],
            Exposed,
        ),
        (
            &[
                "drop tcp 22/22 0.0.0.0/0 9999999999999999999999999999999999999999991",
                "accept tcp 22/22 0.0.0.0/0 9999999999999999999999999999999999999999990",
            ],
            Undetermined,
        ),
        (&["accept tcp 22/22 0.0.0.0/0 0"], Undetermined),
        (&["accept tcp 22/22 0.0.0.0/0 -1"], Undetermined),
        (&["accept tcp 22/22 0.0.0.0/0 1.0"], Undetermined),
        (&["accept tcp 22/22 0.0.0.0/0 -"], Undetermined),
        (&["accept tcp 22/22 0.0.0.0/0 first"], Undetermined),
    ]);
}

#[test]
fn ip_protocol_names_and_numbers() {
    table(&[
        (&["accept 6 22/22 0.0.0.0/0 1"], Exposed),
        (&["drop 6 22/22 0.0.0.0/0 1", OPEN], Compliant),
        (&["accept 17 22/22 0.0.0.0/0 1"], Compliant),
        // "any other number 0 to 255 matches none of our packets"
        (&["accept 50 -1/-1 0.0.0.0/0 1"], Compliant),
        (&["drop 50 -1/-1 0.0.0.0/0 1", OPEN], Exposed),
        // "any other name is unreadable and could be any protocol at any port"
        (&["accept sctp 80/80 0.0.0.0/0 1"], Undetermined),
        (&["accept 256 -1/-1 0.0.0.0/0 1"], Undetermined),
        (&["drop any 80/80 0.0.0.0/0 1", OPEN], Undetermined),
        // "ALL matches every protocol and every port of its peer's family, whatever PortRange says"
        (&["accept all 80/80 0.0.0.0/0 1"], Exposed),
        (&["accept all x 0.0.0.0/0 1"], Exposed),
        (
            &["drop all -1/-1 0.0.0.0/0 1", "accept tcp 22/22 ::/0 1"],
            Exposed,
        ),
    ]);
}

#[test]
fn port_range_low_high_inclusive_decimal() {
    table(&[
        (&["accept tcp 20/22 0.0.0.0/0 1"], Exposed),
        (&["accept tcp 22/30 0.0.0.0/0 1"], Exposed),
        (&["accept tcp 23/30 0.0.0.0/0 1"], Compliant),
        // "a low of 0 is read as 1; 0/0 is unreadable"
        (&["accept tcp 0/65535 0.0.0.0/0 1"], Exposed),
        (&["accept tcp 0/0 0.0.0.0/0 1"], Undetermined),
        // "a reversed range"
        (&["accept tcp 30/20 0.0.0.0/0 1"], Undetermined),
        (&["accept tcp 22 0.0.0.0/0 1"], Undetermined),
        (&["accept tcp 22/65536 0.0.0.0/0 1"], Undetermined),
        (&["accept tcp -1/22 0.0.0.0/0 1"], Undetermined),
        (&["accept tcp - 0.0.0.0/0 1"], Undetermined),
        // "other protocols: not looked at"
        (&["accept icmp x 0.0.0.0/0 1"], Compliant),
    ]);
}

#[test]
fn a_port_range_list_is_the_union_of_its_entries_where_port_range_is_unset() {
    let lines: &[&str] = &["accept tcp - 0.0.0.0/0 1 prl=prl-1"];
    let listed = |entries| verdict(&with_port_list(group(lines), "prl-1", entries));
    assert_eq!(listed(Ok(&["80/80", "20/25"])), Exposed);
    assert_eq!(listed(Ok(&["80/80"])), Compliant);
    assert_eq!(listed(Ok(&[])), Compliant);
    assert_eq!(listed(Ok(&["80/80", "odd"])), Undetermined);
    assert_eq!(listed(Err("Forbidden.RAM")), Undetermined);
    let both = group(&["accept tcp 80/80 0.0.0.0/0 1 prl=prl-1"]);
    assert_eq!(
        verdict(&with_port_list(both, "prl-1", Ok(&["22/22"]))),
        Compliant
    );
    assert_eq!(
        verdict(&group(lines)),
        Undetermined,
        "a list that was not read"
    );
}

#[test]
fn the_source_is_the_first_that_is_set() {
    table(&[
        // "host bits dropped; a bare address is one address"
        (&["accept tcp 22/22 47.96.200.1/11 1"], Exposed),
        (&["accept tcp 22/22 47.96.200.1 1"], Compliant),
        // "group (private traffic: no internet address)"
        (&["accept tcp 22/22 sg-other 1"], Compliant),
        (&["drop tcp 22/22 sg-other 1", OPEN], Exposed),
        // "none at all, both CIDR families in one rule, a bare 0.0.0.0 or ::"
        (&["accept tcp 22/22 - 1"], Undetermined),
        (
            &["accept tcp 22/22 10.0.0.0/8 1 cidr6=2001:db8::/32"],
            Undetermined,
        ),
        (&["accept tcp 22/22 0.0.0.0 1"], Undetermined),
        (&["accept tcp 22/22 :: 1"], Undetermined),
        (&["accept tcp 22/22 0.0.0.0/33 1"], Undetermined),
        (&["drop tcp 22/22 0.0.0.0 1", OPEN], Undetermined),
    ]);
    // The CIDR wins over a group beside it, the group over a prefix list.
    let mut both = rule(0, OPEN);
    both.source_group_id = Field::Text("sg-other".into());
    both.source_prefix_list_id = Field::Text("pl-1".into());
    assert_eq!(
        verdict(&crate::kit::rules::reading(vec![both.clone()])),
        Exposed
    );
    both.source_cidr_ip = Field::Unset;
    assert_eq!(verdict(&crate::kit::rules::reading(vec![both])), Compliant);
}

#[test]
fn a_prefix_list_that_could_not_be_fetched_or_has_an_entry_that_cannot_be_read() {
    let accept: &[&str] = &["accept tcp 22/22 pl-1 1"];
    let listed = |lines, entries| verdict(&with_prefix_list(group(lines), "pl-1", entries));
    assert_eq!(listed(accept, Ok(&["47.96.0.0/11"])), Exposed);
    assert_eq!(listed(accept, Ok(&["2400::/12"])), Exposed);
    assert_eq!(listed(accept, Ok(&["47.96.0.1/32"])), Compliant);
    assert_eq!(listed(accept, Ok(&[])), Compliant);
    assert_eq!(
        listed(accept, Ok(&["47.96.0.1/32", "office"])),
        Undetermined
    );
    assert_eq!(listed(accept, Err("throttled")), Undetermined);
    assert_eq!(verdict(&group(accept)), Undetermined);
    let drop: &[&str] = &["drop tcp 22/22 pl-1 1", "accept tcp 22/22 0.0.0.0/0 2"];
    assert_eq!(listed(drop, Ok(&["0.0.0.0/1", "128.0.0.0/1"])), Compliant);
    assert_eq!(listed(drop, Err("throttled")), Undetermined);
    // "A missing list that decides nothing (another rule exposes anyway) is a warning."
    assert_eq!(
        listed(&["accept tcp 22/22 pl-1 1", OPEN], Err("throttled")),
        Exposed
    );
}

#[test]
fn icmp_with_an_ipv6_cidr_or_icmpv6_with_an_ipv4_one_is_unreadable() {
    let icmp = || check(Kind::Ports, &[Protocol::Icmp, Protocol::Icmpv6], &[]);
    let judged = |lines| judge(icmp(), &group(lines)).verdicts[0];
    assert_eq!(judged(&["accept icmp -1/-1 0.0.0.0/0 1"]), Exposed);
    assert_eq!(judged(&["accept icmpv6 -1/-1 ::/0 1"]), Exposed);
    assert_eq!(judged(&["accept icmp -1/-1 ::/0 1"]), Undetermined);
    assert_eq!(judged(&["accept 58 -1/-1 0.0.0.0/0 1"]), Undetermined);
    // It does not disturb a tcp check.
    assert_eq!(verdict(&group(&["drop icmp -1/-1 ::/0 1", OPEN])), Exposed);
}

#[test]
fn an_accept_with_a_limit_still_exposes_and_a_drop_with_one_closes_nothing() {
    table(&[
        (&["accept tcp 22/22 0.0.0.0/0 1 srcport=1024/2048"], Exposed),
        (&["accept tcp 22/22 0.0.0.0/0 1 dest=10.0.0.5"], Exposed),
        (
            &["drop tcp 22/22 0.0.0.0/0 1 srcport=1024/2048", OPEN],
            Exposed,
        ),
        (
            &["drop tcp 22/22 0.0.0.0/0 1 dest=10.0.0.0/8", OPEN],
            Exposed,
        ),
        (
            &["drop tcp 22/22 0.0.0.0/0 1 dest6=2001:db8::/32", OPEN],
            Exposed,
        ),
        // "a limit, unless it covers all (-1/-1, 1/65535, 0.0.0.0/0, ::/0)"
        (
            &["drop tcp 22/22 0.0.0.0/0 1 srcport=-1/-1", OPEN],
            Compliant,
        ),
        (
            &["drop tcp 22/22 0.0.0.0/0 1 srcport=1/65535", OPEN],
            Compliant,
        ),
        (
            &["drop tcp 22/22 0.0.0.0/0 1 dest=0.0.0.0/0", OPEN],
            Compliant,
        ),
        (&["drop tcp 22/22 0.0.0.0/0 1 dest6=::/0", OPEN], Compliant),
        // "A limit that does not parse could be none: on a Drop it makes the rule unreadable"
        (
            &["drop tcp 22/22 0.0.0.0/0 1 srcport=x", OPEN],
            Undetermined,
        ),
        (&["drop tcp 22/22 0.0.0.0/0 1 dest=x", OPEN], Undetermined),
        (&["accept tcp 22/22 0.0.0.0/0 1 srcport=x"], Exposed),
    ]);
}

#[test]
fn nic_type_counts_in_classic_groups_only() {
    let classic = |line: &str, asked| {
        let mut reading = group(&[]);
        reading.group.vpc_id = String::new();
        let mut rule = rule(0, line);
        rule.asked_nic = Some(asked);
        reading.rules.read = vec![rule];
        verdict(&reading)
    };
    let (internet, intranet) = (NicType::Internet, NicType::Intranet);
    assert_eq!(
        classic("accept tcp 22/22 0.0.0.0/0 1 nic=internet", internet),
        Exposed
    );
    assert_eq!(
        classic("accept tcp 22/22 0.0.0.0/0 1 nic=intranet", intranet),
        Compliant
    );
    // "unset: the NicType that was asked for"
    assert_eq!(classic(OPEN, internet), Exposed);
    assert_eq!(classic(OPEN, intranet), Compliant);
    assert_eq!(
        classic("accept tcp 22/22 0.0.0.0/0 1 nic=x", intranet),
        Undetermined
    );
    // In a VPC it is always intranet and says nothing.
    table(&[(&["accept tcp 22/22 0.0.0.0/0 1 nic=intranet"], Exposed)]);
}

#[test]
fn certainty_an_unreadable_rule_is_never_one_that_matches_nothing() {
    table(&[
        // An unreadable Drop above an open port is never "exposed".
        (
            &["drop tcp x 0.0.0.0/0 1", "accept tcp 22/22 0.0.0.0/0 2"],
            Undetermined,
        ),
        // Below it, it decides nothing.
        (&[OPEN, "drop tcp x 0.0.0.0/0 2"], Exposed),
        // An unreadable Priority stands before all others.
        (&[OPEN, "drop tcp 22/22 0.0.0.0/0 x"], Undetermined),
        // "an unreadable Accept matches nothing" (closing)
        (
            &["accept tcp x 0.0.0.0/0 1", "drop tcp 22/22 0.0.0.0/0 2"],
            Undetermined,
        ),
        (
            &["drop tcp 1/65535 0.0.0.0/0 1", "accept tcp x 0.0.0.0/0 2"],
            Compliant,
        ),
        // Policy unreadable: drops when closing, accepts when opening.
        (&["maybe tcp 22/22 0.0.0.0/0 1"], Undetermined),
        (
            &[
                "maybe tcp 22/22 0.0.0.0/0 1",
                "accept tcp 22/22 0.0.0.0/0 2",
            ],
            Undetermined,
        ),
        (&["maybe tcp 80/80 0.0.0.0/0 1", OPEN], Exposed),
        // "an unreadable udp rule does not disturb a tcp check"
        (&["accept udp x 0.0.0.0/0 1"], Compliant),
        (&["drop udp x 0.0.0.0/0 1", OPEN], Exposed),
        // "all that its readable fields allow": a readable /32 stays one address.
        (&["accept x 22/22 47.96.1.2/32 1"], Compliant),
        (&["drop x 22/22 47.96.1.2/32 1", OPEN], Exposed),
    ]);
}

#[test]
fn a_group_whose_rules_could_not_all_be_fetched_is_undetermined_and_shows_what_was_read() {
    let mut short = group(&[OPEN]);
    short.rules.incomplete = Some("1 of 2 rules".to_owned());
    let judged = judge(risky_ports(), &short);
    assert_eq!(judged.verdicts, [Undetermined]);
    assert_eq!(judged.findings[0].exposed[0].ports, "22");
    assert_eq!(judged.findings[0].reason.as_deref(), Some("1 of 2 rules"));
}

#[test]
fn managed_is_exposed_and_service_managed() {
    let mut managed = group(&[OPEN]);
    managed.group.service_managed = Some(true);
    assert_eq!(verdict(&managed), Managed);
    let mut closed = group(&[]);
    closed.group.service_managed = Some(true);
    assert_eq!(verdict(&closed), Compliant);
}

#[test]
fn min_public_is_the_size_of_one_network_or_any_address() {
    let with = |min_public, line: &str| {
        let mut check = risky_ports();
        check.min_public = min_public;
        judge(check, &group(&[line])).verdicts[0]
    };
    let default = MinPublic::default();
    assert_eq!(with(default, "accept tcp 22/22 47.96.0.0/16 1"), Exposed);
    assert_eq!(with(default, "accept tcp 22/22 47.96.0.0/17 1"), Compliant);
    assert_eq!(with(default, "accept tcp 22/22 2400:3200::/32 1"), Exposed);
    assert_eq!(
        with(default, "accept tcp 22/22 2400:3200::/33 1"),
        Compliant
    );
    assert_eq!(
        with(MinPublic::ANY, "accept tcp 22/22 47.96.0.1/32 1"),
        Exposed
    );
    assert_eq!(
        with(MinPublic::ANY, "accept tcp 22/22 10.0.0.1/32 1"),
        Compliant
    );
}

#[test]
fn trusted_networks_are_subtracted() {
    let internet =
        sgwarden::exposure::Internet::less_trusted(&["47.96.0.0/11".to_owned()]).expect("narrow");
    let policy = sgwarden::policy::Policy {
        checks: vec![risky_ports()],
        internet,
        trusted: vec!["47.96.0.0/11".to_owned()],
        waivers: sgwarden::policy::Waivers::default(),
    };
    let judged = |lines| sgwarden::policy::assess(&policy, &group(lines)).verdicts[0];
    assert_eq!(judged(&["accept tcp 22/22 47.96.0.0/11 1"]), Compliant);
    assert_eq!(judged(&[OPEN]), Exposed);
}

#[test]
fn kinds_of_checks() {
    use Protocol::{Tcp, Udp};
    let kind = |kind, protocols: &[Protocol], ports: &[(u16, u16)], lines: &[&str]| {
        judge(check(kind, protocols, ports), &group(lines)).verdicts[0]
    };
    // "all 65535 ports of one of its protocols are exposed in one family"
    let all = |lines: &[&str]| kind(Kind::AllPorts, &[Tcp, Udp], &[(1, 65535)], lines);
    assert_eq!(all(&["accept udp 1/65535 0.0.0.0/0 1"]), Exposed);
    assert_eq!(
        all(&[
            "accept tcp 1/100 0.0.0.0/0 1",
            "accept tcp 101/65535 0.0.0.0/0 2"
        ]),
        Exposed
    );
    assert_eq!(all(&["accept tcp 1/65534 0.0.0.0/0 1"]), Compliant);
    assert_eq!(
        all(&[
            "accept tcp 1/100 0.0.0.0/0 1",
            "accept tcp 101/65535 ::/0 1"
        ]),
        Compliant
    );
    assert_eq!(
        all(&[
            "accept tcp 1/65535 0.0.0.0/0 1",
            "accept udp 1/3 0.0.0.0/0 1"
        ]),
        Exposed
    );
    // "tcp and udp at every port, gre, and icmp or icmpv6 are exposed in one family"
    let every = |lines: &[&str]| kind(Kind::AllProtocols, &Protocol::ALL, &[(1, 65535)], lines);
    assert_eq!(every(&["accept all -1/-1 0.0.0.0/0 1"]), Exposed);
    assert_eq!(every(&["accept all -1/-1 ::/0 1"]), Exposed);
    assert_eq!(
        every(&["accept all -1/-1 ::/0 2", "drop 58 -1/-1 ::/0 1"]),
        Compliant
    );
    assert_eq!(
        every(&[
            "accept tcp 1/65535 0.0.0.0/0 1",
            "accept udp 1/65535 0.0.0.0/0 1",
            "accept gre -1/-1 0.0.0.0/0 1",
            "accept icmp -1/-1 0.0.0.0/0 1",
        ]),
        Exposed
    );
    // "a tcp or udp port not listed is exposed"
    let outside = |lines: &[&str]| {
        kind(
            Kind::OutsideList,
            &[Tcp, Udp],
            &[(80, 80), (443, 443)],
            lines,
        )
    };
    assert_eq!(
        outside(&["accept tcp 80/80 0.0.0.0/0 1", "accept udp 443/443 ::/0 1"]),
        Compliant
    );
    assert_eq!(outside(&["accept tcp 80/81 0.0.0.0/0 1"]), Exposed);
}

#[test]
fn a_finding_lists_maximal_runs_never_merged_where_s_differs() {
    let wide = check(Kind::Ports, &[Protocol::Tcp], &[(20, 30)]);
    let judged = judge(
        wide,
        &group(&[
            "accept tcp 20/22 0.0.0.0/0 1",
            "accept tcp 23/25 0.0.0.0/1 1",
            "accept tcp 23/25 128.0.0.0/1 2",
            "accept tcp 26/27 47.0.0.0/8 1",
        ]),
    );
    let runs: Vec<(&str, &str)> = judged.findings[0]
        .exposed
        .iter()
        .map(|run| (run.ports.as_str(), run.addresses.as_str()))
        .collect();
    let whole = sgwarden::exposure::Internet::whole()
        .whole_count(sgwarden::model::Family::Ipv4)
        .to_string();
    assert_eq!(runs, [("20-25", whole.as_str()), ("26-27", "16777216")]);
    assert_eq!(judged.findings[0].exposed[1].sources, ["47.0.0.0/8"]);
}

#[test]
fn contributing_rules_accepts_shadow_each_other_for_traffic_but_not_for_blame() {
    let judged = judge(
        risky_ports(),
        &group(&[
            "accept tcp 22/22 0.0.0.0/0 1",
            "accept tcp 1/65535 0.0.0.0/0 2",
            "accept tcp 22/22 47.96.1.2/32 1",
            "accept tcp 22/22 10.0.0.0/8 1",
            "accept tcp 80/80 0.0.0.0/0 1",
            "drop tcp 1/65535 128.0.0.0/1 2",
            "accept tcp 22/22 200.0.0.0/8 3",
        ]),
    );
    let blamed: Vec<(&str, &str)> = judged.findings[0]
        .rules
        .iter()
        .map(|rule| (rule.rule_id.as_str(), rule.addresses.as_str()))
        .collect();
    let net = sgwarden::exposure::Internet::whole();
    let whole = net.whole_count(sgwarden::model::Family::Ipv4);
    let half = sgwarden::exposure::set::AddressSet::from_ranges([(0, 0x7fff_ffff)])
        .intersect(net.of(sgwarden::model::Family::Ipv4))
        .count();
    assert_eq!(
        blamed,
        [
            ("sgr-000", whole.to_string().as_str()),
            ("sgr-001", half.to_string().as_str()),
            ("sgr-002", "1"),
        ],
        "the Drop comes before sgr-001 at the same Priority, and takes all of sgr-006"
    );
}
