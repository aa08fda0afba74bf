//! What the user configured: read as typed, checked as a whole, then as meant. All problems of all
//! files at once, each with file, line, key and, where a key is unknown, the nearest known one.
//!
//! | file | holds |
//! | --- | --- |
//! | `reader` | TOML with places, and the list of problems |
//! | `program` | `sgwarden.toml` |
//! | `schedule` | `schedules/NAME.toml` |
//! | `address` | addresses that are secrets, and a schedule's text without them |
//! | `checks` | `[[check]]` tables, of packs and of schedules |
//! | `waivers` | the file of `[[waiver]]` that a schedule names |
//! | `packs` | packs of checks, those that ship and the user's own |
//!
//! To add a key: the reader call in `program` or `schedule`, its default beside it, the contract's
//! page. A key of the contract that is not built yet is in that table's `not_built` list.

pub mod address;
pub mod checks;
pub mod packs;
pub mod program;
pub mod reader;
pub mod schedule;
pub mod waivers;

pub use program::Program;
pub use reader::{Problem, Problems, line_of};
pub use schedule::Schedule;
