//! How a rollout is asked to go about it: every number, with its default and its reason.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::moment::duration_text;
use crate::name::ServiceId;

/// Shares of the services, in percent, that have been updated when a stage is over.
pub const STAGES: [u32; 3] = [10, 50, 100];
/// Services updating at once.
pub const AT_ONCE: u32 = 5;
/// Most services that may be told to update at once: their names stand in the head, which must stay small.
pub const AT_ONCE_MAX: u32 = 20;
/// Least time between a stage's last verify and the next stage: what crashes soon after its start crashes within it.
pub const SOAK: Duration = Duration::from_secs(30);
/// Longest a stage waits for a healthy look at each of its services.
pub const SOAK_MOST: Duration = Duration::from_secs(600);
/// Most stages of one rollout.
pub const MAX_STAGES: usize = 10;
/// Most canaries named: they stand in the head, which is written with every service that begins or ends.
pub const MAX_CANARIES: usize = 50;

const _: () = assert!(SOAK.as_millis() < SOAK_MOST.as_millis(), "a soak must be able to end");

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
