//! What holds for the whole env: its settings and its blindness guard.

use lamplighter_core::blindness::Blindness;
use lamplighter_core::notice::Notice;
use lamplighter_core::settings::Settings;

use crate::commit::{Commit, Fence};
use crate::condition::{Condition, Wording};
use crate::item::{COMMIT, Key, META, body, count, item, number, required, sort_key, string, text, value};
use crate::open::SCHEMA;
use crate::wire::{Freshness, Part, Transacted, Written};
use crate::{Store, StoreError};

/// Pages of what holds for the whole env: four items, of which only the settings can be large.
const META_PAGES: usize = 2;

impl Store {
    /// The env's settings with their version; the defaults with version 0 if nobody has set any.
    ///
    /// Every verb begins with them, so the table's schema is looked at in the same read, at the same price: a function
    /// that was warm when a newer one was deployed beside it does nothing more once that has raised the schema.
    ///
    /// # Errors
    /// If the table does not answer, has a newer schema by now, or the item is not readable.
    pub async fn settings(&self) -> Result<(u64, Settings), StoreError> {
        let about_the_env = self.query_all(META, Freshness::Eventual, META_PAGES).await?;
        let one = |key: &Key| about_the_env.iter().find(|item| sort_key(item) == key.sk);
        let theirs = one(&Key::schema()).map_or(SCHEMA, |schema| count(schema, "schema"));
        if theirs > SCHEMA {
            return Err(StoreError::NewerSchema { theirs, ours: SCHEMA });
        }
        match one(&Key::settings()) {
            Some(stored) => Ok((count(stored, "version"), required(stored, "settings")?)),
            None => Ok((0, Settings::default())),
        }
    }

    /// Replaces the settings read at `version`.
    ///
    /// # Errors
    /// If the table does not answer.
    pub async fn put_settings(&self, version: u64, settings: &Settings) -> Result<Commit, StoreError> {
        let (key, mark) = (Key::settings(), self.mark());
        let mut stored = key.attributes();
        stored.insert("version".to_owned(), number(version + 1));
        stored.insert("settings".to_owned(), value(&key, settings)?);
        stored.insert(COMMIT.to_owned(), text(&mark));
        let unchanged = self.at_version(Condition::SettingsVersion, version);
        Ok(match self.put(stored, unchanged).await? {
            Written::Done(_) => Commit::Done { added: 0 },
            Written::Refused(old) if string(&old, COMMIT) == Some(&mark) => Commit::Done { added: 0 },
            Written::Refused(_) | Written::Conflict => Commit::Stale,
        })
    }

    /// The blindness guard as it stands; version 0 if it never held.
    ///
    /// # Errors
    /// If the table does not answer, or the item is not readable.
    pub async fn blindness(&self) -> Result<Blindness, StoreError> {
        match self.get(&Key::blindness(), Freshness::Consistent).await? {
            Some(stored) => body(&stored),
            None => Ok(Blindness::default()),
        }
    }

    /// Replaces the guard that `next` follows, and tells `tell` in the same transaction.
    ///
    /// # Errors
    /// If the table does not answer.
    pub async fn put_blindness(
        &self,
        fence: Fence<'_>,
        next: &Blindness,
        tell: &[Notice],
    ) -> Result<Commit, StoreError> {
        let (key, mark) = (Key::blindness(), self.mark());
        let mut stored = item(&key, next)?;
        stored.insert(COMMIT.to_owned(), text(&mark));
        let unchanged = self.at_version(Condition::BlindnessVersion, next.version.saturating_sub(1));
        let mut parts = vec![Part::Put(stored, unchanged)];
        parts.extend(self.fence_check(fence));
        for notice in tell {
            parts.push(self.notice_part(notice)?);
        }
        Ok(match self.transact(&mark, parts).await? {
            Transacted::Done => Commit::Done { added: 0 },
            Transacted::Refused | Transacted::Conflict => Commit::Stale,
        })
    }

    /// The item is at `version`, 0 meaning that there is none.
    pub(crate) fn at_version(&self, condition: Condition, version: u64) -> Wording {
        match version {
            0 => Wording::new().when(self, condition, "attribute_not_exists(#pk)", []),
            version => {
                Wording::new().when(self, condition, "#version = :version", [(":version", number(version))])
            }
        }
    }
}
