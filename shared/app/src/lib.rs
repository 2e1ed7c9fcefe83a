//! The verbs: sweep, recover, notify, and what a person asks for.
//!
//! Every verb is *lease · load · look · decide · commit · act*. A tick, a timer, a queue message and a button are the
//! same thing, a reason to look: no state travels in an event, so a lost or doubled one is harmless.
#![cfg_attr(test, expect(clippy::unwrap_used, reason = "a test may panic"))]

mod advance;
mod bell;
mod clock;
mod deliver;
mod env;
#[cfg(feature = "one-box")]
pub mod hand;
mod health;
mod hosts;
pub mod people;
mod post;
mod recover;
pub mod rollouts;
mod sweep;

pub use advance::{Advanced, advance};
pub use bell::Bell;
pub use clock::Clock;
pub use deliver::{Delivered, deliver};
pub use env::{Env, EnvParts, LiveRow, Sweeps};
pub use health::health;
pub use hosts::Hosts;
pub use post::Courier;
pub use recover::{Recovered, recover};
pub use sweep::{Round, Swept, When, look_at, round, sweep, sweep_shard};
