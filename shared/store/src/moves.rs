//! Writes a rollout's decision down: the service's part, the head's, the row and what is told, all or nothing.

use lamplighter_core::rollout::{Course, HeadPart, Move, Rollout, Row};
use lamplighter_core::version::RolloutId;

use crate::commit::{Commit, Fence};
use crate::condition::{Condition, Wording};
use crate::fleet::Placed;
use crate::item::{COMMIT, EXPIRES_AT, Item, Key, expiry, item, number, text};
use crate::rollouts::ROLLOUTS_KEPT;
use crate::wire::{Part, Transacted};
use crate::{Store, StoreError};

impl Store {
    /// Commits `next`, if everything it was decided upon is still so: the service `placed` as it was read, the head at
    /// the version before the next or under the same steering, the app's state at the version before the next.
    ///
    /// # Errors
    /// If the table does not answer: whether the commit took place is then not known, and nothing may be acted upon. If
    /// the parts do not belong together: nothing is written.
    pub async fn commit_move(
        &self,
        fence: Fence<'_>,
        placed: Option<&Placed>,
        next: &Move,
    ) -> Result<Commit, StoreError> {
        let mark = self.mark();
        let (mut parts, mut effects, mut name, mut added) = (Vec::new(), Vec::new(), None, 0);
        match (&next.service, placed) {
            (Some(decision), Some(placed)) => {
                parts.extend(self.fence_parts(fence, placed.shard));
                parts.push(self.watch_part(placed, &decision.next, &mark)?);
                effects.extend(&decision.effects);
                name = Some(format!("{}#{}", placed.spec.id, decision.next.version));
                added = 1;
            }
            (Some(decision), None) => {
                return Err(apart(&decision.next.service, "the service it was decided upon is not named"));
            }
            (None, _) => parts.extend(self.fence_check(fence)),
        }
        effects.extend(&next.effects);
        parts.extend(self.head_part(&next.head, &mark)?);
        if let Some(row) = &next.row {
            parts.push(row_part(rollout_of(next, placed)?, row)?);
        }
        if let Some(app) = &next.app {
            parts.push(self.app_part(app, &mark)?);
        }
        let shard = placed.map(|placed| placed.shard);
        let gathered = self.gather(effects.into_iter(), shard)?;
        Ok(match self.write_down(&mark, parts, gathered, name).await? {
            Transacted::Done => Commit::Done { added },
            Transacted::Refused | Transacted::Conflict => Commit::Stale,
        })
    }

    fn head_part(&self, head: &HeadPart, mark: &str) -> Result<Option<Part>, StoreError> {
        Ok(match head {
            HeadPart::Leave => None,
            HeadPart::GoesOn { id, steering } => {
                let goes_on = Wording::new().when(
                    self,
                    Condition::RolloutGoesOn,
                    "#steering = :steering",
                    [(":steering", number(steering))],
                );
                Some(Part::Check(Key::rollout(id), goes_on))
            }
            HeadPart::Becomes(head) => {
                let unchanged = Wording::new().when(
                    self,
                    Condition::RolloutVersion,
                    "#version = :version",
                    [(":version", number(head.version.saturating_sub(1)))],
                );
                Some(Part::Put(head_item(head, mark)?, unchanged))
            }
        })
    }
}

/// The head as it is stored. Only one that has ended is ever swept away.
pub(crate) fn head_item(head: &Rollout, mark: &str) -> Result<Item, StoreError> {
    let mut stored = item(&Key::rollout(&head.id), head)?;
    stored.insert(COMMIT.to_owned(), text(mark));
    match head.course {
        Course::Ended { .. } => {
            let ended_at = head.ended_at.unwrap_or(head.updated_at);
            stored.insert(EXPIRES_AT.to_owned(), expiry(ended_at, ROLLOUTS_KEPT));
        }
        Course::Arriving | Course::Soaking { .. } | Course::Stopping { .. } | Course::Undoing { .. } => {}
    }
    Ok(stored)
}

/// Rows need no condition of their own: each is written beside the head or the watch that its verdict was decided upon.
fn row_part(id: &RolloutId, row: &Row) -> Result<Part, StoreError> {
    let mut stored = item(&Key::row(id, row.index), row)?;
    if let Some(settled_at) = row.settled_at {
        stored.insert(EXPIRES_AT.to_owned(), expiry(settled_at, ROLLOUTS_KEPT));
    }
    Ok(Part::Put(stored, Wording::new()))
}

/// The rollout whose row a move settles: the head says it, or else the update that was open.
fn rollout_of<'a>(next: &'a Move, placed: Option<&'a Placed>) -> Result<&'a RolloutId, StoreError> {
    let open = || placed.and_then(|placed| placed.watch.update.as_ref()).map(|update| &update.rollout);
    match &next.head {
        HeadPart::Becomes(head) => Some(&head.id),
        HeadPart::GoesOn { id, .. } => Some(id),
        HeadPart::Leave => open(),
    }
    .ok_or_else(|| apart(&"row", "no rollout is named that the row belongs to"))
}

fn apart(what: &dyn std::fmt::Display, because: &str) -> StoreError {
    StoreError::BadItem { key: what.to_string(), because: because.to_owned() }
}
