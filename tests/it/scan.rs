//! The read-only road as its users meet it: the program against a separately served cloud.

use crate::kit::host::{ACCOUNT, Host, REGION, Ran, ssh_open, world};
use serde_json::Value;
use sgwarden::cloud::{Client, Limits, Settings, credentials::Credentials};
use sgwarden::sim::smtp::{Mode, Receiver, ReceiverOptions};
use sgwarden::sim::{Fault, Group, Options, Rule, SeedOptions, World};
use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

fn folder(host: &Host, ran: &Ran) -> PathBuf {
    host.path(ran.json()["path"].as_str().expect("a path"))
}

fn json(folder: &Path, name: &str) -> Value {
    serde_json::from_slice(&std::fs::read(folder.join(name)).expect("the file")).expect("JSON")
}

fn exposed(folder: &Path) -> BTreeSet<(String, String)> {
    let findings = json(folder, "findings.json");
    findings["findings"]
        .as_array()
        .expect("a list")
        .iter()
        .filter(|finding| finding["verdict"] == "exposed")
        .map(|finding| {
            let text = |key: &str| finding[key].as_str().expect("text").to_owned();
            (text("region"), text("group_id"))
        })
        .collect()
}

/// Every file that a person opens.
fn reports(folder: &Path) -> Vec<(String, String)> {
    let mut out = Vec::new();
    for name in ["findings.csv", "report.html", "report.json"] {
        let text = std::fs::read_to_string(folder.join(name)).expect("a report");
        out.push((name.to_owned(), text));
    }
    let file = std::fs::File::open(folder.join("report.xlsx")).expect("the workbook");
    let mut zip = zip::ZipArchive::new(file).expect("a zip");
    let mut text = String::new();
    let mut strings = zip.by_name("xl/sharedStrings.xml").expect("strings");
    std::io::Read::read_to_string(&mut strings, &mut text).expect("text");
    out.push(("report.xlsx".to_owned(), text));
    out
}

const ALL_FORMATS: &str = "[report]\nformats = [\"csv\", \"xlsx\", \"html\", \"json\"]\n";

#[tokio::test(flavor = "multi_thread")]
async fn finds_every_planted_case_and_nothing_else_in_both_signature_versions() {
    let seeded = World::seeded(SeedOptions {
        groups: 600,
        rules: 12,
        regions: 3,
        accounts: 1,
        seed: 7,
    });
    let planted: BTreeSet<(String, String)> = seeded
        .planted()
        .into_iter()
        .map(|(_, region, group, _)| (region, group))
        .collect();
    assert!(planted.len() > 3, "{}", planted.len());
    let mut host = Host::new(seeded).await;
    host.environment
        .retain(|(name, _)| name != "SGWARDEN_ENDPOINT");
    for version in ["v3", "v1"] {
        let url = host.cloud.url();
        host.write(
            "sgwarden.toml",
            &format!("[cloud]\nendpoint = \"{url}\"\nsignature = \"{version}\"\n"),
        );
        host.write(
            "schedules/weekly.toml",
            include_str!("../../schedules/weekly.toml"),
        );
        for args in [
            &["scan", "--json"][..],
            &["run", "--schedule", "schedules/weekly.toml", "--json"],
        ] {
            let ran = host.run(args).await;
            assert_eq!(ran.code, 0, "{version} {args:?}: {}", ran.stderr);
            assert_eq!(ran.json()["groups"], 600);
            assert_eq!(exposed(&folder(&host, &ran)), planted, "{version}");
        }
    }
    let ran = host.run(&["verify", "--all", "--json"]).await;
    assert_eq!(ran.code, 0, "{}", ran.stdout);
    let calls: u64 = host.cloud.calls().values().sum();
    assert!(
        calls <= 4 * (600 * 108 / 100 + 8),
        "{calls} calls for four times 600 groups"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_part_that_cannot_be_read_makes_every_report_say_incomplete() {
    let mut start = world(&[
        ("sg-a", vec![ssh_open()]),
        (
            "sg-short",
            vec![
                Rule::ingress("TCP", "80/80", "0.0.0.0/0"),
                Rule::ingress("TCP", "81/81", "0.0.0.0/0"),
            ],
        ),
    ]);
    for region in ["cn-shanghai", "cn-beijing"] {
        start.add_group(
            ACCOUNT,
            region,
            Group::new(&format!("sg-{region}"), "unread"),
        );
    }
    let host = Host::new(start).await;
    for fault in [
        "DescribeSecurityGroups@cn-shanghai=Forbidden.RAM",
        "DescribeSecurityGroupAttribute@cn-beijing=hang",
        "DescribeSecurityGroupAttribute/sg-short=short-page",
    ] {
        host.cloud.add_fault(Fault::parse(fault).expect("a fault"));
    }
    let mut tools = host.tools();
    let key = host.cloud.keys().remove(0);
    let limits = Limits {
        first_byte: Duration::from_millis(300),
        whole_call: Duration::from_millis(400),
        silence_budget: Duration::from_secs(1),
        ..Limits::default()
    };
    let settings = Settings {
        endpoint: Some(host.cloud.url()),
        limits,
        ..Settings::default()
    };
    let credentials =
        Credentials::new(&key.access_key_id, &key.access_key_secret, None).expect("keys");
    tools.client = Arc::new(Client::new(settings, credentials).expect("a client"));
    let schedule =
        sgwarden::config::Schedule::read("all.toml", "all", ALL_FORMATS).expect("a schedule");
    let job = sgwarden::job::Job {
        command: "run".to_owned(),
        schedule,
        copies: None,
    };
    let run = sgwarden::job::run(&job, &tools)
        .await
        .expect("a sealed run");
    assert!(!run.record.header.complete);
    let verdicts: Vec<(&str, &str)> = run
        .record
        .findings
        .iter()
        .map(|f| (f.group_id.as_str(), f.verdict.as_str()))
        .collect();
    assert_eq!(
        verdicts,
        [
            ("sg-cn-beijing", "undetermined"),
            ("sg-a", "exposed"),
            ("sg-short", "undetermined")
        ]
    );
    assert_eq!(run.record.header.totals.compliant, 0);
    let coverage = json(&run.sealed.folder, "coverage.json");
    let shanghai = &coverage["regions"][2];
    assert_eq!(shanghai["status"], "failed");
    assert_eq!(shanghai["error"]["code"], "Forbidden.RAM");
    assert!(
        shanghai["error"]["message"]
            .as_str()
            .expect("text")
            .contains("ecs:DescribeSecurityGroups")
    );
    for (name, text) in reports(&run.sealed.folder) {
        let head: String = text.chars().take(9000).collect();
        assert!(
            head.contains("INCOMPLETE") || head.contains("\"complete\": false"),
            "{name}: {head}"
        );
        assert!(
            text.contains("Forbidden.RAM"),
            "{name} names what was not read"
        );
    }
    let population =
        std::fs::read_to_string(run.sealed.folder.join("population.csv")).expect("rows");
    assert!(!population.contains("compliant"), "{population}");
    let letter = sgwarden::report::letter::letter(
        &run.record,
        &sgwarden::model::DeliverySettings {
            location: "x".to_owned(),
            manifest_sha256: run.sealed.manifest_sha256.clone(),
        },
    )
    .expect("a letter");
    assert!(
        letter.subject.starts_with("[sgwarden] INCOMPLETE"),
        "{}",
        letter.subject
    );
    assert!(letter.text.starts_with("INCOMPLETE"), "{}", letter.text);
}

#[tokio::test(flavor = "multi_thread")]
async fn one_clear_error_each_and_nothing_that_looks_like_a_report() {
    let nothing_there = |host: &Host| {
        assert!(!host.path("evidence").exists(), "nothing written");
    };
    let mut host = Host::new(world(&[("sg-a", vec![ssh_open()])])).await;
    let key = host
        .environment
        .iter_mut()
        .find(|(name, _)| name.ends_with("SECRET"))
        .expect("a key");
    key.1 = "wrong".to_owned();
    let ran = host.run(&["scan"]).await;
    assert_eq!(ran.code, 6, "{}", ran.stderr);
    assert!(
        ran.stderr.contains("SignatureDoesNotMatch") && ran.stderr.contains("secret is wrong"),
        "{}",
        ran.stderr
    );
    assert_eq!(ran.stderr.lines().count(), 1, "{}", ran.stderr);
    nothing_there(&host);

    let options = Options {
        clock_offset: chrono::Duration::minutes(20),
        ..Options::default()
    };
    let late = Host::with(world(&[]), options).await;
    let ran = late.run(&["scan"]).await;
    assert_eq!(ran.code, 6, "{}", ran.stderr);
    assert!(
        ran.stderr.contains("1200 seconds behind")
            || ran.stderr.contains("1199 seconds behind")
            || ran.stderr.contains("1201 seconds behind"),
        "{}",
        ran.stderr
    );
    nothing_there(&late);

    let mut none = Host::new(world(&[])).await;
    none.environment.clear();
    let ran = none.run(&["scan"]).await;
    assert_eq!(ran.code, 6, "{}", ran.stderr);
    assert!(ran.stderr.contains("no credentials"), "{}", ran.stderr);
    nothing_there(&none);

    let host = Host::new(world(&[])).await;
    host.write(
        "bad.toml",
        "cron = \"0 25 * * *\"\n[scope]\nregion = [\"cn-hangzhou\"]\n[policy]\ntrusted = [\"0.0.0.0/0\"]\nwaivers = \"w.toml\"\n",
    );
    let ran = host.run(&["run", "--schedule", "bad.toml"]).await;
    assert_eq!(ran.code, 2, "{}", ran.stderr);
    for part in [
        "bad.toml:1: cron",
        "bad.toml:3: scope.region: unknown key; did you mean \"regions\"?",
        "bad.toml:5: policy.trusted",
        "w.toml: cannot be read, and the schedule names it as its waivers",
    ] {
        assert!(ran.stderr.contains(part), "{part}: {}", ran.stderr);
    }
    nothing_there(&host);
    host.write(
        "empty.toml",
        "[scope]\ngroups = { names = [] }\n[remediation]\nmode = \"revoke\"\nwindows = []\n",
    );
    for (args, part) in [
        (&["merge"][..], "not built yet"),
        (&["scann"], "there is no command"),
        (
            &["run", "--schedule", "bad.toml", "--shard", "1/2"],
            "--shard",
        ),
        (&["scan", "--pack", "cyber"], "there is no pack"),
        (
            &[
                "explain",
                "sg-a",
                "--region",
                "cn-hangzhou",
                "--protocol",
                "icmp",
                "--port",
                "80",
            ],
            "has no ports",
        ),
        (
            &[
                "explain",
                "sg-a",
                "--region",
                "cn-hangzhou",
                "--protocol",
                "icmpv6",
                "--source",
                "1.2.3.4",
            ],
            "is not of the family",
        ),
        (&["check", "nowhere"], "cannot be read"),
        (
            &["run", "--schedule", "empty.toml"],
            "scope.groups.names: is empty: an empty list reads nothing",
        ),
        (
            &["run", "--schedule", "empty.toml"],
            "an empty list is no time at all",
        ),
        (&["scan", "--store", "oss://Bad_Bucket/x"], "bucket's name"),
    ] {
        let ran = host.run(args).await;
        assert_eq!(ran.code, 2, "{args:?}: {}", ran.stderr);
        assert!(ran.stderr.contains(part), "{args:?}: {}", ran.stderr);
    }
    assert!(host.cloud.calls().is_empty(), "nothing was called");
}

#[tokio::test(flavor = "multi_thread")]
async fn an_unreachable_endpoint_is_given_up_within_half_a_minute() {
    let mut host = Host::new(world(&[])).await;
    host.environment
        .retain(|(name, _)| name != "SGWARDEN_ENDPOINT");
    let ran = host
        .run(&["scan", "--endpoint", "http://127.0.0.1:1"])
        .await;
    assert_eq!(ran.code, 6, "{}", ran.stderr);
    assert!(
        ran.stderr.contains("127.0.0.1:1") && ran.stderr.contains("connect"),
        "{}",
        ran.stderr
    );
    assert!(!host.path("evidence").exists());
}

#[tokio::test(flavor = "multi_thread")]
async fn verify_names_whatever_was_touched() {
    let host = Host::new(world(&[("sg-a", vec![ssh_open()])])).await;
    let first = host.run(&["scan", "--json"]).await;
    let second = host.run(&["scan", "--json"]).await;
    let (one, two) = (folder(&host, &first), folder(&host, &second));
    let manifest = json(&two, "manifest.json");
    assert_eq!(manifest["previous"]["run"], first.json()["run"]);
    assert_eq!(host.run(&["verify", "--all"]).await.code, 0);
    let touched = |what: &'static str, path: PathBuf, undo: Vec<u8>| {
        let host = &host;
        async move {
            let ran = host.run(&["verify", "--all"]).await;
            assert_eq!(ran.code, 1, "{what}: {}", ran.stdout);
            assert!(ran.stdout.contains(what), "{what}: {}", ran.stdout);
            std::fs::write(path, undo).expect("put back");
        }
    };
    let population = one.join("population.csv");
    let was = std::fs::read(&population).expect("rows");
    std::fs::write(
        &population,
        String::from_utf8_lossy(&was).replace("exposed", "compliant"),
    )
    .expect("an edit");
    touched("population.csv has sha256", population, was).await;
    let file = two.join("manifest.json");
    let was = std::fs::read(&file).expect("the manifest");
    std::fs::write(
        &file,
        String::from_utf8_lossy(&was).replace("\"exposed\":1", "\"exposed\":0"),
    )
    .expect("an edit");
    touched("the state remembers", file.clone(), was.clone()).await;
    let spaced = serde_json::to_vec_pretty(&json(&two, "manifest.json")).expect("JSON");
    std::fs::write(&file, spaced).expect("an edit");
    touched("not canonical", file, was).await;
    // Nothing is signed yet: a signature is a file like any other that was put there.
    for name in ["extra.txt", "manifest.sig"] {
        std::fs::write(two.join(name), "{}").expect("a file");
        let ran = host.run(&["verify", two.to_str().expect("a path")]).await;
        assert_eq!(ran.code, 1, "{name}");
        assert!(
            ran.stdout.contains(&format!("{name} is not listed")),
            "{}",
            ran.stdout
        );
        std::fs::remove_file(two.join(name)).expect("removed");
    }
    std::fs::remove_dir_all(&one).expect("removed");
    let ran = host.run(&["verify", "--all"]).await;
    assert_eq!(ran.code, 1);
    assert!(
        ran.stdout.contains("no longer in the store"),
        "{}",
        ran.stdout
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn one_run_that_cannot_be_verified_keeps_nobody_from_the_others() {
    let host = Host::new(world(&[])).await;
    let first = host.run(&["scan", "--json"]).await;
    let second = host.run(&["scan", "--json"]).await;
    let (one, two) = (folder(&host, &first), folder(&host, &second));
    let id = |of: &Path| {
        let name = of.file_name().expect("a name");
        name.to_string_lossy().into_owned()
    };
    let other = one.with_file_name("20200101T000000Z-x-aaaaaa");
    // What is said of each run, by the name of its folder, and of the store.
    let said = async || {
        let ran = host.run(&["verify", "--all", "--json"]).await;
        assert_eq!(ran.code, 1, "{}{}", ran.stdout, ran.stderr);
        let all = ran.json();
        let of = |name: &str| {
            let mut runs = all["runs"].as_array().expect("a list").iter();
            let run = runs.find(|run| run["run"] == name);
            run.map(|run| run["problems"].to_string())
        };
        let named = [&one, &two, &other].map(|folder| of(&id(folder)));
        (named, all["problems"].to_string())
    };
    let is_named = format!("the folder is named {}", id(&other));

    std::fs::rename(&one, &other).expect("renamed");
    let ([gone, after, renamed], store) = said().await;
    assert_eq!(gone, None);
    assert!(renamed.is_some_and(|said| said.contains(&is_named)));
    assert!(after.is_some_and(|said| said.contains("the run before")));
    assert!(store.contains("no longer in the store"), "{store}");
    std::fs::rename(&other, &one).expect("put back");

    std::fs::create_dir(&other).expect("a folder");
    std::fs::copy(one.join("manifest.json"), other.join("manifest.json")).expect("a copy");
    let ([first, after, copied], store) = said().await;
    assert_eq!(
        (first.as_deref(), after.as_deref()),
        (Some("[]"), Some("[]"))
    );
    let copied = copied.expect("verified too");
    assert!(
        copied.contains(&is_named) && copied.contains("population.csv"),
        "{copied}"
    );
    assert!(
        store.contains(&id(&one)) && store.contains(&id(&other)),
        "{store}"
    );
    std::fs::remove_dir_all(&other).expect("removed");

    let note = host.path("state/sealed").join(id(&one));
    std::fs::write(&note, "").expect("emptied");
    let ([first, after, _], _) = said().await;
    assert!(first.is_some_and(|said| said.contains("no line for manifest.json")));
    assert_eq!(after.as_deref(), Some("[]"));
}

#[tokio::test(flavor = "multi_thread")]
async fn every_row_of_the_population_leads_to_the_answers_it_was_judged_from() {
    let host = Host::new(world(&[("sg-a", vec![ssh_open()]), ("sg-b", vec![])])).await;
    let ran = host.run(&["scan", "--json"]).await;
    let folder = folder(&host, &ran);
    let mut rows = 0;
    for row in csv::Reader::from_path(folder.join("population.csv"))
        .expect("rows")
        .records()
    {
        let row = row.expect("a row");
        let packed = std::fs::read(folder.join(&row[8])).expect("the raw file");
        assert_eq!(
            sgwarden::evidence::format::sha256(&packed).as_str(),
            &row[9]
        );
        let plain = String::from_utf8(zstd::decode_all(&packed[..]).expect("zstd")).expect("UTF-8");
        let line = plain
            .lines()
            .map(|line| serde_json::from_str::<Value>(line).expect("JSON"))
            .find(|line| {
                line["action"] == "DescribeSecurityGroupAttribute"
                    && line["params"]["SecurityGroupId"] == row[2]
            })
            .expect("the answer");
        let body: Value =
            serde_json::from_str(line["body"].as_str().expect("text")).expect("the body");
        assert_eq!(body["SecurityGroupId"], row[2]);
        assert_eq!(body["RequestId"], line["request_id"]);
        assert!(
            !plain.contains(&host.environment[1].1),
            "no key in the evidence"
        );
        rows += 1;
    }
    assert_eq!(rows, 2);
}

fn mail_schedule(when: &str) -> String {
    format!(
        "[report]\nformats = [\"csv\", \"xlsx\"]\n[[mail]]\nto = [\"值班 <oncall@example.com>\"]\ncc = [\"audit@example.com\"]\nwhen = \"{when}\"\n"
    )
}

#[tokio::test(flavor = "multi_thread")]
async fn mail_is_delivered_kept_when_it_is_not_and_resent_with_the_same_id() {
    let relay = Receiver::start(Mode::Plain, ReceiverOptions::default())
        .await
        .expect("a relay");
    let host = Host::new(world(&[("sg-a", vec![ssh_open()])])).await;
    host.write(
        "sgwarden.toml",
        &format!(
            "[mail]\nurl = \"smtp://{}?tls=none\"\nfrom = \"安全审计 <audit@example.com>\"\n",
            relay.addr()
        ),
    );
    host.write("s/mail.toml", &mail_schedule("findings"));
    let ran = host
        .run(&["run", "--schedule", "s/mail.toml", "--json"])
        .await;
    assert_eq!(ran.code, 0, "{}", ran.stderr);
    let got = relay.messages();
    assert_eq!(got.len(), 2, "one transaction a recipient");
    let text = String::from_utf8_lossy(&got[0].data).into_owned();
    assert!(
        text.contains("Subject: [sgwarden] FAIL 1 new - 1234567890123456"),
        "{text}"
    );
    assert!(
        text.contains(&format!(
            "<{}.1@example.com>",
            ran.json()["run"].as_str().expect("an id")
        )),
        "{text}"
    );
    assert!(text.contains("Auto-Submitted: auto-generated"));
    assert!(text.contains("filename=\"findings-2") && text.contains("filename=\"report-2"));
    // Refused for one recipient: the other still gets it, and the run is 5.
    relay.set_options(ReceiverOptions {
        reject: vec![(
            "audit@example.com".to_owned(),
            "550 5.1.1 nobody".to_owned(),
        )],
        ..ReceiverOptions::default()
    });
    let ran = host
        .run(&["run", "--schedule", "s/mail.toml", "--json"])
        .await;
    assert_eq!(ran.code, 5, "{}", ran.stderr);
    assert_eq!(relay.messages().len(), 3);
    let run = ran.json()["run"].as_str().expect("an id").to_owned();
    assert_eq!(
        host.run(&["verify", &run]).await.code,
        0,
        "the run is sealed all the same"
    );
    relay.set_options(ReceiverOptions::default());
    let ran = host.run(&["resend", &run]).await;
    assert_eq!(ran.code, 0, "{}", ran.stderr);
    let got = relay.messages();
    assert_eq!(got.len(), 4);
    assert_eq!(got[3].to, ["audit@example.com"]);
    assert_eq!(got[2].data, got[3].data, "the same bytes");
    assert!(
        host.run(&["resend", &run])
            .await
            .stdout
            .contains("nothing waits")
    );
    // Nothing is found: `when = "findings"` sends nothing.
    let id = host.rules("sg-a").remove(0);
    host.cloud
        .with_world(|w| w.remove_rule(ACCOUNT, REGION, "sg-a", &id));
    assert_eq!(
        host.run(&["run", "--schedule", "s/mail.toml"]).await.code,
        0
    );
    assert_eq!(relay.messages().len(), 4);
}

#[tokio::test(flavor = "multi_thread")]
async fn history_is_the_last_sealed_run() {
    let host = Host::new(world(&[("sg-a", vec![ssh_open()])])).await;
    let state = |ran: &Ran| {
        let value = json(&folder(&host, ran), "findings.json");
        (
            value["findings"][0]["state"].clone(),
            value["resolved"].as_array().expect("a list").len(),
        )
    };
    let first = host.run(&["scan", "--json"]).await;
    assert_eq!(state(&first), (Value::from("new"), 0));
    let second = host.run(&["scan", "--json"]).await;
    assert_eq!(state(&second), (Value::from("open"), 0));
    let (one, two) = (
        json(&folder(&host, &first), "findings.json"),
        json(&folder(&host, &second), "findings.json"),
    );
    assert_eq!(
        one["findings"][0]["first_seen"],
        two["findings"][0]["first_seen"]
    );
    let id = host.rules("sg-a").remove(0);
    host.cloud
        .with_world(|w| w.remove_rule(ACCOUNT, REGION, "sg-a", &id));
    let third = host.run(&["scan", "--json"]).await;
    assert_eq!(state(&third), (Value::Null, 1));
    host.cloud
        .with_world(|w| w.add_rule(ACCOUNT, REGION, "sg-a", ssh_open()));
    let fourth = host.run(&["scan", "--json"]).await;
    assert_eq!(state(&fourth), (Value::from("reopened"), 0));
}

#[tokio::test(flavor = "multi_thread")]
async fn explain_report_and_runs_answer_people_and_scripts() {
    let rules = vec![
        ssh_open().at(5),
        Rule::ingress("TCP", "22/22", "47.0.0.0/8").drops().at(1),
    ];
    let host = Host::new(world(&[("sg-a", rules)])).await;
    let ran = host
        .run(&[
            "explain", "sg-a", "--region", REGION, "--source", "47.1.2.3", "--json",
        ])
        .await;
    assert_eq!(
        ran.json()["answers"][0]["answer"],
        "dropped",
        "{}",
        ran.stdout
    );
    let ran = host
        .run(&[
            "explain", "sg-a", "--region", REGION, "--source", "8.8.8.8", "--json",
        ])
        .await;
    assert_eq!(ran.json()["answers"][0]["answer"], "accepted");
    let ran = host
        .run(&["explain", "sg-a", "--region", REGION, "--port", "22"])
        .await;
    assert!(ran.stdout.contains("accepted in part"), "{}", ran.stdout);
    let ran = host.run(&["explain", "sg-none", "--region", REGION]).await;
    assert_eq!(ran.code, 3, "{}{}", ran.stdout, ran.stderr);
    let scan = host.run(&["scan", "--json", "--out", "copies"]).await;
    assert!(
        host.path("copies/report.xlsx").is_file() && host.path("copies/findings.csv").is_file()
    );
    let run = scan.json()["run"].as_str().expect("an id").to_owned();
    let ran = host
        .run(&[
            "report",
            &run,
            "--format",
            "xlsx,csv,html",
            "--out",
            "again",
        ])
        .await;
    assert_eq!(ran.code, 0, "{}", ran.stderr);
    let sealed = folder(&host, &scan);
    for name in ["report.xlsx", "findings.csv"] {
        assert_eq!(
            std::fs::read(host.path("again").join(name)).expect("a report"),
            std::fs::read(sealed.join(name)).expect("the sealed one"),
            "the same record gives the same bytes: {name}"
        );
    }
    let ran = host.run(&["runs", "--json"]).await;
    assert_eq!(ran.json()["runs"][0]["run"], run.as_str());
    let ran = host.run(&["scan", "--fail-on", "high"]).await;
    assert_eq!(ran.code, 1);
    let ran = host.run(&["scan", "--group", "sg-nowhere"]).await;
    assert_eq!(
        ran.code, 3,
        "a group that was named and is not there: {}",
        ran.stdout
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn the_demo_runs_to_its_end_and_its_evidence_verifies() {
    let host = Host::new(world(&[])).await;
    let ran = host.run(&["demo", "--json"]).await;
    assert_eq!(ran.code, 0, "{}", ran.stderr);
    let answer = ran.json();
    let runs = answer["runs"].as_array().expect("two runs");
    assert_eq!(runs[0]["verdicts"]["exposed"], 12);
    assert_eq!(runs[0]["changes"]["verified"], 8);
    assert_eq!(runs[1]["verdicts"]["exposed"], 5, "those that are held");
    for run in runs {
        let ran = host
            .run(&["verify", run["path"].as_str().expect("a path")])
            .await;
        assert_eq!(ran.code, 0, "{}", ran.stdout);
        for path in run["artifacts"].as_array().expect("paths") {
            assert!(host.path(path.as_str().expect("a path")).exists(), "{path}");
        }
    }
    assert!(host.path("sgwarden-demo/mail/letter-1.eml").is_file());
    // Again in the same folder: a new world, not one in which everything has come back.
    let again = host.run(&["demo", "--json"]).await.json();
    assert_eq!(again["runs"][0]["changes"]["verified"], 8, "{again}");
    host.write("mine/evidence/x", "mine");
    let ran = host.run(&["demo", "--out", "mine"]).await;
    assert_eq!(ran.code, 2, "{}", ran.stderr);
}
