//! What to do about one service, given what a look saw: the state machine that the sweep and `recover` share.
//!
//! The sweep calls [`on_sight`]: it finds out that a service went down or came back, and *intends* a restart.
//! `recover` calls [`before_attempt`] with a fresh look, makes the restart, and calls [`after_attempt`] with what came
//! of it. While an attempt is open the service belongs to `recover` alone.

mod attempt;
mod sighting;
pub(crate) mod steps;
#[cfg(test)]
mod tests;

pub use attempt::{Before, after_attempt, before_attempt};
pub use sighting::on_sight;
pub use steps::{RestartRefused, ask_restart, hold, release, reset_breaker};

use crate::moment::Moment;
use crate::settings::Settings;
use crate::spec::ServiceSpec;

/// Everything a decision about one service depends on besides its watch and what was seen.
#[derive(Debug, Clone, Copy)]
pub struct Case<'a> {
    /// The env's settings.
    pub settings: &'a Settings,
    /// The service's spec, as it stood when the work was claimed.
    pub spec: &'a ServiceSpec,
    /// The tick in which this is decided.
    pub tick: u64,
    /// The time.
    pub now: Moment,
}
