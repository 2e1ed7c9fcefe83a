//! How patient the engine is with one service: every number of recovery, with its default and its reason.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::moment::duration_text;

/// Base of the exponential backoff: long enough for a crashed process to release its port.
pub const BACKOFF_BASE: Duration = Duration::from_secs(5);
/// Cap of the backoff: a person who mends something should not wait longer than this for a retry.
pub const BACKOFF_CAP: Duration = Duration::from_secs(300);
/// Failed recoveries in a row that open the breaker.
pub const BREAKER_THRESHOLD: u32 = 3;
/// How long an open breaker refuses restarts before its one trial.
pub const BREAKER_COOLDOWN: Duration = Duration::from_secs(30 * 60);
/// Looks in a row that must fail to reach a host before it is called down.
pub const UNREACHABLE_LIMIT: u32 = 3;
/// Recent restarts above which a service counts as flapping.
pub const FLAPPING_RESTARTS: u32 = 5;
/// Healthy time that forgives recent restarts.
pub const FORGIVEN_AFTER: Duration = Duration::from_secs(600);
/// Wait between a restart and the look that judges it.
pub const SETTLE: Duration = Duration::from_secs(5);
/// Longest a restart command may run before it is killed with its children.
pub const RESTART_LIMIT: Duration = Duration::from_secs(60);
/// What a guarded restart may take besides connecting and the restart itself: waiting for the host's lock (5 s), ending
/// what will not end (5 s), and the answer's way back.
pub const GUARD_LIMIT: Duration = Duration::from_secs(15);
/// Longest a connection may take, from the first packet to an authenticated session.
pub const CONNECT_LIMIT: Duration = Duration::from_secs(10);
/// Longest a check's command may run.
pub const COMMAND_LIMIT: Duration = Duration::from_secs(10);
/// Longest an HTTP or TCP check may take, from connect to the last byte.
pub const HTTP_LIMIT: Duration = Duration::from_secs(5);
/// How long a unit may say `activating` before that counts as down; after a restart, also how long a process that is
/// there may fail its check.
pub const STARTUP_GRACE: Duration = Duration::from_secs(30);

/// No configured duration may exceed this: a day is longer than any operator's patience and shorter than any overflow.
pub const MAX_DURATION: Duration = Duration::from_secs(86_400);
/// No configured count may exceed this.
pub const MAX_COUNT: u32 = 1_000;

const _: () = assert!(BACKOFF_BASE.as_millis() < BACKOFF_CAP.as_millis(), "the backoff must be able to grow");
const _: () = assert!(
    BACKOFF_CAP.as_millis() < BREAKER_COOLDOWN.as_millis(),
    "an open breaker waits longer than any backoff"
);
const _: () =
    assert!(FLAPPING_RESTARTS > BREAKER_THRESHOLD, "plain failures open the breaker before flapping does");

/// When the first restart of an incident is made.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum FirstAttempt {
    /// As soon as the service was seen down.
    #[default]
    AtOnce,
    /// One base backoff later: for services that often come back by themselves.
    AfterBackoff,
}

/// The numbers of one service's recovery. Whatever a file leaves out keeps its default.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Policy {
    /// When the first restart of an incident is made.
    pub first_attempt: FirstAttempt,
    /// First wait of the exponential backoff.
    #[serde(with = "duration_text")]
    pub backoff_base: Duration,
    /// Longest wait of the exponential backoff.
    #[serde(with = "duration_text")]
    pub backoff_cap: Duration,
    /// Failed recoveries in a row that open the breaker.
    pub breaker_threshold: u32,
    /// How long an open breaker refuses restarts.
    #[serde(with = "duration_text")]
    pub breaker_cooldown: Duration,
    /// Unreachable looks in a row that make a service `down`.
    pub unreachable_limit: u32,
    /// Recent restarts above which the breaker opens as flapping.
    pub flapping_restarts: u32,
    /// Healthy time that resets the recent restarts.
    #[serde(with = "duration_text")]
    pub forgiven_after: Duration,
    /// Wait between a restart and the look that judges it.
    #[serde(with = "duration_text")]
    pub settle: Duration,
    /// Longest a restart command may run.
    #[serde(with = "duration_text")]
    pub restart_limit: Duration,
    /// Longest a connection may take.
    #[serde(with = "duration_text")]
    pub connect_limit: Duration,
    /// Longest a check's command may run.
    #[serde(with = "duration_text")]
    pub command_limit: Duration,
    /// Longest an HTTP or TCP check may take.
    #[serde(with = "duration_text")]
    pub http_limit: Duration,
    /// How long a unit may be `activating` before it is down, and how long after a restart a check may still fail while
    /// the process it started is there.
    #[serde(with = "duration_text")]
    pub startup_grace: Duration,
    /// Send neither DOWN nor RECOVERED when the first restart heals the service.
    pub quiet_first_restart: bool,
}

impl Default for Policy {
    fn default() -> Self {
        Self {
            first_attempt: FirstAttempt::default(),
            backoff_base: BACKOFF_BASE,
            backoff_cap: BACKOFF_CAP,
            breaker_threshold: BREAKER_THRESHOLD,
            breaker_cooldown: BREAKER_COOLDOWN,
            unreachable_limit: UNREACHABLE_LIMIT,
            flapping_restarts: FLAPPING_RESTARTS,
            forgiven_after: FORGIVEN_AFTER,
            settle: SETTLE,
            restart_limit: RESTART_LIMIT,
            connect_limit: CONNECT_LIMIT,
            command_limit: COMMAND_LIMIT,
            http_limit: HTTP_LIMIT,
            startup_grace: STARTUP_GRACE,
            quiet_first_restart: false,
        }
    }
}

impl Policy {
    /// True if nothing differs from the defaults, so that specs in the table stay small.
    #[must_use]
    pub fn is_default(&self) -> bool {
        *self == Self::default()
    }

    /// Refuses numbers that make no sense together.
    ///
    /// # Errors
    /// The first problem, as `key: sentence`.
    pub fn check(&self) -> Result<(), String> {
        let durations = [
            ("backoff_base", self.backoff_base, 1),
            ("backoff_cap", self.backoff_cap, 1),
            ("breaker_cooldown", self.breaker_cooldown, 1_000),
            ("forgiven_after", self.forgiven_after, 0),
            ("settle", self.settle, 0),
            ("restart_limit", self.restart_limit, 1_000),
            ("connect_limit", self.connect_limit, 100),
            ("command_limit", self.command_limit, 100),
            ("http_limit", self.http_limit, 100),
            ("startup_grace", self.startup_grace, 0),
        ];
        for (key, value, least_millis) in durations {
            let least = Duration::from_millis(least_millis);
            if value < least || value > MAX_DURATION {
                let (value, least) = (duration_text::written(value), duration_text::written(least));
                return Err(format!("{key}: `{value}` is out of range; choose from `{least}` to `1d`"));
            }
        }
        let counts = [
            ("breaker_threshold", self.breaker_threshold),
            ("unreachable_limit", self.unreachable_limit),
            ("flapping_restarts", self.flapping_restarts),
        ];
        for (key, value) in counts {
            if value == 0 || value > MAX_COUNT {
                return Err(format!("{key}: `{value}` is out of range; choose from 1 to {MAX_COUNT}"));
            }
        }
        if self.backoff_cap < self.backoff_base {
            return Err("backoff_cap: must not be shorter than `backoff_base`".to_owned());
        }
        Ok(())
    }

    /// The longest a guarded restart can take, connecting included.
    #[must_use]
    pub fn guarded_restart_limit(&self) -> Duration {
        self.connect_limit + self.restart_limit + GUARD_LIMIT
    }

    /// The longest one restart attempt can take: look, restart, look, settle, look again.
    #[must_use]
    pub fn attempt_limit(&self) -> Duration {
        let look = self.connect_limit + self.command_limit;
        look + self.guarded_restart_limit() + look + self.settle + look
    }
}
