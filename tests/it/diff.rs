//! `diff`: what changed between two sealed runs, as scripts and people see it.

use crate::kit::host::{ACCOUNT, Host, REGION, ssh_open, world};
use serde_json::Value;
use sgwarden::sim::{Fault, Rule};

async fn scan(host: &Host) -> String {
    let ran = host.run(&["scan", "--json"]).await;
    ran.json()["run"].as_str().expect("a run").to_owned()
}

fn names(list: &Value) -> Vec<&str> {
    let list = list.as_array().expect("a list");
    list.iter()
        .map(|one| one["group_id"].as_str().expect("a group"))
        .collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn new_resolved_grown_and_what_was_not_read() {
    let host = Host::new(world(&[
        ("sg-same", vec![ssh_open()]),
        ("sg-gone", vec![ssh_open()]),
        ("sg-closed", vec![ssh_open()]),
        ("sg-grows", vec![ssh_open()]),
        ("sg-dark", vec![ssh_open()]),
        ("sg-opens", Vec::new()),
    ]))
    .await;
    let first = scan(&host).await;
    let again = scan(&host).await;
    let same = host.run(&["diff", &first, &again]).await;
    assert_eq!(same.code, 0, "{}{}", same.stdout, same.stderr);
    assert!(same.stdout.contains("no difference"), "{}", same.stdout);

    let closed = host.rules("sg-closed");
    host.cloud.with_world(|world| {
        let region = world.region_mut(ACCOUNT, REGION).expect("a region");
        region.remove_group("sg-gone");
        world.remove_rule(ACCOUNT, REGION, "sg-closed", &closed[0]);
        let rdp = Rule::ingress("TCP", "3389/3389", "47.96.0.0/11");
        world.add_rule(ACCOUNT, REGION, "sg-grows", rdp);
        world.add_rule(ACCOUNT, REGION, "sg-opens", ssh_open());
    });
    let fault = "DescribeSecurityGroupAttribute/sg-dark=Forbidden.RAM";
    let second = scan(&host).await;
    host.cloud.add_fault(Fault::parse(fault).expect("a fault"));
    let dark = scan(&host).await;

    let ran = host.run(&["diff", &first, &second, "--json"]).await;
    assert_eq!(ran.code, 1, "{}", ran.stderr);
    let diff = ran.json();
    assert_eq!(diff["schema"], "sgwarden/diff/1");
    assert_eq!(names(&diff["new"]), ["sg-opens"]);
    assert_eq!(names(&diff["resolved"]), ["sg-closed", "sg-gone"]);
    assert_eq!(names(&diff["changed"]), ["sg-grows"]);
    assert_eq!(names(&diff["incomparable"]), [""; 0]);
    let grown = &diff["changed"][0];
    assert_eq!(grown["opened"][0]["ports"], "3389");
    assert_eq!(grown["opened"][0]["sources"][0], "47.96.0.0/11");
    assert_eq!(grown["closed"], serde_json::json!([]));
    assert_eq!(grown["rules_added"].as_array().map(Vec::len), Some(1));
    let fields = diff["coverage"][0]["fields"].as_array().expect("fields");
    assert!(
        fields
            .iter()
            .any(|f| f["what"] == "groups_read" && f["from"] == "6" && f["to"] == "5"),
        "{fields:?}"
    );
    // The other way round what was opened was closed.
    let back = host.run(&["diff", &second, &first, "--json"]).await.json();
    assert_eq!(names(&back["resolved"]), ["sg-opens"]);
    assert_eq!(back["changed"][0]["closed"][0]["ports"], "3389");

    // A group that could not be read has changed its verdict, and is not resolved.
    let ran = host.run(&["diff", &second, &dark]).await;
    assert_eq!(ran.code, 1, "{}", ran.stderr);
    assert!(
        ran.stdout.contains("verdict: exposed -> undetermined"),
        "{}",
        ran.stdout
    );
    assert!(
        ran.stdout.contains("complete: true -> false"),
        "{}",
        ran.stdout
    );
    assert!(!ran.stdout.contains("Resolved"), "{}", ran.stdout);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_one_run_did_not_look_at_is_neither_new_nor_resolved() {
    let host = Host::new(world(&[
        ("sg-a", vec![ssh_open()]),
        ("sg-b", vec![ssh_open()]),
    ]))
    .await;
    let whole = scan(&host).await;
    let narrow = host
        .run(&["scan", "--group", "sg-a", "--json"])
        .await
        .json();
    let narrow = narrow["run"].as_str().expect("a run");
    let diff = host.run(&["diff", &whole, narrow, "--json"]).await.json();
    assert_eq!(names(&diff["resolved"]), [""; 0]);
    assert_eq!(names(&diff["incomparable"]), ["sg-b"]);
    assert_eq!(diff["incomparable"][0]["why"], "the group was not in scope");
    assert_eq!(diff["incomparable"][0]["only_in"], whole.as_str());
    let told = host.run(&["diff", narrow, &whole]).await;
    assert!(
        told.stdout.contains("Not comparable (1)"),
        "{}",
        told.stdout
    );
    assert!(!told.stdout.contains("New ("), "{}", told.stdout);
}

#[tokio::test(flavor = "multi_thread")]
async fn policy_texts_and_waivers_and_what_cannot_be_compared() {
    let host = Host::new(world(&[("sg-a", vec![ssh_open()])])).await;
    let schedule = "[policy]\nwaivers = \"waivers.toml\"\n[report]\nformats = [\"csv\"]\n";
    host.write("weekly.toml", schedule);
    host.write("waivers.toml", "# nothing\n");
    let run = ["run", "--schedule", "weekly.toml", "--json"];
    let first = host.run(&run).await.json();
    let block = host
        .run(&[
            "waive",
            "sg-a",
            "--owner",
            "web",
            "--approved-by",
            "Ada",
            "--reason",
            "a demo",
            "--expires",
            "2999-12-31",
        ])
        .await;
    host.write("waivers.toml", &block.stdout);
    let second = host.run(&run).await.json();
    assert_eq!(second["verdicts"]["waived"], 1, "{second}");
    let (first, second) = (first["run"].as_str(), second["run"].as_str());
    let (first, second) = (first.expect("a run"), second.expect("a run"));
    let diff = host.run(&["diff", first, second, "--json"]).await.json();
    assert_eq!(diff["policy"].as_array().map(Vec::len), Some(1));
    assert_eq!(diff["policy"][0]["what"], "waivers waivers.toml");
    assert_eq!(diff["waivers"][0]["group"], "sg-a");
    assert_eq!(diff["waivers"][0]["fields"][0]["what"], "state");
    assert_eq!(diff["waivers"][0]["fields"][0]["from"], Value::Null);
    assert_eq!(diff["waivers"][0]["fields"][0]["to"], "active");
    assert_eq!(names(&diff["changed"]), ["sg-a"]);
    assert_eq!(diff["changed"][0]["fields"][0]["what"], "verdict");

    let findings = host
        .path("evidence/runs")
        .join(second)
        .join("findings.json");
    let text = std::fs::read_to_string(&findings).expect("findings");
    std::fs::write(&findings, text.replace("sg-a", "sg-b")).expect("written");
    let ran = host.run(&["diff", first, second]).await;
    assert_eq!(ran.code, 1, "{}", ran.stdout);
    assert!(
        ran.stderr.contains("is not as it was sealed"),
        "{}",
        ran.stderr
    );
    let none = host
        .run(&["diff", first, "20200101T000000Z-scan-000000"])
        .await;
    assert_eq!(none.code, 2, "{}", none.stderr);
}

#[tokio::test(flavor = "multi_thread")]
async fn the_same_reason_is_no_difference_whatever_its_request_ids() {
    let dark = "DescribeSecurityGroupAttribute/sg-dark=Forbidden.RAM";
    let host = Host::new(world(&[("sg-dark", vec![ssh_open()])])).await;
    host.cloud.add_fault(Fault::parse(dark).expect("a fault"));
    let (first, again) = (scan(&host).await, scan(&host).await);
    let reason = |run: &str| {
        let path = host.path("evidence/runs").join(run).join("findings.json");
        let findings: Value =
            serde_json::from_str(&std::fs::read_to_string(path).expect("a file")).expect("JSON");
        findings["findings"][0]["reason"]
            .as_str()
            .expect("why")
            .to_owned()
    };
    assert!(reason(&first).contains("request id ") && reason(&first) != reason(&again));
    let ran = host.run(&["diff", &first, &again, "--json"]).await;
    assert_eq!(ran.code, 0, "{}", ran.stdout);
    // Another reason is one, and is shown whole.
    host.cloud.clear_faults();
    let gone = "DescribeSecurityGroupAttribute/sg-dark=NoPermission";
    host.cloud.add_fault(Fault::parse(gone).expect("a fault"));
    let other = scan(&host).await;
    let ran = host.run(&["diff", &first, &other, "--json"]).await;
    assert_eq!(ran.code, 1, "{}", ran.stdout);
    let fields = &ran.json()["changed"][0]["fields"][0];
    assert_eq!(fields["what"], "reason");
    assert_eq!(fields["from"], reason(&first));
}

#[test]
fn what_lasts_of_a_reason() {
    const ID: &str = "473469C7-AA6F-4DC5-B3DB-A3DC0DE3003A";
    for (text, lasts) in [
        (
            format!("DescribeX: Forbidden.RAM (request id {ID}): no"),
            "DescribeX: Forbidden.RAM (request id ...): no",
        ),
        ("(request id abc_1)".to_owned(), "(request id ...)"),
        (format!("since {ID}: no"), "since ...: no"),
        (
            "until 2026-11-24T02:00:00Z, not 2026-11-24T10:00:00.5+08:00.".to_owned(),
            "until ..., not ....",
        ),
        (
            "rule sgr-bp1: 10.0.0.0/8, 2001:db8::/32, 22/22, 2026-11-24".to_owned(),
            "rule sgr-bp1: 10.0.0.0/8, 2001:db8::/32, 22/22, 2026-11-24",
        ),
        ("办公 sg-1".to_owned(), "办公 sg-1"),
    ] {
        assert_eq!(sgwarden::policy::lasting::lasting(&text), lasts);
    }
}
