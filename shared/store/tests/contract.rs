//! What every table must do, embedded or on AWS: set `LAMPLIGHTER_DYNAMODB_ENDPOINT` to hold another one to it.

#![expect(clippy::unwrap_used, reason = "a test may panic")]

mod common;

use std::time::Duration;

use common::*;
use lamplighter_core::decision::{Effect, LiveStatus};
use lamplighter_core::report::SweepReport;
use lamplighter_core::spec::Lifecycle;
use lamplighter_store::*;

#[tokio::test]
async fn what_is_stored_is_what_is_read() {
    let store = table().await;
    let placed = add(&store, "vps-001").await;
    assert_eq!(placed.spec, spec("vps-001"));
    assert_eq!((placed.spec_version, placed.watch.version, placed.shard), (1, 1, ShardNo::FIRST));

    let decision = down(&placed, at(5));
    let done = store.commit(Fence::Person, &placed, &decision).await.unwrap();
    assert_eq!(done, Commit::Done { added: 1 });
    assert_eq!(load(&store, "vps-001").await.watch, decision.next);
    let steps = store.steps().await.unwrap();
    assert_eq!(steps.len(), 1);
    assert_eq!(Effect::OpenStep(steps[0].0.clone()), decision.effects[0]);
    let outbox = store.outbox(10).await.unwrap();
    assert_eq!(Effect::Tell(outbox[0].notice.clone()), decision.effects[1]);
    let rows = store.events_after(None, 10, at(6)).await.unwrap().items;
    assert_eq!(Effect::Publish(rows[0].events[0].clone()), decision.effects[2]);
    assert_eq!(Effect::Record(rows[0].audit[0].clone()), decision.effects[3]);

    let opened = load(&store, "vps-001").await;
    let mut trial = next(&opened, Vec::new());
    trial.next.breaker = lamplighter_core::breaker::Breaker::Open {
        consecutive_failures: 3,
        opened_at: at(7),
        until: at(1_807),
    };
    trial.next.totals.failures = u64::MAX;
    store.commit(Fence::Person, &opened, &trial).await.unwrap();
    assert_eq!(load(&store, "vps-001").await.watch, trial.next);
}

#[tokio::test]
async fn a_fleet_is_unchanged_without_being_written() {
    let store = table().await;
    add(&store, "vps-001").await;
    let before = store.ledger().total();
    let again = store.put_service(&spec("vps-001"), Expected::Any, at(1)).await.unwrap();
    assert_eq!(again, Put::Unchanged { version: 1 });
    assert!(store.ledger().total().since(&before).write_units.abs() < 0.1);
    for (expected, put) in [
        (Expected::Absent, Put::Stale),
        (Expected::Version(2), Put::Stale),
        (Expected::Version(1), Put::Replaced { version: 2 }),
    ] {
        let mut changed = spec("vps-001");
        changed.lifecycle = Lifecycle::Suspended;
        assert_eq!(store.put_service(&changed, expected, at(1)).await.unwrap(), put);
    }
    assert!(the_law_holds(&store).await);
}

#[tokio::test]
async fn a_service_that_comes_back_goes_on_where_it_left() {
    let store = table().await;
    let placed = add(&store, "vps-001").await;
    store.commit(Fence::Person, &placed, &down(&placed, at(1))).await.unwrap();
    let fleet_version = store.shards().await.unwrap()[0].fleet_version;
    assert_eq!(
        store.delete_service(&id("vps-001"), Expected::Version(9), at(2)).await.unwrap(),
        Removed::Stale
    );
    assert_eq!(store.delete_service(&id("vps-001"), Expected::Any, at(2)).await.unwrap(), Removed::Done);
    assert_eq!(store.delete_service(&id("vps-001"), Expected::Any, at(2)).await.unwrap(), Removed::Absent);
    assert_ne!(store.shards().await.unwrap()[0].fleet_version, fleet_version, "a cache must notice");
    assert_eq!(store.load_service(&id("vps-001")).await.unwrap(), None);
    assert!(store.steps().await.unwrap().is_empty() && the_law_holds(&store).await);
    assert_eq!(store.outbox(10).await.unwrap().len(), 1, "what happened is still told");

    let back = add(&store, "vps-001").await;
    assert_eq!((back.spec_version, back.watch.version), (2, 3));
    assert_eq!(back.watch.action_no, placed.watch.action_no + 1, "its host has seen that number");
    assert!(the_law_holds(&store).await);
}

#[tokio::test]
async fn a_service_is_as_old_as_its_first_spec_and_as_new_as_its_last() {
    let store = table().await;
    let put = async |check: &str, now| {
        let mut spec = spec("vps-001");
        spec.check = serde_json::from_value(serde_json::json!({ "systemd": check })).unwrap();
        store.put_service(&spec, Expected::Any, at(now)).await.unwrap();
        let placed = load(&store, "vps-001").await;
        (placed.created_at, placed.updated_at)
    };
    assert_eq!(put("rachel8", 5).await, (Some(at(5)), Some(at(5))));
    assert_eq!(put("rachel9", 7).await, (Some(at(5)), Some(at(7))));
    assert_eq!(put("rachel9", 8).await, (Some(at(5)), Some(at(7))), "nothing changed");
    assert_eq!(put("rachel8", 9).await, (Some(at(5)), Some(at(9))), "kept over every replacement");
    let placed = load(&store, "vps-001").await;
    store.commit(Fence::Person, &placed, &down(&placed, at(11))).await.unwrap();
    let summary = store.shards().await.unwrap().remove(0);
    let listed = store.list_services(None, 10).await.unwrap().items;
    for placed in [store.load_shard(&summary).await.unwrap(), listed].concat() {
        assert_eq!(
            (placed.created_at, placed.updated_at),
            (Some(at(5)), Some(at(9))),
            "no person changed it"
        );
    }
    store.delete_service(&id("vps-001"), Expected::Any, at(12)).await.unwrap();
    assert_eq!(put("rachel8", 13).await, (Some(at(13)), Some(at(13))), "one that comes back is new");
}

#[tokio::test]
async fn a_list_goes_on_after_any_service_of_a_page() {
    let store = table().await;
    for number in 0..4 {
        add(&store, &format!("vps-{number:03}")).await;
    }
    let page = store.list_services(None, 3).await.unwrap();
    assert_eq!(page.next, page.items.last().map(Placed::cursor));
    let rest = store.list_services(Some(&page.items[1].cursor()), 10).await.unwrap();
    let ids: Vec<String> = rest.items.iter().map(|placed| placed.spec.id.to_string()).collect();
    assert_eq!(ids, ["vps-002", "vps-003"]);
}

#[tokio::test]
async fn the_version_law_survives_a_busy_day() {
    let store = table().await;
    for number in 0..12 {
        add(&store, &format!("vps-{number:03}")).await;
    }
    let lease = sweep(&store, 1, 0).await;
    for number in 0..12 {
        let placed = load(&store, &format!("vps-{number:03}")).await;
        let decision = down(&placed, at(number));
        assert_eq!(
            store.commit(Fence::Shard(&lease), &placed, &decision).await.unwrap(),
            Commit::Done { added: 1 }
        );
        assert_eq!(store.commit(Fence::Shard(&lease), &placed, &decision).await.unwrap(), Commit::Stale);
    }
    let recovery = recover(&store, 20).await;
    for (step, shard) in store.steps().await.unwrap() {
        let placed = store.load_service(&step.service).await.unwrap().unwrap();
        assert_eq!(placed.shard, shard);
        store.commit(Fence::Lease(&recovery), &placed, &recovered(&placed, at(30))).await.unwrap();
    }
    store.free_lease(&recovery).await.unwrap();
    assert!(store.steps().await.unwrap().is_empty());
    assert_eq!(store.outbox(100).await.unwrap().len(), 24, "one notice for each transition");
    assert!(the_law_holds(&store).await);
}

#[tokio::test]
async fn a_lease_is_won_once_and_its_epoch_rises() {
    let store = table().await;
    let first = sweep(&store, 1, 0).await;
    let report = SweepReport { tick: 1, checked: 5, ..SweepReport::default() };
    assert!(matches!(store.finish_sweep(&first, &report, at(9)).await.unwrap(), Commit::Done { .. }));
    let second = sweep(&store, 2, 60).await;
    assert!(second.epoch > first.epoch);
    assert_eq!((second.summary.sweeps, second.summary.report), (1, Some(report)));
    assert_eq!(second.summary.swept_at, Some(at(9)));
    // A holder that died is waited for, and no longer.
    let early = store.claim_shard(ShardNo::FIRST, 3, "other", at(119), at(180)).await.unwrap();
    assert!(matches!(early, Claim::Held { .. }), "{early:?}");
    let late = store.claim_shard(ShardNo::FIRST, 3, "other", at(120), at(180)).await.unwrap();
    assert!(won(late).epoch > second.epoch);

    let lease = recover(&store, 0).await;
    let longer = won(store.renew_lease(&lease, at(100)).await.unwrap());
    store.free_lease(&longer).await.unwrap();
    assert!(recover(&store, 1).await.epoch > lease.epoch);
}

#[tokio::test]
async fn services_are_listed_once_in_order_across_shards() {
    let store = table().await;
    let most = SERVICES_PER_SHARD as usize + 3;
    for number in 0..most {
        store.put_service(&spec(&format!("vps-{number:04}")), Expected::Absent, at(0)).await.unwrap();
    }
    let (mut seen, mut cursor) = (Vec::new(), None);
    loop {
        let page = store.list_services(cursor.as_deref(), 100).await.unwrap();
        seen.extend(page.items.into_iter().map(|placed| placed.spec.id.to_string()));
        cursor = page.next;
        if cursor.is_none() {
            break;
        }
    }
    let expected: Vec<String> = (0..most).map(|number| format!("vps-{number:04}")).collect();
    assert_eq!(seen, expected);
    assert_eq!(store.shards().await.unwrap().len(), 2);
    assert!(store.list_services(Some("nonsense"), 10).await.is_err());
}

#[tokio::test]
async fn notices_say_until_when_they_were_put_off_and_go_once_they_are_delivered() {
    let store = table().await;
    let placed = add(&store, "vps-001").await;
    store.commit(Fence::Person, &placed, &down(&placed, at(1))).await.unwrap();
    let stored = store.outbox(10).await.unwrap().remove(0);
    assert_eq!((stored.attempts, stored.not_before), (0, None));
    store.defer_notice(&stored, 1, at(30)).await.unwrap();
    let again = store.outbox(10).await.unwrap().remove(0);
    assert_eq!((again.attempts, again.not_before, &again.notice), (1, Some(at(30)), &stored.notice));
    store.settle_notice(&again).await.unwrap();
    store.settle_notice(&again).await.unwrap();
    assert!(store.outbox(10).await.unwrap().is_empty());
}

#[tokio::test]
async fn a_reader_who_goes_on_from_a_cursor_misses_no_event() {
    let store = table().await;
    let names = ["vps-001", "vps-002", "vps-003"];
    let mut cursor: Option<String> = None;
    let mut seen = Vec::new();
    for name in names {
        add(&store, name).await;
    }
    // The second is decided before the first, and committed after it; the third two days later.
    for (name, seconds, now) in [("vps-001", 20, 20), ("vps-002", 10, 21), ("vps-003", 172_800, 172_801)] {
        let placed = load(&store, name).await;
        let shown = event(&placed, LiveStatus::Healthy, "up", at(seconds));
        store.commit(Fence::Person, &placed, &next(&placed, vec![Effect::Publish(shown)])).await.unwrap();
        let page = store.events_after(cursor.as_deref(), 10, at(now)).await.unwrap();
        seen.extend(page.items.iter().map(|row| row.events[0].service.to_string()));
        cursor = page.next;
    }
    assert_eq!(seen, names);
    let newest = store.events_of(&id("vps-002"), None, 10, at(172_802)).await.unwrap();
    assert_eq!(newest.items.len(), 1);
    assert!(store.audit(None, 10, at(172_802)).await.unwrap().items.is_empty());
    let later = at(172_801) + EVENTS_KEPT + Duration::from_secs(1);
    assert!(store.events_after(Some("0000000000000#"), 10, later).await.unwrap().items.is_empty(), "expired");
}

#[tokio::test]
async fn pages_of_events_join_without_gap_or_repetition() {
    let store = table().await;
    let placed = add(&store, "vps-001").await;
    for number in 0..25 {
        store.record(vec![audit(&placed, "hold", &number.to_string(), at(number * 7_200))]).await.unwrap();
    }
    let (mut up, mut cursor) = (Vec::new(), Some("0".to_owned()));
    loop {
        let page = store.events_after(cursor.as_deref(), 4, at(25 * 7_200)).await.unwrap();
        if page.items.is_empty() {
            break;
        }
        up.extend(page.items.into_iter().map(|row| row.audit[0].because.clone()));
        cursor = page.next;
    }
    assert_eq!(up, (0..25).map(|number| number.to_string()).collect::<Vec<_>>());
    let (mut down, mut cursor) = (Vec::new(), None);
    loop {
        let page = store.audit(cursor.as_deref(), 4, at(25 * 7_200)).await.unwrap();
        down.extend(page.items.into_iter().map(|row| row.audit[0].because.clone()));
        cursor = page.next;
        if cursor.is_none() {
            break;
        }
    }
    down.reverse();
    assert_eq!(down, up);
}

#[tokio::test]
async fn tokens_are_found_by_hash_and_revoked_for_good() {
    let store = table().await;
    let owner = Some("ada@example.com".parse().unwrap());
    let token =
        Token { name: "ada".to_owned(), scope: Scope::Owner, owner, created_at: at(0), revoked_at: None };
    assert!(store.put_token("abcd", &token).await.unwrap());
    assert_eq!(store.find_token("abcd").await.unwrap(), Some(token.clone()));
    assert_eq!(store.find_token("ab").await.unwrap(), None);
    assert!(store.revoke_token("abcd", at(5)).await.unwrap());
    assert!(store.revoke_token("abcd", at(9)).await.unwrap());
    let revoked = Token { revoked_at: Some(at(5)), ..token };
    assert_eq!(store.list_tokens().await.unwrap(), [("abcd".to_owned(), revoked)]);
}

#[tokio::test]
async fn a_repeated_request_gets_the_first_answer() {
    let store = table().await;
    let begin = |body: &'static str, seconds| store.begin_request("key", body, at(seconds));
    assert_eq!(begin("body", 0).await.unwrap(), Begun::Fresh);
    assert_eq!(begin("body", 1).await.unwrap(), Begun::Running);
    assert_eq!(begin("other", 1).await.unwrap(), Begun::Mismatch);
    store.finish_request("key", "answer").await.unwrap();
    assert_eq!(begin("body", 400).await.unwrap(), Begun::Replay("answer".to_owned()));
    assert_eq!(begin("other", 400).await.unwrap(), Begun::Mismatch);
    assert_eq!(begin("other", 90_000).await.unwrap(), Begun::Fresh, "a day later the key is free");
    // Whoever began it died: the same request may begin again, and no other.
    assert_eq!(begin("body", 90_400).await.unwrap(), Begun::Mismatch);
    assert_eq!(begin("other", 90_400).await.unwrap(), Begun::Fresh);
}

#[tokio::test]
async fn an_abandoned_request_may_be_made_again_at_once_and_no_other_in_its_place() {
    let store = table().await;
    let begin = |body: &'static str, seconds| store.begin_request("key", body, at(seconds));
    store.abandon_request("key", at(0)).await.unwrap();
    assert_eq!(begin("body", 0).await.unwrap(), Begun::Fresh, "to free what nobody began leaves nothing");
    store.abandon_request("key", at(0)).await.unwrap();
    assert_eq!(begin("other", 1).await.unwrap(), Begun::Mismatch);
    assert_eq!(begin("body", 1).await.unwrap(), Begun::Fresh);
    store.finish_request("key", "answer").await.unwrap();
    store.abandon_request("key", at(1)).await.unwrap();
    assert_eq!(begin("body", 400).await.unwrap(), Begun::Replay("answer".to_owned()), "an answer stays");
}

#[tokio::test]
async fn a_step_that_is_closed_and_opened_in_one_decision_is_open() {
    let store = table().await;
    let placed = add(&store, "vps-001").await;
    let mut again = down(&placed, at(1));
    again.effects.insert(0, Effect::CloseStep(id("vps-001")));
    assert_eq!(store.commit(Fence::Person, &placed, &again).await.unwrap(), Commit::Done { added: 1 });
    assert_eq!(store.steps().await.unwrap().len(), 1);
}
