//! Every sample of the service's answers that the scan reads, and answers that are none.

use sgwarden::cloud::wire;
use sgwarden::model::{Field, Rule};

macro_rules! sample {
    ($name:literal) => {
        include_bytes!(concat!("../fixtures/responses/", $name)).as_slice()
    };
}

const WEB: &str = "sg-bp1sample00000000web";

fn text(field: &Field) -> &str {
    field.text().expect("text")
}

#[test]
fn regions() {
    let regions = wire::regions(sample!("DescribeRegions.json")).expect("regions");
    assert_eq!(regions.len(), 5);
    assert_eq!(regions[2].id, "cn-wuhan-lr");
    assert_eq!(regions[2].status, "soldOut");
    assert_eq!(regions[2].endpoint, "ecs.cn-wuhan-lr.aliyuncs.com");
    for bad in [
        "{}",
        r#"{"Regions":null}"#,
        "[]",
        "null",
        "",
        r#"{"Regions":{"Region":[{}]}}"#,
    ] {
        assert!(wire::regions(bad.as_bytes()).is_err(), "{bad}");
    }
}

#[test]
fn groups() {
    let page = wire::groups_page(sample!("DescribeSecurityGroups.page1.json")).expect("a page");
    assert_eq!(
        page.next_token.as_deref(),
        Some("AAAAASampleNextToken0000000000000000000001")
    );
    assert!(page.odd.is_empty(), "{:?}", page.odd);
    let [web, managed] = &page.groups[..] else {
        panic!("two groups")
    };
    assert_eq!(web.id, WEB);
    assert_eq!(web.description, "=cmd|' /C calc'!A0");
    assert_eq!(web.rule_count, Some(24));
    assert_eq!(web.service_managed, Some(false));
    assert_eq!(web.tags[1].value, "张三");
    assert_eq!(managed.service_managed, Some(true));
    let last =
        wire::groups_page(sample!("DescribeSecurityGroups.page2-last.json")).expect("a page");
    assert_eq!(last.next_token, None);
    assert!(last.groups.iter().any(|group| group.kind == "enterprise"));
    assert!(last.groups.iter().any(|group| group.is_classic()));
    let empty = wire::groups_page(sample!("DescribeSecurityGroups.empty.json")).expect("a page");
    assert!(empty.groups.is_empty() && empty.next_token.is_none());
    let legacy = wire::groups_page(sample!("DescribeSecurityGroups.legacy-page-number.json"));
    assert!(legacy.expect("a page").total.is_some());
}

#[test]
fn a_listing_is_never_empty_by_default() {
    let page = |text: &str| wire::groups_page(text.as_bytes());
    assert!(page(r#"{"SecurityGroups":{}}"#).is_ok_and(|page| page.groups.is_empty()));
    for bad in [
        r#"{"RequestId":"r"}"#,
        r#"{"SecurityGroups":null}"#,
        r#"{"SecurityGroups":{"SecurityGroup":null}}"#,
        r#"{"SecurityGroups":{"SecurityGroup":[{"SecurityGroupName":"no id"}]}}"#,
        r#"{"SecurityGroups":{"SecurityGroup":[{"SecurityGroupId":"a","SecurityGroupId":"b"}]}}"#,
        r#"{"SecurityGroups":{},"SecurityGroups":{}}"#,
        r#"{"SecurityGroups":{"SecurityGroup":[{"SecurityGroupId":"a","Tags":[]}]}}"#,
        r#"{"SecurityGroups":{"SecurityGroup":["a"]}}"#,
    ] {
        assert!(page(bad).is_err(), "{bad}");
    }
    let odd = page(r#"{"SecurityGroups":{"SecurityGroup":[{"SecurityGroupId":"a","RuleCount":"x","ServiceManaged":"yes"}]}}"#)
        .expect("a page");
    assert_eq!(odd.groups[0].rule_count, None);
    assert_eq!(odd.groups[0].service_managed, None);
    assert_eq!(odd.odd.len(), 2);
}

#[test]
fn rules() {
    let first = wire::rules_page(sample!("DescribeSecurityGroupAttribute.page1.json"), WEB)
        .expect("a page");
    let last = wire::rules_page(
        sample!("DescribeSecurityGroupAttribute.page2-last.json"),
        WEB,
    )
    .expect("a page");
    assert!(first.odd.is_empty() && last.odd.is_empty());
    assert!(first.next_token.is_some() && last.next_token.is_none());
    let mut rules = first.rules.expect("rules");
    rules.extend(last.rules.expect("rules"));
    assert_eq!(rules.len(), 24);
    assert_eq!(text(&rules[0].priority), "1");
    assert_eq!(rules[0].id(), "sgr-bp1sample0000000001");
    assert_eq!(
        text(&rules[1].description),
        "=HYPERLINK(\"http://example.invalid\",\"click\")"
    );
    assert_eq!(rules[0].source_group_id, Field::Unset);
    assert!(rules.iter().any(|rule| rule.priority.text() == Some("110")));
    assert!(
        rules
            .iter()
            .any(|rule| rule.ip_protocol.text() == Some("6"))
    );
    assert!(
        rules
            .iter()
            .any(|rule| !rule.source_prefix_list_id.is_unset())
    );
    assert!(
        rules
            .iter()
            .any(|rule| rule.port_range.is_unset() && !rule.port_range_list_id.is_unset())
    );
}

#[test]
fn every_attribute_sample() {
    for (body, count) in [
        (
            sample!("DescribeSecurityGroupAttribute.after-revoke.json"),
            Some(0),
        ),
        (
            sample!("DescribeSecurityGroupAttribute.classic-internet.json"),
            Some(2),
        ),
        (
            sample!("DescribeSecurityGroupAttribute.classic-intranet.json"),
            None,
        ),
        (
            sample!("DescribeSecurityGroupAttribute.enterprise.json"),
            None,
        ),
        (sample!("DescribeSecurityGroupAttribute.managed.json"), None),
        (
            sample!("DescribeSecurityGroupAttribute.old-shape.json"),
            None,
        ),
    ] {
        let json: serde_json::Value = serde_json::from_slice(body).expect("JSON");
        let id = json["SecurityGroupId"].as_str().expect("an id");
        let page = wire::rules_page(body, id).expect("a page");
        let listed = json["Permissions"]["Permission"]
            .as_array()
            .expect("a list");
        let rules = page.rules.expect("rules");
        assert_eq!(rules.len(), listed.len());
        if let Some(count) = count {
            assert_eq!(rules.len(), count);
        }
        // Nothing lost: what is set there is set here, as the same text.
        for (rule, json) in rules.iter().zip(listed) {
            for (name, field) in rule.fields_typed() {
                let there = match &json[name] {
                    serde_json::Value::String(text) => text.clone(),
                    serde_json::Value::Null => String::new(),
                    other => other.to_string(),
                };
                assert_eq!(field.shown(), there, "{name}");
            }
        }
        assert!(page.odd.is_empty(), "{:?}", page.odd);
    }
}

fn one_rule(rule: &str) -> Result<Rule, String> {
    let body = format!(r#"{{"SecurityGroupId":"sg-1","Permissions":{{"Permission":[{rule}]}}}}"#);
    let page = wire::rules_page(body.as_bytes(), "sg-1").map_err(|error| error.to_string())?;
    let mut rules = page.rules.ok_or("no rules")?;
    rules.pop().ok_or_else(|| "no rule".to_owned())
}

#[test]
fn fields_keep_what_was_said() {
    let rule = one_rule(
        r#"{"Priority":110,"PortRange":null,"Policy":true,"IpProtocol":1.50,"Description":"a\"\u00e9\/","NicType":"",
            "SourceCidrIp":["x"],"New":{"a":1},"NewUnset":"","NewNull":null,"Pol\u0069cyX":"set"}"#,
    )
    .expect("a rule");
    assert_eq!(text(&rule.priority), "110");
    assert_eq!(text(&rule.ip_protocol), "1.50");
    assert_eq!(rule.port_range, Field::Unset);
    assert_eq!(rule.nic_type, Field::Unset);
    assert_eq!(rule.policy, Field::Alien("true".into()));
    assert_eq!(rule.source_cidr_ip, Field::Alien(r#"["x"]"#.into()));
    assert_eq!(text(&rule.description), "a\"é/");
    let unknown: Vec<&str> = rule.unknown.iter().map(|(key, _)| key.as_str()).collect();
    assert_eq!(unknown, ["New", "PolicyX"]);
}

#[test]
fn keys_come_once() {
    for bad in [
        r#"{"Policy":"Accept","Policy":"Drop"}"#,
        r#"{"Policy":"Accept","Pol\u0069cy":"Drop"}"#,
        r#"{"New":1,"New":2}"#,
        r#"{"Policy":"","Policy":"Drop"}"#,
        "null",
        "[]",
    ] {
        assert!(one_rule(bad).is_err(), "{bad}");
    }
}

#[test]
fn missing_permissions_are_not_no_rules() {
    let rules = |text: &str| {
        wire::rules_page(text.as_bytes(), "sg-1").map(|page| page.rules.map(|rules| rules.len()))
    };
    assert_eq!(rules(r#"{"SecurityGroupId":"sg-1"}"#), Ok(None));
    assert_eq!(
        rules(r#"{"SecurityGroupId":"sg-1","Permissions":null}"#),
        Ok(None)
    );
    assert_eq!(
        rules(r#"{"SecurityGroupId":"sg-1","Permissions":{"Permission":null}}"#),
        Ok(None)
    );
    assert_eq!(
        rules(r#"{"SecurityGroupId":"sg-1","Permissions":{}}"#),
        Ok(Some(0))
    );
    assert_eq!(
        rules(r#"{"SecurityGroupId":"sg-1","Permissions":{"Permission":[]}}"#),
        Ok(Some(0))
    );
    assert!(rules(r#"{"SecurityGroupId":"sg-2","Permissions":{}}"#).is_err());
    assert!(rules(r#"{"Permissions":{}}"#).is_err());
    assert!(rules(r#"{"SecurityGroupId":"sg-1","Permissions":[]}"#).is_err());
    assert!(rules("[]").is_err());
}

#[test]
fn lists() {
    let prefix = wire::prefix_list(
        sample!("DescribePrefixListAttributes.json"),
        "pl-bp1sample000000000001",
    );
    assert_eq!(
        prefix,
        Ok(vec!["198.51.100.0/24".to_owned(), "0.0.0.0/0".to_owned()])
    );
    assert!(wire::prefix_list(sample!("DescribePrefixListAttributes.json"), "pl-other").is_err());
    let port = wire::port_list(sample!("DescribePortRangeListEntries.json"));
    assert_eq!(port.map(|entries| entries.len()), Ok(3));
    for missing in ["{}", r#"{"Entries":null}"#, r#"{"Entries":{"Entry":null}}"#] {
        assert_eq!(
            wire::prefix_list(missing.as_bytes(), "pl-1"),
            Err("no Entries in the answer".to_owned())
        );
    }
    assert_eq!(
        wire::port_list(b"{}"),
        Err("no Entries in the answer".to_owned())
    );
    assert_eq!(wire::prefix_list(br#"{"Entries":{}}"#, "pl-1"), Ok(vec![]));
    let odd = wire::prefix_list(
        br#"{"Entries":{"Entry":[{"Cidr":5},{"Cidr":null},null,{"Cidr":[1]}]}}"#,
        "pl-1",
    );
    assert_eq!(
        odd,
        Ok(vec![
            "5".to_owned(),
            r#"{"Cidr":null}"#.to_owned(),
            "null".to_owned(),
            "[1]".to_owned()
        ])
    );
}

#[test]
fn identities() {
    for (body, kind) in [
        (sample!("STS.GetCallerIdentity.account.json"), "Account"),
        (sample!("STS.GetCallerIdentity.user.json"), "RAMUser"),
        (
            sample!("STS.GetCallerIdentity.role.json"),
            "AssumedRoleUser",
        ),
    ] {
        let identity = wire::identity(body).expect("an identity");
        assert_eq!(identity.kind, kind);
        assert_eq!(identity.account.as_str().len(), 16);
    }
    assert!(wire::identity(br#"{"AccountId":""}"#).is_err());
}

#[test]
fn interfaces_and_instances() {
    let page = wire::interfaces_page(sample!("DescribeNetworkInterfaces.json")).expect("a page");
    assert_eq!(page.next_token, None);
    let seen: Vec<(&str, bool, bool, bool)> = page
        .interfaces
        .iter()
        .map(|i| (i.instance.as_str(), i.primary, i.public, i.ipv6))
        .collect();
    assert_eq!(
        seen[..3],
        [
            ("i-bp1sample000000000001", true, false, true),
            ("i-bp1sample000000000002", true, true, false),
            // Its address is private; its prefix is not.
            ("i-bp1sample000000000001", false, false, true),
        ]
    );
    assert_eq!(page.interfaces[0].groups.len(), 2);
    assert!(page.interfaces[0].groups.is_sorted());
    let page = wire::instances_page(sample!("DescribeInstances.json")).expect("a page");
    assert_eq!(page.instances.len(), 3);
    assert!(page.instances[0].public && !page.instances[0].classic);
    assert!(page.instances.iter().any(|instance| instance.classic));
}

#[test]
fn what_cloud_config_has_seen() {
    let sample = sample!("Config.ListDiscoveredResources.json");
    let page = wire::discovered_page(sample, "cn-hangzhou").expect("a page");
    assert_eq!(page.next_token, None);
    assert_eq!(page.groups.len(), 1);
    assert_eq!(page.groups[0].id, WEB);
    assert_eq!(page.groups[0].created_ms, Some(1_709_604_669_000));
    // 1 is what exists; another region's is not what was asked for.
    let text = String::from_utf8_lossy(sample).into_owned();
    let deleted = text.replace("\"ResourceDeleted\": 1", "\"ResourceDeleted\": 0");
    let page = wire::discovered_page(deleted.as_bytes(), "cn-hangzhou").expect("a page");
    assert!(page.groups.is_empty());
    assert!(wire::discovered_page(sample, "cn-shanghai").is_err());
    for bad in [
        "{}",
        r#"{"DiscoveredResourceProfiles":{}}"#,
        &text.replace("\"ResourceDeleted\": 1", "\"ResourceDeleted\": 2"),
        &text.replace("ACS::ECS::SecurityGroup", "ACS::ECS::Instance"),
    ] {
        assert!(wire::discovered_page(bad.as_bytes(), "cn-hangzhou").is_err());
    }
}
