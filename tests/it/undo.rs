//! Undo and crashes: what a run took away comes back as it was, and a process killed at any moment
//! leaves nothing lost, doubled or unrecorded.

use crate::change::{one_open, outcomes, reasons};
use crate::kit::host::{ACCOUNT, Host, REGION, ssh_open, world};
use sgwarden::job::Restore;
use sgwarden::model::{HoldReason, Outcome};
use sgwarden::report::{Format, render};
use sgwarden::sim::{Group, PrefixList, Rule};

#[tokio::test(flavor = "multi_thread")]
async fn classic_groups_roll_back_on_the_interface_they_were_open_on() {
    let mut start = world(&[]);
    // The classic network shows an unlimited source port as -1/-1.
    let nic = |nic: &str| {
        let text = format!(
            r#"{{"IpProtocol":"TCP","PortRange":"22/22","SourceCidrIp":"0.0.0.0/0","NicType":"{nic}","SourcePortRange":"-1/-1"}}"#
        );
        Rule::from_json(&text).expect("a rule")
    };
    let mut group = Group::new("sg-c", "classic")
        .with(nic("internet"))
        .with(nic("intranet"));
    group.vpc_id = String::new();
    start.add_group(ACCOUNT, REGION, group);
    let host = Host::new(start).await;
    let before = host
        .cloud
        .with_world(|w| w.group_state(ACCOUNT, REGION, "sg-c"))
        .map(sorted);
    let run = host.revoke("").await;
    assert_eq!(outcomes(&run), [Outcome::Verified]);
    assert_eq!(
        host.rules("sg-c").len(),
        1,
        "the private interface's rule stays"
    );
    let path = run.sealed.folder.display().to_string();
    let ran = host.run(&["rollback", &path, "--json"]).await;
    assert_eq!(
        ran.json()["changes"]["verified"],
        1,
        "{}{}",
        ran.stdout,
        ran.stderr
    );
    let after = host
        .cloud
        .with_world(|w| w.group_state(ACCOUNT, REGION, "sg-c"))
        .map(sorted);
    assert_eq!(after, before);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_rule_of_a_vpc_comes_back_whatever_its_interface_was_called() {
    // The service shows "intranet" there; an old rule may say otherwise, and comes back without.
    let text = r#"{"IpProtocol":"TCP","PortRange":"22/22","SourceCidrIp":"0.0.0.0/0","NicType":"internet"}"#;
    let rule = Rule::from_json(text).expect("a rule");
    for mode in ["revoke", "narrow"] {
        let host = Host::new(world(&[("sg-a", vec![rule.clone()])])).await;
        host.write(
            "s/live.toml",
            &format!("[remediation]\nmode = \"{mode}\"\nkeep = [\"10.0.0.0/8\"]\n"),
        );
        let ran = host
            .run(&["run", "--schedule", "s/live.toml", "--json"])
            .await;
        assert_eq!(ran.code, 0, "{mode}: {}{}", ran.stdout, ran.stderr);
        let run = ran.json()["run"].as_str().expect("an id").to_owned();
        let ran = host.run(&["rollback", &run, "--json"]).await;
        assert_eq!(ran.code, 0, "{mode}: {}{}", ran.stdout, ran.stderr);
        assert_eq!(host.rules("sg-a").len(), 1, "{mode}");
        let ran = host.run(&["rollback", &run, "--json"]).await;
        assert_eq!(
            ran.json()["changes"]["already_gone"],
            1,
            "{mode}: {}",
            ran.stdout
        );
    }
}

fn sorted(mut lines: Vec<String>) -> Vec<String> {
    lines.sort();
    lines
}

#[tokio::test(flavor = "multi_thread")]
async fn rules_are_rolled_back_one_by_one_and_a_killed_rollback_still_holds() {
    let halves = vec![
        Rule::ingress("TCP", "22/22", "0.0.0.0/1"),
        Rule::ingress("TCP", "22/22", "128.0.0.0/1"),
    ];
    let host = Host::new(world(&[("sg-a", halves)])).await;
    let run = host.revoke("").await;
    let path = run.sealed.folder.display().to_string();
    for change in &run.record.changes {
        let rule = &change.rule["SecurityGroupRuleId"];
        let ran = host
            .run(&["rollback", &path, "--rule", rule, "--json"])
            .await;
        assert_eq!(
            ran.json()["changes"]["verified"],
            1,
            "{}{}",
            ran.stdout,
            ran.stderr
        );
    }
    assert_eq!(host.rules("sg-a").len(), 2);
    assert_eq!(reasons(&host.revoke("").await), [HoldReason::Restored]);

    let host = one_open().await;
    let run = host.revoke("").await;
    let path = run.sealed.folder.display().to_string();
    let mut child = host
        .command(&["rollback", &path])
        .spawn()
        .expect("it starts");
    while host.rules("sg-a").is_empty() {
        tokio::time::sleep(std::time::Duration::from_millis(5)).await;
    }
    child.kill().expect("kill -9");
    child.wait().expect("it is dead");
    let after = host.revoke("").await;
    assert_eq!(
        reasons(&after),
        [HoldReason::Restored],
        "held though the rollback died"
    );
    assert_eq!(
        after.record.changes.len(),
        1,
        "and its change is in evidence"
    );
    assert!(after.record.changes[0].intent_of.is_some());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_torn_line_of_the_journal_is_mended() {
    let host = one_open().await;
    std::fs::create_dir_all(host.path("state/journal")).expect("a folder");
    let name = "state/journal/20260101T000000Z-old-abcdef.jsonl";
    std::fs::write(
        host.path(name),
        "{\"event\":\"intent\",\"number\":1,\"at\":\"办",
    )
    .expect("a file");
    for _ in 0..2 {
        assert!(!host.revoke("").await.broken_change());
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn rollback_puts_everything_back_and_can_be_run_twice() {
    let old = Rule::ingress("TCP", "-1/-1", "47.0.0.0/8")
        .at(110)
        .described("=old; it's \"quoted\" 中文");
    let rules = vec![
        ssh_open().at(7).described("why it was there"),
        Rule::ingress("TCP", "443/443", "0.0.0.0/0"),
    ];
    let mut start = world(&[("sg-a", rules)]);
    start.add_group(ACCOUNT, REGION, Group::new("sg-b", "b").with(old));
    let host = Host::new(start).await;
    let before = host
        .cloud
        .with_world(|w| w.group_state(ACCOUNT, REGION, "sg-a"));
    let run = host
        .revoke("overbroad = \"revoke\"\nrevoke_min = { ipv4 = \"/16\" }")
        .await;
    assert_eq!(
        outcomes(&run),
        [Outcome::Verified, Outcome::Verified],
        "{:?}",
        run.record.held
    );
    let restore = Restore {
        group: None,
        rule: None,
        merge: false,
        hold: chrono::TimeDelta::days(7),
    };
    let back = || async {
        let mut job = host.job("");
        job.schedule.name = "rollback".to_owned();
        sgwarden::job::rollback(&job, &host.tools(), &run.sealed.folder, &restore)
            .await
            .expect("a sealed run")
    };
    let first = back().await;
    assert_eq!(
        outcomes(&first),
        [Outcome::Verified, Outcome::Verified],
        "{:?}",
        first.record
    );
    let after = host
        .cloud
        .with_world(|w| w.group_state(ACCOUNT, REGION, "sg-a"));
    assert_eq!(after, before);
    let state = host
        .cloud
        .with_world(|w| w.group_state(ACCOUNT, REGION, "sg-b"))
        .expect("the group");
    assert!(
        state[0].contains("1/65535") && state[0].contains("中文"),
        "{state:?}"
    );
    let second = back().await;
    assert_eq!(
        outcomes(&second),
        [Outcome::AlreadyGone, Outcome::AlreadyGone]
    );
    // What was put back is held from being revoked again.
    let again = host
        .revoke("overbroad = \"revoke\"\nrevoke_min = { ipv4 = \"/16\" }")
        .await;
    assert_eq!(reasons(&again), [HoldReason::Restored]);
    assert_eq!(outcomes(&again), []);
}

#[tokio::test(flavor = "multi_thread")]
async fn rollback_refuses_a_group_that_has_moved_on_unless_told_to_merge() {
    let host = one_open().await;
    let run = host.revoke("").await;
    host.cloud.with_world(|w| {
        w.add_rule(
            ACCOUNT,
            REGION,
            "sg-a",
            Rule::ingress("TCP", "8443/8443", "0.0.0.0/0"),
        )
    });
    let path = run.sealed.folder.display().to_string();
    let ran = host.run(&["rollback", &path]).await;
    assert_eq!(ran.code, 4, "{}", ran.stdout);
    assert!(
        ran.stdout.contains("moved on") && ran.stdout.contains("8443"),
        "{}",
        ran.stdout
    );
    assert_eq!(host.rules("sg-a").len(), 1);
    let ran = host.run(&["rollback", &path, "--merge", "--json"]).await;
    assert_eq!(ran.json()["changes"]["verified"], 1, "{}", ran.stdout);
    assert_eq!(host.rules("sg-a").len(), 2);
}

#[tokio::test(flavor = "multi_thread")]
async fn killed_at_any_moment_nothing_is_lost_doubled_or_unrecorded() {
    // Intent and outcome of two groups, and the seal: five lines of the journal, each a step; before
    // the first of them, and while the run is being sealed.
    for step in 0..=6usize {
        let host = Host::new(world(&[
            ("sg-a", vec![ssh_open()]),
            ("sg-b", vec![ssh_open()]),
        ]))
        .await;
        host.write(
            "s/live.toml",
            "[remediation]\nmode = \"revoke\"\n[report]\nformats = [\"csv\"]\n",
        );
        let mut command = host.command(&["run", "--schedule", "s/live.toml"]);
        let mut child = command
            .stdout(std::process::Stdio::null())
            .spawn()
            .expect("it starts");
        loop {
            let lines = host.journal_lines();
            let reached = match step {
                0 => host.path("state").exists(),
                1..=5 => lines >= step,
                _ => host.path("state/sealed").exists(),
            };
            if reached || child.try_wait().expect("a child").is_some() {
                break;
            }
            tokio::time::sleep(std::time::Duration::from_micros(300)).await;
        }
        let pause = format!("step {step}");
        child.kill().expect("kill -9");
        child.wait().expect("it is dead");
        // An intent whose call was not made is "not done" only after the time of stale readings.
        let mut job = host.job("");
        "live".clone_into(&mut job.schedule.name);
        let after = sgwarden::job::run(&job, &host.tools())
            .await
            .expect("a sealed run");
        assert!(
            !after.broken_change(),
            "{pause}: {:?}",
            after.record.changes
        );
        let changes = &after.record.changes;
        let mut gone: Vec<String> = Vec::new();
        for run in std::fs::read_dir(host.path("evidence/runs"))
            .expect("runs")
            .flatten()
        {
            let file = run.path().join("changes.json");
            if run.path().join("manifest.json").is_file() {
                let text = std::fs::read_to_string(file).expect("changes");
                let value: serde_json::Value = serde_json::from_str(&text).expect("JSON");
                for change in value["changes"].as_array().expect("a list") {
                    if change["outcome"] == "verified" {
                        gone.push(change["group_id"].as_str().expect("an id").to_owned());
                    }
                }
            }
        }
        gone.sort();
        assert_eq!(
            gone,
            ["sg-a", "sg-b"],
            "after {pause}, each once: {changes:?}"
        );
        assert!(host.rules("sg-a").is_empty() && host.rules("sg-b").is_empty());
        let ran = host.run(&["verify", "--all"]).await;
        assert_eq!(ran.code, 0, "after {pause}: {}{}", ran.stdout, ran.stderr);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_killed_run_is_settled_by_difference() {
    let host = one_open().await;
    host.write(
        "s/live.toml",
        "[remediation]\nmode = \"revoke\"\n[report]\nformats = [\"csv\"]\n",
    );
    let mut child = host
        .command(&["run", "--schedule", "s/live.toml"])
        .spawn()
        .expect("it starts");
    while !host.rules("sg-a").is_empty() {
        tokio::time::sleep(std::time::Duration::from_millis(5)).await;
    }
    child.kill().expect("kill -9");
    child.wait().expect("it is dead");
    let after = host.revoke("").await;
    let change = &after.record.changes[0];
    assert_eq!(change.outcome, Outcome::Verified, "{change:?}");
    assert!(change.intent_of.is_some() && change.as_planned);
    assert!(change.traffic_closed.iter().any(|t| t.internet) && change.traffic_opened.is_empty());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_run_that_was_rewritten_and_hashed_anew_puts_nothing_back() {
    let host = one_open().await;
    let run = host.revoke("").await;
    let folder = run.sealed.folder.clone();
    let path = folder.display().to_string();
    let changes = std::fs::read_to_string(folder.join("changes.json")).expect("changes");
    let changes = changes.replace("22/22", "1/65535");
    std::fs::write(folder.join("changes.json"), &changes).expect("rewritten");
    let manifest = std::fs::read(folder.join("manifest.json")).expect("a manifest");
    let mut manifest: serde_json::Value = serde_json::from_slice(&manifest).expect("JSON");
    manifest["files"]["changes.json"] = serde_json::json!({
        "size": changes.len(),
        "sha256": sgwarden::evidence::format::sha256(changes.as_bytes()),
    });
    let manifest = serde_json_canonicalizer::to_vec(&manifest).expect("canonical");
    std::fs::write(folder.join("manifest.json"), manifest).expect("hashed anew");
    for args in [
        &["verify", &path][..],
        &["rollback", &path],
        &["report", &path, "--out", "out"],
        &["diff", &path, &path],
        &["waive", "sg-a/risky-ports"],
    ] {
        let ran = host.run(args).await;
        assert_ne!(ran.code, 0, "{args:?}: {}", ran.stdout);
        assert!(
            format!("{}{}", ran.stdout, ran.stderr).contains("changed after sealing")
                || args[0] == "waive",
            "{args:?}: {}{}",
            ran.stdout,
            ran.stderr
        );
    }
    assert!(host.rules("sg-a").is_empty(), "nothing was put back");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_a_run_did_not_mean_to_read_is_as_old_in_the_next_as_it_was() {
    let host = Host::new(world(&[
        ("sg-a", vec![ssh_open()]),
        ("sg-b", vec![ssh_open()]),
    ]))
    .await;
    let scan = async |group: &str| {
        let ran = host.run(&["scan", "--group", group, "--json"]).await.json();
        let folder = host.path(ran["path"].as_str().expect("a path"));
        let text = std::fs::read_to_string(folder.join("findings.json")).expect("findings");
        let findings: serde_json::Value = serde_json::from_str(&text).expect("JSON");
        let finding = &findings["findings"][0];
        (finding["state"].clone(), finding["first_seen"].clone())
    };
    let (state, first) = scan("sg-a").await;
    assert_eq!(state, "new");
    assert_eq!(scan("sg-b").await.0, "new");
    assert_eq!(scan("sg-b").await.0, "open");
    let (state, since) = scan("sg-a").await;
    assert_eq!((state, since), (serde_json::json!("open"), first));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_rule_by_prefix_list_comes_back_into_a_group_that_named_no_other() {
    let mut start = world(&[("sg-a", vec![Rule::ingress("TCP", "22/22", "pl-world")])]);
    let list = PrefixList::new("pl-world", "all", &["0.0.0.0/0"]);
    let region = start.region_mut(ACCOUNT, REGION).expect("the region");
    region.prefix_lists.insert("pl-world".into(), list);
    let host = Host::new(start).await;
    let run = host.revoke("").await;
    assert_eq!(outcomes(&run), [Outcome::Verified], "{:?}", run.record.held);
    let path = run.sealed.folder.display().to_string();
    let ran = host.run(&["rollback", &path, "--json"]).await;
    assert_eq!(ran.code, 0, "{}{}", ran.stdout, ran.stderr);
    assert_eq!(ran.json()["changes"]["verified"], 1, "{}", ran.stdout);
    assert_eq!(host.rules("sg-a").len(), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_rule_that_comes_back_spelled_otherwise_says_so_wherever_its_undo_is_shown() {
    let old = Rule::ingress("TCP", "22/22", "0.0.0.0/0").at(110);
    let host = Host::new(world(&[
        ("sg-old", vec![old]),
        ("sg-new", vec![ssh_open()]),
    ]))
    .await;
    let run = host.revoke("").await;
    assert_eq!(outcomes(&run), [Outcome::Verified, Outcome::Verified]);
    let told = "Priority 100 in place of 110";
    let view = sgwarden::report::view::View::new(&run.record);
    for change in &run.record.changes {
        let is_old = change.group_id.as_str() == "sg-old";
        assert_eq!(view.change(change).contains(told), is_old, "{change:?}");
    }
    let script = std::fs::read_to_string(run.sealed.folder.join("undo.sh")).expect("undo.sh");
    assert_eq!(script.matches(told).count(), 1, "{script}");
    for format in [Format::Html, Format::Xlsx] {
        let bytes = render(&run.record, &[format])
            .expect("a report")
            .remove(0)
            .bytes;
        let shown = match format {
            Format::Xlsx => crate::kit::mime::workbook(&bytes),
            _ => String::from_utf8(bytes).expect("text"),
        };
        assert!(shown.contains(told), "{shown}");
    }
    let path = run.sealed.folder.display().to_string();
    let ran = host.run(&["rollback", &path]).await;
    assert_eq!(ran.code, 0, "{}{}", ran.stdout, ran.stderr);
    assert_eq!(ran.stdout.matches(told).count(), 1, "{}", ran.stdout);
    // The rollback's own evidence has it too, and a second one finds nothing to do.
    let runs = std::fs::read_dir(host.path("evidence/runs")).expect("runs");
    let kept = runs.flatten().filter(|run| {
        let text = std::fs::read_to_string(run.path().join("changes.json"));
        text.is_ok_and(|text| text.contains("spelled_before"))
    });
    assert_eq!(kept.count(), 1);
    let ran = host.run(&["rollback", &path, "--json"]).await;
    assert_eq!(ran.json()["changes"]["already_gone"], 2, "{}", ran.stdout);
}
