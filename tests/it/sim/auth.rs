//! Signatures: the provider's vectors, and each reason to refuse.

use std::collections::BTreeMap;

use chrono::Duration;
use serde_json::Value;
use sgwarden::sim::auth::{v1_signature, v1_string_to_sign, v3_signature, v3_string_to_sign};
use sgwarden::sim::{Cloud, Options, Role, Throttle};

use super::{ACCOUNT, Caller, HZ, answer, http, is, nonce, owned, query, small, start};

fn pairs(value: &Value) -> Vec<(String, String)> {
    value
        .as_object()
        .unwrap()
        .iter()
        .map(|(n, v)| (n.clone(), v.as_str().unwrap().to_owned()))
        .collect()
}

#[test]
fn every_vector_verifies() {
    let path = concat!(
        env!("CARGO_MANIFEST_DIR"),
        "/tests/vectors/signature-vectors.json"
    );
    let vectors: Value = serde_json::from_str(&std::fs::read_to_string(path).unwrap()).unwrap();
    let text = |v: &Value, name: &str| v[name].as_str().unwrap().to_owned();
    let v1 = vectors["v1"].as_array().unwrap();
    assert_eq!(v1.len(), 17);
    for vector in v1 {
        let mut params = pairs(&vector["query_params"]);
        params.extend(pairs(&vector["form_params"]));
        let string = v1_string_to_sign(&text(vector, "method"), &params);
        assert_eq!(string, text(vector, "string_to_sign"), "{}", vector["name"]);
        let signature = v1_signature(&text(vector, "access_key_secret"), &string);
        assert_eq!(signature, text(vector, "signature"), "{}", vector["name"]);
    }
    let v3 = vectors["v3"].as_array().unwrap();
    assert_eq!(v3.len(), 19);
    for vector in v3 {
        let headers: Vec<_> = pairs(&vector["headers"])
            .into_iter()
            .map(|(n, v)| (n.to_ascii_lowercase(), v))
            .collect();
        let string = v3_string_to_sign(
            &text(vector, "method"),
            &pairs(&vector["query_params"]),
            &headers,
            &text(vector, "signed_headers"),
            text(vector, "body").as_bytes(),
        );
        assert_eq!(string, text(vector, "string_to_sign"), "{}", vector["name"]);
        let signature = v3_signature(&text(vector, "access_key_secret"), &string);
        assert_eq!(signature, text(vector, "signature"), "{}", vector["name"]);
    }
}

async fn code_of(caller: &Caller, headers: &BTreeMap<String, String>) -> (u16, String, String) {
    let (status, body) = answer(caller.send(headers, &[]).await.unwrap()).await;
    let text = |name: &str| body[name].as_str().unwrap_or_default().to_owned();
    (status, text("Code"), text("Message"))
}

#[tokio::test]
async fn version_3_is_refused_for_each_reason() {
    let (cloud, caller) = start(small()).await;
    let fresh = || caller.headers("DescribeRegions", &[]);

    let mut headers = fresh();
    assert_eq!(code_of(&caller, &headers).await.0, 200);
    let (status, code, _) = code_of(&caller, &headers).await;
    assert_eq!((status, code.as_str()), (400, "SignatureNonceUsed"));

    headers = fresh();
    headers.insert("x-acs-date".into(), "2020-01-01T00:00:00Z".into());
    caller.sign(&mut headers, &[]);
    assert_eq!(
        code_of(&caller, &headers).await.1,
        "InvalidTimeStamp.Expired"
    );
    headers.insert("x-acs-date".into(), "yesterday".into());
    caller.sign(&mut headers, &[]);
    assert_eq!(
        code_of(&caller, &headers).await.1,
        "InvalidTimeStamp.Format"
    );

    let wrong = Caller::new(&cloud, &format!("LTAI-sim-{ACCOUNT}"), "wrong", None);
    let headers = wrong.headers("DescribeRegions", &[]);
    let (status, code, message) = code_of(&wrong, &headers).await;
    assert_eq!((status, code.as_str()), (400, "SignatureDoesNotMatch"));
    let listed: Vec<_> = headers
        .clone()
        .into_iter()
        .filter(|(n, _)| n != "authorization")
        .collect();
    let signed: Vec<&str> = listed.iter().map(|(n, _)| n.as_str()).collect();
    let string = v3_string_to_sign("POST", &[], &listed, &signed.join(";"), b"");
    assert!(message.ends_with(&format!("server string to sign is:{string}")));

    let unknown = Caller::new(&cloud, "LTAI-nobody", "x", None);
    assert_eq!(
        unknown.refused("DescribeRegions", &[]).await,
        is(404, "InvalidAccessKeyId.NotFound")
    );

    // Sent and not signed.
    let mut headers = fresh();
    headers.insert("x-acs-trace-id".into(), "1".into());
    let (_, code, message) = code_of(&caller, &headers).await;
    assert_eq!(code, "IncompleteSignature");
    assert!(message.contains("x-acs-trace-id"));

    let mut headers = fresh();
    headers.insert("x-acs-content-sha256".into(), "0".repeat(64));
    caller.sign(&mut headers, &[]);
    assert_eq!(code_of(&caller, &headers).await.1, "SignatureDoesNotMatch");

    let mut headers = fresh();
    headers.remove("x-acs-signature-nonce");
    caller.sign(&mut headers, &[]);
    assert_eq!(code_of(&caller, &headers).await.1, "IncompleteSignature");

    let mut headers = fresh();
    headers.remove("authorization");
    assert_eq!(code_of(&caller, &headers).await.1, "IncompleteSignature");

    let mut headers = fresh();
    headers.insert("x-acs-version".into(), "2014-05-27".into());
    caller.sign(&mut headers, &[]);
    assert_eq!(code_of(&caller, &headers).await.1, "InvalidVersion");
    assert_eq!(cloud.calls()["DescribeRegions"], 11);
}

fn v1(caller: &Caller, extra: &[(&str, &str)]) -> String {
    let now = chrono::Utc::now().format("%Y-%m-%dT%H:%M:%SZ").to_string();
    let nonce = nonce();
    let mut params = owned(&[
        ("Action", "DescribeRegions"),
        ("Version", "2014-05-26"),
        ("AccessKeyId", &caller.key),
        ("SignatureMethod", "HMAC-SHA1"),
        ("SignatureVersion", "1.0"),
        ("SignatureNonce", &nonce),
        ("Timestamp", &now),
    ]);
    params.extend(owned(extra));
    let string = v1_string_to_sign("GET", &params);
    params.push(("Signature".into(), v1_signature(&caller.secret, &string)));
    format!("{}/?{}", caller.url, query(&params))
}

#[tokio::test]
async fn version_1_speaks_xml_unless_asked() {
    let (_cloud, caller) = start(small()).await;
    let get = async |url: String| {
        let response = http().get(url).send().await.unwrap();
        let kind = response.headers()["content-type"]
            .to_str()
            .unwrap()
            .to_owned();
        (
            response.status().as_u16(),
            kind,
            response.text().await.unwrap(),
        )
    };
    let (status, kind, body) = get(v1(&caller, &[("Format", "JSON")])).await;
    assert_eq!(status, 200, "{body}");
    assert!(kind.starts_with("application/json") && body.contains("\"Regions\""));
    let (_, kind, body) = get(v1(&caller, &[])).await;
    assert!(kind.starts_with("text/xml"));
    assert!(body.contains("<RegionId>cn-hangzhou</RegionId>"), "{body}");
    let (status, _, body) = get(v1(&caller, &[]).replace("Signature=", "Signature=x")).await;
    assert_eq!(status, 400);
    let expected = "<?xml version=\"1.0\" encoding=\"UTF-8\"?><Error><RequestId>";
    assert!(body.starts_with(expected), "{body}");
    assert!(body.contains("<Code>SignatureDoesNotMatch</Code>"));
}

#[tokio::test]
async fn the_clock_is_the_servers() {
    let options = Options {
        clock_offset: Duration::hours(1),
        ..Options::default()
    };
    let cloud = Cloud::start(small(), options).await.unwrap();
    let mut caller = Caller::of(&cloud);
    let response = caller.raw("DescribeRegions", &[]).await.unwrap();
    let date = response.headers()["date"].to_str().unwrap().to_owned();
    let date = chrono::DateTime::parse_from_rfc2822(&date).unwrap();
    let ahead = (date.to_utc() - chrono::Utc::now()).num_seconds();
    assert!((3595..=3605).contains(&ahead), "{ahead}");
    assert_eq!(answer(response).await.1["Code"], "InvalidTimeStamp.Expired");
    caller.clock = Duration::minutes(50);
    caller.ok("DescribeRegions", &[]).await;
}

#[tokio::test]
async fn a_role_is_assumed_and_its_session_ends() {
    let mut world = small();
    let account = world.accounts.get_mut(ACCOUNT).unwrap();
    account.roles.push(Role {
        name: "SgwardenAudit".into(),
        id: "300000000000000001".into(),
        trust: vec![ACCOUNT.into()],
        external_id: Some("secret-id".into()),
        max_session: 3600,
        allow: vec!["ecs:Describe*".into()],
        deny: Vec::new(),
    });
    let (cloud, caller) = start(world).await;
    let arn = format!("acs:ram::{ACCOUNT}:role/sgwardenaudit");
    let with = |external| {
        [
            ("RoleArn", arn.as_str()),
            ("RoleSessionName", "run"),
            ("ExternalId", external),
        ]
    };
    assert_eq!(
        caller.refused("AssumeRole", &with("guess")).await,
        is(403, "NoPermission")
    );
    let missing = [
        ("RoleArn", "acs:ram::1234567890123456:role/none"),
        ("RoleSessionName", "run"),
    ];
    assert_eq!(
        caller.refused("AssumeRole", &missing).await,
        is(404, "EntityNotExist.Role")
    );
    let body = caller.ok("AssumeRole", &with("secret-id")).await;
    let part = |name: &str| body["Credentials"][name].as_str().unwrap().to_owned();
    let (key, secret) = (part("AccessKeyId"), part("AccessKeySecret"));
    let session = Caller::new(&cloud, &key, &secret, Some(&part("SecurityToken")));
    let who = session.ok("GetCallerIdentity", &[]).await;
    assert_eq!(
        who["Arn"],
        format!("acs:sts::{ACCOUNT}:assumed-role/sgwardenaudit/run")
    );
    session.ok("DescribeRegions", &[]).await;
    let revoke = [("RegionId", HZ), ("SecurityGroupId", "sg-a")];
    assert_eq!(
        session.refused("RevokeSecurityGroup", &revoke).await,
        is(403, "Forbidden.RAM")
    );
    let bare = Caller::new(&cloud, &key, &secret, None);
    assert_eq!(
        bare.refused("DescribeRegions", &[]).await,
        is(400, "MissingSecurityToken")
    );
    let other = Caller::new(&cloud, &key, &secret, Some("CAIS+other"));
    assert_eq!(
        other.refused("DescribeRegions", &[]).await,
        is(400, "InvalidSecurityToken.MismatchWithAccessKey")
    );
    cloud.with_world(sgwarden::sim::World::expire_sessions);
    assert_eq!(
        session.refused("DescribeRegions", &[]).await,
        is(400, "InvalidSecurityToken.Expired")
    );
}

#[tokio::test]
async fn calls_are_throttled_by_fixed_minutes() {
    let minute = std::time::Duration::from_millis(400);
    let options = Options {
        throttle: Some(Throttle { limit: 2, minute }),
        ..Options::default()
    };
    let cloud = Cloud::start(small(), options).await.unwrap();
    let caller = Caller::of(&cloud);
    let mut refused = 0;
    for _ in 0..7 {
        let (status, body) = caller.any("DescribeRegions", &[]).await;
        if status != 200 {
            assert_eq!(body["Code"], "Throttling.User");
            refused += 1;
        }
    }
    assert!(refused >= 1);
    tokio::time::sleep(minute).await;
    caller.ok("DescribeRegions", &[]).await;
}
