//! Short messages into a chat, by the address that the chat gave out for it. The address is a secret: it
//! stays in its file, and no message, receipt or error shows more of it than the host.
//!
//! | kind | body | taken when |
//! | --- | --- | --- |
//! | `dingtalk` | `{"msgtype":"text","text":{"content":..}}` | `errcode` is 0 |
//! | `wecom` | the same | `errcode` is 0 |
//! | `feishu` | `{"msg_type":"text","content":{"text":..}}` | `code` (or the older `StatusCode`) is 0 |
//! | `slack` | `{"text":..}` | HTTP 2xx |
//! | `generic` | `{"text":..,"run":..,"schedule":..,"ending":..}` | HTTP 2xx |
//!
//! Sources, read 2026-11: the documentation of Slack's SDK on incoming webhooks; for the others public
//! client code and copies of their pages (DingTalk and WeCom take 20 messages a minute, WeCom 2048 bytes of
//! text). To add a kind: a line here, in `model::WebhookKind` and in the fake of `sim/hook.rs`.

use super::{Patience, Receipt};
use crate::model::WebhookKind as Kind;
use chrono::{DateTime, SecondsFormat, Utc};
use serde::{Deserialize, Serialize};
use std::path::PathBuf;
use std::time::Duration;

/// Bytes of a message's text: WeCom takes 2048, and a chat wants less.
pub const MOST_TEXT: usize = 2000;
/// Waits between tries of one run.
const WAITS: [Duration; 2] = [Duration::from_secs(1), Duration::from_secs(5)];
/// One try.
const ONE_TRY: Duration = Duration::from_secs(10);

/// A message and where it goes, as it waits in the outbox: the address is read from its file each time.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Post {
    /// Whose form it has.
    pub kind: Kind,
    /// The file with the address.
    pub url_file: PathBuf,
    /// What makes repeats recognisable in receipts.
    pub id: String,
    /// The body as it is sent.
    pub body: String,
}

/// What a message says.
#[derive(Clone, Copy, Debug)]
pub struct Said<'a> {
    /// In words.
    pub text: &'a str,
    /// The run's id, or empty.
    pub run: &'a str,
    /// The schedule's name.
    pub schedule: &'a str,
    /// `complete`, `incomplete`, `not_verified`, `not_started` or `evidence_not_kept`.
    pub ending: &'a str,
}

/// The body of a message.
pub fn body(kind: Kind, said: &Said<'_>) -> String {
    let text = shortened(said.text);
    let value = match kind {
        Kind::Dingtalk | Kind::Wecom => {
            serde_json::json!({"msgtype": "text", "text": {"content": text}})
        }
        Kind::Feishu => serde_json::json!({"msg_type": "text", "content": {"text": text}}),
        Kind::Slack => {
            // Three characters have a meaning there: `<!channel>` would call everybody.
            let plain = text
                .replace('&', "&amp;")
                .replace('<', "&lt;")
                .replace('>', "&gt;");
            serde_json::json!({"text": plain})
        }
        Kind::Generic => serde_json::json!({
            "text": text, "run": said.run, "schedule": said.schedule, "ending": said.ending,
        }),
    };
    value.to_string()
}

fn shortened(text: &str) -> String {
    if text.len() <= MOST_TEXT {
        return text.to_owned();
    }
    let mut end = MOST_TEXT.saturating_sub(4);
    while !text.is_char_boundary(end) {
        end = end.saturating_sub(1);
    }
    format!("{}\n...", text.get(..end).unwrap_or_default())
}

/// Reads an address: `https`, or `http` on this host itself.
///
/// # Errors
/// Says what is wrong with it, without showing it.
pub fn address(text: &str) -> Result<reqwest::Url, String> {
    let url = reqwest::Url::parse(text.trim())
        .map_err(|_| "it does not hold a URL such as https://HOST/...".to_owned())?;
    let host = url.host_str().unwrap_or_default();
    let loopback = host == "localhost"
        || host
            .trim_matches(['[', ']'])
            .parse::<std::net::IpAddr>()
            .is_ok_and(|ip| ip.is_loopback());
    match url.scheme() {
        _ if host.is_empty() => Err("its URL names no host".to_owned()),
        "https" => Ok(url),
        "http" if loopback => Ok(url),
        _ => Err("its URL must begin with https://: it holds a secret".to_owned()),
    }
}

/// Sends a message; what is not taken stays for `resend`.
pub async fn send(post: &Post, patience: &mut Patience, now: fn() -> DateTime<Utc>) -> Receipt {
    let mut receipt = Receipt {
        recipient: format!("{} {}", post.kind.as_str(), post.url_file.display()),
        relay: String::new(),
        message_id: post.id.clone(),
        at: String::new(),
        reply: None,
        error: None,
        tries: 0,
    };
    let ready = std::fs::read_to_string(&post.url_file)
        .map_err(|why| format!("{} cannot be read: {why}", post.url_file.display()))
        .and_then(|text| {
            address(&text).map_err(|why| format!("{}: {why}", post.url_file.display()))
        })
        .and_then(|url| Ok((url, client()?)));
    match ready {
        Err(why) => receipt.error = Some(why),
        Ok((url, http)) => {
            receipt.relay = url.host_str().unwrap_or_default().to_owned();
            let mut waits = WAITS.iter();
            loop {
                if let Some(why) = patience.over() {
                    receipt.error.get_or_insert(format!("not tried: {why}"));
                    break;
                }
                receipt.tries = receipt.tries.saturating_add(1);
                // The client has a limit of its own.
                let tried = patience.bound(ONE_TRY.saturating_mul(2), one(&http, &url, post));
                let tried = tried.await.unwrap_or_else(|| {
                    let why = patience.over().unwrap_or_default();
                    Err((format!("no answer: {why}"), false))
                });
                let wait = match tried {
                    Ok(reply) => {
                        receipt.reply = Some(reply);
                        receipt.error = None;
                        break;
                    }
                    Err((why, again)) => {
                        receipt.error = Some(format!("{}: {why}", receipt.relay));
                        waits.next().filter(|_| again)
                    }
                };
                let Some(wait) = wait else { break };
                if !patience.wait(*wait).await {
                    break;
                }
            }
        }
    }
    receipt.at = now().to_rfc3339_opts(SecondsFormat::Secs, true);
    receipt
}

pub(super) fn client() -> Result<reqwest::Client, String> {
    // The one crypto provider; a second client finds it installed, which is the only error there is.
    let _already_installed = rustls::crypto::ring::default_provider().install_default();
    reqwest::Client::builder()
        .user_agent(concat!("sgwarden/", env!("CARGO_PKG_VERSION")))
        .timeout(ONE_TRY)
        .redirect(reqwest::redirect::Policy::none())
        .build()
        .map_err(|why| format!("the HTTP client cannot be set up: {}", why.without_url()))
}

/// One try: the reply, or why not and whether another can end otherwise.
async fn one(
    http: &reqwest::Client,
    url: &reqwest::Url,
    post: &Post,
) -> Result<String, (String, bool)> {
    let sent = http
        .post(url.clone())
        .header("content-type", "application/json; charset=utf-8")
        .body(post.body.clone())
        .send()
        .await;
    let mut response = sent.map_err(|why| (told(why), true))?;
    let status = response.status();
    let mut bytes = Vec::new();
    while bytes.len() < MOST_ANSWER
        && let Some(chunk) = response.chunk().await.map_err(|why| (told(why), true))?
    {
        bytes.extend_from_slice(&chunk);
    }
    let answer: String = String::from_utf8_lossy(&bytes)
        .chars()
        .filter(|c| !c.is_control())
        .take(200)
        .collect();
    if !status.is_success() {
        let again = status.is_server_error() || matches!(status.as_u16(), 408 | 429);
        return Err((format!("HTTP {}: {answer}", status.as_u16()), again));
    }
    let keys: &[&str] = match post.kind {
        Kind::Dingtalk | Kind::Wecom => &["errcode"],
        Kind::Feishu => &["code", "StatusCode"],
        Kind::Slack | Kind::Generic => &[],
    };
    let said: serde_json::Value = serde_json::from_slice(&bytes).unwrap_or_default();
    let code = keys.iter().find_map(|key| said.get(key)?.as_i64());
    if !keys.is_empty() && code != Some(0) {
        // Refused by the chat: a keyword, an address, too many a minute. `resend` may fare better.
        return Err((format!("not taken: {answer}"), false));
    }
    Ok(format!("{} {answer}", status.as_u16()))
}

/// Bytes of an answer that are read.
const MOST_ANSWER: usize = 64 << 10;

/// An error without the address, which is the secret.
pub(super) fn told(error: reqwest::Error) -> String {
    let error = error.without_url();
    let mut text = error.to_string();
    let mut source = std::error::Error::source(&error);
    while let Some(cause) = source {
        let more = cause.to_string();
        if !text.contains(&more) {
            text.push_str(": ");
            text.push_str(&more);
        }
        source = cause.source();
    }
    text
}

/// Tells a watchman that a run ended, and how: silence is the alarm. `exit=CODE` is added to the URL.
///
/// # Errors
/// It was not heard; the watchman will miss it.
pub async fn heartbeat(url: &str, exit: u8) -> Result<(), String> {
    let mut url = address(url)?;
    url.query_pairs_mut().append_pair("exit", &exit.to_string());
    let http = client()?;
    let mut waits = WAITS.iter();
    loop {
        let (why, again) = match http.get(url.clone()).send().await {
            Ok(response) if response.status().is_success() => return Ok(()),
            Ok(response) => {
                let status = response.status();
                (
                    format!("HTTP {}", status.as_u16()),
                    status.is_server_error(),
                )
            }
            Err(why) => (told(why), true),
        };
        match waits.next().filter(|_| again) {
            Some(wait) => tokio::time::sleep(*wait).await,
            None => return Err(why),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_message_is_cut_between_characters_and_calls_nobody() {
        let long = "安".repeat(1000);
        let said = Said {
            text: &long,
            run: "",
            schedule: "weekly",
            ending: "complete",
        };
        let cut = body(Kind::Wecom, &said);
        let value: serde_json::Value = serde_json::from_str(&cut).expect("JSON");
        let text = value["text"]["content"].as_str().expect("text");
        assert!(
            text.len() <= MOST_TEXT && text.ends_with("..."),
            "{}",
            text.len()
        );
        let calls = Said {
            text: "<!channel> a&b",
            ..said
        };
        assert_eq!(
            body(Kind::Slack, &calls),
            r#"{"text":"&lt;!channel&gt; a&amp;b"}"#
        );
    }

    #[test]
    fn an_address_is_a_secret_and_goes_over_tls() {
        assert!(address("https://oapi.dingtalk.com/robot/send?access_token=s3cret\n").is_ok());
        assert!(address("http://127.0.0.1:1/x").is_ok());
        for bad in [
            "http://example.com/s3cret",
            "s3cret",
            "ftp://example.com/s3cret",
        ] {
            let why = address(bad).expect_err(bad);
            assert!(!why.contains("s3cret"), "{why}");
        }
    }
}
