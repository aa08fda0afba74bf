//! Several accounts: a role in each, every call with the keys of the account it speaks of.

use crate::kit::host::{ACCOUNT, Host, REGION, Ran, ssh_open, world};
use serde_json::Value;
use sgwarden::model::actions::{self, Task};
use sgwarden::sim::{Group, Options, Role, World};
use std::collections::BTreeSet;
use std::path::PathBuf;

const SECOND: &str = "2000000000000002";
const THIRD: &str = "3000000000000003";

/// A company: its management account and two members, a group open to the internet in each.
fn company() -> World {
    let mut start = world(&[("sg-own", vec![ssh_open()])]);
    for (id, group) in [(SECOND, "sg-second"), (THIRD, "sg-third")] {
        let mut member = World::single(id, &[REGION, "cn-shanghai"]);
        let mut account = member.accounts.remove(id).expect("the account");
        account.users.clear();
        account.roles.push(Role {
            name: "SgwardenAudit".to_owned(),
            id: "300000000000000001".to_owned(),
            trust: vec![ACCOUNT.to_owned()],
            external_id: Some("the id".to_owned()),
            max_session: 3600,
            allow: vec!["*".to_owned()],
            deny: Vec::new(),
        });
        start.accounts.insert(id.to_owned(), account);
        let mut open = Group::new(group, "open");
        open.permissions = vec![ssh_open()];
        start.add_group(id, REGION, open);
    }
    start.directory = Some(ACCOUNT.to_owned());
    start
}

const ROLE: &str = "[accounts]\nrole = \"SgwardenAudit\"\nexternal_id = \"the id\"\n";
const DIRECTORY: &str = "[scope]\naccounts = \"resource-directory\"\n";

async fn host(options: Options) -> Host {
    let host = Host::with(company(), options).await;
    host.write("sgwarden.toml", ROLE);
    host.write("schedules/all.toml", DIRECTORY);
    host
}

const RUN: [&str; 4] = ["run", "--schedule", "schedules/all.toml", "--json"];

fn folder(host: &Host, ran: &Ran) -> PathBuf {
    host.path(ran.json()["path"].as_str().expect("a path"))
}

fn json(host: &Host, ran: &Ran, name: &str) -> Value {
    let bytes = std::fs::read(folder(host, ran).join(name)).expect("the file");
    serde_json::from_slice(&bytes).expect("JSON")
}

/// Account and group of each finding.
fn found(host: &Host, ran: &Ran) -> BTreeSet<(String, String)> {
    let findings = json(host, ran, "findings.json");
    let text = |finding: &Value, key: &str| finding[key].as_str().expect("text").to_owned();
    findings["findings"]
        .as_array()
        .expect("a list")
        .iter()
        .map(|finding| (text(finding, "account"), text(finding, "group_id")))
        .collect()
}

fn all() -> BTreeSet<(String, String)> {
    [
        (ACCOUNT, "sg-own"),
        (SECOND, "sg-second"),
        (THIRD, "sg-third"),
    ]
    .map(|(account, group)| (account.to_owned(), group.to_owned()))
    .into()
}

fn rules(host: &Host, account: &str, group: &str) -> usize {
    host.cloud.with_world(|world| {
        let group = world.group(account, REGION, group).expect("the group");
        group.permissions.len()
    })
}

#[tokio::test(flavor = "multi_thread")]
async fn every_account_of_the_directory_is_read_with_its_own_session() {
    let host = host(Options::default()).await;
    let ran = host.run(&RUN).await;
    assert_eq!(ran.code, 0, "{}{}", ran.stdout, ran.stderr);
    assert_eq!(found(&host, &ran), all());
    let manifest = json(&host, &ran, "manifest.json");
    assert_eq!(manifest["scope"]["accounts"][0], "resource-directory");
    assert_eq!(manifest["identity"]["account"], ACCOUNT);
    let sessions: Vec<&str> = manifest["accounts"]
        .as_array()
        .expect("identities")
        .iter()
        .filter_map(|identity| identity["arn"].as_str())
        .collect();
    let session = |id| format!("acs:sts::{id}:assumed-role/sgwardenaudit/sgwarden");
    assert_eq!(sessions, [session(SECOND), session(THIRD)]);
    let raw = folder(&host, &ran).join("raw/before");
    let mut evidence = String::new();
    let mut names = BTreeSet::new();
    for entry in std::fs::read_dir(raw).expect("raw answers").flatten() {
        let name = entry.file_name().to_string_lossy().into_owned();
        names.insert(name.split('_').next().unwrap_or_default().to_owned());
        let bytes = std::fs::read(entry.path()).expect("a file");
        evidence +=
            &String::from_utf8(zstd::decode_all(bytes.as_slice()).expect("zstd")).expect("text");
    }
    assert_eq!(
        names,
        BTreeSet::from([ACCOUNT, SECOND, THIRD].map(str::to_owned))
    );
    assert!(!evidence.contains("CAISsim") && !evidence.contains("the id"));
    let verified = host.run(&["verify", "--all", "--json"]).await;
    assert_eq!(verified.code, 0, "{}", verified.stdout);

    // Only those that are named; one's own is not among them.
    let ran = host.run(&["scan", "--account", SECOND, "--json"]).await;
    assert_eq!(ran.code, 0, "{}", ran.stderr);
    assert_eq!(
        found(&host, &ran),
        [(SECOND.to_owned(), "sg-second".to_owned())].into()
    );
    host.write(
        "schedules/all.toml",
        &format!("[scope]\naccounts = [\"{ACCOUNT}\", \"{THIRD}\"]\n"),
    );
    let ran = host.run(&RUN).await;
    assert_eq!(ran.code, 0, "{}", ran.stderr);
    assert_eq!(found(&host, &ran).len(), 2);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_account_that_cannot_be_entered_makes_the_run_incomplete_and_resolves_nothing() {
    let host = host(Options::default()).await;
    assert_eq!(host.run(&RUN).await.code, 0);
    host.cloud.with_world(|world| {
        let account = world.accounts.get_mut(THIRD).expect("the account");
        account.roles.clear();
    });
    let ran = host.run(&RUN).await;
    assert_eq!(ran.code, 3, "{}{}", ran.stdout, ran.stderr);
    assert_eq!(found(&host, &ran).len(), 2, "the others are read");
    assert_eq!(
        json(&host, &ran, "findings.json")["resolved"],
        Value::Array(Vec::new())
    );
    let coverage = json(&host, &ran, "coverage.json");
    let third = coverage["regions"]
        .as_array()
        .expect("regions")
        .iter()
        .find(|region| region["account"] == THIRD)
        .expect("its coverage");
    assert_eq!(
        (third["status"].as_str(), third["region"].as_str()),
        (Some("failed"), Some("*"))
    );
    assert_eq!(third["error"]["code"], "EntityNotExist.Role");
    assert_eq!(third["error"]["action"], "AssumeRole");
    assert!(
        !third["error"]["request_id"]
            .as_str()
            .expect("text")
            .is_empty()
    );
    let why = third["error"]["message"].as_str().expect("text");
    assert!(
        why.contains(&format!("acs:ram::{THIRD}:role/SgwardenAudit")),
        "{why}"
    );
    // Back again: what was open before is open, not new.
    host.cloud.with_world(|world| {
        let role = world.accounts[SECOND].roles[0].clone();
        world
            .accounts
            .get_mut(THIRD)
            .expect("the account")
            .roles
            .push(role);
    });
    let ran = host.run(&RUN).await;
    assert_eq!(ran.code, 0, "{}", ran.stderr);
    let findings = json(&host, &ran, "findings.json");
    for finding in findings["findings"].as_array().expect("a list") {
        assert_eq!(finding["state"], "open", "{finding}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn under_exactly_the_policies_and_with_each_action_missing() {
    let host = host(Options::default()).await;
    let allow = |without: &str| {
        let both = actions::of(Task::Scan).chain(actions::of(Task::Accounts));
        let allow: Vec<String> = both
            .filter_map(|action| action.ram)
            .filter(|ram| *ram != without)
            .map(str::to_owned)
            .collect();
        host.cloud.with_world(|world| {
            world.accounts.get_mut(ACCOUNT).expect("the account").users[0].allow = allow;
        });
    };
    allow("");
    let ran = host.run(&RUN).await;
    assert_eq!(ran.code, 0, "{}{}", ran.stdout, ran.stderr);
    for without in actions::of(Task::Accounts).filter_map(|action| action.ram) {
        allow(without);
        let ran = host.run(&RUN).await;
        assert_eq!(ran.code, 3, "{without}: {}{}", ran.stdout, ran.stderr);
        assert!(found(&host, &ran).contains(&(ACCOUNT.to_owned(), "sg-own".to_owned())));
        let coverage = json(&host, &ran, "coverage.json").to_string();
        assert!(
            coverage.contains(&format!("grant {without} ")),
            "{without}: {coverage}"
        );
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_role_needs_the_policy_of_the_job_and_says_what_it_lacks() {
    let host = host(Options::default()).await;
    let allow = |without: &str| {
        let allow: Vec<String> = actions::of(Task::Scan)
            .filter_map(|action| action.ram)
            .filter(|ram| *ram != without)
            .map(str::to_owned)
            .collect();
        host.cloud.with_world(|world| {
            world.accounts.get_mut(THIRD).expect("the account").roles[0].allow = allow;
        });
    };
    allow("");
    let ran = host.run(&RUN).await;
    assert_eq!(ran.code, 0, "{}{}", ran.stdout, ran.stderr);
    assert_eq!(found(&host, &ran), all());
    for without in [
        "ecs:DescribeRegions",
        "ecs:DescribeSecurityGroups",
        "ecs:DescribeSecurityGroupAttribute",
    ] {
        allow(without);
        let ran = host.run(&RUN).await;
        assert_eq!(ran.code, 3, "{without}: {}{}", ran.stdout, ran.stderr);
        let found = found(&host, &ran);
        for other in [(ACCOUNT, "sg-own"), (SECOND, "sg-second")] {
            assert!(found.contains(&(other.0.to_owned(), other.1.to_owned())));
        }
        let said = json(&host, &ran, "coverage.json").to_string()
            + &json(&host, &ran, "findings.json").to_string();
        assert!(
            said.contains(&format!("grant {without} ")),
            "{without}: {said}"
        );
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn changes_in_other_accounts_are_made_undone_and_settled_with_their_role() {
    let host = host(Options::default()).await;
    host.write(
        "schedules/all.toml",
        &format!("{DIRECTORY}[remediation]\nmode = \"revoke\"\nmax_share = \"100%\"\ncanary = 0\n"),
    );
    // Killed after the call of the first change in another account: the next run settles it there.
    let mut child = host
        .command(&RUN)
        .stdout(std::process::Stdio::null())
        .spawn()
        .expect("it starts");
    while rules(&host, SECOND, "sg-second") == 1 {
        tokio::time::sleep(std::time::Duration::from_millis(5)).await;
    }
    child.kill().expect("kill -9");
    child.wait().expect("it is dead");
    let ran = host.run(&RUN).await;
    assert_eq!(ran.code, 0, "{}{}", ran.stdout, ran.stderr);
    for (account, group) in all() {
        assert_eq!(rules(&host, &account, &group), 0, "{account}");
    }
    let changes = json(&host, &ran, "changes.json");
    let of_second: Vec<&Value> = changes["changes"]
        .as_array()
        .expect("changes")
        .iter()
        .filter(|change| change["account"] == SECOND)
        .collect();
    assert_eq!(of_second.len(), 1, "{changes}");
    assert_eq!(of_second[0]["outcome"], "verified");
    assert!(of_second[0]["intent_of"].is_string());
    let undo = std::fs::read_to_string(folder(&host, &ran).join("undo.sh")).expect("undo.sh");
    assert!(
        undo.contains(&format!("--profile \"${{PROFILE_{THIRD}:?")),
        "{undo}"
    );

    let id = ran.json()["run"].as_str().expect("an id").to_owned();
    // Without the role nothing is put back, and nothing is asked for.
    host.write("sgwarden.toml", "");
    let refused = host.run(&["rollback", &id, "--json"]).await;
    assert_eq!(refused.code, 2, "{}{}", refused.stdout, refused.stderr);
    host.write("sgwarden.toml", ROLE);
    let back = host.run(&["rollback", &id, "--json"]).await;
    assert_eq!(back.code, 0, "{}{}", back.stdout, back.stderr);
    for (account, group) in all() {
        assert_eq!(rules(&host, &account, &group), 1, "{account}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn sessions_that_end_in_the_middle_are_renewed_in_each_account() {
    let host = host(Options {
        session_life: Some(chrono::Duration::seconds(2)),
        latency: std::time::Duration::from_millis(60),
        ..Options::default()
    })
    .await;
    host.cloud.with_world(|world| {
        for at in 0..700 {
            let group = Group::new(&format!("sg-more-{at:04}"), "more");
            world.add_group(SECOND, REGION, group);
        }
    });
    let ran = host.run(&RUN).await;
    assert_eq!(ran.code, 0, "{}{}", ran.stdout, ran.stderr);
    assert_eq!(ran.json()["groups"], 703);
    assert!(
        host.cloud.calls()["AssumeRole"] > 2,
        "{:?}",
        host.cloud.calls()
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn several_accounts_without_a_role_are_a_configuration_error() {
    let host = host(Options::default()).await;
    host.write("sgwarden.toml", "");
    let ran = host.run(&RUN).await;
    assert_eq!(ran.code, 2, "{}", ran.stderr);
    assert!(ran.stderr.contains("[accounts] role"), "{}", ran.stderr);
    let one = host.run(&["scan", "--account", SECOND, "--json"]).await;
    assert_eq!(one.code, 3, "{}", one.stderr);
    let coverage = json(&host, &one, "coverage.json").to_string();
    assert!(coverage.contains("[accounts] role"), "{coverage}");
    host.write("sgwarden.toml", "[accounts]\nrole = \"a/b\"\nrolle = 1\n");
    let ran = host.run(&RUN).await;
    assert_eq!(ran.code, 2);
    for part in [
        "sgwarden.toml:2: accounts.role",
        "sgwarden.toml:3: accounts.rolle",
    ] {
        assert!(ran.stderr.contains(part), "{}", ran.stderr);
    }
    assert_eq!(host.cloud.calls().get("RevokeSecurityGroup"), None);
}

/// Standing and name of each line of `check`.
fn tried(ran: &Ran) -> Vec<(String, String)> {
    let answer = ran.json();
    let text = |tried: &Value, key: &str| tried[key].as_str().expect("text").to_owned();
    let list = answer["tried"].as_array().expect("a list").iter();
    list.map(|tried| (text(tried, "standing"), text(tried, "what")))
        .collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn check_wants_in_each_account_what_is_done_there() {
    let host = host(Options::default()).await;
    host.write("schedules/own.toml", "[remediation]\nmode = \"revoke\"\n");
    let reads: Vec<String> = [Task::Scan, Task::Attached, Task::Completeness]
        .into_iter()
        .flat_map(actions::of)
        .filter_map(|action| action.ram.map(str::to_owned))
        .collect();
    host.cloud.with_world(|world| {
        for id in [SECOND, THIRD] {
            let account = world.accounts.get_mut(id).expect("the account");
            account.roles[0].allow.clone_from(&reads);
        }
    });
    let ran = host.run(&["check", "--json"]).await;
    assert_eq!(ran.code, 0, "{}{}", ran.stdout, ran.stderr);
    let suffix = format!(" in account {SECOND}");
    let there: BTreeSet<String> = tried(&ran)
        .into_iter()
        .filter_map(|(_, what)| Some(what.strip_suffix(&suffix)?.to_owned()))
        .collect();
    let mut wanted: BTreeSet<String> = reads.into_iter().collect();
    wanted.insert("sts:AssumeRole".to_owned());
    assert_eq!(there, wanted);
    let at_home = (
        "indicative".to_owned(),
        "ecs:RevokeSecurityGroup".to_owned(),
    );
    assert!(tried(&ran).contains(&at_home), "{}", ran.stdout);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_account_in_no_directory_is_told_so_by_check() {
    let host = host(Options::default()).await;
    host.cloud.with_world(|world| world.directory = None);
    let ran = host.run(&["check", "--json"]).await;
    assert_eq!(ran.code, 1, "{}{}", ran.stdout, ran.stderr);
    let missing = ("missing".to_owned(), "the resource directory".to_owned());
    assert!(tried(&ran).contains(&missing), "{}", ran.stdout);
    for part in [
        "is in none",
        "put accounts = ",
        "EntityNotExists.ResourceDirectory",
    ] {
        assert!(ran.stdout.contains(part), "{part}: {}", ran.stdout);
    }
    assert!(!ran.stdout.contains("try again"), "{}", ran.stdout);
    // A member of somebody else's directory.
    host.cloud
        .with_world(|world| world.directory = Some(SECOND.to_owned()));
    let ran = host.run(&["check", "--json"]).await;
    assert_eq!(ran.code, 1, "{}{}", ran.stdout, ran.stderr);
    assert!(
        ran.stdout
            .contains("only to the directory's management account"),
        "{}",
        ran.stdout
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn explain_enters_the_account_that_is_named() {
    let host = host(Options::default()).await;
    let explain = async |account: &str, group: &str| {
        let args = ["explain", group, "--region", REGION, "--account", account];
        host.run(&args).await
    };
    let ran = explain(SECOND, "sg-second").await;
    assert_eq!(ran.code, 0, "{}", ran.stderr);
    assert!(
        ran.stdout.contains("risky-ports high: exposed"),
        "{}",
        ran.stdout
    );
    // One's own is not entered; a group of another account is not there.
    assert_eq!(explain(ACCOUNT, "sg-own").await.code, 0);
    let ran = explain(SECOND, "sg-own").await;
    assert!(
        ran.code == 3
            && ran
                .stderr
                .contains("cannot read sg-own in cn-hangzhou: unknown-group"),
        "{}",
        ran.stderr
    );
    // What is wrong with the account is told, before anything is called where that is known.
    let ran = explain("4000000000000004", "sg-x").await;
    assert_eq!(ran.code, 6, "{}", ran.stderr);
    assert!(
        ran.stderr.contains("cannot enter account 4000000000000004"),
        "{}",
        ran.stderr
    );
    assert_eq!(explain("second", "sg-x").await.code, 2);
    host.write("sgwarden.toml", "");
    let ran = explain(SECOND, "sg-second").await;
    assert!(
        ran.code == 2 && ran.stderr.contains("[accounts] role"),
        "{}",
        ran.stderr
    );
}
