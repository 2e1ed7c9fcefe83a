//! Pushes whose call never came: a sender such as GitHub does not repeat what it could not deliver.

use std::time::Duration;

use lamplighter_core::hook::{Ask, Hook, HookKind, HookName};
use lamplighter_core::settings::Mode;
use lamplighter_core::update::Wanted;
use lamplighter_core::{AppName, Version};
use lamplighter_store::{Delivery, Placed, StoreError};
use tokio_util::sync::CancellationToken;

use super::survey::{PATIENCE_OF_A_PUSH, resolved, services_of};
use super::{Pushed, push, store};
use crate::Env;

/// Deliveries and rollouts looked through for a commit: more of either since it was pushed, and it is old news.
const LOOKED_THROUGH: usize = 100;
/// How often it is asked: a push that was missed is not urgent, and each time costs a question to a host.
const SEEK_EVERY: Duration = Duration::from_secs(300);
/// What a push that was missed is called in the list of deliveries.
const EVENT: &str = "missed push";

/// Seeks at once, since calls are missed while nobody serves, and every few minutes, until told to stop.
pub async fn keep_seeking(env: &Env, stop: CancellationToken) {
    while !stop.is_cancelled() {
        let sought = tokio::select! {
            () = stop.cancelled() => return,
            sought = seek_missed(env) => sought,
        };
        if let Err(error) = sought {
            tracing::error!(env = %env.name(), error = &error as &dyn std::error::Error, "missed pushes could not be sought: {error}");
        }
        tokio::select! {
            () = stop.cancelled() => return,
            () = tokio::time::sleep(SEEK_EVERY) => {}
        }
    }
}

/// Asks, for each hook that pushes came by lately, what its branch's head is, and takes a head that nobody heard of in as
/// the push it must have been. What was delivered, rolled out or runs already is never begun again by this: a person who
/// went back to an older version has the last word. Returns how many were found.
///
/// # Errors
/// If the store cannot be used. A host that does not answer is asked the next time.
pub async fn seek_missed(env: &Env) -> Result<usize, StoreError> {
    let settings = store(env).settings().await?.1;
    if settings.mode != Mode::Act {
        return Ok(0);
    }
    let mut found = 0;
    for (name, hook) in &settings.hooks {
        match hook.kind {
            HookKind::Github => found += usize::from(seek(env, name, hook).await?),
            // Whoever signs by that specification repeats what was not taken in.
            HookKind::Standard => {}
        }
    }
    Ok(found)
}

async fn seek(env: &Env, name: &HookName, hook: &Hook) -> Result<bool, StoreError> {
    let (store, now) = (store(env), env.clock().now());
    let deliveries = store.deliveries(name.as_str(), None, LOOKED_THROUGH, now).await?.items;
    let delivered: Vec<&Version> =
        deliveries.iter().filter_map(|delivery| asked_for(delivery, hook)).collect();
    // Nothing is begun by configuring a hook, nor by its sender's first greeting.
    if delivered.is_empty() {
        return Ok(false);
    }
    let services = services_of(&store, &hook.app).await?;
    let wanted = Wanted::Branch(hook.branch.clone());
    let head = match resolved(env, &hook.app, wanted, &services, PATIENCE_OF_A_PUSH).await {
        Ok(target) => target.version,
        Err(refused) => {
            tracing::debug!(env = %env.name(), hook = %name, "the head of `{}` is not known now: {refused}", hook.branch);
            return Ok(false);
        }
    };
    if delivered.contains(&&head) || is_known(env, &hook.app, &services, &head).await? {
        return Ok(false);
    }
    tracing::warn!(env = %env.name(), hook = %name, "{} was pushed to `{}` and no call of the hook `{name}` told of it", head.short(), hook.branch);
    let missed = Delivery {
        hook: name.to_string(),
        id: format!("missed-{head}"),
        event: EVENT.to_owned(),
        body_hash: None,
        at: now,
        asks: Some(Ask::Rollout { app: hook.app.clone(), target: head, branch: hook.branch.clone() }),
        outcome: String::new(),
    };
    Ok(matches!(push(env, missed).await?, Pushed::New(_)))
}

/// What a delivery asked to roll out, if it was what this hook is for.
fn asked_for<'d>(delivery: &'d Delivery, hook: &Hook) -> Option<&'d Version> {
    match delivery.asks.as_ref()? {
        Ask::Rollout { app, target, branch } => {
            (*app == hook.app && *branch == hook.branch).then_some(target)
        }
    }
}

/// True if the version runs, waits, or was rolled out before, by whomever and however that ended.
async fn is_known(
    env: &Env,
    app: &AppName,
    services: &[Placed],
    version: &Version,
) -> Result<bool, StoreError> {
    let runs = |placed: &Placed| placed.watch.versions.current.as_ref() == Some(version);
    if services.iter().any(runs) {
        return Ok(true);
    }
    let store = store(env);
    let state = store.app_state(app).await?;
    let waits = state.waiting.as_ref().is_some_and(|push| push.target == *version);
    if waits || state.quarantine_of(version).is_some() {
        return Ok(true);
    }
    let rollouts = store.rollouts(None, LOOKED_THROUGH).await?.items;
    Ok(rollouts.iter().any(|head| head.app == *app && head.target == *version))
}
