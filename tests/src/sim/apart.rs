//! The whole rhythm of the home on AWS over the virtual clock: schedules, the queue, and processes that take one call at
//! a time and are frozen in between. Each shard of a tick is swept by a call of its own; any call may come twice, and a
//! process may die in it while the others go on.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use futures_util::StreamExt;
use futures_util::future::BoxFuture;
use futures_util::stream::FuturesUnordered;
use lamplighter_app::rollouts::seek_missed;
use lamplighter_app::{
    Advanced, Delivered, Env, EnvParts, Recovered, Sweeps, Swept, When, advance, deliver, recover, round,
    sweep_shard,
};
use lamplighter_core::Moment;
use lamplighter_core::settings::Settings;
use lamplighter_notify::Place;
use lamplighter_store::{Consumed, ShardNo, Store, StoreError, Verb};
use tokio::sync::mpsc::{UnboundedReceiver, UnboundedSender, unbounded_channel};
use tokio::time::Instant;

use super::World;
use super::crash::Crash;
use super::functions::Function;
use super::weather::Chance;

/// The schedules' own grid.
const MINUTE: Duration = Duration::from_secs(60);
/// What a sweep's call has for its looks: a minute, less what is kept for commits and goodbyes.
const SWEEP_LIMIT: Duration = Duration::from_secs(54);
/// `recover` is rung again so long after each minute.
const AGAIN_AFTER: Duration = Duration::from_secs(30);
/// Rings due later are left to the minute's schedule.
const RING_WITHIN: Duration = Duration::from_secs(60);
/// The longest that a schedule or the queue takes, in milliseconds.
const DELAY_MILLIS: u64 = 500;
/// How much later a second delivery comes at most, in milliseconds: what is older than 90 s is dropped unheard.
const TWICE_WITHIN_MILLIS: u64 = 80_000;

/// Which process takes a call.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Placing {
    /// The one that swept the same shard before, if it is idle: every sweep but the first is warm.
    Kept,
    /// Any idle one, by chance: what a process remembers may be of long ago.
    Anywhere,
}

/// How calls come.
#[derive(Debug, Clone, Copy)]
pub struct Calls {
    /// Which process takes one.
    pub placing: Placing,
    /// How many in a hundred come twice.
    pub twice_percent: u64,
}

/// A call: by a schedule for its minute, or by a ring.
#[derive(Debug, Clone, Copy)]
enum Call {
    Minute(Function, Moment),
    Shard(u64, ShardNo),
    Rung(Function),
}

impl Call {
    fn function(self) -> Function {
        match self {
            Call::Minute(function, _) | Call::Rung(function) => function,
            Call::Shard(..) => Function::Sweep,
        }
    }
}

/// A process of a function.
struct Process {
    env: Env,
    crash: Crash,
    /// The shard that it swept last.
    swept: Option<ShardNo>,
}

/// The home at work.
pub struct Home<'w> {
    world: &'w World,
    calls: Calls,
    /// Where a process dies, if one does. Effects of all processes are counted together.
    crash: Crash,
    chance: Mutex<Chance>,
    queue: UnboundedSender<(Moment, Call)>,
    heard: Mutex<Option<UnboundedReceiver<(Moment, Call)>>>,
    idle: Mutex<BTreeMap<Function, Vec<Process>>>,
    stores: Mutex<Vec<(Function, Store)>>,
}

fn locked<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl<'w> Home<'w> {
    /// A home in `world` in which nothing runs yet; `seed` draws how long calls take to come, and which come twice.
    #[must_use]
    pub fn new(world: &'w World, calls: Calls, seed: u64, crash: Crash) -> Home<'w> {
        let (queue, heard) = unbounded_channel();
        Home {
            world,
            calls,
            crash,
            chance: Mutex::new(Chance::new(seed ^ 0x00a9_a127)),
            queue,
            heard: Mutex::new(Some(heard)),
            idle: Mutex::default(),
            stores: Mutex::default(),
        }
    }

    /// What all processes of a function have consumed so far, opening the table left out.
    #[must_use]
    pub fn consumed(&self, by: Function) -> Consumed {
        let stores = locked(&self.stores);
        let of = stores.iter().filter(|(function, _)| *function == by).map(|(_, store)| {
            let ledger = store.ledger();
            ledger.total().since(&ledger.of(Verb::Open))
        });
        of.fold(Consumed::default(), |sum, one| sum.and(&one))
    }

    /// How many processes of a function there have been.
    #[must_use]
    pub fn processes(&self, of: Function) -> usize {
        locked(&self.stores).iter().filter(|(function, _)| *function == of).count()
    }

    /// Runs for ever: the schedules ring each minute, from now on, and whatever is rung is heard.
    pub async fn run(&self) {
        let Some(mut heard) = locked(&self.heard).take() else { return };
        let mut under_way: FuturesUnordered<BoxFuture<'_, ()>> = FuturesUnordered::new();
        let mut minute = Instant::now();
        loop {
            tokio::select! {
                biased;
                Some((due, call)) = heard.recv() => {
                    for delivery in self.deliveries(due) {
                        under_way.push(Box::pin(self.answer(delivery, call)));
                    }
                }
                Some(()) = under_way.next() => {}
                () = tokio::time::sleep_until(minute) => {
                    let now = self.world.clock.now();
                    let tick = i64::try_from(now.tick(MINUTE)).unwrap_or(0);
                    for function in Function::ALL {
                        self.send(now, Call::Minute(function, Moment::from_millis(tick * 1_000)));
                    }
                    minute += MINUTE;
                }
            }
        }
    }

    fn send(&self, due: Moment, call: Call) {
        // Whoever hears the queue lives as long as the home.
        if let Err(gone) = self.queue.send((due, call)) {
            unreachable!("nobody hears {:?}", gone.0.1);
        }
    }

    /// When a call comes: once, or twice.
    fn deliveries(&self, due: Moment) -> Vec<Moment> {
        let mut chance = locked(&self.chance);
        let first = due + Duration::from_millis(chance.below(DELAY_MILLIS));
        let mut all = vec![first];
        if chance.happens(self.calls.twice_percent) {
            all.push(first + Duration::from_millis(chance.below(TWICE_WITHIN_MILLIS)));
        }
        all
    }

    /// One call, from its coming to its end. A call that fails or dies is made up for by the next minute's.
    async fn answer(&self, comes: Moment, call: Call) {
        self.world.clock.sleep_until(comes).await;
        let process = self.process(call).await;
        let done = tokio::select! {
            biased;
            () = process.crash.death() => return,
            done = self.work(&process.env, call) => done,
        };
        if let Err(error) = done {
            self.world.fleet.memory().log.push(format!("{} {call:?}: {error}", self.world.clock.now()));
        }
        self.pass_on(&process.env);
        locked(&self.idle).entry(call.function()).or_default().push(process);
    }

    /// An idle process for a call, or a new one.
    async fn process(&self, call: Call) -> Process {
        let wanted = match call {
            Call::Shard(_, shard) => Some(shard),
            Call::Minute(Function::Sweep, _) => Some(ShardNo::FIRST),
            Call::Minute(..) | Call::Rung(_) => None,
        };
        let found = {
            let mut all = locked(&self.idle);
            let idle = all.entry(call.function()).or_default();
            let index = match self.calls.placing {
                Placing::Kept => idle.iter().position(|process| process.swept == wanted),
                Placing::Anywhere if idle.is_empty() => None,
                Placing::Anywhere => {
                    let index = locked(&self.chance).below(u64::try_from(idle.len()).unwrap_or(1));
                    usize::try_from(index).ok()
                }
            };
            index.map(|index| idle.swap_remove(index))
        };
        match found {
            Some(process) => Process { swept: wanted, ..process },
            None => self.started(call.function(), wanted).await,
        }
    }

    async fn started(&self, function: Function, swept: Option<ShardNo>) -> Process {
        let crash = self.crash.of_another_process();
        let store = Box::pin(self.world.open(&crash)).await;
        let number = {
            let mut stores = locked(&self.stores);
            stores.push((function, store.clone()));
            stores.len()
        };
        let env = Env::new(EnvParts {
            name: self.world.env.clone(),
            store,
            hosts: Arc::new(self.world.fleet.for_life(crash.clone())),
            courier: Arc::new(self.world.post.for_life(crash.clone())),
            place: Place::default(),
            clock: self.world.clock.clone(),
            owner: format!("{}-{number}", function.as_str()),
            sweeps: Sweeps::Apart,
        });
        Process { env, crash, swept }
    }

    async fn work(&self, env: &Env, call: Call) -> Result<(), StoreError> {
        match call {
            Call::Minute(Function::Sweep, minute) => self.minute_s_tick(env, minute).await,
            Call::Shard(tick, shard) => {
                let settings = env.store().for_verb(Verb::Sweep).settings().await?.1;
                self.one_shard(env, &settings, shard, tick).await
            }
            Call::Minute(Function::Recover, minute) => {
                self.send(minute + AGAIN_AFTER, Call::Rung(Function::Recover));
                self.recovered(env).await
            }
            Call::Minute(Function::Advance, _) => {
                seek_missed(env).await?;
                self.advanced(env).await
            }
            Call::Rung(Function::Recover) => self.recovered(env).await,
            Call::Rung(Function::Advance) => self.advanced(env).await,
            Call::Minute(Function::Notify, _) | Call::Rung(Function::Notify) => self.delivered(env).await,
            Call::Rung(Function::Sweep) => Ok(()),
        }
    }

    /// Sweeps the first shard that is due, and rings for the others.
    async fn minute_s_tick(&self, env: &Env, minute: Moment) -> Result<(), StoreError> {
        let round = round(env, When::Grid(minute)).await?;
        let (here, elsewhere) = round.due.split_at(round.due.len().min(1));
        for shard in elsewhere {
            self.send(self.world.clock.now(), Call::Shard(round.tick, *shard));
        }
        for shard in here {
            self.one_shard(env, &round.settings, *shard, round.tick).await?;
        }
        Ok(())
    }

    async fn one_shard(
        &self,
        env: &Env,
        settings: &Settings,
        shard: ShardNo,
        tick: u64,
    ) -> Result<(), StoreError> {
        match Box::pin(sweep_shard(env, settings, shard, tick, SWEEP_LIMIT)).await? {
            Swept::Done(report) if report.turned_bad > 0 => env.recover_bell.ring(),
            Swept::Done(_) | Swept::Held { .. } | Swept::Past | Swept::Off => {}
        }
        Ok(())
    }

    async fn recovered(&self, env: &Env) -> Result<(), StoreError> {
        let next = match Box::pin(recover(env, || false)).await? {
            Recovered::Rested { next, .. } => next,
            Recovered::Held { until } => Some(until),
            Recovered::Blind => None,
        };
        self.ring_at(next, Function::Recover);
        Ok(())
    }

    async fn advanced(&self, env: &Env) -> Result<(), StoreError> {
        let next = match Box::pin(advance(env, || false)).await? {
            Advanced::Rested { next } => next,
            Advanced::Held { until } => Some(until),
        };
        self.ring_at(next, Function::Advance);
        Ok(())
    }

    async fn delivered(&self, env: &Env) -> Result<(), StoreError> {
        let next = match Box::pin(deliver(env, || false)).await? {
            Delivered::Sent { next, .. } => next,
            Delivered::Held { until } => Some(until),
        };
        self.ring_at(next, Function::Notify);
        Ok(())
    }

    fn ring_at(&self, next: Option<Moment>, function: Function) {
        let now = self.world.clock.now();
        if let Some(next) = next.filter(|next| now.until(*next) <= RING_WITHIN) {
            self.send(next.max(now), Call::Rung(function));
        }
    }

    /// Passes on the bells that a call rang, for nobody in its process hears them.
    fn pass_on(&self, env: &Env) {
        let bells = [
            (&env.recover_bell, Function::Recover),
            (&env.advance_bell, Function::Advance),
            (&env.courier_bell, Function::Notify),
        ];
        for (_, function) in bells.into_iter().filter(|(bell, _)| bell.was_rung()) {
            self.send(self.world.clock.now(), Call::Rung(function));
        }
    }
}
