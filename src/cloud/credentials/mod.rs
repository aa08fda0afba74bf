//! Where keys come from: the ecosystem's default chain, a file per source.
//!
//! Source of the order: alibabacloud-credentials 1.0.12 (Python), read 2026-08.
//! To add a source, add a file, implement [`CredentialSource`] and give it its place in [`chain`].

mod cli_profile;
mod environment;

pub use cli_profile::CliProfile;
pub use environment::EnvironmentKeys;

use std::collections::BTreeMap;
use std::fmt;
use std::path::{Path, PathBuf};

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

/// Why a source that is meant gives no keys.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum SourceError {
    /// It is there and broken: the chain goes on, as the ecosystem's does, and the reason is kept.
    #[error("{0}")]
    Broken(String),
    /// The ecosystem would use it and we cannot yet: the chain ends, since whatever comes next is
    /// another identity.
    #[error("{0}")]
    NotBuilt(String),
}

/// One place where keys can be.
pub trait CredentialSource {
    /// What it is called in messages.
    fn name(&self) -> String;

    /// Why [`CredentialSource::load`] said `Ok(None)`.
    fn absent(&self, environment: &Environment) -> String;

    /// `Ok(None)`: not mine. `Err`: mine, and broken.
    fn load(&self, environment: &Environment) -> Result<Option<Credentials>, SourceError>;
}

/// Keys and where they came from.
#[derive(Clone, Debug)]
pub struct Found {
    /// The keys.
    pub credentials: Credentials,
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

/// A source of the ecosystem's chain that is not built: known, so that it is never passed over in silence.
struct NotBuilt {
    name: &'static str,
    /// All of these set: it is meant.
    variables: &'static [&'static str],
    /// Any of these files in the home directory: it is meant.
    files: &'static [&'static str],
}

impl CredentialSource for NotBuilt {
    fn name(&self) -> String {
        self.name.to_owned()
    }

    fn absent(&self, _: &Environment) -> String {
        format!(
            "not built yet, and not asked for ({} not set)",
            self.variables.join(", ")
        )
    }

    fn load(&self, environment: &Environment) -> Result<Option<Credentials>, SourceError> {
        if self
            .variables
            .iter()
            .all(|name| environment.get(name).is_some())
        {
            return Err(SourceError::NotBuilt(format!(
                "{} set, but this source is not built yet",
                self.variables.join(", ")
            )));
        }
        let home = environment.home();
        let file = self
            .files
            .iter()
            .filter_map(|file| home.map(|home| home.join(file)))
            .find(|path| path.exists());
        match file {
            Some(path) => Err(SourceError::NotBuilt(format!(
                "{} exists, but this source is not built yet",
                path.display()
            ))),
            None => Ok(None),
        }
    }
}

/// The default chain, in order; a configured profile is the whole chain.
pub fn chain(profile: Option<&str>) -> Vec<Box<dyn CredentialSource>> {
    if let Some(profile) = profile {
        return vec![Box::new(CliProfile {
            profile: Some(profile.to_owned()),
        })];
    }
    vec![
        // 1
        Box::new(EnvironmentKeys),
        // 2
        Box::new(NotBuilt {
            name: "OIDC role",
            variables: &[
                "ALIBABA_CLOUD_ROLE_ARN",
                "ALIBABA_CLOUD_OIDC_PROVIDER_ARN",
                "ALIBABA_CLOUD_OIDC_TOKEN_FILE",
            ],
            files: &[],
        }),
        // 3
        Box::new(CliProfile { profile: None }),
        // 4
        Box::new(NotBuilt {
            name: "INI file",
            variables: &["ALIBABA_CLOUD_CREDENTIALS_FILE"],
            files: &[".alibabacloud/credentials.ini", ".alibabacloud/credentials"],
        }),
        // 5
        Box::new(NotBuilt {
            name: "ECS metadata",
            variables: &["ALIBABA_CLOUD_ECS_METADATA"],
            files: &[],
        }),
        // 6
        Box::new(NotBuilt {
            name: "credentials URI",
            variables: &["ALIBABA_CLOUD_CREDENTIALS_URI"],
            files: &[],
        }),
    ]
}

/// Walks the chain. `profile` is `[credentials] profile`: then only the CLI's file is looked at.
pub fn find(profile: Option<&str>, environment: &Environment) -> Result<Found, NoCredentials> {
    let mut reasons = Vec::new();
    let mut passed_over = Vec::new();
    for source in chain(profile) {
        let name = source.name();
        match source.load(environment) {
            Ok(Some(credentials)) => {
                return Ok(Found {
                    credentials,
                    source: name,
                    passed_over,
                });
            }
            Ok(None) => reasons.push(format!("{name}: {}", source.absent(environment))),
            Err(SourceError::Broken(reason)) => {
                passed_over.push(format!("{name}: {reason}"));
                reasons.push(format!("{name}: {reason}"));
            }
            Err(SourceError::NotBuilt(reason)) => {
                reasons.push(format!("{name}: {reason}"));
                return Err(NoCredentials { reasons });
            }
        }
    }
    Err(NoCredentials { reasons })
}
