//! What a person asks for: restart, hold, release, reset a breaker, look now, go on.
//!
//! The same decisions and the same commits as the engine's own; only the fence is the watch's version alone, since a
//! person holds no lease.

use std::time::Duration;

use lamplighter_core::decision::{AuditEntry, Decision};
use lamplighter_core::hold::{Hold, MAX_REASON_CHARS};
use lamplighter_core::recovery::{self, Case, RestartRefused};
use lamplighter_core::settings::Settings;
use lamplighter_core::sight::{Look, one_line};
use lamplighter_core::spec::ServiceSpec;
use lamplighter_core::sweep::{Turn, turn};
use lamplighter_core::{Moment, RolloutId, ServiceId};
use lamplighter_store::{Commit, Fence, Placed, Store, StoreError, Verb};
use tokio::time::Instant;

use crate::Env;

/// How often a person's change is tried again when the engine was faster.
const TRIES: u32 = 5;
/// Longest hold that may be asked for with an end: a year. One without an end is possible, too.
pub const LONGEST_HOLD: Duration = Duration::from_secs(366 * 86_400);

/// Why a person's request was not carried out.
#[derive(Debug, thiserror::Error)]
pub enum Refused {
    /// There is no such service.
    #[error("there is no service `{0}` in this env")]
    NoSuchService(ServiceId),
    /// A restart cannot be made now.
    #[error(transparent)]
    Restart(#[from] RestartRefused),
    /// A rollout has it.
    #[error(
        "`{service}` is being updated by rollout `{rollout}`; wait for that, or `lamplighter rollout abort {rollout}`"
    )]
    Updating {
        /// The service.
        service: ServiceId,
        /// The rollout.
        rollout: RolloutId,
    },
    /// The request itself makes no sense.
    #[error("{0}")]
    Invalid(String),
    /// The engine changed the service each time before the request could be committed.
    #[error("`{0}` keeps changing; try again in a moment")]
    Busy(ServiceId),
    /// The store cannot be reached.
    #[error("the store cannot be used now")]
    Store(#[from] StoreError),
}

/// Asks for a restart, whether the service is up or not. `recover` makes it.
///
/// # Errors
/// [`Refused`] says why not.
pub async fn restart(env: &Env, id: &ServiceId, by: &str) -> Result<Placed, Refused> {
    change(env, id, |case, placed| {
        must_not_be_updating(placed, case.now)?;
        Ok(recovery::ask_restart(case, &placed.watch, by)?)
    })
    .await
}

/// Puts a hold on a service: automation leaves it alone until the hold ends.
///
/// # Errors
/// [`Refused`] says why not.
pub async fn hold(
    env: &Env,
    id: &ServiceId,
    by: &str,
    reason: &str,
    lasts: Option<Duration>,
) -> Result<Placed, Refused> {
    let reason = one_line(reason, MAX_REASON_CHARS);
    if reason.is_empty() {
        return Err(Refused::Invalid("a hold needs a reason: whoever finds it must know why".to_owned()));
    }
    if lasts.is_some_and(|lasts| lasts.is_zero() || lasts > LONGEST_HOLD) {
        return Err(Refused::Invalid(
            "a hold lasts from a moment to 366 days, or until it is released".to_owned(),
        ));
    }
    change(env, id, |case, placed| {
        must_not_be_updating(placed, case.now)?;
        let hold = Hold {
            by: by.to_owned(),
            reason: reason.clone(),
            since: case.now,
            until: lasts.map(|lasts| case.now + lasts),
        };
        Ok(recovery::hold(case, &placed.watch, hold))
    })
    .await
}

/// Ends a hold. The next look says how the service is.
///
/// # Errors
/// [`Refused`] says why not.
pub async fn release(env: &Env, id: &ServiceId, by: &str) -> Result<Placed, Refused> {
    change(env, id, |case, placed| {
        if placed.watch.hold.is_none() {
            return Err(Refused::Invalid(format!("`{id}` is not held")));
        }
        Ok(recovery::release(case, &placed.watch, by))
    })
    .await
}

/// Closes a breaker: recovery begins anew with the next bad look.
///
/// # Errors
/// [`Refused`] says why not.
pub async fn reset_breaker(env: &Env, id: &ServiceId, by: &str) -> Result<Placed, Refused> {
    let placed = change(env, id, |case, placed| Ok(recovery::reset_breaker(case, &placed.watch, by))).await?;
    env.sweep_bell.ring();
    Ok(placed)
}

/// Looks at one service now. What is seen counts as a sweep's look would, if it is the sweep's to judge.
///
/// # Errors
/// [`Refused`] says why not.
pub async fn check(env: &Env, id: &ServiceId) -> Result<(Placed, Look), Refused> {
    let settings = store(env).settings().await?.1;
    let placed = find(env, id).await?;
    let policy = &placed.spec.policy;
    let limit = policy.connect_limit + policy.command_limit + policy.http_limit;
    let look = crate::look_at(env, &placed.spec, Instant::now() + limit).await;
    let now = env.clock().now();
    if turn(&settings, &placed.spec, &placed.watch, now) != Turn::Look || placed.watch.hold.is_some() {
        return Ok((placed, look));
    }
    let case = Case { settings: &settings, spec: &placed.spec, tick: now.tick(settings.every), now };
    let Some(decision) = recovery::on_sight(case, &placed.watch, &look) else { return Ok((placed, look)) };
    match store(env).commit(Fence::Person, &placed, &decision).await? {
        Commit::Done { .. } => {
            env.act_on(&decision);
            Ok((Placed { watch: decision.next, ..placed }, look))
        }
        Commit::Stale => Ok((find(env, id).await?, look)),
    }
}

/// Tells the blindness guard that the failures are real.
///
/// # Errors
/// [`Refused`] says why not.
pub async fn go_on(env: &Env, by: &str) -> Result<(), Refused> {
    let now = env.clock().now();
    for _ in 0..TRIES {
        let guard = store(env).blindness().await?;
        if guard.since.is_none() {
            return Err(Refused::Invalid(
                "the blindness guard does not hold; there is nothing to go on from".to_owned(),
            ));
        }
        let next = guard.go_on(now, by);
        if let Commit::Done { .. } = store(env).put_blindness(Fence::Person, &next, &[]).await? {
            let entry = AuditEntry {
                at: now,
                by: by.to_owned(),
                action: "go on".to_owned(),
                service: None,
                action_no: None,
                because: next.because.clone(),
            };
            store(env).record(vec![entry]).await?;
            env.sweep_bell.ring();
            return Ok(());
        }
    }
    Err(Refused::Invalid("the blindness guard keeps changing; try again in a moment".to_owned()))
}

/// Refuses a spec that would pull the ground from under the rollout that has the service: it would be looked at, updated
/// or brought back in another way, or in another place, than what was begun. Whatever else a spec says may change.
///
/// # Errors
/// [`Refused::Updating`] names the rollout.
pub fn may_become(placed: &Placed, next: &ServiceSpec, now: Moment) -> Result<(), Refused> {
    let before = &placed.spec;
    let same_ground = before.address == next.address
        && before.transport == next.transport
        && before.user == next.user
        && before.key == next.key
        && before.check == next.check
        && before.restart == next.restart
        && before.update == next.update;
    if same_ground { Ok(()) } else { must_not_be_updating(placed, now) }
}

fn must_not_be_updating(placed: &Placed, now: Moment) -> Result<(), Refused> {
    match placed.watch.update.as_ref().filter(|update| update.is_in_force(now)) {
        Some(update) => {
            Err(Refused::Updating { service: placed.spec.id.clone(), rollout: update.rollout.clone() })
        }
        None => Ok(()),
    }
}

async fn find(env: &Env, id: &ServiceId) -> Result<Placed, Refused> {
    store(env).load_service(id).await?.ok_or_else(|| Refused::NoSuchService(id.clone()))
}

/// Decides on what is there, commits it, and does both again if the engine was faster.
async fn change(
    env: &Env,
    id: &ServiceId,
    decide: impl Fn(Case<'_>, &Placed) -> Result<Decision, Refused>,
) -> Result<Placed, Refused> {
    let settings: Settings = store(env).settings().await?.1;
    for _ in 0..TRIES {
        let placed = find(env, id).await?;
        let now = env.clock().now();
        let case = Case { settings: &settings, spec: &placed.spec, tick: now.tick(settings.every), now };
        let decision = decide(case, &placed)?;
        if let Commit::Done { .. } = store(env).commit(Fence::Person, &placed, &decision).await? {
            tracing::info!(env = %env.name(), service = %id, "{id} {}", decision.because());
            env.act_on(&decision);
            return Ok(Placed { watch: decision.next, ..placed });
        }
    }
    Err(Refused::Busy(id.clone()))
}

/// The env's table, charging what it consumes to people.
fn store(env: &Env) -> Store {
    env.store().for_verb(Verb::Api)
}
