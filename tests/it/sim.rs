//! The simulated cloud, held to the recorded answers of the real one and to the provider's own
//! signature vectors, over real HTTP.

mod answers;
mod auth;
mod changes;
mod faults;
mod secrets;
mod smtp;
mod trail;
mod worlds;

use std::collections::BTreeMap;

use chrono::{Duration, Utc};
use serde_json::Value;
use sgwarden::sim::auth::{sha256_hex, v3_signature, v3_string_to_sign};
use sgwarden::sim::{Cloud, Group, Options, Rule, World};

pub(crate) const ACCOUNT: &str = "1234567890123456";
pub(crate) const HZ: &str = "cn-hangzhou";

/// A caller that signs with version 3, as plainly as the reference says it.
pub(crate) struct Caller {
    http: reqwest::Client,
    url: String,
    key: String,
    secret: String,
    token: Option<String>,
    clock: Duration,
}

pub(crate) type Params<'a> = &'a [(&'a str, &'a str)];

fn version_of(action: &str) -> &'static str {
    match action {
        "GetCallerIdentity" | "AssumeRole" => "2015-04-01",
        "ListAccounts" | "GetResourceDirectory" => "2022-04-19",
        "StartConfigRuleEvaluation" | "ListDiscoveredResources" => "2020-09-07",
        "LookupEvents" => "2020-07-06",
        "GetSecretValue" => "2016-01-20",
        _ => "2014-05-26",
    }
}

pub(crate) fn http() -> reqwest::Client {
    let _ = rustls::crypto::ring::default_provider().install_default();
    reqwest::Client::builder().no_proxy().build().unwrap()
}

pub(crate) fn nonce() -> String {
    let mut bytes = [0; 16];
    getrandom::fill(&mut bytes).unwrap();
    sgwarden::sim::auth::hex(&bytes)
}

pub(crate) fn encode(text: &str) -> String {
    text.bytes()
        .map(|b| match b {
            b'A'..=b'Z' | b'a'..=b'z' | b'0'..=b'9' | b'-' | b'_' | b'.' | b'~' => {
                char::from(b).to_string()
            }
            _ => format!("%{b:02X}"),
        })
        .collect()
}

pub(crate) fn query(params: &[(String, String)]) -> String {
    let parts: Vec<String> = params
        .iter()
        .map(|(n, v)| format!("{}={}", encode(n), encode(v)))
        .collect();
    parts.join("&")
}

pub(crate) fn owned(params: Params<'_>) -> Vec<(String, String)> {
    let own = |(n, v): &(&str, &str)| ((*n).to_owned(), (*v).to_owned());
    params.iter().map(own).collect()
}

impl Caller {
    pub(crate) fn of(cloud: &Cloud) -> Caller {
        let keys = cloud.keys().remove(0);
        Caller::new(cloud, &keys.access_key_id, &keys.access_key_secret, None)
    }

    pub(crate) fn new(cloud: &Cloud, key: &str, secret: &str, token: Option<&str>) -> Caller {
        Caller {
            http: http(),
            url: cloud.url(),
            key: key.into(),
            secret: secret.into(),
            token: token.map(str::to_owned),
            clock: Duration::zero(),
        }
    }

    /// The headers of a signed call, to be spoilt by tests.
    pub(crate) fn headers(
        &self,
        action: &str,
        params: &[(String, String)],
    ) -> BTreeMap<String, String> {
        let host = self.url.trim_start_matches("http://");
        let date = (Utc::now() + self.clock).format("%Y-%m-%dT%H:%M:%SZ");
        let mut headers: BTreeMap<String, String> = [
            ("host", host),
            ("x-acs-action", action),
            ("x-acs-version", version_of(action)),
            ("x-acs-date", &date.to_string()),
            ("x-acs-signature-nonce", &nonce()),
            ("x-acs-content-sha256", &sha256_hex(b"")),
        ]
        .into_iter()
        .map(|(n, v)| (n.to_owned(), v.to_owned()))
        .collect();
        if let Some(token) = &self.token {
            headers.insert("x-acs-security-token".into(), token.clone());
        }
        self.sign(&mut headers, params);
        headers
    }

    pub(crate) fn sign(&self, headers: &mut BTreeMap<String, String>, params: &[(String, String)]) {
        headers.remove("authorization");
        let list: Vec<_> = headers.clone().into_iter().collect();
        let names: Vec<&str> = headers.keys().map(String::as_str).collect();
        let signed = names.join(";");
        let text = v3_string_to_sign("POST", params, &list, &signed, b"");
        let value = format!(
            "ACS3-HMAC-SHA256 Credential={},SignedHeaders={signed},Signature={}",
            self.key,
            v3_signature(&self.secret, &text)
        );
        headers.insert("authorization".into(), value);
    }

    pub(crate) async fn send(
        &self,
        headers: &BTreeMap<String, String>,
        params: &[(String, String)],
    ) -> reqwest::Result<reqwest::Response> {
        let mut request = self.http.post(format!("{}/?{}", self.url, query(params)));
        for (name, value) in headers {
            request = request.header(name, value);
        }
        request.send().await
    }

    pub(crate) async fn raw(
        &self,
        action: &str,
        params: Params<'_>,
    ) -> reqwest::Result<reqwest::Response> {
        let params = owned(params);
        self.send(&self.headers(action, &params), &params).await
    }

    pub(crate) async fn any(&self, action: &str, params: Params<'_>) -> (u16, Value) {
        answer(self.raw(action, params).await.unwrap()).await
    }

    pub(crate) async fn ok(&self, action: &str, params: Params<'_>) -> Value {
        let (status, body) = self.any(action, params).await;
        assert_eq!(status, 200, "{action}: {body}");
        body
    }

    /// The code of a refusal, with its status.
    pub(crate) async fn refused(&self, action: &str, params: Params<'_>) -> (u16, String) {
        let (status, body) = self.any(action, params).await;
        assert_ne!(status, 200, "{action} {params:?}: {body}");
        (status, body["Code"].as_str().unwrap().to_owned())
    }

    /// Ids of the rules of a group as they are read.
    pub(crate) async fn rules(&self, group: &str) -> Vec<Value> {
        let body = self
            .ok(
                "DescribeSecurityGroupAttribute",
                &[("RegionId", HZ), ("SecurityGroupId", group)],
            )
            .await;
        body["Permissions"]["Permission"]
            .as_array()
            .unwrap()
            .clone()
    }
}

pub(crate) async fn answer(response: reqwest::Response) -> (u16, Value) {
    let status = response.status().as_u16();
    let text = response.text().await.unwrap();
    (status, serde_json::from_str(&text).unwrap())
}

pub(crate) fn is(status: u16, code: &str) -> (u16, String) {
    (status, code.to_owned())
}

pub(crate) async fn start(world: World) -> (Cloud, Caller) {
    let cloud = Cloud::start(world, Options::default()).await.unwrap();
    let caller = Caller::of(&cloud);
    (cloud, caller)
}

/// One group `sg-a` with ssh from the world, from the office, and egress.
pub(crate) fn small() -> World {
    let mut world = World::single(ACCOUNT, &[HZ, "cn-shanghai"]);
    let group = Group::new("sg-a", "a")
        .with(Rule::ingress("TCP", "22/22", "0.0.0.0/0"))
        .with(Rule::ingress("TCP", "22/22", "47.100.1.2/32"))
        .with(Rule::egress("ALL", "-1/-1", "0.0.0.0/0"));
    world.add_group(ACCOUNT, HZ, group);
    world
}
