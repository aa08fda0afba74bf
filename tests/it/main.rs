//! The program as its users meet it, and its engine against an oracle.

mod call;
mod change;
mod collect;
mod credentials;
mod kit;
mod oracle;
mod responder;
mod semantics;
mod sign;
mod wire;
