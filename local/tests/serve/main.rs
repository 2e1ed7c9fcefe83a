//! The real binary as a server, against real SSH: what it promises from its first start to its last breath.
#![expect(clippy::unwrap_used, reason = "a test may panic")]

mod asked;
mod crashes;
mod doors;
mod faults;
mod healing;
mod mail;
mod program;
mod street;
