//! Plans, starts, and starts again.

use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use lamplighter_app::rollouts;
use lamplighter_core::rollout::Options;
use lamplighter_core::rollout::plan::Plan;
use lamplighter_core::update::{Wanted, is_branch};
use lamplighter_core::{AppName, Version};
use serde::Deserialize;
use serde_json::{Value, json};

use super::Name;
use super::read::shown;
use crate::answer::{Answer, Reply};
use crate::body::Body;
use crate::once::Work;
use crate::problem::{Kind, Problem};
use crate::query::quoted;
use crate::visit::Visit;

/// A plan as it is asked for.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct PlanOrder {
    app: AppName,
    #[serde(default)]
    target: Option<Version>,
    #[serde(default)]
    branch: Option<String>,
    #[serde(default)]
    options: Option<Options>,
}

/// A rollout as it is asked for.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct RolloutOrder {
    app: AppName,
    #[serde(default)]
    target: Option<Version>,
    #[serde(default)]
    branch: Option<String>,
    #[serde(default)]
    options: Option<Options>,
    #[serde(default)]
    plan_hash: Option<String>,
    #[serde(default)]
    force: Option<String>,
}

/// What a retry may say.
#[derive(Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
struct RetryOrder {
    force: Option<String>,
}

pub(super) async fn plan(visit: Visit, body: Body) -> Reply {
    let PlanOrder { app, target, branch, options } = body.read()?;
    let asked = rollouts::Asked {
        app,
        wanted: wanted(target, branch)?,
        options: sensible(options)?,
        plan_hash: None,
        force: None,
    };
    let plan = rollouts::plan(&visit.env, &asked).await?;
    Answer::ok(&told(&plan)?)
}

pub(super) async fn start(work: Work) -> Response {
    let asked = work.body.read::<RolloutOrder>().and_then(|order| {
        let RolloutOrder { app, target, branch, options, plan_hash, force } = order;
        let (wanted, options) = (wanted(target, branch)?, sensible(options)?);
        Ok(rollouts::Asked { app, wanted, options, plan_hash, force })
    });
    let asked = match asked {
        Ok(asked) => asked,
        Err(problem) => return problem.into_response(),
    };
    let visit = work.visit.clone();
    work.once(Box::pin(async move {
        let head = rollouts::start(&visit.env, &asked, visit.by()).await?;
        let answer = shown(&visit, &head, StatusCode::ACCEPTED).await?;
        Ok(answer.at(visit.url(&format!("rollouts/{}", head.id))))
    }))
    .await
}

pub(super) async fn retry(Name(id): Name, work: Work) -> Response {
    let order: RetryOrder = match work.body.read_or_default() {
        Ok(order) => order,
        Err(problem) => return problem.into_response(),
    };
    let visit = work.visit.clone();
    work.once(Box::pin(async move {
        let head = rollouts::retry(&visit.env, &id, visit.by(), order.force.as_deref()).await?;
        let answer = shown(&visit, &head, StatusCode::ACCEPTED).await?;
        Ok(answer.at(visit.url(&format!("rollouts/{}", head.id))))
    }))
    .await
}

fn wanted(target: Option<Version>, branch: Option<String>) -> Result<Option<Wanted>, Problem> {
    match (target, branch) {
        (Some(_), Some(_)) => Err(Problem::bad(
            "`target` and `branch` are both given",
            "send the one that is meant: an exact version, or a branch whose head is taken",
        )),
        (Some(target), None) => Ok(Some(Wanted::Version(target))),
        (None, Some(branch)) if is_branch(&branch) => Ok(Some(Wanted::Branch(branch))),
        (None, Some(branch)) => Err(Problem::bad(
            format!("`branch`: `{}` is not a branch's name", quoted(&branch)),
            "use letters, digits, `.`, `_`, `-` and `/`, beginning with a letter or digit",
        )),
        (None, None) => Ok(None),
    }
}

fn sensible(options: Option<Options>) -> Result<Option<Options>, Problem> {
    let checked = options.as_ref().map_or(Ok(()), Options::check);
    let hint = "correct this option and send the request again";
    checked.map_err(|problem| Problem::bad(format!("options.{problem}"), hint))?;
    Ok(options)
}

/// A plan as people read it: its services by id.
fn told(plan: &Plan) -> Result<Value, Problem> {
    let mut said = serde_json::to_value(plan).map_err(|error| {
        Problem::new(Kind::Internal, "the plan cannot be written as JSON", "please report it")
            .because(error.to_string())
    })?;
    let stages: Vec<Value> = plan
        .stages
        .iter()
        .map(|stage| {
            let ids: Vec<_> = stage.services.iter().map(|planned| &planned.id).collect();
            json!({"percent": stage.percent, "services": ids})
        })
        .collect();
    said["stages"] = json!(stages);
    Ok(said)
}
