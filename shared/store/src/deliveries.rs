//! The deliveries of webhooks: each is acted on once, and remembered with what became of it.
//!
//! A delivery is known by the id its sender gave it and by the hash of its body. Both are remembered in the same
//! transaction as what the delivery causes, so it is neither lost nor acted on twice, whenever the program dies.

use std::time::Duration;

use lamplighter_core::Moment;
use lamplighter_core::decision::AuditEntry;
use lamplighter_core::hook::Ask;
use lamplighter_core::rollout::AppState;
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use crate::commit::Gathered;
use crate::condition::{Condition, Wording};
use crate::item::{
    COMMIT, EXPIRES_AT, Item, Key, body, expiry, is_expired, item, millis_text, number, sort_key, string,
    text,
};
use crate::lease::{CONFLICT_TRIES, conflict};
use crate::page::Page;
use crate::wire::{Direction, Freshness, Part, Transacted, Written};
use crate::{Store, StoreError};

/// How long a delivery is remembered. Senders let a person send one again for three days.
pub const DELIVERY_KEPT: Duration = Duration::from_secs(7 * 86_400);
/// Most deliveries of one page.
const PAGE_MAX: usize = 100;
/// Longest outcome that is kept, in characters: a sentence.
const OUTCOME_CHARS: usize = 500;

/// One call of a webhook that was let in.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Delivery {
    /// The hook it came by.
    pub hook: String,
    /// What its sender calls it.
    pub id: String,
    /// What it is, as its sender says: `push`, `ping`.
    pub event: String,
    /// The SHA-256 of its body in hexadecimal. None where equal bodies are not the same call.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub body_hash: Option<String>,
    /// When it came.
    pub at: Moment,
    /// What it asks for, if anything: what is asked for again where a person has it acted on once more.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub asks: Option<Ask>,
    /// What became of it, in the operator's words.
    pub outcome: String,
}

/// What a delivery causes, in the same transaction that remembers it.
#[derive(Debug, Clone, Copy)]
pub enum Causes<'a> {
    /// Nothing: it is only remembered.
    Nothing,
    /// A push waits for its rollout: the app's state becomes this, which follows the state that was read.
    Push(&'a AppState),
}

/// What became of a delivery at the door.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Received {
    /// It is new, and what it causes was committed.
    New,
    /// It was received before, as this one: nothing was done.
    Again(Box<Delivery>),
    /// What it causes was decided upon a state that has changed: nothing was done. Look again.
    Stale,
}

impl Store {
    /// Remembers a delivery and commits what it causes, once.
    ///
    /// # Errors
    /// If the table does not answer: the sender may be told to deliver it again, as it is then acted on once.
    pub async fn begin_delivery(
        &self,
        delivery: &Delivery,
        causes: Causes<'_>,
        audit: Vec<AuditEntry>,
    ) -> Result<Received, StoreError> {
        let mark = self.mark();
        let record = record_key(&delivery.hook, delivery.at, &delivery.id);
        let mut stored = item(&record, delivery)?;
        stored.insert(EXPIRES_AT.to_owned(), expiry(delivery.at, DELIVERY_KEPT));
        let mut parts = vec![Part::Put(stored, Wording::new())];
        for name in names(delivery) {
            let mut known = name.attributes();
            known.insert("record".to_owned(), text(&record.sk));
            known.insert(COMMIT.to_owned(), text(&mark));
            known.insert(EXPIRES_AT.to_owned(), expiry(delivery.at, DELIVERY_KEPT));
            let new = Wording::new().when(
                self,
                Condition::DeliveryIsNew,
                "attribute_not_exists(#pk) OR #expires_at <= :now",
                [(":now", number(delivery.at.as_secs()))],
            );
            parts.push(Part::Put(known, new));
        }
        match causes {
            Causes::Nothing => {}
            Causes::Push(app) => parts.push(self.app_part(app, &mark)?),
        }
        match self.write_down(&mark, parts, Gathered::recorded(audit), None).await? {
            Transacted::Done => Ok(Received::New),
            Transacted::Refused | Transacted::Conflict => {
                let before = self.received_before(delivery).await?;
                Ok(before.map_or(Received::Stale, |before| Received::Again(Box::new(before))))
            }
        }
    }

    async fn received_before(&self, delivery: &Delivery) -> Result<Option<Delivery>, StoreError> {
        for name in names(delivery) {
            if let Some(before) = self.known_as(&delivery.hook, &name, delivery.at).await? {
                return Ok(Some(before));
            }
        }
        Ok(None)
    }

    async fn known_as(&self, hook: &str, name: &Key, now: Moment) -> Result<Option<Delivery>, StoreError> {
        let known = self.get(name, Freshness::Consistent).await?.filter(|known| !is_expired(known, now));
        let Some(record) = known.as_ref().and_then(|known| string(known, "record")) else { return Ok(None) };
        let record = Key::new(records(hook), record);
        self.get(&record, Freshness::Consistent).await?.as_ref().map(body).transpose()
    }

    /// A delivery of `hook` by the id its sender gave it.
    ///
    /// # Errors
    /// If the table does not answer, or the item is not readable.
    pub async fn delivery(&self, hook: &str, id: &str, now: Moment) -> Result<Option<Delivery>, StoreError> {
        self.known_as(hook, &id_key(hook, id), now).await
    }

    /// The deliveries of `hook` before the cursor `before`, newest first.
    ///
    /// # Errors
    /// If the table does not answer.
    pub async fn deliveries(
        &self,
        hook: &str,
        before: Option<&str>,
        limit: usize,
        now: Moment,
    ) -> Result<Page<Delivery>, StoreError> {
        let limit = limit.clamp(1, PAGE_MAX);
        let count = i32::try_from(limit).unwrap_or(i32::MAX);
        let direction = Direction::Before(before);
        let page = self.query(&records(hook), direction, Some(count), Freshness::Consistent).await?;
        let kept = page.items.iter().filter(|item| !is_expired(item, now));
        let next = page.items.last().filter(|_| page.items.len() == limit);
        let next = next.map(|item| sort_key(item).to_owned());
        Ok(Page { items: kept.filter_map(readable).collect(), next })
    }

    /// Says what has become of a delivery since: that its rollout has begun, or why there is none. Nothing happens if it
    /// is no longer remembered.
    ///
    /// # Errors
    /// If the table does not answer.
    pub async fn settle_delivery(
        &self,
        hook: &str,
        id: &str,
        outcome: &str,
        now: Moment,
    ) -> Result<(), StoreError> {
        let Some(delivery) = self.delivery(hook, id, now).await? else { return Ok(()) };
        let key = record_key(hook, delivery.at, id);
        let outcome: String = outcome.chars().take(OUTCOME_CHARS).collect();
        for _ in 0..CONFLICT_TRIES {
            let settled = Wording::update("SET #outcome = :outcome").with(":outcome", text(&outcome)).when(
                self,
                Condition::DeliveryIsThere,
                "attribute_exists(#pk)",
                [],
            );
            match self.update(&key, settled).await? {
                Written::Done(_) | Written::Refused(_) => return Ok(()),
                Written::Conflict => {}
            }
        }
        Err(conflict("settling a delivery"))
    }
}

fn readable(item: &Item) -> Option<Delivery> {
    body(item).inspect_err(|error| tracing::error!(%error, "a delivery is left out of the list")).ok()
}

/// What a delivery is known by.
fn names(delivery: &Delivery) -> Vec<Key> {
    let body = delivery.body_hash.as_deref();
    let by_body = body.map(|hash| Key::new(known(&delivery.hook), format!("BODY#{}", digest(hash))));
    std::iter::once(id_key(&delivery.hook, &delivery.id)).chain(by_body).collect()
}

/// Ids are their senders': as keys they are hashed, whatever is in them and however long they are.
fn id_key(hook: &str, id: &str) -> Key {
    Key::new(known(hook), format!("ID#{}", digest(id)))
}

fn record_key(hook: &str, at: Moment, id: &str) -> Key {
    Key::new(records(hook), format!("{}#{}", millis_text(at.as_millis()), digest(id)))
}

/// The partition of a hook's deliveries, in the order in which they came.
fn records(hook: &str) -> String {
    format!("DELIVERIES#{hook}")
}

/// The partition of what they are known by.
fn known(hook: &str) -> String {
    format!("KNOWN#{hook}")
}

fn digest(text: &str) -> String {
    Sha256::digest(text.as_bytes()).iter().map(|byte| format!("{byte:02x}")).collect()
}
