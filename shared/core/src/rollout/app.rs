//! What is remembered of an app between rollouts: which one is active, which versions did harm, which push waits.

use serde::{Deserialize, Serialize};

use crate::moment::Moment;
use crate::name::AppName;
use crate::version::{RolloutId, Version};

/// Most versions remembered as harmful; the oldest is forgotten first. A fleet that halts more often than this has
/// other troubles than an old commit.
pub const MAX_QUARANTINED: usize = 20;

/// What is remembered of one app.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct AppState {
    /// The app.
    pub app: AppName,
    /// Rises by one with every commit.
    pub version: u64,
    /// Rollouts started so far: the number of the last one.
    pub rollouts: u64,
    /// The rollout that is active. There is never more than one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub active: Option<RolloutId>,
    /// Versions that halted a rollout, oldest first.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub quarantined: Vec<Quarantined>,
    /// The newest push that waits for its rollout.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub waiting: Option<Push>,
}

/// A version that halted a rollout.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Quarantined {
    /// The version.
    pub version: Version,
    /// The rollout it halted.
    pub rollout: RolloutId,
    /// Why that halted.
    pub because: String,
    /// When.
    pub at: Moment,
}

/// A push that asks for a rollout.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Push {
    /// What was pushed.
    pub target: Version,
    /// The branch it was pushed to.
    pub branch: String,
    /// The hook it came by, as the rollout's `by`: `hook github`.
    pub by: String,
    /// The delivery it came with.
    pub delivery: String,
    /// When it came.
    pub at: Moment,
}

impl AppState {
    /// An app that has had no rollout.
    #[must_use]
    pub fn new(app: AppName) -> Self {
        Self { app, version: 0, rollouts: 0, active: None, quarantined: Vec::new(), waiting: None }
    }

    /// The harm that `version` did, if it did any.
    #[must_use]
    pub fn quarantine_of(&self, version: &Version) -> Option<&Quarantined> {
        self.quarantined.iter().find(|harmful| harmful.version == *version)
    }

    /// The state after a push came: the newest wins, whatever waited before.
    #[must_use]
    pub fn pushed(&self, push: Push) -> AppState {
        AppState { version: self.version + 1, waiting: Some(push), ..self.clone() }
    }

    /// The state once nothing waits any more.
    #[must_use]
    pub fn without_waiting(&self) -> AppState {
        AppState { version: self.version + 1, waiting: None, ..self.clone() }
    }
}
