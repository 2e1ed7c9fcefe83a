//! The one place that asks what time it is.

use std::time::{Duration, SystemTime};

use lamplighter_core::Moment;

/// Where `now` comes from. It is read at the door of a verb and passed on as an argument.
#[derive(Debug, Clone)]
pub enum Clock {
    /// The system's clock.
    System,
    /// `origin` plus the time the runtime has counted since: follows a paused runtime, for simulations.
    Runtime {
        /// The moment of `started`.
        origin: Moment,
        /// When the count began.
        started: tokio::time::Instant,
    },
}

impl Clock {
    /// A clock that shows `origin` now and follows the runtime's own, possibly paused, time.
    #[must_use]
    pub fn following_the_runtime(origin: Moment) -> Self {
        Clock::Runtime { origin, started: tokio::time::Instant::now() }
    }

    /// The time.
    #[must_use]
    pub fn now(&self) -> Moment {
        match self {
            Clock::System => Moment::from(SystemTime::now()),
            Clock::Runtime { origin, started } => *origin + started.elapsed(),
        }
    }

    /// Waits until `moment`, or not at all if it has passed. Returns early rather than late after a clock jump: the
    /// longest single wait is a minute, then the clock is read again.
    pub async fn sleep_until(&self, moment: Moment) {
        const LONGEST: Duration = Duration::from_secs(60);
        loop {
            let left = self.now().until(moment);
            if left.is_zero() {
                return;
            }
            tokio::time::sleep(left.min(LONGEST)).await;
        }
    }
}
