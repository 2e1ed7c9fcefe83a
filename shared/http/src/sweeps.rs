//! Sweeps: one now, and the last one's report.

use axum::http::{Method, StatusCode};
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use lamplighter_app::people::{self, Refused};
use serde::Deserialize;
use serde_json::{Value, json};

use crate::answer::{Answer, Reply};
use crate::once::Work;
use crate::operation::{Access, Given, IDEMPOTENCY_KEY, JSON, Operation, Taken};
use crate::problem::{Kind, Problem};
use crate::query::Asked;
use crate::visit::Visit;

/// The rows of the table.
pub(crate) fn operations() -> Vec<Operation> {
    vec![asking(), reporting()]
}

fn asking() -> Operation {
    Operation {
        method: Method::POST,
        path: "/v1/envs/{env}/sweeps",
        id: "start_sweep",
        tag: "sweeps",
        summary: "Sweep now",
        description: "With `{\"go_on\": true}` an admin also tells the blindness guard that the failures are real: restarts \
                      begin again.",
        access: Access::Admin,
        params: &[IDEMPOTENCY_KEY],
        body: Some(Taken {
            media: JSON,
            schema: "SweepOrder",
            optional: true,
            example: r#"{"go_on":false}"#,
        }),
        answers: &[Given {
            status: 202,
            says: "A sweep is asked for; `Location` leads to the last report.",
            media: JSON,
            schema: "SweepAsked",
        }],
        problems: &[400, 409, 413, 415, 422],
        route: post(start),
    }
}

fn reporting() -> Operation {
    Operation {
        method: Method::GET,
        path: "/v1/envs/{env}/sweeps/latest",
        id: "latest_sweep",
        tag: "sweeps",
        summary: "The last sweep's report, and what is in trouble",
        description: "404 until a first sweep has finished.",
        access: Access::SeeAll,
        params: &[],
        body: None,
        answers: &[Given { status: 200, says: "The report.", media: JSON, schema: "LatestSweep" }],
        problems: &[404],
        route: get(latest),
    }
}

#[derive(Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
struct SweepOrder {
    go_on: bool,
}

async fn start(work: Work) -> Response {
    let order: SweepOrder = match work.body.read_or_default() {
        Ok(order) => order,
        Err(problem) => return problem.into_response(),
    };
    let visit = work.visit.clone();
    work.once(Box::pin(async move {
        if order.go_on {
            people::go_on(&visit.env, visit.by()).await.map_err(|refused| match refused {
                Refused::Invalid(detail) => Problem::conflict(detail, "leave `go_on` out to sweep now"),
                Refused::NoSuchService(_)
                | Refused::Restart(_)
                | Refused::Updating { .. }
                | Refused::Busy(_)
                | Refused::Store(_) => refused.into(),
            })?;
        }
        let last = lamplighter_app::health(&visit.env).await?.last_sweep.map(|report| report.tick);
        visit.env.sweep_bell.ring();
        let asked = json!({"asked": true, "last_tick": last});
        Ok(Answer::with_status(StatusCode::ACCEPTED, &asked)?.at(visit.url("sweeps/latest")))
    }))
    .await
}

async fn latest(visit: Visit, asked: Asked) -> Reply {
    asked.nothing_else("none")?;
    let health = lamplighter_app::health(&visit.env).await?;
    let Some(report) = health.last_sweep else {
        let hint = "wait for one, or ask for one with `POST …/sweeps`";
        return Err(Problem::new(Kind::NotFound, "no sweep has finished yet", hint));
    };
    let troubles: Vec<Value> =
        health.troubles.iter().map(|(id, because)| json!({"id": id, "because": because})).collect();
    let mut said = json!(report);
    said["finished_at"] = json!(health.last_sweep_at);
    said["troubles"] = json!(troubles);
    said["blind"] = json!(health.blind);
    Answer::ok(&said)
}
