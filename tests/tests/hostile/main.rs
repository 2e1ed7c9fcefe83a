//! Bad hosts: what they do to a look, and what it makes of them.
//!
//! Every host here is real as far as the wire goes: a TCP listener on a free port that misbehaves on purpose.
#![expect(clippy::unwrap_used, reason = "a test may panic")]
#![expect(unreachable_pub, reason = "a test has no public items")]

mod checks;
mod crowd;
mod fixture;
mod host;
mod sessions;
mod strangers;
mod wire;
