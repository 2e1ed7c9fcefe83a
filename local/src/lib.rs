//! Lamplighter on one box: the server, and the command line that talks to either home.
#![cfg_attr(test, allow(clippy::unwrap_used, reason = "a test may panic"))]

pub mod cli;
pub mod command;
pub mod config;
pub mod exit;
pub mod fleet_file;
pub mod say;
pub mod serve;
pub mod source;
