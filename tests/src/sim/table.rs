//! The table's side of a simulation: passes the gate at every write, has bad days, and keeps a history of what it took.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use lamplighter_app::Clock;
use lamplighter_store::embedded::{Call, Injected, Intercept};
use serde_json::Value;

use super::crash::{Crash, Gate};
use super::history::History;
use super::order::Count;
use super::weather::Chance;

/// What the table may do on a bad day, in percent of calls each.
#[derive(Debug, Clone, Copy, Default)]
pub struct BadDay {
    /// Refused for load.
    pub throttled: u64,
    /// Answered with a fault.
    pub broken: u64,
    /// Not carried out, and no answer.
    pub lost: u64,
    /// Carried out, and no answer.
    pub answer_lost: u64,
    /// Carried out later, and no answer.
    pub late: u64,
    /// Carried out twice, the second answer comes back.
    pub twice: u64,
    /// Refused because another transaction is at the item.
    pub conflict: u64,
    /// An eventually consistent read answered from the past.
    pub stale: u64,
}

impl BadDay {
    /// A day on which everything goes wrong now and then.
    pub const STORMY: BadDay =
        BadDay { throttled: 3, broken: 3, lost: 3, answer_lost: 3, late: 2, twice: 3, conflict: 3, stale: 5 };
    /// A day on which nothing gets through.
    pub const BLACK_HOLE: BadDay = BadDay {
        throttled: 0,
        broken: 0,
        lost: 100,
        answer_lost: 0,
        late: 0,
        twice: 0,
        conflict: 0,
        stale: 0,
    };
}

/// The table as one engine reaches it. Clones share history and weather.
#[derive(Clone)]
pub struct Table {
    history: Arc<Mutex<History>>,
    weather: Arc<Mutex<(Chance, BadDay)>>,
    /// The longest a call is on its way; how long it is, chance says.
    way: Arc<Mutex<(Chance, Duration)>>,
    clock: Clock,
    crash: Crash,
    dying: Arc<Mutex<bool>>,
    count: Count,
}

impl Table {
    /// A table on a good day.
    #[must_use]
    pub fn new(clock: Clock, crash: Crash, seed: u64, count: Count) -> Self {
        let weather = Arc::new(Mutex::new((Chance::new(seed), BadDay::default())));
        let way = Arc::new(Mutex::new((Chance::new(seed ^ 0x0003_ace5), Duration::ZERO)));
        Self { history: Arc::default(), way, weather, clock, crash, dying: Arc::default(), count }
    }

    /// The same table as another engine reaches it.
    #[must_use]
    pub fn for_life(&self, crash: Crash) -> Self {
        Self { crash, dying: Arc::default(), ..self.clone() }
    }

    /// What the table took so far.
    pub fn history(&self) -> MutexGuard<'_, History> {
        self.history.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// From now on the table has such days.
    pub fn has(&self, day: BadDay) {
        self.weather.lock().unwrap_or_else(PoisonError::into_inner).1 = day;
    }

    /// From now on every call takes up to so long, so that others can come between a read and its commit.
    pub fn is_far_away(&self, longest: Duration) {
        self.way.lock().unwrap_or_else(PoisonError::into_inner).1 = longest;
    }

    fn bad_luck(&self, writes: bool) -> Injected {
        let mut weather = self.weather.lock().unwrap_or_else(PoisonError::into_inner);
        let day = weather.1;
        let chances = [
            (day.throttled, Injected::Throttle),
            (day.broken, Injected::ServerError),
            (day.lost, Injected::TimedOut),
            (day.late, Injected::Late),
            (day.twice, Injected::Twice),
            (day.conflict, Injected::Conflict),
            (day.stale, Injected::Stale),
        ];
        for (percent, injected) in chances {
            let fits = match injected {
                Injected::Late | Injected::Twice | Injected::Conflict => writes,
                Injected::Stale => !writes,
                Injected::Proceed
                | Injected::Throttle
                | Injected::ServerError
                | Injected::TimedOut
                | Injected::Hang => true,
            };
            if fits && percent > 0 && weather.0.happens(percent) {
                return injected;
            }
        }
        Injected::Proceed
    }
}

fn writes(operation: &str) -> bool {
    !matches!(operation, "GetItem" | "Query" | "Scan" | "DescribeTable")
}

impl Intercept for Table {
    fn on_its_way(&self, _: &Call<'_>) -> Duration {
        let mut way = self.way.lock().unwrap_or_else(PoisonError::into_inner);
        let longest = u64::try_from(way.1.as_millis()).unwrap_or(0);
        if longest == 0 { Duration::ZERO } else { Duration::from_millis(way.0.below(longest + 1)) }
    }

    fn before(&self, call: &Call<'_>) -> Injected {
        if writes(call.operation) {
            match self.crash.gate(&name(call)) {
                Gate::Proceed => {}
                Gate::Before | Gate::Late => {
                    self.crash.strike();
                    return Injected::Hang;
                }
                Gate::After => {
                    *self.dying.lock().unwrap_or_else(PoisonError::into_inner) = true;
                    return Injected::Proceed;
                }
            }
        }
        let injected = self.bad_luck(writes(call.operation));
        if injected != Injected::Proceed {
            self.history().faults += 1;
        }
        injected
    }

    fn after(&self, call: &Call<'_>) -> Injected {
        if std::mem::take(&mut *self.dying.lock().unwrap_or_else(PoisonError::into_inner)) {
            self.crash.strike();
            return Injected::Hang;
        }
        let mut weather = self.weather.lock().unwrap_or_else(PoisonError::into_inner);
        let lost = weather.1.answer_lost;
        if lost > 0 && writes(call.operation) && weather.0.happens(lost) {
            drop(weather);
            self.history().faults += 1;
            return Injected::TimedOut;
        }
        Injected::Proceed
    }

    fn carried_out(&self, call: &Call<'_>, accepted: bool) {
        let now = self.clock.now();
        let mut history = self.history();
        *history.calls.entry(call.operation.to_owned()).or_default() += 1;
        if !accepted || !writes(call.operation) {
            return;
        }
        let request: Value = serde_json::from_slice(call.request).unwrap_or_default();
        let order = self.count.next();
        history.note(order, now, call.operation, &request);
    }
}

/// An effect's name: the operation and what it touches first.
fn name(call: &Call<'_>) -> String {
    let request: Value = serde_json::from_slice(call.request).unwrap_or_default();
    let mut keys: Vec<String> = Vec::new();
    let parts = request["TransactItems"].as_array().cloned().unwrap_or_default();
    for part in parts.iter().flat_map(|part| part.as_object().into_iter().flat_map(|one| one.values())) {
        keys.push(key_of(part));
    }
    if keys.is_empty() {
        keys.push(key_of(&request));
    }
    format!("{} {}", call.operation, keys.join(" "))
}

fn key_of(write: &Value) -> String {
    let key = if write["Key"].is_object() { &write["Key"] } else { &write["Item"] };
    let text = |name: &str| key[name]["S"].as_str().unwrap_or("?").to_owned();
    // The time in an outbox key differs from run to run of a scenario with another crash; the partition says enough.
    match text("pk").as_str() {
        "OUTBOX" => "OUTBOX".to_owned(),
        pk if pk.starts_with("EVENTS") => "EVENTS".to_owned(),
        pk => format!("{pk}/{}", text("sk")),
    }
}
