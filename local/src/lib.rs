//! Lamplighter on one box: the server, and the command line that talks to either home.
#![cfg_attr(test, expect(clippy::unwrap_used, reason = "a test may panic"))]

pub mod cli;
pub mod client;
pub mod command;
pub mod config;
pub mod context;
pub mod demo;
pub mod exit;
pub mod fleet_file;
mod logging;
mod progress;
pub mod say;
pub mod serve;
pub mod source;
mod watchdog;
