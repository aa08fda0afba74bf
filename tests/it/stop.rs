//! A run that is asked to stop: it ends where it is, says what it did not read, and finishes the
//! group it is changing.

use crate::kit::host::{Host, REGION, ssh_open, world};
use sgwarden::job;
use sgwarden::model::{HoldReason, Outcome, RegionStatus};
use sgwarden::sim::Fault;
use std::process::Stdio;
use std::time::Duration;

#[tokio::test(flavor = "multi_thread")]
async fn reading_ends_where_it_is_and_says_so() {
    let host = Host::new(world(&[("sg-a", vec![ssh_open()])])).await;
    host.cloud
        .add_fault(Fault::parse("DescribeSecurityGroups=hang").expect("a fault"));
    let tools = host.tools();
    let stop = tools.stop.clone();
    let cloud_asked = async {
        host.called("DescribeSecurityGroups").await;
        stop.ask("a test");
    };
    let job = host.job("");
    let (outcome, ()) = tokio::join!(job::run(&job, &tools), cloud_asked);
    let record = outcome.expect("a sealed run").record;
    assert!(!record.header.complete);
    let region = &record.coverage.regions[0];
    assert_eq!(region.region.as_str(), REGION);
    assert_eq!(region.status, RegionStatus::Failed);
    let error = region.error.as_ref().expect("why");
    assert_eq!(error.code, "stopped");
    assert!(error.message.contains("a test"), "{}", error.message);
    assert!(record.changes.is_empty());
    assert_eq!(host.rules("sg-a").len(), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn the_group_at_hand_is_finished_and_the_rest_is_held() {
    let groups = [("sg-a", vec![ssh_open()]), ("sg-b", vec![ssh_open()])];
    let host = Host::new(world(&groups)).await;
    let mut tools = host.tools();
    let stop = tools.stop.clone();
    tools.progress = std::sync::Arc::new(move |progress| {
        if let job::Progress::Changing("sg-a") = progress {
            stop.ask("SIGTERM");
        }
    });
    let outcome = job::run(&host.job(""), &tools).await.expect("sealed");
    assert!(outcome.record.header.complete, "everything was read");
    let changes = &outcome.record.changes;
    assert_eq!(changes.len(), 1);
    assert_eq!(changes[0].outcome, Outcome::Verified);
    assert_eq!(outcome.record.held.len(), 1);
    let held = &outcome.record.held[0];
    assert_eq!(held.group_id.as_str(), "sg-b");
    assert_eq!(held.reasons, [HoldReason::Deadline]);
    assert!(held.detail.contains("SIGTERM"), "{}", held.detail);
    assert_eq!(host.rules("sg-a").len(), 0);
    assert_eq!(host.rules("sg-b").len(), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn sigterm_seals_what_was_read_and_a_second_ends_at_once() {
    for twice in [false, true] {
        let host = Host::new(world(&[("sg-a", vec![ssh_open()])])).await;
        host.cloud
            .add_fault(Fault::parse("DescribeSecurityGroupAttribute=hang").expect("a fault"));
        if twice {
            // The first signal is heard while it is asked who we are: that is not cut short.
            host.cloud
                .add_fault(Fault::parse("GetCallerIdentity=hang").expect("a fault"));
        }
        let child = host
            .command(&["scan", "--json"])
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .expect("it starts");
        host.called(if twice {
            "GetCallerIdentity"
        } else {
            "DescribeSecurityGroupAttribute"
        })
        .await;
        host.signal(&child, "TERM");
        if twice {
            tokio::time::sleep(Duration::from_millis(100)).await;
            host.signal(&child, "TERM");
        }
        let output = tokio::task::spawn_blocking(move || child.wait_with_output())
            .await
            .expect("no panic")
            .expect("it ends");
        let told = String::from_utf8_lossy(&output.stderr).into_owned();
        assert_eq!(
            output.status.code(),
            Some(if twice { 6 } else { 3 }),
            "{told}"
        );
        assert_eq!(host.path("evidence/runs").is_dir(), !twice, "{told}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn no_letter_is_tried_again_once_it_is_asked_to_stop() {
    let away = {
        let free = std::net::TcpListener::bind("127.0.0.1:0").expect("a port");
        free.local_addr().expect("its address")
    };
    let host = Host::new(world(&[("sg-a", vec![ssh_open()])])).await;
    host.write(
        "sgwarden.toml",
        &format!("[mail]\nurl = \"smtp://{away}?tls=none\"\nfrom = \"audit@example.com\"\n"),
    );
    host.write("s.toml", "[[mail]]\nto = [\"a@example.com\"]\n");
    let child = host
        .command(&["run", "--schedule", "s.toml", "--json"])
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .expect("it starts");
    let outbox = host.path("state/outbox");
    while std::fs::read_dir(&outbox).map_or(0, Iterator::count) == 0 {
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    let asked = std::time::Instant::now();
    host.signal(&child, "TERM");
    let output = tokio::task::spawn_blocking(move || child.wait_with_output())
        .await
        .expect("no panic")
        .expect("it ends");
    let told = String::from_utf8_lossy(&output.stderr).into_owned();
    assert_eq!(output.status.code(), Some(5), "{told}");
    // In calm it waits for two minutes and a half.
    assert!(asked.elapsed() < Duration::from_secs(100), "{told}");
    assert!(told.contains("sgwarden resend"), "{told}");
}
