//! One service's state table: what follows from the outcome of each step of its update, `match (way, step, outcome)`.
//!
//! A step is intended first, under an action number of its own, and made after that was committed. Whoever finds a step
//! intended, now or in another life, asks the host to make it under that number: a host that has made it answers what
//! came of it.

use std::time::Duration;

use super::course::{Event, Verdict, on, told_of_course};
use super::plan::{Candidate, reason_to_skip};
use super::{Course, End, HeadPart, Move, Rollout, Row, RowStatus, Updating};
use crate::decision::Effect;
use crate::moment::Moment;
use crate::recovery::Case;
use crate::recovery::steps::Draft;
use crate::sight::{Fault, Look, ProcessId, Sight, UnreachableKind, one_line};
use crate::update::{CONNECT_LIMIT, NoStanding, Standing, StepOutcome, Update, UpdateStep, Way};
use crate::version::{Version, Versions};
use crate::watch::{Status, Watch};

/// How long a host that does not answer is asked again, on top of what a step may take, before its service is given up:
/// long enough for a reboot, short enough that nobody waits an hour for one host.
pub const PATIENCE: Duration = Duration::from_secs(120);
/// How often one step is intended anew, after a reboot or another start of the service, before that counts as a failure.
pub const MAX_AGAIN: u32 = 3;
/// Most characters of a row's `because`.
const MAX_BECAUSE_CHARS: usize = 200;

/// What follows from a step.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Next {
    /// This is committed; then its watch says what comes next, if anything does.
    Commit(Box<Move>),
    /// The service was restarted: it is given time to settle, and then verified. The run that was there at the end of the
    /// step comes with it.
    Settle(Option<ProcessId>),
    /// Nothing can be concluded yet: the same step is asked for again, a little later.
    Again,
}

/// What was seen after a service had time to settle.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Settled {
    /// The verdict of its check.
    pub look: Look,
    /// What is there.
    pub standing: Result<Standing, NoStanding>,
    /// The run that was there when it began to settle.
    pub started: Option<ProcessId>,
}

/// Everything a decision about one service of a rollout depends on besides its watch.
#[derive(Debug, Clone, Copy)]
pub struct Scene<'a> {
    /// The env, the spec and the time.
    pub case: Case<'a>,
    /// The spec's version.
    pub spec_version: u64,
    /// The rollout, as it is now. None for a stray: its rollout may be long over.
    pub head: Option<&'a Rollout>,
    /// The service's row.
    pub row: &'a Row,
}

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
    let effects = told_of_course(head, &next, head.id.as_str());
    Some(Move {
        service: Some(service),
        head: HeadPart::Becomes(Box::new(next)),
        row: None,
        app: None,
        effects,
    })
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

/// Decides what follows from a step that was asked for. `look` is a fresh one, taken where a restart went wrong.
#[must_use]
pub fn after_step(
    scene: Scene<'_>,
    watch: &Watch,
    updating: &Updating,
    outcome: &StepOutcome,
    look: Option<&Look>,
) -> Next {
    let Some(update) = &scene.case.spec.update else {
        return commit(fail(scene, watch, updating, "its spec has no `update` any more", look));
    };
    let step = updating.step;
    match (updating.way, outcome) {
        (_, StepOutcome::Busy) => busy(scene, watch, updating),
        (_, StepOutcome::NotSent(fault) | StepOutcome::Lost(fault)) => {
            match scene.case.now < updating.until {
                true => Next::Again,
                false => commit(strand(scene, watch, updating, fault)),
            }
        }
        (_, StepOutcome::Overtaken { seen }) => {
            let why = format!("the host has seen action {seen}");
            anew(scene, watch, updating, updating.process.clone(), *seen, &why)
        }
        (_, StepOutcome::Interrupted) => {
            let why = format!("{step} was cut off");
            anew(scene, watch, updating, updating.process.clone(), 0, &why)
        }
        (_, StepOutcome::ProcessChanged { process }) => {
            anew(scene, watch, updating, process.clone(), 0, "another start came between")
        }
        (Way::Forward, _) if is_aborted(scene.head) => {
            commit(turn_back(scene, watch, updating, "the rollout was aborted", look))
        }
        (Way::Forward, StepOutcome::Untouched(why)) if is_first(update, updating) => {
            commit(untouched(scene, watch, updating, why))
        }
        (Way::Forward, StepOutcome::Failed(why) | StepOutcome::Untouched(why)) => {
            commit(turn_back(scene, watch, updating, &format!("{step} failed: {why}"), look))
        }
        (Way::Back, StepOutcome::Failed(why) | StepOutcome::Untouched(why)) => {
            commit(fail(scene, watch, updating, &format!("{step} failed on the way back: {why}"), look))
        }
        (_, StepOutcome::Done { process, .. }) => {
            let starts = matches!(step, UpdateStep::Restart | UpdateStep::After);
            match update.step_after(updating.way, step) {
                Some(next) if !starts => commit(go_on(scene, watch, updating, next, process.clone())),
                Some(_) | None => Next::Settle(process.clone()),
            }
        }
    }
}

/// Decides what follows once a restarted service had time to settle.
#[must_use]
pub fn after_settle(scene: Scene<'_>, watch: &Watch, updating: &Updating, seen: &Settled) -> Next {
    let now = scene.case.now;
    let expected = match updating.way {
        Way::Forward => &updating.target,
        Way::Back => &updating.previous,
    };
    let cannot_ask = match (&seen.look.sight, &seen.standing) {
        (Sight::Unreachable(fault), _) | (_, Err(NoStanding::Unreachable(fault))) => Some(fault),
        _ => None,
    };
    if let Some(fault) = cannot_ask {
        return match now < updating.until {
            true => Next::Again,
            false => commit(strand(scene, watch, updating, fault)),
        };
    }
    let look = Some(&seen.look);
    if let Some(problem) = problem(updating, expected, seen) {
        return commit(match updating.way {
            Way::Forward => turn_back(scene, watch, updating, &problem, look),
            Way::Back => fail(scene, watch, updating, &format!("after the way back: {problem}"), look),
        });
    }
    let process = seen.standing.as_ref().ok().and_then(|standing| standing.process.clone());
    match updating.way {
        Way::Back => commit(rolled_back(scene, watch, updating, process)),
        Way::Forward if is_aborted(scene.head) => {
            commit(turn_back(scene, watch, updating, "the rollout was aborted", None))
        }
        Way::Forward => {
            let after = scene
                .case
                .spec
                .update
                .as_ref()
                .and_then(|update| update.step_after(Way::Forward, updating.step));
            match after {
                Some(step) => commit(go_on(scene, watch, updating, step, process)),
                None => commit(succeed(scene, watch, updating, process)),
            }
        }
    }
}

/// Why what was seen does not verify `expected`; `None` if it does: the check passes, the version is there, and the run
/// is a new one that outlived its settle time.
fn problem(updating: &Updating, expected: &Version, seen: &Settled) -> Option<String> {
    let present = seen.standing.as_ref().ok().and_then(|standing| standing.process.as_ref());
    let died = seen.started.is_some() && present.is_some() && seen.started.as_ref() != present;
    match &seen.look.sight {
        Sight::Up => {}
        Sight::Down(fault) => return Some(format!("not up after {}: {fault}", updating.step)),
        Sight::Unreachable(_) | Sight::Unknown(_) if died => {}
        Sight::Unreachable(_) | Sight::Unknown(_) => {
            return Some(format!("cannot be judged after {}: {}", updating.step, seen.look.sight));
        }
    }
    if died {
        return Some("it died again while settling".to_owned());
    }
    let standing = match &seen.standing {
        Ok(standing) => standing,
        Err(why) => return Some(format!("what is there cannot be told: {why}")),
    };
    if standing.version != *expected {
        return Some(format!("{} is there, not {}", standing.version.short(), expected.short()));
    }
    let is_old = updating.step == UpdateStep::Restart
        && updating.process.is_some()
        && standing.process == updating.process;
    is_old.then(|| "the old process is still running".to_owned())
}

/// Turns a service back that is on its way, because its rollout was aborted. `None`: it need not.
#[must_use]
pub fn obey(scene: Scene<'_>, watch: &Watch, updating: &Updating) -> Option<Move> {
    (updating.way == Way::Forward && is_aborted(scene.head))
        .then(|| turn_back(scene, watch, updating, "the rollout was aborted", None))
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
    let effects = told_of_course(head, &next, head.id.as_str());
    Some(Move {
        service: Some(service),
        head: HeadPart::Becomes(Box::new(next)),
        row: None,
        app: None,
        effects,
    })
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

fn commit(next: Move) -> Next {
    Next::Commit(Box::new(next))
}

fn is_aborted(head: Option<&Rollout>) -> bool {
    head.is_some_and(|head| {
        matches!(
            head.course,
            Course::Stopping { end: End::Aborted, .. } | Course::Undoing { end: End::Aborted, .. }
        )
    })
}

fn is_first(update: &Update, updating: &Updating) -> bool {
    update.steps(Way::Forward).first() == Some(&updating.step)
}

/// Intends a step: numbered, on a renewed lease, and in the audit trail from before it is made.
fn intend(case: Case<'_>, watch: &Watch, updating: Updating, because: &str) -> crate::decision::Decision {
    intend_in(Draft::new(case, watch), case, updating, because)
}

fn intend_in(
    mut draft: Draft<'_>,
    case: Case<'_>,
    updating: Updating,
    because: &str,
) -> crate::decision::Decision {
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
fn go_on(
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

fn on_its_way(updating: &Updating) -> String {
    let step = updating.step;
    match (updating.way, &updating.back_because) {
        (Way::Forward, _) => format!("updating to {}: {step}", updating.target.short()),
        (Way::Back, Some(why)) => format!("rolling back to {}: {step}; {why}", updating.previous.short()),
        (Way::Back, None) => format!("rolling back to {}: {step}", updating.previous.short()),
    }
}

/// The same step once more, under a number the host has not seen; or no longer, if that happened too often.
fn anew(
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
fn busy(scene: Scene<'_>, watch: &Watch, updating: &Updating) -> Next {
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
fn turn_back(scene: Scene<'_>, watch: &Watch, updating: &Updating, why: &str, look: Option<&Look>) -> Move {
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
fn tell_if_down(draft: &mut Draft<'_>, look: Option<&Look>) {
    let Some(Look { sight: Sight::Down(fault), evidence, .. }) = look else { return };
    draft.begin_incident(&fault.to_string());
    draft.become_(Status::Updating, &format!("down after an update: {fault}"));
    draft.tell_down("it is rolled back to the version that ran before", evidence.as_deref());
}

/// It runs the target, verified.
fn succeed(scene: Scene<'_>, watch: &Watch, updating: &Updating, process: Option<ProcessId>) -> Move {
    let because = format!("updated to {} by {}", updating.target.short(), updating.rollout);
    let mut draft = Draft::new(scene.case, watch);
    draft.recover(&because);
    draft.next.needs_human = None;
    let brought = (updating.target.clone(), updating.previous.clone());
    let row = settled_row(scene, updating, RowStatus::Success, &because, brought.0.clone(), process);
    settle(scene, draft, updating, row, Verdict::Success, Some(brought))
}

/// It runs what it ran before, verified.
fn rolled_back(scene: Scene<'_>, watch: &Watch, updating: &Updating, process: Option<ProcessId>) -> Move {
    let why = updating.back_because.as_deref().unwrap_or("its update was given up");
    let because = format!("rolled back to {}: {why}", updating.previous.short());
    let mut draft = Draft::new(scene.case, watch);
    draft.recover(&because);
    draft.next.needs_human = None;
    let brought = (updating.previous.clone(), updating.target.clone());
    let row = settled_row(scene, updating, RowStatus::RolledBack, &because, brought.0.clone(), process);
    settle(scene, draft, updating, row, Verdict::RolledBack, Some(brought))
}

/// It could not be begun on its host, which is as it was.
fn untouched(scene: Scene<'_>, watch: &Watch, updating: &Updating, why: &str) -> Move {
    let because = format!("nothing was changed: {why}");
    let mut draft = Draft::new(scene.case, watch);
    draft.recover(&because);
    let row = settled_row(scene, updating, RowStatus::RolledBack, &because, updating.previous.clone(), None);
    settle(scene, draft, updating, row, Verdict::RolledBack, None)
}

/// Neither version is certain: recovery stays away, and a person is called.
fn fail(scene: Scene<'_>, watch: &Watch, updating: &Updating, why: &str, look: Option<&Look>) -> Move {
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
    settle(scene, draft, updating, row, Verdict::Failed, None)
}

/// Its host went away half-way and did not come back in time. The update stays open: recovery keeps off, and `advance`
/// takes the service back as soon as the host answers.
fn strand(scene: Scene<'_>, watch: &Watch, updating: &Updating, fault: &Fault<UnreachableKind>) -> Move {
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
        (true, Some(head)) => head_settled(head, scene.row, Verdict::Failed, now),
        (true, None) | (false, _) => (HeadPart::Leave, Vec::new()),
    };
    Move { service: Some(decision), head, row: first.then_some(row), app: None, effects }
}

fn settled_row(
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
fn settle(
    scene: Scene<'_>,
    draft: Draft<'_>,
    updating: &Updating,
    row: Row,
    verdict: Verdict,
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

fn head_settled(head: &Rollout, row: &Row, verdict: Verdict, now: Moment) -> (HeadPart, Vec<Effect>) {
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

#[cfg(test)]
mod tests;
