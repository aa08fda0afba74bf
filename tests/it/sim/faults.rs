//! Each fault once, and the grammar.

use std::time::{Duration, Instant};

use serde_json::Value;
use sgwarden::sim::{Cloud, Fault, Group, Kind, PrefixList, Rule};

use super::{ACCOUNT, Caller, HZ, Params, is, small, start};

const REGION: Params<'_> = &[("RegionId", HZ)];
const GROUP: Params<'_> = &[("RegionId", HZ), ("SecurityGroupId", "sg-a")];

fn set(cloud: &Cloud, text: &str) {
    cloud.add_fault(Fault::parse(text).unwrap());
}

async fn revoke_first(caller: &Caller, id: &str) -> (u16, Value) {
    let mut params = GROUP.to_vec();
    params.push(("SecurityGroupRuleId.1", id));
    caller.any("RevokeSecurityGroup", &params).await
}

fn ids(rules: &[Value]) -> Vec<String> {
    rules
        .iter()
        .map(|r| r["SecurityGroupRuleId"].as_str().unwrap().to_owned())
        .collect()
}

#[tokio::test]
async fn calls_fail_as_told() {
    let (cloud, caller) = start(small()).await;
    set(&cloud, "DescribeSecurityGroups@cn-shanghai=Forbidden.RAM");
    let shanghai = [("RegionId", "cn-shanghai")];
    assert_eq!(
        caller.refused("DescribeSecurityGroups", &shanghai).await,
        is(403, "Forbidden.RAM")
    );
    caller.ok("DescribeSecurityGroups", REGION).await;

    set(
        &cloud,
        "DescribeSecurityGroups=ServiceUnavailable, skip=1, times=2",
    );
    let mut seen = Vec::new();
    for _ in 0..4 {
        seen.push(caller.any("DescribeSecurityGroups", REGION).await.0);
    }
    assert_eq!(seen, [200, 503, 503, 200]);

    cloud.clear_faults();
    set(&cloud, "*=throttle,times=1");
    assert_eq!(
        caller.refused("DescribeRegions", &[]).await,
        is(400, "Throttling.User")
    );
    set(&cloud, "DescribeRegions=http-502,times=1");
    let response = caller.raw("DescribeRegions", &[]).await.unwrap();
    assert_eq!(response.status(), 502);
    assert!(response.text().await.unwrap().starts_with("<html>"));
    set(&cloud, "DescribeRegions=delay:150,times=1");
    let begun = Instant::now();
    caller.ok("DescribeRegions", &[]).await;
    assert!(begun.elapsed() >= Duration::from_millis(150));
    set(&cloud, "DescribeRegions=truncate,times=1");
    let response = caller.raw("DescribeRegions", &[]).await.unwrap();
    assert_eq!(response.status(), 200);
    assert!(response.content_length().unwrap() > 200);
    assert!(response.text().await.is_err());
    set(&cloud, "DescribeRegions=hang,times=1");
    let waited = tokio::time::timeout(
        Duration::from_millis(200),
        caller.raw("DescribeRegions", &[]),
    );
    assert!(waited.await.is_err());
    caller.ok("DescribeRegions", &[]).await;
}

#[tokio::test]
async fn a_connection_breaks_before_or_after_the_effect() {
    let (cloud, caller) = start(small()).await;
    let all = ids(&caller.rules("sg-a").await);
    let mut params = GROUP.to_vec();
    params.push(("SecurityGroupRuleId.1", &all[0]));
    set(&cloud, "RevokeSecurityGroup=drop-before,times=1");
    assert!(caller.raw("RevokeSecurityGroup", &params).await.is_err());
    assert_eq!(caller.rules("sg-a").await.len(), 3);
    set(&cloud, "RevokeSecurityGroup=drop-after,times=1");
    assert!(caller.raw("RevokeSecurityGroup", &params).await.is_err());
    assert_eq!(caller.rules("sg-a").await.len(), 2);
    set(&cloud, "RevokeSecurityGroup=after:InternalError");
    let (status, body) = revoke_first(&caller, &all[1]).await;
    assert_eq!((status, &body["Code"]), (500, &"InternalError".into()));
    assert_eq!(caller.rules("sg-a").await.len(), 1);
}

#[tokio::test]
async fn revocations_lie() {
    let (cloud, caller) = start(small()).await;
    let all = ids(&caller.rules("sg-a").await);
    set(&cloud, "RevokeSecurityGroup/sg-a=revoke-nothing,times=1");
    assert_eq!(revoke_first(&caller, &all[0]).await.0, 200);
    assert_eq!(ids(&caller.rules("sg-a").await), all);

    set(&cloud, "RevokeSecurityGroup=re-add,times=1");
    assert_eq!(revoke_first(&caller, &all[0]).await.0, 200);
    let now = ids(&caller.rules("sg-a").await);
    assert_eq!(now.len(), 3);
    assert!(!now.contains(&all[0]));

    set(&cloud, "RevokeSecurityGroup=revoke-partial,times=1");
    let mut params = GROUP.to_vec();
    params.push(("SecurityGroupRuleId.1", &now[0]));
    params.push(("SecurityGroupRuleId.2", &now[1]));
    assert_eq!(
        caller.any("RevokeSecurityGroup", &params).await.0,
        400,
        "an egress id is refused before anything happens"
    );
    let ingress: Vec<String> = ids(&ingress_rules(&caller).await);
    let mut params = GROUP.to_vec();
    params.push(("SecurityGroupRuleId.1", &ingress[0]));
    params.push(("SecurityGroupRuleId.2", &ingress[1]));
    let refused = caller.refused("RevokeSecurityGroup", &params).await;
    assert_eq!(refused, is(500, "InternalError"));
    assert_eq!(ingress_rules(&caller).await.len(), 1);
}

async fn ingress_rules(caller: &Caller) -> Vec<Value> {
    let mut rules = caller.rules("sg-a").await;
    rules.retain(|r| r["Direction"] == "ingress");
    rules
}

#[tokio::test]
async fn readings_are_behind() {
    let (cloud, caller) = start(small()).await;
    let all = ids(&caller.rules("sg-a").await);
    set(&cloud, "DescribeSecurityGroupAttribute=stale:2");
    revoke_first(&caller, &all[0]).await;
    let mut seen = Vec::new();
    for _ in 0..3 {
        seen.push(caller.rules("sg-a").await.len());
    }
    assert_eq!(seen, [3, 3, 2]);

    cloud.clear_faults();
    set(&cloud, "DescribeSecurityGroupAttribute=stale:300ms");
    revoke_first(&caller, &all[1]).await;
    assert_eq!(caller.rules("sg-a").await.len(), 2);
    tokio::time::sleep(Duration::from_millis(350)).await;
    assert_eq!(caller.rules("sg-a").await.len(), 1);
}

#[tokio::test]
async fn readings_are_short_or_twisted() {
    let (cloud, caller) = start(small()).await;
    let read = async || caller.ok("DescribeSecurityGroupAttribute", GROUP).await;
    set(
        &cloud,
        "DescribeSecurityGroupAttribute=short-page:2,times=1",
    );
    assert_eq!(caller.rules("sg-a").await.len(), 1);
    set(
        &cloud,
        "DescribeSecurityGroupAttribute=permissions-missing,times=1",
    );
    assert!(read().await.get("Permissions").is_none());
    set(
        &cloud,
        "DescribeSecurityGroupAttribute=permissions-null,times=1",
    );
    assert_eq!(read().await["Permissions"], Value::Null);
    set(&cloud, "DescribeSecurityGroupAttribute=rule-twice,times=1");
    let rules = caller.rules("sg-a").await;
    assert_eq!(rules.len(), 4);
    assert_eq!(
        rules[0]["SecurityGroupRuleId"],
        rules[3]["SecurityGroupRuleId"]
    );
    assert_ne!(rules[0]["Priority"], rules[3]["Priority"]);
    set(&cloud, "DescribeSecurityGroupAttribute=vanish,times=1");
    assert_eq!(
        caller
            .refused("DescribeSecurityGroupAttribute", GROUP)
            .await,
        is(404, "InvalidSecurityGroupId.NotFound")
    );
    let body = caller.ok("DescribeSecurityGroups", REGION).await;
    assert_eq!(
        body["SecurityGroups"]["SecurityGroup"],
        Value::Array(vec![])
    );
}

#[tokio::test]
async fn listings_repeat() {
    let mut world = small();
    world.add_group(ACCOUNT, HZ, Group::new("sg-b", "b"));
    let (cloud, caller) = start(world).await;
    let listed = async || {
        let body = caller.ok("DescribeSecurityGroups", REGION).await;
        let groups = body["SecurityGroups"]["SecurityGroup"].as_array().unwrap();
        groups
            .iter()
            .map(|g| format!("{}:{}", g["SecurityGroupId"], g["RuleCount"]))
            .collect::<Vec<_>>()
    };
    set(&cloud, "DescribeSecurityGroups=group-twice,times=1");
    assert_eq!(listed().await, ["\"sg-a\":3", "\"sg-b\":0", "\"sg-a\":3"]);
    set(
        &cloud,
        "DescribeSecurityGroups/sg-b=group-twice-differing,times=1",
    );
    assert_eq!(listed().await, ["\"sg-a\":3", "\"sg-b\":0", "\"sg-b\":1"]);
    assert_eq!(listed().await.len(), 2);

    set(&cloud, "DescribeSecurityGroups=repeat-token");
    let first = caller.ok("DescribeSecurityGroups", REGION).await;
    let token = first["NextToken"].as_str().unwrap().to_owned();
    assert!(!token.is_empty());
    let again = [("RegionId", HZ), ("NextToken", token.as_str())];
    for _ in 0..2 {
        let body = caller.ok("DescribeSecurityGroups", &again).await;
        assert_eq!(body["NextToken"], token.as_str());
    }
}

#[tokio::test]
async fn a_prefix_list_cannot_be_read() {
    let mut world = small();
    let list = PrefixList::new("pl-1", "p", &["0.0.0.0/0"]);
    let region = world.region_mut(ACCOUNT, HZ).unwrap();
    region.prefix_lists.insert("pl-1".into(), list);
    world.add_rule(ACCOUNT, HZ, "sg-a", Rule::ingress("TCP", "22/22", "pl-1"));
    let (cloud, caller) = start(world).await;
    let params = [("RegionId", HZ), ("PrefixListId", "pl-1")];
    set(&cloud, "*/pl-1=prefix-list-unreadable");
    assert_eq!(
        caller
            .refused("DescribePrefixListAttributes", &params)
            .await,
        is(403, "Forbidden.RAM")
    );
    cloud.clear_faults();
    caller.ok("DescribePrefixListAttributes", &params).await;
}

#[test]
fn the_grammar_says_what_is_wrong() {
    let fault = Fault::parse(
        " RevokeSecurityGroup@cn-hangzhou/sg-1 = stale:1500ms , skip=2, times=3, account=1 ",
    )
    .unwrap();
    assert_eq!(fault.region.as_deref(), Some("cn-hangzhou"));
    assert_eq!(fault.id.as_deref(), Some("sg-1"));
    assert_eq!((fault.skip, fault.times), (2, Some(3)));
    assert_eq!(
        fault.kind,
        Kind::Stale {
            reads: None,
            within: Some(Duration::from_millis(1500))
        }
    );
    let cases = [
        ("DescribeRegions", "has no `=`"),
        ("=hang", "names no action"),
        ("DescribeNonsense=hang", "not an action"),
        ("*=Nonsense", "give its status"),
        ("*=Nonsense:200", "not an HTTP status"),
        ("*=explode", "is not a kind"),
        ("*=delay", "needs milliseconds"),
        ("*=hang:3", "takes no"),
        ("*=hang,often=3", "there are skip, times, account"),
        ("*=hang,times=x", "not a number"),
    ];
    for (text, part) in cases {
        let error = Fault::parse(text).unwrap_err();
        assert!(error.contains(part), "{text}: {error}");
    }
    assert!(Fault::parse("*=Nonsense:418").is_ok());
}
