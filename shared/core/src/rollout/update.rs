//! One service's state table: what follows from the outcome of each step of its update, `match (way, step, outcome)`.
//!
//! A step is intended first, under an action number of its own, and made after that was committed. Whoever finds a step
//! intended, now or in another life, asks the host to make it under that number: a host that has made it answers what
//! came of it.

mod entry;
mod intent;
mod verdict;

pub use entry::{begin, find, gone, pass_over, take_back};

use std::time::Duration;

use super::{Course, End, Move, Rollout, Row, Updating};
use crate::recovery::Case;
use crate::sight::{Look, ProcessId, Sight};
use crate::update::{NoStanding, Standing, StepOutcome, Update, UpdateStep, Way};
use crate::version::Version;
use crate::watch::Watch;
use intent::{anew, busy, go_on, turn_back};
use verdict::{fail, rolled_back, strand, succeed, untouched};

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

#[cfg(test)]
mod tests;
