//! A push that waits: its rollout is begun as soon as it can be, or it is let go and told why.

use lamplighter_core::decision::{AuditEntry, Effect};
use lamplighter_core::hold::MAX_REASON_CHARS;
use lamplighter_core::hook::hook_of;
use lamplighter_core::notice::{Notice, NoticeKind};
use lamplighter_core::rollout::course::Started;
use lamplighter_core::rollout::{AppState, HeadPart, Move, Options, Push};
use lamplighter_core::settings::{Mode, Settings};
use lamplighter_core::sight::one_line;
use lamplighter_core::update::Wanted;
use lamplighter_core::{AppName, Moment, RolloutId};
use lamplighter_store::{Commit, Fence, Placed, StoreError};

use super::ask::launch;
use super::push::conclude;
use super::survey::{PATIENCE_OF_A_PUSH, is_of, planned, resolved, services_of};
use super::{Refused, store};
use crate::Env;

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
