//! What ActionTrail has of the demo's world. The rules named here were made three days ago, the others
//! before the 90 days that the history keeps.
//!
//! | group | the history has |
//! | --- | --- |
//! | ssh-open-to-world | one call by alice in the console that fits: certain |
//! | rdp-by-two-halves | one call of Terraform's role that made both rules: certain |
//! | all-ports-ipv6 | a narrow rule by bob, and root's change of it: opened by the change |
//! | port-range-hides-22 | a service-linked role: no person is recorded |
//! | numeric-protocol-6 | two calls that fit: ambiguous |
//! | 办公入口-远程桌面 | nothing but the making of the group: likely |

use chrono::{DateTime, Duration, SecondsFormat, SubsecRound, Utc};
use serde_json::{Map, Value, json};

use super::trail::Event;
use super::world::World;

/// Puts the history into the world, and its times into the rules.
pub(super) fn add(world: &mut World, account: &str, [hangzhou, singapore]: [&str; 2]) {
    let start = Utc::now().trunc_subsecs(0) - Duration::days(3);
    let at = |minutes: i64| start + Duration::minutes(minutes);
    let group = |n: u32| format!("sg-bp1demo{n:011}");
    let id = |n: u32| format!("5A1D0C3E-7B21-5F60-9C44-{n:012}");
    let call = |region: &str, n: u32, minutes: i64, of: u32, entries: &[&[(&str, &str)]]| {
        Event::new(
            account,
            region,
            at(minutes),
            "AuthorizeSecurityGroup",
            &id(n),
        )
        .asking(asked(&group(of), region, entries))
    };
    let ssh = [("IpProtocol", "tcp"), ("PortRange", "22/22")];
    let terraform = "AlibabaCloud (linux; amd64) Golang/1.21.5 Core/0.01 TeaDSL/1 HashiCorp-Terraform/1.7.4 Terraform-Provider/1.220.0";
    for (region, number, minutes, source) in [
        (hangzhou, 1, 0, "0.0.0.0/0"),
        (hangzhou, 4, 5, "0.0.0.0/1"),
        (hangzhou, 4, 5, "128.0.0.0/1"),
        (hangzhou, 6, 10, "::/0"),
        (hangzhou, 8, 15, "0.0.0.0/0"),
        (singapore, 16, 0, "0.0.0.0/0"),
        (singapore, 19, 5, "0.0.0.0/0"),
    ] {
        date(
            world,
            account,
            (region, &group(number)),
            source,
            at(minutes),
        );
    }
    if let Some(group) = world.group_mut(account, singapore, &group(19)) {
        group.creation_time = text(at(5));
    }
    let changed = world
        .group(account, hangzhou, &group(6))
        .and_then(|group| {
            let open = |r: &&super::rule::Rule| r.ipv6_source_cidr_ip == "::/0";
            let rule = group.permissions.iter().find(open)?;
            Some(rule.security_group_rule_id.clone())
        })
        .unwrap_or_default();
    world.trail.extend([
        call(
            hangzhou,
            1,
            0,
            1,
            &[&[
                ("IpProtocol", "TCP"),
                ("PortRange", "22/22"),
                ("SourceCidrIp", "0.0.0.0/0"),
                ("Priority", "10"),
                ("Description", "temporary, until Friday"),
            ]],
        )
        .by_user("alice")
        .with("sourceIpAddress", "203.0.113.77")
        .with("userAgent", "ecs.console.aliyun.com")
        .with("eventType", "ConsoleOperation"),
        call(
            hangzhou,
            2,
            5,
            4,
            &[
                &[
                    ("IpProtocol", "tcp"),
                    ("PortRange", "3389/3389"),
                    ("SourceCidrIp", "0.0.0.0/1"),
                ],
                &[
                    ("IpProtocol", "tcp"),
                    ("PortRange", "3389/3389"),
                    ("SourceCidrIp", "128.0.0.0/1"),
                ],
            ],
        )
        .by_role("terraform-ci", "ci-4711")
        .with("userAgent", terraform),
        call(
            hangzhou,
            3,
            10,
            6,
            &[&[
                ("IpProtocol", "all"),
                ("PortRange", "-1/-1"),
                ("Ipv6SourceCidrIp", "2001:db8:10::/48"),
            ]],
        )
        .by_user("bob"),
        Event::new(
            account,
            hangzhou,
            at(600),
            "ModifySecurityGroupRule",
            &id(4),
        )
        .by(json!({
            "type": "root-account", "principalId": account, "accountId": account,
            "accessKeyId": "LTAI-sim-of-root", "userName": "root",
        }))
        .with("sourceIpAddress", "2001:db8:10::7")
        .with(
            "userAgent",
            "AlibabaCloud (linux; amd64) Golang/1.21.5 Core/1.62.676 Aliyun-CLI/3.0.200",
        )
        .with_params(&[
            ("RegionId", hangzhou),
            ("SecurityGroupId", &group(6)),
            ("SecurityGroupRuleId", &changed),
            ("Ipv6SourceCidrIp", "::/0"),
        ]),
        call(
            hangzhou,
            5,
            15,
            8,
            &[&[
                ("IpProtocol", "tcp"),
                ("PortRange", "20/25"),
                ("SourceCidrIp", "0.0.0.0/0"),
            ]],
        )
        .by_role("AliyunServiceRoleForSample", "sample-service")
        .with("sourceIpAddress", "Internal")
        .with("userAgent", "sample-service.aliyuncs.com"),
    ]);
    for (number, user) in [(6, "carol"), (7, "dave")] {
        let entry = [("IpProtocol", "6"), ssh[1], ("SourceCidrIp", "0.0.0.0/0")];
        world
            .trail
            .push(call(singapore, number, 0, 16, &[&entry]).by_user(user));
    }
    let mut made = Event::new(account, singapore, at(5), "CreateSecurityGroup", &id(8))
        .by_user("erin")
        .with_params(&[
            ("RegionId", singapore),
            ("SecurityGroupName", "办公入口-远程桌面"),
        ]);
    made.body.insert(
        "responseElements".into(),
        json!({"RequestId": id(8), "SecurityGroupId": group(19)}),
    );
    world.trail.push(made);
}

fn text(time: DateTime<Utc>) -> String {
    time.to_rfc3339_opts(SecondsFormat::Secs, true)
}

fn asked(group: &str, region: &str, entries: &[&[(&str, &str)]]) -> Map<String, Value> {
    let mut params = Map::new();
    params.insert("RegionId".into(), json!(region));
    params.insert("SecurityGroupId".into(), json!(group));
    for (at, entry) in entries.iter().enumerate() {
        for (field, value) in *entry {
            let name = format!("Permissions.{}.{field}", at.saturating_add(1));
            params.insert(name, json!(value));
        }
    }
    params
}

/// Dates the ingress rules of a group with that source.
fn date(
    world: &mut World,
    account: &str,
    (region, group): (&str, &str),
    source: &str,
    at: DateTime<Utc>,
) {
    let Some(group) = world.group_mut(account, region, group) else {
        return;
    };
    for rule in &mut group.permissions {
        let open = rule.source_cidr_ip == source || rule.ipv6_source_cidr_ip == source;
        // Of the rules with that source, the web server's own is older.
        if open && rule.is_ingress() && rule.port_range != "443/443" {
            rule.create_time = text(at);
        }
    }
}
