//! Starts and moves of rollouts under the faults of a table over a network, at every call they make.

#![expect(clippy::unwrap_used, reason = "a test may panic")]

mod common;

use std::future::Future;
use std::pin::pin;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll, Waker};

use common::rollouts::*;
use common::*;
use lamplighter_core::rollout::{End, Move};
use lamplighter_core::update::UpdateStep;
use lamplighter_store::embedded::{Call, Injected, Intercept, MemoryBytes};
use lamplighter_store::*;

const DONE: Commit = Commit::Done { added: 0 };
/// Services of a rollout whose rows take two transactions.
const SERVICES: u32 = 120;

#[derive(Clone, Copy, Debug, PartialEq)]
enum When {
    Before,
    After,
}

/// Does one thing at one call that writes, counted from 0.
#[derive(Default)]
struct AtWrite {
    writes: AtomicUsize,
    set: Mutex<Option<(usize, When, Does)>>,
}

enum Does {
    Inject(Injected),
    Run(Box<dyn FnOnce() + Send>),
}

impl AtWrite {
    fn set(&self, write: usize, when: When, does: Does) {
        self.writes.store(0, Ordering::Relaxed);
        *self.set.lock().unwrap() = Some((write, when, does));
    }

    fn happens(&self, call: &Call<'_>, now: When, write: usize) -> Injected {
        if !is_write(call) {
            return Injected::Proceed;
        }
        let set = self.set.lock().unwrap().take_if(|(at, when, _)| *at == write && *when == now);
        match set {
            Some((_, _, Does::Inject(injected))) => injected,
            Some((_, _, Does::Run(run))) => {
                run();
                Injected::Proceed
            }
            None => Injected::Proceed,
        }
    }
}

fn is_write(call: &Call<'_>) -> bool {
    matches!(call.operation, "UpdateItem" | "PutItem" | "TransactWriteItems")
}

impl Intercept for AtWrite {
    fn before(&self, call: &Call<'_>) -> Injected {
        let write = self.writes.fetch_add(usize::from(is_write(call)), Ordering::Relaxed);
        self.happens(call, When::Before, write)
    }

    fn after(&self, call: &Call<'_>) -> Injected {
        let write = self.writes.load(Ordering::Relaxed).saturating_sub(1);
        self.happens(call, When::After, write)
    }
}

async fn faulty() -> (MemoryBytes, Store, Arc<AtWrite>, Store) {
    let bytes = MemoryBytes::new().unwrap();
    let faults = Arc::new(AtWrite::default());
    let plain = Store::open_memory_on(&bytes, &env(), at(0), None).await.unwrap();
    let intercept = Arc::clone(&faults) as Arc<dyn Intercept>;
    let store = Store::open_memory_on(&bytes, &env(), at(0), Some(intercept)).await.unwrap();
    (bytes, store, faults, plain)
}

/// In memory every call answers at once, or never.
fn run<T>(future: impl Future<Output = T>) -> Option<T> {
    match pin!(future).poll(&mut Context::from_waker(Waker::noop())) {
        Poll::Ready(done) => Some(done),
        Poll::Pending => None,
    }
}

/// Starts the rollout of this number with so many services, unless the app has one.
async fn try_start(store: &Store, services: u32) -> Result<Commit, StoreError> {
    let state = store.app_state(&app()).await?;
    if state.active.is_some() {
        return Ok(Commit::Stale);
    }
    let audit = vec![entry("start rollout", "bring 4b825dc to rachel8", at(0))];
    let number = state.rollouts + 1;
    store.start_rollout(&active(&state, number), &head(number, services), &rows(services), audit).await
}

/// A rollout is there with all of its rows and no other, or not at all; true if it is there.
async fn is_whole(store: &Store) -> bool {
    let state = store.app_state(&app()).await.unwrap();
    let listed = store.rollouts(None, 10).await.unwrap().items;
    let Some(active) = state.active else {
        assert!(listed.is_empty() && store.rollout(&rollout_id(1)).await.unwrap().is_none());
        return false;
    };
    let head = store.rollout(&active).await.unwrap().unwrap();
    assert_eq!(store.rows(&active, 0, 500).await.unwrap(), rows(head.size()));
    assert_eq!(listed, [head]);
    let started = store.events_after(None, 10, at(1)).await.unwrap().items;
    assert_eq!(started.len(), 1, "recorded once");
    true
}

/// The writes of one undisturbed start: taking the rows, two parts of them, and the beginning.
const WRITES: usize = 4;

#[tokio::test]
async fn a_start_disturbed_at_any_write_leaves_a_whole_rollout_or_none() {
    let always =
        [Injected::Throttle, Injected::ServerError, Injected::TimedOut, Injected::Late, Injected::Twice];
    let mut injections: Vec<(When, Injected)> =
        [When::Before, When::After].into_iter().flat_map(|when| always.map(|it| (when, it))).collect();
    // A conflict says that nothing took place, so it is no answer to what has.
    injections.push((When::Before, Injected::Conflict));
    let (mut begun, mut not_begun) = (0, 0);
    for write in 0..WRITES {
        for &(when, injected) in &injections {
            let (_, store, faults, plain) = faulty().await;
            faults.set(write, when, Does::Inject(injected));
            let started = try_start(&store, SERVICES).await;
            assert!(faults.set.lock().unwrap().is_none(), "write {write} was not made");
            // Whatever is still on its way arrives with the next call.
            store.app_state(&app()).await.unwrap();
            let is_there = is_whole(&plain).await;
            match started {
                Ok(DONE) => assert!(is_there, "{write} {when:?} {injected:?}"),
                Ok(_) => assert!(!is_there, "{write} {when:?} {injected:?}"),
                Err(error) => assert!(error.is_passing(), "{write} {when:?} {injected:?}: {error}"),
            }
            if is_there {
                begun += 1;
            } else {
                not_begun += 1;
                assert_eq!(try_start(&plain, 7).await.unwrap(), DONE, "{write} {when:?} {injected:?}");
                assert!(is_whole(&plain).await);
            }
        }
    }
    assert!(begun >= 10 && not_begun >= 10, "{begun} begun, {not_begun} not");
}

#[tokio::test]
async fn a_start_overtaken_at_any_write_by_another_that_dies_at_any_write_never_mixes_their_rows() {
    let (mut won, mut lost, mut neither) = (0, 0, 0);
    for write in 0..WRITES {
        for dies_at in 0..=WRITES {
            let (bytes, store, faults, plain) = faulty().await;
            let deadly = Arc::new(AtWrite::default());
            deadly.set(dies_at, When::Before, Does::Inject(Injected::Hang));
            let other = Store::open_memory_on(&bytes, &env(), at(0), Some(deadly)).await.unwrap();
            let overtakes = Box::new(move || match run(try_start(&other, SERVICES + 30)) {
                Some(started) => assert!(matches!(started, Ok(DONE)), "{started:?}"),
                None => assert!(dies_at < WRITES),
            });
            faults.set(write, When::Before, Does::Run(overtakes));
            let started = try_start(&store, SERVICES).await.unwrap();
            let is_there = is_whole(&plain).await;
            match (started, is_there, dies_at == WRITES) {
                (DONE, true, false) => won += 1,
                (Commit::Stale, true, true) => lost += 1,
                (Commit::Stale, false, false) => {
                    neither += 1;
                    assert_eq!(try_start(&plain, 7).await.unwrap(), DONE);
                    assert!(is_whole(&plain).await);
                }
                other => panic!("write {write}, dies at {dies_at}: {other:?}"),
            }
        }
    }
    assert_eq!(lost, WRITES, "who is overtaken by a whole start always loses");
    assert!(won > 0 && neither > 0, "{won} won, {lost} lost, {neither} neither");
}

/// The moves of one service's update and of the rollout's end, each decided on what is there.
async fn decide(store: &Store, number: usize) -> (Option<Placed>, Move) {
    let (head, placed) = (the_head(store, 1).await, load(store, &service_name(0)).await);
    let next = match number {
        0 => intent(&placed, &head, 0, UpdateStep::CheckOut, at(1)),
        1 => intent(&placed, &head, 0, UpdateStep::Restart, at(2)),
        2 => verdict(&placed, &head, at(9)),
        _ => return (None, end(&head, &store.app_state(&app()).await.unwrap(), End::Completed, at(30))),
    };
    (Some(placed), next)
}

#[tokio::test]
async fn a_move_whose_answer_is_lost_is_done_once_and_known_to_be() {
    let (_, store, faults, plain) = faulty().await;
    start(&plain, 1, 3).await;
    add(&plain, &service_name(0)).await;
    for (number, when) in [When::Before, When::After, When::Before, When::After].into_iter().enumerate() {
        let (placed, next) = decide(&plain, number).await;
        faults.set(0, when, Does::Inject(Injected::Twice));
        let committed = store.commit_move(Fence::Person, placed.as_ref(), &next).await.unwrap();
        assert_eq!(committed, Commit::Done { added: u64::from(placed.is_some()) }, "move {number}");
    }
    let rows = plain.events_after(None, 10, at(31)).await.unwrap().items;
    assert_eq!(rows.len(), 5, "the start and four moves, each recorded once");
    assert!(the_law_holds(&plain).await);
}

#[tokio::test]
async fn a_move_that_failed_is_there_or_not_and_the_next_look_shows_which() {
    let moves = 4;
    for number in 0..moves {
        for (when, injected, is_done) in [
            (When::Before, Injected::Throttle, false),
            (When::Before, Injected::ServerError, false),
            (When::Before, Injected::TimedOut, false),
            (When::After, Injected::TimedOut, true),
            (When::Before, Injected::Late, true),
        ] {
            let (_, store, faults, plain) = faulty().await;
            start(&plain, 1, 3).await;
            add(&plain, &service_name(0)).await;
            for earlier in 0..number {
                let (placed, next) = decide(&plain, earlier).await;
                plain.commit_move(Fence::Person, placed.as_ref(), &next).await.unwrap();
            }
            let before = (the_head(&plain, 1).await, load(&plain, &service_name(0)).await);
            let (placed, next) = decide(&plain, number).await;
            faults.set(0, when, Does::Inject(injected));
            let error = store.commit_move(Fence::Person, placed.as_ref(), &next).await.unwrap_err();
            assert!(error.is_passing(), "{error}");
            store.app_state(&app()).await.unwrap();
            let after = (the_head(&plain, 1).await, load(&plain, &service_name(0)).await);
            assert_eq!(before != after, is_done, "move {number}, {when:?} {injected:?}");
            // Who decides on what was read before finds out; who looks again goes on.
            let again = store.commit_move(Fence::Person, placed.as_ref(), &next).await.unwrap();
            assert_eq!(again == Commit::Stale, is_done, "move {number}, {when:?} {injected:?}");
            for later in number + 1..moves {
                let (placed, next) = decide(&plain, later).await;
                let done = plain.commit_move(Fence::Person, placed.as_ref(), &next).await.unwrap();
                assert_ne!(done, Commit::Stale, "move {later} after {number}, {when:?} {injected:?}");
            }
            assert!(!the_head(&plain, 1).await.is_active() && the_law_holds(&plain).await);
        }
    }
}

#[tokio::test]
async fn a_move_that_meets_another_transaction_is_stale_and_changes_nothing() {
    let (_, store, faults, plain) = faulty().await;
    start(&plain, 1, 3).await;
    add(&plain, &service_name(0)).await;
    for number in 0..4 {
        let before = (the_head(&plain, 1).await, load(&plain, &service_name(0)).await);
        let (placed, next) = decide(&plain, number).await;
        faults.set(0, When::Before, Does::Inject(Injected::Conflict));
        let met = store.commit_move(Fence::Person, placed.as_ref(), &next).await.unwrap();
        assert_eq!(met, Commit::Stale);
        assert_eq!((the_head(&plain, 1).await, load(&plain, &service_name(0)).await), before);
        let done = store.commit_move(Fence::Person, placed.as_ref(), &next).await.unwrap();
        assert_ne!(done, Commit::Stale, "move {number}");
    }
}

#[tokio::test]
async fn a_delivery_whose_answer_is_lost_was_received_once() {
    let (_, store, faults, plain) = faulty().await;
    for (number, when) in [When::Before, When::After].into_iter().enumerate() {
        let received = delivery(&format!("id-{number}"), &format!("body-{number}"), at(1));
        faults.set(0, when, Does::Inject(Injected::Twice));
        let done = store.begin_delivery(&received, Causes::Nothing, Vec::new()).await.unwrap();
        assert_eq!(done, Received::New, "{when:?}");
    }
    let lost = delivery("id-2", "body-2", at(1));
    faults.set(0, When::After, Does::Inject(Injected::TimedOut));
    assert!(store.begin_delivery(&lost, Causes::Nothing, Vec::new()).await.is_err());
    let again = store.begin_delivery(&lost, Causes::Nothing, Vec::new()).await.unwrap();
    assert_eq!(again, Received::Again(Box::new(lost)));
    assert_eq!(plain.deliveries("github", None, 10, at(2)).await.unwrap().items.len(), 3);
}
