//! The event rows: one for every commit, holding what the live channels show and what the audit trail keeps.

use std::time::Duration;

use lamplighter_core::Moment;
use lamplighter_core::decision::{AuditEntry, LiveEvent};
use lamplighter_core::name::ServiceId;

use crate::condition::Wording;
use crate::filing::Filed;
use crate::item::{EXPIRES_AT, Item, Key, is_expired, millis_text, nested, number, sort_key, value};
use crate::page::Page;
use crate::wire::{Direction, Freshness, QueryPage};
use crate::{Store, StoreError};

/// How long events and the audit trail are kept.
pub const EVENTS_KEPT: Duration = Duration::from_secs(30 * DAY_SECS);
const DAY_SECS: u64 = 86_400;
/// The days that a list may have to look through.
const DAYS: u64 = EVENTS_KEPT.as_secs() / DAY_SECS + 1;
/// Most queries one list makes: it then ends early, with a cursor to go on from.
const QUERIES: u64 = DAYS + 16;
/// Most rows of one page.
const ROWS_MAX: usize = 500;

/// What one commit showed and recorded.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct EventRow {
    /// Where it stands in the order of rows: text that sorts, `1767321000000#vps-001#17`.
    pub cursor: String,
    /// What the live channels show.
    pub events: Vec<LiveEvent>,
    /// What the audit trail keeps.
    pub audit: Vec<AuditEntry>,
}

impl EventRow {
    fn read(item: &Item) -> Result<EventRow, StoreError> {
        let cursor = sort_key(item).to_owned();
        let (events, audit) = (nested(item, "events")?, nested(item, "audit")?);
        Ok(EventRow { cursor, events: events.unwrap_or_default(), audit: audit.unwrap_or_default() })
    }

    fn concerns(&self, service: &ServiceId) -> bool {
        self.events.iter().any(|event| event.service == *service)
            || self.audit.iter().any(|entry| entry.service.as_ref() == Some(service))
    }
}

impl Store {
    /// Records what a person did that changes no watch.
    ///
    /// # Errors
    /// If the table does not answer.
    pub async fn record(&self, audit: Vec<AuditEntry>) -> Result<(), StoreError> {
        let Some(at) = audit.iter().map(|entry| entry.at).min() else { return Ok(()) };
        let (row, _filed) = self.event_row(at, &format!("-#{}", self.mark()), Vec::new(), audit)?;
        self.put(row, Wording::new()).await.map(|_| ())
    }

    /// The item of one row, and its place in the order of rows, to be kept until the row is written: so a reader who
    /// goes on from a cursor misses none, whatever the order in which rows were decided and written.
    pub(crate) fn event_row(
        &self,
        at: Moment,
        name: &str,
        events: Vec<LiveEvent>,
        audit: Vec<AuditEntry>,
    ) -> Result<(Item, Filed), StoreError> {
        let place = self.inner.filing.file(at.as_millis());
        let filed = Moment::from_millis(place.millis);
        let key = Key::new(partition(&filed.day()), format!("{}#{name}", millis_text(filed.as_millis())));
        let mut row = key.attributes();
        if !events.is_empty() {
            row.insert("events".to_owned(), value(&key, &events)?);
        }
        if !audit.is_empty() {
            row.insert("audit".to_owned(), value(&key, &audit)?);
        }
        row.insert(EXPIRES_AT.to_owned(), number((filed + EVENTS_KEPT).as_secs()));
        Ok((row, place))
    }

    /// The rows after `cursor`, oldest first; without one, those of today. `next` is where to go on, always. A row of
    /// this process that others may still be written before is held back until they are.
    ///
    /// # Errors
    /// If the table does not answer.
    pub async fn events_after(
        &self,
        cursor: Option<&str>,
        limit: usize,
        now: Moment,
    ) -> Result<Page<EventRow>, StoreError> {
        let limit = limit.clamp(1, ROWS_MAX);
        let oldest = now.as_secs() - i64::try_from(EVENTS_KEPT.as_secs()).unwrap_or(i64::MAX);
        let start = match cursor {
            // A cursor older than what is kept goes on from what there is.
            Some(cursor) => moment_of(cursor).unwrap_or(now).max(Moment::from_millis(oldest * 1_000)),
            None => now,
        };
        let look = self.inner.filing.look();
        let mut after = cursor.unwrap_or_default().to_owned();
        let mut rows = Vec::new();
        'days: for day in days_up(start, now) {
            loop {
                let page = self.rows_after(&day, &after, limit - rows.len()).await?;
                let not_sure_from = self.inner.filing.not_sure_from(look);
                for item in page.items.iter().filter(|item| !is_expired(item, now)) {
                    let filed = moment_of(sort_key(item)).map(Moment::as_millis);
                    if not_sure_from.is_some_and(|from| filed.is_some_and(|filed| filed >= from)) {
                        break 'days;
                    }
                    after = sort_key(item).to_owned();
                    rows.extend(readable(item));
                }
                if rows.len() >= limit || page.after.is_none() {
                    break;
                }
            }
            if rows.len() >= limit {
                break;
            }
        }
        Ok(Page { items: rows, next: (!after.is_empty()).then_some(after) })
    }

    async fn rows_after(&self, day: &str, after: &str, limit: usize) -> Result<QueryPage, StoreError> {
        let direction = if after.is_empty() { Direction::Prefix("") } else { Direction::After(after) };
        let limit = i32::try_from(limit.max(1)).unwrap_or(i32::MAX);
        self.query(&partition(day), direction, Some(limit), Freshness::Consistent).await
    }

    /// The newest rows of one service before `before`, newest first.
    ///
    /// # Errors
    /// If the table does not answer.
    pub async fn events_of(
        &self,
        service: &ServiceId,
        before: Option<&str>,
        limit: usize,
        now: Moment,
    ) -> Result<Page<EventRow>, StoreError> {
        self.newest(before, limit, now, |row| row.concerns(service)).await
    }

    /// The newest rows of the audit trail before `before`, newest first.
    ///
    /// # Errors
    /// If the table does not answer.
    pub async fn audit(
        &self,
        before: Option<&str>,
        limit: usize,
        now: Moment,
    ) -> Result<Page<EventRow>, StoreError> {
        self.newest(before, limit, now, |row| !row.audit.is_empty()).await
    }

    async fn newest(
        &self,
        before: Option<&str>,
        limit: usize,
        now: Moment,
        wanted: impl Fn(&EventRow) -> bool,
    ) -> Result<Page<EventRow>, StoreError> {
        let limit = limit.clamp(1, ROWS_MAX);
        let mut before = before.map(str::to_owned);
        let start = before.as_deref().and_then(moment_of).unwrap_or(now).max(self.last_filed());
        let mut rows = Vec::new();
        let mut queries = 0;
        for day in days_down(start) {
            loop {
                queries += 1;
                let direction = Direction::Before(before.as_deref());
                let page = self.query(&partition(&day), direction, None, Freshness::Eventual).await?;
                for item in page.items.iter().filter(|item| !is_expired(item, now)) {
                    before = Some(sort_key(item).to_owned());
                    rows.extend(readable(item).filter(&wanted));
                    if rows.len() == limit {
                        return Ok(Page { items: rows, next: before });
                    }
                }
                if queries >= QUERIES {
                    return Ok(Page { items: rows, next: before });
                }
                if page.after.is_none() {
                    break;
                }
            }
        }
        Ok(Page { items: rows, next: None })
    }

    /// Rows may be filed a little later than the caller's `now`.
    fn last_filed(&self) -> Moment {
        Moment::from_millis(self.inner.filing.last())
    }
}

fn partition(day: &str) -> String {
    format!("EVENTS#{day}")
}

fn readable(item: &Item) -> Option<EventRow> {
    EventRow::read(item).inspect_err(|error| tracing::error!(%error, "an event row is not readable")).ok()
}

fn moment_of(cursor: &str) -> Option<Moment> {
    cursor.split('#').next()?.parse().ok().map(Moment::from_millis)
}

/// The days from `start` to the day after `now`: a row may be filed under a clock that is a little ahead.
fn days_up(start: Moment, now: Moment) -> Vec<String> {
    let end = now + Duration::from_secs(DAY_SECS);
    let mut days = Vec::new();
    for number in 0..=DAYS + 1 {
        let day = start + Duration::from_secs(number * DAY_SECS);
        if day.day() > end.day() {
            break;
        }
        days.push(day.day());
    }
    days
}

/// The days from `start` back to the oldest that is kept.
fn days_down(start: Moment) -> Vec<String> {
    let day_millis = i64::try_from(DAY_SECS * 1_000).unwrap_or(i64::MAX);
    let days = i64::try_from(DAYS).unwrap_or(0);
    (0..=days).map(|number| Moment::from_millis(start.as_millis() - number * day_millis).day()).collect()
}
