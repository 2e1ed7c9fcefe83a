//! Cost is a feature: what sweeping, one transition and a whole heal consume, by the table's own account.

#![allow(clippy::unwrap_used, reason = "a test may panic")]

mod common;

use common::*;
use lamplighter_core::report::SweepReport;
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
