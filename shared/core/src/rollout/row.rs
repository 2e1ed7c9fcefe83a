//! One service's part in a rollout: its row in the frozen plan, and the open update that its watch carries.

use serde::{Deserialize, Serialize};

use crate::moment::Moment;
use crate::name::ServiceId;
use crate::sight::ProcessId;
use crate::update::{UpdateStep, Way};
use crate::version::{RolloutId, Version};

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
