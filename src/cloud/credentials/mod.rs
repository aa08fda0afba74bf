//! Where keys come from: the ecosystem's default chain, a file per source; and how they stay good.
//!
//! | file | holds |
//! | --- | --- |
//! | `environment` | keys in variables |
//! | `oidc` | an OIDC token traded for a session (RRSA) |
//! | `cli_profile`, `external` | the aliyun CLI's file; a command that prints keys |
//! | `ini` | the SDKs' own file |
//! | `ecs_metadata` | the role of the ECS instance |
//! | `uri` | a URI that answers with keys |
//! | `assume` | AssumeRole, also of other accounts |
//! | `key_pair` | a session for a signature by an RSA key pair |
//! | `sts` | STS asked without an AccessKey, as `oidc` and `key_pair` do it |
//! | `keyring` | keys that are renewed before they end |
//! | `document`, `plain` | a session's keys as answers hold them; HTTP that signs nothing |
//!
//! Source of the order: alibabacloud-credentials 1.0.12 (Python), read 2026-08.
//! To add a source, add a file, implement [`CredentialSource`] and give it its place in [`chain`].

mod assume;
mod cli_profile;
mod document;
mod ecs_metadata;
mod environment;
mod external;
mod ini;
mod key_pair;
mod keyring;
mod oidc;
mod plain;
mod sts;
mod uri;

pub(super) use assume::with_keys as assume_by;
pub use assume::{Refusal, Role, assume};
pub use cli_profile::CliProfile;
pub use ecs_metadata::EcsMetadata;
pub use environment::EnvironmentKeys;
pub use ini::IniFile;
pub use keyring::Keyring;
pub use oidc::OidcRole;
pub use uri::CredentialsUri;

use super::settings::Settings;
use chrono::{DateTime, Utc};
use futures_util::future::BoxFuture;
use std::collections::BTreeMap;
use std::fmt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// Keys to sign with. `Debug` shows no secret.
#[derive(Clone, PartialEq, Eq)]
pub struct Credentials {
    access_key_id: String,
    access_key_secret: String,
    security_token: Option<String>,
}

impl Credentials {
    /// Surrounding white space (a line's end from a secret's file) is dropped. Errs where a part is
    /// empty or could not stand in a header.
    pub fn new(id: &str, secret: &str, token: Option<&str>) -> Result<Self, SourceError> {
        let part = |what: &str, text: &str| {
            let text = text.trim();
            if text.is_empty() {
                return Err(SourceError::Broken(format!("the {what} is empty")));
            }
            if !text.bytes().all(|byte| byte.is_ascii_graphic()) {
                return Err(SourceError::Broken(format!(
                    "the {what} has a character that no key has"
                )));
            }
            Ok(text.to_owned())
        };
        Ok(Self {
            access_key_id: part("access key id", id)?,
            access_key_secret: part("access key secret", secret)?,
            security_token: token.map(|text| part("security token", text)).transpose()?,
        })
    }

    /// The key's id, which is no secret and still in no evidence.
    pub fn access_key_id(&self) -> &str {
        &self.access_key_id
    }

    /// The key as signing wants it.
    pub fn key(&self) -> super::sign::Key<'_> {
        super::sign::Key {
            id: &self.access_key_id,
            secret: &self.access_key_secret,
            token: self.security_token.as_deref(),
        }
    }
}

impl fmt::Debug for Credentials {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Credentials")
            .field("access_key_id", &self.access_key_id)
            .field("access_key_secret", &"***")
            .field(
                "security_token",
                &self.security_token.as_ref().map(|_| "***"),
            )
            .finish()
    }
}

/// The process's environment, taken once. `Debug` shows names only.
#[derive(Clone, Default)]
pub struct Environment {
    variables: BTreeMap<String, String>,
    home: Option<PathBuf>,
}

impl Environment {
    /// Of these variables and this home directory.
    pub fn new(variables: BTreeMap<String, String>, home: Option<PathBuf>) -> Self {
        Self { variables, home }
    }

    /// A variable; an empty one counts as unset.
    pub fn get(&self, name: &str) -> Option<&str> {
        match self.variables.get(name) {
            Some(text) if !text.is_empty() => Some(text),
            Some(_) | None => None,
        }
    }

    /// Whether a variable is `true`, in whatever case.
    pub fn says_true(&self, name: &str) -> bool {
        self.get(name)
            .is_some_and(|text| text.eq_ignore_ascii_case("true"))
    }

    /// The home directory.
    pub fn home(&self) -> Option<&Path> {
        self.home.as_deref()
    }
}

impl fmt::Debug for Environment {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Environment")
            .field("variables", &self.variables.keys())
            .field("home", &self.home)
            .finish()
    }
}

/// What a source may look at.
#[derive(Clone, Debug)]
pub struct Context {
    /// The process's environment.
    pub environment: Environment,
    /// How STS is called.
    pub settings: Settings,
    /// Where an ECS instance's metadata is; `None`: nowhere.
    pub metadata: Option<String>,
    /// The clock.
    pub now: fn() -> DateTime<Utc>,
}

/// Keys and when they end.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Issued {
    /// The keys.
    pub credentials: Credentials,
    /// When they end; `None`: that is not known, or never.
    pub expires: Option<DateTime<Utc>>,
}

impl Issued {
    /// Keys of which no end is known.
    pub fn lasting(credentials: Credentials) -> Self {
        Self {
            credentials,
            expires: None,
        }
    }
}

/// Why a source that is meant gives no keys.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum SourceError {
    /// It is there and broken: the chain goes on, as the ecosystem's does, and the reason is kept.
    #[error("{0}")]
    Broken(String),
    /// The ecosystem would use it and this program does not: the chain ends, since whatever comes next
    /// is another identity.
    #[error("{0}")]
    Refused(String),
}

/// A source at work.
pub type Loading<'a> = BoxFuture<'a, Result<Option<Issued>, SourceError>>;

/// One place where keys can be.
pub trait CredentialSource: Send + Sync {
    /// What it is called in messages.
    fn name(&self) -> String;

    /// Why [`CredentialSource::load`] said `Ok(None)`.
    fn absent(&self, context: &Context) -> String;

    /// `Ok(None)`: not mine. `Err`: mine, and broken. Called again when the keys are to be renewed.
    fn load<'a>(&'a self, context: &'a Context) -> Loading<'a>;
}

/// Keys and where they came from.
#[derive(Debug)]
pub struct Found {
    /// The keys, renewed by the source that gave them.
    pub keys: Keyring,
    /// The source's name.
    pub source: String,
    /// Sources before it that were broken, each with its reason.
    pub passed_over: Vec<String>,
}

/// No source gave keys.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("no credentials:{}", .reasons.iter().map(|r| format!("\n  - {r}")).collect::<String>())]
pub struct NoCredentials {
    /// `source: reason`, in the chain's order.
    pub reasons: Vec<String>,
}

/// The default chain, in order; a configured profile is the whole chain.
pub fn chain(profile: Option<&str>) -> Vec<Arc<dyn CredentialSource>> {
    if profile.is_some() {
        return vec![Arc::new(CliProfile::new(profile))];
    }
    vec![
        // 1
        Arc::new(EnvironmentKeys),
        // 2
        Arc::new(OidcRole),
        // 3
        Arc::new(CliProfile::new(None)),
        // 4
        Arc::new(IniFile),
        // 5
        Arc::new(EcsMetadata),
        // 6
        Arc::new(CredentialsUri),
    ]
}

/// Walks the chain. `profile` is `[credentials] profile`: then only the CLI's file is looked at.
///
/// # Errors
/// No source gives keys, each with its reason.
pub async fn find(profile: Option<&str>, context: Context) -> Result<Found, NoCredentials> {
    let context = Arc::new(context);
    let mut reasons = Vec::new();
    let mut passed_over = Vec::new();
    for source in chain(profile) {
        let name = source.name();
        match source.load(&context).await {
            Ok(Some(issued)) => {
                return Ok(Found {
                    keys: Keyring::renewed_by(issued, source, context),
                    source: name,
                    passed_over,
                });
            }
            Ok(None) => reasons.push(format!("{name}: {}", source.absent(&context))),
            Err(SourceError::Broken(reason)) => {
                passed_over.push(format!("{name}: {reason}"));
                reasons.push(format!("{name}: {reason}"));
            }
            Err(SourceError::Refused(reason)) => {
                reasons.push(format!("{name}: {reason}"));
                return Err(NoCredentials { reasons });
            }
        }
    }
    Err(NoCredentials { reasons })
}
