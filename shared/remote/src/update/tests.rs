//! Steps and questions as they are sent, run for real by `sh` with the real git.

mod bench;
mod docker;
mod git;
mod guard;
mod wreck;
