//! What the tests and the bench share: the simulator, and AWS as a function meets it.
#![expect(clippy::expect_used, reason = "a test that cannot be set up must stop")]

pub mod aws;
pub mod sim;
