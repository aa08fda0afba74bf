//! The only Alibaba Cloud client: keys, signatures, calls with their retries, answers into the
//! model, and the collection of a whole scope.
//!
//! What is retried, how long and how fast is told in `docs/calls.md`.

pub mod accounts;
mod answer;
pub mod call;
pub mod collect;
mod course;
pub mod credentials;
mod endpoint;
pub mod failure;
pub mod metadata;
pub mod pacing;
mod regions;
pub mod retry;
mod secret;
mod send;
pub mod settings;
pub mod sign;
mod stop;
mod trail;
pub mod wire;

pub use accounts::AccountRole;
pub use call::{Answer, Client, Effect};
pub use collect::{Unread, collect, read_group};
pub use endpoint::Service;
pub use failure::{CallFailure, Fate, Kind};
pub use secret::SecretError;
pub use settings::{Limits, Network, Settings, Site};
pub use stop::Stop;
pub use trail::{Question, Trail};
