//! `sgwarden.toml`: where the cloud, the store, the state and the relay are.

use super::checks::parsed;
use super::reader::{Problem, Source, Table};
use crate::model::SecretName;
use crate::storage::Place;
use std::path::{Path, PathBuf};

/// Which site's central hosts serve the account.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Site {
    /// aliyun.com
    #[default]
    China,
    /// alibabacloud.com
    International,
}

/// Which hosts of a region are called.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Network {
    /// Over the internet.
    #[default]
    Public,
    /// Inside a VPC of that region only.
    Vpc,
}

/// How requests are signed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Signature {
    /// ACS3-HMAC-SHA256
    #[default]
    V3,
    /// HMAC-SHA1
    V1,
}

/// `[mail]`, as typed; the relay's URL is read where letters are sent.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Relay {
    /// `smtps://user@host:465`
    pub url: String,
    /// `Name <address>`
    pub from: String,
    /// Where the password is, where it is not in `SGWARDEN_SMTP_PASSWORD`.
    pub password: Option<PasswordIn>,
    /// A private CA's PEM, beside the system's roots.
    pub ca_file: Option<PathBuf>,
}

/// Where the relay's password is kept.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum PasswordIn {
    /// `password_file`
    File(PathBuf),
    /// `password_secret`, a secret of KMS in the home region.
    Secret(SecretName),
}

/// Which places of `[storage]` were said.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Said {
    /// `url`
    pub store: bool,
    /// `state`
    pub state: bool,
    /// `spool`
    pub spool: bool,
}

/// Keys that an invocation brings with it: they go before the whole chain, and end with it.
#[derive(Clone, PartialEq, Eq)]
pub struct RoleKeys {
    /// AccessKey id.
    pub id: String,
    /// AccessKey secret.
    pub secret: String,
    /// The session's token.
    pub token: Option<String>,
}

impl std::fmt::Debug for RoleKeys {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("RoleKeys").finish_non_exhaustive()
    }
}

/// `sgwarden.toml` with its defaults.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Program {
    /// The folder that relative paths are relative to.
    pub base: PathBuf,
    /// A profile of the aliyun CLI.
    pub profile: Option<String>,
    /// `[accounts] role`: assumed in every account but one's own.
    pub role: Option<String>,
    /// `[accounts] external_id`
    pub external_id: Option<String>,
    /// Every service there.
    pub endpoint: Option<String>,
    /// Site.
    pub site: Site,
    /// Network.
    pub network: Network,
    /// For calls that are not regional.
    pub home_region: String,
    /// Signature.
    pub signature: Signature,
    /// Requests at once.
    pub max_in_flight: usize,
    /// Where sealed runs go.
    pub store: Place,
    /// What outlives runs.
    pub state: Place,
    /// What of these three was said, by the file or a flag.
    pub said: Said,
    /// Where runs are written before they are sent to a bucket.
    pub spool: PathBuf,
    /// Keys of this invocation.
    pub keys: Option<RoleKeys>,
    /// The relay.
    pub mail: Option<Relay>,
}

impl Program {
    /// Without a file.
    pub fn defaults(base: &Path) -> Self {
        Self {
            base: base.to_owned(),
            profile: None,
            role: None,
            external_id: None,
            endpoint: None,
            site: Site::default(),
            network: Network::default(),
            home_region: "cn-hangzhou".to_owned(),
            signature: Signature::default(),
            max_in_flight: 64,
            store: Place::Folder(base.join("evidence")),
            state: Place::Folder(base.join("state")),
            said: Said::default(),
            keys: None,
            spool: base.join("evidence-spool"),
            mail: None,
        }
    }

    /// On Function Compute the package's folder cannot be written: what was not said lies where the
    /// instance can write, and goes with it.
    pub fn on_function_compute(&mut self) {
        let base = Path::new("/tmp/sgwarden");
        if !self.said.store {
            self.store = Place::Folder(base.join("evidence"));
        }
        if !self.said.state {
            self.state = Place::Folder(base.join("state"));
        }
        if !self.said.spool {
            self.spool = base.join("spool");
        }
    }

    /// Reads the file's text. `file` is what to call it.
    ///
    /// # Errors
    /// All its problems.
    pub fn read(file: &str, text: &str, base: &Path) -> Result<Self, Vec<Problem>> {
        let source = Source::new(file, text);
        let parsed_file = source.parse();
        let top = Table::top(&source, &parsed_file);
        let mut out = Self::defaults(base);
        if let Some(table) = top.table("credentials") {
            out.profile = table.text("profile").map(|text| text.value);
            table.finish();
        }
        if let Some(table) = top.table("cloud") {
            read_cloud(&table, &mut out);
            table.finish();
        }
        if let Some(table) = top.table("accounts") {
            read_accounts(&table, &mut out);
            table.finish();
        }
        if let Some(table) = top.table("storage") {
            for (key, slot) in [("url", &mut out.store), ("state", &mut out.state)] {
                if let Some(text) = table.text(key) {
                    match Place::parse(&text.value, base) {
                        Ok(place) => *slot = place,
                        Err(why) => table.problem(&text, why),
                    }
                }
            }
            out.said = Said {
                store: table.has("url"),
                state: table.has("state"),
                spool: table.has("spool"),
            };
            match table
                .text("spool")
                .map(|text| (Place::parse(&text.value, base), text))
            {
                Some((Ok(Place::Folder(folder)), _)) => out.spool = folder,
                Some((Ok(Place::Bucket(_)), text)) => {
                    table.problem(&text, "must be a folder of this host");
                }
                Some((Err(why), text)) => table.problem(&text, why),
                None => {}
            }
            table.not_built(&["signing_key"]);
            table.finish();
        }
        if let Some(table) = top.table("mail") {
            out.mail = read_mail(&table, base);
            table.finish();
        }
        top.finish();
        if source.is_clean() {
            Ok(out)
        } else {
            Err(source.into_problems())
        }
    }
}

fn read_accounts(table: &Table<'_, '_>, out: &mut Program) {
    match table.text("role") {
        Some(text) if is_role(&text.value) => out.role = Some(text.value),
        Some(text) => table.problem(
            &text,
            "must be a role's name such as SgwardenAudit, the same in each account: letters, digits, - and \
             _, at most 64",
        ),
        None => table.missing("role", "the role to assume in every other account"),
    }
    if let Some(text) = table.text("external_id") {
        if (2..=1224).contains(&text.value.len()) {
            out.external_id = Some(text.value);
        } else {
            table.problem(&text, "must have 2 to 1224 characters");
        }
    }
}

fn is_role(text: &str) -> bool {
    !text.is_empty()
        && text.len() <= 64
        && text
            .bytes()
            .all(|b| b.is_ascii_alphanumeric() || b == b'-' || b == b'_' || b == b'.')
}

fn read_cloud(table: &Table<'_, '_>, out: &mut Program) {
    if let Some(text) = table.text("endpoint") {
        match endpoint(&text.value) {
            Ok(url) => out.endpoint = Some(url),
            Err(why) => table.problem(&text, why),
        }
    }
    if let Some(text) = table.text("site") {
        let words = |word: &str| match word {
            "china" => Some(Site::China),
            "international" => Some(Site::International),
            _ => None,
        };
        if let Some(site) = parsed(table, &text, words, "\"china\" or \"international\"") {
            out.site = site;
        }
    }
    if let Some(text) = table.text("network") {
        let words = |word: &str| match word {
            "public" => Some(Network::Public),
            "vpc" => Some(Network::Vpc),
            _ => None,
        };
        if let Some(network) = parsed(table, &text, words, "\"public\" or \"vpc\"") {
            out.network = network;
        }
    }
    if let Some(text) = table.text("signature") {
        let words = |word: &str| match word {
            "v3" => Some(Signature::V3),
            "v1" => Some(Signature::V1),
            _ => None,
        };
        if let Some(signature) = parsed(table, &text, words, "\"v3\" or \"v1\"") {
            out.signature = signature;
        }
    }
    if let Some(text) = table.text("home_region") {
        if is_region(&text.value) {
            out.home_region = text.value;
        } else {
            table.problem(&text, "must be a region id such as cn-hangzhou");
        }
    }
    if let Some(number) = table.count("max_in_flight") {
        match usize::try_from(number.value) {
            Ok(n @ 1..=1024) => out.max_in_flight = n,
            _ => table.problem(&number, "must be from 1 to 1024"),
        }
    }
}

/// Whether a text could be a region's id: it becomes part of a host's name.
pub fn is_region(text: &str) -> bool {
    !text.is_empty()
        && text.len() <= 40
        && text
            .bytes()
            .all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-')
}

/// An endpoint's URL: scheme and host, nothing behind.
///
/// # Errors
/// Says what is wrong with it.
pub fn endpoint(text: &str) -> Result<String, String> {
    let url = reqwest::Url::parse(text)
        .map_err(|why| format!("\"{text}\" is not a URL such as http://127.0.0.1:8080: {why}"))?;
    if !matches!(url.scheme(), "http" | "https") || url.host_str().is_none() {
        return Err(format!(
            "\"{text}\" must be http://HOST[:PORT] or https://HOST[:PORT]"
        ));
    }
    if !url.username().is_empty() || url.password().is_some() {
        return Err("an endpoint holds no user and no password".to_owned());
    }
    if url.path() != "/" || url.query().is_some() || url.fragment().is_some() {
        return Err(format!("\"{text}\" must end after the host and port"));
    }
    Ok(text.trim_end_matches('/').to_owned())
}

fn read_mail(table: &Table<'_, '_>, base: &Path) -> Option<Relay> {
    let need = |key: &str, what: &str| {
        let text = table.text(key);
        if text.is_none() && !table.has(key) {
            table.missing(key, what);
        }
        text.map(|text| text.value)
    };
    let url = need("url", "such as \"smtps://user@smtp.example.com:465\"");
    let password = read_password(table, base, url.as_deref());
    let from = need(
        "from",
        "such as \"Security group audit <audit@example.com>\"",
    );
    let ca_file = table.text("ca_file").map(|text| base.join(text.value));
    Some(Relay {
        url: url?,
        from: from?,
        password,
        ca_file,
    })
}

/// `password_file` or `password_secret`, one of them, with somebody to log in as.
fn read_password(table: &Table<'_, '_>, base: &Path, url: Option<&str>) -> Option<PasswordIn> {
    let (file, secret) = (table.text("password_file"), table.text("password_secret"));
    // A URL that cannot be read is told as such.
    let nobody = url
        .and_then(|url| reqwest::Url::parse(url).ok())
        .is_some_and(|url| url.username().is_empty());
    for placed in [&file, &secret].into_iter().flatten() {
        if nobody {
            table.problem(placed, "url names no user to log in as: smtps://USER@HOST");
        }
    }
    let name = secret.as_ref().and_then(|text| {
        let name = SecretName::parse(&text.value);
        if name.is_none() {
            table.problem(text, format!("must be {}", SecretName::FORM));
        }
        name
    });
    match (file, secret) {
        (Some(_), Some(secret)) => {
            table.problem(
                &secret,
                "password_file is there too, and a password is in one place: remove one of the two",
            );
            None
        }
        (Some(file), None) => Some(PasswordIn::File(base.join(file.value))),
        (None, Some(_) | None) => name.map(PasswordIn::Secret),
    }
}
