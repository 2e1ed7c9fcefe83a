//! Writes a decision down: the watch, its step, its notices and its event row, all or nothing.
//!
//! A rollout's decisions are written down in `moves.rs`, from the same parts.

use lamplighter_core::Moment;
use lamplighter_core::decision::{AuditEntry, Decision, Effect, LiveEvent, Step};
use lamplighter_core::notice::Notice;
use lamplighter_core::watch::Watch;

use crate::condition::{Condition, Wording};
use crate::fleet::Placed;
use crate::item::{COMMIT, Item, Key, ShardNo, item, number, text};
use crate::lease::{Lease, ShardLease};
use crate::wire::{Part, Transacted};
use crate::{Store, StoreError};

/// What became of a commit.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Commit {
    /// It took place.
    Done {
        /// What it added to the shard's `fleet_version`: what was cached at a version, and changed as committed, is
        /// good at that version plus this, unless somebody else wrote too, which the next claim shows.
        added: u64,
    },
    /// Nothing took place: what it was decided upon is no longer so. Look again.
    Stale,
}

/// By what right a commit is made.
#[derive(Debug, Clone, Copy)]
pub enum Fence<'a> {
    /// The sweep of a shard.
    Shard(&'a ShardLease),
    /// A right of the whole env.
    Lease(&'a Lease),
    /// A person asked. Only the versions protect it.
    Person,
}

/// What is written beside the items that a commit is decided upon.
#[derive(Debug, Default)]
pub(crate) struct Gathered {
    parts: Vec<Part>,
    events: Vec<LiveEvent>,
    audit: Vec<AuditEntry>,
}

impl Gathered {
    /// Only the audit trail.
    pub(crate) fn recorded(audit: Vec<AuditEntry>) -> Gathered {
        Gathered { audit, ..Gathered::default() }
    }

    /// A transaction touches an item once: the last word on it counts.
    fn write(&mut self, part: Part) {
        self.parts.retain(|other| other.key() != part.key());
        self.parts.push(part);
    }
}

impl Store {
    /// Commits what was decided for `placed`, if it is still as it was read and the fence still stands.
    ///
    /// # Errors
    /// If the table does not answer: whether the commit took place is then not known, and nothing may be acted upon.
    pub async fn commit(
        &self,
        fence: Fence<'_>,
        placed: &Placed,
        decision: &Decision,
    ) -> Result<Commit, StoreError> {
        let mark = self.mark();
        let mut parts = self.fence_parts(fence, placed.shard);
        parts.push(self.watch_part(placed, &decision.next, &mark)?);
        let gathered = self.gather(decision.effects.iter(), Some(placed.shard))?;
        let name = format!("{}#{}", placed.spec.id, decision.next.version);
        Ok(match self.write_down(&mark, parts, gathered, Some(name)).await? {
            Transacted::Done => Commit::Done { added: 1 },
            Transacted::Refused | Transacted::Conflict => Commit::Stale,
        })
    }

    /// What effects come to. A restart can be intended only of a service of `shard`.
    pub(crate) fn gather<'a>(
        &self,
        effects: impl Iterator<Item = &'a Effect>,
        shard: Option<ShardNo>,
    ) -> Result<Gathered, StoreError> {
        let mut gathered = Gathered::default();
        for effect in effects {
            match effect {
                Effect::OpenStep(opened) => {
                    gathered.write(Part::Put(step_item(opened, shard)?, Wording::new()))
                }
                Effect::CloseStep(service) => {
                    gathered.write(Part::Delete(Key::step(service), Wording::new()))
                }
                Effect::Tell(notice) => gathered.write(self.notice_part(notice)?),
                Effect::Publish(event) => gathered.events.push(event.clone()),
                Effect::Record(entry) => gathered.audit.push(entry.clone()),
                Effect::Stray(service) => {
                    gathered.write(Part::Put(Key::stray(service).attributes(), Wording::new()));
                }
                Effect::Found(service) => gathered.write(Part::Delete(Key::stray(service), Wording::new())),
            }
        }
        Ok(gathered)
    }

    /// Carries out `parts` and what was gathered as one transaction under `mark`. All that was shown and recorded goes
    /// into one event row called `name`, or after the mark.
    pub(crate) async fn write_down(
        &self,
        mark: &str,
        mut parts: Vec<Part>,
        gathered: Gathered,
        name: Option<String>,
    ) -> Result<Transacted, StoreError> {
        let Gathered { parts: beside, events, audit } = gathered;
        parts.extend(beside);
        // Kept until the transaction has ended, whichever way.
        let mut filed = None;
        if let Some(at) = first_moment(&events, &audit) {
            let name = name.unwrap_or_else(|| format!("-#{mark}"));
            let (row, place) = self.event_row(at, &name, events, audit)?;
            parts.push(Part::Put(row, Wording::new()));
            filed = Some(place);
        }
        let transacted = self.transact(mark, parts).await;
        drop(filed);
        transacted
    }

    /// The shard's part of a commit, and the check of a named lease: what refuses a holder whose time is over.
    pub(crate) fn fence_parts(&self, fence: Fence<'_>, shard: ShardNo) -> Vec<Part> {
        let mut counted = Wording::update("ADD #fleet_version :one").with(":one", number(1));
        if let Fence::Shard(lease) = fence
            && lease.shard() == shard
        {
            counted = self.at_shard_epoch(counted, lease);
            return vec![Part::Update(Key::shard(shard), counted)];
        }
        let mut parts = vec![Part::Update(Key::shard(shard), counted)];
        parts.extend(self.fence_check(fence));
        parts
    }

    /// The check of a fence by itself, for commits that do not touch the item it stands on.
    pub(crate) fn fence_check(&self, fence: Fence<'_>) -> Option<Part> {
        match fence {
            Fence::Shard(lease) => {
                Some(Part::Check(Key::shard(lease.shard()), self.at_shard_epoch(Wording::new(), lease)))
            }
            Fence::Lease(lease) => {
                let check = Wording::new().when(
                    self,
                    Condition::LeaseEpoch,
                    "#epoch = :epoch",
                    [(":epoch", number(lease.epoch))],
                );
                Some(Part::Check(Key::lease(lease.name.as_str()), check))
            }
            Fence::Person => None,
        }
    }

    fn at_shard_epoch(&self, wording: Wording, lease: &ShardLease) -> Wording {
        wording.when(self, Condition::ShardEpoch, "#epoch = :epoch", [(":epoch", number(lease.epoch))])
    }

    pub(crate) fn watch_part(&self, placed: &Placed, next: &Watch, mark: &str) -> Result<Part, StoreError> {
        let key = Key::watch(placed.shard, &placed.spec.id);
        let read = placed.watch.version;
        if next.version != read + 1 || next.service != placed.spec.id {
            let because =
                format!("version {} of `{}` does not follow version {read}", next.version, next.service);
            return Err(StoreError::BadItem { key: key.sk, because });
        }
        let mut watch = item(&key, next)?;
        watch.insert(COMMIT.to_owned(), text(mark));
        let unchanged = Wording::new().when(
            self,
            Condition::WatchVersion,
            "#version = :version",
            [(":version", number(read))],
        );
        Ok(Part::Put(watch, unchanged))
    }

    pub(crate) fn notice_part(&self, notice: &Notice) -> Result<Part, StoreError> {
        let stored: Item = item(&Key::notice(notice.at, &notice.id), notice)?;
        let absent = Wording::new().when(self, Condition::NoticeIsNew, "attribute_not_exists(#pk)", []);
        Ok(Part::Put(stored, absent))
    }
}

fn step_item(step: &Step, shard: Option<ShardNo>) -> Result<Item, StoreError> {
    let key = Key::step(&step.service);
    let Some(shard) = shard else {
        let because = "a restart is intended of a service that is not committed with it".to_owned();
        return Err(StoreError::BadItem { key: key.sk, because });
    };
    let mut stored = item(&key, step)?;
    stored.insert("shard".to_owned(), number(shard.number()));
    Ok(stored)
}

fn first_moment(events: &[LiveEvent], audit: &[AuditEntry]) -> Option<Moment> {
    let events = events.iter().map(|event| event.timestamp);
    events.chain(audit.iter().map(|entry| entry.at)).min()
}
