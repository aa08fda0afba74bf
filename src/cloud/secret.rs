//! A secret out of KMS, for the moment in which it is used: no answer of the call is kept anywhere.
//!
//! Source: the help page of GetSecretValue and API metadata of KMS 2016-01-20, read 2026-11.

use super::call::{Client, Effect, Request};
use super::endpoint::Service;
use super::failure::CallFailure;
use super::wire::{self, BadAnswer};
use crate::model::{AccountId, Secret, SecretName};
use bytes::Bytes;
use std::collections::BTreeMap;
use std::time::Duration;
use tokio::time::timeout;

/// The call with its retries: letters, and on Function Compute the platform's time-out, wait for it.
const LIMIT: Duration = Duration::from_secs(30);

/// Why there is no secret. Nothing of an answer is in it.
#[derive(Debug, thiserror::Error)]
pub enum SecretError {
    /// The service refused, or did not answer.
    #[error("{0}")]
    Call(Box<CallFailure>),
    /// It took too long.
    #[error("GetSecretValue in {region}: no answer within {} s", LIMIT.as_secs())]
    Slow {
        /// Where it was asked for.
        region: String,
    },
    /// What is kept there is no text of one secret.
    #[error("GetSecretValue in {region} (request id {request_id}): {why}")]
    Unusable {
        /// Where it was asked for.
        region: String,
        /// The answer's.
        request_id: String,
        /// What it is.
        why: String,
    },
}

impl Client {
    /// The value of a secret of the home region, its current version, with the client's own keys. The line's
    /// end behind it is dropped, as of one in a file.
    ///
    /// # Errors
    /// It may not be read, is not there, or is no plain text.
    pub async fn secret(&self, name: &SecretName) -> Result<Secret, SecretError> {
        let region = self.home_region().to_owned();
        // RegionId is not among the action's own parameters; the host decides. It tells a configured endpoint
        // which is meant.
        let params = BTreeMap::from([
            ("RegionId".to_owned(), region.clone()),
            ("SecretName".to_owned(), name.to_string()),
        ]);
        let request = Request {
            service: Service::Kms,
            action: "GetSecretValue".to_owned(),
            account: self.home().cloned().unwrap_or_else(|| AccountId::from("")),
            region: region.clone(),
            host: None,
            params,
            effect: Effect::Read,
        };
        let decode = |body: &Bytes| {
            let value = wire::secret_value(body)?;
            if value.name == name.as_str() {
                return Ok(value);
            }
            Err(BadAnswer("it is of another secret".to_owned()))
        };
        let value = match timeout(LIMIT, self.call(&request, decode)).await {
            Ok(Ok(answer)) => answer.value,
            Ok(Err(failure)) => return Err(SecretError::Call(failure)),
            Err(_) => return Err(SecretError::Slow { region }),
        };
        let text = value.data.expose().trim_end_matches(['\r', '\n']);
        let why = if value.form != "text" {
            format!("its SecretDataType is {}, not text", value.form)
        } else if !matches!(value.kind.as_str(), "" | "Generic") {
            // The relay would be sent a whole set of keys of something else.
            format!("its SecretType is {}, not Generic", value.kind)
        } else if text.is_empty() {
            "it is empty".to_owned()
        } else {
            return Ok(Secret::new(text));
        };
        Err(SecretError::Unusable {
            region,
            request_id: value.request_id,
            why,
        })
    }
}
