//! Faults on the way to a table that speaks the real protocol, and on the way back: each kind of them, at each operation
//! that the engine uses, while real SSH servers of this process are restarted and updated.
//!
//! The embedded engine shows the same without a network (`shared/store/tests/faults.rs`, the simulations); here the SDK's
//! own retries, connections and errors are in the way. The tools come from the folder that `LAMPLIGHTER_AWS_TOOLS` names
//! (`.ci/aws-tools DIR` makes it). Where there is none, nothing is tried, and that is said.
#![expect(clippy::unwrap_used, reason = "a test may panic")]

mod check;
mod fault;
mod moving;
mod release;
mod stories;
mod table;
mod way;
mod world;

use futures_util::future::BoxFuture;
use futures_util::stream::{StreamExt as _, iter};

use fault::{Fault, Rule};
use stories::{HEALED, LEFT_ALONE, Told, Trouble};
use way::Way;

/// Stories told at once: most of a story is waiting for a fault to end.
const AT_ONCE: usize = 8;
/// Places in a story at which faults begin: at its start, and after one and two thirds of the operation's calls.
const PLACES: u64 = 3;

/// How a story is told.
type Tell = for<'a> fn(&'a Way, &'a [Rule]) -> BoxFuture<'a, Told>;

/// Tells a story once without faults, and then with each fault of each of these operations, its beginning moved on through
/// the story from one to the next. `each` leaves out all but every so manieth.
#[expect(clippy::print_stderr, reason = "what was not tried must be said")]
async fn survives(operations: &[&'static str], tell: Tell, each: usize) {
    let Some(way) = Way::open() else {
        eprintln!("skipped: `LAMPLIGHTER_AWS_TOOLS` names no folder with the tools of AWS");
        return;
    };
    let counting: Vec<Rule> = operations.iter().map(|operation| Rule::Count { operation }).collect();
    let quiet = tell(&way, &counting).await;
    assert_eq!(quiet.violations, Vec::<String>::new(), "without any fault");
    let mut mishaps = Vec::new();
    for (operation, calls) in operations.iter().copied().zip(quiet.applied) {
        assert!(calls > 0, "{operation} is not used in this story");
        for fault in Fault::ALL.into_iter().filter(|fault| fault.befalls(operation)) {
            let place = u64::try_from(mishaps.len()).unwrap() % PLACES;
            mishaps.push(Rule::Spoil { operation, fault, after: calls * place / PLACES });
        }
    }
    let chosen: Vec<Rule> = mishaps.into_iter().step_by(each).collect();
    let way = &way;
    let told = iter(&chosen).map(|mishap| async move {
        let told = tell(way, std::slice::from_ref(mishap)).await;
        let mut found = told.violations;
        if told.applied == [0] {
            found.push("it never struck".to_owned());
        }
        (!found.is_empty()).then(|| format!("{mishap:?}: {}", found.join("; ")))
    });
    let failed: Vec<String> = told.buffer_unordered(AT_ONCE).filter_map(std::future::ready).collect().await;
    assert!(failed.is_empty(), "{} of {} stories:\n{}", failed.len(), chosen.len(), failed.join("\n"));
}

/// What the verbs ask of the table while they look and restart.
const RECOVERING: [&str; 5] = ["GetItem", "Query", "UpdateItem", "DeleteItem", "TransactWriteItems"];
/// What is asked of it, besides, by a plan, a start, `advance` and a list.
const ROLLING_OUT: [&str; 7] =
    ["GetItem", "BatchGetItem", "Query", "PutItem", "UpdateItem", "DeleteItem", "TransactWriteItems"];
/// What an import asks of it.
const MOVING: [&str; 4] = ["Scan", "PutItem", "BatchWriteItem", "DeleteItem"];

fn trouble<'a>(trouble: &'static Trouble, way: &'a Way, rules: &'a [Rule]) -> BoxFuture<'a, Told> {
    Box::pin(trouble.tell(way, rules))
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn services_are_healed_once_whatever_befalls_the_way_to_the_table() {
    survives(&RECOVERING, |way, rules| trouble(&HEALED, way, rules), 1).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_breaker_opens_once_whatever_befalls_the_way_to_the_table() {
    survives(&RECOVERING, |way, rules| trouble(&LEFT_ALONE, way, rules), 4).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_release_arrives_once_whatever_befalls_the_way_to_the_table() {
    survives(&ROLLING_OUT, |way, rules| Box::pin(release::tell(way, rules)), 5).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_import_arrives_whole_or_is_refused_whatever_befalls_the_way_to_the_table() {
    survives(&MOVING, |way, rules| Box::pin(moving::tell(way, rules)), 1).await;
}
