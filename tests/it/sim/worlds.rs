//! Seeded worlds, world files, the demo, and the fate of packets in it.

use std::collections::BTreeMap;
use std::net::IpAddr;

use sgwarden::sim::packets::{Packet, Reading, Transport, accepted};
use sgwarden::sim::{Group, Region, Rule, SeedOptions, World};

use super::{ACCOUNT, Caller, HZ, start};

fn options() -> SeedOptions {
    SeedOptions {
        groups: 3000,
        rules: 8,
        regions: 3,
        accounts: 2,
        seed: 7,
    }
}

#[test]
fn a_seed_makes_the_same_world_each_time() {
    let world = World::seeded(options());
    assert_eq!(
        world.state_digest(),
        World::seeded(options()).state_digest()
    );
    let other = SeedOptions {
        seed: 8,
        ..options()
    };
    assert_ne!(world.state_digest(), World::seeded(other).state_digest());
    let total: usize = world
        .accounts
        .values()
        .flat_map(|a| a.regions.values())
        .map(|r| r.group_ids().len())
        .sum();
    assert_eq!(total, 3000);
}

/// The internet as far as the plants go, a few addresses of each family.
fn exposed(region: &Region, group: &Group) -> bool {
    let sources = ["8.8.8.8", "200.1.1.1", "47.100.0.77", "2400::1"];
    sources.iter().any(|source| {
        [22, 3389].into_iter().any(|port| {
            let packet = Packet {
                transport: Transport::Tcp,
                port,
                source: source.parse().unwrap(),
            };
            accepted(region, group, &packet, Reading::Closing)
        })
    })
}

#[test]
fn exactly_the_planted_groups_are_open() {
    let mut world = World::seeded(options());
    let planted = world.planted();
    let share = planted.len();
    assert!((10..60).contains(&share), "{share}");
    let kinds: BTreeMap<&str, usize> =
        planted
            .iter()
            .fold(BTreeMap::new(), |mut n, (_, _, _, what)| {
                *n.entry(what.as_str()).or_default() += 1;
                n
            });
    assert!(kinds.len() >= 5, "{kinds:?}");
    let mut open = Vec::new();
    for account in world.accounts.values() {
        for region in account.regions.values() {
            for id in region.group_ids() {
                if exposed(region, &region.group(&id).unwrap()) {
                    open.push((account.id.clone(), region.id.clone(), id));
                }
            }
        }
    }
    let expected: Vec<_> = planted
        .iter()
        .map(|(a, r, g, _)| (a.clone(), r.clone(), g.clone()))
        .collect();
    assert_eq!(open, expected);
    // Once changed, a group is stored, and no longer called planted.
    let (account, region, id, _) = &planted[0];
    world
        .group_mut(account, region, id)
        .unwrap()
        .permissions
        .clear();
    assert_eq!(world.group_state(account, region, id).unwrap().len(), 0);
    assert_eq!(world.planted().len(), share - 1);
}

#[tokio::test]
async fn a_seeded_world_is_served_page_by_page() {
    let one = SeedOptions {
        groups: 250,
        rules: 20,
        regions: 1,
        accounts: 1,
        seed: 3,
    };
    let (cloud, caller) = start(World::seeded(one)).await;
    let account = cloud.keys()[0].account.clone();
    cloud.with_world(|w| {
        w.add_group(&account, HZ, Group::new("sg-zz-extra", "extra"));
        let ids = w.region(&account, HZ).unwrap().group_ids();
        assert!(w.region_mut(&account, HZ).unwrap().remove_group(&ids[17]));
    });
    let mut listed = BTreeMap::new();
    let mut token = String::new();
    loop {
        let mut params = vec![("RegionId", HZ), ("MaxResults", "100")];
        if !token.is_empty() {
            params.push(("NextToken", &token));
        }
        let body = caller.ok("DescribeSecurityGroups", &params).await;
        for group in body["SecurityGroups"]["SecurityGroup"].as_array().unwrap() {
            let id = group["SecurityGroupId"].as_str().unwrap().to_owned();
            let counts = (
                group["RuleCount"].as_u64().unwrap(),
                group["GroupToGroupRuleCount"].as_u64().unwrap(),
            );
            assert!(listed.insert(id, counts).is_none());
        }
        token = body["NextToken"].as_str().unwrap().to_owned();
        if token.is_empty() {
            break;
        }
    }
    assert_eq!(listed.len(), 250);
    for (id, (count, by_group)) in listed.iter().take(20) {
        let rules = caller.rules(id).await;
        assert_eq!(rules.len() as u64, *count);
        let named = rules.iter().filter(|r| r["SourceGroupId"] != "").count();
        assert_eq!(named as u64, *by_group);
    }
}

#[tokio::test]
async fn members_are_listed_and_assumed() {
    let (cloud, caller) = start(World::seeded(options())).await;
    let body = caller.ok("ListAccounts", &[("MaxResults", "10")]).await;
    let member = body["Accounts"]["Account"][0]["AccountId"]
        .as_str()
        .unwrap();
    assert_eq!(body["TotalCount"], 1);
    let arn = format!("acs:ram::{member}:role/SgwardenAudit");
    let session = caller
        .ok(
            "AssumeRole",
            &[("RoleArn", &arn), ("RoleSessionName", "x1")],
        )
        .await;
    let part = |name: &str| session["Credentials"][name].as_str().unwrap().to_owned();
    let token = part("SecurityToken");
    let other = Caller::new(
        &cloud,
        &part("AccessKeyId"),
        &part("AccessKeySecret"),
        Some(&token),
    );
    let regions = other.ok("DescribeRegions", &[]).await;
    assert_eq!(regions["Regions"]["Region"].as_array().unwrap().len(), 3);
}

#[tokio::test]
async fn a_world_file_is_a_world() {
    let text = r#"{
        "accounts": [{
            "id": "1234567890123456",
            "users": [{"name": "a", "keys": [{"id": "LTAI-x", "secret": "s"}]}],
            "regions": [{
                "id": "cn-hangzhou",
                "groups": [{
                    "SecurityGroupId": "sg-1",
                    "Tags": [{"TagKey": "env", "TagValue": "prod"}],
                    "Permissions": {"Permission": [
                        {"IpProtocol": "TCP", "PortRange": "22/22", "SourceCidrIp": "0.0.0.0/0",
                         "Overrides": {"Priority": null}, "Absent": ["SecurityGroupRuleId"]},
                        {"PortRange": "443/443", "SourceCidrIp": "0.0.0.0/0", "Priority": "3"}
                    ]}
                }],
                "prefix_lists": [{"PrefixListId": "pl-1", "Entries": {"Entry": [{"Cidr": "10.0.0.0/8"}]}}],
                "interfaces": [{"NetworkInterfaceId": "eni-1"}]
            }]
        }],
        "faults": ["DescribeSecurityGroups=hang,times=0"]
    }"#;
    let (_cloud, caller) = start(World::from_json(text).unwrap()).await;
    let rules = caller.rules("sg-1").await;
    assert!(rules[0]["Priority"].is_null());
    assert!(rules[0].get("SecurityGroupRuleId").is_none());
    assert_eq!(rules[1]["Priority"], "3");
    let body = caller
        .ok("DescribeNetworkInterfaces", &[("RegionId", HZ)])
        .await;
    let interface = &body["NetworkInterfaceSets"]["NetworkInterfaceSet"][0];
    assert_eq!(interface["OwnerId"], ACCOUNT);
    assert_eq!(interface["Type"], "Primary");

    let cases = [
        (r#"{"accounts": [], "extra": 1}"#, "unknown field `extra`"),
        (
            r#"{"accounts": [{"id": "1", "regions": [{"id": "r", "groups": [
                {"SecurityGroupId": "sg-1", "Permissions": [{"SourceCidr": "x"}]}]}]}]}"#,
            "Permissions[0]: unknown field `SourceCidr`",
        ),
        (
            r#"{"accounts": [{"id": "1"}, {"id": "1"}]}"#,
            "account 1 is there twice",
        ),
        (r#"{"accounts": [], "faults": ["x"]}"#, "has no `=`"),
    ];
    for (text, part) in cases {
        let error = World::from_json(text).unwrap_err();
        assert!(error.contains(part), "{error}");
    }
}

/// Verdicts by brute force over the corners of what the demo's rules name: enough to tell, with its
/// sources all being halves, /18s and whole families.
fn verdict(region: &Region, group: &Group) -> &'static str {
    let sources: Vec<IpAddr> = [
        "47.96.1.1",
        "47.96.65.1",
        "47.96.130.1",
        "47.96.200.1",
        "2400::1",
    ]
    .iter()
    .map(|s| s.parse().unwrap())
    .collect();
    let open = |reading| {
        [22, 3389].into_iter().any(|port| {
            let lets = |source: &IpAddr| {
                let packet = Packet {
                    transport: Transport::Tcp,
                    port,
                    source: *source,
                };
                accepted(region, group, &packet, reading)
            };
            sources[..4].iter().all(lets) || lets(&sources[4])
        })
    };
    match (open(Reading::Closing), open(Reading::Opening)) {
        (true, _) if group.service_managed => "managed",
        (true, _) => "exposed",
        (false, true) => "undetermined",
        (false, false) => "compliant",
    }
}

#[tokio::test]
async fn the_demo_tells_what_it_says() {
    let world = World::demo();
    let mut verdicts = BTreeMap::new();
    for region in world.accounts[ACCOUNT].regions.values() {
        for id in region.group_ids() {
            let group = region.group(&id).unwrap();
            verdicts.insert(group.security_group_name.clone(), verdict(region, &group));
        }
    }
    let expected: BTreeMap<String, &str> = [
        ("ssh-open-to-world", "exposed"),
        ("ssh-open-but-dropped-first", "compliant"),
        ("drop-at-same-priority", "compliant"),
        ("rdp-by-two-halves", "exposed"),
        ("ssh-by-prefix-list", "exposed"),
        ("all-ports-ipv6", "exposed"),
        ("old-default-priority-110", "exposed"),
        ("port-range-hides-22", "exposed"),
        ("quarter-by-quarter", "exposed"),
        ("managed-by-ack", "managed"),
        ("web-only-8080-open", "compliant"),
        ("office-only", "compliant"),
        ("private-ranges-only", "compliant"),
        ("unreadable-rule", "undetermined"),
        ("drop-unreadable-above-open", "undetermined"),
        ("numeric-protocol-6", "exposed"),
        ("port-list-with-22", "exposed"),
        ("classic-network", "exposed"),
        ("办公入口-远程桌面", "exposed"),
        ("shadowed-by-wider-accept", "exposed"),
    ]
    .into_iter()
    .map(|(n, v)| (n.to_owned(), v))
    .collect();
    assert_eq!(verdicts, expected);

    let (_cloud, caller) = start(World::demo_with_unreadable_region()).await;
    let params = [("RegionId", "eu-central-1")];
    let refused = caller.refused("DescribeSecurityGroups", &params).await;
    assert_eq!(refused, super::is(403, "Forbidden.RAM"));
}

#[test]
fn unset_and_unreadable_are_two_things() {
    let region = Region::new(HZ);
    let packet = Packet {
        transport: Transport::Tcp,
        port: 22,
        source: "8.8.8.8".parse().unwrap(),
    };
    let open = |rules: &[Rule]| {
        let mut group = Group::new("sg-x", "x");
        group.permissions = rules.to_vec();
        [Reading::Closing, Reading::Opening].map(|r| accepted(&region, &group, &packet, r))
    };
    let accept = || Rule::ingress("TCP", "22/22", "0.0.0.0/0").at(10);
    let drop = || Rule::ingress("TCP", "22/22", "0.0.0.0/0").drops();
    let mut limited = drop();
    limited.source_port_range = "1024/65535".into();
    let mut odd = drop();
    odd.source_port_range = "?".into();
    let mut strange = accept();
    strange.policy = "Maybe".into();
    let cases: &[(&[Rule], [bool; 2])] = &[
        (&[accept()], [true, true]),
        (&[accept(), drop()], [false, false]),
        (&[accept(), limited], [true, true]),
        (&[accept(), odd], [false, true]),
        (&[strange], [false, true]),
        (&[accept().at(0)], [false, true]),
        (&[Rule::ingress("TCP", "0/0", "0.0.0.0/0")], [false, true]),
        (&[Rule::ingress("TCP", "0/22", "0.0.0.0/0")], [true, true]),
        (&[Rule::ingress("TCP", "22/22", "0.0.0.0")], [false, true]),
        (&[Rule::ingress("TCP", "22/22", "8.8.8.8")], [true, true]),
        (&[Rule::ingress("TCP", "22/22", "")], [false, true]),
        (&[Rule::ingress("TCP", "22/22", "sg-y")], [false, false]),
        (&[Rule::ingress("99", "22/22", "0.0.0.0/0")], [false, false]),
        (&[Rule::ingress("UDP", "", "?")], [false, false]),
    ];
    for (rules, expected) in cases {
        assert_eq!(open(rules), *expected, "{rules:?}");
    }
}
