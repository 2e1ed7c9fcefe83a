//! What the tests and the bench share: the simulator.
#![expect(clippy::expect_used, reason = "a test that cannot be set up must stop")]

pub mod sim;
