//! Reading the fleet: a whole shard cheaply, one service exactly, the open steps.

use std::collections::BTreeMap;

use lamplighter_core::decision::Step;
use lamplighter_core::name::ServiceId;
use lamplighter_core::spec::ServiceSpec;
use lamplighter_core::watch::Watch;

use crate::fleet::{Placed, created_at, updated_at};
use crate::item::{
    Item, Key, SPEC_PREFIX, STEPS, ShardNo, WATCH_PREFIX, body, count, required, shard_partition, sort_key,
};
use crate::page::Page;
use crate::shard::ShardSummary;
use crate::wire::{Direction, Freshness};
use crate::{Store, StoreError};

/// Pages of a megabyte that one shard may fill: 500 services at the largest spec and watch fit.
const SHARD_PAGES: usize = 16;
/// Pages of a megabyte that open steps may fill: every service of a full env could have one.
const STEP_PAGES: usize = 64;
/// Most services of one page of a list: their specs, and their watches, must each fit a page of a megabyte.
const LIST_LIMIT_MAX: usize = 200;

/// What one read of a shard's partition found.
struct Partition {
    placed: Vec<Placed>,
    specs: u64,
    versions: u64,
}

impl Store {
    /// Every service of `shard`, in the order of their ids, at least as new as the summary says: read cheaply if the
    /// versions add up, and otherwise again, consistently. An item that cannot be read is logged and left out.
    ///
    /// # Errors
    /// If the table does not answer.
    pub async fn load_shard(&self, shard: &ShardSummary) -> Result<Vec<Placed>, StoreError> {
        let cheap = self.read_partition(shard.shard, Freshness::Eventual).await?;
        let adds_up = cheap.versions + shard.departed == shard.fleet_version
            && cheap.specs == u64::from(shard.services);
        if adds_up {
            return Ok(cheap.placed);
        }
        Ok(self.read_partition(shard.shard, Freshness::Consistent).await?.placed)
    }

    async fn read_partition(&self, shard: ShardNo, freshness: Freshness) -> Result<Partition, StoreError> {
        let items = self.query_all(&shard_partition(shard), freshness, SHARD_PAGES).await?;
        let versions = items.iter().map(|item| count(item, "version")).sum();
        let (mut specs, mut watches) = (BTreeMap::new(), BTreeMap::new());
        for item in &items {
            if let Some(id) = sort_key(item).strip_prefix(SPEC_PREFIX) {
                specs.insert(id, item);
            } else if let Some(id) = sort_key(item).strip_prefix(WATCH_PREFIX) {
                watches.insert(id, item);
            }
        }
        let placed = specs.iter().filter_map(|(id, spec)| {
            let read = placed(shard, spec, watches.get(id).copied());
            read.inspect_err(|error| tracing::error!(service = id, %error, "left out of the sweep")).ok()
        });
        Ok(Partition { placed: placed.collect(), specs: specs.len() as u64, versions })
    }

    /// One service, as it is now.
    ///
    /// # Errors
    /// If the table does not answer, or its items are not readable.
    pub async fn load_service(&self, id: &ServiceId) -> Result<Option<Placed>, StoreError> {
        let Some(shard) = self.shard_of(id).await? else { return Ok(None) };
        // The watch first: its version rises with the spec's, so a change in between is refused at the commit.
        let watch = self.get(&Key::watch(shard, id), Freshness::Consistent).await?;
        let Some(spec) = self.get(&Key::spec(shard, id), Freshness::Consistent).await? else {
            return Ok(None);
        };
        if watch.is_none() {
            return Ok(None);
        }
        placed(shard, &spec, watch.as_ref()).map(Some)
    }

    /// The services of the env, shard by shard and by id, after the cursor `after`.
    ///
    /// # Errors
    /// If the table does not answer, or the cursor is not one of ours.
    pub async fn list_services(&self, after: Option<&str>, limit: usize) -> Result<Page<Placed>, StoreError> {
        let limit = limit.clamp(1, LIST_LIMIT_MAX);
        let (mut from_shard, mut from_id) = match after {
            Some(cursor) => read_cursor(cursor)?,
            None => (ShardNo::FIRST, String::new()),
        };
        let mut items: Vec<Placed> = Vec::new();
        for shard in self.shards().await?.iter().filter(|shard| shard.services > 0) {
            if shard.shard < from_shard {
                continue;
            }
            if shard.shard > from_shard {
                (from_shard, from_id) = (shard.shard, String::new());
            }
            let wanted = limit - items.len();
            let found = self.list_shard(from_shard, &from_id, wanted).await?;
            items.extend(found);
            if items.len() == limit {
                let next = items.last().map(Placed::cursor);
                return Ok(Page { items, next });
            }
        }
        Ok(Page { items, next: None })
    }

    async fn list_shard(&self, shard: ShardNo, after: &str, limit: usize) -> Result<Vec<Placed>, StoreError> {
        let mut found: Vec<Placed> = Vec::new();
        let mut after = after.to_owned();
        while found.len() < limit {
            let specs = self.range(shard, SPEC_PREFIX, &after, limit).await?;
            let watches = self.range(shard, WATCH_PREFIX, &after, limit).await?;
            let Some((last, _)) = specs.last_key_value() else { break };
            after.clone_from(last);
            let read = specs.iter().filter_map(|(id, spec)| {
                let read = placed(shard, spec, watches.get(id));
                read.inspect_err(|error| tracing::error!(service = id, %error, "left out of the list")).ok()
            });
            let room = limit - found.len();
            found.extend(read.take(room));
        }
        Ok(found)
    }

    /// The items of one kind after the id `after`, by id.
    async fn range(
        &self,
        shard: ShardNo,
        prefix: &str,
        after: &str,
        limit: usize,
    ) -> Result<BTreeMap<String, Item>, StoreError> {
        let (from, limit) = (format!("{prefix}{after}"), i32::try_from(limit).unwrap_or(i32::MAX));
        let direction = Direction::After(&from);
        let page = self.query(&shard_partition(shard), direction, Some(limit), Freshness::Consistent).await?;
        // Specs sort before watches, so a range of specs may run on into those.
        let of_kind = page.items.into_iter().filter_map(|item| {
            let id = sort_key(&item).strip_prefix(prefix)?.to_owned();
            Some((id, item))
        });
        Ok(of_kind.collect())
    }

    /// Every open step with the shard of its service, in the order of service ids.
    ///
    /// # Errors
    /// If the table does not answer.
    pub async fn steps(&self) -> Result<Vec<(Step, ShardNo)>, StoreError> {
        let items = self.query_all(STEPS, Freshness::Consistent, STEP_PAGES).await?;
        let steps = items.iter().filter_map(|item| {
            let step = body::<Step>(item);
            let step = step.inspect_err(|error| tracing::error!(%error, "a step is not readable")).ok()?;
            let shard = u16::try_from(count(item, "shard")).ok().and_then(ShardNo::new)?;
            Some((step, shard))
        });
        Ok(steps.collect())
    }
}

fn placed(shard: ShardNo, spec: &Item, watch: Option<&Item>) -> Result<Placed, StoreError> {
    let spec_version = count(spec, "version");
    let (created_at, updated_at) = (created_at(spec), updated_at(spec));
    let spec: ServiceSpec = required(spec, "spec")?;
    let Some(watch) = watch else {
        let because = "its watch is missing".to_owned();
        return Err(StoreError::BadItem { key: spec.id.to_string(), because });
    };
    let watch: Watch = body(watch)?;
    Ok(Placed { spec, spec_version, watch, shard, created_at, updated_at })
}

fn read_cursor(cursor: &str) -> Result<(ShardNo, String), StoreError> {
    let parts = cursor.split_once('#').and_then(|(shard, id)| {
        let shard = shard.parse().ok().and_then(ShardNo::new)?;
        Some((shard, id.to_owned()))
    });
    parts.ok_or_else(|| StoreError::Refused {
        operation: "listing services",
        because: "the cursor is not one this list gave".to_owned(),
    })
}
