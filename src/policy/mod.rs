//! What a policy asks of a group. Imports `model` and `exposure`; no clock, no I/O.
//!
//! | file | holds |
//! | --- | --- |
//! | `check` | checks, and when one counts as exposed |
//! | `side` | whose addresses and which rules a check is judged over |
//! | `packs` | the checks that ship, as TOML |
//! | `controls` | the clauses that checks are mapped to, and how many groups passed |
//! | `assess` | from a group's reading to verdicts and findings |
//! | `together` | the same for interfaces with several groups |
//! | `remediation` | what may be done about findings |
//! | `waivers` | what somebody approved, until a day |
//! | `propose` | the waivers that would cover a finding |
//! | `compare` | two runs held against each other |
//! | `lasting` | what of a reason lasts from run to run |
//! | `opened` | who opened a rule, by the recorded calls |
//! | `history` | first seen, new, open, reopened, resolved; the last record is an argument |
//!
//! To add a check: a table in `packs/NAME.toml` (a new pack also a line in `packs.rs`), and a case
//! in `tests/it/packs.rs`. To add a kind of predicate: `check.rs`; one that looks at the group and at
//! no rule also `side.rs`.

pub mod assess;
pub mod check;
pub mod compare;
pub mod controls;
pub mod history;
pub mod lasting;
pub mod opened;
pub mod packs;
pub mod propose;
pub mod remediation;
pub mod side;
pub mod together;
pub mod waivers;

pub use assess::{GroupVerdicts, Policy, assess, survey};
pub use check::{Check, Kind, MinPublic};
pub use history::History;
pub(crate) use side::Side;
pub use side::{Audience, Direction};
pub use together::{Member, Whose, assess_together};
pub use waivers::{Waiver, Waivers};
