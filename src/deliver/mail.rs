//! Mail by SMTP submission to a relay. TLS always, unless the URL says `tls=none`; a password never
//! over plain text except to this host itself. A letter is composed once: retries and `resend` send
//! the same bytes with the same Message-ID.

use super::{Patience, Receipt};
use crate::model::Secret;
use chrono::{DateTime, SecondsFormat, Utc};
use futures_util::future::BoxFuture;
use lettre::address::Envelope;
use lettre::message::header::{ContentType, HeaderName, HeaderValue};
use lettre::message::{Attachment, Mailbox, MultiPart, SinglePart};
use lettre::transport::smtp::authentication::Credentials;
use lettre::transport::smtp::client::{Certificate, Tls, TlsParameters};
use lettre::transport::smtp::extension::ClientId;
use lettre::{Address, AsyncSmtpTransport, AsyncTransport, Tokio1Executor};
use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject as _;
use serde::{Deserialize, Serialize};
use std::fmt;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

/// A try with a relay that took nothing of an earlier letter.
const ONE_TRY: Duration = Duration::from_secs(20);

/// How long the relay's name is looked up.
const LOOKING: Duration = Duration::from_secs(20);

/// Bytes of attachments in one mail: Direct Mail takes 15 MB after base64, corporate gateways 10.
/// Source: Direct Mail help, "Limits".
pub const MOST_ATTACHED: usize = 7_000_000;

/// How the connection is kept from others.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Security {
    /// `smtps://`
    Implicit,
    /// `smtp://`: STARTTLS or nothing.
    StartTls,
    /// `smtp://...?tls=none`
    None,
}

/// Reads a password where it is kept; what is wrong is told as it is.
pub type Ask = Arc<dyn Fn() -> BoxFuture<'static, Result<Secret, String>> + Send + Sync>;

/// The password to log in with.
#[derive(Clone)]
pub enum Password {
    /// It is at hand.
    Known(Secret),
    /// It is kept elsewhere, and read by whoever is about to send.
    Kept(Ask),
}

/// What is wrong with `[mail]`, and under which key.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{key} {what}")]
pub struct Mistake {
    /// `url`, `from` or `ca_file`.
    pub key: &'static str,
    /// What is wrong and what would be right.
    pub what: String,
}

/// The relay and how to reach it. `Debug` shows no secret.
#[derive(Clone)]
pub struct MailSettings {
    host: String,
    port: u16,
    security: Security,
    user: Option<String>,
    password: Option<Password>,
    from: Mailbox,
    ca: Option<Vec<u8>>,
    /// Waits between tries.
    pub waits: Vec<Duration>,
    /// One try, from connecting to the last reply.
    pub timeout: Duration,
}

impl fmt::Debug for MailSettings {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("MailSettings")
            .field("relay", &self.relay())
            .field("security", &self.security)
            .field("user", &self.user)
            .field(
                "password",
                &self.password.as_ref().map(|password| match password {
                    Password::Known(_) => "***",
                    Password::Kept(_) => "kept elsewhere",
                }),
            )
            .field("from", &self.from)
            .finish_non_exhaustive()
    }
}

impl MailSettings {
    /// Reads `smtps://user@host:465`, `smtp://user@host:587` (STARTTLS) or `smtp://host?tls=none`.
    ///
    /// # Errors
    /// Says what is wrong with the URL, the sender or the CA.
    pub fn new(
        url: &str,
        from: &str,
        password: Option<Password>,
        ca: Option<Vec<u8>>,
    ) -> Result<Self, Mistake> {
        let sender: Mailbox = from.parse().map_err(|why| {
            let what = format!("\"{from}\" is no address such as Audit <audit@example.com>: {why}");
            Mistake { key: "from", what }
        })?;
        if let Some(pem) = &ca {
            // lettre takes a file without any, and trusts nobody by it.
            let certificates: Result<Vec<CertificateDer<'_>>, _> =
                CertificateDer::pem_slice_iter(pem).collect();
            let why = match certificates {
                Ok(all) if all.is_empty() => Some("there is no PEM of that name in it".to_owned()),
                Ok(_) => Certificate::from_pem(pem).err().map(|why| why.to_string()),
                Err(why) => Some(why.to_string()),
            };
            if let Some(why) = why {
                return Err(Mistake {
                    key: "ca_file",
                    what: format!("holds no certificate: {why}"),
                });
            }
        }
        let read = Self::read_url(url, sender, password, ca);
        read.map_err(|what| Mistake { key: "url", what })
    }

    fn read_url(
        url: &str,
        from: Mailbox,
        password: Option<Password>,
        ca: Option<Vec<u8>>,
    ) -> Result<Self, String> {
        let parsed = reqwest::Url::parse(url)
            .map_err(|_| "is not such as smtps://user@smtp.example.com:465".to_owned())?;
        if parsed.password().is_some() {
            return Err(
                "holds a password; put it into SGWARDEN_SMTP_PASSWORD, the file named by \
                 password_file, or the KMS secret named by password_secret"
                    .to_owned(),
            );
        }
        let mut plain = false;
        for (key, value) in parsed.query_pairs() {
            match (key.as_ref(), value.as_ref()) {
                ("tls", "none") => plain = true,
                ("tls", "required") => {}
                (key, value) => {
                    return Err(format!("has {key}={value}; only tls=none or tls=required"));
                }
            }
        }
        let security = match (parsed.scheme(), plain) {
            ("smtps", false) => Security::Implicit,
            ("smtps", true) => return Err("has tls=none, which contradicts smtps://".to_owned()),
            ("smtp", true) => Security::None,
            ("smtp", false) => Security::StartTls,
            (other, _) => return Err(format!("begins with {other}://; smtps:// or smtp://")),
        };
        if !matches!(parsed.path(), "" | "/") {
            return Err("has a path; it ends after the host and port".to_owned());
        }
        let host = parsed
            .host_str()
            .map(|host| host.trim_matches(['[', ']']).to_owned())
            .filter(|host| !host.is_empty())
            .ok_or("names no host")?;
        let user = (!parsed.username().is_empty()).then(|| percent_decoded(parsed.username()));
        let loopback = host == "localhost"
            || host
                .parse::<std::net::IpAddr>()
                .is_ok_and(|ip| ip.is_loopback());
        if security == Security::None && user.is_some() && !loopback {
            return Err(
                "has tls=none, which would send the password in the clear; use smtps:// or STARTTLS"
                    .to_owned(),
            );
        }
        if user.is_some() && password.is_none() {
            return Err(
                "names a user and there is no password: set SGWARDEN_SMTP_PASSWORD, \
                 password_file or password_secret"
                    .to_owned(),
            );
        }
        let port = parsed.port().unwrap_or(match security {
            Security::Implicit => 465,
            Security::StartTls => 587,
            Security::None => 25,
        });
        Ok(Self {
            host,
            port,
            security,
            password: user.as_ref().and(password),
            user,
            from,
            ca,
            // mail.md: 3 to 5 tries in a run.
            waits: vec![
                Duration::from_secs(5),
                Duration::from_secs(30),
                Duration::from_secs(120),
            ],
            timeout: Duration::from_secs(120),
        })
    }

    /// Whether the password is kept elsewhere and still to be read.
    pub fn is_to_be_asked_for(&self) -> bool {
        matches!(self.password, Some(Password::Kept(_)))
    }

    /// The same with the password at hand: one that is kept elsewhere is read now.
    ///
    /// # Errors
    /// It cannot be read; then nothing can be sent.
    pub async fn opened(&self) -> Result<Self, String> {
        match &self.password {
            Some(Password::Kept(ask)) => Ok(self.with_password(ask().await?)),
            Some(Password::Known(_)) | None => Ok(self.clone()),
        }
    }

    /// The same with this password.
    pub fn with_password(&self, password: Secret) -> Self {
        Self {
            password: Some(Password::Known(password)),
            ..self.clone()
        }
    }

    /// The same with nobody to log in as: enough to see whether the relay is there.
    pub fn without_login(&self) -> Self {
        Self {
            user: None,
            password: None,
            ..self.clone()
        }
    }

    /// The same, tried once and not for long.
    pub fn for_one_try(&self) -> Self {
        Self {
            waits: Vec::new(),
            timeout: ONE_TRY.min(self.timeout),
            ..self.clone()
        }
    }

    /// Host and port.
    pub fn relay(&self) -> String {
        if self.host.contains(':') {
            format!("[{}]:{}", self.host, self.port)
        } else {
            format!("{}:{}", self.host, self.port)
        }
    }

    /// The addresses of the relay's name.
    ///
    /// # Errors
    /// It has none, or the resolver does not answer.
    pub(super) async fn resolve(&self, limit: Duration) -> Result<Vec<SocketAddr>, Unresolved> {
        let looked = tokio::net::lookup_host((self.host.as_str(), self.port));
        match tokio::time::timeout(limit, looked).await {
            Ok(Ok(addresses)) => Ok(addresses.collect()),
            Ok(Err(why)) => Err(Unresolved::of(&why.to_string())),
            Err(_) => Err(Unresolved::of("no answer")),
        }
    }

    /// The user to log in as.
    pub(super) fn user(&self) -> Option<&str> {
        self.user.as_deref()
    }

    /// Whether the connection is kept from others.
    pub(super) fn is_encrypted(&self) -> bool {
        self.security != Security::None
    }

    /// Connects, with TLS and login as configured, and says NOOP: no letter is sent.
    pub(super) async fn session(&self, limit: Duration) -> Result<(), Refusal> {
        let plain = |told: String| Refusal {
            told,
            code: None,
            of_tls: false,
        };
        let transport = self.transport().map_err(plain)?;
        match tokio::time::timeout(limit, transport.test_connection()).await {
            Ok(Ok(true)) => Ok(()),
            Ok(Ok(false)) => Err(plain(format!("{} does not answer NOOP", self.relay()))),
            Ok(Err(why)) => Err(Refusal {
                told: in_full(&why),
                code: why.status().and_then(|code| code.to_string().parse().ok()),
                of_tls: why.is_tls() || is_of_tls(&why),
            }),
            Err(_) => Err(plain(format!(
                "{} did not answer within {} s",
                self.relay(),
                limit.as_secs()
            ))),
        }
    }

    fn transport(&self) -> Result<AsyncSmtpTransport<Tokio1Executor>, String> {
        let tls = match self.security {
            Security::None => Tls::None,
            Security::Implicit | Security::StartTls => {
                let mut builder = TlsParameters::builder(self.host.clone());
                if let Some(pem) = &self.ca {
                    let ca = Certificate::from_pem(pem).map_err(|why| why.to_string())?;
                    builder = builder.add_root_certificate(ca);
                }
                let parameters = builder.build_rustls().map_err(|why| why.to_string())?;
                if self.security == Security::Implicit {
                    Tls::Wrapper(parameters)
                } else {
                    Tls::Required(parameters)
                }
            }
        };
        // A name with a dot: some relays refuse one without. Not this host's own: it is nobody's business.
        let hello = ClientId::Domain(format!("sgwarden.{}", self.from.email.domain()));
        let mut builder =
            AsyncSmtpTransport::<Tokio1Executor>::builder_dangerous(self.host.clone())
                .port(self.port)
                .tls(tls)
                .hello_name(hello)
                .timeout(Some(self.timeout));
        match (&self.user, &self.password) {
            (Some(user), Some(Password::Known(password))) => {
                let password = password.expose().to_owned();
                builder = builder.credentials(Credentials::new(user.clone(), password));
            }
            (_, Some(Password::Kept(_))) => {
                return Err(
                    "the password was not read before; this is a bug of sgwarden".to_owned(),
                );
            }
            (_, Some(Password::Known(_)) | None) => {}
        }
        Ok(builder.build())
    }
}

fn percent_decoded(text: &str) -> String {
    let mut out = Vec::new();
    let mut bytes = text.bytes();
    while let Some(byte) = bytes.next() {
        if byte != b'%' {
            out.push(byte);
            continue;
        }
        let pair: Vec<u8> = bytes.by_ref().take(2).collect();
        let value = std::str::from_utf8(&pair)
            .ok()
            .and_then(|hex| u8::from_str_radix(hex, 16).ok());
        out.extend(value);
    }
    String::from_utf8_lossy(&out).into_owned()
}

/// A file to attach.
#[derive(Clone, Debug)]
pub struct Attached<'a> {
    /// ASCII and short: old clients show others as `ATT00001`.
    pub name: String,
    /// Its media type.
    pub media_type: &'a str,
    /// The file.
    pub bytes: &'a [u8],
}

/// What a letter says and to whom.
#[derive(Clone, Debug)]
pub struct Draft<'a> {
    /// Subject.
    pub subject: &'a str,
    /// Plain part.
    pub text: &'a str,
    /// HTML part.
    pub html: &'a str,
    /// Recipients.
    pub to: &'a [String],
    /// Copies.
    pub cc: &'a [String],
    /// Whom answers go to.
    pub reply_to: Option<&'a str>,
    /// What makes the Message-ID stable: run id and part.
    pub id: &'a str,
    /// The `Date` header.
    pub date: DateTime<Utc>,
    /// Files.
    pub attachments: Vec<Attached<'a>>,
}

/// A composed letter: bytes and whom they still have to reach.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Message {
    /// The envelope's sender.
    pub from: String,
    /// Recipients that have not accepted it.
    pub left: Vec<String>,
    /// Its Message-ID.
    pub message_id: String,
    /// Its subject, for people.
    pub subject: String,
    /// The message as it is sent.
    #[serde(skip)]
    pub bytes: Vec<u8>,
}

/// Composes a letter.
///
/// # Errors
/// An address or a header cannot be written.
pub fn compose(settings: &MailSettings, draft: &Draft<'_>) -> Result<Message, String> {
    let mailbox = |text: &str| {
        text.parse::<Mailbox>()
            .map_err(|why| format!("\"{text}\": {why}"))
    };
    let message_id = format!("<{}@{}>", draft.id, settings.from.email.domain());
    let mut builder = lettre::Message::builder()
        .from(settings.from.clone())
        .subject(draft.subject)
        .date(std::time::SystemTime::from(draft.date))
        .message_id(Some(message_id.clone()))
        .raw_header(header("Auto-Submitted", "auto-generated"))
        .raw_header(header("X-Auto-Response-Suppress", "All"));
    let mut left = Vec::new();
    for text in draft.to {
        let to = mailbox(text)?;
        left.push(to.email.to_string());
        builder = builder.to(to);
    }
    for text in draft.cc {
        let cc = mailbox(text)?;
        left.push(cc.email.to_string());
        builder = builder.cc(cc);
    }
    if let Some(reply_to) = draft.reply_to {
        builder = builder.reply_to(mailbox(reply_to)?);
    }
    left.sort();
    left.dedup();
    let body = MultiPart::alternative()
        .singlepart(SinglePart::plain(draft.text.to_owned()))
        .singlepart(SinglePart::html(draft.html.to_owned()));
    let mut mixed = MultiPart::mixed().multipart(body);
    for file in &draft.attachments {
        let kind = ContentType::parse(file.media_type)
            .map_err(|why| format!("{}: {why}", file.media_type))?;
        mixed =
            mixed.singlepart(Attachment::new(file.name.clone()).body(file.bytes.to_vec(), kind));
    }
    let message = builder.multipart(mixed).map_err(|why| why.to_string())?;
    Ok(Message {
        from: settings.from.email.to_string(),
        left,
        message_id,
        subject: draft.subject.to_owned(),
        bytes: message.formatted(),
    })
}

fn header(name: &'static str, value: &str) -> HeaderValue {
    HeaderValue::new(HeaderName::new_from_ascii_str(name), value.to_owned())
}

/// The relay's name could not be looked up.
#[derive(Debug)]
pub(super) struct Unresolved {
    /// What the resolver says.
    pub(super) why: String,
    /// Whether it says that there is no such name: then waiting mends little.
    pub(super) no_such_name: bool,
}

impl Unresolved {
    /// The resolver's words are all there is; those of glibc, musl and macOS for a name that nobody has.
    fn of(why: &str) -> Self {
        const NO_SUCH_NAME: [&str; 3] = [
            "Name or service not known",
            "Name does not resolve",
            "nodename nor servname provided",
        ];
        Self {
            why: why.to_owned(),
            no_such_name: NO_SUCH_NAME.iter().any(|words| why.contains(words)),
        }
    }
}

/// Waits of a letter to a name that nobody has: it may have been made just now, and not two minutes ago.
const WAITS_FOR_A_NAME: usize = 1;

/// What a refusal means for the next try.
enum Next {
    Again,
    Never,
}

/// Sends a letter, one transaction a recipient: one that is refused costs the others nothing.
/// Recipients that accepted are taken out of `message.left`.
pub async fn send(
    settings: &MailSettings,
    message: &mut Message,
    patience: &mut Patience,
    now: fn() -> DateTime<Utc>,
) -> Vec<Receipt> {
    let mut receipts: Vec<Receipt> = Vec::new();
    let mut pending: Vec<(String, u32)> = message.left.iter().map(|to| (to.clone(), 0)).collect();
    let mut waits = settings.waits.iter();
    let mut waited = 0_usize;
    loop {
        let mut again = Vec::new();
        let mut wrong_password = None;
        let looked = patience.bound(LOOKING, settings.resolve(LOOKING)).await;
        let unresolved = looked
            .unwrap_or_else(|| Err(Unresolved::of("no answer")))
            .err();
        let no_such_name = unresolved.as_ref().is_some_and(|why| why.no_such_name);
        for (to, tries) in pending {
            if unresolved.is_none()
                && let Some(why) = patience.over()
            {
                // What was tried before has its receipt, with the better reason.
                if tries == 0 {
                    let why = format!("not tried: {why}");
                    receipts.push(untried(settings, message, &to, &why, now));
                }
                continue;
            }
            let tries = tries.saturating_add(1);
            let (reply, error, next) = match (&unresolved, &wrong_password) {
                (Some(unresolved), _) => {
                    let why = format!(
                        "the name of the relay {} cannot be resolved: {}; correct the host in [mail] url, or \
                         this machine's resolver",
                        settings.relay(),
                        unresolved.why
                    );
                    (None, Some(why), Next::Again)
                }
                // Repeats lock accounts.
                (None, Some(why)) => (None, Some(String::clone(why)), Next::Never),
                (None, None) => match one(settings, message, &to, patience).await {
                    Ok(reply) => (Some(reply), None, Next::Never),
                    Err((why, next, login)) => {
                        if login {
                            wrong_password = Some(why.clone());
                        }
                        (None, Some(why), next)
                    }
                },
            };
            receipts.retain(|receipt| receipt.recipient != to);
            receipts.push(Receipt {
                recipient: to.clone(),
                relay: settings.relay(),
                message_id: message.message_id.clone(),
                at: now().to_rfc3339_opts(SecondsFormat::Secs, true),
                reply,
                error,
                tries,
            });
            if matches!(next, Next::Again) {
                again.push((to, tries));
            }
        }
        if again.is_empty() || (no_such_name && waited >= WAITS_FOR_A_NAME) {
            break;
        }
        let Some(wait) = waits.next() else {
            break;
        };
        if !patience.wait(*wait).await {
            break;
        }
        waited = waited.saturating_add(1);
        pending = again;
    }
    message
        .left
        .retain(|to| !receipts.iter().any(|r| r.recipient == *to && r.accepted()));
    receipts
}

/// Receipts of a letter that was not even tried, for the same reason with everybody.
pub fn not_tried(
    settings: &MailSettings,
    message: &Message,
    why: &str,
    now: fn() -> DateTime<Utc>,
) -> Vec<Receipt> {
    let left = message.left.iter();
    left.map(|to| untried(settings, message, to, why, now))
        .collect()
}

fn untried(
    settings: &MailSettings,
    message: &Message,
    to: &str,
    why: &str,
    now: fn() -> DateTime<Utc>,
) -> Receipt {
    Receipt {
        recipient: to.to_owned(),
        relay: settings.relay(),
        message_id: message.message_id.clone(),
        at: now().to_rfc3339_opts(SecondsFormat::Secs, true),
        reply: None,
        error: Some(why.to_owned()),
        tries: 0,
    }
}

async fn one(
    settings: &MailSettings,
    message: &Message,
    to: &str,
    patience: &mut Patience,
) -> Result<String, (String, Next, bool)> {
    let never = |why: String| (why, Next::Never, false);
    let address = |text: &str| {
        text.parse::<Address>()
            .map_err(|why| never(format!("{text}: {why}")))
    };
    let envelope = Envelope::new(Some(address(&message.from)?), vec![address(to)?])
        .map_err(|why| never(why.to_string()))?;
    let transport = settings.transport().map_err(never)?;
    let began = tokio::time::Instant::now();
    let sending = transport.send_raw(&envelope, &message.bytes);
    match patience.bound(settings.timeout, sending).await {
        Some(Ok(response)) => {
            let text: Vec<&str> = response.message().collect();
            Ok(format!("{} {}", response.code(), text.join(" ")))
        }
        Some(Err(why)) => {
            let told = format!(
                "{} refused or lost a letter to {to}: {}",
                settings.relay(),
                in_full(&why)
            );
            let code = why.status().map(|code| code.to_string());
            let login = matches!(code.as_deref(), Some("535" | "534" | "538" | "526"));
            // Neither transient nor permanent: refused connections, time-outs, broken pipes.
            let final_one =
                why.is_permanent() || why.is_tls() || why.is_client() || is_of_tls(&why);
            Err((
                told,
                if final_one { Next::Never } else { Next::Again },
                login,
            ))
        }
        None => {
            let mut told = format!(
                "{} did not take a letter to {to} within {} s",
                settings.relay(),
                began.elapsed().as_secs()
            );
            if let Some(why) = patience.over() {
                told.push_str(": ");
                told.push_str(&why);
            }
            Err((told, Next::Again, false))
        }
    }
}

/// Why a session with the relay did not come about.
pub(super) struct Refusal {
    /// What was answered, or what happened.
    pub(super) told: String,
    /// The relay's code, where it answered.
    pub(super) code: Option<u16>,
    /// Whether TLS itself failed.
    pub(super) of_tls: bool,
}

/// An error with its causes, in one line.
fn in_full(error: &dyn std::error::Error) -> String {
    let mut told = error.to_string();
    let mut source = error.source();
    while let Some(cause) = source {
        let text = cause.to_string();
        if !told.contains(&text) {
            told.push_str(": ");
            told.push_str(&text);
        }
        source = cause.source();
    }
    told
}

/// Whether TLS itself failed, such as a certificate of a stranger: lettre calls that a connection
/// error, and no second try mends it.
fn is_of_tls(error: &lettre::transport::smtp::Error) -> bool {
    let mut source = std::error::Error::source(error);
    while let Some(cause) = source {
        let wrapped = cause
            .downcast_ref::<std::io::Error>()
            .and_then(std::io::Error::get_ref);
        if wrapped.is_some_and(|inner| inner.is::<rustls::Error>()) {
            return true;
        }
        source = cause.source();
    }
    false
}

/// The attachments that fit, and the names of those that do not: the largest are left off.
pub fn fitting<'a>(mut files: Vec<Attached<'a>>) -> (Vec<Attached<'a>>, Vec<String>) {
    let mut left_off = Vec::new();
    while files.iter().map(|file| file.bytes.len()).sum::<usize>() > MOST_ATTACHED {
        let largest = files
            .iter()
            .enumerate()
            .max_by_key(|(_, file)| file.bytes.len());
        let Some((at, _)) = largest else { break };
        left_off.push(files.remove(at).name);
    }
    (files, left_off)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_that_nobody_has_is_told_from_a_resolver_that_is_away() {
        let said = |words: &str| {
            let why = format!("failed to lookup address information: {words}");
            Unresolved::of(&why).no_such_name
        };
        for words in [
            "Name or service not known",
            "Name does not resolve",
            "nodename nor servname provided, or not known",
        ] {
            assert!(said(words), "{words}");
        }
        for words in ["Temporary failure in name resolution", "Try again"] {
            assert!(!said(words), "{words}");
        }
    }
}
