//! What the sweep decides when it has looked at a service that is not being restarted.

use crate::breaker::Breaker;
use crate::decision::Decision;
use crate::rollout::Updating;
use crate::settings::Mode;
use crate::sight::{DownKind, Fault, Look, NotLooked, ProcessId, Sight, UnreachableKind};
use crate::spec::Restart;
use crate::watch::{AskedBy, Status, Watch};

use super::Case;
use super::steps::Draft;

/// Decides what one look of a sweep means. `None`: nothing changed, nothing is written.
#[must_use]
pub fn on_sight(case: Case<'_>, watch: &Watch, look: &Look) -> Option<Decision> {
    if let Some(updating) = &watch.update {
        return half_updated(case, watch, updating, look);
    }
    match &look.sight {
        Sight::Up => up(case, watch, look),
        Sight::Down(fault) => down(case, watch, fault, look.process.clone(), look.evidence.as_deref()),
        Sight::Unreachable(fault) => unreachable(case, watch, fault),
        Sight::Unknown(NotLooked::OutOfTime | NotLooked::OurFault) => Some(missed(case, watch)),
        // It was looked at; what was seen is neither good nor bad.
        Sight::Unknown(NotLooked::Starting | NotLooked::Blind) => None,
    }
}

/// A rollout has the service. While its lease holds, nothing is decided here. Once that ran out the service is seen and
/// told of, and never restarted: what is on its host is half a version, and only its rollout knows which.
fn half_updated(case: Case<'_>, watch: &Watch, updating: &Updating, look: &Look) -> Option<Decision> {
    if updating.is_in_force(case.now) {
        return None;
    }
    let rollout = &updating.rollout;
    match &look.sight {
        Sight::Up if watch.status == Status::Unknown => None,
        Sight::Up => {
            let mut draft = Draft::new(case, watch);
            draft.next.unreachable_streak = 0;
            draft.become_(
                Status::Unknown,
                &format!("up, on a version that nobody verified; `{rollout}` has not ended it"),
            );
            Some(draft.done())
        }
        Sight::Down(_) if watch.incident.as_ref().is_some_and(|incident| incident.told) => None,
        Sight::Down(fault) => {
            let mut draft = Draft::new(case, watch);
            draft.next.unreachable_streak = 0;
            draft.begin_incident(&fault.to_string());
            draft.become_(
                Status::Unknown,
                &format!("down: {fault}; no restart, since `{rollout}` has not ended its update"),
            );
            draft.tell_down(
                "no restart is made; the rollout takes it back to the version before",
                look.evidence.as_deref(),
            );
            Some(draft.done())
        }
        Sight::Unreachable(fault) => unreachable(case, watch, fault),
        Sight::Unknown(NotLooked::OutOfTime | NotLooked::OurFault) => Some(missed(case, watch)),
        Sight::Unknown(NotLooked::Starting | NotLooked::Blind) => None,
    }
}

fn missed(case: Case<'_>, watch: &Watch) -> Decision {
    let mut draft = Draft::new(case, watch);
    draft.next.totals.missed += 1;
    draft.done()
}

fn up(case: Case<'_>, watch: &Watch, look: &Look) -> Option<Decision> {
    if !watch.breaker.is_ended_by_success_at(look.at) {
        return None;
    }
    let mut draft = Draft::new(case, watch);
    match watch.status {
        Status::Healthy => {
            let forgiven = watch.recent_restarts > 0
                && watch
                    .healthy_since
                    .is_some_and(|since| case.now.since(since) >= case.spec.policy.forgiven_after);
            if !forgiven {
                return None;
            }
            draft.next.recent_restarts = 0;
            draft.next.because = "up; its recent restarts are forgiven".to_owned();
        }
        Status::Unknown => draft.recover("up"),
        Status::Unhealthy | Status::Down => draft.recover("up again without a restart"),
        Status::CircuitOpen => draft.recover("up again without a restart; breaker closed"),
        // These belong to others; the sweep does not look at them, and a late look changes nothing.
        Status::Restarting | Status::Updating | Status::Held => return None,
    }
    Some(draft.done())
}

fn down(
    case: Case<'_>,
    watch: &Watch,
    fault: &Fault<DownKind>,
    process: Option<ProcessId>,
    evidence: Option<&str>,
) -> Option<Decision> {
    let problem = format!("down: {fault}");
    let mut draft = Draft::new(case, watch);
    draft.next.unreachable_streak = 0;
    draft.begin_incident(&fault.to_string());
    if case.settings.mode != Mode::Act || case.spec.restart == Restart::Never {
        return down_without_restart(case, watch, draft, &problem, evidence);
    }
    match &watch.breaker {
        Breaker::Closed { .. } => draft.try_again(&problem, process, evidence),
        Breaker::Open { until, .. } if case.now < *until => return None,
        Breaker::Open { consecutive_failures, opened_at, .. }
        | Breaker::HalfOpen { consecutive_failures, opened_at } => {
            draft.next.breaker =
                Breaker::HalfOpen { consecutive_failures: *consecutive_failures, opened_at: *opened_at };
            draft.become_(Status::CircuitOpen, &format!("{problem}; cooldown over, one trial restart"));
            draft.open_attempt(case.now, process, AskedBy::Trial, &problem);
        }
    }
    Some(draft.done())
}

/// Only told, never acted upon: the env observes, or the service is configured so.
fn down_without_restart(
    case: Case<'_>,
    watch: &Watch,
    mut draft: Draft<'_>,
    problem: &str,
    evidence: Option<&str>,
) -> Option<Decision> {
    let (status, why) = match case.settings.mode {
        Mode::Act => (Status::Down, "`restart` is \"never\""),
        Mode::Observe | Mode::Off => (Status::Unhealthy, "this env only observes"),
    };
    let told = watch.incident.as_ref().is_some_and(|incident| incident.told);
    let open = matches!(watch.breaker, Breaker::Open { .. } | Breaker::HalfOpen { .. });
    if open || (told && watch.status == status) {
        return None;
    }
    draft.become_(status, &format!("{problem}; no restart, since {why}"));
    draft.publish("down, not restarted");
    draft.tell_down(&format!("nothing is done, since {why}"), evidence);
    Some(draft.done())
}

fn unreachable(case: Case<'_>, watch: &Watch, fault: &Fault<UnreachableKind>) -> Option<Decision> {
    let already_known =
        watch.status == Status::Down && watch.unreachable_streak >= case.spec.policy.unreachable_limit;
    // An opened breaker already says that the service is not up, and unreachable looks never count for it.
    if already_known || watch.status == Status::CircuitOpen {
        return None;
    }
    let mut draft = Draft::new(case, watch);
    cannot_reach(case, &mut draft, fault);
    Some(draft.done())
}

/// One more look that could not reach the host.
pub(super) fn cannot_reach(case: Case<'_>, draft: &mut Draft<'_>, fault: &Fault<UnreachableKind>) {
    let limit = case.spec.policy.unreachable_limit;
    draft.begin_incident(&format!("unreachable: {fault}"));
    draft.next.unreachable_streak = draft.next.unreachable_streak.saturating_add(1);
    let streak = draft.next.unreachable_streak;
    if !matches!(draft.next.breaker, Breaker::Closed { .. }) {
        draft.become_(Status::CircuitOpen, &format!("breaker open, and unreachable: {fault}"));
    } else if streak >= limit {
        draft.become_(
            Status::Down,
            &format!("down: unreachable {streak} times in a row: {fault}; a restart needs a way in"),
        );
        draft.publish("unreachable");
        draft.tell_down("no restart can be made; it is looked at every tick until the host answers", None);
    } else {
        draft.become_(Status::Unhealthy, &format!("unreachable {streak} of {limit} times: {fault}"));
        draft.publish(&format!("unreachable, {streak} of {limit}"));
    }
}
