//! A decision is a value: the next state, the effects that carry it out, and why.

use serde::{Deserialize, Serialize};

use crate::moment::Moment;
use crate::name::ServiceId;
use crate::notice::Notice;
use crate::watch::{Attempt, Status, Watch};

/// What is to happen to one service: committed as a whole, or not at all.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Decision {
    /// What is remembered from now on. Its version is one above the version decided upon.
    pub next: Watch,
    /// What carries the decision out, in order.
    pub effects: Vec<Effect>,
}

impl Decision {
    /// Why, in the operator's words.
    #[must_use]
    pub fn because(&self) -> &str {
        &self.next.because
    }
}

/// One effect of a decision. It has exactly three interpreters: the store writes it down, the app carries it out,
/// the simulator plays it on a fleet in a box. None of them has a wildcard arm.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Effect {
    /// A restart is intended: `recover` will make it when it is due.
    OpenStep(Step),
    /// The open step is finished or void.
    CloseStep(ServiceId),
    /// Somebody is to be told.
    Tell(Notice),
    /// The live channels are to show it.
    Publish(LiveEvent),
    /// It stands in the audit trail from before it is done.
    Record(AuditEntry),
    /// The service was given up half-way through an update: `advance` asks its host until that answers.
    Stray(ServiceId),
    /// The host answered, and the update was brought to an end.
    Found(ServiceId),
}

/// An intended restart as it is stored: where `recover` finds its work.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Step {
    /// The service to restart.
    pub service: ServiceId,
    /// What to do, and when.
    pub attempt: Attempt,
}

/// The status of a service, as the live channels and subscribers see it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct LiveEvent {
    /// The service.
    pub service: ServiceId,
    /// The live name of its status.
    pub status: LiveStatus,
    /// What is going on, for a person: `attempt 2 of 3`.
    pub message: String,
    /// Why, as stored with the service.
    pub because: String,
    /// When it was decided.
    pub timestamp: Moment,
}

/// The status names of the live channels.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum LiveStatus {
    /// It is up.
    Healthy,
    /// It is not up, or cannot be reached.
    Unhealthy,
    /// A restart is under way or waited for.
    Restarting,
    /// A restart did not help.
    RestartFailed,
    /// The breaker is open.
    Failed,
}

impl LiveStatus {
    /// The live name of a status; nothing is sent for the others.
    #[must_use]
    pub fn of(status: Status) -> Option<LiveStatus> {
        match status {
            Status::Healthy => Some(LiveStatus::Healthy),
            Status::Unhealthy | Status::Down => Some(LiveStatus::Unhealthy),
            Status::Restarting => Some(LiveStatus::Restarting),
            Status::CircuitOpen => Some(LiveStatus::Failed),
            Status::Unknown | Status::Updating | Status::Held => None,
        }
    }
}

/// One line of the audit trail.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct AuditEntry {
    /// When it was decided.
    pub at: Moment,
    /// Who: `recovery`, or a person by the name of their token.
    pub by: String,
    /// What: `restart`, `hold`, `release`, `breaker reset`, …
    pub action: String,
    /// The service it concerns, if one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub service: Option<ServiceId>,
    /// The action number of a command on a host.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub action_no: Option<u64>,
    /// Why.
    pub because: String,
}
