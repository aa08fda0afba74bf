//! What must hold whatever an answer says: the body of the fuzz target (`fuzz/`), which includes this
//! very file, and of the property test in `tests/it/promises.rs`.

use sgwarden::cloud::wire::rules_page;
use sgwarden::exposure::explain::{Question, explain};
use sgwarden::exposure::set::PortSet;
use sgwarden::exposure::traffic::{Difference, difference};
use sgwarden::exposure::{
    Certainty, GroupRules, Internet, Run, contributions, cut, idle, reach_after_drops,
};
use sgwarden::model::{
    ExposedRun, Family, GroupReading, Lists, Protocol, Rule, Rules, SecurityGroup, Severity,
    Verdict,
};
use sgwarden::policy::{Check, Kind, MinPublic, Policy, assess, survey};
use std::collections::BTreeSet;
use std::sync::Arc;

/// Rules that are looked at: some promises take the square of their number to check.
const MOST_RULES: usize = 24;

/// The items of `Permissions.Permission` as raw text, through decoding, reading and every kind of
/// check. Panics where a promise is broken.
pub(crate) fn hold(items: &[u8]) {
    let mut body = br#"{"SecurityGroupId":"sg-1","Permissions":{"Permission":["#.to_vec();
    body.extend_from_slice(items);
    body.extend_from_slice(b"]}}");
    let Ok(page) = rules_page(&body, "sg-1") else {
        return;
    };
    let Some(mut rules) = page.rules else {
        return;
    };
    rules.truncate(MOST_RULES);
    let lists = lists();
    for vpc in ["vpc-1", ""] {
        let group = reading(rules.clone(), &lists, vpc);
        same_in_any_order_and_twice(&group);
        let read = GroupRules::read(&group.rules.read, &group.lists, group.group.is_classic());
        nothing_changes_without_the_idle(&read);
        for check in checks() {
            judged(&check, &group, &read);
        }
    }
}

fn reading(rules: Vec<Rule>, lists: &Lists, vpc: &str) -> GroupReading {
    GroupReading {
        account: "1234567890123456".into(),
        region: "cn-hangzhou".into(),
        group: SecurityGroup {
            id: "sg-1".to_owned(),
            vpc_id: vpc.to_owned(),
            service_managed: Some(false),
            ..SecurityGroup::default()
        },
        rules: Rules {
            read: rules,
            incomplete: None,
        },
        lists: lists.clone(),
        warnings: Vec::new(),
        answers: Vec::new(),
    }
}

/// Lists that rules may name: good ones of one and of both families, an empty one, an odd one, one
/// that could not be read.
fn lists() -> Lists {
    let texts = |list: &[&str]| Arc::new(Ok(list.iter().map(|&t| t.to_owned()).collect()));
    let mut out = Lists::default();
    for (id, entries) in [
        ("pl-a", &["0.0.0.0/1", "128.0.0.0/2", "2400::/12"][..]),
        ("pl-b", &["47.96.0.0/11", "10.0.0.0/8"]),
        ("pl-c", &["47.96.0.0/17", "odd"]),
        ("pl-d", &[]),
    ] {
        out.prefix.insert(id.to_owned(), texts(entries));
    }
    let refused = Err("Forbidden.RAM".to_owned());
    out.prefix.insert("pl-e".to_owned(), Arc::new(refused));
    for (id, entries) in [
        ("prl-a", &["20/21", "22/23", "3389/3389"][..]),
        ("prl-b", &["80/80", "odd"]),
    ] {
        out.port.insert(id.to_owned(), texts(entries));
    }
    out
}

/// Every kind, as wide and as narrow as they come.
fn checks() -> Vec<Check> {
    let base = sgwarden::config::checks::pack("risky-ports")
        .expect("it ships")
        .remove(0);
    let check = |kind, protocols: &[Protocol], ports: &[(u16, u16)], min_public| Check {
        id: "test".to_owned(),
        severity: Severity::High,
        kind,
        protocols: protocols.to_vec(),
        ports: PortSet::from_ranges(ports.iter().copied()),
        min_public,
        ..base.clone()
    };
    let usual = MinPublic::default();
    let both = [Protocol::Tcp, Protocol::Udp];
    vec![
        base.clone(),
        check(
            Kind::Ports,
            &Protocol::ALL,
            &[(1, u16::MAX)],
            MinPublic::ANY,
        ),
        check(Kind::AllPorts, &both, &[], usual),
        check(Kind::AllProtocols, &both, &[], usual),
        check(Kind::OutsideList, &both, &[(80, 80), (443, 443)], usual),
    ]
}

fn policy(check: &Check) -> Policy {
    Policy {
        checks: vec![check.clone()],
        internet: Internet::whole(),
        trusted: Vec::new(),
        waivers: sgwarden::policy::Waivers::default(),
    }
}

/// The order in which the service gives rules decides nothing, nor does a rule that comes twice.
fn same_in_any_order_and_twice(group: &GroupReading) {
    let said = |group: &GroupReading| -> Vec<(Verdict, Vec<ExposedRun>)> {
        let all = checks();
        all.iter()
            .map(|check| {
                let judged = assess(&policy(check), group);
                let runs = judged
                    .findings
                    .into_iter()
                    .flat_map(|finding| finding.exposed);
                (
                    judged.verdicts.first().copied().expect("one"),
                    runs.collect(),
                )
            })
            .collect()
    };
    let as_read = said(group);
    let mut other = group.clone();
    other.rules.read.reverse();
    assert_eq!(said(&other), as_read, "reversed");
    let half = other.rules.read.len() / 2;
    other.rules.read.rotate_left(half);
    assert_eq!(said(&other), as_read, "rotated");
    other.rules.read.extend(group.rules.read.iter().cloned());
    assert_eq!(said(&other), as_read, "each twice");
}

fn nothing_changes_without_the_idle(read: &GroupRules<'_>) {
    let found = idle(read);
    // By place, not by id: ids may be missing, or come twice.
    let is_idle = |rule: &sgwarden::exposure::ReadRule<'_>| {
        found.iter().any(|idle| std::ptr::eq(idle.rule, rule))
    };
    let left: Vec<_> = read
        .rules()
        .iter()
        .filter(|rule| !is_idle(rule))
        .cloned()
        .collect();
    for idle in &found {
        assert!(
            idle.rule.unreadable.is_empty(),
            "an unreadable rule is not known to be idle"
        );
        assert!(!idle.by.is_empty(), "somebody decides in its place");
        assert!(
            !idle.by.iter().any(|by| is_idle(by)),
            "and is not idle itself"
        );
    }
    let left = GroupRules::of(left);
    for certainty in [Certainty::Closing, Certainty::Opening] {
        assert_eq!(difference(read, &left, certainty), Difference::default());
    }
}

fn judged(check: &Check, group: &GroupReading, read: &GroupRules<'_>) {
    let net = Internet::whole();
    let closing = check.exposed(read, Certainty::Closing, &net);
    let opening = check.exposed(read, Certainty::Opening, &net);
    assert!(
        closing.is_empty() || !opening.is_empty(),
        "what is certain is possible"
    );
    let verdict = match (closing.is_empty(), opening.is_empty()) {
        (false, _) => Verdict::Exposed,
        (true, false) => Verdict::Undetermined,
        (true, true) => Verdict::Compliant,
    };
    let (said, _) = survey(&policy(check), group);
    assert_eq!(said.verdicts, [verdict]);
    let mut part = group.clone();
    part.rules.incomplete = Some("not all of it".to_owned());
    let (said, idle) = survey(&policy(check), &part);
    assert_eq!(said.verdicts, [Verdict::Undetermined]);
    assert!(
        idle.is_empty(),
        "what is not all there says nothing certain"
    );
    for run in &closing {
        points_agree(check, read, &net, run);
    }
    if !closing.is_empty() {
        blamed(check, read, &net, &closing);
    }
}

/// A run, against the answer about one of its ports.
fn points_agree(check: &Check, read: &GroupRules<'_>, net: &Internet, run: &Run) {
    assert!(run.sources.count() >= check.min_public.addresses(run.family));
    assert!(run.sources.is_subset(net.of(run.family)));
    let question = Question {
        family: run.family,
        protocol: run.protocol,
        port: run.ports.map(|(_, high)| high),
        source: None,
    };
    let certain = explain(read, net, Certainty::Closing, &question);
    assert_eq!(
        certain.accepted, run.sources,
        "the table says what the sweep says"
    );
    let possible = explain(read, net, Certainty::Opening, &question);
    assert!(
        certain.accepted.is_subset(&possible.accepted),
        "doubt opens only"
    );
    let taken: u128 = certain.steps.iter().map(|step| step.took).sum();
    assert!(taken <= certain.asked, "no address is decided twice");
}

fn blamed(check: &Check, read: &GroupRules<'_>, net: &Internet, exposed: &[Run]) {
    let parts = contributions(read, net, exposed);
    // Reach, by the other road: the rule alone behind the Drops before it.
    for part in &parts {
        let alone = |family: Family| {
            let runs = exposed.iter().filter(|run| run.family == family);
            runs.flat_map(|run| {
                let ports = PortSet::from_ranges(run.ports);
                reach_after_drops(read, part.rule, net, family, run.protocol, &ports)
            })
            .map(|run| run.sources.count())
            .max()
            .unwrap_or(0)
        };
        assert_eq!(part.reach_v4, alone(Family::Ipv4));
        assert_eq!(part.reach_v6, alone(Family::Ipv6));
        assert!(part.rule.is_readable_accept());
    }
    // Nobody is left out: without those that are blamed nothing is exposed; and none can be spared.
    let places: Vec<usize> = (0..parts.len()).collect();
    let closes = |removed: &BTreeSet<usize>| {
        let gone = |rule: &sgwarden::exposure::ReadRule<'_>| {
            let mut parts = removed.iter().filter_map(|at| parts.get(*at));
            parts.any(|part| std::ptr::eq(part.rule, rule))
        };
        let left = read.rules().iter().filter(|rule| !gone(rule)).cloned();
        let left = GroupRules::of(left.collect());
        check.exposed(&left, Certainty::Closing, net).is_empty()
    };
    let chosen = cut(&places, closes).expect("those to blame, gone, close it");
    let chosen: BTreeSet<usize> = chosen.into_iter().collect();
    assert!(closes(&chosen), "the cut closes");
    for spared in &chosen {
        let mut fewer = chosen.clone();
        fewer.remove(spared);
        assert!(!closes(&fewer), "none of the cut can be spared");
    }
}
