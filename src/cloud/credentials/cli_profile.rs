//! The aliyun CLI's own file, `~/.aliyun/config.json`.
//!
//! Source: aliyun/aliyun-cli, `config/profile.go`, read 2026-08. The CLI ignores the case of mode names.

use super::{CredentialSource, Credentials, Environment, SourceError};
use serde::Deserialize;
use std::path::PathBuf;

/// A profile of the CLI's file: the one asked for, else `ALIBABA_CLOUD_PROFILE`, else the current one.
pub struct CliProfile {
    /// `[credentials] profile`; then the file must be there and hold it.
    pub profile: Option<String>,
}

const DISABLED: &str = "ALIBABA_CLOUD_CLI_PROFILE_DISABLED";
const PROFILE: &str = "ALIBABA_CLOUD_PROFILE";
const NOT_BUILT: [&str; 12] = [
    "RamRoleArn",
    "EcsRamRole",
    "OIDC",
    "ChainableRamRoleArn",
    "CloudSSO",
    "OAuth",
    "External",
    "RsaKeyPair",
    "RamRoleArnWithRoleName",
    "CredentialsURI",
    "BearerToken",
    "Anonymous",
];

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
}

impl CliProfile {
    fn path(environment: &Environment) -> Option<PathBuf> {
        let home = environment.home()?;
        Some(home.join(".aliyun").join("config.json"))
    }

    fn turned_off(&self, environment: &Environment) -> bool {
        self.profile.is_none()
            && environment
                .get(DISABLED)
                .is_some_and(|text| text.eq_ignore_ascii_case("true"))
    }
}

impl CredentialSource for CliProfile {
    fn name(&self) -> String {
        match &self.profile {
            Some(profile) => format!("profile `{profile}` of the aliyun CLI"),
            None => "profile of the aliyun CLI".to_owned(),
        }
    }

    fn absent(&self, environment: &Environment) -> String {
        if self.turned_off(environment) {
            return format!("{DISABLED} is true");
        }
        match Self::path(environment) {
            Some(path) => format!("{} does not exist", path.display()),
            None => "there is no home directory".to_owned(),
        }
    }

    fn load(&self, environment: &Environment) -> Result<Option<Credentials>, SourceError> {
        if self.turned_off(environment) {
            return Ok(None);
        }
        let broken = |text: String| Err(SourceError::Broken(text));
        let Some(path) = Self::path(environment) else {
            return match &self.profile {
                Some(_) => broken("there is no home directory".to_owned()),
                None => Ok(None),
            };
        };
        let shown = path.display();
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
        let wanted = match (&self.profile, environment.get(PROFILE), &file.current) {
            (Some(name), _, _) => name.as_str(),
            (None, Some(name), _) => name,
            (None, None, Some(name)) if !name.is_empty() => name.as_str(),
            (None, None, _) => return broken(format!("{shown} names no current profile")),
        };
        let profiles = file.profiles.as_deref().unwrap_or(&[]);
        let Some(profile) = profiles
            .iter()
            .find(|profile| profile.name.as_deref() == Some(wanted))
        else {
            let names: Vec<&str> = profiles.iter().filter_map(|p| p.name.as_deref()).collect();
            return broken(format!(
                "{shown} has no profile `{wanted}`, it has: {}",
                names.join(", ")
            ));
        };
        profile.credentials(wanted, &shown.to_string()).map(Some)
    }
}

impl Profile {
    fn credentials(&self, name: &str, file: &str) -> Result<Credentials, SourceError> {
        fn set<'a>(
            value: &'a Option<String>,
            key: &str,
            name: &str,
            file: &str,
        ) -> Result<&'a str, SourceError> {
            match value.as_deref() {
                Some(text) if !text.is_empty() => Ok(text),
                Some(_) | None => Err(SourceError::Broken(format!(
                    "profile `{name}` of {file} has no {key}"
                ))),
            }
        }
        let mode = set(&self.mode, "mode", name, file)?;
        let id = || set(&self.access_key_id, "access_key_id", name, file);
        let secret = || set(&self.access_key_secret, "access_key_secret", name, file);
        if mode.eq_ignore_ascii_case("AK") {
            return Credentials::new(id()?, secret()?, None);
        }
        if mode.eq_ignore_ascii_case("StsToken") {
            let token = set(&self.sts_token, "sts_token", name, file)?;
            return Credentials::new(id()?, secret()?, Some(token));
        }
        match NOT_BUILT
            .iter()
            .find(|known| mode.eq_ignore_ascii_case(known))
        {
            Some(known) => Err(SourceError::NotBuilt(format!(
                "profile `{name}` of {file} has mode {known}, which is not built yet \
                 (AK and StsToken are)"
            ))),
            None => Err(SourceError::Broken(format!(
                "profile `{name}` of {file} has the unknown mode `{mode}`"
            ))),
        }
    }
}
