//! Rules that do nothing: named cases, an oracle that asks packet by packet, and the proof that the
//! group decides every packet as before when they go.

use crate::kit::host::{Host, REGION, ssh_open, world};
use crate::kit::rules::{group, reading, with_prefix_list};
use crate::oracle::{any_rule, lists};
use proptest::prelude::*;
use serde_json::json;
use sgwarden::exposure::set::AddressRange;
use sgwarden::exposure::traffic::{Difference, difference};
use sgwarden::exposure::{Certainty, GroupRules, Internet, ReadRule, idle};
use sgwarden::model::{
    Family, Field, GroupReading, IdleKind, Protocol, Route, Rule as Written, Severity, Tag,
};
use sgwarden::policy::{Policy, Waivers, survey};
use sgwarden::sim::Rule;
use std::collections::{BTreeMap, BTreeSet};

/// What is said of each idle rule, in deciding order: `sgr-002 dead by sgr-000`.
fn said(group: &GroupReading) -> Vec<String> {
    let rules = GroupRules::read(&group.rules.read, &group.lists, group.group.is_classic());
    idle(&rules)
        .iter()
        .map(|idle| {
            let by: Vec<&str> = idle.by.iter().map(|by| by.rule.id()).collect();
            format!(
                "{} {} by {}",
                idle.rule.rule.id(),
                idle.kind.as_str(),
                by.join(" ")
            )
        })
        .collect()
}

fn check(lines: &[&str], wanted: &[&str]) {
    assert_eq!(said(&group(lines)), wanted, "{lines:?}");
}

#[test]
fn a_rule_is_dead_when_earlier_rules_decide_every_packet_of_it() {
    check(
        &[
            "drop tcp 1/65535 0.0.0.0/0 1",
            "accept tcp 22/22 0.0.0.0/0 2",
        ],
        &["sgr-001 dead by sgr-000"],
    );
    check(
        &[
            "accept tcp 22/22 0.0.0.0/0 1",
            "accept tcp 22/22 10.0.0.0/8 2",
        ],
        &["sgr-001 dead by sgr-000"],
    );
    // At equal priority a Drop comes first.
    check(
        &[
            "accept tcp 22/22 10.0.0.0/8 1",
            "drop all -1/-1 10.0.0.0/8 1",
        ],
        &["sgr-000 dead by sgr-001"],
    );
    // Two that together have it all, of ports and of sources; a third has a part and is not needed.
    check(
        &[
            "accept tcp 1/100 0.0.0.0/1 1",
            "drop tcp 1/30 128.0.0.0/1 2",
            "accept tcp 31/100 128.0.0.0/1 3",
            "accept tcp 22/22 0.0.0.0/0 4",
            "accept tcp 20/40 0.0.0.0/0 5",
        ],
        &[
            "sgr-003 dead by sgr-000 sgr-001",
            "sgr-004 dead by sgr-000 sgr-001 sgr-002",
        ],
    );
    check(
        &[
            "accept all -1/-1 0.0.0.0/0 1",
            "accept gre -1/-1 10.0.0.0/8 9",
        ],
        &["sgr-001 dead by sgr-000"],
    );
    check(
        &[
            "accept icmp -1/-1 0.0.0.0/0 1",
            "drop icmp -1/-1 47.0.0.0/8 9",
        ],
        &["sgr-001 dead by sgr-000"],
    );
}

#[test]
fn a_rule_with_anything_left_to_decide_is_not_dead() {
    for lines in [
        // One address, one port, one family, one protocol.
        &["drop tcp 22/22 0.0.0.0/1 1", "accept tcp 22/22 0.0.0.0/0 2"][..],
        &["drop tcp 1/21 0.0.0.0/0 1", "accept tcp 1/22 0.0.0.0/0 2"],
        &["drop tcp 22/22 0.0.0.0/0 1", "accept tcp 22/22 ::/0 2"],
        &["drop udp 22/22 0.0.0.0/0 1", "accept tcp 22/22 0.0.0.0/0 2"],
        // Later, or of the same rank: order among those decides nothing.
        &[
            "accept tcp 22/22 10.0.0.0/8 1",
            "accept tcp 22/22 0.0.0.0/0 1",
        ],
        &[
            "accept tcp 22/22 0.0.0.0/0 1",
            "accept tcp 22/23 0.0.0.0/0 2",
        ],
        // ALL has protocols that are none of ours; 50 is one.
        &[
            "drop tcp 1/65535 0.0.0.0/0 1",
            "drop udp 1/65535 0.0.0.0/0 1",
            "drop icmp -1/-1 0.0.0.0/0 1",
            "drop gre -1/-1 0.0.0.0/0 1",
            "accept all -1/-1 0.0.0.0/0 2",
        ],
        &[
            "drop tcp 1/65535 0.0.0.0/0 1",
            "accept 50 -1/-1 0.0.0.0/0 2",
        ],
        // A limit takes a part only.
        &[
            "drop tcp 22/22 0.0.0.0/0 1 srcport=1024/2048",
            "accept tcp 22/22 0.0.0.0/0 2",
        ],
        &[
            "accept tcp 22/22 0.0.0.0/0 1 dest=10.0.0.5",
            "accept tcp 22/22 0.0.0.0/0 2",
        ],
        // Egress is not judged here.
        &[
            "drop tcp 22/22 0.0.0.0/0 1 dir=egress",
            "accept tcp 22/22 0.0.0.0/0 2",
        ],
    ] {
        check(lines, &[]);
    }
}

#[test]
fn a_rule_with_a_limit_can_be_dead_itself() {
    check(
        &[
            "accept tcp 22/22 0.0.0.0/0 1",
            "accept tcp 22/22 10.0.0.0/8 2 srcport=1024/2048",
        ],
        &["sgr-001 dead by sgr-000"],
    );
}

#[test]
fn what_is_not_understood_is_never_dead_and_makes_nothing_dead() {
    for lines in [
        &["x tcp 22/22 0.0.0.0/0 1", "accept tcp 22/22 0.0.0.0/0 2"][..],
        &["drop tcp 22/22 0.0.0.0/0 x", "accept tcp 22/22 0.0.0.0/0 2"],
        &["drop tcp x 0.0.0.0/0 1", "accept tcp 22/22 0.0.0.0/0 2"],
        &["drop tcp 22/22 0.0.0.0 1", "accept tcp 22/22 0.0.0.0/0 2"],
        &["drop tcp 22/22 pl-none 1", "accept tcp 22/22 10.0.0.0/8 2"],
        &[
            "accept tcp 22/22 0.0.0.0/0 1 srcport=x",
            "accept tcp 22/22 10.0.0.0/8 2",
        ],
        // As victims, and as duplicates.
        &["drop all -1/-1 0.0.0.0/0 1", "accept tcp x 10.0.0.0/8 2"],
        &["accept tcp x 10.0.0.0/8 2", "accept tcp x 10.0.0.0/8 2"],
    ] {
        check(lines, &[]);
    }
    // A key we do not know could narrow the rule, or widen it.
    for odd in [0, 1] {
        let mut group = group(&[
            "drop tcp 22/22 0.0.0.0/0 1",
            "accept tcp 22/22 10.0.0.0/8 2",
        ]);
        assert_eq!(said(&group).len(), 1);
        let unknown = ("Schedule".to_owned(), "\"nights\"".to_owned());
        group.rules.read[odd].unknown.push(unknown);
        assert_eq!(said(&group), [""; 0], "{odd}");
    }
}

#[test]
fn members_of_a_group_could_have_any_address() {
    // Both families whole, or the same group, decide before it; nothing less does.
    let victim = "accept tcp 22/22 sg-a 2";
    check(
        &[
            "drop tcp 22/22 0.0.0.0/0 1",
            "drop tcp 22/22 ::/0 1",
            victim,
        ],
        &["sgr-002 dead by sgr-000 sgr-001"],
    );
    check(
        &["accept tcp 20/30 sg-a 1", victim],
        &["sgr-001 dead by sgr-000"],
    );
    for first in [
        "drop tcp 22/22 0.0.0.0/0 1",
        "drop tcp 22/22 10.0.0.0/8 1",
        "drop tcp 22/22 sg-b 1",
    ] {
        check(&[first, victim], &[]);
    }
    check(
        &["drop tcp 22/22 sg-a 1", "accept tcp 22/22 10.0.0.0/8 2"],
        &[],
    );
}

#[test]
fn prefix_lists_are_their_entries_and_an_empty_one_is_shadowed_by_nobody() {
    let with = |lines: &[&str]| {
        let group = group(lines);
        let group = with_prefix_list(group, "pl-a", Ok(&["10.0.0.0/8", "2400::/12"]));
        said(&with_prefix_list(group, "pl-none", Ok(&[])))
    };
    let listed = "accept tcp 22/22 pl-a 2";
    assert_eq!(
        with(&[
            "drop tcp 22/22 10.0.0.0/7 1",
            "drop all -1/-1 ::/0 1",
            listed
        ]),
        ["sgr-002 dead by sgr-000 sgr-001"]
    );
    assert_eq!(with(&["drop tcp 22/22 10.0.0.0/7 1", listed]), [""; 0]);
    assert_eq!(
        with(&["drop all -1/-1 0.0.0.0/0 1", "accept tcp 22/22 pl-none 2"]),
        [""; 0]
    );
    // ICMP is of IPv4: the list's other half is no packet of it.
    assert_eq!(
        with(&["drop icmp -1/-1 10.0.0.0/8 1", "accept icmp -1/-1 pl-a 2"]),
        ["sgr-001 dead by sgr-000"]
    );
}

#[test]
fn duplicates_have_one_effect_and_the_first_by_id_is_kept() {
    check(
        &[
            "accept tcp 22/22 10.0.0.0/8 1 id=sgr-b",
            "Accept 6 22/22 10.9.8.7/8 1 id=sgr-a",
            "accept TCP 0022/22 10.0.0.0/8 1 id=sgr-c",
        ],
        &["sgr-b duplicate by sgr-a", "sgr-c duplicate by sgr-a"],
    );
    check(
        &["accept tcp 22/22 sg-a 1", "accept tcp 22/22 sg-a 1"],
        &["sgr-001 duplicate by sgr-000"],
    );
    check(
        &["accept 50 -1/-1 0.0.0.0/0 1", "accept 50 -1/-1 0.0.0.0/0 1"],
        &["sgr-001 duplicate by sgr-000"],
    );
    for lines in [
        [
            "accept tcp 22/22 10.0.0.0/8 1",
            "accept tcp 22/22 10.0.0.0/9 1",
        ],
        [
            "accept tcp 22/22 10.0.0.0/8 1",
            "accept udp 22/22 10.0.0.0/8 1",
        ],
        ["accept tcp 22/22 sg-a 1", "accept tcp 22/22 sg-b 1"],
        ["accept 50 -1/-1 0.0.0.0/0 1", "accept 51 -1/-1 0.0.0.0/0 1"],
        [
            "accept tcp 22/22 10.0.0.0/8 1 srcport=1/5",
            "accept tcp 22/22 10.0.0.0/8 1 srcport=1/6",
        ],
    ] {
        check(&lines, &[]);
    }
    // Of later ones with the same fields it is the order that makes them idle.
    check(
        &[
            "accept tcp 22/22 10.0.0.0/8 1",
            "accept tcp 22/22 10.0.0.0/8 2",
        ],
        &["sgr-001 dead by sgr-000"],
    );
    // Lists that hold the same today need not tomorrow.
    let group = group(&["accept tcp 22/22 pl-a 1", "accept tcp 22/22 pl-b 1"]);
    let group = with_prefix_list(group, "pl-a", Ok(&["10.0.0.0/8"]));
    assert_eq!(
        said(&with_prefix_list(group, "pl-b", Ok(&["10.0.0.0/8"]))),
        [""; 0]
    );
}

/// Whether a rule's source has that address. Group members stand at an address of their own.
fn has(rule: &ReadRule<'_>, family: Family, address: u128) -> bool {
    let within = |(low, high): &AddressRange| *low <= address && address <= *high;
    rule.sources(family).iter().any(within)
}

/// Whether every packet of the victim that any border can tell apart is matched by an earlier rule.
fn oracle_says_dead(victim: &ReadRule<'_>, rules: &[&ReadRule<'_>]) -> bool {
    let place = |rule: &ReadRule<'_>| (rule.priority, rule.policy);
    let is_all = |rule: &ReadRule<'_>| Protocol::ALL.iter().all(|p| rule.protocols.has(*p));
    let before: Vec<&&ReadRule<'_>> = rules
        .iter()
        .filter(|rule| place(rule) < place(victim) && !rule.has_limit)
        .filter(|rule| !is_all(victim) || is_all(rule))
        .collect();
    let mut ports: BTreeSet<u16> = BTreeSet::from([1]);
    for rule in rules {
        for (low, high) in rule.ports.as_slice() {
            ports.insert(*low);
            ports.extend(high.checked_add(1));
        }
    }
    let mut seen = false;
    for family in Family::ALL {
        let mut addresses: BTreeSet<u128> = BTreeSet::from([0]);
        for (low, high) in rules.iter().flat_map(|rule| rule.sources(family)) {
            addresses.insert(*low);
            addresses.extend(high.checked_add(1));
        }
        for protocol in Protocol::ALL.into_iter().filter(|p| p.is_of(family)) {
            for port in &ports {
                for address in &addresses {
                    let matches = |rule: &ReadRule<'_>| {
                        rule.matches_point(protocol, Some(*port)) && has(rule, family, *address)
                    };
                    if matches(victim) {
                        seen = true;
                        if !before.iter().any(|rule| matches(rule)) {
                            return false;
                        }
                    }
                }
            }
        }
    }
    seen
}

fn named(rules: Vec<Written>) -> GroupReading {
    let mut group = reading(rules);
    for (at, rule) in group.rules.read.iter_mut().enumerate() {
        rule.security_group_rule_id = Field::from(format!("sgr-{at:03}").as_str());
    }
    group.lists = lists();
    group
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 600, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn dead_is_what_the_packets_say_and_nothing_changes_without_the_idle(
        rules in prop::collection::vec(any_rule(), 0..9),
        turn in 0usize..9,
    ) {
        let group = named(rules);
        let read = GroupRules::read(&group.rules.read, &group.lists, false);
        let found = idle(&read);
        let kinds: BTreeMap<&str, IdleKind> =
            found.iter().map(|idle| (idle.rule.rule.id(), idle.kind)).collect();
        let certain: Vec<&ReadRule<'_>> = read
            .rules()
            .iter()
            .filter(|rule| rule.unreadable.is_empty() && (rule.limited || !rule.has_limit))
            .collect();
        for rule in read.rules() {
            let is_group = !rule.rule.source_group_id.is_unset();
            let id = rule.rule.id();
            let dead = kinds.get(id) == Some(&IdleKind::Dead);
            if !rule.unreadable.is_empty() {
                prop_assert!(!kinds.contains_key(id));
            } else if !is_group && certain.iter().any(|c| c.rule.id() == id) {
                prop_assert_eq!(dead, oracle_says_dead(rule, &certain), "{}", id);
            }
        }
        for idle in &found {
            for by in &idle.by {
                prop_assert!(!kinds.contains_key(by.rule.id()), "what is idle decides for nobody");
            }
        }
        // All of them together: nothing is decided otherwise.
        let ids: BTreeSet<String> = kinds.keys().map(|id| (*id).to_owned()).collect();
        let left = read.without(&ids);
        for certainty in [Certainty::Closing, Certainty::Opening] {
            prop_assert_eq!(difference(&read, &left, certainty), Difference::default());
        }
        // In whatever order the service lists them.
        let mut turned = group.clone();
        turned.rules.read.rotate_left(turn.min(group.rules.read.len()));
        prop_assert_eq!(said(&turned), said(&group));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_run_records_them_shows_them_in_the_workbook_and_changes_nothing() {
    let drop = ssh_open().drops();
    let world = world(&[
        (
            "sg-a",
            vec![
                drop,
                ssh_open(),
                Rule::ingress("TCP", "22/22", "10.0.0.0/8"),
            ],
        ),
        ("sg-b", vec![Rule::ingress("TCP", "443/443", "0.0.0.0/0")]),
    ]);
    let host = Host::new(world).await;
    let ran = host.run(&["scan", "--json", "--format", "xlsx,json"]).await;
    assert_eq!(ran.code, 0, "{}", ran.stderr);
    let folder = host.path(ran.json()["path"].as_str().expect("a path"));
    let findings = std::fs::read(folder.join("findings.json")).expect("findings");
    let findings: serde_json::Value = serde_json::from_slice(&findings).expect("JSON");
    let list = findings["idle_rules"].as_array().expect("a list");
    // Nothing uses the two groups either.
    let (groups, idle): (Vec<_>, Vec<_>) = list
        .iter()
        .partition(|entry| entry["kind"] == json!("unused-group"));
    assert_eq!((groups.len(), idle.len()), (2, 2), "{list:#?}");
    for entry in idle {
        assert_eq!(entry["region"], json!(REGION));
        assert_eq!(entry["group_id"], json!("sg-a"));
        assert_eq!(entry["kind"], json!("dead"));
        assert_eq!(entry["by"].as_array().map(Vec::len), Some(1));
        assert_ne!(entry["by"][0], entry["rule_id"]);
    }
    let file = std::fs::File::open(folder.join("report.xlsx")).expect("the workbook");
    let mut zip = zip::ZipArchive::new(file).expect("a zip");
    let mut text = |name: &str| {
        let mut out = String::new();
        let mut entry = zip.by_name(name).expect("an entry");
        std::io::Read::read_to_string(&mut entry, &mut out).expect("text");
        out
    };
    assert!(text("xl/workbook.xml").contains("name=\"Idle rules\""));
    assert!(text("xl/sharedStrings.xml").contains("rules before it decide all of its packets"));
    let calls = host.cloud.calls();
    assert!(
        !calls.keys().any(|action| action.contains("Revoke")),
        "{calls:?}"
    );
    let ran = host.run(&["verify", "--all"]).await;
    assert_eq!(ran.code, 0, "{}", ran.stdout);
}

#[test]
fn a_part_of_a_run_has_the_idle_rules_of_its_own_groups_only() {
    let mut group = group(&[
        "drop tcp 22/22 0.0.0.0/0 1",
        "accept tcp 22/22 10.0.0.0/8 2",
    ]);
    let tag = |value: &str| Tag {
        key: "owner".to_owned(),
        value: value.to_owned(),
    };
    group.group.tags = vec![tag("web")];
    let policy = Policy {
        checks: Vec::new(),
        internet: Internet::whole(),
        trusted: Vec::new(),
        waivers: Waivers::default(),
    };
    let (_, idle) = survey(&policy, &group);
    assert_eq!(idle.len(), 1);
    let has = |route: Route| route.has_idle(&idle[0]);
    assert!(has(Route::default()));
    for (value, wanted) in [("web", true), ("data", false)] {
        let tags = vec![tag(value)];
        assert_eq!(
            has(Route {
                tags,
                ..Route::default()
            }),
            wanted,
            "{value}"
        );
    }
    let severity = Some(Severity::High);
    assert!(
        !has(Route {
            severity,
            ..Route::default()
        }),
        "it has no severity"
    );
    let regions = vec!["cn-beijing".into()];
    assert!(!has(Route {
        regions,
        ..Route::default()
    }));
}
