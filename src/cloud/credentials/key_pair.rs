//! A RAM user's RSA key pair: a call signed with the private key is answered with a session's keys, which
//! have no token.
//!
//! Source: aliyun/aliyun-cli, `config/profile.go` and `config/configure.go`, and what it calls,
//! aliyun/credentials-go, `credentials/rsa_key_pair_credentials_provider.go`, read 2026-11. Both call the mode
//! deprecated. The SDKs differ: those of Python and Java sign with HMAC-SHA1, some name the key in
//! `PublicKeyId`, some call Tokyo's host whatever the region. Here it is what the CLI sends, at the host that
//! AssumeRole has. None of it was ever tried against the real service.

use super::{Context, Issued, SourceError, document, sts};
use crate::cloud::endpoint::Service;
use crate::cloud::sign::{encode, v1};
use base64::Engine as _;
use ring::signature::RsaKeyPair;
use rustls::pki_types::PrivateKeyDer;
use rustls::pki_types::pem::PemObject as _;
use std::collections::BTreeMap;
use std::ops::RangeInclusive;
use std::path::PathBuf;

const ACTION: &str = "GenerateSessionAccessKey";

/// How long a session may last, seconds.
const LIVES: RangeInclusive<u32> = 900..=3600;
/// How long it lasts where nobody said so.
const LIFE: u32 = 3600;

/// A key pair to sign with.
pub(super) struct KeyPair {
    /// Under which the service knows the public key.
    pub(super) public_key_id: String,
    pub(super) private_key: PrivateKey,
    /// `None`: 3600.
    pub(super) seconds: Option<u32>,
    pub(super) sts_region: Option<String>,
    pub(super) vpc: bool,
}

/// The private half.
pub(super) enum PrivateKey {
    /// Read each time: a key that was replaced counts from the next session on.
    File(PathBuf),
    /// The key's own text, and the words its place is told by.
    Text { text: String, place: String },
}

impl PrivateKey {
    /// The CLI's `private_key`: `aliyun configure` writes the key's text there, the CLI then takes it for a
    /// file's name; so it may be either. What looks like a key is never told as a file's name.
    pub(super) fn of_profile(value: &str, place: &str) -> Self {
        // A bare key is a thousand letters and more, in which base64 has `/` too; no file is called that.
        let letter = |c: char| c.is_ascii_alphanumeric() || "+/=".contains(c);
        let bare = value.len() > 400 && value.chars().all(letter);
        if value.contains("-----") || value.contains('\n') || bare {
            Self::Text {
                text: value.to_owned(),
                place: format!("private_key of {place}"),
            }
        } else {
            Self::File(PathBuf::from(value))
        }
    }

    fn load(&self) -> Result<RsaKeyPair, SourceError> {
        let (text, place) = match self {
            Self::File(path) => {
                let place = path.display().to_string();
                let text = std::fs::read_to_string(path).map_err(|why| {
                    SourceError::Broken(format!("reading the private key {place}: {why}"))
                })?;
                (text, place)
            }
            Self::Text { text, place } => (text.clone(), place.clone()),
        };
        parsed(&text, &place)
    }
}

/// A key in PEM, PKCS#8 or PKCS#1, or as the bare base64 of one, which the SDK takes too. No message quotes it.
fn parsed(text: &str, place: &str) -> Result<RsaKeyPair, SourceError> {
    let broken = |why: &str| SourceError::Broken(format!("{place} {why}"));
    let none = || {
        broken(
            "holds no RSA private key as PEM (PRIVATE KEY or RSA PRIVATE KEY; one that is encrypted cannot \
             be read)",
        )
    };
    let der = if text.contains("-----") {
        PrivateKeyDer::from_pem_slice(text.as_bytes()).map_err(|_| none())?
    } else {
        let word: String = text.split_whitespace().collect();
        let bytes = base64::engine::general_purpose::STANDARD
            .decode(word)
            .map_err(|_| none())?;
        PrivateKeyDer::try_from(bytes).map_err(|_| none())?
    };
    let key = match &der {
        PrivateKeyDer::Pkcs8(der) => RsaKeyPair::from_pkcs8(der.secret_pkcs8_der()),
        PrivateKeyDer::Pkcs1(der) => RsaKeyPair::from_der(der.secret_pkcs1_der()),
        _ => return Err(broken("holds a private key that is not RSA")),
    };
    key.map_err(|why| {
        broken(&format!(
            "holds a private key that cannot sign ({why}): it must be RSA, whole, and of 2048 to 4096 bits"
        ))
    })
}

impl KeyPair {
    /// A session's keys.
    pub(super) async fn session(&self, context: &Context) -> Result<Issued, SourceError> {
        let seconds = self.seconds.unwrap_or(LIFE);
        if !LIVES.contains(&seconds) {
            return Err(SourceError::Broken(format!(
                "a session of {seconds} seconds is asked for, and for a key pair the service gives {} to {}",
                LIVES.start(),
                LIVES.end()
            )));
        }
        let key = self.private_key.load()?;
        let place = sts::place(context, self.sts_region.as_deref(), self.vpc)?;
        let what = format!("{ACTION} of the key pair {} at {place}", self.public_key_id);
        let answer = sts::ask(&what, "", |client, nonce| {
            let date = sts::date((context.now)());
            let query = self.query(&key, seconds, &date, nonce)?;
            Ok(client.get(format!("{place}/?{query}")))
        })
        .await?;
        document::session_key(&answer, &what, (context.now)())
    }

    /// Everything is in the query, as signature version 1 has it, signed for a GET.
    fn query(
        &self,
        key: &RsaKeyPair,
        seconds: u32,
        date: &str,
        nonce: &str,
    ) -> Result<String, SourceError> {
        let seconds = seconds.to_string();
        let mut params: BTreeMap<String, String> = [
            ("AccessKeyId", self.public_key_id.as_str()),
            ("Action", ACTION),
            ("DurationSeconds", &seconds),
            ("Format", "JSON"),
            ("SignatureMethod", "SHA256withRSA"),
            ("SignatureNonce", nonce),
            ("SignatureType", "PRIVATEKEY"),
            ("SignatureVersion", "1.0"),
            ("Timestamp", date),
            ("Version", Service::Sts.version()),
        ]
        .into_iter()
        .map(|(name, value)| (name.to_owned(), value.to_owned()))
        .collect();
        let signature = v1::CanonicalQuery::new(&params)
            .string_to_sign("GET")
            .signature_by(key)
            .map_err(|_| SourceError::Broken("the private key did not sign".to_owned()))?;
        params.insert("Signature".to_owned(), signature.as_str().to_owned());
        Ok(encode::canonical_query(&params))
    }
}
