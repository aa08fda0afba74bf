//! The relay's password out of KMS: read when there is something to send, kept nowhere.

use crate::responder::{Reply, Responder};
use serde_json::{Value, json};
use sgwarden::cloud::{Kind, SecretError};
use sgwarden::model::SecretName;

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
}
