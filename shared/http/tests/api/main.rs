//! The API, asked over HTTP: one program, so that all of it shares one house.
#![expect(clippy::unwrap_used, reason = "a test may panic")]

mod hooks;
mod hostile;
mod house;
mod probes;
mod rollouts;
mod scopes;
mod services;
mod work;
