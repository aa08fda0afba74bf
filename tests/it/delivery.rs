//! Whom a run tells what: routes, over real SMTP.

use crate::kit::host::{ACCOUNT, Host, REGION, ssh_open, world};
use crate::kit::mime::{parts, plain};
use crate::report::record;
use expect_test::expect_file;
use sgwarden::config::Schedule;
use sgwarden::deliver::MailSettings;
use sgwarden::model::{DeliverySettings, Language, Route, Severity, Sha256, Tag};
use sgwarden::report::{letter::letter, part::part};
use sgwarden::sim::hook::Hook;
use sgwarden::sim::smtp::{Mode, Receiver, ReceiverOptions};
use sgwarden::sim::{Fault, Group, Tag as SimTag, World};

fn owned(world: &mut World, group: &str, owner: &str) {
    let group = world
        .group_mut(ACCOUNT, REGION, group)
        .expect("the group is there");
    group.tags.push(SimTag {
        tag_key: "owner".to_owned(),
        tag_value: owner.to_owned(),
    });
}

/// Three groups open to the world: of web, of data, and of nobody.
fn three() -> World {
    let mut world = world(&[
        ("sg-web", vec![ssh_open()]),
        ("sg-data", vec![ssh_open()]),
        ("sg-nobody", vec![ssh_open()]),
    ]);
    owned(&mut world, "sg-web", "web");
    owned(&mut world, "sg-data", "data");
    world
}

async fn relay() -> Receiver {
    Receiver::start(Mode::Plain, ReceiverOptions::default())
        .await
        .expect("a relay")
}

async fn host(world: World, relay: &Receiver) -> Host {
    let host = Host::new(world).await;
    host.write(
        "sgwarden.toml",
        &format!(
            "[mail]\nurl = \"smtp://{}?tls=none\"\nfrom = \"audit@example.com\"\n",
            relay.addr()
        ),
    );
    host
}

/// The last letter to somebody, as its parts: name, text.
fn to(relay: &Receiver, whom: &str) -> Vec<(String, String)> {
    let all = relay.messages();
    let got = all.iter().rfind(|letter| letter.to == [whom]);
    parts(&got.unwrap_or_else(|| panic!("no letter to {whom}")).data)
}

#[tokio::test(flavor = "multi_thread")]
async fn each_owner_gets_their_part_in_letter_and_attachments_and_nothing_else() {
    let relay = relay().await;
    let host = host(three(), &relay).await;
    host.write(
        "s/weekly.toml",
        r#"
[report]
formats = ["csv", "xlsx", "html", "json"]
[[mail]]
to = ["web@example.com"]
when = "findings"
attach = ["csv", "xlsx", "html", "json"]
route = { tags = { owner = "web" } }
[[mail]]
to = ["data@example.com"]
when = "new"
route = { tags = { owner = "data" }, regions = ["cn-hangzhou"], accounts = ["1234567890123456"], severity = "high" }
[[mail]]
to = ["shanghai@example.com"]
when = "findings"
route = { regions = ["cn-shanghai"] }
[[mail]]
to = ["grave@example.com"]
route = { severity = "critical" }
[[mail]]
to = ["secops@example.com"]
route = { accounts = [] }
"#,
    );
    let ran = host.run(&["run", "--schedule", "s/weekly.toml"]).await;
    assert_eq!(ran.code, 0, "{}", ran.stderr);
    assert_eq!(relay.messages().len(), 4, "nothing for shanghai");
    for (whom, own, foreign) in [
        (
            "web@example.com",
            &["sg-web"][..],
            &["sg-data", "sg-nobody"][..],
        ),
        ("data@example.com", &["sg-data"], &["sg-web", "sg-nobody"]),
        (
            "grave@example.com",
            &[],
            &["sg-web", "sg-data", "sg-nobody"],
        ),
        (
            "secops@example.com",
            &["sg-web", "sg-data", "sg-nobody"],
            &[],
        ),
    ] {
        let parts = to(&relay, whom);
        // Clauses are counted over the whole estate, and name no group.
        let clauses = |name: &str| name.starts_with("controls");
        assert_eq!(
            parts.iter().any(|(name, _)| clauses(name)),
            whom == "secops@example.com",
            "{whom}"
        );
        for (name, text) in parts.iter().filter(|(name, _)| !clauses(name)) {
            for id in own {
                assert!(text.contains(id), "{whom} {name} lacks {id}: {text}");
            }
            for id in foreign {
                assert!(!text.contains(id), "{whom} {name} has {id}: {text}");
            }
            let whole = whom == "secops@example.com";
            assert_eq!(
                !whole && !name.is_empty(),
                name.contains("-part."),
                "{whom} {name}"
            );
            // A table has no room for it, its name says it.
            if !name.ends_with(".csv") {
                let said = text.contains("only one part of the run") || text.contains("\"part\"");
                assert_eq!(said, !whole, "{whom} {name}: {text}");
            }
        }
        assert!(
            parts.len() >= 4,
            "{whom}: text, html and two files at least"
        );
    }
    let data = plain(&to(&relay, "data@example.com"));
    assert!(
        data.contains("groups tagged owner=data; accounts 1234567890123456; regions cn-hangzhou; severity high or graver"),
        "{data}"
    );
    let grave = to(&relay, "grave@example.com");
    assert!(
        plain(&grave).contains("Nothing in this part of the run is exposed"),
        "{grave:?}"
    );
    // The second run brings nothing new: who wants only that hears nothing.
    let ran = host.run(&["run", "--schedule", "s/weekly.toml"]).await;
    assert_eq!(ran.code, 0, "{}", ran.stderr);
    assert_eq!(relay.messages().len(), 7, "all but data and shanghai");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_was_not_read_and_what_is_not_verified_is_told_to_everybody() {
    let relay = relay().await;
    let mut start = three();
    start.add_group(ACCOUNT, "cn-beijing", Group::new("sg-b", "unread"));
    let host = host(start, &relay).await;
    let fault = |text: &str| Fault::parse(text).expect("a fault");
    host.cloud
        .add_fault(fault("DescribeSecurityGroups@cn-beijing=Forbidden.RAM"));
    let mails = "[[mail]]\nto = [\"web@example.com\"]\nwhen = \"failures\"\nroute = { tags = { owner = \"web\" }, regions = [\"cn-hangzhou\"] }\n\
                 [[mail]]\nto = [\"data@example.com\"]\nwhen = \"changes\"\nroute = { tags = { owner = \"data\" } }\n";
    host.write("s/a.toml", mails);
    let ran = host.run(&["run", "--schedule", "s/a.toml"]).await;
    assert_eq!(ran.code, 3, "{}", ran.stderr);
    for whom in ["web@example.com", "data@example.com"] {
        let parts = to(&relay, whom);
        assert!(plain(&parts).contains("INCOMPLETE"), "{parts:?}");
        assert!(plain(&parts).contains("cn-beijing"), "{parts:?}");
    }
    host.cloud.clear_faults();
    // One group's change fails: the owner of another hears of it too, and not of the others.
    host.cloud
        .add_fault(fault("RevokeSecurityGroup/sg-web=revoke-nothing"));
    let mut tools = host.tools();
    let url = format!("smtp://{}?tls=none", relay.addr());
    let settings = MailSettings::new(&url, "audit@example.com", None, None);
    tools.relay = Some(settings.expect("a relay"));
    let job = host.job(mails);
    let run = sgwarden::job::run(&job, &tools).await.expect("a run");
    assert!(run.broken_change());
    let data = plain(&to(&relay, "data@example.com"));
    assert!(
        data.contains("sg-web") && !data.contains("sg-nobody"),
        "{data}"
    );
    assert!(
        data.starts_with("CHANGE NOT VERIFIED: ") && !data.contains("Nothing in scope"),
        "{data}"
    );
    // The graver first where something could not be read as well (4 goes before 3).
    host.cloud
        .add_fault(fault("DescribeSecurityGroups@cn-beijing=Forbidden.RAM"));
    let run = sgwarden::job::run(&job, &tools).await.expect("a run");
    assert!(run.broken_change() && !run.record.header.complete);
    let letters = relay.messages();
    let last = letters.last().expect("a letter");
    let subject = "Subject: [sgwarden] CHANGE NOT VERIFIED, INCOMPLETE";
    let text = String::from_utf8_lossy(&last.data).into_owned();
    assert!(text.contains(subject), "{text}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_routed_letter_waits_and_is_resent_as_it_was() {
    let relay = relay().await;
    let host = host(three(), &relay).await;
    host.write(
        "s/a.toml",
        "[[mail]]\nto = [\"web@example.com\"]\nroute = { tags = { owner = \"web\" } }\n\
         [[mail]]\nto = [\"data@example.com\"]\nroute = { tags = { owner = \"data\" } }\n",
    );
    relay.set_options(ReceiverOptions {
        reject: vec![("data@example.com".to_owned(), "550 5.1.1 nobody".to_owned())],
        ..ReceiverOptions::default()
    });
    let ran = host.run(&["run", "--schedule", "s/a.toml", "--json"]).await;
    assert_eq!(ran.code, 5, "{}", ran.stderr);
    let run = ran.json()["run"].as_str().expect("an id").to_owned();
    // Log and terminal end with what to do.
    let todo = format!("it waits: sgwarden resend {run}");
    assert!(ran.stderr.contains(&todo), "{}", ran.stderr);
    let again = host.run(&["resend", &run]).await;
    assert_eq!(again.code, 5, "{}", again.stderr);
    let lost = again
        .stdout
        .lines()
        .find(|line| line.contains("NOT accepted"));
    assert!(
        lost.is_some_and(|line| line.ends_with(&todo)),
        "{}",
        again.stdout
    );
    relay.set_options(ReceiverOptions::default());
    let ran = host.run(&["resend", &run]).await;
    assert_eq!(ran.code, 0, "{}", ran.stderr);
    assert_eq!(relay.messages().len(), 2);
    let data = to(&relay, "data@example.com");
    assert!(plain(&data).contains("sg-data") && !plain(&data).contains("sg-web"));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_letter_that_was_not_accepted_names_the_command_that_sends_it_again() {
    let relay = relay().await;
    let host = host(three(), &relay).await;
    host.write("s/a.toml", "[[mail]]\nto = [\"web@example.com\"]\n");
    let args = ["run", "--schedule", "s/a.toml"];
    let well = host.run(&args).await;
    assert!(!well.stdout.contains("sgwarden resend"), "{}", well.stdout);
    relay.set_options(ReceiverOptions {
        reject: vec![("web@example.com".to_owned(), "550 5.1.1 nobody".to_owned())],
        ..ReceiverOptions::default()
    });
    let ran = host.run(&args).await;
    assert_eq!(ran.code, 5, "{}", ran.stderr);
    let line = ran
        .stdout
        .lines()
        .find(|line| line.contains("sgwarden resend "));
    let run = line
        .and_then(|line| line.rsplit(' ').next())
        .expect("a run");
    relay.set_options(ReceiverOptions::default());
    assert_eq!(host.run(&["resend", run]).await.code, 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn killed_while_it_waits_for_a_dead_relay_a_run_has_told_nobody_less() {
    let relay = relay().await;
    let hook = Hook::start().await.expect("a chat");
    let host = Host::new(three()).await;
    let mail = |address: &str| {
        format!("[mail]\nurl = \"smtp://{address}?tls=none\"\nfrom = \"audit@example.com\"\n")
    };
    // Nobody listens there.
    host.write("sgwarden.toml", &mail("127.0.0.1:9"));
    host.write("hook.url", &format!("{}/generic/s3cret", hook.url()));
    host.write(
        "s/weekly.toml",
        "[[mail]]\nto = [\"one@example.com\"]\n[[mail]]\nto = [\"two@example.com\"]\n\
         [[webhook]]\nkind = \"generic\"\nurl_file = \"hook.url\"\n",
    );
    let mut child = host
        .command(&["run", "--schedule", "s/weekly.toml"])
        .stdout(std::process::Stdio::null())
        .spawn()
        .expect("it starts");
    let outbox = || -> Vec<std::path::PathBuf> {
        let runs = std::fs::read_dir(host.path("state/outbox")).into_iter();
        let files = runs.flatten().flatten();
        let files = files.flat_map(|run| std::fs::read_dir(run.path()).into_iter().flatten());
        files.flatten().map(|file| file.path()).collect()
    };
    // Two letters of two files each, and a message.
    while outbox().len() < 5 {
        assert!(child.try_wait().expect("a child").is_none(), "too early");
        tokio::time::sleep(std::time::Duration::from_millis(10)).await;
    }
    child.kill().expect("kill -9");
    child.wait().expect("it is dead");
    let run = std::fs::read_dir(host.path("state/outbox"))
        .expect("the outbox")
        .flatten()
        .next()
        .expect("a run");
    let run = run.file_name().to_string_lossy().into_owned();
    // The next run names what waits.
    host.write("sgwarden.toml", &mail(&relay.addr().to_string()));
    let next = host.run(&["run", "--schedule", "s/weekly.toml"]).await;
    assert_eq!(next.code, 0, "{}", next.stderr);
    let told = format!("sgwarden resend {run}");
    assert!(next.stderr.contains(&told), "{}", next.stderr);
    assert_eq!((relay.messages().len(), hook.heard().len()), (2, 1));
    let ran = host.run(&["resend", &run]).await;
    assert_eq!(ran.code, 0, "{}", ran.stderr);
    assert_eq!((relay.messages().len(), hook.heard().len()), (4, 2));
    assert_eq!(outbox(), Vec::<std::path::PathBuf>::new());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_run_that_changed_something_and_lost_its_evidence_is_not_called_not_started() {
    let relay = relay().await;
    let host = host(three(), &relay).await;
    host.write(
        "s/live.toml",
        "[remediation]\nmode = \"revoke\"\nmax_share = \"100%\"\n[[mail]]\nto = [\"a@example.com\"]\nwhen = \"failures\"\n",
    );
    let mut child = host
        .command(&["run", "--schedule", "s/live.toml"])
        .stderr(std::process::Stdio::null())
        .spawn()
        .expect("it starts");
    host.called("RevokeSecurityGroup").await;
    // Somebody tidies up.
    for run in std::fs::read_dir(host.path("evidence/runs"))
        .expect("runs")
        .flatten()
    {
        std::fs::remove_dir_all(run.path()).expect("gone");
    }
    let code = loop {
        if let Some(status) = child.try_wait().expect("a child") {
            break status.code();
        }
        tokio::time::sleep(std::time::Duration::from_millis(20)).await;
    };
    assert_eq!(code, Some(6));
    let letter = plain(&to(&relay, "a@example.com"));
    assert!(
        letter.contains("had begun to change something") && letter.contains("journal/"),
        "{letter}"
    );
    let raw = relay.messages();
    let raw = String::from_utf8_lossy(&raw.last().expect("a letter").data).into_owned();
    assert!(raw.contains("EVIDENCE NOT KEPT live"), "{raw}");
    // The next run has what it did.
    let next = host
        .run(&["run", "--schedule", "s/live.toml", "--json"])
        .await;
    assert_eq!(next.code, 0, "{}", next.stderr);
    let folder = host.path(next.json()["path"].as_str().expect("a path"));
    let changes = std::fs::read_to_string(folder.join("changes.json")).expect("changes");
    assert!(changes.contains("\"intent_of\""), "{changes}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_relay_that_took_nothing_is_waited_for_once() {
    let host = Host::new(three()).await;
    let mut mail = MailSettings::new(
        "smtp://127.0.0.1:9?tls=none",
        "audit@example.com",
        None,
        None,
    )
    .expect("settings");
    mail.waits = vec![std::time::Duration::from_millis(10); 3];
    let mut tools = host.tools();
    tools.relay = Some(mail);
    let text = "[[mail]]\nto = [\"one@example.com\"]\n[[mail]]\nto = [\"two@example.com\"]\n";
    let mut job = host.job("");
    job.schedule = Schedule::read("test.toml", "test", text).expect("a schedule");
    let run = sgwarden::job::run(&job, &tools)
        .await
        .expect("a sealed run");
    let tries: Vec<u32> = run.receipts.iter().map(|receipt| receipt.tries).collect();
    assert_eq!(tries, [4, 1], "{:?}", run.receipts);
}

#[test]
fn what_a_route_may_say() {
    let read = |route: &str| {
        let text = format!("[[mail]]\nto = [\"a@example.com\"]\nroute = {route}\n");
        Schedule::read("s.toml", "s", &text)
    };
    let route = |text: &str| read(text).expect("a schedule").mails.remove(0).route;
    assert_eq!(route("{ tags = {}, accounts = [], regions = [] }"), None);
    assert_eq!(
        route("{ severity = \"high\" }").and_then(|r| r.severity),
        Some(Severity::High)
    );
    for (text, part) in [
        ("{ tag = { owner = \"web\" } }", "did you mean \"tags\""),
        (
            "{ severity = \"grave\" }",
            "must be critical, high, medium or low",
        ),
        ("{ accounts = [\"12\"] }", "account id of 16 digits"),
        ("{ regions = [\"CN\"] }", "region id"),
        ("\"web\"", "must be a table"),
    ] {
        let problems = read(text).expect_err(text);
        let said: Vec<String> = problems.iter().map(ToString::to_string).collect();
        assert!(said.join("\n").contains(part), "{text}: {said:?}");
    }
}

#[test]
fn a_part_counts_what_it_holds_and_says_so_in_every_language() {
    let delivery = DeliverySettings {
        location: "evidence/runs/20261124T020000Z-weekly-abcdef".to_owned(),
        manifest_sha256: Sha256::new("0".repeat(64)),
    };
    let route = Route {
        tags: vec![Tag {
            key: "owner".to_owned(),
            value: "web".to_owned(),
        }],
        ..Route::default()
    };
    for language in [Language::En, Language::ZhCn, Language::ZhTw] {
        let mut whole = record(language, false);
        whole.header.complete = true;
        for finding in &mut whole.findings {
            let web = finding.group_id.as_str() == "sg-2";
            finding.tags = Some(if web { route.tags.clone() } else { Vec::new() });
        }
        let one = part(&whole, &route);
        assert_eq!(one.findings.len(), 1);
        assert_eq!(
            (one.header.totals.exposed, one.header.totals.undetermined),
            (1, 0)
        );
        // A finding of a version that kept no tags is nobody else's for certain.
        whole.findings[0].tags = None;
        assert_eq!(part(&whole, &route).findings.len(), 2);
        let letter = letter(&one, &delivery).expect("a letter");
        let text = format!("{}\n\n{}", letter.subject, letter.text);
        match language {
            Language::En => expect_file!["../golden/mail.part.en.txt"].assert_eq(&text),
            Language::ZhCn => expect_file!["../golden/mail.part.zh-CN.txt"].assert_eq(&text),
            Language::ZhTw => expect_file!["../golden/mail.part.zh-TW.txt"].assert_eq(&text),
        }
    }
}

const HOOKS: [&str; 5] = ["dingtalk", "feishu", "wecom", "slack", "generic"];

/// A host whose schedule tells every kind of chat, and no mail.
async fn host_with_hooks(world: World, hook: &Hook, more: &str) -> Host {
    let host = Host::new(world).await;
    let mut schedule = more.to_owned();
    for kind in HOOKS {
        host.write(
            &format!("{kind}.url"),
            &format!("{}/{kind}/send?token=s3cret\n", hook.url()),
        );
        schedule.push_str(&format!(
            "[[webhook]]\nkind = \"{kind}\"\nurl_file = \"{kind}.url\"\n"
        ));
    }
    host.write("s/a.toml", &schedule);
    host
}

/// Every file under a folder, as text.
fn everything(folder: &std::path::Path, out: &mut String) {
    for entry in std::fs::read_dir(folder).into_iter().flatten().flatten() {
        let path = entry.path();
        if path.is_dir() {
            everything(&path, out);
        } else {
            let bytes = std::fs::read(&path).expect("a file");
            out.push_str(&String::from_utf8_lossy(&bytes));
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn every_kind_of_chat_takes_its_message_and_the_address_stays_secret() {
    let hook = Hook::start().await.expect("a hook");
    hook.demand("sgwarden");
    let host = host_with_hooks(three(), &hook, "").await;
    let ran = host
        .run(&["run", "--schedule", "s/a.toml", "--json", "-v"])
        .await;
    assert_eq!(ran.code, 0, "{}", ran.stderr);
    let heard = hook.heard();
    assert_eq!(heard.len(), 5, "{heard:?}");
    for (kind, one) in HOOKS.iter().zip(&heard) {
        assert_eq!(one.target, format!("/{kind}/send?token=s3cret"));
        assert!(one.text.starts_with("[sgwarden] FAIL 3 new"), "{one:?}");
        assert!(one.text.contains("sg-web"), "{one:?}");
    }
    let mut kept = format!("{}{}", ran.stdout, ran.stderr);
    everything(&host.path("evidence"), &mut kept);
    everything(&host.path("state"), &mut kept);
    assert!(!kept.contains("s3cret"));
    assert!(kept.contains("dingtalk"), "the receipts are kept");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_message_that_is_not_taken_waits_and_is_resent_without_a_relay() {
    let hook = Hook::start().await.expect("a hook");
    // The chats with a keyword refuse; the two without do not look.
    hook.demand("a word that no message has");
    let host = host_with_hooks(three(), &hook, "").await;
    let ran = host.run(&["run", "--schedule", "s/a.toml", "--json"]).await;
    assert_eq!(ran.code, 5, "{}", ran.stderr);
    let run = ran.json()["run"].as_str().expect("an id").to_owned();
    assert_eq!(hook.heard().len(), 2);
    hook.demand("sgwarden");
    // A gateway that is down for a moment is tried again.
    hook.fail(1, 502);
    let ran = host.run(&["resend", &run]).await;
    assert_eq!(ran.code, 0, "{}{}", ran.stdout, ran.stderr);
    assert_eq!(hook.heard().len(), 5);
    let ran = host.run(&["resend", &run]).await;
    assert!(ran.stdout.contains("nothing waits"), "{}", ran.stdout);
}

#[tokio::test(flavor = "multi_thread")]
async fn the_heartbeat_is_called_with_the_code_and_never_after_a_failure() {
    let hook = Hook::start().await.expect("a hook");
    let host = Host::new(three()).await;
    let beat = format!("[heartbeat]\nurl = \"{}/heartbeat?job=a\"\n", hook.url());
    host.write("s/a.toml", &beat);
    let run = ["run", "--schedule", "s/a.toml"];
    assert_eq!(host.run(&run).await.code, 0);
    let graver = ["run", "--schedule", "s/a.toml", "--fail-on", "high"];
    assert_eq!(host.run(&graver).await.code, 1);
    let denied = Fault::parse("DescribeSecurityGroups=Forbidden.RAM").expect("a fault");
    host.cloud.add_fault(denied);
    assert_eq!(host.run(&run).await.code, 3);
    let targets: Vec<String> = hook.heard().into_iter().map(|h| h.target).collect();
    let meant = [0, 1, 3].map(|code| format!("/heartbeat?job=a&exit={code}"));
    assert_eq!(targets, meant);
    host.cloud.clear_faults();
    let denied = Fault::parse("GetCallerIdentity=Forbidden.RAM").expect("a fault");
    host.cloud.add_fault(denied);
    assert_eq!(host.run(&run).await.code, 6);
    assert_eq!(hook.heard().len(), 3, "silence is the alarm");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_run_that_cannot_start_is_told_to_chats_and_a_wrong_address_stops_it_before() {
    let hook = Hook::start().await.expect("a hook");
    let host = host_with_hooks(three(), &hook, "").await;
    let denied = Fault::parse("GetCallerIdentity=Forbidden.RAM").expect("a fault");
    host.cloud.add_fault(denied);
    let ran = host.run(&["run", "--schedule", "s/a.toml"]).await;
    assert_eq!(ran.code, 6, "{}", ran.stderr);
    assert_eq!(hook.heard().len(), 5);
    assert!(hook.heard()[0].text.contains("NOT STARTED a"));
    host.write("slack.url", "http://example.com/s3cret");
    let ran = host.run(&["run", "--schedule", "s/a.toml"]).await;
    assert_eq!(ran.code, 2, "{}", ran.stderr);
    assert!(
        ran.stderr.contains("https://") && !ran.stderr.contains("s3cret"),
        "{}",
        ran.stderr
    );
    for (text, part) in [
        (
            "[[webhook]]\nkind = \"teams\"\nurl_file = \"x\"\n",
            "dingtalk, feishu, wecom, slack or generic",
        ),
        ("[[webhook]]\nkind = \"slack\"\nurl = \"x\"\n", "url_file"),
        ("[heartbeat]\n", "is missing"),
        (
            "[heartbeat]\nurl = \"https://example.com\"\nevery = 5\n",
            "unknown key",
        ),
    ] {
        let problems = Schedule::read("s.toml", "s", text).expect_err(text);
        let said: Vec<String> = problems.iter().map(ToString::to_string).collect();
        assert!(said.join("\n").contains(part), "{text}: {said:?}");
    }
}

#[tokio::test]
async fn a_letter_that_cannot_be_composed_is_told_when_a_run_could_not_start() {
    let text = "[[mail]]\nto = [\"a@example.com\"]\n";
    let mut schedule = Schedule::read("a.toml", "a", text).expect("a schedule");
    schedule.mails[0].to = vec!["nobody".to_owned()];
    let relay = MailSettings::new(
        "smtp://127.0.0.1:9?tls=none",
        "audit@example.com",
        None,
        None,
    )
    .expect("a relay");
    let stop = sgwarden::job::Stop::default();
    let why = "no credentials";
    let receipts = sgwarden::job::not_started(
        Some(&relay),
        &schedule,
        sgwarden::job::NoReport::not_started(why),
        &stop,
        chrono::Utc::now,
    )
    .await;
    let [receipt] = receipts.as_slice() else {
        panic!("{receipts:?}");
    };
    assert!(!receipt.accepted());
    assert_eq!(receipt.recipient, "nobody");
    let error = receipt.error.as_deref().unwrap_or_default();
    assert!(error.contains("\"nobody\""), "{error}");
}
