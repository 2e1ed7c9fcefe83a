//! What many short-lived processes over one table need: to see that it has changed under them, and to keep one ledger.
#![expect(clippy::unwrap_used, reason = "a test may panic")]

mod common;

use std::time::Duration;

use common::{at, env, two_processes};
use lamplighter_core::settings::Settings;
use lamplighter_store::embedded::MemoryBytes;
use lamplighter_store::{Consumed, OpenError, SCHEMA, Spent, Store, StoreError, Verb};

#[tokio::test]
async fn a_process_that_was_warm_does_nothing_once_a_newer_one_has_raised_the_schema() {
    let (old, newer) = two_processes().await;
    old.put_settings(0, &Settings::default()).await.unwrap();
    assert_eq!(old.settings().await.unwrap().0, 1);
    newer.pretend_schema(SCHEMA + 1).await.unwrap();
    match old.settings().await {
        Err(StoreError::NewerSchema { theirs, ours }) => assert_eq!((theirs, ours), (SCHEMA + 1, SCHEMA)),
        other => panic!("it went on with {other:?}"),
    }
}

#[tokio::test]
async fn settings_cost_half_a_unit_with_all_that_is_read_beside_them() {
    let (store, _) = two_processes().await;
    store.put_settings(0, &Settings::default()).await.unwrap();
    let before = store.ledger().total();
    store.settings().await.unwrap();
    let cost = store.ledger().total().since(&before);
    assert_eq!((cost.read_units, cost.write_units), (0.5, 0.0));
}

#[tokio::test]
async fn only_a_table_that_was_begun_is_opened_by_who_may_not_begin_it() {
    let bytes = MemoryBytes::new().unwrap();
    let refused = Store::open_memory_adopted(&bytes, &env()).await.unwrap_err();
    assert!(matches!(refused, OpenError::Empty { .. }), "{refused}");
    Store::open_memory_on(&bytes, &env(), at(0), None).await.unwrap();
    Store::open_memory_adopted(&bytes, &env()).await.unwrap();
    let other = Store::open_memory_adopted(&bytes, &"dev".parse().unwrap()).await.unwrap_err();
    assert!(matches!(other, OpenError::OtherEnv { .. }), "{other}");
}

fn row(rows: &[Spent], verb: Verb) -> Spent {
    *rows.iter().find(|row| row.verb == verb).unwrap()
}

#[tokio::test]
async fn what_many_processes_consume_adds_up_by_day_and_verb() {
    let (one, two) = two_processes().await;
    for (store, millis) in [(&one, 40), (&two, 60)] {
        store.ledger().note_run(Verb::Sweep, Duration::from_millis(millis), 128);
        store.ledger().note_letters(2);
        store.ledger().note_messages(Verb::Sweep, 3);
        store.keep_ledger(at(0), at(10)).await.unwrap();
    }
    // Nothing is counted twice: only what keeping the ledger itself consumed is new.
    two.keep_ledger(at(0), at(20)).await.unwrap();
    let rows = one.kept_ledger(1, at(30)).await.unwrap();
    let sweep = row(&rows, Verb::Sweep);
    assert_eq!((sweep.consumed.runs, sweep.consumed.millis, sweep.consumed.messages), (2, 100, 6));
    assert_eq!(sweep.consumed.megabyte_millis, 12_800);
    assert_eq!(sweep.since, at(0));
    assert_eq!(row(&rows, Verb::Notify).consumed.letters, 4);
    assert!(row(&rows, Verb::Open).consumed.calls > 0, "opening the table is somebody's cost, too");

    let a_day = 86_400;
    one.ledger().note_run(Verb::Sweep, Duration::from_millis(5), 128);
    one.keep_ledger(at(0), at(a_day)).await.unwrap();
    let runs = |rows: Vec<Spent>| {
        rows.iter().filter(|row| row.verb == Verb::Sweep).map(|row| row.consumed.runs).collect::<Vec<_>>()
    };
    assert_eq!(runs(one.kept_ledger(1, at(a_day)).await.unwrap()), [1]);
    assert_eq!(runs(one.kept_ledger(2, at(a_day)).await.unwrap()), [2, 1]);
}

#[tokio::test]
async fn what_is_not_yet_kept_is_what_was_consumed_since() {
    let (store, _) = two_processes().await;
    store.keep_ledger(at(0), at(10)).await.unwrap();
    store.ledger().note_run(Verb::Api, Duration::from_millis(7), 0);
    let expected = Consumed { runs: 1, millis: 7, ..Consumed::default() };
    assert_eq!(store.ledger().unkept(Verb::Api), expected);
}
