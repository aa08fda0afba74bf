//! Packs and controls as their users meet them: files, mistakes, reports, and what is never changed.

use crate::kit::host::{ACCOUNT, Host, REGION, ssh_open, world};
use expect_test::expect_file;
use sgwarden::config::Schedule;
use sgwarden::job::Job;
use sgwarden::sim::{Group, Rule, World};
use std::path::Path;

const OURS: &str = r#"# What our house adds.
[[check]]
id = "build-agents"
title = "Build agents are not open to the internet"
severity = "high"
ports = ["8022"]
clauses = ["remote-access"]
controls = [{ framework = "House rules", version = "3", clause = "2.10", title = "Build agents stay inside" }]

[[not_assessed]]
framework = "House rules"
version = "3"
clause = "2.9"
title = "Owners know their groups"
reason = "A person is asked every quarter"
"#;

/// One open, one closed, one narrow, one open by a cloud service's hand.
fn estate() -> World {
    let mut world = world(&[
        ("sg-open", vec![ssh_open()]),
        (
            "sg-closed",
            vec![Rule::ingress("TCP", "80/80", "0.0.0.0/0")],
        ),
        (
            "sg-narrow",
            vec![
                Rule::ingress("TCP", "22/22", "47.100.1.2/32"),
                Rule::ingress("TCP", "1/65535", "10.0.0.0/8"),
            ],
        ),
    ]);
    let mut managed = Group::new("sg-managed", "of a service").with(ssh_open());
    managed.service_managed = true;
    world.add_group(ACCOUNT, REGION, managed);
    world
}

fn read(folder: &Path, name: &str) -> String {
    std::fs::read_to_string(folder.join(name)).unwrap_or_else(|why| panic!("{name}: {why}"))
}

#[tokio::test(flavor = "multi_thread")]
async fn a_pack_of_ones_own_counts_beside_those_that_ship() {
    let host = Host::new(estate()).await;
    host.write("packs/ours.toml", OURS);
    host.write(
        "schedules/weekly.toml",
        "[policy]\npacks = [\"risky-ports\", \"cis\", \"packs/ours.toml\"]\n[report]\nformats = [\"csv\", \"xlsx\", \"html\"]\n",
    );
    let run = ["run", "--schedule", "schedules/weekly.toml", "--json"];
    let ran = host.run(&run).await;
    assert_eq!(ran.code, 0, "{}", ran.stderr);
    let folder = host.path(ran.json()["path"].as_str().expect("a path"));
    let csv = read(&folder, "controls.csv");
    expect_file!["../golden/controls.csv"].assert_eq(&csv.replace("\r\n", "\n"));

    let html = read(&folder, "report.html");
    let page = html.split("<h2>").nth(1).expect("a first section");
    assert!(
        page.starts_with("Relaxations") && page.contains("IPv4 &#x2f;16"),
        "{page}"
    );
    let manifest: serde_json::Value =
        serde_json::from_str(&read(&folder, "manifest.json")).expect("JSON");
    let ours = &manifest["policy"][3];
    assert_eq!(
        (&ours["name"], &ours["text"]),
        (&"pack packs/ours.toml".into(), &OURS.into())
    );
    assert_eq!(manifest["checks"][0]["groups"]["compliant"], 2);
    assert_eq!(manifest["checks"][0]["groups"]["managed"], 1);

    // The stored run says the same again, and is as it was sealed.
    let name = ran.json()["run"].as_str().expect("a run").to_owned();
    let again = host
        .run(&["report", &name, "--format", "csv", "--out", "again"])
        .await;
    assert_eq!(again.code, 0, "{}", again.stderr);
    assert_eq!(read(&host.path("again"), "controls.csv"), csv);
    assert_eq!(host.run(&["verify", &name]).await.code, 0);

    let scan = host
        .run(&["scan", "--pack", "packs/ours.toml", "--json"])
        .await;
    assert_eq!(scan.code, 0, "{}", scan.stderr);
    assert_eq!(scan.json()["verdicts"]["compliant"], 4);
}

#[tokio::test(flavor = "multi_thread")]
async fn every_mistake_of_a_pack_is_named_with_its_place_and_nothing_is_called() {
    let host = Host::new(estate()).await;
    host.write(
        "packs/ours.toml",
        "[[check]]\nid = \"Build\"\nseverity = \"high\"\nports = [\"8022\"]\n\n[[check]]\nid = \"two\"\nseverity = \"high\"\nprots = [\"22\"]\nports = [\"0-70000\"]\n",
    );
    host.write(
        "s.toml",
        "timezone = \"Mars\"\n[policy]\npacks = [\"cis\", \"packs/ours.toml\", \"packs/none.toml\", \"cyber\"]\n",
    );
    let ran = host.run(&["run", "--schedule", "s.toml"]).await;
    assert_eq!(ran.code, 2, "{}", ran.stderr);
    for part in [
        "packs/ours.toml:2: check[0].id: must be lower-case",
        "packs/ours.toml:9: check[1].prots: unknown key; did you mean \"ports\"?",
        "packs/ours.toml:10: check[1].ports: \"0-70000\"",
        "s.toml:1: timezone",
        "s.toml:3: policy.packs: pack \"packs/none.toml\": ",
        "s.toml:3: policy.packs: there is no pack \"cyber\"; there is risky-ports, databases,",
    ] {
        assert!(ran.stderr.contains(part), "{part}: {}", ran.stderr);
    }
    let ran = host.run(&["scan", "--pack", "packs/ours.toml"]).await;
    assert_eq!(ran.code, 2, "{}", ran.stderr);
    assert!(
        ran.stderr.contains("packs/ours.toml:9: check[1].prots"),
        "{}",
        ran.stderr
    );
    assert!(host.cloud.calls().is_empty(), "nothing was called");
}

#[test]
fn one_check_in_two_packs_is_one_and_two_that_differ_are_refused() {
    let dir = tempfile::TempDir::new().expect("a folder");
    let pack = |name: &str, port: &str, clause: &str| {
        let text = format!(
            "[[check]]\nid = \"own\"\nseverity = \"low\"\nports = [\"{port}\"]\ncontrols = [{{ framework = \"F\", version = \"1\", clause = \"{clause}\", title = \"t\" }}]\n"
        );
        std::fs::write(dir.path().join(name), text).expect("a file");
    };
    pack("a.toml", "22", "1");
    pack("b.toml", "22", "2");
    pack("c.toml", "23", "1");
    let read = |packs: &str| {
        let text = format!("[policy]\npacks = [{packs}]\n");
        Schedule::read_in(dir.path(), "s.toml", "s", &text)
    };
    let one = read("\"a.toml\", \"b.toml\"").expect("equal is one");
    assert_eq!(one.checks.len(), 1);
    let clauses: Vec<&str> = one.checks[0]
        .controls
        .iter()
        .map(|control| control.clause.clause.as_str())
        .collect();
    assert_eq!(clauses, ["1", "2"], "of both packs");
    let problems = read("\"a.toml\",\n\"c.toml\"").expect_err("they differ");
    let told: Vec<String> = problems.iter().map(ToString::to_string).collect();
    assert_eq!(
        told,
        [
            "s.toml:3: policy.packs: packs \"a.toml\" and \"c.toml\" both have a check \"own\", and the two differ"
        ]
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn checks_that_report_change_nothing_and_those_on_ports_do() {
    let host = Host::new(estate()).await;
    let job = |packs: &str| {
        let text = format!(
            "[policy]\npacks = {packs}\n[remediation]\nmode = \"revoke\"\nmax_share = \"100%\"\n[report]\nformats = [\"csv\"]\n"
        );
        Job {
            command: "run".to_owned(),
            schedule: Schedule::read("test.toml", "test", &text).expect("a schedule"),
            copies: None,
        }
    };
    let reports = "[\"private-side\"]\n[[policy.check]]\nid = \"seen\"\nseverity = \"high\"\nports = [\"22\"]\nreport_only = true";
    let seen = sgwarden::job::run(&job(reports), &host.tools())
        .await
        .expect("a sealed run");
    assert_eq!(seen.record.header.totals.exposed, 2, "sg-open, sg-narrow");
    assert!(seen.record.changes.is_empty() && seen.record.held.is_empty());
    assert_eq!(host.rules("sg-open").len(), 1);

    let acted = sgwarden::job::run(
        &job("[\"admin\", \"cis\", \"private-side\"]"),
        &host.tools(),
    )
    .await
    .expect("a sealed run");
    let changes = &acted.record.changes;
    assert_eq!(changes.len(), 1, "{changes:#?}");
    assert_eq!(changes[0].group_id.as_str(), "sg-open");
    assert_eq!(changes[0].checks, ["ssh", "cis-4-3-ssh"]);
    assert!(host.rules("sg-open").is_empty());
    assert_eq!(host.rules("sg-narrow").len(), 2);
    assert_eq!(host.rules("sg-managed").len(), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_plan_is_not_carried_out_under_a_pack_that_changed_since() {
    let host = Host::new(estate()).await;
    let pack = "[[check]]\nid = \"own\"\nseverity = \"high\"\nports = [\"22\"]\n";
    host.write("ours.toml", pack);
    host.write("s.toml", "[policy]\npacks = [\"ours.toml\"]\n");
    let plan = host.run(&["plan", "--schedule", "s.toml"]).await;
    assert_eq!(plan.code, 0, "{}", plan.stderr);
    host.write("ours.toml", &pack.replace("22", "23"));
    let ran = host
        .run(&["apply", "plan.json", "--approved-by", "Ada"])
        .await;
    assert_eq!(ran.code, 2, "{}", ran.stderr);
    assert!(
        ran.stderr.contains("was made with another pack ours.toml"),
        "{}",
        ran.stderr
    );
    assert_eq!(host.rules("sg-open").len(), 1);
}
