//! How an env is, in one value.

use lamplighter_core::Moment;
use lamplighter_core::health::Health;
use lamplighter_core::report::SweepReport;
use lamplighter_store::StoreError;

use crate::Env;

/// How the env is: what the summary logs and `GET E/health` answers.
///
/// # Errors
/// If the store cannot be read.
pub async fn health(env: &Env) -> Result<Health, StoreError> {
    let store = env.store();
    let settings = store.settings().await?.1;
    let guard = store.blindness().await?;
    let mut watches = Vec::new();
    let mut last: Option<(SweepReport, Moment)> = None;
    for shard in store.shards().await? {
        watches.extend(store.load_shard(&shard).await?.into_iter().map(|placed| placed.watch));
        if let (Some(report), Some(at)) = (shard.report, shard.swept_at) {
            match &mut last {
                // Only shards of the newest tick add up to a sweep.
                Some((sum, when)) if sum.tick == report.tick => {
                    sum.add(&report);
                    *when = (*when).max(at);
                }
                Some((sum, _)) if sum.tick > report.tick => {}
                Some(_) | None => last = Some((report, at)),
            }
        }
    }
    let mut health = Health::of(env.name().clone(), settings.mode, env.clock().now(), &guard, watches.iter());
    (health.last_sweep, health.last_sweep_at) = last.unzip();
    Ok(health)
}
