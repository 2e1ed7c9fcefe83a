//! Rights that end by themselves: a shard's, for one sweep; and the named ones, of `recover`, `advance` and the courier.
//!
//! A lease saves work. What keeps writes right is its epoch, which every claim raises and every commit names.

use lamplighter_core::Moment;
use lamplighter_core::report::SweepReport;

use crate::condition::{Condition, Wording};
use crate::item::{COMMIT, Item, Key, ShardNo, count, millis, moment, number, string, text, value};
use crate::shard::ShardSummary;
use crate::wire::Written;
use crate::{Commit, Store, StoreError};

/// What became of a claim.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Claim<L> {
    /// It is ours.
    Won(L),
    /// Somebody else holds it.
    Held {
        /// Who, by their process's name.
        by: String,
        /// Until when, unless they free it before.
        until: Moment,
        /// The tick they claimed it for; 0 for a lease without ticks.
        tick: u64,
    },
    /// The tick is not later than the last one claimed: a duplicate, or late.
    Past,
}

/// A shard, held for one sweep.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ShardLease {
    /// The fencing token: every commit under this lease names it.
    pub epoch: u64,
    /// Who holds it.
    pub owner: String,
    /// The tick it is held for.
    pub tick: u64,
    /// Until when.
    pub until: Moment,
    /// The shard as it was when it was claimed.
    pub summary: ShardSummary,
}

impl ShardLease {
    /// The shard held.
    #[must_use]
    pub fn shard(&self) -> ShardNo {
        self.summary.shard
    }
}

/// Which right of the whole env.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum LeaseName {
    /// To restart services.
    Recover,
    /// To deliver notices.
    Courier,
    /// To move rollouts on.
    Advance,
}

impl LeaseName {
    /// Every named lease.
    pub const ALL: [LeaseName; 3] = [LeaseName::Recover, LeaseName::Courier, LeaseName::Advance];

    /// The lease's sort key.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            LeaseName::Recover => "recover",
            LeaseName::Courier => "courier",
            LeaseName::Advance => "advance",
        }
    }
}

/// A right of the whole env, held.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Lease {
    /// Which.
    pub name: LeaseName,
    /// The fencing token: every commit under this lease names it.
    pub epoch: u64,
    /// Who holds it.
    pub owner: String,
    /// Until when.
    pub until: Moment,
}

/// Tries of a write that met another transaction at its item: the other one is over within milliseconds.
pub(crate) const CONFLICT_TRIES: u32 = 5;

impl Store {
    /// Claims `shard` for the sweep of `tick`, until `until`. `owner` is unique to this life of the process.
    ///
    /// # Errors
    /// If the table does not answer. The claim may then hold until it runs out.
    pub async fn claim_shard(
        &self,
        shard: ShardNo,
        tick: u64,
        owner: &str,
        now: Moment,
        until: Moment,
    ) -> Result<Claim<ShardLease>, StoreError> {
        // The mark, not only owner and tick, tells our own doubled write from another delivery of the same tick.
        let mark = self.mark();
        let claim = Wording::update(
            "SET #owner = :owner, #tick = :tick, #lease_until = :until, #commit = :mark ADD #epoch :one",
        )
        .with(":owner", text(owner))
        .with(":tick", number(tick))
        .with(":until", millis(until))
        .with(":mark", text(&mark))
        .with(":one", number(1))
        .when(
            self,
            Condition::ShardIsFree,
            "attribute_not_exists(#owner) OR #lease_until <= :now",
            [(":now", millis(now))],
        )
        .when(self, Condition::TickIsNew, "attribute_not_exists(#tick) OR #tick < :tick", []);
        match self.update(&Key::shard(shard), claim).await? {
            Written::Done(item) => Ok(Claim::Won(shard_lease(&item, owner, tick, until)?)),
            Written::Refused(item) if string(&item, COMMIT) == Some(&mark) => {
                Ok(Claim::Won(shard_lease(&item, owner, tick, until)?))
            }
            Written::Refused(item) if item.contains_key("tick") && count(&item, "tick") >= tick => {
                Ok(Claim::Past)
            }
            Written::Refused(item) => Ok(held(&item)),
            Written::Conflict => Err(conflict("claiming a shard")),
        }
    }

    /// Ends the sweep of `lease`: its report is kept, and the shard is free.
    ///
    /// # Errors
    /// If the table does not answer.
    pub async fn finish_sweep(
        &self,
        lease: &ShardLease,
        report: &SweepReport,
        now: Moment,
    ) -> Result<Commit, StoreError> {
        let (key, mark) = (Key::shard(lease.shard()), self.mark());
        for _ in 0..CONFLICT_TRIES {
            let finish = Wording::update(
                "SET #report = :report, #swept_at = :now, #commit = :mark REMOVE #owner, #lease_until ADD #sweeps :one",
            )
            .with(":report", value(&key, report)?)
            .with(":now", millis(now))
            .with(":mark", text(&mark))
            .with(":one", number(1))
            .when(
                self,
                Condition::SweepIsOurs,
                "#epoch = :epoch AND #owner = :owner",
                [(":epoch", number(lease.epoch)), (":owner", text(&lease.owner))],
            );
            match self.update(&key, finish).await? {
                Written::Done(_) => return Ok(Commit::Done { added: 0 }),
                Written::Refused(item) if string(&item, COMMIT) == Some(&mark) => {
                    return Ok(Commit::Done { added: 0 });
                }
                Written::Refused(_) => return Ok(Commit::Stale),
                Written::Conflict => {}
            }
        }
        Err(conflict("finishing a sweep"))
    }

    /// Claims a right of the whole env, until `until`.
    ///
    /// # Errors
    /// If the table does not answer. The claim may then hold until it runs out.
    pub async fn claim_lease(
        &self,
        name: LeaseName,
        owner: &str,
        now: Moment,
        until: Moment,
    ) -> Result<Claim<Lease>, StoreError> {
        let mark = self.mark();
        let claim =
            Wording::update("SET #owner = :owner, #lease_until = :until, #commit = :mark ADD #epoch :one")
                .with(":owner", text(owner))
                .with(":until", millis(until))
                .with(":mark", text(&mark))
                .with(":one", number(1))
                .when(
                    self,
                    Condition::LeaseIsFree,
                    "attribute_not_exists(#owner) OR #lease_until <= :now",
                    [(":now", millis(now))],
                );
        let won = |item: &Item| {
            Claim::Won(Lease { name, epoch: count(item, "epoch"), owner: owner.to_owned(), until })
        };
        match self.update(&Key::lease(name.as_str()), claim).await? {
            Written::Done(item) => Ok(won(&item)),
            Written::Refused(item) if string(&item, COMMIT) == Some(&mark) => Ok(won(&item)),
            Written::Refused(item) => Ok(held(&item)),
            Written::Conflict => Err(conflict("claiming a lease")),
        }
    }

    /// Holds `lease` until `until`, if it is still ours, run out or not.
    ///
    /// # Errors
    /// If the table does not answer.
    pub async fn renew_lease(&self, lease: &Lease, until: Moment) -> Result<Claim<Lease>, StoreError> {
        for _ in 0..CONFLICT_TRIES {
            let renewal = self
                .if_ours(Wording::update("SET #lease_until = :until").with(":until", millis(until)), lease);
            match self.update(&Key::lease(lease.name.as_str()), renewal).await? {
                Written::Done(_) => return Ok(Claim::Won(Lease { until, ..lease.clone() })),
                Written::Refused(item) => return Ok(held(&item)),
                Written::Conflict => {}
            }
        }
        Err(conflict("renewing a lease"))
    }

    /// Frees `lease`. If it is no longer ours, nothing is done.
    ///
    /// # Errors
    /// If the table does not answer. The lease then runs out by itself.
    pub async fn free_lease(&self, lease: &Lease) -> Result<(), StoreError> {
        for _ in 0..CONFLICT_TRIES {
            let freeing = self.if_ours(Wording::update("REMOVE #owner, #lease_until"), lease);
            match self.update(&Key::lease(lease.name.as_str()), freeing).await? {
                Written::Done(_) | Written::Refused(_) => return Ok(()),
                Written::Conflict => {}
            }
        }
        Err(conflict("freeing a lease"))
    }

    fn if_ours(&self, wording: Wording, lease: &Lease) -> Wording {
        wording.when(
            self,
            Condition::LeaseIsOurs,
            "#epoch = :epoch AND #owner = :owner",
            [(":epoch", number(lease.epoch)), (":owner", text(&lease.owner))],
        )
    }
}

fn shard_lease(item: &Item, owner: &str, tick: u64, until: Moment) -> Result<ShardLease, StoreError> {
    let summary = ShardSummary::read(item)?;
    Ok(ShardLease { epoch: count(item, "epoch"), owner: owner.to_owned(), tick, until, summary })
}

fn held<L>(item: &Item) -> Claim<L> {
    Claim::Held {
        by: string(item, "owner").unwrap_or("nobody").to_owned(),
        until: moment(item, "lease_until").unwrap_or(Moment::EPOCH),
        tick: count(item, "tick"),
    }
}

pub(crate) fn conflict(doing: &'static str) -> StoreError {
    StoreError::Unavailable { operation: doing, because: "another transaction was at the item".to_owned() }
}
