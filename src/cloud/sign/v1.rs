//! Version 1, HMAC-SHA1: everything is a parameter.
//!
//! Source: help page "Request signatures" of the ECS API, read 2026-08. One action of STS is signed with an
//! RSA key in the same form (`credentials::key_pair`).

use super::encode;
use base64::Engine as _;
use hmac::{Hmac, KeyInit, Mac};
use ring::error::Unspecified;
use ring::rand::SystemRandom;
use ring::signature::{RSA_PKCS1_SHA256, RsaKeyPair};
use sha1::Sha1;
use std::collections::BTreeMap;

/// Stage one: all parameters, of query and form together, without `Signature`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CanonicalQuery(String);

impl CanonicalQuery {
    /// Sorted by name's bytes, both sides encoded.
    pub fn new(params: &BTreeMap<String, String>) -> Self {
        Self(encode::canonical_query(params))
    }

    /// The text.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Stage two; values end up encoded twice.
    pub fn string_to_sign(&self, method: &str) -> StringToSign {
        StringToSign(format!("{method}&%2F&{}", encode::encoded(&self.0)))
    }
}

/// Stage two: what the key signs.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StringToSign(String);

impl StringToSign {
    /// The text.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Stage three: the key is the secret and `&`.
    pub fn signature(&self, secret: &str) -> Signature {
        let key = format!("{secret}&");
        let mut mac =
            Hmac::<Sha1>::new_from_slice(key.as_bytes()).expect("HMAC takes keys of every length");
        mac.update(self.0.as_bytes());
        Signature(base64::engine::general_purpose::STANDARD.encode(mac.finalize().into_bytes()))
    }

    /// Stage three of `SHA256withRSA`: RSASSA-PKCS1-v1_5, nothing is put behind the text.
    pub fn signature_by(&self, key: &RsaKeyPair) -> Result<Signature, Unspecified> {
        let mut signature = vec![0; key.public().modulus_len()];
        let random = SystemRandom::new();
        key.sign(
            &RSA_PKCS1_SHA256,
            &random,
            self.0.as_bytes(),
            &mut signature,
        )?;
        Ok(Signature(
            base64::engine::general_purpose::STANDARD.encode(signature),
        ))
    }
}

/// Stage three: base64, sent percent-encoded as the parameter `Signature`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Signature(String);

impl Signature {
    /// The text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}
