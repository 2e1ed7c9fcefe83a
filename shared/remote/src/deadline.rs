//! When waiting must end: every wait in this crate is under one of these.

use std::future::Future;
use std::time::Duration;

use lamplighter_core::policy::MAX_DURATION;
use tokio::time::Instant;

/// A point in time after which nobody waits any more.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Deadline(Instant);

/// The deadline passed first.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Late;

impl Deadline {
    /// `limit` from now. More than a day is a day.
    pub(crate) fn after(limit: Duration) -> Self {
        Self(Instant::now() + limit.min(MAX_DURATION))
    }

    /// The earlier of this deadline and `limit` from now.
    pub(crate) fn clipped_to(self, limit: Duration) -> Self {
        self.min(Self::after(limit))
    }

    /// How long is left; zero if it has passed.
    pub(crate) fn left(self) -> Duration {
        self.0.saturating_duration_since(Instant::now())
    }

    /// Waits for `work`, but no longer than this.
    pub(crate) async fn bound<T>(self, work: impl Future<Output = T>) -> Result<T, Late> {
        tokio::time::timeout_at(self.0, work).await.map_err(|_| Late)
    }
}
