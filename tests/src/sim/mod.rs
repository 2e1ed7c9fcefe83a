//! A seeded simulation of the whole engine: the real core, app and store, on a virtual clock, with a fleet in a box.
//!
//! A crash throws the engine away. Only the table's bytes, the hosts and the post office survive into the next life.

pub mod apart;
pub mod check;
pub mod crash;
pub mod crowd;
pub mod fleet;
pub mod functions;
pub mod history;
pub mod journey;
pub mod journeys;
pub mod order;
pub mod pause;
pub mod post;
pub mod story;
pub mod table;
pub mod weather;

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use lamplighter_app::{Bell, Clock, Env, EnvParts, Sweeps, hand};
use lamplighter_core::sight::GuardParts;
use lamplighter_core::spec::ServiceSpec;
use lamplighter_core::{EnvName, Moment, ServiceId};
use lamplighter_notify::Place;
use lamplighter_store::embedded::MemoryBytes;
use lamplighter_store::{Condition, Expected, Store, Verb};
use tokio_util::sync::CancellationToken;

use crash::Crash;
use fleet::{BoxFleet, Nature};
use order::Count;
use post::PostOffice;
use table::Table;

/// When every simulation begins: a tick of the default interval.
pub const DAWN_MILLIS: i64 = 1_767_312_000_000;
/// How long a crashed engine stays away.
const REBOOT: Duration = Duration::from_secs(3);

/// A world: everything that outlives an engine.
pub struct World {
    /// The virtual clock.
    pub clock: Clock,
    /// The hosts.
    pub fleet: BoxFleet,
    /// The table, as seen by the checkers.
    pub table: Table,
    /// The post office.
    pub post: PostOffice,
    /// A condition of the store that is left out, to show that it is needed.
    without: Option<Condition>,
    bytes: MemoryBytes,
    env: EnvName,
    lives: AtomicU64,
    /// The bell of the engine that lives now, for people whose request another process takes.
    bell: Mutex<Option<Bell>>,
    /// Every engine's table, for what they consumed.
    stores: Mutex<Vec<Store>>,
}

impl World {
    /// An empty world. Must be made inside a runtime whose time is paused.
    ///
    /// # Panics
    /// If the embedded engine cannot be started.
    #[must_use]
    pub fn new(seed: u64) -> Self {
        Self::guarded(seed, GuardParts::ALL)
    }

    /// An empty world whose hosts have only these parts of the guard.
    ///
    /// # Panics
    /// If the embedded engine cannot be started.
    #[must_use]
    pub fn guarded(seed: u64, guard: GuardParts) -> Self {
        let clock = Clock::following_the_runtime(Moment::from_millis(DAWN_MILLIS));
        let count = Count::default();
        Self {
            fleet: BoxFleet::new(clock.clone(), Crash::never(), guard, count.clone()),
            table: Table::new(clock.clone(), Crash::never(), seed, count),
            post: PostOffice::new(clock.clone(), Crash::never()),
            without: None,
            bytes: MemoryBytes::new().expect("the embedded engine starts"),
            env: "prod".parse().expect("a name"),
            lives: AtomicU64::new(0),
            bell: Mutex::default(),
            stores: Mutex::default(),
            clock,
        }
    }

    /// The same world with a store that leaves out one of its write conditions.
    #[must_use]
    pub fn without(self, condition: Condition) -> Self {
        Self { without: Some(condition), ..self }
    }

    /// Opens the table as one engine does.
    ///
    /// # Panics
    /// If it cannot be opened: nothing is injected while opening.
    pub async fn open(&self, crash: &Crash) -> Store {
        let table = Arc::new(self.table.for_life(crash.clone()));
        let store = loop {
            let opened =
                Store::open_memory_on(&self.bytes, &self.env, self.clock.now(), Some(table.clone())).await;
            match opened {
                Ok(store) => break store,
                // A bad day may begin before the engine does.
                Err(_) => tokio::time::sleep(Duration::from_secs(1)).await,
            }
        };
        match self.without {
            Some(condition) => store.without(condition),
            None => store,
        }
    }

    /// Adds services to the table and to the fleet.
    ///
    /// # Panics
    /// If the table does not take them.
    pub async fn settle(&self, services: &[(&str, Nature)]) {
        let store = self.open(&Crash::never()).await;
        let mut settings = store.settings().await.expect("settings").1;
        settings.admins = vec!["ops@example.com".parse().expect("a mailbox")];
        store.put_settings(0, &settings).await.expect("settings are taken");
        for (id, nature) in services {
            let spec = spec(id);
            store.put_service(&spec, Expected::Absent, self.clock.now()).await.expect("a service is taken");
            self.fleet.add(&spec.id, *nature);
        }
    }

    /// One life of an engine.
    pub async fn engine(&self, crash: &Crash) -> Env {
        let store = self.open(crash).await;
        let life = self.lives.fetch_add(1, Ordering::Relaxed);
        self.stores.lock().unwrap_or_else(PoisonError::into_inner).push(store.clone());
        Env::new(EnvParts {
            name: self.env.clone(),
            store,
            hosts: Arc::new(self.fleet.for_life(crash.clone())),
            courier: Arc::new(self.post.for_life(crash.clone())),
            place: Place::default(),
            clock: self.clock.clone(),
            owner: format!("life-{life}"),
            sweeps: Sweeps::Together,
        })
    }

    /// The write units that engines, and people who used one, have consumed for `verb`.
    #[must_use]
    pub fn write_units(&self, verb: Verb) -> f64 {
        let stores = self.stores.lock().unwrap_or_else(PoisonError::into_inner);
        stores.iter().map(|store| store.ledger().of(verb).write_units).sum()
    }

    /// Tells the engine that there may be a rollout to carry on.
    pub fn ring(&self) {
        if let Some(bell) = &*self.bell.lock().unwrap_or_else(PoisonError::into_inner) {
            bell.ring();
        }
    }

    /// Engines, one after the other: each runs until it crashes; the next one begins with nothing but what survived.
    pub async fn lives(&self, first: Crash) {
        let mut crash = first;
        loop {
            let env = Box::pin(self.engine(&crash)).await;
            *self.bell.lock().unwrap_or_else(PoisonError::into_inner) = Some(env.advance_bell.clone());
            tokio::select! {
                biased;
                () = crash.death() => {}
                () = Box::pin(hand::run(&env, CancellationToken::new(), |_| {})) => return,
            }
            drop(env);
            self.fleet.memory().log.push(format!("{} the engine dies", self.clock.now()));
            tokio::time::sleep(REBOOT).await;
            crash = Crash::never();
        }
    }
}

impl World {
    /// One engine without a crash.
    pub async fn steady(&self) {
        self.lives(Crash::never()).await;
    }

    /// Two engines over one table, one of them stopped for a while: its timers run on, and when it wakes it goes on with
    /// what it was about to do.
    pub async fn two(&self, stop: Option<Stop>) {
        let never = Stop { which: 0, from: Duration::MAX / 4, lasts: Duration::ZERO };
        let stop = stop.unwrap_or(never);
        let engine = |which: usize| async move {
            let life = Box::pin(self.lives(Crash::never()));
            if which == stop.which && !stop.lasts.is_zero() {
                pause::paused(life, stop.from, stop.lasts).await
            } else {
                life.await
            }
        };
        tokio::join!(engine(0), engine(1));
    }
}

/// When one of two engines is stopped, and for how long.
#[derive(Debug, Clone, Copy)]
pub struct Stop {
    /// The first engine or the second.
    pub which: usize,
    /// When, after the start.
    pub from: Duration,
    /// For how long.
    pub lasts: Duration,
}

/// A service of the box, with the default policy. `x-1` and `x-2` have one owner.
///
/// # Panics
/// If `id` is not a service id.
#[must_use]
pub fn spec(id: &str) -> ServiceSpec {
    let owner = id.split_once('-').map_or(id, |(owner, _)| owner);
    let text = format!(
        r#"{{"id":"{id}","address":"{id}.example","user":"deploy","key":"file:k","host_key":"ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAI",
            "check":{{"systemd":"app"}},"restart":{{"systemd":"app"}},"owner":"owner-of-{owner}@example.com"}}"#
    );
    serde_json::from_str(&text).expect("a spec")
}

/// The id of a service of the box.
///
/// # Panics
/// If `id` is not a service id.
#[must_use]
pub fn id(id: &str) -> ServiceId {
    id.parse().expect("a service id")
}

/// Runs a simulation on its own paused runtime, on this thread.
///
/// # Panics
/// If the runtime cannot be built.
pub fn on_virtual_time<F: Future>(simulation: impl FnOnce() -> F) -> F::Output {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_time().start_paused(true).build();
    runtime.expect("a runtime").block_on(async { Box::pin(simulation()).await })
}
