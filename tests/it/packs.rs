//! Checks beyond ports from the internet: the private side, what goes out, what a group is.

use crate::kit::rules::{check, group, judge, with_prefix_list};
use Verdict::{Compliant, Exposed, Managed, Undetermined};
use sgwarden::config::Schedule;
use sgwarden::config::packs::{self, Pack};
use sgwarden::model::{
    ControlResult, ControlStatus, GroupReading, PopulationRow, Protocol, Verdict,
};
use sgwarden::policy::controls::Tally;
use sgwarden::policy::{Audience, Check, Direction, Kind, MinPublic};
use std::collections::BTreeSet;

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

/// Every pack that ships.
fn shipped() -> Vec<Pack> {
    let here = std::path::Path::new(".");
    sgwarden::policy::packs::names()
        .into_iter()
        .map(|name| packs::named(name, here).unwrap_or_else(|why| panic!("{name}: {why:?}")))
        .collect()
}

#[test]
fn every_pack_that_ships_reads_and_all_of_them_go_together() {
    let all = shipped();
    let checks = packs::unite(&all).expect("no two differ");
    let ids: BTreeSet<&str> = checks.iter().map(|check| check.id.as_str()).collect();
    assert_eq!(ids.len(), checks.len());
    for check in &checks {
        let told = [&check.title, &check.why, &check.fix];
        assert!(told.iter().all(|text| !text.is_empty()), "{}", check.id);
        assert!(check.title != check.id, "{} has no title", check.id);
        let languages: Vec<&str> = check.titles.keys().map(String::as_str).collect();
        assert_eq!(languages, ["zh-CN", "zh-TW"], "{}", check.id);
        assert!(!check.controls.is_empty(), "{} has no clause", check.id);
        let clauses: BTreeSet<_> = check.controls.iter().map(|c| &c.clause).collect();
        assert_eq!(clauses.len(), check.controls.len(), "{}", check.id);
    }
    // What a pack may act on: ports from the internet, and nothing that reports.
    let acts = |name: &str| -> Vec<String> {
        let pack = all.iter().find(|pack| pack.name == name).expect("it ships");
        let acting = pack.checks.iter().filter(|check| check.is_remediable());
        acting.map(|check| check.id.clone()).collect()
    };
    assert_eq!(acts("cis"), ["cis-4-3-ssh", "cis-4-4-rdp"]);
    assert_eq!(acts("all-open"), ["all-ports"]);
    assert_eq!(acts("private-side"), Vec::<String>::new());
    assert_eq!(
        acts("best-practice"),
        ["risky-ports", "risky-ports-tcp-udp", "all-ports"]
    );
    for name in ["databases", "admin"] {
        let pack = all.iter().find(|pack| pack.name == name).expect("it ships");
        assert_eq!(acts(name).len(), pack.checks.len(), "{name}");
    }
}

/// The checks of all packs that a group of those rules is exposed under.
fn exposed_under(lines: &[&str]) -> BTreeSet<String> {
    let mut reading = group(lines);
    "enterprise".clone_into(&mut reading.group.kind);
    "what it is for".clone_into(&mut reading.group.description);
    let policy = sgwarden::policy::Policy {
        checks: packs::unite(&shipped()).expect("no two differ"),
        ..crate::kit::rules::policy()
    };
    sgwarden::policy::assess(&policy, &reading)
        .findings
        .into_iter()
        .map(|finding| finding.check)
        .collect()
}

#[test]
fn the_packs_know_the_ports_of_their_services() {
    // What any open tcp port is exposed under.
    let beside = BTreeSet::from(["internet-source", "white-list-ports"].map(str::to_owned));
    let cases: [(&str, &[&str]); 21] = [
        ("tcp 3306/3306", &["mysql"]),
        ("tcp 5432/5432", &["postgresql"]),
        ("tcp 1433/1433", &["sql-server"]),
        ("udp 1434/1434", &["sql-server-browser"]),
        ("tcp 1521/1521", &["oracle"]),
        ("tcp 27018/27018", &["mongodb"]),
        ("tcp 6379/6379", &["redis"]),
        ("tcp 11211/11211", &["memcached"]),
        ("udp 11211/11211", &["memcached"]),
        ("tcp 9200/9200", &["elasticsearch"]),
        ("tcp 9440/9440", &["clickhouse"]),
        ("tcp 2379/2379", &["etcd"]),
        ("tcp 2375/2375", &["docker-api"]),
        ("tcp 10250/10250", &["kubelet"]),
        ("tcp 6443/6443", &["kubernetes-api"]),
        ("tcp 23/23", &["telnet"]),
        ("tcp 445/445", &["windows-rpc-smb"]),
        (
            "tcp 22/22",
            &[
                "cis-3-2-ssh",
                "cis-4-3-ssh",
                "risky-ports",
                "risky-ports-tcp-udp",
                "ssh",
            ],
        ),
        (
            "tcp 3389/3389",
            &["cis-4-4-rdp", "rdp", "risky-ports", "risky-ports-tcp-udp"],
        ),
        ("udp 3389/3389", &["rdp", "risky-ports-tcp-udp"]),
        ("tcp 8081/8081", &[]),
    ];
    for (traffic, want) in cases {
        let mut all = beside.clone();
        all.extend(want.iter().map(|&id| id.to_owned()));
        assert_eq!(
            exposed_under(&[&format!("accept {traffic} 0.0.0.0/0 1")]),
            all,
            "{traffic}"
        );
        // The office's own address is no exposure but to those who count every address.
        let mut narrow = BTreeSet::from(["internet-source".to_owned()]);
        narrow.extend((traffic == "tcp 22/22").then(|| "cis-3-2-ssh".to_owned()));
        assert_eq!(
            exposed_under(&[&format!("accept {traffic} 47.100.1.2/32 1")]),
            narrow,
            "{traffic}"
        );
    }
    assert_eq!(
        exposed_under(&["accept tcp 443/443 0.0.0.0/0 1"]),
        BTreeSet::from(["internet-source".to_owned()])
    );
    assert_eq!(
        exposed_under(&["accept tcp 1/65535 10.0.0.0/8 1"]),
        BTreeSet::from(["private-side".to_owned()])
    );
    assert!(exposed_under(&["accept all -1/-1 ::/0 1"]).contains("all-protocols"));
    assert_eq!(exposed_under(&[]), BTreeSet::new());
}

/// What a schedule with those packs makes of clauses over a few groups.
fn controls(schedule: &str, groups: &[GroupReading], complete: bool) -> Vec<ControlResult> {
    let schedule = Schedule::read("s.toml", "s", schedule).unwrap_or_else(|why| panic!("{why:?}"));
    let internet = sgwarden::exposure::Internet::less_trusted(&schedule.trusted).expect("networks");
    let not_assessed: Vec<_> = schedule
        .packs
        .iter()
        .flat_map(|pack| pack.not_assessed.clone())
        .collect();
    let mut tally = Tally::new(
        &schedule.checks,
        &not_assessed,
        &internet,
        schedule.reads_everything(),
    );
    let policy = sgwarden::policy::Policy {
        checks: schedule.checks.clone(),
        internet,
        ..crate::kit::rules::policy()
    };
    for (at, reading) in groups.iter().enumerate() {
        let judged = sgwarden::policy::assess(&policy, reading);
        for (check, verdict) in policy.checks.iter().zip(judged.verdicts) {
            let row = PopulationRow {
                account: "1".to_owned(),
                region: "r".to_owned(),
                group_id: format!("sg-{at}"),
                group_name: String::new(),
                check: check.id.clone(),
                verdict: verdict.as_str().to_owned(),
                rule_count: String::new(),
                rules_read: 0,
                raw_file: String::new(),
                raw_sha256: String::new(),
            };
            tally.row(&row, verdict);
        }
    }
    let nothing = sgwarden::model::Coverage {
        schema: sgwarden::model::Coverage::SCHEMA.to_owned(),
        regions: Vec::new(),
        excluded_groups: Vec::new(),
        unnamed_regions: Vec::new(),
    };
    tally.finish(complete, &nothing).1
}

/// Of one framework: clause, status, passed, exposed, undetermined.
fn of<'r>(results: &'r [ControlResult], framework: &str) -> Vec<(&'r str, &'r str, u64, u64, u64)> {
    results
        .iter()
        .filter(|result| result.clause.framework.starts_with(framework))
        .map(|r| {
            let groups = &r.groups;
            (
                r.clause.clause.as_str(),
                r.status.as_str(),
                groups.compliant,
                groups.exposed,
                groups.undetermined,
            )
        })
        .collect()
}

#[test]
fn clauses_pass_fail_or_are_not_assessed() {
    let cis = "[policy]\npacks = [\"cis\"]";
    let closed = || group(&["accept tcp 80/80 0.0.0.0/0 1"]);
    let office = || group(&["accept tcp 22/22 47.100.1.2/32 1"]);
    let open = || {
        group(&[
            "accept tcp 22/22 0.0.0.0/1 1",
            "accept tcp 22/22 128.0.0.0/1 1",
        ])
    };
    let odd = || group(&["accept tcp 3389/x 0.0.0.0/0 1"]);
    assert_eq!(
        of(&controls(cis, &[closed(), office(), open()], true), "CIS"),
        [
            ("2.22", "not_assessed", 0, 0, 0),
            ("3.1", "passed", 3, 0, 0),
            ("3.2", "failed", 1, 2, 0),
            ("3.5", "not_assessed", 0, 0, 0),
            ("4.3", "failed", 2, 1, 0),
            ("4.4", "passed", 3, 0, 0),
        ]
    );
    // "one with anything undetermined is not assessed"
    let some = controls(cis, &[closed(), odd(), open()], true);
    assert_eq!(
        of(&some, "CIS")[4..],
        [
            ("4.3", "not_assessed", 1, 1, 1),
            ("4.4", "not_assessed", 2, 0, 1)
        ]
    );
    // So is every one of a run that is not complete.
    let all = controls(cis, &[closed()], false);
    assert!(all.iter().all(|r| r.status == ControlStatus::NotAssessed));
    // A group counts once for a clause, by the gravest of its verdicts.
    let both = controls(
        "[policy]\npacks = [\"databases\", \"admin\"]",
        &[
            group(&["accept tcp 1/65535 0.0.0.0/0 1"]),
            closed(),
            closed(),
        ],
        true,
    );
    assert_eq!(of(&both, "ISO/IEC 27001")[0], ("A.13.1", "failed", 2, 1, 0));
    let mut managed = open();
    managed.group.service_managed = Some(true);
    let shown = controls(cis, &[managed], true);
    assert_eq!(shown[4].groups.managed, 1);
    assert_eq!(shown[4].status, ControlStatus::Failed);
}

#[test]
fn a_looser_check_loses_its_reference() {
    let lost = |policy: &str| -> Vec<(String, &'static str)> {
        controls(policy, &[group(&[])], true)
            .iter()
            .flat_map(|r| {
                let of = |l: &sgwarden::model::LostReference| {
                    (format!("{} {}", r.clause.clause, l.check), l.why.as_str())
                };
                r.lost.iter().map(of).collect::<Vec<_>>()
            })
            .collect()
    };
    let own = |least: &str, clause: &str| {
        format!(
            "[policy]\npacks = []\n[[policy.check]]\nid = \"own\"\nseverity = \"low\"\nports = [\"22\"]\n{least}\ncontrols = [{{ framework = \"House\", version = \"1\", clause = \"7\", title = \"t\", {clause} }}]"
        )
    };
    let zero = "min_public = { ipv4 = \"/0\", ipv6 = \"/0\" }";
    let any = "min_public = \"any\"";
    let none = Vec::<(String, &str)>::new();
    // "for no 0.0.0.0/0 a /16 threshold is not looser"
    assert_eq!(lost(&own("", zero)), none);
    // "for restricted from the internet it is"
    assert_eq!(lost(&own("", any)), [("7 own".to_owned(), "least")]);
    assert_eq!(lost(&own(any, any)), none);
    assert_eq!(lost(&own("", "min_public = \"unstated\"")), none);
    // One family is enough.
    assert_eq!(
        lost(&own(
            "min_public = { ipv4 = \"/16\", ipv6 = \"/20\" }",
            "min_public = { ipv4 = \"/16\", ipv6 = \"/32\" }"
        )),
        [("7 own".to_owned(), "least")]
    );
    // Trusted networks: what is open to them alone passes a check that counts every address.
    let trusted =
        |policy: String| policy.replace("packs = []", "packs = []\ntrusted = [\"47.100.0.0/16\"]");
    assert_eq!(
        lost(&trusted(own(any, any))),
        [("7 own".to_owned(), "trusted")]
    );
    assert_eq!(lost(&trusted(own("", zero))), none);
    assert_eq!(
        lost(&trusted(own(
            "",
            "min_public = { ipv4 = \"/16\", ipv6 = \"/32\" }"
        ))),
        [("7 own".to_owned(), "trusted")],
        "a /16 that is trusted is what the clause counts"
    );
    // Part of the groups says nothing about all of them.
    for scope in [
        "regions = [\"cn-hangzhou\"]",
        "exclude_regions = [\"cn-hangzhou\"]",
        "exclude_groups = [\"sg-1\"]",
        "groups = { names = [\"web-*\"] }",
    ] {
        let text = format!("[scope]\n{scope}\n{}", own("", zero));
        assert_eq!(lost(&text), [("7 own".to_owned(), "scope")], "{scope}");
    }
    let only = controls(&own("", any), &[group(&[])], true);
    assert_eq!(only[0].status, ControlStatus::NotAssessed);
    assert_eq!(only[0].groups, sgwarden::model::Totals::default());
}
