//! Health and readiness over HTTP, for whoever watches the daemon from outside.
//!
//! | path | 200 | 503 |
//! | --- | --- | --- |
//! | `/healthz` | the daemon looks at its schedules every second | it has not for half a minute |
//! | `/readyz` | it starts runs at their times | it stops, its folder cannot be read, or it is not known whether its state is still its own |
//!
//! Both answer the same JSON: every schedule with its next time, its last run and what is wrong with it.

use bytes::Bytes;
use chrono::{DateTime, Utc};
use http_body_util::Full;
use hyper::service::service_fn;
use hyper::{Method, Request, Response, StatusCode, body::Incoming, header};
use hyper_util::rt::TokioIo;
use serde::Serialize;
use std::convert::Infallible;
use std::net::SocketAddr;
use std::time::Duration;
use tokio::net::TcpListener;
use tokio::sync::watch;
use tokio::time::Instant;

/// The daemon looks every second; half a minute without a look is not a slow disk any more.
const SILENT: Duration = Duration::from_secs(30);

/// How the daemon is.
#[derive(Clone, Debug)]
pub struct Health {
    /// When it looked last.
    pub looked: Instant,
    /// Why it starts no runs, where it does not.
    pub not_ready: Option<String>,
    /// What it knows of its schedules.
    pub schedules: Vec<ScheduleHealth>,
}

/// One schedule.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct ScheduleHealth {
    /// Its name.
    pub name: String,
    /// When it is due next; in the past: it waits for its turn.
    pub next: Option<DateTime<Utc>>,
    /// Whether it runs now.
    pub running: bool,
    /// The last run that ended: when it was due and ended, its exit code, its id.
    pub last: Option<crate::model::LastFire>,
    /// What is wrong with its file.
    pub problem: Option<String>,
}

impl Default for Health {
    fn default() -> Self {
        Self {
            looked: Instant::now(),
            not_ready: Some("starting".to_owned()),
            schedules: Vec::new(),
        }
    }
}

/// Serves until it is dropped.
///
/// # Errors
/// The address cannot be listened on.
pub async fn serve(
    address: SocketAddr,
    health: watch::Receiver<Health>,
) -> std::io::Result<(SocketAddr, impl Future<Output = ()>)> {
    let listener = TcpListener::bind(address).await?;
    let bound = listener.local_addr()?;
    let serving = async move {
        loop {
            let Ok((stream, _)) = listener.accept().await else {
                // Out of descriptors, most likely: not a reason to spin.
                tokio::time::sleep(Duration::from_millis(100)).await;
                continue;
            };
            let health = health.clone();
            tokio::spawn(async move {
                let answer = service_fn(move |request: Request<Incoming>| {
                    let answer = answer(&request, &health.borrow());
                    async move { Ok::<_, Infallible>(answer) }
                });
                let connection = hyper::server::conn::http1::Builder::new()
                    .keep_alive(false)
                    .serve_connection(TokioIo::new(stream), answer);
                // Nobody who asks for health takes longer.
                let _ = tokio::time::timeout(Duration::from_secs(10), connection).await;
            });
        }
    };
    Ok((bound, serving))
}

fn answer(request: &Request<Incoming>, health: &Health) -> Response<Full<Bytes>> {
    if !matches!(*request.method(), Method::GET | Method::HEAD) {
        return reply(StatusCode::METHOD_NOT_ALLOWED, Bytes::new());
    }
    let silent = health.looked.elapsed() > SILENT;
    let problem = match request.uri().path() {
        "/healthz" => silent.then(|| "the daemon does not look at its schedules".to_owned()),
        "/readyz" if silent => Some("the daemon does not look at its schedules".to_owned()),
        "/readyz" => health.not_ready.clone(),
        _ => return reply(StatusCode::NOT_FOUND, Bytes::new()),
    };
    let status = if problem.is_none() {
        StatusCode::OK
    } else {
        StatusCode::SERVICE_UNAVAILABLE
    };
    let body = serde_json::json!({ "problem": problem, "schedules": health.schedules });
    reply(status, Bytes::from(format!("{body}\n")))
}

fn reply(status: StatusCode, body: Bytes) -> Response<Full<Bytes>> {
    let mut response = Response::new(Full::new(body));
    *response.status_mut() = status;
    let json = header::HeaderValue::from_static("application/json");
    response.headers_mut().insert(header::CONTENT_TYPE, json);
    response
}
