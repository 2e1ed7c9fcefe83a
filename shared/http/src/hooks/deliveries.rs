//! What came in by a hook, what became of it, and once more.

use axum::extract::FromRequestParts;
use axum::http::StatusCode;
use axum::http::request::Parts;
use axum::response::{IntoResponse, Response};
use lamplighter_app::rollouts;
use lamplighter_core::hook::{Ask, HookName};
use lamplighter_store::Delivery;
use serde::Deserialize;
use serde_json::{Value, json};

use crate::answer::{Answer, Reply};
use crate::once::Work;
use crate::problem::{Kind, Problem};
use crate::query::{Asked, encoded, path_text, quoted};
use crate::visit::Visit;

/// Most deliveries of one page.
const PAGE_MAX: usize = 100;

/// The hook a path names.
pub(super) struct Named(HookName);

impl<S: Send + Sync> FromRequestParts<S> for Named {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, Problem> {
        let name: Result<HookName, _> = path_text(parts, state, "hook").await?.parse();
        name.map(Named).map_err(|error| Problem::bad(error.to_string(), "check the hook in the path"))
    }
}

/// The delivery a path names, as its sender calls it.
pub(super) struct Id(String);

impl<S: Send + Sync> FromRequestParts<S> for Id {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, Problem> {
        path_text(parts, state, "id").await.map(Id)
    }
}

pub(super) async fn list(visit: Visit, Named(hook): Named, mut asked: Asked) -> Reply {
    let (limit, after) = (asked.limit()?.min(PAGE_MAX), asked.take("after"));
    asked.nothing_else("`limit`, `after`")?;
    if after.as_ref().is_some_and(|cursor| cursor.chars().any(|c| !c.is_ascii_graphic())) {
        return Err(Problem::bad(
            "`after` is not a cursor of this list",
            "send the `next` of the page before, percent-encoded",
        ));
    }
    let store = visit.store();
    let page = store.deliveries(hook.as_str(), after.as_deref(), limit, visit.now()).await?;
    // A hook that was taken out of the settings keeps its history.
    if page.items.is_empty() && after.is_none() && !store.settings().await?.1.hooks.contains_key(&hook) {
        let detail = format!("there is no hook `{hook}` in this env");
        return Err(Problem::new(Kind::NotFound, detail, "`GET …/settings` lists them"));
    }
    let items: Vec<Value> = page.items.iter().map(shown).collect();
    let link = page.next.as_ref().map(|next| {
        format!("{}?limit={limit}&after={}", visit.url(&format!("hooks/{hook}/deliveries")), encoded(next))
    });
    Ok(Answer::ok(&json!({"items": items, "next": page.next}))?.next(link))
}

fn shown(delivery: &Delivery) -> Value {
    let (app, target, branch) = match &delivery.asks {
        Some(Ask::Rollout { app, target, branch }) => (Some(app), Some(target), Some(branch)),
        None => (None, None, None),
    };
    json!({
        "id": delivery.id,
        "hook": delivery.hook,
        "event": delivery.event,
        "at": delivery.at,
        "app": app,
        "target": target,
        "branch": branch,
        "outcome": delivery.outcome,
    })
}

/// An order without anything to say; what is said all the same is refused.
#[derive(Default, Deserialize)]
#[serde(deny_unknown_fields)]
struct Nothing {}

pub(super) async fn redeliver(Named(hook): Named, Id(id): Id, work: Work) -> Response {
    if let Err(problem) = work.body.read_or_default::<Nothing>() {
        return problem.into_response();
    }
    let visit = work.visit.clone();
    work.once(Box::pin(async move {
        let store = visit.store();
        let Some(delivery) = store.delivery(hook.as_str(), &id, visit.now()).await? else {
            let detail = format!("the hook `{hook}` has no delivery `{}`, or no longer", quoted(&id));
            return Err(Problem::new(
                Kind::NotFound,
                detail,
                "`GET …/deliveries` lists those that are remembered",
            ));
        };
        rollouts::push_again(&visit.env, &delivery, visit.by()).await?;
        let now = store.delivery(hook.as_str(), &id, visit.now()).await?.unwrap_or(delivery);
        Answer::with_status(StatusCode::ACCEPTED, &shown(&now))
    }))
    .await
}
