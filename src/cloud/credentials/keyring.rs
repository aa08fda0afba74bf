//! Keys that stay good for as long as a job takes: those of a session are renewed before they end.
//!
//! A session is renewed when a quarter of its life is left, 15 minutes at most, as the SDKs do it: a session
//! of 900 seconds would else be old at birth. One call renews, the others go on with
//! the keys at hand as long as those are valid; only when they have ended do all wait. A renewal that fails
//! while the keys are still valid is told and tried again soon; one that fails after is the calls' failure.

use super::{Context, CredentialSource, Credentials, Issued, SourceError};
use crate::cloud::pacing::locked;
use chrono::{DateTime, TimeDelta, Utc};
use std::sync::{Arc, Mutex};

/// Before its end by so much, and no earlier, a session is renewed (alibabacloud-credentials 1.0.12).
const STALE: TimeDelta = TimeDelta::minutes(15);
/// The longest wait between two tries while the keys at hand are still valid.
const LONGEST_PAUSE: TimeDelta = TimeDelta::seconds(60);
/// The shortest.
const SHORTEST_PAUSE: TimeDelta = TimeDelta::seconds(1);

/// Keys and the source that gives new ones.
pub struct Keyring {
    source: Option<(Arc<dyn CredentialSource>, Arc<Context>)>,
    held: Mutex<Held>,
    /// Held by whoever renews.
    flight: tokio::sync::Mutex<()>,
}

#[derive(Clone)]
struct Held {
    issued: Issued,
    /// When to renew, or to try again; `None`: never by the clock.
    next: Option<DateTime<Utc>>,
    /// Why the last try failed, where it did.
    failed: Option<String>,
}

impl From<Credentials> for Keyring {
    /// Keys as they are, never renewed.
    fn from(credentials: Credentials) -> Self {
        Self::new(Issued::lasting(credentials), None)
    }
}

impl std::fmt::Debug for Keyring {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let held = locked(&self.held);
        f.debug_struct("Keyring")
            .field("issued", &held.issued)
            .field("renewable", &self.source.is_some())
            .finish()
    }
}

impl Keyring {
    fn new(issued: Issued, source: Option<(Arc<dyn CredentialSource>, Arc<Context>)>) -> Self {
        let next = match (&source, issued.expires) {
            (Some((_, context)), Some(expires)) => Some(due((context.now)(), expires)),
            _ => None,
        };
        let held = Held {
            issued,
            next,
            failed: None,
        };
        Self {
            source,
            held: Mutex::new(held),
            flight: tokio::sync::Mutex::default(),
        }
    }

    /// Keys that a source gave, and gives again.
    pub fn renewed_by(
        issued: Issued,
        source: Arc<dyn CredentialSource>,
        context: Arc<Context>,
    ) -> Self {
        Self::new(issued, Some((source, context)))
    }

    /// The source's name; `None`: the keys were given as they are.
    pub fn source(&self) -> Option<String> {
        self.source.as_ref().map(|(source, _)| source.name())
    }

    /// The keys at hand, good or not.
    pub fn at_hand(&self) -> Credentials {
        locked(&self.held).issued.credentials.clone()
    }

    /// When they end; `None`: not known to.
    pub fn expires(&self) -> Option<DateTime<Utc>> {
        locked(&self.held).issued.expires
    }

    /// Keys to sign with now, renewed where it is time.
    ///
    /// # Errors
    /// They have ended and there are no new ones.
    pub async fn current(&self) -> Result<Credentials, SourceError> {
        let held = locked(&self.held).clone();
        let keys = held.issued.credentials;
        let (Some((_, context)), Some(expires)) = (&self.source, held.issued.expires) else {
            return Ok(keys);
        };
        let now = (context.now)();
        let valid = now < expires;
        if held.next.is_some_and(|next| now < next) {
            match &held.failed {
                // Thousands of calls may wait behind this one: not each of them tries.
                Some(why) if !valid => return Err(ended(expires, why)),
                Some(_) | None => return Ok(keys),
            }
        }
        let _flight = if valid {
            match self.flight.try_lock() {
                Ok(flight) => flight,
                Err(_) => return Ok(keys),
            }
        } else {
            self.flight.lock().await
        };
        if self.at_hand() != keys {
            // Somebody renewed them meanwhile.
            return Ok(self.at_hand());
        }
        match self.load().await {
            Ok(new) => Ok(new),
            Err(why) => {
                let now = (context.now)();
                {
                    let mut held = locked(&self.held);
                    held.next = Some(again(now, expires));
                    held.failed = Some(why.to_string());
                }
                if now < expires {
                    tracing::warn!(%why, %expires, "the session's keys could not be renewed yet");
                    return Ok(keys);
                }
                Err(ended(expires, &why.to_string()))
            }
        }
    }

    /// The service says that `used` are no longer good: others, where the source has them.
    pub async fn instead_of(&self, used: &Credentials) -> Option<Credentials> {
        self.source.as_ref()?;
        let _flight = self.flight.lock().await;
        let at_hand = self.at_hand();
        if at_hand != *used {
            return Some(at_hand);
        }
        match self.load().await {
            Ok(new) => (new != *used).then_some(new),
            Err(why) => {
                tracing::warn!(%why, "keys that the service refuses could not be renewed");
                None
            }
        }
    }

    async fn load(&self) -> Result<Credentials, SourceError> {
        let Some((source, context)) = &self.source else {
            return Ok(self.at_hand());
        };
        let issued = source.load(context).await?.ok_or_else(|| {
            SourceError::Broken(format!("{}: {}", source.name(), source.absent(context)))
        })?;
        tracing::info!(
            source = %source.name(), key = issued.credentials.access_key_id(), expires = ?issued.expires,
            "credentials renewed"
        );
        let keys = issued.credentials.clone();
        let now = (context.now)();
        let mut held = locked(&self.held);
        held.next = issued.expires.map(|expires| due(now, expires));
        held.issued = issued;
        held.failed = None;
        Ok(keys)
    }
}

/// When a session that was given now is renewed.
fn due(now: DateTime<Utc>, expires: DateTime<Utc>) -> DateTime<Utc> {
    let margin = (expires.signed_duration_since(now) / 4).min(STALE);
    expires.checked_sub_signed(margin).unwrap_or(expires)
}

/// When a renewal that failed is tried again: when half of what is left has gone, within a second and a
/// minute; after the end, a second later.
fn again(now: DateTime<Utc>, expires: DateTime<Utc>) -> DateTime<Utc> {
    let left = expires.signed_duration_since(now);
    let pause = (left / 2).clamp(SHORTEST_PAUSE, LONGEST_PAUSE);
    now.checked_add_signed(pause).unwrap_or(now)
}

fn ended(expires: DateTime<Utc>, why: &str) -> SourceError {
    SourceError::Broken(format!(
        "the session's keys ended at {expires} and could not be renewed: {why}"
    ))
}
