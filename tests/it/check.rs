//! `check`: what is missing is named, and nothing is changed.

use crate::kit::host::{ACCOUNT, Host, Ran, ssh_open, world};
use serde_json::Value;
use sgwarden::config::Schedule;
use sgwarden::job::check::Wanted;
use sgwarden::model::AccountId;
use sgwarden::model::actions::{self, ACTIONS, Task};
use sgwarden::sim::hook::Hook;
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
    let (home, other) = (
        AccountId::from(ACCOUNT),
        AccountId::from("2000000000000002"),
    );
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
        ("n", "[scope]\naccounts = \"resource-directory\"\n", &[]),
    ] {
        let found = wanted(name, text);
        assert_eq!(found.tasks(&home, &home), with(more), "{text}");
        let everywhere = text.contains("resource-directory");
        assert_eq!(found.directory(), everywhere, "{text}");
        let elsewhere = if everywhere {
            with(&[])
        } else {
            BTreeSet::new()
        };
        assert_eq!(found.tasks(&other, &home), elsewhere, "{text}");
        assert!(found.accounts().is_empty(), "{text}");
    }
    // In each account what is done there, and at home what is only ever asked there.
    let listed = "[scope]\naccounts = [\"2000000000000002\"]\n";
    let found = wanted("n", &format!("{NARROW}{listed}"));
    assert_eq!(found.accounts(), BTreeSet::from([other.clone()]));
    assert_eq!(
        found.tasks(&home, &home),
        BTreeSet::from([Task::ConfigRule])
    );
    let there = [Task::Narrow, Task::Rollback, Task::Attribution];
    assert_eq!(found.tasks(&other, &home), with(&there));
    assert_eq!(Wanted::of(&[]).tasks(&home, &home), with(&[]));
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

#[tokio::test(flavor = "multi_thread")]
async fn hosts_of_chats_and_watchmen_are_asked_and_told_nothing() {
    let host = host().await;
    let hook = Hook::start().await.expect("a chat");
    let text = |heartbeat: &str| {
        format!(
            "[[webhook]]\nkind = \"dingtalk\"\nurl_file = \"hook.url\"\n[heartbeat]\nurl = \"{heartbeat}\"\n"
        )
    };
    host.write(
        "hook.url",
        &format!("{}/dingtalk/s3cret?token=s3cret", hook.url()),
    );
    host.write(
        "schedules/told.toml",
        &text(&format!("{}/heartbeat", hook.url())),
    );
    let ran = host.run(&["check", "--json"]).await;
    assert_eq!(ran.code, 0, "{}{}", ran.stdout, ran.stderr);
    let works = standing(&ran, "works");
    for (part, what) in [("webhook", "told [0] dingtalk"), ("heartbeat", "told")] {
        assert!(
            works.contains(&(part.to_owned(), what.to_owned())),
            "{works:?}"
        );
    }
    assert!(
        ran.stdout.contains("127.0.0.1 answers; not sent to"),
        "{}",
        ran.stdout
    );
    assert!(hook.heard().is_empty(), "{:?}", hook.heard());

    // A stranger's certificate, a name that nobody has, a port where nobody is.
    let key = rcgen::generate_simple_self_signed(vec!["localhost".to_owned()]).expect("a key");
    let provider = std::sync::Arc::new(rustls::crypto::ring::default_provider());
    let der = rustls::pki_types::PrivateKeyDer::Pkcs8(key.signing_key.serialize_der().into());
    let config = rustls::ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .expect("protocols")
        .with_no_client_auth()
        .with_single_cert(vec![key.cert.der().clone()], der)
        .expect("a server");
    let options = ReceiverOptions::default();
    let stranger = Receiver::start(Mode::ImplicitTls(std::sync::Arc::new(config)), options)
        .await
        .expect("a server");
    let port = stranger.addr().port();
    for (heartbeat, todo) in [
        (
            format!("https://localhost:{port}/s3cret"),
            "trust the certificate's issuer",
        ),
        (
            "https://watch.invalid/s3cret".to_owned(),
            "correct the host in the address",
        ),
        (
            "https://127.0.0.1:9/s3cret".to_owned(),
            "open the way to that host",
        ),
    ] {
        host.write("schedules/told.toml", &text(&heartbeat));
        let ran = host.run(&["check", "--json"]).await;
        assert_eq!(ran.code, 1, "{}{}", ran.stdout, ran.stderr);
        let missing = [("heartbeat".to_owned(), "told".to_owned())];
        assert_eq!(standing(&ran, "missing"), missing, "{heartbeat}");
        assert!(ran.stdout.contains(todo), "{heartbeat}: {}", ran.stdout);
        assert!(!ran.stdout.contains("s3cret"), "{}", ran.stdout);
    }
    std::fs::remove_file(host.path("hook.url")).expect("removed");
    let ran = host.run(&["check", "--json"]).await;
    assert_eq!(ran.code, 1);
    assert!(
        ran.stdout.contains("hook.url: No such file"),
        "{}",
        ran.stdout
    );
}
