//! What is remembered of one service between looks.

use std::fmt;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::breaker::Breaker;
use crate::hold::Hold;
use crate::moment::Moment;
use crate::name::ServiceId;
use crate::rollout::Updating;
use crate::sight::ProcessId;
use crate::version::Versions;

/// The status of a service, as shown everywhere (the table in the README says when each holds).
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Status {
    /// Never looked at.
    #[default]
    Unknown,
    /// The last look saw it up.
    Healthy,
    /// The last look saw it not up and recovery has not begun; or unreachable, not yet often enough to be `down`.
    Unhealthy,
    /// A restart is under way, or waiting out settle or backoff.
    Restarting,
    /// Unreachable too often in a row, or not up and never to be restarted.
    Down,
    /// The breaker is open or half-open.
    CircuitOpen,
    /// A rollout has it.
    Updating,
    /// A person holds it.
    Held,
}

impl Status {
    /// Every status, for tables in tests, metrics and docs.
    pub const ALL: [Status; 8] = [
        Status::Unknown,
        Status::Healthy,
        Status::Unhealthy,
        Status::Restarting,
        Status::Down,
        Status::CircuitOpen,
        Status::Updating,
        Status::Held,
    ];

    /// The status as the API spells it.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Status::Unknown => "unknown",
            Status::Healthy => "healthy",
            Status::Unhealthy => "unhealthy",
            Status::Restarting => "restarting",
            Status::Down => "down",
            Status::CircuitOpen => "circuit_open",
            Status::Updating => "updating",
            Status::Held => "held",
        }
    }
}

impl fmt::Display for Status {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// One restart that is intended and not yet judged. While it is open, `recover` owns the service.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Attempt {
    /// The number the host guard compares: rises by one with every action on this service.
    pub action_no: u64,
    /// Not to be made before this moment.
    pub not_before: Moment,
    /// The run of the service that was judged, so that no other run is restarted by mistake.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub process: Option<ProcessId>,
    /// Who asked: the engine, or a person by name.
    pub asked_by: AskedBy,
}

/// Who wanted a restart.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum AskedBy {
    /// Recovery: the service was not up.
    Recovery,
    /// The one trial of a half-open breaker.
    Trial,
    /// A person, named by their token. Made even if the service is up.
    Person(String),
}

/// One stretch of not being up: from the first bad look to the next good one.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Incident {
    /// The watch's version when it began: with the service's id, a stable name for the letter thread.
    pub no: u64,
    /// When it began.
    pub since: Moment,
    /// True once its DOWN notice was committed.
    pub told: bool,
    /// Restarts made in it.
    pub restarts: u32,
    /// What came of the last of them, oldest first, at most [`MAX_TRIED`].
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub tried: Vec<String>,
}

/// Restarts of an incident whose outcome is remembered: as many as open a breaker by default.
pub const MAX_TRIED: usize = 3;

/// What is remembered of one service: enough to decide, from this and one look, what comes next.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Watch {
    /// The service.
    pub service: ServiceId,
    /// Rises by one with every commit; a commit is refused if it is not the one that was read.
    pub version: u64,
    /// The status, as shown everywhere.
    pub status: Status,
    /// Why, in the operator's words.
    pub because: String,
    /// Since when the status holds.
    pub since: Moment,
    /// Whether restarts are allowed.
    #[serde(default, skip_serializing_if = "Breaker::is_pristine")]
    pub breaker: Breaker,
    /// Restarts that no healthy stretch has forgiven yet.
    #[serde(default, skip_serializing_if = "is_zero_u32")]
    pub recent_restarts: u32,
    /// Since when it has been up without a break.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub healthy_since: Option<Moment>,
    /// Looks in a row that could not reach the host.
    #[serde(default, skip_serializing_if = "is_zero_u32")]
    pub unreachable_streak: u32,
    /// The highest action number ever intended for it. Never falls.
    #[serde(default)]
    pub action_no: u64,
    /// The restart that is open, if any.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub attempt: Option<Attempt>,
    /// The incident that is open, if any.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub incident: Option<Incident>,
    /// The hold a person put on it, if any.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub hold: Option<Hold>,
    /// The last look that saw it up, as far as it was written down (a healthy service is not written each minute).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub last_healthy_at: Option<Moment>,
    /// The last look that saw it not up.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub last_failure_at: Option<Moment>,
    /// The last restart that was made.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub last_restart_at: Option<Moment>,
    /// When the last DOWN notice was committed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub last_notified_down_at: Option<Moment>,
    /// When the last RECOVERED notice was committed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub last_notified_up_at: Option<Moment>,
    /// What the last bad look saw.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub last_error: Option<String>,
    /// The update that is open, if any: while it is, the rollout owns the service.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub update: Option<Box<Updating>>,
    /// Which version it runs, as far as a rollout verified it.
    #[serde(default, skip_serializing_if = "Versions::is_unknown")]
    pub versions: Versions,
    /// Set when a rollout left it in a state that only a person can mend, with the reason.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub needs_human: Option<String>,
    /// What has been counted.
    #[serde(default)]
    pub totals: Totals,
}

/// Counters of a service's whole life.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct Totals {
    /// Sweeps of its shard when the service joined it, less those counted before a move. Its checks are the shard's
    /// sweeps since then, less `missed`.
    #[serde(skip_serializing_if = "is_zero_u64")]
    pub first_sweep: u64,
    /// Sweeps of its shard in which it was not looked at.
    #[serde(skip_serializing_if = "is_zero_u64")]
    pub missed: u64,
    /// Incidents that began. (Looks that find a service still down change nothing and are not written.)
    #[serde(skip_serializing_if = "is_zero_u64")]
    pub failures: u64,
    /// Incidents that ended.
    #[serde(skip_serializing_if = "is_zero_u64")]
    pub recoveries: u64,
}

impl Totals {
    /// Looks taken, given how many sweeps the shard has made.
    #[must_use]
    pub fn checks(&self, shard_sweeps: u64) -> u64 {
        shard_sweeps.saturating_sub(self.first_sweep).saturating_sub(self.missed)
    }
}

impl Watch {
    /// The watch of a service that nobody has looked at yet.
    ///
    /// Its action numbers begin at the second it is made, so that a table begun anew is ahead of whatever numbers hosts
    /// remember from an earlier one: a host cannot tell two actions of one number apart.
    #[must_use]
    pub fn new(service: ServiceId, now: Moment) -> Self {
        Self {
            service,
            version: 0,
            status: Status::Unknown,
            because: "never looked at".to_owned(),
            since: now,
            breaker: Breaker::default(),
            recent_restarts: 0,
            healthy_since: None,
            unreachable_streak: 0,
            action_no: u64::try_from(now.as_secs()).unwrap_or(0),
            attempt: None,
            incident: None,
            hold: None,
            last_healthy_at: None,
            last_failure_at: None,
            last_restart_at: None,
            last_notified_down_at: None,
            last_notified_up_at: None,
            last_error: None,
            update: None,
            versions: Versions::default(),
            needs_human: None,
            totals: Totals::default(),
        }
    }

    /// How long the status has held.
    #[must_use]
    pub fn age(&self, now: Moment) -> Duration {
        now.since(self.since)
    }
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "the signature serde's `skip_serializing_if` asks for")]
fn is_zero_u32(number: &u32) -> bool {
    *number == 0
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "the signature serde's `skip_serializing_if` asks for")]
fn is_zero_u64(number: &u64) -> bool {
    *number == 0
}
