//! The aliyun CLI's own file, `~/.aliyun/config.json`, in every mode that needs no person.
//!
//! Source: aliyun/aliyun-cli, `config/profile.go`, read 2026-08 and 2026-11. The CLI ignores the case of mode names.

use super::assume::{self, Role};
use super::key_pair::{KeyPair, PrivateKey};
use super::oidc::Trade;
use super::{
    Context, CredentialSource, Credentials, Issued, Loading, SourceError, ecs_metadata, external,
    uri,
};
use serde::Deserialize;
use std::path::PathBuf;
use std::sync::OnceLock;

/// A profile of the CLI's file: the one asked for, else `ALIBABA_CLOUD_PROFILE`, else the current one.
pub struct CliProfile {
    /// `[credentials] profile`; then the file must be there and hold it.
    profile: Option<String>,
    /// The profile that gave keys: who makes another one current while a job runs does not change the
    /// job's identity.
    taken: OnceLock<String>,
}

const DISABLED: &str = "ALIBABA_CLOUD_CLI_PROFILE_DISABLED";
const PROFILE: &str = "ALIBABA_CLOUD_PROFILE";

/// Modes of the CLI that this program does not use, with what to do instead.
const REFUSED: [(&str, &str); 4] = [
    ("CloudSSO", "it needs a person to sign in"),
    ("OAuth", "it needs a person to sign in"),
    (
        "BearerToken",
        "a bearer token signs no call of these services",
    ),
    ("Anonymous", "it has no keys"),
];

/// Profiles that name each other, one behind the other: more is a mistake.
const LONGEST_CHAIN: usize = 8;

#[derive(Deserialize)]
struct File {
    current: Option<String>,
    profiles: Option<Vec<Profile>>,
}

#[derive(Deserialize)]
struct Profile {
    name: Option<String>,
    mode: Option<String>,
    access_key_id: Option<String>,
    access_key_secret: Option<String>,
    sts_token: Option<String>,
    ram_role_arn: Option<String>,
    ram_role_name: Option<String>,
    ram_session_name: Option<String>,
    role_session_name: Option<String>,
    expired_seconds: Option<u32>,
    policy: Option<String>,
    external_id: Option<String>,
    sts_region: Option<String>,
    enable_vpc: Option<bool>,
    source_profile: Option<String>,
    oidc_provider_arn: Option<String>,
    oidc_token_file: Option<String>,
    process_command: Option<String>,
    credentials_uri: Option<String>,
    private_key: Option<String>,
    key_pair_name: Option<String>,
}

impl CliProfile {
    /// That profile; `None`: as the environment and the file say.
    pub fn new(profile: Option<&str>) -> Self {
        Self {
            profile: profile.map(str::to_owned),
            taken: OnceLock::new(),
        }
    }

    fn path(context: &Context) -> Option<PathBuf> {
        let home = context.environment.home()?;
        Some(home.join(".aliyun").join("config.json"))
    }

    fn turned_off(&self, context: &Context) -> bool {
        self.profile.is_none() && context.environment.says_true(DISABLED)
    }

    async fn read(&self, context: &Context) -> Result<Option<Issued>, SourceError> {
        if self.turned_off(context) {
            return Ok(None);
        }
        let broken = |text: String| Err(SourceError::Broken(text));
        let Some(path) = Self::path(context) else {
            return match &self.profile {
                Some(_) => broken("there is no home directory".to_owned()),
                None => Ok(None),
            };
        };
        let shown = path.display().to_string();
        let text = match std::fs::read(&path) {
            Ok(text) => text,
            Err(error)
                if error.kind() == std::io::ErrorKind::NotFound && self.profile.is_none() =>
            {
                return Ok(None);
            }
            Err(error) => return broken(format!("reading {shown}: {error}")),
        };
        // serde's message can quote a value, and a value here can be a secret: only the place is told.
        let file: File = match serde_json::from_slice(&text) {
            Ok(file) => file,
            Err(error) => {
                return broken(format!(
                    "{shown} is not the CLI's JSON (line {}, column {})",
                    error.line(),
                    error.column()
                ));
            }
        };
        let taken = self.taken.get().map(String::as_str);
        let asked = taken
            .or(self.profile.as_deref())
            .or(context.environment.get(PROFILE));
        let wanted = match (asked, &file.current) {
            (Some(name), _) => name,
            (None, Some(name)) if !name.is_empty() => name.as_str(),
            (None, _) => return broken(format!("{shown} names no current profile")),
        };
        let issued = Walk {
            context,
            file: &file,
            shown: &shown,
        }
        .issued(wanted, 0)
        .await?;
        // Set once; a second call finds the same name.
        let _ = self.taken.set(wanted.to_owned());
        Ok(Some(issued))
    }
}

impl CredentialSource for CliProfile {
    fn name(&self) -> String {
        match &self.profile {
            Some(profile) => format!("profile `{profile}` of the aliyun CLI"),
            None => "profile of the aliyun CLI".to_owned(),
        }
    }

    fn absent(&self, context: &Context) -> String {
        if self.turned_off(context) {
            return format!("{DISABLED} is true");
        }
        match Self::path(context) {
            Some(path) => format!("{} does not exist", path.display()),
            None => "there is no home directory".to_owned(),
        }
    }

    fn load<'a>(&'a self, context: &'a Context) -> Loading<'a> {
        Box::pin(self.read(context))
    }
}

/// From a profile to keys, through those that it names.
struct Walk<'a> {
    context: &'a Context,
    file: &'a File,
    shown: &'a str,
}

/// A profile and the words that its place is told by.
struct Found<'a> {
    profile: &'a Profile,
    place: String,
}

impl Found<'_> {
    fn need<'v>(&self, value: &'v Option<String>, key: &str) -> Result<&'v str, SourceError> {
        set(value).ok_or_else(|| SourceError::Broken(format!("{} has no {key}", self.place)))
    }

    fn keys(&self, token: Option<&str>) -> Result<Credentials, SourceError> {
        let profile = self.profile;
        Credentials::new(
            self.need(&profile.access_key_id, "access_key_id")?,
            self.need(&profile.access_key_secret, "access_key_secret")?,
            token,
        )
    }

    fn role(&self) -> Result<Role, SourceError> {
        let profile = self.profile;
        // The CLI writes the first name, the SDKs read the second for OIDC.
        let session = set(&profile.ram_session_name).or(set(&profile.role_session_name));
        Ok(Role {
            arn: self.need(&profile.ram_role_arn, "ram_role_arn")?.to_owned(),
            session: session.map(str::to_owned),
            // The CLI writes 0 where nothing was said.
            seconds: profile.expired_seconds.filter(|seconds| *seconds != 0),
            policy: set(&profile.policy).map(str::to_owned),
            external_id: set(&profile.external_id).map(str::to_owned),
        })
    }
}

/// An empty value counts as unset: the CLI writes them.
fn set(value: &Option<String>) -> Option<&str> {
    value.as_deref().filter(|text| !text.is_empty())
}

impl<'a> Walk<'a> {
    fn find(&self, name: &str) -> Result<Found<'a>, SourceError> {
        let profiles = self.file.profiles.as_deref().unwrap_or(&[]);
        let profile = profiles
            .iter()
            .find(|profile| profile.name.as_deref() == Some(name));
        match profile {
            Some(profile) => Ok(Found {
                profile,
                place: format!("profile `{name}` of {}", self.shown),
            }),
            None => {
                let names: Vec<&str> = profiles.iter().filter_map(|p| p.name.as_deref()).collect();
                Err(SourceError::Broken(format!(
                    "{} has no profile `{name}`, it has: {}",
                    self.shown,
                    names.join(", ")
                )))
            }
        }
    }

    async fn issued(&self, name: &str, depth: usize) -> Result<Issued, SourceError> {
        let found = self.find(name)?;
        let profile = found.profile;
        let context = self.context;
        let mode = found.need(&profile.mode, "mode")?;
        let is = |known: &str| mode.eq_ignore_ascii_case(known);
        if is("AK") {
            return Ok(Issued::lasting(found.keys(None)?));
        }
        if is("StsToken") {
            let token = found.need(&profile.sts_token, "sts_token")?;
            return Ok(Issued::lasting(found.keys(Some(token))?));
        }
        if is("RamRoleArn") {
            let keys = found.keys(set(&profile.sts_token))?;
            return self.assume(&found, keys).await;
        }
        if is("EcsRamRole") {
            return self.of_instance(&found).await;
        }
        if is("RamRoleArnWithRoleName") {
            let own = self.of_instance(&found).await?;
            return self.assume(&found, own.credentials).await;
        }
        if is("ChainableRamRoleArn") {
            let source = found.need(&profile.source_profile, "source_profile")?;
            if depth >= LONGEST_CHAIN {
                return Err(SourceError::Broken(format!(
                    "{} is reached over {LONGEST_CHAIN} others: they name each other in a circle",
                    found.place
                )));
            }
            let before = Box::pin(self.issued(source, depth.saturating_add(1))).await?;
            return self.assume(&found, before.credentials).await;
        }
        if is("OIDC") {
            let trade = Trade {
                role: found.role()?,
                provider: found
                    .need(&profile.oidc_provider_arn, "oidc_provider_arn")?
                    .to_owned(),
                token_file: PathBuf::from(found.need(&profile.oidc_token_file, "oidc_token_file")?),
                sts_region: set(&profile.sts_region).map(str::to_owned),
                vpc: profile.enable_vpc == Some(true),
            };
            return trade.session(context).await;
        }
        if is("RsaKeyPair") {
            let pair = KeyPair {
                public_key_id: found
                    .need(&profile.key_pair_name, "key_pair_name")?
                    .to_owned(),
                private_key: PrivateKey::of_profile(
                    found.need(&profile.private_key, "private_key")?,
                    &found.place,
                ),
                // The CLI writes 0 where nothing was said.
                seconds: profile.expired_seconds.filter(|seconds| *seconds != 0),
                sts_region: set(&profile.sts_region).map(str::to_owned),
                vpc: profile.enable_vpc == Some(true),
            };
            return pair.session(context).await;
        }
        if is("External") {
            let command = found.need(&profile.process_command, "process_command")?;
            return external::run(context, command, &found.place).await;
        }
        if is("CredentialsURI") {
            let address = found.need(&profile.credentials_uri, "credentials_uri")?;
            let what = format!("credentials_uri of {}", found.place);
            return uri::ask(context, address, &what).await;
        }
        match REFUSED.iter().find(|(known, _)| is(known)) {
            Some((known, why)) => Err(SourceError::Refused(format!(
                "{} has mode {known}, which this program does not use: {why}; name another profile in \
                 [credentials] profile or {PROFILE}",
                found.place
            ))),
            None => Err(SourceError::Broken(format!(
                "{} has the unknown mode `{mode}`",
                found.place
            ))),
        }
    }

    async fn of_instance(&self, found: &Found<'_>) -> Result<Issued, SourceError> {
        let name = set(&found.profile.ram_role_name);
        let issued = ecs_metadata::role(self.context, name).await?;
        issued.ok_or_else(|| {
            SourceError::Broken(format!(
                "{} asks for this instance's role, and there is none",
                found.place
            ))
        })
    }

    async fn assume(&self, found: &Found<'_>, keys: Credentials) -> Result<Issued, SourceError> {
        let region = set(&found.profile.sts_region);
        let vpc = found.profile.enable_vpc == Some(true);
        let settings = assume::settings(self.context, region, vpc);
        let now = (self.context.now)();
        assume::with_keys(settings, keys, &found.role()?, now).await
    }
}
