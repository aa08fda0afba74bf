//! What a run closed itself is told as closed, and only where that is certain.

use crate::change::fault;
use crate::kit::host::{Host, ssh_open, world};
use crate::kit::mime;
use sgwarden::job::RunOutcome;
use sgwarden::model::{DeliverySettings, GroupId, InterfaceNote, RunRecord, Sha256, Verdict};
use sgwarden::report::letter::{Letter, letter, message};
use sgwarden::report::view::View;
use sgwarden::report::{Format, render};
use sgwarden::sim::Rule;

fn told(record: &RunRecord) -> Letter {
    let delivery = DeliverySettings {
        location: "evidence/runs/x".to_owned(),
        manifest_sha256: Sha256::new("0".repeat(64)),
    };
    letter(record, &delivery).expect("a letter")
}

fn rendered(record: &RunRecord, format: Format) -> Vec<u8> {
    render(record, &[format]).expect("a report").remove(0).bytes
}

fn text(record: &RunRecord, format: Format) -> String {
    String::from_utf8(rendered(record, format)).expect("text")
}

/// Groups of which a finding is closed.
fn closed(run: &RunOutcome) -> Vec<String> {
    let view = View::new(&run.record);
    let findings = run.record.findings.iter();
    findings
        .filter(|finding| view.closed(finding).is_some())
        .map(|finding| finding.group_id.to_string())
        .collect()
}

/// One group that a run closes, and one whose rule is too narrow to be revoked.
async fn two() -> Host {
    let few = Rule::ingress("TCP", "22/22", "47.96.0.0/16");
    Host::new(world(&[
        ("sg-few", vec![few]),
        ("sg-wide", vec![ssh_open()]),
    ]))
    .await
}

#[tokio::test(flavor = "multi_thread")]
async fn people_see_what_is_still_open_and_files_keep_what_was_read() {
    let host = two().await;
    let run = host.revoke("").await;
    assert_eq!(closed(&run), ["sg-wide"]);
    // What was read before stays what it was.
    let verdicts = run.record.findings.iter().map(|finding| finding.verdict);
    assert_eq!(verdicts.collect::<Vec<_>>(), [Verdict::Exposed; 2]);
    let letter = told(&run.record);
    for part in [
        "FAIL 1 new, 1 of 2 findings closed in this run",
        "1 changed",
    ] {
        assert!(letter.subject.contains(part), "{}", letter.subject);
    }
    let (open, after) = letter
        .text
        .split_once("== Closed in this run, verified ==")
        .expect("a part of its own");
    let gravest = open
        .split_once("== The gravest findings ==")
        .expect("open")
        .1;
    assert!(
        gravest.contains("sg-few") && !gravest.contains("sg-wide"),
        "{gravest}"
    );
    assert!(
        after.contains("sg-wide (name of sg-wide): As read before"),
        "{after}"
    );
    let html = text(&run.record, Format::Html);
    let (open, after) = html
        .split_once("<h2>Closed in this run, verified</h2>")
        .expect("a part of its own");
    assert!(open.contains("name of sg-few") && after.contains("name of sg-wide"));
    assert!(after.contains("<article class=\"closed\">"));
    assert!(html.contains("<td>revoked</td>") && html.contains("<td>held (narrow)</td>"));
    let book = mime::workbook(&rendered(&run.record, Format::Xlsx));
    for part in [
        "After this run",
        "still open",
        "closed in this run, verified",
        "Closed in this run",
    ] {
        assert!(book.contains(part), "{part}");
    }
    for shown in [&html, &book] {
        assert!(shown.contains("Revoked in this run") && !shown.contains("Would be revoked"));
    }
    let csv = text(&run.record, Format::Csv);
    let rows: Vec<&str> = csv.lines().skip(1).collect();
    assert!(
        rows.len() == 2 && rows[1].contains("sg-wide") && rows[1].ends_with(",yes"),
        "{csv}"
    );
    assert!(
        rows[0].contains("sg-few") && rows[0].ends_with(','),
        "{csv}"
    );
    // A chat hears of what is open.
    let said = message(&run.record, "there");
    assert!(
        said.contains("sg-few") && !said.contains("sg-wide"),
        "{said}"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_run_that_closed_all_says_so_in_a_word() {
    let host = Host::new(world(&[("sg-a", vec![ssh_open()])])).await;
    host.write(
        "schedules/w.toml",
        "[remediation]\nmode = \"revoke\"\nmax_share = \"100%\"\n",
    );
    let ran = host.run(&["run", "--schedule", "schedules/w.toml"]).await;
    assert_eq!(ran.code, 0, "{}", ran.stderr);
    for part in [
        "CLOSED 1 exposed, 1 of 1 findings closed in this run",
        "Closed in this run, verified\n",
    ] {
        assert!(ran.stdout.contains(part), "{part}: {}", ran.stdout);
    }
    assert!(!ran.stdout.contains("Exposed, and why"), "{}", ran.stdout);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_the_run_closed_does_not_fail_it() {
    let host = Host::new(world(&[("sg-a", vec![ssh_open()])])).await;
    host.write(
        "schedules/w.toml",
        "[remediation]\nmode = \"revoke\"\nmax_share = \"100%\"\n",
    );
    let run = ["run", "--schedule", "schedules/w.toml", "--fail-on", "low"];
    let ran = host.run(&run).await;
    assert_eq!(ran.code, 0, "{}{}", ran.stdout, ran.stderr);
    assert!(ran.stdout.contains("CLOSED"), "{}", ran.stdout);
    // One group closed, one held.
    let host = two().await;
    host.write(
        "schedules/w.toml",
        "[remediation]\nmode = \"revoke\"\nmax_share = \"100%\"\n",
    );
    let ran = host.run(&run).await;
    assert_eq!(ran.code, 1, "{}{}", ran.stdout, ran.stderr);
    assert!(ran.stdout.contains("1 of 2"), "{}", ran.stdout);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_not_verified_is_not_closed() {
    for name in ["revoke-nothing", "re-add"] {
        let host = Host::new(world(&[("sg-a", vec![ssh_open()])])).await;
        host.cloud
            .add_fault(fault(&format!("RevokeSecurityGroup={name}")));
        let run = host.revoke("").await;
        assert_eq!(closed(&run), [""; 0], "{name}");
        let subject = told(&run.record).subject;
        assert!(subject.contains("0 of 1 findings closed"), "{subject}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn nothing_else_makes_a_finding_closed() {
    let host = Host::new(world(&[("sg-a", vec![ssh_open()])])).await;
    let run = host.revoke("").await;
    assert_eq!(closed(&run), ["sg-a"]);
    let with = |change: &dyn Fn(&mut RunRecord)| {
        let mut run = run.clone();
        change(&mut run.record);
        closed(&run)
    };
    let none: [String; 0] = [];
    // A killed run's change was settled before this run read anything.
    let of_killed = |record: &mut RunRecord| {
        record.changes[0].intent_of = Some("20261124T020000Z-weekly-abcdef".to_owned());
    };
    assert_eq!(with(&of_killed), none);
    let after = |verdict: &'static str| {
        move |record: &mut RunRecord| {
            let verdicts = &mut record.changes[0].verdict_after;
            verdicts.insert("risky-ports".to_owned(), verdict.to_owned());
        }
    };
    for verdict in ["exposed", "undetermined", "managed", "else"] {
        assert_eq!(with(&after(verdict)), none, "{verdict}");
    }
    assert_eq!(with(&after("waived")), ["sg-a"]);
    assert_eq!(
        with(&|record| record.changes[0].verdict_after.clear()),
        none
    );
    // Of an interface, one group alone says nothing certain.
    let of_interface = |record: &mut RunRecord| {
        record.findings[0].interface = Some(InterfaceNote {
            ids: vec!["eni-1".to_owned()],
            count: 1,
            groups: vec![GroupId::from("sg-a"), GroupId::from("sg-b")],
        });
    };
    assert_eq!(with(&of_interface), none);
    // One change of the group that is not verified leaves all of it open.
    let half = |record: &mut RunRecord| {
        let mut other = record.changes[0].clone();
        other.outcome = sgwarden::model::Outcome::Drifted;
        record.changes.insert(0, other);
    };
    assert_eq!(with(&half), none);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_run_that_only_reads_says_what_would_be_revoked() {
    let host = two().await;
    let mut job = host.job("");
    job.schedule.remediation.mode = sgwarden::policy::remediation::Mode::Plan;
    let run = sgwarden::job::run(&job, &host.tools())
        .await
        .expect("a run");
    let html = text(&run.record, Format::Html);
    assert!(html.contains("Would be revoked") && !html.contains("Revoked in this run"));
    assert!(!told(&run.record).subject.contains("closed"));
}

#[tokio::test(flavor = "multi_thread")]
async fn on_paper_the_changes_are_whole() {
    let host = two().await;
    let run = host.revoke("").await;
    let book = rendered(&run.record, Format::Xlsx);
    let strings = mime::workbook(&book);
    // A held row has its group's name, what its rule says and why it is held.
    for part in [
        "name of sg-few",
        "TCP 22/22 from 47.96.0.0/16, priority 1",
        "narrow: it lets in",
    ] {
        assert!(strings.contains(part), "{part}");
    }
    let mut zip = zip::ZipArchive::new(std::io::Cursor::new(book)).expect("a zip");
    let mut read = |name: &str| {
        let mut text = String::new();
        let mut file = zip.by_name(name).expect("an entry");
        std::io::Read::read_to_string(&mut file, &mut text).expect("text");
        text
    };
    // The print area reaches the last column that has a heading, M.
    let areas = read("xl/workbook.xml");
    assert!(areas.contains("Changes!$A$1:$M$3"), "{areas}");
    let sheet = read("xl/worksheets/sheet4.xml");
    assert!(sheet.contains("orientation=\"landscape\"") && sheet.contains("fitToHeight=\"0\""));
    assert!(
        sheet.contains("fitToPage=\"1\"") && !sheet.contains("r=\"N1\""),
        "{sheet}"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_protocol_that_is_a_number_has_its_name_where_people_read() {
    let host = Host::new(world(&[(
        "sg-six",
        vec![Rule::ingress("6", "22/22", "0.0.0.0/0")],
    )]))
    .await;
    let run = host.revoke("").await;
    assert_eq!(closed(&run), ["sg-six"]);
    let shown = [
        told(&run.record).text,
        text(&run.record, Format::Html).replace("&#x2f;", "/"),
        mime::workbook(&rendered(&run.record, Format::Xlsx)),
    ];
    for (at, text) in shown.iter().enumerate() {
        assert!(text.contains("TCP (6)"), "{at}: {text}");
    }
    assert!(
        shown[0].contains("(TCP (6) 22/22 from 0.0.0.0/0"),
        "{}",
        shown[0]
    );
    // Files for machines keep what the service said.
    let csv = text(&run.record, Format::Csv);
    assert!(csv.contains("(6 22/22 0.0.0.0/0"), "{csv}");
    assert_eq!(run.record.changes[0].rule["IpProtocol"], "6");
}
