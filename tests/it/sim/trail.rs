//! ActionTrail as the simulated cloud serves it: parameters, pages, permission, rate, recording.

use super::{ACCOUNT, Caller, HZ, Params, is, small, start};
use chrono::{DateTime, SecondsFormat, Utc};
use serde_json::Value;
use sgwarden::sim::{Event, World};

fn ago(minutes: i64) -> DateTime<Utc> {
    Utc::now() - chrono::Duration::minutes(minutes)
}

fn time(minutes: i64) -> String {
    ago(minutes).to_rfc3339_opts(SecondsFormat::Secs, true)
}

/// Waits for the next second: two calls are answered in each.
async fn pause() {
    tokio::time::sleep(std::time::Duration::from_millis(510)).await;
}

async fn lookup(caller: &Caller, extra: Params<'_>) -> (u16, Value) {
    pause().await;
    let params: Vec<(&str, &str)> = [("RegionId", HZ)].iter().chain(extra).copied().collect();
    caller.any("LookupEvents", &params).await
}

fn ids(body: &Value) -> Vec<&str> {
    let events = body["Events"].as_array().expect("a list");
    events
        .iter()
        .map(|event| event["eventId"].as_str().expect("an id"))
        .collect()
}

fn history() -> World {
    let mut world = small();
    for (id, minutes, name, user) in [
        ("E-1", 300, "AuthorizeSecurityGroup", "alice"),
        ("E-2", 200, "AuthorizeSecurityGroup", "bob"),
        ("E-3", 100, "ModifySecurityGroupRule", "alice"),
        ("E-4", 5, "AuthorizeSecurityGroup", "alice"),
    ] {
        let event = Event::new(ACCOUNT, HZ, ago(minutes), name, id).by_user(user);
        world.trail.push(event);
    }
    let elsewhere = Event::new(
        ACCOUNT,
        "cn-shanghai",
        ago(300),
        "AuthorizeSecurityGroup",
        "E-5",
    );
    world.trail.push(elsewhere);
    world
}

#[tokio::test]
async fn the_history_is_filtered_paged_and_bound_to_its_question() {
    let (_cloud, caller) = start(history()).await;
    let (_, all) = lookup(&caller, &[]).await;
    assert_eq!(
        ids(&all),
        ["E-3", "E-2", "E-1"],
        "newest first; ten minutes unseen"
    );
    assert!(all.get("NextToken").is_none());
    let by_name = [
        ("LookupAttribute.1.Key", "EventName"),
        ("LookupAttribute.1.Value", "AuthorizeSecurityGroup"),
    ];
    let window = [("StartTime", time(400)), ("EndTime", time(0))];
    let window: Vec<(&str, &str)> = window.iter().map(|(n, v)| (*n, v.as_str())).collect();
    let one: Vec<(&str, &str)> = by_name
        .iter()
        .chain(&window)
        .chain(&[("MaxResults", "1"), ("Direction", "FORWARD")])
        .copied()
        .collect();
    let (_, page) = lookup(&caller, &one).await;
    assert_eq!(ids(&page), ["E-1"]);
    let token = page["NextToken"].as_str().expect("a token").to_owned();
    assert!(token.len() > 200 && token.contains('+') && token.contains('/'));
    let mut next = one.clone();
    next.push(("NextToken", &token));
    let (_, page) = lookup(&caller, &next).await;
    assert_eq!(ids(&page), ["E-2"]);
    assert!(page.get("NextToken").is_none(), "absent on the last page");
    // Another question with this token.
    let other: Vec<(&str, &str)> = next
        .iter()
        .copied()
        .filter(|(n, _)| *n != "Direction")
        .collect();
    let (status, _) = lookup(&caller, &other).await;
    assert_eq!(status, 400);
    // Two conditions are joined by AND.
    let both: Vec<(&str, &str)> = by_name
        .iter()
        .chain(&[
            ("LookupAttribute.2.Key", "User"),
            ("LookupAttribute.2.Value", "bob"),
        ])
        .copied()
        .collect();
    let (_, page) = lookup(&caller, &both).await;
    assert_eq!(ids(&page), ["E-2"]);
}

#[tokio::test]
async fn what_lookup_events_refuses() {
    let (cloud, caller) = start(history()).await;
    let old = time(91 * 24 * 60);
    let (now, before) = (time(0), time(10));
    for (extra, code) in [
        (&[("MaxResults", "51")][..], "InvalidParameter.MaxResults"),
        (&[("MaxResults", "0")], "InvalidParameter.MaxResults"),
        (
            &[("StartTime", before.as_str())],
            "MissingParameter.EndTime",
        ),
        (
            &[("StartTime", now.as_str()), ("EndTime", before.as_str())],
            "InvalidParameter.EndTime",
        ),
        (
            &[("StartTime", old.as_str()), ("EndTime", old.as_str())],
            "InvalidParameter.EndTime",
        ),
        (
            &[("StartTime", old.as_str()), ("EndTime", now.as_str())],
            "InvalidParameter.EndTime",
        ),
        (
            &[("StartTime", "yesterday"), ("EndTime", now.as_str())],
            "InvalidParameter.StartTime",
        ),
        (
            &[
                ("LookupAttribute.1.Key", "eventname"),
                ("LookupAttribute.1.Value", "x"),
            ],
            "InvalidParameter.LookupAttribute",
        ),
        (&[("Direction", "DOWN")], "InvalidParameter.Direction"),
        (&[("NextToken", "x")], "InvalidParameter.NextToken"),
        (&[("EventName", "x")], "UnsupportedParameter"),
    ] {
        let (status, body) = lookup(&caller, extra).await;
        assert_eq!(
            (status, body["Code"].as_str()),
            (400, Some(code)),
            "{extra:?}"
        );
    }
    cloud.with_world(|world| {
        let account = world.accounts.get_mut(ACCOUNT).expect("the account");
        account.users[0].allow = vec!["ecs:*".to_owned()];
    });
    let (status, body) = lookup(&caller, &[]).await;
    assert_eq!((status, body["Code"].as_str()), (403, Some("NoPermission")));
}

#[tokio::test]
async fn two_calls_a_second_and_no_more() {
    let (_cloud, caller) = start(history()).await;
    for _ in 0..100 {
        let (status, body) = caller.any("LookupEvents", &[("RegionId", HZ)]).await;
        if status == 400 {
            assert_eq!(body["Code"], "Throttling.User");
            return;
        }
    }
    panic!("a hundred calls in a row, and none was refused");
}

#[tokio::test]
async fn changes_made_here_are_recorded_as_they_were_sent_the_refused_too() {
    let mut world = small();
    world.trail_delay = chrono::Duration::zero();
    let (_cloud, caller) = start(world).await;
    let params = [
        ("RegionId", HZ),
        ("SecurityGroupId", "sg-a"),
        ("Permissions.1.IpProtocol", "TCP"),
        ("Permissions.1.PortRange", "3389/3389"),
        ("Permissions.1.SourceCidrIp", "0.0.0.0/0"),
    ];
    let done = caller.ok("AuthorizeSecurityGroup", &params).await;
    let gone = [
        ("RegionId", HZ),
        ("SecurityGroupId", "sg-a"),
        ("SecurityGroupRuleId.1", "sgr-gone"),
    ];
    let refused = caller.refused("RevokeSecurityGroup", &gone).await;
    assert_eq!(refused, is(400, "InvalidParam.SecurityGroupRuleId"));
    let (_, body) = lookup(&caller, &[]).await;
    let events = body["Events"].as_array().expect("a list");
    assert_eq!(events.len(), 2);
    let of = |name: &str| events.iter().find(|e| e["eventName"] == name).expect("it");
    let made = of("AuthorizeSecurityGroup");
    assert_eq!(made["requestId"], done["RequestId"]);
    assert_eq!(
        made["requestParameters"]["Permissions.1.PortRange"],
        "3389/3389"
    );
    assert_eq!(made["userIdentity"]["userName"], "auditor");
    assert!(made.get("errorCode").is_none());
    let refused = of("RevokeSecurityGroup");
    assert_eq!(refused["errorCode"], "InvalidParam.SecurityGroupRuleId");
    assert!(refused.get("responseElements").is_none());
}
