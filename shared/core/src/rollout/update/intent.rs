//! Intends steps: the next one, the same one anew, the first one back. Each on a renewed lease, and numbered.

use super::verdict::{fail, strand};
use super::{MAX_AGAIN, MAX_BECAUSE_CHARS, Next, PATIENCE, Scene, commit, is_aborted};
use crate::decision::Decision;
use crate::recovery::Case;
use crate::recovery::steps::Draft;
use crate::rollout::{HeadPart, Move, Updating};
use crate::sight::{Fault, Look, ProcessId, Sight, UnreachableKind, one_line};
use crate::update::{CONNECT_LIMIT, UpdateStep, Way};
use crate::watch::{Status, Watch};

/// Intends a step: numbered, on a renewed lease, and in the audit trail from before it is made.
pub(super) fn intend(case: Case<'_>, watch: &Watch, updating: Updating, because: &str) -> Decision {
    intend_in(Draft::new(case, watch), case, updating, because)
}

pub(super) fn intend_in(mut draft: Draft<'_>, case: Case<'_>, updating: Updating, because: &str) -> Decision {
    // A restart of recovery that is still open is void: from here the rollout has the service.
    draft.close_attempt();
    draft.next.action_no += 1;
    let (action_no, step) = (draft.next.action_no, updating.step);
    let by = updating.rollout.to_string();
    let until = case.now + CONNECT_LIMIT + step.limit() + PATIENCE;
    draft.become_(Status::Updating, because);
    draft.record(by, &step.to_string(), Some(action_no), because);
    draft.next.update = Some(Box::new(Updating { action_no, until, ..updating }));
    draft.done()
}

/// The next step on the same way. Forward, it is taken only if the rollout still goes on as it did.
pub(super) fn go_on(
    scene: Scene<'_>,
    watch: &Watch,
    updating: &Updating,
    step: UpdateStep,
    process: Option<ProcessId>,
) -> Move {
    let process = process.or_else(|| updating.process.clone());
    let next = Updating { step, process, again: 0, ..updating.clone() };
    let because = on_its_way(&next);
    let service = intend(scene.case, watch, next, &because);
    let head = match (updating.way, scene.head) {
        (Way::Forward, Some(head)) => HeadPart::GoesOn { id: head.id.clone(), steering: head.steering },
        (Way::Forward, None) | (Way::Back, _) => HeadPart::Leave,
    };
    Move { service: Some(service), head, row: None, app: None, effects: Vec::new() }
}

pub(super) fn on_its_way(updating: &Updating) -> String {
    let step = updating.step;
    match (updating.way, &updating.back_because) {
        (Way::Forward, _) => format!("updating to {}: {step}", updating.target.short()),
        (Way::Back, Some(why)) => format!("rolling back to {}: {step}; {why}", updating.previous.short()),
        (Way::Back, None) => format!("rolling back to {}: {step}", updating.previous.short()),
    }
}

/// The same step once more, under a number the host has not seen; or no longer, if that happened too often.
pub(super) fn anew(
    scene: Scene<'_>,
    watch: &Watch,
    updating: &Updating,
    process: Option<ProcessId>,
    seen: u64,
    why: &str,
) -> Next {
    if updating.way == Way::Forward && is_aborted(scene.head) {
        return commit(turn_back(scene, watch, updating, "the rollout was aborted", None));
    }
    if updating.again >= MAX_AGAIN {
        let why = format!("{} did not come to an end in {MAX_AGAIN} tries: {why}", updating.step);
        return commit(match updating.way {
            Way::Forward => turn_back(scene, watch, updating, &why, None),
            Way::Back => fail(scene, watch, updating, &why, None),
        });
    }
    let mut draft = Draft::new(scene.case, watch);
    draft.next.action_no = draft.next.action_no.max(seen);
    let next = Updating { process, again: updating.again + 1, ..updating.clone() };
    let because = format!("{}; once more, since {why}", on_its_way(&next));
    let service = intend_in(draft, scene.case, next, &because);
    let head = match (updating.way, scene.head) {
        (Way::Forward, Some(head)) => HeadPart::GoesOn { id: head.id.clone(), steering: head.steering },
        (Way::Forward, None) | (Way::Back, _) => HeadPart::Leave,
    };
    commit(Move { service: Some(service), head, row: None, app: None, effects: Vec::new() })
}

/// The host's lock is held, by this very step or by one of another service on the same host. Each of those ends within
/// its own limit, so the lease is renewed, a few times.
pub(super) fn busy(scene: Scene<'_>, watch: &Watch, updating: &Updating) -> Next {
    let now = scene.case.now;
    if now < updating.until {
        return Next::Again;
    }
    if updating.again >= MAX_AGAIN {
        let fault = Fault::new(UnreachableKind::NoVerdict, "another command holds its lock and does not end");
        return commit(strand(scene, watch, updating, &fault));
    }
    let until = now + CONNECT_LIMIT + updating.step.limit() + PATIENCE;
    let mut draft = Draft::new(scene.case, watch);
    draft.become_(
        Status::Updating,
        &format!("{}; waiting for another command on its host", on_its_way(updating)),
    );
    draft.next.update = Some(Box::new(Updating { until, again: updating.again + 1, ..updating.clone() }));
    let service = Some(draft.done());
    commit(Move { service, head: HeadPart::Leave, row: None, app: None, effects: Vec::new() })
}

/// From here on it goes back.
pub(super) fn turn_back(
    scene: Scene<'_>,
    watch: &Watch,
    updating: &Updating,
    why: &str,
    look: Option<&Look>,
) -> Move {
    let Scene { case, .. } = scene;
    let mut draft = Draft::new(case, watch);
    tell_if_down(&mut draft, look);
    let steps = case.spec.update.as_ref().map(|update| update.steps(Way::Back)).unwrap_or_default();
    let step = steps.first().copied().unwrap_or(UpdateStep::Restart);
    let next = Updating {
        way: Way::Back,
        step,
        again: 0,
        back_because: Some(one_line(why, MAX_BECAUSE_CHARS)),
        process: look.and_then(|look| look.process.clone()).or_else(|| updating.process.clone()),
        ..updating.clone()
    };
    let because = on_its_way(&next);
    let service = intend_in(draft, case, next, &because);
    Move { service: Some(service), head: HeadPart::Leave, row: None, app: None, effects: Vec::new() }
}

/// The owner hears of an update only if it took the service down.
pub(super) fn tell_if_down(draft: &mut Draft<'_>, look: Option<&Look>) {
    let Some(Look { sight: Sight::Down(fault), evidence, .. }) = look else { return };
    draft.begin_incident(&fault.to_string());
    draft.become_(Status::Updating, &format!("down after an update: {fault}"));
    draft.tell_down("it is rolled back to the version that ran before", evidence.as_deref());
}
