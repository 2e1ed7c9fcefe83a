//! A push that asks for a rollout: it waits for the one under way, the newest wins, and it is begun or let go.

use lamplighter_core::decision::{AuditEntry, Effect};
use lamplighter_core::hold::MAX_REASON_CHARS;
use lamplighter_core::hook::{Ask, hook_of};
use lamplighter_core::notice::{Notice, NoticeKind};
use lamplighter_core::rollout::course::Started;
use lamplighter_core::rollout::{AppState, HeadPart, Move, Options, Push};
use lamplighter_core::settings::{Mode, Settings};
use lamplighter_core::sight::one_line;
use lamplighter_core::update::Wanted;
use lamplighter_core::{AppName, Moment, RolloutId};
use lamplighter_store::{Causes, Commit, Delivery, Fence, Placed, Received, StoreError};

use super::ask::launch;
use super::survey::{PATIENCE_OF_A_PUSH, is_of, planned, resolved, services_of};
use super::{Refused, TRIES, store};
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

/// What came of a push that waited.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Waited {
    /// Nothing waits.
    Nothing,
    /// Its rollout was started.
    Started(RolloutId),
    /// It could not be rolled out, and waits no more.
    LetGo(String),
    /// It goes on waiting: another rollout is under way, the env does not act, or nobody answers.
    StillWaits(String),
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
    for _ in 0..TRIES {
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

/// Begins the rollout of the push that waits with `app`, if one can be begun now. Called by `advance` where a push waits
/// and no rollout is active; asks up to three hosts.
///
/// # Errors
/// If the store cannot be used.
pub async fn begin_waiting(env: &Env, app: &AppState) -> Result<Waited, StoreError> {
    let Some(push) = &app.waiting else { return Ok(Waited::Nothing) };
    if let Some(active) = &app.active {
        return Ok(Waited::StillWaits(format!("rollout {active} is under way")));
    }
    let settings = store(env).settings().await?.1;
    if settings.mode != Mode::Act {
        return Ok(Waited::StillWaits("this env does not act".to_owned()));
    }
    let refused = match begin(env, app, push).await {
        Ok(Begun::Rollout(id)) => return Ok(Waited::Started(id)),
        Ok(Begun::RunsAlready(because)) => {
            return let_go(env, app, push, &settings, Reason::NothingToDo(because)).await;
        }
        Err(refused) => refused,
    };
    match refused {
        Refused::Store(error) => Err(error),
        Refused::Active(_) | Refused::NoAnswer(_) | Refused::Busy(_) | Refused::NotActing => {
            let because = one_line(&refused.to_string(), MAX_REASON_CHARS);
            say_why_it_waits(env, push, &because).await;
            Ok(Waited::StillWaits(because))
        }
        Refused::NoPlan(_)
        | Refused::Unknown(_)
        | Refused::Quarantined { .. }
        | Refused::NoTarget(_)
        | Refused::NoSuchRollout(_)
        | Refused::NoSuchPlan(_)
        | Refused::Moved(_)
        | Refused::NoReason
        | Refused::NothingAsked(_)
        | Refused::Steer(_)
        | Refused::NotOver(_)
        | Refused::NothingToRetry(_)
        | Refused::Stale(_) => let_go(env, app, push, &settings, Reason::Refused(refused.to_string())).await,
    }
}

enum Begun {
    Rollout(RolloutId),
    /// Every service of the app runs what was pushed.
    RunsAlready(String),
}

async fn begin(env: &Env, app: &AppState, push: &Push) -> Result<Begun, Refused> {
    if let Some(harmful) = app.quarantine_of(&push.target) {
        return Err(Refused::Quarantined {
            version: harmful.version.clone(),
            rollout: harmful.rollout.clone(),
            because: harmful.because.clone(),
        });
    }
    let (services, now) = (services_of(&store(env), &app.app).await?, env.clock().now());
    let runs =
        |placed: &lamplighter_store::Placed| placed.watch.versions.current.as_ref() == Some(&push.target);
    let of_app: Vec<&Placed> = services.iter().filter(|placed| is_of(placed, &app.app)).collect();
    if !of_app.is_empty() && of_app.iter().all(|placed| runs(placed)) {
        let because = format!("all {} services run {} already", of_app.len(), push.target.short());
        return Ok(Begun::RunsAlready(because));
    }
    let wanted = Wanted::Version(push.target.clone());
    let mut target = resolved(env, &app.app, wanted, &services, PATIENCE_OF_A_PUSH).await?;
    target.branch = Some(push.branch.clone());
    let plan = planned(&app.app, &target, &Options::default(), None, &services, now)?;
    let started = Started { by: push.by.clone(), forced: None, retries: None };
    launch(env, &plan, started).await.map(|head| Begun::Rollout(head.id))
}

enum Reason {
    NothingToDo(String),
    Refused(String),
}

/// Lets a push wait no more, and says why: in the audit trail, and to the admins if it was refused.
async fn let_go(
    env: &Env,
    app: &AppState,
    push: &Push,
    settings: &Settings,
    reason: Reason,
) -> Result<Waited, StoreError> {
    let now = env.clock().now();
    let (is_refused, because) = match reason {
        Reason::NothingToDo(because) => (false, because),
        Reason::Refused(because) => (true, because),
    };
    let because = one_line(&because, MAX_REASON_CHARS);
    let mut effects = vec![Effect::Record(AuditEntry {
        at: now,
        by: push.by.clone(),
        action: "push not rolled out".to_owned(),
        service: None,
        action_no: None,
        because: because.clone(),
    })];
    if is_refused {
        effects.push(Effect::Tell(refusal(&app.app, app.version + 1, push, settings, &because, now)));
    }
    let step =
        Move { service: None, head: HeadPart::Leave, row: None, app: Some(app.without_waiting()), effects };
    match store(env).commit_move(Fence::Person, None, &step).await? {
        Commit::Done { .. } => {
            tracing::warn!(env = %env.name(), app = %app.app, delivery = %push.delivery, "a push of {} to {} was not rolled out: {because}", push.target.short(), app.app);
            env.courier_bell.ring();
            conclude(env, push, &format!("was not rolled out: {because}")).await;
            Ok(Waited::LetGo(because))
        }
        // A newer push or a person's rollout came in between.
        Commit::Stale => Ok(Waited::StillWaits("something newer came in between".to_owned())),
    }
}

fn refusal(
    app: &AppName,
    version: u64,
    push: &Push,
    settings: &Settings,
    because: &str,
    now: Moment,
) -> Notice {
    let kind = NoticeKind::PushRefused;
    Notice {
        id: format!("{app}.{version}.{kind}"),
        kind,
        service: None,
        thread: format!("{app}.push"),
        tick: now.tick(settings.every),
        at: now,
        to: settings.admins.clone(),
        because: because.to_owned(),
        tried: Vec::new(),
        next: format!(
            "the services stay on what they run; push a version that mends it, or start {} by hand",
            push.target.short()
        ),
        evidence: None,
        incident_since: None,
        digest: None,
    }
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

/// Says of a push why it goes on waiting; once, however often it is tried.
async fn say_why_it_waits(env: &Env, push: &Push, because: &str) {
    let Some(hook) = hook_of(&push.by) else { return };
    let outcome = format!("waits: {because}");
    let known = store(env).delivery(hook.as_str(), &push.delivery, env.clock().now()).await;
    if known.is_ok_and(|known| known.is_some_and(|known| known.outcome != outcome)) {
        tracing::info!(env = %env.name(), %hook, delivery = %push.delivery, "a push of {} {outcome}", push.target.short());
        conclude(env, push, &outcome).await;
    }
}

/// Writes down what became of a delivery. It is for people to read: nothing is decided by it, so a failure is only told.
async fn conclude(env: &Env, push: &Push, outcome: &str) {
    let Some(hook) = hook_of(&push.by) else { return };
    let settled = store(env).settle_delivery(hook.as_str(), &push.delivery, outcome, env.clock().now()).await;
    if let Err(error) = settled {
        tracing::warn!(env = %env.name(), %hook, delivery = %push.delivery, %error, "what became of a delivery could not be written down");
    }
}
