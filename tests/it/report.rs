//! What people read, held to goldens: `UPDATE_EXPECT=1 cargo nextest run report` writes them anew.

use crate::kit::rules::{group, judge, risky_ports};
use expect_test::expect_file;
use sgwarden::model::{
    AccountId, CallError, Coverage, DeliverySettings, Finding, Identity, Language, RegionCoverage,
    RegionId, RegionStatus, RunHeader, RunId, RunRecord, Scope, Sha256, Times, Totals, Verdict,
};
use sgwarden::report::{Format, letter::letter, render};

/// A record of three groups with hostile names, and a region that could not be read.
pub(crate) fn record(language: Language, incomplete: bool) -> RunRecord {
    let mut findings: Vec<Finding> = Vec::new();
    for (id, name, lines) in [
        (
            "sg-1",
            "=cmd|' /C calc'!A0",
            &[
                "accept tcp 22/22 0.0.0.0/0 1",
                "accept tcp 22/22 47.100.1.2/32 1",
            ][..],
        ),
        (
            "sg-2",
            "办公入口\u{202e}txt",
            &["accept tcp 3389/3389 ::/0 1"],
        ),
        (
            "sg-3",
            "<script>alert(1)</script>",
            &["drop tcp x 0.0.0.0/0 1", "accept tcp 22/22 0.0.0.0/0 2"],
        ),
    ] {
        let mut reading = group(lines);
        reading.group.id = id.to_owned();
        reading.group.name = name.to_owned();
        for mut finding in judge(risky_ports(), &reading).findings {
            finding.first_seen = "2026-11-23T18:00:00Z".to_owned();
            for run in &mut finding.exposed {
                run.sources.truncate(2);
            }
            findings.push(finding);
        }
    }
    let mut totals = Totals::default();
    for finding in &findings {
        totals.count(finding.verdict);
    }
    totals.count(Verdict::Compliant);
    let account = AccountId::new("1234567890123456");
    let mut region = RegionCoverage::new(account.clone(), RegionId::new("cn-hangzhou"));
    (
        region.groups_listed,
        region.groups_read,
        region.rules_read,
        region.requests,
    ) = (4, 4, 9, 6);
    let mut regions = vec![region];
    let mut reasons = vec!["1 verdict is undetermined".to_owned()];
    if incomplete {
        let mut failed = RegionCoverage::new(account.clone(), RegionId::new("cn-shanghai"));
        failed.status = RegionStatus::Failed;
        failed.error = Some(CallError {
            code: "Forbidden.RAM".to_owned(),
            message: "No permission; grant ecs:DescribeSecurityGroups".to_owned(),
            request_id: "473469C7-AA6F-4DC5-B3DB-A3DC0DE3003A".to_owned(),
            action: "DescribeSecurityGroups".to_owned(),
        });
        regions.push(failed);
        reasons.insert(
            0,
            "cn-shanghai of account 1234567890123456: DescribeSecurityGroups: Forbidden.RAM"
                .to_owned(),
        );
    }
    RunRecord {
        header: RunHeader {
            run: RunId::new("20261124T020000Z-weekly-abcdef"),
            schedule: "weekly".to_owned(),
            schedule_file: None,
            command: "run".to_owned(),
            tool: "sgwarden 0.1.0".to_owned(),
            mode: "off".to_owned(),
            identity: Identity {
                account,
                arn: "acs:ram::1234567890123456:user/auditor".to_owned(),
                kind: "RAMUser".to_owned(),
                principal: "200000000000000001".to_owned(),
            },
            credentials: None,
            accounts: Vec::new(),
            scope: Scope {
                accounts: vec!["self".to_owned()],
                regions: vec!["all".to_owned()],
                exclude_regions: Vec::new(),
                groups: vec!["all".to_owned()],
                exclude_groups: Vec::new(),
            },
            times: Times {
                started: "2026-11-24T02:00:00Z".to_owned(),
                read: "2026-11-24T02:00:09Z".to_owned(),
                ended: "2026-11-24T02:00:10Z".to_owned(),
                timezone: "Asia/Taipei".to_owned(),
                clock_offset_seconds: Some(0),
            },
            checks: vec![risky_ports().info()],
            controls: Vec::new(),
            trusted: Vec::new(),
            complete: false,
            incomplete_reasons: reasons,
            groups: 4,
            rules: 9,
            totals,
            severities: None,
            language,
            approval: None,
            trigger: None,
            reevaluation: None,
            restored_until: None,
        },
        findings,
        resolved: Vec::new(),
        coverage: Coverage {
            schema: Coverage::SCHEMA.to_owned(),
            regions,
            excluded_groups: Vec::new(),
            unnamed_regions: Vec::new(),
        },
        changes: Vec::new(),
        held: Vec::new(),
        planned: Vec::new(),
        confirmed: Vec::new(),
        part: None,
        idle_rules: Vec::new(),
        waivers: Vec::new(),
        trend: None,
    }
}

fn delivery() -> DeliverySettings {
    DeliverySettings {
        location: "evidence/runs/20261124T020000Z-weekly-abcdef".to_owned(),
        manifest_sha256: Sha256::new("0".repeat(64)),
    }
}

fn text(record: &RunRecord, format: Format) -> String {
    let artifact = render(record, &[format]).expect("a report").remove(0);
    String::from_utf8(artifact.bytes).expect("UTF-8")
}

#[test]
fn goldens_of_what_people_read() {
    let incomplete = record(Language::En, true);
    let csv = text(&incomplete, Format::Csv);
    assert!(csv.contains("\r\n"), "line ends as spreadsheets want them");
    expect_file!["../golden/findings.csv"].assert_eq(&csv.replace("\r\n", "\n"));
    expect_file!["../golden/report.html"].assert_eq(&text(&incomplete, Format::Html));
    for (language, tag) in [
        (Language::En, "en"),
        (Language::ZhCn, "zh-CN"),
        (Language::ZhTw, "zh-TW"),
    ] {
        let letter = letter(&record(language, true), &delivery()).expect("a letter");
        let whole = format!("{}\n\n{}", letter.subject, letter.text);
        match tag {
            "en" => expect_file!["../golden/mail.en.txt"].assert_eq(&whole),
            "zh-CN" => expect_file!["../golden/mail.zh-CN.txt"].assert_eq(&whole),
            _ => expect_file!["../golden/mail.zh-TW.txt"].assert_eq(&whole),
        }
        assert!(letter.html.len() < 80_000 && !letter.html.contains("<script>alert"));
    }
}

#[test]
fn a_cell_never_becomes_a_formula_and_a_page_never_a_script() {
    let csv = text(&record(Language::En, false), Format::Csv);
    assert!(csv.starts_with('\u{feff}'));
    assert!(csv.contains("'=cmd|"), "{csv}");
    assert!(
        csv.contains("\\u{202e}"),
        "a bidirectional override is shown"
    );
    let html = text(&record(Language::En, false), Format::Html);
    assert!(!html.contains("<script") && html.contains("&lt;script&gt;"));
}

#[test]
fn the_workbook_has_no_formula_is_frozen_and_the_same_every_time() {
    let record = record(Language::ZhTw, true);
    let one = render(&record, &[Format::Xlsx])
        .expect("a workbook")
        .remove(0)
        .bytes;
    let two = render(&record, &[Format::Xlsx])
        .expect("a workbook")
        .remove(0)
        .bytes;
    assert_eq!(one, two, "the same record, the same bytes");
    let mut zip = zip::ZipArchive::new(std::io::Cursor::new(one)).expect("a zip");
    let names: Vec<String> = zip.file_names().map(str::to_owned).collect();
    let mut sheets = 0;
    for name in names {
        let mut text = String::new();
        let mut file = zip.by_name(&name).expect("an entry");
        if std::io::Read::read_to_string(&mut file, &mut text).is_err() {
            continue;
        }
        assert!(
            !text.contains("<f>") && !text.contains("<f "),
            "{name} has a formula"
        );
        if name.starts_with("xl/worksheets/sheet") {
            sheets += 1;
            if name != "xl/worksheets/sheet1.xml" {
                assert!(
                    text.contains("state=\"frozen\"") && text.contains("<autoFilter"),
                    "{name}"
                );
            }
        }
        if name == "xl/workbook.xml" {
            for sheet in ["Summary", "Findings", "Rules", "Changes", "Coverage"] {
                assert!(text.contains(&format!("name=\"{sheet}\"")), "{sheet}");
            }
        }
    }
    assert_eq!(sheets, 5);
}

#[test]
fn large_numbers_are_said_in_the_language() {
    let shown = |language| {
        let record = record(language, false);
        let view = sgwarden::report::view::View::new(&record);
        ["3702258432", "65536", "9999"].map(|n| view.number(n))
    };
    assert_eq!(shown(Language::En), ["3.7 billion", "65,536", "9,999"]);
    assert_eq!(shown(Language::ZhTw), ["37 億", "6.5 萬", "9,999"]);
    assert_eq!(shown(Language::ZhCn), ["37 亿", "6.5 万", "9,999"]);
}
