//! Hosts: what calls `job::run` at its times. Entry points that do almost nothing but call.
//!
//! | file | holds |
//! | --- | --- |
//! | `next_fire` | when a schedule is due: cron, zone, daylight saving; pure |

pub mod next_fire;
