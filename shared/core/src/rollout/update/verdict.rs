//! Ends a service's update: it runs the target, it runs what it ran before, or nobody can say.

use super::{MAX_BECAUSE_CHARS, Scene};
use crate::decision::Effect;
use crate::moment::Moment;
use crate::recovery::steps::Draft;
use crate::rollout::course::{self, Event, on, told_of_course};
use crate::rollout::{HeadPart, Move, Rollout, Row, RowStatus, Updating};
use crate::sight::{Fault, Look, ProcessId, Sight, UnreachableKind, one_line};
use crate::update::Way;
use crate::version::{Version, Versions};
use crate::watch::{Status, Watch};

/// It runs the target, verified.
pub(super) fn succeed(
    scene: Scene<'_>,
    watch: &Watch,
    updating: &Updating,
    process: Option<ProcessId>,
) -> Move {
    let because = format!("updated to {} by {}", updating.target.short(), updating.rollout);
    let mut draft = Draft::new(scene.case, watch);
    draft.recover(&because);
    draft.next.needs_human = None;
    let brought = (updating.target.clone(), updating.previous.clone());
    let row = settled_row(scene, updating, RowStatus::Success, &because, brought.0.clone(), process);
    settle(scene, draft, updating, row, course::Verdict::Success, Some(brought))
}

/// It runs what it ran before, verified.
pub(super) fn rolled_back(
    scene: Scene<'_>,
    watch: &Watch,
    updating: &Updating,
    process: Option<ProcessId>,
) -> Move {
    let why = updating.back_because.as_deref().unwrap_or("its update was given up");
    let because = format!("rolled back to {}: {why}", updating.previous.short());
    let mut draft = Draft::new(scene.case, watch);
    draft.recover(&because);
    draft.next.needs_human = None;
    let brought = (updating.previous.clone(), updating.target.clone());
    let row = settled_row(scene, updating, RowStatus::RolledBack, &because, brought.0.clone(), process);
    settle(scene, draft, updating, row, course::Verdict::RolledBack, Some(brought))
}

/// It could not be begun on its host, which is as it was.
pub(super) fn untouched(scene: Scene<'_>, watch: &Watch, updating: &Updating, why: &str) -> Move {
    let because = format!("nothing was changed: {why}");
    let mut draft = Draft::new(scene.case, watch);
    draft.recover(&because);
    let row = settled_row(scene, updating, RowStatus::RolledBack, &because, updating.previous.clone(), None);
    settle(scene, draft, updating, row, course::Verdict::RolledBack, None)
}

/// Neither version is certain: recovery stays away, and a person is called.
pub(super) fn fail(
    scene: Scene<'_>,
    watch: &Watch,
    updating: &Updating,
    why: &str,
    look: Option<&Look>,
) -> Move {
    let because = format!("its update by {} failed: {why}", updating.rollout);
    let mut draft = Draft::new(scene.case, watch);
    let evidence = match look {
        Some(Look { sight: Sight::Down(fault), evidence, .. }) => {
            draft.begin_incident(&fault.to_string());
            evidence.as_deref()
        }
        Some(_) | None => None,
    };
    draft.next.needs_human = Some(one_line(&because, MAX_BECAUSE_CHARS));
    draft.open_breaker(&because, evidence);
    let mut row = settled_row(scene, updating, RowStatus::Failed, &because, updating.previous.clone(), None);
    row.current = None;
    settle(scene, draft, updating, row, course::Verdict::Failed, None)
}

/// Its host went away half-way and did not come back in time. The update stays open: recovery keeps off, and `advance`
/// takes the service back as soon as the host answers.
pub(super) fn strand(
    scene: Scene<'_>,
    watch: &Watch,
    updating: &Updating,
    fault: &Fault<UnreachableKind>,
) -> Move {
    let now = scene.case.now;
    let why = match updating.way {
        Way::Forward => "its update was given up half-way",
        Way::Back => "its roll-back was given up half-way",
    };
    let because = format!("{why}, since its host is away ({fault}); it is rolled back when the host answers");
    let mut draft = Draft::new(scene.case, watch);
    draft.become_(Status::Unknown, &because);
    draft.next.needs_human = Some(one_line(&because, MAX_BECAUSE_CHARS));
    let mut row = settled_row(scene, updating, RowStatus::Failed, &because, updating.previous.clone(), None);
    row.current = None;
    let stray = Updating {
        stray: true,
        until: now,
        back_because: updating
            .back_because
            .clone()
            .or_else(|| Some("its host went away half-way".to_owned())),
        ..updating.clone()
    };
    let first = !updating.stray;
    let mut decision = draft.done();
    decision.next.update = Some(Box::new(stray));
    // Whatever was verified last, nobody knows what is there now.
    decision.next.versions.status = Some(RowStatus::Failed);
    decision.next.versions.updated_at = Some(now);
    if first {
        decision.effects.push(Effect::Stray(watch.service.clone()));
    }
    let (head, effects) = match (first, scene.head) {
        (true, Some(head)) => head_settled(head, scene.row, course::Verdict::Failed, now),
        (true, None) | (false, _) => (HeadPart::Leave, Vec::new()),
    };
    Move { service: Some(decision), head, row: first.then_some(row), app: None, effects }
}

pub(super) fn settled_row(
    scene: Scene<'_>,
    updating: &Updating,
    status: RowStatus,
    because: &str,
    current: Version,
    process: Option<ProcessId>,
) -> Row {
    Row {
        status,
        because: one_line(because, MAX_BECAUSE_CHARS),
        previous: Some(updating.previous.clone()),
        current: Some(current),
        process,
        settled_at: Some(scene.case.now),
        ..scene.row.clone()
    }
}

/// Ends the update of a service. `brought` is what it runs now and what it ran before, if that changed.
pub(super) fn settle(
    scene: Scene<'_>,
    draft: Draft<'_>,
    updating: &Updating,
    row: Row,
    verdict: course::Verdict,
    brought: Option<(Version, Version)>,
) -> Move {
    let now = scene.case.now;
    let mut decision = draft.done();
    decision.next.update = None;
    let before = decision.next.versions.clone();
    let (current, previous) = match brought {
        Some((current, previous)) => (Some(current), Some(previous)),
        None => (before.current, before.previous),
    };
    decision.next.versions = Versions {
        current,
        previous,
        status: Some(row.status),
        updated_at: Some(now),
        rollout: Some(updating.rollout.clone()),
    };
    if updating.stray {
        decision.effects.push(Effect::Found(row.service.clone()));
        return Move {
            service: Some(decision),
            head: HeadPart::Leave,
            row: Some(row),
            app: None,
            effects: Vec::new(),
        };
    }
    let (head, effects) = match scene.head {
        Some(head) => head_settled(head, scene.row, verdict, now),
        None => (HeadPart::Leave, Vec::new()),
    };
    Move { service: Some(decision), head, row: Some(row), app: None, effects }
}

pub(super) fn head_settled(
    head: &Rollout,
    row: &Row,
    verdict: course::Verdict,
    now: Moment,
) -> (HeadPart, Vec<Effect>) {
    let event = Event::Settled { service: &row.service, stage: row.stage, verdict };
    // A head that does not know the service has settled it before; then only the service's own part is left to do.
    match on(head, event, now) {
        Some(next) => {
            let effects = told_of_course(head, &next, head.id.as_str());
            (HeadPart::Becomes(Box::new(next)), effects)
        }
        None => (HeadPart::Leave, Vec::new()),
    }
}
