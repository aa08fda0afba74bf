//! The relay's password in KMS, read as a job will read it: an id that cannot exist would say less, and the
//! login is to be tried with it.

use super::{Standing, Tried};
use crate::cloud::Client;
use crate::job::secret::{Lacks, relay_password};
use crate::model::actions::{self, Product};
use crate::model::{Secret, SecretName};

/// Reads it: what was found of the permission and of the secret, and the secret.
pub async fn secret(client: &Client, name: &SecretName) -> (Vec<Tried>, Option<Secret>) {
    let action = actions::find(Product::Kms, "GetSecretValue");
    let ram = action.and_then(|action| action.ram).unwrap_or("unknown");
    let purpose = action.map_or("", |action| action.purpose);
    match relay_password(client, name).await {
        Ok(password) => {
            let found = format!("{name} in {}: read", client.home_region());
            let tried = vec![
                Tried::works("permission", ram, format!("to {purpose}: answered")),
                Tried::works("mail", "secret", found),
            ];
            (tried, Some(password))
        }
        Err(why) => {
            let tried = match why.lacks {
                Lacks::Permission => {
                    vec![Tried::missing("permission", ram, why.found, why.todo)]
                }
                // The service looked, and found no such thing: so it let us look.
                Lacks::Secret => vec![
                    Tried {
                        part: "permission",
                        what: ram.to_owned(),
                        standing: Standing::Indicative,
                        found: format!("to {purpose}: not refused"),
                        todo: None,
                    },
                    Tried::missing("mail", "secret", why.found, why.todo),
                ],
                Lacks::Answer => vec![Tried::missing("mail", "secret", why.found, why.todo)],
            };
            (tried, None)
        }
    }
}
