//! What `recover` decides before and after a restart.

use crate::backoff;
use crate::breaker::Breaker;
use crate::decision::{Decision, LiveStatus};
use crate::moment::spoken;
use crate::settings::Mode;
use crate::sight::{
    Fault, Look, MAX_DETAIL_CHARS, ProcessId, RestartOutcome, Sight, UnreachableKind, one_line,
};
use crate::spec::{Lifecycle, Restart};
use crate::watch::{AskedBy, Attempt, Status, Watch};

use super::Case;
use super::sighting::cannot_reach;
use super::steps::Draft;

/// What to do with an attempt that is due, after a fresh look.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Before {
    /// Restart, under this action number, if the same run of the service is still there.
    Act {
        /// The number the host guard compares and records.
        action_no: u64,
        /// The run of the service that was judged.
        process: Option<ProcessId>,
    },
    /// No restart: this is to be committed instead.
    Settled(Box<Decision>),
    /// Nothing can be concluded yet: look again a little later.
    Wait,
}

/// Decides whether an attempt that is due is still to be made.
#[must_use]
pub fn before_attempt(case: Case<'_>, watch: &Watch, attempt: &Attempt, look: &Look) -> Before {
    if let Some(why) = not_allowed(case) {
        let mut draft = Draft::new(case, watch);
        draft.close_attempt();
        give_back(&mut draft, &format!("restart given up: {why}"));
        return Before::Settled(Box::new(draft.done()));
    }
    let act = || Before::Act { action_no: attempt.action_no, process: look.process.clone() };
    match (&look.sight, &attempt.asked_by) {
        (Sight::Up, AskedBy::Recovery | AskedBy::Trial) => {
            let mut draft = Draft::new(case, watch);
            if !watch.breaker.is_ended_by_success_at(look.at) {
                return Before::Wait;
            }
            draft.recover("up again before the restart was made");
            Before::Settled(Box::new(draft.done()))
        }
        (Sight::Up, AskedBy::Person(_)) | (Sight::Down(_), _) => act(),
        (Sight::Unreachable(fault), _) => Before::Settled(Box::new(not_reached(case, watch, fault))),
        (Sight::Unknown(_), _) => Before::Wait,
    }
}

/// The env or the spec may have changed since the restart was intended.
fn not_allowed(case: Case<'_>) -> Option<&'static str> {
    match (case.settings.mode, case.spec.lifecycle, &case.spec.restart) {
        (Mode::Observe | Mode::Off, _, _) => Some("this env only observes"),
        (_, Lifecycle::Provisioning | Lifecycle::Suspended | Lifecycle::Retired, _) => {
            Some("the service is no longer `ready`")
        }
        (_, _, Restart::Never) => Some("`restart` is now \"never\""),
        (Mode::Act, Lifecycle::Ready, Restart::Systemd(_) | Restart::Docker(_) | Restart::Command(_)) => None,
    }
}

/// Leaves the service to the next sweep.
fn give_back(draft: &mut Draft<'_>, because: &str) {
    let status = if matches!(draft.next.breaker, Breaker::Closed { .. }) {
        Status::Unhealthy
    } else {
        Status::CircuitOpen
    };
    draft.become_(status, because);
    draft.publish("restart given up");
}

/// The host could not be reached: never a restart, never a breaker count.
fn not_reached(case: Case<'_>, watch: &Watch, fault: &Fault<UnreachableKind>) -> Decision {
    let mut draft = Draft::new(case, watch);
    draft.close_attempt();
    cannot_reach(case, &mut draft, fault);
    draft.done()
}

/// Decides what a restart amounted to. `look` was taken after the settle time.
///
/// `None`: the host was busy with another lifecycle command, or the look could not judge; the attempt stays open.
#[must_use]
pub fn after_attempt(
    case: Case<'_>,
    watch: &Watch,
    attempt: &Attempt,
    outcome: &RestartOutcome,
    look: &Look,
) -> Option<Decision> {
    let made = match outcome {
        RestartOutcome::Done(parts) => match parts.missing() {
            None => "made".to_owned(),
            Some(missing) => format!("made, guard incomplete: {missing}"),
        },
        RestartOutcome::AlreadyDone => "was already made".to_owned(),
        // Somebody else's start counts as the attempt: a crash loop changes the process faster than we can look.
        RestartOutcome::ProcessChanged => "another start came between".to_owned(),
        RestartOutcome::Failed(why) => why.clone(),
        RestartOutcome::Lost(fault) => format!("outcome not seen: {fault}"),
        RestartOutcome::NotSent(fault) => return Some(not_reached(case, watch, fault)),
        RestartOutcome::Busy => return None,
        RestartOutcome::Overtaken { seen } => {
            return Some(renumber(case, watch, attempt, *seen, &format!("the host has seen action {seen}")));
        }
    };
    match &look.sight {
        Sight::Up => Some(healed(case, watch, attempt, &made)),
        Sight::Down(fault) => {
            let error = match outcome {
                // What stood in the way of the restart itself is what a person can mend.
                RestartOutcome::Failed(why) => one_line(why, MAX_DETAIL_CHARS),
                RestartOutcome::Done(_)
                | RestartOutcome::AlreadyDone
                | RestartOutcome::ProcessChanged
                | RestartOutcome::Lost(_)
                | RestartOutcome::NotSent(_)
                | RestartOutcome::Busy
                | RestartOutcome::Overtaken { .. } => fault.to_string(),
            };
            Some(not_healed(case, watch, attempt, look, &format!("{made}, then {fault}"), &error))
        }
        Sight::Unreachable(fault) => Some(cannot_judge(case, watch, attempt, &made, fault)),
        Sight::Unknown(_) => None,
    }
}

/// The same intent under a number that the host has not seen, judged afresh by `recover`.
fn renumber(case: Case<'_>, watch: &Watch, attempt: &Attempt, seen: u64, why: &str) -> Decision {
    let mut draft = Draft::new(case, watch);
    draft.close_attempt();
    draft.next.action_no = draft.next.action_no.max(seen);
    draft.next.because = format!("{why}; looking again before any restart");
    draft.open_attempt(case.now, None, attempt.asked_by.clone(), why);
    draft.done()
}

fn healed(case: Case<'_>, watch: &Watch, attempt: &Attempt, made: &str) -> Decision {
    let mut draft = Draft::new(case, watch);
    draft.count_restart(attempt, made);
    let how = match made {
        "made" => "up after a restart".to_owned(),
        other => format!("up after a restart ({other})"),
    };
    draft.recover(&how);
    draft.done()
}

fn not_healed(
    case: Case<'_>,
    watch: &Watch,
    attempt: &Attempt,
    look: &Look,
    outcome: &str,
    error: &str,
) -> Decision {
    let mut draft = Draft::new(case, watch);
    draft.close_attempt();
    draft.begin_incident(error);
    draft.count_restart(attempt, outcome);
    let policy = &case.spec.policy;
    let evidence = look.evidence.as_deref();
    let failures = watch.breaker.consecutive_failures() + 1;
    draft.next.breaker = match &watch.breaker {
        Breaker::Closed { .. } => Breaker::Closed { consecutive_failures: failures },
        Breaker::Open { opened_at, until, .. } => {
            Breaker::Open { consecutive_failures: failures, opened_at: *opened_at, until: *until }
        }
        Breaker::HalfOpen { opened_at, .. } => {
            Breaker::HalfOpen { consecutive_failures: failures, opened_at: *opened_at }
        }
    };
    let trial = attempt.asked_by == AskedBy::Trial || !matches!(watch.breaker, Breaker::Closed { .. });
    if trial || failures >= policy.breaker_threshold {
        draft.publish_as(LiveStatus::RestartFailed, outcome);
        let because = if trial {
            format!("trial restart failed: {error}")
        } else {
            format!("{failures} restarts failed: {error}")
        };
        draft.open_breaker(&because, evidence);
        return draft.done();
    }
    let wait = backoff::delay(policy, draft.next.recent_restarts);
    draft.publish_as(
        LiveStatus::RestartFailed,
        &format!("attempt {failures} of {}; next in {}", policy.breaker_threshold, spoken(wait)),
    );
    draft.try_again(&format!("restart {failures} failed: {error}"), look.process.clone(), evidence);
    draft.done()
}

/// A restart was made, but the host cannot be asked what it did.
fn cannot_judge(
    case: Case<'_>,
    watch: &Watch,
    attempt: &Attempt,
    made: &str,
    fault: &Fault<UnreachableKind>,
) -> Decision {
    let mut draft = Draft::new(case, watch);
    draft.close_attempt();
    draft.begin_incident(&format!("unreachable: {fault}"));
    draft.count_restart(attempt, made);
    if let Breaker::HalfOpen { consecutive_failures, .. } = watch.breaker {
        // The one trial is spent. An observed success still closes the breaker at once.
        let until = case.now + case.spec.policy.breaker_cooldown;
        draft.next.breaker = Breaker::Open { consecutive_failures, opened_at: case.now, until };
    }
    cannot_reach(case, &mut draft, fault);
    draft.done()
}
