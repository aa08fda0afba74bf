//! Hosts: what calls `job::run` at its times. Entry points that do almost nothing but call.
//!
//! | file | holds |
//! | --- | --- |
//! | `next_fire` | when a schedule is due: cron, zone, daylight saving; pure |
//! | `timetable` | which is due given what is remembered: missed, cut off, passed over; pure |
//! | `daemon` | the loop: one run at a time, the folder looked at, the end in order |
//! | `fc` | what Function Compute says and wants to hear; pure |
//! | `health` | how the daemon is, over HTTP |
//! | `notify` | the same for systemd |

pub mod daemon;
pub mod fc;
pub mod health;
pub mod next_fire;
pub mod notify;
pub mod timetable;
