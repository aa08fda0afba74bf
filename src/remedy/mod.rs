//! Changing what must not be open: planned by pure code, guarded, applied by one file, verified by
//! reading, and possible to undo.
//!
//! | file | holds |
//! | --- | --- |
//! | `digest` | when two readings are equal |
//! | `apply` | doing it: the only file with I/O |
//! | `rollback` | putting back what a run revoked: a plan out of its changes |
//! | `said` | what a rule says, whatever its id |
//! | `undo` | the exact request that puts a rule back, or why there is none |
//! | `plan` | of one group: the cut, what is held, what will be |
//! | `waived` | what a change takes of traffic that was approved |
//! | `narrow` | what comes in a rule's place, and what of it is taken away again |
//! | `verify` | what became of it, from two readings; pure |
//! | `guard` | of the whole run: limits, windows, lockout; plan in, plan or `Held` out |
//!
//! To add a guard rail: `guard.rs`, a reason in `model::HoldReason`, and a case that trips it.

pub mod apply;
pub mod digest;
pub mod guard;
pub mod narrow;
pub mod plan;
pub mod rollback;
pub mod said;
pub mod undo;
pub mod verify;
mod waived;

pub use plan::{GroupPlan, PlannedChange, RemediationPlan};
