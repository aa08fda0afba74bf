//! Rules judged on one core: `policy::assess` under the policy that ships, over readings that lie in
//! memory. No network, no JSON, no evidence: those are the run's (`docs/performance.md`).
//!
//! ```sh
//! cargo bench --bench engine
//! ```
//!
//! **The mix** is two thousand groups, the same ones each time. Of the groups 70 in 100 have 3 to 8
//! rules, 20 have 10 to 25, 9 have 40 to 100, and one has 200. Of the rules 34 in 100 come from one
//! public address or a few, 30 from a private network, 14 from another group, 12 from everywhere to
//! ports of the application, 4 are ICMP, 3 IPv6, 2 Drops, 1 names a prefix list. A tenth of all rules is
//! egress. Of the groups 5 in 100 also have a rule that is exposed, and 1 in 200 one that cannot be read.
//!
//! **The worst** groups are as large as the quota of one interface lets them be: 1,000 rules, where a
//! rule by list counts as many as the list may have entries.
//!
//! To add a group, write its rules here and add a line to `main`.

use criterion::{BatchSize, Criterion, Throughput};
use sgwarden::exposure::Internet;
use sgwarden::exposure::set::PortSet;
use sgwarden::model::{Field, GroupReading, Lists, Protocol, Rule, Rules, SecurityGroup, Verdict};
use sgwarden::policy::{Check, Kind, Policy, assess, survey};
use std::hint::black_box;
use std::sync::Arc;

fn main() {
    let mut bench = Criterion::default().configure_from_args();
    let policy = policy(sgwarden::config::checks::pack("risky-ports").expect("it ships"));
    mix(&mut bench, &policy);
    for (name, group) in [
        ("overlapping", overlapping(1000)),
        ("prefix-lists", prefix_lists()),
        ("port-lists", port_lists()),
        ("shredded", shredded(999)),
        ("shredded-closed", shredded_closed()),
    ] {
        let mut of = bench.benchmark_group("worst");
        of.bench_function(name, |b| b.iter(|| assess(&policy, black_box(&group))));
        of.bench_function(format!("{name}-survey"), |b| {
            b.iter(|| survey(&policy, black_box(&group)));
        });
        of.finish();
    }
    let wide = policy_of_every_port();
    let group = overlapping(1000);
    bench.bench_function("every-port/overlapping", |b| {
        b.iter(|| assess(&wide, black_box(&group)));
    });
    bench.final_summary();
}

fn mix(bench: &mut Criterion, policy: &Policy) {
    let groups = groups(2000);
    let rules: usize = groups.iter().map(|group| group.rules.read.len()).sum();
    let exposed = groups
        .iter()
        .filter(|group| assess(policy, group).verdicts.contains(&Verdict::Exposed))
        .count();
    assert!(
        (60..=200).contains(&exposed),
        "the mix is not what its page says: {exposed} groups exposed"
    );
    let mut of = bench.benchmark_group("mix");
    of.throughput(Throughput::Elements(u64::try_from(rules).unwrap_or(0)));
    of.bench_function("assess", |b| {
        b.iter_batched(
            || (),
            |()| {
                for group in &groups {
                    black_box(assess(policy, black_box(group)));
                }
            },
            BatchSize::PerIteration,
        );
    });
    // What a run does: the same, and the rules that do nothing.
    of.bench_function("survey", |b| {
        b.iter_batched(
            || (),
            |()| {
                for group in &groups {
                    black_box(survey(policy, black_box(group)));
                }
            },
            BatchSize::PerIteration,
        );
    });
    of.finish();
}

fn policy(checks: Vec<Check>) -> Policy {
    Policy {
        checks,
        internet: Internet::whole(),
        trusted: Vec::new(),
        waivers: sgwarden::policy::Waivers::default(),
    }
}

/// Checks that look at every port: what the policy that ships does not.
fn policy_of_every_port() -> Policy {
    let shipped = sgwarden::config::checks::pack("risky-ports").expect("it ships");
    let check = |id: &str, kind, ports| Check {
        id: id.to_owned(),
        kind,
        protocols: vec![Protocol::Tcp, Protocol::Udp],
        ports,
        ..shipped.first().expect("a check").clone()
    };
    policy(vec![
        check("all-ports", Kind::AllPorts, PortSet::all()),
        check(
            "outside-list",
            Kind::OutsideList,
            PortSet::from_ranges([(80, 80), (443, 443)]),
        ),
    ])
}

/// Numbers that look random and are the same each time (Knuth's MMIX constants).
struct Dice(u64);

impl Dice {
    fn below(&mut self, n: u64) -> u64 {
        self.0 = self
            .0
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 33) % n
    }

    fn one_of<'t>(&mut self, of: &[&'t str]) -> &'t str {
        let n = self.below(u64::try_from(of.len()).unwrap_or(1));
        of[usize::try_from(n).unwrap_or(0)]
    }
}

/// As the service answers: what it always sets is set.
fn rule(at: usize, policy: &str, protocol: &str, ports: &str, priority: u64) -> Rule {
    let text = |text: &str| Field::from(text);
    Rule {
        security_group_rule_id: text(&format!("sgr-bp1{at:017}")),
        direction: text("ingress"),
        policy: text(policy),
        priority: text(&priority.to_string()),
        ip_protocol: text(protocol),
        port_range: text(ports),
        nic_type: text("intranet"),
        description: text("opened for ticket 4711"),
        create_time: text("2024-05-21T06:12:45Z"),
        ..Rule::default()
    }
}

fn from_v4(mut rule: Rule, source: &str) -> Rule {
    rule.source_cidr_ip = Field::from(source);
    rule
}

fn reading(at: usize, rules: Vec<Rule>) -> GroupReading {
    GroupReading {
        account: "1234567890123456".into(),
        region: "cn-hangzhou".into(),
        group: SecurityGroup {
            id: format!("sg-bp1{at:017}"),
            name: format!("web-{at}"),
            vpc_id: "vpc-bp1aevy8sofi8mh1q5r54".to_owned(),
            service_managed: Some(false),
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

fn groups(n: usize) -> Vec<GroupReading> {
    let mut dice = Dice(7);
    (0..n)
        .map(|at| {
            let size = match dice.below(100) {
                0..70 => 3 + dice.below(6),
                70..90 => 10 + dice.below(16),
                90..99 => 40 + dice.below(61),
                _ => 200,
            };
            let mut rules: Vec<Rule> = (0..usize::try_from(size).unwrap_or(0))
                .map(|place| usual(&mut dice, place))
                .collect();
            if dice.below(100) < 5 {
                let ports = dice.one_of(&["22/22", "3389/3389", "1/65535"]);
                let place = rules.len();
                rules.push(from_v4(rule(place, "Accept", "TCP", ports, 1), "0.0.0.0/0"));
            }
            if dice.below(200) == 0 {
                let place = rules.len();
                rules.push(from_v4(
                    rule(place, "Accept", "SCTP", "22/22", 1),
                    "10.0.0.0/8",
                ));
            }
            let mut group = reading(at, rules);
            let list = Ok(vec!["47.100.1.0/24".to_owned(), "10.8.0.0/16".to_owned()]);
            group
                .lists
                .prefix
                .insert("pl-bp1office".to_owned(), Arc::new(list));
            group
        })
        .collect()
}

fn usual(dice: &mut Dice, place: usize) -> Rule {
    let own = 1024 + dice.below(50_000);
    let own = format!("{own}/{}", own + dice.below(3));
    let port = dice.one_of(&[
        "22/22",
        "3389/3389",
        "3306/3306",
        "443/443",
        "1/65535",
        &own,
        &own,
        &own,
    ]);
    let web = dice.one_of(&["80/80", "443/443", &own, &own, &own]);
    let (a, b) = (dice.below(256), dice.below(256));
    let mut made = match dice.below(100) {
        0..34 => {
            let tail = dice.one_of(&["", "/32", "/32", "/29", "/24"]);
            from_v4(
                rule(place, "Accept", "TCP", port, 1),
                &format!("47.{a}.{b}.9{tail}"),
            )
        }
        34..64 => {
            let net = dice.one_of(&["10.0.0.0/8", "172.16.0.0/12", "192.168.0.0/16"]);
            let net = if a < 128 {
                net.to_owned()
            } else {
                format!("10.{a}.{b}.0/24")
            };
            from_v4(rule(place, "Accept", "TCP", port, 1), &net)
        }
        64..78 => {
            let mut rule = rule(place, "Accept", "TCP", port, 1);
            rule.source_group_id = Field::from(format!("sg-bp1fg655nh68xyz9{a:04x}").as_str());
            rule
        }
        78..90 => from_v4(rule(place, "Accept", "TCP", web, 1), "0.0.0.0/0"),
        90..94 => from_v4(
            rule(place, "Accept", "ICMP", "-1/-1", 1),
            &format!("10.{a}.{b}.0/24"),
        ),
        94..97 => {
            let mut rule = rule(place, "Accept", "TCP", web, 1);
            rule.ipv6_source_cidr_ip = Field::from(format!("2408:4003:{a:x}{b:02x}::/48").as_str());
            rule
        }
        97..99 => from_v4(
            rule(place, "Drop", "TCP", port, 1 + dice.below(100)),
            &format!("47.{a}.0.0/16"),
        ),
        _ => {
            let mut rule = rule(place, "Accept", "TCP", port, 1);
            rule.source_prefix_list_id = Field::from("pl-bp1office");
            rule
        }
    };
    if dice.below(10) == 0 {
        made.direction = Field::from("egress");
        made.dest_cidr_ip = std::mem::take(&mut made.source_cidr_ip);
    }
    made
}

/// Accepts and Drops by turns at every priority, each over both ports, their networks in each other.
fn overlapping(n: usize) -> GroupReading {
    let mut dice = Dice(11);
    let rules = (0..n)
        .map(|at| {
            let priority = 1 + u64::try_from(at).unwrap_or(0) % 100;
            let policy = if at % 2 == 0 { "Accept" } else { "Drop" };
            let low = 1 + dice.below(22);
            let high = 3389 + dice.below(60_000);
            let prefix = 1 + dice.below(16);
            let net = format!("{}.{}.0.0/{prefix}", dice.below(224), dice.below(256));
            from_v4(
                rule(at, policy, "TCP", &format!("{low}/{high}"), priority),
                &net,
            )
        })
        .collect();
    reading(0, rules)
}

fn names(of: &str, n: u64) -> String {
    format!("{of}-bp1{n:017}")
}

/// Five rules, each by a list of 200 networks, Drops before Accepts.
fn prefix_lists() -> GroupReading {
    let mut dice = Dice(13);
    let mut group = reading(0, Vec::new());
    for list in 0..5 {
        let policy = if list < 2 { "Drop" } else { "Accept" };
        let mut made = rule(
            usize::try_from(list).unwrap_or(0),
            policy,
            "ALL",
            "-1/-1",
            1 + list,
        );
        made.source_prefix_list_id = Field::from(names("pl", list).as_str());
        group.rules.read.push(made);
        let entries = (0..200)
            .map(|_| {
                let prefix = 8 + dice.below(20);
                format!(
                    "{}.{}.{}.0/{prefix}",
                    1 + dice.below(223),
                    dice.below(256),
                    dice.below(256)
                )
            })
            .collect();
        group
            .lists
            .prefix
            .insert(names("pl", list), Arc::new(Ok(entries)));
    }
    group
}

/// Ten rules, each by a list of 100 port ranges, and half of the internet each.
fn port_lists() -> GroupReading {
    let mut dice = Dice(17);
    let mut group = reading(0, Vec::new());
    for list in 0..10 {
        let policy = if list % 3 == 0 { "Drop" } else { "Accept" };
        let mut made = rule(
            usize::try_from(list).unwrap_or(0),
            policy,
            "TCP",
            "",
            1 + list,
        );
        made.port_range_list_id = Field::from(names("prl", list).as_str());
        group
            .rules
            .read
            .push(from_v4(made, &format!("{}.0.0.0/1", dice.below(256))));
        let entries = (0..100)
            .map(|at| {
                let low = 1 + at * 600 + dice.below(300);
                if at == 0 {
                    format!("{}/{}", 1 + dice.below(22), 3400)
                } else {
                    format!("{low}/{}", low + dice.below(300))
                }
            })
            .collect();
        group
            .lists
            .port
            .insert(names("prl", list), Arc::new(Ok(entries)));
    }
    group
}

/// Single addresses dropped out of the internet: few ranges, and tens of thousands of CIDRs to name
/// in the finding.
fn shredded(drops: usize) -> GroupReading {
    let mut dice = Dice(19);
    let mut rules: Vec<Rule> = (0..drops)
        .map(|at| {
            let net = format!(
                "{}.{}.{}.{}/32",
                1 + dice.below(223),
                dice.below(256),
                dice.below(256),
                dice.below(256)
            );
            from_v4(rule(at, "Drop", "TCP", "1/65535", 1), &net)
        })
        .collect();
    rules.push(from_v4(
        rule(drops, "Accept", "TCP", "22/22", 2),
        "0.0.0.0/0",
    ));
    reading(0, rules)
}

/// The same, closed by one Drop of it all: nothing to name.
fn shredded_closed() -> GroupReading {
    let mut group = shredded(998);
    let place = group.rules.read.len();
    group
        .rules
        .read
        .push(from_v4(rule(place, "Drop", "ALL", "-1/-1", 1), "0.0.0.0/0"));
    group
}
