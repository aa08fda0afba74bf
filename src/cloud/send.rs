//! One attempt over HTTP: bounded in time and in bytes, and told apart by what was not heard.

use super::settings::Limits;
use bytes::{Bytes, BytesMut};
use std::time::Duration;
use tokio::time::{Instant, timeout, timeout_at};

/// The answer to one attempt.
pub(super) struct Heard {
    pub(super) status: u16,
    /// `Date`, as seconds since 1970.
    pub(super) date: Option<i64>,
    /// `x-acs-retry-after`
    pub(super) acs_retry_after: Option<String>,
    /// `Retry-After`
    pub(super) retry_after: Option<String>,
    pub(super) body: Bytes,
}

/// An attempt without an answer.
#[derive(Clone, Debug)]
pub(super) struct Unheard {
    /// Ours, lower case.
    pub(super) code: &'static str,
    /// What happened.
    pub(super) message: String,
    /// Whether it may have reached the service.
    pub(super) sent: bool,
    /// Whether another attempt can end otherwise.
    pub(super) transient: bool,
}

/// The one HTTP client: no redirects (they would take a signature elsewhere), no retries of its own.
pub(super) fn http_client(limits: &Limits) -> Result<reqwest::Client, reqwest::Error> {
    // The one crypto provider; a second client finds it installed, which is the only error there is.
    let _already_installed = rustls::crypto::ring::default_provider().install_default();
    reqwest::Client::builder()
        .user_agent(concat!("sgwarden/", env!("CARGO_PKG_VERSION")))
        .connect_timeout(limits.connect)
        .redirect(reqwest::redirect::Policy::none())
        .retry(reqwest::retry::never())
        .pool_idle_timeout(Duration::from_secs(20))
        .build()
}

/// Sends and reads, within `within` at most.
pub(super) async fn send(
    http: &reqwest::Client,
    url: reqwest::Url,
    headers: &[(&'static str, String)],
    body: String,
    limits: &Limits,
    within: Duration,
) -> Result<Heard, Unheard> {
    let end = Instant::now() + within.min(limits.whole_call);
    let mut request = http.post(url).body(body);
    for (name, value) in headers {
        request = request.header(*name, value);
    }
    let first_byte = limits.first_byte.min(within);
    let mut response = match timeout(first_byte, request.send()).await {
        Err(_) => {
            return Err(Unheard {
                code: "timeout",
                message: format!("no answer within {}", seconds(first_byte)),
                sent: true,
                transient: true,
            });
        }
        Ok(Err(error)) => return Err(unheard(&error)),
        Ok(Ok(response)) => response,
    };
    let header = |name: &str| {
        let value = response.headers().get(name)?;
        value.to_str().ok().map(str::to_owned)
    };
    let date = header("date")
        .and_then(|text| chrono::DateTime::parse_from_rfc2822(&text).ok())
        .map(|date| date.timestamp());
    let acs_retry_after = header("x-acs-retry-after");
    let retry_after = header("retry-after");
    let status = response.status().as_u16();
    // The length is what the other side says: believed up to a mebibyte.
    let said = response.content_length().unwrap_or(0).min(1 << 20);
    let mut body = BytesMut::with_capacity(usize::try_from(said).unwrap_or(0));
    loop {
        match timeout_at(end, response.chunk()).await {
            Err(_) => {
                return Err(Unheard {
                    code: "timeout",
                    message: format!(
                        "the answer was not complete within {}",
                        seconds(within.min(limits.whole_call))
                    ),
                    sent: true,
                    transient: true,
                });
            }
            Ok(Err(error)) => return Err(unheard(&error)),
            Ok(Ok(None)) => break,
            Ok(Ok(Some(chunk))) => {
                if body.len() + chunk.len() > limits.body {
                    return Err(Unheard {
                        code: "too-large",
                        message: format!("the answer is larger than {} bytes", limits.body),
                        sent: true,
                        transient: false,
                    });
                }
                body.extend_from_slice(&chunk);
            }
        }
    }
    Ok(Heard {
        status,
        date,
        acs_retry_after,
        retry_after,
        body: body.freeze(),
    })
}

fn seconds(duration: Duration) -> String {
    format!("{:.1} s", duration.as_secs_f64())
}

fn unheard(error: &reqwest::Error) -> Unheard {
    // The URL is left out of the text: with version 1 it holds the signature.
    let mut message = String::new();
    let mut link: Option<&dyn std::error::Error> = std::error::Error::source(error);
    while let Some(cause) = link {
        if !message.is_empty() {
            message.push_str(": ");
        }
        message.push_str(&cause.to_string());
        link = cause.source();
    }
    if message.is_empty() {
        message.push_str(if error.is_timeout() {
            "timed out"
        } else {
            "no answer"
        });
    }
    if error.is_connect() {
        let certificate = message.contains("invalid peer certificate");
        return Unheard {
            code: if certificate {
                "certificate"
            } else {
                "connect"
            },
            message: format!("no connection: {message}"),
            sent: false,
            transient: !certificate,
        };
    }
    if error.is_builder() {
        return Unheard {
            code: "request",
            message: format!("the request cannot be made: {message}"),
            sent: false,
            transient: false,
        };
    }
    Unheard {
        code: if error.is_timeout() {
            "timeout"
        } else {
            "broken-connection"
        },
        message: format!("the connection broke: {message}"),
        sent: true,
        transient: true,
    }
}
