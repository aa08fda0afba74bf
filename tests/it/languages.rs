//! Reports in the language of the schedule, and a terminal in English.

use crate::kit::host::{Host, ssh_open, world};
use crate::kit::mime;
use sgwarden::model::{DeliverySettings, Language, Sha256};
use sgwarden::report::letter::letter;
use sgwarden::report::view::View;
use sgwarden::report::{Format, render};
use sgwarden::sim::Rule;

/// One that is closed, one held for two reasons, one that cannot be judged.
async fn host() -> Host {
    let mut doubtful = ssh_open();
    doubtful.policy = "Perhaps".to_owned();
    let wide = Rule::ingress("TCP", "20/25", "47.96.0.0/12");
    Host::new(world(&[
        ("sg-a", vec![ssh_open()]),
        ("sg-held", vec![wide]),
        ("sg-doubt", vec![doubtful]),
    ]))
    .await
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_ours_is_said_in_the_reports_language() {
    let host = host().await;
    let mut run = host.revoke("").await;
    run.record.header.language = Language::ZhTw;
    let record = &run.record;
    let delivery = DeliverySettings {
        location: "evidence".to_owned(),
        manifest_sha256: Sha256::new("0".repeat(64)),
    };
    let mail = letter(record, &delivery).expect("a letter").text;
    let artifact = |format| render(record, &[format]).expect("a report").remove(0).bytes;
    let page = String::from_utf8(artifact(Format::Html)).expect("text");
    let book = mime::workbook(&artifact(Format::Xlsx));
    for shown in [&mail, &page, &book] {
        for english in [
            "verdicts are undetermined",
            "fewer addresses than",
            "which no remediable check",
            "is not understood",
            "reserved addresses",
            "internet addresses",
        ] {
            assert!(!shown.contains(english), "{english}: {shown}");
        }
        for ours in ["1 項結論無法判定", "放行的位址少於 revoke_min", "無法解讀"]
        {
            assert!(shown.contains(ours), "{ours}: {shown}");
        }
    }
    assert!(page.contains("私有及保留位址") && book.contains("私有及保留位址"));
    // Files for machines are in English.
    let csv = String::from_utf8(render(record, &[Format::Csv]).expect("csv").remove(1).bytes);
    assert!(
        csv.expect("text")
            .contains("private and reserved addresses")
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn the_terminal_is_english_whatever_the_reports_are() {
    let host = host().await;
    let schedule = |language: &str| {
        format!("[remediation]\nmode = \"plan\"\n[report]\nlanguage = \"{language}\"\n")
    };
    host.write("schedules/a.toml", &schedule("zh-TW"));
    for args in [
        &["run", "--schedule", "schedules/a.toml"][..],
        &["plan", "--schedule", "schedules/a.toml"],
    ] {
        let ran = host.run(args).await;
        assert_eq!(ran.code, 3, "{}", ran.stderr);
        assert!(
            ran.stdout.contains("INCOMPLETE 2 exposed"),
            "{}",
            ran.stdout
        );
        let odd = ran.stdout.chars().find(|c| !c.is_ascii());
        assert_eq!(odd, None, "{}", ran.stdout);
    }
}

#[test]
fn a_reason_is_known_by_its_english_words_and_the_services_own_stay() {
    let record = crate::report::record(Language::ZhCn, true);
    let view = View::new(&record);
    for (text, said) in [
        ("12 verdicts are undetermined", "12 项结论无法判定"),
        (
            "cn-x of account 1: DescribeX: Forbidden.RAM (request id A): no; grant x",
            "账号 1 的 cn-x：DescribeX: Forbidden.RAM (request id A): no; grant x",
        ),
        (
            "the service gives it no rule id; it was revoked twice and came back: find out who needs it",
            "服务未给出规则 ID；已被撤销两次又重新出现：请查明谁需要它",
        ),
        (
            "not yet reported for as long as grace asks; it is revoked from 2026-11-30T02:00:00Z on",
            "报告的时间尚未达到 grace 的要求；自 2026-11-30 10:00 Asia/Taipei 起将被撤销",
        ),
        (
            "rule sgr-1: prefix list pl-1 was not read",
            "规则 sgr-1：前缀列表 pl-1 未读取",
        ),
        (
            "the run wants to change 12 of 20 groups and max_share is 10% (3 groups): nothing was changed",
            "本次运行需要变更 12/20 个安全组，而 max_share 为 10%（3 个安全组）：未作任何变更",
        ),
        ("something else {why}", "something else {why}"),
        ("a\u{202e}b", "a\\u{202e}b"),
    ] {
        assert_eq!(view.ours(text), said);
    }
    let english = View::in_english(&record);
    assert_eq!(english.ours("no region was read"), "no region was read");
    // Times are in the schedule's zone in every language.
    assert_eq!(
        english.ours("a rollback put it back; held until 2026-11-30T02:00:00Z"),
        "a rollback put it back; held until 2026-11-30 10:00 Asia/Taipei"
    );
}
