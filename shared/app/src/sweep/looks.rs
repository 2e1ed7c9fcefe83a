//! The looks of a sweep: in turn, so many at once, each within the sweep's deadline.

use std::panic::AssertUnwindSafe;
use std::time::Duration;

use futures_util::future::BoxFuture;
use futures_util::{FutureExt, StreamExt, stream};
use lamplighter_core::Moment;
use lamplighter_core::settings::Settings;
use lamplighter_core::sight::{Look, NotLooked};
use lamplighter_core::spec::ServiceSpec;
use lamplighter_core::sweep::{Turn, turn};
use lamplighter_store::Placed;
use tokio::time::Instant;

use crate::Env;

/// A look that could run for less than this before the sweep's deadline is not begun: it would only blame the host
/// for our lack of time.
const LEAST_LOOK: Duration = Duration::from_millis(250);

/// Looks at every service whose turn it is, so many at once, until the deadline.
pub(super) async fn look_at_all(
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
