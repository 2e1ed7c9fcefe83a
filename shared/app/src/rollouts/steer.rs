//! A person's word to a rollout under way: wait, go on, stop.

use lamplighter_core::RolloutId;
use lamplighter_core::rollout::steer::{Word, follow};
use lamplighter_core::rollout::{HeadPart, Rollout};
use lamplighter_store::Commit;

use super::{Refused, TRIES, store, wait_to_try};
use crate::Env;
use crate::advance::commit_head;

/// Holds it where it is: services half-way are finished, no other is begun. `expected` names the versions of the
/// rollout that will do; none: any.
///
/// # Errors
/// [`Refused`] says why not.
pub async fn pause(
    env: &Env,
    id: &RolloutId,
    by: &str,
    expected: Option<&[u64]>,
) -> Result<Rollout, Refused> {
    steer(env, id, by, expected, Word::Pause).await
}

/// Lets it go on.
///
/// # Errors
/// [`Refused`] says why not.
pub async fn resume(
    env: &Env,
    id: &RolloutId,
    by: &str,
    expected: Option<&[u64]>,
) -> Result<Rollout, Refused> {
    steer(env, id, by, expected, Word::Resume).await
}

/// Stops it before the next change on any host; with `roll_back`, everything it updated goes back.
///
/// # Errors
/// [`Refused`] says why not.
pub async fn abort(
    env: &Env,
    id: &RolloutId,
    by: &str,
    expected: Option<&[u64]>,
    roll_back: bool,
) -> Result<Rollout, Refused> {
    steer(env, id, by, expected, Word::Abort { roll_back }).await
}

async fn steer(
    env: &Env,
    id: &RolloutId,
    by: &str,
    expected: Option<&[u64]>,
    word: Word,
) -> Result<Rollout, Refused> {
    let store = store(env);
    let mut app = None;
    for tries_before in 0..TRIES {
        wait_to_try(tries_before).await;
        let head = store.rollout(id).await?.ok_or_else(|| Refused::NoSuchRollout(id.clone()))?;
        if expected.is_some_and(|expected| !expected.contains(&head.version)) {
            return Err(Refused::Stale(id.clone()));
        }
        let now = env.clock().now();
        let step = follow(&head, word, by, now)?;
        let next = match &step.head {
            HeadPart::Becomes(next) => Rollout::clone(next),
            HeadPart::Leave | HeadPart::GoesOn { .. } => head.clone(),
        };
        if let Commit::Done { .. } = commit_head(env, &store, step).await? {
            env.advance_bell.ring();
            return Ok(next);
        }
        app = Some(head.app);
    }
    Err(app.map_or_else(|| Refused::NoSuchRollout(id.clone()), Refused::Busy))
}
