//! Secrets of KMS, as a world has them.

use serde::{Deserialize, Serialize};

/// A secret with one version, in the service's field names.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase", deny_unknown_fields)]
pub struct KmsSecret {
    /// Its name.
    pub secret_name: String,
    /// What it keeps.
    pub secret_data: String,
    /// `text` or `binary`.
    #[serde(default = "text")]
    pub secret_data_type: String,
    /// `Generic`, `RAMCredentials`, ...
    #[serde(default = "generic")]
    pub secret_type: String,
    /// Of its only version.
    #[serde(default = "first")]
    pub version_id: String,
    /// The stages of that version.
    #[serde(default = "current")]
    pub version_stages: Vec<String>,
    /// A key of the customer's own, which the caller must be allowed to decrypt with.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub encryption_key_id: Option<String>,
    /// UTC, with seconds.
    #[serde(default = "creation_time")]
    pub create_time: String,
}

impl KmsSecret {
    /// A generic secret of text, encrypted by the service's own key.
    pub fn new(name: &str, data: &str) -> KmsSecret {
        KmsSecret {
            secret_name: name.into(),
            secret_data: data.into(),
            secret_data_type: text(),
            secret_type: generic(),
            version_id: first(),
            version_stages: current(),
            encryption_key_id: None,
            create_time: creation_time(),
        }
    }
}

fn text() -> String {
    "text".into()
}

fn generic() -> String {
    "Generic".into()
}

fn first() -> String {
    "1".into()
}

fn current() -> Vec<String> {
    vec!["ACSCurrent".into()]
}

fn creation_time() -> String {
    "2026-02-21T15:39:26Z".into()
}
