//! Every write condition holds something up: with it a fact is true, and without it that same fact is false.

#![expect(clippy::unwrap_used, reason = "a test may panic")]

mod common;
#[path = "conditions/rollouts.rs"]
mod rollouts;

use std::future::Future;
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::task::{Context, Waker};

use common::meanwhile::{Meanwhile, now};
use common::*;
use lamplighter_core::blindness::Blindness;
use lamplighter_core::decision::Effect;
use lamplighter_core::report::SweepReport;
use lamplighter_core::settings::Settings;
use lamplighter_store::embedded::{Call, Injected, Intercept, MemoryBytes};
use lamplighter_store::*;

type Fact = Pin<Box<dyn Future<Output = bool>>>;

/// The fact a condition holds up. It is given the store with the condition, or without it, over a table of its own.
fn fact(condition: Condition, without: bool) -> Fact {
    Box::pin(async move {
        let (mut store, mut other) = two_processes().await;
        if without {
            (store, other) = (store.without(condition), other.without(condition));
        }
        match condition {
            Condition::ShardIsFree => a_held_shard_is_not_claimed(&store, &other).await,
            Condition::TickIsNew => a_tick_is_swept_once(&store, &other).await,
            Condition::SweepIsOurs => a_lost_sweep_is_not_finished(&store, &other).await,
            Condition::ShardEpoch => a_stale_sweep_commits_nothing(&store, &other).await,
            Condition::LeaseIsFree => a_held_lease_is_not_claimed(&store, &other).await,
            Condition::LeaseIsOurs => a_lost_lease_is_not_freed(&store, &other).await,
            Condition::LeaseEpoch => a_stale_recovery_commits_nothing(&store, &other).await,
            Condition::WatchVersion => an_older_decision_is_refused(&store).await,
            Condition::NoticeIsNew => a_notice_is_not_overwritten(&store).await,
            Condition::NoticeIsThere => a_delivered_notice_does_not_come_back(&store).await,
            Condition::PlaceIsFree => a_service_is_placed_once(without).await,
            Condition::ShardHasRoom => a_shard_is_never_overfull(without).await,
            Condition::SpecVersion => a_spec_is_not_overwritten_unseen(without).await,
            Condition::SettingsVersion => settings_are_not_overwritten_unseen(&store).await,
            Condition::BlindnessVersion => the_guard_is_not_overwritten_unseen(&store).await,
            Condition::TokenIsNew => a_token_keeps_its_scope(&store).await,
            Condition::TokenIsThere => an_unknown_token_is_not_revoked(&store).await,
            Condition::KeyIsNew => a_key_is_begun_once(&store).await,
            Condition::KeyIsThere => an_answer_needs_a_question(&store).await,
            Condition::KeyIsOurs => a_key_is_freed_by_its_own_request(&store).await,
            Condition::AppVersion => rollouts::an_app_has_one_active_rollout(&store, &other).await,
            Condition::RolloutIsNew => rollouts::a_number_is_used_once(&store, &other).await,
            Condition::RowsAreOurs => rollouts::a_slow_start_writes_no_row_over_anothers(without).await,
            Condition::RolloutVersion => {
                rollouts::an_older_decision_on_the_head_is_refused(&store, &other).await
            }
            Condition::RolloutGoesOn => rollouts::no_step_forward_follows_an_abort(&store, &other).await,
            Condition::DeliveryIsNew => rollouts::a_delivery_is_acted_on_once(&store, &other).await,
            Condition::DeliveryIsThere => rollouts::a_forgotten_delivery_does_not_come_back(without).await,
            Condition::SchemaIsNew => the_schema_is_written_once(without).await,
            Condition::SchemaIsOlder => a_schema_is_never_lowered(without).await,
            Condition::ImportIsOurs => an_import_that_is_late_overwrites_nothing(without).await,
        }
    })
}

#[tokio::test]
async fn every_condition_holds_up_a_fact() {
    for condition in Condition::ALL {
        assert!(fact(*condition, false).await, "{condition:?}: the fact does not hold");
        assert!(
            !fact(*condition, true).await,
            "{condition:?}: the fact holds without it, so it shows nothing"
        );
    }
}

async fn a_held_shard_is_not_claimed(store: &Store, other: &Store) -> bool {
    sweep(store, 7, 0).await;
    let claim = other.claim_shard(ShardNo::FIRST, 8, "other", at(30), at(90)).await.unwrap();
    matches!(claim, Claim::Held { tick: 7, .. })
}

async fn a_tick_is_swept_once(store: &Store, other: &Store) -> bool {
    let lease = sweep(store, 7, 0).await;
    store.finish_sweep(&lease, &SweepReport::default(), at(1)).await.unwrap();
    let again = other.claim_shard(ShardNo::FIRST, 7, "other", at(2), at(60)).await.unwrap();
    again == Claim::Past
}

async fn a_lost_sweep_is_not_finished(store: &Store, other: &Store) -> bool {
    let lost = sweep(store, 7, 0).await;
    won(other.claim_shard(ShardNo::FIRST, 8, "other", at(61), at(120)).await.unwrap());
    let finished = store.finish_sweep(&lost, &SweepReport::default(), at(62)).await.unwrap();
    finished == Commit::Stale && store.shards().await.unwrap()[0].held_until == Some(at(120))
}

async fn a_stale_sweep_commits_nothing(store: &Store, other: &Store) -> bool {
    let placed = add(store, "vps-001").await;
    let lost = sweep(store, 7, 0).await;
    won(other.claim_shard(ShardNo::FIRST, 8, "other", at(61), at(120)).await.unwrap());
    let commit = store.commit(Fence::Shard(&lost), &placed, &down(&placed, at(62))).await.unwrap();
    commit == Commit::Stale && store.steps().await.unwrap().is_empty()
}

async fn a_held_lease_is_not_claimed(store: &Store, other: &Store) -> bool {
    recover(store, 0).await;
    let claim = other.claim_lease(LeaseName::Recover, "other", at(30), at(90)).await.unwrap();
    claim == Claim::Held { by: OWNER.to_owned(), until: at(60), tick: 0 }
}

async fn a_lost_lease_is_not_freed(store: &Store, other: &Store) -> bool {
    let lost = recover(store, 0).await;
    won(other.claim_lease(LeaseName::Recover, "other", at(61), at(120)).await.unwrap());
    store.free_lease(&lost).await.unwrap();
    let third = store.claim_lease(LeaseName::Recover, "third", at(62), at(120)).await.unwrap();
    matches!(third, Claim::Held { .. })
}

async fn a_stale_recovery_commits_nothing(store: &Store, other: &Store) -> bool {
    let placed = add(store, "vps-001").await;
    let lost = recover(store, 0).await;
    won(other.claim_lease(LeaseName::Recover, "other", at(61), at(120)).await.unwrap());
    let commit = store.commit(Fence::Lease(&lost), &placed, &recovered(&placed, at(62))).await.unwrap();
    commit == Commit::Stale
}

async fn an_older_decision_is_refused(store: &Store) -> bool {
    let placed = add(store, "vps-001").await;
    let mut changed = spec("vps-001");
    changed.lifecycle = lamplighter_core::spec::Lifecycle::Suspended;
    store.put_service(&changed, Expected::Any, at(1)).await.unwrap();
    let commit = store.commit(Fence::Person, &placed, &down(&placed, at(2))).await.unwrap();
    store.delete_service(&id("vps-001"), Expected::Any, at(3)).await.unwrap();
    let gone = store.commit(Fence::Person, &placed, &down(&placed, at(4))).await.unwrap();
    (commit, gone) == (Commit::Stale, Commit::Stale)
}

async fn a_notice_is_not_overwritten(store: &Store) -> bool {
    let (one, two) = (add(store, "vps-001").await, add(store, "vps-002").await);
    let tell = |placed: &Placed| next(placed, vec![Effect::Tell(notice(placed, "same", at(1)))]);
    store.commit(Fence::Person, &one, &tell(&one)).await.unwrap();
    store.commit(Fence::Person, &two, &tell(&two)).await.unwrap() == Commit::Stale
}

async fn a_delivered_notice_does_not_come_back(store: &Store) -> bool {
    let placed = add(store, "vps-001").await;
    store.commit(Fence::Person, &placed, &down(&placed, at(1))).await.unwrap();
    let stored = store.outbox(10).await.unwrap().remove(0);
    store.settle_notice(&stored).await.unwrap();
    store.defer_notice(&stored, 1, at(3)).await.unwrap();
    let mut exported = Vec::new();
    store.export(&mut exported).await.unwrap();
    !String::from_utf8(exported).unwrap().contains("OUTBOX")
}

async fn settings_are_not_overwritten_unseen(store: &Store) -> bool {
    let settings = Settings { concurrency: 8, ..Settings::default() };
    store.put_settings(0, &settings).await.unwrap();
    let stale = store.put_settings(0, &Settings::default()).await.unwrap();
    stale == Commit::Stale && store.settings().await.unwrap() == (1, settings)
}

async fn the_guard_is_not_overwritten_unseen(store: &Store) -> bool {
    let guard = Blindness { version: 1, since: Some(at(1)), ..Blindness::default() };
    store.put_blindness(Fence::Person, &guard, &[]).await.unwrap();
    let again = Blindness { version: 1, because: "older".to_owned(), ..Blindness::default() };
    store.put_blindness(Fence::Person, &again, &[]).await.unwrap() == Commit::Stale
        && store.blindness().await.unwrap() == guard
}

fn token(scope: Scope) -> Token {
    Token { name: "ada".to_owned(), scope, owner: None, created_at: at(0), revoked_at: None }
}

async fn a_token_keeps_its_scope(store: &Store) -> bool {
    assert!(store.put_token("abcd", &token(Scope::Read)).await.unwrap());
    let again = store.put_token("abcd", &token(Scope::Admin)).await.unwrap();
    !again && store.find_token("abcd").await.unwrap().unwrap().scope == Scope::Read
}

async fn an_unknown_token_is_not_revoked(store: &Store) -> bool {
    !store.revoke_token("abcd", at(1)).await.unwrap()
        && store.list_tokens().await.is_ok_and(|all| all.is_empty())
}

async fn a_key_is_begun_once(store: &Store) -> bool {
    assert_eq!(store.begin_request("key", "body", at(0)).await.unwrap(), Begun::Fresh);
    store.begin_request("key", "body", at(1)).await.unwrap() == Begun::Running
}

async fn an_answer_needs_a_question(store: &Store) -> bool {
    store.finish_request("key", "answer").await.unwrap();
    store.begin_request("key", "body", at(1)).await.unwrap() == Begun::Fresh
}

async fn a_key_is_freed_by_its_own_request(store: &Store) -> bool {
    assert_eq!(store.begin_request("key", "body", at(0)).await.unwrap(), Begun::Fresh);
    assert_eq!(store.begin_request("key", "body", at(400)).await.unwrap(), Begun::Fresh, "taken over");
    store.abandon_request("key", at(0)).await.unwrap();
    store.begin_request("key", "body", at(401)).await.unwrap() == Begun::Running
}

/// A store that another one interferes with.
async fn interfered(
    bytes: &MemoryBytes,
    meanwhile: Option<Arc<dyn Intercept>>,
    condition: Condition,
    without: bool,
) -> Result<Store, OpenError> {
    if without {
        Store::open_memory_without(bytes, &env(), at(0), meanwhile, condition).await
    } else {
        Store::open_memory_on(bytes, &env(), at(0), meanwhile).await
    }
}

async fn a_service_is_placed_once(without: bool) -> bool {
    let bytes = MemoryBytes::new().unwrap();
    let other = Store::open_memory_on(&bytes, &env(), at(0), None).await.unwrap();
    let creates = other.clone();
    let meanwhile = Meanwhile::before_first("TransactWriteItems", move || {
        now(creates.put_service(&spec("vps-001"), Expected::Absent, at(0))).unwrap();
    });
    let store = interfered(&bytes, meanwhile, Condition::PlaceIsFree, without).await.unwrap();
    let late = store.put_service(&spec("vps-001"), Expected::Absent, at(0)).await.unwrap();
    late == Put::Stale && other.shards().await.unwrap()[0].services == 1
}

async fn a_shard_is_never_overfull(without: bool) -> bool {
    let bytes = MemoryBytes::new().unwrap();
    let other = Store::open_memory_on(&bytes, &env(), at(0), None).await.unwrap();
    for number in 1..SERVICES_PER_SHARD {
        other.put_service(&spec(&format!("vps-{number}")), Expected::Absent, at(0)).await.unwrap();
    }
    let creates = other.clone();
    let meanwhile = Meanwhile::before_first("TransactWriteItems", move || {
        now(creates.put_service(&spec("last"), Expected::Absent, at(0))).unwrap();
    });
    let store = interfered(&bytes, meanwhile, Condition::ShardHasRoom, without).await.unwrap();
    store.put_service(&spec("one-more"), Expected::Absent, at(0)).await.unwrap();
    let shards = other.shards().await.unwrap();
    shards.iter().map(|shard| shard.services).collect::<Vec<_>>() == [SERVICES_PER_SHARD, 1]
}

async fn a_spec_is_not_overwritten_unseen(without: bool) -> bool {
    let bytes = MemoryBytes::new().unwrap();
    let other = Store::open_memory_on(&bytes, &env(), at(0), None).await.unwrap();
    add(&other, "vps-001").await;
    let (mut theirs, mut ours) = (spec("vps-001"), spec("vps-001"));
    (theirs.app, ours.app) = (Some("theirs".parse().unwrap()), Some("ours".parse().unwrap()));
    let changes = other.clone();
    let meanwhile = Meanwhile::before_first("TransactWriteItems", move || {
        now(changes.put_service(&theirs, Expected::Version(1), at(1))).unwrap();
    });
    let store = interfered(&bytes, meanwhile, Condition::SpecVersion, without).await.unwrap();
    store.put_service(&ours, Expected::Version(1), at(1)).await.unwrap() == Put::Stale
}

async fn the_schema_is_written_once(without: bool) -> bool {
    let bytes = MemoryBytes::new().unwrap();
    let theirs = bytes.clone();
    let meanwhile = Meanwhile::before_first("PutItem", move || {
        now(Store::open_memory_on(&theirs, &"staging".parse().unwrap(), at(0), None)).unwrap();
    });
    let late = interfered(&bytes, meanwhile, Condition::SchemaIsNew, without).await;
    matches!(late, Err(OpenError::OtherEnv { .. }))
}

async fn a_schema_is_never_lowered(without: bool) -> bool {
    let bytes = MemoryBytes::new().unwrap();
    let other = Store::open_memory_on(&bytes, &env(), at(0), None).await.unwrap();
    other.pretend_schema(SCHEMA - 1).await.unwrap();
    let newer = other.clone();
    let meanwhile =
        Meanwhile::before_first("UpdateItem", move || now(newer.pretend_schema(SCHEMA + 1)).unwrap());
    let late = interfered(&bytes, meanwhile, Condition::SchemaIsOlder, without).await;
    matches!(late, Err(OpenError::NewerSchema { .. }))
}

/// A process that dies over its first batch.
struct Dying;

impl Intercept for Dying {
    fn before(&self, call: &Call<'_>) -> Injected {
        if call.operation == "BatchWriteItem" { Injected::Hang } else { Injected::Proceed }
    }

    fn after(&self, _: &Call<'_>) -> Injected {
        Injected::Proceed
    }
}

async fn an_import_that_is_late_overwrites_nothing(without: bool) -> bool {
    let (store, _) = two_processes().await;
    add(&store, "vps-001").await;
    let mut export = std::io::Cursor::new(Vec::new());
    store.export(export.get_mut()).await.unwrap();
    // An import that dies half-way leaves its mark. Two take it up: the faster one ends, and somebody works with the table.
    let bytes = MemoryBytes::new().unwrap();
    let half = Store::open_memory_to_import(&bytes, &env(), at(0), Some(Arc::new(Dying))).await.unwrap();
    assert!(pin!(half.import(&mut export, at(0))).poll(&mut Context::from_waker(Waker::noop())).is_pending());
    let (theirs, mut same) = (bytes.clone(), export.clone());
    let meanwhile = Meanwhile::before_first("PutItem", move || {
        let faster = now(Store::open_memory_to_import(&theirs, &env(), at(1), None)).unwrap();
        now(faster.import(&mut same, at(1))).unwrap();
        let mut changed = spec("vps-001");
        changed.app = Some("theirs".parse().unwrap());
        now(faster.put_service(&changed, Expected::Version(1), at(2))).unwrap();
    });
    let mut late = Store::open_memory_to_import(&bytes, &env(), at(3), meanwhile).await.unwrap();
    if without {
        late = late.without(Condition::ImportIsOurs);
    }
    let came = late.import(&mut export, at(3)).await;
    let kept = Store::open_memory_on(&bytes, &env(), at(4), None).await.unwrap();
    let service = kept.load_service(&"vps-001".parse().unwrap()).await.unwrap().unwrap();
    matches!(came, Err(ExportError::Overtaken))
        && service.spec.app.is_some_and(|app| app.as_str() == "theirs")
}
