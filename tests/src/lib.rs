//! What the tests and the bench share: the simulator, AWS as a function meets it, and a way to ask a server.
#![expect(clippy::expect_used, reason = "a test that cannot be set up must stop")]

pub mod aws;
pub mod http;
pub mod sim;
