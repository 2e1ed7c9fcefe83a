//! Decides. Pure: no I/O, no async, no clock, no randomness, and it cannot fail.
//!
//! Everything Lamplighter does to a fleet starts here as a value. `now` always comes in as an argument,
//! what a look saw comes in as a [`sight::Look`], and what comes out is a [`decision::Decision`]: the next
//! state, the effects that carry it out, and `because`, the operator's sentence.

#![cfg_attr(test, expect(clippy::unwrap_used, reason = "a test may panic"))]

pub mod backoff;
pub mod bill;
pub mod blindness;
pub mod brake;
pub mod breaker;
pub mod causes;
pub mod decision;
pub mod digest;
pub mod health;
pub mod hold;
pub mod hook;
pub mod moment;
pub mod name;
pub mod notice;
pub mod policy;
pub mod recovery;
pub mod report;
pub mod rollout;
pub mod settings;
pub mod sight;
pub mod spec;
pub mod sweep;
#[cfg(test)]
mod sweep_tests;
pub mod update;
pub mod version;
pub mod watch;

pub use moment::Moment;
pub use name::{AppName, EnvName, HostAddress, Mailbox, ServiceId};
pub use version::{RolloutId, Version};
