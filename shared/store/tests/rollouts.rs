//! Rollouts, apps and plans, as every table must remember them.

#![expect(clippy::unwrap_used, reason = "a test may panic")]

mod common;

use common::rollouts::*;
use common::*;
use lamplighter_core::decision::{Decision, Effect};
use lamplighter_core::rollout::plan::{Plan, Planned, PlannedStage, Skip};
use lamplighter_core::rollout::{AppState, End, HeadPart, Move, Options, Push, Quarantined, RowStatus};
use lamplighter_core::update::UpdateStep;
use lamplighter_store::*;

const DONE: Commit = Commit::Done { added: 0 };
const DONE_WITH_SERVICE: Commit = Commit::Done { added: 1 };

/// A rollout of three services, the first of which is at its first step.
async fn begun(store: &Store) -> Placed {
    assert_eq!(start(store, 1, 3).await, DONE);
    let placed = add(store, &service_name(0)).await;
    let first = intent(&placed, &the_head(store, 1).await, 0, UpdateStep::CheckOut, at(1));
    assert_eq!(store.commit_move(Fence::Person, Some(&placed), &first).await.unwrap(), DONE_WITH_SERVICE);
    load(store, &service_name(0)).await
}

#[tokio::test]
async fn a_rollout_begins_with_its_head_its_rows_and_its_app() {
    let store = table().await;
    assert_eq!(start(&store, 1, 250).await, DONE);
    assert_eq!(the_head(&store, 1).await, head(1, 250));
    assert_eq!(store.app_state(&app()).await.unwrap(), active(&AppState::new(app()), 1));
    assert_eq!(store.row(&rollout_id(1), 249).await.unwrap(), Some(row(249)));
    assert_eq!(store.row(&rollout_id(1), 250).await.unwrap(), None);
    assert_eq!(store.rows(&rollout_id(1), 0, 1_000).await.unwrap(), rows(250));
    let some = store.rows(&rollout_id(1), 98, 3).await.unwrap();
    assert_eq!(some, rows(101)[98..], "in the order of their indexes");
    let rows = store.events_after(None, 10, at(1)).await.unwrap().items;
    assert_eq!(rows.len(), 1);
    assert_eq!(rows[0].audit[0].action, "start rollout");
    assert_eq!(store.rollout(&rollout_id(2)).await.unwrap(), None);
}

#[tokio::test]
async fn of_two_starts_at_once_one_wins_and_has_all_its_rows() {
    let store = table().await;
    let (one, two) = tokio::join!(start(&store, 1, 120), start(&store, 1, 60));
    let won = [one, two].into_iter().filter(|commit| *commit == DONE).count();
    assert_eq!(won, 1, "{one:?} {two:?}");
    let head = the_head(&store, 1).await;
    assert_eq!(store.rows(&head.id, 0, 500).await.unwrap(), rows(head.size()));
    assert_eq!(store.app_state(&app()).await.unwrap().version, 1);
}

#[tokio::test]
async fn a_start_that_was_refused_leaves_nothing_to_be_seen() {
    let store = table().await;
    let outdated = AppState { version: 7, ..active(&AppState::new(app()), 1) };
    let refused = store.start_rollout(&outdated, &head(1, 150), &rows(150), Vec::new()).await.unwrap();
    assert_eq!(refused, Commit::Stale);
    assert_eq!(store.rollout(&rollout_id(1)).await.unwrap(), None);
    assert!(store.rollouts(None, 10).await.unwrap().items.is_empty());
    assert_eq!(store.app_state(&app()).await.unwrap(), AppState::new(app()));
    // The number is free, and the rows of the longer plan are not taken for those of the shorter.
    assert_eq!(start(&store, 1, 20).await, DONE);
    assert_eq!(store.rows(&rollout_id(1), 0, 500).await.unwrap(), rows(20));
}

#[tokio::test]
async fn a_service_goes_through_its_update_and_every_part_is_remembered() {
    let store = table().await;
    let placed = begun(&store).await;
    let update = placed.watch.update.clone().unwrap();
    assert_eq!((update.step, update.action_no), (UpdateStep::CheckOut, placed.watch.action_no));
    let head = the_head(&store, 1).await;
    assert_eq!((head.version, head.under_way.as_slice()), (2, &[placed.spec.id.clone()][..]));

    let restart = intent(&placed, &head, 0, UpdateStep::Restart, at(2));
    assert_eq!(store.commit_move(Fence::Person, Some(&placed), &restart).await.unwrap(), DONE_WITH_SERVICE);
    assert_eq!(the_head(&store, 1).await, head, "a step changes the watch alone");
    let placed = load(&store, &service_name(0)).await;
    let success = verdict(&placed, &head, at(9));
    assert_eq!(store.commit_move(Fence::Person, Some(&placed), &success).await.unwrap(), DONE_WITH_SERVICE);
    assert_eq!(load(&store, &service_name(0)).await.watch, success.service.unwrap().next);
    assert_eq!(store.row(&rollout_id(1), 0).await.unwrap(), success.row);
    let head = the_head(&store, 1).await;
    assert_eq!((head.stages[0].succeeded, head.under_way.len()), (1, 0));

    let over = end(&head, &store.app_state(&app()).await.unwrap(), End::Completed, at(30));
    assert_eq!(store.commit_move(Fence::Person, None, &over).await.unwrap(), DONE);
    assert!(!the_head(&store, 1).await.is_active());
    assert_eq!(store.app_state(&app()).await.unwrap().active, None);
    let rows = store.events_after(None, 10, at(31)).await.unwrap().items;
    assert_eq!(rows.len(), 5, "one for the start and one for each move");
    assert_eq!(store.events_of(&placed.spec.id, None, 10, at(31)).await.unwrap().items.len(), 3);
    assert!(the_law_holds(&store).await);
}

#[tokio::test]
async fn a_move_is_committed_as_a_whole_or_not_at_all() {
    let store = table().await;
    let placed = begun(&store).await;
    let head = the_head(&store, 1).await;
    let state = store.app_state(&app()).await.unwrap();
    let mut success = verdict(&placed, &head, at(9));
    success.app = Some(AppState { version: state.version + 1, active: None, ..state.clone() });
    success.effects = vec![Effect::Tell(notice(&placed, "rachel8-1.completed", at(9)))];
    let outdated = |change: &dyn Fn(&mut Move)| {
        let mut outdated = success.clone();
        change(&mut outdated);
        outdated
    };
    let mut older = placed.clone();
    older.watch.version -= 1;
    let older_service = outdated(&|next| next.service.as_mut().unwrap().next.version -= 1);
    let older_head = outdated(&|next| next.head = HeadPart::Becomes(Box::new(head.clone())));
    let older_app = outdated(&|next| next.app.as_mut().unwrap().version += 5);
    for (placed, next) in [(&older, &older_service), (&placed, &older_head), (&placed, &older_app)] {
        assert_eq!(store.commit_move(Fence::Person, Some(placed), next).await.unwrap(), Commit::Stale);
    }
    assert_eq!(load(&store, &service_name(0)).await, placed);
    assert_eq!(the_head(&store, 1).await, head);
    assert_eq!(store.row(&head.id, 0).await.unwrap(), Some(row(0)));
    assert_eq!(store.app_state(&app()).await.unwrap(), state);
    assert!(store.outbox(10).await.unwrap().is_empty());
    assert_eq!(store.commit_move(Fence::Person, Some(&placed), &success).await.unwrap(), DONE_WITH_SERVICE);
    assert_eq!(store.outbox(10).await.unwrap().len(), 1);
    assert!(the_law_holds(&store).await);
}

#[tokio::test]
async fn a_move_is_fenced_by_the_lease_it_is_made_under() {
    let store = table().await;
    start(&store, 1, 3).await;
    let head = the_head(&store, 1).await;
    let claim = async |owner: &'static str, from| {
        won(store.claim_lease(LeaseName::Advance, owner, at(from), at(from + 60)).await.unwrap())
    };
    let lost = claim(OWNER, 0).await;
    let ours = claim("other", 60).await;
    let next = paused(&head);
    assert_eq!(store.commit_move(Fence::Lease(&lost), None, &next).await.unwrap(), Commit::Stale);
    assert_eq!(store.commit_move(Fence::Lease(&ours), None, &next).await.unwrap(), DONE);
    let placed = add(&store, &service_name(0)).await;
    let first = intent(&placed, &the_head(&store, 1).await, 0, UpdateStep::CheckOut, at(61));
    assert_eq!(store.commit_move(Fence::Lease(&lost), Some(&placed), &first).await.unwrap(), Commit::Stale);
    let done = store.commit_move(Fence::Lease(&ours), Some(&placed), &first).await.unwrap();
    assert_eq!(done, DONE_WITH_SERVICE);
}

#[tokio::test]
async fn parts_that_do_not_belong_together_are_not_written() {
    let store = table().await;
    let placed = begun(&store).await;
    let head = the_head(&store, 1).await;
    let step = intent(&placed, &head, 0, UpdateStep::Install, at(2));
    let nameless = Move { row: Some(row(1)), ..nothing() };
    let mut skipping = step.clone();
    skipping.service.as_mut().unwrap().next.version += 1;
    let foreign = Move { effects: down(&placed, at(2)).effects, ..nothing() };
    let (with, none) = (Some(&placed), None);
    for (placed, next) in [(none, &step), (none, &nameless), (with, &skipping), (none, &foreign)] {
        let error = store.commit_move(Fence::Person, placed, next).await.unwrap_err();
        assert!(matches!(error, StoreError::BadItem { .. }), "{error:?}");
    }
    assert_eq!(load(&store, &service_name(0)).await, placed);
    assert_eq!(store.row(&head.id, 1).await.unwrap(), Some(row(1)));
}

/// Gives the service up, or finds it again.
fn stray(placed: &Placed, effect: Effect) -> Move {
    let mut next = next(placed, vec![effect.clone()]);
    let given_up = matches!(effect, Effect::Stray(_));
    if let Some(update) = next.next.update.as_mut() {
        update.stray = given_up;
    }
    let row = row(0);
    let row = lamplighter_core::rollout::Row { status: RowStatus::Failed, settled_at: Some(at(9)), ..row };
    // The same word twice: an item is written once in a transaction.
    Move { service: Some(next), row: Some(row), effects: vec![effect], ..nothing() }
}

#[tokio::test]
async fn a_service_that_was_given_up_is_remembered_until_it_is_found_or_removed() {
    let store = table().await;
    let placed = begun(&store).await;
    let id = placed.spec.id.clone();
    let given_up = stray(&placed, Effect::Stray(id.clone()));
    assert_eq!(store.commit_move(Fence::Person, Some(&placed), &given_up).await.unwrap(), DONE_WITH_SERVICE);
    assert_eq!(store.strays().await.unwrap(), std::slice::from_ref(&id));
    assert_eq!(store.row(&rollout_id(1), 0).await.unwrap().unwrap().status, RowStatus::Failed);

    let placed = load(&store, id.as_str()).await;
    let found = stray(&placed, Effect::Found(id.clone()));
    assert_eq!(store.commit_move(Fence::Person, Some(&placed), &found).await.unwrap(), DONE_WITH_SERVICE);
    assert!(store.strays().await.unwrap().is_empty());

    let placed = load(&store, id.as_str()).await;
    let again = Decision { effects: vec![Effect::Stray(id.clone())], ..next(&placed, Vec::new()) };
    store.commit(Fence::Person, &placed, &again).await.unwrap();
    assert_eq!(store.delete_service(&id, Expected::Any, at(20)).await.unwrap(), Removed::Done);
    assert!(store.strays().await.unwrap().is_empty());
    assert!(the_law_holds(&store).await);
}

#[tokio::test]
async fn a_changed_spec_and_a_removal_refuse_the_step_decided_before_them() {
    let store = table().await;
    let placed = begun(&store).await;
    let head = the_head(&store, 1).await;
    let step = intent(&placed, &head, 0, UpdateStep::Install, at(2));
    let mut changed = placed.spec.clone();
    changed.lifecycle = lamplighter_core::spec::Lifecycle::Suspended;
    store.put_service(&changed, Expected::Any, at(2)).await.unwrap();
    assert_eq!(store.commit_move(Fence::Person, Some(&placed), &step).await.unwrap(), Commit::Stale);
    let now = load(&store, &service_name(0)).await;
    assert_eq!(now.watch.update, placed.watch.update, "the update is still open");
    store.delete_service(&placed.spec.id, Expected::Any, at(3)).await.unwrap();
    let step = intent(&now, &head, 0, UpdateStep::Install, at(4));
    assert_eq!(store.commit_move(Fence::Person, Some(&now), &step).await.unwrap(), Commit::Stale);
    let back = add(&store, &service_name(0)).await;
    assert_eq!((back.watch.update, back.watch.action_no), (None, now.watch.action_no));
    assert!(the_law_holds(&store).await);
}

#[tokio::test]
async fn rollouts_are_listed_newest_first_without_gap_or_repetition() {
    let store = table().await;
    for number in 1..=7_i64 {
        let id = u64::try_from(number).unwrap();
        let state = store.app_state(&app()).await.unwrap();
        let mut head = head(id, 3);
        head.created_at = at(number);
        store.start_rollout(&active(&state, id), &head, &rows(3), Vec::new()).await.unwrap();
    }
    let (mut seen, mut cursor) = (Vec::new(), None);
    loop {
        let page = store.rollouts(cursor.as_deref(), 3).await.unwrap();
        seen.extend(page.items.into_iter().map(|head| head.id));
        cursor = page.next;
        if cursor.is_none() {
            break;
        }
    }
    assert_eq!(seen, (1..=7).rev().map(rollout_id).collect::<Vec<_>>());
}

#[tokio::test]
async fn every_app_is_remembered_by_itself() {
    let store = table().await;
    let mut zebra = AppState::new("zebra".parse().unwrap());
    zebra.version = 1;
    zebra.quarantined.push(Quarantined {
        version: target(),
        rollout: "zebra-1".parse().unwrap(),
        because: "4 of 10 failed".to_owned(),
        at: at(1),
    });
    let push = Push {
        target: target(),
        branch: "main".to_owned(),
        by: "hook github".to_owned(),
        delivery: "one".to_owned(),
        at: at(1),
    };
    let pushed = AppState::new(app()).pushed(push);
    let audit = vec![entry("pardon", "it was the network", at(1))];
    assert_eq!(store.put_app_state(&zebra, audit).await.unwrap(), DONE);
    assert_eq!(store.put_app_state(&pushed, Vec::new()).await.unwrap(), DONE);
    assert_eq!(store.put_app_state(&pushed, Vec::new()).await.unwrap(), Commit::Stale);
    assert_eq!(store.app_states().await.unwrap(), [pushed, zebra.clone()]);
    assert_eq!(store.app_state(&zebra.app).await.unwrap(), zebra);
    assert_eq!(store.audit(None, 10, at(2)).await.unwrap().items.len(), 1);
}

fn plan(services: u64) -> Plan {
    let planned =
        |number| Planned { id: format!("customer-vps-{number:06}").parse().unwrap(), spec_version: number };
    Plan {
        hash: format!("hash-of-{services}"),
        app: app(),
        target: target(),
        branch: None,
        options: Options::default(),
        stages: vec![PlannedStage { percent: 100, services: (0..services).map(planned).collect() }],
        skipped: vec![Skip { id: id("vps-1"), because: "held by ada: don’t touch it".to_owned() }],
        commands: Vec::new(),
        worst_case_seconds: 900,
        write_units: 40 * services,
        micro_dollars: 25 * services,
    }
}

#[tokio::test]
async fn a_plan_is_kept_for_a_day_however_large_it_is() {
    let store = table().await;
    for services in [3, 20_000] {
        let plan = plan(services);
        store.put_plan(&plan, at(0)).await.unwrap();
        store.put_plan(&plan, at(10)).await.unwrap();
        assert_eq!(store.plan(&plan.hash, at(86_409)).await.unwrap(), Some(plan.clone()));
        assert_eq!(store.plan(&plan.hash, at(86_410)).await.unwrap(), None, "a day later");
    }
    assert_eq!(store.plan("hash-of-7", at(1)).await.unwrap(), None);
    let mut exported = Vec::new();
    store.export(&mut exported).await.unwrap();
    assert!(!String::from_utf8(exported).unwrap().contains("PLAN#"), "a plan is made again");
}

#[tokio::test]
async fn an_export_carries_rollouts_apps_deliveries_and_strays() {
    let store = table().await;
    let placed = begun(&store).await;
    let given_up = stray(&placed, Effect::Stray(placed.spec.id.clone()));
    store.commit_move(Fence::Person, Some(&placed), &given_up).await.unwrap();
    store.begin_delivery(&delivery("one", "body", at(1)), Causes::Nothing, Vec::new()).await.unwrap();
    store.put_plan(&plan(3), at(1)).await.unwrap();
    let mut file = std::io::Cursor::new(Vec::new());
    store.export(file.get_mut()).await.unwrap();
    let new = table().await;
    new.import(&mut file, at(9)).await.unwrap();
    assert_eq!(new.rollouts(None, 10).await.unwrap(), store.rollouts(None, 10).await.unwrap());
    assert_eq!(the_head(&new, 1).await, the_head(&store, 1).await);
    assert_eq!(
        new.rows(&rollout_id(1), 0, 10).await.unwrap(),
        store.rows(&rollout_id(1), 0, 10).await.unwrap()
    );
    assert_eq!(new.app_states().await.unwrap(), store.app_states().await.unwrap());
    assert_eq!(new.strays().await.unwrap(), [placed.spec.id]);
    assert_eq!(load(&new, &service_name(0)).await, load(&store, &service_name(0)).await);
    let again =
        new.begin_delivery(&delivery("one", "body", at(2)), Causes::Nothing, Vec::new()).await.unwrap();
    assert!(matches!(again, Received::Again(_)), "{again:?}");
    assert_eq!(new.plan("hash-of-3", at(2)).await.unwrap(), None);
}
