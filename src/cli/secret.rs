//! The relay's password out of KMS, asked for with the job's own client: made when it is needed, where there
//! is none yet.

use super::setup;
use crate::cloud::Client;
use crate::config::Program;
use crate::deliver::mail::Ask;
use crate::job;
use crate::model::SecretName;
use std::sync::Arc;
use tokio::sync::OnceCell;

/// The job's client, once there is one.
pub(super) type JobClient = Arc<OnceCell<Arc<Client>>>;

/// Reads a secret whenever it is asked to; nothing is kept from one time to the next but the client.
pub(super) fn ask(program: &Program, name: &SecretName, client: &JobClient) -> Ask {
    let (program, name) = (Arc::new(program.clone()), name.clone());
    let client = Arc::clone(client);
    Arc::new(move || {
        let (program, name) = (Arc::clone(&program), name.clone());
        let client = Arc::clone(&client);
        Box::pin(async move {
            let make = async || match setup::client(&program).await {
                Ok(client) => Ok(Arc::new(client)),
                Err(why) => Err(format!(
                    "the relay's password was not read from the KMS secret {name}, for there is nobody to \
                     ask as: {}",
                    why.message
                )),
            };
            let client = client.get_or_try_init(make).await?;
            job::relay_password(client, &name)
                .await
                .map_err(|why| why.to_string())
        })
    })
}
