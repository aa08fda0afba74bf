//! A tiny HTTP server that answers what a test says, and remembers what it was asked.

use bytes::Bytes;
use http_body_util::Full;
use hyper::body::Incoming;
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use serde_json::{Value, json};
use sgwarden::cloud::credentials::Credentials;
use sgwarden::cloud::{Client, Limits, Settings};
use std::collections::BTreeMap;
use std::convert::Infallible;
use std::sync::{Arc, Mutex};
use std::time::Duration;

/// A request as a test looks at it.
#[derive(Clone, Debug)]
pub(crate) struct Ask {
    pub(crate) action: String,
    pub(crate) params: BTreeMap<String, String>,
    pub(crate) headers: BTreeMap<String, String>,
}

impl Ask {
    pub(crate) fn param(&self, name: &str) -> &str {
        self.params.get(name).map_or("", String::as_str)
    }
}

/// An answer as a test gives it.
pub(crate) struct Reply {
    pub(crate) status: u16,
    pub(crate) headers: Vec<(&'static str, String)>,
    pub(crate) body: String,
    pub(crate) delay: Duration,
}

impl Reply {
    pub(crate) fn ok(body: Value) -> Self {
        Self::raw(200, &body.to_string())
    }

    pub(crate) fn raw(status: u16, body: &str) -> Self {
        Self {
            status,
            headers: Vec::new(),
            body: body.to_owned(),
            delay: Duration::ZERO,
        }
    }

    pub(crate) fn error(status: u16, code: &str) -> Self {
        Self::raw(
            status,
            &json!({"RequestId": "rid-1", "Code": code, "Message": "told by the test"}).to_string(),
        )
    }

    pub(crate) fn header(mut self, name: &'static str, value: &str) -> Self {
        self.headers.push((name, value.to_owned()));
        self
    }
}

pub(crate) struct Responder {
    pub(crate) url: String,
    pub(crate) asked: Arc<Mutex<Vec<Ask>>>,
}

impl Responder {
    /// The handler gets the request and how many requests of that action came before it.
    pub(crate) async fn start(
        handler: impl Fn(&Ask, usize) -> Reply + Send + Sync + 'static,
    ) -> Self {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0")
            .await
            .expect("a port");
        let url = format!("http://{}", listener.local_addr().expect("an address"));
        let asked: Arc<Mutex<Vec<Ask>>> = Arc::default();
        let log = Arc::clone(&asked);
        let handler = Arc::new(handler);
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                let (log, handler) = (Arc::clone(&log), Arc::clone(&handler));
                let service = service_fn(move |request: hyper::Request<Incoming>| {
                    let ask = read(&request);
                    let before = {
                        let mut log = log.lock().expect("the log");
                        let before = log
                            .iter()
                            .filter(|other| other.action == ask.action)
                            .count();
                        log.push(ask.clone());
                        before
                    };
                    let reply = handler(&ask, before);
                    async move {
                        tokio::time::sleep(reply.delay).await;
                        let mut response = hyper::Response::new(Full::new(Bytes::from(reply.body)));
                        *response.status_mut() =
                            hyper::StatusCode::from_u16(reply.status).expect("a status");
                        for (name, value) in reply.headers {
                            response
                                .headers_mut()
                                .insert(name, value.parse().expect("a header"));
                        }
                        Ok::<_, Infallible>(response)
                    }
                });
                tokio::spawn(async move {
                    // The client may go away at any time.
                    let _gone = hyper::server::conn::http1::Builder::new()
                        .serve_connection(TokioIo::new(stream), service)
                        .await;
                });
            }
        });
        Self { url, asked }
    }

    pub(crate) fn client(&self) -> Arc<Client> {
        self.client_with(|_| {})
    }

    /// A client with short waits.
    pub(crate) fn client_with(&self, change: impl FnOnce(&mut Settings)) -> Arc<Client> {
        let mut settings = Settings {
            endpoint: Some(self.url.clone()),
            limits: short(),
            ..Settings::default()
        };
        change(&mut settings);
        let keys = Credentials::new("LTAIkey", "hush", Some("hush-token")).expect("keys");
        Arc::new(Client::new(settings, keys).expect("a client"))
    }

    pub(crate) fn count(&self, action: &str) -> usize {
        self.asked
            .lock()
            .expect("the log")
            .iter()
            .filter(|ask| ask.action == action)
            .count()
    }
}

pub(crate) fn short() -> Limits {
    Limits {
        first_byte: Duration::from_millis(500),
        whole_call: Duration::from_secs(1),
        silence_budget: Duration::from_millis(900),
        first_contact: Duration::from_millis(300),
        silence_first_wait: Duration::from_millis(5),
        silence_longest_wait: Duration::from_millis(50),
        throttle_budget: Duration::from_millis(1500),
        throttle_first_wait: Duration::from_millis(10),
        throttle_window: Duration::from_millis(200),
        pace_first: Duration::from_millis(2),
        pace_slowest: Duration::from_millis(20),
        ..Limits::default()
    }
}

fn read(request: &hyper::Request<Incoming>) -> Ask {
    let params: BTreeMap<String, String> = request
        .uri()
        .query()
        .into_iter()
        .flat_map(|query| query.split('&'))
        .filter_map(|pair| pair.split_once('='))
        .map(|(name, value)| (decoded(name), decoded(value)))
        .collect();
    let headers: BTreeMap<String, String> = request
        .headers()
        .iter()
        .map(|(name, value)| (name.to_string(), value.to_str().unwrap_or("?").to_owned()))
        .collect();
    let action = headers.get("x-acs-action").or_else(|| params.get("Action"));
    Ask {
        action: action.cloned().unwrap_or_default(),
        params,
        headers,
    }
}

fn decoded(text: &str) -> String {
    let mut out = Vec::new();
    let mut bytes = text.bytes();
    while let Some(byte) = bytes.next() {
        if byte == b'%' {
            let digits = [
                bytes.next().expect("a digit"),
                bytes.next().expect("a digit"),
            ];
            let digits = std::str::from_utf8(&digits).expect("digits");
            out.push(u8::from_str_radix(digits, 16).expect("hexadecimal"));
        } else {
            out.push(byte);
        }
    }
    String::from_utf8(out).expect("UTF-8")
}
