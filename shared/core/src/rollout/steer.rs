//! What a person may do to a rollout that is under way.

use super::course::{self, Event};
use super::{Course, Move, Rollout};
use crate::moment::Moment;
use crate::version::RolloutId;

/// Why a rollout is not steered so.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum SteerRefused {
    /// It is over.
    #[error("rollout `{id}` is over ({end}); start another one, or `retry` what failed in it")]
    Over {
        /// The rollout.
        id: RolloutId,
        /// How it ended.
        end: &'static str,
    },
    /// It is paused already.
    #[error("rollout `{0}` is paused already; `resume` lets it go on")]
    Paused(RolloutId),
    /// It is not paused.
    #[error("rollout `{0}` is not paused; there is nothing to resume")]
    NotPaused(RolloutId),
    /// It is stopping by itself or by somebody's word.
    #[error("rollout `{id}` is {status} already; services half-way are finished first")]
    Stopping {
        /// The rollout.
        id: RolloutId,
        /// What it is doing.
        status: &'static str,
    },
}

/// A person's word.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Word {
    /// Begin no other service until told to go on.
    Pause,
    /// Go on.
    Resume,
    /// Stop: services half-way go back, no other is begun.
    Abort {
        /// Whether what was updated is rolled back, too.
        roll_back: bool,
    },
}

/// Follows a person's word.
///
/// # Errors
/// [`SteerRefused`] says why it is not followed, and what to do.
pub fn follow(rollout: &Rollout, word: Word, by: &str, now: Moment) -> Result<Move, SteerRefused> {
    let event = match word {
        Word::Pause => Event::Paused(by),
        Word::Resume => Event::Resumed(by),
        Word::Abort { roll_back } => Event::Aborted { by, undo: roll_back },
    };
    match course::on(rollout, event, now) {
        Some(next) => Ok(course::head_move(rollout, next, by)),
        None => Err(refusal(rollout, word)),
    }
}

fn refusal(rollout: &Rollout, word: Word) -> SteerRefused {
    let id = rollout.id.clone();
    match (&rollout.course, word) {
        (Course::Ended { end }, _) => SteerRefused::Over { id, end: end.as_str() },
        (Course::Arriving | Course::Soaking { .. }, Word::Resume) => SteerRefused::NotPaused(id),
        (Course::Arriving | Course::Soaking { .. }, Word::Pause | Word::Abort { .. }) => {
            SteerRefused::Paused(id)
        }
        (Course::Stopping { .. } | Course::Undoing { .. }, _) => {
            SteerRefused::Stopping { id, status: rollout.status() }
        }
    }
}
