//! What must have come of a story, whatever happened on the way: read from the table past the faults, and from letters.

use std::collections::{BTreeMap, BTreeSet};

use lamplighter_core::ServiceId;
use lamplighter_core::watch::Status;

use crate::world::World;

/// Rows of the audit trail and of events that a story makes at most.
const ROWS: usize = 500;

/// What must be known of a service in the end.
pub(crate) struct Fate {
    pub(crate) id: ServiceId,
    pub(crate) status: Status,
    /// The kinds of its letters.
    pub(crate) told: &'static [&'static str],
    /// Restarts that its host was asked for.
    pub(crate) restarts: u64,
}

/// True if there is nothing left to do, and each service is where it should be.
pub(crate) async fn is_over(world: &World<'_>, fates: &[Fate]) -> bool {
    for fate in fates {
        let placed = world.table.near.load_service(&fate.id).await.unwrap().unwrap();
        if placed.watch.status != fate.status {
            return false;
        }
    }
    world.table.near.outbox(1).await.unwrap().is_empty() && world.table.near.steps().await.unwrap().is_empty()
}

/// Everything that is not as it must be. `also` are news of no service, by what they are about and their kind.
pub(crate) async fn violations(
    world: &World<'_>,
    fates: &[Fate],
    also: impl IntoIterator<Item = (String, String)>,
) -> Vec<String> {
    let mut found = world.wrong.clone();
    let left = world.table.near.outbox(ROWS).await.unwrap();
    found.extend(left.iter().map(|one| format!("`{}` waits in the outbox", one.notice.id)));
    let steps = world.table.near.steps().await.unwrap();
    found.extend(steps.iter().map(|(step, _)| format!("a restart of {} is left open", step.service)));
    for fate in fates {
        let placed = world.table.near.load_service(&fate.id).await.unwrap().unwrap();
        if placed.watch.status != fate.status {
            let (status, because) = (placed.watch.status, &placed.watch.because);
            found.push(format!("{} is {status} ({because}), not {}", fate.id, fate.status));
        }
        let audited = audited(world, &fate.id).await;
        if u64::try_from(audited.len()).unwrap() != fate.restarts {
            found.push(format!("{}: {} restarts, and audited are {audited:?}", fate.id, fate.restarts));
        }
    }
    let mut wanted: BTreeSet<(String, String)> = also.into_iter().collect();
    for fate in fates {
        wanted.extend(fate.told.iter().map(|kind| (fate.id.to_string(), (*kind).to_owned())));
    }
    letters(world, &wanted, &mut found);
    found
}

/// The numbers of the restarts that the audit trail has of this service.
async fn audited(world: &World<'_>, id: &ServiceId) -> BTreeSet<u64> {
    let rows = world.table.near.audit(None, ROWS, world.now()).await.unwrap();
    let entries = rows.items.iter().flat_map(|row| &row.audit);
    entries
        .filter(|entry| entry.service.as_ref() == Some(id) && entry.action == "restart")
        .filter_map(|entry| entry.action_no)
        .collect()
}

/// Each notice is one letter, however often that was brought; and there are just the notices that there should be.
fn letters(world: &World<'_>, wanted: &BTreeSet<(String, String)>, found: &mut Vec<String>) {
    let book = world.letters();
    let mut by_id = BTreeMap::new();
    for letter in book.iter() {
        let first = by_id.entry(letter.message_id.clone()).or_insert(letter);
        if *first != letter {
            found.push(format!("two letters have the id {}", letter.message_id));
        }
    }
    let told: BTreeSet<(String, String)> = by_id.keys().map(|id| service_and_kind(id)).collect();
    if told != *wanted || by_id.len() != wanted.len() {
        let ids: Vec<&String> = by_id.keys().collect();
        found.push(format!("letters should tell of {wanted:?}, and are {ids:?}"));
    }
}

/// Of `prod.vps-001.17.down`, the service and the kind.
fn service_and_kind(message_id: &str) -> (String, String) {
    let parts: Vec<&str> = message_id.split('.').collect();
    let part = |index: usize| parts.get(index).copied().unwrap_or_default().to_owned();
    (part(1), part(parts.len().saturating_sub(1)))
}
