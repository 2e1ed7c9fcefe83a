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
pub mod plan;
pub mod steer;
pub mod update;

use std::fmt;
use std::time::Duration;

use serde::{Deserialize, Serialize};

pub use app::{AppState, MAX_QUARANTINED, Push, Quarantined};

use crate::decision::{Decision, Effect};
use crate::moment::{Moment, duration_text};
use crate::name::{AppName, ServiceId};
use crate::sight::ProcessId;
use crate::update::{UpdateStep, Way};
use crate::version::{RolloutId, Version};

/// Shares of the services, in percent, that have been updated when a stage is over.
pub const STAGES: [u32; 3] = [10, 50, 100];
/// Services updating at once.
pub const AT_ONCE: u32 = 5;
/// Most services that may be told to update at once: their names stand in the head, which must stay small.
pub const AT_ONCE_MAX: u32 = 20;
/// More than this share of a stage failing, in percent, halts the rollout.
pub const HALT_PERCENT: u32 = 30;
/// Least time between a stage's last verify and the next stage: what crashes soon after its start crashes within it.
pub const SOAK: Duration = Duration::from_secs(30);
/// Longest a stage waits for a healthy look at each of its services.
pub const SOAK_MOST: Duration = Duration::from_secs(600);
/// Most services of one rollout: one env's.
pub const MAX_SERVICES: usize = 100_000;
/// Most stages of one rollout.
pub const MAX_STAGES: usize = 10;
/// Most canaries named: they stand in the head, which is written with every service that begins or ends.
pub const MAX_CANARIES: usize = 50;

const _: () = assert!(SOAK.as_millis() < SOAK_MOST.as_millis(), "a soak must be able to end");

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

/// How a rollout goes about it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Options {
    /// Shares in percent at which it stops and watches; the last is 100.
    pub stages: Vec<u32>,
    /// Services updating at once.
    pub at_once: u32,
    /// Least time of watching after each stage.
    #[serde(with = "duration_text")]
    pub soak: Duration,
    /// Any failure in the first stage halts it.
    pub strict_canary: bool,
    /// More failures than this, over all stages, halt it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub max_failures: Option<u32>,
    /// What becomes of the updated services when it halts.
    pub on_halt: OnHalt,
    /// Services that go first, in this order; the rest follows in a stable order of its own.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub canaries: Vec<ServiceId>,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            stages: STAGES.to_vec(),
            at_once: AT_ONCE,
            soak: SOAK,
            strict_canary: false,
            max_failures: None,
            on_halt: OnHalt::Keep,
            canaries: Vec::new(),
        }
    }
}

impl Options {
    /// Refuses numbers that make no sense.
    ///
    /// # Errors
    /// The first problem, as `key: sentence`.
    pub fn check(&self) -> Result<(), String> {
        let rises = self.stages.windows(2).all(|pair| matches!(pair, [low, high] if low < high));
        if self.stages.is_empty()
            || self.stages.len() > MAX_STAGES
            || !rises
            || self.stages.first() == Some(&0)
            || self.stages.last() != Some(&100)
        {
            return Err(format!(
                "stages: write at most {MAX_STAGES} rising percentages that end with 100, such as `[10, 50, 100]`"
            ));
        }
        if !(1..=AT_ONCE_MAX).contains(&self.at_once) {
            return Err(format!("at_once: choose from 1 to {AT_ONCE_MAX}"));
        }
        if self.canaries.len() > MAX_CANARIES {
            return Err(format!(
                "canaries: name at most {MAX_CANARIES}; the rest follows in an order of its own"
            ));
        }
        if self.soak > SOAK_MOST {
            let most = duration_text::written(SOAK_MOST);
            return Err(format!("soak: at most `{most}`, since a stage waits no longer for healthy looks"));
        }
        Ok(())
    }
}

/// What becomes of the updated services when a rollout halts.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum OnHalt {
    /// They keep the target.
    #[default]
    Keep,
    /// They are rolled back.
    RollBackAll,
}

/// One service of the frozen plan, and what became of it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Row {
    /// Its place in the order, counted from 0.
    pub index: u32,
    /// The service.
    pub service: ServiceId,
    /// Its stage, counted from 0.
    pub stage: u32,
    /// The version of its spec that was planned with.
    pub spec_version: u64,
    /// What became of it.
    pub status: RowStatus,
    /// Why, in the operator's words.
    pub because: String,
    /// What it ran before it was touched.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub previous: Option<Version>,
    /// What it runs now, as far as it was verified.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub current: Option<Version>,
    /// The run of the service that was verified: another one in the soak has crashed in between.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub process: Option<ProcessId>,
    /// When it was settled.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub settled_at: Option<Moment>,
}

/// What became of one service of a rollout.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum RowStatus {
    /// Its turn has not come.
    Pending,
    /// It is being updated, or rolled back. Shown, never stored in a row: the watch says it.
    Updating,
    /// It runs the target, verified.
    Success,
    /// It runs what it ran before, verified.
    RolledBack,
    /// It runs neither for certain; a person must look.
    Failed,
    /// It was left alone.
    Skipped,
}

impl RowStatus {
    /// The status as the API spells it.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            RowStatus::Pending => "pending",
            RowStatus::Updating => "updating",
            RowStatus::Success => "success",
            RowStatus::RolledBack => "rolled_back",
            RowStatus::Failed => "failed",
            RowStatus::Skipped => "skipped",
        }
    }
}

/// An open update, as the watch carries it: a lease, and the one step that is intended.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Updating {
    /// The rollout.
    pub rollout: RolloutId,
    /// The service's row in it.
    pub row: u32,
    /// What is brought.
    pub target: Version,
    /// What was there before anything was changed.
    pub previous: Version,
    /// To the target, or back.
    pub way: Way,
    /// The step that is intended.
    pub step: UpdateStep,
    /// Its action number.
    pub action_no: u64,
    /// The run of the service that was there when the step was intended: a restart must leave another one behind.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub process: Option<ProcessId>,
    /// How often this step was intended anew.
    #[serde(default)]
    pub again: u32,
    /// When the lease ends, unless a step renews it.
    pub until: Moment,
    /// Why it goes back.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub back_because: Option<String>,
    /// True once the rollout gave it up with its host away: it goes back as soon as the host answers.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub stray: bool,
}

impl Updating {
    /// True while nobody but the rollout may touch the service. The lease of one that was given up ended there and then,
    /// and begins again when its host answers.
    #[must_use]
    pub fn is_in_force(&self, now: Moment) -> bool {
        now < self.until
    }
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
