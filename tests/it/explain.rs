//! `explain` of a group's findings: one packet that gets in, as a sentence and as a table.

use crate::kit::host::{Host, REGION, ssh_open, world};
use sgwarden::sim::{Group, Rule, World};

async fn host(groups: &[(&str, Vec<Rule>)]) -> Host {
    Host::new(world(groups)).await
}

#[tokio::test(flavor = "multi_thread")]
async fn of_each_finding_one_packet_that_gets_in_and_the_rule_that_lets_it() {
    let rules = vec![
        ssh_open().at(5),
        Rule::ingress("TCP", "22/22", "47.0.0.0/8").drops().at(1),
        Rule::ingress("TCP", "3389/3389", "0.0.0.0/1").at(9),
        // Beside the point: none of these matches it.
        Rule::ingress("UDP", "22/22", "0.0.0.0/0"),
        Rule::ingress("TCP", "80/80", "0.0.0.0/0"),
    ];
    let host = host(&[("sg-a", rules)]).await;
    let ran = host
        .run(&["explain", "sg-a", "--region", REGION, "--json"])
        .await;
    assert_eq!(ran.code, 0, "{}", ran.stderr);
    let said = ran.json();
    let findings = said["findings"].as_array().expect("a list");
    assert_eq!(findings.len(), 1, "{said:#}");
    let finding = &findings[0];
    assert_eq!(finding["check"], "risky-ports");
    assert_eq!(finding["verdict"], "exposed");
    let packet = &finding["packet"];
    let table = packet["rules"].as_array().expect("a table");
    assert_eq!(table.len(), 2, "{table:#?}");
    assert_eq!(table[0]["policy"], "drop");
    assert_eq!(table[0]["decides_addresses"], "16777216");
    assert_eq!(table[1]["decides_addresses"], packet["accepted_addresses"]);
    assert_eq!(packet["decided_by"], table[1]["rule_id"]);
    // What it names as an example is asked again, as a packet of its own.
    let source = packet["source"].as_str().expect("an address").to_owned();
    let again = host
        .run(&[
            "explain", "sg-a", "--region", REGION, "--port", "22", "--source", &source, "--json",
        ])
        .await;
    assert_eq!(again.json()["answers"][0]["answer"], "accepted");
    let sentence = finding["sentence"].as_str().expect("text");
    for part in [&source, "tcp port 22 (SSH)", "accepts 0.0.0.0/0", "gets in"] {
        assert!(sentence.contains(part), "{part}: {sentence}");
    }
    let ran = host.run(&["explain", "sg-a", "--region", REGION]).await;
    assert!(ran.stdout.contains(sentence), "{}", ran.stdout);
    assert!(ran.stdout.contains("; this packet too"), "{}", ran.stdout);
    assert!(
        ran.stdout.contains("Also: tcp 3389 (IPv4)"),
        "{}",
        ran.stdout
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_in_doubt_says_so_and_what_is_closed_says_that() {
    let mut doubtful = ssh_open();
    doubtful.policy = "Perhaps".to_owned();
    let closed = vec![Rule::ingress("TCP", "22/22", "10.0.0.0/8")];
    let host = host(&[("sg-doubt", vec![doubtful]), ("sg-closed", closed)]).await;
    let ran = host.run(&["explain", "sg-doubt", "--region", REGION]).await;
    assert!(ran.stdout.contains("undetermined"), "{}", ran.stdout);
    assert!(
        ran.stdout.contains("It cannot be said whether"),
        "{}",
        ran.stdout
    );
    assert!(ran.stdout.contains("Policy \"Perhaps\""), "{}", ran.stdout);
    assert!(
        !ran.stdout.contains(" accepts 0.0.0.0/0. So does"),
        "{}",
        ran.stdout
    );
    let ran = host
        .run(&["explain", "sg-closed", "--region", REGION])
        .await;
    assert_eq!(ran.code, 0);
    assert!(
        ran.stdout.contains("nothing is exposed under risky-ports"),
        "{}",
        ran.stdout
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn of_a_group_that_could_not_be_read_in_full_no_packet_is_certain() {
    let mut start = World::single("1234567890123456", &[REGION]);
    let mut group =
        Group::new("sg-short", "short").with(Rule::ingress("TCP", "80/80", "0.0.0.0/0"));
    group.rule_count = Some(5);
    start.add_group("1234567890123456", REGION, group);
    let host = Host::new(start).await;
    for port in ["22", "80"] {
        let args = ["explain", "sg-short", "--region", REGION, "--port", port];
        let ran = host.run(&args).await;
        assert_eq!(ran.code, 3, "{}", ran.stderr);
        for part in [
            "undetermined",
            "not all of its rules could be read",
            "others may come before them",
        ] {
            assert!(ran.stdout.contains(part), "{part}: {}", ran.stdout);
        }
        let ran = host.run(&[&args[..], &["--json"]].concat()).await;
        for answer in ran.json()["answers"].as_array().expect("answers") {
            assert_eq!(answer["answer"], "undetermined", "{answer}");
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_group_of_a_cloud_service_is_shown_as_one() {
    let mut start = World::single("1234567890123456", &[REGION]);
    let mut group = Group::new("sg-m", "of a service");
    group.permissions = vec![ssh_open()];
    group.service_managed = true;
    start.add_group("1234567890123456", REGION, group);
    let host = Host::new(start).await;
    let ran = host.run(&["explain", "sg-m", "--region", REGION]).await;
    assert!(
        ran.stdout.contains("A cloud service manages this group"),
        "{}",
        ran.stdout
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_check_is_named_or_a_packet_and_never_both() {
    let host = host(&[("sg-a", vec![ssh_open()])]).await;
    let base = ["explain", "sg-a", "--region", REGION];
    let of = |more: &[&'static str]| [&base[..], more].concat();
    let ran = host.run(&of(&["--check", "risky-ports"])).await;
    assert_eq!(ran.code, 0, "{}", ran.stderr);
    for (more, names) in [
        (&["--check", "none-such"][..], "none-such"),
        (&["--pack", "none-such"], "none-such"),
        (&["--check", "risky-ports", "--port", "22"], "--port"),
    ] {
        let ran = host.run(&of(more)).await;
        assert_eq!(ran.code, 2, "{more:?}: {}", ran.stdout);
        assert!(ran.stderr.contains(names), "{}", ran.stderr);
    }
}

const WAIVERS: &str = "[[waiver]]\ngroup = \"sg-a\"\ncheck = \"risky-ports\"\nports = [\"22\"]\nsources = [\"0.0.0.0/0\"]\n\
    owner = \"web team\"\napproved_by = \"Ada Chen\"\nreason = \"partners\"\nexpires = 2999-12-31\n\
    [[waiver]]\ngroup = \"sg-b\"\ncheck = \"*\"\nports = [\"22\"]\nsources = [\"0.0.0.0/0\"]\n\
    owner = \"data team\"\napproved_by = \"Bo Lin\"\nreason = \"was needed\"\nexpires = 2020-01-01\n";

#[tokio::test(flavor = "multi_thread")]
async fn a_schedules_trusted_networks_and_waivers_are_said() {
    let trusted = Rule::ingress("TCP", "22/22", "47.96.0.0/12");
    let host = host(&[
        ("sg-a", vec![ssh_open()]),
        ("sg-b", vec![ssh_open()]),
        ("sg-c", vec![trusted]),
    ])
    .await;
    host.write("waivers.toml", WAIVERS);
    host.write(
        "schedules/w.toml",
        "[policy]\ntrusted = [\"47.96.0.0/12\"]\nwaivers = \"waivers.toml\"\n",
    );
    let explain = async |group: &str, more: &[&str]| {
        let base = [
            "explain",
            group,
            "--region",
            REGION,
            "--schedule",
            "schedules/w.toml",
        ];
        let ran = host.run(&[&base[..], more].concat()).await;
        assert_eq!(ran.code, 0, "{}", ran.stderr);
        ran
    };
    // Approved in full: shown as such, with who approved it.
    let said = explain("sg-a", &[]).await.stdout;
    for part in [
        "risky-ports high: waived",
        "Approved by Ada Chen for web team until 2999-12-31: partners",
        "IPv4 internet less the trusted networks",
        "Trusted networks do not count as internet: 47.96.0.0/12.",
        "Waiver of sg-a under risky-ports: 22 from 0.0.0.0/0",
    ] {
        assert!(said.contains(part), "{part}: {said}");
    }
    assert!(!said.contains("sg-b"), "{said}");
    let json = explain("sg-a", &["--json"]).await.json();
    assert_eq!(json["findings"][0]["waiver"]["owner"], "web team");
    assert_eq!(json["waivers"][0]["active"], true);
    assert_eq!(json["trusted"][0], "47.96.0.0/12");
    // What is over counts for nothing, and is said.
    let said = explain("sg-b", &[]).await.stdout;
    assert!(said.contains("risky-ports high: exposed"), "{said}");
    assert!(
        said.contains("EXPIRED waiver of sg-b under every check"),
        "{said}"
    );
    // What only trusted networks reach is no finding, and why is said.
    let said = explain("sg-c", &[]).await.stdout;
    assert!(said.contains("nothing is exposed") && said.contains("do not count as internet"));
    // Of a packet: it gets in, and from where it is trusted.
    let from = ["--port", "22", "--source", "47.96.1.2"];
    let said = explain("sg-c", &from).await.stdout;
    assert!(said.contains(": accepted"), "{said}");
    assert!(said.contains("lies in the trusted 47.96.0.0/12"), "{said}");
    let json = explain("sg-c", &["--source", "8.8.8.8", "--json"])
        .await
        .json();
    assert_eq!(json["source_trusted_by"], serde_json::Value::Null);
    assert_eq!(json["answers"][0]["answer"], "dropped");
    // Without a schedule nothing is trusted or approved.
    let ran = host.run(&["explain", "sg-a", "--region", REGION]).await;
    assert!(
        ran.stdout.contains("risky-ports high: exposed"),
        "{}",
        ran.stdout
    );
    assert!(
        !ran.stdout.contains("aiver") && !ran.stdout.contains("rusted"),
        "{}",
        ran.stdout
    );
    let both = [
        "explain",
        "sg-a",
        "--region",
        REGION,
        "--schedule",
        "schedules/w.toml",
        "--pack",
        "admin",
    ];
    assert_eq!(host.run(&both).await.code, 2);
}
