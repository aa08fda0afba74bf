//! One call's way through its attempts: what went wrong with each, and whether there is a next.

use super::answer::{self, Envelope};
use super::call::{Client, Effect, Request};
use super::failure::{CallFailure, Fate, Kind, clock_advice, credentials_advice};
use super::pacing::{Pace, locked};
use super::retry::{self, Reaction};
use super::send::Unheard;
use super::settings::Limits;
use crate::model::RawAnswer;
use bytes::Bytes;
use chrono::Utc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;
use tokio::time::Instant;

/// What went wrong with one attempt.
pub(super) struct Trouble {
    pub(super) reaction: Reaction,
    pub(super) fate: Fate,
    pub(super) code: String,
    pub(super) message: String,
    pub(super) request_id: String,
    pub(super) status: Option<u16>,
    pub(super) advice: Option<String>,
    /// The wait the service asks for.
    pub(super) asked: Option<Duration>,
    /// No connection, and no host ever answered.
    pub(super) first_contact: bool,
    /// Whether the next attempt is allowed at all.
    pub(super) resend: bool,
    /// The answer could not be read: its retries are counted, not timed.
    pub(super) unreadable: bool,
}

impl Trouble {
    /// Others of this action and region were not answered, and none was since: not even sent.
    pub(super) fn silenced() -> Self {
        Self {
            reaction: Reaction::Fatal(Kind::Silent),
            code: "timeout".to_owned(),
            ..Self::local(
                "not sent: calls of this action in this region are not answered".to_owned(),
            )
        }
    }

    /// Something that never left this machine.
    pub(super) fn local(message: String) -> Self {
        Self {
            reaction: Reaction::Fatal(Kind::Connect),
            fate: Fate::NotSent,
            code: "request".to_owned(),
            message,
            request_id: String::new(),
            status: None,
            advice: None,
            asked: None,
            first_contact: false,
            resend: false,
            unreadable: false,
        }
    }

    /// There are no keys to sign with any more.
    pub(super) fn no_keys(message: String) -> Self {
        Self {
            reaction: Reaction::Fatal(Kind::Credentials),
            code: "credentials".to_owned(),
            ..Self::local(message)
        }
    }

    /// A listing that would never end.
    pub(super) fn paging(message: String) -> Self {
        Self {
            reaction: Reaction::Fatal(Kind::BadAnswer),
            code: "paging-loop".to_owned(),
            ..Self::local(message)
        }
    }

    /// A session's keys are refused: others may be had. `ends`: these are of a session; one without a token
    /// is refused by its key.
    pub(super) fn is_of_session(&self, ends: bool) -> bool {
        self.reaction == Reaction::Fatal(Kind::Credentials)
            && (self.code.starts_with("InvalidSecurityToken")
                || (ends && self.code == "InvalidAccessKeyId.NotFound"))
    }

    pub(super) fn clock(&mut self, offset: Option<i64>, allowed: u64, success: bool) {
        self.reaction = Reaction::Fatal(Kind::Clock {
            offset_seconds: offset,
        });
        self.fate = if success {
            Fate::Unknown
        } else {
            Fate::Refused
        };
        if self.code.is_empty() {
            self.code = "clock".to_owned();
        }
        if self.message.is_empty() {
            self.message = "our clock and the service's are too far apart".to_owned();
        }
        self.advice = Some(clock_advice(offset, allowed));
    }

    pub(super) fn unreadable(&mut self, message: String) {
        self.code = "bad-answer".to_owned();
        self.message = format!("the answer cannot be read: {message}");
        self.reaction = Reaction::Unwell {
            kind: Kind::BadAnswer,
            refused: false,
        };
        self.resend = true;
        self.unreadable = true;
    }

    /// Reads an answer with an error's status.
    pub(super) fn react(
        &mut self,
        envelope: &Envelope,
        body: &Bytes,
        request: &Request,
        string_to_sign: &str,
    ) {
        let status = self.status.unwrap_or(0);
        self.reaction = retry::react(status, &envelope.code);
        self.resend = true;
        if self.code.is_empty() {
            self.code = format!("http-{status}");
            self.message = format!(
                "HTTP {status} without an error of the service: {}",
                answer::beginning(body)
            );
        } else if self.message.is_empty() {
            self.message = format!("HTTP {status}, no message");
        }
        self.fate = match self.reaction {
            Reaction::Throttled => Fate::Refused,
            Reaction::Unwell { refused: true, .. } => Fate::Refused,
            Reaction::Unwell { refused: false, .. } | Reaction::NonceUsed => Fate::Unknown,
            Reaction::Fatal(Kind::BadAnswer) => Fate::Unknown,
            Reaction::Fatal(_) => Fate::Refused,
        };
        self.advice = match self.reaction {
            Reaction::Fatal(Kind::Forbidden) if self.code.starts_with("Forbidden.RiskControl") => {
                Some("the account is blocked: ask Alibaba Cloud".to_owned())
            }
            Reaction::Fatal(Kind::Forbidden) => Some(match request.ram() {
                Some(ram) => format!("grant {ram} to the identity that asks"),
                None => "the account, or whom this asks for, does not allow it".to_owned(),
            }),
            Reaction::Fatal(Kind::Credentials) => Some(credentials_advice(
                &self.code,
                &self.message,
                string_to_sign,
            )),
            Reaction::Fatal(Kind::BadAnswer) => {
                Some("a proxy may stand between: see HTTPS_PROXY, or the endpoint".to_owned())
            }
            Reaction::Throttled
            | Reaction::Unwell { .. }
            | Reaction::NonceUsed
            | Reaction::Fatal(_) => None,
        };
    }
}

/// One call's way through its attempts.
pub(super) struct Course<'a> {
    pub(super) request: &'a Request,
    pub(super) limits: &'a Limits,
    pub(super) contact: &'a AtomicBool,
    pub(super) offset: &'a Mutex<Option<i64>>,
    pub(super) base: String,
    pub(super) host: String,
    pub(super) pace: Arc<Pace>,
    pub(super) raws: Vec<RawAnswer>,
    pub(super) attempts: u32,
    /// Time spent in silence so far.
    pub(super) silence: Duration,
    pub(super) silences: u32,
    /// When the first refusal for throttling came.
    pub(super) throttled: Option<Instant>,
    pub(super) refusals: u32,
    pub(super) unreadables: u32,
    pub(super) nonces: u32,
    /// Whether the keys were renewed for it once.
    pub(super) renewed: bool,
}

impl<'a> Course<'a> {
    pub(super) fn new(client: &'a Client, request: &'a Request) -> Self {
        let (base, host) = client.place(request);
        Self {
            request,
            limits: &client.settings.limits,
            contact: &client.contact,
            offset: &client.offset,
            base,
            host,
            pace: client
                .pacing
                .of(request.account.as_str(), &request.region, &request.action),
            raws: Vec::new(),
            attempts: 0,
            silence: Duration::ZERO,
            silences: 0,
            throttled: None,
            refusals: 0,
            unreadables: 0,
            nonces: 0,
            renewed: false,
        }
    }

    /// The longest that the next attempt may take.
    pub(super) fn time_left(&self) -> Duration {
        let left = self.limits.silence_budget.saturating_sub(self.silence);
        left.max(Duration::from_millis(1))
    }

    pub(super) fn unheard(&self, unheard: &Unheard) -> Trouble {
        let kind = match (unheard.code, unheard.sent) {
            ("too-large", _) => Kind::BadAnswer,
            (_, true) => Kind::Silent,
            (_, false) => Kind::Connect,
        };
        let contact = self.contact.load(Ordering::Relaxed);
        Trouble {
            reaction: if unheard.transient {
                Reaction::Unwell {
                    kind,
                    refused: false,
                }
            } else {
                Reaction::Fatal(kind)
            },
            fate: if unheard.sent {
                Fate::Unknown
            } else {
                Fate::NotSent
            },
            code: unheard.code.to_owned(),
            message: unheard.message.clone(),
            request_id: String::new(),
            status: None,
            advice: match unheard.code {
                "connect" => Some(
                    "check the network, the region's host, HTTPS_PROXY and NO_PROXY".to_owned(),
                ),
                "certificate" => Some(
                    "the host is not trusted: behind a proxy that opens TLS, name its \
                     certificate in SSL_CERT_FILE"
                        .to_owned(),
                ),
                _ => None,
            },
            asked: None,
            first_contact: kind == Kind::Connect && !contact,
            resend: retry::may_resend(self.request.effect, unheard.sent),
            unreadable: false,
        }
    }

    /// The wait before the next attempt; `None`: it is given up.
    pub(super) fn next(&mut self, trouble: &Trouble, sent: Instant) -> Option<Duration> {
        // A day without randomness is a day without jitter: the nonce errs before.
        let random = getrandom::u64().unwrap_or(u64::MAX / 2);
        let unwell = matches!(trouble.reaction, Reaction::Unwell { .. });
        if trouble.status.is_some() && !unwell {
            self.pace.heard();
        }
        match trouble.reaction {
            Reaction::Fatal(_) => None,
            Reaction::NonceUsed => {
                self.nonces += 1;
                (self.request.effect == Effect::Read && self.nonces <= 3).then_some(Duration::ZERO)
            }
            Reaction::Throttled => self.next_throttled(trouble, sent, random),
            Reaction::Unwell { .. } => {
                let allowed = match self.request.effect {
                    Effect::Read => trouble.resend,
                    // Of the answered ones no change is sent again.
                    Effect::Change => trouble.resend && trouble.status.is_none(),
                };
                if !allowed {
                    return None;
                }
                if trouble.unreadable {
                    self.unreadables += 1;
                    if self.unreadables > self.limits.bad_answers {
                        return None;
                    }
                }
                let wait = retry::backoff(
                    self.limits.silence_first_wait,
                    self.limits.silence_longest_wait,
                    self.silences,
                    random,
                )
                .max(trouble.asked.unwrap_or(Duration::ZERO));
                self.silences = self.silences.saturating_add(1);
                let budget = if trouble.first_contact {
                    self.limits.first_contact.min(self.limits.silence_budget)
                } else {
                    self.limits.silence_budget
                };
                let spent = self.silence + sent.elapsed() + wait;
                if spent >= budget || self.pace.is_silent() {
                    self.pace.give_up_silent();
                    return None;
                }
                Some(wait)
            }
        }
    }

    pub(super) fn next_throttled(
        &mut self,
        trouble: &Trouble,
        sent: Instant,
        random: u64,
    ) -> Option<Duration> {
        self.pace.refused(sent, self.limits);
        self.refusals = self.refusals.saturating_add(1);
        let since = *self.throttled.get_or_insert(sent);
        let offset = locked(self.offset).unwrap_or(0);
        let service = Utc::now()
            .timestamp_millis()
            .saturating_sub(offset.saturating_mul(1000));
        let service = u64::try_from(service).unwrap_or(0);
        let wait = retry::throttle_wait(self.refusals, trouble.asked, service, self.limits, random);
        if self.pace.is_hopeless() || since.elapsed() + wait > self.limits.throttle_budget {
            self.pace.give_up();
            return None;
        }
        if self.refusals >= self.limits.throttle_patience {
            self.pace.block(since, Instant::now() + wait);
        }
        Some(wait)
    }

    /// Books what an attempt and the wait after it took.
    pub(super) fn waited(&mut self, trouble: &Trouble, took: Duration) {
        if let Reaction::Unwell { .. } = trouble.reaction {
            self.silence += took;
        }
    }

    pub(super) fn fail(self, trouble: Trouble) -> Box<CallFailure> {
        let kind = match trouble.reaction {
            Reaction::Throttled => Kind::Throttled,
            Reaction::Unwell { kind, .. } | Reaction::Fatal(kind) => kind,
            Reaction::NonceUsed => Kind::Service,
        };
        let (message, advice) = match (kind, self.throttled) {
            (Kind::Throttled, since) => (
                format!(
                    "throttled for {} s and given up: {}",
                    since.map_or(0, |since| since.elapsed().as_secs()),
                    trouble.message
                ),
                Some(
                    "the limit is the account's, shared by all that call it: run at another hour, \
                     or have it raised in Quota Center"
                        .to_owned(),
                ),
            ),
            _ => (trouble.message, trouble.advice),
        };
        Box::new(CallFailure {
            kind,
            fate: trouble.fate,
            code: trouble.code,
            message,
            request_id: trouble.request_id,
            action: self.request.action.clone(),
            ram: self.request.ram(),
            account: self.request.account.clone(),
            region: self.request.region.clone(),
            host: self.host,
            status: trouble.status,
            attempts: self.attempts,
            advice,
            answers: self.raws,
        })
    }
}
