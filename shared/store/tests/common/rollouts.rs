//! A rollout of three services over a fleet, and the moves that bring one of them to its end.

use lamplighter_core::decision::{AuditEntry, Decision, Effect};
use lamplighter_core::rollout::{
    AppState, Course, End, HeadPart, Move, Options, Paused, Rollout, Row, RowStatus, Stage, Updating,
};
use lamplighter_core::sight::ProcessId;
use lamplighter_core::update::{UpdateStep, Way};
use lamplighter_core::version::{RolloutId, Version, Versions};
use lamplighter_core::watch::Status;
use lamplighter_core::{AppName, Moment};
use lamplighter_store::{Commit, Delivery, Placed, Store};

use super::{at, id};

pub(crate) fn app() -> AppName {
    "rachel8".parse().unwrap()
}

pub(crate) fn rollout_id(number: u64) -> RolloutId {
    RolloutId::of(&app(), number).unwrap()
}

pub(crate) fn target() -> Version {
    "4b825dc642cb6eb9a060e54bf8d69288fbee4904".parse().unwrap()
}

pub(crate) fn previous() -> Version {
    "e69de29bb2d1d6434b8b29ae775ad8c2e48c5391".parse().unwrap()
}

pub(crate) fn process(digit: char) -> ProcessId {
    digit.to_string().repeat(32).try_into().unwrap()
}

pub(crate) fn service_name(index: u32) -> String {
    format!("customer-vps-{index:03}")
}

/// The head of a rollout of 100 services, five of which are under way at the most.
pub(crate) fn head(number: u64, services: u32) -> Rollout {
    let stage = |percent, size| Stage { percent, size, succeeded: 0, failed: 0, skipped: 0 };
    Rollout {
        id: rollout_id(number),
        app: app(),
        target: target(),
        branch: Some("main".to_owned()),
        version: 1,
        steering: 1,
        course: Course::Arriving,
        paused: None,
        because: "stage 1 of 3: updating 10 services, 5 at once".to_owned(),
        stages: vec![
            stage(10, services.div_ceil(10)),
            stage(50, services.div_ceil(2) - services.div_ceil(10)),
            stage(100, services - services.div_ceil(2)),
        ],
        stage: 0,
        options: Options::default(),
        begun: 0,
        under_way: Vec::new(),
        plan_hash: "9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08".to_owned(),
        by: "hook github".to_owned(),
        forced: None,
        retries: None,
        created_at: at(0),
        updated_at: at(0),
        ended_at: None,
    }
}

pub(crate) fn row(index: u32) -> Row {
    Row {
        index,
        service: id(&service_name(index)),
        stage: 0,
        spec_version: 1,
        status: RowStatus::Pending,
        because: "its turn has not come".to_owned(),
        previous: None,
        current: None,
        process: None,
        settled_at: None,
    }
}

pub(crate) fn rows(services: u32) -> Vec<Row> {
    (0..services).map(row).collect()
}

/// The app's state with the rollout of this number active, after `before`.
pub(crate) fn active(before: &AppState, number: u64) -> AppState {
    AppState {
        version: before.version + 1,
        rollouts: number,
        active: Some(rollout_id(number)),
        waiting: None,
        ..before.clone()
    }
}

pub(crate) fn entry(action: &str, because: &str, now: Moment) -> AuditEntry {
    AuditEntry {
        at: now,
        by: "ada".to_owned(),
        action: action.to_owned(),
        service: None,
        action_no: None,
        because: because.to_owned(),
    }
}

/// Starts a rollout of `services`, as it is begun from whatever is remembered of the app.
pub(crate) async fn start(store: &Store, number: u64, services: u32) -> Commit {
    let app = active(&store.app_state(&app()).await.unwrap(), number);
    let head = head(number, services);
    let audit = vec![entry("start rollout", "bring 4b825dc to rachel8", at(0))];
    store.start_rollout(&app, &head, &rows(services), audit).await.unwrap()
}

/// The intent of a step. The first one also changes the head; those after it only ask that it goes on.
pub(crate) fn intent(placed: &Placed, head: &Rollout, row: u32, step: UpdateStep, now: Moment) -> Move {
    let watch = &placed.watch;
    let mut next = watch.clone();
    next.version += 1;
    next.action_no += 1;
    next.status = Status::Updating;
    next.because = format!("{}: {step} of 4b825dc, then settle and verify", head.id);
    next.update = Some(Box::new(Updating {
        rollout: head.id.clone(),
        row,
        target: head.target.clone(),
        previous: previous(),
        way: Way::Forward,
        step,
        action_no: next.action_no,
        process: Some(process('6')),
        again: 0,
        until: now + std::time::Duration::from_secs(300),
        back_because: None,
        stray: false,
    }));
    let mut entry = entry("check out", &next.because, now);
    entry.by = head.id.to_string();
    entry.action = step.to_string();
    entry.service = Some(placed.spec.id.clone());
    entry.action_no = Some(next.action_no);
    let becomes = || {
        let mut head = head.clone();
        head.version += 1;
        head.begun += 1;
        head.under_way.push(placed.spec.id.clone());
        head.updated_at = now;
        HeadPart::Becomes(Box::new(head))
    };
    let first = watch.update.is_none();
    let goes_on = || HeadPart::GoesOn { id: head.id.clone(), steering: head.steering };
    Move {
        service: Some(Decision { next, effects: vec![Effect::Record(entry)] }),
        head: if first { becomes() } else { goes_on() },
        row: None,
        app: None,
        effects: Vec::new(),
    }
}

/// The verdict: it runs the target, verified.
pub(crate) fn verdict(placed: &Placed, head: &Rollout, now: Moment) -> Move {
    let update = placed.watch.update.clone().unwrap();
    let mut next = placed.watch.clone();
    next.version += 1;
    next.status = Status::Healthy;
    next.because = format!("runs 4b825dc, verified by {}", head.id);
    next.update = None;
    next.versions = Versions {
        current: Some(update.target.clone()),
        previous: Some(update.previous.clone()),
        status: Some(RowStatus::Success),
        updated_at: Some(now),
        rollout: Some(head.id.clone()),
    };
    let mut entry = entry("updated", &next.because, now);
    entry.service = Some(placed.spec.id.clone());
    let mut head = head.clone();
    head.version += 1;
    head.stages[0].succeeded += 1;
    head.under_way.retain(|id| *id != placed.spec.id);
    head.updated_at = now;
    let row = Row {
        status: RowStatus::Success,
        because: "runs 4b825dc, verified".to_owned(),
        previous: Some(update.previous),
        current: Some(update.target),
        process: Some(process('7')),
        settled_at: Some(now),
        ..row(update.row)
    };
    Move {
        service: Some(Decision { next, effects: vec![Effect::Record(entry)] }),
        head: HeadPart::Becomes(Box::new(head)),
        row: Some(row),
        app: None,
        effects: Vec::new(),
    }
}

/// The end of the rollout: no service is touched, the app is free again.
pub(crate) fn end(head: &Rollout, app: &AppState, end: End, now: Moment) -> Move {
    let mut head = head.clone();
    head.version += 1;
    head.course = Course::Ended { end };
    head.ended_at = Some(now);
    head.updated_at = now;
    let app = AppState { version: app.version + 1, active: None, ..app.clone() };
    Move {
        service: None,
        head: HeadPart::Becomes(Box::new(head)),
        row: None,
        app: Some(app),
        effects: vec![Effect::Record(entry("rollout ended", end.as_str(), now))],
    }
}

pub(crate) async fn the_head(store: &Store, number: u64) -> Rollout {
    store.rollout(&rollout_id(number)).await.unwrap().unwrap()
}

/// A move that does nothing, to say only what is different.
pub(crate) fn nothing() -> Move {
    Move { service: None, head: HeadPart::Leave, row: None, app: None, effects: Vec::new() }
}

/// A person's pause.
pub(crate) fn paused(head: &Rollout) -> Move {
    let mut head = head.clone();
    head.version += 1;
    head.paused = Some(Paused { by: "ada".to_owned(), at: at(1) });
    Move { head: HeadPart::Becomes(Box::new(head)), ..nothing() }
}

pub(crate) fn delivery(id: &str, body_hash: &str, at: Moment) -> Delivery {
    Delivery {
        hook: "github".to_owned(),
        id: id.to_owned(),
        event: "push".to_owned(),
        body_hash: Some(body_hash.to_owned()),
        at,
        asks: None,
        outcome: "waits for its rollout".to_owned(),
    }
}
