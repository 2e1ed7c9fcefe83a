//! The services of a stage: begun in order, watched when they have arrived, taken back where they fell sick.

use futures_util::future::join_all;
use futures_util::{StreamExt, stream};
use lamplighter_core::recovery::Case;
use lamplighter_core::rollout::course::{self, Event, Work, work};
use lamplighter_core::rollout::update::{self, Scene};
use lamplighter_core::rollout::{Rollout, Row, RowStatus};
use lamplighter_core::settings::Settings;
use lamplighter_core::sight::{Look, Sight};
use lamplighter_core::update::{NoStanding, Standing};
use lamplighter_core::{Moment, RolloutId};
use lamplighter_store::{Commit, Placed, StoreError};

use super::{ASK_AGAIN, LOOK_AGAIN, Pass, store};
use crate::sweep::look_closely;

/// Rows read at once.
const ROWS_AT_ONCE: usize = 500;

/// What a look after the soak says of one service.
enum Health {
    /// It is up, and still the run that was verified.
    Healthy,
    /// It is not what was verified, and why.
    Sick(String, Box<Look>),
    /// It could not be judged.
    NotSeen,
    /// It is nobody's business here: removed, or held by a person.
    LeftAlone,
}

impl Pass<'_> {
    /// Does what the rollout's course asks for, once. `Some`: there is nothing to do before then.
    pub(super) async fn drive(&self, id: &RolloutId) -> Result<Option<Moment>, StoreError> {
        let settings = store(self.env).settings().await?.1;
        let Some(head) = store(self.env).rollout(id).await? else { return Ok(Some(self.soon())) };
        let moved = match work(&head) {
            Work::Begin(index) => self.begin_rows(&settings, &head, index).await?,
            Work::Undo(index) => self.undo(&settings, &head, index).await?,
            Work::Watch { ripe, .. } if self.env.clock().now() < ripe => return Ok(Some(ripe)),
            Work::Watch { latest, .. } => return self.watch(&settings, &head, latest).await,
            Work::Wait | Work::Over => true,
        };
        Ok((!moved).then(|| self.soon()))
    }

    fn soon(&self) -> Moment {
        self.env.clock().now() + ASK_AGAIN
    }

    /// Begins as many services as there is room for, in their order. False if none was.
    async fn begin_rows(&self, settings: &Settings, head: &Rollout, index: u32) -> Result<bool, StoreError> {
        let at_once = usize::try_from(head.options.at_once).unwrap_or(1);
        let left = head.stage_end(head.stage).saturating_sub(index);
        let room = at_once.saturating_sub(head.under_way.len()).min(usize::try_from(left).unwrap_or(at_once));
        let rows = store(self.env).rows(&head.id, index, room).await?;
        let asked = join_all(rows.iter().take(room).map(|row| self.ask(row))).await;
        let mut moved = false;
        for (row, asked) in rows.iter().zip(asked) {
            let now = self.env.clock().now();
            let tick = now.tick(settings.every);
            let asked = asked?;
            let placed = asked.as_ref().map(|(placed, _)| placed);
            let done = self
                .commit(&head.id, placed, |head| {
                    // Another process may have begun this row since; then the rows after it are its own business, too.
                    if head.begun != row.index || head.stage != row.stage {
                        return None;
                    }
                    let Some((placed, standing)) = &asked else { return update::gone(head, row, now) };
                    let case = Case { settings, spec: &placed.spec, tick, now };
                    let scene = Scene { case, spec_version: placed.spec_version, head: Some(head), row };
                    update::begin(scene, &placed.watch, standing)
                })
                .await?;
            match done {
                Some((Commit::Done { .. }, _)) => moved = true,
                Some((Commit::Stale, _)) | None => break,
            }
        }
        Ok(moved)
    }

    /// Asks a service's host what is there. None if the service was removed.
    async fn ask(&self, row: &Row) -> Result<Option<(Placed, Result<Standing, NoStanding>)>, StoreError> {
        let Some(placed) = store(self.env).load_service(&row.service).await? else { return Ok(None) };
        let standing = self.standing(&placed).await;
        Ok(Some((placed, standing)))
    }

    /// Looks at every service of the stage that arrived. All healthy: the stage has passed.
    async fn watch(
        &self,
        settings: &Settings,
        head: &Rollout,
        latest: Moment,
    ) -> Result<Option<Moment>, StoreError> {
        let rows = self.arrived(head).await?;
        let width = usize::try_from(settings.concurrency).unwrap_or(1).max(1);
        let seen: Vec<Result<_, StoreError>> = stream::iter(rows)
            .map(|row| async move {
                let (placed, health) = self.health(head, &row).await?;
                Ok((row, placed, health))
            })
            .buffered(width)
            .collect()
            .await;
        let overdue = self.env.clock().now() >= latest;
        let (mut not_seen, mut moved) = (false, false);
        for one in seen {
            let (row, placed, health) = one?;
            let Some(placed) = placed else { continue };
            let (why, look) = match health {
                Health::Healthy | Health::LeftAlone => continue,
                Health::Sick(why, look) => (why, Some(look)),
                Health::NotSeen if overdue => ("it was not seen healthy in its soak".to_owned(), None),
                Health::NotSeen => {
                    not_seen = true;
                    continue;
                }
            };
            match self.take_back(settings, head, &row, &placed, &why, look.as_deref()).await? {
                true => moved = true,
                // Somebody else has it in hand, such as a restart that is open: it is looked at again in a while.
                false => not_seen = true,
            }
        }
        if moved {
            return Ok(None);
        }
        if not_seen {
            let again = self.env.clock().now() + LOOK_AGAIN;
            return Ok(Some(if overdue { again } else { again.min(latest) }));
        }
        let now = self.env.clock().now();
        let passed = self
            .commit(&head.id, None, |now_head| {
                // The stage that was looked at, and nothing else, has passed.
                if now_head.stage != head.stage || now_head.course != head.course {
                    return None;
                }
                let next = course::on(now_head, Event::Soaked, now)?;
                Some(course::head_move(now_head, next, now_head.id.as_str()))
            })
            .await?;
        Ok(match passed {
            Some((Commit::Done { .. }, _)) => None,
            Some((Commit::Stale, _)) | None => Some(self.soon()),
        })
    }

    /// The rows of the present stage that run the target.
    async fn arrived(&self, head: &Rollout) -> Result<Vec<Row>, StoreError> {
        let end = head.stage_end(head.stage);
        let mut from = head.stage.checked_sub(1).map_or(0, |before| head.stage_end(before));
        let mut arrived = Vec::new();
        while from < end {
            let rows = store(self.env).rows(&head.id, from, ROWS_AT_ONCE).await?;
            let Some(last) = rows.last() else { break };
            from = last.index + 1;
            arrived
                .extend(rows.into_iter().filter(|row| row.index < end && row.status == RowStatus::Success));
        }
        Ok(arrived)
    }

    async fn health(&self, head: &Rollout, row: &Row) -> Result<(Option<Placed>, Health), StoreError> {
        let Some(placed) = store(self.env).load_service(&row.service).await? else {
            return Ok((None, Health::LeftAlone));
        };
        let now = self.env.clock().now();
        let held = placed.watch.hold.as_ref().is_some_and(|hold| hold.is_in_force(now));
        if held || placed.watch.versions.current.as_ref() != Some(&head.target) {
            return Ok((Some(placed), Health::LeftAlone));
        }
        let look = look_closely(self.env, &placed.spec).await;
        let health = match &look.sight {
            Sight::Up => match (&row.process, &look.process) {
                (Some(verified), Some(present)) if verified != present => {
                    Health::Sick("it was started anew in its soak".to_owned(), Box::new(look))
                }
                _ => Health::Healthy,
            },
            Sight::Down(fault) => Health::Sick(format!("down in its soak: {fault}"), Box::new(look)),
            Sight::Unreachable(_) | Sight::Unknown(_) => Health::NotSeen,
        };
        Ok((Some(placed), health))
    }

    /// Rolls back one service that had arrived. False if it was not to be.
    async fn take_back(
        &self,
        settings: &Settings,
        head: &Rollout,
        row: &Row,
        placed: &Placed,
        why: &str,
        look: Option<&Look>,
    ) -> Result<bool, StoreError> {
        let now = self.env.clock().now();
        let tick = now.tick(settings.every);
        let done = self
            .commit(&head.id, Some(placed), |head| {
                let case = Case { settings, spec: &placed.spec, tick, now };
                let scene = Scene { case, spec_version: placed.spec_version, head: Some(head), row };
                update::take_back(scene, &placed.watch, why, look)
            })
            .await?;
        Ok(matches!(done, Some((Commit::Done { .. }, _))))
    }

    /// Looks at the next row of a roll-back of everything, and takes its service back if it was updated. False if
    /// nothing was moved.
    async fn undo(&self, settings: &Settings, head: &Rollout, index: u32) -> Result<bool, StoreError> {
        let Some(row) = store(self.env).row(&head.id, index).await? else { return Ok(false) };
        if let Some(placed) = store(self.env).load_service(&row.service).await? {
            let why = format!("everything is rolled back, since the rollout was {}", head.status_behind());
            return self.take_back(settings, head, &row, &placed, &why, None).await;
        }
        let now = self.env.clock().now();
        let done = self
            .commit(&head.id, None, |head| update::pass_over(head, &row, "the service was removed", now))
            .await?;
        Ok(matches!(done, Some((Commit::Done { .. }, _))))
    }
}
