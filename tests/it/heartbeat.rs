//! Addresses that are secrets: they are called, and stand in no evidence, plan, state, log or answer.

use crate::kit::host::{Host, Ran, ssh_open, world};
use serde_json::Value;
use sgwarden::evidence::format::sha256;
use sgwarden::sim::Fault;
use sgwarden::sim::hook::Hook;
use std::path::Path;

const GUARDS: &str = "[remediation]\nmode = \"plan\"\nmax_share = \"100%\"\n[report]\nformats = [\"csv\", \"html\", \"json\", \"xlsx\"]\n";

/// Every file that the program left, and where the secret may stand: the files that a user wrote it into.
fn leaks(folder: &Path, own: &[&str], found: &mut Vec<String>) {
    for entry in std::fs::read_dir(folder).expect("a folder").flatten() {
        let path = entry.path();
        if path.is_dir() {
            leaks(&path, own, found);
        } else if !own.iter().any(|own| path.ends_with(own)) {
            let bytes = std::fs::read(&path).expect("a file");
            if bytes.windows(6).any(|part| part == b"s3cret") {
                found.push(path.display().to_string());
            }
        }
    }
}

fn says_nothing(host: &Host, ran: &Ran) {
    for said in [&ran.stdout, &ran.stderr] {
        assert!(!said.contains("s3cret"), "{said}");
    }
    let mut found = Vec::new();
    let own = ["s/a.toml", "hook.url", "beat.url"];
    leaks(host.dir.path(), &own, &mut found);
    assert!(found.is_empty(), "{found:?}");
}

fn manifest(host: &Host, ran: &Ran) -> Value {
    let run = ran.json()["run"].as_str().expect("a run").to_owned();
    let path = host.path(&format!("evidence/runs/{run}/manifest.json"));
    serde_json::from_slice(&std::fs::read(path).expect("a manifest")).expect("JSON")
}

async fn host(hook: &Hook, beat: &str) -> Host {
    let host = Host::new(world(&[("sg-a", vec![ssh_open()])])).await;
    host.write("hook.url", &format!("{}/slack/s3cret", hook.url()));
    host.write("beat.url", &format!("{}/heartbeat/s3cret\n", hook.url()));
    let told = "[[webhook]]\nkind = \"slack\"\nurl_file = \"hook.url\"\nwhen = \"changes\"\n";
    host.write("s/a.toml", &format!("{GUARDS}{told}{beat}"));
    host
}

fn beats(hook: &Hook) -> Vec<String> {
    let heard = hook.heard().into_iter().map(|heard| heard.target);
    heard
        .filter(|target| target.contains("heartbeat"))
        .collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn an_address_inline_is_called_and_kept_nowhere_and_a_plan_is_carried_out_all_the_same() {
    let hook = Hook::start().await.expect("a hook");
    let beat = format!(
        "[heartbeat]\nurl = \"{}/heartbeat/s3cret\"\n# the end\n",
        hook.url()
    );
    let host = host(&hook, &beat).await;
    let ran = host
        .run(&["run", "--schedule", "s/a.toml", "--json", "-v"])
        .await;
    assert_eq!(ran.code, 0, "{}{}", ran.stdout, ran.stderr);
    assert_eq!(beats(&hook), ["/heartbeat/s3cret?exit=0"]);
    says_nothing(&host, &ran);

    // The evidence says what it does not have, and what it was.
    let policy = &manifest(&host, &ran)["policy"][0];
    let text = policy["text"].as_str().expect("a text");
    let original = std::fs::read_to_string(host.path("s/a.toml")).expect("the schedule");
    assert_eq!(policy["blanked"], serde_json::json!(["heartbeat.url"]));
    assert_eq!(policy["sha256"], sha256(text.as_bytes()).as_str());
    assert_eq!(
        policy["original_sha256"],
        sha256(original.as_bytes()).as_str()
    );
    assert!(
        text.ends_with("[heartbeat]\nurl = \"(not kept: a secret)\"\n# the end\n"),
        "{text}"
    );
    let verified = host.run(&["verify", "--all"]).await;
    assert_eq!(verified.code, 0, "{}{}", verified.stdout, verified.stderr);

    // A watchman that does not hear it is named without its address.
    hook.fail(1, 404);
    let unheard = host.run(&["run", "--schedule", "s/a.toml"]).await;
    assert!(
        unheard.stderr.contains("the heartbeat was not heard"),
        "{}",
        unheard.stderr
    );
    says_nothing(&host, &unheard);

    let planned = host
        .run(&["plan", "--schedule", "s/a.toml", "--out", "plan.json"])
        .await;
    assert_eq!(planned.code, 0, "{}{}", planned.stdout, planned.stderr);
    says_nothing(&host, &planned);
    let before = beats(&hook).len();
    // Another address is another schedule.
    host.write(
        "s/a.toml",
        &original.replace("heartbeat/s3cret", "heartbeat/an0ther"),
    );
    let apply = ["apply", "plan.json", "--approved-by", "a person", "--json"];
    let refused = host.run(&apply).await;
    assert_eq!(refused.code, 2, "{}", refused.stderr);
    assert!(
        refused.stderr.contains("has changed since"),
        "{}",
        refused.stderr
    );
    host.write("s/a.toml", &original);
    let applied = host.run(&apply).await;
    assert_eq!(applied.code, 0, "{}{}", applied.stdout, applied.stderr);
    assert!(host.rules("sg-a").is_empty(), "carried out");
    assert_eq!(
        manifest(&host, &applied)["policy"][0]["blanked"],
        policy["blanked"]
    );
    assert_eq!(beats(&hook).len(), before, "after a run only");
    says_nothing(&host, &applied);
    let verified = host.run(&["verify", "--all"]).await;
    assert_eq!(verified.code, 0, "{}{}", verified.stdout, verified.stderr);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_address_in_a_file_is_read_when_there_is_something_to_tell() {
    let hook = Hook::start().await.expect("a hook");
    let host = host(&hook, "[heartbeat]\nurl_file = \"beat.url\"\n").await;
    let ran = host.run(&["run", "--schedule", "s/a.toml", "--json"]).await;
    assert_eq!(ran.code, 0, "{}{}", ran.stdout, ran.stderr);
    assert_eq!(beats(&hook), ["/heartbeat/s3cret?exit=0"]);
    says_nothing(&host, &ran);
    let policy = &manifest(&host, &ran)["policy"][0];
    assert_eq!(policy["blanked"], Value::Null, "nothing to take out");
    assert_eq!(policy["original_sha256"], Value::Null);
    let checked = host.run(&["check", "s", "--json"]).await;
    assert!(checked.stdout.contains("heartbeat"), "{}", checked.stdout);
    assert_eq!(beats(&hook).len(), 1, "not sent to");
    says_nothing(&host, &checked);

    let denied = Fault::parse("GetCallerIdentity=Forbidden.RAM").expect("a fault");
    host.cloud.add_fault(denied);
    let ran = host.run(&["run", "--schedule", "s/a.toml"]).await;
    assert_eq!(ran.code, 6);
    assert_eq!(beats(&hook).len(), 1, "silence is the alarm");
    says_nothing(&host, &ran);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_inline_address_is_no_change_of_policy_between_runs() {
    let hook = Hook::start().await.expect("a hook");
    let beat = format!("[heartbeat]\nurl = \"{}/heartbeat/s3cret\"\n", hook.url());
    let host = host(&hook, &beat).await;
    let run = ["run", "--schedule", "s/a.toml", "--json"];
    let (first, second) = (host.run(&run).await, host.run(&run).await);
    let original = std::fs::read_to_string(host.path("s/a.toml")).expect("the schedule");
    host.write(
        "s/a.toml",
        &original.replace("heartbeat/s3cret", "heartbeat/s3cret2"),
    );
    let third = host.run(&run).await;
    let id = |ran: &Ran| ran.json()["run"].as_str().expect("a run").to_owned();
    let differs = async |from: &Ran, to: &Ran| {
        let diff = host.run(&["diff", &id(from), &id(to), "--json"]).await;
        diff.json()["policy"].as_array().map_or(0, Vec::len)
    };
    assert_eq!(differs(&first, &second).await, 0);
    // What is kept is the same, what decided is not.
    let text = |ran: &Ran| manifest(&host, ran)["policy"][0]["text"].clone();
    assert_eq!(text(&second), text(&third));
    assert_eq!(differs(&second, &third).await, 1);
}
