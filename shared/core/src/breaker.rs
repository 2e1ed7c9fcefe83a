//! The circuit breaker of one service: whether restarts are allowed.
//!
//! `closed` allows restarts, `open` refuses them until its cooldown is over, `half-open` allows exactly one trial.

use serde::{Deserialize, Serialize};

use crate::moment::Moment;

/// The breaker's state, with the data that belongs to it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", tag = "state")]
pub enum Breaker {
    /// Restarts are allowed.
    Closed {
        /// Failed recoveries in a row.
        #[serde(default)]
        consecutive_failures: u32,
    },
    /// Restarts are refused.
    Open {
        /// Failed recoveries in a row, the trials included.
        consecutive_failures: u32,
        /// When this opening began: only a success seen after it closes the breaker.
        opened_at: Moment,
        /// When the cooldown is over.
        until: Moment,
    },
    /// One trial is allowed, or being made.
    HalfOpen {
        /// Failed recoveries in a row, the trials included.
        consecutive_failures: u32,
        /// When the opening began that this trial may end.
        opened_at: Moment,
    },
}

impl Default for Breaker {
    fn default() -> Self {
        Breaker::Closed { consecutive_failures: 0 }
    }
}

impl Breaker {
    /// Closed, with nothing held against the service.
    #[must_use]
    pub fn is_pristine(&self) -> bool {
        *self == Breaker::default()
    }

    /// Failed recoveries in a row.
    #[must_use]
    pub fn consecutive_failures(&self) -> u32 {
        match self {
            Breaker::Closed { consecutive_failures }
            | Breaker::Open { consecutive_failures, .. }
            | Breaker::HalfOpen { consecutive_failures, .. } => *consecutive_failures,
        }
    }

    /// When it opened, if it is not closed.
    #[must_use]
    pub fn opened_at(&self) -> Option<Moment> {
        match self {
            Breaker::Closed { .. } => None,
            Breaker::Open { opened_at, .. } | Breaker::HalfOpen { opened_at, .. } => Some(*opened_at),
        }
    }

    /// The state's name, as the API spells it.
    #[must_use]
    pub fn name(&self) -> &'static str {
        match self {
            Breaker::Closed { .. } => "closed",
            Breaker::Open { .. } => "open",
            Breaker::HalfOpen { .. } => "half_open",
        }
    }

    /// True if a success seen at `at` ends the opening: it must be newer than it.
    #[must_use]
    pub fn is_ended_by_success_at(&self, at: Moment) -> bool {
        self.opened_at().is_none_or(|opened_at| at > opened_at)
    }
}
