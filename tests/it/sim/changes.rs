//! Revoke, Authorize, Modify: what they do, and what they refuse.

use sgwarden::sim::{Group, PrefixList, Rule};

use super::{ACCOUNT, HZ, Params, is, small, start};

const GROUP: &[(&str, &str)] = &[("RegionId", HZ), ("SecurityGroupId", "sg-a")];

fn on_a<'a>(extra: Params<'a>) -> Vec<(&'a str, &'a str)> {
    GROUP.iter().chain(extra).copied().collect()
}

#[tokio::test]
async fn revocation_by_id() {
    let (cloud, caller) = start(small()).await;
    let rules = caller.rules("sg-a").await;
    let id = |i: usize| rules[i]["SecurityGroupRuleId"].as_str().unwrap();
    let digest = cloud.with_world(|w| w.state_digest());
    let refusals: &[(Params<'_>, &str)] = &[
        (
            &[
                ("SecurityGroupRuleId.1", id(0)),
                ("SecurityGroupRuleId.2", "sgr-gone"),
            ],
            "InvalidParam.SecurityGroupRuleId",
        ),
        (
            &[
                ("SecurityGroupRuleId.1", id(0)),
                ("SecurityGroupRuleId.2", id(0)),
            ],
            "InvalidParam.SecurityGroupRuleIdRepeated",
        ),
        (
            &[("SecurityGroupRuleId.1", id(2))],
            "InvalidParam.SecurityGroupRuleId",
        ),
        (
            &[
                ("SecurityGroupRuleId.1", id(0)),
                ("Permissions.1.IpProtocol", "TCP"),
            ],
            "InvalidParam.Permissions",
        ),
        (&[], "MissingParameter.Permissions"),
    ];
    for (extra, code) in refusals {
        let refused = caller.refused("RevokeSecurityGroup", &on_a(extra)).await;
        assert_eq!(refused, is(400, code));
    }
    assert_eq!(cloud.with_world(|w| w.state_digest()), digest);

    let token = ("ClientToken", "run-1");
    let first = [("SecurityGroupRuleId.1", id(0)), token];
    caller.ok("RevokeSecurityGroup", &on_a(&first)).await;
    assert_eq!(caller.rules("sg-a").await.len(), 2);
    // The same again is the same operation; the same token for another is refused.
    caller.ok("RevokeSecurityGroup", &on_a(&first)).await;
    let other = [("SecurityGroupRuleId.1", id(1)), token];
    assert_eq!(
        caller.refused("RevokeSecurityGroup", &on_a(&other)).await,
        is(400, "IdempotentParameterMismatch")
    );
    assert_eq!(cloud.changing_calls(), 8);
    let egress = [("SecurityGroupRuleId.1", id(2))];
    caller.ok("RevokeSecurityGroupEgress", &on_a(&egress)).await;
    assert_eq!(caller.rules("sg-a").await.len(), 1);
}

#[tokio::test]
async fn revocation_by_fields() {
    let (_cloud, caller) = start(small()).await;
    let fields = |source| {
        [
            ("Permissions.1.IpProtocol", "tcp"),
            ("Permissions.1.PortRange", "22/22"),
            ("Permissions.1.SourceCidrIp", source),
        ]
    };
    caller
        .ok("RevokeSecurityGroup", &on_a(&fields("9.9.9.9/32")))
        .await;
    assert_eq!(caller.rules("sg-a").await.len(), 3);
    caller
        .ok("RevokeSecurityGroup", &on_a(&fields("0.0.0.0/0")))
        .await;
    assert_eq!(caller.rules("sg-a").await.len(), 2);
}

#[tokio::test]
async fn a_managed_group_is_not_changed() {
    let mut world = small();
    world
        .group_mut(ACCOUNT, HZ, "sg-a")
        .unwrap()
        .service_managed = true;
    let (_cloud, caller) = start(world).await;
    let extra = [("SecurityGroupRuleId.1", "sgr-x")];
    assert_eq!(
        caller.refused("RevokeSecurityGroup", &on_a(&extra)).await,
        is(403, "InvalidOperation.ResourceManagedByCloudProduct")
    );
}

/// `field=value` pairs of one permission; `{}` starts the next.
fn permissions(text: &str) -> Vec<(String, String)> {
    text.split("{}")
        .zip(1..)
        .flat_map(|(part, n)| {
            part.split_whitespace().map(move |pair| {
                let (name, value) = pair.split_once('=').unwrap();
                (format!("Permissions.{n}.{name}"), value.to_owned())
            })
        })
        .collect()
}

async fn authorize(caller: &super::Caller, text: &str) -> (u16, String) {
    let fields = permissions(text);
    let fields: Vec<(&str, &str)> = fields
        .iter()
        .map(|(n, v)| (n.as_str(), v.as_str()))
        .collect();
    let (status, body) = caller.any("AuthorizeSecurityGroup", &on_a(&fields)).await;
    (status, body["Code"].as_str().unwrap_or("ok").to_owned())
}

#[tokio::test]
async fn authorization_refuses_what_the_service_refuses() {
    let mut world = small();
    world.add_group(ACCOUNT, HZ, Group::new("sg-b", "b"));
    let region = world.region_mut(ACCOUNT, HZ).unwrap();
    let list = PrefixList::new("pl-6", "six", &["::/0"]);
    region.prefix_lists.insert("pl-6".into(), list);
    let (cloud, caller) = start(world).await;
    let digest = cloud.with_world(|w| w.state_digest());
    let tcp = "IpProtocol=TCP PortRange=22/22";
    let long = format!("{tcp} SourceCidrIp=1.1.1.1 Description={}", "x".repeat(513));
    let same = format!("{tcp} SourceCidrIp=1.1.1.1{{}}{tcp} SourceCidrIp=1.1.1.1 Description=b");
    let cases = [
        (
            "IpProtocol=TCP PortRange=-1/-1 SourceCidrIp=1.1.1.1",
            400,
            "InvalidParam.PortRange",
        ),
        (
            "IpProtocol=UDP PortRange=0/65535 SourceCidrIp=1.1.1.1",
            400,
            "InvalidParam.PortRange",
        ),
        (
            "IpProtocol=TCP PortRange=30/20 SourceCidrIp=1.1.1.1",
            400,
            "InvalidParam.PortRange",
        ),
        (
            "IpProtocol=ICMP PortRange=22/22 SourceCidrIp=1.1.1.1",
            400,
            "OperationDenied",
        ),
        (
            "IpProtocol=QUIC PortRange=22/22 SourceCidrIp=1.1.1.1",
            400,
            "InvalidIpProtocol.ValueNotSupported",
        ),
        // Numbers are for some regions only, and this is not one of them.
        (
            "IpProtocol=6 PortRange=22/22 SourceCidrIp=1.1.1.1",
            400,
            "InvalidIpProtocol.ValueNotSupported",
        ),
        (
            "IpProtocol=TCP PortRange=22/22 SourceCidrIp=1.1.1.1 Priority=110",
            400,
            "InvalidPriority.ValueNotSupported",
        ),
        (
            "IpProtocol=TCP PortRange=22/22 SourceCidrIp=1.1.1.1 Priority=0",
            400,
            "InvalidPriority.ValueNotSupported",
        ),
        (
            "IpProtocol=TCP PortRange=22/22 SourceCidrIp=1.1.1.1 Policy=maybe",
            400,
            "InvalidPolicy.Malformed",
        ),
        (
            "IpProtocol=TCP PortRange=22/22 SourceCidrIp=1.1.1.1 Ipv6SourceCidrIp=::/0",
            400,
            "InvalidParam.Ipv6SourceCidrIp",
        ),
        (
            "IpProtocol=ICMP PortRange=-1/-1 Ipv6SourceCidrIp=::/0",
            400,
            "InvalidParam.Ipv4ProtocolConflictWithIpv6Address",
        ),
        (
            "IpProtocol=TCP PortRange=22/22 SourceCidrIp=1.1.1.300",
            400,
            "InvalidParam.SourceIp",
        ),
        (
            "IpProtocol=TCP PortRange=22/22 Ipv6SourceCidrIp=1.1.1.1",
            400,
            "ILLEGAL_IPV6_CIDR",
        ),
        (
            "IpProtocol=TCP PortRange=22/22",
            400,
            "MissingParameter.Source",
        ),
        (
            "IpProtocol=TCP PortRange=22/22 SourcePrefixListId=pl-gone",
            404,
            "InvalidPrefixListId.NotFound",
        ),
        (
            "IpProtocol=ICMP PortRange=-1/-1 SourcePrefixListId=pl-6",
            400,
            "InvalidParam.PrefixListAddressFamilyMismatch",
        ),
        (
            "IpProtocol=TCP PortRangeListId=prl-gone SourceCidrIp=1.1.1.1",
            404,
            "InvalidPortRangeListId.NotFound",
        ),
        (
            "IpProtocol=ALL PortRangeListId=prl-gone SourceCidrIp=1.1.1.1",
            400,
            "InvalidParam.ProtocolNotSupportPortRangeList",
        ),
        (
            "IpProtocol=TCP PortRange=22/22 SourceGroupId=sg-gone",
            404,
            "InvalidSourceGroupId.NotFound",
        ),
        (&long, 400, "InvalidSecurityGroupDiscription.Malformed"),
        (&same, 400, "InvalidParam.DuplicatePermissions"),
    ];
    for (text, status, code) in cases {
        assert_eq!(authorize(&caller, text).await, is(status, code), "{text}");
    }
    assert_eq!(cloud.with_world(|w| w.state_digest()), digest);
}

#[tokio::test]
async fn authorization_adds_rules_under_new_ids() {
    let (cloud, caller) = start(small()).await;
    // It exists: success, and nothing is added.
    let exists = "IpProtocol=TCP PortRange=22/22 SourceCidrIp=0.0.0.0/0 Description=again";
    assert_eq!(authorize(&caller, exists).await, is(200, "ok"));
    assert_eq!(caller.rules("sg-a").await.len(), 3);
    let added = "IpProtocol=udp PortRange=53/53 Ipv6SourceCidrIp=2400::/12 Priority=7 Policy=drop";
    assert_eq!(authorize(&caller, added).await, is(200, "ok"));
    let rules = caller.rules("sg-a").await;
    let rule = &rules[3];
    assert_eq!(rule["IpProtocol"], "UDP");
    assert_eq!(
        (&rule["Policy"], &rule["Priority"]),
        (&"Drop".into(), &7.into())
    );
    assert_eq!(rule["NicType"], "intranet");
    assert!(
        rule["SecurityGroupRuleId"]
            .as_str()
            .unwrap()
            .starts_with("sgr-")
    );

    cloud.with_world(|w| w.region_mut(ACCOUNT, HZ).unwrap().rule_quota = 4);
    let more = "IpProtocol=TCP PortRange=80/80 SourceCidrIp=0.0.0.0/0";
    assert_eq!(
        authorize(&caller, more).await,
        is(403, "AuthorizationLimitExceed")
    );
}

#[tokio::test]
async fn what_was_revoked_and_put_back_is_the_same_state() {
    let (cloud, caller) = start(small()).await;
    let before = cloud.with_world(|w| w.group_state(ACCOUNT, HZ, "sg-a"));
    let rules = caller.rules("sg-a").await;
    let id = rules[0]["SecurityGroupRuleId"].as_str().unwrap();
    let revoke = [("SecurityGroupRuleId.1", id)];
    caller.ok("RevokeSecurityGroup", &on_a(&revoke)).await;
    assert_ne!(
        cloud.with_world(|w| w.group_state(ACCOUNT, HZ, "sg-a")),
        before
    );
    let back = "IpProtocol=TCP PortRange=22/22 SourceCidrIp=0.0.0.0/0";
    assert_eq!(authorize(&caller, back).await, is(200, "ok"));
    assert_eq!(
        cloud.with_world(|w| w.group_state(ACCOUNT, HZ, "sg-a")),
        before
    );
    assert_ne!(caller.rules("sg-a").await, rules);
}

#[tokio::test]
async fn modification_keeps_the_id() {
    let (cloud, caller) = start(small()).await;
    let rules = caller.rules("sg-a").await;
    let id = rules[0]["SecurityGroupRuleId"].as_str().unwrap().to_owned();
    let with = |name, value| {
        let mut params = GROUP.to_vec();
        params.extend([("SecurityGroupRuleId", id.as_str()), (name, value)]);
        params
    };
    let narrower = with("SourceCidrIp", "10.0.0.0/8");
    caller.ok("ModifySecurityGroupRule", &narrower).await;
    let after = caller.rules("sg-a").await;
    assert_eq!(after[0]["SecurityGroupRuleId"], id.as_str());
    assert_eq!(after[0]["SourceCidrIp"], "10.0.0.0/8");
    let other = with("SourceGroupId", "sg-a");
    assert_eq!(
        caller.refused("ModifySecurityGroupRule", &other).await.0,
        400
    );
    assert_eq!(cloud.changing_calls(), 2);
}

#[tokio::test]
async fn tests_change_the_world_behind_everyones_back() {
    let (cloud, caller) = start(small()).await;
    let id = cloud.with_world(|w| {
        let rule = Rule::ingress("TCP", "3389/3389", "::/0").described("someone else");
        w.add_rule(ACCOUNT, HZ, "sg-a", rule).unwrap()
    });
    assert_eq!(caller.rules("sg-a").await.len(), 4);
    assert!(cloud.with_world(|w| w.remove_rule(ACCOUNT, HZ, "sg-a", &id)));
    assert_eq!(caller.rules("sg-a").await.len(), 3);
}
