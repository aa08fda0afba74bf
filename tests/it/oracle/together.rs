//! Interfaces with two or three groups, against the packets: what is exposed by all rules together and
//! by no group alone, no more and no less, whatever was left out of what is kept of a group.

use super::{Side, any_rule, exposed_points, lists};
use crate::kit::rules::{check, reading, rule};
use proptest::prelude::*;
use sgwarden::exposure::Internet;
use sgwarden::model::{Family, Protocol, Reach, Rule, Verdict};
use sgwarden::policy::{Kind, Member, Policy, Waivers, Whose, assess_together};
use std::collections::BTreeSet;

const PROTOCOLS: [&str; 2] = ["tcp", "gre"];
const SCOPE: [(u16, u16); 2] = [(20, 30), (3389, 3389)];

/// Family, protocol, port (0 where there is none).
type Points = BTreeSet<(bool, String, u32)>;

fn points(rules: &[Rule], side: Side) -> Points {
    exposed_points(rules, &lists(), side, &PROTOCOLS, &SCOPE)
        .into_iter()
        .flat_map(|(six, protocol, low, high, _)| {
            (low..=high).map(move |port| (six, protocol.to_owned(), port))
        })
        .collect()
}

fn policy(kind: Kind, protocols: &[Protocol]) -> Policy {
    Policy {
        checks: vec![check(kind, protocols, &SCOPE)],
        internet: Internet::whole(),
        trusted: Vec::new(),
        waivers: Waivers::default(),
    }
}

/// The verdict on interfaces with these groups, and the points of the finding.
fn judged(policy: &Policy, groups: &[Vec<Rule>]) -> (Option<Verdict>, Points) {
    let members: Vec<Member> = groups
        .iter()
        .enumerate()
        .map(|(at, rules)| {
            let mut group = reading(rules.clone());
            group.group.id = format!("sg-{at}");
            group.lists = lists();
            Member::of(policy, &group)
        })
        .collect();
    let whose = Whose {
        account: &"1234567890123456".into(),
        region: &"cn-hangzhou".into(),
        ids: &["eni-1".to_owned()],
        count: 1,
        reach: Reach::Attached,
        attached: None,
    };
    let members: Vec<&Member> = members.iter().collect();
    let found = assess_together(policy, &members, &whose);
    assert!(found.len() <= 1);
    let verdict = found.first().map(|finding| finding.verdict);
    let mut out = Points::new();
    for run in found.iter().flat_map(|finding| &finding.exposed) {
        let (low, high) = match run.ports.split_once('-') {
            Some((low, high)) => (low, high),
            None => (run.ports.as_str(), run.ports.as_str()),
        };
        let port = |text: &str| text.parse::<u32>().unwrap_or(0);
        for port in port(low)..=port(high) {
            let six = run.family == Family::Ipv6;
            out.insert((six, run.protocol.as_str().to_owned(), port));
        }
    }
    if verdict == Some(Verdict::Exposed) {
        let contributing: BTreeSet<&str> = found[0]
            .rules
            .iter()
            .filter_map(|rule| rule.group_id.as_ref().map(|id| id.as_str()))
            .collect();
        assert!(contributing.len() > 1, "it takes more than one: {found:?}");
    }
    (verdict, out)
}

fn compare(groups: &[Vec<Rule>]) -> Result<(), TestCaseError> {
    let all: Vec<Rule> = groups.concat();
    let beside = |side| -> Points {
        let alone: Points = groups
            .iter()
            .flat_map(|rules| points(rules, side))
            .collect();
        points(&all, side).difference(&alone).cloned().collect()
    };
    let (certain, possible) = (beside(Side::Closing), beside(Side::Opening));
    let want = if !certain.is_empty() {
        (Some(Verdict::Exposed), certain)
    } else if !possible.is_empty() {
        (Some(Verdict::Undetermined), possible)
    } else {
        (None, Points::new())
    };
    let protocols: Vec<Protocol> = PROTOCOLS
        .iter()
        .filter_map(|word| Protocol::parse(word))
        .collect();
    let got = judged(&policy(Kind::Ports, &protocols), groups);
    prop_assert_eq!(got, want);
    Ok(())
}

/// Halves, so that groups often expose together what none does alone.
fn half() -> impl Strategy<Value = Rule> {
    prop::sample::select(
        &[
            "accept tcp 22/22 47.96.0.0/17 2",
            "accept tcp 20/25 47.96.128.0/17 2",
            "accept tcp 3389/3389 2400:3200::/33 2",
            "accept all -1/-1 2400:3200:8000::/33 3",
            "drop tcp 22/23 47.96.64.0/18 1",
        ][..],
    )
    .prop_map(|line| rule(0, line))
}

fn group() -> impl Strategy<Value = Vec<Rule>> {
    let each = prop_oneof![2 => half(), 1 => any_rule()];
    prop::collection::vec(each, 0..4)
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 400, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn interfaces_are_judged_by_what_no_group_exposes_alone(
        groups in prop::collection::vec(group(), 2..4),
    ) {
        compare(&groups)?;
    }
}

#[test]
fn all_ports_may_be_open_in_two_halves() {
    let groups = |low: &str, high: &str| {
        [low, high].map(|ports| vec![rule(0, &format!("accept tcp {ports} 0.0.0.0/0 1"))])
    };
    let all = policy(Kind::AllPorts, &[Protocol::Tcp]);
    let (verdict, _) = judged(&all, &groups("1/30000", "30001/65535"));
    assert_eq!(verdict, Some(Verdict::Exposed));
    for (low, high) in [("1/30000", "30002/65535"), ("1/65535", "1/65535")] {
        assert_eq!(judged(&all, &groups(low, high)).0, None, "{low} {high}");
    }
}
