//! HTTP for sources that sign nothing: metadata, a credentials URI, AssumeRoleWithOIDC. Bounded in time
//! and bytes; no redirect is followed.

use std::time::Duration;

/// Bytes of an answer: a session's keys are some kilobytes.
const MOST: usize = 256 << 10;

/// What came back.
pub(super) struct Heard {
    pub(super) status: u16,
    pub(super) body: Vec<u8>,
}

impl Heard {
    pub(super) fn is_success(&self) -> bool {
        (200..300).contains(&self.status)
    }

    /// The body as text, without the white space around it.
    pub(super) fn text(&self) -> Option<&str> {
        std::str::from_utf8(&self.body).ok().map(str::trim)
    }
}

/// Nothing came back. The text has no URL in it: a URL can hold a secret.
pub(super) struct Unheard {
    pub(super) why: String,
    /// Nobody was there, as off ECS, where the metadata's address leads nowhere.
    pub(super) nobody: bool,
}

/// A client; `direct`: never through a proxy, which would be handed the keys.
pub(super) fn client(limit: Duration, direct: bool) -> Result<reqwest::Client, Unheard> {
    let _already_installed = rustls::crypto::ring::default_provider().install_default();
    let mut builder = reqwest::Client::builder()
        .user_agent(concat!("sgwarden/", env!("CARGO_PKG_VERSION")))
        .timeout(limit)
        .connect_timeout(limit)
        .redirect(reqwest::redirect::Policy::none())
        .retry(reqwest::retry::never());
    if direct {
        builder = builder.no_proxy();
    }
    builder.build().map_err(|error| unheard(&error))
}

/// Sends, and reads the answer whole.
pub(super) async fn send(request: reqwest::RequestBuilder) -> Result<Heard, Unheard> {
    let mut response = request.send().await.map_err(|error| unheard(&error))?;
    let status = response.status().as_u16();
    let mut body = Vec::new();
    while let Some(chunk) = response.chunk().await.map_err(|error| unheard(&error))? {
        if body.len().saturating_add(chunk.len()) > MOST {
            return Err(Unheard {
                why: format!("the answer is larger than {MOST} bytes"),
                nobody: false,
            });
        }
        body.extend_from_slice(&chunk);
    }
    Ok(Heard { status, body })
}

fn unheard(error: &reqwest::Error) -> Unheard {
    let mut why = String::new();
    let mut link: Option<&dyn std::error::Error> = std::error::Error::source(error);
    while let Some(cause) = link {
        if !why.is_empty() {
            why.push_str(": ");
        }
        why.push_str(&cause.to_string());
        link = cause.source();
    }
    if why.is_empty() {
        "no answer".clone_into(&mut why);
    }
    Unheard {
        why,
        nobody: error.is_connect() || error.is_timeout(),
    }
}
