//! What a shard's one item says of it.

use lamplighter_core::Moment;
use lamplighter_core::report::SweepReport;

use crate::item::{Item, SHARDS, ShardNo, count, moment, nested, sort_key, string};
use crate::wire::Freshness;
use crate::{Store, StoreError};

/// Pages of shard items: 200 of them fit one.
const SHARD_PAGES: usize = 4;

/// A shard, without its services.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct ShardSummary {
    /// Which shard.
    pub shard: ShardNo,
    /// Changes with every change of a spec or a watch in it: what is cached of the shard is cached by this.
    pub fleet_version: u64,
    /// The part of `fleet_version` that belongs to services that are gone.
    pub departed: u64,
    /// Services in it.
    pub services: u32,
    /// Sweeps finished.
    pub sweeps: u64,
    /// The last tick claimed.
    pub tick: Option<u64>,
    /// Until when a sweep holds it, if one does.
    pub held_until: Option<Moment>,
    /// The last finished sweep.
    pub report: Option<SweepReport>,
    /// When that finished.
    pub swept_at: Option<Moment>,
}

impl ShardSummary {
    pub(crate) fn read(item: &Item) -> Result<ShardSummary, StoreError> {
        let number = sort_key(item).parse::<u16>().ok().and_then(ShardNo::new);
        let shard = number.ok_or_else(|| StoreError::BadItem {
            key: format!("{SHARDS}/{}", sort_key(item)),
            because: "its number is out of range".to_owned(),
        })?;
        Ok(ShardSummary {
            shard,
            fleet_version: count(item, "fleet_version"),
            departed: count(item, "departed"),
            services: u32::try_from(count(item, "services")).unwrap_or(u32::MAX),
            sweeps: count(item, "sweeps"),
            tick: item.contains_key("tick").then(|| count(item, "tick")),
            held_until: string(item, "owner").and_then(|_| moment(item, "lease_until")),
            report: nested(item, "report")?,
            swept_at: moment(item, "swept_at"),
        })
    }
}

impl Store {
    /// Every shard of the env, in order. A new env has none.
    ///
    /// # Errors
    /// If the table does not answer, or an item is not readable.
    pub async fn shards(&self) -> Result<Vec<ShardSummary>, StoreError> {
        self.shards_read(Freshness::Consistent).await
    }

    /// The same at half the price, and maybe a second old: for what the next tick mends.
    ///
    /// # Errors
    /// As for [`Store::shards`].
    pub async fn shards_as_last_heard(&self) -> Result<Vec<ShardSummary>, StoreError> {
        self.shards_read(Freshness::Eventual).await
    }

    async fn shards_read(&self, freshness: Freshness) -> Result<Vec<ShardSummary>, StoreError> {
        let items = self.query_all(SHARDS, freshness, SHARD_PAGES).await?;
        items.iter().map(ShardSummary::read).collect()
    }
}
