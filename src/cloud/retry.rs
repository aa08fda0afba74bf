//! What an answer means for the next attempt, and how long to wait. Pure.

use super::call::Effect;
use super::failure::Kind;
use super::settings::Limits;
use std::time::Duration;

/// What to do after an answer with an error in it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Reaction {
    /// Over the limit: wait and send again, reads and changes alike, since nothing was done.
    Throttled,
    /// The service is unwell or busy: reads are sent again; kind and whether a change was refused
    /// (`false`: unknown) where that is given up.
    Unwell {
        /// The kind when given up.
        kind: Kind,
        /// Whether the service said that it did nothing.
        refused: bool,
    },
    /// A nonce was used: reads are signed and sent again. Of a change somebody may have sent a copy.
    NonceUsed,
    /// Nothing helps.
    Fatal(Kind),
}

/// What an answer with status and code (empty where it has none) means.
///
/// Codes: help pages "Response results", "common error codes"; aliyun-python-sdk-core's tables; read 2026-08.
pub fn react(status: u16, code: &str) -> Reaction {
    if code.starts_with("Throttling") || code == "Rejected.Throttling" || status == 429 {
        return Reaction::Throttled;
    }
    let begins = |prefixes: &[&str]| {
        prefixes.iter().any(|prefix| {
            code.strip_prefix(prefix)
                .is_some_and(|rest| rest.is_empty() || rest.starts_with('.'))
        })
    };
    if code.is_empty() {
        return match status {
            500 | 502 | 503 | 504 => Reaction::Unwell {
                kind: Kind::Silent,
                refused: false,
            },
            _ => Reaction::Fatal(Kind::BadAnswer),
        };
    }
    if code == "InvalidTimeStamp.Expired" {
        return Reaction::Fatal(Kind::Clock {
            offset_seconds: None,
        });
    }
    if code == "SignatureNonceUsed" {
        return Reaction::NonceUsed;
    }
    if begins(&[
        "InvalidSecurityToken",
        "MissingSecurityToken",
        "InvalidAccessKeyId",
        "Forbidden.AccessKeyDisabled",
        "IncompleteSignature",
        "SignatureDoesNotMatch",
    ]) {
        return Reaction::Fatal(Kind::Credentials);
    }
    // KMS calls by that name what is not there (help page of GetSecretValue, HTTP 404; read 2026-11).
    if begins(&["Forbidden.ResourceNotFound", "Forbidden.KeyNotFound"]) {
        return Reaction::Fatal(Kind::NotFound);
    }
    if begins(&["Forbidden", "NoPermission", "Unauthorized", "AccessDenied"]) {
        return Reaction::Fatal(Kind::Forbidden);
    }
    if begins(&["OperationConflict", "LastTokenProcessing", "SystemBusy"]) {
        return Reaction::Unwell {
            kind: Kind::Service,
            refused: true,
        };
    }
    if begins(&["ServiceUnavailable", "InternalError", "UnknownError"])
        || matches!(status, 500 | 502 | 503 | 504)
    {
        return Reaction::Unwell {
            kind: Kind::Service,
            refused: false,
        };
    }
    if begins(&[
        "InvalidAction",
        "InvalidApi",
        "InvalidProduct",
        "InvalidVersion",
    ]) {
        return Reaction::Fatal(Kind::Service);
    }
    if code.ends_with(".NotFound") || code.starts_with("EntityNotExist") {
        return Reaction::Fatal(Kind::NotFound);
    }
    Reaction::Fatal(Kind::Service)
}

/// Whether the next attempt is allowed after silence. A change is sent again only where the first
/// never left.
pub fn may_resend(effect: Effect, sent: bool) -> bool {
    match effect {
        Effect::Read => true,
        Effect::Change => !sent,
    }
}

/// The wait before attempt `tries` + 1, half of it by chance; `random` is evenly spread over u64.
pub fn backoff(first: Duration, longest: Duration, tries: u32, random: u64) -> Duration {
    let doubled = first.saturating_mul(1_u32.checked_shl(tries).unwrap_or(u32::MAX));
    let half = doubled.min(longest) / 2;
    half.saturating_add(part(half, random))
}

/// That share of `whole` that `random` is of u64.
pub fn part(whole: Duration, random: u64) -> Duration {
    let nanos = u64::try_from(whole.as_nanos()).unwrap_or(u64::MAX);
    let share = (u128::from(nanos) * u128::from(random)) >> 64;
    Duration::from_nanos(u64::try_from(share).unwrap_or(nanos))
}

/// What the service asks us to wait: `x-acs-retry-after` in milliseconds (as the SDK reads it),
/// else `Retry-After` in seconds; capped.
pub fn asked_wait(
    acs_milliseconds: Option<&str>,
    seconds: Option<&str>,
    limits: &Limits,
) -> Option<Duration> {
    let number = |text: Option<&str>| text.and_then(|text| text.trim().parse::<u64>().ok());
    let wait = match (number(acs_milliseconds), number(seconds)) {
        (Some(milliseconds), _) => Duration::from_millis(milliseconds),
        (None, Some(seconds)) => Duration::from_secs(seconds),
        (None, None) => return None,
    };
    Some(wait.min(limits.retry_after_cap))
}

/// The wait after the `refusals`-th refusal in a row (from 1): growing, and from `throttle_patience`
/// on until the service's next window begins. `service_milliseconds` is the service's clock.
pub fn throttle_wait(
    refusals: u32,
    asked: Option<Duration>,
    service_milliseconds: u64,
    limits: &Limits,
    random: u64,
) -> Duration {
    if let Some(asked) = asked {
        let floor = limits.throttle_first_wait / 10;
        let wait = asked.max(floor);
        return wait.saturating_add(part(wait / 10, random));
    }
    if refusals < limits.throttle_patience {
        return backoff(
            limits.throttle_first_wait,
            limits.throttle_window / 6,
            refusals.saturating_sub(1),
            random,
        );
    }
    let window = u64::try_from(limits.throttle_window.as_millis())
        .unwrap_or(u64::MAX)
        .max(1);
    let left = window - service_milliseconds % window;
    // The jitter also covers the Date header, which knows whole seconds only.
    Duration::from_millis(left).saturating_add(part(limits.throttle_window / 20, random))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn codes() {
        let throttled = [(400, "Throttling.User"), (503, "Throttling"), (429, "")];
        for (status, code) in throttled {
            assert_eq!(react(status, code), Reaction::Throttled);
        }
        for (status, code, kind) in [
            (403, "Forbidden.RAM", Kind::Forbidden),
            (403, "NoPermission", Kind::Forbidden),
            (403, "Forbidden.NoPermission", Kind::Forbidden),
            (404, "Forbidden.ResourceNotFound", Kind::NotFound),
            (403, "Forbidden.AccessKeyDisabled", Kind::Credentials),
            (404, "InvalidAccessKeyId.NotFound", Kind::Credentials),
            (400, "InvalidSecurityToken.Expired", Kind::Credentials),
            (404, "InvalidSecurityGroupId.NotFound", Kind::NotFound),
            (404, "InvalidAction.NotFound", Kind::Service),
            (
                403,
                "InvalidOperation.ResourceManagedByCloudProduct",
                Kind::Service,
            ),
            (400, "MissingParameter.RegionId", Kind::Service),
            (403, "", Kind::BadAnswer),
            (302, "", Kind::BadAnswer),
        ] {
            assert_eq!(react(status, code), Reaction::Fatal(kind), "{code}");
        }
        assert!(matches!(
            react(503, "ServiceUnavailable"),
            Reaction::Unwell { .. }
        ));
        assert!(matches!(
            react(400, "UnknownError"),
            Reaction::Unwell { .. }
        ));
        assert!(matches!(
            react(502, ""),
            Reaction::Unwell {
                kind: Kind::Silent,
                ..
            }
        ));
    }

    #[test]
    fn waits_grow_and_then_meet_the_window() {
        let limits = Limits::default();
        let wait = |refusals, random| throttle_wait(refusals, None, 90_000, &limits, random);
        assert!(wait(1, u64::MAX) < Duration::from_secs(1));
        assert!(wait(1, 0) < wait(2, 0));
        assert!(wait(2, 0) < wait(3, 0));
        let persisting = wait(4, u64::MAX);
        assert!(persisting >= Duration::from_secs(30), "{persisting:?}");
        assert!(persisting <= Duration::from_secs(33), "{persisting:?}");
        let asked = asked_wait(Some("1500"), Some("7"), &limits);
        assert_eq!(asked, Some(Duration::from_millis(1500)));
        assert_eq!(
            asked_wait(None, Some("7"), &limits),
            Some(Duration::from_secs(7))
        );
        assert_eq!(
            asked_wait(Some("99999999"), None, &limits),
            Some(limits.retry_after_cap)
        );
        assert_eq!(asked_wait(Some("soon"), None, &limits), None);
        assert!(throttle_wait(9, asked, 0, &limits, 0) == Duration::from_millis(1500));
    }
}
