//! Who opened what is exposed, over the simulated ActionTrail.

use crate::kit::host::{ACCOUNT, Host, REGION, ssh_open, world};
use crate::report::record;
use chrono::{DateTime, SecondsFormat, TimeDelta, Utc};
use expect_test::expect_file;
use serde_json::Value;
use sgwarden::cloud::wire;
use sgwarden::config::Schedule;
use sgwarden::job::{Job, RunOutcome};
use sgwarden::model::{
    Confirmation, Confirmed, GroupId, Language, OpenedBy, Opening, OpeningEvent, RunId, Sureness,
    TrailEvent, UnknownReason,
};
use sgwarden::policy::opened::{Heard, History, Subject, opened_by, time_of};
use sgwarden::report::view::View;
use sgwarden::report::{Format, render};
use sgwarden::sim::{Event, Fault, Rule, World};

fn ago(minutes: i64) -> DateTime<Utc> {
    Utc::now() - TimeDelta::minutes(minutes)
}

fn text(time: DateTime<Utc>) -> String {
    time.to_rfc3339_opts(SecondsFormat::Secs, true)
}

fn made(mut rule: Rule, at: DateTime<Utc>) -> Rule {
    rule.create_time = text(at);
    rule
}

/// A successful AuthorizeSecurityGroup of a group, without its rules.
fn authorize(id: &str, at: DateTime<Utc>, user: &str) -> Event {
    Event::new(ACCOUNT, REGION, at, "AuthorizeSecurityGroup", id).by_user(user)
}

const SSH: [(&str, &str); 5] = [
    ("SecurityGroupId", "sg-a"),
    ("Permissions.1.IpProtocol", "tcp"),
    ("Permissions.1.PortRange", "22/22"),
    ("Permissions.1.SourceCidrIp", "0.0.0.0/0"),
    ("Permissions.1.Policy", "accept"),
];

fn one_group(rule: Rule, events: Vec<Event>) -> World {
    let mut world = world(&[("sg-a", vec![rule])]);
    world.trail = events;
    world
}

fn job(more: &str) -> Job {
    let text = format!("[policy]\nattribution = true\n{more}\n[report]\nformats = [\"csv\"]\n");
    Job {
        command: "run".to_owned(),
        schedule: Schedule::read("test.toml", "test", &text).expect("a schedule"),
        copies: None,
    }
}

async fn run_on(host: &Host) -> RunOutcome {
    sgwarden::job::run(&job(""), &host.tools())
        .await
        .expect("a sealed run")
}

async fn run(world: World) -> RunOutcome {
    run_on(&Host::new(world).await).await
}

/// What a run says of the only rule of its only finding; the run is complete whatever that is.
fn only(run: &RunOutcome) -> OpenedBy {
    assert!(run.record.header.complete, "{:?}", run.record.header);
    let rules = &run.record.findings[0].rules;
    assert_eq!(rules.len(), 1);
    rules[0].opened_by.clone().expect("it was asked")
}

#[tokio::test(flavor = "multi_thread")]
async fn certain_is_one_call_with_every_field_at_the_time() {
    let at = ago(3000);
    let events = vec![
        // The same fields a day later: authorising what exists succeeds, and opens nothing.
        authorize("E-2", at + TimeDelta::days(1), "bob").with_params(&SSH),
        authorize("E-1", at, "alice")
            .with_params(&SSH)
            .with("userAgent", "ecs.console.aliyun.com")
            .with("eventType", "ConsoleOperation"),
        // Refused, of another group, of another product: not it.
        authorize("E-3", at, "carol")
            .with_params(&SSH)
            .with("errorCode", "Forbidden.RAM"),
        authorize("E-4", at, "dave").with_params(&[
            ("SecurityGroupId", "sg-b"),
            SSH[1],
            SSH[2],
            SSH[3],
        ]),
        authorize("E-5", at, "eve")
            .with_params(&SSH)
            .with("serviceName", "Ens"),
    ];
    let host = Host::new(one_group(made(ssh_open(), at), events)).await;
    let run = run_on(&host).await;
    let opened = only(&run);
    assert_eq!(opened.sureness, Sureness::Certain, "{opened:?}");
    assert_eq!(opened.how, Some(Opening::Authorized));
    let event = &opened.events[0];
    assert_eq!(
        (
            event.principal.as_str(),
            event.tool.as_str(),
            event.event_id.as_str()
        ),
        ("alice", "console", "E-1")
    );
    assert_eq!(event.time, text(at));
    assert_eq!(event.source, "203.0.113.9");
    // It is in the evidence, and in what people read.
    let csv = std::fs::read_to_string(run.sealed.folder.join("findings.csv")).expect("a report");
    assert!(csv.contains("opened by alice (ram-user) at"), "{csv}");
    let findings = std::fs::read(run.sealed.folder.join("findings.json")).expect("findings");
    let findings: Value = serde_json::from_slice(&findings).expect("JSON");
    assert_eq!(
        findings["findings"][0]["rules"][0]["opened_by"]["events"][0]["principal"],
        "alice"
    );
    let after = std::fs::read_dir(run.sealed.folder.join("raw/after")).expect("a folder");
    assert_eq!(after.count(), 1, "the history's answers are kept");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_service_two_calls_or_none_is_never_a_person() {
    let at = ago(3000);
    let service = authorize("E-1", at, "x")
        .by_role("AliyunServiceRoleForSample", "sample")
        .with("sourceIpAddress", "Internal")
        .with_params(&[
            // The old flat form.
            ("SecurityGroupId", "sg-a"),
            ("IpProtocol", "TCP"),
            ("PortRange", "22/22"),
            ("SourceCidrIp", "0.0.0.0/0"),
            ("Priority", "1"),
        ]);
    let two = vec![
        authorize("E-1", at, "alice").with_params(&SSH),
        authorize("E-2", at + TimeDelta::seconds(1), "bob").with_params(&SSH),
    ];
    let other = vec![authorize("E-1", at, "alice").with_params(&[
        ("SecurityGroupId", "sg-a"),
        ("Permissions.1.IpProtocol", "tcp"),
        ("Permissions.1.PortRange", "22/22"),
        ("Permissions.1.SourceCidrIp", "47.100.1.2/32"),
    ])];
    for (events, reason, principals) in [
        (
            vec![service],
            UnknownReason::ByService,
            vec!["aliyunserviceroleforsample:sample"],
        ),
        (two, UnknownReason::Ambiguous, vec!["bob", "alice"]),
        (other, UnknownReason::ChangedSince, vec!["alice"]),
        (Vec::new(), UnknownReason::NoEvent, Vec::new()),
    ] {
        let opened = only(&run(one_group(made(ssh_open(), at), events)).await);
        assert_eq!(opened.sureness, Sureness::Unknown, "{opened:?}");
        assert_eq!(opened.reason, Some(reason), "{opened:?}");
        let named: Vec<&str> = opened
            .events
            .iter()
            .chain(&opened.created_by)
            .map(|event| event.principal.as_str())
            .collect();
        assert_eq!(named, principals);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_later_change_opened_it_and_the_maker_is_named_beside() {
    let at = ago(3000);
    let narrow = [
        ("SecurityGroupId", "sg-a"),
        ("Permissions.1.IpProtocol", "tcp"),
        ("Permissions.1.PortRange", "22/22"),
        ("Permissions.1.SourceCidrIp", "47.100.1.2/32"),
    ];
    let modify = |id: &str, rule: &str, fields: &[(&str, &str)]| {
        let mut params = vec![("SecurityGroupId", "sg-a"), ("SecurityGroupRuleId", rule)];
        params.extend_from_slice(fields);
        Event::new(ACCOUNT, REGION, ago(2000), "ModifySecurityGroupRule", id)
            .by(serde_json::json!({
                "type": "root-account", "principalId": ACCOUNT, "accountId": ACCOUNT,
                "accessKeyId": "LTAI-sim-root", "userName": "root",
            }))
            .with_params(&params)
    };
    let mut rule = made(ssh_open(), at);
    rule.security_group_rule_id = "sgr-a".to_owned();
    let opened = only(
        &run(one_group(
            rule.clone(),
            vec![
                authorize("E-1", at, "alice").with_params(&narrow),
                modify("E-2", "sgr-a", &[("SourceCidrIp", "0.0.0.0/0")]),
                // Words only, and another rule: neither opens this one.
                modify("E-3", "sgr-a", &[("Description", "office")]),
                modify("E-4", "sgr-b", &[("SourceCidrIp", "0.0.0.0/0")]),
            ],
        ))
        .await,
    );
    assert_eq!(opened.sureness, Sureness::Certain, "{opened:?}");
    assert_eq!(opened.how, Some(Opening::Modified));
    assert_eq!(opened.events[0].principal, "root");
    assert_eq!(opened.created_by.expect("a maker").principal, "alice");
    // Made before all that is kept: a change within it is named all the same.
    let old = made(rule, ago(200 * 24 * 60));
    let change = modify("E-2", "sgr-a", &[("SourceCidrIp", "0.0.0.0/0")]);
    let opened = only(&run(one_group(old.clone(), vec![change])).await);
    assert_eq!(opened.how, Some(Opening::Modified), "{opened:?}");
    let opened = only(&run(one_group(old, Vec::new())).await);
    assert_eq!(opened.reason, Some(UnknownReason::TooOld), "{opened:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_rule_of_the_other_direction_is_looked_up_among_its_own_calls() {
    let at = ago(3000);
    let rule = made(Rule::egress("ALL", "-1/-1", "0.0.0.0/0"), at);
    let entry = [
        ("SecurityGroupId", "sg-a"),
        ("Permissions.1.IpProtocol", "all"),
        ("Permissions.1.DestCidrIp", "0.0.0.0/0"),
    ];
    let call = |id: &str, name: &str, user: &str| {
        Event::new(ACCOUNT, REGION, at, name, id)
            .by_user(user)
            .with_params(&entry)
    };
    let host = Host::new(one_group(
        rule,
        vec![
            call("E-1", "AuthorizeSecurityGroup", "alice"),
            call("E-2", "AuthorizeSecurityGroupEgress", "bob"),
        ],
    ))
    .await;
    let check = "[[policy.check]]\nid = \"out\"\nkind = \"all-protocols\"\nseverity = \"low\"\ndirection = \"egress\"\n";
    let run = sgwarden::job::run(&job(check), &host.tools())
        .await
        .expect("a run");
    let finding = &run.record.findings[0];
    // Beside the default that lets everything out, which nobody opened.
    let rule = finding
        .rules
        .iter()
        .find(|rule| rule.rule_id.starts_with("sgr-"));
    let opened = rule
        .and_then(|rule| rule.opened_by.clone())
        .expect("it was asked");
    assert_eq!(opened.sureness, Sureness::Certain, "{opened:?}");
    assert_eq!(opened.events[0].principal, "bob");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_came_with_the_group_is_likely_its_makers() {
    let at = ago(3000);
    let mut start = world(&[("sg-a", vec![made(ssh_open(), at)])]);
    start
        .group_mut(ACCOUNT, REGION, "sg-a")
        .expect("the group")
        .creation_time = text(at - TimeDelta::seconds(1));
    let mut create = Event::new(ACCOUNT, REGION, at, "CreateSecurityGroup", "E-1").by_user("alice");
    create.body.insert(
        "responseElements".to_owned(),
        serde_json::json!({"SecurityGroupId": "sg-a"}),
    );
    start.trail = vec![create];
    let opened = only(&run(start).await);
    assert_eq!(opened.sureness, Sureness::Likely, "{opened:?}");
    assert_eq!(opened.how, Some(Opening::WithGroup));
    assert_eq!(opened.events[0].principal, "alice");
}

#[tokio::test(flavor = "multi_thread")]
async fn not_permitted_throttled_or_too_new_is_unknown_and_the_run_is_whole() {
    let at = ago(3000);
    for (fault, reason) in [
        ("LookupEvents=Forbidden.RAM", UnknownReason::NoPermission),
        (
            "LookupEvents=InvalidParameter.Odd:400",
            UnknownReason::CallFailed,
        ),
    ] {
        let host = Host::new(one_group(
            made(ssh_open(), at),
            vec![authorize("E-1", at, "alice").with_params(&SSH)],
        ))
        .await;
        host.cloud.add_fault(Fault::parse(fault).expect("a fault"));
        let run = sgwarden::job::run(&job(""), &host.tools())
            .await
            .expect("a sealed run");
        let opened = only(&run);
        assert_eq!(opened.reason, Some(reason), "{opened:?}");
        assert!(opened.detail.contains("LookupEvents"), "{opened:?}");
        assert_eq!(
            host.cloud.calls()["LookupEvents"],
            1,
            "asked once, not again"
        );
        assert_eq!(run.record.header.totals.exposed, 1);
    }
    // A user without the permission, by name of it.
    let mut start = one_group(made(ssh_open(), at), Vec::new());
    for account in start.accounts.values_mut() {
        account.users[0].deny = vec!["actiontrail:*".to_owned()];
    }
    let opened = only(&run(start).await);
    assert_eq!(opened.reason, Some(UnknownReason::NoPermission));
    assert!(
        opened.detail.contains("actiontrail:LookupEvents"),
        "{opened:?}"
    );
    // One refusal for throttling is waited out.
    let host = Host::new(one_group(
        made(ssh_open(), at),
        vec![authorize("E-1", at, "alice").with_params(&SSH)],
    ))
    .await;
    host.cloud
        .add_fault(Fault::parse("LookupEvents=throttle,times=1").expect("a fault"));
    let run_1 = sgwarden::job::run(&job(""), &host.tools())
        .await
        .expect("a run");
    assert_eq!(only(&run_1).sureness, Sureness::Certain);
    let opened = only(&run(one_group(made(ssh_open(), ago(3)), Vec::new())).await);
    assert_eq!(opened.reason, Some(UnknownReason::TooNew));
}

#[tokio::test(flavor = "multi_thread")]
async fn without_the_key_nobody_is_asked() {
    let host = Host::new(one_group(made(ssh_open(), ago(3000)), Vec::new())).await;
    let mut job = job("");
    job.schedule.attribution = false;
    let run = sgwarden::job::run(&job, &host.tools())
        .await
        .expect("a run");
    assert!(run.record.findings[0].rules[0].opened_by.is_none());
    assert!(!host.cloud.calls().contains_key("LookupEvents"));
}

fn later() -> DateTime<Utc> {
    Utc::now() + TimeDelta::minutes(40)
}

#[tokio::test(flavor = "multi_thread")]
async fn the_next_run_holds_our_changes_against_a_record_that_is_not_ours() {
    let mut start = world(&[("sg-a", vec![ssh_open()]), ("sg-b", vec![ssh_open()])]);
    start.trail_delay = TimeDelta::zero();
    let host = Host::new(start).await;
    let first = host.revoke("").await;
    assert_eq!(first.record.changes.len(), 2);
    // At once it is too early, and the question is kept for the run after.
    let soon = sgwarden::job::run(&job(""), &host.tools())
        .await
        .expect("a run");
    let found: Vec<Confirmed> = soon.record.confirmed.iter().map(|c| c.found).collect();
    assert_eq!(found, [Confirmed::TooEarly, Confirmed::TooEarly]);
    // Somebody made one of the two calls vanish from the history.
    let lost = first.record.changes[1].request_id.clone().expect("an id");
    host.cloud.with_world(|world| {
        world
            .trail
            .retain(|event| event.body["requestId"] != lost.as_str());
    });
    let mut tools = host.tools();
    tools.now = later;
    let run = sgwarden::job::run(&job(""), &tools).await.expect("a run");
    let confirmed = &run.record.confirmed;
    assert_eq!(confirmed.len(), 2, "{confirmed:?}");
    assert_eq!(confirmed[0].found, Confirmed::Confirmed);
    assert_eq!(confirmed[0].run, first.sealed.run);
    let event = confirmed[0].event.as_ref().expect("the call");
    assert_eq!(event.principal, "auditor");
    assert!(event.user_agent.starts_with("sgwarden/"), "{event:?}");
    assert_eq!(confirmed[1].found, Confirmed::Missing);
    assert_eq!(confirmed[1].request_id, lost);
    let csv = std::fs::read_to_string(run.sealed.folder.join("changes.csv")).expect("a report");
    assert!(csv.contains(",missing,") && csv.contains(&lost), "{csv}");
    // What is settled is not asked again.
    let after = sgwarden::job::run(&job(""), &tools).await.expect("a run");
    assert!(after.record.confirmed.is_empty());
}

macro_rules! sample {
    ($name:literal) => {
        include_bytes!(concat!("../fixtures/responses/", $name)).as_slice()
    };
}

/// The samples speak of the rules of one group: each by what the history has of it.
#[test]
fn the_recorded_forms_of_events_are_read_and_held_against_the_rules() {
    let first = wire::events_page(sample!("ActionTrail.LookupEvents.page1.json")).expect("a page");
    let last =
        wire::events_page(sample!("ActionTrail.LookupEvents.page2-last.json")).expect("a page");
    assert!(first.next_token.is_some() && last.next_token.is_none());
    assert_eq!((first.events.len(), last.events.len()), (3, 5));
    assert_eq!((first.unreadable, last.unreadable), (0, 0));
    let all: Vec<TrailEvent> = first.events.into_iter().chain(last.events).collect();
    let heard = |name: &str| -> Heard {
        let of = all.iter().filter(|event| event.name == name);
        Ok(of.cloned().collect())
    };
    let web = GroupId::new("sg-bp1sample00000000web");
    let rules = wire::rules_page(
        sample!("DescribeSecurityGroupAttribute.page1.json"),
        web.as_str(),
    )
    .expect("rules")
    .rules
    .expect("rules");
    let (authorized, modified) = (
        heard("AuthorizeSecurityGroup"),
        heard("ModifySecurityGroupRule"),
    );
    let made = heard("CreateSecurityGroup");
    let of = |number: u32, group_made: Option<&Heard>| {
        let id = format!("sgr-bp1sample{number:010}");
        let rule = rules.iter().find(|rule| rule.id() == id).expect("the rule");
        let subject = Subject {
            group_id: &web,
            group_created: time_of("2024-03-05T02:11:09Z"),
            classic: false,
            rule,
            neighbours: &rules,
        };
        let history = History {
            authorized: &authorized,
            modified: &modified,
            group_made,
        };
        opened_by(&subject, history)
    };
    let by = |number: u32| of(number, None).expect("no need of the group");
    let one = by(1);
    assert_eq!(one.sureness, Sureness::Certain, "{one:?}");
    assert_eq!(one.events[0].principal, "alice");
    assert_eq!(one.events[0].tool, "console");
    assert_eq!(one.events[0].access_key_id, "");
    let two = by(2);
    assert_eq!(two.how, Some(Opening::Modified), "{two:?}");
    assert_eq!(two.events[0].principal, "root");
    assert_eq!(two.events[0].tool, "Alibaba Cloud CLI 3.0.200");
    assert_eq!(two.created_by.expect("its maker").principal, "alice");
    let six = by(6);
    assert_eq!(six.reason, Some(UnknownReason::ByService), "{six:?}");
    assert_eq!(six.events[0].tool, "service sample-service.aliyuncs.com");
    for number in [8, 9] {
        let opened = by(number);
        assert_eq!(opened.sureness, Sureness::Certain, "{opened:?}");
        assert_eq!(opened.events[0].principal, "terraform-ci:ci-4711");
        assert_eq!(opened.events[0].tool, "Terraform 1.7.4");
    }
    // Made in the group's own second, and by no call: it came with the group.
    assert_eq!(of(3, None), None);
    let three = of(3, Some(&made)).expect("an answer");
    assert_eq!(three.sureness, Sureness::Likely, "{three:?}");
    assert_eq!(three.events[0].principal, "alice");
    let none = Ok(Vec::new());
    let three = of(3, Some(&none)).expect("an answer");
    assert_eq!(three.reason, Some(UnknownReason::NoEvent));
}

#[test]
fn parameters_are_read_in_every_form_and_an_odd_event_is_counted() {
    let event = |params: &str| {
        format!(
            r#"{{"Events":[{{"eventId":"E","eventName":"AuthorizeSecurityGroup","eventTime":"2026-11-24T00:00:00Z","eventVersion":"1",{params}}}]}}"#
        )
    };
    for form in [
        r#""requestParameters":{"Permissions.1.PortRange":"22/22","Permissions.1.Priority":"1"}"#,
        r#""requestParameters":{"Permissions":[{"PortRange":"22/22","Priority":1}]}"#,
        r#""requestParameters":{"Permissions":"[{\"PortRange\":\"22/22\",\"Priority\":1}]"}"#,
        r#""requestParameterJson":"{\"Permissions\":[{\"PortRange\":\"22/22\",\"Priority\":1}]}""#,
    ] {
        let page = wire::events_page(event(form).as_bytes()).expect("a page");
        let params = &page.events[0].params;
        assert_eq!(params["Permissions.1.PortRange"], "22/22", "{form}");
        assert_eq!(params["Permissions.1.Priority"], "1", "{form}");
        assert_eq!(page.events[0].request_id, "E", "equal where it is not said");
    }
    let odd = r#"{"Events":[{"eventId":"E"},"x",{"eventId":"E","eventName":"A","eventTime":"soon"}],"NextToken":""}"#;
    let page = wire::events_page(odd.as_bytes()).expect("a page");
    assert_eq!((page.events.len(), page.unreadable), (0, 3));
    assert_eq!(page.next_token, None);
    for bad in ["{}", r#"{"Events":null}"#, "[]", r#"{"Events":{}}"#] {
        assert!(wire::events_page(bad.as_bytes()).is_err(), "{bad}");
    }
}

#[test]
fn tools_are_read_off_user_agents() {
    for (agent, meant) in [
        (
            "AlibabaCloud (Linux; x86_64) Python/3.11.7 Core/0.4.3 TeaDSL/2",
            "SDK Python/3.11.7",
        ),
        ("ecs.console.aliyun.com", "console"),
        ("AliyunConsole", "console"),
        ("=cmd|' /C calc'!A0", "=cmd|' /C calc'!A0"),
        ("", ""),
    ] {
        assert_eq!(sgwarden::policy::opened::tool(agent), meant);
    }
}

/// Every sentence there is, in the three languages.
#[test]
fn goldens_of_who_opened_it() {
    let event = |who: &str| OpeningEvent {
        event_id: "5A1D0C3E-0001".to_owned(),
        action: "AuthorizeSecurityGroup".to_owned(),
        time: "2026-11-20T02:11:10Z".to_owned(),
        principal: who.to_owned(),
        principal_type: "ram-user".to_owned(),
        principal_id: "200000000000000002".to_owned(),
        account: ACCOUNT.to_owned(),
        access_key_id: String::new(),
        source: "203.0.113.77".to_owned(),
        tool: "console".to_owned(),
        user_agent: "ecs.console.aliyun.com".to_owned(),
    };
    let opened = |how, reason: Option<UnknownReason>, events: &[&str]| OpenedBy {
        sureness: match (reason, how) {
            (Some(_), _) => Sureness::Unknown,
            (None, Some(Opening::WithGroup)) => Sureness::Likely,
            (None, _) => Sureness::Certain,
        },
        how,
        reason,
        events: events.iter().map(|who| event(who)).collect(),
        created_by: None,
        detail: String::new(),
    };
    let mut all = vec![
        opened(Some(Opening::Authorized), None, &["=cmd\u{202e}|x"]),
        opened(Some(Opening::Modified), None, &["root"]),
        opened(Some(Opening::WithGroup), None, &["alice"]),
    ];
    all[1].created_by = Some(event("alice"));
    for reason in UnknownReason::ALL {
        let named: &[&str] = match reason {
            UnknownReason::Ambiguous => &["alice", ""],
            UnknownReason::ByService => &["aliyunserviceroleforsample:x"],
            _ => &[],
        };
        all.push(opened(None, Some(reason), named));
    }
    if let Some(denied) = all
        .iter_mut()
        .find(|o| o.reason == Some(UnknownReason::NoPermission))
    {
        denied.detail = "LookupEvents in cn-hangzhou: NoPermission".to_owned();
    }
    let mut text = String::new();
    for language in [Language::En, Language::ZhCn, Language::ZhTw] {
        let mut record = record(language, false);
        let mut rule = record.findings[0].rules[0].clone();
        for found in [
            Confirmed::Confirmed,
            Confirmed::Missing,
            Confirmed::TooEarly,
            Confirmed::Unread,
        ] {
            record.confirmed.push(Confirmation {
                run: RunId::new("20261117T020000Z-weekly-abcdef"),
                account: record.header.identity.account.clone(),
                region: "cn-hangzhou".into(),
                group_id: "sg-1".into(),
                action: "RevokeSecurityGroup".to_owned(),
                request_id: format!("473469C7-{}", found.as_str()),
                attempted_at: "2026-11-17T02:00:09Z".to_owned(),
                found,
                event: None,
                detail: String::new(),
            });
        }
        record.findings[0].rules[0].opened_by = Some(all[0].clone());
        let view = View::new(&record);
        for one in &all {
            rule.opened_by = Some(one.clone());
            text.push_str(&view.opened(&rule).expect("it was asked"));
            text.push('\n');
        }
        text.push_str(&view.confirmations().join("\n"));
        text.push_str("\n\n");
        // Foreign text stays text in every report.
        for artifact in
            render(&record, &[Format::Csv, Format::Html, Format::Xlsx]).expect("reports")
        {
            if artifact.media_type.starts_with("text/") {
                let shown = String::from_utf8_lossy(&artifact.bytes).into_owned();
                assert!(!shown.contains('\u{202e}'), "{}", artifact.name);
                assert!(shown.contains("473469C7-missing") || artifact.name == "findings.csv");
            }
        }
    }
    expect_file!["../golden/opened.txt"].assert_eq(&text);
}
