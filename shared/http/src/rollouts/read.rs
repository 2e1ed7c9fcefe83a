//! Reads rollouts: a list of them, or one with its services.

use std::collections::{BTreeMap, BTreeSet};

use axum::http::StatusCode;
use lamplighter_core::rollout::{Rollout, Row};
use lamplighter_core::{AppName, ServiceId};
use lamplighter_store::{Scope, Store, StoreError};
use serde_json::json;

use super::view::{Own, RolloutView, ServiceRow};
use super::{Name, no_such_rollout};
use crate::answer::{Answer, Reply};
use crate::problem::Problem;
use crate::query::{Asked, encoded};
use crate::visit::Visit;

/// Services of one answer; more come in pages.
const ROWS_PAGE: usize = 500;
/// Rollouts read from the store at once.
const HEADS_PAGE: usize = 100;
/// Queries made for one page of a filtered list; then it ends early, with a cursor to go on from.
const QUERIES_MAX: usize = 50;
/// Rows read for one page of an owner's list; then it ends early, too.
const ROWS_SCANNED: usize = 20_000;
/// Services the store gives at once.
const STORE_PAGE: usize = 200;

/// A page of the rollouts that are wanted and may be seen.
pub(super) async fn list(visit: Visit, mut asked: Asked) -> Reply {
    let (limit, after) = (asked.limit()?, asked.take("after"));
    let app = asked.take("app");
    asked.nothing_else("`limit`, `after`, `app`")?;
    if after.as_ref().is_some_and(|cursor| cursor.chars().any(|c| !c.is_ascii_graphic())) {
        return Err(Problem::bad(
            "`after` is not a cursor of this list",
            "send the `next` of the page before, percent-encoded",
        ));
    }
    let (store, now) = (visit.store(), visit.now());
    let own = own_services(&visit, &store).await?;
    let (mut found, mut cursor, mut queries, mut rows_scanned) = (Vec::new(), after, 0, 0);
    while found.len() < limit && queries < QUERIES_MAX && rows_scanned < ROWS_SCANNED {
        // A page of the store is taken whole, since the cursor stands at its end: it is never more than is still wanted.
        let page = store.rollouts(cursor.as_deref(), (limit - found.len()).min(HEADS_PAGE)).await?;
        queries += 1;
        for head in page.items {
            if app.as_ref().is_some_and(|app| head.app.as_str() != app) {
                continue;
            }
            match &own {
                None => found.push(RolloutView::of(&head, now)),
                Some(own) => {
                    let rows = own_rows(&store, &head, own).await?;
                    rows_scanned += usize::try_from(head.size()).unwrap_or(ROWS_SCANNED);
                    if !rows.is_empty() {
                        found.push(RolloutView::of(&head, now).for_owner(&head, &rows));
                    }
                }
            }
        }
        cursor = page.next;
        if cursor.is_none() {
            break;
        }
    }
    let link = cursor.as_ref().map(|cursor| {
        let app = app.as_ref().map(|app| format!("&app={}", encoded(app))).unwrap_or_default();
        format!("{}?limit={limit}&after={}{app}", visit.url("rollouts"), encoded(cursor))
    });
    Ok(Answer::ok(&json!({"items": found, "next": cursor}))?.next(link))
}

pub(super) async fn show(visit: Visit, Name(id): Name, mut asked: Asked) -> Reply {
    let after = asked.take("after");
    asked.nothing_else("`after`")?;
    let from = match after.map(|cursor| cursor.parse::<u32>()) {
        None => 0,
        Some(Ok(from)) => from,
        Some(Err(_)) => {
            return Err(Problem::bad(
                "`after` is not a cursor of this list",
                "send the `next` of the page before",
            ));
        }
    };
    let head = visit.store().rollout(&id).await?.ok_or_else(|| no_such_rollout(&id))?;
    from_row(&visit, &head, from, StatusCode::OK).await
}

/// The whole view of a rollout, with its `ETag`.
pub(super) async fn shown(visit: &Visit, head: &Rollout, status: StatusCode) -> Reply {
    from_row(visit, head, 0, status).await
}

async fn from_row(visit: &Visit, head: &Rollout, from: u32, status: StatusCode) -> Reply {
    let (store, now) = (visit.store(), visit.now());
    let own = own_services(visit, &store).await?;
    let (rows, view) = match &own {
        None => (store.rows(&head.id, from, ROWS_PAGE).await?, RolloutView::of(head, now)),
        Some(own) => {
            let rows = own_rows(&store, head, own).await?;
            if rows.is_empty() {
                return Err(no_such_rollout(&head.id));
            }
            let view = RolloutView::of(head, now).for_owner(head, &rows);
            let page = rows.into_iter().filter(|row| row.index >= from).take(ROWS_PAGE);
            (page.collect(), view)
        }
    };
    let next = rows.last().filter(|_| rows.len() == ROWS_PAGE).map(|last| (last.index + 1).to_string());
    let services = services(&store, head, &rows).await?;
    let link =
        next.as_ref().map(|next| format!("{}?after={next}", visit.url(&format!("rollouts/{}", head.id))));
    let answer = Answer::with_status(status, &view.with_services(services, next))?;
    Ok(answer.version(head.version).next(link))
}

/// The rows as people see them: with the step of those under way, which only their watches know.
async fn services(store: &Store, head: &Rollout, rows: &[Row]) -> Result<Vec<ServiceRow>, StoreError> {
    let mut under_way = BTreeMap::new();
    for id in &head.under_way {
        let Some(placed) = store.load_service(id).await? else { continue };
        let update = placed.watch.update.filter(|update| update.rollout == head.id);
        under_way.insert(id.clone(), (update, placed.watch.because));
    }
    let row = |row: &Row| match under_way.get(&row.service) {
        Some((update, because)) => ServiceRow::under_way(head, row, update.as_deref(), because),
        None => ServiceRow::of(head, row),
    };
    Ok(rows.iter().map(row).collect())
}

/// The services of the asker by app, if they may see no others.
async fn own_services(visit: &Visit, store: &Store) -> Result<Option<Own>, StoreError> {
    match visit.token.scope {
        Scope::Admin | Scope::Read => return Ok(None),
        Scope::Owner | Scope::Worker => {}
    }
    let (mut own, mut cursor): (BTreeMap<AppName, BTreeSet<ServiceId>>, _) = (BTreeMap::new(), None);
    loop {
        let page = store.list_services(cursor.as_deref(), STORE_PAGE).await?;
        for placed in page.items.into_iter().filter(|placed| visit.may_see(&placed.spec)) {
            if let Some(app) = placed.spec.app {
                own.entry(app).or_default().insert(placed.spec.id);
            }
        }
        cursor = page.next;
        if cursor.is_none() {
            return Ok(Some(own));
        }
    }
}

/// The rows of a rollout that are the asker's.
async fn own_rows(store: &Store, head: &Rollout, own: &Own) -> Result<Vec<Row>, StoreError> {
    let Some(own) = own.get(&head.app) else { return Ok(Vec::new()) };
    let (mut found, mut from) = (Vec::new(), 0);
    loop {
        let rows = store.rows(&head.id, from, ROWS_PAGE).await?;
        let Some(last) = rows.last() else { return Ok(found) };
        from = last.index + 1;
        found.extend(rows.into_iter().filter(|row| own.contains(&row.service)));
    }
}
