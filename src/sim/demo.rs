//! The demo's cloud: small and telling. Each group is one hard case, and its name says which.
//!
//! Verdicts under tcp 22 and 3389 from at least an IPv4 /16 or an IPv6 /32:
//!
//! | region | group | verdict | because |
//! | --- | --- | --- | --- |
//! | cn-hangzhou | ssh-open-to-world | exposed | 0.0.0.0/0 on 22, beside the office's /32 |
//! | | ssh-open-but-dropped-first | compliant | a Drop of a smaller Priority takes it all |
//! | | drop-at-same-priority | compliant | at equal Priority the Drop comes first |
//! | | rdp-by-two-halves | exposed | 0.0.0.0/1 and 128.0.0.0/1 are the internet |
//! | | ssh-by-prefix-list | exposed | the list holds 0.0.0.0/0 |
//! | | all-ports-ipv6 | exposed | ::/0 on every protocol |
//! | | old-default-priority-110 | exposed | Priority 110 counts like any other |
//! | | port-range-hides-22 | exposed | 20/25 |
//! | | quarter-by-quarter | exposed | four /18s at four priorities are a /16 |
//! | | managed-by-ack | managed | exposed, and a cloud service owns it |
//! | | web-only-8080-open | compliant | 8080 is no port of the check |
//! | | office-only | compliant | a /32 |
//! | | private-ranges-only | compliant | no internet address |
//! | ap-southeast-1 | unreadable-rule | undetermined | Accept of an unknown protocol |
//! | | drop-unreadable-above-open | undetermined | a Drop by a prefix list that is gone, above 0.0.0.0/0 |
//! | | numeric-protocol-6 | exposed | 6 is TCP |
//! | | port-list-with-22 | exposed | the port list holds 22/22 |
//! | | classic-network | exposed | 22 on the internet card; 3389 on the intranet card does not count |
//! | | 办公入口-远程桌面 | exposed | 3389; its description starts with `=cmd` |
//! | | shadowed-by-wider-accept | exposed | 22 from 0.0.0.0/0 hides behind ALL of 0.0.0.0/0: both are to blame |
//!
//! In shadowed-by-wider-accept the wide rule is overbroad: it also opens ports that no check names.

use serde_json::{Map, Value, json};

use super::faults::{Fault, Kind};
use super::rule::{PortList, PrefixList, Rule, Tag};
use super::world::{Group, Region, World};

const ACCOUNT: &str = "1234567890123456";
const HANGZHOU: &str = "cn-hangzhou";
const SINGAPORE: &str = "ap-southeast-1";
const OFFICE: &str = "47.100.1.2/32";
const WORLD: &str = "0.0.0.0/0";

fn tcp(ports: &str, source: &str) -> Rule {
    Rule::ingress("TCP", ports, source)
}

fn group(number: u32, name: &str) -> Group {
    let mut group = Group::new(&format!("sg-bp1demo{number:011}"), name)
        .with(Rule::egress("ALL", "-1/-1", WORLD));
    group.ecs_count = 1;
    group
}

fn owned(mut group: Group, owner: &str) -> Group {
    group.tags.push(Tag {
        tag_key: "owner".into(),
        tag_value: owner.into(),
    });
    group
}

fn hangzhou() -> Vec<Group> {
    let mut managed = group(10, "managed-by-ack").with(tcp("22/22", WORLD));
    managed.service_managed = true;
    managed.service_id = 1_606_000_000_000_001;
    managed.description = "managed by a cloud product".into();
    managed.tags = vec![Tag {
        tag_key: "ack.aliyun.com".into(),
        tag_value: "c0ffee".into(),
    }];
    let mut old = group(7, "old-default-priority-110");
    old.creation_time = "2019-11-20T08:00:00Z".into();
    let mut system = tcp("22/22", WORLD)
        .at(110)
        .described("System created rule.");
    system.create_time = "2019-11-20T08:00:01Z".into();
    vec![
        owned(group(1, "ssh-open-to-world"), "web")
            .with(
                tcp("22/22", WORLD)
                    .at(10)
                    .described("temporary, until Friday"),
            )
            .with(tcp("22/22", OFFICE).described("office"))
            .with(tcp("443/443", WORLD)),
        group(2, "ssh-open-but-dropped-first")
            .with(tcp("22/22", WORLD).at(10))
            .with(tcp("22/22", WORLD).drops().at(5)),
        group(3, "drop-at-same-priority")
            .with(tcp("22/22", WORLD))
            .with(tcp("22/22", WORLD).drops()),
        owned(group(4, "rdp-by-two-halves"), "office")
            .with(tcp("3389/3389", "0.0.0.0/1"))
            .with(tcp("3389/3389", "128.0.0.0/1")),
        group(5, "ssh-by-prefix-list").with(tcp("22/22", "pl-bp1demo00000000000001")),
        group(6, "all-ports-ipv6").with(Rule::ingress("ALL", "-1/-1", "::/0")),
        old.with(system).with(tcp("80/80", WORLD)),
        owned(group(8, "port-range-hides-22"), "web").with(tcp("20/25", WORLD)),
        group(9, "quarter-by-quarter")
            .with(tcp("22/22", "47.96.0.0/18").at(1))
            .with(tcp("22/22", "47.96.64.0/18").at(2))
            .with(tcp("22/22", "47.96.128.0/18").at(3))
            .with(tcp("22/22", "47.96.192.0/18").at(4)),
        managed,
        group(11, "web-only-8080-open")
            .with(tcp("8080/8080", WORLD))
            .with(tcp("443/443", WORLD)),
        group(12, "office-only")
            .with(tcp("22/22", OFFICE))
            .with(tcp("3389/3389", OFFICE)),
        group(13, "private-ranges-only")
            .with(tcp("22/22", "10.0.0.0/8"))
            .with(tcp("3389/3389", "192.168.0.0/16"))
            .with(tcp("22/22", "sg-bp1demo00000000012")),
    ]
}

fn singapore() -> Vec<Group> {
    let mut classic = group(18, "classic-network");
    classic.vpc_id = String::new();
    classic.description = "经典网络".into();
    for rule in &mut classic.permissions {
        rule.nic_type = "internet".into();
        rule.source_port_range = "-1/-1".into();
    }
    let on = |nic: &str, mut rule: Rule| {
        rule.nic_type = nic.into();
        rule.source_port_range = "-1/-1".into();
        rule.priority = super::rule::Priority::Text("1".into());
        rule
    };
    let mut chinese = owned(group(19, "办公入口-远程桌面"), "office").with(
        tcp("3389/3389", WORLD).described("=HYPERLINK(\"http://example.invalid\",\"click\")"),
    );
    chinese.description = "=cmd|' /C calc'!A0".into();
    let mut by_list = tcp("22/22", WORLD);
    by_list.port_range.clear();
    by_list.port_range_list_id = "prl-bp1demo0000000000001".into();
    vec![
        group(14, "unreadable-rule").with(Rule::ingress("QUIC", "443/443", WORLD)),
        group(15, "drop-unreadable-above-open")
            .with(tcp("22/22", "pl-bp1demo000000000gone1").drops())
            .with(tcp("22/22", WORLD).at(10)),
        group(16, "numeric-protocol-6").with(Rule::ingress("6", "22/22", WORLD)),
        group(17, "port-list-with-22").with(by_list),
        classic
            .with(on("internet", tcp("22/22", WORLD)))
            .with(on("intranet", tcp("3389/3389", WORLD))),
        chinese,
        owned(group(20, "shadowed-by-wider-accept"), "data")
            .with(Rule::ingress("ALL", "-1/-1", WORLD))
            .with(tcp("22/22", WORLD).at(50))
            .with(tcp("22/22", OFFICE).described("office")),
    ]
}

fn object(value: Value) -> Map<String, Value> {
    match value {
        Value::Object(map) => map,
        _ => Map::new(),
    }
}

/// An instance with one interface in these groups; a public address makes it reachable.
fn machine(region: &mut Region, number: u32, name: &str, groups: &[&str], public: Option<&str>) {
    let (instance, interface) = (
        format!("i-bp1demo{number:012}"),
        format!("eni-bp1demo{number:011}"),
    );
    let private = format!("10.0.0.{}", 10 + number);
    let addresses: Vec<&str> = public.into_iter().collect();
    let mac = format!("00:16:3e:00:00:{number:02x}");
    region.instances.push(object(json!({
        "InstanceId": instance, "InstanceName": name, "HostName": name,
        "ZoneId": format!("{}-g", region.id),
        "SecurityGroupIds": {"SecurityGroupId": groups},
        "PublicIpAddress": {"IpAddress": addresses},
        "InternetMaxBandwidthOut": if public.is_some() { 5 } else { 0 },
        "VpcAttributes": {"VpcId": "vpc-bp1sim000000000000aaa", "PrivateIpAddress": {"IpAddress": [private]}},
        "NetworkInterfaces": {"NetworkInterface": [{
            "NetworkInterfaceId": interface, "MacAddress": mac, "PrimaryIpAddress": private,
            "Type": "Primary", "Ipv6Sets": {"Ipv6Set": []},
            "PrivateIpSets": {"PrivateIpSet": [{"PrivateIpAddress": private, "Primary": true, "PrivateDnsName": ""}]},
            "Ipv4PrefixSets": {"Ipv4PrefixSet": []}, "Ipv6PrefixSets": {"Ipv6PrefixSet": []},
        }]},
    })));
    region.interfaces.push(object(json!({
        "NetworkInterfaceId": interface, "InstanceId": instance,
        "Attachment": {"InstanceId": instance},
        "VpcId": "vpc-bp1sim000000000000aaa", "ZoneId": format!("{}-g", region.id),
        "MacAddress": mac, "PrivateIpAddress": private,
        "SecurityGroupIds": {"SecurityGroupId": groups},
        "PrivateIpSets": {"PrivateIpSet": [{
            "PrivateIpAddress": private, "Primary": true, "PrivateDnsName": "",
            "AssociatedPublicIp": {"AllocationId": "", "PublicIpAddress": ""},
        }]},
    })));
}

impl World {
    /// The demo's world: one account, two regions, twenty groups.
    pub fn demo() -> World {
        let mut world = World::single(ACCOUNT, &[HANGZHOU, SINGAPORE]);
        if let Some(account) = world.accounts.get_mut(ACCOUNT) {
            account.name = "demo".into();
            for key in account.users.iter_mut().flat_map(|u| &mut u.keys) {
                key.id = "LTAI-demo-key".into();
                key.secret = "demo-secret-that-opens-nothing".into();
            }
        }
        for group in hangzhou() {
            world.add_group(ACCOUNT, HANGZHOU, group);
        }
        for group in singapore() {
            world.add_group(ACCOUNT, SINGAPORE, group);
        }
        if let Some(region) = world.region_mut(ACCOUNT, HANGZHOU) {
            region.local_name = "华东1（杭州）".into();
            let list = PrefixList::new("pl-bp1demo00000000000001", "办公网络", &[OFFICE, WORLD]);
            region
                .prefix_lists
                .insert(list.prefix_list_id.clone(), list);
            let groups = |n: u32| format!("sg-bp1demo{n:011}");
            machine(region, 1, "web-01", &[&groups(1)], Some("47.96.0.10"));
            machine(region, 2, "office-01", &[&groups(4)], Some("47.96.0.11"));
            machine(region, 3, "build-01", &[&groups(8), &groups(12)], None);
        }
        if let Some(region) = world.region_mut(ACCOUNT, SINGAPORE) {
            region.local_name = "新加坡".into();
            let list = PortList::new(
                "prl-bp1demo0000000000001",
                "admin-ports",
                &["22/22", "443/443"],
            );
            region
                .port_lists
                .insert(list.port_range_list_id.clone(), list);
            let rdp = format!("sg-bp1demo{:011}", 19);
            machine(region, 4, "rdp-gateway", &[&rdp], Some("47.74.0.10"));
        }
        super::demo_trail::add(&mut world, ACCOUNT, [HANGZHOU, SINGAPORE]);
        world
    }

    /// The same with a third region, `eu-central-1`, in which everything is forbidden.
    pub fn demo_with_unreadable_region() -> World {
        let mut world = World::demo();
        let mut region = Region::new("eu-central-1");
        region.local_name = "德国（法兰克福）".into();
        if let Some(account) = world.accounts.get_mut(ACCOUNT) {
            account.regions.insert(region.id.clone(), region);
        }
        let mut fault = Fault::new(
            "*",
            Kind::Error {
                code: "Forbidden.RAM".into(),
                status: 403,
                after: false,
            },
        );
        fault.region = Some("eu-central-1".into());
        world.faults.push(fault);
        world
    }
}
