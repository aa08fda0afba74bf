//! A call that failed for good, told so that a person knows what to do.

use crate::model::{AccountId, CallError, RawAnswer};
use std::fmt;

/// What kind of failure, by type and never by text.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// A permission is missing, or the account is blocked.
    Forbidden,
    /// Refused for throttling until the budget was used up.
    Throttled,
    /// Our clock and the service's are too far apart.
    Clock {
        /// Ours less the service's, in seconds; `None` where the service sent no date.
        offset_seconds: Option<i64>,
    },
    /// The keys are wrong, disabled or expired.
    Credentials,
    /// What was asked for does not exist.
    NotFound,
    /// No answer: a time-out, a broken connection, a gateway's 5xx.
    Silent,
    /// No connection.
    Connect,
    /// An answer that is not this service's.
    BadAnswer,
    /// The service refused, or failed, for another reason.
    Service,
}

/// Whether a change can have been carried out. Of a read it says nothing of use.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fate {
    /// It never left this machine.
    NotSent,
    /// The service answered that it refuses. Whether a batch was carried out in part is not known
    /// (no source says): read again.
    Refused,
    /// Nobody knows: read again.
    Unknown,
}

/// A call that failed for good.
#[derive(Clone, Debug)]
pub struct CallFailure {
    /// What kind.
    pub kind: Kind,
    /// Whether a change can have been carried out.
    pub fate: Fate,
    /// The service's `Code`; ours in lower case where there was no answer (`timeout`, `connect`, ...).
    pub code: String,
    /// The service's `Message`, or what happened.
    pub message: String,
    /// The service's request id, or empty.
    pub request_id: String,
    /// Such as `DescribeSecurityGroups`.
    pub action: String,
    /// The permission it needs, by the table of actions; `None` where it needs none.
    pub ram: Option<String>,
    /// Empty where it is not known yet.
    pub account: AccountId,
    /// Empty for calls that are not regional.
    pub region: String,
    /// The host called.
    pub host: String,
    /// The last HTTP status; `None` without an answer.
    pub status: Option<u16>,
    /// Requests sent.
    pub attempts: u32,
    /// What to do about it, where that is known.
    pub advice: Option<String>,
    /// Every answer on the way, for the evidence.
    pub answers: Vec<RawAnswer>,
}

impl CallFailure {
    /// What happened and what to do, without what was tried.
    pub fn reason(&self) -> String {
        match &self.advice {
            Some(advice) => format!("{}; {advice}", self.message),
            None => self.message.clone(),
        }
    }

    /// For coverage and reports.
    pub fn error(&self) -> CallError {
        CallError {
            code: self.code.clone(),
            message: self.reason(),
            request_id: self.request_id.clone(),
            action: self.action.clone(),
        }
    }
}

impl From<&CallFailure> for CallError {
    fn from(failure: &CallFailure) -> Self {
        failure.error()
    }
}

impl fmt::Display for CallFailure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.action)?;
        if !self.region.is_empty() {
            write!(f, " in {}", self.region)?;
        }
        if !self.account.as_str().is_empty() {
            write!(f, " of account {}", self.account)?;
        }
        write!(f, " at {}", self.host)?;
        if self.attempts > 1 {
            write!(f, ", {} attempts", self.attempts)?;
        }
        write!(f, ": {}", self.code)?;
        if let Some(status) = self.status {
            write!(f, " (HTTP {status}")?;
            if !self.request_id.is_empty() {
                write!(f, ", request id {}", self.request_id)?;
            }
            f.write_str(")")?;
        }
        write!(f, ": {}", self.reason())
    }
}

impl std::error::Error for CallFailure {}

/// What the clock error says.
pub(super) fn clock_advice(offset_seconds: Option<i64>, allowed_seconds: u64) -> String {
    match offset_seconds {
        Some(offset) => format!(
            "the clock of this machine is {} seconds {} the service's, and {allowed_seconds} are \
             allowed: set it (by NTP) and run again",
            offset.unsigned_abs(),
            if offset >= 0 { "ahead of" } else { "behind" },
        ),
        None => "the service finds the time of our request too far off and sent no date to \
                 compare with: check this machine's clock, set it (by NTP) and run again"
            .to_owned(),
    }
}

/// What the credentials' errors mean, by their code.
pub(super) fn credentials_advice(code: &str, message: &str, string_to_sign: &str) -> String {
    if code == "SignatureDoesNotMatch" {
        let squeeze =
            |text: &str| -> String { text.chars().filter(|c| !c.is_whitespace()).collect() };
        return match message.split_once("string to sign is:") {
            Some((_, theirs)) if squeeze(theirs) == squeeze(string_to_sign) => {
                "the service signs the same string, so the secret is wrong".to_owned()
            }
            Some(_) => "the service signs another string, so the canonicalisation differs: \
                        a bug of this program, or a proxy that rewrites requests"
                .to_owned(),
            None => "the secret is wrong, or the canonicalisation differs; the service did not \
                     say what it signs"
                .to_owned(),
        };
    }
    if code.starts_with("InvalidSecurityToken") || code == "MissingSecurityToken" {
        return "the session's token is not valid (any more): get new credentials".to_owned();
    }
    if code == "InvalidAccessKeyId.NotFound" {
        return "the access key does not exist, or belongs to the other site (China, \
                international)"
            .to_owned();
    }
    "check the access key".to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_wrong_secret_is_told_from_a_bug() {
        let ours = "ACS3-HMAC-SHA256\nabc";
        let same =
            "Specified signature is not matched. server string to sign is:ACS3-HMAC-SHA256\nabc";
        let other =
            "Specified signature is not matched. server string to sign is:ACS3-HMAC-SHA256\nabd";
        let code = "SignatureDoesNotMatch";
        assert!(credentials_advice(code, same, ours).contains("the secret is wrong"));
        assert!(credentials_advice(code, other, ours).contains("canonicalisation differs: a bug"));
    }

    #[test]
    fn the_clock_says_which_way() {
        assert!(clock_advice(Some(1800), 900).contains("1800 seconds ahead of"));
        assert!(clock_advice(Some(-1800), 900).contains("1800 seconds behind"));
    }
}
