//! `recover`: the only verb that acts on hosts. Makes the restarts that were intended, under one lease per env, so that
//! the brake and the guard hold over the whole env however many shards sweep.

mod guard;

use std::collections::BTreeMap;
use std::panic::AssertUnwindSafe;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use futures_util::future::BoxFuture;
use futures_util::stream::FuturesUnordered;
use futures_util::{FutureExt, StreamExt};
use lamplighter_core::decision::{Decision, Step};
use lamplighter_core::recovery::{Before, Case, after_attempt, before_attempt};
use lamplighter_core::settings::Settings;
use lamplighter_core::sight::{
    DownKind, Fault, Look, NotLooked, ProcessId, RestartOutcome, Sight, UnreachableKind,
};
use lamplighter_core::watch::Attempt;
use lamplighter_core::{Moment, ServiceId, brake};
use lamplighter_remote::RestartOrder;
use lamplighter_store::{Claim, Commit, Fence, Lease, LeaseName, Placed, Store, StoreError, Verb};
use tokio::sync::Mutex;
use tokio::time::Instant;

use crate::Env;
use crate::sweep::look_closely;

/// How long `recover` holds its lease without renewing it. Longer than any attempt may take by default.
const LEASE: Duration = Duration::from_secs(180);
/// Wait before an attempt that could not be judged, or found its host busy, is taken up again.
const LOOK_AGAIN: Duration = Duration::from_secs(5);
/// Longest a pass goes on starting new attempts; then it ends, and the next ring begins another.
const PASS: Duration = Duration::from_secs(240);
/// Commits of an outcome are tried this often before it is left to the next pass, which asks the host again.
const COMMIT_TRIES: u32 = 3;

/// What came of a ring.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Recovered {
    /// Nothing is left to do now; the next restart is due then, if any is waiting.
    Rested {
        /// Attempts judged in this pass.
        attempts: u32,
        /// When the next one is due.
        next: Option<Moment>,
    },
    /// Another process is at it until then.
    Held {
        /// When its lease ends.
        until: Moment,
    },
    /// The blindness guard holds: nothing is restarted.
    Blind,
}

/// One pass: makes every restart that is due, as many at once as the brake allows.
///
/// `stopping` ends it early: attempts under way are finished, none is begun.
///
/// # Errors
/// If the store cannot be reached. No lifecycle command is sent without it.
pub async fn recover(env: &Env, stopping: impl Fn() -> bool + Send + Sync) -> Result<Recovered, StoreError> {
    pass(env, &stopping).await
}

/// Boxed here, so that it is compiled here, once, and not in every program that calls it.
fn pass<'a>(
    env: &'a Env,
    stopping: &'a (dyn Fn() -> bool + Send + Sync),
) -> BoxFuture<'a, Result<Recovered, StoreError>> {
    Box::pin(judge_and_make(env, stopping))
}

async fn judge_and_make(
    env: &Env,
    stopping: &(dyn Fn() -> bool + Send + Sync),
) -> Result<Recovered, StoreError> {
    let store = store(env);
    guard::judge(env).await?;
    let steps = store.steps().await?;
    if steps.is_empty() {
        return Ok(Recovered::Rested { attempts: 0, next: None });
    }
    let now = env.clock().now();
    if store.blindness().await?.holds(now) {
        return Ok(Recovered::Blind);
    }
    let first = steps.iter().map(|(step, _)| step.attempt.not_before).min();
    if first.is_some_and(|first| first > now) {
        return Ok(Recovered::Rested { attempts: 0, next: first });
    }
    let lease = match store.claim_lease(LeaseName::Recover, &env.parts.owner, now, now + LEASE).await? {
        Claim::Won(lease) => lease,
        Claim::Held { until, .. } => return Ok(Recovered::Held { until }),
        Claim::Past => return Ok(Recovered::Rested { attempts: 0, next: first }),
    };
    let pass =
        Pass { env, lease: Mutex::new(lease), committing: Mutex::new(()), lost: AtomicBool::new(false) };
    let result = pass.run(stopping).await;
    let lease = pass.lease.into_inner();
    store.free_lease(&lease).await?;
    result
}

/// One pass of `recover`.
struct Pass<'a> {
    env: &'a Env,
    lease: Mutex<Lease>,
    /// One committer per lease: transactions that check the same item at once would only cancel each other.
    committing: Mutex<()>,
    /// Set once another process has the lease: nothing is begun any more.
    lost: AtomicBool,
}

/// What came of one attempt, for the pass: when to take it up again, if it is still open.
type Taken<'a> = BoxFuture<'a, (ServiceId, Result<Option<Moment>, StoreError>)>;

impl Pass<'_> {
    async fn run(&self, stopping: &(dyn Fn() -> bool + Send + Sync)) -> Result<Recovered, StoreError> {
        let env = self.env;
        let deadline = Instant::now() + PASS;
        let mut under_way: FuturesUnordered<Taken<'_>> = FuturesUnordered::new();
        let mut busy: BTreeMap<ServiceId, Begun> = BTreeMap::new();
        let mut attempts = 0;
        let mut failed = None;
        loop {
            let mut next = None;
            if failed.is_none()
                && !stopping()
                && !self.lost.load(Ordering::Relaxed)
                && Instant::now() < deadline
            {
                next = match self.begin(&mut under_way, &mut busy).await {
                    Ok(next) => next,
                    Err(error) => {
                        failed = Some(error);
                        None
                    }
                };
            }
            if under_way.is_empty() {
                return failed.map_or(Ok(Recovered::Rested { attempts, next }), Err);
            }
            tokio::select! {
                biased;
                Some((id, taken)) = under_way.next() => {
                    attempts += 1;
                    match taken {
                        Ok(Some(again)) => drop(busy.insert(id, Begun::Again(again))),
                        Ok(None) => drop(busy.remove(&id)),
                        Err(error) => failed = Some(error),
                    }
                }
                // More may have been intended while attempts are under way.
                () = env.recover_bell.rung() => {}
                () = tokio::time::sleep(LOOK_AGAIN) => {}
            }
        }
    }

    /// Begins what is due, as far as the brake allows. Answers when the next attempt is due.
    async fn begin<'s>(
        &'s self,
        under_way: &mut FuturesUnordered<Taken<'s>>,
        busy: &mut BTreeMap<ServiceId, Begun>,
    ) -> Result<Option<Moment>, StoreError> {
        let env = self.env;
        let settings = store(env).settings().await?.1;
        let now = env.clock().now();
        let shards = store(env).shards().await?;
        let lease = self.lease.lock().await.clone();
        if guard::judged(env, &settings, &shards, &lease).await?.holds(now) {
            return Ok(None);
        }
        let services = shards.iter().map(|shard| shard.services).sum();
        let limit = usize::try_from(brake::limit(&settings, services)).unwrap_or(1);
        let mut steps: Vec<Step> = store(env).steps().await?.into_iter().map(|(step, _)| step).collect();
        steps.sort_by(|a, b| (a.attempt.not_before, &a.service).cmp(&(b.attempt.not_before, &b.service)));
        let mut next = None;
        for step in steps {
            let due = match busy.get(&step.service) {
                Some(Begun::UnderWay) => continue,
                Some(Begun::Again(again)) => step.attempt.not_before.max(*again),
                None => step.attempt.not_before,
            };
            if due > now {
                next = Some(next.map_or(due, |next: Moment| next.min(due)));
                continue;
            }
            if under_way.len() >= limit {
                // The brake is on; the end of an attempt takes this up.
                next = Some(now + LOOK_AGAIN);
                continue;
            }
            busy.insert(step.service.clone(), Begun::UnderWay);
            let settings = settings.clone();
            under_way.push(Box::pin(async move {
                let id = step.service.clone();
                let taken = self.attempt(&settings, step).await;
                (id, taken)
            }));
        }
        Ok(next)
    }

    /// One attempt: look, restart, settle, look, commit. `Some`: it is still open, and to be taken up again then.
    async fn attempt(&self, settings: &Settings, step: Step) -> Result<Option<Moment>, StoreError> {
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
            tokio::time::sleep(policy.settle.max(Duration::from_millis(10))).await;
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
                Err(_) => tokio::time::sleep(Duration::from_millis(500)).await,
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

/// What a pass knows of an attempt that it has begun.
enum Begun {
    /// It is under way.
    UnderWay,
    /// It is still open, and to be taken up again then.
    Again(Moment),
}

/// The env's table, charging what it consumes to `recover`.
fn store(env: &Env) -> Store {
    env.store().for_verb(Verb::Recover)
}
