//! The fleet: specs and watches, where they live, and how they come and go.
//!
//! The version law: whatever changes a spec or a watch adds to that item's `version` and, in the same transaction, the
//! same amount to its shard's `fleet_version`. So the versions in a shard, with those `departed`, add up to
//! `fleet_version`, and a cheap read can be checked.

use lamplighter_core::Moment;
use lamplighter_core::name::ServiceId;
use lamplighter_core::spec::ServiceSpec;
use lamplighter_core::watch::Watch;

use crate::condition::{Condition, Wording};
use crate::item::{
    COMMIT, Item, Key, SERVICES_PER_SHARD, SHARDS_MAX, ShardNo, count, item, millis, nested, number, text,
    value,
};
use crate::lease::{CONFLICT_TRIES, conflict};
use crate::shard::ShardSummary;
use crate::wire::{Freshness, Part, Transacted};
use crate::{Store, StoreError};

/// A service as it is stored: what a person says of it, and what is remembered of it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Placed {
    /// What a person says.
    pub spec: ServiceSpec,
    /// Rises by one with every change of the spec: its ETag.
    pub spec_version: u64,
    /// What is remembered.
    pub watch: Watch,
    /// The shard it lives in.
    pub shard: ShardNo,
    /// When it was created; a service that was removed and came back is new. None if the item does not say: a service
    /// is looked after all the same.
    pub created_at: Option<Moment>,
    /// When its spec was last changed.
    pub updated_at: Option<Moment>,
}

impl Placed {
    /// The cursor after this service in [`Store::list_services`].
    #[must_use]
    pub fn cursor(&self) -> String {
        format!("{}#{}", self.shard, self.spec.id)
    }
}

/// What a writer of a spec expects to find.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Expected {
    /// Whatever there is.
    Any,
    /// Nothing: the service is new.
    Absent,
    /// Exactly this version of the spec.
    Version(u64),
}

/// What became of a spec.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Put {
    /// The service is new, or back.
    Created {
        /// The spec's version.
        version: u64,
    },
    /// The spec was replaced.
    Replaced {
        /// The spec's new version.
        version: u64,
    },
    /// It was already so; nothing was written.
    Unchanged {
        /// The spec's version.
        version: u64,
    },
    /// What is there is not what was expected; nothing was written.
    Stale,
}

/// What became of a removal.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Removed {
    /// The service is gone; its place remembers its versions and its action number, should it come back.
    Done,
    /// There was no such service.
    Absent,
    /// What is there is not what was expected; nothing was written.
    Stale,
}

/// Where a service lives, or lived.
struct Place {
    shard: ShardNo,
    gone: bool,
    spec_version: u64,
    watch_version: u64,
    action_no: u64,
}

/// What one try came to; a conflict is tried again.
enum Try<T> {
    Settled(T),
    Again,
}

impl Store {
    /// Makes `spec` the spec of its service, which is created if there is none.
    ///
    /// # Errors
    /// If the table does not answer, or the env is full.
    pub async fn put_service(
        &self,
        spec: &ServiceSpec,
        expected: Expected,
        now: Moment,
    ) -> Result<Put, StoreError> {
        for _ in 0..CONFLICT_TRIES {
            let place = self.place(&spec.id).await?;
            let tried = match &place {
                Some(place) if !place.gone => self.replace(spec, expected, place, now).await?,
                Some(_) | None => self.create(spec, expected, place.as_ref(), now).await?,
            };
            if let Try::Settled(put) = tried {
                return Ok(put);
            }
        }
        Err(conflict("storing a service"))
    }

    /// Removes a service: its spec, its watch, its step, and what is owed to it as a stray. Notices of it that wait are still delivered.
    ///
    /// # Errors
    /// If the table does not answer.
    pub async fn delete_service(
        &self,
        id: &ServiceId,
        expected: Expected,
        now: Moment,
    ) -> Result<Removed, StoreError> {
        for _ in 0..CONFLICT_TRIES {
            let Some(placed) = self.load_service(id).await? else { return Ok(Removed::Absent) };
            let is_expected = match expected {
                Expected::Any => true,
                Expected::Absent => false,
                Expected::Version(version) => version == placed.spec_version,
            };
            if !is_expected {
                return Ok(Removed::Stale);
            }
            let mark = self.mark();
            let parts = self.removal(&placed, &mark, now);
            if self.transact(&mark, parts).await? == Transacted::Done {
                return Ok(Removed::Done);
            }
        }
        Err(conflict("removing a service"))
    }

    fn removal(&self, placed: &Placed, mark: &str, now: Moment) -> Vec<Part> {
        let (id, shard) = (&placed.spec.id, placed.shard);
        let versions = placed.spec_version + placed.watch.version;
        // One more than the versions that leave, so that the sum holds and the cache key still changes.
        let counted = Wording::update("ADD #fleet_version :one, #departed :departed, #services :less")
            .with(":one", number(1))
            .with(":departed", number(versions + 1))
            .with(":less", number(-1));
        let unchanged = Wording::new().when(
            self,
            Condition::WatchVersion,
            "#version = :version",
            [(":version", number(placed.watch.version))],
        );
        let mut grave = Key::place(id).attributes();
        grave.insert("shard".to_owned(), number(shard.number()));
        grave.insert("gone_at".to_owned(), millis(now));
        grave.insert("spec_version".to_owned(), number(placed.spec_version));
        grave.insert("watch_version".to_owned(), number(placed.watch.version));
        grave.insert("action_no".to_owned(), number(placed.watch.action_no));
        grave.insert(COMMIT.to_owned(), text(mark));
        vec![
            Part::Update(Key::shard(shard), counted),
            Part::Delete(Key::watch(shard, id), unchanged),
            Part::Delete(Key::spec(shard, id), Wording::new()),
            Part::Delete(Key::step(id), Wording::new()),
            Part::Delete(Key::stray(id), Wording::new()),
            Part::Put(grave, Wording::new()),
        ]
    }

    async fn replace(
        &self,
        spec: &ServiceSpec,
        expected: Expected,
        place: &Place,
        now: Moment,
    ) -> Result<Try<Put>, StoreError> {
        let (shard, mark) = (place.shard, self.mark());
        let Some(stored) = self.get(&Key::spec(shard, &spec.id), Freshness::Consistent).await? else {
            // It went between the two reads.
            return Ok(Try::Again);
        };
        let version = count(&stored, "version");
        let is_expected = match expected {
            Expected::Any => true,
            Expected::Absent => false,
            Expected::Version(wanted) => wanted == version,
        };
        if !is_expected {
            return Ok(Try::Settled(Put::Stale));
        }
        // An unreadable spec is replaced like any other: that is how it is mended.
        if crate::item::required::<ServiceSpec>(&stored, "spec").is_ok_and(|stored| stored == *spec) {
            return Ok(Try::Settled(Put::Unchanged { version }));
        }
        let counted = Wording::update("ADD #fleet_version :two").with(":two", number(2));
        let unchanged = Wording::new().when(
            self,
            Condition::SpecVersion,
            "#version = :version",
            [(":version", number(version))],
        );
        // The watch's version rises with the spec's: whatever was decided upon the older spec is refused.
        let outdated = Wording::update("SET #commit = :mark ADD #version :one")
            .with(":one", number(1))
            .with(":mark", text(&mark));
        let created_at = created_at(&stored);
        let stamp = Stamp { version: version + 1, created_at, updated_at: now };
        let parts = vec![
            Part::Update(Key::shard(shard), counted),
            Part::Put(spec_item(shard, spec, stamp, &mark)?, unchanged),
            Part::Update(Key::watch(shard, &spec.id), outdated),
        ];
        Ok(match self.transact(&mark, parts).await? {
            Transacted::Done => Try::Settled(Put::Replaced { version: version + 1 }),
            Transacted::Refused | Transacted::Conflict => Try::Again,
        })
    }

    async fn create(
        &self,
        spec: &ServiceSpec,
        expected: Expected,
        grave: Option<&Place>,
        now: Moment,
    ) -> Result<Try<Put>, StoreError> {
        match expected {
            Expected::Any | Expected::Absent => {}
            Expected::Version(_) => return Ok(Try::Settled(Put::Stale)),
        }
        let mark = self.mark();
        let room = self.shard_with_room(grave.map(|grave| grave.shard)).await?;
        // A service that comes back goes on where it left: its notices keep distinct ids, and its host has seen its
        // action numbers.
        let spec_version = grave.map_or(0, |grave| grave.spec_version) + 1;
        let mut watch = Watch::new(spec.id.clone(), now);
        watch.version = grave.map_or(0, |grave| grave.watch_version) + 1;
        watch.action_no = grave.map_or(watch.action_no, |grave| grave.action_no.max(watch.action_no));
        watch.totals.first_sweep = room.sweeps;
        let stamp = Stamp { version: spec_version, created_at: Some(now), updated_at: now };
        let parts = self.creation(room.shard, spec, stamp, &watch, grave, &mark)?;
        Ok(match self.transact(&mark, parts).await? {
            Transacted::Done => Try::Settled(Put::Created { version: spec_version }),
            Transacted::Refused | Transacted::Conflict => Try::Again,
        })
    }

    fn creation(
        &self,
        shard: ShardNo,
        spec: &ServiceSpec,
        stamp: Stamp,
        watch: &Watch,
        grave: Option<&Place>,
        mark: &str,
    ) -> Result<Vec<Part>, StoreError> {
        let counted = Wording::update("ADD #fleet_version :versions, #services :one")
            .with(":versions", number(stamp.version + watch.version))
            .with(":one", number(1))
            .when(
                self,
                Condition::ShardHasRoom,
                "attribute_not_exists(#services) OR #services < :most",
                [(":most", number(SERVICES_PER_SHARD))],
            );
        let mut place = Key::place(&spec.id).attributes();
        place.insert("shard".to_owned(), number(shard.number()));
        place.insert(COMMIT.to_owned(), text(mark));
        let free = match grave {
            None => Wording::new().when(self, Condition::PlaceIsFree, "attribute_not_exists(#pk)", []),
            Some(grave) => Wording::new().when(
                self,
                Condition::PlaceIsFree,
                "attribute_exists(#gone_at) AND #watch_version = :watch",
                [(":watch", number(grave.watch_version))],
            ),
        };
        Ok(vec![
            Part::Update(Key::shard(shard), counted),
            Part::Put(place, free),
            Part::Put(spec_item(shard, spec, stamp, mark)?, Wording::new()),
            Part::Put(item(&Key::watch(shard, &spec.id), watch)?, Wording::new()),
        ])
    }

    /// The shard a service goes to: where it was, if there is room, or the first with room, or a new one.
    async fn shard_with_room(&self, before: Option<ShardNo>) -> Result<ShardSummary, StoreError> {
        let shards = self.shards().await?;
        let mut with_room = shards.iter().filter(|shard| shard.services < SERVICES_PER_SHARD);
        let back =
            shards.iter().find(|shard| Some(shard.shard) == before && shard.services < SERVICES_PER_SHARD);
        if let Some(found) = back.or_else(|| with_room.next()) {
            return Ok(found.clone());
        }
        let next = match shards.last() {
            Some(last) => last.shard.next(),
            None => Some(ShardNo::FIRST),
        };
        match next {
            Some(shard) => Ok(ShardSummary { shard, ..ShardSummary::default() }),
            None => Err(StoreError::EnvFull { limit: u32::from(SHARDS_MAX) * SERVICES_PER_SHARD }),
        }
    }

    pub(crate) async fn shard_of(&self, id: &ServiceId) -> Result<Option<ShardNo>, StoreError> {
        Ok(self.place(id).await?.filter(|place| !place.gone).map(|place| place.shard))
    }

    async fn place(&self, id: &ServiceId) -> Result<Option<Place>, StoreError> {
        let key = Key::place(id);
        let Some(stored) = self.get(&key, Freshness::Consistent).await? else { return Ok(None) };
        let shard = u16::try_from(count(&stored, "shard")).ok().and_then(ShardNo::new);
        let shard = shard.ok_or_else(|| StoreError::BadItem {
            key: key.pk,
            because: "its shard is out of range".to_owned(),
        })?;
        Ok(Some(Place {
            shard,
            gone: stored.contains_key("gone_at"),
            spec_version: count(&stored, "spec_version"),
            watch_version: count(&stored, "watch_version"),
            action_no: count(&stored, "action_no"),
        }))
    }
}

/// What is kept beside a spec.
#[derive(Clone, Copy)]
struct Stamp {
    version: u64,
    created_at: Option<Moment>,
    updated_at: Moment,
}

fn spec_item(shard: ShardNo, spec: &ServiceSpec, stamp: Stamp, mark: &str) -> Result<Item, StoreError> {
    let key = Key::spec(shard, &spec.id);
    let mut stored = key.attributes();
    stored.insert("version".to_owned(), number(stamp.version));
    stored.insert("spec".to_owned(), value(&key, spec)?);
    if let Some(created_at) = stamp.created_at {
        stored.insert(CREATED_AT.to_owned(), value(&key, &created_at)?);
    }
    stored.insert(UPDATED_AT.to_owned(), value(&key, &stamp.updated_at)?);
    stored.insert(COMMIT.to_owned(), text(mark));
    Ok(stored)
}

const CREATED_AT: &str = "created_at";
const UPDATED_AT: &str = "updated_at";

/// When the service of this spec item was created, if the item says so legibly.
pub(crate) fn created_at(stored: &Item) -> Option<Moment> {
    nested(stored, CREATED_AT).ok().flatten()
}

/// When this spec item was last changed, if it says so legibly.
pub(crate) fn updated_at(stored: &Item) -> Option<Moment> {
    nested(stored, UPDATED_AT).ok().flatten()
}
