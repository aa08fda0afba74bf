//! The table of actions: its policies are what `deploy/ram/` holds, each suffices for its job, and a
//! job that lacks one of its actions says which.

use crate::kit::host::{ACCOUNT, Host, REGION, Ran, ssh_open, world};
use expect_test::expect_file;
use sgwarden::model::actions::{self, ACTIONS, Task};
use sgwarden::sim::{PortList, PrefixList, Rule, World};
use std::collections::BTreeSet;

#[test]
fn the_policies_are_written_from_the_table() {
    let folder = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("deploy/ram");
    let mut meant = BTreeSet::new();
    for task in Task::ALL {
        let name = format!("{}.json", task.as_str());
        expect_file![folder.join(&name)].assert_eq(&actions::policy(task));
        meant.insert(name);
    }
    let there: BTreeSet<String> = std::fs::read_dir(&folder)
        .expect("the folder")
        .flatten()
        .map(|entry| entry.file_name().to_string_lossy().into_owned())
        .collect();
    assert_eq!(there, meant);
    let page = include_str!("../../docs/permissions.md");
    for name in there {
        let row = format!("| `{name}` |");
        assert_eq!(page.matches(&row).count(), 1, "docs/permissions.md: {name}");
    }
}

#[test]
fn every_line_of_the_table_is_one_thing() {
    let mut seen = BTreeSet::new();
    for action in ACTIONS {
        assert!(seen.insert((action.product, action.name)), "{action:?}");
        if let Some(ram) = action.ram {
            let (prefix, name) = ram.split_once(':').expect("prefix:Action");
            assert!(!prefix.is_empty() && !name.is_empty(), "{ram}");
        }
        assert!(!action.purpose.is_empty());
    }
}

/// Groups that take every action to judge: one open, and both with rules that name lists.
pub(crate) fn everything() -> World {
    let lists = || {
        let mut by_prefix = Rule::ingress("TCP", "22/22", "");
        by_prefix.source_prefix_list_id = "pl-1".to_owned();
        let mut by_ports = Rule::ingress("TCP", "", "0.0.0.0/0");
        by_ports.port_range_list_id = "prl-1".to_owned();
        vec![by_prefix, by_ports]
    };
    let mut open = lists();
    open.push(ssh_open());
    let mut start = world(&[("sg-a", open), ("sg-lists", lists())]);
    let region = start.region_mut(ACCOUNT, REGION).expect("a region");
    region.prefix_lists.insert(
        "pl-1".to_owned(),
        PrefixList::new("pl-1", "offices", &["10.0.0.0/8"]),
    );
    region.port_lists.insert(
        "prl-1".to_owned(),
        PortList::new("prl-1", "web", &["80/80"]),
    );
    start
}

/// Lets the host's identity do exactly what a task's policy grants, less one action.
fn grant(host: &Host, task: Task, without: Option<&str>) {
    grant_all(host, &[task], without);
}

/// The same with several policies beside each other.
pub(crate) fn grant_all(host: &Host, tasks: &[Task], without: Option<&str>) {
    let policies: Vec<serde_json::Value> = tasks
        .iter()
        .map(|task| serde_json::from_str(&actions::policy(*task)).expect("the policy is JSON"))
        .collect();
    let allow: Vec<String> = policies
        .iter()
        .flat_map(|policy| policy["Statement"].as_array().expect("statements"))
        .flat_map(|statement| statement["Action"].as_array().expect("actions"))
        .filter_map(|action| action.as_str().map(str::to_owned))
        .filter(|action| Some(action.as_str()) != without)
        .collect();
    host.cloud.with_world(|world| {
        let account = world.accounts.get_mut(ACCOUNT).expect("the account");
        account.users[0].allow = allow;
    });
}

pub(crate) fn permissions(task: Task) -> Vec<&'static str> {
    actions::of(task).filter_map(|action| action.ram).collect()
}

/// All that the run told people: its messages and its sealed record.
pub(crate) fn told(host: &Host, ran: &Ran) -> String {
    let mut text = format!("{}{}", ran.stdout, ran.stderr);
    if let Ok(answer) = serde_json::from_str::<serde_json::Value>(&ran.stdout)
        && let Some(path) = answer["path"].as_str()
    {
        for name in ["coverage.json", "changes.json", "findings.json"] {
            text += &std::fs::read_to_string(host.path(path).join(name)).unwrap_or_default();
        }
    }
    text
}

const REVOKING: &str = "[remediation]\nmode = \"revoke\"\nmax_share = \"100%\"\ncanary = 0\n";

#[tokio::test(flavor = "multi_thread")]
async fn a_scan_under_exactly_its_policy_and_with_each_action_missing() {
    let host = Host::new(everything()).await;
    grant(&host, Task::Scan, None);
    let ran = host.run(&["scan", "--json"]).await;
    assert_eq!(ran.code, 0, "{}{}", ran.stdout, ran.stderr);
    for without in permissions(Task::Scan) {
        grant(&host, Task::Scan, Some(without));
        let ran = host.run(&["scan", "--json"]).await;
        assert_eq!(ran.code, 3, "{without}: {}{}", ran.stdout, ran.stderr);
        let told = told(&host, &ran);
        assert!(
            told.contains(&format!("grant {without} ")),
            "{without}: {told}"
        );
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_changing_run_and_its_rollback_under_exactly_their_policies() {
    let host = Host::new(everything()).await;
    host.write("schedules/r.toml", REVOKING);
    let run = ["run", "--schedule", "schedules/r.toml", "--json"];
    for without in permissions(Task::Revoke) {
        if without.contains("List") {
            // What a list that decides nothing here holds is not known; what is certain is revoked.
            let other = Host::new(everything()).await;
            other.write("schedules/r.toml", REVOKING);
            grant(&other, Task::Revoke, Some(without));
            let ran = other.run(&run).await;
            assert_eq!(ran.code, 3, "{without}: {}{}", ran.stdout, ran.stderr);
            assert!(told(&other, &ran).contains(&format!("grant {without} ")));
            assert_eq!(ran.json()["changes"]["verified"], 1, "{}", ran.stdout);
            assert_eq!(other.rules("sg-a").len(), 2, "{without}");
            continue;
        }
        grant(&host, Task::Revoke, Some(without));
        let ran = host.run(&run).await;
        let code = match without {
            "ecs:RevokeSecurityGroup" => 4,
            _ => 3,
        };
        assert_eq!(ran.code, code, "{without}: {}{}", ran.stdout, ran.stderr);
        let told = told(&host, &ran);
        assert!(
            told.contains(&format!("grant {without} ")),
            "{without}: {told}"
        );
        assert_eq!(host.rules("sg-a").len(), 3, "{without}: nothing is changed");
    }
    grant(&host, Task::Revoke, None);
    let ran = host.run(&run).await;
    assert_eq!(ran.code, 0, "{}{}", ran.stdout, ran.stderr);
    assert_eq!(host.rules("sg-a").len(), 2);
    let revoked = ran.json()["run"].as_str().expect("an id").to_owned();
    let back = ["rollback", &revoked, "--json"];
    for without in permissions(Task::Rollback) {
        if without == "ecs:RevokeSecurityGroup" {
            // Needed only where a rule was narrowed.
            continue;
        }
        grant(&host, Task::Rollback, Some(without));
        let ran = host.run(&back).await;
        assert!(
            [3, 4].contains(&ran.code),
            "{without}: {} {}{}",
            ran.code,
            ran.stdout,
            ran.stderr
        );
        let told = told(&host, &ran);
        assert!(
            told.contains(&format!("grant {without} ")),
            "{without}: {told}"
        );
        assert_eq!(host.rules("sg-a").len(), 2, "{without}: nothing is changed");
    }
    grant(&host, Task::Rollback, None);
    let ran = host.run(&back).await;
    assert_eq!(ran.code, 0, "{}{}", ran.stdout, ran.stderr);
    assert_eq!(host.rules("sg-a").len(), 3);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_narrowing_run_and_its_rollback_under_exactly_their_policies() {
    let narrowing = REVOKING.replace("revoke", "narrow") + "keep = [\"10.0.0.0/8\"]\n";
    let run = ["run", "--schedule", "schedules/n.toml", "--json"];
    for without in permissions(Task::Narrow) {
        let host = Host::new(everything()).await;
        host.write("schedules/n.toml", &narrowing);
        let before = host.rules("sg-a");
        grant(&host, Task::Narrow, Some(without));
        let ran = host.run(&run).await;
        let changing = ["ecs:RevokeSecurityGroup", "ecs:AuthorizeSecurityGroup"].contains(&without);
        let code = if changing { 4 } else { 3 };
        assert_eq!(ran.code, code, "{without}: {}{}", ran.stdout, ran.stderr);
        let told = told(&host, &ran);
        assert!(
            told.contains(&format!("grant {without} ")),
            "{without}: {told}"
        );
        let rules = host.rules("sg-a");
        if without.contains("List") {
            // What a list that decides nothing here holds is not known; what is certain is narrowed.
            assert_ne!(rules, before, "{without}");
            continue;
        }
        // What may not be revoked stays beside what came; else nothing is changed.
        assert!(before.iter().all(|rule| rules.contains(rule)), "{without}");
        if without != "ecs:RevokeSecurityGroup" {
            assert_eq!(rules, before, "{without}");
        }
    }
    let host = Host::new(everything()).await;
    host.write("schedules/n.toml", &narrowing);
    grant(&host, Task::Narrow, None);
    let ran = host.run(&run).await;
    assert_eq!(ran.code, 0, "{}{}", ran.stdout, ran.stderr);
    let narrowed = ran.json()["run"].as_str().expect("an id").to_owned();
    let back = ["rollback", &narrowed, "--json"];
    grant(&host, Task::Rollback, Some("ecs:RevokeSecurityGroup"));
    let ran = host.run(&back).await;
    assert_eq!(ran.code, 4, "{}{}", ran.stdout, ran.stderr);
    assert!(
        told(&host, &ran).contains("grant ecs:RevokeSecurityGroup "),
        "{}",
        ran.stdout
    );
    grant(&host, Task::Rollback, None);
    let ran = host.run(&back).await;
    assert_eq!(ran.code, 0, "{}{}", ran.stdout, ran.stderr);
}
