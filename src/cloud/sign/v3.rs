//! Version 3, ACS3-HMAC-SHA256: headers carry what is not a parameter.
//!
//! Source: help page "V3 request structure and signature", read 2026-08.

use super::encode;
use hmac::{Hmac, KeyInit, Mac};
use sha2::{Digest, Sha256};
use std::collections::BTreeMap;

/// The algorithm's name, first in the string to sign and in `Authorization`.
pub const ALGORITHM: &str = "ACS3-HMAC-SHA256";

/// SHA-256 of `body` in lower-case hexadecimal: `x-acs-content-sha256`.
pub fn hashed_payload(body: &[u8]) -> String {
    encode::hex(&Sha256::digest(body))
}

/// Stage one: the request in one spelling. Every header given is signed, so give few.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CanonicalRequest {
    query: String,
    headers: String,
    signed_headers: String,
    text: String,
}

impl CanonicalRequest {
    /// Of a request to the path `/`. Header names are lowered and values trimmed here.
    pub fn new(
        method: &str,
        params: &BTreeMap<String, String>,
        headers: &BTreeMap<String, String>,
        hashed_payload: &str,
    ) -> Self {
        let lowered: BTreeMap<String, &str> = headers
            .iter()
            .map(|(name, value)| (name.to_ascii_lowercase(), value.trim()))
            .collect();
        let mut lines = String::new();
        let mut names = String::new();
        for (name, value) in &lowered {
            lines.push_str(name);
            lines.push(':');
            lines.push_str(value);
            lines.push('\n');
            if !names.is_empty() {
                names.push(';');
            }
            names.push_str(name);
        }
        let query = encode::canonical_query(params);
        let text = format!("{method}\n/\n{query}\n{lines}\n{names}\n{hashed_payload}");
        Self {
            query,
            headers: lines,
            signed_headers: names,
            text,
        }
    }

    /// The query part, as it also stands in the URL.
    pub fn query(&self) -> &str {
        &self.query
    }

    /// The headers part.
    pub fn headers(&self) -> &str {
        &self.headers
    }

    /// Names of the signed headers, joined by `;`.
    pub fn signed_headers(&self) -> &str {
        &self.signed_headers
    }

    /// The whole text.
    pub fn as_str(&self) -> &str {
        &self.text
    }

    /// SHA-256 of the whole text, lower-case hexadecimal.
    pub fn hashed(&self) -> String {
        encode::hex(&Sha256::digest(self.text.as_bytes()))
    }

    /// Stage two.
    pub fn string_to_sign(&self) -> StringToSign {
        StringToSign(format!("{ALGORITHM}\n{}", self.hashed()))
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

    /// Stage three. Nothing is appended to the secret (version 1 appends `&`).
    pub fn signature(&self, secret: &str) -> Signature {
        let mut mac = Hmac::<Sha256>::new_from_slice(secret.as_bytes())
            .expect("HMAC takes keys of every length");
        mac.update(self.0.as_bytes());
        Signature(encode::hex(&mac.finalize().into_bytes()))
    }
}

/// Stage three: lower-case hexadecimal.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Signature(String);

impl Signature {
    /// The digits.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The value of the header `Authorization`.
    pub fn authorization(&self, access_key_id: &str, signed_headers: &str) -> String {
        format!(
            "{ALGORITHM} Credential={access_key_id},SignedHeaders={signed_headers},Signature={}",
            self.0
        )
    }
}
