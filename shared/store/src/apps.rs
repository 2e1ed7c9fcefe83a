//! What is remembered of an app between rollouts: which is active, what did harm, which push waits.

use lamplighter_core::decision::AuditEntry;
use lamplighter_core::name::AppName;
use lamplighter_core::rollout::AppState;

use crate::commit::{Commit, Gathered};
use crate::condition::Condition;
use crate::item::{APPS, COMMIT, Key, body, item, text};
use crate::wire::{Freshness, Part, Transacted};
use crate::{Store, StoreError};

/// Pages of a megabyte that apps may fill: an env has tens of them, of a few KiB each.
const APP_PAGES: usize = 16;

impl Store {
    /// What is remembered of `app`; a state of version 0 if it never had a rollout.
    ///
    /// # Errors
    /// If the table does not answer, or the item is not readable.
    pub async fn app_state(&self, app: &AppName) -> Result<AppState, StoreError> {
        match self.get(&Key::app(app), Freshness::Consistent).await? {
            Some(stored) => body(&stored),
            None => Ok(AppState::new(app.clone())),
        }
    }

    /// Every app that something is remembered of, by name. An item that cannot be read is logged and left out.
    ///
    /// # Errors
    /// If the table does not answer.
    pub async fn app_states(&self) -> Result<Vec<AppState>, StoreError> {
        let items = self.query_all(APPS, Freshness::Consistent, APP_PAGES).await?;
        let readable = items.iter().filter_map(|item| {
            body(item).inspect_err(|error| tracing::error!(%error, "an app's state is not readable")).ok()
        });
        Ok(readable.collect())
    }

    /// Replaces the state that `next` follows, and records `audit` in the same transaction.
    ///
    /// # Errors
    /// If the table does not answer.
    pub async fn put_app_state(&self, next: &AppState, audit: Vec<AuditEntry>) -> Result<Commit, StoreError> {
        let mark = self.mark();
        let parts = vec![self.app_part(next, &mark)?];
        let recorded = Gathered::recorded(audit);
        Ok(match self.write_down(&mark, parts, recorded, None).await? {
            Transacted::Done => Commit::Done { added: 0 },
            Transacted::Refused | Transacted::Conflict => Commit::Stale,
        })
    }

    pub(crate) fn app_part(&self, next: &AppState, mark: &str) -> Result<Part, StoreError> {
        let mut stored = item(&Key::app(&next.app), next)?;
        stored.insert(COMMIT.to_owned(), text(mark));
        let unchanged = self.at_version(Condition::AppVersion, next.version.saturating_sub(1));
        Ok(Part::Put(stored, unchanged))
    }
}
