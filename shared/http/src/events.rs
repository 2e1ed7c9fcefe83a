//! What happened: to one service, and live to all of them.

use std::collections::BTreeMap;

use axum::http::header::ACCEPT;
use axum::http::{HeaderMap, Method};
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use lamplighter_core::decision::{AuditEntry, LiveEvent};
use lamplighter_core::{EnvName, ServiceId};
use lamplighter_store::{EventRow, Scope};
use serde_json::{Value, json};

use crate::answer::{Answer, Reply};
use crate::live;
use crate::operation::{AFTER, Access, Given, JSON, LIMIT, Operation, Param};
use crate::problem::Problem;
use crate::query::{Asked, Id, encoded};
use crate::visit::Visit;

/// The rows of the table.
pub(crate) fn operations() -> Vec<Operation> {
    vec![of_service(), of_env()]
}

fn of_service() -> Operation {
    Operation {
        method: Method::GET,
        path: "/v1/envs/{env}/services/{id}/events",
        id: "list_service_events",
        tag: "events",
        summary: "What happened to one service, newest first",
        description: "Changes of its status and what was done to it, for 30 days.",
        access: Access::SeeOwn,
        params: &[LIMIT, AFTER],
        body: None,
        answers: &[Given { status: 200, says: "A page of events.", media: JSON, schema: "HistoryPage" }],
        problems: &[400, 404],
        route: get(history),
    }
}

fn of_env() -> Operation {
    Operation {
        method: Method::GET,
        path: "/v1/envs/{env}/events",
        id: "list_events",
        tag: "events",
        summary: "Live events: changes of status, oldest first",
        description: "A JSON page, or with `Accept: text/event-stream` a stream: what happened after the cursor, then what \
                      happens, with a comment every 20 s. `next` is where to go on, also when the page is empty. Without a \
                      cursor a page begins with today, and a stream with now.",
        access: Access::SeeOwn,
        params: &[
            LIMIT,
            AFTER,
            Param {
                name: "Last-Event-ID",
                place: "header",
                says: "The last event seen, as browsers send it when a stream breaks off. Goes before `after`.",
                example: "",
            },
        ],
        body: None,
        answers: &[
            Given { status: 200, says: "A page of events.", media: JSON, schema: "EventPage" },
            Given {
                status: 200,
                says: "Or a stream of them: `id`, `event: service_status`, `data`.",
                media: "text/event-stream",
                schema: "",
            },
        ],
        problems: &[400, 406],
        route: get(happening),
    }
}

async fn history(visit: Visit, Id(id): Id, mut asked: Asked) -> Reply {
    let (limit, after) = (asked.limit()?, asked.take("after"));
    asked.nothing_else("`limit`, `after`")?;
    visit.service(&id).await?;
    let page = visit.store().events_of(&id, after.as_deref(), limit, visit.now()).await?;
    let items = entries(visit.env.name(), &id, &page.items);
    let link = page.next.as_ref().map(|cursor| {
        format!("{}?limit={limit}&after={}", visit.url(&format!("services/{id}/events")), encoded(cursor))
    });
    Ok(Answer::ok(&json!({"items": items, "next": page.next}))?.next(link))
}

/// What rows say of one service, newest first.
pub(crate) fn entries(env: &EnvName, service: &ServiceId, rows: &[EventRow]) -> Vec<Value> {
    let of_row = |row: &EventRow| {
        let audit = row.audit.iter().filter(|entry| entry.service.as_ref() == Some(service));
        let events = row.events.iter().filter(|event| event.service == *service);
        let mut said: Vec<Value> = audit.map(|entry| audited(env, &row.cursor, entry)).collect();
        said.extend(events.map(|event| shown(env, Some(&row.cursor), event)));
        said.reverse();
        said
    };
    rows.iter().flat_map(of_row).collect()
}

/// An entry of the audit trail as it is shown.
pub(crate) fn audited(env: &EnvName, cursor: &str, entry: &AuditEntry) -> Value {
    json!({
        "type": "audit",
        "id": cursor,
        "env": env,
        "service": entry.service,
        "by": entry.by,
        "action": entry.action,
        "action_no": entry.action_no,
        "because": entry.because,
        "timestamp": entry.at,
    })
}

/// A live event as it is shown on every channel.
pub(crate) fn shown(env: &EnvName, cursor: Option<&str>, event: &LiveEvent) -> Value {
    json!({
        "type": "service_status",
        "id": cursor,
        "env": env,
        "service": event.service,
        "status": event.status,
        "message": event.message,
        "because": event.because,
        "timestamp": event.timestamp,
    })
}

async fn happening(visit: Visit, headers: HeaderMap, mut asked: Asked) -> Result<Response, Problem> {
    let (limit, after) = (asked.limit()?, asked.take("after"));
    asked.nothing_else("`limit`, `after`")?;
    let seen = headers.get("last-event-id").and_then(|id| id.to_str().ok()).filter(|id| !id.is_empty());
    let after = seen.map(str::to_owned).or(after);
    if let Some(cursor) = &after {
        must_be_cursor(cursor)?;
    }
    if wants_stream(&headers) {
        return live::stream(visit, after);
    }
    let page = visit.store().events_after(after.as_deref(), limit, visit.now()).await?;
    let mut sight = Sight::default();
    let mut items = Vec::new();
    for row in &page.items {
        for event in &row.events {
            if sight.allows(&visit, &event.service).await? {
                items.push(shown(visit.env.name(), Some(&row.cursor), event));
            }
        }
    }
    let link = page
        .next
        .as_ref()
        .map(|cursor| format!("{}?limit={limit}&after={}", visit.url("events"), encoded(cursor)));
    Ok(Answer::ok(&json!({"items": items, "next": page.next}))?.next(link).into_response())
}

/// A cursor begins with the time of its row; an odd one would silently mean "now".
fn must_be_cursor(cursor: &str) -> Result<(), Problem> {
    let time = cursor.split('#').next().unwrap_or_default();
    if !time.is_empty() && time.len() <= 20 && time.bytes().all(|byte| byte.is_ascii_digit()) {
        return Ok(());
    }
    Err(Problem::bad(
        "this is not a cursor of the events",
        "send the `next` of the page before, or the `id` of an event",
    ))
}

fn wants_stream(headers: &HeaderMap) -> bool {
    headers.get_all(ACCEPT).iter().filter_map(|value| value.to_str().ok()).any(|value| {
        value.split(',').any(|kind| kind.split(';').next().unwrap_or_default().trim() == "text/event-stream")
    })
}

/// Which services the asker may hear of, asked of the store once for each service.
#[derive(Default)]
pub(crate) struct Sight(BTreeMap<ServiceId, bool>);

impl Sight {
    /// Services remembered at once.
    const REMEMBERED_MAX: usize = 10_000;

    /// True if the asker may hear of this service.
    pub(crate) async fn allows(&mut self, visit: &Visit, id: &ServiceId) -> Result<bool, Problem> {
        match visit.token.scope {
            Scope::Admin | Scope::Read => return Ok(true),
            Scope::Worker => return Ok(false),
            Scope::Owner => {}
        }
        if let Some(known) = self.0.get(id) {
            return Ok(*known);
        }
        let placed = visit.store().load_service(id).await?;
        let allowed = placed.is_some_and(|placed| visit.may_see(&placed.spec));
        if self.0.len() < Self::REMEMBERED_MAX {
            self.0.insert(id.clone(), allowed);
        }
        Ok(allowed)
    }

    /// Forgets, so that a service that changed hands is asked about anew.
    pub(crate) fn forget(&mut self) {
        self.0.clear();
    }
}
