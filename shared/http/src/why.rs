//! Why a service is as it is, and what happens next.

use axum::http::Method;
use axum::routing::get;
use lamplighter_core::Moment;
use lamplighter_core::blindness::Blindness;
use lamplighter_core::breaker::Breaker;
use lamplighter_core::moment::spoken;
use lamplighter_core::rollout::{Rollout, Updating};
use lamplighter_core::settings::{Mode, Settings};
use lamplighter_core::spec::{Lifecycle, Restart, ServiceSpec};
use lamplighter_core::update::Way;
use lamplighter_core::watch::Status;
use lamplighter_store::{Placed, Scope, StoreError};
use serde_json::{Value, json};

use crate::answer::{Answer, Reply};
use crate::events::entries;
use crate::operation::{Access, Given, JSON, Operation};
use crate::query::{Asked, Id};
use crate::rollouts::waits_for;
use crate::view::{BreakerView, VersionView};
use crate::visit::Visit;

/// Rows of history that are shown.
const HISTORY: usize = 10;

/// The rows of the table.
pub(crate) fn operations() -> Vec<Operation> {
    vec![Operation {
        method: Method::GET,
        path: "/v1/envs/{env}/services/{id}/why",
        id: "why_service",
        tag: "services",
        summary: "Why a service is as it is, and what happens next",
        description: "The reason that was stored with the last decision, what is open, what comes next in one sentence, and \
                      the last events.",
        access: Access::SeeOwn,
        params: &[],
        body: None,
        answers: &[Given { status: 200, says: "Why.", media: JSON, schema: "Why" }],
        problems: &[400, 404],
        route: get(why),
    }]
}

async fn why(visit: Visit, Id(id): Id, asked: Asked) -> Reply {
    asked.nothing_else("none")?;
    let placed = visit.service(&id).await?;
    let (store, now) = (visit.store(), visit.now());
    let settings = store.settings().await?.1;
    let guard = store.blindness().await?;
    let rows = store.events_of(&id, None, HISTORY, now).await?.items;
    let watch = &placed.watch;
    let mut said = json!({
        "service": id,
        "env": visit.env.name(),
        "status": watch.status,
        "because": watch.because,
        "since": watch.since,
        "breaker": BreakerView::of(&watch.breaker),
        "recent_restarts": watch.recent_restarts,
        "last_error": watch.last_error,
        "next": match &watch.update {
            Some(update) => next_of_update(&placed.spec, update, now),
            None => next(&placed, &settings, &guard, now),
        },
        "version": VersionView::of(watch),
        "history": entries(visit.env.name(), &id, &rows),
    });
    put(&mut said, "attempt", watch.attempt.as_ref().map(|attempt| {
        json!({"action_no": attempt.action_no, "not_before": attempt.not_before, "asked_by": attempt.asked_by})
    }));
    put(&mut said, "incident", watch.incident.as_ref().map(|incident| {
        json!({"since": incident.since, "restarts": incident.restarts, "tried": incident.tried, "told": incident.told})
    }));
    put(&mut said, "needs_human", watch.needs_human.as_ref().map(|why| json!(why)));
    if let Some(update) = &watch.update {
        said["rollout"] = in_rollout(&visit, update, now).await?;
    }
    put(&mut said, "hold", watch.hold.as_ref().map(|hold| json!(hold)));
    put(
        &mut said,
        "guard",
        guard.holds(now).then(|| json!({"since": guard.since, "because": guard.because})),
    );
    Answer::ok(&said)
}

fn put(said: &mut Value, name: &str, value: Option<Value>) {
    if let Some(value) = value {
        said[name] = value;
    }
}

/// How far the rollout is with the service, and what it waits for itself: as much of it as an owner may know.
async fn in_rollout(visit: &Visit, update: &Updating, now: Moment) -> Result<Value, StoreError> {
    let store = visit.store();
    let head = store.rollout(&update.rollout).await?;
    let row = store.row(&update.rollout, update.row).await?;
    let sees_all = match visit.token.scope {
        Scope::Admin | Scope::Read => true,
        Scope::Owner | Scope::Worker => false,
    };
    Ok(json!({
        "id": update.rollout,
        "status": head.as_ref().map_or("unknown", Rollout::status),
        "stage": row.map_or(0, |row| row.stage + 1),
        "stages": head.as_ref().map_or(0, |head| head.stages.len()),
        "target": update.target,
        "previous": update.previous,
        "way": update.way,
        "step": update.step.to_string(),
        "until": update.until,
        "stray": update.stray,
        "because": update.back_because,
        "waits_for": head.filter(|_| sees_all).map(|head| waits_for(&head, now)),
    }))
}

/// What happens next to a service that a rollout has.
fn next_of_update(spec: &ServiceSpec, update: &Updating, now: Moment) -> String {
    let Updating { rollout, step, way, .. } = update;
    if update.stray {
        let previous = update.previous.short();
        return format!(
            "it was given up half-way with its host away: as soon as that answers, {previous} is brought back"
        );
    }
    let version = match way {
        Way::Forward => update.target.short(),
        Way::Back => update.previous.short(),
    };
    let then = match spec.update.as_ref().and_then(|update| update.step_after(*way, *step)) {
        Some(next) => format!("then `{next}`"),
        None => "then it is verified".to_owned(),
    };
    let doing = format!("rollout {rollout} brings it to {version}: `{step}` now");
    match now.until(update.until) {
        left if left.is_zero() => format!("{doing}, which is overdue: its host is asked what came of it"),
        left => format!("{doing}, within {}, {then}", spoken(left)),
    }
}

/// What happens next, in one sentence.
fn next(placed: &Placed, settings: &Settings, guard: &Blindness, now: Moment) -> String {
    let (spec, watch) = (&placed.spec, &placed.watch);
    let every = spoken(settings.every);
    match settings.mode {
        Mode::Off => return "nothing: this env is off".to_owned(),
        Mode::Observe | Mode::Act => {}
    }
    match spec.lifecycle {
        Lifecycle::Ready => {}
        Lifecycle::Provisioning => {
            return "nothing until its lifecycle is `ready`: it is still provisioning".to_owned();
        }
        Lifecycle::Suspended => return "nothing until its lifecycle is `ready`: it is suspended".to_owned(),
        Lifecycle::Retired => return "nothing: it is retired".to_owned(),
    }
    if let Some(hold) = watch.hold.as_ref().filter(|hold| hold.is_in_force(now)) {
        return match hold.until {
            Some(until) => format!(
                "nothing until the hold ends in {}, or somebody releases it",
                spoken(now.until(until))
            ),
            None => "nothing until somebody releases the hold".to_owned(),
        };
    }
    if watch.status == Status::Updating {
        return "nothing until the rollout is done with it".to_owned();
    }
    if guard.holds(now) {
        return format!("it is looked at every {every}; nothing is restarted while too much fails at once");
    }
    if let Some(attempt) = &watch.attempt {
        return match now.until(attempt.not_before) {
            wait if wait.is_zero() => "a restart, at once".to_owned(),
            wait => format!("a restart, in {}", spoken(wait)),
        };
    }
    match &watch.breaker {
        Breaker::Open { until, .. } => format!(
            "no restart for {}; then it is looked at, and restarted once if it is still not up",
            spoken(now.until(*until))
        ),
        Breaker::HalfOpen { .. } => "one trial restart, if the next look finds it not up".to_owned(),
        Breaker::Closed { .. } => after_a_look(placed, settings, &every),
    }
}

fn after_a_look(placed: &Placed, settings: &Settings, every: &str) -> String {
    let restarts = settings.mode == Mode::Act && placed.spec.restart != Restart::Never;
    match (placed.watch.status, restarts) {
        (Status::Healthy, true) => format!("it is looked at every {every}, and restarted if it is not up"),
        (Status::Healthy, false) => format!("it is looked at every {every}; people are told if it is not up"),
        (Status::Unknown, _) => format!("the next sweep looks at it, within {every}"),
        (Status::Unhealthy | Status::Restarting | Status::Down, _) if placed.watch.unreachable_streak > 0 => {
            format!("it is looked at every {every}; a host that cannot be reached is never restarted")
        }
        (Status::Unhealthy | Status::Restarting | Status::Down | Status::CircuitOpen, true) => {
            format!("the next sweep looks at it, within {every}, and has it restarted if it is not up")
        }
        (Status::Unhealthy | Status::Restarting | Status::Down | Status::CircuitOpen, false) => {
            format!("it is looked at every {every}; nothing is restarted here")
        }
        (Status::Updating | Status::Held, _) => "nothing until it is given back".to_owned(),
    }
}
