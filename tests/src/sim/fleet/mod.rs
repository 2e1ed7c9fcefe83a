//! A fleet in a box: hosts with a guard, services that break, versions that do harm, and commands that go on when
//! their sender is dead.

mod host;
mod lamp;
mod lamps;
mod reach;

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use lamplighter_app::Clock;
use lamplighter_core::sight::GuardParts;
use lamplighter_core::{Moment, ServiceId, Version};

use super::crash::Crash;
use super::order::Count;
pub use host::{Command, Happening, Memory, Stands, What};
pub use lamp::{Act, Nature, Temper, usual};
use lamp::{Code, Lamp};

/// The fleet. Clones share it: it outlives every engine.
#[derive(Clone)]
pub struct BoxFleet {
    memory: Arc<Mutex<Memory>>,
    clock: Clock,
    crash: Crash,
    /// Removes parts of the guard, to show that each is needed.
    guard: GuardParts,
}

impl BoxFleet {
    /// A fleet with no lamps.
    #[must_use]
    pub fn new(clock: Clock, crash: Crash, guard: GuardParts, count: Count) -> Self {
        let memory = Memory { count, ..Memory::default() };
        Self { memory: Arc::new(Mutex::new(memory)), clock, crash, guard }
    }

    /// The same fleet as another engine reaches it: dying with that engine's crash.
    #[must_use]
    pub fn for_life(&self, crash: Crash) -> Self {
        Self { crash, ..self.clone() }
    }

    /// What happened so far.
    pub fn memory(&self) -> MutexGuard<'_, Memory> {
        self.memory.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// What happened up to now, with everything done that is due.
    fn memory_now(&self) -> MutexGuard<'_, Memory> {
        let mut memory = self.memory();
        memory.advance(self.clock.now(), self.guard);
        memory
    }

    /// Adds a service that is up.
    pub fn add(&self, id: &ServiceId, nature: Nature) {
        let lamp = Lamp::new(id.as_str(), nature, self.clock.now());
        self.memory().lamps.insert(id.clone(), lamp);
    }

    /// Gives a service a checkout of `version`, on `host`.
    pub fn check_out(&self, id: &ServiceId, host: &str, version: &Version) {
        if let Some(lamp) = self.memory().lamps.get_mut(id) {
            host.clone_into(&mut lamp.host);
            lamp.code = Some(Code::at(version));
        }
    }

    /// Breaks a service.
    pub fn put_out(&self, id: &ServiceId) {
        self.change(id, "goes out", |lamp, _| {
            lamp.up = None;
            lamp.restarts_since_broken = 0;
        });
    }

    /// Mends a service by hand: a new run, up.
    pub fn light(&self, id: &ServiceId) {
        self.change(id, "is lit by hand", |lamp, now| {
            lamp.up = Some((now, None));
            lamp.run += 1;
        });
    }

    /// Changes what a service does from now on.
    pub fn become_(&self, id: &ServiceId, nature: Nature) {
        self.change(id, "changes its nature", |lamp, _| lamp.nature = nature);
    }

    /// Says what a version does to a service from now on.
    pub fn takes_badly(&self, id: &ServiceId, version: &Version, temper: Temper) {
        self.change(id, "has its own mind about a version", |lamp, _| {
            if let Some(code) = &mut lamp.code {
                code.tempers.insert(version.clone(), temper);
            }
        });
    }

    /// Says how long a service's steps take, in percent of the usual.
    pub fn takes_its_time(&self, id: &ServiceId, percent: u32) {
        self.change(id, "takes its time", |lamp, _| {
            if let Some(code) = &mut lamp.code {
                code.pace = percent;
            }
        });
    }

    /// Somebody changes a tracked file by hand.
    pub fn soil(&self, id: &ServiceId) {
        self.change(id, "is changed by hand", |lamp, _| {
            if let Some(code) = &mut lamp.code {
                code.dirty = true;
            }
        });
    }

    /// The remote of a checkout does not answer for a while.
    pub fn lose_remote(&self, id: &ServiceId, lasts: Duration) {
        self.change(id, "loses its remote", |lamp, now| {
            if let Some(code) = &mut lamp.code {
                code.remote_away_until = now + lasts;
            }
        });
    }

    /// Cuts a host off.
    pub fn cut_off(&self, id: &ServiceId, lasts: Duration) {
        let (mut memory, now) = (self.memory_now(), self.clock.now());
        memory.log.push(format!("{now} {id} is cut off"));
        if let Some(host) = memory.lamps.get(id).map(|lamp| lamp.host.clone()) {
            memory.dark_until.insert(host, now + lasts);
        }
    }

    /// A host takes connections from now on, and then says nothing.
    pub fn fall_mute(&self, id: &ServiceId) {
        let (mut memory, now) = (self.memory_now(), self.clock.now());
        memory.log.push(format!("{now} {id} falls mute"));
        if let Some(host) = memory.lamps.get(id).map(|lamp| lamp.host.clone()) {
            memory.mute.insert(host);
        }
    }

    /// The next command that begins on the host loses its connection.
    pub fn drop_next(&self, id: &ServiceId) {
        let mut memory = self.memory();
        if let Some(host) = memory.lamps.get(id).map(|lamp| lamp.host.clone()) {
            *memory.drops.entry(host).or_default() += 1;
        }
    }

    /// Switches a host off and on.
    pub fn reboot(&self, id: &ServiceId) {
        let (mut memory, now) = (self.memory_now(), self.clock.now());
        memory.log.push(format!("{now} {id} loses its power"));
        if let Some(host) = memory.lamps.get(id).map(|lamp| lamp.host.clone()) {
            memory.reboot(&host, now);
        }
    }

    /// Every remote's branch leads to `version` from now on.
    pub fn push(&self, branch: &str, version: &Version) {
        self.memory().branches.insert(branch.to_owned(), version.clone());
    }

    fn change(&self, id: &ServiceId, what: &str, change: impl FnOnce(&mut Lamp, Moment)) {
        let (mut memory, now) = (self.memory_now(), self.clock.now());
        memory.log.push(format!("{now} {id} {what}"));
        if let Some(lamp) = memory.lamps.get_mut(id) {
            change(lamp, now);
        }
    }

    /// True if the service is up now, as an observer on its host would see.
    #[must_use]
    pub fn is_up(&self, id: &ServiceId) -> bool {
        self.memory_now().lamps.get(id).is_some_and(|lamp| lamp.up.is_some())
    }

    /// How a service with a checkout stands now.
    #[must_use]
    pub fn stands(&self, id: &ServiceId) -> Option<Stands> {
        self.memory_now().stands(id)
    }
}
