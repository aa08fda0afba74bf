//! The daemon as an operator meets it: real processes, real signals, a real clock that ticks every
//! second. What is due when is held in `src/host/timetable.rs`, without waiting.

use crate::kit::host::{Host, ssh_open, world};
use crate::kit::s3::S3;
use serde_json::Value;
use sgwarden::model::Fires;
use sgwarden::sim::Fault;
use sgwarden::sim::hook::Hook;
use sgwarden::sim::smtp::{Mode, Receiver, ReceiverOptions};
use std::io::{Read as _, Write as _};
use std::net::TcpStream;
use std::os::unix::net::UnixDatagram;
use std::process::{Child, Stdio};
use std::time::{Duration, Instant};

const EVERY_SECOND: &str = "cron = \"* * * * * *\"\n[report]\nformats = [\"csv\"]\n";
const NEVER: &str = "cron = \"0 0 1 1 *\"\n[report]\nformats = [\"csv\"]\n";

/// A daemon; killed when it is dropped.
struct Daemon<'h> {
    host: &'h Host,
    child: Child,
    log: String,
}

impl Drop for Daemon<'_> {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

impl<'h> Daemon<'h> {
    /// Its log goes to a file of its own.
    fn start(host: &'h Host, log: &str) -> Self {
        Self::with(host, log, &[], &[])
    }

    fn with(host: &'h Host, log: &str, args: &[&str], environment: &[(&str, &str)]) -> Self {
        let file = std::fs::File::create(host.path(log)).expect("a log");
        let child = host
            .command(&[&["daemon", "--color", "never"], args].concat())
            .envs(environment.iter().copied())
            .stdout(Stdio::piped())
            .stderr(file)
            .spawn()
            .expect("it starts");
        Self {
            host,
            child,
            log: log.to_owned(),
        }
    }

    fn log(&self) -> String {
        std::fs::read_to_string(self.host.path(&self.log)).unwrap_or_default()
    }

    /// Waits until the log says so.
    async fn says(&self, what: &str) {
        self.until(what, || self.log().contains(what)).await;
    }

    async fn until(&self, what: &str, mut done: impl FnMut() -> bool) {
        let begun = Instant::now();
        while !done() {
            assert!(
                begun.elapsed() < Duration::from_secs(60),
                "{what}\n{}",
                self.log()
            );
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    }

    fn signal(&self, name: &str) {
        self.host.signal(&self.child, name);
    }

    /// Waits for its end: exit code and answer.
    async fn ended(mut self) -> (Option<i32>, String) {
        let begun = Instant::now();
        let status = loop {
            if let Some(status) = self.child.try_wait().expect("a status") {
                break status;
            }
            assert!(begun.elapsed() < Duration::from_secs(60), "{}", self.log());
            tokio::time::sleep(Duration::from_millis(20)).await;
        };
        let mut out = String::new();
        let stdout = self.child.stdout.as_mut().expect("its answer");
        stdout.read_to_string(&mut out).expect("UTF-8");
        (status.code(), out)
    }
}

fn fires(host: &Host) -> Fires {
    let text = std::fs::read_to_string(host.path("state/daemon.json")).unwrap_or_default();
    serde_json::from_str(&text).unwrap_or_default()
}

/// Runs of a schedule that are sealed, by their manifests.
fn sealed(host: &Host, schedule: &str) -> Vec<Value> {
    let mut found: Vec<_> = std::fs::read_dir(host.path("evidence/runs"))
        .map(|entries| {
            entries
                .flatten()
                .map(|entry| entry.path().join("manifest.json"))
                .collect()
        })
        .unwrap_or_default();
    found.sort();
    found
        .iter()
        .filter_map(|file| std::fs::read(file).ok())
        .filter_map(|bytes| serde_json::from_slice::<Value>(&bytes).ok())
        .filter(|manifest| manifest["schedule"] == schedule)
        .collect()
}

fn get(address: &str, path: &str) -> (u16, Value) {
    let mut stream = TcpStream::connect(address).expect("it listens");
    let request = format!("GET {path} HTTP/1.1\r\nHost: {address}\r\nConnection: close\r\n\r\n");
    stream.write_all(request.as_bytes()).expect("sent");
    let mut answer = String::new();
    stream.read_to_string(&mut answer).expect("an answer");
    let status = answer.get(9..12).and_then(|code| code.parse().ok());
    let body = answer.split("\r\n\r\n").nth(1).unwrap_or_default();
    (
        status.expect("a status"),
        serde_json::from_str(body).unwrap_or(Value::Null),
    )
}

#[tokio::test(flavor = "multi_thread")]
async fn it_reloads_reports_what_is_broken_and_stops_in_order() {
    let host = Host::new(world(&[("sg-a", vec![])])).await;
    host.write("schedules/yearly.toml", NEVER);
    // The first run cannot start: that ends nothing.
    host.cloud
        .add_fault(Fault::parse("GetCallerIdentity=Forbidden.RAM,times=1").expect("a fault"));
    let daemon = Daemon::with(&host, "log", &["--health", "127.0.0.1:0", "--json"], &[]);
    daemon.says("health on http://").await;
    let log = daemon.log();
    let address = log
        .split("http://")
        .nth(1)
        .and_then(|rest| rest.split('/').next())
        .expect("an address")
        .to_owned();
    daemon.says("waits for its time").await;
    assert_eq!(get(&address, "/readyz").0, 200);
    assert_eq!(get(&address, "/nothing").0, 404);

    // A new schedule is found without being told.
    host.write("schedules/often.toml", EVERY_SECOND);
    daemon.says("schedule=often exit=6").await;
    daemon.says("schedule=often exit=0").await;
    assert_eq!(sealed(&host, "often")[0]["command"], "daemon");

    // A broken one is named, and stops no other.
    host.write("schedules/yearly.toml", "cron = \"0 0 32 1 *\"\n");
    daemon.signal("HUP");
    daemon.says("because=SIGHUP").await;
    daemon
        .says("not run until it is right: schedules/yearly.toml:1")
        .await;
    let (status, health) = get(&address, "/healthz");
    assert_eq!(status, 200);
    let yearly = &health["schedules"][1];
    assert_eq!(yearly["name"], "yearly");
    let problem = yearly["problem"].as_str().expect("its problem");
    assert!(
        problem.contains("schedules/yearly.toml:1: cron"),
        "{problem}"
    );
    let before = sealed(&host, "often").len();
    daemon
        .until("another run", || sealed(&host, "often").len() > before)
        .await;
    assert_eq!(get(&address, "/readyz").0, 200);
    let often = &get(&address, "/healthz").1["schedules"][0];
    assert!(often["last"]["run"].is_string(), "{often}");

    // Nobody said that the schedules are gone.
    std::fs::rename(host.path("schedules"), host.path("moved")).expect("moved");
    daemon.says("the schedules stay as they were").await;
    daemon
        .until("not ready", || get(&address, "/readyz").0 == 503)
        .await;
    std::fs::rename(host.path("moved"), host.path("schedules")).expect("moved back");
    daemon
        .until("ready again", || get(&address, "/readyz").0 == 200)
        .await;

    daemon.signal("TERM");
    let (code, answer) = daemon.ended().await;
    assert_eq!(code, Some(0));
    let answer: Value = serde_json::from_str(&answer).expect("JSON");
    assert_eq!(answer["ended"], "SIGTERM");
    // The one that could not start, and those whose file was away for a moment.
    assert!(answer["failed"].as_u64() >= Some(1), "{answer}");
    let ran = host.run(&["verify", "--all"]).await;
    assert_eq!(ran.code, 0, "{}{}", ran.stdout, ran.stderr);
}

#[tokio::test(flavor = "multi_thread")]
async fn sigterm_while_it_changes_finishes_the_group_and_the_next_start_does_the_rest() {
    let host = Host::new(world(&[
        ("sg-a", vec![ssh_open()]),
        ("sg-b", vec![ssh_open()]),
    ]))
    .await;
    host.write(
        "schedules/often.toml",
        &format!("{EVERY_SECOND}[remediation]\nmode = \"revoke\"\nmax_share = \"100%\"\n"),
    );
    let daemon = Daemon::start(&host, "first");
    host.called("RevokeSecurityGroup").await;
    daemon.signal("TERM");
    assert_eq!(daemon.ended().await.0, Some(0));
    assert_eq!(host.rules("sg-a").len(), 0);
    assert_eq!(host.rules("sg-b").len(), 1, "held");
    let runs = sealed(&host, "often");
    assert_eq!(runs.len(), 1);
    let changes = host
        .path("evidence/runs")
        .join(runs[0]["run"].as_str().expect("its id"));
    let changes = std::fs::read_to_string(changes.join("changes.json")).expect("changes");
    let changes: Value = serde_json::from_str(&changes).expect("JSON");
    assert_eq!(changes["changes"][0]["outcome"], "verified");
    assert_eq!(changes["held"][0]["reasons"][0], "deadline");
    let at_hand = fires(&host).schedules["often"].at_hand.clone();
    let due = at_hand.expect("kept to be made up for").due;

    let daemon = Daemon::start(&host, "second");
    daemon.says("again=true").await;
    daemon
        .until("the rest", || host.rules("sg-b").is_empty())
        .await;
    daemon.says("ended").await;
    let log = daemon.log();
    let shown = due.to_string();
    assert!(log.contains(&format!("due={shown}")), "{shown}\n{log}");
}

#[tokio::test(flavor = "multi_thread")]
async fn killed_in_a_run_it_makes_up_for_it_once() {
    let host = Host::new(world(&[("sg-a", vec![ssh_open()])])).await;
    host.write("schedules/often.toml", EVERY_SECOND);
    host.cloud
        .add_fault(Fault::parse("DescribeSecurityGroups=hang").expect("a fault"));
    let mut daemon = Daemon::start(&host, "first");
    host.called("DescribeSecurityGroups").await;

    // There is one daemon of a state.
    let second = Daemon::start(&host, "second");
    let (code, _) = second.ended().await;
    assert_eq!(code, Some(6));
    let told = std::fs::read_to_string(host.path("second")).expect("a log");
    assert!(told.contains("is being run by another process"), "{told}");

    daemon.child.kill().expect("kill -9");
    daemon.child.wait().expect("it is dead");
    let cut = fires(&host).schedules["often"].at_hand.clone();
    let cut = cut.expect("it had begun");
    assert_eq!(cut.tries, 1);
    assert!(sealed(&host, "often").is_empty());
    host.cloud.clear_faults();

    let third = Daemon::start(&host, "third");
    third.says("exit=0").await;
    let log = third.log();
    let lines: Vec<&str> = log.lines().filter(|line| line.contains("begins")).collect();
    assert!(lines[0].contains("again=true"), "{log}");
    assert!(lines[0].contains(&format!("due={}", cut.due)), "{log}");
    third
        .until("its own time again", || third.log().contains("again=false"))
        .await;
    assert_eq!(third.log().matches("again=true").count(), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn systemd_is_told_and_people_hear_of_a_schedule_that_broke() {
    let host = Host::new(world(&[("sg-a", vec![])])).await;
    let relay = Receiver::start(Mode::Plain, ReceiverOptions::default())
        .await
        .expect("a relay");
    host.write(
        "sgwarden.toml",
        &format!(
            "[mail]\nurl = \"smtp://{}?tls=none\"\nfrom = \"audit@example.com\"\n",
            relay.addr()
        ),
    );
    let mailed = format!("{NEVER}[[mail]]\nto = [\"a@example.com\"]\nwhen = \"failures\"\n");
    host.write("schedules/often.toml", &mailed);
    let socket = UnixDatagram::bind(host.path("notify")).expect("a socket");
    let named = host.path("notify").display().to_string();
    let (heard, messages) = std::sync::mpsc::channel();
    std::thread::spawn(move || {
        let mut buffer = [0_u8; 4096];
        while let Ok(size) = socket.recv(&mut buffer) {
            let message = String::from_utf8_lossy(&buffer[..size]).into_owned();
            if heard.send(message).is_err() {
                break;
            }
        }
    });
    let told = |want: &str| loop {
        let message = messages
            .recv_timeout(Duration::from_secs(30))
            .unwrap_or_else(|why| panic!("{want}: {why}"));
        if message.contains(want) {
            break message;
        }
    };
    let environment = [
        ("NOTIFY_SOCKET", named.as_str()),
        ("WATCHDOG_USEC", "600000"),
    ];
    let daemon = Daemon::with(&host, "log", &[], &environment);
    let ready = told("READY=1");
    assert!(ready.contains("STATUS=next run at"), "{ready}");
    let begun = Instant::now();
    told("WATCHDOG=1");
    told("WATCHDOG=1");
    assert!(begun.elapsed() < Duration::from_millis(1200), "in time");

    // Its time is known from when it was right, and comes.
    host.write(
        "schedules/often.toml",
        &mailed.replace("0 0 1 1 *", "* * * * * *"),
    );
    daemon.says("exit=0").await;
    assert!(relay.messages().is_empty());
    host.write(
        "schedules/often.toml",
        &mailed.replace("0 0 1 1 *", "* * * * * * *"),
    );
    daemon.says("exit=2").await;
    daemon
        .until("a letter", || !relay.messages().is_empty())
        .await;
    let letter = String::from_utf8_lossy(&relay.messages()[0].data).into_owned();
    assert!(letter.contains("NOT STARTED often"), "{letter}");

    daemon.signal("TERM");
    told("STOPPING=1");
    assert_eq!(daemon.ended().await.0, Some(0));
}

#[tokio::test(flavor = "multi_thread")]
async fn people_hear_of_a_run_that_was_cut_off_twice() {
    let host = Host::new(world(&[("sg-a", vec![])])).await;
    let relay = Receiver::start(Mode::Plain, ReceiverOptions::default())
        .await
        .expect("a relay");
    host.write(
        "sgwarden.toml",
        &format!(
            "[mail]\nurl = \"smtp://{}?tls=none\"\nfrom = \"audit@example.com\"\n",
            relay.addr()
        ),
    );
    host.write(
        "schedules/yearly.toml",
        &format!("{NEVER}[[mail]]\nto = [\"a@example.com\"]\n"),
    );
    host.write(
        "state/daemon.json",
        r#"{"schema":"sgwarden/daemon/1","schedules":{"yearly":{"cron":"0 0 1 1 *","timezone":"UTC",
        "after":"2026-01-01T00:00:05Z","last":null,
        "at_hand":{"due":"2026-01-01T00:00:00Z","started":"2026-01-01T00:20:00Z","tries":2}}}}"#,
    );
    let daemon = Daemon::start(&host, "log");
    daemon.says("exit=6").await;
    let letter = String::from_utf8_lossy(&relay.messages()[0].data).into_owned();
    assert!(letter.contains("NOT STARTED yearly"), "{letter}");
    daemon
        .until("given up for good", || {
            fires(&host).schedules["yearly"].at_hand.is_none()
        })
        .await;
    assert!(sealed(&host, "yearly").is_empty());
    let last = fires(&host).schedules["yearly"].last.clone();
    assert_eq!(last.map(|last| last.exit), Some(6));
}

const CONFIG: [&str; 2] = ["--config", "conf/sgwarden.toml"];

/// A host whose schedule `often` writes to somebody and into a chat.
async fn with_people() -> (Host, Receiver, Hook) {
    let host = Host::new(world(&[("sg-a", vec![])])).await;
    let relay = Receiver::start(Mode::Plain, ReceiverOptions::default())
        .await
        .expect("a relay");
    let hook = Hook::start().await.expect("a chat");
    host.write(
        "conf/sgwarden.toml",
        &format!(
            "[mail]\nurl = \"smtp://{}?tls=none\"\nfrom = \"audit@example.com\"\n",
            relay.addr()
        ),
    );
    host.write("conf/hook.url", &format!("{}/generic/s3cret", hook.url()));
    host.write(
        "schedules/often.toml",
        &format!(
            "{EVERY_SECOND}[[mail]]\nto = [\"a@example.com\"]\nwhen = \"failures\"\n\
             [[webhook]]\nkind = \"generic\"\nurl_file = \"hook.url\"\nwhen = \"failures\"\n"
        ),
    );
    host.write("schedules/yearly.toml", NEVER);
    (host, relay, hook)
}

#[tokio::test(flavor = "multi_thread")]
async fn people_hear_of_a_schedule_that_was_broken_before_the_daemon_was_started_anew() {
    let (host, relay, hook) = with_people().await;
    let first = Daemon::with(&host, "first", &CONFIG, &[]);
    first.says("schedule=often exit=0").await;
    first.signal("TERM");
    assert_eq!(first.ended().await.0, Some(0));
    assert!(relay.messages().is_empty() && hook.heard().is_empty());

    // Not even its recipients can be read any more, and a file that it names is gone as well.
    host.write(
        "schedules/often.toml",
        "cron = \"* * * * * *\"\n[[mail]\n[policy]\nwaivers = \"gone.toml\"\n",
    );
    let second = Daemon::with(&host, "second", &CONFIG, &[]);
    second.says("schedule=often exit=2").await;
    let letter = String::from_utf8_lossy(&relay.messages()[0].data).into_owned();
    assert!(letter.contains("NOT STARTED often"), "{letter}");
    assert!(letter.contains("often.toml"), "{letter}");
    assert!(hook.heard()[0].text.contains("NOT STARTED often"));
    let kept = std::fs::read_to_string(host.path("conf/state/daemon.json")).expect("kept");
    assert!(!kept.contains("s3cret"), "{kept}");
}

#[tokio::test(flavor = "multi_thread")]
async fn people_hear_that_the_configuration_broke_by_what_it_was() {
    let (host, relay, hook) = with_people().await;
    let daemon = Daemon::with(&host, "log", &CONFIG, &[]);
    daemon.says("schedule=often exit=0").await;
    host.write("conf/sgwarden.toml", "nonsense = 1\n");
    // The folder is read meanwhile; the chat's file is still the one beside sgwarden.toml.
    host.write("schedules/alone.toml", EVERY_SECOND);
    daemon.says("schedule=alone").await;
    daemon.says("schedule=often exit=2").await;
    let letter = String::from_utf8_lossy(&relay.messages()[0].data).into_owned();
    assert!(letter.contains("NOT STARTED often"), "{letter}");
    assert!(letter.contains("nonsense"), "{letter}");
    let heard = hook.heard().len();
    assert!(hook.heard()[0].text.contains("NOT STARTED often"));
    daemon
        .until("told again", || hook.heard().len() > heard + 1)
        .await;
    // Where nobody is named, the log says that too.
    daemon.says("schedule=alone exit=2").await;
    let log = daemon.log();
    let nobody = log.lines().find(|line| line.contains("nobody is told"));
    assert!(
        nobody.is_some_and(|line| line.contains("ERROR") && line.contains("schedule=alone")),
        "{log}"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn one_whose_lease_another_took_while_it_was_stopped_begins_nothing_more() {
    let s3 = S3::start();
    let mut host = Host::new(world(&[("sg-a", vec![])])).await;
    host.environment.extend(S3::environment());
    host.write("sgwarden.toml", &s3.toml());
    host.write("schedules/often.toml", EVERY_SECOND);
    let first = Daemon::start(&host, "first");
    first.says("exit=0").await;
    first.signal("STOP");
    let begun = first.log().matches("begins").count();
    // Longer than the lease of two seconds.
    tokio::time::sleep(Duration::from_millis(2500)).await;
    let second = Daemon::start(&host, "second");
    second.says("exit=0").await;

    first.signal("CONT");
    let (code, _) = first.ended().await;
    let log = std::fs::read_to_string(host.path("first")).expect("a log");
    assert_eq!(code, Some(6), "{log}");
    let by = format!("its lock was taken by process {} since", second.child.id());
    assert!(log.contains(&by), "{by}\n{log}");
    assert_eq!(log.matches("begins").count(), begun, "{log}");
    let before = second.log().matches("exit=0").count();
    second
        .until("the second goes on", || {
            second.log().matches("exit=0").count() > before
        })
        .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn nothing_to_do_is_a_mistake_at_the_start() {
    let host = Host::new(world(&[])).await;
    for (file, says) in [
        (None, "schedules cannot be read"),
        (Some("nonsense = 1\n"), "nonsense"),
    ] {
        if let Some(text) = file {
            host.write("schedules/bad.toml", text);
        }
        let ran = host.run(&["daemon"]).await;
        assert_eq!(ran.code, 2);
        assert!(ran.stderr.contains(says), "{}", ran.stderr);
    }
}
