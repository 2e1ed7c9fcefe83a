//! A fleet in a box: hosts with a guard, services that break, and commands that go on when their sender is dead.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use futures_util::future::BoxFuture;
use lamplighter_app::{Clock, Hosts};
use lamplighter_core::sight::{
    DownKind, Fault, GuardParts, Look, ProcessId, RestartOutcome, Sight, UnreachableKind,
};
use lamplighter_core::spec::ServiceSpec;
use lamplighter_core::{Moment, ServiceId};
use lamplighter_remote::RestartOrder;

use super::crash::{Crash, Gate};

/// How long a look takes in the box.
const LOOK: Duration = Duration::from_millis(20);
/// How long a restart takes in the box.
const RESTART: Duration = Duration::from_secs(2);
/// How long after a crash a command that was on its way still lands.
const LATE: Duration = Duration::from_secs(40);

/// What a service does when it is restarted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Nature {
    /// Comes up.
    Good,
    /// Comes up at the restart that is the so-manieth since it broke.
    NeedsRestarts(u32),
    /// Never comes up.
    Hopeless,
    /// Comes up, and dies after so long.
    Flapping(Duration),
}

/// One service, on a host of its own.
#[derive(Debug, Clone)]
struct Lamp {
    nature: Nature,
    /// Up since, and until when if it is going to die.
    up: Option<(Moment, Option<Moment>)>,
    /// Unreachable until.
    dark_until: Moment,
    /// Which run of the service this is.
    run: u64,
    restarts_since_broken: u32,
    /// The guard: the highest action number seen, and until when the lock is held.
    seen: u64,
    locked_until: Moment,
    /// A command that is executing: when its effect lands.
    landing: Option<Moment>,
    /// Commands that lost their sender and arrive late.
    late: Vec<(Moment, u64, Option<String>)>,
}

/// Something that happened on a host.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Command {
    /// When it began.
    pub at: Moment,
    /// The service.
    pub service: ServiceId,
    /// Its action number.
    pub action_no: u64,
    /// Lifecycle commands on the host at that moment, this one included.
    pub nesting: u32,
    /// The highest action number the host had seen before.
    pub seen_before: u64,
}

/// What the box remembers for the checkers.
#[derive(Debug, Default)]
pub struct Memory {
    lamps: BTreeMap<ServiceId, Lamp>,
    /// Commands that were carried out, in order.
    pub commands: Vec<Command>,
    /// Commands that the guard refused: service and action number.
    pub refused: Vec<(Moment, ServiceId, u64)>,
    /// What an observer of the box saw, one line an event.
    pub log: Vec<String>,
    /// How much longer than usual a look takes.
    pub drag: Duration,
}

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
    pub fn new(clock: Clock, crash: Crash, guard: GuardParts) -> Self {
        Self { memory: Arc::default(), clock, crash, guard }
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

    /// Adds a service that is up.
    pub fn add(&self, id: &ServiceId, nature: Nature) {
        let now = self.clock.now();
        let lamp = Lamp {
            nature,
            up: Some((now, None)),
            dark_until: Moment::EPOCH,
            run: 1,
            restarts_since_broken: 0,
            seen: 0,
            locked_until: Moment::EPOCH,
            landing: None,
            late: Vec::new(),
        };
        self.memory().lamps.insert(id.clone(), lamp);
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

    /// Cuts a host off.
    pub fn cut_off(&self, id: &ServiceId, lasts: Duration) {
        self.change(id, "is cut off", |lamp, now| lamp.dark_until = now + lasts);
    }

    fn change(&self, id: &ServiceId, what: &str, change: impl FnOnce(&mut Lamp, Moment)) {
        let now = self.clock.now();
        let mut memory = self.memory();
        memory.log.push(format!("{now} {id} {what}"));
        if let Some(lamp) = memory.lamps.get_mut(id) {
            change(lamp, now);
        }
    }

    /// True if the service is up now, as an observer on its host would see.
    #[must_use]
    pub fn is_up(&self, id: &ServiceId) -> bool {
        let now = self.clock.now();
        let mut memory = self.memory();
        memory.advance(now, self.guard);
        memory.lamps.get(id).is_some_and(|lamp| lamp.up.is_some())
    }

    fn see(&self, spec: &ServiceSpec) -> (Sight, Option<ProcessId>) {
        let now = self.clock.now();
        let mut memory = self.memory();
        memory.advance(now, self.guard);
        let Some(lamp) = memory.lamps.get(&spec.id) else {
            return (Sight::Unreachable(Fault::new(UnreachableKind::Connect, "no such host")), None);
        };
        if now < lamp.dark_until {
            return (Sight::Unreachable(Fault::new(UnreachableKind::TimedOut, "")), None);
        }
        let run = ProcessId::try_from(format!("run-{}", lamp.run)).ok();
        let sight = if lamp.up.is_some() {
            Sight::Up
        } else {
            Sight::Down(Fault::new(DownKind::NotActive, "failed"))
        };
        (sight, run)
    }

    async fn looked(&self, spec: &ServiceSpec, began: Moment) -> Look {
        // The sight is old by half a look when it is heard of: an engine may be stopped in between.
        let drag = self.memory().drag;
        tokio::time::sleep(LOOK / 2 + drag).await;
        let (sight, process) = self.see(spec);
        tokio::time::sleep(LOOK / 2).await;
        let evidence = matches!(sight, Sight::Down(_)).then(|| "fatal: cannot start".to_owned());
        Look { sight, at: began + drag + LOOK, took: drag + LOOK, process, evidence }
    }

    async fn carry_out(&self, spec: &ServiceSpec, order: RestartOrder<'_>) -> RestartOutcome {
        tokio::time::sleep(LOOK).await;
        let now = self.clock.now();
        let process = order.process.map(|process| process.as_str().to_owned());
        let gate = self.crash.gate(&format!("restart {} {}", spec.id, order.action_no));
        match gate {
            Gate::Proceed | Gate::After => {}
            Gate::Before => self.crash.die().await,
            Gate::Late => {
                if let Some(lamp) = self.memory().lamps.get_mut(&spec.id) {
                    lamp.late.push((now + LATE, order.action_no, process));
                }
                return self.crash.die().await;
            }
        }
        let refused = {
            let mut memory = self.memory();
            memory.advance(now, self.guard);
            match memory.lamps.get(&spec.id) {
                Some(lamp) if now < lamp.dark_until => {
                    return RestartOutcome::NotSent(Fault::new(UnreachableKind::TimedOut, ""));
                }
                Some(_) => memory.execute(&spec.id, now, order.action_no, process.as_deref(), self.guard),
                None => return RestartOutcome::NotSent(Fault::new(UnreachableKind::Connect, "no such host")),
            }
        };
        if gate == Gate::After {
            return self.crash.die().await;
        }
        if let Some(refused) = refused {
            return refused;
        }
        tokio::time::sleep(RESTART).await;
        RestartOutcome::Done(self.guard)
    }
}

impl Memory {
    /// Lets time pass on every host up to `now`.
    fn advance(&mut self, now: Moment, guard: GuardParts) {
        let ids: Vec<ServiceId> = self.lamps.keys().cloned().collect();
        for id in ids {
            let late: Vec<_> = {
                let Some(lamp) = self.lamps.get_mut(&id) else { continue };
                let (due, rest) = lamp.late.drain(..).partition(|(at, ..)| *at <= now);
                lamp.late = rest;
                due
            };
            for (at, action_no, process) in late {
                self.log.push(format!("{at} {id} a late command arrives: action {action_no}"));
                self.execute(&id, at, action_no, process.as_deref(), guard);
            }
            let Some(lamp) = self.lamps.get_mut(&id) else { continue };
            if let Some(landed) = lamp.landing.filter(|landing| *landing <= now) {
                lamp.landing = None;
                lamp.run += 1;
                lamp.restarts_since_broken += 1;
                lamp.up = match lamp.nature {
                    Nature::Good => Some((landed, None)),
                    Nature::NeedsRestarts(needed) => {
                        (lamp.restarts_since_broken >= needed).then_some((landed, None))
                    }
                    Nature::Hopeless => None,
                    Nature::Flapping(lives) => Some((landed, Some(landed + lives))),
                };
            }
            if lamp.up.is_some_and(|(_, dies)| dies.is_some_and(|dies| dies <= now)) {
                lamp.up = None;
            }
        }
    }

    /// The host guard and the command behind it. `None`: carried out.
    fn execute(
        &mut self,
        id: &ServiceId,
        now: Moment,
        action_no: u64,
        process: Option<&str>,
        guard: GuardParts,
    ) -> Option<RestartOutcome> {
        let lamp = self.lamps.get_mut(id)?;
        let refusal = if guard.lock && now < lamp.locked_until {
            Some(RestartOutcome::Busy)
        } else if guard.action_no && lamp.seen == action_no {
            Some(RestartOutcome::AlreadyDone)
        } else if guard.action_no && lamp.seen > action_no {
            Some(RestartOutcome::Overtaken { seen: lamp.seen })
        } else {
            let seen_before = lamp.seen;
            lamp.seen = lamp.seen.max(action_no);
            let run = format!("run-{}", lamp.run);
            if guard.process && process.is_some_and(|judged| judged != run) {
                Some(RestartOutcome::ProcessChanged)
            } else {
                let nesting = 1 + u32::from(now < lamp.locked_until);
                lamp.locked_until = now + RESTART;
                lamp.landing = Some(now + RESTART);
                lamp.up = None;
                self.log.push(format!("{now} {id} restarts: action {action_no}"));
                self.commands.push(Command { at: now, service: id.clone(), action_no, nesting, seen_before });
                return None;
            }
        };
        self.log.push(format!("{now} {id} refuses action {action_no}"));
        self.refused.push((now, id.clone(), action_no));
        refusal
    }
}

impl Hosts for BoxFleet {
    fn look<'a>(&'a self, spec: &'a ServiceSpec, began: Moment, _: Duration) -> BoxFuture<'a, Look> {
        Box::pin(self.looked(spec, began))
    }

    fn look_closely<'a>(&'a self, spec: &'a ServiceSpec, began: Moment, _: Duration) -> BoxFuture<'a, Look> {
        Box::pin(self.looked(spec, began))
    }

    fn restart<'a>(
        &'a self,
        spec: &'a ServiceSpec,
        order: RestartOrder<'a>,
        _: Duration,
    ) -> BoxFuture<'a, RestartOutcome> {
        Box::pin(self.carry_out(spec, order))
    }
}
