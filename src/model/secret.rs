//! A secret that passes through, and what it is called where it is kept.

use std::fmt;

/// A text that is used and never shown: it has no `Display` and no form on disk, and its `Debug` hides it.
#[derive(Clone)]
pub struct Secret(String);

impl Secret {
    /// Takes the text as it is.
    pub fn new(text: impl Into<String>) -> Self {
        Self(text.into())
    }

    /// The text, for whoever uses it up.
    pub fn expose(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("***")
    }
}

/// The name of a secret in KMS: 1 to 192 letters, digits and `_/+=.@-`. An ARN has a colon and is none: it
/// would be of another account or region.
///
/// Source: API metadata of KMS 2016-01-20 (aliyun/aliyun-openapi-meta), read 2026-11.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct SecretName(String);

impl SecretName {
    /// What a name may be, for messages.
    pub const FORM: &str =
        "1 to 192 letters, digits and _ / + = . @ -, the name of a secret and no ARN";

    /// Reads a name; `None`: it is none.
    pub fn parse(text: &str) -> Option<Self> {
        let plain = |b: u8| b.is_ascii_alphanumeric() || b"_/+=.@-".contains(&b);
        let is_name = (1..=192).contains(&text.len()) && text.bytes().all(plain);
        is_name.then(|| Self(text.to_owned()))
    }

    /// The name.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for SecretName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(&self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_secret_is_not_shown() {
        let secret = Secret::new("hunter2");
        assert_eq!(format!("{secret:?} {:?}", Some(&secret)), "*** Some(***)");
        assert_eq!(secret.expose(), "hunter2");
    }

    #[test]
    fn names() {
        for good in [
            "a",
            "sgwarden-smtp",
            "team/mail.relay_1+x=@y",
            &"n".repeat(192),
        ] {
            assert_eq!(
                SecretName::parse(good).as_ref().map(SecretName::as_str),
                Some(good)
            );
        }
        for bad in [
            "",
            " a",
            "a b",
            "密",
            "acs:kms:cn-hangzhou:1:secret/a",
            &"n".repeat(193),
        ] {
            assert_eq!(SecretName::parse(bad), None, "{bad}");
        }
    }
}
