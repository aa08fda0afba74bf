//! STS asked for a session without an AccessKey: the proof is a token, or a signature by a key pair.

use super::{Context, SourceError, assume, plain};
use crate::cloud::{answer, endpoint, sign};
use chrono::{DateTime, Utc};
use std::time::Duration;

/// One try; the SDK waits 10 s for an answer.
const LIMIT: Duration = Duration::from_secs(10);
/// Waits between tries, where nobody answered or the service was unwell.
const WAITS: [Duration; 2] = [Duration::from_millis(500), Duration::from_secs(2)];

/// Where STS is, without a slash at its end: as for AssumeRole.
pub(super) fn place(
    context: &Context,
    region: Option<&str>,
    vpc: bool,
) -> Result<String, SourceError> {
    let settings = assume::settings(context, region, vpc);
    if !endpoint::plausible_region(&settings.home_region) {
        return Err(SourceError::Broken(format!(
            "`{}` is not a region's id",
            settings.home_region
        )));
    }
    Ok(match &settings.endpoint {
        Some(base) => base.trim_end_matches('/').to_owned(),
        None => {
            let host = endpoint::host(&settings, endpoint::Service::Sts, "");
            format!("https://{host}")
        }
    })
}

/// A time as calls carry it.
pub(super) fn date(now: DateTime<Utc>) -> String {
    now.format("%Y-%m-%dT%H:%M:%SZ").to_string()
}

/// Sends what `request` makes of a client and a nonce until it is answered, and gives the answer's body.
/// The call is told as `what`; where the service repeats `secret`, it is left out.
pub(super) async fn ask(
    what: &str,
    secret: &str,
    request: impl Fn(&reqwest::Client, &str) -> Result<reqwest::RequestBuilder, SourceError>,
) -> Result<Vec<u8>, SourceError> {
    let broken = |why: String| SourceError::Broken(why);
    let client = plain::client(LIMIT, false).map_err(|why| broken(why.why))?;
    let mut waits = WAITS.iter();
    loop {
        let mut nonce = [0_u8; 16];
        getrandom::fill(&mut nonce).map_err(|why| broken(why.to_string()))?;
        let request = request(&client, &sign::encode::hex(&nonce))?;
        let why = match plain::send(request).await {
            Ok(heard) if heard.is_success() => return Ok(heard.body),
            Ok(heard) => {
                let envelope = answer::envelope(&heard.body);
                let message = match secret {
                    "" => envelope.message,
                    secret => envelope.message.replace(secret, "***"),
                };
                let why = format!(
                    "{what}: {} (HTTP {}, request id {}): {message}",
                    envelope.code, heard.status, envelope.request_id,
                );
                if heard.status < 500 && !envelope.code.starts_with("Throttling") {
                    return Err(broken(why));
                }
                why
            }
            Err(unheard) => format!("{what}: {}", unheard.why),
        };
        match waits.next() {
            Some(wait) => tokio::time::sleep(*wait).await,
            None => return Err(broken(why)),
        }
    }
}
