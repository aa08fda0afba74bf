//! Stores and states in a bucket, against a real S3-compatible server.

use crate::change::one_open;
use crate::kit::host::Host;
use crate::kit::s3::S3;
use chrono::Utc;
use serde_json::Value;
use sgwarden::sim::Fault;
use sgwarden::storage::lease::Lease;
use sgwarden::storage::{Error, Shelf};
use std::path::PathBuf;
use std::time::Duration;

const LIVE: &str =
    "[remediation]\nmode = \"revoke\"\nmax_share = \"100%\"\n[report]\nformats = [\"csv\"]\n";

/// What code that uses a shelf relies on, whatever it is made of.
fn keeps_its_promises(shelf: &Shelf) {
    assert!(!shelf.has_folder("journal").expect("asked"));
    assert_eq!(shelf.read("journal/a.jsonl").expect("asked"), None);
    assert_eq!(shelf.names("journal").expect("asked"), Vec::<String>::new());
    shelf.append("journal/a.jsonl", b"one\n").expect("written");
    shelf.append("journal/a.jsonl", b"two\n").expect("written");
    assert_eq!(
        shelf.read("journal/a.jsonl").expect("asked").as_deref(),
        Some(&b"one\ntwo\n"[..])
    );
    shelf
        .write("journal/a.jsonl", b"one\ntor")
        .expect("written");
    shelf.append("journal/a.jsonl", b"two\n").expect("written");
    assert_eq!(
        shelf.read("journal/a.jsonl").expect("asked").as_deref(),
        Some(&b"one\ntwo\n"[..]),
        "a torn line is not glued to the next"
    );
    shelf.write("journal/b.jsonl", b"").expect("written");
    shelf.write("journal/deeper/c", b"c").expect("written");
    assert_eq!(
        shelf.names("journal").expect("asked"),
        ["a.jsonl", "b.jsonl"]
    );
    assert!(shelf.has_folder("journal").expect("asked"));
    shelf.remove("journal/b.jsonl").expect("removed");
    shelf
        .remove("journal/b.jsonl")
        .expect("removed twice is removed");
    assert_eq!(shelf.names("journal").expect("asked"), ["a.jsonl"]);
}

#[test]
fn a_folder_and_a_bucket_keep_the_same_promises() {
    let dir = tempfile::TempDir::new().expect("a folder");
    keeps_its_promises(&Shelf::Folder(dir.path().join("state")));
    let s3 = S3::start();
    keeps_its_promises(&Shelf::Bucket(s3.bucket("statebucket/x")));
}

#[test]
fn an_object_is_created_once_and_the_same_bytes_are_ours() {
    let s3 = S3::start();
    let bucket = s3.bucket("evidence/x");
    assert!(bucket.create("a", b"mine").expect("asked"));
    assert!(
        bucket.create("a", b"mine").expect("asked"),
        "an answer that was lost does no harm"
    );
    assert!(!bucket.create("a", b"theirs").expect("asked"));
    assert_eq!(
        bucket.read("a").expect("asked").as_deref(),
        Some(&b"mine"[..])
    );
}

#[test]
fn a_lock_in_a_bucket_has_one_holder_and_outlives_the_dead_for_a_while_only() {
    let s3 = S3::start();
    let bucket = s3.bucket("statebucket/x");
    let first = Lease::take(&bucket, "weekly", "host a", Utc::now()).expect("free");
    let Err(Error::Held { holder, .. }) = Lease::take(&bucket, "weekly", "host b", Utc::now())
    else {
        panic!("two holders")
    };
    assert!(holder.contains("host a"), "{holder}");
    Lease::take(&bucket, "daily", "host b", Utc::now()).expect("another name is free");
    // Renewed: longer than its life it is still held.
    std::thread::sleep(Duration::from_millis(2500));
    first.check().expect("still ours");
    assert!(Lease::take(&bucket, "weekly", "host b", Utc::now()).is_err());
    drop(first);
    let second = Lease::take(&bucket, "weekly", "host b", Utc::now()).expect("let go");
    // A clock far ahead finds it run out: the same as a holder that died long ago.
    let later = Utc::now() + chrono::TimeDelta::seconds(60);
    let third = Lease::take(&bucket, "weekly", "host c", later).expect("run out");
    let Err(Error::Lost { why, .. }) = second.check() else {
        panic!("a lock that was taken over is still believed")
    };
    assert!(why.contains("taken by another run"), "{why}");
    third.check().expect("the last one holds");
    drop(second);
    third.check().expect("and is not let go by the one before");
}

async fn host_on(s3: &S3) -> Host {
    let mut host = one_open().await;
    join(&mut host, s3);
    host
}

fn join(host: &mut Host, s3: &S3) {
    host.environment.extend(S3::environment());
    host.write("sgwarden.toml", &s3.toml());
    host.write("s/live.toml", LIVE);
}

fn changes_of(s3: &S3, run: &Value) -> Value {
    let run = run.as_str().expect("a run id");
    let path = s3.path(&format!("evidence/audit/runs/{run}/changes.json"));
    serde_json::from_slice(&std::fs::read(path).expect("changes.json")).expect("JSON")
}

#[tokio::test(flavor = "multi_thread")]
async fn a_whole_job_keeps_its_evidence_and_its_state_in_a_bucket() {
    let s3 = S3::start();
    let host = host_on(&s3).await;
    let first = host
        .run(&["run", "--schedule", "s/live.toml", "--json"])
        .await;
    assert_eq!(first.code, 0, "{}{}", first.stdout, first.stderr);
    let first = first.json();
    assert_eq!(first["changes"]["verified"], 1);
    let path = first["path"].as_str().expect("a path");
    assert_eq!(
        path,
        format!(
            "s3://evidence/audit/runs/{}",
            first["run"].as_str().expect("a run")
        )
    );
    assert!(
        first["artifacts"]
            .as_array()
            .expect("a list")
            .iter()
            .any(|name| name == &format!("{path}/findings.csv"))
    );
    assert!(!host.path("state").exists() && !host.path("evidence").exists());
    let spool = std::fs::read_dir(spool_of(&host)).expect("the spool");
    assert_eq!(spool.count(), 0);

    let second = host
        .run(&["run", "--schedule", "s/live.toml", "--json"])
        .await
        .json();
    let manifest = s3.path(&format!(
        "evidence/audit/runs/{}/manifest.json",
        second["run"].as_str().expect("a run")
    ));
    let manifest: Value =
        serde_json::from_slice(&std::fs::read(&manifest).expect("a manifest")).expect("JSON");
    assert_eq!(
        manifest["previous"]["run"], first["run"],
        "the chain goes on"
    );

    let runs = host.run(&["runs", "--json"]).await.json();
    assert_eq!(runs["runs"].as_array().expect("a list").len(), 2);
    let verified = host.run(&["verify", "--all"]).await;
    assert_eq!(verified.code, 0, "{}{}", verified.stdout, verified.stderr);
    let id = first["run"].as_str().expect("a run");
    let report = host
        .run(&["report", id, "--format", "html", "--out", "out"])
        .await;
    assert_eq!(report.code, 0, "{}", report.stderr);
    assert!(host.path("out/report.html").is_file());

    let back = host.run(&["rollback", id, "--json"]).await;
    assert_eq!(back.json()["changes"]["verified"], 1, "{}", back.stderr);
    assert_eq!(host.rules("sg-a").len(), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn verify_reads_the_bucket_and_not_what_was_brought_before() {
    let s3 = S3::start();
    let host = host_on(&s3).await;
    let run = host.run(&["scan", "--json"]).await.json();
    let id = run["run"].as_str().expect("a run").to_owned();
    assert_eq!(host.run(&["verify", &id]).await.code, 0);
    let object = s3.path(&format!("evidence/audit/runs/{id}/findings.json"));
    let text = std::fs::read_to_string(&object).expect("findings");
    std::fs::write(&object, text.replace("sg-a", "sg-b")).expect("spoiled");
    let verified = host.run(&["verify", &id]).await;
    assert_eq!(verified.code, 1, "{}", verified.stdout);
    assert!(
        verified.stdout.contains("findings.json has sha256"),
        "{}",
        verified.stdout
    );
    std::fs::write(&object, text).expect("mended");
    std::fs::write(s3.path(&format!("evidence/audit/runs/{id}/more.txt")), "x").expect("added");
    let verified = host.run(&["verify", "--all"]).await;
    assert!(
        verified.stdout.contains("more.txt is not listed"),
        "{}",
        verified.stdout
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_store_that_was_away_gets_its_run_from_the_next_one_or_from_resend() {
    let s3 = S3::start();
    let host = host_on(&s3).await;
    s3.refuse(Some("manifest.json"));
    let ran = host
        .run(&["run", "--schedule", "s/live.toml", "--json"])
        .await;
    // The listing works, the manifest's put does not.
    assert_eq!(ran.code, 5, "{}{}", ran.stdout, ran.stderr);
    let first = ran.json();
    assert_eq!(first["changes"]["verified"], 1);
    let runs = host.run(&["runs", "--json"]).await;
    assert!(
        !runs.stdout.contains("\"unfinished\""),
        "it waits here: {}",
        runs.stdout
    );
    s3.refuse(None);
    let id = first["run"].as_str().expect("a run");
    let sent = host.run(&["resend", id, "--json"]).await;
    assert_eq!(sent.code, 0, "{}", sent.stderr);
    assert_eq!(sent.json()["sent"][0], first["run"]);

    s3.refuse(Some("manifest.json"));
    assert_eq!(host.run(&["scan"]).await.code, 5);
    s3.refuse(None);
    assert_eq!(host.run(&["scan"]).await.code, 0);
    let verified = host.run(&["verify", "--all"]).await;
    assert_eq!(verified.code, 0, "{}", verified.stdout);
    let runs = host.run(&["runs", "--json"]).await.json();
    assert_eq!(runs["runs"].as_array().expect("a list").len(), 3);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_run_killed_on_one_host_is_settled_by_another_from_the_bucket_alone() {
    let s3 = S3::start();
    let mut host = host_on(&s3).await;
    let mut child = host
        .command(&["run", "--schedule", "s/live.toml"])
        .spawn()
        .expect("it starts");
    while !host.rules("sg-a").is_empty() {
        tokio::time::sleep(Duration::from_millis(2)).await;
    }
    child.kill().expect("kill -9");
    child.wait().expect("it is dead");
    // Another machine: another folder, the same buckets, the same cloud.
    host.dir = tempfile::TempDir::new().expect("a folder");
    join(&mut host, &s3);
    let other = host;
    let early = other.run(&["run", "--schedule", "s/live.toml"]).await;
    assert_eq!(
        early.code, 6,
        "the dead one's lock has not run out: {}",
        early.stderr
    );
    assert!(early.stderr.contains("alive until"), "{}", early.stderr);
    tokio::time::sleep(Duration::from_millis(2100)).await;
    let ran = other
        .run(&["run", "--schedule", "s/live.toml", "--json"])
        .await;
    assert_eq!(ran.code, 0, "{}{}", ran.stdout, ran.stderr);
    let changes = changes_of(&s3, &ran.json()["run"]);
    let settled = &changes["changes"][0];
    assert_eq!(settled["outcome"], "verified", "{changes}");
    assert!(
        settled["intent_of"]
            .as_str()
            .is_some_and(|run| run.contains("-live-"))
    );
    assert_eq!(other.run(&["verify", "--all"]).await.code, 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_bucket_that_cannot_be_had_is_said_before_anything_is_done() {
    let s3 = S3::start();
    let host = host_on(&s3).await;
    s3.refuse(Some("/statebucket"));
    let ran = host.run(&["run", "--schedule", "s/live.toml"]).await;
    assert_eq!(ran.code, 6, "{}", ran.stderr);
    assert!(
        ran.stderr.contains("s3://statebucket/sg") && ran.stderr.contains("grant oss:PutObject"),
        "{}",
        ran.stderr
    );
    assert_eq!(host.rules("sg-a").len(), 1, "nothing was changed");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_check_leaves_nothing_in_the_bucket_of_evidence_and_needs_no_delete_there() {
    let s3 = S3::start();
    let host = host_on(&s3).await;
    // As retention has it, and the permissions of the page.
    for refused in ["PUT /evidence", "DELETE /evidence", "POST /evidence"] {
        s3.refuse(Some(refused));
        for time in ["first", "second"] {
            let ran = host.run(&["check", "s", "--json"]).await;
            assert_eq!(ran.code, 0, "{time}: {}{}", ran.stdout, ran.stderr);
            assert!(
                ran.stdout.contains("\"not_tried\"") && ran.stdout.contains("stays there"),
                "{}",
                ran.stdout
            );
        }
    }
    assert_eq!(
        std::fs::read_dir(s3.path("evidence"))
            .expect("a bucket")
            .count(),
        0
    );
    // Listing asks for the bucket, reading for an object.
    for (refused, said) in [
        ("GET /evidence", "cannot be listed"),
        ("GET /evidence/audit/", "cannot be read"),
        ("PUT /statebucket", "cannot be written"),
        ("DELETE /statebucket", "cannot be removed"),
    ] {
        s3.refuse(Some(refused));
        let ran = host.run(&["check", "s", "--json"]).await;
        assert_eq!(ran.code, 1, "{refused}: {}{}", ran.stdout, ran.stderr);
        assert!(ran.stdout.contains(said), "{refused}: {}", ran.stdout);
        assert_eq!(ran.json()["missing"], 1, "{refused}: {}", ran.stdout);
        let todo = "let this identity list, read and put objects in s3://evidence/audit";
        assert_eq!(
            ran.stdout.contains(todo),
            refused.contains("evidence"),
            "{}",
            ran.stdout
        );
    }
    // One that is not there is not taken for an empty one.
    s3.refuse(None);
    let misspelt = s3.toml().replace("s3://evidence/", "s3://evidense/");
    host.write("sgwarden.toml", &misspelt);
    let ran = host.run(&["check", "s", "--json"]).await;
    assert_eq!(ran.code, 1, "{}{}", ran.stdout, ran.stderr);
    assert!(ran.stdout.contains("cannot be listed"), "{}", ran.stdout);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_run_that_lost_its_schedules_lock_is_not_sealed() {
    let s3 = S3::start();
    let host = host_on(&s3).await;
    let late = Fault::parse("DescribeSecurityGroupAttribute=delay:1200").expect("a fault");
    host.cloud.add_fault(late);
    let child = host
        .command(&["run", "--schedule", "s/live.toml"])
        .stderr(std::process::Stdio::piped())
        .spawn()
        .expect("it starts");
    host.called("DescribeSecurityGroupAttribute").await;
    // As another host does it that finds the lock run out.
    let bucket = s3.bucket("statebucket/sg");
    let later = Utc::now() + chrono::TimeDelta::seconds(60);
    let other = Lease::take(&bucket, "live", "host b", later).expect("run out");
    let ended = tokio::task::spawn_blocking(move || child.wait_with_output())
        .await
        .expect("no panic")
        .expect("it ends");
    let stderr = String::from_utf8_lossy(&ended.stderr).into_owned();
    assert_eq!(ended.status.code(), Some(6), "{stderr}");
    for part in [
        "the run was not sealed",
        "taken by another run",
        "journal of the state",
    ] {
        assert!(stderr.contains(part), "{part}: {stderr}");
    }
    let runs = host.run(&["runs", "--json"]).await.json();
    let all = runs["runs"].as_array().expect("a list");
    assert!(
        all.iter().all(|run| run["unfinished"].is_string()),
        "{runs}"
    );
    assert!(host.rules("sg-a").is_empty(), "it was changed");
    drop(other);
    host.cloud.clear_faults();
    let next = host
        .run(&["run", "--schedule", "s/live.toml", "--json"])
        .await;
    assert_eq!(next.code, 0, "{}{}", next.stdout, next.stderr);
    let changes = changes_of(&s3, &next.json()["run"]);
    assert!(changes["changes"][0]["intent_of"].is_string(), "{changes}");
    assert_eq!(host.run(&["verify", "--all"]).await.code, 0);
}

/// Where runs wait for the bucket of that host: it has used one.
fn spool_of(host: &Host) -> PathBuf {
    let mut marks = std::fs::read_dir(host.path("evidence-spool"))
        .expect("the spool")
        .flatten();
    let mark = marks.next().expect("the bucket's own folder").path();
    assert!(marks.next().is_none(), "one bucket, one folder");
    mark.join("runs")
}

#[tokio::test(flavor = "multi_thread")]
async fn what_waits_for_one_bucket_is_not_sent_to_another() {
    let (first, second) = (S3::start(), S3::start());
    let host = host_on(&first).await;
    first.refuse(Some("manifest.json"));
    let ran = host.run(&["scan", "--json"]).await;
    assert_eq!(ran.code, 5, "{}{}", ran.stdout, ran.stderr);
    let id = ran.json()["run"].as_str().expect("a run").to_owned();
    // The same configuration, but for the bucket.
    let ours = format!("evidence/audit/runs/{id}");
    let there = ["--store", &second.url("evidence/audit")];
    let ran = host.run(&[&["scan", "--json"], &there[..]].concat()).await;
    assert_eq!(ran.code, 0, "{}{}", ran.stdout, ran.stderr);
    assert!(!second.path(&ours).exists(), "it is not of this bucket");
    first.refuse(None);
    let ran = host.run(&["scan", "--json"]).await;
    assert_eq!(ran.code, 0, "{}{}", ran.stdout, ran.stderr);
    assert!(first.path(&ours).join("manifest.json").is_file());
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_left_of_a_run_that_was_sent_stands_in_nobodys_way() {
    let s3 = S3::start();
    let host = host_on(&s3).await;
    let first = host.run(&["scan", "--json"]).await.json();
    let runs = spool_of(&host);
    let spool = |name: &str| runs.join(name);
    let leave = |name: &str, text: &str| {
        std::fs::create_dir_all(spool(name)).expect("a folder");
        std::fs::write(spool(name).join("manifest.json"), text).expect("a file");
    };
    let id = first["run"].as_str().expect("a run").to_owned();
    // Killed while it removed what it had sent: before, and as the folder is called now.
    let manifest = s3.path(&format!("evidence/audit/runs/{id}/manifest.json"));
    let manifest = std::fs::read_to_string(manifest).expect("a manifest");
    leave(&id, &manifest);
    let sent = "20260101T000000Z-other-abcdef.sent";
    leave(sent, &manifest);
    let listed = host.run(&["runs"]).await;
    assert!(!listed.stdout.contains(".sent"), "{}", listed.stdout);
    // One that cannot be read at all, of another schedule.
    let broken = "20260101T000000Z-other-abcdef";
    leave(broken, "{");
    let next = host.run(&["scan", "--json"]).await;
    assert_eq!(next.code, 0, "{}{}", next.stdout, next.stderr);
    assert!(!spool(&id).exists() && !spool(sent).exists());
    assert!(spool(broken).exists(), "it is nobody's to remove");
    for part in [
        "the store has this run, and only a part of it was left here",
        "cannot be read and is not sent",
        broken,
    ] {
        assert!(next.stderr.contains(part), "{part}: {}", next.stderr);
    }
    let verified = host.run(&["verify", &id]).await;
    assert_eq!(verified.code, 0, "{}", verified.stdout);
}
