//! AssumeRole: from keys to a session of a role, in one's own account or another.
//!
//! Source: the STS API's pages and alibabacloud-credentials 1.0.12 (Python), read 2026-08. A session lasts
//! 900 seconds at least and, unless the role says otherwise, 3600 at most.

use super::{Context, Credentials, Issued, SourceError, document};
use crate::cloud::call::{Effect, Request};
use crate::cloud::endpoint::Service;
use crate::cloud::failure::CallFailure;
use crate::cloud::settings::{Network, Settings};
use crate::cloud::wire::BadAnswer;
use crate::cloud::{Answer, Client};
use crate::model::AccountId;
use chrono::{DateTime, Utc};
use std::collections::BTreeMap;

/// How a session calls itself where nobody named it.
pub(super) const SESSION: &str = "sgwarden";

/// The default life of a session, seconds.
const LIFE: u32 = 3600;

/// A role to assume.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Role {
    /// `acs:ram::<account>:role/<name>`
    pub arn: String,
    /// RoleSessionName; `None`: ours.
    pub session: Option<String>,
    /// How long the session lasts; `None`: 3600.
    pub seconds: Option<u32>,
    /// What the session may do at most.
    pub policy: Option<String>,
    /// What the role's trust policy demands, where it does.
    pub external_id: Option<String>,
}

impl Role {
    /// The parameters of AssumeRole and, beside the token, of AssumeRoleWithOIDC.
    pub(super) fn params(&self) -> Result<BTreeMap<String, String>, SourceError> {
        let session = self.session.as_deref().unwrap_or(SESSION);
        let plain = |c: char| c.is_ascii_alphanumeric() || ".@-_".contains(c);
        if !(2..=64).contains(&session.len()) || !session.chars().all(plain) {
            return Err(SourceError::Broken(format!(
                "the role session's name `{session}` must be 2 to 64 letters, digits and . @ - _"
            )));
        }
        let seconds = self.seconds.unwrap_or(LIFE);
        if seconds < 900 {
            return Err(SourceError::Broken(format!(
                "a session of {seconds} seconds is asked for, and the service gives none below 900"
            )));
        }
        let mut params = BTreeMap::from([
            ("RoleArn".to_owned(), self.arn.clone()),
            ("RoleSessionName".to_owned(), session.to_owned()),
            ("DurationSeconds".to_owned(), seconds.to_string()),
        ]);
        for (name, value) in [("Policy", &self.policy), ("ExternalId", &self.external_id)] {
            if let Some(value) = value {
                params.insert(name.to_owned(), value.clone());
            }
        }
        Ok(params)
    }
}

/// Where STS is called: the region and network that the environment or a profile name for it.
pub(super) fn settings(context: &Context, region: Option<&str>, vpc: bool) -> Settings {
    let environment = &context.environment;
    let mut settings = context.settings.clone();
    if let Some(region) = region.or_else(|| environment.get("ALIBABA_CLOUD_STS_REGION")) {
        region.clone_into(&mut settings.home_region);
    }
    if vpc || environment.says_true("ALIBABA_CLOUD_VPC_ENDPOINT_ENABLED") {
        settings.network = Network::Vpc;
    }
    settings
}

/// Assumes a role with keys, by a client of their own.
pub(in crate::cloud) async fn with_keys(
    settings: Settings,
    keys: Credentials,
    role: &Role,
    now: DateTime<Utc>,
) -> Result<Issued, SourceError> {
    let broken = |why: String| SourceError::Broken(format!("{} was not assumed: {why}", role.arn));
    let client = Client::new(settings, keys).map_err(|why| broken(why.to_string()))?;
    match assume(&client, role, now).await {
        Ok(issued) => Ok(issued),
        Err(Refusal::Source(why)) => Err(why),
        Err(Refusal::Call(failure)) => Err(broken(failure.to_string())),
    }
}

/// Why a role was not assumed.
#[derive(Debug, thiserror::Error)]
pub enum Refusal {
    /// What was asked for makes no sense, or the answer none.
    #[error("{0}")]
    Source(#[from] SourceError),
    /// The service refused, or did not answer.
    #[error("{0}")]
    Call(Box<CallFailure>),
}

/// Assumes a role. Nothing of the answer is kept: it is made of secrets.
///
/// # Errors
/// The service refuses (the permission is missing, the role does not trust us, there is no such role) or
/// does not answer.
pub async fn assume(client: &Client, role: &Role, now: DateTime<Utc>) -> Result<Issued, Refusal> {
    let request = Request {
        service: Service::Sts,
        action: "AssumeRole".to_owned(),
        // Nobody's in particular: it is signed with one's own keys, whatever account the role is of.
        account: AccountId::from(""),
        region: String::new(),
        host: None,
        params: role.params()?,
        effect: Effect::Read,
    };
    let from = format!("AssumeRole of {}", role.arn);
    let decode = |body: &bytes::Bytes| {
        document::sts(body, &from, now).map_err(|why| BadAnswer(why.to_string()))
    };
    let answer: Answer<Issued> = client.call(&request, decode).await.map_err(Refusal::Call)?;
    Ok(answer.value)
}
