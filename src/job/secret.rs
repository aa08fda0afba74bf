//! The relay's password where KMS keeps it: read when a letter is about to be sent, and where it cannot be,
//! told with what to do about it.

use crate::cloud::{Client, Kind, SecretError};
use crate::model::{Secret, SecretName};
use std::fmt;

/// Why the password could not be read.
#[derive(Debug)]
pub struct Unread {
    /// What was asked and answered.
    pub found: String,
    /// What to do about it.
    pub todo: String,
    /// What was in the way.
    pub lacks: Lacks,
}

/// What was in the way of a secret.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Lacks {
    /// The permission to read it.
    Permission,
    /// The secret: there is none of that name, or it is no text.
    Secret,
    /// An answer that says either.
    Answer,
}

impl fmt::Display for Unread {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}; {}", self.found, self.todo)
    }
}

/// Reads the relay's password.
///
/// # Errors
/// It may not be read, is not there, is no text, or nobody answers.
pub async fn relay_password(client: &Client, name: &SecretName) -> Result<Secret, Unread> {
    client
        .secret(name)
        .await
        .map_err(|why| unread(why, name, client.home_region()))
}

fn unread(why: SecretError, name: &SecretName, region: &str) -> Unread {
    let (lacks, todo) = match &why {
        SecretError::Call(failure) => match failure.kind {
            Kind::Forbidden => (
                Lacks::Permission,
                format!(
                    "grant {} on that secret to the identity that asks (deploy/ram/mail-secret.json), and \
                     kms:Decrypt on its key where a key of your own encrypts it",
                    failure.ram.as_deref().unwrap_or("the action")
                ),
            ),
            Kind::NotFound => (
                Lacks::Secret,
                format!(
                    "[mail] password_secret must name a secret of this account in {region}; where it is in \
                     another region, name that in [cloud] home_region"
                ),
            ),
            Kind::Throttled
            | Kind::Clock { .. }
            | Kind::Credentials
            | Kind::Silent
            | Kind::Connect
            | Kind::BadAnswer
            | Kind::Service => (
                Lacks::Answer,
                match &failure.advice {
                    Some(advice) => advice.clone(),
                    None => "try again, and ask the service with that request id".to_owned(),
                },
            ),
        },
        SecretError::Slow { region } => (
            Lacks::Answer,
            format!("see that KMS of {region} can be reached from here"),
        ),
        SecretError::Unusable { .. } => (
            Lacks::Secret,
            "put the password alone there, as text in a generic secret".to_owned(),
        ),
    };
    let told = match why {
        SecretError::Call(mut failure) => {
            // It is said once, at the end.
            failure.advice = None;
            failure.to_string()
        }
        why @ (SecretError::Slow { .. } | SecretError::Unusable { .. }) => why.to_string(),
    };
    Unread {
        found: format!("the relay's password was not read from the KMS secret {name}: {told}"),
        todo,
        lacks,
    }
}
