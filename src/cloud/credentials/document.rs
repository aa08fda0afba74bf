//! A session's keys as the service hands them out: STS, metadata and a credentials URI use the same names.

use super::{Credentials, Issued, SourceError};
use chrono::{DateTime, Utc};
use serde::Deserialize;

/// What they have in common; of the STS answer it is the object `Credentials`.
#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Document {
    code: Option<String>,
    access_key_id: Option<String>,
    access_key_secret: Option<String>,
    security_token: Option<String>,
    expiration: Option<String>,
}

#[derive(Deserialize)]
struct StsAnswer {
    #[serde(rename = "Credentials")]
    credentials: Document,
}

/// What GenerateSessionAccessKey answers: keys without a token, under names of their own.
#[derive(Deserialize)]
struct KeyPairAnswer {
    #[serde(rename = "SessionAccessKey")]
    key: SessionKey,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct SessionKey {
    session_access_key_id: Option<String>,
    session_access_key_secret: Option<String>,
    expiration: Option<String>,
}

/// Metadata's document. `from` says where it is from.
pub(super) fn metadata(body: &[u8], from: &str, now: DateTime<Utc>) -> Result<Issued, SourceError> {
    let document: Document = serde_json::from_slice(body).map_err(|error| broken(&error, from))?;
    match document.code.as_deref() {
        None | Some("Success") => {}
        Some(code) => {
            let shown: String = code.chars().take(40).collect();
            return Err(SourceError::Broken(format!(
                "{from} answers with the code `{shown}` and not Success"
            )));
        }
    }
    document.issued(from, now)
}

/// The answer of AssumeRole and AssumeRoleWithOIDC.
pub(super) fn sts(body: &[u8], from: &str, now: DateTime<Utc>) -> Result<Issued, SourceError> {
    let answer: StsAnswer = serde_json::from_slice(body).map_err(|error| broken(&error, from))?;
    answer.credentials.issued(from, now)
}

/// The answer of GenerateSessionAccessKey.
pub(super) fn session_key(
    body: &[u8],
    from: &str,
    now: DateTime<Utc>,
) -> Result<Issued, SourceError> {
    let answer: KeyPairAnswer =
        serde_json::from_slice(body).map_err(|error| broken(&error, from))?;
    let key = answer.key;
    let expires = end(&key.expiration, from, now)?;
    let credentials = Credentials::new(
        part(&key.session_access_key_id, "SessionAccessKeyId", from)?,
        part(
            &key.session_access_key_secret,
            "SessionAccessKeySecret",
            from,
        )?,
        None,
    )?;
    Ok(Issued {
        credentials,
        expires: Some(expires),
    })
}

/// serde's message can quote a value, and a value here can be a secret: only the place is told.
fn broken(error: &serde_json::Error, from: &str) -> SourceError {
    SourceError::Broken(format!(
        "{from} answers something else than a session's keys (line {}, column {})",
        error.line(),
        error.column()
    ))
}

fn part<'v>(value: &'v Option<String>, name: &str, from: &str) -> Result<&'v str, SourceError> {
    value
        .as_deref()
        .filter(|text| !text.is_empty())
        .ok_or_else(|| SourceError::Broken(format!("{from} gives no {name}")))
}

/// When the keys end, which is not yet.
fn end(
    expiration: &Option<String>,
    from: &str,
    now: DateTime<Utc>,
) -> Result<DateTime<Utc>, SourceError> {
    let expires = part(expiration, "Expiration", from)?
        .parse::<DateTime<Utc>>()
        .map_err(|_| SourceError::Broken(format!("{from} gives an Expiration that is no time")))?;
    if expires <= now {
        return Err(SourceError::Broken(format!(
            "{from} gives keys that expired at {expires}"
        )));
    }
    Ok(expires)
}

impl Document {
    fn issued(&self, from: &str, now: DateTime<Utc>) -> Result<Issued, SourceError> {
        let expires = end(&self.expiration, from, now)?;
        let credentials = Credentials::new(
            part(&self.access_key_id, "AccessKeyId", from)?,
            part(&self.access_key_secret, "AccessKeySecret", from)?,
            Some(part(&self.security_token, "SecurityToken", from)?),
        )?;
        Ok(Issued {
            credentials,
            expires: Some(expires),
        })
    }
}
