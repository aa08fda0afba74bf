//! The first words that people read of a run say no more than it did.

use crate::change::{fault, one_open, plan_job};
use crate::kit::host::{ACCOUNT, Host, ssh_open, world};
use crate::kit::mime;
use sgwarden::config::Schedule;
use sgwarden::job::RunOutcome;
use sgwarden::model::{AccountId, Approval, DeliverySettings, Language, RunRecord, Sha256};
use sgwarden::remedy::RemediationPlan;
use sgwarden::report::letter::{Letter, letter, message};
use sgwarden::report::{Format, render};
use sgwarden::sim::Rule;

fn told(record: &RunRecord) -> Letter {
    let delivery = DeliverySettings {
        location: "evidence/runs/x".to_owned(),
        manifest_sha256: Sha256::new("0".repeat(64)),
    };
    letter(record, &delivery).expect("a letter")
}

fn page(record: &RunRecord) -> String {
    let page = render(record, &[Format::Html]).expect("a page").remove(0);
    String::from_utf8(page.bytes).expect("text")
}

fn book(record: &RunRecord) -> String {
    let book = render(record, &[Format::Xlsx]).expect("a workbook");
    mime::workbook(&book[0].bytes)
}

async fn plan(host: &Host) -> RunOutcome {
    sgwarden::job::run(&plan_job(host), &host.tools())
        .await
        .expect("a run")
}

async fn apply(host: &Host, plan: &RemediationPlan) -> RunOutcome {
    let mut job = host.job("");
    job.command = "apply".to_owned();
    let approval = Approval {
        approved_by: "A. Person".to_owned(),
        ticket: None,
        plan_sha256: String::new(),
    };
    sgwarden::job::apply_plan(&job, &host.tools(), plan, ACCOUNT, approval)
        .await
        .expect("a sealed run")
}

/// A subject up to its account.
fn first_words(subject: &str) -> &str {
    subject.split(" - ").next().unwrap_or_default()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_run_that_judged_nothing_is_called_by_what_it_changed() {
    let host = one_open().await;
    let plan = plan(&host).await.plan;
    let done = apply(&host, &plan).await.record;
    let letter = told(&done);
    assert_eq!(first_words(&letter.subject), "[sgwarden] DONE 1 changed");
    assert!(
        letter
            .text
            .starts_with("DONE: 1 changed; nothing was judged\n"),
        "{}",
        letter.text
    );
    assert!(letter.text.contains("Changed in this run: 1 rule."));
    // The same plan again: all of it had been done.
    let mut again = apply(&host, &plan).await.record;
    let letter = told(&again);
    assert_eq!(first_words(&letter.subject), "[sgwarden] NOTHING CHANGED");
    let text = &letter.text;
    assert!(
        text.starts_with("NOTHING CHANGED: No change was made, and nothing was judged\n"),
        "{text}"
    );
    assert!(!text.contains("carried out changes"), "{text}");
    for shown in [text, &letter.html, &page(&again), &book(&again)] {
        assert!(
            shown.contains("Rules tried in this run: 1, of which changed: 0."),
            "{shown}"
        );
    }
    assert!(message(&again, "x").contains("This run changed nothing and judged nothing."));
    for (language, words) in [
        (Language::ZhCn, "未作变更: 未作任何变更，也未作判定"),
        (Language::ZhTw, "未作變更: 未作任何變更，也未作判定"),
    ] {
        again.header.language = language;
        let text = told(&again).text;
        assert!(text.starts_with(words), "{text}");
        assert!(page(&again).contains(words) && book(&again).contains(words));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_change_that_nobody_can_vouch_for_is_neither_done_nor_nothing() {
    let host = one_open().await;
    let plan = plan(&host).await.plan;
    host.cloud
        .add_fault(fault("RevokeSecurityGroup=Forbidden.RAM"));
    let run = apply(&host, &plan).await;
    assert!(run.broken_change());
    let letter = told(&run.record);
    assert_eq!(
        first_words(&letter.subject),
        "[sgwarden] CHANGE NOT VERIFIED"
    );
    assert!(
        letter
            .text
            .starts_with("CHANGE NOT VERIFIED: No change is verified, and nothing was judged\n"),
        "{}",
        letter.text
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_plan_of_which_all_is_held_leaves_nothing_to_carry_out() {
    let groups = ["sg-0", "sg-1", "sg-2", "sg-3"].map(|id| (id, vec![ssh_open()]));
    let host = Host::new(world(&groups)).await;
    host.write("live.toml", "[remediation]\nmode = \"revoke\"\n");
    let ran = host.run(&["plan", "--schedule", "live.toml"]).await;
    for part in ["\nnothing to carry out\n", "remediation.max_share"] {
        assert!(ran.stdout.contains(part), "{part}: {}", ran.stdout);
    }
    assert!(!ran.stdout.contains("sgwarden apply"), "{}", ran.stdout);
    let ran = host
        .run(&["apply", "plan.json", "--approved-by", "A. Person"])
        .await;
    assert!(
        ran.stdout
            .contains("NOTHING CHANGED No change was made, and nothing was judged"),
        "{}",
        ran.stdout
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn what_a_plan_would_revoke_is_not_held_back_too() {
    let few = Rule::ingress("TCP", "22/22", "47.96.0.0/16");
    let host = Host::new(world(&[
        ("sg-few", vec![few]),
        ("sg-wide", vec![ssh_open()]),
    ]))
    .await;
    host.write("live.toml", "[remediation]\nmode = \"revoke\"\n");
    let ran = host.run(&["plan", "--schedule", "live.toml"]).await;
    let (planned, held) = ran.stdout.split_once("\nHeld back\n").expect("both");
    assert!(
        planned.contains("Would be revoked\n  cn-hangzhou name of sg-wide"),
        "{planned}"
    );
    assert!(
        held.contains("sg-few") && !held.contains("sg-wide"),
        "{held}"
    );
    assert!(held.contains("sgwarden apply plan.json"), "{held}");
    assert!(!ran.stdout.contains("mode is plan"), "{}", ran.stdout);
}

#[tokio::test(flavor = "multi_thread")]
async fn of_an_incomplete_run_the_first_undetermined_groups_are_named_with_the_reason() {
    let mut doubtful = ssh_open();
    doubtful.policy = "Perhaps".to_owned();
    let ids = ["sg-0", "sg-1", "sg-2", "sg-3", "sg-4", "sg-5", "sg-6"];
    let host = Host::new(world(&ids.map(|id| (id, vec![doubtful.clone()])))).await;
    let record = host.revoke("").await.record;
    let text = told(&record).text;
    let (block, _) = text.split_once("\n\n==").expect("a block of reasons");
    for part in [
        "7 verdicts are undetermined\n",
        "\"Perhaps\" is not understood",
        "and 2 more",
    ] {
        assert!(block.contains(part), "{part}: {block}");
    }
    assert_eq!(block.matches("cn-hangzhou sg-").count(), 5, "{block}");
    let page = page(&record);
    let (_, block) = page
        .split_once("Why this run is INCOMPLETE")
        .expect("a block");
    let (block, _) = block.split_once("<h2>").expect("its end");
    assert_eq!(block.matches("cn-hangzhou sg-").count(), 5, "{block}");
    assert!(book(&record).contains("sg-0 (name of sg-0): It cannot be said"));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_held_rule_is_promised_to_go_only_where_grace_alone_holds_its_group() {
    let few = Rule::ingress("TCP", "22/22", "47.96.0.0/16");
    let host = Host::new(world(&[
        ("sg-both", vec![ssh_open(), few]),
        ("sg-young", vec![ssh_open()]),
        // The narrow rule is below what counts once the other is gone: it stands in nobody's way.
        (
            "sg-beside",
            vec![ssh_open(), Rule::ingress("TCP", "22/22", "47.96.0.1/32")],
        ),
    ]))
    .await;
    let run = host.revoke("grace = \"7d\"").await;
    let details = |group: &str| -> String {
        let held = run.record.held.iter();
        held.filter(|held| held.group_id.as_str() == group)
            .map(|held| held.detail.as_str())
            .collect::<Vec<_>>()
            .join("\n")
    };
    assert!(
        details("sg-young").contains("it is revoked from 20"),
        "{:?}",
        run.record.held
    );
    let beside = details("sg-beside");
    assert!(beside.contains("it is revoked from 20"), "{beside}");
    let both = details("sg-both");
    assert!(both.contains("fewer addresses than revoke_min"), "{both}");
    assert!(
        both.contains("grace ends at 20") && !both.contains("it is revoked from"),
        "{both}"
    );
    // People read the time in the schedule's zone, files keep it as it is.
    let mut record = run.record.clone();
    record.header.times.timezone = "Asia/Shanghai".to_owned();
    let text = told(&record).text;
    let (_, after) = text.split_once("it is revoked from ").expect("it is told");
    let (time, _) = after.split_once(" on").expect("its end");
    assert!(
        time.ends_with(" Asia/Shanghai") && !time.contains('Z'),
        "{time}"
    );
    let csv = render(&record, &[Format::Csv])
        .expect("csv")
        .remove(1)
        .bytes;
    let csv = String::from_utf8(csv).expect("text");
    assert!(
        csv.contains("Z on") && !csv.contains("Asia/Shanghai"),
        "{csv}"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn the_explain_line_of_a_letter_finds_what_the_run_found() {
    let proxy = Rule::ingress("TCP", "8080/8080", "0.0.0.0/0");
    let host = Host::new(world(&[("sg-a", vec![proxy])])).await;
    let text = "[policy]\npacks = []\n[[policy.check]]\nid = \"proxy\"\nseverity = \"high\"\n\
                ports = [\"8080\"]\n[report]\nformats = [\"csv\"]\n";
    host.write("s/odd.toml", text);
    let ran = host
        .run(&["run", "--schedule", "s/odd.toml", "--json"])
        .await;
    assert_eq!(ran.code, 0, "{} {}", ran.stdout, ran.stderr);
    let folder = host.path(ran.json()["path"].as_str().expect("a path"));
    let manifest = std::fs::read_to_string(folder.join("manifest.json")).expect("the manifest");
    assert!(
        manifest.contains("\"schedule_file\":\"s/odd.toml\""),
        "{manifest}"
    );
    let mut job = host.job("");
    job.schedule = Schedule::read("s/odd.toml", "odd", text).expect("a schedule");
    for (file, wanted) in [
        (Some("s/odd.toml"), "--schedule s/odd.toml --check proxy"),
        (None, "--protocol tcp --port 8080"),
    ] {
        job.schedule.file = file.map(str::to_owned);
        let run = sgwarden::job::run(&job, &host.tools())
            .await
            .expect("a run");
        let mut record = run.record;
        let text = told(&record).text;
        let line = text.lines().find(|line| line.contains("sgwarden explain"));
        let line = line.expect("a line").trim();
        assert_eq!(
            line,
            format!("sgwarden explain sg-a --region cn-hangzhou {wanted}")
        );
        let args: Vec<&str> = line.split(' ').skip(1).collect();
        let ran = host.run(&args).await;
        assert!(!ran.stdout.contains("nothing is exposed"), "{}", ran.stdout);
        assert!(ran.stdout.contains("8080"), "{}", ran.stdout);
        record.findings[0].account = AccountId::from("1000000000000009");
        let text = told(&record).text;
        assert!(
            text.contains("--region cn-hangzhou --account 1000000000000009 --"),
            "{text}"
        );
    }
    let ran = host
        .run(&["explain", "sg-a", "--region", "cn-hangzhou"])
        .await;
    assert!(
        ran.stdout.contains("Only risky-ports was looked at"),
        "{}",
        ran.stdout
    );
}
