//! How an env is, and how this process is.

use std::sync::Arc;
use std::time::Duration;

use axum::extract::State;
use axum::http::Method;
use axum::routing::get;
use lamplighter_app::Env;
use lamplighter_core::Moment;
use lamplighter_core::moment::spoken;
use lamplighter_core::settings::Mode;
use lamplighter_store::{StoreError, Verb};
use serde_json::json;
use tokio::time::Instant;

use crate::answer::{Answer, Reply};
use crate::home::Home;
use crate::operation::{Access, Given, JSON, Operation};
use crate::problem::{Kind, Problem};
use crate::query::Asked;
use crate::visit::Visit;

/// How long one answer of `/readyz` is repeated: nobody needs a token to ask.
const READY_KEPT: Duration = Duration::from_secs(1);
/// How long a store may take to answer before it counts as not answering.
const STORE_LIMIT: Duration = Duration::from_secs(3);
/// When a prober that was told "not ready" is asked to come again.
const RETRY_SECS: u64 = 5;
/// A sweep may be this many intervals old.
const INTERVALS: u32 = 2;

/// The rows of the table.
pub(crate) fn operations() -> Vec<Operation> {
    let health = Operation {
        method: Method::GET,
        path: "/v1/envs/{env}/health",
        id: "get_health",
        tag: "health",
        summary: "How the env is, in one answer",
        description: "Services by status, open breakers, what is in trouble and why, the last sweep, and anomalies. Lists \
                      name at most 50; the counts are whole.",
        access: Access::SeeAll,
        params: &[],
        body: None,
        answers: &[Given { status: 200, says: "The env's health.", media: JSON, schema: "Health" }],
        problems: &[],
        route: get(show),
    };
    let alive = Operation {
        path: "/livez",
        id: "livez",
        tag: "probes",
        summary: "Is the process alive?",
        description: "Says yes, or does not answer.",
        access: Access::Anyone,
        answers: &[Given { status: 200, says: "It is.", media: JSON, schema: "Alive" }],
        route: get(alive),
        ..copy_of(&health)
    };
    let ready = Operation {
        path: "/readyz",
        id: "readyz",
        tag: "probes",
        summary: "Does it do its work?",
        description: "Yes if each env's store answers and its last sweep is younger than two intervals; an env that is off is \
                      left out. Otherwise 503 with the reasons.",
        access: Access::Anyone,
        answers: &[Given { status: 200, says: "It does.", media: JSON, schema: "Ready" }],
        route: get(ready),
        ..copy_of(&health)
    };
    vec![health, alive, ready]
}

fn copy_of(row: &Operation) -> Operation {
    Operation {
        method: row.method.clone(),
        path: row.path,
        id: row.id,
        tag: row.tag,
        summary: row.summary,
        description: row.description,
        access: row.access,
        params: row.params,
        body: None,
        answers: row.answers,
        problems: row.problems,
        route: row.route.clone(),
    }
}

async fn show(visit: Visit, asked: Asked) -> Reply {
    asked.nothing_else("none")?;
    Answer::ok(&lamplighter_app::health(&visit.env).await?)
}

async fn alive(State(home): State<Arc<Home>>) -> Reply {
    Answer::ok(&json!({"alive": true, "version": home.version}))
}

async fn ready(State(home): State<Arc<Home>>) -> Reply {
    let reasons = reasons(&home).await;
    if reasons.is_empty() {
        return Answer::ok(&json!({"ready": true}));
    }
    let hint = "the log says more; an env that sweeps again is ready by itself";
    let detail = reasons.join("; ");
    Err(Problem::new(Kind::Unavailable, detail.clone(), hint)
        .reasons(reasons)
        .retry_after(RETRY_SECS)
        .because(detail))
}

async fn reasons(home: &Home) -> Vec<String> {
    let mut said = home.said.lock().await;
    if let Some((at, reasons)) = &said.ready
        && at.elapsed() < READY_KEPT
    {
        return reasons.clone();
    }
    let mut reasons = Vec::new();
    for env in home.envs() {
        match tokio::time::timeout(STORE_LIMIT, reason(env)).await {
            Ok(Ok(None)) => {}
            Ok(Ok(Some(reason))) => reasons.push(format!("`{}`: {reason}", env.name())),
            // What exactly the store said is for the log: anybody may read this.
            Ok(Err(error)) => {
                tracing::warn!(env = %env.name(), %error, "not ready");
                reasons.push(format!("`{}`: the store cannot be used", env.name()));
            }
            Err(_) => reasons.push(format!("`{}`: the store does not answer in time", env.name())),
        }
    }
    said.ready = Some((Instant::now(), reasons.clone()));
    reasons
}

/// Why an env is not ready; `None` if it is.
async fn reason(env: &Env) -> Result<Option<String>, StoreError> {
    let store = env.store().for_verb(Verb::Api);
    let settings = store.settings().await?.1;
    let shards = store.shards().await?;
    if settings.mode == Mode::Off {
        return Ok(None);
    }
    // Every shard with services must have been swept; in an env without services the hand must at least go round.
    let with_services = shards.iter().filter(|shard| shard.services > 0).map(|shard| shard.swept_at);
    let anywhere: Option<Moment> = shards.iter().filter_map(|shard| shard.swept_at).max();
    let oldest: Option<Moment> = with_services.min().unwrap_or(anywhere);
    let Some(swept_at) = oldest else { return Ok(Some("no sweep has finished yet".to_owned())) };
    let age = env.clock().now().since(swept_at);
    let limit = settings.every * INTERVALS;
    Ok((age > limit).then(|| format!("the last sweep was {} ago, more than {}", spoken(age), spoken(limit))))
}
