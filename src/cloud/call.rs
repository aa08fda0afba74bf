//! One call: signed anew for each attempt, sent, retried where that is allowed, told what came of it.

use super::answer::{beginning, envelope};
use super::credentials::Credentials;
use super::endpoint::{self, Service, host};
use super::failure::{CallFailure, Fate, Kind, clock_advice, credentials_advice};
use super::pacing::{Pace, Pacing, locked};
use super::retry::{Reaction, asked_wait, backoff, may_resend, react, throttle_wait};
use super::send::{Reply, Sender, Trouble};
use super::settings::Settings;
use super::sign::{self, Unsigned};
use crate::model::{AccountId, Identity, RawAnswer};
use chrono::{DateTime, SecondsFormat, Utc};
use std::collections::BTreeMap;
use std::sync::Mutex;
use std::time::Duration;
use tokio::sync::Semaphore;
use tokio::time::Instant;

/// Whether a call changes anything: changes are sent again only where the first was not carried out.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Effect {
    /// Asks.
    Read,
    /// Changes.
    Change,
}

/// A call to make.
#[derive(Clone, Debug)]
pub struct Request {
    /// The service.
    pub service: Service,
    /// Such as `DescribeSecurityGroups`.
    pub action: String,
    /// Whose; empty where it is not known yet.
    pub account: AccountId,
    /// Where; empty for calls that are not regional.
    pub region: String,
    /// The action's own parameters.
    pub params: BTreeMap<String, String>,
    /// Whether it changes anything.
    pub effect: Effect,
}

/// A change of ECS to ask for.
#[derive(Clone, Debug)]
pub struct ChangeRequest {
    /// Whose.
    pub account: AccountId,
    /// Where.
    pub region: crate::model::RegionId,
    /// Such as `RevokeSecurityGroup`.
    pub action: String,
    /// Its parameters.
    pub params: BTreeMap<String, String>,
}

/// An answer that did what was asked.
#[derive(Clone, Debug)]
pub struct Answer {
    /// It.
    pub raw: RawAnswer,
    /// Answers of attempts before it.
    pub earlier: Vec<RawAnswer>,
}

impl Answer {
    /// All answers, in order.
    pub fn into_answers(self) -> Vec<RawAnswer> {
        let mut all = self.earlier;
        all.push(self.raw);
        all
    }
}

/// The client.
#[derive(Debug)]
pub struct Client {
    settings: Settings,
    credentials: Credentials,
    sender: Sender,
    pacing: Pacing,
    permits: Semaphore,
    known: Mutex<Known>,
}

/// What is learnt on the way.
#[derive(Debug, Default)]
struct Known {
    /// Our clock less the service's, seconds.
    clock: Option<i64>,
    /// Some host has answered.
    contacted: bool,
    /// Requests sent, by account and region.
    requests: BTreeMap<(String, String), u64>,
    /// Hosts of regions, by DescribeRegions.
    hosts: BTreeMap<String, String>,
}

/// A client that could not be made.
#[derive(Debug, thiserror::Error)]
pub enum NewClientError {
    /// The TLS roots, a proxy's URL or the like.
    #[error("the HTTP client could not be made; check SSL_CERT_FILE and HTTPS_PROXY")]
    Http(#[from] reqwest::Error),
}

/// How one attempt after another went.
struct Course {
    begun: Instant,
    attempts: u32,
    answers: Vec<RawAnswer>,
    silent_since: Option<Instant>,
    silences: u32,
    throttled_since: Option<Instant>,
    refusals: u32,
    bad: u32,
    nonces: u32,
    string_to_sign: String,
}

impl Client {
    /// A client with these keys.
    ///
    /// # Errors
    /// The TLS roots or a proxy's URL cannot be read.
    pub fn new(settings: Settings, credentials: Credentials) -> Result<Self, NewClientError> {
        let sender = Sender::new(&settings)?;
        Ok(Self {
            permits: Semaphore::new(settings.max_in_flight.max(1)),
            settings,
            credentials,
            sender,
            pacing: Pacing::default(),
            known: Mutex::default(),
        })
    }

    /// Our clock less the service's, in seconds, by the last answer's `Date`.
    pub fn clock_offset(&self) -> Option<i64> {
        locked(&self.known).clock
    }

    /// Requests sent for an account's region so far, retries too.
    pub fn requests(&self, account: &str, region: &str) -> u64 {
        let key = (account.to_owned(), region.to_owned());
        locked(&self.known).requests.get(&key).copied().unwrap_or(0)
    }

    /// Keeps the host that DescribeRegions gives for a region; `false` where it is not one that may
    /// get our signature.
    pub fn learn_host(&self, region: &str, host: &str) -> bool {
        if host.is_empty() || self.settings.network == super::Network::Vpc {
            return true;
        }
        if !endpoint::plausible_ecs_host(host) {
            return false;
        }
        locked(&self.known)
            .hosts
            .insert(region.to_owned(), host.to_owned());
        true
    }

    /// Asks who we are. The answer's account is filled in.
    ///
    /// # Errors
    /// No answer, or the keys are wrong.
    pub async fn caller_identity(&self) -> Result<(Identity, RawAnswer), Box<CallFailure>> {
        let request = Request {
            service: Service::Sts,
            action: "GetCallerIdentity".to_owned(),
            account: AccountId::new(""),
            region: String::new(),
            params: BTreeMap::new(),
            effect: Effect::Read,
        };
        let mut answer = self.call(&request).await?;
        match super::wire::identity(&answer.raw.body) {
            Ok(identity) => {
                answer.raw.account = identity.account.clone();
                Ok((identity, answer.raw))
            }
            Err(why) => Err(self.bad_answer(&request, answer, &why.to_string())),
        }
    }

    /// Asks for a change of ECS.
    ///
    /// # Errors
    /// `fate` of the failure says whether it can have been carried out.
    pub async fn change(&self, change: &ChangeRequest) -> Result<RawAnswer, Box<CallFailure>> {
        let request = Request {
            service: Service::Ecs,
            action: change.action.clone(),
            account: change.account.clone(),
            region: change.region.as_str().to_owned(),
            params: change.params.clone(),
            effect: Effect::Change,
        };
        self.call(&request).await.map(|answer| answer.raw)
    }

    /// A failure for an answer that came and cannot be understood.
    pub fn bad_answer(&self, request: &Request, answer: Answer, why: &str) -> Box<CallFailure> {
        let raw = &answer.raw;
        Box::new(CallFailure {
            kind: Kind::BadAnswer,
            fate: Fate::Unknown,
            code: "bad-answer".to_owned(),
            message: format!("the answer is not one of this action: {why}"),
            request_id: raw.request_id.clone(),
            action: request.action.clone(),
            ram_prefix: request.service.ram_prefix(),
            account: request.account.clone(),
            region: request.region.clone(),
            host: self.host_of(request),
            status: Some(raw.status),
            attempts: 1,
            advice: None,
            answers: answer.into_answers(),
        })
    }

    fn host_of(&self, request: &Request) -> String {
        if request.service == Service::Ecs
            && let Some(known) = locked(&self.known).hosts.get(&request.region)
        {
            return known.clone();
        }
        host(&self.settings, request.service, &request.region)
    }

    /// Makes a call, retried as `docs/calls.md` tells.
    ///
    /// # Errors
    /// It failed for good; every answer on the way is in the failure.
    pub async fn call(&self, request: &Request) -> Result<Answer, Box<CallFailure>> {
        let region = &request.region;
        let pace = self
            .pacing
            .of(request.account.as_str(), region, &request.action);
        let host = self.host_of(request);
        let mut course = Course {
            begun: Instant::now(),
            attempts: 0,
            answers: Vec::new(),
            silent_since: None,
            silences: 0,
            throttled_since: None,
            refusals: 0,
            bad: 0,
            nonces: 0,
            string_to_sign: String::new(),
        };
        loop {
            pace.turn().await;
            let sent_at = Instant::now();
            let outcome = {
                // Closed never: the semaphore lives as long as the client.
                let _permit = self.permits.acquire().await;
                self.attempt(request, &host, &mut course).await
            };
            match outcome {
                Ok(reply) => {
                    pace.heard();
                    course.silent_since = None;
                    if let Some(answer) = self
                        .heed(request, &host, &pace, sent_at, reply, &mut course)
                        .await?
                    {
                        return Ok(answer);
                    }
                }
                Err(trouble) => {
                    self.endure(request, &host, &pace, sent_at, &trouble, &mut course)
                        .await?;
                }
            }
        }
    }

    async fn attempt(
        &self,
        request: &Request,
        host: &str,
        course: &mut Course,
    ) -> Result<Reply, Trouble> {
        let (base, authority) = self.sender.target(&self.settings, host);
        let date = Utc::now().to_rfc3339_opts(SecondsFormat::Secs, true);
        let nonce = nonce().map_err(|why| Trouble {
            code: "no-random-numbers",
            message: why,
            sent: false,
            connect: false,
        })?;
        let unsigned = Unsigned {
            host: &authority,
            action: &request.action,
            version: request.service.version(),
            params: &request.params,
            date: &date,
            nonce: &nonce,
        };
        let signed = sign::sign(self.settings.signature, &unsigned, &self.credentials.key());
        course.attempts = course.attempts.saturating_add(1);
        course.string_to_sign.clone_from(&signed.string_to_sign);
        {
            let mut known = locked(&self.known);
            let key = (request.account.as_str().to_owned(), request.region.clone());
            let count = known.requests.entry(key).or_default();
            *count = count.saturating_add(1);
        }
        let left = self.budget_left(course);
        self.sender.send(&base, signed, left).await
    }

    /// How long one attempt may stay silent: never beyond what the call has left.
    fn budget_left(&self, course: &Course) -> Duration {
        let limits = &self.settings.limits;
        let used = course
            .silent_since
            .map(|since| since.elapsed())
            .unwrap_or_default();
        limits
            .whole_call
            .min(limits.silence_budget.saturating_sub(used))
            .max(Duration::from_millis(100))
    }

    /// An answer came: the one asked for, or a reason to wait (`Ok(None)`), or to stop.
    async fn heed(
        &self,
        request: &Request,
        host: &str,
        pace: &Pace,
        sent_at: Instant,
        reply: Reply,
        course: &mut Course,
    ) -> Result<Option<Answer>, Box<CallFailure>> {
        let limits = &self.settings.limits;
        let now = Utc::now();
        let offset = self.note_clock(reply.date, now);
        let said = envelope(&reply.body);
        let raw = RawAnswer {
            time: now,
            account: request.account.clone(),
            region: request.region.clone(),
            action: request.action.clone(),
            params: request.params.clone(),
            status: reply.status,
            request_id: said.request_id.clone(),
            body: reply.body,
        };
        let fail = |kind,
                    fate,
                    code: &str,
                    message: String,
                    advice: Option<String>,
                    course: &mut Course,
                    raw: RawAnswer| {
            let status = Some(raw.status);
            course.answers.push(raw);
            self.failure(
                request,
                host,
                kind,
                fate,
                code,
                message,
                &said.request_id,
                status,
                advice,
                course,
            )
        };
        if offset.is_some_and(|offset| offset.unsigned_abs() > limits.clock.as_secs()) {
            let advice = clock_advice(offset, limits.clock.as_secs());
            let kind = Kind::Clock {
                offset_seconds: offset,
            };
            let code = if said.code.is_empty() {
                "clock".to_owned()
            } else {
                said.code.clone()
            };
            let fate = if (200..300).contains(&raw.status) {
                Fate::Unknown
            } else {
                Fate::Refused
            };
            return Err(fail(
                kind,
                fate,
                &code,
                "the clocks disagree".to_owned(),
                Some(advice),
                course,
                raw,
            ));
        }
        if (200..300).contains(&raw.status) {
            if said.is_object {
                pace.answered(limits);
                return Ok(Some(Answer {
                    raw,
                    earlier: std::mem::take(&mut course.answers),
                }));
            }
            let message = format!("the answer is not JSON: {}", beginning(&raw.body));
            course.bad = course.bad.saturating_add(1);
            if request.effect == Effect::Change || course.bad > limits.bad_answers {
                return Err(fail(
                    Kind::BadAnswer,
                    Fate::Unknown,
                    "bad-answer",
                    message,
                    None,
                    course,
                    raw,
                ));
            }
            course.answers.push(raw);
            self.pause(
                limits.silence_first_wait,
                limits.silence_longest_wait,
                course.bad,
            )
            .await;
            return Ok(None);
        }
        let code = if said.code.is_empty() {
            format!("http-{}", raw.status)
        } else {
            said.code.clone()
        };
        let message = if said.message.is_empty() {
            beginning(&raw.body)
        } else {
            said.message.clone()
        };
        match react(raw.status, &said.code) {
            Reaction::Throttled => {
                course.refusals = course.refusals.saturating_add(1);
                pace.refused(sent_at, limits);
                let since = *course.throttled_since.get_or_insert(sent_at);
                let asked = asked_wait(
                    reply.acs_retry_after.as_deref(),
                    reply.retry_after.as_deref(),
                    limits,
                );
                let service_ms = reply
                    .date
                    .map_or_else(|| now.timestamp_millis(), |d| d.timestamp_millis());
                let wait = throttle_wait(
                    course.refusals,
                    asked,
                    u64::try_from(service_ms).unwrap_or(0),
                    limits,
                    random(),
                );
                if pace.is_hopeless()
                    || since.elapsed().saturating_add(wait) > limits.throttle_budget
                {
                    pace.give_up();
                    let told = format!(
                        "throttled for {} s, {} attempts: {message}",
                        since.elapsed().as_secs(),
                        course.attempts
                    );
                    let advice = "run at a quieter time, or ask for a higher quota in Quota Center"
                        .to_owned();
                    return Err(fail(
                        Kind::Throttled,
                        Fate::Refused,
                        &code,
                        told,
                        Some(advice),
                        course,
                        raw,
                    ));
                }
                course.answers.push(raw);
                if course.refusals >= limits.throttle_patience {
                    pace.block(since, Instant::now() + wait);
                }
                tokio::time::sleep(wait).await;
                Ok(None)
            }
            Reaction::Unwell { kind, refused } => {
                let fate = if refused {
                    Fate::Refused
                } else {
                    Fate::Unknown
                };
                let since = *course.silent_since.get_or_insert(sent_at);
                course.silences = course.silences.saturating_add(1);
                let over = since.elapsed() >= limits.silence_budget;
                // Unwell services answer: eight tries are the better part of a minute of back-off.
                if request.effect == Effect::Change || over || course.silences > 8 {
                    return Err(fail(kind, fate, &code, message, None, course, raw));
                }
                course.answers.push(raw);
                self.pause(
                    limits.silence_first_wait,
                    limits.silence_longest_wait,
                    course.silences,
                )
                .await;
                // Keep counting from the first one.
                course.silent_since = Some(since);
                Ok(None)
            }
            Reaction::NonceUsed => {
                course.nonces = course.nonces.saturating_add(1);
                if request.effect == Effect::Change || course.nonces > 3 {
                    return Err(fail(
                        Kind::Service,
                        Fate::Unknown,
                        &code,
                        message,
                        None,
                        course,
                        raw,
                    ));
                }
                course.answers.push(raw);
                Ok(None)
            }
            Reaction::Fatal(kind) => {
                let advice = match kind {
                    Kind::Clock { .. } => Some(clock_advice(offset, limits.clock.as_secs())),
                    Kind::Credentials => {
                        Some(credentials_advice(&code, &message, &course.string_to_sign))
                    }
                    Kind::Forbidden => Some(format!(
                        "grant this identity the RAM action {}:{}",
                        request.service.ram_prefix(),
                        request.action
                    )),
                    _ => None,
                };
                let kind = match kind {
                    Kind::Clock { .. } => Kind::Clock {
                        offset_seconds: offset,
                    },
                    other => other,
                };
                // Of what another host answered, nobody knows what it means.
                let fate = if kind == Kind::BadAnswer {
                    Fate::Unknown
                } else {
                    Fate::Refused
                };
                Err(fail(kind, fate, &code, message, advice, course, raw))
            }
        }
    }

    /// No answer came: wait for another attempt (`Ok`), or stop.
    async fn endure(
        &self,
        request: &Request,
        host: &str,
        pace: &Pace,
        sent_at: Instant,
        trouble: &Trouble,
        course: &mut Course,
    ) -> Result<(), Box<CallFailure>> {
        let limits = &self.settings.limits;
        let since = *course.silent_since.get_or_insert(sent_at);
        course.silences = course.silences.saturating_add(1);
        let contacted = locked(&self.known).contacted;
        let budget = if trouble.connect && !contacted {
            limits.first_contact
        } else {
            limits.silence_budget
        };
        let over = since.elapsed() >= budget || pace.is_silent();
        if over || !may_resend(request.effect, trouble.sent) {
            if over {
                pace.give_up_silent();
            }
            let kind = if trouble.connect {
                Kind::Connect
            } else {
                Kind::Silent
            };
            let fate = if trouble.sent {
                Fate::Unknown
            } else {
                Fate::NotSent
            };
            let advice = trouble.connect.then(|| {
                "check the endpoint, the network, the proxy (HTTPS_PROXY, NO_PROXY) and the roots (SSL_CERT_FILE)".to_owned()
            });
            return Err(self.failure(
                request,
                host,
                kind,
                fate,
                trouble.code,
                trouble.message.clone(),
                "",
                None,
                advice,
                course,
            ));
        }
        self.pause(
            limits.silence_first_wait,
            limits.silence_longest_wait,
            course.silences,
        )
        .await;
        Ok(())
    }

    async fn pause(&self, first: Duration, longest: Duration, tries: u32) {
        tokio::time::sleep(backoff(first, longest, tries.saturating_sub(1), random())).await;
    }

    fn note_clock(&self, date: Option<DateTime<Utc>>, now: DateTime<Utc>) -> Option<i64> {
        let mut known = locked(&self.known);
        known.contacted = true;
        let offset = date.map(|date| now.signed_duration_since(date).num_seconds());
        if offset.is_some() {
            known.clock = offset;
        }
        offset
    }

    #[expect(
        clippy::too_many_arguments,
        reason = "all that a person needs to know of a failure"
    )]
    fn failure(
        &self,
        request: &Request,
        host: &str,
        kind: Kind,
        fate: Fate,
        code: &str,
        message: String,
        request_id: &str,
        status: Option<u16>,
        advice: Option<String>,
        course: &mut Course,
    ) -> Box<CallFailure> {
        let (_, authority) = self.sender.target(&self.settings, host);
        tracing::debug!(action = %request.action, region = %request.region, code, elapsed = ?course.begun.elapsed(), "given up");
        Box::new(CallFailure {
            kind,
            fate,
            code: code.to_owned(),
            message,
            request_id: request_id.to_owned(),
            action: request.action.clone(),
            ram_prefix: request.service.ram_prefix(),
            account: request.account.clone(),
            region: request.region.clone(),
            host: authority,
            status,
            attempts: course.attempts,
            advice,
            answers: std::mem::take(&mut course.answers),
        })
    }
}

fn nonce() -> Result<String, String> {
    let mut bytes = [0u8; 16];
    getrandom::fill(&mut bytes).map_err(|why| format!("no random numbers: {why}"))?;
    Ok(sign::encode::hex(&bytes))
}

/// Evenly spread; only for jitter, so that no randomness is no failure.
fn random() -> u64 {
    let mut bytes = [0u8; 8];
    match getrandom::fill(&mut bytes) {
        Ok(()) => u64::from_le_bytes(bytes),
        Err(_) => u64::MAX / 2,
    }
}
