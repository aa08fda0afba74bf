//! What "exposed" means, as code: pure, total, exact. Imports `model` only; no clock, no I/O, no
//! panic. The page it implements is `docs/semantics.md`.
//!
//! | file | holds |
//! | --- | --- |
//! | `set` | sets of addresses and ports |
//! | `internet` | which addresses are the internet |
//! | `reading` | from the service's texts to what a rule matches |
//! | `first_match` | which sources each point accepts, under either reading |
//! | `points` | what of some exposed points is not among others |
//! | `blame` | which rules a finding rests on |
//! | `left` | what Drops leave of the internet, counted |
//! | `narrow` | the rules that come in a rule's place |
//! | `traffic` | all that a group lets in, and the difference between two readings |
//! | `egress` | rules for traffic that goes out, seen from the other side |
//! | `idle` | rules that do nothing |
//! | `explain` | why one packet is accepted or dropped |

pub mod blame;
pub mod egress;
pub mod explain;
pub mod first_match;
pub mod idle;
pub mod internet;
mod left;
pub mod narrow;
pub mod points;
pub mod reading;
pub mod set;
pub mod traffic;

pub use blame::{Contribution, contributions, cut, reach_after_drops};
pub use first_match::{GroupRules, Run};
pub use idle::idle;
pub use internet::Internet;
pub use reading::{Certainty, Policy, ReadRule};
