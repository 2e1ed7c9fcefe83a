//! A commit's journey over the services of an app: 10 %, 50 %, all of them; and back where it does harm.
//!
//! A [`Rollout`] is the head: stages, tallies, what is under way. Its frozen plan is a [`Row`] per service. While a
//! service is being updated its watch carries an [`Updating`], a lease with the one step that is intended. Every
//! decision is a [`Move`], committed as a whole under the version of whatever it was decided upon:
//!
//! - [`plan`] freezes who is updated, in which stage, by which commands;
//! - [`course`] is the head's state table: `match (course, event)`;
//! - [`update`](mod@update) is one service's state table: `match (way, step, outcome)`;
//! - [`steer`] is what a person may do to it: pause, resume, abort.

mod app;
pub mod course;
mod options;
pub mod plan;
mod row;
pub mod steer;
pub mod update;

use serde::{Deserialize, Serialize};
use std::fmt;

pub use app::{AppState, MAX_QUARANTINED, Push, Quarantined};
pub use options::{AT_ONCE, AT_ONCE_MAX, MAX_CANARIES, MAX_STAGES, OnHalt, Options, SOAK, SOAK_MOST, STAGES};
pub use row::{Row, RowStatus, Updating};

use crate::decision::{Decision, Effect};
use crate::moment::Moment;
use crate::name::{AppName, ServiceId};
use crate::version::{RolloutId, Version};

/// More than this share of a stage failing, in percent, halts the rollout.
pub const HALT_PERCENT: u32 = 30;
/// Most services of one rollout: one env's.
pub const MAX_SERVICES: usize = 100_000;

/// One rollout: everything but its services' own stories.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Rollout {
    /// Its name.
    pub id: RolloutId,
    /// The app it brings the target to.
    pub app: AppName,
    /// What is brought.
    pub target: Version,
    /// The branch whose head the target was, if it was named so.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub branch: Option<String>,
    /// Rises by one with every commit of the head: its ETag.
    pub version: u64,
    /// Rises whenever services are to behave differently from what they were begun for: a step forward is committed only
    /// under the number it was decided under.
    pub steering: u64,
    /// Where it stands.
    pub course: Course,
    /// Set while a person holds it where it is.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub paused: Option<Paused>,
    /// Why it stands there, in the operator's words.
    pub because: String,
    /// The stages, in order.
    pub stages: Vec<Stage>,
    /// The stage under way, counted from 0.
    pub stage: u32,
    /// How it was asked to go about it.
    pub options: Options,
    /// Rows begun or skipped: the index of the next one.
    pub begun: u32,
    /// Services under way, in the order they were begun. Never more than [`Options::at_once`].
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub under_way: Vec<ServiceId>,
    /// The plan it was started from.
    pub plan_hash: String,
    /// Who started it: a person by the name of their token, or a hook.
    pub by: String,
    /// Why it may bring a quarantined version, in the words of whoever forced it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub forced: Option<String>,
    /// The rollout whose failed and skipped services it takes up again.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub retries: Option<RolloutId>,
    /// When it was started.
    pub created_at: Moment,
    /// When it last changed.
    pub updated_at: Moment,
    /// When it ended.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ended_at: Option<Moment>,
}

/// Where a rollout stands.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", tag = "course")]
pub enum Course {
    /// The stage's services are being updated.
    Arriving,
    /// They all arrived; they are watched since the last of them was verified.
    Soaking {
        /// When the last of the stage's services reached its end.
        since: Moment,
    },
    /// No service is begun any more; those under way finish.
    Stopping {
        /// How it ends then.
        end: End,
        /// Whether everything it updated is rolled back first.
        undo: bool,
    },
    /// Everything it updated is rolled back, the newest first.
    Undoing {
        /// How it ends then.
        end: End,
        /// Rows that have not been looked at: those with an index below this.
        left: u32,
    },
    /// It is over.
    Ended {
        /// How.
        end: End,
    },
}

/// How a rollout ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum End {
    /// Every service of the plan runs the target.
    Completed,
    /// All stages passed; some services do not run the target.
    CompletedWithFailures,
    /// It did too much harm, and stopped itself.
    Halted,
    /// A person stopped it.
    Aborted,
}

impl End {
    /// The end as the API spells it.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            End::Completed => "completed",
            End::CompletedWithFailures => "completed_with_failures",
            End::Halted => "halted",
            End::Aborted => "aborted",
        }
    }
}

impl fmt::Display for End {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// A person's "wait".
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Paused {
    /// Who, by the name of their token.
    pub by: String,
    /// Since when.
    pub at: Moment,
}

/// One stage and what became of it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Stage {
    /// Share of all services, in percent, that is updated when this stage is over.
    pub percent: u32,
    /// Its services.
    pub size: u32,
    /// Those that run the target, verified.
    #[serde(default)]
    pub succeeded: u32,
    /// Those that do not, rolled back or failed.
    #[serde(default)]
    pub failed: u32,
    /// Those that were not touched after all.
    #[serde(default)]
    pub skipped: u32,
}

/// One decision about a rollout: what is committed together, or not at all.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Move {
    /// The service's part.
    pub service: Option<Decision>,
    /// The head's part.
    pub head: HeadPart,
    /// The row as it is from now on.
    pub row: Option<Row>,
    /// The app's state, where a rollout ends; its version is one above the version decided upon.
    pub app: Option<AppState>,
    /// What is told and recorded of the rollout as a whole.
    pub effects: Vec<Effect>,
}

/// What a move asks of the head.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum HeadPart {
    /// Nothing: the way back is always open.
    Leave,
    /// That it still goes on as it did when this was decided.
    GoesOn {
        /// The rollout.
        id: RolloutId,
        /// The number it was decided under.
        steering: u64,
    },
    /// That it becomes this. Its version is one above the version decided upon.
    Becomes(Box<Rollout>),
}

impl Rollout {
    /// Its status in one word, as the API spells it: `running`, `paused`, `halting`, `aborting`, `rolling_back`, or how
    /// it ended.
    #[must_use]
    pub fn status(&self) -> &'static str {
        match (&self.course, &self.paused) {
            (Course::Ended { end }, _) => end.as_str(),
            (_, Some(_)) => "paused",
            (Course::Undoing { .. }, None) => "rolling_back",
            (Course::Stopping { end: End::Aborted, .. }, None) => "aborting",
            (Course::Stopping { .. }, None) => "halting",
            (Course::Arriving | Course::Soaking { .. }, None) => "running",
        }
    }

    /// How it ends or will end, in one word; its status while that is open.
    #[must_use]
    pub fn status_behind(&self) -> &'static str {
        match &self.course {
            Course::Stopping { end, .. } | Course::Undoing { end, .. } | Course::Ended { end } => {
                end.as_str()
            }
            Course::Arriving | Course::Soaking { .. } => self.status(),
        }
    }

    /// A stage's status in one word: `pending`, `arriving`, `soaking`, `passed`, `halted` or `stopped`.
    #[must_use]
    pub fn stage_status(&self, stage: u32) -> &'static str {
        match (stage.cmp(&self.stage), &self.course) {
            (std::cmp::Ordering::Less, _) => "passed",
            (std::cmp::Ordering::Greater, _) => "pending",
            (std::cmp::Ordering::Equal, Course::Arriving) => "arriving",
            (std::cmp::Ordering::Equal, Course::Soaking { .. }) => "soaking",
            (
                std::cmp::Ordering::Equal,
                Course::Stopping { end, .. } | Course::Undoing { end, .. } | Course::Ended { end },
            ) => match end {
                End::Completed | End::CompletedWithFailures => "passed",
                End::Halted => "halted",
                End::Aborted => "stopped",
            },
        }
    }

    /// True until it has ended.
    #[must_use]
    pub fn is_active(&self) -> bool {
        !matches!(self.course, Course::Ended { .. })
    }

    /// All services of its plan.
    #[must_use]
    pub fn size(&self) -> u32 {
        self.stages.iter().map(|stage| stage.size).sum()
    }

    /// Services that do not run the target although it tried, over all stages.
    #[must_use]
    pub fn failures(&self) -> u32 {
        self.stages.iter().map(|stage| stage.failed).sum()
    }

    /// The index after the last row of `stage`.
    #[must_use]
    pub fn stage_end(&self, stage: u32) -> u32 {
        self.stages
            .iter()
            .take(usize::try_from(stage).unwrap_or(usize::MAX).saturating_add(1))
            .map(|stage| stage.size)
            .sum()
    }
}
