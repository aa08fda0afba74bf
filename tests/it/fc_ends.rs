//! Function Compute, where things do not go well: what is refused, what is cut short, what cannot begin,
//! and what can be told nobody.

use crate::fc::{GROUP, Runtime, host, resource};
use crate::kit::host::Host;
use crate::kit::s3::S3;
use serde_json::{Value, json};
use sgwarden::sim::Fault;
use std::sync::Mutex;
use std::time::Duration;

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
