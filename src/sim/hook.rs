//! The receiving end of webhooks: a chat that takes messages in its own form only, and answers as the
//! real ones do. The path's first part says whose: `/dingtalk/...`; `/heartbeat` counts visits.

use std::convert::Infallible;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use bytes::Bytes;
use http_body_util::{BodyExt, Full, Limited};
use hyper::body::Incoming;
use hyper::service::service_fn;
use hyper::{Request, Response, StatusCode};
use hyper_util::rt::TokioIo;
use serde_json::{Value, json};
use tokio::net::TcpListener;
use tokio::task::{JoinHandle, JoinSet};

/// A message that was taken, or a visit.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Heard {
    /// Path and query.
    pub target: String,
    /// What was said; empty for a visit.
    pub text: String,
}

#[derive(Default)]
struct Inner {
    heard: Mutex<Vec<Heard>>,
    /// Answers to give in place of taking a message: how many, with which status.
    fail: Mutex<(u32, u16)>,
    /// Text that DingTalk, WeCom and Feishu messages must contain, as their keyword setting demands.
    keyword: Mutex<String>,
}

/// A running receiver. It ends when this is dropped.
pub struct Hook {
    inner: Arc<Inner>,
    url: String,
    task: JoinHandle<()>,
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Hook {
    /// Listens on a free port of this host.
    ///
    /// # Errors
    /// There is none.
    pub async fn start() -> std::io::Result<Hook> {
        let listener = TcpListener::bind(("127.0.0.1", 0)).await?;
        let url = format!("http://{}", listener.local_addr()?);
        let inner = Arc::new(Inner::default());
        let task = tokio::spawn(accept(listener, Arc::clone(&inner)));
        Ok(Hook { inner, url, task })
    }

    /// `http://127.0.0.1:PORT`.
    pub fn url(&self) -> &str {
        &self.url
    }

    /// What was taken so far.
    pub fn heard(&self) -> Vec<Heard> {
        lock(&self.inner.heard).clone()
    }

    /// Answers the next so many requests with that status.
    pub fn fail(&self, times: u32, status: u16) {
        *lock(&self.inner.fail) = (times, status);
    }

    /// Demands that messages contain a word.
    pub fn demand(&self, keyword: &str) {
        keyword.clone_into(&mut lock(&self.inner.keyword));
    }
}

impl Drop for Hook {
    fn drop(&mut self) {
        self.task.abort();
    }
}

async fn accept(listener: TcpListener, inner: Arc<Inner>) {
    let mut connections = JoinSet::new();
    while let Ok((stream, _)) = listener.accept().await {
        let inner = Arc::clone(&inner);
        connections.spawn(async move {
            let service = service_fn(|request| serve(&inner, request));
            let _ = hyper::server::conn::http1::Builder::new()
                .serve_connection(TokioIo::new(stream), service)
                .await;
        });
    }
}

async fn serve(
    inner: &Inner,
    request: Request<Incoming>,
) -> Result<Response<Full<Bytes>>, Infallible> {
    let (parts, body) = request.into_parts();
    let target = parts.uri.to_string();
    let bytes = match Limited::new(body, 64 << 10).collect().await {
        Ok(body) => body.to_bytes(),
        Err(_) => return Ok(answer(413, "too large")),
    };
    {
        let mut fail = lock(&inner.fail);
        if fail.0 > 0 {
            fail.0 -= 1;
            return Ok(answer(fail.1, "on purpose"));
        }
    }
    let who = target.trim_start_matches('/');
    let who = who.split(['/', '?']).next().unwrap_or_default();
    if who == "heartbeat" {
        lock(&inner.heard).push(Heard {
            target,
            text: String::new(),
        });
        return Ok(answer(200, "OK"));
    }
    if parts.method != "POST" {
        return Ok(answer(405, "POST only"));
    }
    let said: Value = serde_json::from_slice(&bytes).unwrap_or_default();
    let keyword = lock(&inner.keyword).clone();
    let (text, limit) = match who {
        "dingtalk" => (typed(&said, "msgtype", "text", "content"), 20_000),
        "wecom" => (typed(&said, "msgtype", "text", "content"), 2048),
        "feishu" => (
            (said.get("msg_type") == Some(&json!("text")))
                .then(|| inner_text(&said, "content", "text"))
                .flatten(),
            20_000,
        ),
        "slack" | "generic" => (
            said.get("text").and_then(Value::as_str).map(str::to_owned),
            40_000,
        ),
        _ => return Ok(answer(404, "no such hook")),
    };
    let demanding = matches!(who, "dingtalk" | "wecom" | "feishu");
    let refused = match &text {
        None => Some("malformed message"),
        Some(text) if text.is_empty() || text.len() > limit => Some("content size"),
        Some(text) if demanding && !text.contains(&keyword) => Some("keywords not in content"),
        Some(_) => None,
    };
    if let Some(why) = refused {
        // Chats refuse with HTTP 200 and a code; Slack with a status.
        return Ok(match who {
            "feishu" => answer(200, &json!({"code": 19024, "msg": why}).to_string()),
            "slack" | "generic" => answer(400, "invalid_payload"),
            _ => answer(200, &json!({"errcode": 310_000, "errmsg": why}).to_string()),
        });
    }
    lock(&inner.heard).push(Heard {
        target: target.clone(),
        text: text.unwrap_or_default(),
    });
    Ok(match who {
        "feishu" => answer(
            200,
            r#"{"StatusCode":0,"StatusMessage":"success","code":0,"data":{},"msg":"success"}"#,
        ),
        "slack" | "generic" => answer(200, "ok"),
        _ => answer(200, r#"{"errcode":0,"errmsg":"ok"}"#),
    })
}

fn typed(said: &Value, key: &str, word: &str, field: &str) -> Option<String> {
    (said.get(key) == Some(&json!(word)))
        .then(|| inner_text(said, word, field))
        .flatten()
}

fn inner_text(said: &Value, outer: &str, inner: &str) -> Option<String> {
    said.get(outer)?.get(inner)?.as_str().map(str::to_owned)
}

fn answer(status: u16, text: &str) -> Response<Full<Bytes>> {
    let mut response = Response::new(Full::new(Bytes::from(text.to_owned())));
    *response.status_mut() =
        StatusCode::from_u16(status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
    response
}
