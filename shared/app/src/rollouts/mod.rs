//! What is asked of rollouts: a plan, a start, to wait, to go on, to stop, to try again; by a person or by a push.
//!
//! Only the versions of what was read protect these commits, since nobody who asks holds a lease; `advance` does the rest.

mod ask;
mod missed;
mod push;
mod steer;
mod survey;
mod waiting;

pub use ask::{Asked, plan, retry, start};
pub use missed::{keep_seeking, seek_missed};
pub use push::{Pushed, push, push_again};
pub use steer::{abort, pause, resume};
pub use waiting::{Waited, begin_waiting};

use std::time::Duration;

use lamplighter_core::rollout::plan::NoPlan;
use lamplighter_core::rollout::steer::SteerRefused;
use lamplighter_core::{AppName, RolloutId, Version};
use lamplighter_store::{Store, StoreError, Verb};

use crate::Env;

/// How often a change is tried again when somebody else was faster.
const TRIES: u32 = 5;

/// Wait before the first of these tries, and more before each after it: whoever was faster needs a moment to get done.
const TRY_AGAIN: Duration = Duration::from_millis(50);

/// Waits before a change is tried again; not before it is tried at all.
async fn wait_to_try(tries_before: u32) {
    if tries_before > 0 {
        tokio::time::sleep(TRY_AGAIN * tries_before).await;
    }
}

/// Why a rollout was not planned, started or steered.
#[derive(Debug, thiserror::Error)]
pub enum Refused {
    /// There is no such rollout.
    #[error("there is no rollout `{0}` in this env")]
    NoSuchRollout(RolloutId),
    /// The env may only look.
    #[error("this env does not act (`mode` is not `act`), so nothing is rolled out in it")]
    NotActing,
    /// There can be no plan.
    #[error(transparent)]
    NoPlan(#[from] NoPlan),
    /// It is not said what to bring, and the services do not agree on a branch.
    #[error("{0}")]
    NoTarget(String),
    /// The remote does not have what is wanted.
    #[error("{0}")]
    Unknown(String),
    /// No host, or no remote, answered what is wanted.
    #[error("nobody answered which commit is wanted: {0}")]
    NoAnswer(String),
    /// The plan that was looked at is not known, or no longer.
    #[error("the plan `{0}` is not known here: plans are kept for a day")]
    NoSuchPlan(String),
    /// The plan that was looked at is not the plan that would be carried out.
    #[error("the plan is no longer what it was: {}", .0.join("; "))]
    Moved(Vec<String>),
    /// Another rollout of the app is under way.
    #[error("rollout `{0}` is under way, and an app has one at a time")]
    Active(RolloutId),
    /// The version did harm before.
    #[error("{short} is quarantined: it halted rollout `{rollout}` ({because})", short = .version.short())]
    Quarantined {
        /// The version.
        version: Version,
        /// The rollout it halted.
        rollout: RolloutId,
        /// Why that halted.
        because: String,
    },
    /// A version was forced without a reason.
    #[error("`force` needs a reason: whoever finds it must know why")]
    NoReason,
    /// It is not steered so.
    #[error(transparent)]
    Steer(#[from] SteerRefused),
    /// It has not ended.
    #[error("rollout `{0}` is still under way; what fails in it can be retried once it has ended")]
    NotOver(RolloutId),
    /// Nothing failed in it, and nothing was left alone.
    #[error("nothing failed in rollout `{0}`, and nothing was left alone: there is nothing to retry")]
    NothingToRetry(RolloutId),
    /// A delivery that asked for nothing cannot be asked again.
    #[error("this delivery asked for nothing: it {0}")]
    NothingAsked(String),
    /// It is not the version that was named.
    #[error("rollout `{0}` has changed meanwhile")]
    Stale(RolloutId),
    /// The engine was faster each time.
    #[error("the rollouts of `{0}` keep changing; try again in a moment")]
    Busy(AppName),
    /// The store cannot be used.
    #[error("the store cannot be used now")]
    Store(#[from] StoreError),
}

/// The env's table, charging what it consumes to people.
fn store(env: &Env) -> Store {
    env.store().for_verb(Verb::Api)
}
