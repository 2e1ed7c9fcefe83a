//! What a person asks of one service: look now, restart, leave it alone, trust it again.

use axum::http::{Method, StatusCode};
use axum::response::{IntoResponse, Response};
use axum::routing::{MethodRouter, post};
use lamplighter_app::people::{self, Refused};
use lamplighter_core::ServiceId;
use lamplighter_core::moment::parse_duration;
use lamplighter_core::sight::Look;
use lamplighter_store::{Placed, Scope};
use serde::Deserialize;
use serde_json::json;

use crate::answer::{Answer, Reply};
use crate::fleet::Shards;
use crate::once::Work;
use crate::operation::{Access, Given, IDEMPOTENCY_KEY, JSON, Operation, Taken};
use crate::problem::Problem;
use crate::query::Id;
use crate::services::shown;
use crate::view::ServiceView;
use crate::visit::Visit;

/// The rows of the table.
pub(crate) fn operations() -> Vec<Operation> {
    let check = Operation {
        id: "check_service",
        summary: "Look at a service now",
        description: "What is seen counts as a sweep's look would.",
        answers: &[Given {
            status: 200,
            says: "What was seen, and the service after it.",
            media: JSON,
            schema: "Checked",
        }],
        ..acting("/v1/envs/{env}/services/{id}/check", post(check))
    };
    let restart = Operation {
        id: "restart_service",
        summary: "Restart a service, whether it is up or not",
        description: "The restart is committed as an intent and made in a moment, under the host's guard. `Location` \
                      leads to what becomes of it.",
        answers: &[Given { status: 202, says: "It will be restarted.", media: JSON, schema: "Service" }],
        ..acting("/v1/envs/{env}/services/{id}/restart", post(restart))
    };
    let reset = Operation {
        id: "reset_breaker",
        summary: "Close a service's breaker",
        description: "Recovery begins anew with the next bad look.",
        ..acting("/v1/envs/{env}/services/{id}/breaker/reset", post(reset_breaker))
    };
    let hold = Operation {
        id: "hold_service",
        summary: "Leave a service alone",
        description: "Automation looks away until the hold is released or ends by itself, and never undoes it.",
        body: Some(Taken {
            media: JSON,
            schema: "HoldOrder",
            optional: false,
            example: r#"{"reason":"moving the database","lasts":"2h"}"#,
        }),
        ..acting("/v1/envs/{env}/services/{id}/hold", post(hold))
    };
    let release = Operation {
        id: "release_service",
        summary: "End a hold",
        description: "The next look says how the service is.",
        ..acting("/v1/envs/{env}/services/{id}/release", post(release))
    };
    vec![check, restart, reset, hold, release]
}

fn acting(path: &'static str, route: MethodRouter<std::sync::Arc<crate::Home>>) -> Operation {
    Operation {
        method: Method::POST,
        path,
        id: "",
        tag: "actions",
        summary: "",
        description: "",
        access: Access::ActOnOwn,
        params: &[IDEMPOTENCY_KEY],
        body: None,
        answers: &[Given { status: 200, says: "The service as it is now.", media: JSON, schema: "Service" }],
        problems: &[400, 404, 409, 413, 422],
        route,
    }
}

/// An order without anything to say; what is said all the same is refused.
#[derive(Default, Deserialize)]
#[serde(deny_unknown_fields)]
struct Nothing {}

async fn check(Id(id): Id, work: Work) -> Response {
    if let Err(problem) = work.body.read_or_default::<Nothing>() {
        return problem.into_response();
    }
    let visit = work.visit.clone();
    work.once(Box::pin(async move {
        may_act_on(&visit, &id).await?;
        let (placed, look) = people::check(&visit.env, &id).await?;
        let shards = Shards::read(&visit.store()).await?;
        let view = ServiceView::whole(visit.env.name(), &placed, shards.of(placed.shard));
        Answer::ok(&json!({
            "sight": look.sight.as_str(),
            "detail": look.sight.to_string(),
            "at": look.at,
            "took_ms": millis(&look),
            "evidence": look.evidence,
            "service": view,
        }))
    }))
    .await
}

fn millis(look: &Look) -> u64 {
    u64::try_from(look.took.as_millis()).unwrap_or(u64::MAX)
}

async fn restart(Id(id): Id, work: Work) -> Response {
    if let Err(problem) = work.body.read_or_default::<Nothing>() {
        return problem.into_response();
    }
    let visit = work.visit.clone();
    work.once(Box::pin(async move {
        may_act_on(&visit, &id).await?;
        let placed = people::restart(&visit.env, &id, visit.by()).await?;
        let answer = shown(&visit, &placed, StatusCode::ACCEPTED).await?;
        Ok(answer.at(visit.url(&format!("services/{id}/why"))))
    }))
    .await
}

async fn reset_breaker(Id(id): Id, work: Work) -> Response {
    if let Err(problem) = work.body.read_or_default::<Nothing>() {
        return problem.into_response();
    }
    let visit = work.visit.clone();
    work.once(Box::pin(async move {
        may_act_on(&visit, &id).await?;
        let done = people::reset_breaker(&visit.env, &id, visit.by()).await;
        changed(&visit, done).await
    }))
    .await
}

/// A hold as it is asked for.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct HoldOrder {
    reason: String,
    #[serde(default)]
    lasts: Option<String>,
}

async fn hold(Id(id): Id, work: Work) -> Response {
    let order = work.body.read::<HoldOrder>().and_then(|order| {
        let lasts = order.lasts.as_deref().map(parse_duration).transpose();
        let lasts = lasts.map_err(|error| {
            Problem::bad(format!("`lasts`: {error}"), "leave it out to hold until released")
        })?;
        Ok((order.reason, lasts))
    });
    let (reason, lasts) = match order {
        Ok(order) => order,
        Err(problem) => return problem.into_response(),
    };
    let visit = work.visit.clone();
    work.once(Box::pin(async move {
        may_act_on(&visit, &id).await?;
        let done = people::hold(&visit.env, &id, visit.by(), &reason, lasts).await;
        changed(&visit, done).await
    }))
    .await
}

async fn release(Id(id): Id, work: Work) -> Response {
    if let Err(problem) = work.body.read_or_default::<Nothing>() {
        return problem.into_response();
    }
    let visit = work.visit.clone();
    work.once(Box::pin(async move {
        may_act_on(&visit, &id).await?;
        match people::release(&visit.env, &id, visit.by()).await {
            // The only thing wrong with a release can be that there is no hold.
            Err(Refused::Invalid(detail)) => Err(Problem::conflict(detail, "there is nothing to release")),
            done => changed(&visit, done).await,
        }
    }))
    .await
}

async fn changed(visit: &Visit, done: Result<Placed, Refused>) -> Reply {
    shown(visit, &done?, StatusCode::OK).await
}

/// An owner acts on what is theirs; for anything else there is nothing there.
async fn may_act_on(visit: &Visit, id: &ServiceId) -> Result<(), Problem> {
    match visit.token.scope {
        Scope::Admin => Ok(()),
        Scope::Owner | Scope::Read | Scope::Worker => visit.service(id).await.map(drop),
    }
}
