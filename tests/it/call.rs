//! Calls against a server that misbehaves: what is sent again, how often, and what is told.

use super::responder::{Reply, Responder};
use bytes::Bytes;
use serde_json::json;
use sgwarden::cloud::call::{ClientError, Request};
use sgwarden::cloud::credentials::Credentials;
use sgwarden::cloud::sign::Version;
use sgwarden::cloud::wire::BadAnswer;
use sgwarden::cloud::{CallFailure, Client, Effect, Fate, Kind, Service, Settings};
use sgwarden::model::{AccountId, CallError};
use std::collections::BTreeMap;
use std::time::{Duration, Instant};

fn request(action: &str, effect: Effect) -> Request {
    Request {
        service: Service::Ecs,
        action: action.to_owned(),
        account: AccountId::from("1234567890123456"),
        region: "cn-hangzhou".to_owned(),
        host: Some("ecs.cn-hangzhou.aliyuncs.com".to_owned()),
        params: BTreeMap::from([("RegionId".to_owned(), "cn-hangzhou".to_owned())]),
        effect,
    }
}

fn any(_: &Bytes) -> Result<(), BadAnswer> {
    Ok(())
}

async fn read(client: &Client) -> Result<usize, Box<CallFailure>> {
    let answer = client
        .call(&request("DescribeX", Effect::Read), any)
        .await?;
    Ok(answer.raws.len())
}

async fn change(client: &Client) -> Result<usize, Box<CallFailure>> {
    let answer = client
        .call(&request("RevokeX", Effect::Change), any)
        .await?;
    Ok(answer.raws.len())
}

fn fine() -> Reply {
    Reply::ok(json!({"RequestId": "rid-ok"}))
}

#[tokio::test]
async fn a_call_and_its_evidence() {
    for version in [Version::V1, Version::V3] {
        let server = Responder::start(|_, _| fine()).await;
        let client = server.client_with(|settings| settings.signature = version);
        let answer = client
            .call(&request("DescribeX", Effect::Read), any)
            .await
            .expect("an answer");
        let raw = &answer.raws[0];
        assert_eq!(raw.request_id, "rid-ok");
        assert_eq!(raw.params.keys().collect::<Vec<_>>(), ["RegionId"]);
        let asked = server.asked.lock().expect("the log")[0].clone();
        assert_eq!(asked.headers["host"], server.url["http://".len()..]);
        assert_eq!(
            asked.headers.contains_key("authorization"),
            version == Version::V3
        );
        assert_eq!(
            asked.params.contains_key("Signature"),
            version == Version::V1
        );
        assert!(client.clock_offset().is_some_and(|offset| offset.abs() < 5));
        assert_eq!(
            client.requests(&AccountId::from("1234567890123456"), "cn-hangzhou"),
            1
        );
    }
}

#[tokio::test]
async fn identity() {
    let server = Responder::start(|_, _| {
        Reply::ok(json!({"AccountId": "1234567890123456", "Arn": "acs:ram::1:root", "IdentityType": "Account", "PrincipalId": "p", "RequestId": "r"}))
    })
    .await;
    let answer = server
        .client()
        .caller_identity()
        .await
        .expect("an identity");
    assert_eq!(answer.value.account.as_str(), "1234567890123456");
    assert_eq!(answer.raws[0].account, answer.value.account);
}

#[tokio::test]
async fn reads_are_sent_again_and_each_is_signed_anew() {
    for trouble in [
        || Reply::error(503, "ServiceUnavailable"),
        || Reply::error(500, "InternalError"),
        || Reply::error(400, "Throttling.User"),
        || Reply::error(409, "OperationConflict"),
        || Reply::error(400, "SignatureNonceUsed"),
        || Reply::raw(502, "<html>bad gateway</html>"),
        || Reply::raw(504, ""),
        || Reply::raw(200, "<html>please log in</html>"),
        || Reply::raw(200, "{\"RequestId\":"),
    ] {
        let server =
            Responder::start(move |_, before| if before < 2 { trouble() } else { fine() }).await;
        let client = server.client();
        assert_eq!(read(&client).await.expect("an answer"), 3);
        let asked = server.asked.lock().expect("the log");
        let nonces: std::collections::BTreeSet<&String> = asked
            .iter()
            .map(|ask| &ask.headers["x-acs-signature-nonce"])
            .collect();
        assert_eq!(nonces.len(), 3);
        assert_eq!(
            client.requests(&AccountId::from("1234567890123456"), "cn-hangzhou"),
            3
        );
    }
}

#[tokio::test]
async fn changes_are_sent_again_only_when_nothing_was_done() {
    let server = Responder::start(|_, before| {
        if before < 2 {
            Reply::error(400, "Throttling")
        } else {
            fine()
        }
    })
    .await;
    assert_eq!(change(&server.client()).await.expect("an answer"), 3);
    for (reply, fate) in [
        ((503, "ServiceUnavailable"), Fate::Unknown),
        ((500, ""), Fate::Unknown),
        ((200, "no JSON"), Fate::Unknown),
        ((400, "SignatureNonceUsed"), Fate::Unknown),
        ((409, "OperationConflict"), Fate::Refused),
        ((403, "Forbidden.RAM"), Fate::Refused),
    ] {
        let server = Responder::start(move |_, _| match reply {
            (500 | 200, text) => Reply::raw(reply.0, text),
            (status, code) => Reply::error(status, code),
        })
        .await;
        let failure = change(&server.client()).await.expect_err("a failure");
        assert_eq!(failure.fate, fate, "{failure}");
        assert_eq!(server.count("RevokeX"), 1, "{failure}");
        assert_eq!(failure.answers.len(), 1);
    }
    let server = Responder::start(|_, _| Reply {
        delay: Duration::from_secs(3),
        ..fine()
    })
    .await;
    let failure = change(&server.client()).await.expect_err("a failure");
    assert_eq!(
        (failure.fate, failure.kind, failure.code.as_str()),
        (Fate::Unknown, Kind::Silent, "timeout")
    );
    assert_eq!(server.count("RevokeX"), 1);
}

#[tokio::test]
async fn nobody_there() {
    let listener = std::net::TcpListener::bind("127.0.0.1:0").expect("a port");
    let url = format!("http://{}", listener.local_addr().expect("an address"));
    drop(listener);
    let settings = Settings {
        endpoint: Some(url),
        limits: super::responder::short(),
        ..Settings::default()
    };
    let keys = Credentials::new("id", "secret", None).expect("keys");
    let client = Client::new(settings, keys).expect("a client");
    let begin = Instant::now();
    let failure = change(&client).await.expect_err("a failure");
    assert_eq!((failure.kind, failure.fate), (Kind::Connect, Fate::NotSent));
    assert!(failure.attempts > 1, "{failure}");
    assert!(begin.elapsed() < Duration::from_secs(2));
    assert_eq!(CallError::from(&*failure).code, "connect");
}

#[tokio::test]
async fn silence_is_given_up_and_then_probed_once() {
    let server = Responder::start(|_, _| Reply {
        delay: Duration::from_secs(5),
        ..fine()
    })
    .await;
    let client = server.client();
    let begin = Instant::now();
    let failure = read(&client).await.expect_err("a failure");
    assert_eq!(failure.kind, Kind::Silent);
    assert!(
        begin.elapsed() < Duration::from_millis(1600),
        "{:?}",
        begin.elapsed()
    );
    let before = server.count("DescribeX");
    read(&client).await.expect_err("a failure");
    assert_eq!(server.count("DescribeX"), before + 1);
}

#[tokio::test]
async fn throttled_for_good_says_so() {
    let server = Responder::start(|_, _| Reply::error(400, "Throttling.User")).await;
    let client = server.client();
    let failure = read(&client).await.expect_err("a failure");
    assert_eq!(failure.kind, Kind::Throttled);
    assert!(failure.to_string().contains("throttled"), "{failure}");
    assert!(failure.attempts >= 5, "{failure}");
    assert_eq!(failure.answers.len(), failure.attempts as usize);
    // The next one does not wait as long again.
    let begin = Instant::now();
    read(&client).await.expect_err("a failure");
    assert!(begin.elapsed() < Duration::from_millis(300));
}

#[tokio::test]
async fn the_service_s_own_wait_is_honoured() {
    let server = Responder::start(|_, before| {
        if before == 0 {
            Reply::error(400, "Throttling").header("x-acs-retry-after", "300")
        } else {
            fine()
        }
    })
    .await;
    let begin = Instant::now();
    read(&server.client()).await.expect("an answer");
    assert!(begin.elapsed() >= Duration::from_millis(300));
}

#[tokio::test]
async fn waiting_for_one_action_does_not_hold_up_another() {
    let server = Responder::start(|ask, _| {
        if ask.action == "DescribeX" {
            Reply::error(400, "Throttling")
        } else {
            fine()
        }
    })
    .await;
    let client = server.client_with(|settings| settings.max_in_flight = 1);
    let throttled = client.clone();
    let task = tokio::spawn(async move { read(&throttled).await });
    tokio::time::sleep(Duration::from_millis(100)).await;
    let begin = Instant::now();
    change(&client).await.expect("an answer");
    assert!(
        begin.elapsed() < Duration::from_millis(200),
        "{:?}",
        begin.elapsed()
    );
    task.abort();
}

#[tokio::test]
async fn refusals_say_what_to_do() {
    for (status, code, kind, told) in [
        (403, "Forbidden.RAM", Kind::Forbidden, "grant ecs:DescribeX"),
        (
            400,
            "InvalidSecurityToken.Expired",
            Kind::Credentials,
            "get new credentials",
        ),
        (
            404,
            "InvalidAccessKeyId.NotFound",
            Kind::Credentials,
            "does not exist",
        ),
        (
            400,
            "MissingParameter.RegionId",
            Kind::Service,
            "told by the test",
        ),
        (
            404,
            "InvalidSecurityGroupId.NotFound",
            Kind::NotFound,
            "rid-1",
        ),
    ] {
        let server = Responder::start(move |_, _| Reply::error(status, code)).await;
        let failure = read(&server.client()).await.expect_err("a failure");
        assert_eq!(failure.kind, kind);
        let shown = failure.to_string();
        for part in [
            told,
            code,
            "DescribeX in cn-hangzhou of account 1234567890123456",
        ] {
            assert!(shown.contains(part), "{shown}");
        }
        assert_eq!(server.count("DescribeX"), 1);
        assert_eq!(failure.request_id, "rid-1");
    }
    let xml = include_str!("../fixtures/responses/error.envelope.xml");
    let server = Responder::start(move |_, _| Reply::raw(404, xml)).await;
    let failure = read(&server.client()).await.expect_err("a failure");
    assert_eq!(failure.kind, Kind::Credentials);
    assert_eq!(failure.request_id, "473469C7-AA6F-4DC5-B3DB-A3DC0DE3F001");
    let server = Responder::start(|_, _| Reply::raw(403, "<html>blocked</html>")).await;
    let failure = read(&server.client()).await.expect_err("a failure");
    assert_eq!(
        (failure.kind, failure.code.as_str()),
        (Kind::BadAnswer, "http-403")
    );
}

#[tokio::test]
async fn every_error_sample_is_understood() {
    for (name, status, body) in [
        (
            "NoPermission",
            403,
            include_str!("../fixtures/responses/error.NoPermission.json"),
        ),
        (
            "SignatureDoesNotMatch",
            400,
            include_str!("../fixtures/responses/error.SignatureDoesNotMatch.json"),
        ),
        (
            "InvalidSecurityToken.Expired",
            400,
            include_str!("../fixtures/responses/error.InvalidSecurityToken.Expired.json"),
        ),
    ] {
        let server = Responder::start(move |_, _| Reply::raw(status, body)).await;
        let failure = read(&server.client()).await.expect_err("a failure");
        assert_eq!(failure.code, name);
        assert!(matches!(failure.kind, Kind::Forbidden | Kind::Credentials));
        if name == "SignatureDoesNotMatch" {
            assert!(
                failure.to_string().contains("a bug of this program"),
                "{failure}"
            );
        }
    }
}

#[tokio::test]
async fn a_wrong_clock_stops_everything() {
    let date = |offset: i64| (chrono::Utc::now() + chrono::Duration::seconds(offset)).to_rfc2822();
    for (offset, said) in [
        (3600, "behind the service's"),
        (-3600, "ahead of the service's"),
    ] {
        let server = Responder::start(move |_, _| fine().header("date", &date(offset))).await;
        let client = server.client();
        let failure = read(&client).await.expect_err("a failure");
        let Kind::Clock {
            offset_seconds: Some(measured),
        } = failure.kind
        else {
            panic!("{failure}")
        };
        assert!((measured + offset).abs() < 5, "{measured}");
        assert!(failure.to_string().contains(said), "{failure}");
        assert_eq!(server.count("DescribeX"), 1);
        // A change that went through has gone through.
        change(&client).await.expect("an answer");
    }
    let server = Responder::start(|_, _| Reply::error(400, "InvalidTimeStamp.Expired")).await;
    let failure = read(&server.client()).await.expect_err("a failure");
    assert!(matches!(failure.kind, Kind::Clock { .. }));
}

#[tokio::test]
async fn answers_are_bounded_and_redirects_are_not_followed() {
    let server =
        Responder::start(|_, _| Reply::raw(200, &format!("{{\"a\":\"{}\"}}", "x".repeat(5000))))
            .await;
    let client = server.client_with(|settings| settings.limits.body = 4096);
    let failure = read(&client).await.expect_err("a failure");
    assert_eq!(
        (failure.kind, failure.code.as_str()),
        (Kind::BadAnswer, "too-large")
    );
    assert_eq!(server.count("DescribeX"), 1);
    let other = Responder::start(|_, _| fine()).await;
    let to = other.url.clone();
    let server = Responder::start(move |_, _| Reply::raw(307, "").header("location", &to)).await;
    let failure = read(&server.client()).await.expect_err("a failure");
    assert_eq!(failure.kind, Kind::BadAnswer);
    assert!(other.asked.lock().expect("the log").is_empty());
}

#[tokio::test]
async fn no_secret_in_what_is_kept() {
    let server = Responder::start(|ask, _| {
        let token = ask.params.get("SecurityToken").cloned().unwrap_or_default();
        Reply::raw(400, &json!({"Code": "SignatureDoesNotMatch", "Message": format!("server string to sign is:POST&%2F&SecurityToken%3D{token}")}).to_string())
    })
    .await;
    let client = server.client_with(|settings| settings.signature = Version::V1);
    let failure = read(&client).await.expect_err("a failure");
    let kept = format!("{failure} {:?}", failure.answers);
    assert!(!kept.contains("hush"), "{kept}");
}

#[tokio::test]
async fn settings_that_make_no_sense() {
    let keys = || Credentials::new("id", "secret", None).expect("keys");
    let client = |endpoint: &str, region: &str| {
        let settings = Settings {
            endpoint: Some(endpoint.to_owned()),
            home_region: region.to_owned(),
            ..Settings::default()
        };
        Client::new(settings, keys())
    };
    assert!(matches!(
        client("ftp://x", "cn-hangzhou"),
        Err(ClientError::Endpoint(_))
    ));
    assert!(matches!(
        client("http://x", "evil.example/"),
        Err(ClientError::Region(_))
    ));
}
