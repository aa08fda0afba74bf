//! What uses the groups, interfaces with several groups, and the listing against a second source:
//! the program against a simulated cloud.

use crate::kit::host::{ACCOUNT, Host, REGION, Ran, ssh_open, world};
use serde_json::{Value, json};
use sgwarden::sim::{Fault, Group, Rule, World};

/// An interface with these groups; `over` is laid over it.
fn interface(id: &str, groups: &[&str], over: Value) -> serde_json::Map<String, Value> {
    let mut item = json!({
        "NetworkInterfaceId": id,
        "SecurityGroupIds": {"SecurityGroupId": groups},
    });
    for (name, value) in over.as_object().expect("an object") {
        item[name] = value.clone();
    }
    item.as_object().expect("an object").clone()
}

/// An instance whose primary interface has these groups.
fn instance(id: &str, groups: &[&str], over: Value) -> serde_json::Map<String, Value> {
    let mut item = json!({
        "InstanceId": id,
        "SecurityGroupIds": {"SecurityGroupId": groups},
    });
    for (name, value) in over.as_object().expect("an object") {
        item[name] = value.clone();
    }
    item.as_object().expect("an object").clone()
}

fn file(host: &Host, ran: &Ran, name: &str) -> Value {
    let folder = host.path(ran.json()["path"].as_str().expect("a path"));
    serde_json::from_slice(&std::fs::read(folder.join(name)).expect("the file")).expect("JSON")
}

async fn scan(host: &Host) -> Ran {
    host.run(&["scan", "--json", "--format", "csv,xlsx,html,json"])
        .await
}

fn region(coverage: &Value) -> &Value {
    let regions = coverage["regions"].as_array().expect("regions");
    regions
        .iter()
        .find(|r| r["region"] == REGION)
        .expect("the region")
}

fn finding<'v>(findings: &'v Value, group: &str) -> &'v Value {
    findings["findings"]
        .as_array()
        .expect("findings")
        .iter()
        .find(|f| f["group_id"] == group)
        .unwrap_or_else(|| panic!("no finding of {group}: {findings}"))
}

fn with(start: &mut World) -> &mut sgwarden::sim::Region {
    start.region_mut(ACCOUNT, REGION).expect("the region")
}

const EIP: &str = "47.96.0.20";

#[tokio::test(flavor = "multi_thread")]
async fn reach_says_what_is_behind_a_group_and_changes_no_verdict() {
    let groups = [
        "sg-eip",
        "sg-second",
        "sg-public",
        "sg-private",
        "sg-ipv6",
        "sg-ula",
        "sg-none",
        "sg-classic",
    ];
    let rules: Vec<(&str, Vec<Rule>)> = groups.iter().map(|id| (*id, vec![ssh_open()])).collect();
    let mut start = world(&rules);
    let place = with(&mut start);
    place.interfaces = vec![
        // An elastic address on the interface, on the instance too: one reachable interface.
        interface(
            "eni-1",
            &["sg-eip"],
            json!({"InstanceId": "i-1", "AssociatedPublicIp": {"PublicIpAddress": EIP, "AllocationId": "eip-1"}}),
        ),
        // On a second private address of a secondary interface.
        interface(
            "eni-2",
            &["sg-second"],
            json!({"InstanceId": "i-1", "Type": "Secondary", "PrivateIpSets": {"PrivateIpSet": [
                {"PrivateIpAddress": "10.0.0.1"},
                {"PrivateIpAddress": "10.0.0.2", "AssociatedPublicIp": {"PublicIpAddress": EIP}},
            ]}}),
        ),
        // The system's own public address shows on the instance only, and not for its secondary.
        interface("eni-3", &["sg-public"], json!({"InstanceId": "i-3"})),
        interface(
            "eni-4",
            &["sg-private"],
            json!({"InstanceId": "i-3", "Type": "Secondary"}),
        ),
        interface("eni-5", &["sg-private"], json!({})),
        interface(
            "eni-6",
            &["sg-ipv6"],
            json!({"Ipv6Sets": {"Ipv6Set": [{"Ipv6Address": "2408:4005::9"}]}}),
        ),
        interface(
            "eni-7",
            &["sg-ula"],
            json!({"Ipv6Sets": {"Ipv6Set": [{"Ipv6Address": "fd00::9"}]}}),
        ),
    ];
    place.instances = vec![
        instance(
            "i-1",
            &["sg-eip"],
            json!({"EipAddress": {"IpAddress": EIP, "AllocationId": "eip-1"}}),
        ),
        instance(
            "i-3",
            &["sg-public"],
            json!({"PublicIpAddress": {"IpAddress": ["47.96.0.30"]}}),
        ),
        instance(
            "i-9",
            &["sg-classic"],
            json!({"InstanceNetworkType": "classic", "PublicIpAddress": {"IpAddress": ["47.96.0.90"]}}),
        ),
    ];
    let host = Host::new(start).await;
    let ran = scan(&host).await;
    assert_eq!(ran.code, 0, "{}{}", ran.stdout, ran.stderr);
    assert_eq!(ran.json()["verdicts"]["exposed"], groups.len());
    let findings = file(&host, &ran, "findings.json");
    for (group, reach, interfaces, reachable, instances) in [
        ("sg-eip", "internet", 1, 1, 1),
        ("sg-second", "internet", 1, 1, 1),
        ("sg-public", "internet", 1, 1, 1),
        ("sg-private", "attached", 2, 0, 1),
        // Whether it has internet bandwidth is in no answer of these calls.
        ("sg-ipv6", "unknown", 1, 0, 0),
        ("sg-ula", "attached", 1, 0, 0),
        ("sg-none", "none", 0, 0, 0),
        ("sg-classic", "internet", 1, 1, 1),
    ] {
        let found = finding(&findings, group);
        assert_eq!(found["reach"], reach, "{group}");
        let counts =
            json!({"interfaces": interfaces, "reachable": reachable, "instances": instances});
        assert_eq!(found["attached"], counts, "{group}");
    }
    let coverage = file(&host, &ran, "coverage.json");
    let attached = &region(&coverage)["attached"];
    assert_eq!(attached["unused"], 1);
    let unused: Vec<&Value> = findings["idle_rules"]
        .as_array()
        .expect("idle rules")
        .iter()
        .filter(|idle| idle["kind"] == "unused-group")
        .map(|idle| &idle["group_id"])
        .collect();
    assert_eq!(unused, ["sg-none"]);
    // Reports sort by severity, then reach.
    let folder = host.path(ran.json()["path"].as_str().expect("a path"));
    let csv = std::fs::read_to_string(folder.join("findings.csv")).expect("the file");
    let order: Vec<&str> = csv
        .lines()
        .skip(1)
        .filter_map(|line| {
            ["internet", "attached", "unknown", "none"]
                .into_iter()
                .find(|r| line.contains(&format!(",{r},")))
        })
        .collect();
    let ranks = |r: &&str| {
        ["internet", "attached", "unknown", "none"]
            .iter()
            .position(|k| k == r)
    };
    assert!(
        order.len() >= groups.len() && order.is_sorted_by_key(ranks),
        "{order:?}"
    );
    // Two calls more, whatever the number of groups.
    assert_eq!(host.cloud.calls()["DescribeNetworkInterfaces"], 1);
    assert_eq!(host.cloud.calls()["DescribeInstances"], 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_may_not_be_looked_at_is_unknown_and_the_run_complete() {
    let mut start = world(&[("sg-a", vec![ssh_open()]), ("sg-b", vec![])]);
    with(&mut start).interfaces = vec![interface(
        "eni-1",
        &["sg-a"],
        json!({"AssociatedPublicIp": {"PublicIpAddress": EIP}}),
    )];
    let host = Host::new(start).await;
    for (denied, reach) in [
        ("ecs:DescribeNetworkInterfaces", "unknown"),
        // That an elastic address is there is certain without the instances.
        ("ecs:DescribeInstances", "internet"),
    ] {
        host.cloud.with_world(|world| {
            let account = world.accounts.get_mut(ACCOUNT).expect("the account");
            account.users[0].deny = vec![denied.to_owned()];
        });
        let ran = scan(&host).await;
        assert_eq!(ran.code, 0, "{denied}: {}{}", ran.stdout, ran.stderr);
        let findings = file(&host, &ran, "findings.json");
        let found = finding(&findings, "sg-a");
        assert_eq!(found["reach"], reach, "{denied}");
        assert_eq!(found["attached"], Value::Null, "{denied}");
        let coverage = file(&host, &ran, "coverage.json");
        let place = region(&coverage);
        assert_eq!(place["status"], "ok");
        let warnings = place["warnings"].to_string();
        assert!(
            warnings.contains("Forbidden.RAM")
                && warnings.contains("request id ")
                && warnings.contains(&format!("grant {denied} ")),
            "{warnings}"
        );
        // Nothing is called unused that may be used.
        assert_eq!(place["attached"]["unused"], Value::Null);
        let folder = host.path(ran.json()["path"].as_str().expect("a path"));
        let html = std::fs::read_to_string(folder.join("report.html")).expect("the report");
        assert!(
            html.contains("was not looked at in full in cn-hangzhou"),
            "{denied}"
        );
    }
}

/// SSH from one half of a /16.
fn half(source: &str) -> Rule {
    Rule::ingress("TCP", "22/22", source)
}

/// Two groups that each let half of a /16 in, and one that lets nothing in.
fn halves() -> World {
    world(&[
        ("sg-a", vec![half("47.96.0.0/17")]),
        ("sg-b", vec![half("47.96.128.0/17")]),
        ("sg-c", vec![]),
    ])
}

#[tokio::test(flavor = "multi_thread")]
async fn interfaces_are_judged_by_the_rules_of_all_their_groups() {
    let mut start = halves();
    with(&mut start).interfaces = vec![
        interface("eni-1", &["sg-b", "sg-a"], json!({"InstanceId": "i-1"})),
        interface(
            "eni-2",
            &["sg-a", "sg-b"],
            json!({"AssociatedPublicIp": {"PublicIpAddress": EIP}}),
        ),
        interface("eni-3", &["sg-a", "sg-c"], json!({})),
        interface("eni-4", &["sg-a"], json!({})),
    ];
    let host = Host::new(start).await;
    let ran = scan(&host).await;
    assert_eq!(ran.code, 0, "{}{}", ran.stdout, ran.stderr);
    assert_eq!(
        ran.json()["verdicts"],
        json!({"exposed": 1, "managed": 0, "waived": 0, "undetermined": 0, "compliant": 3})
    );
    let findings = file(&host, &ran, "findings.json");
    let list = findings["findings"].as_array().expect("findings");
    assert_eq!(list.len(), 1, "{findings}");
    let found = &list[0];
    assert_eq!(found["group_id"], "sg-a", "the first group by id");
    assert_eq!(
        found["interface"],
        json!({"ids": ["eni-1", "eni-2"], "count": 2, "groups": ["sg-a", "sg-b"]})
    );
    assert_eq!(found["verdict"], "exposed");
    assert_eq!(found["reach"], "internet");
    assert_eq!(found["attached"]["interfaces"], 2);
    assert_eq!(found["exposed"][0]["sources"], json!(["47.96.0.0/16"]));
    let owners: Vec<&Value> = found["rules"]
        .as_array()
        .expect("rules")
        .iter()
        .map(|rule| &rule["group_id"])
        .collect();
    assert_eq!(owners, ["sg-a", "sg-b"]);
    let coverage = file(&host, &ran, "coverage.json");
    let attached = &region(&coverage)["attached"];
    assert_eq!(
        (&attached["judged"], &attached["not_judged"]),
        (&json!(3), &json!(0))
    );
    assert_eq!(host.run(&["verify", "--all"]).await.code, 0);
    let folder = host.path(ran.json()["path"].as_str().expect("a path"));
    let html = std::fs::read_to_string(folder.join("report.html")).expect("the report");
    assert!(html.contains("eni-1 and 1 more, by the rules of sg-a + sg-b together"));

    // It has a history of its own, and is gone when the rule is.
    let state = |ran: &Ran| {
        let findings = file(&host, ran, "findings.json");
        (
            findings["findings"][0]["state"].clone(),
            findings["resolved"].as_array().expect("resolved").len(),
        )
    };
    let again = scan(&host).await;
    assert_eq!(state(&again), (json!("open"), 0));
    // Not looked at is not gone.
    host.cloud
        .add_fault(Fault::parse("DescribeNetworkInterfaces=Forbidden.RAM").expect("a fault"));
    let blind = scan(&host).await;
    assert_eq!(state(&blind), (Value::Null, 0));
    host.cloud.clear_faults();
    assert_eq!(state(&scan(&host).await).1, 0);
    let rule = host.rules("sg-b").remove(0);
    host.cloud
        .with_world(|world| world.remove_rule(ACCOUNT, REGION, "sg-b", &rule));
    assert_eq!(state(&scan(&host).await), (Value::Null, 1));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_drop_of_one_group_counts_for_the_interface_and_never_for_the_other_group() {
    let mut start = halves();
    let drop = Rule::ingress("TCP", "22/22", "47.96.192.0/18").drops();
    start.add_rule(ACCOUNT, REGION, "sg-c", drop);
    let mut open = Group::new("sg-open", "open");
    open.permissions = vec![ssh_open()];
    start.add_group(ACCOUNT, REGION, open);
    with(&mut start).interfaces = vec![
        interface("eni-1", &["sg-a", "sg-b", "sg-c"], json!({})),
        // The group is exposed alone: nothing is added by the interface.
        interface("eni-2", &["sg-a", "sg-open"], json!({})),
    ];
    let host = Host::new(start).await;
    let ran = scan(&host).await;
    let findings = file(&host, &ran, "findings.json");
    let list = findings["findings"].as_array().expect("findings");
    assert_eq!(list.len(), 1, "{findings}");
    assert_eq!(list[0]["group_id"], "sg-open");
    assert_eq!(list[0].get("interface"), None);
}

#[tokio::test(flavor = "multi_thread")]
async fn certainty_holds_for_interfaces_as_for_groups() {
    // A rule that may let the other half in; a group whose rules come short.
    let mut start = world(&[
        ("sg-a", vec![half("47.96.0.0/17")]),
        (
            "sg-b",
            vec![Rule::ingress("QUIC", "22/22", "47.96.128.0/17")],
        ),
        ("sg-short", vec![half("10.0.0.0/8"), half("10.1.0.0/16")]),
    ]);
    with(&mut start).interfaces = vec![
        interface("eni-1", &["sg-a", "sg-b"], json!({})),
        interface("eni-2", &["sg-a", "sg-short"], json!({})),
    ];
    let host = Host::new(start).await;
    host.cloud.add_fault(
        Fault::parse("DescribeSecurityGroupAttribute/sg-short=short-page").expect("a fault"),
    );
    let ran = scan(&host).await;
    assert_eq!(ran.code, 3, "{}{}", ran.stdout, ran.stderr);
    let findings = file(&host, &ran, "findings.json");
    let of = |groups: Value| {
        let list = findings["findings"].as_array().expect("findings");
        let found = list.iter().find(|f| f["interface"]["groups"] == groups);
        found.unwrap_or_else(|| panic!("{groups}: {findings}"))
    };
    let possible = of(json!(["sg-a", "sg-b"]));
    assert_eq!(possible["verdict"], "undetermined");
    assert!(possible["reason"].as_str().expect("why").contains("QUIC"));
    let unread = of(json!(["sg-a", "sg-short"]));
    assert_eq!(unread["verdict"], "undetermined");
    assert!(
        unread["reason"]
            .as_str()
            .expect("why")
            .starts_with("sg-short: ")
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn findings_of_interfaces_are_never_changed() {
    let mut start = halves();
    let mut open = Group::new("sg-d", "open");
    open.permissions = vec![ssh_open()];
    start.add_group(ACCOUNT, REGION, open);
    with(&mut start).interfaces = vec![interface("eni-1", &["sg-a", "sg-b"], json!({}))];
    let host = Host::new(start).await;
    let outcome = host.revoke("canary = 0").await;
    assert_eq!(outcome.record.changes.len(), 1);
    assert_eq!(outcome.record.changes[0].group_id.as_str(), "sg-d");
    assert_eq!(host.rules("sg-a").len() + host.rules("sg-b").len(), 2);
    let found = outcome
        .record
        .findings
        .iter()
        .find(|f| f.interface.is_some());
    assert!(
        found
            .expect("the finding")
            .rules
            .iter()
            .all(|rule| !rule.in_cut)
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn interfaces_with_a_group_that_was_not_read_are_named_and_not_judged() {
    let mut start = halves();
    with(&mut start).interfaces = vec![interface("eni-1", &["sg-a", "sg-b"], json!({}))];
    let host = Host::new(start).await;
    let ran = host.run(&["scan", "--json", "--group", "sg-a"]).await;
    assert_eq!(ran.code, 0, "{}{}", ran.stdout, ran.stderr);
    let coverage = file(&host, &ran, "coverage.json");
    let place = region(&coverage);
    assert_eq!(place["attached"]["not_judged"], 1);
    assert!(
        place["warnings"]
            .to_string()
            .contains("sg-b was not read in this run"),
        "{place}"
    );
    assert_eq!(place["expected"], Value::Null);
    assert_eq!(place["expected_note"], "the scope names groups by id");
}

/// Statuses of the clauses that a check on ports, and one on the group itself, count for.
fn statuses(host: &Host, ran: &Ran) -> Vec<(String, String, String)> {
    let manifest = file(host, ran, "manifest.json");
    let controls = manifest["controls"].as_array().expect("clauses");
    let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    controls
        .iter()
        .filter(|control| {
            let lost = control["lost"].as_array().is_some_and(Vec::is_empty);
            lost && control["checks"] != json!([])
        })
        .map(|control| {
            let unjudged = control["interfaces_unjudged"].to_string();
            (
                text(&control["checks"][0]),
                text(&control["status"]),
                unjudged,
            )
        })
        .collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_clause_over_interfaces_that_were_not_judged_is_not_assessed() {
    const PACK: &str = "[[check]]\nid = \"ssh\"\ntitle = \"t\"\nseverity = \"high\"\nports = [\"22\"]\n\
        min_public = \"any\"\ncontrols = [{ framework = \"F\", version = \"1\", clause = \"1\", title = \"t\" }]\n\
        [[check]]\nid = \"modern\"\ntitle = \"t\"\nseverity = \"low\"\nkind = \"classic-network\"\n\
        controls = [{ framework = \"F\", version = \"1\", clause = \"2\", title = \"t\" }]\n";
    let start = || {
        let mut start = world(&[("sg-a", vec![]), ("sg-b", vec![])]);
        with(&mut start).interfaces = vec![interface("eni-1", &["sg-a", "sg-b"], json!({}))];
        start
    };
    let scan = async |host: &Host| {
        host.write("packs/own.toml", PACK);
        let args = ["scan", "--pack", "packs/own.toml", "--format", "csv,html"];
        let ran = host.run(&[&args[..], &["--json"]].concat()).await;
        assert_eq!(ran.code, 0, "{}{}", ran.stdout, ran.stderr);
        (statuses(host, &ran), host.run(&args).await.stdout, ran)
    };
    let is = |status: &[(String, String, String)], wanted: [[&str; 3]; 2]| {
        let status: Vec<[&str; 3]> = status.iter().map(|(a, b, c)| [&**a, &**b, &**c]).collect();
        assert_eq!(status, wanted);
    };
    let host = Host::new(start()).await;
    let (whole, said, _) = scan(&host).await;
    is(
        &whole,
        [["ssh", "passed", "null"], ["modern", "passed", "null"]],
    );
    assert!(!said.contains("not looked at"), "{said}");
    host.cloud
        .add_fault(Fault::parse("DescribeNetworkInterfaces=Forbidden.RAM").expect("a fault"));
    let (blind, said, ran) = scan(&host).await;
    is(
        &blind,
        [
            ["ssh", "not_assessed", "true"],
            ["modern", "passed", "null"],
        ],
    );
    assert!(
        said.contains(
            "interfaces not looked at in cn-hangzhou: DescribeNetworkInterfaces: Forbidden"
        ),
        "{said}"
    );
    let folder = host.path(ran.json()["path"].as_str().expect("a path"));
    for name in ["report.html", "controls.csv"] {
        let text = std::fs::read_to_string(folder.join(name)).expect("a report");
        assert!(
            text.contains("Interfaces with several groups were not all judged"),
            "{name}"
        );
    }
    // Without the instances, interfaces of a VPC are judged all the same; the classic network has none.
    for (vpc, status) in [
        ("vpc-1", ["passed", "null"]),
        ("", ["not_assessed", "true"]),
    ] {
        let mut start = start();
        let mut group = sgwarden::sim::Group::new("sg-c", "third");
        group.vpc_id = vpc.to_owned();
        start.add_group(ACCOUNT, REGION, group);
        let host = Host::new(start).await;
        host.cloud
            .add_fault(Fault::parse("DescribeInstances=Forbidden.RAM").expect("a fault"));
        let (found, said, _) = scan(&host).await;
        assert_eq!([&found[0].1, &found[0].2], status, "{vpc}");
        assert!(
            said.contains("instances not looked at in cn-hangzhou"),
            "{said}"
        );
    }
    // A group of an interface that is not listed leaves it unjudged.
    let mut start = start();
    with(&mut start).interfaces = vec![interface("eni-1", &["sg-a", "sg-gone"], json!({}))];
    let host = Host::new(start).await;
    let (found, said, _) = scan(&host).await;
    is(
        &found,
        [
            ["ssh", "not_assessed", "true"],
            ["modern", "passed", "null"],
        ],
    );
    assert!(
        said.contains("interfaces not judged by all their groups"),
        "{said}"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn thousands_of_interfaces_cost_a_call_per_five_hundred() {
    let mut start = halves();
    let place = with(&mut start);
    for n in 0..1201 {
        let id = format!("eni-{n:05}");
        let over = json!({"InstanceId": format!("i-{n}")});
        place
            .interfaces
            .push(interface(&id, &["sg-a", "sg-b"], over));
        place
            .instances
            .push(instance(&format!("i-{n}"), &["sg-a", "sg-b"], json!({})));
    }
    let host = Host::new(start).await;
    let ran = scan(&host).await;
    let findings = file(&host, &ran, "findings.json");
    assert_eq!(findings["findings"].as_array().expect("findings").len(), 1);
    let found = &findings["findings"][0];
    assert_eq!(found["interface"]["count"], 1201);
    assert_eq!(found["attached"]["instances"], 1201);
    assert!(found["interface"]["ids"].as_array().expect("ids").len() <= 20);
    assert_eq!(host.cloud.calls()["DescribeNetworkInterfaces"], 3);
    assert_eq!(host.cloud.calls()["DescribeInstances"], 13);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_listing_that_a_policy_shortens_is_caught() {
    let mut start = world(&[
        ("sg-a", vec![]),
        ("sg-hidden", vec![ssh_open()]),
        ("sg-denied", vec![ssh_open()]),
        ("sg-late", vec![]),
    ]);
    let account = start.accounts.get_mut(ACCOUNT).expect("the account");
    // Cloud Config lags both ways: a group that is gone, and one that it has not seen.
    account
        .config
        .lags
        .insert(REGION.to_owned(), vec!["sg-gone".to_owned()]);
    account.config.behind.insert("sg-late".to_owned());
    let host = Host::new(start).await;
    let ran = scan(&host).await;
    assert_eq!(ran.code, 0, "{}{}", ran.stdout, ran.stderr);
    let coverage = file(&host, &ran, "coverage.json");
    assert_eq!(
        region(&coverage)["expected"],
        json!({"source": "cloud-config", "count": 4, "missing": 1, "surplus": 1})
    );

    for fault in [
        "DescribeSecurityGroups/sg-hidden=unlisted",
        "DescribeSecurityGroups/sg-denied=unlisted",
        "DescribeSecurityGroupAttribute/sg-denied=Forbidden.RAM",
    ] {
        host.cloud.add_fault(Fault::parse(fault).expect("a fault"));
    }
    let ran = scan(&host).await;
    assert_eq!(ran.code, 3, "{}{}", ran.stdout, ran.stderr);
    assert_eq!(ran.json()["complete"], false);
    let coverage = file(&host, &ran, "coverage.json");
    let place = region(&coverage);
    assert_eq!(place["status"], "failed");
    assert_eq!(
        place["expected"],
        json!({"source": "cloud-config", "count": 4, "missing": 3, "surplus": 1,
               "unlisted": ["sg-denied", "sg-hidden"]})
    );
    let error = place["error"]["message"].as_str().expect("a message");
    assert!(
        error.contains("sg-denied, sg-hidden") && !error.contains("sg-gone"),
        "{error}"
    );
    let manifest = file(&host, &ran, "manifest.json");
    let reasons = manifest["incomplete_reasons"].to_string();
    assert!(reasons.contains("sg-hidden"), "{reasons}");

    // A group that the schedule leaves out on purpose is not missing.
    let schedule = "[scope]\nexclude_groups = [\"sg-hidden\", \"sg-denied\"]\n";
    host.write("schedules/less.toml", schedule);
    let ran = host
        .run(&["run", "--schedule", "schedules/less.toml", "--json"])
        .await;
    assert_eq!(ran.code, 0, "{}{}", ran.stdout, ran.stderr);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_interface_betrays_a_group_that_is_not_listed() {
    let mut start = world(&[("sg-a", vec![]), ("sg-hidden", vec![ssh_open()])]);
    start
        .accounts
        .get_mut(ACCOUNT)
        .expect("the account")
        .config
        .set_up = false;
    with(&mut start).interfaces = vec![
        interface("eni-1", &["sg-hidden"], json!({})),
        interface("eni-2", &["sg-nowhere"], json!({})),
    ];
    let host = Host::new(start).await;
    let ran = scan(&host).await;
    assert_eq!(ran.code, 0, "{}{}", ran.stdout, ran.stderr);
    let coverage = file(&host, &ran, "coverage.json");
    assert_eq!(region(&coverage)["expected"], Value::Null);
    let note = region(&coverage)["expected_note"].to_string();
    assert!(
        note.contains("ListDiscoveredResources: ServiceNotEnabled"),
        "{note}"
    );
    host.cloud
        .add_fault(Fault::parse("DescribeSecurityGroups/sg-hidden=unlisted").expect("a fault"));
    let ran = scan(&host).await;
    assert_eq!(ran.code, 3, "{}{}", ran.stdout, ran.stderr);
    let coverage = file(&host, &ran, "coverage.json");
    let error = region(&coverage)["error"]["message"]
        .as_str()
        .expect("why")
        .to_owned();
    assert!(
        error.contains("does not have sg-hidden, which an interface uses"),
        "{error}"
    );
    // One that may not be read could be another account's.
    host.cloud.add_fault(
        Fault::parse("DescribeSecurityGroupAttribute/sg-hidden=Forbidden.RAM").expect("a fault"),
    );
    let ran = scan(&host).await;
    assert_eq!(ran.code, 0, "{}{}", ran.stdout, ran.stderr);
    let coverage = file(&host, &ran, "coverage.json");
    let warnings = region(&coverage)["warnings"].to_string();
    assert!(warnings.contains("interfaces use sg-hidden"), "{warnings}");
}

#[tokio::test(flavor = "multi_thread")]
async fn without_cloud_config_nothing_fails_and_it_is_asked_once() {
    let mut start = World::single(ACCOUNT, &[REGION, "cn-shanghai", "cn-beijing"]);
    let user = &mut start.accounts.get_mut(ACCOUNT).expect("the account").users[0];
    user.deny = vec!["config:ListDiscoveredResources".to_owned()];
    let host = Host::new(start).await;
    let ran = host
        .run(&["scan", "--json", "--format", "html", "--region", REGION])
        .await;
    assert_eq!(ran.code, 0, "{}{}", ran.stdout, ran.stderr);
    let coverage = file(&host, &ran, "coverage.json");
    let note = region(&coverage)["expected_note"].to_string();
    assert!(
        note.contains("grant config:ListDiscoveredResources "),
        "{note}"
    );
    assert_eq!(region(&coverage)["warnings"], json!([]));
    let folder = host.path(ran.json()["path"].as_str().expect("a path"));
    let html = std::fs::read_to_string(folder.join("report.html")).expect("the report");
    assert!(
        html.contains("not compared with Cloud Config&#x27;s in cn-hangzhou"),
        "the report says so"
    );
    // Regions that are known of and not named are named; those asked for are no listing.
    assert_eq!(coverage.get("unnamed_regions"), None);
    let ran = host.run(&["scan", "--json"]).await;
    let coverage = file(&host, &ran, "coverage.json");
    let unnamed = coverage["unnamed_regions"][0]["regions"].to_string();
    assert!(
        unnamed.contains("cn-nanjing") && !unnamed.contains(REGION),
        "{unnamed}"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn large_regions_are_compared_page_by_page() {
    let mut start = World::seeded(sgwarden::sim::SeedOptions {
        groups: 500,
        rules: 2,
        regions: 2,
        accounts: 1,
        seed: 3,
    });
    let account = start.accounts.values_mut().next().expect("an account");
    let gone = (0..3).map(|n| format!("sg-gone-{n}")).collect();
    account.config.lags.insert(REGION.to_owned(), gone);
    let host = Host::new(start).await;
    let ran = host.run(&["scan", "--json"]).await;
    assert_eq!(ran.code, 0, "{}{}", ran.stdout, ran.stderr);
    let coverage = file(&host, &ran, "coverage.json");
    assert_eq!(
        region(&coverage)["expected"],
        json!({"source": "cloud-config", "count": 253, "missing": 3, "surplus": 0})
    );
    assert_eq!(host.cloud.calls()["ListDiscoveredResources"], 6);
}

#[tokio::test(flavor = "multi_thread")]
async fn explain_of_an_interface_has_the_rules_of_all_its_groups_in_one_order() {
    let mut start = world(&[
        ("sg-a", vec![ssh_open().at(5)]),
        (
            "sg-b",
            vec![
                Rule::ingress("TCP", "22/22", "47.0.0.0/8").drops().at(1),
                Rule::ingress("TCP", "22/22", "10.0.0.0/8").at(9),
            ],
        ),
    ]);
    with(&mut start).interfaces = vec![
        interface("eni-1", &["sg-b", "sg-a"], json!({"InstanceId": "i-1"})),
        interface("eni-2", &["sg-a", "sg-gone"], json!({})),
    ];
    let host = Host::new(start).await;
    let ask = |id: &'static str, source: &'static str| {
        let host = &host;
        async move {
            let args = [
                "explain", id, "--region", REGION, "--port", "22", "--source", source, "--json",
            ];
            host.run(&args).await
        }
    };
    let ran = ask("eni-1", "47.1.2.3").await;
    assert_eq!(ran.code, 0, "{}{}", ran.stdout, ran.stderr);
    let answer = ran.json();
    assert_eq!(answer["interface"], "eni-1");
    assert_eq!(answer["instance"], "i-1");
    assert_eq!(answer["answers"][0]["answer"], "dropped");
    let rules = answer["answers"][0]["rules"].as_array().expect("rules");
    let order: Vec<(&Value, &Value, &Value)> = rules
        .iter()
        .map(|rule| (&rule["group"], &rule["policy"], &rule["decides_addresses"]))
        .collect();
    assert_eq!(
        order,
        [
            (&json!("sg-b"), &json!("drop"), &json!("1")),
            (&json!("sg-a"), &json!("accept"), &json!("0")),
            (&json!("sg-b"), &json!("accept"), &json!("0")),
        ]
    );
    let ran = ask("eni-1", "8.8.8.8").await;
    assert_eq!(ran.json()["answers"][0]["answer"], "accepted");
    let ran = host
        .run(&["explain", "eni-1", "--region", REGION, "--port", "22"])
        .await;
    assert!(
        ran.stdout.contains("eni-1 of i-1 in cn-hangzhou")
            && ran.stdout.contains("accepted in part")
            && ran.stdout.contains(" of sg-b): decides "),
        "{}",
        ran.stdout
    );
    // What its groups say is not known where one of them cannot be read.
    let ran = ask("eni-2", "8.8.8.8").await;
    assert_eq!(ran.code, 3, "{}{}", ran.stdout, ran.stderr);
    assert!(
        ran.stderr.contains("its group sg-gone could not be read"),
        "{}",
        ran.stderr
    );
    let ran = ask("eni-none", "8.8.8.8").await;
    assert_eq!(ran.code, 3, "{}{}", ran.stdout, ran.stderr);
    assert!(
        ran.stderr.contains("there is no interface eni-none"),
        "{}",
        ran.stderr
    );
    let ran = host
        .run(&[
            "explain",
            "eni-1",
            "--region",
            REGION,
            "--pack",
            "risky-ports",
        ])
        .await;
    assert_eq!(ran.code, 2, "{}{}", ran.stdout, ran.stderr);
    let ran = ask("eni-", "8.8.8.8").await;
    assert_eq!(ran.code, 2, "{}{}", ran.stdout, ran.stderr);
    host.cloud
        .add_fault(Fault::parse("DescribeNetworkInterfaces=Forbidden.RAM").expect("a fault"));
    let ran = ask("eni-1", "8.8.8.8").await;
    assert_eq!(ran.code, 3, "{}{}", ran.stdout, ran.stderr);
    assert!(
        ran.stderr.contains("grant ecs:DescribeNetworkInterfaces "),
        "{}",
        ran.stderr
    );
}
