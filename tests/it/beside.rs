//! Policies that stand beside another: exactly both suffice, and a run that lacks an action of the
//! optional one is complete and says which.

use crate::kit::host::{ACCOUNT, Host, REGION};
use crate::permissions::{everything, grant_all, permissions, told};
use chrono::{SecondsFormat, TimeDelta, Utc};
use sgwarden::model::actions::Task;
use sgwarden::sim::World;

/// The same, made two days ago, with Cloud Config on and an interface in use.
fn in_use() -> World {
    let mut start = everything();
    let made = (Utc::now() - TimeDelta::days(2)).to_rfc3339_opts(SecondsFormat::Secs, true);
    let account = start.accounts.get_mut(ACCOUNT).expect("the account");
    account.config.set_up = true;
    let region = start.region_mut(ACCOUNT, REGION).expect("the region");
    let group = region.group_mut("sg-a").expect("the group");
    for rule in &mut group.permissions {
        rule.create_time.clone_from(&made);
    }
    let interface = serde_json::json!({
        "NetworkInterfaceId": "eni-1",
        "SecurityGroupIds": {"SecurityGroupId": ["sg-a"]},
    });
    region.interfaces = vec![interface.as_object().expect("an object").clone()];
    start
}

#[tokio::test(flavor = "multi_thread")]
async fn what_a_scan_may_do_without_is_named_and_the_run_complete() {
    let host = Host::new(in_use()).await;
    host.write("schedules/a.toml", "[policy]\nattribution = true\n");
    let run = ["run", "--schedule", "schedules/a.toml", "--json"];
    let beside = [Task::Attached, Task::Completeness, Task::Attribution];
    let tasks = [&[Task::Scan], beside.as_slice()].concat();
    grant_all(&host, &tasks, None);
    let ran = host.run(&run).await;
    assert_eq!(ran.code, 0, "{}{}", ran.stdout, ran.stderr);
    let said = told(&host, &ran);
    assert!(!said.contains("grant "), "{said}");
    for action in beside.into_iter().flat_map(permissions) {
        grant_all(&host, &tasks, Some(action));
        let ran = host.run(&run).await;
        assert_eq!(ran.code, 0, "{action}: {}{}", ran.stdout, ran.stderr);
        let said = told(&host, &ran);
        assert!(
            said.contains(&format!("grant {action} ")),
            "{action}: {said}"
        );
        let own = said.matches(&format!("grant {action} ")).count();
        assert_eq!(said.matches("grant ").count(), own, "{action}: {said}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_config_rule_that_may_not_be_started_is_named_and_the_change_stands() {
    for action in permissions(Task::ConfigRule) {
        for without in [None, Some(action)] {
            let host = Host::new(everything()).await;
            host.write(
                "schedules/r.toml",
                "[remediation]\nmode = \"revoke\"\nmax_share = \"100%\"\ncanary = 0\nconfig_rule = \"cr-1\"\n",
            );
            grant_all(&host, &[Task::Revoke, Task::ConfigRule], without);
            let ran = host
                .run(&["run", "--schedule", "schedules/r.toml", "--json"])
                .await;
            assert_eq!(ran.code, 0, "{}{}", ran.stdout, ran.stderr);
            assert_eq!(host.rules("sg-a").len(), 2, "the open rule is gone");
            let named = ran.stderr.contains(&format!("grant {action} "));
            assert_eq!(named, without.is_some(), "{}", ran.stderr);
            let started = host.cloud.with_world(|world| world.evaluations.len());
            assert_eq!(started, usize::from(without.is_none()));
        }
    }
}
