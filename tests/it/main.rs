//! The program as its users meet it, and its engine against an oracle.

mod architecture;
mod attached;
mod call;
mod change;
mod collect;
mod credentials;
mod delivery;
mod explain;
mod idle;
mod kit;
mod mail;
mod oracle;
mod packs;
mod permissions;
mod promises;
mod report;
mod responder;
mod scan;
mod semantics;
mod sign;
mod sim;
mod storage;
mod undo;
mod wire;
