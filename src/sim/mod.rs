//! A simulated Alibaba Cloud over real HTTP, and an SMTP receiver: what the demo runs on and the tests
//! run against. Strict, and held to the recorded answers of the real service, never to our own
//! client: it shares no type with the rest of the program, checks signatures by itself and has its
//! own opinion on what becomes of a packet.
//!
//! | file | holds |
//! | --- | --- |
//! | `server` | [`Cloud`]: HTTP, and what a call passes before its action |
//! | `wire` | parameters, refusals, JSON and XML text |
//! | `auth` | signature versions 1 and 3, by RSA too, clock, nonces, sessions |
//! | `actions/` | the actions, a file per family |
//! | `world` | [`World`]: accounts, users, roles, regions, groups |
//! | `rule` | [`Rule`], prefix lists, port lists, in the service's field names |
//! | `worldfile` | [`World::from_json`] |
//! | `secret` | [`KmsSecret`]: a secret of KMS |
//! | `seed` | [`World::seeded`]: worlds of any size that are not stored |
//! | `demo` | [`World::demo`] |
//! | `demo_trail` | what ActionTrail has of it |
//! | `trail` | [`Event`]: a call in ActionTrail's history |
//! | `faults` | [`Fault`]: what goes wrong on purpose, and its one-line grammar |
//! | `metadata` | [`Metadata`]: an instance's metadata service, and a credentials URI |
//! | `packets` | the fate of one packet, by brute force |
//! | `hook` | the receiving end of webhooks |
//! | `smtp` | a mail server that keeps what it gets |
//!
//! To add an action: a line in the table of `actions/mod.rs` (name, service, the parameters that the
//! reference lists), its function in the file of its family, a test in `tests/it/sim.rs` that holds
//! its answer to a recorded one.

mod actions;
pub mod auth;
mod demo;
mod demo_trail;
mod faults;
pub mod hook;
mod metadata;
pub mod packets;
mod rule;
mod secret;
mod seed;
mod server;
pub mod smtp;
mod trail;
mod wire;
mod world;
mod worldfile;

pub use faults::{Fault, Kind};
pub use metadata::{Instance, Metadata};
pub use rule::{PortEntry, PortList, PrefixEntry, PrefixList, Priority, Rule, Tag};
pub use secret::KmsSecret;
pub use seed::SeedOptions;
pub use server::{Cloud, Keys, Options, Throttle};
pub use trail::Event;
pub use world::{
    AccessKey, Account, Discovery, Group, KeyPair, OidcToken, Region, Role, Session, SessionKey,
    User, World,
};
