//! Function Compute, where things do not go well: what is refused, what is cut short, what cannot begin,
//! and what can be told nobody.

use crate::fc::{GROUP, Runtime, host, resource};
use crate::kit::host::{ACCOUNT, Host, REGION, ssh_open, world};
use crate::kit::s3::S3;
use serde_json::{Value, json};
use sgwarden::sim::Fault;
use sgwarden::sim::hook::Hook;
use sgwarden::sim::smtp::{Mode, Receiver, ReceiverOptions};
use std::net::{SocketAddr, TcpListener};
use std::sync::Mutex;
use std::time::{Duration, Instant};

/// Waits until a line holds that text; a pipe is read by a thread of its own.
async fn seen(lines: &Mutex<Vec<String>>, part: &str) {
    for _ in 0..2000 {
        if holds(lines, part) {
            return;
        }
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    panic!("no line with {part}: {:#?}", lines.lock());
}

fn holds(lines: &Mutex<Vec<String>>, part: &str) -> bool {
    let lines = lines.lock().expect("unpoisoned");
    lines.iter().any(|line| line.contains(part))
}

/// A timer's event of that minute, for that schedule.
fn timer(minute: u8, schedule: &str) -> Value {
    json!({"triggerTime": format!("2026-11-23T02:{minute:02}:00Z"), "triggerName": "t", "payload": schedule})
}

/// A custom rule's event about a resource.
fn asked(id: &str, kind: &str, account: &str) -> Value {
    let item = json!({"accountId": account, "regionId": REGION, "resourceId": id,
        "resourceType": kind, "configuration": "{}"});
    json!({"orderingTimestamp": 1, "resultToken": "t", "ruleParameters": {},
        "invokingEvent": {"messageType": "ConfigurationItemChangeNotification", "configurationItem": item}})
}

/// A function that keeps everything in its folder, and whose schedule `weekly` mails to two by that relay.
async fn mailing(relay: SocketAddr, more: &str) -> Host {
    let host = Host::new(world(&[("sg-a", vec![ssh_open()])])).await;
    host.write(
        "sgwarden.toml",
        &format!(
            "[storage]\nurl = \"file:evidence\"\nstate = \"file:state\"\n[mail]\n\
             url = \"smtp://{relay}?tls=none\"\nfrom = \"audit@example.com\"\n"
        ),
    );
    let mails = "[[mail]]\nto = [\"a@example.com\", \"b@example.com\"]\nattach = []\n";
    host.write("schedules/weekly.toml", &format!("{mails}{more}"));
    host
}

async fn relay() -> Receiver {
    Receiver::start(Mode::Plain, ReceiverOptions::default())
        .await
        .expect("a relay")
}

/// Waits until a letter is in the outbox.
async fn letter_waits(host: &Host) {
    let outbox = host.path("state/outbox");
    while std::fs::read_dir(&outbox).map_or(0, Iterator::count) == 0 {
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
}

/// Longer than any test should take, shorter than a relay's tries in calm: two minutes and a half.
const CALM: Duration = Duration::from_secs(100);

/// Tells the platform's instance that it goes.
async fn pre_stop(runtime: &Runtime) -> (u16, Value) {
    let headers = [
        ("x-fc-request-id", "1-stop"),
        ("x-fc-control-path", "/pre-stop"),
    ];
    runtime.send("/pre-stop", &headers, String::new()).await
}

/// Runs that are sealed.
async fn sealed(host: &Host) -> usize {
    let listed = host.run(&["runs", "--json"]).await.json();
    listed["runs"].as_array().expect("a list").len()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_refused_request_is_logged_and_has_its_two_lines() {
    let s3 = S3::start();
    let host = host(&s3).await;
    let runtime = Runtime::start(&host);
    let event = json!([resource("sg-exposed", GROUP)]).to_string();
    let invoke = ("x-fc-control-path", "/invoke");
    for (id, headers, why) in [
        (
            "1-half",
            vec![invoke, ("x-fc-access-key-id", "a")],
            "half a key",
        ),
        (
            "1-path",
            vec![("x-fc-control-path", "/else")],
            "/else\\\" is not served",
        ),
        (
            "1-time",
            vec![invoke, ("x-fc-function-timeout", "soon")],
            "is not a number of seconds",
        ),
        ("1-none", vec![], "no x-fc-control-path"),
    ] {
        let mut headers = headers;
        headers.push(("x-fc-request-id", id));
        let (status, answer) = runtime.send("/invoke", &headers, event.clone()).await;
        assert_eq!(status, 404, "{answer}");
        seen(&runtime.logged, why).await;
        let logged = runtime.logged.lock().expect("unpoisoned").join("\n");
        assert!(logged.contains("ERROR") && logged.contains(id), "{logged}");
        for end in ["Start", "End"] {
            seen(&runtime.lines, &format!("FC Invoke {end} RequestId: {id}")).await;
        }
    }
    let (status, _) = runtime.send("/invoke", &[invoke], event).await;
    assert_eq!(status, 404);
    seen(&runtime.logged, "no x-fc-request-id").await;
    assert_eq!(host.cloud.calls().len(), 0, "nothing was called");
}

#[tokio::test(flavor = "multi_thread")]
async fn an_instance_that_goes_takes_no_event_that_waits_or_comes() {
    let s3 = S3::start();
    let host = host(&s3).await;
    host.cloud
        .add_fault(Fault::parse("DescribeSecurityGroups=hang").expect("a fault"));
    let runtime = Runtime::start(&host);
    let events = [timer(0, "weekly"), timer(1, "weekly"), timer(2, "weekly")];
    let at_hand = runtime.invoke_as("1-first", "900", &events[0]);
    let behind = async {
        host.called("DescribeSecurityGroups").await;
        runtime.invoke_as("1-second", "900", &events[1]).await
    };
    let end = async {
        seen(&runtime.lines, "FC Invoke Start RequestId: 1-second").await;
        pre_stop(&runtime).await
    };
    let ((status, first), (_, second), (stopped, _)) = tokio::join!(at_hand, behind, end);
    assert_eq!((status, stopped), (404, 200));
    assert_eq!(first["exit"], 3, "{first:#}");
    let calls = host.cloud.calls();
    let (_, third) = runtime.invoke_as("1-third", "900", &events[2]).await;
    for refused in [second, third] {
        let why = refused["error"].as_str().expect("why");
        assert!(why.contains("the instance is being stopped"), "{why}");
    }
    assert_eq!(host.cloud.calls(), calls, "nothing was called for it");
    assert_eq!(sealed(&host).await, 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_run_that_was_cut_short_is_not_the_answer_to_its_event() {
    let s3 = S3::start();
    let host = host(&s3).await;
    let runtime = Runtime::start(&host);
    let event = timer(0, "weekly");
    // No time at all: it is stopped before it reads.
    let (status, first) = runtime.invoke_as("1-first", "0", &event).await;
    assert_eq!((status, &first["exit"]), (404, &json!(3)), "{first:#}");
    assert_eq!(host.rules("sg-exposed").len(), 2);
    let (status, again) = runtime.invoke(&event).await;
    assert_eq!(status, 200, "{again:#}");
    assert_eq!(again["changes"]["verified"], 2, "{again:#}");
    let (status, third) = runtime.invoke(&event).await;
    assert_eq!(status, 200, "{third:#}");
    assert_eq!(third["answer"]["run"], again["run"], "{third:#}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_relay_that_is_away_holds_up_no_instance_that_goes() {
    let away = {
        let free = TcpListener::bind("127.0.0.1:0").expect("a port");
        free.local_addr().expect("its address")
    };
    let host = mailing(away, "").await;
    let runtime = Runtime::start(&host);
    let began = Instant::now();
    let event = timer(0, "weekly");
    let run = runtime.invoke(&event);
    let end = async {
        letter_waits(&host).await;
        pre_stop(&runtime).await
    };
    let ((_, answer), (stopped, _)) = tokio::join!(run, end);
    assert_eq!(stopped, 200);
    assert_eq!(answer["exit"], 5, "{answer:#}");
    assert!(began.elapsed() < CALM, "{:?}", began.elapsed());
    seen(&runtime.lines, "FC Invoke End").await;
    // Everything was read: that is the answer to the event, and the letter waits.
    let other = Runtime::start(&host);
    let (_, again) = other.invoke(&event).await;
    assert_eq!(again["repeated"], true, "{again:#}");
    assert_eq!(again["answer"]["run"], answer["run"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_relay_that_hangs_is_given_up_before_the_function_is() {
    let hanging = TcpListener::bind("127.0.0.1:0").expect("a port");
    let address = hanging.local_addr().expect("its address");
    std::thread::spawn(move || {
        let mut held = Vec::new();
        while let Ok((socket, _)) = hanging.accept() {
            held.push(socket);
        }
    });
    let host = mailing(address, "").await;
    let runtime = Runtime::start(&host);
    let began = Instant::now();
    let (_, answer) = runtime.invoke_as("1-hang", "9", &timer(0, "weekly")).await;
    assert_eq!(answer["exit"], 5, "{answer:#}");
    assert!(began.elapsed() < CALM, "{:?}", began.elapsed());
    let run = answer["run"].as_str().expect("a run");
    for part in [
        "did not take a letter to a@",
        "not tried: the run was asked to stop",
        "sgwarden resend",
    ] {
        seen(&runtime.logged, part).await;
    }
    assert!(host.path(&format!("state/outbox/{run}")).is_dir());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_timers_run_calls_the_heartbeat_before_it_is_answered() {
    let hook = Hook::start().await.expect("a watchman");
    let relay = relay().await;
    let beat = format!("[heartbeat]\nurl = \"{}/heartbeat?job=a\"\n", hook.url());
    let host = mailing(relay.addr(), &beat).await;
    let runtime = Runtime::start(&host);
    let visits = || -> Vec<String> { hook.heard().into_iter().map(|h| h.target).collect() };
    let (status, answer) = runtime.invoke(&timer(0, "weekly")).await;
    assert_eq!(status, 200, "{answer:#}");
    assert_eq!(visits(), ["/heartbeat?job=a&exit=0"]);
    // A repeat is no run, and one that cannot start is silent.
    let (_, again) = runtime.invoke(&timer(0, "weekly")).await;
    assert_eq!(again["repeated"], true, "{again:#}");
    host.cloud
        .add_fault(Fault::parse("GetCallerIdentity=Forbidden.RAM").expect("a fault"));
    let (_, failed) = runtime.invoke(&timer(1, "weekly")).await;
    assert_eq!(failed["exit"], 6, "{failed:#}");
    assert_eq!(visits().len(), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn whatever_could_not_start_is_told_once_to_everybody() {
    let relay = relay().await;
    let host = mailing(relay.addr(), "").await;
    let schedule = std::fs::read_to_string(host.path("schedules/weekly.toml")).expect("the file");
    host.write("schedules/config.toml", &schedule);
    host.cloud
        .add_fault(Fault::parse("GetCallerIdentity=Forbidden.RAM").expect("a fault"));
    let remediation = json!([resource("sg-a", GROUP)]);
    let rule = asked("sg-a", GROUP, ACCOUNT);
    let whole = json!({"orderingTimestamp": 1, "resultToken": "t", "ruleParameters": {},
        "invokingEvent": {"messageType": "ScheduledNotification", "configurationItem": null}});
    let mut told = 0;
    let runtime = Runtime::start(&host);
    for event in [&remediation, &rule, &whole, &timer(0, "weekly")] {
        let (status, answer) = runtime.invoke(event).await;
        assert_eq!((status, &answer["exit"]), (404, &json!(6)), "{answer:#}");
        let letters = relay.messages();
        let new: Vec<&str> = letters[told..].iter().map(|m| m.to[0].as_str()).collect();
        assert_eq!(new, ["a@example.com", "b@example.com"], "{event}");
        told = letters.len();
    }

    // A state that cannot be asked whether the event came before.
    std::fs::remove_dir_all(host.path("state")).expect("a state");
    host.write("state", "no folder");
    let (_, answer) = runtime.invoke(&timer(1, "weekly")).await;
    assert_eq!(answer["exit"], 6, "{answer:#}");
    assert_eq!(relay.messages().len(), told + 2, "{answer:#}");
    told += 2;
    drop(runtime);

    // A state that goes with the instance.
    let toml = std::fs::read_to_string(host.path("sgwarden.toml")).expect("the file");
    let toml = toml.replace("state = \"file:state\"\n", "");
    host.write("sgwarden.toml", &toml);
    let revoke = format!("{schedule}[remediation]\nmode = \"revoke\"\n");
    for name in ["config", "weekly"] {
        host.write(&format!("schedules/{name}.toml"), &revoke);
    }
    let runtime = Runtime::start(&host);
    for event in [&remediation, &timer(2, "weekly")] {
        let (_, answer) = runtime.invoke(event).await;
        assert_eq!(answer["exit"], 6, "{answer:#}");
        assert_eq!(relay.messages().len(), told + 2, "{answer:#}");
        told += 2;
    }
    let text = String::from_utf8_lossy(&relay.messages()[told - 1].data).into_owned();
    assert!(text.contains("NOT STARTED weekly"), "{text}");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_none_of_the_schedules_is_not_applicable_and_nothing_was_left_unread() {
    let relay = relay().await;
    let host = mailing(relay.addr(), "").await;
    let schedule = std::fs::read_to_string(host.path("schedules/weekly.toml")).expect("the file");
    let schedule = format!("{schedule}[policy]\npacks = [\"cis\"]\n");
    host.write("schedules/config.toml", &schedule);
    host.cloud.with_world(|world| {
        world.accounts.get_mut(ACCOUNT).expect("ours").config.set_up = true;
        world.verdicts.insert("t".to_owned(), Vec::new());
    });
    let runtime = Runtime::start(&host);
    let cases = [
        ("i-a", "ACS::ECS::Instance", ACCOUNT),
        ("sg-a", GROUP, "9999999999999999"),
    ];
    for (id, kind, account) in cases {
        let (status, answer) = runtime.invoke(&asked(id, kind, account)).await;
        assert_eq!((status, &answer["exit"]), (200, &json!(0)), "{answer:#}");
        let given = host.cloud.with_world(|world| world.verdicts["t"].clone());
        let last = given.last().expect("a verdict");
        assert_eq!(last["complianceResourceId"], id);
        assert_eq!(last["complianceType"], "NOT_APPLICABLE");
        let run = answer["run"].as_str().expect("a run");
        let manifest = host.path(&format!("evidence/runs/{run}/manifest.json"));
        let manifest = std::fs::read_to_string(manifest).expect("a manifest");
        let manifest: Value = serde_json::from_str(&manifest).expect("JSON");
        let clauses = manifest["controls"].as_array().expect("clauses");
        assert!(!clauses.is_empty());
        for clause in clauses {
            assert_eq!(
                clause["status"], "not_assessed",
                "nothing was judged: {clause}"
            );
        }
    }
    for letter in relay.messages() {
        let text = String::from_utf8_lossy(&letter.data).into_owned();
        assert!(!text.contains("INCOMPLETE"), "{text}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_remediation_that_was_stopped_before_it_read_says_so_of_each_resource() {
    let s3 = S3::start();
    let host = host(&s3).await;
    let runtime = Runtime::start(&host);
    let event = json!([
        resource("sg-exposed", GROUP),
        resource("i-a", "ACS::ECS::Instance")
    ]);
    let (status, answer) = runtime.invoke_as("1-none", "0", &event).await;
    assert_eq!(status, 404, "{answer:#}");
    let run = &answer["runs"][0];
    let outcomes: Vec<&str> = (run["resources"].as_array().expect("a list").iter())
        .map(|resource| resource["outcome"].as_str().expect("a text"))
        .collect();
    assert_eq!(
        outcomes,
        [
            "not read to its end: the run was asked to stop (the function's time-out is near)",
            "left alone: ACS::ECS::Instance is not a security group",
        ]
    );
    assert_eq!(host.rules("sg-exposed").len(), 2);
    let run = run["run"].as_str().expect("a run");
    let manifest = s3.path(&format!("evidence/audit/runs/{run}/manifest.json"));
    let manifest = std::fs::read_to_string(manifest).expect("a manifest");
    let manifest: Value = serde_json::from_str(&manifest).expect("JSON");
    assert_eq!(manifest["trigger"]["resources"][0]["outcome"], outcomes[0]);
}
