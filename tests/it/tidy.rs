//! What a narrowing leaves when it is killed or another hand comes between: taken back where that is
//! certainly ours to do, named everywhere else, and never lost sight of.

use crate::change::{outcomes, reasons};
use crate::kit::host::{ACCOUNT, Host, REGION, ssh_open, world};
use sgwarden::job::{Job, RunOutcome};
use sgwarden::model::{Change, ChangeKind, HoldReason, Narrowing, Outcome};
use sgwarden::sim::Rule;

const NARROW: &str = "[remediation]\nmode = \"narrow\"\nmax_share = \"100%\"\nkeep = [\"10.0.0.0/8\", \"192.168.0.0/16\"]\n";

fn job(host: &Host, lines: &str) -> Job {
    let text = format!("{NARROW}{lines}\n[report]\nformats = [\"csv\"]\n");
    let mut job = host.job("");
    job.schedule =
        sgwarden::config::Schedule::read("test.toml", "test", &text).expect("a schedule");
    job
}

async fn narrow(host: &Host, lines: &str) -> RunOutcome {
    sgwarden::job::run(&job(host, lines), &host.tools())
        .await
        .expect("a sealed run")
}

/// A host whose last run was killed when it had added two rules and taken none away.
pub(crate) async fn killed_between() -> Host {
    let host = Host::new(world(&[("sg-a", vec![ssh_open()])])).await;
    host.write(
        "s/live.toml",
        &format!("{NARROW}[report]\nformats = [\"csv\"]\n"),
    );
    let mut child = host
        .command(&["run", "--schedule", "s/live.toml"])
        .stdout(std::process::Stdio::null())
        .spawn()
        .expect("it starts");
    // New rules are looked at twice, a second apart, before an old one goes.
    while host.rules("sg-a").len() < 3 {
        tokio::time::sleep(std::time::Duration::from_millis(5)).await;
    }
    child.kill().expect("kill -9");
    child.wait().expect("it is dead");
    assert_eq!(host.rules("sg-a").len(), 3);
    host
}

/// The additions that a run held, and why.
fn named(run: &RunOutcome) -> Vec<(Vec<String>, Vec<HoldReason>, String)> {
    run.record
        .held
        .iter()
        .filter(|held| held.reasons.contains(&HoldReason::Narrow))
        .map(|held| {
            (
                held.rules.clone(),
                held.reasons.clone(),
                held.detail.clone(),
            )
        })
        .collect()
}

fn taken_back(run: &RunOutcome) -> Vec<&Change> {
    run.record
        .changes
        .iter()
        .filter(|change| matches!(change.narrowing, Some(Narrowing::TakenBack(_))))
        .collect()
}

fn closed_window() -> String {
    let far = (chrono::Utc::now() + chrono::TimeDelta::days(2))
        .format("%a")
        .to_string();
    format!("windows = [\"{far} 01:00-02:00\"]")
}

#[tokio::test(flavor = "multi_thread")]
async fn the_guards_of_a_run_hold_for_what_a_killed_one_left_too() {
    for (lines, reason, why) in [
        (
            "protect = { groups = [\"sg-a\"] }".to_owned(),
            HoldReason::Protected,
            "remediation.protect.groups",
        ),
        (
            closed_window(),
            HoldReason::Window,
            "in none of the windows",
        ),
    ] {
        let host = killed_between().await;
        let ids = host.rules("sg-a");
        let calls = host.cloud.changing_calls();
        let run = narrow(&host, &lines).await;
        assert_eq!(host.cloud.changing_calls(), calls, "{lines}");
        let left = named(&run);
        assert_eq!(left.len(), 1, "{:?}", run.record.held);
        assert_eq!(left[0].0, ids[1..], "{lines}");
        assert_eq!(left[0].1, [HoldReason::Narrow, reason], "{lines}");
        assert!(left[0].2.contains(why), "{}", left[0].2);
        // It is not lost sight of: a run that may do it does.
        let run = narrow(&host, "").await;
        assert!(!run.broken_change(), "{:?}", run.record.changes);
        assert_eq!(taken_back(&run).len(), 2, "{lines}");
        assert_eq!(host.rules("sg-a").len(), 2, "{lines}");
        assert_eq!(named(&narrow(&host, "").await), [], "{lines}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_run_that_is_asked_to_stop_leaves_what_a_killed_one_added_to_the_next() {
    let host = killed_between().await;
    let calls = host.cloud.changing_calls();
    let tools = host.tools();
    tools.stop.ask("SIGTERM");
    let run = sgwarden::job::run(&job(&host, ""), &tools)
        .await
        .expect("a sealed run");
    assert_eq!(host.cloud.changing_calls(), calls);
    assert_eq!(reasons(&run), [HoldReason::Narrow, HoldReason::Deadline]);
    let run = narrow(&host, "").await;
    assert_eq!(taken_back(&run).len(), 2);
    assert_eq!(host.rules("sg-a").len(), 2);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_old_rule_that_was_modified_under_its_id_keeps_what_stands_in_for_it() {
    let host = killed_between().await;
    let ids = host.rules("sg-a");
    // The console's "modify": the id stays, what it says does not. Without the two that were added nobody
    // gets in at 22 any more.
    host.cloud.with_world(|world| {
        let group = world.group_mut(ACCOUNT, REGION, "sg-a").expect("the group");
        let id = group.permissions[0].security_group_rule_id.clone();
        let mut other = Rule::ingress("TCP", "443/443", "0.0.0.0/0");
        other.security_group_rule_id = id;
        group.permissions[0] = other;
    });
    let calls = host.cloud.changing_calls();
    for _ in 0..2 {
        let run = narrow(&host, "").await;
        assert_eq!(host.cloud.changing_calls(), calls);
        assert_eq!(host.rules("sg-a"), ids);
        let left = named(&run);
        assert_eq!(left.len(), 1, "{:?}", run.record.held);
        assert_eq!(left[0].0, ids[1..]);
        assert!(left[0].2.contains("would end traffic"), "{}", left[0].2);
    }
    // A person takes them away: then there is nothing left to name.
    host.cloud.with_world(|world| {
        for id in &ids[1..] {
            world.remove_rule(ACCOUNT, REGION, "sg-a", id);
        }
    });
    assert_eq!(named(&narrow(&host, "").await), []);
}

#[tokio::test(flavor = "multi_thread")]
async fn another_hand_between_the_halves_ends_the_narrowing_and_what_was_added_is_ours_to_take_back()
 {
    let host = Host::new(world(&[("sg-a", vec![ssh_open()])])).await;
    let old = host.rules("sg-a");
    let (first, tools) = (job(&host, ""), host.tools());
    let task = tokio::spawn(async move { sgwarden::job::run(&first, &tools).await });
    while host.rules("sg-a").len() < 3 {
        tokio::time::sleep(std::time::Duration::from_millis(2)).await;
    }
    host.cloud.with_world(|world| {
        let theirs = Rule::ingress("TCP", "443/443", "10.9.0.0/16");
        world.add_rule(ACCOUNT, REGION, "sg-a", theirs);
    });
    let run = task.await.expect("no panic").expect("a sealed run");
    let added: Vec<&Change> = run
        .record
        .changes
        .iter()
        .filter(|change| change.kind == ChangeKind::Authorize)
        .collect();
    assert_eq!(added.len(), 2, "{:?}", run.record.changes);
    for change in &added {
        assert_eq!(change.outcome, Outcome::Drifted, "{change:?}");
        assert!(!change.as_planned);
    }
    assert!(run.broken_change(), "exit 4: a person should look");
    assert_eq!(reasons(&run), [HoldReason::Narrow], "the old rule was left");
    let back = taken_back(&run);
    assert_eq!(back.len(), 2);
    assert!(back.iter().all(|c| c.outcome == Outcome::Verified));
    let rules = host.rules("sg-a");
    assert_eq!(rules.len(), 2, "the old rule and theirs: {rules:?}");
    assert_eq!(rules[0], old[0]);
    // Nothing is open in the journal, and the next run narrows around what they added.
    let run = narrow(&host, "").await;
    assert_eq!(outcomes(&run), [Outcome::Verified; 3], "{:?}", run.record);
    assert!(run.record.changes.iter().all(|c| c.intent_of.is_none()));
    assert!(host.rules("sg-a").contains(&rules[1]), "theirs stays");
}
