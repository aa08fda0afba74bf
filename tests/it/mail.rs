//! Mail over real SMTP: TLS in both forms with a private CA, logins, refusals, retries.

use sgwarden::deliver::mail::{Attached, Draft, MOST_ATTACHED, compose, fitting, send};
use sgwarden::deliver::{MailSettings, Message, Password, Patience};
use sgwarden::model::Secret;
use sgwarden::sim::smtp::{Mode, Receiver, ReceiverOptions};
use std::sync::Arc;
use std::time::Duration;

/// A server's TLS for `localhost`, and the PEM of the CA that signed it.
fn tls() -> (Arc<rustls::ServerConfig>, Vec<u8>) {
    let mut ca = rcgen::CertificateParams::new(Vec::new()).expect("parameters");
    ca.is_ca = rcgen::IsCa::Ca(rcgen::BasicConstraints::Unconstrained);
    let ca_key = rcgen::KeyPair::generate().expect("a key");
    let ca_cert = ca.self_signed(&ca_key).expect("a CA");
    let issuer = rcgen::Issuer::new(ca, ca_key);
    let key = rcgen::KeyPair::generate().expect("a key");
    let leaf = rcgen::CertificateParams::new(vec!["localhost".to_owned()])
        .expect("parameters")
        .signed_by(&key, &issuer)
        .expect("a certificate");
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let config = rustls::ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .expect("protocols")
        .with_no_client_auth()
        .with_single_cert(
            vec![leaf.der().clone()],
            rustls::pki_types::PrivateKeyDer::Pkcs8(key.serialize_der().into()),
        )
        .expect("a server");
    (Arc::new(config), ca_cert.pem().into_bytes())
}

fn known(password: &str) -> Password {
    Password::Known(Secret::new(password))
}

fn settings(url: &str, password: Option<&str>, ca: Option<Vec<u8>>) -> MailSettings {
    let mut settings =
        MailSettings::new(url, "安全审计 <audit@example.com>", password.map(known), ca)
            .expect("settings");
    settings.waits = vec![Duration::from_millis(50), Duration::from_millis(50)];
    settings.timeout = Duration::from_secs(5);
    settings
}

fn letter(settings: &MailSettings, to: &[&str]) -> Message {
    let to: Vec<String> = to.iter().map(|&to| to.to_owned()).collect();
    let draft = Draft {
        subject: "[sgwarden] FAIL 安全组",
        text: "plain 文本",
        html: "<p>html</p>",
        to: &to,
        cc: &[],
        reply_to: Some("owners@example.com"),
        id: "20261124T000000Z-weekly-abcdef.1",
        date: "2026-11-24T00:00:00Z".parse().expect("a time"),
        attachments: vec![Attached {
            name: "findings-20261124.csv".to_owned(),
            media_type: "text/csv; charset=utf-8",
            bytes: b"\xef\xbb\xbfa,b\r\n",
        }],
    };
    compose(settings, &draft).expect("a letter")
}

#[tokio::test(flavor = "multi_thread")]
async fn implicit_tls_and_starttls_with_a_private_ca_and_a_login() {
    let (config, ca) = tls();
    let login = ReceiverOptions {
        login: Some(("user@example.com".to_owned(), "p4ss".to_owned())),
        ..ReceiverOptions::default()
    };
    for (mode, scheme) in [
        (Mode::ImplicitTls(Arc::clone(&config)), "smtps"),
        (Mode::StartTls(Arc::clone(&config)), "smtp"),
    ] {
        let relay = Receiver::start(mode, login.clone()).await.expect("a relay");
        let url = format!(
            "{scheme}://user%40example.com@localhost:{}",
            relay.addr().port()
        );
        let good = settings(&url, Some("p4ss"), Some(ca.clone()));
        let mut message = letter(&good, &["a@example.com"]);
        let receipts = send(
            &good,
            &mut message,
            &mut Patience::endless(),
            chrono::Utc::now,
        )
        .await;
        assert!(receipts[0].accepted(), "{scheme}: {receipts:?}");
        assert!(message.left.is_empty());
        let got = relay.messages();
        assert!(got[0].tls && got[0].user.as_deref() == Some("user@example.com"));
        let text = String::from_utf8_lossy(&got[0].data).into_owned();
        assert!(
            text.contains("Message-ID: <20261124T000000Z-weekly-abcdef.1@example.com>"),
            "{text}"
        );
        assert!(text.contains("=?utf-8?b?"), "Chinese is encoded: {text}");
        // A CA that is not ours, and a wrong password: final, said once, nothing sent.
        let stranger = settings(&url, Some("p4ss"), None);
        let receipts = send(
            &stranger,
            &mut letter(&stranger, &["a@example.com"]),
            &mut Patience::endless(),
            chrono::Utc::now,
        )
        .await;
        assert!(
            !receipts[0].accepted() && receipts[0].tries == 1,
            "{receipts:?}"
        );
        let wrong = settings(&url, Some("wrong"), Some(ca.clone()));
        let receipts = send(
            &wrong,
            &mut letter(&wrong, &["a@example.com", "b@example.com"]),
            &mut Patience::endless(),
            chrono::Utc::now,
        )
        .await;
        assert!(
            receipts.iter().all(|r| !r.accepted() && r.tries == 1),
            "{receipts:?}"
        );
        assert_eq!(relay.messages().len(), 1);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn starttls_is_required_and_never_falls_back_to_plain_text() {
    let relay = Receiver::start(Mode::Plain, ReceiverOptions::default())
        .await
        .expect("a relay");
    let url = format!("smtp://user@localhost:{}", relay.addr().port());
    let strict = settings(&url, Some("secret"), None);
    let receipts = send(
        &strict,
        &mut letter(&strict, &["a@example.com"]),
        &mut Patience::endless(),
        chrono::Utc::now,
    )
    .await;
    assert!(!receipts[0].accepted(), "{receipts:?}");
    assert!(relay.messages().is_empty());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_transient_refusal_is_tried_again_with_the_same_bytes() {
    let relay = Receiver::start(
        Mode::Plain,
        ReceiverOptions {
            fail_first: 2,
            ..ReceiverOptions::default()
        },
    )
    .await
    .expect("a relay");
    let plain = settings(&format!("smtp://{}?tls=none", relay.addr()), None, None);
    let mut message = letter(&plain, &["a@example.com"]);
    let bytes = message.bytes.clone();
    let receipts = send(
        &plain,
        &mut message,
        &mut Patience::endless(),
        chrono::Utc::now,
    )
    .await;
    assert!(
        receipts[0].accepted() && receipts[0].tries == 3,
        "{receipts:?}"
    );
    assert_eq!(relay.messages().len(), 1);
    assert_eq!(bytes, message.bytes);
}

#[test]
fn what_the_relay_url_may_say() {
    let read = |url: &str, password: Option<&str>| {
        MailSettings::new(url, "a@example.com", password.map(known), None).map(|_| ())
    };
    assert!(read("smtps://user@smtp.example.com:465", Some("x")).is_ok());
    assert!(read("smtp://smtp.example.com", None).is_ok());
    assert!(
        read("smtp://user@127.0.0.1:2525?tls=none", Some("x")).is_ok(),
        "loopback"
    );
    for (url, password, part) in [
        (
            "smtps://user:secret@smtp.example.com",
            None,
            "SGWARDEN_SMTP_PASSWORD",
        ),
        (
            "smtp://user@smtp.example.com?tls=none",
            Some("x"),
            "in the clear",
        ),
        ("smtps://user@smtp.example.com", None, "no password"),
        (
            "smtp://smtp.example.com?tls=opportunistic",
            None,
            "tls=opportunistic",
        ),
        ("http://smtp.example.com", None, "http://"),
        ("smtps://smtp.example.com/path", None, "path"),
    ] {
        let why = read(url, password).expect_err(url);
        assert_eq!(why.key, "url");
        let why = why.to_string();
        assert!(why.contains(part), "{url}: {why}");
        assert!(!why.contains("secret@"), "{why}");
    }
    let shown = format!(
        "{:?}",
        settings("smtps://user@smtp.example.com", Some("s3cret"), None)
    );
    assert!(!shown.contains("s3cret"), "{shown}");
}

#[test]
fn files_over_the_budget_are_left_off_the_largest_first_and_named() {
    let (small, large) = (vec![0u8; 10], vec![0u8; MOST_ATTACHED]);
    let file = |name: &str, bytes| Attached {
        name: name.to_owned(),
        media_type: "text/csv",
        bytes,
    };
    let (kept, left_off) = fitting(vec![file("large.xlsx", &large), file("small.csv", &small)]);
    assert_eq!(kept.len(), 1);
    assert_eq!(left_off, ["large.xlsx"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_name_that_cannot_be_resolved_is_called_that() {
    let mut settings = settings("smtps://relay.invalid", None, None);
    settings.waits = vec![Duration::ZERO; 3];
    let mut message = letter(&settings, &["a@example.com", "b@example.com"]);
    let receipts = send(
        &settings,
        &mut message,
        &mut Patience::endless(),
        chrono::Utc::now,
    )
    .await;
    assert_eq!((receipts.len(), message.left.len()), (2, 2));
    for receipt in receipts {
        let why = receipt.error.clone().expect("not accepted");
        assert!(
            why.starts_with("the name of the relay relay.invalid:465 cannot be resolved: "),
            "{why}"
        );
        // A name that nobody has is tried once more, a resolver that is away as often as any relay.
        let no_such_name = why.contains("not known") || why.contains("does not resolve");
        assert_eq!(receipt.tries, if no_such_name { 2 } else { 4 }, "{why}");
        let told = receipt.undelivered("20261124T000000Z-weekly-abcdef");
        assert!(
            told.ends_with("sgwarden resend 20261124T000000Z-weekly-abcdef"),
            "{told}"
        );
    }
}
