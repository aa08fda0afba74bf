//! Function Compute, where things do not go well: what is refused, what is cut short, what cannot begin,
//! and what can be told nobody.

use crate::fc::{GROUP, Runtime, host, resource};
use crate::kit::s3::S3;
use serde_json::json;
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
