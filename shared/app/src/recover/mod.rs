//! `recover`: the only verb that acts on hosts. Makes the restarts that were intended, under one lease per env, so that
//! the brake and the guard hold over the whole env however many shards sweep.

mod attempt;
mod guard;

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use futures_util::StreamExt;
use futures_util::future::BoxFuture;
use futures_util::stream::FuturesUnordered;
use lamplighter_core::decision::Step;
use lamplighter_core::{Moment, ServiceId, brake};
use lamplighter_store::{Claim, Lease, LeaseName, Store, StoreError, Verb};
use tokio::sync::Mutex;
use tokio::time::Instant;

use crate::Env;

/// How long `recover` holds its lease without renewing it. Longer than any attempt may take by default.
const LEASE: Duration = Duration::from_secs(180);
/// Wait before an attempt that could not be judged, or found its host busy, is taken up again.
const LOOK_AGAIN: Duration = Duration::from_secs(5);
/// Longest a pass goes on starting new attempts; then it ends, and the next ring begins another.
const PASS: Duration = Duration::from_secs(240);

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
