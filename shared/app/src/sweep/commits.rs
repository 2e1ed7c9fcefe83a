//! What a sweep writes down: the guard, each decision, and its report.

use lamplighter_core::ServiceId;
use lamplighter_core::decision::Decision;
use lamplighter_core::report::SweepReport;
use lamplighter_core::sweep::Judged;
use lamplighter_core::watch::Status;
use lamplighter_store::{Commit, Fence, Placed, ShardLease, StoreError};

use super::{Held, store};
use crate::Env;
use crate::env::{Cached, keep};

/// Writes down a change of the blindness guard, with its one message.
pub(super) async fn believe(env: &Env, lease: &ShardLease, judged: &Judged) -> Result<(), StoreError> {
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

/// Commits a shard's decisions one after the other: there is one committer per shard.
pub(super) async fn commit_all(
    env: &Env,
    shard: &mut Held,
    work: Vec<(ServiceId, Decision)>,
) -> Result<(), StoreError> {
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
pub(super) async fn finish(env: &Env, shard: Held, report: &SweepReport) -> Result<(), StoreError> {
    let now = env.clock().now();
    match store(env).finish_sweep(&shard.lease, report, now).await? {
        Commit::Done { .. } => {
            let cached = Cached {
                fleet_version: shard.lease.summary.fleet_version,
                tick: shard.lease.tick,
                placed: shard.placed,
            };
            keep(&mut *env.cache.lock().await, shard.lease.shard(), cached, env.cached_most);
        }
        Commit::Stale => {
            tracing::warn!(env = %env.name(), shard = %shard.lease.shard(), "another sweep took the shard before this one ended");
        }
    }
    Ok(())
}
