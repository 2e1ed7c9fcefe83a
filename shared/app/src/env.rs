//! One environment: its store, its hosts, its post, and what the running process remembers of it.

use std::collections::BTreeMap;
use std::sync::Arc;

use lamplighter_core::EnvName;
use lamplighter_core::decision::{Decision, Effect, LiveEvent};
use lamplighter_notify::Place;
use lamplighter_store::{Placed, SHARDS_MAX, ShardNo, Store};
use tokio::sync::{Mutex, broadcast};

use crate::{Bell, Clock, Courier, Hosts};

/// Live events kept for a listener that reads slowly; one that falls further behind is told so and reads the table.
const LIVE_BACKLOG: usize = 1_024;

/// What an environment is made of.
pub struct EnvParts {
    /// Its name.
    pub name: EnvName,
    /// Its table.
    pub store: Store,
    /// The way to its hosts.
    pub hosts: Arc<dyn Hosts>,
    /// The way to its people.
    pub courier: Arc<dyn Courier>,
    /// What letters say about where to look.
    pub place: Place,
    /// Where `now` comes from.
    pub clock: Clock,
    /// Names this life of this process in leases: no two lives share it.
    pub owner: String,
    /// How ticks are swept here.
    pub sweeps: Sweeps,
}

/// How the shards of one tick are swept.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Sweeps {
    /// By one sweep that sees all of them, and judges the blindness guard.
    Together,
    /// Each by a sweep of its own, at once; `recover` adds up what they report, and judges the guard.
    Apart,
}

/// One environment as a running process holds it. Nothing in it is needed to go on after a crash.
pub struct Env {
    pub(crate) parts: EnvParts,
    /// Specs and watches by shard, as of a version: a sweep in which nothing changed reads nothing.
    pub(crate) cache: Mutex<BTreeMap<ShardNo, Cached>>,
    /// Shards kept in it at most.
    pub(crate) cached_most: usize,
    /// Rung when a restart was intended.
    pub recover_bell: Bell,
    /// Rung when a rollout has something to do.
    pub advance_bell: Bell,
    /// Rung when somebody is to be told.
    pub courier_bell: Bell,
    /// Rung when a sweep is asked for out of turn.
    pub sweep_bell: Bell,
    live: broadcast::Sender<LiveRow>,
}

/// A shard as it was when its version was this.
pub(crate) struct Cached {
    pub(crate) fleet_version: u64,
    /// The tick it was swept for.
    pub(crate) tick: u64,
    pub(crate) placed: Vec<Placed>,
}

/// A live event as this process saw it committed.
#[derive(Debug, Clone)]
pub struct LiveRow {
    /// The event.
    pub event: LiveEvent,
}

/// Keeps a shard, and lets those go for which there is no room.
pub(crate) fn keep(cache: &mut BTreeMap<ShardNo, Cached>, shard: ShardNo, cached: Cached, most: usize) {
    cache.insert(shard, cached);
    while cache.len() > most {
        let Some(oldest) = cache.iter().min_by_key(|(_, cached)| cached.tick).map(|(shard, _)| *shard) else {
            return;
        };
        cache.remove(&oldest);
    }
}

impl Env {
    /// An environment that has nothing in memory yet.
    #[must_use]
    pub fn new(parts: EnvParts) -> Self {
        Self {
            parts,
            cache: Mutex::default(),
            cached_most: usize::from(SHARDS_MAX),
            recover_bell: Bell::default(),
            advance_bell: Bell::default(),
            courier_bell: Bell::default(),
            sweep_bell: Bell::default(),
            live: broadcast::Sender::new(LIVE_BACKLOG),
        }
    }

    /// The same env in a process that has memory for so many shards only; the one swept longest ago goes first.
    #[must_use]
    pub fn keeping_shards(self, most: usize) -> Self {
        Self { cached_most: most, ..self }
    }

    /// Its name.
    #[must_use]
    pub fn name(&self) -> &EnvName {
        &self.parts.name
    }

    /// Its table.
    #[must_use]
    pub fn store(&self) -> &Store {
        &self.parts.store
    }

    /// Where `now` comes from.
    #[must_use]
    pub fn clock(&self) -> &Clock {
        &self.parts.clock
    }

    /// How ticks are swept here.
    #[must_use]
    pub fn sweeps(&self) -> Sweeps {
        self.parts.sweeps
    }

    /// Hears live events committed by this process from now on.
    #[must_use]
    pub fn listen(&self) -> broadcast::Receiver<LiveRow> {
        self.live.subscribe()
    }

    /// Carries out what a committed decision asks of this process: rings bells and shows live events.
    /// The rest of its effects were written down with it.
    pub(crate) fn act_on(&self, decision: &Decision) {
        self.carry_out(&decision.effects);
    }

    /// Carries out committed effects, as [`Env::act_on`] does.
    pub(crate) fn carry_out(&self, effects: &[Effect]) {
        for effect in effects {
            match effect {
                Effect::OpenStep(_) => self.recover_bell.ring(),
                Effect::Tell(_) => self.courier_bell.ring(),
                // Nobody may be listening; the table has the event all the same.
                Effect::Publish(event) => drop(self.live.send(LiveRow { event: event.clone() })),
                Effect::Stray(_) => self.advance_bell.ring(),
                Effect::CloseStep(_) | Effect::Record(_) | Effect::Found(_) => {}
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_shard_swept_longest_ago_is_let_go_first() {
        let mut cache = BTreeMap::new();
        for (number, tick) in [(0, 60), (1, 180), (2, 120), (3, 240)] {
            let cached = Cached { fleet_version: 1, tick, placed: Vec::new() };
            keep(&mut cache, ShardNo::new(number).unwrap(), cached, 2);
        }
        assert_eq!(cache.keys().map(|shard| shard.number()).collect::<Vec<_>>(), [1, 3]);
    }
}
