//! Changes: every outcome, every guard. Each fault is one that the simulated
//! cloud really does.

use crate::kit::host::{ACCOUNT, Host, REGION, ssh_open, world};
use sgwarden::job::RunOutcome;
use sgwarden::model::{HoldReason, Outcome};
use sgwarden::sim::{Fault, Group, Rule, Tag};

pub(crate) fn fault(text: &str) -> Fault {
    Fault::parse(text).expect("a fault")
}

pub(crate) fn outcomes(run: &RunOutcome) -> Vec<Outcome> {
    run.record
        .changes
        .iter()
        .map(|change| change.outcome)
        .collect()
}

pub(crate) fn reasons(run: &RunOutcome) -> Vec<HoldReason> {
    let mut all: Vec<HoldReason> = run
        .record
        .held
        .iter()
        .flat_map(|held| held.reasons.iter().copied())
        .collect();
    all.sort();
    all.dedup();
    all
}

pub(crate) async fn one_open() -> Host {
    Host::new(world(&[("sg-a", vec![ssh_open()])])).await
}

#[tokio::test(flavor = "multi_thread")]
async fn verified_is_two_equal_readings_without_the_rule() {
    let host = one_open().await;
    let before = host.rules("sg-a");
    let run = host.revoke("").await;
    assert_eq!(outcomes(&run), [Outcome::Verified]);
    assert!(host.rules("sg-a").is_empty());
    let change = &run.record.changes[0];
    assert!(change.as_planned && change.traffic_opened.is_empty());
    assert_eq!(change.rule["SecurityGroupRuleId"], before[0]);
    assert_eq!(change.verdict_after["risky-ports"], "compliant");
    let closed: Vec<bool> = change.traffic_closed.iter().map(|t| t.internet).collect();
    assert_eq!(closed, [false, true], "private sources first");
    let readings = std::fs::read_dir(run.sealed.folder.join("raw/after"))
        .expect("a folder")
        .count();
    assert_eq!(readings, 1);
    assert!(!run.broken_change());
    // The script is what a shell would run, and says the rule in full.
    let undo = std::fs::read_to_string(run.sealed.folder.join("undo.sh")).expect("undo.sh");
    assert!(
        undo.contains("aliyun ecs AuthorizeSecurityGroup") && undo.contains("0.0.0.0/0"),
        "{undo}"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn failed_a_rule_that_answers_ok_and_stays() {
    let host = one_open().await;
    host.cloud
        .add_fault(fault("RevokeSecurityGroup=revoke-nothing"));
    let run = host.revoke("").await;
    assert_eq!(outcomes(&run), [Outcome::Failed]);
    assert!(run.broken_change());
    assert_eq!(host.rules("sg-a").len(), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn failed_a_rule_that_someone_adds_again_right_after_us() {
    let host = one_open().await;
    host.cloud.add_fault(fault("RevokeSecurityGroup=re-add"));
    let run = host.revoke("").await;
    assert_eq!(outcomes(&run), [Outcome::Failed]);
    assert_eq!(
        run.record.changes[0].verdict_after["risky-ports"],
        "exposed"
    );
    assert!(run.broken_change());
}

#[tokio::test(flavor = "multi_thread")]
async fn an_answer_lost_before_and_after_it_took_effect_is_settled_by_reading() {
    let host = one_open().await;
    host.cloud
        .add_fault(fault("RevokeSecurityGroup=drop-after"));
    let run = host.revoke("").await;
    assert_eq!(outcomes(&run), [Outcome::Verified], "lost, and done");
    let host = one_open().await;
    host.cloud
        .add_fault(fault("RevokeSecurityGroup=drop-before"));
    let run = host.revoke("").await;
    assert_eq!(outcomes(&run), [Outcome::Failed], "lost, and not done");
    assert_eq!(host.rules("sg-a").len(), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_read_that_is_stale_for_seconds_is_waited_for() {
    let host = one_open().await;
    host.cloud
        .add_fault(fault("DescribeSecurityGroupAttribute=stale:2"));
    let run = host.revoke("").await;
    assert_eq!(outcomes(&run), [Outcome::Verified]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_batch_half_applied_is_asked_for_again() {
    let halves = vec![
        Rule::ingress("TCP", "22/22", "0.0.0.0/1"),
        Rule::ingress("TCP", "22/22", "128.0.0.0/1"),
    ];
    let host = Host::new(world(&[("sg-a", halves)])).await;
    host.cloud
        .add_fault(fault("RevokeSecurityGroup=revoke-partial,times=1"));
    let run = host.revoke("").await;
    assert_eq!(outcomes(&run), [Outcome::Verified, Outcome::Verified]);
    assert!(host.rules("sg-a").is_empty());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_throttled_change_is_asked_for_again_since_nothing_was_done() {
    let host = one_open().await;
    host.cloud
        .add_fault(fault("RevokeSecurityGroup=throttle,times=2"));
    let run = host.revoke("").await;
    assert_eq!(outcomes(&run), [Outcome::Verified]);
    assert_eq!(host.cloud.calls().get("RevokeSecurityGroup"), Some(&3));
}

#[tokio::test(flavor = "multi_thread")]
async fn throttled_for_whole_minutes_of_the_service() {
    // Minutes of a fifth of a second, and a call that gives up after a second of them.
    let minute = std::time::Duration::from_millis(200);
    let client = |host: &Host, budget| {
        let key = host.cloud.keys().remove(0);
        let limits = sgwarden::cloud::Limits {
            throttle_first_wait: std::time::Duration::from_millis(20),
            throttle_patience: 2,
            throttle_window: minute,
            throttle_budget: budget,
            ..sgwarden::cloud::Limits::default()
        };
        let settings = sgwarden::cloud::Settings {
            endpoint: Some(host.cloud.url()),
            limits,
            ..sgwarden::cloud::Settings::default()
        };
        let keys = sgwarden::cloud::credentials::Credentials::new(
            &key.access_key_id,
            &key.access_key_secret,
            None,
        )
        .expect("keys");
        std::sync::Arc::new(sgwarden::cloud::Client::new(settings, keys).expect("a client"))
    };
    for (times, want) in [(5, Outcome::Verified), (10_000, Outcome::Refused)] {
        let host = one_open().await;
        host.cloud.add_fault(fault(&format!(
            "RevokeSecurityGroup=throttle,times={times}"
        )));
        let mut tools = host.tools();
        tools.client = client(&host, minute * 12);
        let run = sgwarden::job::run(&host.job(""), &tools)
            .await
            .expect("a sealed run");
        assert_eq!(outcomes(&run), [want]);
        if want == Outcome::Refused {
            let why = run.record.changes[0].error.clone().unwrap_or_default();
            assert!(why.contains("hrottl"), "{why}");
            assert_eq!(host.rules("sg-a").len(), 1);
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_took_effect_is_ours_to_undo_whatever_was_answered() {
    let host = one_open().await;
    host.cloud
        .add_fault(fault("RevokeSecurityGroup=after:Forbidden.RAM"));
    let run = host.revoke("").await;
    assert_eq!(outcomes(&run), [Outcome::Verified]);
    assert!(run.sealed.folder.join("undo.sh").is_file());
    let path = run.sealed.folder.display().to_string();
    let ran = host.run(&["rollback", &path, "--json"]).await;
    assert_eq!(
        ran.json()["changes"]["verified"],
        1,
        "{}{}",
        ran.stdout,
        ran.stderr
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn refused_names_the_ram_action_that_is_missing() {
    let host = one_open().await;
    host.cloud
        .add_fault(fault("RevokeSecurityGroup=Forbidden.RAM"));
    let run = host.revoke("").await;
    assert_eq!(outcomes(&run), [Outcome::Refused]);
    let why = run.record.changes[0].error.clone().unwrap_or_default();
    assert!(why.contains("ecs:RevokeSecurityGroup"), "{why}");
    assert!(run.broken_change());
}

#[tokio::test(flavor = "multi_thread")]
async fn unknown_where_nobody_can_find_out() {
    let host = one_open().await;
    // The reading of the inventory, the one just before; then nobody may read any more.
    host.cloud
        .add_fault(fault("DescribeSecurityGroupAttribute=Forbidden.RAM,skip=2"));
    let run = host.revoke("").await;
    assert_eq!(outcomes(&run), [Outcome::Unknown]);
    assert!(run.broken_change());
}

#[tokio::test(flavor = "multi_thread")]
async fn drifted_is_left_alone_and_already_gone_is_said() {
    let host = one_open().await;
    let plan = sgwarden::job::run(&plan_job(&host), &host.tools())
        .await
        .expect("a run")
        .plan;
    host.cloud.with_world(|w| {
        w.add_rule(
            ACCOUNT,
            REGION,
            "sg-a",
            Rule::ingress("TCP", "80/80", "0.0.0.0/0"),
        )
    });
    let before = host.cloud.changing_calls();
    let run = apply(&host, &plan).await;
    assert_eq!(outcomes(&run), [Outcome::Drifted]);
    assert_eq!(host.cloud.changing_calls(), before, "nothing was asked for");
    assert!(!run.broken_change(), "nothing was attempted");

    let host = one_open().await;
    let plan = sgwarden::job::run(&plan_job(&host), &host.tools())
        .await
        .expect("a run")
        .plan;
    let id = host.rules("sg-a").remove(0);
    host.cloud
        .with_world(|w| w.remove_rule(ACCOUNT, REGION, "sg-a", &id));
    let run = apply(&host, &plan).await;
    assert_eq!(outcomes(&run), [Outcome::AlreadyGone]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_list_that_cannot_be_read_and_decides_nothing_is_no_change_of_the_group() {
    // Each answer about the list has a request id of its own.
    let mut dns = Rule::ingress("UDP", "53/53", "");
    dns.source_prefix_list_id = "pl-1".to_owned();
    let host = Host::new(world(&[("sg-a", vec![ssh_open(), dns])])).await;
    host.cloud
        .add_fault(fault("DescribePrefixListAttributes=Forbidden.RAM"));
    let run = host.revoke("").await;
    assert_eq!(
        outcomes(&run),
        [Outcome::Verified],
        "{:?}",
        run.record.changes
    );
    assert!(!run.broken_change());
    assert_eq!(host.rules("sg-a").len(), 1);
}

pub(crate) fn plan_job(host: &Host) -> sgwarden::job::Job {
    let mut job = host.job("");
    job.schedule.remediation.mode = sgwarden::policy::remediation::Mode::Plan;
    job
}

async fn apply(host: &Host, plan: &sgwarden::remedy::RemediationPlan) -> RunOutcome {
    let approval = sgwarden::model::Approval {
        approved_by: "A. Person".to_owned(),
        ticket: Some("T-1".to_owned()),
        plan_sha256: String::new(),
    };
    sgwarden::job::apply_plan(&host.job(""), &host.tools(), plan, ACCOUNT, approval)
        .await
        .expect("a sealed run")
}

#[tokio::test(flavor = "multi_thread")]
async fn managed_groups_and_protected_ones_are_never_changed() {
    let mut world = world(&[("sg-named", vec![ssh_open()])]);
    let mut managed = Group::new("sg-managed", "ack").with(ssh_open());
    managed.service_managed = true;
    world.add_group(ACCOUNT, REGION, managed);
    let mut tagged = Group::new("sg-tagged", "kept").with(ssh_open());
    tagged.tags.push(Tag {
        tag_key: "sgwarden".to_owned(),
        tag_value: "keep".to_owned(),
    });
    world.add_group(ACCOUNT, REGION, tagged);
    let host = Host::new(world).await;
    let run = host
        .revoke("protect = { tags = { sgwarden = \"keep\" }, groups = [\"sg-named\"] }")
        .await;
    assert_eq!(host.cloud.changing_calls(), 0);
    assert_eq!(reasons(&run), [HoldReason::Protected]);
    assert_eq!(run.record.held.len(), 2);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_run_that_wants_more_changes_than_it_may_changes_nothing() {
    let groups: Vec<(String, Vec<Rule>)> = (0..5)
        .map(|n| (format!("sg-{n}"), vec![ssh_open()]))
        .collect();
    let groups: Vec<(&str, Vec<Rule>)> = groups
        .iter()
        .map(|(id, rules)| (id.as_str(), rules.clone()))
        .collect();
    let host = Host::new(world(&groups)).await;
    let run = host.revoke("max_changes = 4").await;
    assert_eq!(reasons(&run), [HoldReason::MaxChanges]);
    assert_eq!(host.cloud.changing_calls(), 0);
    let mut job = host.job("");
    job.schedule.remediation.max_share_percent = 10;
    let run = sgwarden::job::run(&job, &host.tools())
        .await
        .expect("a run");
    assert_eq!(
        reasons(&run),
        [HoldReason::MaxShare],
        "10% of 5, but never below 3"
    );
    assert_eq!(host.cloud.changing_calls(), 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn grace_changes_only_what_an_earlier_run_reported_that_long_ago() {
    let host = one_open().await;
    let run = host.revoke("grace = \"7d\"").await;
    assert_eq!(reasons(&run), [HoldReason::Grace]);
    assert!(
        run.record.held[0].detail.contains("from 20"),
        "{}",
        run.record.held[0].detail
    );
    assert_eq!(host.cloud.changing_calls(), 0);
    // A second later it is due, where grace is a second short of nothing.
    tokio::time::sleep(std::time::Duration::from_millis(1100)).await;
    let run = host.revoke("grace = \"0m\"").await;
    assert_eq!(outcomes(&run), [Outcome::Verified]);
}

#[tokio::test(flavor = "multi_thread")]
async fn outside_the_windows_nothing_is_changed() {
    let host = one_open().await;
    let tomorrow = (chrono::Utc::now() + chrono::TimeDelta::days(2)).format("%a");
    let run = host
        .revoke(&format!("windows = [\"{tomorrow} 01:00-02:00\"]"))
        .await;
    assert_eq!(reasons(&run), [HoldReason::Window]);
    assert_eq!(host.cloud.changing_calls(), 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn the_last_way_in_of_a_protected_source_is_held() {
    let host = one_open().await;
    let lock = "protect = { sources = [\"47.100.1.2\"] }";
    let run = host.revoke(lock).await;
    assert_eq!(reasons(&run), [HoldReason::Lockout]);
    assert_eq!(host.cloud.changing_calls(), 0);
    host.cloud.with_world(|w| {
        w.add_rule(
            ACCOUNT,
            REGION,
            "sg-a",
            Rule::ingress("TCP", "22/22", "47.100.1.2/32"),
        )
    });
    let run = host.revoke(lock).await;
    assert_eq!(
        outcomes(&run),
        [Outcome::Verified],
        "it has a way of its own now"
    );
    assert_eq!(host.rules("sg-a").len(), 1, "and that one stays");
}

#[tokio::test(flavor = "multi_thread")]
async fn the_canary_that_is_not_verified_stops_the_run() {
    let host = Host::new(world(&[
        ("sg-a", vec![ssh_open()]),
        ("sg-b", vec![ssh_open()]),
    ]))
    .await;
    host.cloud
        .add_fault(fault("RevokeSecurityGroup/sg-a=revoke-nothing"));
    let run = host.revoke("").await;
    assert_eq!(outcomes(&run), [Outcome::Failed]);
    assert_eq!(reasons(&run), [HoldReason::CanaryFailed]);
    assert_eq!(host.rules("sg-b").len(), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_rule_revoked_twice_that_came_back_is_fought_over() {
    let host = one_open().await;
    for _ in 0..2 {
        assert_eq!(outcomes(&host.revoke("").await), [Outcome::Verified]);
        host.cloud
            .with_world(|w| w.add_rule(ACCOUNT, REGION, "sg-a", ssh_open()));
    }
    let run = host.revoke("").await;
    assert_eq!(reasons(&run), [HoldReason::FoughtOver]);
    assert_eq!(host.rules("sg-a").len(), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn held_rules_are_never_touched_and_say_why() {
    let limited = Rule::from_json(
        r#"{"IpProtocol":"TCP","PortRange":"22/22","SourceCidrIp":"0.0.0.0/0","SourcePortRange":"1024/2048"}"#,
    )
    .expect("a rule");
    let hosts: [(&str, Vec<Rule>, HoldReason); 4] = [
        (
            "sg-narrow",
            vec![Rule::ingress("TCP", "22/22", "47.96.0.0/11")],
            HoldReason::Narrow,
        ),
        (
            "sg-broad",
            vec![Rule::ingress("TCP", "20/25", "0.0.0.0/0")],
            HoldReason::Overbroad,
        ),
        ("sg-limited", vec![limited], HoldReason::Limited),
        (
            "sg-noundo",
            vec![
                Rule::ingress("TCP", "22/22", "0.0.0.0/0").at(110),
                Rule::ingress("TCP", "22/22", "47.0.0.0/8").drops().at(105),
            ],
            HoldReason::NoUndo,
        ),
    ];
    for (id, rules, reason) in hosts {
        let count = rules.len();
        let host = Host::new(world(&[(id, rules)])).await;
        let run = host.revoke("").await;
        assert_eq!(reasons(&run), [reason], "{id}");
        assert_eq!(host.cloud.changing_calls(), 0, "{id}");
        assert_eq!(host.rules(id).len(), count, "{id}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn dry_run_and_modes_off_and_plan_make_no_changing_call() {
    let host = one_open().await;
    host.write("s/live.toml", "[remediation]\nmode = \"revoke\"\n");
    host.write("s/plan.toml", "[remediation]\nmode = \"plan\"\n");
    host.write("s/off.toml", "[remediation]\nmode = \"off\"\n");
    for args in [
        &["run", "--schedule", "s/live.toml", "--dry-run", "--json"][..],
        &["run", "--schedule", "s/plan.toml", "--json"],
        &["run", "--schedule", "s/off.toml", "--json"],
        &["plan", "--schedule", "s/live.toml", "--json"],
        &["scan", "--json"],
    ] {
        let ran = host.run(args).await;
        assert_eq!(ran.code, 0, "{args:?}: {}", ran.stderr);
        assert_eq!(ran.json()["verdicts"]["exposed"], 1, "{args:?}");
        assert_eq!(host.cloud.changing_calls(), 0, "{args:?}");
        let changes = host.path(ran.json()["path"].as_str().expect("a path"));
        let changes = std::fs::read_to_string(changes.join("changes.json")).expect("changes");
        let why = match args {
            ["run", .., "--dry-run", _] => "a dry run: nothing is changed",
            ["run", _, "s/plan.toml", _] => "mode is plan",
            _ => "mode is off",
        };
        assert!(
            args[0] == "plan" || changes.contains(why),
            "{args:?}: {changes}"
        );
    }
    let ran = host
        .run(&["run", "--schedule", "s/live.toml", "--json"])
        .await;
    assert_eq!(ran.json()["changes"]["verified"], 1, "{}", ran.stdout);
    let ran = host.run(&["scan", "--json"]).await;
    assert_eq!(ran.json()["verdicts"]["compliant"], 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_plan_is_approved_in_between_and_an_edited_one_is_refused() {
    let host = Host::new(world(&[
        ("sg-a", vec![ssh_open()]),
        ("sg-b", vec![ssh_open()]),
    ]))
    .await;
    host.write(
        "s/live.toml",
        "[remediation]\nmode = \"revoke\"\nmax_share = \"100%\"\n",
    );
    let ran = host
        .run(&[
            "plan",
            "--schedule",
            "s/live.toml",
            "--out",
            "p.json",
            "--json",
        ])
        .await;
    assert_eq!(ran.code, 0, "{}", ran.stderr);
    let run = ran.json()["path"].as_str().expect("a path").to_owned();
    let changes = std::fs::read_to_string(host.path(&run).join("changes.json")).expect("changes");
    assert!(changes.contains("\"planned\"") && changes.contains("AuthorizeSecurityGroup"));
    let text = std::fs::read_to_string(host.path("p.json")).expect("the plan");
    host.write("edited.json", &text.replace("sg-b", "sg-c"));
    let ran = host
        .run(&["apply", "edited.json", "--approved-by", "A"])
        .await;
    assert_eq!(ran.code, 2, "{}", ran.stderr);
    assert!(ran.stderr.contains("was edited"), "{}", ran.stderr);
    // A person changes one of the groups in between.
    host.cloud.with_world(|w| {
        w.add_rule(
            ACCOUNT,
            REGION,
            "sg-a",
            Rule::ingress("TCP", "443/443", "0.0.0.0/0"),
        )
    });
    let ran = host
        .run(&[
            "apply",
            "p.json",
            "--approved-by",
            "A. Person",
            "--ticket",
            "T-7",
            "--json",
        ])
        .await;
    let answer = ran.json();
    assert_eq!(answer["changes"]["drifted"], 1, "{answer}");
    assert_eq!(answer["changes"]["verified"], 1, "{answer}");
    assert_eq!(host.rules("sg-a").len(), 2);
    assert!(host.rules("sg-b").is_empty());
    let manifest = std::fs::read_to_string(
        host.path(answer["path"].as_str().expect("a path"))
            .join("manifest.json"),
    );
    let manifest = manifest.expect("the manifest").replace(' ', "");
    assert!(manifest.contains("A.Person") && manifest.contains("T-7"));
}

#[tokio::test(flavor = "multi_thread")]
async fn two_changing_runs_at_once_are_impossible_on_one_state() {
    let host = one_open().await;
    let lock = host
        .tools()
        .state
        .lock(".changes", "2026-11-24T00:00:00Z".parse().expect("a time"))
        .expect("the lock");
    host.write("s/live.toml", "[remediation]\nmode = \"revoke\"\n");
    let ran = host.run(&["run", "--schedule", "s/live.toml"]).await;
    assert_eq!(ran.code, 6, "{}", ran.stderr);
    assert!(
        ran.stderr.contains("since 2026-11-24T00:00:00Z"),
        "{}",
        ran.stderr
    );
    assert_eq!(
        host.run(&["scan", "--json"]).await.code,
        0,
        "reading goes on"
    );
    drop(lock);
    assert_eq!(
        host.run(&["run", "--schedule", "s/live.toml"]).await.code,
        0
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn cloud_config_is_asked_again_and_its_failure_fails_nothing() {
    for failing in [false, true] {
        let host = one_open().await;
        if failing {
            host.cloud
                .add_fault(fault("StartConfigRuleEvaluation=NoPermission"));
        }
        let run = host.revoke("config_rule = \"cr-1234567890abcdef\"").await;
        assert_eq!(outcomes(&run), [Outcome::Verified]);
        assert_eq!(
            host.cloud.calls().get("StartConfigRuleEvaluation"),
            Some(&1)
        );
        assert!(!run.broken_change());
        let asked = run
            .record
            .header
            .reevaluation
            .as_ref()
            .expect("it was asked");
        assert_eq!(asked.rule, "cr-1234567890abcdef");
        let code = asked.error.as_ref().map(|error| error.code.as_str());
        assert_eq!(code, failing.then_some("NoPermission"));
        // Whoever reads a report sees it, and a run that is rendered again has it.
        let path = run.sealed.folder.display().to_string();
        let ran = host
            .run(&["report", &path, "--format", "html,xlsx", "--out", "again"])
            .await;
        assert_eq!(ran.code, 0, "{}", ran.stderr);
        let page = std::fs::read_to_string(host.path("again/report.html")).expect("a page");
        let book = std::fs::read(host.path("again/report.xlsx")).expect("a workbook");
        let delivery = sgwarden::model::DeliverySettings {
            location: String::new(),
            manifest_sha256: sgwarden::model::Sha256::new("0".repeat(64)),
        };
        let mail = sgwarden::report::letter::letter(&run.record, &delivery).expect("a letter");
        let book = crate::kit::mime::workbook(&book);
        for shown in [&page, &book, &mail.text, &mail.html] {
            assert_eq!(
                shown.contains("Cloud Config was NOT asked"),
                failing,
                "{shown}"
            );
            assert!(
                shown.contains("evaluate its rule cr-1234567890abcdef again"),
                "{shown}"
            );
        }
    }
}

/// An instance's metadata: a token first, then plain text.
fn metadata(address: &'static str) -> String {
    use std::io::{Read as _, Write as _};
    let listener = std::net::TcpListener::bind("127.0.0.1:0").expect("a port");
    let url = format!("http://{}", listener.local_addr().expect("an address"));
    std::thread::spawn(move || {
        for stream in listener.incoming().flatten().take(3) {
            let mut stream = stream;
            let mut head = Vec::new();
            let mut byte = [0u8; 1];
            while !head.ends_with(b"\r\n\r\n") && stream.read(&mut byte).is_ok_and(|n| n == 1) {
                head.push(byte[0]);
            }
            let head = String::from_utf8_lossy(&head).into_owned();
            let body = if head.starts_with("PUT /latest/api/token") {
                "the-token"
            } else if head
                .to_ascii_lowercase()
                .contains("x-aliyun-ecs-metadata-token: the-token")
                && head.contains("/eipv4")
            {
                address
            } else {
                ""
            };
            let answer = format!(
                "HTTP/1.1 200 OK\r\nContent-Length: {}\r\nConnection: close\r\n\r\n{body}",
                body.len()
            );
            let _ = stream.write_all(answer.as_bytes());
        }
    });
    url
}

#[tokio::test(flavor = "multi_thread")]
async fn the_way_in_of_the_host_itself_is_known_from_its_metadata() {
    let host = one_open().await;
    let mut tools = host.tools();
    tools.metadata = Some(metadata("47.100.9.9"));
    let run = sgwarden::job::run(&host.job(""), &tools)
        .await
        .expect("a sealed run");
    assert_eq!(
        reasons(&run),
        [HoldReason::Lockout],
        "{:?}",
        run.record.held
    );
    assert!(run.record.held[0].detail.contains("47.100.9.9"));
    assert_eq!(host.cloud.changing_calls(), 0);
}
