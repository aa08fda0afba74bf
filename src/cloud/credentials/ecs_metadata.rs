//! The RAM role of the ECS instance that this runs on, from the instance's metadata.
//!
//! Source: help page "Instance metadata" and alibabacloud-credentials 1.0.12 (Python), read 2026-08.
//! Hardened mode first: a token by PUT, then everything with it. The older mode (no token) is tried only
//! where the PUT was answered and refused, and `ALIBABA_CLOUD_IMDSV1_DISABLED` does not forbid it.

use super::{Context, CredentialSource, Issued, Loading, SourceError, document, plain};
use std::time::Duration;

const DISABLED: &str = "ALIBABA_CLOUD_ECS_METADATA_DISABLED";
const ROLE: &str = "ALIBABA_CLOUD_ECS_METADATA";
const NO_V1: &str = "ALIBABA_CLOUD_IMDSV1_DISABLED";
const PATH: &str = "latest/meta-data/ram/security-credentials/";

/// Each request; off ECS nobody answers.
const LIMIT: Duration = Duration::from_secs(1);

/// The instance's role; asked for where neither the environment nor a profile names it.
pub struct EcsMetadata;

impl CredentialSource for EcsMetadata {
    fn name(&self) -> String {
        "ECS metadata".to_owned()
    }

    fn absent(&self, context: &Context) -> String {
        if context.environment.says_true(DISABLED) {
            return format!("{DISABLED} is true");
        }
        match &context.metadata {
            Some(base) => format!("nobody answers at {base}, or the instance has no role"),
            None => "not asked: every service is at the configured endpoint".to_owned(),
        }
    }

    fn load<'a>(&'a self, context: &'a Context) -> Loading<'a> {
        Box::pin(async move {
            if context.environment.says_true(DISABLED) {
                return Ok(None);
            }
            role(context, context.environment.get(ROLE)).await
        })
    }
}

/// The keys of a role of the instance; `named`: it is meant, and must be there.
pub(super) async fn role(
    context: &Context,
    named: Option<&str>,
) -> Result<Option<Issued>, SourceError> {
    let broken = |why: String| Err(SourceError::Broken(why));
    let Some(base) = &context.metadata else {
        return match named {
            Some(role) => broken(format!(
                "the role `{role}` of this instance is asked for, and with every service at a configured \
                 endpoint there is no metadata to ask"
            )),
            None => Ok(None),
        };
    };
    let base = base.trim_end_matches('/');
    let client = plain::client(LIMIT, true).map_err(|unheard| SourceError::Broken(unheard.why))?;
    let put = client
        .put(format!("{base}/latest/api/token"))
        .header("X-aliyun-ecs-metadata-token-ttl-seconds", "21600");
    let token = match plain::send(put).await {
        Ok(heard) if heard.is_success() => match heard.text() {
            Some(token) if !token.is_empty() && token.bytes().all(|b| b.is_ascii_graphic()) => {
                Some(token.to_owned())
            }
            Some(_) | None => return broken(format!("{base} gives a token that is none")),
        },
        Ok(heard) if context.environment.says_true(NO_V1) => {
            return broken(format!(
                "{base} gives no token (HTTP {}), and {NO_V1} forbids to ask without",
                heard.status
            ));
        }
        Ok(_) => None,
        Err(unheard) if unheard.nobody && named.is_none() => return Ok(None),
        Err(unheard) => return broken(format!("{base}: {}", unheard.why)),
    };
    let get = |path: &str| {
        let request = client.get(format!("{base}/{path}"));
        match &token {
            Some(token) => request.header("X-aliyun-ecs-metadata-token", token),
            None => request,
        }
    };
    let role = match named {
        Some(role) => role.to_owned(),
        None => match plain::send(get(PATH)).await {
            Ok(heard) if heard.is_success() => {
                let first = heard.text().and_then(|text| text.lines().next());
                match first.map(str::trim).filter(|name| !name.is_empty()) {
                    Some(name) => name.to_owned(),
                    None => return Ok(None),
                }
            }
            Ok(heard) if heard.status == 404 => return Ok(None),
            Ok(heard) => return broken(format!("{base}/{PATH} answers HTTP {}", heard.status)),
            Err(unheard) => return broken(format!("{base}/{PATH}: {}", unheard.why)),
        },
    };
    let plain_name = |c: char| c.is_ascii_alphanumeric() || ".@-_".contains(c);
    if role.is_empty() || role.len() > 64 || !role.chars().all(plain_name) {
        return broken("the name of the instance's role is none".to_owned());
    }
    let path = format!("{PATH}{role}");
    match plain::send(get(&path)).await {
        Ok(heard) if heard.is_success() => {
            let from = format!("{base}/{path}");
            document::metadata(&heard.body, &from, (context.now)()).map(Some)
        }
        Ok(heard) => broken(format!("{base}/{path} answers HTTP {}", heard.status)),
        Err(unheard) => broken(format!("{base}/{path}: {}", unheard.why)),
    }
}
