//! The facts that the conditions of rollouts and deliveries hold up.

use lamplighter_core::rollout::{AppState, HeadPart, Move, Push};
use lamplighter_core::update::UpdateStep;

use super::*;
use crate::common::rollouts::*;

pub(crate) async fn an_app_has_one_active_rollout(store: &Store, other: &Store) -> bool {
    let nothing = AppState::new(app());
    let one = store.start_rollout(&active(&nothing, 1), &head(1, 3), &rows(3), Vec::new()).await.unwrap();
    let two = other.start_rollout(&active(&nothing, 2), &head(2, 3), &rows(3), Vec::new()).await.unwrap();
    let state = store.app_state(&app()).await.unwrap();
    (one, two) == (Commit::Done { added: 0 }, Commit::Stale) && state.active == Some(rollout_id(1))
}

pub(crate) async fn a_number_is_used_once(store: &Store, other: &Store) -> bool {
    start(store, 1, 3).await;
    store.commit_move(Fence::Person, None, &paused(&the_head(store, 1).await)).await.unwrap();
    start(other, 1, 3).await == Commit::Stale && the_head(other, 1).await.version == 2
}

/// A start that was overtaken between taking the rows and writing them.
pub(crate) async fn a_slow_start_writes_no_row_over_anothers(without: bool) -> bool {
    let bytes = MemoryBytes::new().unwrap();
    let other = Store::open_memory_on(&bytes, &env(), at(0), None).await.unwrap();
    let begins = other.clone();
    let meanwhile = Meanwhile::before_first("TransactWriteItems", move || {
        assert_eq!(now(start(&begins, 1, 5)), Commit::Done { added: 0 });
    });
    let store = interfered(&bytes, meanwhile, Condition::RowsAreOurs, without).await.unwrap();
    let ours = rows(3).into_iter().map(|row| lamplighter_core::rollout::Row { spec_version: 9, ..row });
    let ours: Vec<_> = ours.collect();
    let state = AppState::new(app());
    let late = store.start_rollout(&active(&state, 1), &head(1, 3), &ours, Vec::new()).await.unwrap();
    late == Commit::Stale && other.rows(&rollout_id(1), 0, 10).await.unwrap() == rows(5)
}

pub(crate) async fn an_older_decision_on_the_head_is_refused(store: &Store, other: &Store) -> bool {
    start(store, 1, 3).await;
    let read = the_head(store, 1).await;
    store.commit_move(Fence::Person, None, &paused(&read)).await.unwrap();
    other.commit_move(Fence::Person, None, &paused(&read)).await.unwrap() == Commit::Stale
}

pub(crate) async fn no_step_forward_follows_an_abort(store: &Store, other: &Store) -> bool {
    start(store, 1, 3).await;
    let placed = add(store, &service_name(0)).await;
    let begin = intent(&placed, &the_head(store, 1).await, 0, UpdateStep::CheckOut, at(1));
    assert_eq!(
        store.commit_move(Fence::Person, Some(&placed), &begin).await.unwrap(),
        Commit::Done { added: 1 }
    );
    let placed = load(store, &service_name(0)).await;
    let install = intent(&placed, &the_head(store, 1).await, 0, UpdateStep::Install, at(2));
    let mut aborted = the_head(other, 1).await;
    aborted.version += 1;
    aborted.steering += 1;
    let abort = Move { head: HeadPart::Becomes(Box::new(aborted)), ..nothing() };
    assert_eq!(other.commit_move(Fence::Person, None, &abort).await.unwrap(), Commit::Done { added: 0 });
    let late = store.commit_move(Fence::Person, Some(&placed), &install).await.unwrap();
    late == Commit::Stale && load(store, &service_name(0)).await == placed
}

pub(crate) async fn a_delivery_is_acted_on_once(store: &Store, other: &Store) -> bool {
    let delivery = |id: &str, body: &str| delivery(id, body, at(1));
    let push = async |store: &Store, delivery: &Delivery| {
        let state = store.app_state(&app()).await.unwrap();
        let push = Push {
            target: target(),
            branch: "main".to_owned(),
            by: "hook github".to_owned(),
            delivery: delivery.id.clone(),
            at: at(1),
        };
        store.begin_delivery(delivery, Causes::Push(&state.pushed(push)), Vec::new()).await.unwrap()
    };
    let first = delivery("one", "body");
    assert_eq!(push(store, &first).await, Received::New);
    let by_id = push(other, &delivery("one", "another body")).await;
    let by_body = push(other, &delivery("two", "body")).await;
    let pushes = store.app_state(&app()).await.unwrap().version;
    (by_id, by_body, pushes)
        == (Received::Again(Box::new(first.clone())), Received::Again(Box::new(first)), 1)
}

pub(crate) async fn a_forgotten_delivery_does_not_come_back(without: bool) -> bool {
    let bytes = MemoryBytes::new().unwrap();
    let other = Store::open_memory_on(&bytes, &env(), at(0), None).await.unwrap();
    let received = delivery("one", "body", at(1));
    other.begin_delivery(&received, Causes::Nothing, Vec::new()).await.unwrap();
    let sweeps = other.clone();
    let meanwhile = Meanwhile::before_first("UpdateItem", move || {
        assert!(now(sweeps.sweep_ttl(at(2) + DELIVERY_KEPT)).unwrap() > 0);
    });
    let store = interfered(&bytes, meanwhile, Condition::DeliveryIsThere, without).await.unwrap();
    store.settle_delivery("github", "one", "rachel8-1 has begun", at(2)).await.unwrap();
    let mut exported = Vec::new();
    other.export(&mut exported).await.unwrap();
    !String::from_utf8(exported).unwrap().contains("DELIVERIES")
}
