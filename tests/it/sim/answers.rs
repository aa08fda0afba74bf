//! Answers have the very keys and value types of the recorded ones, at every level.

use std::collections::BTreeMap;
use std::path::PathBuf;

use serde_json::Value;
use sgwarden::sim::{Fault, Group, KmsSecret, PortList, PrefixList, Rule, Tag, World};

use super::{ACCOUNT, Caller, HZ, Params, answer, is, nonce, owned, small, start};

fn sample(name: &str) -> Value {
    let path = PathBuf::from(env!("CARGO_MANIFEST_DIR"))
        .join("tests/fixtures/responses")
        .join(format!("{name}.json"));
    serde_json::from_str(&std::fs::read_to_string(path).unwrap()).unwrap()
}

/// Path of every key and what kinds of value stand there; elements of a list are put together.
fn shape(value: &Value) -> BTreeMap<String, &'static str> {
    fn walk(value: &Value, path: &str, out: &mut BTreeMap<String, &'static str>) {
        let kind = match value {
            Value::Object(map) => {
                for (key, inner) in map {
                    walk(inner, &format!("{path}.{key}"), out);
                }
                "object"
            }
            Value::Array(list) => {
                for inner in list {
                    walk(inner, &format!("{path}[]"), out);
                }
                "list"
            }
            Value::String(_) => "text",
            Value::Number(_) => "number",
            Value::Bool(_) => "bool",
            Value::Null => "null",
        };
        out.insert(path.to_owned(), kind);
    }
    let mut out = BTreeMap::new();
    walk(value, "", &mut out);
    out
}

fn check(body: &Value, name: &str) {
    assert_eq!(shape(body), shape(&sample(name)), "{name}");
}

fn world() -> World {
    let mut world = small();
    let mut web = Group::new("sg-web", "web")
        .with(Rule::ingress("TCP", "443/443", "0.0.0.0/0"))
        .with(Rule::ingress("TCP", "22/22", "pl-1"));
    web.tags = vec![Tag {
        tag_key: "env".into(),
        tag_value: "prod".into(),
    }];
    web.snapshot_policy_ids = vec!["sgsp-1".into()];
    world.add_group(ACCOUNT, HZ, web);
    let mut peer = Group::new("sg-peer", "peer").with(Rule::ingress("TCP", "1/2", "sg-web"));
    peer.vpc_id = String::new();
    for rule in &mut peer.permissions {
        rule.nic_type = "intranet".into();
    }
    let mut public = Rule::ingress("TCP", "22/22", "0.0.0.0/0");
    public.nic_type = "internet".into();
    world.add_group(ACCOUNT, HZ, peer.with(public));
    let region = world.region_mut(ACCOUNT, HZ).unwrap();
    let mut list = PrefixList::new("pl-1", "office", &["47.100.1.2/32", "0.0.0.0/0"]);
    list.tags = vec![Tag {
        tag_key: "env".into(),
        tag_value: "prod".into(),
    }];
    region.prefix_lists.insert("pl-1".into(), list);
    let mut list = PortList::new("prl-1", "ports", &["22/22"]);
    list.tags = vec![Tag {
        tag_key: "env".into(),
        tag_value: "prod".into(),
    }];
    region.port_lists.insert("prl-1".into(), list);
    for item in sample("DescribeInstances")["Instances"]["Instance"]
        .as_array()
        .unwrap()
    {
        region.instances.push(item.as_object().unwrap().clone());
    }
    for item in sample("DescribeNetworkInterfaces")["NetworkInterfaceSets"]["NetworkInterfaceSet"]
        .as_array()
        .unwrap()
    {
        region.interfaces.push(item.as_object().unwrap().clone());
    }
    let secret = KmsSecret::new("sgwarden-smtp", "opens-nothing");
    world.add_secret(ACCOUNT, HZ, secret);
    world.directory = Some(ACCOUNT.into());
    world
}

#[tokio::test]
async fn every_answer_has_the_shape_of_the_recorded_one() {
    let (_cloud, caller) = start(world()).await;
    let region = ("RegionId", HZ);
    let cases: &[(&str, Params<'_>, &str)] = &[
        ("DescribeRegions", &[], "DescribeRegions"),
        (
            "DescribeSecurityGroups",
            &[region, ("MaxResults", "100")],
            "DescribeSecurityGroups.page1",
        ),
        (
            "DescribeSecurityGroups",
            &[("RegionId", "cn-shanghai")],
            "DescribeSecurityGroups.empty",
        ),
        (
            "DescribeSecurityGroupAttribute",
            &[
                region,
                ("SecurityGroupId", "sg-web"),
                ("Attribute", "snapshotPolicyIds"),
            ],
            "DescribeSecurityGroupAttribute.page1",
        ),
        (
            "DescribeSecurityGroupAttribute",
            &[region, ("SecurityGroupId", "sg-web")],
            "DescribeSecurityGroupAttribute.managed",
        ),
        ("DescribePrefixLists", &[region], "DescribePrefixLists"),
        (
            "DescribePrefixListAttributes",
            &[region, ("PrefixListId", "pl-1")],
            "DescribePrefixListAttributes",
        ),
        (
            "DescribePortRangeLists",
            &[region],
            "DescribePortRangeLists",
        ),
        (
            "DescribePortRangeListEntries",
            &[region, ("PortRangeListId", "prl-1")],
            "DescribePortRangeListEntries",
        ),
        (
            "DescribeSecurityGroupReferences",
            &[region, ("SecurityGroupId.1", "sg-web")],
            "DescribeSecurityGroupReferences",
        ),
        ("DescribeInstances", &[region], "DescribeInstances"),
        (
            "DescribeNetworkInterfaces",
            &[region],
            "DescribeNetworkInterfaces",
        ),
        ("GetCallerIdentity", &[], "STS.GetCallerIdentity.user"),
        ("GetResourceDirectory", &[], "RD.GetResourceDirectory"),
        (
            "StartConfigRuleEvaluation",
            &[("ConfigRuleId", "cr-1")],
            "Config.StartConfigRuleEvaluation",
        ),
        (
            "ListDiscoveredResources",
            &[("MaxResults", "100")],
            "Config.ListDiscoveredResources",
        ),
        (
            "TagResources",
            &[
                region,
                ("ResourceType", "securitygroup"),
                ("ResourceId.1", "sg-a"),
                ("Tag.1.Key", "k"),
                ("Tag.1.Value", "v"),
            ],
            "TagResources",
        ),
        (
            "GetSecretValue",
            &[region, ("SecretName", "sgwarden-smtp")],
            "Kms.GetSecretValue",
        ),
    ];
    for (action, params, name) in cases {
        check(&caller.ok(action, params).await, name);
    }
}

#[tokio::test]
async fn refusals_have_the_shape_of_the_recorded_ones() {
    let mut world = world();
    let user = &mut world.accounts.get_mut(ACCOUNT).unwrap().users[0];
    user.allow = vec!["ecs:describe*".into()];
    let (_cloud, caller) = start(world).await;
    let group: Params<'_> = &[("RegionId", HZ), ("SecurityGroupId", "sg-nowhere")];
    let (status, body) = caller.any("DescribeSecurityGroupAttribute", group).await;
    assert_eq!(status, 404);
    check(&body, "error.InvalidSecurityGroupId.NotFound");
    let (status, body) = caller
        .any("AssumeRole", &[("RoleArn", "x"), ("RoleSessionName", "ab")])
        .await;
    assert_eq!(status, 403);
    check(&body, "error.NoPermission");
    assert_eq!(body["AccessDeniedDetail"]["AuthAction"], "sts:AssumeRole");
    let (status, body) = caller.any("RevokeSecurityGroup", group).await;
    assert_eq!((status, &body["Code"]), (403, &"Forbidden.RAM".into()));
}

#[tokio::test]
async fn pages_go_on_where_the_last_one_ended() {
    let mut world = World::single(ACCOUNT, &[HZ]);
    for i in 0..25 {
        let mut group = Group::new(&format!("sg-{i:03}"), "g");
        for port in 1..=i {
            group = group.with(Rule::ingress(
                "TCP",
                &format!("{port}/{port}"),
                "10.0.0.0/8",
            ));
        }
        world.add_group(ACCOUNT, HZ, group);
    }
    let (_cloud, caller) = start(world).await;
    let mut token = String::new();
    let mut ids = Vec::new();
    loop {
        let mut params = vec![("RegionId", HZ), ("MaxResults", "10")];
        if !token.is_empty() {
            params.push(("NextToken", &token));
        }
        let body = caller.ok("DescribeSecurityGroups", &params).await;
        assert!(body.get("TotalCount").is_none());
        for group in body["SecurityGroups"]["SecurityGroup"].as_array().unwrap() {
            ids.push(group["SecurityGroupId"].as_str().unwrap().to_owned());
        }
        token = body["NextToken"].as_str().unwrap().to_owned();
        if token.is_empty() {
            break;
        }
    }
    let expected: Vec<String> = (0..25).map(|i| format!("sg-{i:03}")).collect();
    assert_eq!(ids, expected);

    let first = caller
        .ok(
            "DescribeSecurityGroupAttribute",
            &[
                ("RegionId", HZ),
                ("SecurityGroupId", "sg-024"),
                ("MaxResults", "10"),
            ],
        )
        .await;
    let token = first["NextToken"].as_str().unwrap();
    let second: Params<'_> = &[
        ("RegionId", HZ),
        ("SecurityGroupId", "sg-024"),
        ("MaxResults", "1000"),
        ("NextToken", token),
    ];
    let body = caller.ok("DescribeSecurityGroupAttribute", second).await;
    let rest = body["Permissions"]["Permission"].as_array().unwrap();
    assert_eq!(rest.len(), 14);
    // A token belongs to its own question.
    let other: Params<'_> = &[
        ("RegionId", HZ),
        ("SecurityGroupId", "sg-023"),
        ("NextToken", token),
    ];
    let refused = caller
        .refused("DescribeSecurityGroupAttribute", other)
        .await;
    assert_eq!(refused, super::is(400, "InvalidParamter"));
}

#[tokio::test]
async fn the_listing_is_strict_about_what_it_is_asked() {
    let (_cloud, caller) = start(world()).await;
    let cases: &[((&str, &str), u16, &str)] = &[
        (
            ("PageNumber", "1"),
            400,
            "NotSupported.PageNumberAndPageSize",
        ),
        (
            ("PageSize", "50"),
            400,
            "NotSupported.PageNumberAndPageSize",
        ),
        (("NextToken", "nonsense"), 400, "InValidParameter.NextToken"),
        (("MaxResults", "101"), 400, "InvalidParameter.MaxResults"),
        (
            ("SecurityGroupType", "x"),
            400,
            "InvalidParameter.SecurityGroupType",
        ),
        (
            ("SecurityGroupId", "x"),
            400,
            "InvalidSecurityGroupId.Malformed",
        ),
        (("Nonsense", "1"), 400, "UnsupportedParameter"),
        (("DryRun", "true"), 400, "DryRunOperation"),
    ];
    for (extra, status, code) in cases {
        let refused = caller
            .refused("DescribeSecurityGroups", &[("RegionId", HZ), *extra])
            .await;
        assert_eq!(refused, super::is(*status, code), "{extra:?}");
    }
    assert_eq!(
        caller.refused("DescribeSecurityGroups", &[]).await,
        super::is(400, "MissingParameter.RegionId")
    );
    assert_eq!(
        caller
            .refused("DescribeSecurityGroups", &[("RegionId", "cn-atlantis")])
            .await,
        super::is(404, "InvalidRegionId.NotFound")
    );
    assert_eq!(
        caller.refused("DescribeNonsense", &[]).await,
        super::is(404, "InvalidAction.NotFound")
    );
}

async fn listed(caller: &Caller, extra: Params<'_>) -> Vec<String> {
    let mut params = vec![("RegionId", HZ)];
    params.extend(extra);
    let body = caller.ok("DescribeSecurityGroups", &params).await;
    body["SecurityGroups"]["SecurityGroup"]
        .as_array()
        .unwrap()
        .iter()
        .map(|g| g["SecurityGroupId"].as_str().unwrap().to_owned())
        .collect()
}

#[tokio::test]
async fn filters_filter() {
    let (_cloud, caller) = start(world()).await;
    let ids = ("SecurityGroupIds", r#"["sg-web","sg-gone","sg-a"]"#);
    assert_eq!(listed(&caller, &[ids]).await, ["sg-a", "sg-web"]);
    let classic = ("NetworkType", "classic");
    assert_eq!(listed(&caller, &[classic]).await, ["sg-peer"]);
    let tag = [("Tag.1.Key", "env"), ("Tag.1.Value", "prod")];
    assert_eq!(listed(&caller, &tag).await, ["sg-web"]);
    let name = ("SecurityGroupName", "a");
    assert_eq!(listed(&caller, &[name]).await, ["sg-a"]);
    assert_eq!(
        listed(&caller, &[("SecurityGroupId", "sg-gone")]).await,
        [""; 0]
    );
}

#[tokio::test]
async fn a_classic_group_takes_two_calls() {
    let (_cloud, caller) = start(world()).await;
    let sources = async |nic: Option<&str>| {
        let mut params = vec![("RegionId", HZ), ("SecurityGroupId", "sg-peer")];
        params.extend(nic.map(|n| ("NicType", n)));
        let body = caller.ok("DescribeSecurityGroupAttribute", &params).await;
        let rules = body["Permissions"]["Permission"]
            .as_array()
            .unwrap()
            .clone();
        rules
            .iter()
            .map(|r| r["SourceCidrIp"].as_str().unwrap().to_owned())
            .collect::<Vec<_>>()
    };
    assert_eq!(sources(None).await, ["0.0.0.0/0"]);
    assert_eq!(sources(Some("internet")).await, ["0.0.0.0/0"]);
    assert_eq!(sources(Some("intranet")).await, [""]);
}

#[tokio::test]
async fn the_filter_by_group_finds_only_secondary_interfaces() {
    let (_cloud, caller) = start(world()).await;
    let body = caller
        .ok(
            "DescribeNetworkInterfaces",
            &[
                ("RegionId", HZ),
                ("SecurityGroupId", "sg-bp1sample00000000web"),
            ],
        )
        .await;
    assert_eq!(body["TotalCount"], 0);
}

#[tokio::test]
async fn cloud_config_lists_page_by_page_what_exists_and_lags() {
    let mut world = small();
    for n in 0..4 {
        world.add_group(ACCOUNT, HZ, Group::new(&format!("sg-{n}"), "n"));
    }
    let account = world.accounts.get_mut(ACCOUNT).unwrap();
    account
        .config
        .lags
        .insert(HZ.into(), vec!["sg-gone".into(), "sg-gone-too".into()]);
    account.config.behind.insert("sg-2".into());
    let (cloud, caller) = start(world).await;
    let list = "ListDiscoveredResources";
    let (mut ids, mut token, mut pages) = (Vec::new(), String::new(), 0);
    let ask = [
        ("MaxResults", "2"),
        ("Regions", "cn-shanghai,cn-hangzhou"),
        ("ResourceTypes", "ACS::ECS::SecurityGroup"),
        ("ResourceDeleted", "1"),
    ];
    loop {
        let mut params = ask.to_vec();
        if !token.is_empty() {
            params.push(("NextToken", &token));
        }
        let body = caller.ok(list, &params).await;
        let page = &body["DiscoveredResourceProfiles"];
        let items = page["DiscoveredResourceProfileList"].as_array().unwrap();
        assert!(items.len() <= 2);
        for item in items {
            assert_eq!(item["ResourceDeleted"], 1);
            assert_eq!(item["AccountId"], 1_234_567_890_123_456_u64);
            ids.push(item["ResourceId"].as_str().unwrap().to_owned());
        }
        pages += 1;
        token = page["NextToken"].as_str().unwrap().to_owned();
        if token.is_empty() {
            break;
        }
    }
    assert_eq!(
        ids,
        ["sg-0", "sg-1", "sg-3", "sg-a", "sg-gone", "sg-gone-too"]
    );
    assert_eq!(pages, 3);
    for (params, count) in [
        (
            &[
                ("MaxResults", "100"),
                ("ResourceTypes", "ACS::ECS::Instance"),
            ][..],
            0,
        ),
        (&[("MaxResults", "100"), ("Regions", "cn-shanghai")], 0),
        (&[("MaxResults", "100"), ("ResourceDeleted", "0")], 0),
        (&[("MaxResults", "100"), ("ResourceId", "sg-a")], 1),
    ] {
        let body = caller.ok(list, params).await;
        let items = &body["DiscoveredResourceProfiles"]["DiscoveredResourceProfileList"];
        assert_eq!(items.as_array().unwrap().len(), count, "{params:?}");
    }
    for (params, code) in [
        (&[][..], "MissingParameter.MaxResults"),
        (&[("MaxResults", "101")], "InvalidParameter.MaxResults"),
        (
            &[("MaxResults", "1"), ("RegionId", HZ)],
            "UnsupportedParameter",
        ),
        (
            &[("MaxResults", "1"), ("NextToken", "AAAAAx")],
            "InvalidParameter.NextToken",
        ),
        (
            &[("MaxResults", "1"), ("ResourceDeleted", "2")],
            "InvalidParameter.ResourceDeleted",
        ),
    ] {
        assert_eq!(
            caller.refused(list, params).await,
            is(400, code),
            "{params:?}"
        );
    }
    // A token is of the question it was given for.
    let params = [("MaxResults", "1")];
    let body = caller.ok(list, &params).await;
    let token = body["DiscoveredResourceProfiles"]["NextToken"]
        .as_str()
        .unwrap();
    let other = [("MaxResults", "1"), ("Regions", HZ), ("NextToken", token)];
    assert_eq!(
        caller.refused(list, &other).await,
        is(400, "InvalidParameter.NextToken")
    );
    // Each site has one host for it.
    for (international, host, status) in [
        (false, "config.cn-shanghai.aliyuncs.com", 200),
        (false, "config-vpc.cn-shanghai.aliyuncs.com", 200),
        (false, "config.ap-southeast-1.aliyuncs.com", 400),
        (false, "config.cn-hangzhou.aliyuncs.com", 400),
        (true, "config.cn-shanghai.aliyuncs.com", 400),
        (true, "config.ap-southeast-1.aliyuncs.com", 200),
    ] {
        cloud.with_world(|world| world.international = international);
        let params = owned(&[("MaxResults", "1")]);
        let mut headers = caller.headers(list, &params);
        headers.insert("host".into(), host.into());
        headers.insert("x-acs-signature-nonce".into(), nonce());
        caller.sign(&mut headers, &params);
        let (got, body) = answer(caller.send(&headers, &params).await.unwrap()).await;
        assert_eq!(got, status, "{international} {host}: {body}");
    }
    cloud.with_world(|world| {
        let account = world.accounts.get_mut(ACCOUNT).unwrap();
        account.config.set_up = false;
    });
    assert_eq!(
        caller.refused(list, &[("MaxResults", "1")]).await,
        is(403, "ServiceNotEnabled")
    );
}

#[tokio::test]
async fn a_group_may_be_left_out_of_every_listing_and_still_answer() {
    let mut world = small();
    world.add_group(ACCOUNT, HZ, Group::new("sg-b", "b"));
    let (cloud, caller) = start(world).await;
    cloud.add_fault(Fault::parse("DescribeSecurityGroups/sg-a=unlisted").unwrap());
    let whole = [("RegionId", HZ)];
    let by_id = [("RegionId", HZ), ("SecurityGroupId", "sg-a")];
    for (params, count) in [(&whole[..], 1), (&by_id, 0)] {
        let body = caller.ok("DescribeSecurityGroups", params).await;
        let list = body["SecurityGroups"]["SecurityGroup"].as_array().unwrap();
        assert_eq!(list.len(), count, "{params:?}");
    }
    assert_eq!(caller.rules("sg-a").await.len(), 3);
}
