//! One service's update, step by step, from whatever its watch says is intended.

use std::panic::AssertUnwindSafe;
use std::time::Duration;

use futures_util::FutureExt;
use lamplighter_core::recovery::Case;
use lamplighter_core::rollout::update::{Next, Scene, Settled, after_settle, after_step, obey};
use lamplighter_core::rollout::{Move, Rollout, Row, Updating, update};
use lamplighter_core::settings::Settings;
use lamplighter_core::sight::{Fault, Look, ProcessId, UnreachableKind};
use lamplighter_core::update::{ASK_LIMIT, NoStanding, Standing, StepOutcome, UpdateStep, Way};
use lamplighter_core::watch::Status;
use lamplighter_core::{Moment, RolloutId, ServiceId};
use lamplighter_remote::{UpdateOrder, time_for};
use lamplighter_store::{Commit, Placed, StoreError};
use tokio::time::Instant;

use super::{ASK_AGAIN, Pass, store};

impl Pass<'_> {
    /// Carries one service of a rollout to its end, or as far as this pass goes.
    pub(super) async fn carry(
        &self,
        id: &RolloutId,
        service: &ServiceId,
    ) -> Result<Option<Moment>, StoreError> {
        let settings = store(self.env).settings().await?.1;
        loop {
            if self.stops() {
                return Ok(None);
            }
            let Some(placed) = store(self.env).load_service(service).await? else {
                return self.let_go(id, service).await;
            };
            let ours = |updating: &Updating| updating.rollout == *id && !updating.stray;
            let Some(updating) = placed.watch.update.as_deref().filter(|updating| ours(updating)) else {
                return self.let_go(id, service).await;
            };
            let Some(row) = store(self.env).row(id, updating.row).await? else {
                tracing::error!(env = %self.env.name(), %service, rollout = %id, "a row of the rollout is not in the table");
                return Ok(Some(self.env.clock().now() + ASK_AGAIN));
            };
            match self.steps(&settings, placed, &row, Some(id)).await? {
                Carried::ToItsEnd => return Ok(None),
                Carried::Overtaken => {}
                Carried::Unheard => self.wait().await,
            }
        }
    }

    /// The head counts a service as under way, and the service knows nothing of it: it was removed, and may be back.
    async fn let_go(&self, id: &RolloutId, service: &ServiceId) -> Result<Option<Moment>, StoreError> {
        let later = Ok(Some(self.env.clock().now() + ASK_AGAIN));
        let Some(head) = store(self.env).rollout(id).await? else { return later };
        let mut from = 0;
        while head.under_way.contains(service) && from < head.begun {
            let rows = store(self.env).rows(id, from, 500).await?;
            let Some(last) = rows.last() else { break };
            from = last.index + 1;
            if let Some(row) = rows.iter().find(|row| row.service == *service) {
                let now = self.env.clock().now();
                self.commit(id, None, |head| update::gone(head, row, now)).await?;
                break;
            }
        }
        later
    }

    /// Makes step after step, as long as each follows from the one before. `id` is the rollout whose head has a say;
    /// none for a stray.
    pub(super) async fn steps(
        &self,
        settings: &Settings,
        mut placed: Placed,
        row: &Row,
        id: Option<&RolloutId>,
    ) -> Result<Carried, StoreError> {
        loop {
            let Some(updating) = placed.watch.update.clone() else { return Ok(Carried::ToItsEnd) };
            if self.stops() {
                return Ok(Carried::ToItsEnd);
            }
            if updating.way == Way::Forward {
                let obeyed = self
                    .decide(settings, &placed, row, id, |scene| obey(scene, &placed.watch, &updating))
                    .await?;
                if let Some((done, next)) = obeyed {
                    match self.taken(&mut placed, done, next) {
                        Some(carried) => return Ok(carried),
                        None => continue,
                    }
                }
            }
            let Some((done, next)) = self.step(settings, &placed, row, id, &updating).await? else {
                return Ok(Carried::Unheard);
            };
            if let Some(carried) = self.taken(&mut placed, done, next) {
                return Ok(carried);
            }
        }
    }

    /// Makes the step that is intended and commits what follows from it. `None`: nothing can be concluded yet.
    async fn step(
        &self,
        settings: &Settings,
        placed: &Placed,
        row: &Row,
        id: Option<&RolloutId>,
        updating: &Updating,
    ) -> Result<Option<(Commit, Move)>, StoreError> {
        let outcome = self.make(placed, updating).await;
        let look = match (&outcome, updating.step) {
            (StepOutcome::Failed(_), UpdateStep::Restart | UpdateStep::After) => {
                Some(self.look(placed).await)
            }
            _ => None,
        };
        let now = self.env.clock().now();
        let tick = now.tick(settings.every);
        let scene = |head| scene(settings, placed, row, head, tick, now);
        // Without the head, whose word counts only where the move is decided for good: under the lock.
        let settled = match after_step(scene(None), &placed.watch, updating, &outcome, look.as_ref()) {
            Next::Again => return Ok(None),
            Next::Settle(started) => Some(self.settle(placed, started).await),
            Next::Commit(_) => None,
        };
        self.decide(settings, placed, row, id, |scene| {
            let next = match &settled {
                Some(settled) => after_settle(scene, &placed.watch, updating, settled),
                None => after_step(scene, &placed.watch, updating, &outcome, look.as_ref()),
            };
            match next {
                Next::Commit(next) => Some(*next),
                Next::Settle(_) | Next::Again => None,
            }
        })
        .await
    }

    /// Decides with the head as it is now, and commits.
    async fn decide(
        &self,
        settings: &Settings,
        placed: &Placed,
        row: &Row,
        id: Option<&RolloutId>,
        decide: impl Fn(Scene<'_>) -> Option<Move>,
    ) -> Result<Option<(Commit, Move)>, StoreError> {
        let now = self.env.clock().now();
        let tick = now.tick(settings.every);
        match id {
            Some(id) => {
                self.commit(id, Some(placed), |head| {
                    decide(scene(settings, placed, row, Some(head), tick, now))
                })
                .await
            }
            None => {
                let Some(next) = decide(scene(settings, placed, row, None, tick, now)) else {
                    return Ok(None);
                };
                let done = self.commit_service(placed, &next).await?;
                Ok(Some((done, next)))
            }
        }
    }

    /// Takes over what was committed. `Some`: the service's steps are at an end here.
    fn taken(&self, placed: &mut Placed, done: Commit, next: Move) -> Option<Carried> {
        match (done, next.service) {
            (Commit::Stale, _) => Some(Carried::Overtaken),
            (Commit::Done { .. }, Some(decision)) => {
                placed.watch = decision.next;
                (placed.watch.status != Status::Updating).then_some(Carried::ToItsEnd)
            }
            (Commit::Done { .. }, None) => Some(Carried::ToItsEnd),
        }
    }

    /// Asks the host to make the step, or what came of it.
    async fn make(&self, placed: &Placed, updating: &Updating) -> StepOutcome {
        let env = self.env;
        let order = UpdateOrder {
            env: env.name(),
            action_no: updating.action_no,
            way: updating.way,
            step: updating.step,
            target: &updating.target,
            previous: &updating.previous,
            process: updating.process.as_ref(),
        };
        let limit = time_for(updating.step);
        let made = AssertUnwindSafe(env.parts.hosts.update(&placed.spec, order, limit)).catch_unwind().await;
        made.unwrap_or_else(|_| {
            tracing::error!(env = %env.name(), service = %placed.spec.id, "a step of an update panicked; the host is asked what came of it");
            StepOutcome::Lost(Fault::new(UnreachableKind::Dropped, "a fault on our side"))
        })
    }

    /// Waits out the settle time and looks; again for as long as the service may still come up.
    async fn settle(&self, placed: &Placed, started: Option<ProcessId>) -> Settled {
        let policy = &placed.spec.policy;
        let patience = Instant::now() + policy.settle + policy.startup_grace;
        loop {
            tokio::time::sleep(policy.settle.max(Duration::from_millis(10))).await;
            let look = self.look(placed).await;
            let standing = self.standing(placed).await;
            let present = standing.as_ref().ok().and_then(|standing| standing.process.as_ref());
            // One that is started anew while it should come up is not coming up.
            let same = started.is_none() || present.is_none() || present == started.as_ref();
            if !(look.sight.may_still_come_up() && same) || Instant::now() >= patience {
                return Settled { look, standing, started };
            }
        }
    }

    /// Looks once, for the verdict of the check alone.
    pub(super) async fn look(&self, placed: &Placed) -> Look {
        let policy = &placed.spec.policy;
        let limit = policy.connect_limit + policy.command_limit + policy.http_limit;
        crate::look_at(self.env, &placed.spec, Instant::now() + limit).await
    }

    /// Asks what is there.
    pub(super) async fn standing(&self, placed: &Placed) -> Result<Standing, NoStanding> {
        let env = self.env;
        let asked = AssertUnwindSafe(env.parts.hosts.standing(&placed.spec, ASK_LIMIT)).catch_unwind().await;
        asked.unwrap_or_else(|_| {
            tracing::error!(env = %env.name(), service = %placed.spec.id, "asking what is there panicked");
            Err(NoStanding::Unreachable(Fault::new(UnreachableKind::Dropped, "a fault on our side")))
        })
    }

    async fn wait(&self) {
        tokio::time::sleep(ASK_AGAIN).await;
    }
}

/// How far a service was carried.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Carried {
    /// Nothing is left to do for it here and now.
    ToItsEnd,
    /// Somebody else decided meanwhile; theirs stands.
    Overtaken,
    /// The host did not say what came of the step.
    Unheard,
}

fn scene<'a>(
    settings: &'a Settings,
    placed: &'a Placed,
    row: &'a Row,
    head: Option<&'a Rollout>,
    tick: u64,
    now: Moment,
) -> Scene<'a> {
    let case = Case { settings, spec: &placed.spec, tick, now };
    Scene { case, spec_version: placed.spec_version, head, row }
}
