//! Finds what Alibaba Cloud ECS security groups expose to the internet, and keeps the evidence.
//!
//! `job.rs` reads like the pipeline: collect, assess, spool, render, seal, write, send.

pub mod cli;
pub mod cloud;
pub mod config;
pub mod deliver;
pub mod evidence;
pub mod exposure;
pub mod host;
pub mod job;
pub mod model;
pub mod policy;
pub mod remedy;
pub mod report;
pub mod sim;
pub mod state;
pub mod storage;
