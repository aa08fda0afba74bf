//! A scope read from a server that a test makes up: pages, loops, shortfalls, groups that go away.

use super::responder::{Ask, Reply, Responder};
use serde_json::{Value, json};
use sgwarden::cloud::collect::{Collected, Request, collect};
use sgwarden::model::{
    AccountId, Attachments, GroupId, GroupReading, NicType, RawAnswer, RegionCoverage, RegionId,
    RegionStatus, Tag,
};

#[derive(Default)]
struct Seen {
    groups: Vec<GroupReading>,
    regions: Vec<RegionCoverage>,
    excluded: Vec<GroupId>,
    conflicts: Vec<String>,
    answers: Vec<RawAnswer>,
    attached: Vec<std::sync::Arc<Attachments>>,
    last_is_region: bool,
}

impl Seen {
    fn region(&self, id: &str) -> &RegionCoverage {
        let found = self
            .regions
            .iter()
            .find(|coverage| coverage.region.as_str() == id);
        found.unwrap_or_else(|| panic!("no coverage of {id}: {:?}", self.regions))
    }

    fn ids(&self) -> Vec<&str> {
        self.groups
            .iter()
            .map(|group| group.group.id.as_str())
            .collect()
    }

    fn incomplete(&self, at: usize) -> &str {
        self.groups[at].rules.incomplete.as_deref().unwrap_or("")
    }

    fn error(&self, id: &str) -> &str {
        self.region(id)
            .error
            .as_ref()
            .map_or("", |error| error.code.as_str())
    }
}

async fn run(server: &Responder, change: impl FnOnce(&mut Request)) -> Seen {
    let mut request = Request::everything(AccountId::from("1234567890123456"));
    change(&mut request);
    let mut receiver = collect(server.client(), request);
    let mut seen = Seen::default();
    while let Some(event) = receiver.recv().await {
        seen.last_is_region = matches!(event, Collected::Region(_));
        match event {
            Collected::Answers(answers) => seen.answers.extend(answers),
            Collected::Group(group) => {
                seen.answers.extend(group.answers.iter().cloned());
                seen.groups.push(*group);
            }
            Collected::Excluded { group, .. } => seen.excluded.push(group),
            Collected::Conflict { group, .. } => seen.conflicts.push(group.id),
            Collected::Attached { attachments, .. } => {
                assert!(seen.groups.is_empty(), "before any group");
                seen.attached.push(attachments);
            }
            Collected::Unnamed(_) => panic!("not asked for"),
            Collected::Region(coverage) => seen.regions.push(coverage),
        }
    }
    assert!(seen.last_is_region);
    // Every answer reaches the receiver: what was asked is what was kept.
    let asked = server.asked.lock().expect("the log").len();
    assert_eq!(seen.answers.len(), asked);
    seen
}

fn regions(ids: &[&str]) -> Reply {
    let list: Vec<Value> = ids
        .iter()
        .map(|id| json!({"RegionId": id, "RegionEndpoint": format!("ecs.{id}.aliyuncs.com"), "Status": "available"}))
        .collect();
    Reply::ok(json!({"RequestId": "r", "Regions": {"Region": list}}))
}

fn entry(id: &str, count: u64) -> Value {
    json!({"SecurityGroupId": id, "SecurityGroupName": format!("name-{id}"), "SecurityGroupType": "normal",
        "VpcId": "vpc-1", "RuleCount": count, "ServiceManaged": false,
        "Tags": {"Tag": [{"TagKey": "env", "TagValue": if id.ends_with('1') { "prod" } else { "test" }}]}})
}

fn listing(entries: &[Value], token: &str) -> Reply {
    Reply::ok(
        json!({"RequestId": "r", "NextToken": token, "SecurityGroups": {"SecurityGroup": entries}}),
    )
}

fn rule(id: &str) -> Value {
    json!({"SecurityGroupRuleId": id, "Direction": "ingress", "Policy": "Accept", "Priority": 1,
        "IpProtocol": "TCP", "PortRange": "22/22", "SourceCidrIp": "0.0.0.0/0"})
}

fn rules(ask: &Ask, rules: &[Value], token: &str) -> Reply {
    Reply::ok(
        json!({"RequestId": "r", "SecurityGroupId": ask.param("SecurityGroupId"), "NextToken": token,
        "Permissions": {"Permission": rules}}),
    )
}

/// One region; the rest is the test's.
async fn one_region(handler: impl Fn(&Ask, usize) -> Reply + Send + Sync + 'static) -> Responder {
    Responder::start(move |ask, before| match ask.action.as_str() {
        "DescribeRegions" => regions(&["cn-a"]),
        _ => handler(ask, before),
    })
    .await
}

#[tokio::test]
async fn pages_of_groups_and_of_rules() {
    let server = one_region(
        |ask, _| match (ask.action.as_str(), ask.param("NextToken")) {
            ("DescribeSecurityGroups", "") => {
                let page: Vec<Value> = (0..100).map(|n| entry(&format!("sg-{n:03}"), 2)).collect();
                listing(&page, "t1")
            }
            ("DescribeSecurityGroups", "t1") => listing(&[entry("sg-100", 2)], ""),
            (_, "") => rules(ask, &[rule("a")], "r1"),
            (_, "r1") => rules(ask, &[rule("b")], ""),
            _ => Reply::error(400, "InValidParameter.NextToken"),
        },
    )
    .await;
    let seen = run(&server, |_| {}).await;
    let expected: Vec<String> = (0..101).map(|n| format!("sg-{n:03}")).collect();
    assert_eq!(seen.ids(), expected);
    let coverage = seen.region("cn-a");
    assert_eq!(coverage.status, RegionStatus::Ok, "{coverage:?}");
    assert_eq!((coverage.groups_listed, coverage.groups_read), (101, 101));
    assert_eq!((coverage.rules_listed, coverage.rules_read), (202, 202));
    assert_eq!(coverage.requests, 2 + 202);
    assert_eq!(coverage.groups_total, None);
    assert!(coverage.warnings.is_empty(), "{:?}", coverage.warnings);
    assert!(seen.groups[0].answers.len() == 2);
    let asked = server.asked.lock().expect("the log");
    assert!(
        asked
            .iter()
            .all(|ask| !ask.params.contains_key("PageNumber"))
    );
}

#[tokio::test]
async fn a_token_that_repeats_ends_the_region() {
    let server = one_region(|ask, before| match ask.action.as_str() {
        "DescribeSecurityGroups" => listing(&[entry(&format!("sg-{before}"), 1)], "same"),
        _ => rules(ask, &[rule("a")], ""),
    })
    .await;
    let seen = run(&server, |_| {}).await;
    assert_eq!(seen.ids(), ["sg-0", "sg-1"]);
    assert_eq!(seen.error("cn-a"), "paging-loop");
    assert_eq!(seen.region("cn-a").groups_read, 2);
    assert_eq!(server.count("DescribeSecurityGroups"), 2);

    let server = one_region(|ask, _| match ask.action.as_str() {
        "DescribeSecurityGroups" => listing(&[entry("sg-1", 1)], ""),
        _ => rules(ask, &[rule("a")], "same"),
    })
    .await;
    let seen = run(&server, |_| {}).await;
    assert!(
        seen.incomplete(0).contains("paging-loop"),
        "{}",
        seen.incomplete(0)
    );
    assert_eq!(seen.error("cn-a"), "paging-loop");
    assert_eq!(seen.region("cn-a").groups_read, 0);
}

#[tokio::test]
async fn groups_that_come_twice() {
    // Alike: one. Differing on another page: a conflict. Differing on the same page: not certain.
    let server = one_region(
        |ask, _| match (ask.action.as_str(), ask.param("NextToken")) {
            ("DescribeSecurityGroups", "") => listing(
                &[
                    entry("sg-1", 1),
                    entry("sg-1", 1),
                    entry("sg-2", 1),
                    entry("sg-3", 1),
                    entry("sg-3", 0),
                ],
                "t",
            ),
            ("DescribeSecurityGroups", _) => listing(&[entry("sg-1", 1), entry("sg-2", 0)], ""),
            _ => rules(ask, &[rule("a")], ""),
        },
    )
    .await;
    let seen = run(&server, |_| {}).await;
    assert_eq!(seen.ids(), ["sg-1", "sg-2", "sg-3"]);
    assert_eq!(seen.incomplete(2), "listed twice with differing content");
    assert_eq!(seen.conflicts, ["sg-2"]);
    let coverage = seen.region("cn-a");
    assert_eq!((coverage.groups_listed, coverage.groups_read), (3, 1));
    assert_eq!(seen.error("cn-a"), "listed-twice");
}

#[tokio::test]
async fn rules_that_come_twice() {
    let server = one_region(
        |ask, _| match (ask.action.as_str(), ask.param("SecurityGroupId")) {
            ("DescribeSecurityGroups", _) => listing(&[entry("sg-1", 1), entry("sg-2", 1)], ""),
            (_, "sg-1") => rules(ask, &[rule("a"), rule("a")], ""),
            _ => {
                let mut other = rule("a");
                other["Policy"] = json!("Drop");
                rules(ask, &[rule("a"), other], "")
            }
        },
    )
    .await;
    let seen = run(&server, |_| {}).await;
    assert_eq!(seen.groups[0].rules.read.len(), 1);
    assert_eq!(seen.groups[0].rules.incomplete, None);
    assert_eq!(
        seen.incomplete(1),
        "rule a came twice with differing content"
    );
    assert_eq!(seen.region("cn-a").status, RegionStatus::Failed);
}

#[tokio::test]
async fn fewer_rules_than_listed() {
    // sg-1: once short, then whole. sg-2: short for good. sg-3: short, but with a prefix list.
    let server =
        one_region(
            |ask, before| match (ask.action.as_str(), ask.param("SecurityGroupId")) {
                ("DescribeSecurityGroups", "") => {
                    listing(&[entry("sg-1", 2), entry("sg-2", 2), entry("sg-3", 9)], "")
                }
                ("DescribeSecurityGroups", "sg-3") => listing(&[entry("sg-3", 9)], ""),
                ("DescribeSecurityGroups", id) => listing(&[entry(id, 2)], ""),
                ("DescribeSecurityGroupAttribute", "sg-1") if before == 0 => {
                    rules(ask, &[rule("a")], "")
                }
                ("DescribeSecurityGroupAttribute", "sg-1") => {
                    rules(ask, &[rule("a"), rule("b")], "")
                }
                ("DescribeSecurityGroupAttribute", "sg-2") => rules(ask, &[rule("a")], ""),
                ("DescribeSecurityGroupAttribute", _) => {
                    let mut listed = rule("a");
                    listed["SourceCidrIp"] = json!("");
                    listed["SourcePrefixListId"] = json!("pl-1");
                    rules(ask, &[listed], "")
                }
                _ => Reply::ok(
                    json!({"RequestId": "r", "Entries": {"Entry": [{"Cidr": "192.0.2.0/24"}]}}),
                ),
            },
        )
        .await;
    let seen = run(&server, |request| request.groups_at_once = 1).await;
    assert_eq!(seen.groups[0].rules.incomplete, None);
    assert_eq!(seen.groups[0].rules.read.len(), 2);
    assert_eq!(seen.groups[0].answers.len(), 3);
    assert!(
        seen.incomplete(1).contains("1 rules read, 2 listed"),
        "{}",
        seen.incomplete(1)
    );
    assert_eq!(seen.groups[2].rules.incomplete, None);
    assert!(seen.groups[2].warnings[0].contains("1 rules read, 9 listed"));
    assert_eq!(
        *seen.groups[2].lists.prefix["pl-1"],
        Ok(vec!["192.0.2.0/24".to_owned()])
    );
    assert_eq!(seen.error("cn-a"), "rules-missing");
    assert_eq!(seen.region("cn-a").groups_read, 2);
}

#[tokio::test]
async fn vanished_groups() {
    // sg-1 is gone. sg-2 comes back. sg-3 is listed and never found.
    let server =
        one_region(
            |ask, before| match (ask.action.as_str(), ask.param("SecurityGroupId")) {
                ("DescribeSecurityGroups", "") => {
                    listing(&[entry("sg-1", 1), entry("sg-2", 1), entry("sg-3", 1)], "")
                }
                ("DescribeSecurityGroups", "sg-1") => listing(&[], ""),
                ("DescribeSecurityGroups", id) => listing(&[entry(id, 1)], ""),
                (_, "sg-2") if before > 1 => rules(ask, &[rule("a")], ""),
                _ => Reply::error(404, "InvalidSecurityGroupId.NotFound"),
            },
        )
        .await;
    let seen = run(&server, |request| request.groups_at_once = 1).await;
    assert_eq!(seen.ids(), ["sg-2", "sg-3"]);
    assert_eq!(seen.groups[0].rules.incomplete, None);
    let told = seen.incomplete(1);
    assert!(
        told.contains("InvalidSecurityGroupId.NotFound") && told.contains("rid-1"),
        "{told}"
    );
    let coverage = seen.region("cn-a");
    assert_eq!(
        (
            coverage.groups_listed,
            coverage.groups_read,
            coverage.groups_vanished
        ),
        (3, 1, 1)
    );
    assert_eq!(coverage.rules_listed, 2);
    assert_eq!(seen.error("cn-a"), "InvalidSecurityGroupId.NotFound");
}

#[tokio::test]
async fn a_vanished_group_alone_is_no_failure() {
    let server = one_region(
        |ask, _| match (ask.action.as_str(), ask.param("SecurityGroupId")) {
            ("DescribeSecurityGroups", "") => listing(&[entry("sg-1", 1)], ""),
            ("DescribeSecurityGroups", _) => listing(&[], ""),
            _ => Reply::error(404, "InvalidSecurityGroupId.NotFound"),
        },
    )
    .await;
    let seen = run(&server, |_| {}).await;
    assert!(seen.groups.is_empty());
    assert_eq!(seen.region("cn-a").status, RegionStatus::Ok);
    assert_eq!(seen.region("cn-a").groups_vanished, 1);
}

#[tokio::test]
async fn permissions_that_are_missing_or_null() {
    let server = one_region(|ask, _| match (ask.action.as_str(), ask.param("SecurityGroupId")) {
        ("DescribeSecurityGroups", "") => listing(&[entry("sg-1", 1), entry("sg-2", 0), entry("sg-3", 1)], ""),
        ("DescribeSecurityGroups", id) => listing(&[entry(id, 1)], ""),
        (_, "sg-3") => rules(ask, &[], ""),
        _ => Reply::ok(json!({"RequestId": "r", "SecurityGroupId": ask.param("SecurityGroupId"), "Permissions": null})),
    })
    .await;
    let seen = run(&server, |_| {}).await;
    assert!(
        seen.incomplete(0).contains("no Permissions"),
        "{}",
        seen.incomplete(0)
    );
    assert_eq!(seen.groups[1].rules.incomplete, None);
    assert!(
        seen.incomplete(2).contains("0 rules read, 1 listed"),
        "{}",
        seen.incomplete(2)
    );
}

#[tokio::test]
async fn classic_groups_are_asked_per_nic() {
    let server = one_region(|ask, _| match (ask.action.as_str(), ask.param("NicType")) {
        ("DescribeSecurityGroups", _) => {
            let mut classic = entry("sg-1", 2);
            classic["VpcId"] = json!("");
            listing(&[classic, entry("sg-2", 1)], "")
        }
        (_, "internet") => rules(ask, &[rule("a")], ""),
        (_, "intranet") => rules(ask, &[rule("b")], ""),
        _ => rules(ask, &[rule("c")], ""),
    })
    .await;
    let seen = run(&server, |_| {}).await;
    let nics = |at: usize| -> Vec<Option<NicType>> {
        seen.groups[at]
            .rules
            .read
            .iter()
            .map(|rule| rule.asked_nic)
            .collect()
    };
    assert_eq!(nics(0), [Some(NicType::Internet), Some(NicType::Intranet)]);
    assert_eq!(nics(1), [None]);
    assert_eq!(server.count("DescribeSecurityGroupAttribute"), 3);
}

#[tokio::test]
async fn lists_are_fetched_once_and_their_failure_is_kept() {
    let server = one_region(|ask, _| match ask.action.as_str() {
        "DescribeSecurityGroups" => listing(&[entry("sg-1", 3), entry("sg-2", 3)], ""),
        "DescribeSecurityGroupAttribute" => {
            let mut prefix = rule("a");
            prefix["SourcePrefixListId"] = json!("pl-1");
            let mut port = rule("b");
            port["PortRangeListId"] = json!("prl-1");
            let mut egress = rule("c");
            egress["Direction"] = json!("egress");
            egress["DestPrefixListId"] = json!("pl-2");
            egress["PortRangeListId"] = json!("prl-2");
            rules(ask, &[prefix, port, egress], "")
        }
        "DescribePrefixListAttributes" => Reply::error(403, "Forbidden.RAM"),
        _ => Reply::ok(json!({"RequestId": "r", "Entries": [{"PortRange": "22/22"}]})),
    })
    .await;
    let seen = run(&server, |_| {}).await;
    for group in &seen.groups {
        // Those of egress rules too: a check may ask what goes out.
        assert!(group.lists.prefix.keys().eq(["pl-1", "pl-2"]));
        let prefix = group.lists.prefix["pl-1"].as_ref().as_ref();
        assert!(
            prefix
                .is_err_and(|reason| reason.contains("Forbidden.RAM") && reason.contains("rid-1"))
        );
        assert_eq!(*group.lists.port["prl-1"], Ok(vec!["22/22".to_owned()]));
        assert!(group.lists.port.keys().eq(["prl-1", "prl-2"]));
    }
    assert_eq!(server.count("DescribePrefixListAttributes"), 2);
    assert_eq!(server.count("DescribePortRangeListEntries"), 2);
    let coverage = seen.region("cn-a");
    assert_eq!(coverage.status, RegionStatus::Ok);
    assert!(
        coverage.warnings[0].contains("grant ecs:DescribePrefixListAttributes"),
        "{:?}",
        coverage.warnings
    );
}

#[tokio::test]
async fn throttling_that_passes_is_only_slow() {
    let server = one_region(|ask, before| match ask.action.as_str() {
        "DescribeSecurityGroups" if before == 0 => Reply::error(400, "Throttling.User"),
        "DescribeSecurityGroups" => listing(&[entry("sg-1", 1), entry("sg-2", 1)], ""),
        _ if before < 3 => Reply::error(400, "Throttling.User"),
        _ => rules(ask, &[rule("a")], ""),
    })
    .await;
    let seen = run(&server, |_| {}).await;
    let coverage = seen.region("cn-a");
    assert_eq!(coverage.status, RegionStatus::Ok, "{coverage:?}");
    assert_eq!(coverage.groups_read, 2);
    assert_eq!(coverage.requests, 2 + 5);
}

#[tokio::test]
async fn a_region_that_is_forbidden_does_not_disturb_another() {
    let server = Responder::start(
        |ask, _| match (ask.action.as_str(), ask.param("RegionId")) {
            ("DescribeRegions", _) => regions(&["cn-a", "cn-b"]),
            (_, "cn-b") => Reply::error(403, "Forbidden.RAM"),
            ("DescribeSecurityGroups", _) => listing(&[entry("sg-1", 1)], ""),
            _ => rules(ask, &[rule("a")], ""),
        },
    )
    .await;
    let seen = run(&server, |_| {}).await;
    assert_eq!(seen.region("cn-a").status, RegionStatus::Ok);
    let failed = seen.region("cn-b").error.as_ref().expect("an error");
    assert_eq!(
        (failed.code.as_str(), failed.request_id.as_str()),
        ("Forbidden.RAM", "rid-1")
    );
    assert!(
        failed.message.contains("grant ecs:DescribeSecurityGroups"),
        "{failed:?}"
    );
}

#[tokio::test]
async fn a_group_that_is_forbidden_does_not_disturb_another() {
    let server = one_region(
        |ask, _| match (ask.action.as_str(), ask.param("SecurityGroupId")) {
            ("DescribeSecurityGroups", _) => listing(&[entry("sg-1", 1), entry("sg-2", 1)], ""),
            (_, "sg-1") => Reply::error(403, "Forbidden.RAM"),
            ("DescribeSecurityGroupAttribute", _) => {
                Reply::ok(json!({"RequestId": "r", "SecurityGroupId": "sg-9"}))
            }
            _ => rules(ask, &[rule("a")], ""),
        },
    )
    .await;
    let seen = run(&server, |_| {}).await;
    assert!(
        seen.incomplete(0).contains("Forbidden.RAM"),
        "{}",
        seen.incomplete(0)
    );
    assert!(
        seen.incomplete(1).contains("the answer speaks of sg-9"),
        "{}",
        seen.incomplete(1)
    );
    assert_eq!(seen.region("cn-a").groups_read, 0);
    assert_eq!(seen.error("cn-a"), "Forbidden.RAM");
}

#[tokio::test]
async fn regions_asked_for_and_left_out() {
    let server = Responder::start(|ask, _| match ask.action.as_str() {
        "DescribeRegions" => regions(&["cn-a", "cn-b", "cn-c"]),
        _ => listing(&[], ""),
    })
    .await;
    let seen = run(&server, |request| {
        request.regions = Some(vec![
            RegionId::from("cn-a"),
            RegionId::from("cn-b"),
            RegionId::from("cn-x"),
        ]);
        request.exclude_regions = vec![RegionId::from("cn-b")];
    })
    .await;
    assert_eq!(seen.regions.len(), 3);
    assert_eq!(seen.region("cn-a").status, RegionStatus::Ok);
    assert_eq!(seen.region("cn-b").status, RegionStatus::Skipped);
    assert_eq!(seen.error("cn-x"), "unknown-region");
}

#[tokio::test]
async fn regions_that_cannot_be_listed() {
    let server = || {
        Responder::start(|ask, _| match ask.action.as_str() {
            "DescribeRegions" => Reply::error(403, "Forbidden.RAM"),
            _ => listing(&[], ""),
        })
    };
    let seen = run(&server().await, |_| {}).await;
    assert_eq!(seen.regions.len(), 1);
    assert_eq!(seen.error("*"), "Forbidden.RAM");
    let seen = run(&server().await, |request| {
        request.regions = Some(vec![RegionId::from("cn-a")])
    })
    .await;
    assert_eq!(seen.region("cn-a").status, RegionStatus::Ok);
    assert!(seen.region("cn-a").warnings[0].contains("Forbidden.RAM"));
}

#[tokio::test]
async fn scopes() {
    let server = || {
        one_region(|ask, _| match ask.action.as_str() {
            "DescribeSecurityGroups" => listing(
                &[entry("sg-01", 1), entry("sg-02", 1), entry("sg-11", 1)],
                "",
            ),
            _ => rules(ask, &[rule("a")], ""),
        })
    };
    let seen = run(&server().await, |request| {
        request.names = vec!["name-sg-0*".to_owned()]
    })
    .await;
    assert_eq!(seen.ids(), ["sg-01", "sg-02"]);
    assert_eq!(seen.region("cn-a").groups_listed, 2);
    let seen = run(&server().await, |request| {
        request.tags = vec![Tag {
            key: "env".to_owned(),
            value: "prod".to_owned(),
        }];
        request.exclude_groups = vec![GroupId::from("sg-11")];
    })
    .await;
    assert_eq!(seen.ids(), ["sg-01"]);
    assert_eq!(seen.excluded, [GroupId::from("sg-11")]);
    let server = server().await;
    let seen = run(&server, |request| {
        request.groups = Some(vec![GroupId::from("sg-02"), GroupId::from("sg-typo")]);
    })
    .await;
    assert_eq!(seen.ids(), ["sg-02"]);
    assert_eq!(seen.error("*"), "unknown-group");
    let asked = server.asked.lock().expect("the log");
    let filter = asked
        .iter()
        .find(|ask| ask.action == "DescribeSecurityGroups")
        .expect("a listing");
    assert_eq!(filter.param("SecurityGroupIds"), r#"["sg-02","sg-typo"]"#);
}

#[tokio::test]
async fn new_keys_are_told_once() {
    let server = one_region(|ask, _| match ask.action.as_str() {
        "DescribeSecurityGroups" => listing(&[entry("sg-1", 2), entry("sg-2", 2)], ""),
        _ => {
            let (mut a, mut b) = (rule("a"), rule("b"));
            a["Newfangled"] = json!(1);
            b["Newfangled"] = json!(2);
            rules(ask, &[a, b], "")
        }
    })
    .await;
    let seen = run(&server, |_| {}).await;
    let coverage = seen.region("cn-a");
    assert_eq!(coverage.warnings.len(), 1, "{:?}", coverage.warnings);
    assert!(coverage.warnings[0].contains("Newfangled"));
}

#[tokio::test]
async fn a_receiver_that_goes_away_ends_the_reading() {
    let server = one_region(|ask, before| match ask.action.as_str() {
        "DescribeSecurityGroups" => {
            let page: Vec<Value> = (0..100)
                .map(|n| entry(&format!("sg-{before}-{n}"), 1))
                .collect();
            listing(&page, &format!("t{before}"))
        }
        _ => rules(ask, &[rule("a")], ""),
    })
    .await;
    let mut receiver = collect(server.client(), Request::everything(AccountId::from("1")));
    for _ in 0..5 {
        receiver.recv().await.expect("an event");
    }
    // Who does not receive stops the reading.
    tokio::time::sleep(std::time::Duration::from_millis(300)).await;
    let stopped = server.asked.lock().expect("the log").len();
    assert!(stopped < 100, "{stopped}");
    drop(receiver);
    tokio::time::sleep(std::time::Duration::from_millis(100)).await;
    let ended = server.asked.lock().expect("the log").len();
    tokio::time::sleep(std::time::Duration::from_millis(200)).await;
    assert_eq!(server.asked.lock().expect("the log").len(), ended);
}

/// A listing of interfaces or instances.
fn things(outer: &str, inner: &str, items: &[Value], token: &str) -> Reply {
    let mut body = json!({"RequestId": "r", "NextToken": token});
    body[outer] = json!({ inner: items });
    Reply::ok(body)
}

#[tokio::test]
async fn interfaces_whose_listing_does_not_end_or_breaks_off_say_nothing() {
    let eni = |id: &str| json!({"NetworkInterfaceId": id, "SecurityGroupIds": {"SecurityGroupId": ["sg-1"]}});
    for (what, code) in [
        ("loop", "paging-loop"),
        ("break", "Forbidden.RAM"),
        ("odd", "bad-answer"),
    ] {
        let server =
            one_region(
                move |ask, _| match (ask.action.as_str(), ask.param("NextToken")) {
                    ("DescribeSecurityGroups", _) => listing(&[entry("sg-1", 1)], ""),
                    ("DescribeNetworkInterfaces", "") => {
                        assert_eq!(ask.param("MaxResults"), "500");
                        assert_eq!(ask.param("SecurityGroupId"), "", "never by group");
                        things(
                            "NetworkInterfaceSets",
                            "NetworkInterfaceSet",
                            &[eni("eni-1")],
                            "t",
                        )
                    }
                    ("DescribeNetworkInterfaces", _) if what == "loop" => things(
                        "NetworkInterfaceSets",
                        "NetworkInterfaceSet",
                        &[eni("eni-2")],
                        "t",
                    ),
                    ("DescribeNetworkInterfaces", _) if what == "break" => {
                        Reply::error(403, "Forbidden.RAM")
                    }
                    ("DescribeNetworkInterfaces", _) => {
                        let odd = json!({"NetworkInterfaceId": "eni-2"});
                        things("NetworkInterfaceSets", "NetworkInterfaceSet", &[odd], "")
                    }
                    ("DescribeInstances", _) => panic!("nothing to add to"),
                    _ => rules(ask, &[rule("a")], ""),
                },
            )
            .await;
        let seen = run(&server, |request| request.attached = true).await;
        assert!(seen.attached.is_empty(), "{what}: a part is no whole");
        let region = seen.region("cn-a");
        assert_eq!(region.status, RegionStatus::Ok, "{what}");
        assert!(
            region
                .warnings
                .iter()
                .any(|w| w.contains(code) && w.contains("DescribeNetworkInterfaces")),
            "{what}: {:?}",
            region.warnings
        );
        assert_eq!(seen.ids(), ["sg-1"]);
    }
}

#[tokio::test]
async fn instances_come_a_hundred_a_page_and_a_broken_listing_leaves_what_is_certain() {
    for broken in [false, true] {
        let server =
            one_region(
                move |ask, _| match (ask.action.as_str(), ask.param("NextToken")) {
                    ("DescribeSecurityGroups", _) => listing(&[entry("sg-1", 1)], ""),
                    ("DescribeNetworkInterfaces", _) => {
                        things("NetworkInterfaceSets", "NetworkInterfaceSet", &[], "")
                    }
                    ("DescribeInstances", "") => {
                        assert_eq!(ask.param("MaxResults"), "100");
                        let item = json!({"InstanceId": "i-1", "InstanceNetworkType": "classic",
                    "PublicIpAddress": {"IpAddress": ["47.96.0.1"]},
                    "SecurityGroupIds": {"SecurityGroupId": ["sg-1"]}});
                        things("Instances", "Instance", &[item], "t")
                    }
                    ("DescribeInstances", _) if broken => Reply::error(403, "Forbidden.RAM"),
                    ("DescribeInstances", _) => things("Instances", "Instance", &[], ""),
                    _ => rules(ask, &[rule("a")], ""),
                },
            )
            .await;
        let seen = run(&server, |request| request.attached = true).await;
        let attached = &seen.attached[0];
        let (reach, counts) = attached.of(&GroupId::from("sg-1"));
        // Seen is seen; how many there are is not known.
        assert_eq!(reach.as_str(), "internet");
        assert_eq!(counts.is_some(), !broken);
        assert_eq!(attached.instances, (!broken).then_some(1));
        let (reach, _) = attached.of(&GroupId::from("sg-2"));
        assert_eq!(reach.as_str(), if broken { "unknown" } else { "none" });
    }
}
