//! Deliveries of webhooks, as every table must remember them.

#![expect(clippy::unwrap_used, reason = "a test may panic")]

mod common;

use std::time::Duration;

use common::rollouts::*;
use common::*;
use lamplighter_core::rollout::{AppState, Push};
use lamplighter_store::*;

#[tokio::test]
async fn a_delivery_is_forgotten_when_its_time_is_over_and_not_before() {
    let store = table().await;
    let receive = async |id: &str, body: &str, seconds| {
        let delivery = delivery(id, body, at(seconds));
        store.begin_delivery(&delivery, Causes::Nothing, Vec::new()).await.unwrap()
    };
    let three_days = 3 * 86_400;
    let kept = i64::try_from(DELIVERY_KEPT.as_secs()).unwrap();
    assert!(kept >= three_days);
    assert_eq!(receive("one", "body", 0).await, Received::New);
    let first = Received::Again(Box::new(delivery("one", "body", at(0))));
    for seconds in [0, 299, 301, three_days, kept - 1] {
        assert_eq!(receive("one", "body", seconds).await, first);
        assert_eq!(receive("one", "other", seconds).await, first, "by its id");
        assert_eq!(receive("two", "body", seconds).await, first, "by its body");
    }
    assert_eq!(receive("one", "body", kept).await, Received::New);
    let mut elsewhere = delivery("one", "body", at(kept));
    elsewhere.hook = "gitlab".to_owned();
    let received = store.begin_delivery(&elsewhere, Causes::Nothing, Vec::new()).await.unwrap();
    assert_eq!(received, Received::New, "another hook's ids are its own");
    // Where equal bodies are not the same call, only the id counts.
    for id in ["three", "four"] {
        let bodiless = Delivery { body_hash: None, ..delivery(id, "", at(1)) };
        let received = store.begin_delivery(&bodiless, Causes::Nothing, Vec::new()).await.unwrap();
        assert_eq!(received, Received::New);
    }
}

#[tokio::test]
async fn a_push_that_meets_a_changed_app_is_not_taken_for_received() {
    let store = table().await;
    let push = |state: &AppState| {
        let by = "hook github".to_owned();
        let push =
            Push { target: target(), branch: "main".to_owned(), by, delivery: "one".to_owned(), at: at(1) };
        state.pushed(push)
    };
    let read = store.app_state(&app()).await.unwrap();
    assert_eq!(start(&store, 1, 3).await, Commit::Done { added: 0 });
    let one = delivery("one", "body", at(1));
    let late = store.begin_delivery(&one, Causes::Push(&push(&read)), Vec::new()).await.unwrap();
    assert_eq!(late, Received::Stale);
    assert_eq!(store.delivery("github", "one", at(1)).await.unwrap(), None);
    let read = store.app_state(&app()).await.unwrap();
    let again = store.begin_delivery(&one, Causes::Push(&push(&read)), Vec::new()).await.unwrap();
    assert_eq!(again, Received::New);
    let state = store.app_state(&app()).await.unwrap();
    assert_eq!((state.active, state.waiting.unwrap().delivery), (Some(rollout_id(1)), "one".to_owned()));
}

#[tokio::test]
async fn deliveries_are_listed_newest_first_with_what_became_of_them() {
    let store = table().await;
    for number in 1..=5 {
        let delivery = delivery(&format!("id-{number}"), &format!("body-{number}"), at(number));
        store.begin_delivery(&delivery, Causes::Nothing, Vec::new()).await.unwrap();
    }
    store.settle_delivery("github", "id-4", "rachel8-1 has begun", at(6)).await.unwrap();
    store.settle_delivery("github", "id-9", "nobody knows it", at(6)).await.unwrap();
    let first = store.deliveries("github", None, 3, at(6)).await.unwrap();
    let ids: Vec<&str> = first.items.iter().map(|delivery| delivery.id.as_str()).collect();
    assert_eq!(ids, ["id-5", "id-4", "id-3"]);
    assert_eq!(first.items[1].outcome, "rachel8-1 has begun");
    let rest = store.deliveries("github", first.next.as_deref(), 3, at(6)).await.unwrap();
    assert_eq!((rest.items.len(), rest.next), (2, None));
    assert!(store.deliveries("gitlab", None, 3, at(6)).await.unwrap().items.is_empty());
    let later = at(6) + DELIVERY_KEPT + Duration::from_secs(1);
    assert!(store.deliveries("github", None, 3, later).await.unwrap().items.is_empty());
}
