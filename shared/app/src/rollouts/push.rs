//! A push that comes in: it waits with its app for its rollout, and the newest wins.

use lamplighter_core::decision::AuditEntry;
use lamplighter_core::hold::MAX_REASON_CHARS;
use lamplighter_core::hook::{Ask, hook_of};
use lamplighter_core::rollout::{AppState, Push};
use lamplighter_core::sight::one_line;
use lamplighter_core::{AppName, RolloutId};
use lamplighter_store::{Causes, Commit, Delivery, Received, StoreError};

use super::{Refused, TRIES, store, wait_to_try};
use crate::Env;

/// How often a push is tried to be taken in when others of its app come at once: a sender may never send it again.
const PUSH_TRIES: u32 = 32;

/// What came of a delivery.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Pushed {
    /// It is new, and remembered as this.
    New(Delivery),
    /// It came before, and this is what became of it then.
    Repeat(Delivery),
}

/// Takes a delivery in, once: what it asks for waits with its app from the same commit on. `delivery.outcome` is what is
/// said of one that asks for nothing.
///
/// # Errors
/// If the store cannot be used: the sender may send it again.
pub async fn push(env: &Env, delivery: Delivery) -> Result<Pushed, StoreError> {
    let store = store(env);
    let Some((app, push)) = asked_by(&delivery) else {
        return Ok(match store.begin_delivery(&delivery, Causes::Nothing, Vec::new()).await? {
            Received::Again(known) => Pushed::Repeat(*known),
            Received::New | Received::Stale => Pushed::New(delivery),
        });
    };
    for _ in 0..PUSH_TRIES {
        let before = store.app_state(&app).await?;
        let outcome = match &before.active {
            Some(active) => format!("waits until rollout {active} has ended"),
            None => "is rolled out in a moment".to_owned(),
        };
        let taken = Delivery { outcome, ..delivery.clone() };
        let audit = vec![AuditEntry {
            at: push.at,
            by: push.by.clone(),
            action: "push".to_owned(),
            service: None,
            action_no: None,
            because: one_line(
                &format!("{} of `{}` for {app}; it {}", push.target.short(), push.branch, taken.outcome),
                MAX_REASON_CHARS,
            ),
        }];
        match store.begin_delivery(&taken, Causes::Push(&before.pushed(push.clone())), audit).await? {
            Received::Again(known) => return Ok(Pushed::Repeat(*known)),
            Received::Stale => {}
            Received::New => {
                tracing::info!(env = %env.name(), hook = %taken.hook, delivery = %taken.id, "a push of {} to {app} {}", push.target.short(), taken.outcome);
                pass_over(env, before.waiting.as_ref(), &taken).await;
                env.advance_bell.ring();
                return Ok(Pushed::New(taken));
            }
        }
    }
    Err(StoreError::Unavailable {
        operation: "taking a push in",
        because: format!("the pushes of `{app}` keep coming"),
    })
}

/// The push that a delivery which asks for a rollout leaves with its app.
fn asked_by(delivery: &Delivery) -> Option<(AppName, Push)> {
    match delivery.asks.clone()? {
        Ask::Rollout { app, target, branch } => {
            let by = format!("hook {}", delivery.hook);
            Some((app, Push { target, branch, by, delivery: delivery.id.clone(), at: delivery.at }))
        }
    }
}

/// An admin asks for a delivery once more: what it asked for waits again, as the newest push.
///
/// # Errors
/// [`Refused`] says why not; in particular a delivery that asked for nothing.
pub async fn push_again(env: &Env, delivery: &Delivery, by: &str) -> Result<AppState, Refused> {
    let store = store(env);
    let Some((app, push)) = asked_by(delivery) else {
        return Err(Refused::NothingAsked(one_line(&delivery.outcome, MAX_REASON_CHARS)));
    };
    for tries_before in 0..TRIES {
        wait_to_try(tries_before).await;
        let (before, now) = (store.app_state(&app).await?, env.clock().now());
        let next = before.pushed(Push { at: now, ..push.clone() });
        let audit = vec![AuditEntry {
            at: now,
            by: by.to_owned(),
            action: "push redelivered".to_owned(),
            service: None,
            action_no: None,
            because: one_line(
                &format!("{} of {}, delivery {}", push.target.short(), push.by, push.delivery),
                MAX_REASON_CHARS,
            ),
        }];
        if let Commit::Done { .. } = store.put_app_state(&next, audit).await? {
            pass_over(env, before.waiting.as_ref(), delivery).await;
            conclude(env, &push, &format!("is rolled out again in a moment, as {by} asked")).await;
            env.advance_bell.ring();
            return Ok(next);
        }
    }
    Err(Refused::Busy(app))
}

/// Says of the push that waited so far that a newer one came.
async fn pass_over(env: &Env, before: Option<&Push>, newer: &Delivery) {
    let Some(before) = before.filter(|before| before.delivery != newer.id) else { return };
    tracing::info!(env = %env.name(), delivery = %before.delivery, "the push of {} that waited is passed over: delivery {} is newer", before.target.short(), newer.id);
    conclude(env, before, &format!("was passed over: delivery {} is newer", newer.id)).await;
}

/// Says of a push that its rollout was started.
pub(super) async fn conclude_started(env: &Env, push: &Push, rollout: &RolloutId) {
    conclude(env, push, &format!("started rollout {rollout}")).await;
}

/// Writes down what became of a delivery. It is for people to read: nothing is decided by it, so a failure is only told.
pub(super) async fn conclude(env: &Env, push: &Push, outcome: &str) {
    let Some(hook) = hook_of(&push.by) else { return };
    let settled = store(env).settle_delivery(hook.as_str(), &push.delivery, outcome, env.clock().now()).await;
    if let Err(error) = settled {
        tracing::warn!(env = %env.name(), %hook, delivery = %push.delivery, %error, "what became of a delivery could not be written down");
    }
}
