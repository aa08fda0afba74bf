//! The relay's password out of KMS: read when there is something to send, kept nowhere.

use crate::kit::host::{ACCOUNT, Host, REGION, Ran, ssh_open, world};
use crate::permissions::grant_all;
use crate::responder::{Reply, Responder};
use serde_json::{Value, json};
use sgwarden::cloud::wire::secret_value;
use sgwarden::cloud::{Kind, SecretError};
use sgwarden::config::Program;
use sgwarden::job::relay_password;
use sgwarden::model::SecretName;
use sgwarden::model::actions::{self, Task};
use sgwarden::sim::smtp::{Mode, Receiver, ReceiverOptions};
use sgwarden::sim::{Fault, KmsSecret};
use std::path::Path;

/// What must show nowhere.
const PASSWORD: &str = "correct-horse-battery-staple";

fn named(text: &str) -> SecretName {
    SecretName::parse(text).expect("a name")
}

/// An answer of GetSecretValue with one value changed.
fn answered(key: &str, value: Value) -> Value {
    let mut body = json!({
        "RequestId": "rid-7", "SecretName": "sgwarden-smtp", "SecretType": "Generic",
        "SecretData": PASSWORD, "SecretDataType": "text", "VersionId": "1",
        "VersionStages": {"VersionStage": ["ACSCurrent"]}, "CreateTime": "2026-02-21T15:39:26Z",
    });
    body[key] = value;
    body
}

async fn asked(status: u16, body: String) -> (Result<String, SecretError>, usize) {
    let responder = Responder::start(move |_, _| Reply::raw(status, &body)).await;
    let read = responder.client().secret(&named("sgwarden-smtp")).await;
    let read = read.map(|secret| secret.expose().to_owned());
    (read, responder.count("GetSecretValue"))
}

#[test]
fn the_sample_is_read() {
    let body = include_bytes!("../fixtures/responses/Kms.GetSecretValue.json");
    let value = secret_value(body).expect("a value");
    assert_eq!(
        (&*value.name, &*value.kind, &*value.form),
        ("sgwarden-smtp", "Generic", "text")
    );
    assert_eq!(value.data.expose(), "sample-password-that-opens-nothing");
    assert!(!format!("{value:?}").contains("sample-password"));
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_no_plain_password_is_refused_without_a_word_of_it() {
    for (body, password) in [
        (answered("SecretData", json!(PASSWORD)), PASSWORD),
        (answered("SecretData", json!("p4ss\r\n")), "p4ss"),
        (answered("SecretData", json!(" sp\"a\\ce ")), " sp\"a\\ce "),
        // An older answer has no SecretType.
        (answered("SecretType", Value::Null), PASSWORD),
    ] {
        let (read, _) = asked(200, body.to_string()).await;
        assert_eq!(read.expect("a secret"), password);
    }
    let whole = answered("VersionId", json!("1")).to_string();
    for (body, part, tries) in [
        (
            answered("SecretDataType", json!("binary")).to_string(),
            "is binary, not text",
            1,
        ),
        (
            answered("SecretType", json!("RAMCredentials")).to_string(),
            "is RAMCredentials, not Generic",
            1,
        ),
        (
            answered("SecretData", json!("\n")).to_string(),
            "it is empty",
            1,
        ),
        // What is not the action's answer is asked for again.
        (
            answered("SecretData", Value::Null).to_string(),
            "no SecretData",
            3,
        ),
        (
            answered("SecretData", json!([PASSWORD])).to_string(),
            "SecretData is not text",
            3,
        ),
        (
            answered("SecretName", json!("other")).to_string(),
            "of another secret",
            3,
        ),
        (
            answered("SecretDataType", Value::Null).to_string(),
            "no SecretDataType",
            3,
        ),
        (
            whole.replacen('{', "{\"SecretData\":\"x\",", 1),
            "not a JSON object",
            3,
        ),
        (format!("[{whole}]"), "not a JSON object", 3),
        (PASSWORD.to_owned(), "not a JSON object", 3),
        (whole[..whole.len() - 1].to_owned(), "not a JSON object", 3),
    ] {
        let (read, tried) = asked(200, body.clone()).await;
        let why = read.expect_err(&body);
        let (shown, whole) = (why.to_string(), format!("{why:?}"));
        assert!(shown.contains(part), "{body}: {shown}");
        assert_eq!(tried, tries, "{body}: {shown}");
        assert!(
            !shown.contains("horse") && !whole.contains("horse"),
            "{whole}"
        );
        if tries == 1 {
            assert!(shown.contains("rid-7"), "{shown}");
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_refusal_is_told_by_its_kind() {
    for (status, code, kind) in [
        (403, "Forbidden.NoPermission", Kind::Forbidden),
        (404, "Forbidden.ResourceNotFound", Kind::NotFound),
        (404, "Forbidden.KeyNotFound", Kind::NotFound),
        (409, "Rejected.Unavailable", Kind::Service),
    ] {
        let body = json!({"RequestId": "rid-1", "Code": code, "Message": "told"});
        let (read, tries) = asked(status, body.to_string()).await;
        let SecretError::Call(failure) = read.expect_err(code) else {
            panic!("{code}");
        };
        assert_eq!((failure.kind, tries), (kind, 1), "{code}");
        assert_eq!(failure.ram.as_deref(), Some("kms:GetSecretValue"));
        assert!(failure.to_string().contains("rid-1"), "{failure}");
    }
    // Nobody answers: that is said, and what to look at.
    let client = Responder::start(|_, _| Reply::raw(503, "")).await.client();
    let why = relay_password(&client, &named("sgwarden-smtp")).await;
    let why = why.expect_err("no answer").to_string();
    for part in [
        "KMS secret sgwarden-smtp",
        "GetSecretValue in cn-hangzhou",
        "HTTP 503",
    ] {
        assert!(why.contains(part), "{part}: {why}");
    }
}

const SCHEDULE: &str = "[[mail]]\nto = [\"a@example.com\"]\n\
                        [[mail]]\nto = [\"b@example.com\", \"c@example.com\"]\n";

/// Runs a schedule of that name, and says all there is to say. Runs of one schedule are a second apart.
async fn mailed(host: &Host, name: &str, schedule: &str) -> Ran {
    let file = format!("schedules/{name}.toml");
    host.write(&file, schedule);
    host.run(&["run", "--schedule", &file, "--json", "-vv"])
        .await
}

/// A relay that takes one user with one password, and a host whose configuration says where that lies.
async fn host_with(secrets: &[KmsSecret]) -> (Host, Receiver) {
    let login = Some(("audit".to_owned(), PASSWORD.to_owned()));
    let options = ReceiverOptions {
        login,
        ..ReceiverOptions::default()
    };
    let relay = Receiver::start(Mode::Plain, options)
        .await
        .expect("a relay");
    let mut start = world(&[("sg-a", vec![ssh_open()])]);
    for secret in secrets {
        start.add_secret(ACCOUNT, REGION, secret.clone());
    }
    let host = Host::new(start).await;
    let mail = format!(
        "[mail]\nurl = \"smtp://audit@{}?tls=none\"\nfrom = \"audit@example.com\"\n\
         password_secret = \"sgwarden-smtp\"\n",
        relay.addr()
    );
    host.write("sgwarden.toml", &mail);
    host.write("schedules/s.toml", SCHEDULE);
    (host, relay)
}

fn kept() -> KmsSecret {
    KmsSecret::new("sgwarden-smtp", PASSWORD)
}

/// Every file under a folder, unpacked where it is packed, as text.
fn everything(folder: &Path, out: &mut String) {
    for entry in std::fs::read_dir(folder).into_iter().flatten().flatten() {
        let path = entry.path();
        if path.is_dir() {
            everything(&path, out);
            continue;
        }
        let mut bytes = std::fs::read(&path).expect("a file");
        if path.extension().is_some_and(|end| end == "zst") {
            bytes = zstd::decode_all(bytes.as_slice()).expect("zstd");
        }
        out.push_str(&String::from_utf8_lossy(&bytes));
    }
}

/// All that a run left: what it said, and its evidence and state.
fn left(host: &Host, ran: &Ran) -> String {
    let mut out = format!("{}{}", ran.stdout, ran.stderr);
    everything(&host.path("evidence"), &mut out);
    everything(&host.path("state"), &mut out);
    out
}

fn asked_for(host: &Host) -> u64 {
    let calls = host.cloud.calls();
    calls.get("GetSecretValue").copied().unwrap_or_default()
}

fn allow(host: &Host, actions: &[&str]) {
    let actions = actions.iter().map(|&action| action.to_owned()).collect();
    host.cloud.with_world(|world| {
        world.accounts.get_mut(ACCOUNT).expect("the account").users[0].allow = actions;
    });
}

#[tokio::test(flavor = "multi_thread")]
async fn a_run_mails_with_the_password_and_leaves_no_trace_of_it() {
    let (mut host, relay) = host_with(&[kept()]).await;
    grant_all(&host, &[Task::Scan, Task::MailSecret], None);
    let ran = mailed(&host, "s", SCHEDULE).await;
    assert_eq!(ran.code, 0, "{}{}", ran.stdout, ran.stderr);
    let mails = relay.messages();
    assert_eq!(mails.len(), 3);
    assert!(mails.iter().all(|m| m.user.as_deref() == Some("audit")));
    assert_eq!(asked_for(&host), 1, "once for all letters of a run");
    let left_over = left(&host, &ran);
    assert!(left_over.contains("DescribeSecurityGroupAttribute"));
    assert!(
        !left_over.contains("horse"),
        "the password is kept somewhere"
    );
    assert!(
        !left_over.contains("GetSecretValue"),
        "the call is in evidence"
    );

    // It is asked for anew by every run: who changes it changes it in one place.
    host.cloud.with_world(|world| {
        let region = world.region_mut(ACCOUNT, REGION).expect("the region");
        let secret = region.secrets.get_mut("sgwarden-smtp").expect("there");
        "another".clone_into(&mut secret.secret_data);
    });
    let ran = mailed(&host, "rejected", SCHEDULE).await;
    assert_eq!(ran.code, 5, "{}{}", ran.stdout, ran.stderr);
    assert!(
        ran.stderr.contains("(535): 5.7.8 authentication failed"),
        "as the relay says it: {}",
        ran.stderr
    );
    relay.set_options(ReceiverOptions {
        login: Some(("audit".to_owned(), "another".to_owned())),
        ..ReceiverOptions::default()
    });
    let run = ran.json()["run"].as_str().expect("an id").to_owned();
    let ran = host.run(&["resend", &run, "-vv"]).await;
    assert_eq!(ran.code, 0, "{}{}", ran.stdout, ran.stderr);
    assert_eq!(relay.messages().len(), 6);

    // Nobody to write to, or a password at hand: it is not asked for.
    let before = asked_for(&host);
    let ran = host.run(&["scan", "--json"]).await;
    assert_eq!(ran.code, 0, "{}{}", ran.stdout, ran.stderr);
    let when = "[[mail]]\nto = [\"a@example.com\"]\nwhen = \"failures\"\n";
    let ran = mailed(&host, "failures", when).await;
    assert_eq!(ran.code, 0, "{}{}", ran.stdout, ran.stderr);
    let variable = ("SGWARDEN_SMTP_PASSWORD".to_owned(), "another".to_owned());
    host.environment.push(variable);
    let ran = mailed(&host, "variable", SCHEDULE).await;
    assert_eq!(ran.code, 0, "{}{}", ran.stdout, ran.stderr);
    assert_eq!((asked_for(&host), relay.messages().len()), (before, 9));
}

#[tokio::test(flavor = "multi_thread")]
async fn letters_wait_until_the_password_can_be_read() {
    let (host, relay) = host_with(&[]).await;
    let add = |secret: KmsSecret| {
        host.cloud
            .with_world(|world| world.add_secret(ACCOUNT, REGION, secret));
    };
    let kind = |change: fn(&mut KmsSecret)| {
        let mut secret = kept();
        change(&mut secret);
        secret
    };
    let own_key = kind(|s| s.encryption_key_id = Some("key-hzz6".to_owned()));
    let fault = Fault::parse("GetSecretValue=Rejected.Unavailable:409,times=2").expect("a fault");
    host.cloud.add_fault(fault);
    let mut waiting = Vec::new();
    for (secret, allowed, parts) in [
        // Of the service itself, once for the run and once for the first resend.
        (None, "kms:*", &["Rejected.Unavailable", "try again"][..]),
        (
            None,
            "kms:*",
            &["Forbidden.ResourceNotFound", "[cloud] home_region", REGION],
        ),
        (
            Some(kept()),
            "oss:*",
            &[
                "Forbidden.NoPermission",
                "grant kms:GetSecretValue ",
                "mail-secret.json",
            ],
        ),
        (
            Some(own_key),
            "kms:GetSecretValue",
            &["Forbidden.NoPermission", "kms:Decrypt on its key"],
        ),
        (
            Some(kind(|s| s.secret_data_type = "binary".to_owned())),
            "kms:*",
            &["is binary, not text", "put the password alone there"],
        ),
        (
            Some(kind(|s| s.secret_type = "RAMCredentials".to_owned())),
            "kms:*",
            &["is RAMCredentials, not Generic"],
        ),
    ] {
        if let Some(secret) = secret {
            add(secret);
        }
        allow(&host, &["ecs:*", "config:*", allowed]);
        let before = asked_for(&host);
        let ran = mailed(&host, &format!("s{}", waiting.len()), SCHEDULE).await;
        assert_eq!(ran.code, 5, "{parts:?}: {}{}", ran.stdout, ran.stderr);
        assert_eq!(asked_for(&host), before + 1, "{parts:?}");
        let run = ran.json()["run"].as_str().expect("an id").to_owned();
        let receipts = std::fs::read_to_string(host.path(&format!("state/receipts/{run}.jsonl")));
        let receipts = receipts.expect("receipts");
        assert_eq!(receipts.lines().count(), 3, "one for each: {receipts}");
        for line in receipts.lines() {
            let receipt: Value = serde_json::from_str(line).expect("a receipt");
            let error = receipt["error"].as_str().expect("an error");
            assert!(ran.stderr.contains(error), "{error}: {}", ran.stderr);
            for part in [parts, &["GetSecretValue", "KMS secret sgwarden-smtp"]].concat() {
                assert!(error.contains(part), "{part}: {error}");
            }
            assert!(error.contains("request id 51D0A11B"), "{error}");
            let todo = format!("{error}; it waits: sgwarden resend {run}");
            assert!(ran.stderr.contains(&todo), "{todo}: {}", ran.stderr);
        }
        // The run itself is whole.
        assert_eq!(host.run(&["verify", &run]).await.code, 0, "{parts:?}");
        assert!(!left(&host, &ran).contains("horse"), "{parts:?}");
        // What could not be read is asked for again, and told again.
        let ran = host.run(&["resend", &run, "--json", "-vv"]).await;
        assert_eq!(ran.code, 5, "{parts:?}: {}{}", ran.stdout, ran.stderr);
        assert!(ran.stdout.contains(parts[0]), "{}", ran.stdout);
        waiting.push(run);
    }
    assert!(relay.messages().is_empty());
    add(kept());
    allow(&host, &["kms:GetSecretValue"]);
    for run in &waiting {
        let ran = host.run(&["resend", run, "--json", "-vv"]).await;
        assert_eq!(ran.code, 0, "{}{}", ran.stdout, ran.stderr);
        assert!(!left(&host, &ran).contains("horse"));
    }
    assert_eq!(relay.messages().len(), 3 * waiting.len());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_run_that_could_not_start_is_told_with_the_password_or_the_log_says_why_not() {
    let (host, relay) = host_with(&[kept()]).await;
    // Somebody else runs: the cloud is there, and the run cannot begin.
    let denied = Fault::parse("GetCallerIdentity=Forbidden.RAM").expect("a fault");
    host.cloud.add_fault(denied);
    let ran = mailed(&host, "s", SCHEDULE).await;
    assert_eq!(ran.code, 6, "{}{}", ran.stdout, ran.stderr);
    assert_eq!(relay.messages().len(), 3);
    assert!(!left(&host, &ran).contains("horse"));
    allow(&host, &["ecs:*"]);
    let ran = mailed(&host, "s", SCHEDULE).await;
    assert_eq!(ran.code, 6, "{}{}", ran.stdout, ran.stderr);
    assert_eq!(relay.messages().len(), 3);
    for part in ["grant kms:GetSecretValue ", "was not told", "a@example.com"] {
        assert!(ran.stderr.contains(part), "{part}: {}", ran.stderr);
    }
    assert!(!ran.stderr.contains("sgwarden resend"), "nothing waits");
}

/// What `check` found of permission and mail, as `part what standing`, with what to do.
async fn checked(host: &Host) -> (i32, Vec<String>, String) {
    let ran = host.run(&["check", "--json", "-vv"]).await;
    assert!(!format!("{}{}", ran.stdout, ran.stderr).contains("horse"));
    let answer = ran.json();
    let mut lines = Vec::new();
    for tried in answer["tried"].as_array().expect("a list") {
        let text = |key: &str| tried[key].as_str().unwrap_or_default();
        let is_ours = text("what").starts_with("kms:");
        if is_ours || text("part") == "mail" {
            lines.push(format!("{} {}", text("what"), text("standing")));
        }
    }
    (ran.code, lines, ran.stdout)
}

#[tokio::test(flavor = "multi_thread")]
async fn check_reads_the_secret_and_logs_in_with_it() {
    let (mut host, relay) = host_with(&[]).await;
    let reached = ["resolve works", "connect works", "greeting works"];
    let with = |first: &[&str], last: &str| {
        let mut lines = first.to_vec();
        lines.extend(reached);
        lines.push(last);
        lines.into_iter().map(str::to_owned).collect::<Vec<_>>()
    };
    let unread = "login not_tried";
    let (code, lines, told) = checked(&host).await;
    assert_eq!(code, 1);
    let absent = ["kms:GetSecretValue indicative", "secret missing"];
    assert_eq!(lines, with(&absent, unread), "{told}");
    assert!(told.contains("[cloud] home_region"), "{told}");

    host.cloud
        .with_world(|world| world.add_secret(ACCOUNT, REGION, kept()));
    let (code, lines, told) = checked(&host).await;
    assert_eq!(code, 0, "{told}");
    let read = ["kms:GetSecretValue works", "secret works"];
    assert_eq!(lines, with(&read, "login works"));
    assert!(relay.messages().is_empty());

    relay.set_options(ReceiverOptions {
        login: Some(("audit".to_owned(), "another".to_owned())),
        ..ReceiverOptions::default()
    });
    let (code, lines, told) = checked(&host).await;
    assert_eq!(code, 1);
    assert!(lines.contains(&"login missing".to_owned()), "{told}");
    assert!(told.contains("password_secret"), "{told}");

    let others: Vec<&str> = [Task::Scan, Task::Attached, Task::Completeness]
        .into_iter()
        .flat_map(actions::of)
        .filter_map(|action| action.ram)
        .collect();
    allow(&host, &others);
    let (code, lines, told) = checked(&host).await;
    assert_eq!(code, 1);
    assert_eq!(lines, with(&["kms:GetSecretValue missing"], unread));
    assert!(told.contains("grant kms:GetSecretValue "), "{told}");

    let variable = ("SGWARDEN_SMTP_PASSWORD".to_owned(), "another".to_owned());
    host.environment.push(variable);
    let before = asked_for(&host);
    let (code, lines, told) = checked(&host).await;
    assert_eq!(code, 0, "{told}");
    assert_eq!(lines, with(&["secret not_tried"], "login works"));
    assert!(
        told.contains("SGWARDEN_SMTP_PASSWORD goes before"),
        "{told}"
    );
    assert_eq!(asked_for(&host), before);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_invocation_mails_with_the_password_its_own_keys_can_read() {
    let (host, relay) = host_with(&[kept()]).await;
    let mail = std::fs::read_to_string(host.path("sgwarden.toml")).expect("the file");
    let storage = "[storage]\nurl = \"file:evidence\"\nstate = \"file:state\"\n";
    host.write("sgwarden.toml", &format!("{storage}{mail}"));
    let answer = crate::fc::one_timer(&host, "s").await;
    assert_eq!(answer["exit"], 0, "{answer:#}");
    assert_eq!(relay.messages().len(), 3);
    assert!(!answer.to_string().contains("horse"));
}

#[test]
fn where_a_password_may_be_said_to_lie() {
    let read = |url: &str, more: &str| {
        let text = format!("[mail]\nurl = \"{url}\"\nfrom = \"a@example.com\"\n{more}\n");
        let read = Program::read("sgwarden.toml", &text, Path::new("."));
        read.map(|_| ()).map_err(|problems| {
            let said: Vec<String> = problems.iter().map(ToString::to_string).collect();
            said.join("\n")
        })
    };
    let (user, nobody) = ("smtps://audit@smtp.example.com", "smtps://smtp.example.com");
    assert_eq!(read(user, "password_secret = \"team/smtp\""), Ok(()));
    assert_eq!(read(user, "password_file = \"p\""), Ok(()));
    assert_eq!(read(nobody, ""), Ok(()));
    for (url, more, part) in [
        (
            user,
            "password_file = \"p\"\npassword_secret = \"s\"",
            "sgwarden.toml:5: mail.password_secret: password_file is there too",
        ),
        (
            user,
            "password_secret = \"acs:kms:cn-hangzhou:1:secret/s\"",
            "sgwarden.toml:4: mail.password_secret: must be 1 to 192",
        ),
        (user, "password_secret = \"\"", "must be 1 to 192"),
        (user, "password_secret = 1", "must be a string"),
        (
            user,
            "password_secrets = \"s\"",
            "did you mean \"password_secret\"",
        ),
        (
            nobody,
            "password_secret = \"s\"",
            "sgwarden.toml:4: mail.password_secret: url names no user",
        ),
        (
            nobody,
            "password_file = \"p\"",
            "mail.password_file: url names no user",
        ),
    ] {
        let said = read(url, more).expect_err(more);
        assert!(said.contains(part), "{more}: {said}");
        assert_eq!(said.lines().count(), 1, "{said}");
    }
}
