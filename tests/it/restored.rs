//! A rollback is told to the people of the run that it undoes, with the time that it holds for.

use crate::kit::host::{ACCOUNT, Host, REGION, ssh_open, world};
use crate::kit::mime::{parts, plain};
use sgwarden::sim::hook::Hook;
use sgwarden::sim::smtp::{Mode, Receiver, ReceiverOptions};
use sgwarden::sim::{Fault, Rule};

const MAIL: &str = "from = \"audit@example.com\"\n";

/// A schedule whose people want to hear of different things; its heartbeat is a secret, and blanked.
fn schedule(language: &str, hook: &Hook) -> String {
    let mut out = format!(
        "timezone = \"Asia/Taipei\"\n[remediation]\nmode = \"revoke\"\nmax_share = \"100%\"\n\
         [report]\nformats = [\"csv\"]\nlanguage = \"{language}\"\n\
         [heartbeat]\nurl = \"{}/beat\"\n[[webhook]]\nkind = \"slack\"\nurl_file = \"hook.url\"\nwhen = \"changes\"\n",
        hook.url()
    );
    for when in ["always", "findings", "changes", "new", "failures"] {
        out.push_str(&format!(
            "[[mail]]\nto = [\"{when}@example.com\"]\nwhen = \"{when}\"\n"
        ));
    }
    out
}

async fn relay() -> Receiver {
    Receiver::start(Mode::Plain, ReceiverOptions::default())
        .await
        .expect("a relay")
}

/// A host whose schedule has revoked a rule; the id of that run.
async fn revoked(relay: &Receiver, hook: &Hook, language: &str) -> (Host, String) {
    let host = Host::new(world(&[("sg-a", vec![ssh_open()])])).await;
    let url = format!("[mail]\nurl = \"smtp://{}?tls=none\"\n{MAIL}", relay.addr());
    host.write("sgwarden.toml", &url);
    host.write("hook.url", &format!("{}/slack/send", hook.url()));
    host.write("s/live.toml", &schedule(language, hook));
    let ran = host
        .run(&["run", "--schedule", "s/live.toml", "--json"])
        .await;
    assert_eq!(ran.code, 0, "{}{}", ran.stdout, ran.stderr);
    let run = ran.json()["run"].as_str().expect("an id").to_owned();
    (host, run)
}

/// Who got a letter since so many, sorted.
fn told(relay: &Receiver, since: usize) -> Vec<String> {
    let mut out: Vec<String> = relay
        .messages()
        .iter()
        .skip(since)
        .map(|letter| letter.to.join(","))
        .map(|to| to.trim_end_matches("@example.com").to_owned())
        .collect();
    out.sort();
    out
}

#[tokio::test(flavor = "multi_thread")]
async fn a_rollback_is_told_and_says_until_when_it_holds() {
    for (language, says) in [
        ("en", "after that the next run may revoke it again"),
        ("zh-TW", "此後的下一次執行可能再次撤銷"),
    ] {
        let (relay, hook) = (relay().await, Hook::start().await.expect("a chat"));
        let (host, run) = revoked(&relay, &hook, language).await;
        let since = relay.messages().len();
        let ran = host.run(&["rollback", &run, "--hold", "12h"]).await;
        assert_eq!(ran.code, 0, "{}{}", ran.stdout, ran.stderr);
        assert_eq!(told(&relay, since), ["always", "changes", "findings"]);
        let letter = plain(&parts(&relay.messages()[since].data));
        let rows = host.run(&["runs", "--json"]).await.json();
        let mut rows = rows["runs"].as_array().expect("a list").iter();
        let row = rows.find(|row| row["command"] == "rollback");
        let path = host.path(row.expect("a row")["path"].as_str().expect("a path"));
        let manifest = std::fs::read(path.join("manifest.json")).expect("a manifest");
        let manifest: serde_json::Value = serde_json::from_slice(&manifest).expect("JSON");
        let until: chrono::DateTime<chrono::Utc> = manifest["restored_until"]
            .as_str()
            .and_then(|text| text.parse().ok())
            .expect("a time");
        let local = until
            .with_timezone(&chrono_tz::Asia::Taipei)
            .format("%Y-%m-%d %H:%M (Asia/Taipei)")
            .to_string();
        let brackets = |text: &str| text.replace('（', " (").replace('）', ")");
        assert!(brackets(&letter).contains(&local), "{local}: {letter}");
        assert!(letter.contains(says), "{letter}");
        // The terminal is English throughout.
        assert!(
            ran.stdout.contains(&format!("Held until {local}")),
            "{local}: {}",
            ran.stdout
        );
        assert_eq!(manifest["language"], language);
        let chat = hook.heard();
        let said = &chat.last().expect("a message").text;
        assert!(said.contains(says), "{said}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_not_back_and_what_could_not_start_is_told_to_everyone() {
    let everyone = ["always", "changes", "failures", "findings", "new"];
    let (relay, hook) = (relay().await, Hook::start().await.expect("a chat"));
    let (host, run) = revoked(&relay, &hook, "en").await;
    // The group has moved on: held, and nothing promised for any time.
    host.cloud.with_world(|world| {
        let rule = Rule::ingress("TCP", "8443/8443", "0.0.0.0/0");
        world.add_rule(ACCOUNT, REGION, "sg-a", rule);
    });
    let since = relay.messages().len();
    let ran = host.run(&["rollback", &run]).await;
    assert_eq!(ran.code, 4, "{}{}", ran.stdout, ran.stderr);
    assert_eq!(told(&relay, since), everyone);
    assert!(!ran.stdout.contains("Held until"), "{}", ran.stdout);
    let since = relay.messages().len();
    let fault = Fault::parse("GetCallerIdentity=Forbidden.RAM").expect("a fault");
    host.cloud.add_fault(fault);
    let ran = host.run(&["rollback", &run]).await;
    assert_eq!(ran.code, 6, "{}{}", ran.stdout, ran.stderr);
    assert_eq!(told(&relay, since), everyone);
}

#[tokio::test(flavor = "multi_thread")]
async fn that_nobody_can_be_told_is_said_and_keeps_nothing_from_being_put_back() {
    let (relay, hook) = (relay().await, Hook::start().await.expect("a chat"));
    let no_password = "[mail]\nurl = \"smtps://a@relay.invalid\"\nfrom = \"audit@example.com\"\n\
                       password_file = \"gone\"\n";
    for (file, text, says, letters) in [
        ("sgwarden.toml", Some(""), "no [mail]", 0),
        ("sgwarden.toml", Some(no_password), "gone", 0),
        ("hook.url", None, "hook.url", 3),
    ] {
        let (host, run) = revoked(&relay, &hook, "en").await;
        match text {
            Some(text) => host.write(file, text),
            None => std::fs::remove_file(host.path(file)).expect("removed"),
        }
        let since = relay.messages().len();
        let ran = host.run(&["rollback", &run]).await;
        assert_eq!(ran.code, 0, "{}{}", ran.stdout, ran.stderr);
        for said in [says, "not told of this rollback"] {
            assert!(ran.stderr.contains(said), "{said}: {}", ran.stderr);
        }
        assert_eq!(told(&relay, since).len(), letters);
        assert_eq!(host.rules("sg-a").len(), 1, "put back");
    }
}
