//! One attempt over HTTP: bounded in time and size.

use super::call::NewClientError;
use super::settings::Settings;
use super::sign::Signed;
use bytes::{Bytes, BytesMut};
use chrono::{DateTime, Utc};
use std::time::Duration;

/// Sends.
#[derive(Debug)]
pub(super) struct Sender {
    http: reqwest::Client,
    first_byte: Duration,
    body: usize,
}

/// What came back.
#[derive(Debug)]
pub(super) struct Reply {
    pub(super) status: u16,
    pub(super) date: Option<DateTime<Utc>>,
    pub(super) acs_retry_after: Option<String>,
    pub(super) retry_after: Option<String>,
    pub(super) body: Bytes,
}

/// Nothing that could be used came back.
#[derive(Debug)]
pub(super) struct Trouble {
    pub(super) code: &'static str,
    pub(super) message: String,
    /// Whether the request can have left this machine.
    pub(super) sent: bool,
    /// No connection could be made.
    pub(super) connect: bool,
}

impl Sender {
    pub(super) fn new(settings: &Settings) -> Result<Self, NewClientError> {
        // The one crypto provider of the program; a second installation is no news.
        let _ = rustls::crypto::ring::default_provider().install_default();
        let limits = &settings.limits;
        let http = reqwest::Client::builder()
            .connect_timeout(limits.connect)
            .redirect(reqwest::redirect::Policy::none())
            .user_agent(concat!("sgwarden/", env!("CARGO_PKG_VERSION")))
            .pool_max_idle_per_host(settings.max_in_flight)
            .tcp_nodelay(true)
            .build()?;
        Ok(Self {
            http,
            first_byte: limits.first_byte,
            body: limits.body,
        })
    }

    /// The URL's beginning, and the host as it is signed: the configured endpoint takes all.
    pub(super) fn target(&self, settings: &Settings, host: &str) -> (String, String) {
        match &settings.endpoint {
            None => (format!("https://{host}"), host.to_owned()),
            Some(url) => {
                let authority = url.split_once("://").map_or(url.as_str(), |(_, rest)| rest);
                (url.clone(), authority.to_owned())
            }
        }
    }

    pub(super) async fn send(
        &self,
        base: &str,
        signed: Signed,
        whole: Duration,
    ) -> Result<Reply, Trouble> {
        let url = format!("{base}/?{}", signed.query);
        let mut request = self.http.post(url).header("content-length", "0");
        for (name, value) in signed.headers {
            request = request.header(name, value);
        }
        let silent = |what: &str| Trouble {
            code: "timeout",
            message: format!("no answer: {what}"),
            sent: true,
            connect: false,
        };
        let first = self.first_byte.min(whole);
        let begun = tokio::time::Instant::now();
        let mut response = match tokio::time::timeout(first, request.send()).await {
            Ok(Ok(response)) => response,
            Ok(Err(why)) => return Err(trouble(&why)),
            Err(_) => {
                return Err(silent(&format!(
                    "nothing within {:.1} s",
                    first.as_secs_f32()
                )));
            }
        };
        let header = |name: &str| {
            response
                .headers()
                .get(name)
                .and_then(|value| value.to_str().ok())
                .map(str::to_owned)
        };
        let mut reply = Reply {
            status: response.status().as_u16(),
            date: header("date").and_then(|date| {
                DateTime::parse_from_rfc2822(&date)
                    .ok()
                    .map(|date| date.to_utc())
            }),
            acs_retry_after: header("x-acs-retry-after"),
            retry_after: header("retry-after"),
            body: Bytes::new(),
        };
        let mut body = BytesMut::new();
        loop {
            let left = whole.saturating_sub(begun.elapsed());
            match tokio::time::timeout(left, response.chunk()).await {
                Ok(Ok(Some(chunk))) => {
                    if body.len().saturating_add(chunk.len()) > self.body {
                        return Err(Trouble {
                            code: "too-large",
                            message: format!("the answer is larger than {} bytes", self.body),
                            sent: true,
                            connect: false,
                        });
                    }
                    body.extend_from_slice(&chunk);
                }
                Ok(Ok(None)) => break,
                Ok(Err(why)) => {
                    let mut trouble = trouble(&why);
                    trouble.sent = true;
                    trouble.connect = false;
                    return Err(trouble);
                }
                Err(_) => return Err(silent("it broke off in the middle")),
            }
        }
        reply.body = body.freeze();
        Ok(reply)
    }
}

fn trouble(why: &reqwest::Error) -> Trouble {
    let connect = why.is_connect();
    let mut message = if connect {
        "cannot connect"
    } else {
        "the connection broke"
    }
    .to_owned();
    let mut source = std::error::Error::source(why);
    while let Some(cause) = source {
        // The URL has our query in it, and with version 1 the key's id: causes only.
        let text = cause.to_string();
        if !message.contains(&text) {
            message.push_str(": ");
            message.push_str(&text);
        }
        source = cause.source();
    }
    Trouble {
        code: if connect {
            "connect"
        } else {
            "broken-connection"
        },
        message,
        sent: !connect,
        connect,
    }
}
