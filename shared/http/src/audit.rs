//! Who did what, and why.

use axum::http::Method;
use axum::routing::get;
use serde_json::{Value, json};

use crate::answer::{Answer, Reply};
use crate::events::audited;
use crate::operation::{AFTER, Access, Given, JSON, LIMIT, Operation};
use crate::query::{Asked, encoded};
use crate::visit::Visit;

/// The rows of the table.
pub(crate) fn operations() -> Vec<Operation> {
    vec![Operation {
        method: Method::GET,
        path: "/v1/envs/{env}/audit",
        id: "list_audit",
        tag: "audit",
        summary: "The audit trail, newest first",
        description: "Every command on a host, from before it was sent, and everything a person asked for; kept for 30 days.",
        access: Access::SeeAll,
        params: &[LIMIT, AFTER],
        body: None,
        answers: &[Given { status: 200, says: "A page of entries.", media: JSON, schema: "AuditPage" }],
        problems: &[400],
        route: get(list),
    }]
}

async fn list(visit: Visit, mut asked: Asked) -> Reply {
    let (limit, after) = (asked.limit()?, asked.take("after"));
    asked.nothing_else("`limit`, `after`")?;
    let page = visit.store().audit(after.as_deref(), limit, visit.now()).await?;
    let entries = page
        .items
        .iter()
        .flat_map(|row| row.audit.iter().rev().map(|entry| audited(visit.env.name(), &row.cursor, entry)));
    let items: Vec<Value> = entries.collect();
    let link = page
        .next
        .as_ref()
        .map(|cursor| format!("{}?limit={limit}&after={}", visit.url("audit"), encoded(cursor)));
    Ok(Answer::ok(&json!({"items": items, "next": page.next}))?.next(link))
}
