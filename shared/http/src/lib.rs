//! The router both homes use: the API, its description, and who may ask what.
//!
//! Every operation is one row of a table (`operation.rs`): its path, who may ask, what it takes and answers, and the code
//! behind it. The router, the OpenAPI description and the tests of who may ask what are all made from those rows, so no
//! operation can be there and undocumented, or there and unguarded.

#![cfg_attr(test, expect(clippy::unwrap_used, reason = "a test may panic"))]

mod act;
mod answer;
mod audit;
mod body;
mod cost;
mod docs;
mod door;
mod events;
mod fleet;
mod health;
mod home;
mod hooks;
mod list;
mod live;
mod metrics;
mod once;
mod openapi;
mod operation;
mod precondition;
mod problem;
mod query;
mod rollouts;
mod router;
mod secret;
mod services;
mod settings;
mod sweeps;
mod throttle;
mod tokens;
mod view;
mod visit;
mod why;

pub use home::Home;
pub use hooks::HookKey;
pub use router::router;
pub use secret::SecretText;
pub use tokens::{AdoptError, MintError, adopt_token, mint_token, new_secret, token_hash};
pub use visit::tell_client;
