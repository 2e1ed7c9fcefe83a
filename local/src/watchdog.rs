//! The signs of life that systemd waits for. Outside systemd all of this does nothing.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use lamplighter_app::Clock;
use sd_notify::NotifyState;

/// An env whose loop gave no sign for this long is stuck: longer than any sweep may take by default.
const STUCK_AFTER_SECS: u64 = 180;

/// The last sign of each env's loop. Clones share it.
#[derive(Clone)]
pub(crate) struct Signs(Arc<Vec<AtomicU64>>);

impl Signs {
    /// All envs alive as of now.
    pub(crate) fn new(envs: usize) -> Self {
        Self(Arc::new((0..envs).map(|_| AtomicU64::new(now())).collect()))
    }

    /// An env's loop is alive, and this is what it last did. The watchdog is fed only while every env is.
    pub(crate) fn beat(&self, env: usize, status: &str) {
        if let Some(sign) = self.0.get(env) {
            sign.store(now(), Ordering::Relaxed);
        }
        let all_alive =
            self.0.iter().all(|sign| now().saturating_sub(sign.load(Ordering::Relaxed)) < STUCK_AFTER_SECS);
        let mut states = vec![NotifyState::Status(status)];
        if all_alive {
            states.push(NotifyState::Watchdog);
        }
        tell(&states);
    }
}

/// The server answers.
pub(crate) fn ready() {
    tell(&[NotifyState::Ready]);
}

/// The server ends.
pub(crate) fn stopping() {
    tell(&[NotifyState::Stopping]);
}

fn tell(states: &[NotifyState<'_>]) {
    if let Err(error) = sd_notify::notify(states) {
        tracing::debug!(%error, "systemd could not be told");
    }
}

fn now() -> u64 {
    u64::try_from(Clock::System.now().as_secs()).unwrap_or(0)
}
