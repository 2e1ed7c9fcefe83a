//! Planning, starting, and starting again for what failed.

use lamplighter_core::decision::AuditEntry;
use lamplighter_core::hold::MAX_REASON_CHARS;
use lamplighter_core::rollout::course::{self, Started};
use lamplighter_core::rollout::plan::{Plan, difference};
use lamplighter_core::rollout::{AppState, Options, Rollout, Row, RowStatus};
use lamplighter_core::settings::Mode;
use lamplighter_core::sight::one_line;
use lamplighter_core::update::Wanted;
use lamplighter_core::{AppName, RolloutId, ServiceId};
use lamplighter_store::{Commit, Store, StoreError};

use super::survey::{PATIENCE_OF_A_PERSON, branch_of, planned, resolved, services_of};
use super::{Refused, TRIES, push, store, wait_to_try};
use crate::Env;

/// Rows read at once.
const ROWS_PAGE: usize = 500;

/// What is asked for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Asked {
    /// The app.
    pub app: AppName,
    /// What to bring. If it is not said: what the plan that was looked at brings, or the branch that the services follow.
    pub wanted: Option<Wanted>,
    /// How to go about it. If it is not said: as the plan that was looked at, or by default.
    pub options: Option<Options>,
    /// The plan that was looked at: another one is not started.
    pub plan_hash: Option<String>,
    /// Why a quarantined version is brought all the same.
    pub force: Option<String>,
}

/// Makes the plan, and remembers it for a day under its hash. Nothing is changed on any host.
///
/// # Errors
/// [`Refused`] says why there is none.
pub async fn plan(env: &Env, asked: &Asked) -> Result<Plan, Refused> {
    let plan = fresh(env, asked, None).await?;
    store(env).put_plan(&plan, env.clock().now()).await?;
    Ok(plan)
}

/// Starts a rollout of the plan as it is now. `advance` begins with its first services at once.
///
/// # Errors
/// [`Refused`] says why not.
pub async fn start(env: &Env, asked: &Asked, by: &str) -> Result<Rollout, Refused> {
    let store = store(env);
    must_act(&store).await?;
    let forced = reason(asked.force.as_deref())?;
    // Asked before any host is, and again when it is committed.
    must_be_free(&store.app_state(&asked.app).await?)?;
    let before = match &asked.plan_hash {
        Some(hash) => {
            let known = store.plan(hash, env.clock().now()).await?.filter(|plan| plan.app == asked.app);
            Some(known.ok_or_else(|| Refused::NoSuchPlan(one_line(hash, 64)))?)
        }
        None => None,
    };
    let plan = fresh(env, asked, before.as_ref()).await?;
    if let Some(before) = before.filter(|before| before.hash != plan.hash) {
        let mut lines = difference(&before, &plan);
        if lines.is_empty() {
            lines.push("it was made for another request; plan anew with the same options".to_owned());
        }
        return Err(Refused::Moved(lines));
    }
    launch(env, &plan, Started { by: by.to_owned(), forced, retries: None }).await
}

/// Starts another rollout for what failed in rollout `id`, was rolled back, left alone or never begun: the same target,
/// by the same options.
///
/// # Errors
/// [`Refused`] says why not.
pub async fn retry(env: &Env, id: &RolloutId, by: &str, force: Option<&str>) -> Result<Rollout, Refused> {
    let store = store(env);
    must_act(&store).await?;
    let forced = reason(force)?;
    let first = store.rollout(id).await?.ok_or_else(|| Refused::NoSuchRollout(id.clone()))?;
    if first.is_active() {
        return Err(Refused::NotOver(id.clone()));
    }
    must_be_free(&store.app_state(&first.app).await?)?;
    let again = rows_of(&store, id, |row| match row.status {
        // In a rollout that is over, one whose turn has not come never got one.
        RowStatus::Failed | RowStatus::RolledBack | RowStatus::Skipped | RowStatus::Pending => true,
        RowStatus::Updating | RowStatus::Success => false,
    });
    let only: Vec<ServiceId> = again.await?.into_iter().map(|row| row.service).collect();
    if only.is_empty() {
        return Err(Refused::NothingToRetry(id.clone()));
    }
    let mut options = first.options.clone();
    options.canaries.retain(|canary| only.contains(canary));
    let (services, now) = (services_of(&store, &first.app).await?, env.clock().now());
    let wanted = Wanted::Version(first.target.clone());
    let mut target = resolved(env, &first.app, wanted, &services, PATIENCE_OF_A_PERSON).await?;
    target.branch.clone_from(&first.branch);
    let plan = planned(&first.app, &target, &options, Some(&only), &services, now)?;
    launch(env, &plan, Started { by: by.to_owned(), forced, retries: Some(id.clone()) }).await
}

/// The rows of a rollout that are `wanted`, in order.
pub(super) async fn rows_of(
    store: &Store,
    id: &RolloutId,
    wanted: impl Fn(&Row) -> bool,
) -> Result<Vec<Row>, StoreError> {
    let (mut found, mut from) = (Vec::new(), 0);
    loop {
        let rows = store.rows(id, from, ROWS_PAGE).await?;
        let Some(last) = rows.last() else { return Ok(found) };
        from = last.index + 1;
        found.extend(rows.into_iter().filter(&wanted));
    }
}

/// The plan as it is now; what `asked` leaves open is as in `before`.
async fn fresh(env: &Env, asked: &Asked, before: Option<&Plan>) -> Result<Plan, Refused> {
    let (services, now) = (services_of(&store(env), &asked.app).await?, env.clock().now());
    let wanted = match (&asked.wanted, before) {
        (Some(wanted), _) => wanted.clone(),
        (None, Some(Plan { branch: Some(branch), .. })) => Wanted::Branch(branch.clone()),
        (None, Some(before)) => Wanted::Version(before.target.clone()),
        (None, None) => Wanted::Branch(branch_of(&asked.app, &services)?),
    };
    let options =
        asked.options.clone().or_else(|| before.map(|before| before.options.clone())).unwrap_or_default();
    let target = resolved(env, &asked.app, wanted, &services, PATIENCE_OF_A_PERSON).await?;
    Ok(planned(&asked.app, &target, &options, None, &services, now)?)
}

/// Begins the rollout of `plan`, if the app has none and the version did no harm, or somebody says why all the same.
/// Two at once: one wins, and the other is told its name.
pub(super) async fn launch(env: &Env, plan: &Plan, started: Started) -> Result<Rollout, Refused> {
    let store = store(env);
    for tries_before in 0..TRIES {
        wait_to_try(tries_before).await;
        let (app, now) = (store.app_state(&plan.app).await?, env.clock().now());
        must_be_free(&app)?;
        must_not_be_quarantined(&app, plan, started.forced.as_deref())?;
        let number = app.rollouts + 1;
        let Ok(id) = RolloutId::of(&plan.app, number) else { return Err(Refused::Busy(plan.app.clone())) };
        let (head, rows) = course::start(plan, id.clone(), started.clone(), now);
        // A push of the very version that begins now has nothing left to wait for.
        let (served, waiting) = match app.waiting.clone() {
            Some(push) if push.target == plan.target => (Some(push), None),
            waiting => (None, waiting),
        };
        let next =
            AppState { version: app.version + 1, rollouts: number, active: Some(id.clone()), waiting, ..app };
        let audit = vec![AuditEntry {
            at: now,
            by: started.by.clone(),
            action: format!("rollout {id} started"),
            service: None,
            action_no: None,
            because: one_line(&reason_of_start(&head, plan), MAX_REASON_CHARS),
        }];
        if let Commit::Done { .. } = store.start_rollout(&next, &head, &rows, audit).await? {
            tracing::info!(env = %env.name(), rollout = %id, target = %head.target, "rollout {id} of {} started by {}", head.target.short(), head.by);
            if let Some(served) = served {
                push::conclude_started(env, &served, &id).await;
            }
            env.advance_bell.ring();
            return Ok(head);
        }
    }
    Err(Refused::Busy(plan.app.clone()))
}

fn reason_of_start(head: &Rollout, plan: &Plan) -> String {
    let (target, size, skipped) = (head.target.short(), head.size(), plan.skipped.len());
    let mut said = format!("{target} for {size} services, {skipped} left alone");
    if let Some(first) = &head.retries {
        said = format!("{said}; again for what failed in {first}");
    }
    match &head.forced {
        Some(reason) => format!("{said}; forced: {reason}"),
        None => said,
    }
}

pub(super) async fn must_act(store: &Store) -> Result<(), Refused> {
    match store.settings().await?.1.mode {
        Mode::Act => Ok(()),
        Mode::Off | Mode::Observe => Err(Refused::NotActing),
    }
}

fn must_be_free(app: &AppState) -> Result<(), Refused> {
    match &app.active {
        Some(holder) => Err(Refused::Active(holder.clone())),
        None => Ok(()),
    }
}

/// A quarantined version stays so: each time it is brought again somebody must say why.
fn must_not_be_quarantined(app: &AppState, plan: &Plan, forced: Option<&str>) -> Result<(), Refused> {
    match (app.quarantine_of(&plan.target), forced) {
        (None, _) | (Some(_), Some(_)) => Ok(()),
        (Some(harmful), None) => Err(Refused::Quarantined {
            version: harmful.version.clone(),
            rollout: harmful.rollout.clone(),
            because: harmful.because.clone(),
        }),
    }
}

fn reason(force: Option<&str>) -> Result<Option<String>, Refused> {
    let Some(text) = force else { return Ok(None) };
    let reason = one_line(text, MAX_REASON_CHARS);
    if reason.is_empty() { Err(Refused::NoReason) } else { Ok(Some(reason)) }
}
