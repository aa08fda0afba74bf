//! The simulated cloud over HTTP: one endpoint for every service, whatever host a call names.
//!
//! A call goes through signature, action and version, parameters, region, permission, throttling,
//! faults, and then its action; the first that refuses answers. Every answer carries the server's
//! clock in `Date`.

use std::collections::BTreeMap;
use std::convert::Infallible;
use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::Bytes;
use chrono::{DateTime, Utc};
use http_body_util::{BodyExt, Limited};
use hyper::body::{Body, Frame, Incoming as HttpBody, SizeHint};
use hyper::header::{CONTENT_TYPE, DATE, HeaderValue};
use hyper::service::service_fn;
use hyper::{Request, Response, StatusCode};
use hyper_util::rt::TokioIo;
use tokio::net::TcpListener;
use tokio::task::{JoinHandle, JoinSet};

use super::actions::{self, Call, State};
use super::auth::{self, Incoming};
use super::faults::{Fault, Kind};
use super::wire::{Failure, Params, decode_pairs, xml_answer};
use super::world::World;

/// Largest body that is read; the service's own limit is below.
const MAX_BODY: usize = 4 << 20;

/// A limit on calls, counted as the service does: per account, region and action, in fixed minutes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Throttle {
    /// Calls let through in one minute.
    pub limit: u32,
    /// Length of that minute; shorter ones make tests quick.
    pub minute: Duration,
}

/// How to serve.
#[derive(Debug, Clone)]
pub struct Options {
    /// Where to listen; port 0 takes a free one.
    pub listen: SocketAddr,
    /// The server's clock less the true one.
    pub clock_offset: chrono::Duration,
    /// Refuse parameters that the reference does not list (the service ignores them).
    pub strict: bool,
    /// No limit where unset.
    pub throttle: Option<Throttle>,
    /// Added to every answer.
    pub latency: Duration,
    /// How long a session lasts, whatever was asked for; its Expiration says so. For tests that cannot
    /// wait 900 seconds.
    pub session_life: Option<chrono::Duration>,
}

impl Default for Options {
    fn default() -> Options {
        Options {
            listen: SocketAddr::from(([127, 0, 0, 1], 0)),
            clock_offset: chrono::Duration::zero(),
            strict: true,
            throttle: None,
            latency: Duration::ZERO,
            session_life: None,
        }
    }
}

/// An access key that the world knows.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Keys {
    /// `AccessKeyId`.
    pub access_key_id: String,
    /// Its secret; invented, it opens nothing.
    pub access_key_secret: String,
    /// Of a session only.
    pub security_token: Option<String>,
    /// Whose it is.
    pub account: String,
    /// What GetCallerIdentity answers.
    pub arn: String,
}

pub(super) struct Inner {
    state: Mutex<State>,
    options: Options,
    requests: AtomicU64,
}

impl Inner {
    pub(super) fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn now(&self) -> DateTime<Utc> {
        Utc::now() + self.options.clock_offset
    }
}

/// A running simulated cloud. It ends when this is dropped.
pub struct Cloud {
    inner: Arc<Inner>,
    address: SocketAddr,
    task: JoinHandle<()>,
}

impl Cloud {
    /// Listens and serves until dropped.
    ///
    /// # Errors
    /// Where the address cannot be listened on.
    pub async fn start(mut world: World, options: Options) -> std::io::Result<Cloud> {
        let listener = TcpListener::bind(options.listen).await?;
        let address = listener.local_addr()?;
        let mut state = State::default();
        for fault in std::mem::take(&mut world.faults) {
            state.faults.add(fault);
        }
        state.world = world;
        let inner = Arc::new(Inner {
            state: Mutex::new(state),
            options,
            requests: AtomicU64::new(1),
        });
        let task = tokio::spawn(accept(listener, Arc::clone(&inner)));
        Ok(Cloud {
            inner,
            address,
            task,
        })
    }

    /// `http://127.0.0.1:PORT`.
    pub fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    /// What the services beside it share with it.
    pub(super) fn shared(&self) -> Arc<Inner> {
        Arc::clone(&self.inner)
    }

    /// Every active key, in order of accounts and users; sessions are left out.
    pub fn keys(&self) -> Vec<Keys> {
        let state = self.inner.state();
        let mut keys = Vec::new();
        for account in state.world.accounts.values() {
            for user in &account.users {
                let arn = if user.root {
                    format!("acs:ram::{}:root", account.id)
                } else {
                    format!("acs:ram::{}:user/{}", account.id, user.name)
                };
                for key in user.keys.iter().filter(|k| k.active) {
                    keys.push(Keys {
                        access_key_id: key.id.clone(),
                        access_key_secret: key.secret.clone(),
                        security_token: None,
                        account: account.id.clone(),
                        arn: arn.clone(),
                    });
                }
            }
        }
        keys
    }

    /// Calls so far by action, refused ones too.
    pub fn calls(&self) -> BTreeMap<String, u64> {
        self.inner.state().calls.clone()
    }

    /// Calls so far of actions that change something, refused ones too.
    pub fn changing_calls(&self) -> u64 {
        self.inner.state().changing_calls
    }

    /// Looks at the world, or changes it behind everyone's back.
    pub fn with_world<R>(&self, f: impl FnOnce(&mut World) -> R) -> R {
        f(&mut self.inner.state().world)
    }

    /// Sets one more fault.
    pub fn add_fault(&self, fault: Fault) {
        self.inner.state().faults.add(fault);
    }

    /// Ends all faults.
    pub fn clear_faults(&self) {
        self.inner.state().faults.clear();
    }

    /// Ends the server and every connection.
    pub async fn stop(mut self) {
        self.task.abort();
        let _ = (&mut self.task).await;
    }
}

impl Drop for Cloud {
    fn drop(&mut self) {
        self.task.abort();
    }
}

async fn accept(listener: TcpListener, inner: Arc<Inner>) {
    // Connections end with this task: a JoinSet aborts what it holds.
    let mut connections = JoinSet::new();
    loop {
        let accepted = tokio::select! {
            accepted = listener.accept() => accepted,
            Some(_) = connections.join_next() => continue,
        };
        let Ok((stream, _)) = accepted else {
            // Out of file descriptors: those in use come free.
            tokio::time::sleep(Duration::from_millis(20)).await;
            continue;
        };
        let _ = stream.set_nodelay(true);
        let inner = Arc::clone(&inner);
        connections.spawn(async move {
            let service = service_fn(|request| serve(&inner, request));
            let _ = hyper::server::conn::http1::Builder::new()
                .keep_alive(true)
                .serve_connection(TokioIo::new(stream), service)
                .await;
        });
    }
}

/// The connection is closed without an answer.
#[derive(Debug)]
struct Dropped;

impl std::fmt::Display for Dropped {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("connection dropped on purpose")
    }
}

impl std::error::Error for Dropped {}

/// A body that may break off in the middle of what its length promised.
struct Reply {
    data: Option<Bytes>,
    promised: u64,
    /// When it breaks: a little later than its data, which hyper would not send otherwise.
    breaks: Option<Pin<Box<tokio::time::Sleep>>>,
}

impl Body for Reply {
    type Data = Bytes;
    type Error = Dropped;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Dropped>>> {
        if let Some(data) = self.data.take() {
            return Poll::Ready(Some(Ok(Frame::data(data))));
        }
        match &mut self.breaks {
            Some(breaks) => breaks.as_mut().poll(context).map(|()| Some(Err(Dropped))),
            None => Poll::Ready(None),
        }
    }

    fn is_end_stream(&self) -> bool {
        self.data.is_none() && self.breaks.is_none()
    }

    fn size_hint(&self) -> SizeHint {
        SizeHint::with_exact(self.promised)
    }
}

async fn serve(inner: &Inner, request: Request<HttpBody>) -> Result<Response<Reply>, Dropped> {
    let (parts, body) = request.into_parts();
    let body = Limited::new(body, MAX_BODY)
        .collect()
        .await
        .map_err(|_| Dropped)?
        .to_bytes();
    let headers: Vec<(String, String)> = parts
        .headers
        .iter()
        .map(|(name, value)| {
            let value = String::from_utf8_lossy(value.as_bytes()).into_owned();
            (name.as_str().to_owned(), value)
        })
        .collect();
    let query = parts.uri.query().unwrap_or_default();
    let outcome = answer(
        inner,
        parts.method.as_str(),
        parts.uri.path(),
        query,
        &headers,
        &body,
    );
    let wait = outcome.delay + inner.options.latency;
    if !wait.is_zero() {
        tokio::time::sleep(wait).await;
    }
    match outcome.end {
        End::Hang => match std::future::pending::<Infallible>().await {},
        End::Drop => Err(Dropped),
        End::Answer | End::Truncate => Ok(response(inner, outcome)),
    }
}

fn response(inner: &Inner, outcome: Outcome) -> Response<Reply> {
    let promised = outcome.body.len();
    let mut data = Bytes::from(outcome.body);
    let broken = matches!(outcome.end, End::Truncate);
    if broken {
        data.truncate(promised / 2);
    }
    let mut response = Response::new(Reply {
        data: (!data.is_empty()).then_some(data),
        promised: u64::try_from(promised).unwrap_or(u64::MAX),
        breaks: broken.then(|| Box::pin(tokio::time::sleep(Duration::from_millis(10)))),
    });
    *response.status_mut() =
        StatusCode::from_u16(outcome.status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
    let headers = response.headers_mut();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static(outcome.content_type));
    let date = inner.now().format("%a, %d %b %Y %H:%M:%S GMT").to_string();
    if let Ok(value) = HeaderValue::from_str(&date) {
        headers.insert(DATE, value);
    }
    if let Ok(value) = HeaderValue::from_str(&outcome.request_id) {
        headers.insert("x-acs-request-id", value);
    }
    response
}

enum End {
    Answer,
    Truncate,
    Drop,
    Hang,
}

struct Outcome {
    status: u16,
    content_type: &'static str,
    body: String,
    request_id: String,
    delay: Duration,
    end: End,
}

/// What the faults of a call make of it.
#[derive(Default)]
struct Struck {
    delay: Duration,
    kind: Option<Kind>,
}

fn answer(
    inner: &Inner,
    method: &str,
    path: &str,
    query: &str,
    headers: &[(String, String)],
    body: &Bytes,
) -> Outcome {
    let number = inner.requests.fetch_add(1, Ordering::Relaxed);
    let request_id = format!("51D0A11B-AA6F-4DC5-B3DB-{number:012X}");
    let header = |name: &str| headers.iter().find(|(n, _)| n == name);
    let host = header("host").map_or_else(String::new, |(_, v)| v.clone());
    let is_form = header("content-type")
        .is_some_and(|(_, v)| v.starts_with("application/x-www-form-urlencoded"));
    let pairs = decode_pairs(query).zip(if is_form {
        std::str::from_utf8(body).ok().and_then(decode_pairs)
    } else {
        Some(Vec::new())
    });
    let decoded = pairs.is_some();
    let (query, form) = pairs.unwrap_or_default();
    let incoming = Incoming {
        method,
        query: &query,
        form: &form,
        headers,
        body,
    };
    let v3 = incoming.is_v3();
    let name = if v3 {
        incoming.header("x-acs-action")
    } else {
        incoming.param("Action")
    };
    let action = name.unwrap_or_default().to_owned();
    let format = incoming.param("Format").unwrap_or_default();
    let xml = if v3 {
        incoming.header("accept").is_some_and(|a| a.contains("xml"))
    } else {
        !format.eq_ignore_ascii_case("json")
    };
    let spec = actions::find(&action);

    let mut state = inner.state();
    *state.calls.entry(action.clone()).or_default() += 1;
    if spec.is_some_and(|s| s.changes) {
        state.changing_calls += 1;
    }
    let mut struck = Struck::default();
    let result = if !decoded {
        Err(Failure::bad(
            "InvalidParameter",
            "The request is not percent-encoded UTF-8.",
        ))
    } else if path != "/" {
        Err(Failure::new(
            404,
            "InvalidApi.NotFound",
            "Specified api is not found, RPC actions have the path /.",
        ))
    } else if !["GET", "POST"].contains(&method) {
        Err(Failure::new(
            405,
            "UnsupportedHTTPMethod",
            "The HTTP method is not supported.",
        ))
    } else {
        carry_out(
            inner,
            &mut state,
            &incoming,
            spec,
            &action,
            &request_id,
            &mut struck,
        )
    };
    drop(state);

    let product = spec.map_or("Ecs", |s| s.product);
    let mut outcome = Outcome {
        status: 200,
        content_type: if xml {
            "text/xml;charset=utf-8"
        } else {
            "application/json;charset=utf-8"
        },
        body: String::new(),
        request_id,
        delay: struck.delay,
        end: End::Answer,
    };
    match &result {
        Ok(json) if xml => outcome.body = xml_answer(&action, json),
        Ok(json) => outcome.body.clone_from(json),
        Err(failure) => {
            outcome.status = failure.status;
            outcome.body = if xml {
                failure.xml(&outcome.request_id, &host)
            } else {
                failure.json(&outcome.request_id, &host, product)
            };
        }
    }
    match struck.kind {
        Some(Kind::Hang) => outcome.end = End::Hang,
        Some(Kind::DropBefore | Kind::DropAfter) => outcome.end = End::Drop,
        Some(Kind::Truncate) => outcome.end = End::Truncate,
        Some(Kind::BadGateway) => {
            outcome.status = 502;
            outcome.content_type = "text/html";
            outcome.body = "<html>\r\n<head><title>502 Bad Gateway</title></head>\r\n<body>\r\n<center><h1>502 Bad Gateway</h1></center>\r\n</body>\r\n</html>\r\n".into();
        }
        _ => {}
    }
    outcome
}

fn carry_out(
    inner: &Inner,
    state: &mut State,
    incoming: &Incoming<'_>,
    spec: Option<&'static actions::Spec>,
    action: &str,
    request_id: &str,
    struck: &mut Struck,
) -> Result<String, Failure> {
    let now = inner.now();
    let State { world, nonces, .. } = &mut *state;
    let unsigned = incoming.header("authorization").is_none()
        && incoming.param("Signature").is_none()
        && action == "AssumeRoleWithOIDC";
    let caller = if unsigned {
        auth::Caller::nobody()
    } else {
        auth::authenticate(incoming, world, nonces, now)?
    };
    let spec = spec.ok_or_else(|| {
        Failure::new(
            404,
            "InvalidAction.NotFound",
            format!("Specified api {action} is not found, please check your url and method."),
        )
    })?;
    let v3 = incoming.is_v3();
    let version = if v3 {
        incoming.header("x-acs-version")
    } else {
        incoming.param("Version")
    };
    match version {
        None => return Err(Failure::missing("Version")),
        Some(version) if version != spec.version => {
            return Err(Failure::bad(
                "InvalidVersion",
                format!(
                    "Specified parameter Version {version} is not valid: {action} is of {}.",
                    spec.version
                ),
            ));
        }
        Some(_) => {}
    }
    let mut params = Params::new();
    for (name, value) in incoming.query.iter().chain(incoming.form) {
        params.entry(name.clone()).or_insert_with(|| value.clone());
    }
    let call = Call {
        spec,
        params: &params,
        caller: &caller,
        request_id,
        user_agent: incoming.header("user-agent").unwrap_or_default(),
        now,
        strict: inner.options.strict,
        host: incoming.header("host").unwrap_or_default(),
        session_life: inner.options.session_life,
    };
    if let Err(failure) = actions::admit(&call, state, v3) {
        actions::trail::record(&call, state, Some(&failure));
        return Err(failure);
    }
    if let Some(throttle) = inner.options.throttle
        && over(state, &call, throttle, now)
    {
        return Err(throttled());
    }
    let mut after = None;
    if let Some(fault) = state
        .faults
        .strike(call.aim(), |k| matches!(k, Kind::Delay(_)))
        && let Kind::Delay(delay) = fault.kind
    {
        struck.delay = delay;
    }
    let fault = state.faults.strike(call.aim(), |k| {
        k.is_of_call() && !matches!(k, Kind::Delay(_))
    });
    if let Some(fault) = fault {
        struck.kind = Some(fault.kind.clone());
        match fault.kind {
            Kind::Error {
                code,
                status,
                after: late,
            } => {
                let failure = Failure::new(status, &code, format!("{code}, on purpose"));
                if !late {
                    return Err(failure);
                }
                after = Some(failure);
            }
            Kind::Throttle => return Err(throttled()),
            Kind::Hang | Kind::DropBefore | Kind::BadGateway => return Ok(String::new()),
            _ => {}
        }
    }
    let answer = actions::run(&call, state);
    actions::trail::record(&call, state, answer.as_ref().err());
    let answer = answer?;
    match after {
        Some(failure) => Err(failure),
        None => Ok(answer),
    }
}

fn throttled() -> Failure {
    Failure::bad(
        "Throttling.User",
        "Request was denied due to user flow control.",
    )
}

fn over(state: &mut State, call: &Call<'_>, throttle: Throttle, now: DateTime<Utc>) -> bool {
    let length = i64::try_from(throttle.minute.as_millis())
        .unwrap_or(i64::MAX)
        .max(1);
    let minute = now.timestamp_millis().div_euclid(length);
    let key = (
        call.caller.account.clone(),
        call.region_id().to_owned(),
        call.spec.name,
    );
    let (counted, calls) = state.throttle.entry(key).or_insert((minute, 0));
    if *counted != minute {
        (*counted, *calls) = (minute, 0);
    }
    *calls = calls.saturating_add(1);
    *calls > throttle.limit
}
