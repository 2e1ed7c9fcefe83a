//! The head's state table: what becomes of a rollout when something happened to one of its services, or a person spoke.

mod beginning;
mod end;

pub use beginning::{Started, start};
pub use end::conclude;

use super::{Course, End, HALT_PERCENT, HeadPart, Move, OnHalt, Paused, Rollout, SOAK_MOST, Stage};
use crate::decision::{AuditEntry, Effect};
use crate::moment::{Moment, spoken};
use crate::name::ServiceId;
use crate::sight::one_line;

/// Most characters of a stored `because`.
const MAX_BECAUSE_CHARS: usize = 200;
/// How a service's update ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Verdict {
    /// It runs the target, verified.
    Success,
    /// It runs what it ran before, verified.
    RolledBack,
    /// Neither is certain; a person must look.
    Failed,
}

/// What happened to a rollout.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Event<'a> {
    /// The next row's service is under way.
    Began(&'a ServiceId),
    /// The next row's service was left alone.
    LeftAlone,
    /// The next row's service is what it was, since an update could not even begin there.
    Unfit,
    /// The next row's service was already there.
    AlreadyThere,
    /// A service under way reached its end.
    Settled {
        /// The service.
        service: &'a ServiceId,
        /// Its stage.
        stage: u32,
        /// How it ended.
        verdict: Verdict,
    },
    /// A service that had arrived fell sick in its soak, and goes back.
    Sick(&'a ServiceId),
    /// Every service of the stage was seen healthy after its soak.
    Soaked,
    /// The next row to undo goes back.
    Undoing {
        /// The service.
        service: &'a ServiceId,
        /// Its stage.
        stage: u32,
    },
    /// The next row to undo has nothing to undo.
    NothingToUndo,
    /// A person says wait.
    Paused(&'a str),
    /// A person says go on.
    Resumed(&'a str),
    /// A person says stop.
    Aborted {
        /// Who.
        by: &'a str,
        /// Whether what was updated is rolled back.
        undo: bool,
    },
}

/// What becomes of `rollout`. `None`: the event does not belong to where it stands, so it was decided upon something old.
#[must_use]
pub fn on(rollout: &Rollout, event: Event<'_>, now: Moment) -> Option<Rollout> {
    let mut next = Rollout { version: rollout.version + 1, updated_at: now, ..rollout.clone() };
    match (&rollout.course, event) {
        (Course::Arriving, Event::Began(service)) => {
            next.begin_row(rollout)?;
            next.under_way.push(service.clone());
        }
        (Course::Arriving, Event::LeftAlone) => {
            next.begin_row(rollout)?;
            next.stage_of(rollout.stage)?.skipped += 1;
        }
        (Course::Arriving, Event::Unfit) => {
            next.begin_row(rollout)?;
            next.stage_of(rollout.stage)?.failed += 1;
        }
        (Course::Arriving, Event::AlreadyThere) => {
            next.begin_row(rollout)?;
            next.stage_of(rollout.stage)?.succeeded += 1;
        }
        (
            Course::Arriving | Course::Soaking { .. } | Course::Stopping { .. } | Course::Undoing { .. },
            Event::Settled { service, stage, verdict },
        ) => next.settle(service, stage, verdict)?,
        (Course::Soaking { .. }, Event::Sick(service)) => {
            next.room()?;
            let stage = next.stage_of(rollout.stage)?;
            stage.succeeded = stage.succeeded.checked_sub(1)?;
            next.under_way.push(service.clone());
        }
        (Course::Soaking { .. }, Event::Soaked)
            if rollout.under_way.is_empty() && rollout.paused.is_none() =>
        {
            next.pass_stage();
        }
        (Course::Undoing { end, left }, Event::Undoing { service, stage }) => {
            next.room()?;
            next.course = Course::Undoing { end: *end, left: left.checked_sub(1)? };
            let stage = next.stage_of(stage)?;
            stage.succeeded = stage.succeeded.checked_sub(1)?;
            next.under_way.push(service.clone());
        }
        (Course::Undoing { end, left }, Event::NothingToUndo) => {
            next.course = Course::Undoing { end: *end, left: left.checked_sub(1)? };
        }
        (Course::Arriving | Course::Soaking { .. }, Event::Paused(by)) if rollout.paused.is_none() => {
            next.paused = Some(Paused { by: by.to_owned(), at: now });
            next.say(&format!("paused by {by}; services half-way are finished, no other is begun"));
        }
        (Course::Arriving | Course::Soaking { .. }, Event::Resumed(by)) if rollout.paused.is_some() => {
            next.paused = None;
            next.say(&format!("resumed by {by}"));
        }
        (Course::Arriving | Course::Soaking { .. }, Event::Aborted { by, undo }) => {
            next.paused = None;
            next.steering += 1;
            next.course = Course::Stopping { end: End::Aborted, undo };
            next.say(&format!("aborted by {by}"));
        }
        // A halt may still be aborted into a roll-back of everything, and a roll-back is never stopped half-way.
        (Course::Stopping { undo: false, .. }, Event::Aborted { by, undo: true }) => {
            next.steering += 1;
            next.course = Course::Stopping { end: End::Aborted, undo: true };
            next.say(&format!("aborted by {by}; everything is rolled back"));
        }
        (
            Course::Arriving
            | Course::Soaking { .. }
            | Course::Stopping { .. }
            | Course::Undoing { .. }
            | Course::Ended { .. },
            _,
        ) => return None,
    }
    next.proceed(now);
    Some(next)
}

impl Rollout {
    fn say(&mut self, because: &str) {
        self.because = one_line(because, MAX_BECAUSE_CHARS);
    }

    fn stage_of(&mut self, stage: u32) -> Option<&mut Stage> {
        self.stages.get_mut(usize::try_from(stage).ok()?)
    }

    /// Takes the next row of the present stage. None if there is none, or nobody may be begun.
    fn begin_row(&mut self, before: &Rollout) -> Option<()> {
        self.room()?;
        if before.paused.is_some() || before.begun >= before.stage_end(before.stage) {
            return None;
        }
        self.begun += 1;
        Some(())
    }

    /// None if as many services are under way as may be.
    fn room(&self) -> Option<()> {
        (self.under_way.len() < usize::try_from(self.options.at_once).ok()?).then_some(())
    }

    fn settle(&mut self, service: &ServiceId, stage: u32, verdict: Verdict) -> Option<()> {
        let at = self.under_way.iter().position(|other| other == service)?;
        self.under_way.remove(at);
        let tally = self.stage_of(stage)?;
        match verdict {
            Verdict::Success => tally.succeeded += 1,
            Verdict::RolledBack => tally.failed += 1,
            Verdict::Failed => {
                tally.failed += 1;
                self.halt(&format!("`{service}` could not be rolled back; a person must look at it"));
            }
        }
        Some(())
    }

    /// Stops, unless it is stopping already.
    fn halt(&mut self, why: &str) {
        if matches!(self.course, Course::Arriving | Course::Soaking { .. }) {
            let undo = self.options.on_halt == OnHalt::RollBackAll;
            self.course = Course::Stopping { end: End::Halted, undo };
            self.paused = None;
            self.say(&format!("halted: {why}"));
        }
    }

    /// Why it must stop, as early as that is certain.
    fn reason_to_halt(&self) -> Option<String> {
        let number = self.stage + 1;
        let stage = self.stages.get(usize::try_from(self.stage).ok()?)?;
        let (failed, size) = (u64::from(stage.failed), u64::from(stage.size));
        if failed * 100 > u64::from(HALT_PERCENT) * size {
            return Some(format!("{failed} of {size} failed in stage {number}, more than {HALT_PERCENT} %"));
        }
        if self.options.strict_canary && self.stage == 0 && stage.failed > 0 {
            return Some(format!(
                "{failed} of {size} failed in the first stage, and `strict_canary` allows none"
            ));
        }
        let failures = self.failures();
        if self.options.max_failures.is_some_and(|most| failures > most) {
            return Some(format!("{failures} failed in all, more than `max_failures`"));
        }
        None
    }

    /// Follows from where it stands, until nothing more follows.
    fn proceed(&mut self, now: Moment) {
        if let (Course::Arriving | Course::Soaking { .. }, Some(why)) = (&self.course, self.reason_to_halt())
        {
            self.halt(&why);
        }
        if self.course == Course::Arriving
            && self.begun >= self.stage_end(self.stage)
            && self.under_way.is_empty()
        {
            let number = self.stage + 1;
            let arrived = self.stage_of(self.stage).is_some_and(|stage| stage.succeeded > 0);
            if arrived {
                self.course = Course::Soaking { since: now };
                let soak = spoken(self.options.soak);
                self.say(&format!("stage {number} arrived; watched for {soak} before the next step"));
            } else {
                // Without one service that shows the target at work, the next stage would be a leap in the dark.
                self.halt(&format!("no service of stage {number} runs the target"));
            }
        }
        if let Course::Stopping { end, undo } = self.course
            && self.under_way.is_empty()
        {
            let any = self.stages.iter().any(|stage| stage.succeeded > 0);
            self.course =
                if undo && any { Course::Undoing { end, left: self.begun } } else { Course::Ended { end } };
        }
        if let Course::Undoing { end, left: 0 } = self.course
            && self.under_way.is_empty()
        {
            self.course = Course::Ended { end };
        }
        if matches!(self.course, Course::Ended { .. }) {
            self.ended_at.get_or_insert(now);
        }
    }

    fn pass_stage(&mut self) {
        let (passed, stages) = (self.stage + 1, self.stages.len());
        if usize::try_from(passed).unwrap_or(usize::MAX) < stages {
            self.stage += 1;
            self.course = Course::Arriving;
            return self.say(&format!("stage {passed} passed; stage {} begins", passed + 1));
        }
        let succeeded: u32 = self.stages.iter().map(|stage| stage.succeeded).sum();
        let size = self.size();
        let end = if succeeded == size { End::Completed } else { End::CompletedWithFailures };
        self.course = Course::Ended { end };
        let target = self.target.short().to_owned();
        self.say(&format!("{succeeded} of {size} services run {target}"));
    }
}

/// What can be done for a rollout now.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Work {
    /// The service of this row may be begun.
    Begin(u32),
    /// The stage's services are watched.
    Watch {
        /// They have soaked long enough then.
        ripe: Moment,
        /// Whoever has not been seen healthy by then counts as sick.
        latest: Moment,
    },
    /// The service of this row is looked at, and rolled back if it was updated.
    Undo(u32),
    /// Nothing but finishing what is under way, or waiting for a person.
    Wait,
    /// It is over.
    Over,
}

/// Says what can be done for `rollout`, besides finishing what is under way.
#[must_use]
pub fn work(rollout: &Rollout) -> Work {
    let room = rollout.room().is_some();
    match &rollout.course {
        Course::Ended { .. } => Work::Over,
        Course::Stopping { .. } => Work::Wait,
        Course::Undoing { left, .. } => match left.checked_sub(1) {
            Some(index) if room => Work::Undo(index),
            Some(_) | None => Work::Wait,
        },
        Course::Arriving | Course::Soaking { .. } if rollout.paused.is_some() => Work::Wait,
        Course::Arriving => match rollout.begun < rollout.stage_end(rollout.stage) {
            true if room => Work::Begin(rollout.begun),
            true | false => Work::Wait,
        },
        Course::Soaking { since } => {
            Work::Watch { ripe: *since + rollout.options.soak, latest: *since + SOAK_MOST }
        }
    }
}

/// A move of the head alone, with a line in the audit trail if it changed its course.
#[must_use]
pub fn head_move(before: &Rollout, next: Rollout, by: &str) -> Move {
    let effects = told_of_course(before, &next, by);
    Move { service: None, head: HeadPart::Becomes(Box::new(next)), row: None, app: None, effects }
}

/// The line in the audit trail that tells of a change of course; none if it goes on as before.
pub(super) fn told_of_course(before: &Rollout, next: &Rollout, by: &str) -> Vec<Effect> {
    let same = std::mem::discriminant(&before.course) == std::mem::discriminant(&next.course)
        && before.stage == next.stage
        && before.paused.is_some() == next.paused.is_some();
    if same {
        return Vec::new();
    }
    vec![Effect::Record(AuditEntry {
        at: next.updated_at,
        by: by.to_owned(),
        action: format!("rollout {} {}", next.id, next.status()),
        service: None,
        action_no: None,
        because: next.because.clone(),
    })]
}

#[cfg(test)]
mod tests;
