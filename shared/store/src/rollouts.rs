//! Rollouts: how they begin with all their rows or not at all, and how they are read.
//!
//! The rows of a plan are more than one transaction takes, so they are written before the head, which makes them count.
//! Until then the head's item is a stub with the mark of the start that has them: whoever starts later takes them over,
//! and the one before can write no further row, nor begin.

use std::time::Duration;

use lamplighter_core::decision::AuditEntry;
use lamplighter_core::name::ServiceId;
use lamplighter_core::rollout::{AppState, MAX_SERVICES, Rollout, Row};
use lamplighter_core::version::RolloutId;

use crate::batch::GET_AT_ONCE;
use crate::commit::{Commit, Gathered};
use crate::condition::{Condition, Wording};
use crate::item::{
    EXPIRES_AT, Item, Key, ROLLOUTS, ROW_PREFIX, STRAYS, body, expiry, item, rollout_partition, sort_key,
    text,
};
use crate::lease::{CONFLICT_TRIES, conflict};
use crate::moves::head_item;
use crate::page::Page;
use crate::wire::{Direction, Freshness, Part, Transacted, Written};
use crate::{Store, StoreError};

/// How long a rollout is kept: last year's can still be looked up a year on. Until it ends its head is kept in any case.
pub const ROLLOUTS_KEPT: Duration = Duration::from_secs(400 * 86_400);
/// Rows of one transaction: it takes 100 parts, and one of them is the check that the rows are still ours.
const ROWS_AT_ONCE: usize = 99;
/// Most rows of one answer: at a KiB each they fit a page of a megabyte.
const ROWS_MAX: usize = 500;
/// Pages of a megabyte that strays may fill.
const STRAY_PAGES: usize = 16;

impl Store {
    /// Begins a rollout: its rows, and then in one transaction its head, its place in the list, the app's `app`, which
    /// follows the state that was read, and `audit`. `Stale` if the app has changed, the number was used, or another
    /// start is at it.
    ///
    /// # Errors
    /// If the table does not answer: it may then have begun, and the app's state says whether it did.
    pub async fn start_rollout(
        &self,
        app: &AppState,
        head: &Rollout,
        rows: &[Row],
        audit: Vec<AuditEntry>,
    ) -> Result<Commit, StoreError> {
        let start = self.mark();
        if rows.len() > MAX_SERVICES {
            let because = format!("a rollout has at most {MAX_SERVICES} services");
            return Err(StoreError::Refused { operation: "starting a rollout", because });
        }
        if !self.take_rows(head, &start).await? || !self.put_rows(head, rows, &start).await? {
            return Ok(Commit::Stale);
        }
        let mark = self.mark();
        let new = self.of_start(self.is_new(Wording::new()), &start);
        let entry_key = Key::rollout_entry(head.created_at, &head.id);
        let mut entry = entry_key.attributes();
        entry.insert(EXPIRES_AT.to_owned(), expiry(head.created_at, ROLLOUTS_KEPT));
        let parts = vec![
            self.app_part(app, &mark)?,
            Part::Put(head_item(head, &mark)?, new),
            Part::Put(entry, Wording::new()),
        ];
        Ok(match self.write_down(&mark, parts, Gathered::recorded(audit), None).await? {
            Transacted::Done => Commit::Done { added: 0 },
            Transacted::Refused | Transacted::Conflict => Commit::Stale,
        })
    }

    /// Takes the rows of a rollout that has not begun, from whoever had them. False if it has begun.
    async fn take_rows(&self, head: &Rollout, start: &str) -> Result<bool, StoreError> {
        for _ in 0..CONFLICT_TRIES {
            let take = Wording::update("SET #started_by = :start, #expires_at = :expiry")
                .with(":start", text(start))
                .with(":expiry", expiry(head.created_at, ROLLOUTS_KEPT));
            match self.update(&Key::rollout(&head.id), self.is_new(take)).await? {
                Written::Done(_) => return Ok(true),
                Written::Refused(_) => return Ok(false),
                Written::Conflict => {}
            }
        }
        Err(conflict("starting a rollout"))
    }

    /// Writes all rows, and takes away those that a longer plan left behind which never began. False if another start
    /// has taken the rows over.
    async fn put_rows(&self, head: &Rollout, rows: &[Row], start: &str) -> Result<bool, StoreError> {
        for some in rows.chunks(ROWS_AT_ONCE) {
            let put = |row: &Row| {
                let mut stored = item(&Key::row(&head.id, row.index), row)?;
                stored.insert(EXPIRES_AT.to_owned(), expiry(head.created_at, ROLLOUTS_KEPT));
                Ok(Part::Put(stored, Wording::new()))
            };
            if !self.change_rows(head, start, || some.iter().map(put).collect()).await? {
                return Ok(false);
            }
        }
        let end = rows.iter().map(|row| row.index + 1).max().unwrap_or(0);
        loop {
            let left = self.row_items(&head.id, end, ROWS_AT_ONCE).await?;
            if left.is_empty() {
                return Ok(true);
            }
            let delete = |item: &Item| {
                Ok(Part::Delete(Key::new(rollout_partition(&head.id), sort_key(item)), Wording::new()))
            };
            if !self.change_rows(head, start, || left.iter().map(delete).collect()).await? {
                return Ok(false);
            }
        }
    }

    async fn change_rows(
        &self,
        head: &Rollout,
        start: &str,
        changes: impl Fn() -> Result<Vec<Part>, StoreError>,
    ) -> Result<bool, StoreError> {
        for _ in 0..CONFLICT_TRIES {
            let mut parts = vec![Part::Check(Key::rollout(&head.id), self.of_start(Wording::new(), start))];
            parts.extend(changes()?);
            match self.transact(&self.mark(), parts).await? {
                Transacted::Done => return Ok(true),
                Transacted::Refused => return Ok(false),
                Transacted::Conflict => {}
            }
        }
        Err(conflict("writing a rollout's rows"))
    }

    fn is_new(&self, wording: Wording) -> Wording {
        wording.when(self, Condition::RolloutIsNew, "attribute_not_exists(#version)", [])
    }

    fn of_start(&self, wording: Wording, start: &str) -> Wording {
        wording.when(self, Condition::RowsAreOurs, "#started_by = :start", [(":start", text(start))])
    }

    /// The head of a rollout, as it is now.
    ///
    /// # Errors
    /// If the table does not answer, or the item is not readable.
    pub async fn rollout(&self, id: &RolloutId) -> Result<Option<Rollout>, StoreError> {
        let stored = self.get(&Key::rollout(id), Freshness::Consistent).await?;
        stored.filter(has_begun).as_ref().map(body).transpose()
    }

    /// The heads of the rollouts before the cursor `before`, newest first. One that cannot be read is logged and left
    /// out.
    ///
    /// # Errors
    /// If the table does not answer.
    pub async fn rollouts(&self, before: Option<&str>, limit: usize) -> Result<Page<Rollout>, StoreError> {
        let limit = limit.clamp(1, GET_AT_ONCE);
        let count = i32::try_from(limit).unwrap_or(i32::MAX);
        let entries =
            self.query(ROLLOUTS, Direction::Before(before), Some(count), Freshness::Consistent).await?;
        let ids: Vec<RolloutId> = entries.items.iter().filter_map(id_of_entry).collect();
        let keys: Vec<Key> = ids.iter().map(Key::rollout).collect();
        let found = self.get_many(&keys, Freshness::Consistent).await?;
        let mut heads: Vec<Rollout> =
            found.iter().filter(|item| has_begun(item)).filter_map(readable).collect();
        heads.sort_by_key(|head| ids.iter().position(|id| *id == head.id));
        let next = entries.items.last().filter(|_| entries.items.len() == limit);
        Ok(Page { items: heads, next: next.map(|entry| sort_key(entry).to_owned()) })
    }

    /// One row of a rollout, as it is now.
    ///
    /// # Errors
    /// If the table does not answer, or the item is not readable.
    pub async fn row(&self, id: &RolloutId, index: u32) -> Result<Option<Row>, StoreError> {
        self.get(&Key::row(id, index), Freshness::Consistent).await?.as_ref().map(body).transpose()
    }

    /// The rows of a rollout in their order, beginning with the index `from`: at most `limit`, and at most 500.
    ///
    /// # Errors
    /// If the table does not answer, or an item is not readable: none may be missing, as the order is counted on.
    pub async fn rows(&self, id: &RolloutId, from: u32, limit: usize) -> Result<Vec<Row>, StoreError> {
        self.row_items(id, from, limit.clamp(1, ROWS_MAX)).await?.iter().map(body).collect()
    }

    async fn row_items(&self, id: &RolloutId, from: u32, limit: usize) -> Result<Vec<Item>, StoreError> {
        let (partition, mut rows) = (rollout_partition(id), Vec::new());
        let mut after = match from.checked_sub(1) {
            Some(before) => Key::row(id, before).sk,
            None => ROW_PREFIX.to_owned(),
        };
        while rows.len() < limit {
            let count = i32::try_from(limit - rows.len()).unwrap_or(i32::MAX);
            let page =
                self.query(&partition, Direction::After(&after), Some(count), Freshness::Consistent).await?;
            rows.extend(page.items);
            let Some(last) = page.after else { break };
            after = last;
        }
        Ok(rows)
    }

    /// The services that were given up half-way through an update and not yet found again, by id.
    ///
    /// # Errors
    /// If the table does not answer.
    pub async fn strays(&self) -> Result<Vec<ServiceId>, StoreError> {
        let items = self.query_all(STRAYS, Freshness::Consistent, STRAY_PAGES).await?;
        Ok(items.iter().filter_map(|item| sort_key(item).parse().ok()).collect())
    }
}

/// False of the stub that a head is while its rows are written.
fn has_begun(head: &Item) -> bool {
    head.contains_key("version")
}

fn id_of_entry(entry: &Item) -> Option<RolloutId> {
    sort_key(entry).split_once('#')?.1.parse().ok()
}

fn readable(head: &Item) -> Option<Rollout> {
    body(head).inspect_err(|error| tracing::error!(%error, "a rollout is left out of the list")).ok()
}
