//! What a person says of the whole env.

use axum::http::header::IF_MATCH as IF_MATCH_HEADER;
use axum::http::{HeaderMap, Method};
use axum::routing::{get, put};
use lamplighter_core::decision::AuditEntry;
use lamplighter_core::settings::Settings;
use lamplighter_store::Commit;

use crate::answer::{Answer, Reply};
use crate::body::Body;
use crate::operation::{Access, Given, IF_MATCH, JSON, Operation, Taken};
use crate::precondition::versions;
use crate::problem::Problem;
use crate::query::Asked;
use crate::visit::Visit;

const SETTINGS: &str = "/v1/envs/{env}/settings";

/// The rows of the table.
pub(crate) fn operations() -> Vec<Operation> {
    let reading = Operation {
        method: Method::GET,
        path: SETTINGS,
        id: "get_settings",
        tag: "settings",
        summary: "Show the env's settings",
        description: "The `ETag` is their version, `\"0\"` while they are the defaults.",
        access: Access::SeeAll,
        params: &[],
        body: None,
        answers: &[Given { status: 200, says: "The settings.", media: JSON, schema: "Settings" }],
        problems: &[],
        route: get(show),
    };
    let writing = Operation {
        method: Method::PUT,
        path: SETTINGS,
        id: "put_settings",
        tag: "settings",
        summary: "Replace the env's settings",
        description: "What the body leaves out has its default. Unknown fields are refused.",
        access: Access::Admin,
        params: &[IF_MATCH],
        body: Some(Taken {
            media: JSON,
            schema: "Settings",
            optional: false,
            example: r#"{"every":"60s","mode":"act","admins":["ops@example.com"]}"#,
        }),
        answers: &[Given {
            status: 200,
            says: "The settings as they are now.",
            media: JSON,
            schema: "Settings",
        }],
        problems: &[400, 409, 412, 413, 415],
        route: put(replace),
    };
    vec![reading, writing]
}

async fn show(visit: Visit, asked: Asked) -> Reply {
    asked.nothing_else("none")?;
    let (version, settings) = visit.store().settings().await?;
    Ok(Answer::ok(&settings)?.version(version))
}

async fn replace(visit: Visit, headers: HeaderMap, body: Body) -> Reply {
    let settings: Settings = body.read()?;
    settings
        .check()
        .map_err(|error| Problem::bad(error, "correct this field and send the settings again"))?;
    let store = visit.store();
    let (version, before) = store.settings().await?;
    let expected = headers.get(IF_MATCH_HEADER).map(|value| value.to_str().unwrap_or_default().trim());
    if expected.is_some_and(|tags| tags != "*" && !versions(tags).contains(&version)) {
        return Err(Problem::stale("the settings"));
    }
    if settings == before && version > 0 {
        return Ok(Answer::ok(&settings)?.version(version));
    }
    let entry = AuditEntry {
        at: visit.now(),
        by: visit.by().to_owned(),
        action: "settings replaced".to_owned(),
        service: None,
        action_no: None,
        because: format!("version {}", version + 1),
    };
    match store.put_settings(version, &settings).await? {
        Commit::Done { .. } => {}
        Commit::Stale if expected.is_some() => return Err(Problem::stale("the settings")),
        Commit::Stale => {
            return Err(Problem::conflict(
                "the settings were changed by somebody else just now",
                "look at them and try again",
            ));
        }
    }
    if let Err(error) = store.record(vec![entry]).await {
        tracing::error!(env = %visit.env.name(), %error, "a change of settings by {} is missing from the audit trail", visit.by());
    }
    // The interval may be another one now: a sweep's end is when it is read again.
    visit.env.sweep_bell.ring();
    Ok(Answer::ok(&settings)?.version(version + 1))
}
