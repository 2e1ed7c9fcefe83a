//! How a service comes into a rollout's hands: its turn comes, it fell sick in its soak, everything is rolled back, or its
//! host is back.

use super::intent::{intend, intend_in, tell_if_down};
use super::{MAX_BECAUSE_CHARS, Scene};
use crate::moment::Moment;
use crate::recovery::steps::Draft;
use crate::rollout::course::{Event, Verdict, head_move, on, told_of_course};
use crate::rollout::plan::{Candidate, reason_to_skip};
use crate::rollout::{Course, HeadPart, Move, Rollout, Row, RowStatus, Updating};
use crate::sight::{Look, ProcessId, one_line};
use crate::update::{NoStanding, Standing, Way};
use crate::watch::{Status, Watch};

/// Begins the next row's service, or leaves it alone. `None`: the rollout does not stand where a row may be begun.
#[must_use]
pub fn begin(scene: Scene<'_>, watch: &Watch, standing: &Result<Standing, NoStanding>) -> Option<Move> {
    let Scene { case, head, row, .. } = scene;
    let head = head?;
    let candidate = Candidate { spec: case.spec, spec_version: scene.spec_version, watch };
    let Some(update) = &case.spec.update else {
        return leave(
            head,
            row,
            Event::LeftAlone,
            RowStatus::Skipped,
            "its spec has no `update` any more",
            case.now,
        );
    };
    if row.spec_version != scene.spec_version {
        let why = "its spec changed after the plan was made; `rollout retry` plans with the new one";
        return leave(head, row, Event::LeftAlone, RowStatus::Skipped, why, case.now);
    }
    if watch.versions.current.as_ref() == Some(&head.target)
        && standing.as_ref().is_ok_and(|standing| standing.version == head.target)
        && watch.status == Status::Healthy
    {
        let row = Row { current: Some(head.target.clone()), ..row.clone() };
        return leave(
            head,
            &row,
            Event::AlreadyThere,
            RowStatus::Success,
            "ran the target already",
            case.now,
        );
    }
    if let Some(why) = reason_to_skip(candidate, case.now) {
        return leave(head, row, Event::LeftAlone, RowStatus::Skipped, &why, case.now);
    }
    let standing = match standing {
        Ok(standing) => standing,
        Err(NoStanding::Unreachable(fault)) => {
            let why = format!("its host could not be reached: {fault}");
            return leave(head, row, Event::LeftAlone, RowStatus::Skipped, &why, case.now);
        }
        Err(NoStanding::Nothing(why)) => {
            let why = format!("nothing was changed: {why}");
            return leave(head, row, Event::Unfit, RowStatus::RolledBack, &why, case.now);
        }
    };
    if let Some(obstacle) = &standing.obstacle {
        let why = format!("nothing was changed: {obstacle}");
        return leave(head, row, Event::Unfit, RowStatus::RolledBack, &why, case.now);
    }
    let step = *update.steps(Way::Forward).first()?;
    let updating = Updating {
        rollout: head.id.clone(),
        row: row.index,
        target: head.target.clone(),
        previous: standing.version.clone(),
        way: Way::Forward,
        step,
        action_no: 0,
        process: standing.process.clone(),
        again: 0,
        until: case.now,
        back_because: None,
        stray: false,
    };
    let next = on(head, Event::Began(&row.service), case.now)?;
    let because = format!("updating to {}: {step}", head.target.short());
    let service = intend(case, watch, updating, &because);
    Some(Move { service: Some(service), ..head_move(head, next, head.id.as_str()) })
}

/// Says of a row that is next, or under way no more, that its service is gone. `None`: nothing is to be said of it now.
#[must_use]
pub fn gone(head: &Rollout, row: &Row, now: Moment) -> Option<Move> {
    let why = "the service was removed";
    if head.under_way.contains(&row.service) {
        // Nothing of it is left that could be on the wrong version, so nobody needs to look at it.
        let event = Event::Settled { service: &row.service, stage: row.stage, verdict: Verdict::RolledBack };
        return leave(head, row, event, RowStatus::Failed, &format!("{why} during its update"), now);
    }
    leave(head, row, Event::LeftAlone, RowStatus::Skipped, why, now)
}

/// Settles a row without touching its service.
fn leave(
    head: &Rollout,
    row: &Row,
    event: Event<'_>,
    status: RowStatus,
    why: &str,
    now: Moment,
) -> Option<Move> {
    let next = on(head, event, now)?;
    let row = Row { status, because: one_line(why, MAX_BECAUSE_CHARS), settled_at: Some(now), ..row.clone() };
    let effects = told_of_course(head, &next, head.id.as_str());
    Some(Move { service: None, head: HeadPart::Becomes(Box::new(next)), row: Some(row), app: None, effects })
}

/// Takes a service back that had arrived: it fell sick in its soak, or everything is rolled back. `None`: there is
/// nothing to take back, or the rollout does not stand where it may be.
#[must_use]
pub fn take_back(scene: Scene<'_>, watch: &Watch, why: &str, look: Option<&Look>) -> Option<Move> {
    let Scene { case, head, row, .. } = scene;
    let head = head?;
    let undoing = matches!(head.course, Course::Undoing { .. });
    let leaves = |why: &str| undoing.then(|| pass_over(head, row, why, case.now)).flatten();
    if row.status != RowStatus::Success || watch.update.is_some() {
        return leaves("");
    }
    let (Some(previous), Some(update)) = (&row.previous, &case.spec.update) else { return leaves("") };
    if watch.hold.as_ref().is_some_and(|hold| hold.is_in_force(case.now)) {
        return leaves("keeps the target, since a person holds it");
    }
    if watch.versions.current.as_ref() != Some(&head.target) {
        return leaves("runs another version by now");
    }
    let step = *update.steps(Way::Back).first()?;
    let updating = Updating {
        rollout: head.id.clone(),
        row: row.index,
        target: head.target.clone(),
        previous: previous.clone(),
        way: Way::Back,
        step,
        action_no: 0,
        process: None,
        again: 0,
        until: case.now,
        back_because: Some(one_line(why, MAX_BECAUSE_CHARS)),
        stray: false,
    };
    let event = match undoing {
        true => Event::Undoing { service: &row.service, stage: row.stage },
        false => Event::Sick(&row.service),
    };
    let next = on(head, event, case.now)?;
    let mut draft = Draft::new(case, watch);
    tell_if_down(&mut draft, look);
    let because = format!("rolling back to {}: {why}", previous.short());
    let service = intend_in(draft, case, updating, &because);
    Some(Move { service: Some(service), ..head_move(head, next, head.id.as_str()) })
}

/// Passes over a row in a roll-back of everything; `why` is written into it if there is anything to say. `None`: the
/// rollout does not stand where that could be.
#[must_use]
pub fn pass_over(head: &Rollout, row: &Row, why: &str, now: Moment) -> Option<Move> {
    let next = on(head, Event::NothingToUndo, now)?;
    let row = (!why.is_empty()).then(|| Row { because: why.to_owned(), ..row.clone() });
    let effects = told_of_course(head, &next, head.id.as_str());
    Some(Move { service: None, head: HeadPart::Becomes(Box::new(next)), row, app: None, effects })
}

/// Takes up a stray whose host answers again: it goes back, from the first step.
#[must_use]
pub fn find(
    scene: Scene<'_>,
    watch: &Watch,
    updating: &Updating,
    process: Option<ProcessId>,
) -> Option<Move> {
    let Scene { case, .. } = scene;
    let step = *case.spec.update.as_ref()?.steps(Way::Back).first()?;
    let updating = Updating { way: Way::Back, step, process, again: 0, stray: true, ..updating.clone() };
    let because = format!("its host is back; rolling back to {}", updating.previous.short());
    let service = intend(case, watch, updating, &because);
    Some(Move { service: Some(service), head: HeadPart::Leave, row: None, app: None, effects: Vec::new() })
}
