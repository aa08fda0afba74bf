//! The program as its users meet it, and its engine against an oracle.

mod kit;
mod oracle;
mod semantics;
