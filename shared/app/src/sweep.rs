//! The sweep: looks at the fleet, and commits what follows. It intends restarts; it never makes them.

use std::panic::AssertUnwindSafe;
use std::time::Duration;

use futures_util::future::BoxFuture;
use futures_util::{FutureExt, StreamExt, stream};
use lamplighter_core::blindness::Blindness;
use lamplighter_core::decision::Decision;
use lamplighter_core::report::SweepReport;
use lamplighter_core::settings::{Mode, Settings};
use lamplighter_core::sight::{Look, NotLooked};
use lamplighter_core::spec::ServiceSpec;
use lamplighter_core::sweep::{Judged, Seen, Turn, counted, judge, turn};
use lamplighter_core::watch::Status;
use lamplighter_core::{Moment, ServiceId};
use lamplighter_store::{Claim, Commit, Fence, Placed, ShardLease, ShardNo, Store, StoreError, Verb};
use tokio::time::Instant;

use crate::Env;
use crate::env::Cached;

/// A look that could run for less than this before the sweep's deadline is not begun: it would only blame the host
/// for our lack of time.
const LEAST_LOOK: Duration = Duration::from_millis(250);

/// What came of a tick.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Swept {
    /// The sweep was done; this is its report.
    Done(SweepReport),
    /// The previous sweep, here or elsewhere, still holds the lease: this one is skipped.
    Held {
        /// Who holds it.
        by: String,
        /// Until when.
        until: Moment,
    },
    /// This tick, or a later one, was swept already: a doubled or late doorbell.
    Past,
    /// The env is switched off.
    Off,
}

/// A shard as this sweep holds it.
struct Held {
    lease: ShardLease,
    placed: Vec<Placed>,
}

/// Sweeps the env once, for the tick given, all of its shards.
///
/// # Errors
/// If the store cannot be reached. What was committed until then stands; the next tick goes on from there.
pub async fn sweep(env: &Env, tick: u64) -> Result<Swept, StoreError> {
    let began = Instant::now();
    let store = store(env);
    let settings = store.settings().await?.1;
    if settings.mode == Mode::Off {
        return Ok(Swept::Off);
    }
    let deadline = began + settings.sweep_limit();
    let mut shards: Vec<ShardNo> = store.shards().await?.iter().map(|shard| shard.shard).collect();
    if shards.is_empty() {
        shards.push(ShardNo::FIRST);
    }
    let mut refused = None;
    let mut held = Vec::new();
    for shard in shards {
        match claim(env, &settings, shard, tick).await? {
            Ok(shard) => held.push(shard),
            Err(other) => refused = Some(other),
        }
    }
    if held.is_empty() {
        return Ok(refused.unwrap_or(Swept::Past));
    }
    let guard = store.blindness().await?;
    let report = look_and_commit(env, &settings, tick, deadline, &guard, held, began).await?;
    Ok(Swept::Done(report))
}

/// Claims one shard for this tick and loads it, from memory if nothing changed since.
async fn claim(
    env: &Env,
    settings: &Settings,
    shard: ShardNo,
    tick: u64,
) -> Result<Result<Held, Swept>, StoreError> {
    let now = env.clock().now();
    let lease = match store(env).claim_shard(shard, tick, &env.parts.owner, now, now + settings.every).await?
    {
        Claim::Won(lease) => lease,
        Claim::Held { by, until, .. } => return Ok(Err(Swept::Held { by, until })),
        Claim::Past => return Ok(Err(Swept::Past)),
    };
    let cached = env.cache.lock().await.remove(&shard);
    let placed = match cached {
        Some(cached) if cached.fleet_version == lease.summary.fleet_version => cached.placed,
        Some(_) | None => store(env).load_shard(&lease.summary).await?,
    };
    Ok(Ok(Held { lease, placed }))
}

async fn look_and_commit(
    env: &Env,
    settings: &Settings,
    tick: u64,
    deadline: Instant,
    guard: &Blindness,
    held: Vec<Held>,
    began: Instant,
) -> Result<SweepReport, StoreError> {
    let now = env.clock().now();
    let all: Vec<(usize, &Placed)> = held
        .iter()
        .enumerate()
        .flat_map(|(shard, held)| held.placed.iter().map(move |placed| (shard, placed)))
        .collect();
    let looks = look_at_all(env, settings, &all, now, tick, deadline).await;
    let seen: Vec<Seen<'_>> = all
        .iter()
        .zip(looks)
        .map(|((_, placed), (turn, look))| Seen { spec: &placed.spec, watch: &placed.watch, turn, look })
        .collect();
    let judged = judge(settings, env.name(), tick, env.clock().now(), guard, &seen);
    if let Some(first) = held.first() {
        believe(env, &first.lease, &judged).await?;
    }

    let mut reports = vec![SweepReport { tick, ..SweepReport::default() }; held.len()];
    for ((shard, _), one) in all.iter().zip(&seen) {
        reports[*shard].add(&counted(one));
    }
    let mut work: Vec<Vec<(ServiceId, Decision)>> = vec![Vec::new(); held.len()];
    for (index, decision) in judged.decisions {
        let (shard, placed) = all[index];
        work[shard].push((placed.spec.id.clone(), decision));
    }
    drop(seen);
    let mut total = judged.report;
    for ((mut shard, work), mut report) in held.into_iter().zip(work).zip(reports) {
        commit_all(env, &mut shard, work).await?;
        report.duration_ms = millis(began.elapsed());
        finish(env, shard, &report).await?;
    }
    total.duration_ms = millis(began.elapsed());
    Ok(total)
}

/// Writes down a change of the blindness guard, with its one message.
async fn believe(env: &Env, lease: &ShardLease, judged: &Judged) -> Result<(), StoreError> {
    let Some(next) = &judged.guard.next else { return Ok(()) };
    match store(env).put_blindness(Fence::Shard(lease), next, judged.guard.notice.as_slice()).await? {
        Commit::Done { .. } => {
            tracing::warn!(env = %env.name(), tick = judged.report.tick, "{}", next.because);
            env.courier_bell.ring();
        }
        // Somebody else's tick or an admin came first; the next tick judges by what they wrote.
        Commit::Stale => {}
    }
    Ok(())
}

/// Looks at every service whose turn it is, so many at once, until the deadline.
async fn look_at_all(
    env: &Env,
    settings: &Settings,
    all: &[(usize, &Placed)],
    now: Moment,
    tick: u64,
    deadline: Instant,
) -> Vec<(Turn, Option<Look>)> {
    let mut results: Vec<(Turn, Option<Look>)> =
        all.iter().map(|(_, placed)| (turn(settings, &placed.spec, &placed.watch, now), None)).collect();
    let mut order: Vec<usize> = (0..all.len()).filter(|index| results[*index].0 == Turn::Look).collect();
    // Hosts known to keep us waiting come last, so that they cannot use up the others' time; the rest take turns at
    // being first, so that no service is always the one for which there is no time left.
    let rotation = usize::try_from(tick).unwrap_or(0).wrapping_mul(7_919) % all.len().max(1);
    order.sort_by_key(|index| {
        let slow = all[*index].1.watch.unreachable_streak > 0;
        (slow, (index + rotation) % all.len().max(1))
    });
    let at_once = usize::try_from(settings.concurrency).unwrap_or(1).max(1);
    let mut looks = stream::iter(order)
        .map(|index| async move { (index, look_at(env, &all[index].1.spec, deadline).await) })
        .buffer_unordered(at_once);
    while let Some((index, look)) = looks.next().await {
        results[index].1 = Some(look);
    }
    drop(looks);
    results
}

/// Takes one look, clipped to the deadline. A panic on the way ends this look and no other.
pub async fn look_at(env: &Env, spec: &ServiceSpec, deadline: Instant) -> Look {
    let now = env.clock().now();
    let left = deadline.saturating_duration_since(Instant::now());
    if left < LEAST_LOOK {
        return Look::not_taken(now, NotLooked::OutOfTime);
    }
    contained(env, spec, now, env.parts.hosts.look(spec, now, left)).await
}

/// Looks once within the policy's own limits, and learns which run of the service is there even if it is up.
pub(crate) async fn look_closely(env: &Env, spec: &ServiceSpec) -> Look {
    let policy = &spec.policy;
    let limit = policy.connect_limit + policy.command_limit + policy.http_limit;
    let now = env.clock().now();
    contained(env, spec, now, env.parts.hosts.look_closely(spec, now, limit)).await
}

/// A look whose panic ends nothing else: the service was then not judged.
async fn contained(env: &Env, spec: &ServiceSpec, now: Moment, look: BoxFuture<'_, Look>) -> Look {
    AssertUnwindSafe(look).catch_unwind().await.unwrap_or_else(|_| {
        tracing::error!(env = %env.name(), service = %spec.id, "a look panicked; the service was not judged");
        Look::not_taken(now, NotLooked::OurFault)
    })
}

/// Commits a shard's decisions one after the other: there is one committer per shard.
async fn commit_all(env: &Env, shard: &mut Held, work: Vec<(ServiceId, Decision)>) -> Result<(), StoreError> {
    for (id, decision) in work {
        let Some(placed) = shard.placed.iter_mut().find(|placed| placed.spec.id == id) else { continue };
        match store(env).commit(Fence::Shard(&shard.lease), placed, &decision).await? {
            Commit::Done { added } => {
                log_transition(env, placed, &decision);
                env.act_on(&decision);
                placed.watch = decision.next;
                shard.lease.summary.fleet_version += added;
            }
            // A person or `recover` was faster; the next tick sees what they did.
            Commit::Stale => tracing::debug!(env = %env.name(), service = %id, "somebody else was faster"),
        }
    }
    Ok(())
}

fn log_transition(env: &Env, placed: &Placed, decision: &Decision) {
    if placed.watch.status == decision.next.status {
        return;
    }
    let (service, status) = (&placed.spec.id, decision.next.status);
    match status {
        Status::Unhealthy | Status::Down | Status::CircuitOpen => {
            tracing::warn!(env = %env.name(), %service, %status, "{service} {}", decision.because());
        }
        Status::Unknown | Status::Healthy | Status::Restarting | Status::Updating | Status::Held => {
            tracing::info!(env = %env.name(), %service, %status, "{service} {}", decision.because());
        }
    }
}

/// Frees the shard with its report, and remembers it as of the version that this sweep left it at.
///
/// If anyone else committed meanwhile, the next claim returns a higher version and the shard is read anew.
async fn finish(env: &Env, shard: Held, report: &SweepReport) -> Result<(), StoreError> {
    let now = env.clock().now();
    match store(env).finish_sweep(&shard.lease, report, now).await? {
        Commit::Done { .. } => {
            let cached = Cached { fleet_version: shard.lease.summary.fleet_version, placed: shard.placed };
            env.cache.lock().await.insert(shard.lease.shard(), cached);
        }
        Commit::Stale => {
            tracing::warn!(env = %env.name(), shard = %shard.lease.shard(), "another sweep took the shard before this one ended");
        }
    }
    Ok(())
}

fn millis(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}

/// The env's table, charging what it consumes to the sweep.
fn store(env: &Env) -> Store {
    env.store().for_verb(Verb::Sweep)
}
