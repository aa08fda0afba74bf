//! A command that prints keys: mode External of the CLI's file.
//!
//! Source: aliyun/aliyun-cli, `config/profile.go`, read 2026-08: the command is split at white space, no
//! shell is between; it prints `{"mode","access_key_id","access_key_secret","sts_token","expiration"}`.

use super::{Context, Credentials, Issued, SourceError};
use chrono::{DateTime, Utc};
use serde::Deserialize;
use std::process::Stdio;
use std::time::Duration;

/// A person may have to touch a token.
const LIMIT: Duration = Duration::from_secs(60);

#[derive(Deserialize)]
struct Printed {
    mode: Option<String>,
    access_key_id: Option<String>,
    access_key_secret: Option<String>,
    sts_token: Option<String>,
    expiration: Option<String>,
}

/// Runs it. It is called `what` in messages; what it prints never stands in one.
pub(super) async fn run(
    context: &Context,
    command: &str,
    what: &str,
) -> Result<Issued, SourceError> {
    let broken = |why: String| SourceError::Broken(format!("{what}: {why}"));
    let mut words = command.split_whitespace();
    let Some(program) = words.next() else {
        return Err(broken("the command is empty".to_owned()));
    };
    let child = tokio::process::Command::new(program)
        .args(words)
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .kill_on_drop(true)
        .output();
    let output = match tokio::time::timeout(LIMIT, child).await {
        Ok(Ok(output)) => output,
        Ok(Err(why)) => return Err(broken(format!("`{program}` could not be run: {why}"))),
        Err(_) => {
            return Err(broken(format!(
                "`{program}` did not end within {} s",
                LIMIT.as_secs()
            )));
        }
    };
    if !output.status.success() {
        return Err(broken(format!("`{program}` failed: {}", output.status)));
    }
    let printed: Printed = serde_json::from_slice(&output.stdout).map_err(|error| {
        broken(format!(
            "`{program}` prints something else than keys (line {}, column {})",
            error.line(),
            error.column()
        ))
    })?;
    let part = |value: Option<String>, name: &str| {
        value
            .filter(|text| !text.is_empty())
            .ok_or_else(|| broken(format!("`{program}` prints no {name}")))
    };
    let mode = part(printed.mode, "mode")?;
    let id = part(printed.access_key_id, "access_key_id")?;
    let secret = part(printed.access_key_secret, "access_key_secret")?;
    let token = if mode.eq_ignore_ascii_case("StsToken") {
        Some(part(printed.sts_token, "sts_token")?)
    } else if mode.eq_ignore_ascii_case("AK") {
        None
    } else {
        let shown: String = mode.chars().take(40).collect();
        return Err(broken(format!(
            "`{program}` prints mode `{shown}`; AK and StsToken are understood"
        )));
    };
    let expires = match printed.expiration.filter(|text| !text.is_empty()) {
        Some(text) => {
            let expires = text
                .parse::<DateTime<Utc>>()
                .map_err(|_| broken(format!("`{program}` prints an expiration that is no time")))?;
            if expires <= (context.now)() {
                return Err(broken(format!(
                    "`{program}` prints keys that ended at {expires}"
                )));
            }
            Some(expires)
        }
        None => None,
    };
    Ok(Issued {
        credentials: Credentials::new(&id, &secret, token.as_deref())?,
        expires,
    })
}
