//! The shards of an env, as far as a service's view needs them.

use std::collections::BTreeMap;

use lamplighter_store::{ShardNo, ShardSummary, Store, StoreError};

/// The shards by number.
pub(crate) struct Shards(BTreeMap<ShardNo, ShardSummary>);

impl Shards {
    /// Reads them.
    pub(crate) async fn read(store: &Store) -> Result<Shards, StoreError> {
        let shards = store.shards().await?;
        Ok(Shards(shards.into_iter().map(|shard| (shard.shard, shard)).collect()))
    }

    /// One of them.
    pub(crate) fn of(&self, shard: ShardNo) -> Option<&ShardSummary> {
        self.0.get(&shard)
    }
}
