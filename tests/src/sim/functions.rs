//! The home on AWS as a simulation: each function a process of its own over the one table, and a list of what each of
//! them asked the table for.

use std::collections::BTreeSet;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use lamplighter_app::rollouts::seek_missed;
use lamplighter_app::{Env, EnvParts, Sweeps, When, deliver, round, sweep_shard};
use lamplighter_notify::Place;
use lamplighter_store::embedded::{Call, Injected, Intercept};
use lamplighter_store::{Store, StoreError};
use serde_json::Value;

use super::World;
use super::crash::Crash;
use super::table::Table;

/// How often each writes down what it consumed.
const KEEP_EVERY: Duration = Duration::from_secs(60);
/// As long as the function may take.
const SWEEP_LIMIT: Duration = Duration::from_secs(60);
/// How often missed pushes are sought.
const SEEK_EVERY: Duration = Duration::from_secs(60);

/// A function that is called by the clock, not by people.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Function {
    /// Looks at the fleet.
    Sweep,
    /// Restarts what is down.
    Recover,
    /// Carries rollouts on, and seeks the pushes that nobody told of.
    Advance,
    /// Brings letters.
    Notify,
}

impl Function {
    /// All of them.
    pub const ALL: [Function; 4] = [Function::Sweep, Function::Recover, Function::Advance, Function::Notify];

    /// Its name, as that of its program.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Function::Sweep => "sweep",
            Function::Recover => "recover",
            Function::Advance => "advance",
            Function::Notify => "notify",
        }
    }
}

/// One right that was needed: an action on the items of a partition.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Touch {
    /// Who needed it.
    pub by: Function,
    /// `GetItem`, `PutItem`, …: of a transaction, each part by itself, as the right is asked for.
    pub action: String,
    /// The partition key; empty for what reads the whole table.
    pub partition: String,
}

/// How often functions are called.
#[derive(Debug, Clone, Copy)]
pub struct Pace {
    /// The sweep.
    pub sweeps: Duration,
    /// The others, who carry on what was committed: a ring calls them sooner than the minute's tick.
    pub rings: Duration,
}

/// What functions asked the table for. Clones share it.
#[derive(Debug, Clone, Default)]
pub struct Touched(Arc<Mutex<BTreeSet<Touch>>>);

impl Touched {
    /// All of it.
    #[must_use]
    pub fn all(&self) -> BTreeSet<Touch> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    fn note(&self, by: Function, call: &Call<'_>) {
        let request: Value = serde_json::from_slice(call.request).unwrap_or_default();
        let mut touched = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        for (action, partition) in rights(call.operation, &request) {
            touched.insert(Touch { by, action, partition });
        }
    }
}

/// The rights that one call needs. A transaction needs that of each of its parts; a batch is an action by itself.
fn rights(operation: &str, request: &Value) -> Vec<(String, String)> {
    let of = |action: &str, partition: &str| (action.to_owned(), partition.to_owned());
    match operation {
        "TransactWriteItems" => items(&request["TransactItems"])
            .filter_map(|part| part.as_object()?.iter().next())
            .map(|(part, body)| {
                let action =
                    if part == "ConditionCheck" { "ConditionCheckItem" } else { &format!("{part}Item") };
                of(action, partition(body))
            })
            .collect(),
        "BatchGetItem" => tables(request)
            .flat_map(|table| items(&table["Keys"]))
            .map(|key| of(operation, text(&key["pk"])))
            .collect(),
        "BatchWriteItem" => tables(request)
            .flat_map(items)
            .filter_map(|write| write.as_object()?.values().next())
            .map(|write| of(operation, partition(write)))
            .collect(),
        "Query" => vec![of(operation, text(&request["ExpressionAttributeValues"][":pk"]))],
        _ => vec![of(operation, partition(request))],
    }
}

fn items(list: &Value) -> impl Iterator<Item = &Value> {
    list.as_array().into_iter().flatten()
}

fn tables(request: &Value) -> impl Iterator<Item = &Value> {
    request["RequestItems"].as_object().into_iter().flat_map(|tables| tables.values())
}

fn partition(write: &Value) -> &str {
    let key = if write["Key"].is_object() { &write["Key"] } else { &write["Item"] };
    text(&key["pk"])
}

fn text(value: &Value) -> &str {
    value["S"].as_str().unwrap_or_default()
}

/// The table as one function reaches it.
struct Seen {
    by: Function,
    touched: Touched,
    table: Table,
}

impl Intercept for Seen {
    fn on_its_way(&self, call: &Call<'_>) -> Duration {
        self.table.on_its_way(call)
    }

    fn before(&self, call: &Call<'_>) -> Injected {
        self.touched.note(self.by, call);
        self.table.before(call)
    }

    fn after(&self, call: &Call<'_>) -> Injected {
        self.table.after(call)
    }

    fn carried_out(&self, call: &Call<'_>, accepted: bool) {
        self.table.carried_out(call, accepted);
    }
}

impl World {
    /// The four functions, each called again and again, and what they ask the table for.
    ///
    /// # Panics
    /// If the table cannot be opened, or fails a function: no bad day is meant here.
    pub async fn functions(&self, pace: Pace, touched: &Touched) {
        let mut functions = Vec::new();
        for function in Function::ALL {
            functions.push(Box::pin(self.function(function, touched)).await);
        }
        let [sweep, recover, advance, notify] = functions.as_slice() else { return };
        let sweeping = async {
            loop {
                sweep_once(sweep).await.expect("the table answers a sweep");
                tokio::time::sleep(pace.sweeps).await;
            }
        };
        let recovering = async {
            loop {
                lamplighter_app::recover(recover, || false).await.expect("the table answers `recover`");
                tokio::time::sleep(pace.rings).await;
            }
        };
        let advancing = async {
            let mut seek = self.clock.now() + SEEK_EVERY;
            loop {
                lamplighter_app::advance(advance, || false).await.expect("the table answers `advance`");
                if self.clock.now() >= seek {
                    seek_missed(advance).await.expect("the table answers who seeks missed pushes");
                    seek = self.clock.now() + SEEK_EVERY;
                }
                tokio::time::sleep(pace.rings).await;
            }
        };
        let notifying = async {
            loop {
                deliver(notify, || false).await.expect("the table answers the courier");
                tokio::time::sleep(pace.rings).await;
            }
        };
        let keeping_the_ledger = async {
            loop {
                tokio::time::sleep(KEEP_EVERY).await;
                for function in &functions {
                    let now = self.clock.now();
                    function.store().keep_ledger(now, now).await.expect("the table takes the ledger");
                }
            }
        };
        tokio::join!(
            Box::pin(sweeping),
            Box::pin(recovering),
            Box::pin(advancing),
            Box::pin(notifying),
            Box::pin(keeping_the_ledger)
        );
    }

    async fn function(&self, by: Function, touched: &Touched) -> Env {
        let table = self.table.for_life(Crash::never());
        let seen = Arc::new(Seen { by, touched: touched.clone(), table });
        let store = Store::open_memory_on(&self.bytes, &self.env, self.clock.now(), Some(seen))
            .await
            .expect("the table is opened");
        Env::new(EnvParts {
            name: self.env.clone(),
            store,
            hosts: Arc::new(self.fleet.for_life(Crash::never())),
            courier: Arc::new(self.post.for_life(Crash::never())),
            place: Place::default(),
            clock: self.clock.clone(),
            owner: by.as_str().to_owned(),
            sweeps: Sweeps::Apart,
        })
    }
}

/// A minute's sweep, shard by shard, each as if it were a call of its own.
async fn sweep_once(env: &Env) -> Result<(), StoreError> {
    let round = round(env, When::Grid(env.clock().now())).await?;
    for shard in round.due {
        sweep_shard(env, &round.settings, shard, round.tick, SWEEP_LIMIT).await?;
    }
    Ok(())
}
