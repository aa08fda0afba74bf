//! Keys in environment variables.

use super::{CredentialSource, Credentials, Environment, SourceError};

/// `ALIBABA_CLOUD_ACCESS_KEY_ID`, `..._SECRET` and, for a session's key, `ALIBABA_CLOUD_SECURITY_TOKEN`.
pub struct EnvironmentKeys;

const ID: &str = "ALIBABA_CLOUD_ACCESS_KEY_ID";
const SECRET: &str = "ALIBABA_CLOUD_ACCESS_KEY_SECRET";
const TOKEN: &str = "ALIBABA_CLOUD_SECURITY_TOKEN";

impl CredentialSource for EnvironmentKeys {
    fn name(&self) -> String {
        "environment variables".to_owned()
    }

    fn absent(&self, _: &Environment) -> String {
        format!("{ID} and {SECRET} are not set")
    }

    fn load(&self, environment: &Environment) -> Result<Option<Credentials>, SourceError> {
        match (environment.get(ID), environment.get(SECRET)) {
            (None, None) => Ok(None),
            (Some(_), None) => Err(SourceError::Broken(format!(
                "{ID} is set and {SECRET} is not"
            ))),
            (None, Some(_)) => Err(SourceError::Broken(format!(
                "{SECRET} is set and {ID} is not"
            ))),
            (Some(id), Some(secret)) => {
                Credentials::new(id, secret, environment.get(TOKEN)).map(Some)
            }
        }
    }
}
