//! The template and the code say the same: programs, names of the table, variables, routes, limits, and rights.
//!
//! What is said of programs and variables becomes strict with the first program in `functions/src/bin`.
#![expect(clippy::expect_used, reason = "a test that cannot be set up must stop")]
#![expect(clippy::print_stdout, reason = "what was measured is worth reading")]

mod agreement;
mod permits;
mod reader;
mod stories;
