//! The metadata service of a simulated ECS instance, and a credentials URI beside it: HTTP on a port of
//! their own, as the real one has an address of its own. Strict: no token, no answer, unless the older
//! mode is allowed.
//!
//! | path | answers |
//! | --- | --- |
//! | `PUT /latest/api/token` | a token; the header with its life is demanded |
//! | `GET /latest/meta-data/ram/security-credentials/` | the role's name, 404 without one |
//! | `GET .../security-credentials/ROLE` | a session's keys |
//! | `GET /latest/meta-data/{region-id,owner-account-id,instance-id,private-ipv4}` | text |
//! | `GET /credentials-uri` | a session's keys; no token is asked for |

use std::collections::BTreeMap;
use std::convert::Infallible;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, PoisonError};

use bytes::Bytes;
use chrono::{DateTime, Duration, Utc};
use http_body_util::Full;
use hyper::body::Incoming;
use hyper::service::service_fn;
use hyper::{Method, Request, Response};
use hyper_util::rt::TokioIo;
use serde_json::json;
use tokio::net::TcpListener;
use tokio::task::{JoinHandle, JoinSet};

use super::actions::issue;
use super::server::{Cloud, Inner};

/// What the instance is.
#[derive(Debug, Clone)]
pub struct Instance {
    /// Whose it is.
    pub account: String,
    /// Its role; `None`: it has none.
    pub role: Option<String>,
    /// Whether requests without a token are answered too.
    pub old_mode: bool,
    /// How long a session lasts.
    pub life: Duration,
}

impl Instance {
    /// In hardened mode, with a role.
    pub fn of(account: &str, role: &str) -> Instance {
        Instance {
            account: account.into(),
            role: Some(role.into()),
            old_mode: false,
            life: Duration::hours(6),
        }
    }
}

struct Shared {
    cloud: Arc<Inner>,
    instance: Mutex<Instance>,
    tokens: Mutex<BTreeMap<String, DateTime<Utc>>>,
    calls: Mutex<BTreeMap<String, u64>>,
}

/// A running metadata service. It ends when this is dropped.
pub struct Metadata {
    shared: Arc<Shared>,
    address: SocketAddr,
    task: JoinHandle<()>,
}

impl Metadata {
    /// Serves an instance of a cloud.
    ///
    /// # Errors
    /// Where no port can be listened on.
    pub async fn start(cloud: &Cloud, instance: Instance) -> std::io::Result<Metadata> {
        let listener = TcpListener::bind(SocketAddr::from(([127, 0, 0, 1], 0))).await?;
        let address = listener.local_addr()?;
        let shared = Arc::new(Shared {
            cloud: cloud.shared(),
            instance: Mutex::new(instance),
            tokens: Mutex::default(),
            calls: Mutex::default(),
        });
        let serving = Arc::clone(&shared);
        let task = tokio::spawn(async move {
            let mut connections = JoinSet::new();
            loop {
                let accepted = tokio::select! {
                    accepted = listener.accept() => accepted,
                    Some(_) = connections.join_next() => continue,
                };
                let Ok((stream, _)) = accepted else { continue };
                let shared = Arc::clone(&serving);
                connections.spawn(async move {
                    let service = service_fn(|request| {
                        let answer = shared.answer(&request);
                        async move { Ok::<_, Infallible>(answer) }
                    });
                    let _ = hyper::server::conn::http1::Builder::new()
                        .serve_connection(TokioIo::new(stream), service)
                        .await;
                });
            }
        });
        Ok(Metadata {
            shared,
            address,
            task,
        })
    }

    /// `http://127.0.0.1:PORT`.
    pub fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    /// Requests so far by path, refused ones too.
    pub fn calls(&self) -> BTreeMap<String, u64> {
        locked(&self.shared.calls).clone()
    }

    /// Changes the instance while it runs.
    pub fn change(&self, change: impl FnOnce(&mut Instance)) {
        change(&mut locked(&self.shared.instance));
    }
}

impl Drop for Metadata {
    fn drop(&mut self) {
        self.task.abort();
    }
}

fn locked<T>(mutex: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

fn respond(status: u16, body: String) -> Response<Full<Bytes>> {
    let mut response = Response::new(Full::new(Bytes::from(body)));
    *response.status_mut() =
        hyper::StatusCode::from_u16(status).unwrap_or(hyper::StatusCode::INTERNAL_SERVER_ERROR);
    response
}

impl Shared {
    fn answer(&self, request: &Request<Incoming>) -> Response<Full<Bytes>> {
        let path = request.uri().path();
        *locked(&self.calls).entry(path.to_owned()).or_default() += 1;
        let header = |name: &str| request.headers().get(name).and_then(|v| v.to_str().ok());
        let now = self.cloud.now();
        if path == "/latest/api/token" {
            let life = header("x-aliyun-ecs-metadata-token-ttl-seconds")
                .and_then(|text| text.parse::<i64>().ok())
                .filter(|seconds| (1..=21_600).contains(seconds));
            return match life {
                Some(seconds) if request.method() == Method::PUT => {
                    let mut tokens = locked(&self.tokens);
                    let token = format!("simulated-token-{}", tokens.len());
                    tokens.insert(token.clone(), now + Duration::seconds(seconds));
                    respond(200, token)
                }
                _ => respond(400, String::new()),
            };
        }
        if request.method() != Method::GET {
            return respond(405, String::new());
        }
        let instance = locked(&self.instance).clone();
        if path == "/credentials-uri" {
            return self.keys(&instance, now);
        }
        match header("x-aliyun-ecs-metadata-token") {
            Some(token) => {
                let known = locked(&self.tokens).get(token).copied();
                if known.is_none_or(|until| until <= now) {
                    return respond(401, String::new());
                }
            }
            None if instance.old_mode => {}
            None => return respond(403, String::new()),
        }
        let Some(item) = path.strip_prefix("/latest/meta-data/") else {
            return respond(404, String::new());
        };
        match item {
            "region-id" => respond(200, "cn-hangzhou".into()),
            "owner-account-id" => respond(200, instance.account),
            "instance-id" => respond(200, "i-bp1sim00000000000000".into()),
            "private-ipv4" => respond(200, "192.168.0.10".into()),
            _ => match (
                item.strip_prefix("ram/security-credentials/"),
                &instance.role,
            ) {
                (Some(""), Some(role)) => respond(200, role.clone()),
                (Some(name), Some(role)) if name == role => self.keys(&instance, now),
                _ => respond(404, String::new()),
            },
        }
    }

    fn keys(&self, instance: &Instance, now: DateTime<Utc>) -> Response<Full<Bytes>> {
        let Some(role) = &instance.role else {
            return respond(404, String::new());
        };
        let mut state = self.cloud.state();
        let session = issue(
            &mut state.world,
            (&instance.account, role, "i-bp1sim00000000000000"),
            now + instance.life,
        );
        let stamp = |time: DateTime<Utc>| time.format("%Y-%m-%dT%H:%M:%SZ").to_string();
        let body = json!({
            "Code": "Success",
            "AccessKeyId": session.access_key_id,
            "AccessKeySecret": session.access_key_secret,
            "SecurityToken": session.security_token,
            "Expiration": stamp(session.expires),
            "LastUpdated": stamp(now),
        });
        respond(200, body.to_string())
    }
}
