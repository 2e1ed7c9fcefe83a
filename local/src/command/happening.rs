//! What happened, one line each: a change of status, or what somebody did.

use lamplighter_core::decision::LiveStatus;
use lamplighter_core::moment::Moment;
use lamplighter_core::sight::one_line;
use serde::Deserialize;

use super::when;
use crate::say::{self, Ink};

/// Most characters of one sentence.
const MAX_SENTENCE_CHARS: usize = 200;
/// The width of the widest word for a status.
pub(super) const WORD_WIDTH: usize = "restart failed".len();
/// Who acts where nobody asked.
const ENGINE: &str = "recovery";

/// One entry of a service's history or of the live events. What a newer server says besides is left out.
#[derive(Debug, Clone, Deserialize)]
pub(super) struct Happening {
    #[serde(default)]
    pub(super) service: Option<String>,
    timestamp: Moment,
    #[serde(default)]
    because: String,
    #[serde(default)]
    message: String,
    /// Of a change of status.
    #[serde(default)]
    status: Option<LiveStatus>,
    /// Of an entry of the audit trail.
    #[serde(default)]
    by: Option<String>,
    #[serde(default)]
    action: Option<String>,
}

impl Happening {
    /// What a table shows of it: `03:38:50`, `restarting`, `down: unit is not active; restart at once, attempt 1 of 3`.
    pub(super) fn cells(&self, now: Moment) -> [String; 3] {
        let at = say::ink(Ink::Dim, &when::clock(now, self.timestamp));
        let (word, details) = match (self.status, &self.by) {
            (Some(status), _) => (word(status), self.details(status)),
            (None, Some(by)) => {
                let action = self.action.as_deref().unwrap_or("did something");
                // The reason of an update's step names the step, too.
                let because = self.because.replacen(&format!(": {action}"), "", 1);
                let why = if because.is_empty() { because } else { format!(": {because}") };
                (say::ink(Ink::Dim, &format!("by {}", one_line(by, 64))), format!("{action}{why}"))
            }
            (None, None) => (String::new(), self.because.clone()),
        };
        [at, word, one_line(&details, MAX_SENTENCE_CHARS)]
    }

    fn details(&self, status: LiveStatus) -> String {
        match status {
            // What a failed restart came to stands in its message; its `because` is still that of the attempt.
            LiveStatus::RestartFailed => self.message.clone(),
            LiveStatus::Healthy | LiveStatus::Unhealthy | LiveStatus::Restarting | LiveStatus::Failed => {
                self.because.clone()
            }
        }
    }

    /// True if a change of status beside it says the same: the engine's own restarts.
    fn is_said_by(&self, other: &Happening) -> bool {
        self.by.as_deref() == Some(ENGINE) && other.status.is_some() && other.timestamp == self.timestamp
    }
}

/// Leaves out what the engine did where the change of status beside it says so already.
pub(super) fn told(all: &[Happening]) -> impl DoubleEndedIterator<Item = &Happening> {
    all.iter().filter(|one| !all.iter().any(|other| one.is_said_by(other)))
}

/// A live status in an operator's words, in its colour.
fn word(status: LiveStatus) -> String {
    match status {
        LiveStatus::Healthy => say::ink(Ink::Green, "healthy"),
        LiveStatus::Unhealthy => say::ink(Ink::Yellow, "unhealthy"),
        LiveStatus::Restarting => say::ink(Ink::Yellow, "restarting"),
        LiveStatus::RestartFailed => say::ink(Ink::Red, "restart failed"),
        LiveStatus::Failed => say::ink(Ink::Red, "breaker open"),
    }
}
