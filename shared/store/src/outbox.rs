//! Notices that wait for the courier: put there by the commits they tell of, taken away once they are delivered.

use lamplighter_core::Moment;
use lamplighter_core::notice::Notice;

use crate::condition::{Condition, Wording};
use crate::item::{Item, Key, OUTBOX, body, count, millis, moment, number};
use crate::lease::{CONFLICT_TRIES, conflict};
use crate::wire::{Direction, Freshness, Written};
use crate::{Store, StoreError};

/// Pages of the outbox looked through for notices that are due, past those that are put off.
const OUTBOX_PAGES: usize = 16;
/// Notices read at once.
const OUTBOX_PAGE: i32 = 100;

/// A notice in the outbox.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StoredNotice {
    /// The news.
    pub notice: Notice,
    /// Deliveries tried.
    pub attempts: u32,
    /// Not to be tried before.
    pub not_before: Option<Moment>,
}

impl StoredNotice {
    fn read(item: &Item) -> Result<StoredNotice, StoreError> {
        Ok(StoredNotice {
            notice: body(item)?,
            attempts: u32::try_from(count(item, "attempts")).unwrap_or(u32::MAX),
            not_before: moment(item, "not_before"),
        })
    }

    fn key(&self) -> Key {
        Key::notice(self.notice.at, &self.notice.id)
    }
}

impl Store {
    /// The oldest notices, at most `limit`; those that were put off are among them, as later news of the same service
    /// has to wait for them.
    ///
    /// # Errors
    /// If the table does not answer.
    pub async fn outbox(&self, limit: usize) -> Result<Vec<StoredNotice>, StoreError> {
        let mut waiting = Vec::new();
        let mut after: Option<String> = None;
        for _ in 0..OUTBOX_PAGES {
            let direction = after.as_deref().map_or(Direction::Prefix(""), Direction::After);
            let page = self.query(OUTBOX, direction, Some(OUTBOX_PAGE), Freshness::Consistent).await?;
            for item in &page.items {
                match StoredNotice::read(item) {
                    Ok(stored) => waiting.push(stored),
                    Err(error) => tracing::error!(%error, "a notice is not readable"),
                }
                if waiting.len() == limit {
                    return Ok(waiting);
                }
            }
            after = page.after;
            if after.is_none() {
                break;
            }
        }
        Ok(waiting)
    }

    /// Takes a delivered notice out. Doing so twice is harmless.
    ///
    /// # Errors
    /// If the table does not answer: it may be delivered once more then, under the same id.
    pub async fn settle_notice(&self, stored: &StoredNotice) -> Result<(), StoreError> {
        self.delete(&stored.key()).await
    }

    /// Puts a notice off that could not be delivered.
    ///
    /// # Errors
    /// If the table does not answer.
    pub async fn defer_notice(
        &self,
        stored: &StoredNotice,
        attempts: u32,
        not_before: Moment,
    ) -> Result<(), StoreError> {
        for _ in 0..CONFLICT_TRIES {
            let put_off = Wording::update("SET #attempts = :attempts, #not_before = :not_before")
                .with(":attempts", number(attempts))
                .with(":not_before", millis(not_before))
                .when(self, Condition::NoticeIsThere, "attribute_exists(#pk)", []);
            match self.update(&stored.key(), put_off).await? {
                // Refused: another courier has delivered it meanwhile.
                Written::Done(_) | Written::Refused(_) => return Ok(()),
                Written::Conflict => {}
            }
        }
        Err(conflict("putting a notice off"))
    }
}
