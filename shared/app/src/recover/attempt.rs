//! One attempt: look, restart, settle, look, commit; under the pass's one lease, renewed so that it outlasts what is done.

use std::panic::AssertUnwindSafe;
use std::sync::atomic::Ordering;
use std::time::Duration;

use futures_util::FutureExt;
use lamplighter_core::Moment;
use lamplighter_core::decision::{Decision, Step};
use lamplighter_core::recovery::{Before, Case, after_attempt, before_attempt};
use lamplighter_core::settings::Settings;
use lamplighter_core::sight::{
    DownKind, Fault, Look, NotLooked, ProcessId, RestartOutcome, Sight, UnreachableKind,
};
use lamplighter_core::watch::Attempt;
use lamplighter_remote::RestartOrder;
use lamplighter_store::{Claim, Commit, Fence, Placed, StoreError};
use tokio::time::Instant;

use super::{LEASE, LOOK_AGAIN, Pass, store};
use crate::sweep::look_closely;

/// Commits of an outcome are tried this often before it is left to the next pass, which asks the host again.
const COMMIT_TRIES: u32 = 3;
/// Wait between two of them.
const COMMIT_AGAIN: Duration = Duration::from_millis(500);
/// A settle time of nothing would look again without a pause.
const LEAST_SETTLE: Duration = Duration::from_millis(10);

impl Pass<'_> {
    /// One attempt: look, restart, settle, look, commit. `Some`: it is still open, and to be taken up again then.
    pub(super) async fn attempt(
        &self,
        settings: &Settings,
        step: Step,
    ) -> Result<Option<Moment>, StoreError> {
        let env = self.env;
        let Some(placed) = store(env).load_service(&step.service).await? else {
            tracing::warn!(env = %env.name(), service = %step.service, "the service was removed before its restart");
            return Ok(Some(env.clock().now() + LOOK_AGAIN));
        };
        // The watch is the truth; a step that it does not know has been settled by somebody else.
        let Some(attempt) =
            placed.watch.attempt.clone().filter(|attempt| attempt.action_no == step.attempt.action_no)
        else {
            return Ok(Some(env.clock().now() + LOOK_AGAIN));
        };
        let look = look_closely(self.env, &placed.spec).await;
        let case = Case { settings, spec: &placed.spec, tick: self.tick(settings), now: env.clock().now() };
        match before_attempt(case, &placed.watch, &attempt, &look) {
            Before::Settled(decision) => self.commit(&placed, &decision).await.map(|()| None),
            Before::Wait => Ok(Some(env.clock().now() + LOOK_AGAIN)),
            Before::Act { action_no, process } => {
                self.act(settings, &placed, &attempt, action_no, process).await
            }
        }
    }

    async fn act(
        &self,
        settings: &Settings,
        placed: &Placed,
        attempt: &Attempt,
        action_no: u64,
        process: Option<ProcessId>,
    ) -> Result<Option<Moment>, StoreError> {
        let env = self.env;
        let policy = &placed.spec.policy;
        if !self.hold_lease_for(policy.attempt_limit()).await? {
            self.lost.store(true, Ordering::Relaxed);
            return Ok(Some(env.clock().now() + LOOK_AGAIN));
        }
        let order = RestartOrder { env: env.name(), action_no, process: process.as_ref() };
        let limit = policy.guarded_restart_limit();
        let restart =
            AssertUnwindSafe(env.parts.hosts.restart(&placed.spec, order, limit)).catch_unwind().await;
        let outcome = restart.unwrap_or_else(|_| {
            tracing::error!(env = %env.name(), service = %placed.spec.id, "a restart panicked; the host is asked what came of it");
            RestartOutcome::Lost(Fault::new(UnreachableKind::Dropped, "a fault on our side"))
        });
        let look = match &outcome {
            RestartOutcome::NotSent(_) | RestartOutcome::Busy | RestartOutcome::Overtaken { .. } => {
                Look::not_taken(env.clock().now(), NotLooked::OurFault)
            }
            RestartOutcome::Done(_)
            | RestartOutcome::AlreadyDone
            | RestartOutcome::ProcessChanged
            | RestartOutcome::Failed(_)
            | RestartOutcome::Lost(_) => self.settle_and_look(placed).await,
        };
        let case = Case { settings, spec: &placed.spec, tick: self.tick(settings), now: env.clock().now() };
        match after_attempt(case, &placed.watch, attempt, &outcome, &look) {
            Some(decision) => self.commit(placed, &decision).await.map(|()| None),
            None => Ok(Some(env.clock().now() + LOOK_AGAIN)),
        }
    }

    /// Waits out the settle time, then looks; again for as long as the service may still come up.
    ///
    /// Up means: still the run that was there before the settle time. A crash loop shows `active` in between.
    async fn settle_and_look(&self, placed: &Placed) -> Look {
        let policy = &placed.spec.policy;
        let patience = Instant::now() + policy.settle + policy.startup_grace;
        let mut started = look_closely(self.env, &placed.spec).await.process;
        loop {
            tokio::time::sleep(policy.settle.max(LEAST_SETTLE)).await;
            let mut look = look_closely(self.env, &placed.spec).await;
            if look.sight == Sight::Up
                && started.is_some()
                && look.process.is_some()
                && look.process != started
            {
                look.sight = Sight::Down(Fault::new(
                    DownKind::DiedAgain,
                    "another run than the one that was restarted",
                ));
            }
            // One that is started anew while it should come up is not coming up.
            let same = started.is_none() || look.process.is_none() || look.process == started;
            let may_come_up = look.sight.may_still_come_up()
                && (same || matches!(look.sight, Sight::Unknown(NotLooked::Starting)));
            if !may_come_up || Instant::now() >= patience {
                return look;
            }
            started = look.process.or(started);
        }
    }

    /// Makes sure that the lease outlasts what is about to be done. False: somebody else has it now; nothing may be done.
    async fn hold_lease_for(&self, needed: Duration) -> Result<bool, StoreError> {
        let mut lease = self.lease.lock().await;
        let now = self.env.clock().now();
        if lease.until > now + needed {
            return Ok(true);
        }
        match store(self.env).renew_lease(&lease, now + needed.max(LEASE)).await? {
            Claim::Won(renewed) => {
                *lease = renewed;
                Ok(true)
            }
            Claim::Held { by, .. } => {
                tracing::warn!(env = %self.env.name(), %by, "another process took over recovery; no restart is made here");
                Ok(false)
            }
            Claim::Past => Ok(false),
        }
    }

    /// Commits an outcome. A lost condition means that somebody else decided meanwhile, and theirs stands.
    async fn commit(&self, placed: &Placed, decision: &Decision) -> Result<(), StoreError> {
        let env = self.env;
        let _one_at_a_time = self.committing.lock().await;
        let lease = self.lease.lock().await.clone();
        let mut tries = 0;
        loop {
            tries += 1;
            match store(env).commit(Fence::Lease(&lease), placed, decision).await {
                Ok(Commit::Done { .. }) => break,
                Ok(Commit::Stale) => {
                    tracing::info!(env = %env.name(), service = %placed.spec.id, "somebody else decided meanwhile; theirs stands");
                    return Ok(());
                }
                Err(error) if tries == COMMIT_TRIES => return Err(error),
                Err(_) => tokio::time::sleep(COMMIT_AGAIN).await,
            }
        }
        let (service, status) = (&placed.spec.id, decision.next.status);
        tracing::info!(env = %env.name(), %service, %status, "{service} {}", decision.because());
        env.act_on(decision);
        Ok(())
    }

    fn tick(&self, settings: &Settings) -> u64 {
        self.env.clock().now().tick(settings.every)
    }
}
