//! `check`: what is missing is named, and nothing is changed.

use crate::kit::host::{ACCOUNT, Host, Ran, ssh_open, world};
use serde_json::Value;
use sgwarden::config::Schedule;
use sgwarden::job::check::Wanted;
use sgwarden::model::actions::{self, ACTIONS, Task};
use sgwarden::sim::smtp::{Mode, Receiver, ReceiverOptions};
use std::collections::BTreeSet;

const NARROW: &str = "[policy]\nattribution = true\n[remediation]\nmode = \"narrow\"\nkeep = [\"10.0.0.0/8\"]\nconfig_rule = \"cr-1234567890abcdef\"\n";

async fn host() -> Host {
    let host = Host::new(world(&[("sg-a", vec![ssh_open()])])).await;
    host.write("schedules/nightly.toml", NARROW);
    // By its name it is what events are judged under.
    host.write("schedules/config.toml", "[remediation]\nmode = \"plan\"\n");
    host
}

fn tasks() -> [Task; 8] {
    [
        Task::Scan,
        Task::Narrow,
        Task::Rollback,
        Task::ConfigRule,
        Task::Attached,
        Task::Completeness,
        Task::Attribution,
        Task::Events,
    ]
}

fn wanted() -> BTreeSet<&'static str> {
    tasks()
        .into_iter()
        .flat_map(actions::of)
        .filter_map(|action| action.ram)
        .collect()
}

fn allow(host: &Host, without: &str) {
    let allow: Vec<String> = wanted()
        .into_iter()
        .filter(|ram| *ram != without)
        .map(str::to_owned)
        .collect();
    host.cloud.with_world(|world| {
        world.accounts.get_mut(ACCOUNT).expect("the account").users[0].allow = allow;
    });
}

/// What stands so, by part and name.
fn standing(ran: &Ran, word: &str) -> Vec<(String, String)> {
    let answer: Value = ran.json();
    let text = |tried: &Value, key: &str| tried[key].as_str().expect("text").to_owned();
    answer["tried"]
        .as_array()
        .expect("a list")
        .iter()
        .filter(|tried| tried["standing"] == word)
        .map(|tried| (text(tried, "part"), text(tried, "what")))
        .collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn each_action_that_is_missing_is_named_and_no_other() {
    let host = host().await;
    let before = host.cloud.with_world(|world| world.state_digest());
    allow(&host, "");
    let ran = host.run(&["check", "--json"]).await;
    assert_eq!(ran.code, 0, "{}{}", ran.stdout, ran.stderr);
    assert_eq!(standing(&ran, "missing"), []);
    let tried: BTreeSet<String> = [standing(&ran, "works"), standing(&ran, "indicative")]
        .concat()
        .into_iter()
        .filter(|(part, _)| part == "permission")
        .map(|(_, what)| what)
        .collect();
    assert_eq!(tried, wanted().into_iter().map(str::to_owned).collect());
    let indicative: Vec<String> = standing(&ran, "indicative")
        .into_iter()
        .map(|(_, what)| what)
        .collect();
    assert!(
        indicative.contains(&"ecs:RevokeSecurityGroup".to_owned()),
        "{indicative:?}"
    );
    for without in wanted() {
        allow(&host, without);
        let ran = host.run(&["check", "--json"]).await;
        let optional = ACTIONS
            .iter()
            .filter(|action| action.ram == Some(without))
            .all(|action| action.tasks.iter().all(|task| task.is_optional()));
        let (code, word) = if optional {
            (0, "optional")
        } else {
            (1, "missing")
        };
        assert_eq!(ran.code, code, "{without}: {}{}", ran.stdout, ran.stderr);
        assert_eq!(
            standing(&ran, word),
            [("permission".to_owned(), without.to_owned())]
        );
        assert!(
            ran.stdout.contains(&format!("grant {without} ")),
            "{without}: {}",
            ran.stdout
        );
    }
    let after = host
        .cloud
        .with_world(|world| (world.state_digest(), world.evaluations.len()));
    assert_eq!(after, (before, 0), "nothing is changed");
    assert!(!host.path("evidence").exists() && !host.path("state/locks").exists());
    let people = host.run(&["check"]).await;
    assert!(people.stdout.contains("to do: grant"), "{}", people.stdout);
}

#[test]
fn schedules_want_what_they_ask_for_and_no_more() {
    let wanted = |name: &str, text: &str| {
        let schedule = Schedule::read(&format!("{name}.toml"), name, text).expect("a schedule");
        Wanted::of(&[schedule])
    };
    let always = [Task::Scan, Task::Attached, Task::Completeness];
    let with = |more: &[Task]| -> BTreeSet<Task> { always.iter().chain(more).copied().collect() };
    for (name, text, more) in [
        ("n", "", &[] as &[Task]),
        ("n", "[remediation]\nmode = \"plan\"\n", &[]),
        (
            "n",
            "[remediation]\nmode = \"revoke\"\n",
            &[Task::Revoke, Task::Rollback],
        ),
        (
            "n",
            NARROW,
            &[
                Task::Narrow,
                Task::Rollback,
                Task::ConfigRule,
                Task::Attribution,
            ],
        ),
        ("n", "[policy]\nattribution = true\n", &[Task::Attribution]),
        ("config", "", &[Task::Events]),
        (
            "n",
            "[scope]\naccounts = \"resource-directory\"\n",
            &[Task::Accounts],
        ),
        (
            "n",
            "[scope]\naccounts = [\"2000000000000002\"]\n",
            &[Task::Accounts],
        ),
    ] {
        let found = wanted(name, text);
        assert_eq!(found.tasks, with(more), "{text}");
        assert_eq!(
            found.directory,
            text.contains("resource-directory"),
            "{text}"
        );
        assert_eq!(
            found.accounts.len(),
            usize::from(text.contains("[\"2000")),
            "{text}"
        );
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_cannot_start_and_what_is_broken() {
    let mut host = host().await;
    host.write("schedules/broken.toml", "cron = \"no\"\n[scop]\n");
    host.write("evidence", "a file where the store should be");
    let ran = host.run(&["check", "--json"]).await;
    assert_eq!(ran.code, 1, "{}{}", ran.stdout, ran.stderr);
    let missing = standing(&ran, "missing");
    assert!(
        missing.contains(&("schedule".to_owned(), "schedules/broken.toml".to_owned())),
        "{missing:?}"
    );
    assert!(
        missing.contains(&("storage".to_owned(), "store".to_owned())),
        "{missing:?}"
    );
    assert_eq!(missing.len(), 2, "{missing:?}");
    assert!(ran.stdout.contains("scop"), "{}", ran.stdout);
    host.environment
        .retain(|(name, _)| name == "SGWARDEN_ENDPOINT");
    let ran = host.run(&["check", "--json"]).await;
    assert_eq!(ran.code, 6, "{}{}", ran.stdout, ran.stderr);
    assert!(ran.stderr.contains("no credentials"), "{}", ran.stderr);
}

#[tokio::test(flavor = "multi_thread")]
async fn the_relay_is_tried_step_by_step_and_gets_no_letter() {
    let host = host().await;
    let receiver = Receiver::start(Mode::Plain, ReceiverOptions::default())
        .await
        .expect("a relay");
    let mail = |url: &str| format!("[mail]\nurl = \"{url}\"\nfrom = \"a@example.com\"\n");
    let relay = format!("smtp://{}?tls=none", receiver.addr());
    host.write("sgwarden.toml", &mail(&relay));
    let ran = host.run(&["check", "--json"]).await;
    assert_eq!(ran.code, 0, "{}{}", ran.stdout, ran.stderr);
    let steps: Vec<String> = standing(&ran, "works")
        .into_iter()
        .filter(|(part, _)| part == "mail")
        .map(|(_, what)| what)
        .collect();
    assert_eq!(steps, ["resolve", "connect", "greeting"]);
    assert!(receiver.messages().is_empty(), "no letter is sent");
    for (url, step) in [
        ("smtps://127.0.0.1:9", "connect"),
        ("smtps://relay.invalid:465", "resolve"),
    ] {
        host.write("sgwarden.toml", &mail(url));
        let ran = host.run(&["check", "--json"]).await;
        assert_eq!(ran.code, 1, "{url}");
        assert_eq!(
            standing(&ran, "missing"),
            [("mail".to_owned(), step.to_owned())]
        );
    }
    host.write(
        "sgwarden.toml",
        &mail(&format!("smtps://{}", receiver.addr())),
    );
    let ran = host.run(&["check", "--json"]).await;
    let missing = standing(&ran, "missing");
    assert_eq!(missing.len(), 1, "{}", ran.stdout);
    assert!(
        ["tls", "greeting"].contains(&missing[0].1.as_str()),
        "{}",
        ran.stdout
    );
}
