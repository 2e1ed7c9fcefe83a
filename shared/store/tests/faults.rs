//! The faults of a table over a network, injected between the SDK and the engine.

#![expect(clippy::unwrap_used, reason = "a test may panic")]

mod common;

use std::sync::{Arc, Mutex};
use std::time::Duration;

use common::meanwhile::{Meanwhile, now};
use common::*;
use lamplighter_core::report::SweepReport;
use lamplighter_store::embedded::{Call, Injected, Intercept, MemoryBytes};
use lamplighter_store::*;

/// Does one thing to the next call of an operation.
#[derive(Default)]
struct Once(Mutex<Option<(&'static str, When, Injected)>>);

#[derive(Clone, Copy, PartialEq)]
enum When {
    Before,
    After,
}

impl Once {
    fn set(&self, operation: &'static str, when: When, injected: Injected) {
        *self.0.lock().unwrap() = Some((operation, when, injected));
    }

    fn take(&self, call: &Call<'_>, now: When) -> Injected {
        let mut set = self.0.lock().unwrap();
        match *set {
            Some((operation, when, injected)) if operation == call.operation && when == now => {
                *set = None;
                injected
            }
            _ => Injected::Proceed,
        }
    }
}

impl Intercept for Once {
    fn before(&self, call: &Call<'_>) -> Injected {
        self.take(call, When::Before)
    }

    fn after(&self, call: &Call<'_>) -> Injected {
        self.take(call, When::After)
    }
}

async fn faulty() -> (Store, Arc<Once>, Store) {
    let bytes = MemoryBytes::new().unwrap();
    let once = Arc::new(Once::default());
    let store = Store::open_memory_on(&bytes, &env(), at(0), Some(once.clone())).await.unwrap();
    let plain = Store::open_memory_on(&bytes, &env(), at(0), None).await.unwrap();
    (store, once, plain)
}

#[tokio::test]
async fn a_doubled_write_knows_its_own_work() {
    let (store, once, _) = faulty().await;
    for when in [When::Before, When::After] {
        let name = if when == When::Before { "vps-001" } else { "vps-002" };
        let seconds = if when == When::Before { 0 } else { 100 };
        once.set("TransactWriteItems", when, Injected::Twice);
        let put = store.put_service(&spec(name), Expected::Absent, at(0)).await.unwrap();
        assert_eq!(put, Put::Created { version: 1 });

        once.set("UpdateItem", when, Injected::Twice);
        let lease = sweep(&store, u64::try_from(seconds).unwrap() + 1, seconds).await;
        let placed = load(&store, name).await;
        once.set("TransactWriteItems", when, Injected::Twice);
        let commit =
            store.commit(Fence::Shard(&lease), &placed, &down(&placed, at(seconds + 1))).await.unwrap();
        assert_eq!(commit, Commit::Done { added: 1 });
        once.set("UpdateItem", when, Injected::Twice);
        let finished = store.finish_sweep(&lease, &SweepReport::default(), at(seconds + 2)).await.unwrap();
        assert_eq!(finished, Commit::Done { added: 0 });
        once.set("UpdateItem", when, Injected::Twice);
        let recovery = recover(&store, seconds).await;
        store.free_lease(&recovery).await.unwrap();
    }
    let shard = &store.shards().await.unwrap()[0];
    assert_eq!((shard.sweeps, shard.services), (2, 2), "each counted once");
    assert_eq!(store.outbox(10).await.unwrap().len(), 2);

    once.set("PutItem", When::Before, Injected::Twice);
    let settings = lamplighter_core::settings::Settings::default();
    assert_eq!(store.put_settings(0, &settings).await.unwrap(), Commit::Done { added: 0 });
    once.set("PutItem", When::Before, Injected::Twice);
    assert_eq!(store.begin_request("key", "body", at(0)).await.unwrap(), Begun::Fresh);
}

#[tokio::test]
async fn another_delivery_of_the_same_tick_is_not_taken_for_our_own() {
    let (store, _, _) = faulty().await;
    sweep(&store, 7, 0).await;
    let again = store.claim_shard(ShardNo::FIRST, 7, OWNER, at(0), at(60)).await.unwrap();
    assert_eq!(again, Claim::Past);
}

#[tokio::test]
async fn a_conflict_is_stale_and_a_throttle_is_unavailable() {
    let (store, once, plain) = faulty().await;
    let placed = add(&plain, "vps-001").await;
    let lease = sweep(&plain, 1, 0).await;
    let decision = down(&placed, at(1));
    once.set("TransactWriteItems", When::Before, Injected::Conflict);
    assert_eq!(store.commit(Fence::Shard(&lease), &placed, &decision).await.unwrap(), Commit::Stale);
    for injected in [Injected::Throttle, Injected::ServerError, Injected::TimedOut] {
        once.set("TransactWriteItems", When::Before, injected);
        let error = store.commit(Fence::Shard(&lease), &placed, &decision).await.unwrap_err();
        assert!(matches!(error, StoreError::Unavailable { .. }) && error.is_passing(), "{error:?}");
    }
    assert!(plain.steps().await.unwrap().is_empty(), "none of them was carried out");
    once.set("UpdateItem", When::Before, Injected::Conflict);
    let finished = store.finish_sweep(&lease, &SweepReport::default(), at(2)).await.unwrap();
    assert_eq!(finished, Commit::Done { added: 0 }, "a sweep's end is tried again");
}

#[tokio::test]
async fn a_lost_answer_leaves_the_commit_in_place_and_late_ones_arrive() {
    let (store, once, plain) = faulty().await;
    let placed = add(&plain, "vps-001").await;
    once.set("TransactWriteItems", When::After, Injected::TimedOut);
    assert!(store.commit(Fence::Person, &placed, &down(&placed, at(1))).await.is_err());
    assert_eq!(plain.steps().await.unwrap().len(), 1);
    let placed = load(&plain, "vps-001").await;
    once.set("TransactWriteItems", When::Before, Injected::Late);
    assert!(store.commit(Fence::Person, &placed, &recovered(&placed, at(9))).await.is_err());
    assert_eq!(plain.steps().await.unwrap().len(), 1, "not yet");
    assert!(store.steps().await.unwrap().is_empty(), "the next call finds it done");
}

#[tokio::test]
async fn a_stale_read_of_a_shard_is_noticed_and_read_again() {
    let (store, once, plain) = faulty().await;
    let placed = add(&plain, "vps-001").await;
    let old = store.shards().await.unwrap()[0].clone();
    assert_eq!(store.load_shard(&old).await.unwrap()[0].watch.version, 1);
    plain.commit(Fence::Person, &placed, &down(&placed, at(1))).await.unwrap();
    add(&plain, "vps-002").await;
    let new = plain.shards().await.unwrap()[0].clone();
    once.set("Query", When::Before, Injected::Stale);
    let loaded = store.load_shard(&new).await.unwrap();
    assert_eq!(loaded.iter().map(|placed| placed.watch.version).collect::<Vec<_>>(), [2, 1]);
}

#[tokio::test]
async fn a_dead_process_waits_for_ever_and_its_bytes_live_on() {
    let bytes = MemoryBytes::new().unwrap();
    let once = Arc::new(Once::default());
    let store = Store::open_memory_on(&bytes, &env(), at(0), Some(once.clone())).await.unwrap();
    let placed = add(&store, "vps-001").await;
    once.set("TransactWriteItems", When::After, Injected::Hang);
    let decision = down(&placed, at(1));
    let commit = store.commit(Fence::Person, &placed, &decision);
    assert!(tokio::time::timeout(Duration::from_millis(10), commit).await.is_err());
    drop(store);
    let next_life = Store::open_memory_on(&bytes, &env(), at(60), None).await.unwrap();
    assert_eq!(next_life.steps().await.unwrap().len(), 1);
}

#[tokio::test]
async fn a_half_import_is_never_opened_until_the_same_file_was_imported_again() {
    let (store, _, _) = faulty().await;
    let mut other = std::io::Cursor::new(Vec::new());
    store.export(other.get_mut()).await.unwrap();
    for number in 0..40 {
        add(&store, &format!("vps-{number:03}")).await;
    }
    let mut export = std::io::Cursor::new(Vec::new());
    let exported = store.export(export.get_mut()).await.unwrap();
    let bytes = MemoryBytes::new().unwrap();
    let once = Arc::new(Once::default());
    let new = Store::open_memory_on(&bytes, &env(), at(0), Some(once.clone())).await.unwrap();
    once.set("BatchWriteItem", When::After, Injected::Hang);
    let dies = new.import(&mut export, at(0));
    assert!(tokio::time::timeout(Duration::from_millis(10), dies).await.is_err());
    let opened = Store::open_memory_on(&bytes, &env(), at(0), None).await;
    assert!(matches!(opened, Err(OpenError::HalfImported { .. })), "{opened:?}");
    let next = Store::open_memory_to_import(&bytes, &env(), at(60), None).await.unwrap();
    let foreign = next.import(&mut other, at(60)).await;
    assert!(matches!(foreign, Err(ExportError::OtherBegun)), "{foreign:?}");
    assert_eq!(next.import(&mut export, at(60)).await.unwrap(), exported);
    let whole = Store::open_memory_on(&bytes, &env(), at(61), None).await.unwrap();
    assert_eq!(whole.list_services(None, 100).await.unwrap(), store.list_services(None, 100).await.unwrap());
    let again = next.import(&mut export, at(62)).await;
    assert!(matches!(again, Err(ExportError::NotEmpty)), "what is in use is not imported over: {again:?}");
}

#[tokio::test]
async fn an_import_that_was_overtaken_puts_nothing_more() {
    let (store, _, _) = faulty().await;
    for number in 0..60 {
        add(&store, &format!("vps-{number:03}")).await;
    }
    let mut export = std::io::Cursor::new(Vec::new());
    let exported = store.export(export.get_mut()).await.unwrap();
    let (bytes, mut same) = (MemoryBytes::new().unwrap(), export.clone());
    let theirs = bytes.clone();
    let overtaking = Meanwhile::before_first("BatchWriteItem", move || {
        let faster = now(Store::open_memory_to_import(&theirs, &env(), at(1), None)).unwrap();
        assert_eq!(now(faster.import(&mut same, at(1))).unwrap(), exported);
    });
    let slow = Store::open_memory_to_import(&bytes, &env(), at(0), overtaking).await.unwrap();
    let came = slow.import(&mut export, at(0)).await;
    assert!(matches!(came, Err(ExportError::Overtaken)), "{came:?}");
    let whole = Store::open_memory_on(&bytes, &env(), at(2), None).await.unwrap();
    assert_eq!(whole.list_services(None, 100).await.unwrap().items.len(), 60);
}

#[tokio::test]
async fn an_import_whose_last_answer_is_lost_has_come_to_its_end() {
    let (store, _, _) = faulty().await;
    add(&store, "vps-001").await;
    let mut export = std::io::Cursor::new(Vec::new());
    let exported = store.export(export.get_mut()).await.unwrap();
    let new = Store::open_memory(&env(), at(0), Some(Arc::new(Deaf))).await.unwrap();
    assert_eq!(new.import(&mut export, at(0)).await.unwrap(), exported);
}

/// A way on which the answer of every deletion is lost.
struct Deaf;

impl Intercept for Deaf {
    fn before(&self, _: &Call<'_>) -> Injected {
        Injected::Proceed
    }

    fn after(&self, call: &Call<'_>) -> Injected {
        if call.operation == "DeleteItem" { Injected::ServerError } else { Injected::Proceed }
    }
}

#[tokio::test]
async fn an_import_waits_for_a_table_that_is_throttling() {
    let (store, _, _) = faulty().await;
    for number in 0..40 {
        add(&store, &format!("vps-{number:03}")).await;
    }
    let mut export = std::io::Cursor::new(Vec::new());
    let exported = store.export(export.get_mut()).await.unwrap();
    for (when, injected) in [
        (When::Before, Injected::Throttle),
        (When::After, Injected::ServerError),
        (When::After, Injected::TimedOut),
    ] {
        let (new, once, _) = faulty().await;
        once.set("BatchWriteItem", when, injected);
        assert_eq!(new.import(&mut export, at(0)).await.unwrap(), exported);
        assert_eq!(load(&new, "vps-039").await, load(&store, "vps-039").await);
    }
}

#[tokio::test]
async fn a_commit_that_is_overtaken_is_not_missed_by_a_reader_with_a_cursor() {
    let overtaking = Meanwhile::idle("TransactWriteItems");
    let store = Store::open_memory(&env(), at(0), Some(overtaking.clone())).await.unwrap();
    for name in ["vps-001", "vps-002", "vps-003"] {
        add(&store, name).await;
    }
    let (early, late) = (load(&store, "vps-002").await, load(&store, "vps-001").await);
    let seen = async |cursor: Option<String>| {
        let page = store.events_after(cursor.as_deref(), 10, at(3)).await.unwrap();
        let names: Vec<String> =
            page.items.iter().map(|row| row.audit[0].service.as_ref().unwrap().to_string()).collect();
        (names, page.next)
    };
    let first = load(&store, "vps-003").await;
    store.commit(Fence::Person, &first, &down(&first, at(1))).await.unwrap();
    let (names, cursor) = seen(None).await;
    assert_eq!(names, ["vps-003"]);

    let (overtaker, from) = (store.clone(), cursor.clone());
    overtaking.set(move || {
        now(overtaker.commit(Fence::Person, &late, &down(&late, at(1)))).unwrap();
        let page = now(overtaker.events_after(from.as_deref(), 10, at(3))).unwrap();
        assert!(page.items.is_empty(), "shown before the row that comes first: {page:?}");
        assert_eq!(page.next, from);
    });
    store.commit(Fence::Person, &early, &down(&early, at(1))).await.unwrap();
    assert!(overtaking.is_done(), "nothing overtook");
    let (names, cursor) = seen(cursor).await;
    assert_eq!(names, ["vps-002", "vps-001"], "in the order in which they were filed, and none is missing");
    assert!(seen(cursor).await.0.is_empty());
}
