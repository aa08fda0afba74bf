//! The SDKs' own file, `~/.alibabacloud/credentials` or `credentials.ini`.
//!
//! Source: alibabacloud-credentials 1.0.12 (Python) and @alicloud/credentials 2.4.7 (Node), read 2026-08;
//! they differ in the file's name, so both are looked for.

use super::assume::{self, Role};
use super::key_pair::{KeyPair, PrivateKey};
use super::oidc::Trade;
use super::{Context, CredentialSource, Credentials, Issued, Loading, SourceError, ecs_metadata};
use std::collections::BTreeMap;
use std::path::PathBuf;

const FILE: &str = "ALIBABA_CLOUD_CREDENTIALS_FILE";
const PROFILE: &str = "ALIBABA_CLOUD_PROFILE";
const NAMES: [&str; 2] = ["credentials.ini", "credentials"];

/// A section of the file: `ALIBABA_CLOUD_PROFILE`, else `default`.
pub struct IniFile;

impl CredentialSource for IniFile {
    fn name(&self) -> String {
        "INI file".to_owned()
    }

    fn absent(&self, _: &Context) -> String {
        format!(
            "{FILE} is not set and ~/.alibabacloud has neither of {}",
            NAMES.join(", ")
        )
    }

    fn load<'a>(&'a self, context: &'a Context) -> Loading<'a> {
        Box::pin(async move {
            let Some(path) = path(context) else {
                return Ok(None);
            };
            let shown = path.display().to_string();
            let text = std::fs::read_to_string(&path)
                .map_err(|why| SourceError::Broken(format!("reading {shown}: {why}")))?;
            let mut sections = sections(&text, &shown)?;
            let wanted = context.environment.get(PROFILE).unwrap_or("default");
            let Some(keys) = sections.remove(wanted) else {
                let names: Vec<String> = sections.into_keys().collect();
                return Err(SourceError::Broken(format!(
                    "{shown} has no section `{wanted}`, it has: {}",
                    names.join(", ")
                )));
            };
            let section = Section {
                place: format!("section `{wanted}` of {shown}"),
                keys,
            };
            section.session(context).await.map(Some)
        })
    }
}

fn path(context: &Context) -> Option<PathBuf> {
    if let Some(file) = context.environment.get(FILE) {
        return Some(PathBuf::from(file));
    }
    let folder = context.environment.home()?.join(".alibabacloud");
    NAMES
        .iter()
        .map(|name| folder.join(name))
        .find(|path| path.exists())
}

/// By section, each key's value. A line that is none of it is told by its number alone.
fn sections(
    text: &str,
    shown: &str,
) -> Result<BTreeMap<String, BTreeMap<String, String>>, SourceError> {
    let mut out: BTreeMap<String, BTreeMap<String, String>> = BTreeMap::new();
    let mut current: Option<String> = None;
    for (at, line) in text.lines().enumerate() {
        let line = line.trim();
        if line.is_empty() || line.starts_with(['#', ';']) {
            continue;
        }
        if let Some(name) = line.strip_prefix('[').and_then(|l| l.strip_suffix(']')) {
            let name = name.trim().to_owned();
            out.entry(name.clone()).or_default();
            current = Some(name);
            continue;
        }
        let section = current.as_ref().and_then(|name| out.get_mut(name));
        let (Some(section), Some((key, value))) = (section, line.split_once('=')) else {
            return Err(SourceError::Broken(format!(
                "line {} of {shown} is neither [section] nor key = value in one",
                at.saturating_add(1)
            )));
        };
        // `#` starts a comment, behind a value too where white space stands before it.
        let value = value.split(" #").next().unwrap_or_default().trim();
        section.insert(key.trim().to_owned(), value.to_owned());
    }
    Ok(out)
}

struct Section {
    place: String,
    keys: BTreeMap<String, String>,
}

impl Section {
    fn get(&self, key: &str) -> Option<&str> {
        let value = self.keys.get(key).map(String::as_str);
        value.filter(|value| !value.is_empty())
    }

    fn need(&self, key: &str) -> Result<&str, SourceError> {
        self.get(key)
            .ok_or_else(|| SourceError::Broken(format!("{} has no {key}", self.place)))
    }

    /// A number of seconds, where one is set; 0 counts as unset, as in the SDK.
    fn seconds(&self, key: &str) -> Result<Option<u32>, SourceError> {
        let Some(text) = self.get(key) else {
            return Ok(None);
        };
        let seconds: u32 = text.parse().map_err(|_| {
            SourceError::Broken(format!("{key} of {} is no number of seconds", self.place))
        })?;
        Ok(Some(seconds).filter(|seconds| *seconds != 0))
    }

    fn role(&self) -> Result<Role, SourceError> {
        Ok(Role {
            arn: self.need("role_arn")?.to_owned(),
            session: self.get("role_session_name").map(str::to_owned),
            seconds: None,
            policy: self.get("policy").map(str::to_owned),
            external_id: None,
        })
    }

    async fn session(&self, context: &Context) -> Result<Issued, SourceError> {
        let keys = || {
            Credentials::new(
                self.need("access_key_id")?,
                self.need("access_key_secret")?,
                None,
            )
        };
        match self.need("type")? {
            "access_key" => Ok(Issued::lasting(keys()?)),
            "ram_role_arn" => {
                let settings = assume::settings(context, None, false);
                assume::with_keys(settings, keys()?, &self.role()?, (context.now)()).await
            }
            "oidc_role_arn" => {
                let trade = Trade {
                    role: self.role()?,
                    provider: self.need("oidc_provider_arn")?.to_owned(),
                    token_file: PathBuf::from(self.need("oidc_token_file_path")?),
                    sts_region: None,
                    vpc: false,
                };
                trade.session(context).await
            }
            "ecs_ram_role" => {
                let issued = ecs_metadata::role(context, self.get("role_name")).await?;
                issued.ok_or_else(|| {
                    SourceError::Broken(format!(
                        "{} asks for this instance's role, and there is none",
                        self.place
                    ))
                })
            }
            "rsa_key_pair" => {
                let pair = KeyPair {
                    public_key_id: self.need("public_key_id")?.to_owned(),
                    private_key: PrivateKey::File(PathBuf::from(self.need("private_key_file")?)),
                    seconds: self.seconds("session_expiration")?,
                    sts_region: None,
                    vpc: false,
                };
                pair.session(context).await
            }
            other => Err(SourceError::Broken(format!(
                "{} has the unknown type `{other}`",
                self.place
            ))),
        }
    }
}
