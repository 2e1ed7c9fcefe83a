//! Items as the table holds them: keys, attributes, and bodies written so that a console can be read.

use std::collections::HashMap;
use std::fmt;
use std::time::Duration;

use aws_sdk_dynamodb::types::AttributeValue;
use lamplighter_core::Moment;
use lamplighter_core::name::{AppName, ServiceId};
use lamplighter_core::version::RolloutId;
use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::StoreError;

/// One item, by attribute name.
pub(crate) type Item = HashMap<String, AttributeValue>;

/// The partition key's attribute.
pub(crate) const PK: &str = "pk";
/// The sort key's attribute.
pub(crate) const SK: &str = "sk";
/// Epoch seconds after which an item may be swept away. Never a lease's end: sweeping is days late at times.
pub(crate) const EXPIRES_AT: &str = "expires_at";
/// Marks the write an item came from, so that a doubled write knows its own work.
pub(crate) const COMMIT: &str = "commit";

/// Most services of one shard: what one function call looks at within its deadline.
pub const SERVICES_PER_SHARD: u32 = 500;
/// Most shards of one env: 100,000 services.
pub const SHARDS_MAX: u16 = 200;

/// A share of an env's services that one sweep handles, `000` to `199`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct ShardNo(u16);

impl ShardNo {
    /// The shard every env begins with.
    pub const FIRST: ShardNo = ShardNo(0);

    /// The shard of this number, if there can be one.
    #[must_use]
    pub fn new(number: u16) -> Option<ShardNo> {
        (number < SHARDS_MAX).then_some(ShardNo(number))
    }

    /// Its number.
    #[must_use]
    pub fn number(self) -> u16 {
        self.0
    }

    pub(crate) fn next(self) -> Option<ShardNo> {
        ShardNo::new(self.0 + 1)
    }
}

impl fmt::Display for ShardNo {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:03}", self.0)
    }
}

/// Where an item stands.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Key {
    pub(crate) pk: String,
    pub(crate) sk: String,
}

impl Key {
    pub(crate) fn new(pk: impl Into<String>, sk: impl Into<String>) -> Self {
        Self { pk: pk.into(), sk: sk.into() }
    }

    pub(crate) fn schema() -> Self {
        Self::new(META, "SCHEMA")
    }

    pub(crate) fn settings() -> Self {
        Self::new(META, "SETTINGS")
    }

    pub(crate) fn blindness() -> Self {
        Self::new(META, "BLINDNESS")
    }

    pub(crate) fn importing() -> Self {
        Self::new(META, "IMPORTING")
    }

    pub(crate) fn shard(shard: ShardNo) -> Self {
        Self::new(SHARDS, shard.to_string())
    }

    pub(crate) fn spec(shard: ShardNo, id: &ServiceId) -> Self {
        Self::new(shard_partition(shard), format!("{SPEC_PREFIX}{id}"))
    }

    pub(crate) fn watch(shard: ShardNo, id: &ServiceId) -> Self {
        Self::new(shard_partition(shard), format!("{WATCH_PREFIX}{id}"))
    }

    pub(crate) fn place(id: &ServiceId) -> Self {
        Self::new(format!("SERVICE#{id}"), "PLACE")
    }

    pub(crate) fn step(id: &ServiceId) -> Self {
        Self::new(STEPS, id.as_str())
    }

    pub(crate) fn stray(id: &ServiceId) -> Self {
        Self::new(STRAYS, id.as_str())
    }

    pub(crate) fn lease(name: &str) -> Self {
        Self::new(LEASES, name)
    }

    pub(crate) fn notice(at: Moment, id: &str) -> Self {
        Self::new(OUTBOX, format!("{}#{id}", millis_text(at.as_millis())))
    }

    pub(crate) fn token(hash: &str) -> Self {
        Self::new(TOKENS, hash)
    }

    pub(crate) fn idempotency(key_hash: &str) -> Self {
        Self::new("IDEMPOTENCY", key_hash)
    }

    pub(crate) fn app(app: &AppName) -> Self {
        Self::new(APPS, app.as_str())
    }

    pub(crate) fn rollout(id: &RolloutId) -> Self {
        Self::new(rollout_partition(id), "HEAD")
    }

    /// Ten digits: every number of a row sorts as text.
    pub(crate) fn row(id: &RolloutId, index: u32) -> Self {
        Self::new(rollout_partition(id), format!("{ROW_PREFIX}{index:010}"))
    }

    pub(crate) fn rollout_entry(created_at: Moment, id: &RolloutId) -> Self {
        Self::new(ROLLOUTS, format!("{}#{id}", millis_text(created_at.as_millis())))
    }

    pub(crate) fn attributes(&self) -> Item {
        HashMap::from([(PK.to_owned(), text(&self.pk)), (SK.to_owned(), text(&self.sk))])
    }
}

pub(crate) const META: &str = "META";
pub(crate) const SHARDS: &str = "SHARDS";
pub(crate) const STEPS: &str = "STEPS";
pub(crate) const STRAYS: &str = "STRAYS";
pub(crate) const LEASES: &str = "LEASES";
pub(crate) const OUTBOX: &str = "OUTBOX";
pub(crate) const TOKENS: &str = "TOKENS";
pub(crate) const APPS: &str = "APPS";
pub(crate) const ROLLOUTS: &str = "ROLLOUTS";
pub(crate) const ROW_PREFIX: &str = "ROW#";
pub(crate) const SPEC_PREFIX: &str = "SPEC#";
pub(crate) const WATCH_PREFIX: &str = "WATCH#";

pub(crate) fn shard_partition(shard: ShardNo) -> String {
    format!("SHARD#{shard}")
}

pub(crate) fn rollout_partition(id: &RolloutId) -> String {
    format!("ROLLOUT#{id}")
}

/// Thirteen digits sort as text in the order of time until the year 2286.
pub(crate) fn millis_text(millis: i64) -> String {
    format!("{millis:013}")
}

pub(crate) fn text(value: impl Into<String>) -> AttributeValue {
    AttributeValue::S(value.into())
}

pub(crate) fn number(value: impl fmt::Display) -> AttributeValue {
    AttributeValue::N(value.to_string())
}

pub(crate) fn millis(at: Moment) -> AttributeValue {
    number(at.as_millis())
}

/// The item of `key` with `body`'s fields as its attributes.
pub(crate) fn item<T: Serialize>(key: &Key, body: &T) -> Result<Item, StoreError> {
    let mut item: Item = serde_dynamo::aws_sdk_dynamodb_1::to_item(body)
        .map_err(|error| StoreError::BadItem { key: shown(key), because: error.to_string() })?;
    item.extend(key.attributes());
    Ok(item)
}

/// One nested value.
pub(crate) fn value<T: Serialize>(key: &Key, body: &T) -> Result<AttributeValue, StoreError> {
    serde_dynamo::aws_sdk_dynamodb_1::to_attribute_value(body)
        .map_err(|error| StoreError::BadItem { key: shown(key), because: error.to_string() })
}

/// Reads an item's attributes as `T`.
pub(crate) fn body<T: DeserializeOwned>(item: &Item) -> Result<T, StoreError> {
    serde_dynamo::aws_sdk_dynamodb_1::from_item(item.clone())
        .map_err(|error| StoreError::BadItem { key: key_of(item), because: error.to_string() })
}

/// Reads one nested value, if it is there.
pub(crate) fn nested<T: DeserializeOwned>(item: &Item, name: &str) -> Result<Option<T>, StoreError> {
    let Some(value) = item.get(name) else { return Ok(None) };
    serde_dynamo::aws_sdk_dynamodb_1::from_attribute_value(value.clone())
        .map(Some)
        .map_err(|error| StoreError::BadItem { key: key_of(item), because: format!("`{name}`: {error}") })
}

/// Reads one nested value that must be there.
pub(crate) fn required<T: DeserializeOwned>(item: &Item, name: &str) -> Result<T, StoreError> {
    nested(item, name)?
        .ok_or_else(|| StoreError::BadItem { key: key_of(item), because: format!("`{name}` is missing") })
}

/// A number, absent or unreadable being 0: for counters that begin that way.
pub(crate) fn count(item: &Item, name: &str) -> u64 {
    item.get(name).and_then(|value| value.as_n().ok()).and_then(|digits| digits.parse().ok()).unwrap_or(0)
}

/// A moment kept in milliseconds.
pub(crate) fn moment(item: &Item, name: &str) -> Option<Moment> {
    let digits = item.get(name)?.as_n().ok()?;
    digits.parse().ok().map(Moment::from_millis)
}

/// A string.
pub(crate) fn string<'a>(item: &'a Item, name: &str) -> Option<&'a str> {
    item.get(name)?.as_s().ok().map(String::as_str)
}

/// An item's sort key.
pub(crate) fn sort_key(item: &Item) -> &str {
    string(item, SK).unwrap_or_default()
}

/// When an item of `at` may be swept away, if it is kept for `kept`.
pub(crate) fn expiry(at: Moment, kept: Duration) -> AttributeValue {
    number((at + kept).as_secs())
}

/// True once an item is past its time, whether or not it has been swept away yet.
pub(crate) fn is_expired(item: &Item, now: Moment) -> bool {
    item.get(EXPIRES_AT)
        .and_then(|value| value.as_n().ok())
        .and_then(|digits| digits.parse::<i64>().ok())
        .is_some_and(|at| at <= now.as_secs())
}

fn key_of(item: &Item) -> String {
    format!("{}/{}", string(item, PK).unwrap_or("?"), sort_key(item))
}

fn shown(key: &Key) -> String {
    format!("{}/{}", key.pk, key.sk)
}
