//! The sweep: looks at the fleet, and commits what follows. It intends restarts; it never makes them.

mod commits;
mod looks;

use std::time::Duration;

use futures_util::future::BoxFuture;
use lamplighter_core::blindness::{Blindness, Others};
use lamplighter_core::decision::Decision;
use lamplighter_core::report::SweepReport;
use lamplighter_core::settings::{Mode, Settings};
use lamplighter_core::sweep::{Part, Seen, counted, judge, tallied};
use lamplighter_core::{Moment, ServiceId};
use lamplighter_store::{Claim, Placed, ShardLease, ShardNo, ShardSummary, Store, StoreError, Verb};
use tokio::time::Instant;

use crate::Env;
use commits::{believe, commit_all, finish};
use looks::look_at_all;

pub use looks::look_at;
pub(crate) use looks::look_closely;

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

/// How a sweep is to be made.
struct Way<'a> {
    settings: &'a Settings,
    tick: u64,
    began: Instant,
    deadline: Instant,
    sees: Sees,
}

/// How much of the env one sweep sees.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Sees {
    Everything,
    OneShard,
}

/// Sweeps the env once, for the tick given, all of its shards.
///
/// # Errors
/// If the store cannot be reached. What was committed until then stands; the next tick goes on from there.
pub async fn sweep(env: &Env, tick: u64) -> Result<Swept, StoreError> {
    let began = Instant::now();
    let store = store(env);
    let settings = store.settings().await?.1;
    let mut shards: Vec<ShardNo> = store.shards().await?.iter().map(|shard| shard.shard).collect();
    if shards.is_empty() {
        shards.push(ShardNo::FIRST);
    }
    let deadline = began + settings.sweep_limit();
    let way = Way { settings: &settings, tick, began, deadline, sees: Sees::Everything };
    sweep_shards(env, &way, shards).await
}

/// Sweeps one shard, for the tick given, within `limit`: a share of a tick whose other shards are swept by others, at
/// once. What it cannot judge alone, whether so much bad news is our own fault, it leaves to `recover`.
///
/// # Errors
/// As for [`sweep`].
pub async fn sweep_shard(
    env: &Env,
    settings: &Settings,
    shard: ShardNo,
    tick: u64,
    limit: Duration,
) -> Result<Swept, StoreError> {
    let began = Instant::now();
    let deadline = began + settings.sweep_limit().min(limit);
    let way = Way { settings, tick, began, deadline, sees: Sees::OneShard };
    sweep_shards(env, &way, vec![shard]).await
}

/// Which tick is asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum When {
    /// The newest on the env's own grid at this moment.
    Grid(Moment),
    /// This one, on the grid or not.
    Tick(u64),
}

/// What a tick has to sweep, shard by shard.
#[derive(Debug, Clone)]
pub struct Round {
    /// What a person says about the env.
    pub settings: Settings,
    /// The tick.
    pub tick: u64,
    /// Shards not swept for this tick yet; never empty in an env that is swept for it now, even if it has no services.
    pub due: Vec<ShardNo>,
    /// Every shard, as of its last report.
    pub shards: Vec<ShardSummary>,
}

/// Says what is to be swept. Reads cheaply: a shard that came up a moment ago is swept from the next tick on.
///
/// # Errors
/// If the store cannot be reached.
pub async fn round(env: &Env, when: When) -> Result<Round, StoreError> {
    let store = store(env);
    let settings = store.settings().await?.1;
    if settings.mode == Mode::Off {
        return Ok(Round { settings, tick: 0, due: Vec::new(), shards: Vec::new() });
    }
    let tick = match when {
        When::Grid(moment) => moment.tick(settings.every),
        When::Tick(tick) => tick,
    };
    let shards = store.shards_as_last_heard().await?;
    let is_due = |shard: &&ShardSummary| shard.tick.is_none_or(|swept| swept < tick);
    let mut due: Vec<ShardNo> = shards.iter().filter(is_due).map(|shard| shard.shard).collect();
    if shards.is_empty() {
        due.push(ShardNo::FIRST);
    }
    Ok(Round { settings, tick, due, shards })
}

/// Boxed here, so that it is compiled here, once, and not in every program that calls it.
fn sweep_shards<'a>(
    env: &'a Env,
    way: &'a Way<'a>,
    shards: Vec<ShardNo>,
) -> BoxFuture<'a, Result<Swept, StoreError>> {
    Box::pin(claim_and_look(env, way, shards))
}

async fn claim_and_look(env: &Env, way: &Way<'_>, shards: Vec<ShardNo>) -> Result<Swept, StoreError> {
    if way.settings.mode == Mode::Off {
        return Ok(Swept::Off);
    }
    let mut refused = None;
    let mut held = Vec::new();
    for shard in shards {
        match claim(env, way, shard).await? {
            Ok(shard) => held.push(shard),
            Err(other) => refused = Some(other),
        }
    }
    if held.is_empty() {
        return Ok(refused.unwrap_or(Swept::Past));
    }
    let guard = store(env).blindness().await?;
    Box::pin(look_and_commit(env, way, &guard, held)).await.map(Swept::Done)
}

/// Claims one shard for this tick and loads it, from memory if nothing changed since.
async fn claim(env: &Env, way: &Way<'_>, shard: ShardNo) -> Result<Result<Held, Swept>, StoreError> {
    let now = env.clock().now();
    let until = now + way.settings.every;
    let lease = match store(env).claim_shard(shard, way.tick, &env.parts.owner, now, until).await? {
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
    way: &Way<'_>,
    guard: &Blindness,
    held: Vec<Held>,
) -> Result<SweepReport, StoreError> {
    let all: Vec<(usize, &Placed)> = held
        .iter()
        .enumerate()
        .flat_map(|(shard, held)| held.placed.iter().map(move |placed| (shard, placed)))
        .collect();
    let looks = look_at_all(env, way.settings, &all, env.clock().now(), way.tick, way.deadline).await;
    let seen: Vec<Seen<'_>> = all
        .iter()
        .zip(looks)
        .map(|((_, placed), (turn, look))| Seen { spec: &placed.spec, watch: &placed.watch, turn, look })
        .collect();
    let part = part(env, way, &held, &seen).await?;
    let judged = judge(way.settings, env.name(), way.tick, env.clock().now(), guard, &part, &seen);
    if let Some(first) = held.first() {
        believe(env, &first.lease, &judged).await?;
    }

    let mut reports = vec![SweepReport { tick: way.tick, ..SweepReport::default() }; held.len()];
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
        report.duration_ms = millis(way.began.elapsed());
        finish(env, shard, &report).await?;
    }
    total.duration_ms = millis(way.began.elapsed());
    Ok(total)
}

/// What this sweep is of the env. The other shards are asked about only if there is bad news to weigh.
async fn part(env: &Env, way: &Way<'_>, held: &[Held], seen: &[Seen<'_>]) -> Result<Part, StoreError> {
    let own = match (way.sees, held.first()) {
        (Sees::Everything, _) | (Sees::OneShard, None) => return Ok(Part::Whole),
        (Sees::OneShard, Some(own)) => own,
    };
    let mut others = Others { before: own.lease.summary.report.unwrap_or_default(), reports: Vec::new() };
    if tallied(way.tick, seen).turned_bad > 0 {
        let shards = store(env).shards_as_last_heard().await?.into_iter();
        let not_own = shards.filter(|shard| shard.shard != own.lease.shard());
        others.reports = not_own.filter_map(|shard| shard.report).collect();
    }
    Ok(Part::Shard { number: own.lease.shard().number(), others })
}

fn millis(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}

/// The env's table, charging what it consumes to the sweep.
fn store(env: &Env) -> Store {
    env.store().for_verb(Verb::Sweep)
}
