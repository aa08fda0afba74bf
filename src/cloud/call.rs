//! One call, sent until it is answered, refused for good, or given up.
//!
//! `docs/calls.md` tells the rules; the decisions are in `retry.rs`, the waits between calls in `pacing.rs`.

use super::accounts::Sessions;
use super::answer;
use super::course::{Course, Trouble};
use super::credentials::{Credentials, Keyring};
use super::endpoint::{self, Service};
use super::failure::{CallFailure, Fate, Kind};
use super::pacing::{Pacing, locked};
use super::retry::{self, Reaction};
use super::send::{self, Heard};
use super::settings::Settings;
use super::sign;
use super::wire;
use crate::model::{AccountId, Identity, RawAnswer, actions};
use bytes::Bytes;
use chrono::Utc;
use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use tokio::sync::Semaphore;
use tokio::time::{Instant, sleep};

/// What a call does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Effect {
    /// It changes nothing, and may be sent as often as need be.
    Read,
    /// It changes something: it is sent again only where it is certain that nothing was done.
    Change,
}

/// A call to make.
#[derive(Clone, Debug)]
pub struct Request {
    /// Whose action.
    pub service: Service,
    /// Such as `DescribeSecurityGroups`.
    pub action: String,
    /// The account it speaks of, for evidence and counts; empty where it is not known yet.
    pub account: AccountId,
    /// The region, which decides the host; empty for calls that are not regional. `RegionId` is a
    /// parameter of its own.
    pub region: String,
    /// A host that the service itself named for the region; an implausible one is not used.
    pub host: Option<String>,
    /// The action's parameters, flattened.
    pub params: BTreeMap<String, String>,
    /// Whether it changes something.
    pub effect: Effect,
}

impl Request {
    /// The permission it needs.
    pub fn ram(&self) -> Option<String> {
        actions::permission(self.service.product(), &self.action)
    }

    /// Whether what it answers is a secret.
    fn is_for_a_secret(&self) -> bool {
        actions::find(self.service.product(), &self.action).is_some_and(|action| action.secret)
    }
}

/// A call that was answered.
#[derive(Clone, Debug)]
pub struct Answer<T> {
    /// What the answer says.
    pub value: T,
    /// Every answer on the way, in order; the last is the one with the value.
    pub raws: Vec<RawAnswer>,
}

/// Why there is no client.
#[derive(Debug, thiserror::Error)]
pub enum ClientError {
    /// The endpoint is not one.
    #[error("the endpoint `{0}` is not a URL of scheme http or https with a host and nothing more")]
    Endpoint(String),
    /// The home region is not one.
    #[error("`{0}` is not a region's id")]
    Region(String),
    /// TLS or the proxy's settings.
    #[error("the HTTP client cannot be set up (roots of trust, proxy)")]
    Http(#[source] reqwest::Error),
}

/// The client. Cheap to share behind an `Arc`; one per set of keys.
pub struct Client {
    http: reqwest::Client,
    pub(super) settings: Settings,
    /// `http://127.0.0.1:8080`, without a slash at its end.
    base: Option<String>,
    pub(super) keys: Arc<Keyring>,
    pub(super) sessions: Sessions,
    in_flight: Semaphore,
    pub(super) pacing: Pacing,
    requests: Mutex<BTreeMap<(String, String), u64>>,
    pub(super) offset: Mutex<Option<i64>>,
    /// Whether any host ever answered.
    pub(super) contact: AtomicBool,
}

impl Client {
    /// Errs where the settings make no sense or TLS cannot be set up. `HTTPS_PROXY`, `NO_PROXY` and
    /// `SSL_CERT_FILE` of the process's environment count.
    pub fn new(settings: Settings, keys: impl Into<Keyring>) -> Result<Self, ClientError> {
        if !endpoint::plausible_region(&settings.home_region) {
            return Err(ClientError::Region(settings.home_region));
        }
        let base = settings.endpoint.as_deref().map(base_url).transpose()?;
        Ok(Self {
            http: send::http_client(&settings.limits).map_err(ClientError::Http)?,
            base,
            keys: Arc::new(keys.into()),
            sessions: Sessions::default(),
            in_flight: Semaphore::new(settings.max_in_flight.clamp(1, 10_000)),
            pacing: Pacing::default(),
            requests: Mutex::default(),
            offset: Mutex::default(),
            contact: AtomicBool::new(false),
            settings,
        })
    }

    /// Its own keys, with which it signs for its own account.
    pub fn keys(&self) -> &Keyring {
        &self.keys
    }

    /// The region of calls that are not regional.
    pub fn home_region(&self) -> &str {
        &self.settings.home_region
    }

    /// Our clock less the service's by its last `Date`, in seconds; `None` before the first.
    pub fn clock_offset(&self) -> Option<i64> {
        *locked(&self.offset)
    }

    /// Requests sent so far for an account's region, retries too.
    pub fn requests(&self, account: &AccountId, region: &str) -> u64 {
        let key = (account.as_str().to_owned(), region.to_owned());
        locked(&self.requests).get(&key).copied().unwrap_or(0)
    }

    /// Who we are, by GetCallerIdentity, which needs no permission.
    pub async fn caller_identity(&self) -> Result<Answer<Identity>, Box<CallFailure>> {
        let request = Request {
            service: Service::Sts,
            action: "GetCallerIdentity".to_owned(),
            account: AccountId::from(""),
            region: String::new(),
            host: None,
            params: BTreeMap::new(),
            effect: Effect::Read,
        };
        let decode = |body: &Bytes| wire::identity(body);
        let mut answer = self.call(&request, decode).await?;
        self.is_home(&answer.value.account);
        for raw in &mut answer.raws {
            raw.account = answer.value.account.clone();
        }
        Ok(answer)
    }

    /// Whether a host that the service named for a region would be called.
    pub fn takes_host(&self, host: &str) -> bool {
        self.base.is_some()
            || self.settings.network == super::settings::Network::Vpc
            || endpoint::plausible_ecs_host(host)
    }

    /// Whether a region's ActionTrail can be asked: every service is at the endpoint, or it has a host.
    pub(crate) fn has_actiontrail(&self, region: &str) -> bool {
        self.base.is_some() || endpoint::has_actiontrail(region)
    }

    /// The call's answer, read by `decode`. Retries are as `docs/calls.md` says; an answer that
    /// `decode` cannot read is asked for again where the call is a read.
    pub async fn call<T>(
        &self,
        request: &Request,
        decode: impl Fn(&Bytes) -> Result<T, wire::BadAnswer>,
    ) -> Result<Answer<T>, Box<CallFailure>> {
        self.call_with_form(request, &BTreeMap::new(), decode).await
    }

    /// The same with parameters in the body, where the action takes them there. They are not kept
    /// with the answers: such a parameter may be a token.
    pub async fn call_with_form<T>(
        &self,
        request: &Request,
        form: &BTreeMap<String, String>,
        decode: impl Fn(&Bytes) -> Result<T, wire::BadAnswer>,
    ) -> Result<Answer<T>, Box<CallFailure>> {
        let keyring = self.keyring(request).await?;
        let mut course = Course::new(self, request);
        let mut keys: Option<Credentials> = None;
        loop {
            course.pace.turn().await;
            if course.attempts == 0
                && !course
                    .pace
                    .may_go(Instant::now(), self.settings.limits.probe_gap)
            {
                return Err(course.fail(Trouble::silenced()));
            }
            let used = match keys.take() {
                Some(keys) => keys,
                None => match keyring.current().await {
                    Ok(keys) => keys,
                    Err(why) => return Err(course.fail(Trouble::no_keys(why.to_string()))),
                },
            };
            let within = course.time_left();
            let date = Utc::now().format("%Y-%m-%dT%H:%M:%SZ").to_string();
            let nonce = match nonce() {
                Ok(nonce) => nonce,
                Err(error) => return Err(course.fail(Trouble::local(error.to_string()))),
            };
            let signed = sign::sign(
                self.settings.signature,
                &sign::Unsigned {
                    host: &course.host,
                    action: &request.action,
                    version: request.service.version(),
                    params: &request.params,
                    form,
                    date: &date,
                    nonce: &nonce,
                },
                &used.key(),
            );
            let url = match reqwest::Url::parse(&format!("{}/?{}", course.base, signed.query)) {
                Ok(url) => url,
                Err(error) => return Err(course.fail(Trouble::local(error.to_string()))),
            };
            // The semaphore is never closed; without a permit the call just goes out.
            let permit = self.in_flight.acquire().await;
            course.attempts = course.attempts.saturating_add(1);
            self.count(request);
            let sent = Instant::now();
            let limits = &self.settings.limits;
            let heard = send::send(
                &self.http,
                url,
                &signed.headers,
                signed.body,
                limits,
                within,
            )
            .await;
            drop(permit);
            let trouble = match heard {
                Err(unheard) => Box::new(course.unheard(&unheard)),
                Ok(heard) => {
                    self.contact.store(true, Ordering::Relaxed);
                    match self.weigh(&mut course, heard, (&used, &signed.string_to_sign), &decode) {
                        Ok(value) => {
                            course.pace.answered(limits);
                            return Ok(Answer {
                                value,
                                raws: course.raws,
                            });
                        }
                        Err(trouble) => trouble,
                    }
                }
            };
            if trouble.is_of_session(keyring.expires().is_some()) && !course.renewed {
                // The gateway refuses such keys before anything is done: a change too is sent again.
                course.renewed = true;
                keys = keyring.instead_of(&used).await;
                if keys.is_some() {
                    continue;
                }
            }
            match course.next(&trouble, sent) {
                Some(wait) => {
                    tracing::debug!(
                        action = %request.action, region = %request.region, code = %trouble.code,
                        wait_ms = wait.as_millis(), attempts = course.attempts, "sending again"
                    );
                    sleep(wait).await;
                    course.waited(&trouble, sent.elapsed());
                }
                None => return Err(course.fail(*trouble)),
            }
        }
    }

    fn count(&self, request: &Request) {
        let key = (request.account.as_str().to_owned(), request.region.clone());
        let mut requests = locked(&self.requests);
        let count = requests.entry(key).or_insert(0);
        *count = count.saturating_add(1);
    }

    /// What an answer amounts to; it is kept whatever it is.
    fn weigh<T>(
        &self,
        course: &mut Course<'_>,
        heard: Heard,
        (used, string_to_sign): (&Credentials, &str),
        decode: &impl Fn(&Bytes) -> Result<T, wire::BadAnswer>,
    ) -> Result<T, Box<Trouble>> {
        let now = Utc::now();
        let offset = heard.date.map(|date| now.timestamp() - date);
        if offset.is_some() {
            *locked(&self.offset) = offset;
        }
        let success = (200..300).contains(&heard.status);
        let body = if success {
            heard.body
        } else {
            scrubbed(heard.body, used)
        };
        let envelope = answer::envelope(&body);
        // Made of a secret it is in nobody's hands but those of `decode`.
        let hidden = success && course.request.is_for_a_secret();
        course.raws.push(RawAnswer {
            time: now,
            account: course.request.account.clone(),
            region: course.request.region.clone(),
            action: course.request.action.clone(),
            params: course.request.params.clone(),
            status: heard.status,
            request_id: envelope.request_id.clone(),
            body: if hidden { Bytes::new() } else { body.clone() },
        });
        let asked = retry::asked_wait(
            heard.acs_retry_after.as_deref(),
            heard.retry_after.as_deref(),
            &self.settings.limits,
        );
        let allowed = self.settings.limits.clock.as_secs();
        let mut trouble = Box::new(Trouble {
            reaction: Reaction::Fatal(Kind::BadAnswer),
            fate: Fate::Unknown,
            code: envelope.code.clone(),
            message: envelope.message.clone(),
            request_id: envelope.request_id.clone(),
            status: Some(heard.status),
            advice: None,
            asked,
            first_contact: false,
            resend: false,
            unreadable: false,
        });
        if offset.is_some_and(|offset| offset.unsigned_abs() > allowed)
            && !(success && course.request.effect == Effect::Change)
        {
            trouble.clock(offset, allowed, success);
            return Err(trouble);
        }
        if success {
            let read = if envelope.is_object {
                decode(&body).map_err(|error| error.to_string())
            } else if hidden {
                Err("not a JSON object".to_owned())
            } else {
                Err(format!("not a JSON object: {}", answer::beginning(&body)))
            };
            return read.map_err(|message| {
                trouble.unreadable(message);
                trouble
            });
        }
        trouble.react(&envelope, &body, course.request, string_to_sign);
        if let Reaction::Fatal(Kind::Clock { .. }) = trouble.reaction {
            trouble.clock(offset, allowed, false);
        }
        Err(trouble)
    }
}

impl Client {
    /// Scheme and authority to send to, and the `Host` that is signed.
    pub(super) fn place(&self, request: &Request) -> (String, String) {
        if let Some(base) = &self.base {
            let host = base
                .split_once("://")
                .map_or(base.as_str(), |(_, host)| host);
            return (base.clone(), host.to_owned());
        }
        let named = request.host.as_deref().filter(|host| {
            self.settings.network == super::settings::Network::Public
                && request.service == Service::Ecs
                && endpoint::plausible_ecs_host(host)
        });
        let host = match named {
            Some(host) => host.to_owned(),
            None => endpoint::host(&self.settings, request.service, &request.region),
        };
        (format!("https://{host}"), host)
    }
}

/// Scheme, host and port of a configured endpoint, as the `Host` header will have them.
fn base_url(text: &str) -> Result<String, ClientError> {
    let wrong = || ClientError::Endpoint(text.to_owned());
    let full = if text.contains("://") {
        text.to_owned()
    } else {
        format!("https://{text}")
    };
    let url = reqwest::Url::parse(&full).map_err(|_| wrong())?;
    let bare = url.path() == "/"
        && url.query().is_none()
        && url.fragment().is_none()
        && url.username().is_empty()
        && url.password().is_none();
    let host = url.host_str().filter(|host| !host.is_empty());
    match (url.scheme(), host, bare) {
        (scheme @ ("http" | "https"), Some(host), true) => Ok(match url.port() {
            Some(port) => format!("{scheme}://{host}:{port}"),
            None => format!("{scheme}://{host}"),
        }),
        _ => Err(wrong()),
    }
}

/// 32 hexadecimal digits.
fn nonce() -> Result<String, getrandom::Error> {
    let mut bytes = [0_u8; 16];
    getrandom::fill(&mut bytes)?;
    Ok(sign::encode::hex(&bytes))
}

/// An error's body without our token and secret: with version 1 the service repeats the string to
/// sign, and the token is in it.
fn scrubbed(body: Bytes, credentials: &Credentials) -> Bytes {
    let key = credentials.key();
    let Ok(text) = std::str::from_utf8(&body) else {
        return body;
    };
    let mut clean: Option<String> = None;
    for secret in [Some(key.secret), key.token].into_iter().flatten() {
        let once = sign::encode::encoded(secret);
        let twice = sign::encode::encoded(&once);
        let slashed = secret.replace('/', "\\/");
        for form in [secret, &once, &twice, &slashed] {
            let now = clean.as_deref().unwrap_or(text);
            if now.contains(form) {
                clean = Some(now.replace(form, "***"));
            }
        }
    }
    match clean {
        Some(clean) => Bytes::from(clean),
        None => body,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn endpoints() {
        let base = |text: &str| base_url(text).ok();
        assert_eq!(
            base("http://127.0.0.1:8080").as_deref(),
            Some("http://127.0.0.1:8080")
        );
        assert_eq!(
            base("http://127.0.0.1:8080/").as_deref(),
            Some("http://127.0.0.1:8080")
        );
        assert_eq!(
            base("ecs.example:443").as_deref(),
            Some("https://ecs.example")
        );
        for bad in [
            "",
            "ftp://a",
            "http://",
            "http://a/b",
            "http://u:p@a",
            "http://a?b=c",
        ] {
            assert_eq!(base(bad), None, "{bad}");
        }
    }

    #[test]
    fn errors_do_not_keep_secrets() {
        let credentials = Credentials::new("id", "se/cret", Some("to+k/en")).expect("keys");
        let body = Bytes::from_static(b"to+k/en to%2Bk%2Fen to%252Bk%252Fen to+k\\/en se/cret");
        assert_eq!(
            scrubbed(body, &credentials).as_ref(),
            b"*** *** *** *** ***"
        );
    }
}
