//! Keys in environment variables.

use super::{Context, CredentialSource, Credentials, Issued, Loading, SourceError};

/// `ALIBABA_CLOUD_ACCESS_KEY_ID`, `..._SECRET` and, for a session's key, `ALIBABA_CLOUD_SECURITY_TOKEN`.
pub struct EnvironmentKeys;

const ID: &str = "ALIBABA_CLOUD_ACCESS_KEY_ID";
const SECRET: &str = "ALIBABA_CLOUD_ACCESS_KEY_SECRET";
const TOKEN: &str = "ALIBABA_CLOUD_SECURITY_TOKEN";

impl EnvironmentKeys {
    fn read(context: &Context) -> Result<Option<Issued>, SourceError> {
        let environment = &context.environment;
        match (environment.get(ID), environment.get(SECRET)) {
            (None, None) => Ok(None),
            (Some(_), None) => Err(SourceError::Broken(format!(
                "{ID} is set and {SECRET} is not"
            ))),
            (None, Some(_)) => Err(SourceError::Broken(format!(
                "{SECRET} is set and {ID} is not"
            ))),
            (Some(id), Some(secret)) => Credentials::new(id, secret, environment.get(TOKEN))
                .map(|c| Some(Issued::lasting(c))),
        }
    }
}

impl CredentialSource for EnvironmentKeys {
    fn name(&self) -> String {
        "environment variables".to_owned()
    }

    fn absent(&self, _: &Context) -> String {
        format!("{ID} and {SECRET} are not set")
    }

    fn load<'a>(&'a self, context: &'a Context) -> Loading<'a> {
        Box::pin(std::future::ready(Self::read(context)))
    }
}
