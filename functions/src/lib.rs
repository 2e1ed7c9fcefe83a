//! What the functions have in common: what wakes them, what they are set up from, how they end.
//!
//! A function is woken each minute by its schedule, or by a ring: a message that says no more than that there may be
//! something to do. It opens the env once, calls one verb of `app`, rings for whoever is next, and logs one line. Nothing
//! it holds in memory is needed by the next call, and nothing it began is left running when it returns: Lambda freezes
//! the process then, and would wake a forgotten task in the middle of another call.

#![cfg_attr(test, expect(clippy::unwrap_used, reason = "a test may panic"))]

mod account;
mod config;
mod connector;
mod doorbell;
mod failure;
mod function;
mod http;
mod log;
mod means;
mod occasion;
mod onward;
mod run;
mod sweeping;
mod vault;

pub use config::Role;
pub use connector::http_client;
pub use failure::Failure;
pub use function::{Call, Function};
pub use http::serve;
pub use means::Means;
pub use occasion::{MINUTE, Occasion, Ring};
pub use run::{Verb, run};
pub use sweeping::sweep;
