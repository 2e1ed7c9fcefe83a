//! Cost is a feature: what sweeping, one transition and a whole heal consume, by the table's own account.

#![expect(clippy::unwrap_used, reason = "a test may panic")]

mod common;

use common::rollouts::*;
use std::time::Duration;

use common::*;
use lamplighter_core::Moment;
use lamplighter_core::report::SweepReport;
use lamplighter_core::rollout::{Move, Push};
use lamplighter_core::update::UpdateStep;
use lamplighter_core::version::Versions;
use lamplighter_store::*;

/// A full shard of realistic specs.
async fn full_shard(store: &Store) {
    for number in 0..SERVICES_PER_SHARD {
        store
            .put_service(&spec(&format!("customer-vps-{number:03}")), Expected::Absent, at(0))
            .await
            .unwrap();
    }
}

#[tokio::test]
async fn sweeping_a_quiet_shard_costs_next_to_nothing() {
    let store = table().await;
    full_shard(&store).await;
    let store = store.for_verb(Verb::Sweep);
    let before = store.ledger().of(Verb::Sweep);
    let lease = sweep(&store, 1, 0).await;
    let (_, settings) = store.settings().await.unwrap();
    let guard = store.blindness().await.unwrap();
    assert!(settings.check().is_ok() && guard.version == 0);
    store.finish_sweep(&lease, &SweepReport { checked: 500, ..SweepReport::default() }, at(1)).await.unwrap();
    let warm = store.ledger().of(Verb::Sweep).since(&before);
    assert!(warm.write_units <= 3.0 && warm.read_units <= 2.0, "warm: {warm:?}");

    let before = store.ledger().of(Verb::Sweep);
    assert_eq!(store.load_shard(&lease.summary).await.unwrap().len(), 500);
    let cold = store.ledger().of(Verb::Sweep).since(&before);
    assert!(warm.read_units + cold.read_units <= 80.0, "cold: {cold:?}");
    assert!(cold.read_units >= 20.0, "500 services cannot be read for {cold:?}");
}

#[tokio::test]
async fn a_whole_heal_costs_at_most_thirty_write_units() {
    let store = table().await;
    let placed = add(&store, "customer-vps-001").await;
    let lease = sweep(&store, 1, 0).await;

    let start = store.ledger().total();
    let done = store.commit(Fence::Shard(&lease), &placed, &down(&placed, at(1))).await.unwrap();
    assert_eq!(done, Commit::Done { added: 1 });
    let transition = store.ledger().total().since(&start);
    assert!(transition.write_units <= 14.0, "one transition: {transition:?}");
    // Six items of a transaction, two units each at the least: an account of less would not be DynamoDB's.
    assert!(transition.write_units >= 10.0, "one transition: {transition:?}");

    let recovery = recover(&store, 2).await;
    let placed = load(&store, "customer-vps-001").await;
    store.commit(Fence::Lease(&recovery), &placed, &recovered(&placed, at(10))).await.unwrap();
    store.free_lease(&recovery).await.unwrap();
    for stored in store.outbox(10).await.unwrap() {
        store.settle_notice(&stored).await.unwrap();
    }
    let heal = store.ledger().total().since(&start);
    assert!(heal.write_units <= 30.0, "a whole heal: {heal:?}");
}

/// Commits a move decided for a service, and says what it cost.
async fn moved(store: &Store, name: &str, decide: impl FnOnce(&Placed) -> Move) -> f64 {
    let placed = load(store, name).await;
    let before = store.ledger().total();
    let done = store.commit_move(Fence::Person, Some(&placed), &decide(&placed)).await.unwrap();
    assert_eq!(done, Commit::Done { added: 1 });
    store.ledger().total().since(&before).write_units
}

/// A moment as clocks give them: with milliseconds, which take room.
fn odd(seconds: i64) -> Moment {
    at(seconds) + Duration::from_millis(123)
}

/// A watch that has been through a year: it has recovered, was restarted, and was brought here by another rollout.
async fn seasoned(store: &Store, name: &str) {
    let placed = add(store, name).await;
    store.commit(Fence::Person, &placed, &down(&placed, at(1))).await.unwrap();
    let placed = load(store, name).await;
    let mut recovery = recovered(&placed, at(9));
    let times = [odd(1), odd(9)].map(Some);
    let watch = &mut recovery.next;
    (watch.last_failure_at, watch.last_restart_at, watch.last_healthy_at) = (times[0], times[0], times[1]);
    (watch.healthy_since, watch.last_notified_up_at, watch.totals.missed) = (times[1], times[1], 12);
    watch.versions = Versions {
        current: Some(previous()),
        previous: Some(target()),
        status: Some(lamplighter_core::rollout::RowStatus::Success),
        updated_at: Some(odd(0)),
        rollout: Some(rollout_id(16)),
    };
    store.commit(Fence::Person, &placed, &recovery).await.unwrap();
}

#[tokio::test]
async fn updating_one_service_costs_at_most_forty_write_units() {
    const SERVICES: u32 = 100;
    let store = table().await;
    let name = service_name(3);
    seasoned(&store, &name).await;
    for busy in 10..14 {
        add(&store, &service_name(busy)).await;
    }
    let before = store.ledger().total();
    assert_eq!(start(&store, 17, SERVICES).await, Commit::Done { added: 0 });
    let started = store.ledger().total().since(&before).write_units;
    let rows_each = started / f64::from(SERVICES);

    // Four others are under way, so the head is as large as it gets.
    for busy in 10..14 {
        let head = the_head(&store, 17).await;
        moved(&store, &service_name(busy), |placed| {
            intent(placed, &head, busy, UpdateStep::CheckOut, odd(10))
        })
        .await;
    }
    let head = the_head(&store, 17).await;
    let step = |step, now: Moment| {
        let head = head.clone();
        move |placed: &Placed| intent(placed, &head, 3, step, now)
    };
    let begin = moved(&store, &name, step(UpdateStep::CheckOut, odd(11))).await;
    let install = moved(&store, &name, step(UpdateStep::Install, odd(12))).await;
    let restart = moved(&store, &name, step(UpdateStep::Restart, odd(13))).await;
    let head = the_head(&store, 17).await;
    let verdict = moved(&store, &name, |placed| verdict(placed, &head, odd(20))).await;

    let all = rows_each + begin + install + restart + verdict;
    let counted = format!("start {rows_each}, {begin} + {install} + {restart} + {verdict} = {all}");
    assert!(begin <= 10.0, "begin: {counted}");
    assert!(install <= 8.0 && restart <= 8.0, "intents: {counted}");
    assert!(verdict <= 10.0, "verdict: {counted}");
    assert!(all <= 40.0, "all: {counted}");
    assert!(all >= 30.0, "fewer items than there are cannot have been written: {counted}");
}

#[tokio::test]
async fn a_delivery_that_brings_a_push_costs_eight_write_units_and_a_repeated_one_no_less() {
    let store = table().await;
    let push = Push {
        target: target(),
        branch: "main".to_owned(),
        by: "hook github".to_owned(),
        delivery: "72d3162e-cc78-11e3-81ab-4c9367dc0958".to_owned(),
        at: odd(1),
    };
    let pushed = store.app_state(&app()).await.unwrap().pushed(push);
    let received = delivery("72d3162e-cc78-11e3-81ab-4c9367dc0958", &"0a".repeat(32), odd(1));
    for expected in [Received::New, Received::Again(Box::new(received.clone()))] {
        let before = store.ledger().total();
        let became = store.begin_delivery(&received, Causes::Push(&pushed), Vec::new()).await.unwrap();
        let cost = store.ledger().total().since(&before).write_units;
        assert!(became == expected && (cost - 8.0).abs() < 0.1, "{became:?}: {cost}");
    }
}

#[tokio::test]
async fn every_verb_pays_for_itself() {
    let store = table().await;
    let before = store.ledger().of(Verb::Api);
    add(&store.for_verb(Verb::Api), "vps-001").await;
    store.for_verb(Verb::Notify).outbox(1).await.unwrap();
    let api = store.ledger().of(Verb::Api).since(&before);
    assert!(api.write_units >= 8.0 && store.ledger().of(Verb::Notify).read_units > 0.0);
    assert_eq!(store.ledger().of(Verb::Recover), Consumed::default());
}

/// The budgets mean nothing if the engine charges otherwise than DynamoDB: a unit per KiB written, twice that in a
/// transaction, half a unit per 4 KiB read and twice that if it must be consistent. Refusals are charged too.
#[tokio::test]
async fn the_engine_charges_as_dynamodb_does() {
    let store = table().await;
    let mut last = store.ledger().total();
    let mut cost = |store: &Store| {
        let now = store.ledger().total();
        let cost = now.since(&std::mem::replace(&mut last, now));
        (cost.read_units, cost.write_units)
    };
    let placed = add(&store, "vps-001").await;
    assert_eq!(cost(&store), (1.0 + 1.0 + 3.0, 8.0), "place and shards; four items; place, watch and spec");
    let lease = sweep(&store, 1, 0).await;
    assert_eq!(cost(&store), (0.0, 1.0));
    store.claim_shard(ShardNo::FIRST, 1, "other", at(0), at(1)).await.unwrap();
    assert_eq!(cost(&store), (0.0, 1.0), "a refusal");
    let summary = store.shards().await.unwrap().remove(0);
    store.load_shard(&summary).await.unwrap();
    assert_eq!(cost(&store), (1.0 + 0.5, 0.0));
    for (evidence_kib, units) in [(0, 2.0 * 3.0), (1, 2.0 * 4.0), (3, 2.0 * 6.0)] {
        let placed = load(&store, "vps-001").await;
        let mut told = notice(&placed, &format!("notice-{evidence_kib}"), at(1));
        told.evidence = Some("x".repeat(evidence_kib * 1_024));
        let decision = next(&placed, vec![lamplighter_core::decision::Effect::Tell(told)]);
        cost(&store);
        store.commit(Fence::Shard(&lease), &placed, &decision).await.unwrap();
        assert_eq!(
            cost(&store),
            (0.0, units),
            "shard, watch and a notice of {evidence_kib} KiB and a little"
        );
    }
    let stale = store.commit(Fence::Shard(&lease), &placed, &next(&placed, Vec::new())).await.unwrap();
    assert_eq!((stale, cost(&store)), (Commit::Stale, (0.0, 4.0)), "a refused transaction");
}
