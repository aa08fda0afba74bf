//! Mode `narrow` through the simulated cloud: what stays permitted is let in at every moment, what
//! goes wrong leaves the old rule in place, and all of it can be undone.

use crate::change::{fault, outcomes, reasons};
use crate::kit::host::{ACCOUNT, Host, REGION, ssh_open, world};
use crate::tidy::killed_between;
use sgwarden::job::{Job, Restore, RunOutcome};
use sgwarden::model::{Change, ChangeKind, HoldReason, Narrowing, Outcome};
use sgwarden::sim::packets::{Packet, Reading, Transport, accepted};
use sgwarden::sim::{Group, PrefixList, Rule, World};
use std::net::IpAddr;

/// Two networks are enough for most tests.
const KEEP: &str = "keep = [\"10.0.0.0/8\", \"192.168.0.0/16\"]\n";

fn job(host: &Host, remediation: &str, policy: &str) -> Job {
    let text = format!(
        "[policy]\n{policy}\n[remediation]\nmode = \"narrow\"\nmax_share = \"100%\"\n{remediation}\n[report]\nformats = [\"csv\"]\n"
    );
    let mut job = host.job("");
    job.schedule =
        sgwarden::config::Schedule::read("test.toml", "test", &text).expect("a schedule");
    job
}

async fn narrow(host: &Host, remediation: &str) -> RunOutcome {
    let text = format!("{KEEP}{remediation}");
    sgwarden::job::run(&job(host, &text, ""), &host.tools())
        .await
        .expect("a sealed run")
}

fn lines(host: &Host, group: &str) -> Vec<String> {
    let mut lines = host
        .cloud
        .with_world(|w| w.group_state(ACCOUNT, REGION, group))
        .expect("the group");
    lines.sort();
    lines
}

/// One packet of every class that matters here, and whether it is let in.
fn sample(world: &World, group: &str) -> Vec<(Packet, bool)> {
    let region = world.region(ACCOUNT, REGION).expect("the region");
    let group = region.group(group).expect("the group");
    let sources = [
        "10.1.2.3",
        "172.16.5.5",
        "172.32.0.1",
        "192.168.1.1",
        "100.64.0.1",
        "100.128.0.1",
        "169.254.1.1",
        "47.96.1.2",
        "47.100.1.2",
        "8.8.8.8",
        "fc00::1",
        "fe80::1",
        "2400::1",
    ];
    let ports = [1, 19, 20, 21, 22, 23, 25, 26, 80, 3388, 3389, 3390, 65535];
    let mut out = Vec::new();
    for transport in [Transport::Tcp, Transport::Udp] {
        for port in ports {
            for source in sources {
                let packet = Packet {
                    transport,
                    port,
                    source: source.parse::<IpAddr>().expect("an address"),
                };
                let is_in = accepted(region, &group, &packet, Reading::Closing);
                out.push((packet, is_in));
            }
        }
    }
    out
}

fn of_kind(run: &RunOutcome, kind: ChangeKind) -> Vec<&Change> {
    run.record
        .changes
        .iter()
        .filter(|change| change.kind == kind)
        .collect()
}

async fn back(host: &Host, run: &RunOutcome) -> RunOutcome {
    let restore = Restore {
        group: None,
        rule: None,
        merge: false,
        hold: chrono::TimeDelta::days(7),
    };
    let mut job = host.job("");
    "rollback".clone_into(&mut job.schedule.name);
    sgwarden::job::rollback(&job, &host.tools(), &run.sealed.folder, &restore)
        .await
        .expect("a sealed run")
}

#[tokio::test(flavor = "multi_thread")]
async fn a_narrowed_rule_before_between_and_after_with_every_packet_class_decided_as_promised() {
    let rules = vec![
        Rule::ingress("TCP", "1/65535", "0.0.0.0/0").at(7),
        Rule::ingress("TCP", "20/25", "::/0").described("=six"),
        Rule::ingress("TCP", "22/22", "192.168.0.0/16")
            .drops()
            .at(3),
        Rule::ingress("UDP", "22/22", "0.0.0.0/0"),
    ];
    let host = Host::new(world(&[("sg-a", rules)])).await;
    let tools = host.tools();
    let job = job(&host, "", "trusted = [\"47.100.0.0/16\"]");
    let before = host.cloud.with_world(|w| sample(w, "sg-a"));
    let count = host.rules("sg-a").len();
    let task = tokio::spawn(async move { sgwarden::job::run(&job, &tools).await });
    // New rules are looked at twice, a second apart, before an old one goes: there is time to look.
    while host.rules("sg-a").len() <= count {
        tokio::time::sleep(std::time::Duration::from_millis(5)).await;
    }
    let between = host.cloud.with_world(|w| sample(w, "sg-a"));
    assert!(host.rules("sg-a").len() > count, "old and new together");
    let run = task.await.expect("no panic").expect("a sealed run");
    assert!(!run.broken_change(), "{:?}", run.record.changes);
    assert_eq!(between, before);
    let after = host.cloud.with_world(|w| sample(w, "sg-a"));
    for ((packet, was), (_, is)) in before.iter().zip(&after) {
        let inside = packet.transport == Transport::Tcp && [22, 3389].contains(&packet.port);
        let kept = [
            "10.1.2.3",
            "172.16.5.5",
            "192.168.1.1",
            "100.64.0.1",
            "47.100.1.2",
            "fc00::1",
        ]
        .contains(&packet.source.to_string().as_str());
        // Nothing else in this group lets anything in at the checks' ports.
        let want = *was && (!inside || kept);
        assert_eq!(*is, want, "{packet:?}");
    }
    let taken = of_kind(&run, ChangeKind::Revoke);
    assert_eq!(taken.len(), 2);
    for change in &taken {
        assert!(change.as_planned && change.traffic_opened.is_empty());
        assert_eq!(change.verdict_after["risky-ports"], "compliant");
        assert!(matches!(change.narrowing, Some(Narrowing::ReplacedBy(_))));
        assert!(
            change.traffic_closed.iter().any(|t| t.internet)
                && change.traffic_closed.iter().any(|t| !t.internet),
            "what is lost beside the internet is told too"
        );
    }
    for change in of_kind(&run, ChangeKind::Authorize) {
        assert_eq!(change.undo.action, "RevokeSecurityGroup");
        assert_eq!(
            change.undo.params["SecurityGroupRuleId.1"],
            change.rule["SecurityGroupRuleId"]
        );
    }
    // Priority and description stay.
    assert!(
        lines(&host, "sg-a")
            .iter()
            .any(|line| line.contains("=six"))
    );
    // A second run finds nothing to do.
    let again = narrow(&host, "").await;
    assert_eq!(outcomes(&again), []);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_narrowed_run_is_rolled_back_to_the_rule_and_can_be_twice() {
    let rules = vec![
        Rule::ingress("TCP", "20/25", "0.0.0.0/0")
            .at(4)
            .described("why"),
        Rule::ingress("TCP", "23/25", "0.0.0.0/0").at(4),
    ];
    let host = Host::new(world(&[("sg-a", rules)])).await;
    let before = lines(&host, "sg-a");
    let run = narrow(&host, "").await;
    // 20-21 and 22 from two networks; 23-25 is there already.
    assert_eq!(outcomes(&run), [Outcome::Verified; 4], "{:?}", run.record);
    assert_eq!(host.rules("sg-a").len(), 4);
    let script = std::fs::read_to_string(run.sealed.folder.join("undo.sh")).expect("undo.sh");
    let commands: Vec<&str> = script
        .lines()
        .filter_map(|line| line.strip_prefix("aliyun ecs "))
        .map(|line| line.split(' ').next().unwrap_or_default())
        .collect();
    assert_eq!(
        commands,
        [
            "AuthorizeSecurityGroup",
            "RevokeSecurityGroup",
            "RevokeSecurityGroup",
            "RevokeSecurityGroup"
        ],
        "the rule first, then what came in its place"
    );
    let first = back(&host, &run).await;
    assert_eq!(
        outcomes(&first),
        [Outcome::Verified; 4],
        "{:?}",
        first.record
    );
    let kinds: Vec<ChangeKind> = first.record.changes.iter().map(|c| c.kind).collect();
    assert_eq!(kinds[0], ChangeKind::Authorize, "the rule comes back first");
    assert!(!first.broken_change());
    assert_eq!(lines(&host, "sg-a"), before, "what was there already stays");
    let second = back(&host, &run).await;
    assert_eq!(outcomes(&second), [Outcome::AlreadyGone]);
    assert_eq!(lines(&host, "sg-a"), before);
    let again = narrow(&host, "").await;
    assert_eq!(reasons(&again), [HoldReason::Restored]);
}

#[tokio::test(flavor = "multi_thread")]
async fn the_script_undoes_a_narrowing_without_us() {
    let host = Host::new(world(&[("sg-a", vec![ssh_open()])])).await;
    let before = lines(&host, "sg-a");
    let run = narrow(&host, "").await;
    let client = host.tools().client;
    for change in run
        .record
        .changes
        .iter()
        .filter(|c| c.took_away())
        .chain(sgwarden::model::stand_ins(&run.record.changes))
    {
        let request = sgwarden::cloud::call::Request {
            service: sgwarden::cloud::Service::Ecs,
            account: ACCOUNT.into(),
            region: REGION.to_owned(),
            host: None,
            action: change.undo.action.clone(),
            params: change.undo.params.clone(),
            effect: sgwarden::cloud::call::Effect::Change,
        };
        client.call(&request, |_| Ok(())).await.expect("it is done");
    }
    assert_eq!(lines(&host, "sg-a"), before);
}

#[tokio::test(flavor = "multi_thread")]
async fn without_room_for_old_and_new_together_the_old_rule_stays() {
    let host = Host::new(world(&[("sg-a", vec![ssh_open()])])).await;
    host.cloud
        .with_world(|w| w.region_mut(ACCOUNT, REGION).expect("it").rule_quota = 2);
    let before = lines(&host, "sg-a");
    let run = narrow(&host, "").await;
    assert_eq!(outcomes(&run), [Outcome::Refused, Outcome::Refused]);
    assert!(
        run.record.changes[0]
            .error
            .as_ref()
            .is_some_and(|e| e.contains("AuthorizationLimitExceed"))
    );
    assert_eq!(reasons(&run), [HoldReason::Narrow]);
    assert!(run.broken_change());
    assert_eq!(lines(&host, "sg-a"), before);
    assert_eq!(host.cloud.calls().get("RevokeSecurityGroup"), None);
    // Known before anything is asked for, where not even one group has room.
    let many: Vec<Rule> = (0..999)
        .map(|n| Rule::ingress("TCP", &format!("{0}/{0}", 10_000 + n), "10.0.0.0/8"))
        .chain([ssh_open()])
        .collect();
    let host = Host::new(world(&[("sg-a", many)])).await;
    let run = narrow(&host, "").await;
    assert_eq!(reasons(&run), [HoldReason::Narrow]);
    assert!(
        run.record.held[0].detail.contains("1002"),
        "{:?}",
        run.record.held
    );
    assert_eq!(host.cloud.changing_calls(), 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_was_added_in_vain_is_taken_back() {
    // The service lets us add and not revoke the old rule; then revoke again.
    for refusal in [
        "RevokeSecurityGroup=Forbidden.RAM,times=1",
        "RevokeSecurityGroup=drop-before,times=1",
        "RevokeSecurityGroup=revoke-nothing,times=1",
        "RevokeSecurityGroup=InvalidOperation.ResourceManagedByCloudProduct,times=1",
    ] {
        let host = Host::new(world(&[("sg-a", vec![ssh_open()])])).await;
        let before = lines(&host, "sg-a");
        host.cloud.add_fault(fault(refusal));
        let run = narrow(&host, "").await;
        assert!(run.broken_change(), "{refusal}");
        assert_eq!(lines(&host, "sg-a"), before, "{refusal}");
        let taken = run.record.changes.iter().rev().take(2);
        for change in taken {
            assert!(
                matches!(change.narrowing, Some(Narrowing::TakenBack(_))),
                "{change:?}"
            );
            assert_eq!(change.outcome, Outcome::Verified);
        }
        assert!(
            !run.sealed.folder.join("undo.sh").is_file()
                || refusal.contains("nothing")
                || refusal.contains("before"),
            "nothing is left to undo"
        );
        // And the next run does it.
        let run = narrow(&host, "").await;
        assert!(!run.broken_change());
        assert_eq!(host.rules("sg-a").len(), 2);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_cannot_be_taken_back_is_named() {
    let host = Host::new(world(&[("sg-a", vec![ssh_open()])])).await;
    host.cloud
        .add_fault(fault("RevokeSecurityGroup=Forbidden.RAM"));
    let before = host.cloud.with_world(|w| sample(w, "sg-a"));
    let run = narrow(&host, "").await;
    assert!(run.broken_change());
    assert_eq!(reasons(&run), [HoldReason::Narrow]);
    let added = of_kind(&run, ChangeKind::Authorize);
    for change in &added {
        assert!(
            run.record.held[0]
                .rules
                .contains(&change.rule["SecurityGroupRuleId"])
        );
    }
    assert_eq!(host.rules("sg-a").len(), 3);
    assert_eq!(host.cloud.with_world(|w| sample(w, "sg-a")), before);
    // A rollback of that run has nothing to put back, and takes away what it added.
    host.cloud.clear_faults();
    let undone = back(&host, &run).await;
    assert_eq!(
        outcomes(&undone),
        [Outcome::Verified; 2],
        "{:?}",
        undone.record
    );
    assert_eq!(host.rules("sg-a").len(), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_asked_for_and_what_is_answered_decide_nothing_only_readings_do() {
    for odd in [
        "AuthorizeSecurityGroup=after:Forbidden.RAM",
        "AuthorizeSecurityGroup=drop-after,times=1",
        "AuthorizeSecurityGroup=throttle,times=2",
        "AuthorizeSecurityGroup=authorize-partial,times=1",
        "RevokeSecurityGroup=drop-after,times=1",
        "RevokeSecurityGroup=after:Forbidden.RAM",
        "DescribeSecurityGroupAttribute=stale:1",
    ] {
        let host = Host::new(world(&[("sg-a", vec![ssh_open()])])).await;
        host.cloud.add_fault(fault(odd));
        let run = narrow(&host, "").await;
        assert_eq!(
            outcomes(&run),
            [Outcome::Verified; 3],
            "{odd}: {:?}",
            run.record.changes
        );
        assert_eq!(host.rules("sg-a").len(), 2, "{odd}");
    }
    for (bad, outcome) in [
        ("AuthorizeSecurityGroup=drop-before", Outcome::Failed),
        ("AuthorizeSecurityGroup=Forbidden.RAM", Outcome::Refused),
    ] {
        let host = Host::new(world(&[("sg-a", vec![ssh_open()])])).await;
        host.cloud.add_fault(fault(bad));
        let before = lines(&host, "sg-a");
        let run = narrow(&host, "").await;
        assert_eq!(outcomes(&run), [outcome; 2], "{bad}");
        assert_eq!(lines(&host, "sg-a"), before, "{bad}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_twin_of_another_priority_is_neither_doubled_nor_counted_on_in_vain() {
    let ten = |priority| Rule::ingress("TCP", "22/22", "10.0.0.0/8").at(priority);
    let run_of = async |rules: Vec<Rule>| {
        let mut world = world(&[("sg-a", rules)]);
        world.priority_is_identity = false;
        let host = Host::new(world).await;
        let run = sgwarden::job::run(&job(&host, "keep = [\"10.0.0.0/8\"]", ""), &host.tools())
            .await
            .expect("a sealed run");
        (host, run)
    };
    // Before: it decides all that the new one would.
    let (host, run) = run_of(vec![ten(1), ssh_open().at(50)]).await;
    assert_eq!(outcomes(&run), [Outcome::Verified]);
    assert_eq!(host.rules("sg-a").len(), 1);
    // Behind, and nothing stands between.
    let (host, run) = run_of(vec![ten(60), ssh_open().at(50)]).await;
    assert_eq!(outcomes(&run), [Outcome::Verified]);
    assert_eq!(host.rules("sg-a").len(), 1);
    // Behind a Drop: whether a second one would be added is not known, so nothing is asked for.
    let drop = Rule::ingress("TCP", "22/22", "10.0.0.0/9").drops().at(55);
    let (host, run) = run_of(vec![ten(60), drop, ssh_open().at(50)]).await;
    assert_eq!(reasons(&run), [HoldReason::Narrow]);
    assert_eq!(host.cloud.changing_calls(), 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_no_rules_can_stand_in_for_is_held_and_says_why() {
    let mut start = world(&[
        ("sg-all", vec![Rule::ingress("ALL", "-1/-1", "0.0.0.0/0")]),
        ("sg-prefix", vec![Rule::ingress("TCP", "22/22", "pl-1")]),
        ("sg-ports", vec![Rule::ingress("TCP", "prl-1", "0.0.0.0/0")]),
        (
            "sg-small",
            vec![Rule::ingress("TCP", "22/22", "47.96.0.0/11")],
        ),
    ]);
    let region = start.region_mut(ACCOUNT, REGION).expect("the region");
    region.prefix_lists.insert(
        "pl-1".to_owned(),
        PrefixList::new("pl-1", "all", &["0.0.0.0/0"]),
    );
    region.port_lists.insert(
        "prl-1".to_owned(),
        sgwarden::sim::PortList::new("prl-1", "ssh", &["22/22"]),
    );
    let host = Host::new(start).await;
    let run = narrow(&host, "").await;
    assert_eq!(reasons(&run), [HoldReason::Narrow]);
    assert_eq!(host.cloud.changing_calls(), 0);
    for (group, why) in [
        ("sg-all", "ALL"),
        ("sg-prefix", "prefix list"),
        ("sg-ports", "port list"),
        ("sg-small", "revoke_min"),
    ] {
        let held = run
            .record
            .held
            .iter()
            .find(|h| h.group_id.as_str() == group);
        assert!(
            held.is_some_and(|h| h.detail.contains(why)),
            "{group}: {held:?}"
        );
    }
    // What keep leaves may still be the internet: then the group is held, and not half closed.
    let host = Host::new(world(&[("sg-a", vec![ssh_open()])])).await;
    let run = narrow_keeping(&host, "47.0.0.0/8").await;
    assert_eq!(outcomes(&run), []);
    assert!(!run.record.held.is_empty());
    assert_eq!(host.cloud.changing_calls(), 0);
}

async fn narrow_keeping(host: &Host, network: &str) -> RunOutcome {
    let keep = format!("keep = [\"{network}\"]");
    sgwarden::job::run(&job(host, &keep, ""), &host.tools())
        .await
        .expect("a sealed run")
}

#[tokio::test(flavor = "multi_thread")]
async fn every_guard_holds_for_narrowing_too() {
    let far = (chrono::Utc::now() + chrono::TimeDelta::days(2))
        .format("%a")
        .to_string();
    let window = format!("windows = [\"{far} 01:00-02:00\"]");
    for (lines, reason) in [
        ("grace = \"7d\"", HoldReason::Grace),
        (window.as_str(), HoldReason::Window),
        ("max_changes = 1", HoldReason::MaxChanges),
        (
            "protect = { groups = [\"sg-a\", \"sg-b\"] }",
            HoldReason::Protected,
        ),
        (
            "protect = { sources = [\"47.96.1.2\"] }",
            HoldReason::Lockout,
        ),
    ] {
        let host = Host::new(world(&[
            ("sg-a", vec![ssh_open()]),
            ("sg-b", vec![ssh_open()]),
        ]))
        .await;
        let run = narrow(&host, lines).await;
        assert_eq!(reasons(&run), [reason], "{lines}");
        assert!(
            run.record
                .held
                .iter()
                .all(|held| held.rules.iter().all(|id| !id.is_empty()))
        );
        assert_eq!(host.cloud.changing_calls(), 0, "{lines}");
    }
    // A rule counts once, however many come in its place; a private source keeps its way in.
    let host = Host::new(world(&[("sg-a", vec![ssh_open()])])).await;
    let run = narrow(
        &host,
        "max_changes = 1\nprotect = { sources = [\"10.1.2.3\"] }",
    )
    .await;
    assert_eq!(outcomes(&run), [Outcome::Verified; 3]);
    // The canary.
    let host = Host::new(world(&[
        ("sg-a", vec![ssh_open()]),
        ("sg-b", vec![ssh_open()]),
    ]))
    .await;
    host.cloud
        .add_fault(fault("AuthorizeSecurityGroup/sg-a=Forbidden.RAM"));
    let run = narrow(&host, "").await;
    assert_eq!(
        reasons(&run),
        [HoldReason::Narrow, HoldReason::CanaryFailed]
    );
    assert_eq!(host.rules("sg-b").len(), 1);
    // Fought over.
    let host = Host::new(world(&[("sg-a", vec![ssh_open()])])).await;
    for _ in 0..2 {
        assert!(!narrow(&host, "").await.broken_change());
        host.cloud
            .with_world(|w| w.add_rule(ACCOUNT, REGION, "sg-a", ssh_open()));
    }
    assert_eq!(reasons(&narrow(&host, "").await), [HoldReason::FoughtOver]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_plan_of_a_narrowing_is_approved_and_a_dry_run_changes_nothing() {
    let host = Host::new(world(&[(
        "sg-a",
        vec![Rule::ingress("TCP", "20/25", "0.0.0.0/0")],
    )]))
    .await;
    host.write(
        "s/live.toml",
        &format!("[remediation]\nmode = \"narrow\"\n{KEEP}[report]\nformats = [\"csv\", \"xlsx\", \"html\", \"json\"]\n"),
    );
    let ran = host
        .run(&["run", "--schedule", "s/live.toml", "--dry-run"])
        .await;
    assert_eq!(ran.code, 0, "{}", ran.stderr);
    let ran = host
        .run(&["plan", "--schedule", "s/live.toml", "--out", "p.json"])
        .await;
    assert_eq!(ran.code, 0, "{}", ran.stderr);
    assert!(
        ran.stdout
            .contains("Replaced by TCP 20/21 from 0.0.0.0/0, TCP 22/22 from 10.0.0.0/8"),
        "{}",
        ran.stdout
    );
    assert!(
        ran.stdout.contains("private and reserved"),
        "{}",
        ran.stdout
    );
    assert_eq!(host.cloud.changing_calls(), 0);
    let ran = host
        .run(&["apply", "p.json", "--approved-by", "A. Person", "--json"])
        .await;
    assert_eq!(ran.code, 0, "{}{}", ran.stdout, ran.stderr);
    let answer = ran.json();
    assert_eq!(answer["changes"]["verified"], 5, "{answer}");
    let folder = host.path(answer["path"].as_str().expect("a path"));
    let manifest = std::fs::read_to_string(folder.join("manifest.json")).expect("the manifest");
    assert!(manifest.contains("\"mode\":\"narrow\""), "{manifest}");
    let changes: serde_json::Value = serde_json::from_str(
        &std::fs::read_to_string(folder.join("changes.json")).expect("changes"),
    )
    .expect("JSON");
    let kinds: Vec<&str> = changes["changes"]
        .as_array()
        .expect("a list")
        .iter()
        .map(|change| change["kind"].as_str().expect("a word"))
        .collect();
    assert_eq!(
        kinds,
        ["authorize", "authorize", "authorize", "authorize", "revoke"]
    );
    assert_eq!(host.rules("sg-a").len(), 4);
    let csv = std::fs::read_to_string(folder.join("changes.csv")).expect("changes.csv");
    assert!(
        csv.contains("replaced by Policy=Accept") && csv.contains("in place of sgr-"),
        "{csv}"
    );
    let html = std::fs::read_to_string(folder.join("report.html")).expect("the page");
    assert!(
        html.contains("replaced by TCP 20&#x2f;21 from 0.0.0.0&#x2f;0"),
        "{html}"
    );
    assert_eq!(host.run(&["verify", "--all"]).await.code, 0);
}

#[test]
fn keep_is_networks_and_a_mistake_is_shown_in_its_place() {
    let read = |keep: &str| {
        let text = format!("[remediation]\nmode = \"narrow\"\nkeep = {keep}\n");
        sgwarden::config::Schedule::read("bad.toml", "bad", &text)
            .map_err(|problems| sgwarden::config::Problems(problems).to_string())
    };
    let fine = read("[\"10.0.0.0/8\", \"fd00::/8\", \"47.100.1.2\"]").expect("a schedule");
    assert_eq!(fine.remediation.keep.len(), 3);
    assert!(fine.remediation.narrow);
    assert!(
        read("[]")
            .expect("nothing is kept")
            .remediation
            .keep
            .is_empty()
    );
    for bad in [
        "[\"10.0.0.0/8\", \"office\"]",
        "[\"0.0.0.0/0\"]",
        "[\"::/0\"]",
        "[7]",
    ] {
        let why = read(bad).expect_err(bad);
        assert!(
            why.contains("bad.toml:3") && why.contains("remediation.keep"),
            "{why}"
        );
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn killed_at_any_line_of_its_journal_a_narrowing_is_settled_by_the_next_run() {
    // Two intents and outcomes of what is added, one of each of what goes, and the seal: seven lines.
    for step in 0..=8usize {
        let host = Host::new(world(&[("sg-a", vec![ssh_open()])])).await;
        let before = host.cloud.with_world(|w| sample(w, "sg-a"));
        host.write(
            "s/live.toml",
            &format!("[remediation]\nmode = \"narrow\"\n{KEEP}[report]\nformats = [\"csv\"]\n"),
        );
        let mut child = host
            .command(&["run", "--schedule", "s/live.toml"])
            .stdout(std::process::Stdio::null())
            .spawn()
            .expect("it starts");
        loop {
            let lines = host.journal_lines();
            let reached = match step {
                0 => host.path("state").exists(),
                1..=7 => lines >= step,
                _ => host.path("state/sealed").exists(),
            };
            if reached || child.try_wait().expect("a child").is_some() {
                break;
            }
            tokio::time::sleep(std::time::Duration::from_micros(200)).await;
        }
        child.kill().expect("kill -9");
        child.wait().expect("it is dead");
        let then = host.cloud.with_world(|w| sample(w, "sg-a"));
        let kept = ["10.1.2.3", "192.168.1.1"];
        for ((packet, was), (_, is)) in before.iter().zip(&then) {
            let stays = kept.contains(&packet.source.to_string().as_str());
            assert!(is == was || !stays, "step {step}: {packet:?} was cut off");
        }
        let mut live = job(&host, KEEP, "");
        "live".clone_into(&mut live.schedule.name);
        let after = sgwarden::job::run(&live, &host.tools())
            .await
            .expect("a sealed run");
        assert!(
            !after.broken_change(),
            "step {step}: {:?}",
            after.record.changes
        );
        let rules = lines(&host, "sg-a");
        assert_eq!(rules.len(), 2, "step {step}: {rules:?}");
        assert!(
            rules
                .iter()
                .all(|line| line.contains("22/22") && !line.contains("0.0.0.0/0"))
        );
        // Every rule that went, ours or not, and every one that came stands verified in evidence.
        let mut seen: Vec<(String, String)> = Vec::new();
        for run in std::fs::read_dir(host.path("evidence/runs"))
            .expect("runs")
            .flatten()
        {
            if !run.path().join("manifest.json").is_file() {
                continue;
            }
            let text = std::fs::read_to_string(run.path().join("changes.json")).expect("changes");
            let value: serde_json::Value = serde_json::from_str(&text).expect("JSON");
            for change in value["changes"].as_array().expect("a list") {
                if change["outcome"] == "verified" {
                    let id = change["rule"]["SecurityGroupRuleId"]
                        .as_str()
                        .unwrap_or_default();
                    seen.push((
                        change["kind"].as_str().expect("a word").to_owned(),
                        id.to_owned(),
                    ));
                }
            }
        }
        seen.sort();
        let mut once = seen.clone();
        once.dedup();
        assert_eq!(seen, once, "step {step}: each once");
        let ids = host.rules("sg-a");
        for id in &ids {
            assert!(
                seen.contains(&("authorize".to_owned(), id.clone())),
                "step {step}: {seen:?}"
            );
        }
        let count = |kind: &str| seen.iter().filter(|(of, _)| of == kind).count();
        assert_eq!(
            count("authorize"),
            count("revoke") + 1,
            "step {step}: one rule went for two, and what was taken back is taken back: {seen:?}"
        );
        let ran = host.run(&["verify", "--all"]).await;
        assert_eq!(ran.code, 0, "step {step}: {}{}", ran.stdout, ran.stderr);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_run_that_only_reads_names_what_a_killed_one_added_and_leaves_it_to_one_that_changes() {
    let host = killed_between().await;
    let mut scan = host.job("");
    scan.schedule.remediation.mode = sgwarden::policy::remediation::Mode::Off;
    "look".clone_into(&mut scan.schedule.name);
    let changing = host.cloud.changing_calls();
    let read = sgwarden::job::run(&scan, &host.tools())
        .await
        .expect("a sealed run");
    assert_eq!(host.cloud.changing_calls(), changing, "it only reads");
    let named: Vec<&String> = read
        .record
        .held
        .iter()
        .filter(|held| held.reasons == [HoldReason::Narrow])
        .flat_map(|held| &held.rules)
        .collect();
    let ids = host.rules("sg-a");
    assert_eq!(named, [&ids[1], &ids[2]], "{:?}", read.record.held);
    let run = narrow(&host, "").await;
    assert!(!run.broken_change(), "{:?}", run.record.changes);
    let taken = run
        .record
        .changes
        .iter()
        .filter(|c| matches!(c.narrowing, Some(Narrowing::TakenBack(_))))
        .count();
    assert_eq!(taken, 2);
    assert_eq!(host.rules("sg-a").len(), 2);
    let undone = back(&host, &run).await;
    assert!(!undone.broken_change(), "{:?}", undone.record);
    assert_eq!(host.rules("sg-a").len(), 1, "as it was before any of it");
}

#[tokio::test(flavor = "multi_thread")]
async fn classic_groups_are_narrowed_on_the_interface_they_were_open_on() {
    let mut start = world(&[]);
    let nic = |nic: &str| {
        let text = format!(
            r#"{{"IpProtocol":"TCP","PortRange":"22/22","SourceCidrIp":"0.0.0.0/0","NicType":"{nic}","SourcePortRange":"-1/-1"}}"#
        );
        Rule::from_json(&text).expect("a rule")
    };
    let mut group = Group::new("sg-c", "classic")
        .with(nic("internet"))
        .with(nic("intranet"));
    group.vpc_id = String::new();
    start.add_group(ACCOUNT, REGION, group);
    let host = Host::new(start).await;
    let before = lines(&host, "sg-c");
    let run = narrow(&host, "").await;
    assert_eq!(outcomes(&run), [Outcome::Verified; 3], "{:?}", run.record);
    assert_eq!(
        lines(&host, "sg-c")
            .iter()
            .filter(|l| l.contains("|internet|"))
            .count(),
        2
    );
    let undone = back(&host, &run).await;
    assert!(!undone.broken_change());
    assert_eq!(lines(&host, "sg-c"), before);
}
