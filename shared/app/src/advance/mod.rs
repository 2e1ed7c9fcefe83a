//! `advance`: the verb that carries rollouts on. Begins services, makes their steps, watches stages, takes back what does
//! harm, and seeks strays; all of it from what the table says, so any ring, in any life, goes on where the last one ended.
//!
//! A lease saves two processes from asking the same hosts the same things. What keeps them right are versions: of the
//! head, of each watch, and the steering number that every step forward is committed under.

mod commit;
mod service;
mod stage;
mod stray;

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use futures_util::StreamExt;
use futures_util::future::BoxFuture;
use futures_util::stream::FuturesUnordered;
use lamplighter_core::rollout::AppState;
use lamplighter_core::rollout::course::{Work, work};
use lamplighter_core::settings::{Mode, Settings};
use lamplighter_core::{AppName, Moment, RolloutId, ServiceId};
use lamplighter_store::{Claim, Lease, LeaseName, Store, StoreError, Verb};
use tokio::sync::Mutex;
use tokio::time::Instant;

use crate::Env;

pub(crate) use commit::commit_head;

/// How long `advance` holds its lease without renewing it: as long as nobody else could do anything useful anyway.
const LEASE: Duration = Duration::from_secs(60);
/// How often a pass under way renews its lease.
const RENEW_EVERY: Duration = Duration::from_secs(20);
/// Wait before a host that was busy or away is asked again.
const ASK_AGAIN: Duration = Duration::from_secs(2);
/// Wait before a stage that is ripe, but not seen healthy, is looked at again.
const LOOK_AGAIN: Duration = Duration::from_secs(5);
/// Wait before the host of a stray is asked again.
const SEEK_AGAIN: Duration = Duration::from_secs(30);
/// Longest a pass goes on beginning things; then it ends, and the next ring begins another.
const PASS: Duration = Duration::from_secs(240);

/// What came of a ring.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Advanced {
    /// Nothing is left to do now; something is due then, if anything is waited for.
    Rested {
        /// When the next thing is due.
        next: Option<Moment>,
    },
    /// Another process is at it until then.
    Held {
        /// When its lease ends.
        until: Moment,
    },
}

/// One pass: carries on every rollout of the env as far as it can be carried now.
///
/// `stopping` ends it early: steps under way are finished, none is begun.
///
/// # Errors
/// If the store cannot be reached. No command is sent to any host without it.
pub async fn advance(env: &Env, stopping: impl Fn() -> bool + Send + Sync) -> Result<Advanced, StoreError> {
    pass(env, &stopping).await
}

/// Boxed here, so that it is compiled here, once, and not in every program that calls it.
fn pass<'a>(
    env: &'a Env,
    stopping: &'a (dyn Fn() -> bool + Send + Sync),
) -> BoxFuture<'a, Result<Advanced, StoreError>> {
    Box::pin(carry_on(env, stopping))
}

async fn carry_on(env: &Env, stopping: &(dyn Fn() -> bool + Send + Sync)) -> Result<Advanced, StoreError> {
    let store = store(env);
    let apps = store.app_states().await?;
    let idle = apps.iter().all(|app| app.active.is_none() && app.waiting.is_none());
    if idle && store.strays().await?.is_empty() {
        return Ok(Advanced::Rested { next: None });
    }
    let now = env.clock().now();
    let lease = match store.claim_lease(LeaseName::Advance, &env.parts.owner, now, now + LEASE).await? {
        Claim::Won(lease) => lease,
        Claim::Held { until, .. } => return Ok(Advanced::Held { until }),
        Claim::Past => return Ok(Advanced::Rested { next: None }),
    };
    let deadline = Instant::now() + PASS;
    let pass = Pass {
        env,
        stopping: Box::new(move || stopping() || Instant::now() >= deadline),
        committing: Mutex::new(()),
        lost: AtomicBool::new(false),
        failing: AtomicBool::new(false),
    };
    let mut lease = lease;
    let result = pass.run(&mut lease).await;
    if !pass.lost.load(Ordering::Relaxed) {
        store.free_lease(&lease).await?;
    }
    result
}

/// One pass of `advance`.
struct Pass<'a> {
    env: &'a Env,
    stopping: Box<dyn Fn() -> bool + Send + Sync + 'a>,
    /// One committer per pass: transactions that touch the same head at once would only cancel each other.
    committing: Mutex<()>,
    /// Set once another process has the lease: nothing is begun any more.
    lost: AtomicBool,
    /// Set once the store failed: whatever is under way ends at its next step, and another pass takes it up.
    failing: AtomicBool,
}

/// What a pass is busy with.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
enum Task {
    /// Beginning, watching or undoing services of a rollout.
    Stage(RolloutId),
    /// One service's steps.
    Service(ServiceId),
    /// A stray.
    Stray(ServiceId),
    /// The push that waits for its app's rollout.
    Push(AppName),
}

/// Whether a task is under way, or not to be taken up again before some moment.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Begun {
    UnderWay,
    Again(Moment),
}

/// What came of a task: when it is to be taken up again, if not at once.
type Taken<'a> = BoxFuture<'a, (Task, Result<Option<Moment>, StoreError>)>;

impl Pass<'_> {
    async fn run(&self, lease: &mut Lease) -> Result<Advanced, StoreError> {
        let mut tasks: FuturesUnordered<Taken<'_>> = FuturesUnordered::new();
        let mut begun: BTreeMap<Task, Begun> = BTreeMap::new();
        let mut failed = None;
        let mut renewal = Instant::now() + RENEW_EVERY;
        loop {
            let mut next = None;
            if failed.is_none() && !self.stops() {
                match self.begin(&mut tasks, &mut begun).await {
                    Ok(due) => next = due,
                    Err(error) => failed = Some(self.failed(error)),
                }
            }
            if tasks.is_empty() {
                // A pass that stopped in the middle hands over to the next ring at once.
                let next = if self.stops() { Some(self.env.clock().now()) } else { next };
                return failed.map_or(Ok(Advanced::Rested { next }), Err);
            }
            tokio::select! {
                biased;
                Some((task, taken)) = tasks.next() => match taken {
                    Ok(Some(again)) => drop(begun.insert(task, Begun::Again(again))),
                    Ok(None) => drop(begun.remove(&task)),
                    Err(error) => {
                        begun.remove(&task);
                        failed = Some(self.failed(error));
                    }
                },
                // A person may have spoken while services are under way.
                () = self.env.advance_bell.rung() => {}
                () = tokio::time::sleep_until(renewal) => {
                    renewal = Instant::now() + RENEW_EVERY;
                    self.renew(lease).await;
                }
                () = self.due(next) => {}
            }
        }
    }

    /// Waits until `next`; for ever if nothing is due.
    async fn due(&self, next: Option<Moment>) {
        match next {
            Some(next) => self.env.clock().sleep_until(next).await,
            None => std::future::pending().await,
        }
    }

    /// True once nothing may be begun any more.
    fn stops(&self) -> bool {
        let ended = [&self.lost, &self.failing].into_iter().any(|flag| flag.load(Ordering::Relaxed));
        ended || (self.stopping)()
    }

    fn failed(&self, error: StoreError) -> StoreError {
        self.failing.store(true, Ordering::Relaxed);
        error
    }

    /// Keeps the lease. What cannot be renewed for want of the store runs out by itself, and harms nothing.
    async fn renew(&self, lease: &mut Lease) {
        let until = self.env.clock().now() + LEASE;
        match store(self.env).renew_lease(lease, until).await {
            Ok(Claim::Won(renewed)) => *lease = renewed,
            Ok(Claim::Held { by, .. }) => {
                tracing::warn!(env = %self.env.name(), %by, "another process took over the rollouts; no step is begun here");
                self.lost.store(true, Ordering::Relaxed);
            }
            Ok(Claim::Past) => self.lost.store(true, Ordering::Relaxed),
            Err(error) => {
                tracing::warn!(env = %self.env.name(), %error, "the lease of `advance` was not renewed")
            }
        }
    }

    /// Takes up everything that can be done now. Answers when the next thing is due.
    async fn begin<'s>(
        &'s self,
        tasks: &mut FuturesUnordered<Taken<'s>>,
        begun: &mut BTreeMap<Task, Begun>,
    ) -> Result<Option<Moment>, StoreError> {
        let now = self.env.clock().now();
        let mut next = None;
        let settings = store(self.env).settings().await?.1;
        let mut due = Due { now, next: &mut next, begun };
        for app in store(self.env).app_states().await? {
            self.take_up(&settings, &app, tasks, &mut due).await?;
        }
        for stray in store(self.env).strays().await? {
            if due.may_begin(Task::Stray(stray.clone())) {
                tasks.push(Box::pin(async move {
                    let sought = self.seek(&stray).await;
                    (Task::Stray(stray), sought)
                }));
            }
        }
        Ok(next)
    }

    /// Takes up one app's rollout, or the push that waits for one.
    async fn take_up<'s>(
        &'s self,
        settings: &Settings,
        app: &AppState,
        tasks: &mut FuturesUnordered<Taken<'s>>,
        due: &mut Due<'_>,
    ) -> Result<(), StoreError> {
        let Some(id) = &app.active else {
            let task = Task::Push(app.app.clone());
            if app.waiting.is_some() && due.may_begin(task.clone()) {
                let app = app.clone();
                tasks.push(Box::pin(async move {
                    let begun = crate::rollouts::begin_waiting(self.env, &app).await;
                    // What could not be begun now stays waiting.
                    (task, begun.map(|_| Some(self.env.clock().now() + LOOK_AGAIN)))
                }));
            }
            return Ok(());
        };
        let Some(head) = store(self.env).rollout(id).await? else {
            tracing::error!(env = %self.env.name(), rollout = %id, "the active rollout is not in the table");
            return Ok(());
        };
        for service in &head.under_way {
            let task = Task::Service(service.clone());
            if due.may_begin(task.clone()) {
                let (id, service) = (head.id.clone(), service.clone());
                tasks.push(Box::pin(async move { (task, self.carry(&id, &service).await) }));
            }
        }
        let is_due = match work(&head) {
            // An env that may not act begins nothing, and finishes what it has begun.
            Work::Begin(_) | Work::Undo(_) => settings.mode == Mode::Act && !self.is_blind().await?,
            Work::Watch { ripe, .. } => due.comes(ripe),
            Work::Wait | Work::Over => false,
        };
        let task = Task::Stage(head.id.clone());
        if is_due && due.may_begin(task.clone()) {
            let id = head.id.clone();
            tasks.push(Box::pin(async move { (task, self.drive(&id).await) }));
        }
        Ok(())
    }

    /// True while the blindness guard holds: if most of the fleet seems to fail, no verdict of ours is worth anything.
    async fn is_blind(&self) -> Result<bool, StoreError> {
        Ok(store(self.env).blindness().await?.holds(self.env.clock().now()))
    }
}

/// What may be taken up now, and when the rest is due.
struct Due<'a> {
    now: Moment,
    next: &'a mut Option<Moment>,
    begun: &'a mut BTreeMap<Task, Begun>,
}

impl Due<'_> {
    /// True once `at` has come; else it is noted as due.
    fn comes(&mut self, at: Moment) -> bool {
        if at <= self.now {
            return true;
        }
        *self.next = Some(self.next.map_or(at, |next| next.min(at)));
        false
    }

    /// True if `task` is to be taken up now; it then counts as under way.
    fn may_begin(&mut self, task: Task) -> bool {
        match self.begun.get(&task).copied() {
            Some(Begun::UnderWay) => false,
            Some(Begun::Again(again)) if !self.comes(again) => false,
            Some(Begun::Again(_)) | None => {
                self.begun.insert(task, Begun::UnderWay);
                true
            }
        }
    }
}

/// The env's table, charging what it consumes to `advance`.
fn store(env: &Env) -> Store {
    env.store().for_verb(Verb::Advance)
}
