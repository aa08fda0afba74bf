//! A URI that answers with a session's keys, in metadata's form.

use super::{Context, CredentialSource, Issued, Loading, SourceError, document, plain};
use std::time::Duration;

const URI: &str = "ALIBABA_CLOUD_CREDENTIALS_URI";
const LIMIT: Duration = Duration::from_secs(10);

/// `ALIBABA_CLOUD_CREDENTIALS_URI`
pub struct CredentialsUri;

impl CredentialSource for CredentialsUri {
    fn name(&self) -> String {
        "credentials URI".to_owned()
    }

    fn absent(&self, _: &Context) -> String {
        format!("{URI} is not set")
    }

    fn load<'a>(&'a self, context: &'a Context) -> Loading<'a> {
        Box::pin(async move {
            match context.environment.get(URI) {
                Some(uri) => ask(context, uri, URI).await.map(Some),
                None => Ok(None),
            }
        })
    }
}

/// Asks it. It is called `what` in messages and never by itself: people put secrets into URLs.
pub(super) async fn ask(context: &Context, uri: &str, what: &str) -> Result<Issued, SourceError> {
    let broken = |why: String| SourceError::Broken(format!("{what}: {why}"));
    let url = reqwest::Url::parse(uri).map_err(|why| broken(format!("it is no URL: {why}")))?;
    if !matches!(url.scheme(), "http" | "https") {
        return Err(broken("it must be of scheme http or https".to_owned()));
    }
    let client = plain::client(LIMIT, true).map_err(|unheard| broken(unheard.why))?;
    match plain::send(client.get(url)).await {
        Ok(heard) if heard.is_success() => document::metadata(&heard.body, what, (context.now)()),
        Ok(heard) => Err(broken(format!("it answers HTTP {}", heard.status))),
        Err(unheard) => Err(broken(unheard.why)),
    }
}
