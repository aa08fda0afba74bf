//! Waivers, history and trend: what was approved stays out of the way, and nothing more than that.

use crate::kit::host::{ACCOUNT, Host, REGION, Ran, ssh_open, world};
use crate::kit::mime::{parts, plain};
use crate::kit::rules::{check, group, risky_ports};
use chrono::{DateTime, NaiveDate, Utc};
use expect_test::expect_file;
use proptest::prelude::*;
use sgwarden::config::{Schedule, waivers};
use sgwarden::deliver::MailSettings;
use sgwarden::evidence::store::read_record;
use sgwarden::exposure::points::minus;
use sgwarden::exposure::set::AddressSet;
use sgwarden::exposure::{Internet, Run};
use sgwarden::job::{Error, Job, RunOutcome};
use sgwarden::model::{
    Family, Finding, FindingState, GroupReading, Outcome, Protocol, Severity, Verdict, WaiverState,
};
use sgwarden::policy::propose::propose;
use sgwarden::policy::{Check, Kind, Policy, Waiver, Waivers, assess};
use sgwarden::sim::Rule;
use sgwarden::sim::smtp::{Mode, Receiver, ReceiverOptions};

fn day(text: &str) -> NaiveDate {
    text.parse().expect("a day")
}

fn read(text: &str) -> Vec<Waiver> {
    waivers::read("waivers.toml", text, None).unwrap_or_else(|problems| panic!("{problems:?}"))
}

/// A waiver of sg-1, which is what `kit::rules` makes.
fn waiver(check: &str, ports: &str, sources: &str) -> String {
    format!(
        "[[waiver]]\ngroup = \"sg-1\"\ncheck = \"{check}\"\nports = {ports}\nsources = {sources}\n\
         owner = \"web\"\napproved_by = \"Ada\"\nreason = \"a demo\"\nexpires = \"2026-12-31\"\n"
    )
}

fn judge_with(check: Check, reading: &GroupReading, text: &str, today: &str) -> Finding {
    let policy = Policy {
        checks: vec![check],
        internet: Internet::whole(),
        trusted: Vec::new(),
        waivers: Waivers::on(read(text), day(today)),
    };
    assess(&policy, reading)
        .findings
        .pop()
        .expect("the group is exposed")
}

#[test]
fn a_waiver_covers_every_point_and_every_source_or_nothing() {
    let ssh = &["accept tcp 22/22 0.0.0.0/0 1"][..];
    let both = &[
        "accept tcp 22/22 0.0.0.0/0 1",
        "accept tcp 3389/3389 ::/0 1",
    ][..];
    let some = &["accept tcp 22/22 47.96.0.0/11 1"][..];
    let wide = &[
        "accept tcp 22/22 47.96.0.0/11 1",
        "accept tcp 22/22 8.0.0.0/8 2",
    ][..];
    let all = "[\"0.0.0.0/0\"]";
    for (rules, text, waived) in [
        (ssh, waiver("risky-ports", "[\"22\"]", all), true),
        (ssh, waiver("*", "[\"1-65535\"]", all), true),
        (ssh, waiver("another", "[\"22\"]", all), false),
        (ssh, waiver("risky-ports", "[\"tcp/22\"]", all), true),
        (ssh, waiver("risky-ports", "[\"udp/22\"]", all), false),
        (ssh, waiver("risky-ports", "[\"23\"]", all), false),
        (ssh, waiver("risky-ports", "[\"22\"]", "[\"::/0\"]"), false),
        (
            ssh,
            waiver("risky-ports", "[\"22\"]", "[\"0.0.0.0/1\"]"),
            false,
        ),
        (
            ssh,
            waiver(
                "risky-ports",
                "[\"22\"]",
                "[\"0.0.0.0/1\", \"128.0.0.0/1\"]",
            ),
            true,
        ),
        // Two that cover it together, and two that leave one corner.
        (
            ssh,
            waiver("risky-ports", "[\"22\"]", "[\"0.0.0.0/1\"]")
                + &waiver("*", "[\"20-25\"]", "[\"128.0.0.0/1\"]"),
            true,
        ),
        (both, waiver("risky-ports", "[\"22\"]", all), false),
        (
            both,
            waiver("risky-ports", "[\"22\", \"3389\"]", all),
            false,
        ),
        (
            both,
            waiver(
                "risky-ports",
                "[\"22\", \"3389\"]",
                "[\"0.0.0.0/0\", \"::/0\"]",
            ),
            true,
        ),
        (
            both,
            waiver("risky-ports", "[\"22\"]", all)
                + &waiver("risky-ports", "[\"3389\"]", "[\"::/0\"]"),
            true,
        ),
        (
            some,
            waiver("risky-ports", "[\"22\"]", "[\"47.96.0.0/11\"]"),
            true,
        ),
        (
            some,
            waiver("risky-ports", "[\"22\"]", "[\"47.96.0.0/12\"]"),
            false,
        ),
        (
            wide,
            waiver("risky-ports", "[\"22\"]", "[\"47.96.0.0/11\"]"),
            false,
        ),
    ] {
        let finding = judge_with(risky_ports(), &group(rules), &text, "2026-11-24");
        let want = if waived {
            Verdict::Waived
        } else {
            Verdict::Exposed
        };
        assert_eq!(finding.verdict, want, "{rules:?}\n{text}");
        assert_eq!(finding.waiver.is_some(), waived);
    }
}

#[test]
fn what_has_no_ports_is_approved_by_name() {
    let everything = check(Kind::AllProtocols, &Protocol::ALL, &[]);
    let open = group(&["accept all -1/-1 0.0.0.0/0 1"]);
    let ports_only = waiver("test", "[\"1-65535\"]", "[\"0.0.0.0/0\"]");
    let finding = judge_with(everything.clone(), &open, &ports_only, "2026-11-24");
    assert_eq!(
        finding.verdict,
        Verdict::Exposed,
        "gre and icmp were not approved"
    );
    let named = waiver(
        "test",
        "[\"1-65535\", \"gre\", \"icmp\"]",
        "[\"0.0.0.0/0\"]",
    );
    let finding = judge_with(everything, &open, &named, "2026-11-24");
    assert_eq!(finding.verdict, Verdict::Waived);
}

#[test]
fn what_a_group_is_is_approved_by_the_name_of_its_check_only() {
    let mut bare = group(&[]);
    bare.group.description = String::new();
    let mut property = check(Kind::NoDescription, &[], &[]);
    property.id = "no-description".to_owned();
    for (named, verdict) in [("no-description", Verdict::Waived), ("*", Verdict::Exposed)] {
        let text = waiver(named, "[\"1-65535\"]", "[\"0.0.0.0/0\"]");
        let finding = judge_with(property.clone(), &bare, &text, "2026-11-24");
        assert_eq!(finding.verdict, verdict, "{named}");
    }
}

#[test]
fn managed_and_undetermined_come_first() {
    let text = waiver("*", "[\"1-65535\"]", "[\"0.0.0.0/0\", \"::/0\"]");
    let mut managed = group(&["accept tcp 22/22 0.0.0.0/0 1"]);
    managed.group.service_managed = Some(true);
    let finding = judge_with(risky_ports(), &managed, &text, "2026-11-24");
    assert_eq!((finding.verdict, finding.waiver), (Verdict::Managed, None));
    let unread = group(&["drop tcp x 0.0.0.0/0 1", "accept tcp 22/22 0.0.0.0/0 2"]);
    let finding = judge_with(risky_ports(), &unread, &text, "2026-11-24");
    assert_eq!(
        (finding.verdict, finding.waiver),
        (Verdict::Undetermined, None)
    );
}

#[test]
fn the_note_says_until_when_it_stays_covered() {
    let ends = |text: String, day: &str| text.replace("2026-12-31", day);
    let ssh = group(&["accept tcp 22/22 0.0.0.0/0 1"]);
    let half = |half: &str| waiver("risky-ports", "[\"22\"]", half);
    let text = ends(half("[\"0.0.0.0/1\"]"), "2027-03-01")
        + &ends(half("[\"128.0.0.0/1\"]"), "2027-02-01").replace("Ada", "Bob")
        + &ends(half("[\"0.0.0.0/0\"]"), "2027-01-01").replace("Ada", "Eve");
    let note = judge_with(risky_ports(), &ssh, &text, "2026-11-24")
        .waiver
        .expect("covered");
    // The two halves last longer than the whole one, which is not needed.
    assert_eq!(note.expires, "2027-02-01");
    assert_eq!(
        (note.approved_by.as_str(), note.owner.as_str()),
        ("Ada; Bob", "web")
    );
    for (today, verdict) in [
        ("2027-02-01", Verdict::Waived),
        ("2027-02-02", Verdict::Exposed),
    ] {
        let finding = judge_with(risky_ports(), &ssh, &text, today);
        assert_eq!(finding.verdict, verdict, "{today}");
    }
}

/// Runs over few ports and addresses, so that they meet.
fn some_runs() -> impl Strategy<Value = Vec<Run>> {
    let one = (1u16..9, 0u16..4, 0u128..14, 0u128..4, any::<bool>()).prop_map(
        |(low, more, from, length, tcp)| Run {
            family: Family::Ipv4,
            protocol: if tcp { Protocol::Tcp } else { Protocol::Udp },
            ports: Some((low, low + more)),
            sources: AddressSet::from_ranges([(from, from + length)]),
        },
    );
    prop::collection::vec(one, 0..7)
}

fn has(runs: &[Run], protocol: Protocol, port: u16, source: u128) -> bool {
    runs.iter().any(|run| {
        run.protocol == protocol
            && run
                .ports
                .is_some_and(|(low, high)| low <= port && port <= high)
            && run.sources.contains(source)
    })
}

proptest! {
    #[test]
    fn what_is_left_over_is_left_over_point_by_point(some in some_runs(), others in some_runs()) {
        let left = minus(&some, &others);
        for protocol in [Protocol::Tcp, Protocol::Udp] {
            for port in 1..14 {
                for source in 0..19 {
                    prop_assert_eq!(
                        has(&left, protocol, port, source),
                        has(&some, protocol, port, source) && !has(&others, protocol, port, source)
                    );
                }
            }
        }
    }

    /// What `waive` proposes covers the finding, and neither another port nor another source.
    #[test]
    fn what_is_proposed_covers_that_and_nothing_beside_it(
        rules in prop::collection::vec(
            (
                prop::sample::select(vec!["accept", "accept", "accept", "drop"]),
                prop::sample::select(vec!["tcp", "udp", "all"]),
                prop::sample::select(vec!["20/30", "22/22", "25/25", "3389/3389", "1/65535"]),
                prop::sample::select(vec![
                    "0.0.0.0/0", "0.0.0.0/1", "47.96.0.0/11", "::/0", "2400::/12", "8.0.0.0/8",
                ]),
                1u32..4,
            ),
            1..6,
        ),
        both in any::<bool>(),
    ) {
        let lines: Vec<String> = rules
            .iter()
            .map(|(policy, protocol, ports, source, priority)| {
                format!("{policy} {protocol} {ports} {source} {priority}")
            })
            .collect();
        let lines: Vec<&str> = lines.iter().map(String::as_str).collect();
        let reading = group(&lines);
        let protocols: &[Protocol] = if both { &[Protocol::Tcp, Protocol::Udp] } else { &[Protocol::Tcp] };
        let ports = check(Kind::Ports, protocols, &[(22, 26), (3389, 3389)]);
        let judged = crate::kit::rules::judge(ports.clone(), &reading);
        for finding in judged.findings {
            let proposed = propose(&finding, Some(&ports.info()), &Internet::whole()).expect("ours");
            let mut text = String::new();
            for part in &proposed {
                text += &waiver("test", &format!("{:?}", part.ports), &format!("{:?}", part.sources));
            }
            let waived = judge_with(ports.clone(), &reading, &text, "2026-11-24");
            prop_assert_eq!(waived.verdict, Verdict::Waived, "{}", text);
            let place = (&finding.account, &finding.region, &finding.group_id);
            let mut approved = Waivers::on(read(&text), day("2026-11-24")).approved(place, &["test"]);
            approved.retain(|run| protocols.contains(&run.protocol));
            for run in &mut approved {
                run.sources = run.sources.intersect(Internet::whole().of(run.family));
            }
            let exposed = sgwarden::exposure::points::read(&finding.exposed).expect("ours");
            prop_assert!(minus(&approved, &exposed).is_empty(), "{}", text);
        }
    }
}

/// A host whose clock is a test's, with a relay.
struct Story {
    host: Host,
    relay: Receiver,
    text: String,
}

const SCHEDULE: &str = r#"timezone = "Asia/Taipei"
[policy]
waivers = "waivers.toml"
[report]
formats = ["csv", "xlsx", "html", "json"]
[[mail]]
to = ["secops@example.com"]
attach = ["csv"]
"#;

impl Story {
    async fn new(world: sgwarden::sim::World, text: &str) -> Self {
        let relay = Receiver::start(Mode::Plain, ReceiverOptions::default())
            .await
            .expect("a relay");
        Self {
            host: Host::new(world).await,
            relay,
            text: text.to_owned(),
        }
    }

    async fn try_run(&self, now: fn() -> DateTime<Utc>) -> Result<RunOutcome, Error> {
        let mut schedule = Schedule::read("weekly.toml", "weekly", &self.text).expect("a schedule");
        waivers::attach(&mut schedule, self.host.dir.path()).expect("waivers");
        let mut tools = self.host.tools();
        tools.now = now;
        let url = format!("smtp://{}?tls=none", self.relay.addr());
        tools.relay =
            Some(MailSettings::new(&url, "audit@example.com", None, None).expect("a relay"));
        let job = Job {
            command: "run".to_owned(),
            schedule,
            copies: None,
        };
        sgwarden::job::run(&job, &tools).await
    }

    async fn run(&self, now: fn() -> DateTime<Utc>) -> RunOutcome {
        self.try_run(now).await.expect("a sealed run")
    }

    /// Subject and text of the last letter, without what differs from run to run.
    fn letter(&self, run: &RunOutcome) -> String {
        let messages = self.relay.messages();
        let data = &messages.last().expect("a letter").data;
        let whole = String::from_utf8_lossy(data);
        let subject = whole
            .lines()
            .find(|line| line.starts_with("Subject: "))
            .expect("a subject");
        let text = plain(&parts(data)).replace("\r\n", "\n");
        let text = format!("{subject}\n\n{text}")
            .replace(run.sealed.manifest_sha256.as_str(), "<sha256>")
            .replace(&run.sealed.folder.display().to_string(), "<folder>")
            .replace(run.sealed.run.as_str(), "<run>");
        // Rule ids are the cloud's own.
        let mut parts = text.split("sgr-");
        let mut out = parts.next().unwrap_or_default().to_owned();
        for part in parts {
            out.push_str("<rule>");
            out.push_str(part.trim_start_matches(|c: char| c.is_ascii_alphanumeric()));
        }
        out
    }

    fn open(&self, group: &str, ports: &str) {
        self.host.cloud.with_world(|world| {
            let rule = Rule::ingress("TCP", ports, "0.0.0.0/0");
            world
                .add_rule(ACCOUNT, REGION, group, rule)
                .expect("the group is there");
        });
    }

    fn close(&self, group: &str) {
        let rules = self.host.rules(group);
        self.host.cloud.with_world(|world| {
            for rule in &rules {
                world.remove_rule(ACCOUNT, REGION, group, rule);
            }
        });
    }
}

fn at(text: &str) -> DateTime<Utc> {
    text.parse().expect("a time")
}

fn found_at() -> DateTime<Utc> {
    at("2026-10-05T02:00:00Z")
}
fn waived_at() -> DateTime<Utc> {
    at("2026-10-12T02:00:00Z")
}
fn outgrown_at() -> DateTime<Utc> {
    at("2026-10-19T02:00:00Z")
}
fn resolved_at() -> DateTime<Utc> {
    at("2026-10-26T02:00:00Z")
}

fn of<'r>(run: &'r RunOutcome, group: &str) -> &'r Finding {
    run.record
        .findings
        .iter()
        .find(|finding| finding.group_id.as_str() == group)
        .unwrap_or_else(|| panic!("no finding of {group}"))
}

#[tokio::test(flavor = "multi_thread")]
async fn found_waived_outgrown_resolved() {
    let start = world(&[("sg-web", vec![ssh_open()]), ("sg-db", vec![ssh_open()])]);
    let story = Story::new(start, SCHEDULE).await;
    story
        .host
        .write("waivers.toml", "# nothing is approved yet\n");
    let mut letters = Vec::new();

    let run = story.run(found_at).await;
    assert_eq!(of(&run, "sg-web").state, FindingState::New);
    letters.push(story.letter(&run));

    // What `waive` prints is refused until a person has filled it in.
    let answer = story
        .host
        .run(&["waive", "sg-web/risky-ports", "--owner", "web team"])
        .await;
    assert_eq!(answer.code, 0, "{}", answer.stderr);
    story.host.write("weekly.toml", SCHEDULE);
    story.host.write("waivers.toml", &answer.stdout);
    let refused = story.host.run(&["run", "--schedule", "weekly.toml"]).await;
    assert_eq!(refused.code, 2, "{}", refused.stderr);
    for key in ["approved_by", "reason", "expires"] {
        assert!(
            refused.stderr.contains(&format!("waiver[0].{key}")),
            "{}",
            refused.stderr
        );
    }
    assert!(
        !refused.stderr.contains("waiver[0].owner"),
        "{}",
        refused.stderr
    );
    let block = answer
        .stdout
        .replace("<who approved it>", "Ada Chen")
        .replace("<why it must be open>", "partners connect from anywhere")
        .replace("YYYY-MM-DD", "2026-10-25");
    story.host.write("waivers.toml", &block);

    let run = story.run(waived_at).await;
    let web = of(&run, "sg-web");
    assert_eq!(
        (web.verdict, web.state),
        (Verdict::Waived, FindingState::Open)
    );
    assert_eq!(web.first_seen, "2026-10-05T02:00:00Z");
    let note = web.waiver.as_ref().expect("a note");
    assert_eq!(
        (
            note.owner.as_str(),
            note.approved_by.as_str(),
            note.expires.as_str()
        ),
        ("web team", "Ada Chen", "2026-10-25")
    );
    assert_eq!(run.record.header.totals.waived, 1);
    assert_eq!(run.record.waivers[0].state, WaiverState::Active);
    assert_eq!(run.record.waivers[0].days_left, 13);
    let population =
        std::fs::read_to_string(run.sealed.folder.join("population.csv")).expect("rows");
    assert!(
        population.contains("sg-web,name of sg-web,risky-ports,waived,"),
        "{population}"
    );
    letters.push(story.letter(&run));

    story.open("sg-web", "3389/3389");
    story.close("sg-db");
    let run = story.run(outgrown_at).await;
    let web = of(&run, "sg-web");
    assert_eq!(
        (web.verdict, web.state),
        (Verdict::Exposed, FindingState::Reopened)
    );
    assert_eq!(web.first_seen, "2026-10-05T02:00:00Z", "it was never gone");
    assert_eq!(run.record.waivers[0].state, WaiverState::Outgrown);
    letters.push(story.letter(&run));

    story.close("sg-web");
    let run = story.run(resolved_at).await;
    assert!(run.record.findings.is_empty());
    assert_eq!(run.record.resolved.len(), 1);
    assert_eq!(run.record.waivers[0].state, WaiverState::Expired);
    let counts = run.record.header.severities.clone().expect("counted");
    assert_eq!(counts[&Severity::High].closed, 1);
    assert_eq!(counts[&Severity::High].closed_seconds, 21 * 86_400);
    letters.push(story.letter(&run));
    expect_file!["../golden/mail.story.en.txt"].assert_eq(&letters.join("\n\n########\n\n"));

    // The trend is what the four manifests say, this run last.
    let trend = run.record.trend.clone().expect("a trend");
    let rows: Vec<(u64, u64, u64, Option<bool>)> = trend
        .points
        .iter()
        .map(|point| {
            let high = point.severities.as_ref().expect("counted")[&Severity::High];
            (high.exposed, high.waived, high.closed, point.basis_changed)
        })
        .collect();
    assert_eq!(
        rows,
        [
            (2, 0, 0, None),
            (1, 1, 0, Some(true)),
            (1, 0, 1, Some(false)),
            (0, 0, 1, Some(false))
        ]
    );
    assert_eq!(trend.broken, None);
    let (again, manifest) = read_record(&run.sealed.folder).expect("a record");
    assert_eq!(again, run.record, "a sealed run reads back whole");
    let text = manifest
        .policy
        .iter()
        .find(|text| text.name == "waivers waivers.toml")
        .expect("the waivers are evidence");
    assert_eq!(text.text, block);
    let html = std::fs::read_to_string(run.sealed.folder.join("report.html")).expect("a page");
    assert!(html.contains("EXPIRED") && html.contains("partners connect from anywhere"));
    let book = std::fs::read(run.sealed.folder.join("report.xlsx")).expect("a workbook");
    let parts = crate::kit::mime::workbook(&book);
    for text in [
        "EXPIRED",
        "partners connect from anywhere",
        "Time to close",
        "21.0",
    ] {
        assert!(parts.contains(text), "{text}");
    }
    let verified = story.host.run(&["verify", "--all"]).await;
    assert_eq!(verified.code, 0, "{}", verified.stdout);
}

/// One waiver of sg-web on SSH, until a day.
fn until(expires: &str) -> String {
    waiver("risky-ports", "[\"22\"]", "[\"0.0.0.0/0\"]")
        .replace("sg-1", "sg-web")
        .replace("2026-12-31", expires)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_waiver_ends_with_its_day_in_the_zone_of_the_schedule() {
    type Clock = fn() -> DateTime<Utc>;
    // In Taipei the day ends while it goes on in UTC, in Los Angeles when the next has begun there.
    let cases: [(&str, Clock, Clock); 2] = [
        (
            "Asia/Taipei",
            || at("2026-11-24T15:59:59Z"),
            || at("2026-11-24T16:00:00Z"),
        ),
        (
            "America/Los_Angeles",
            || at("2026-11-25T07:59:59Z"),
            || at("2026-11-25T08:00:00Z"),
        ),
    ];
    for (zone, last, over) in cases {
        let text = SCHEDULE.replace("Asia/Taipei", zone);
        let story = Story::new(world(&[("sg-web", vec![ssh_open()])]), &text).await;
        story.host.write("waivers.toml", &until("2026-11-24"));
        let run = story.run(last).await;
        assert_eq!(of(&run, "sg-web").verdict, Verdict::Waived, "{zone}");
        assert_eq!(run.record.waivers[0].days_left, 0);
        assert!(story.letter(&run).contains("Today is its last day."));
        let run = story.run(over).await;
        assert_eq!(of(&run, "sg-web").verdict, Verdict::Exposed, "{zone}");
        assert_eq!(run.record.waivers[0].state, WaiverState::Expired);
        assert!(
            story
                .letter(&run)
                .contains("the approval is over and counts for nothing")
        );
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn every_mistake_of_both_files_is_said_at_once_with_its_place() {
    let host = Host::new(world(&[])).await;
    host.write(
        "weekly.toml",
        "[policy]\nwaivers = \"ops/waivers.toml\"\n[report]\nformats = [\"pdf\"]\n",
    );
    host.write(
        "ops/waivers.toml",
        r#"[[waiver]]
group = "web"
check = "risky-port"
ports = ["22", "0", "80-20", "tcp/", "icmp"]
sources = ["0.0.0.0", "anyone"]
owner = " "
approved_by = "<who approved it>"
expires = "24.11.2026"
expire = "2026-12-31"
[[waiver]]
group = "sg-1"
check = "*"
ports = []
sources = ["0.0.0.0/0"]
owner = "a"
approved_by = "b"
reason = "c"
expires = 2026-12-31
account = "me"
[[waivers]]
"#,
    );
    let ran = host.run(&["run", "--schedule", "weekly.toml"]).await;
    assert_eq!(ran.code, 2);
    for line in [
        "weekly.toml:4: report.formats",
        "waivers.toml:2: waiver[0].group: \"web\" must be a group id",
        "waivers.toml:4: waiver[0].ports: \"0\" must be",
        "waivers.toml:4: waiver[0].ports: \"80-20\" must be",
        "waivers.toml:4: waiver[0].ports: \"tcp/\" must be",
        "waivers.toml:5: waiver[0].sources: \"0.0.0.0\" must be",
        "waivers.toml:5: waiver[0].sources: \"anyone\" must be",
        "waivers.toml:6: waiver[0].owner: is empty",
        "waivers.toml:7: waiver[0].approved_by: is still to be filled in",
        "waivers.toml:1: waiver[0].reason: is missing",
        "waivers.toml:8: waiver[0].expires: \"24.11.2026\" is no date",
        "waivers.toml:9: waiver[0].expire: unknown key; did you mean \"expires\"?",
        "waiver[1].ports: is empty: an empty list approves nothing",
        "waivers.toml:19: waiver[1].account: \"me\" must be an account id",
        "waivers.toml:20: waivers: unknown key; did you mean \"waiver\"?",
    ] {
        assert!(ran.stderr.contains(line), "{line}\n{}", ran.stderr);
    }
    // The check's id is held against the schedule's own once that can be read.
    host.write("weekly.toml", "[policy]\nwaivers = \"ops/waivers.toml\"\n");
    let ran = host.run(&["run", "--schedule", "weekly.toml"]).await;
    assert!(
        ran.stderr
            .contains("waiver[0].check: \"risky-port\" is no check")
            && ran.stderr.contains("did you mean \"risky-ports\"?"),
        "{}",
        ran.stderr
    );
    host.write("weekly.toml", "[policy]\nwaivers = \"gone.toml\"\n");
    let ran = host.run(&["run", "--schedule", "weekly.toml"]).await;
    assert_eq!(ran.code, 2);
    assert!(
        ran.stderr.contains("gone.toml: cannot be read"),
        "{}",
        ran.stderr
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_schedule_whose_waivers_were_not_read_is_refused_whoever_calls() {
    let host = Host::new(world(&[("sg-web", vec![ssh_open()])])).await;
    let mut job = host.job("");
    job.schedule.waivers = waivers::Waiving::Named("waivers.toml".to_owned());
    let refused = sgwarden::job::run(&job, &host.tools()).await;
    assert!(matches!(refused, Err(Error::Refused(_))), "{refused:?}");
    assert_eq!(host.rules("sg-web").len(), 1);
}

const REVOKE: &str = r#"[policy]
waivers = "waivers.toml"
[remediation]
mode = "revoke"
max_share = "100%"
[report]
formats = ["csv"]
"#;

fn now() -> DateTime<Utc> {
    Utc::now()
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_waived_is_never_changed_and_the_cut_goes_around_it() {
    let rdp = Rule::ingress("TCP", "3389/3389", "0.0.0.0/0");
    let start = world(&[
        ("sg-web", vec![ssh_open()]),
        ("sg-both", vec![ssh_open(), rdp]),
    ]);
    let story = Story::new(start, REVOKE).await;
    let both = until("2999-12-31").replace("sg-web", "sg-both");
    story
        .host
        .write("waivers.toml", &(until("2999-12-31") + &both));
    let kept: Vec<String> = story.host.rules("sg-both").into_iter().take(1).collect();
    let run = story.run(now).await;
    assert_eq!(of(&run, "sg-web").verdict, Verdict::Waived);
    assert_eq!(story.host.rules("sg-web").len(), 1);
    // More than was approved: exposed, and closed down to what was approved.
    assert_eq!(of(&run, "sg-both").verdict, Verdict::Exposed);
    assert_eq!(run.record.changes.len(), 1);
    let change = &run.record.changes[0];
    assert_eq!(change.outcome, Outcome::Verified);
    assert_eq!(change.verdict_after["risky-ports"], "waived");
    assert!(!run.broken_change());
    assert_eq!(
        story.host.rules("sg-both"),
        kept,
        "SSH was approved and stays"
    );
    let states: Vec<WaiverState> = run.record.waivers.iter().map(|w| w.state).collect();
    assert_eq!(states, [WaiverState::Active, WaiverState::Outgrown]);
}

#[tokio::test(flavor = "multi_thread")]
async fn approved_traffic_that_goes_with_a_rule_is_named_in_the_plan() {
    let start = world(&[("sg-web", vec![Rule::ingress("TCP", "22/23", "0.0.0.0/0")])]);
    let story = Story::new(
        start,
        &REVOKE.replace("revoke", "plan").replace(
            "[remediation]",
            "[[policy.check]]\nid = \"telnet\"\nseverity = \"high\"\nports = [\"23\"]\n[remediation]",
        ),
    )
    .await;
    story.host.write("waivers.toml", &until("2999-12-31"));
    let run = story.run(now).await;
    assert_eq!(of(&run, "sg-web").check, "risky-ports");
    assert_eq!(of(&run, "sg-web").verdict, Verdict::Waived);
    assert_eq!(
        run.record.planned.len(),
        1,
        "telnet is exposed by the same rule"
    );
    let ends: Vec<(&str, bool, bool)> = run.record.planned[0]
        .ends
        .iter()
        .map(|part| (part.ports.as_str(), part.internet, part.waived))
        .collect();
    assert_eq!(
        ends,
        [
            ("22-23", false, false),
            ("22", true, true),
            ("23", true, false)
        ]
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_plan_is_refused_once_the_waivers_are_others() {
    let host = Host::new(world(&[("sg-web", vec![ssh_open()])])).await;
    host.write("live.toml", REVOKE);
    host.write("waivers.toml", "# nothing\n");
    let planned = host.run(&["plan", "--schedule", "live.toml"]).await;
    assert_eq!(planned.code, 0, "{}", planned.stderr);
    host.write("waivers.toml", &until("2999-12-31"));
    let apply = ["apply", "plan.json", "--approved-by", "Ada"];
    let refused = host.run(&apply).await;
    assert_eq!(refused.code, 2, "{}", refused.stderr);
    assert!(
        refused.stderr.contains("the waivers have changed"),
        "{}",
        refused.stderr
    );
    assert_eq!(host.rules("sg-web").len(), 1);
    host.write("waivers.toml", "# nothing\n");
    let applied = host.run(&apply).await;
    assert_eq!(applied.code, 0, "{}{}", applied.stdout, applied.stderr);
    assert!(host.rules("sg-web").is_empty());
}

#[tokio::test(flavor = "multi_thread")]
async fn what_was_not_judged_is_not_called_unused() {
    let start = world(&[
        ("sg-web", Vec::new()),
        ("sg-dark", vec![Rule::ingress("TCP", "22/22", "0.0.0.0/0")]),
    ]);
    let story = Story::new(start, SCHEDULE).await;
    let of_group = |group: &str| until("2999-12-31").replace("sg-web", group);
    let elsewhere = of_group("sg-web") + "region = \"cn-nowhere\"\n";
    story.host.write(
        "waivers.toml",
        &(of_group("sg-web") + &of_group("sg-dark") + &of_group("sg-gone") + &elsewhere),
    );
    let fault = "DescribeSecurityGroupAttribute/sg-dark=Forbidden.RAM";
    story
        .host
        .cloud
        .add_fault(sgwarden::sim::Fault::parse(fault).expect("a fault"));
    let run = story.run(found_at).await;
    let states: Vec<WaiverState> = run.record.waivers.iter().map(|w| w.state).collect();
    // The region was not read whole: a group that was not met may be there.
    assert_eq!(
        states,
        [
            WaiverState::Unused,
            WaiverState::Unjudged,
            WaiverState::Unjudged,
            WaiverState::Unjudged
        ]
    );
    story.host.cloud.clear_faults();
    let run = story.run(waived_at).await;
    let states: Vec<WaiverState> = run.record.waivers.iter().map(|w| w.state).collect();
    assert_eq!(
        states,
        [
            WaiverState::Unused,
            WaiverState::Active,
            WaiverState::Unused,
            WaiverState::Unjudged
        ]
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_trend_ends_where_the_chain_does_and_says_so() {
    let story = Story::new(world(&[("sg-web", vec![ssh_open()])]), SCHEDULE).await;
    story.host.write("waivers.toml", "");
    let first = story.run(found_at).await;
    let second = story.run(waived_at).await;
    assert_eq!(
        second.record.trend.as_ref().expect("a trend").points.len(),
        2
    );
    std::fs::remove_dir_all(&first.sealed.folder).expect("it was there");
    let third = story.run(outgrown_at).await;
    let trend = third.record.trend.expect("a trend");
    assert_eq!(trend.points.len(), 2);
    let why = trend.broken.expect("a reason");
    assert!(why.contains(first.sealed.run.as_str()), "{why}");
}

#[tokio::test(flavor = "multi_thread")]
async fn waive_names_what_it_cannot_do() {
    let mut start = world(&[
        ("sg-web", vec![ssh_open()]),
        ("sg-odd", vec![Rule::ingress("TCP", "22/22", "0.0.0.0/0")]),
    ]);
    start
        .group_mut(ACCOUNT, REGION, "sg-odd")
        .expect("it is there")
        .service_managed = true;
    let host = Host::new(start).await;
    let refused = |ran: Ran, part: &str| {
        assert_eq!(ran.code, 2, "{}", ran.stderr);
        assert!(ran.stderr.contains(part), "{part}: {}", ran.stderr);
    };
    refused(host.run(&["waive", "sg-web"]).await, "no sealed run here");
    host.run(&["scan"]).await;
    refused(
        host.run(&["waive", "web/risky-ports"]).await,
        "must be GROUP",
    );
    refused(
        host.run(&["waive", "sg-none/risky-ports"]).await,
        "no finding",
    );
    refused(
        host.run(&["waive", "sg-odd"]).await,
        "managed by a cloud service",
    );
    let named = host
        .run(&[
            "waive",
            "sg-web",
            "--owner",
            "a \"b\"",
            "--approved-by",
            "c",
            "--reason",
            "d\ne",
            "--expires",
            "2030-01-31",
            "--ticket",
            "T-1",
            "--json",
        ])
        .await;
    let json = named.json();
    assert_eq!(json["waivers"][0]["ports"][0], "22");
    assert_eq!(json["waivers"][0]["sources"][0], "0.0.0.0/0");
    let block = read(json["toml"].as_str().expect("text"));
    assert_eq!(block[0].owner, "a \"b\"");
    assert_eq!(block[0].reason, "d\ne");
    assert_eq!(block[0].ticket.as_deref(), Some("T-1"));
    assert_eq!(block[0].expires, day("2030-01-31"));
}
