//! The blindness guard where each shard is swept by itself: no sweep sees the whole env, so `recover` adds up what they
//! reported. It is the one verb of which there is one at a time.

use lamplighter_core::blindness::{self, Blindness, Verdict};
use lamplighter_core::settings::Settings;
use lamplighter_store::{Claim, Commit, Fence, Lease, LeaseName, ShardSummary, StoreError};

use super::{LEASE, store};
use crate::{Env, Sweeps};

/// Judges the guard by the shards' last reports, before it is known whether there is anything to recover. The lease is
/// taken only if the guard changes.
pub(super) async fn judge(env: &Env) -> Result<(), StoreError> {
    if env.parts.sweeps == Sweeps::Together {
        return Ok(());
    }
    let store = store(env);
    let (shards, settings) = (store.shards_as_last_heard().await?, store.settings().await?.1);
    let Some(changed) = verdict(env, &settings, &shards, &store.blindness().await?) else { return Ok(()) };
    let now = env.clock().now();
    match store.claim_lease(LeaseName::Recover, &env.parts.owner, now, now + LEASE).await? {
        Claim::Won(lease) => {
            write(env, &lease, &changed).await?;
            store.free_lease(&lease).await
        }
        // Whoever holds it judges, too, at its next turn.
        Claim::Held { .. } | Claim::Past => Ok(()),
    }
}

/// The guard as it stands, judged anew if its shards are swept apart: for a pass that holds the lease.
pub(super) async fn judged(
    env: &Env,
    settings: &Settings,
    shards: &[ShardSummary],
    lease: &Lease,
) -> Result<Blindness, StoreError> {
    let guard = store(env).blindness().await?;
    match verdict(env, settings, shards, &guard) {
        None => Ok(guard),
        Some(changed) => {
            write(env, lease, &changed).await?;
            store(env).blindness().await
        }
    }
}

/// What changes, and the message about it.
fn verdict(env: &Env, settings: &Settings, shards: &[ShardSummary], guard: &Blindness) -> Option<Verdict> {
    if env.parts.sweeps == Sweeps::Together {
        return None;
    }
    let reports: Vec<_> = shards.iter().filter_map(|shard| shard.report).collect();
    let verdict = blindness::judge_shards(settings, env.name(), env.clock().now(), guard, &reports)?;
    verdict.next.is_some().then_some(verdict)
}

async fn write(env: &Env, lease: &Lease, changed: &Verdict) -> Result<(), StoreError> {
    let Some(next) = &changed.next else { return Ok(()) };
    match store(env).put_blindness(Fence::Lease(lease), next, changed.notice.as_slice()).await? {
        Commit::Done { .. } => {
            tracing::warn!(env = %env.name(), "{}", next.because);
            env.courier_bell.ring();
        }
        // An admin's word came first; the next pass judges by that.
        Commit::Stale => {}
    }
    Ok(())
}
