//! The strokes that decisions are made of: each changes one thing and says so in its effects.

use crate::backoff;
use crate::breaker::Breaker;
use crate::decision::{AuditEntry, Decision, Effect, LiveEvent, LiveStatus, Step};
use crate::hold::Hold;
use crate::moment::{Moment, spoken};
use crate::notice::{Notice, NoticeKind};
use crate::policy::FirstAttempt;
use crate::sight::{ProcessId, one_line};
use crate::watch::{AskedBy, Attempt, Incident, MAX_TRIED, Status, Watch};

use super::Case;

/// Most characters of a stored `because`.
const MAX_BECAUSE_CHARS: usize = 200;
/// Most characters of one line of what was tried: three of them are stored with an incident.
const MAX_TRIED_CHARS: usize = 80;

/// A decision in the making.
pub(crate) struct Draft<'a> {
    case: Case<'a>,
    pub(crate) next: Watch,
    effects: Vec<Effect>,
}

impl<'a> Draft<'a> {
    pub(crate) fn new(case: Case<'a>, watch: &Watch) -> Self {
        let mut next = watch.clone();
        next.version += 1;
        Self { case, next, effects: Vec::new() }
    }

    pub(crate) fn done(self) -> Decision {
        Decision { next: self.next, effects: self.effects }
    }

    /// Enters a status, or stays in it with another reason.
    pub(crate) fn become_(&mut self, status: Status, because: &str) {
        if self.next.status != status {
            self.next.since = self.case.now;
        }
        self.next.status = status;
        self.next.because = one_line(because, MAX_BECAUSE_CHARS);
        if status != Status::Healthy {
            self.next.healthy_since = None;
        }
    }

    /// Shows the present status on the live channels.
    pub(crate) fn publish(&mut self, message: &str) {
        if let Some(status) = LiveStatus::of(self.next.status) {
            self.publish_as(status, message);
        }
    }

    pub(crate) fn publish_as(&mut self, status: LiveStatus, message: &str) {
        self.effects.push(Effect::Publish(LiveEvent {
            service: self.next.service.clone(),
            status,
            message: message.to_owned(),
            because: self.next.because.clone(),
            timestamp: self.case.now,
        }));
    }

    /// Begins an incident, if none is open.
    pub(crate) fn begin_incident(&mut self, error: &str) {
        self.next.last_failure_at = Some(self.case.now);
        self.next.last_error = Some(one_line(error, MAX_BECAUSE_CHARS));
        if self.next.incident.is_none() {
            self.next.totals.failures += 1;
            self.next.incident = Some(Incident {
                no: self.next.version,
                since: self.case.now,
                told: false,
                restarts: 0,
                tried: Vec::new(),
            });
        }
    }

    /// Tells the owner DOWN, once per incident.
    pub(crate) fn tell_down(&mut self, next: &str, evidence: Option<&str>) {
        let Some(incident) = &mut self.next.incident else { return };
        if incident.told {
            return;
        }
        incident.told = true;
        self.next.last_notified_down_at = Some(self.case.now);
        self.tell(NoticeKind::Down, next, evidence);
    }

    fn tell(&mut self, kind: NoticeKind, next: &str, evidence: Option<&str>) {
        let incident = self.next.incident.as_ref();
        let thread_no = incident.map_or(self.next.version, |incident| incident.no);
        let to = match kind {
            NoticeKind::Down | NoticeKind::Recovered => self.case.spec.owner.iter().cloned().collect(),
            NoticeKind::BreakerOpen
            | NoticeKind::Blind
            | NoticeKind::RolloutHalted
            | NoticeKind::RolloutFinished
            | NoticeKind::PushRefused => self.case.settings.admins.clone(),
        };
        // DOWN is named after its incident, so that later letters of the thread can reply to it.
        let no = if kind == NoticeKind::Down { thread_no } else { self.next.version };
        let id = format!("{}.{no}.{kind}", self.next.service);
        self.effects.push(Effect::Tell(Notice {
            id,
            kind,
            service: Some(self.next.service.clone()),
            thread: format!("{}.{thread_no}", self.next.service),
            tick: self.case.tick,
            at: self.case.now,
            to,
            because: self.next.because.clone(),
            tried: incident.map(|incident| incident.tried.clone()).unwrap_or_default(),
            next: next.to_owned(),
            evidence: evidence.map(str::to_owned),
            incident_since: incident.map(|incident| incident.since),
            digest: None,
        }));
    }

    /// It is up: ends the incident, closes the breaker, and tells the owner if they were told that it was down.
    pub(crate) fn recover(&mut self, how: &str) {
        let (case, was) = (self.case, self.next.status);
        self.close_attempt();
        self.next.unreachable_streak = 0;
        self.next.breaker = Breaker::default();
        self.next.last_healthy_at = Some(case.now);
        self.become_(Status::Healthy, how);
        self.next.healthy_since.get_or_insert(case.now);
        let ended = self.next.incident.clone();
        if let Some(incident) = &ended {
            self.next.totals.recoveries += 1;
            if incident.told {
                self.next.last_notified_up_at = Some(case.now);
                self.tell(NoticeKind::Recovered, "it is looked at every tick, as before", None);
            }
            self.next.incident = None;
        }
        // Unknown → healthy is silent: there is no news in a service that was never seen otherwise.
        if was != Status::Unknown || ended.is_some() {
            self.publish(how);
        }
    }

    /// Intends a restart: numbered, recorded in the audit trail, and found by `recover` when it is due.
    pub(crate) fn open_attempt(
        &mut self,
        not_before: Moment,
        process: Option<ProcessId>,
        asked_by: AskedBy,
        because: &str,
    ) {
        self.next.action_no += 1;
        let attempt = Attempt { action_no: self.next.action_no, not_before, process, asked_by };
        let by = match &attempt.asked_by {
            AskedBy::Recovery | AskedBy::Trial => "recovery".to_owned(),
            AskedBy::Person(name) => name.clone(),
        };
        self.next.attempt = Some(attempt.clone());
        // A new step takes the old one's place: one transaction writes each item once.
        self.effects.retain(|effect| !matches!(effect, Effect::CloseStep(_)));
        self.effects.push(Effect::OpenStep(Step { service: self.next.service.clone(), attempt }));
        self.record(by, "restart", Some(self.next.action_no), because);
    }

    pub(crate) fn close_attempt(&mut self) {
        if self.next.attempt.take().is_some() {
            self.effects.push(Effect::CloseStep(self.next.service.clone()));
        }
    }

    pub(crate) fn record(&mut self, by: String, action: &str, action_no: Option<u64>, because: &str) {
        self.effects.push(Effect::Record(AuditEntry {
            at: self.case.now,
            by,
            action: action.to_owned(),
            service: Some(self.next.service.clone()),
            action_no,
            because: one_line(because, MAX_BECAUSE_CHARS),
        }));
    }

    /// Writes down that a restart was made, and what came of it.
    pub(crate) fn count_restart(&mut self, attempt: &Attempt, outcome: &str) {
        self.next.last_restart_at = Some(self.case.now);
        match attempt.asked_by {
            AskedBy::Recovery | AskedBy::Trial => {
                self.next.recent_restarts = self.next.recent_restarts.saturating_add(1)
            }
            // What a person does on purpose is no sign of flapping.
            AskedBy::Person(_) => {}
        }
        if let Some(incident) = &mut self.next.incident {
            incident.restarts += 1;
            let line = format!("restart {}: {outcome}", incident.restarts);
            incident.tried.push(one_line(&line, MAX_TRIED_CHARS));
            if incident.tried.len() > MAX_TRIED {
                incident.tried.remove(0);
            }
        }
    }

    /// Intends the next restart of recovery, or opens the breaker where the service is flapping.
    pub(crate) fn try_again(&mut self, problem: &str, process: Option<ProcessId>, evidence: Option<&str>) {
        let Case { spec, now, .. } = self.case;
        let policy = &spec.policy;
        if self.next.recent_restarts > policy.flapping_restarts {
            let because = format!(
                "flapping: {} restarts with less than {} of health between them",
                self.next.recent_restarts,
                spoken(policy.forgiven_after)
            );
            return self.open_breaker(&because, evidence);
        }
        let failures = self.next.breaker.consecutive_failures();
        let at_once =
            failures == 0 && self.next.recent_restarts == 0 && policy.first_attempt == FirstAttempt::AtOnce;
        let (not_before, when) = if at_once {
            (now, "at once".to_owned())
        } else {
            let wait = backoff::delay(policy, self.next.recent_restarts);
            (now + wait, format!("after {}", spoken(wait)))
        };
        let attempt = format!("attempt {} of {}", failures + 1, policy.breaker_threshold);
        self.become_(Status::Restarting, &format!("{problem}; restart {when}, {attempt}"));
        self.open_attempt(not_before, process, AskedBy::Recovery, problem);
        self.publish(&attempt);
        let quiet = policy.quiet_first_restart && failures == 0;
        if !quiet {
            self.tell_down(&format!("a restart {when}, {attempt}"), evidence);
        }
    }

    /// Gives up for a while. The admins are told when an opening begins, not when a trial renews it.
    pub(crate) fn open_breaker(&mut self, because: &str, evidence: Option<&str>) {
        let Case { spec, now, .. } = self.case;
        let first = matches!(self.next.breaker, Breaker::Closed { .. });
        let until = now + spec.policy.breaker_cooldown;
        self.close_attempt();
        self.next.breaker = Breaker::Open {
            consecutive_failures: self.next.breaker.consecutive_failures(),
            opened_at: now,
            until,
        };
        let wait = spoken(spec.policy.breaker_cooldown);
        self.become_(Status::CircuitOpen, &format!("{because}; no restart for {wait}, then one trial"));
        self.publish("breaker open");
        if first {
            self.tell_down("no restart is made while the breaker is open", evidence);
            self.tell(
                NoticeKind::BreakerOpen,
                &format!("one trial restart after {until}; or reset the breaker"),
                evidence,
            );
        }
    }
}

/// Why a person's restart is not accepted.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum RestartRefused {
    /// One is under way or waited for already.
    #[error("a restart of `{service}` is already under way (action {action_no})")]
    UnderWay {
        /// The service.
        service: String,
        /// The number of the open action.
        action_no: u64,
    },
    /// The spec says that it is never restarted.
    #[error("`{0}` is configured with `restart = \"never\"`; change its spec first")]
    Never(String),
    /// A person holds it.
    #[error("`{service}` is held by {by}: {reason}; release it first")]
    Held {
        /// The service.
        service: String,
        /// Who holds it.
        by: String,
        /// Why.
        reason: String,
    },
    /// A rollout has it.
    #[error("`{service}` is being updated by `{rollout}`; wait for it, or abort the rollout")]
    Updating {
        /// The service.
        service: String,
        /// The rollout.
        rollout: String,
    },
    /// The env may only look.
    #[error("this env does not act (`mode` is not `act`); change its settings first")]
    NotActing,
}

/// A person asks for a restart, whether the service is up or not.
///
/// # Errors
/// [`RestartRefused`] says why it is not accepted and what to do.
pub fn ask_restart(case: Case<'_>, watch: &Watch, by: &str) -> Result<Decision, RestartRefused> {
    let service = watch.service.to_string();
    if let Some(attempt) = &watch.attempt {
        return Err(RestartRefused::UnderWay { service, action_no: attempt.action_no });
    }
    if let Some(updating) = &watch.update {
        return Err(RestartRefused::Updating { service, rollout: updating.rollout.to_string() });
    }
    if let Some(hold) = watch.hold.as_ref().filter(|hold| hold.is_in_force(case.now)) {
        return Err(RestartRefused::Held { service, by: hold.by.clone(), reason: hold.reason.clone() });
    }
    if case.spec.restart == crate::spec::Restart::Never {
        return Err(RestartRefused::Never(service));
    }
    if case.settings.mode != crate::settings::Mode::Act {
        return Err(RestartRefused::NotActing);
    }
    let mut draft = Draft::new(case, watch);
    let because = format!("{by} asked for a restart");
    if matches!(watch.breaker, Breaker::Closed { .. }) {
        draft.become_(Status::Restarting, &because);
    }
    draft.open_attempt(case.now, None, AskedBy::Person(by.to_owned()), &because);
    draft.publish(&because);
    Ok(draft.done())
}

/// A person says: leave it alone. An open attempt is given up; automation never undoes the hold.
#[must_use]
pub fn hold(case: Case<'_>, watch: &Watch, hold: Hold) -> Decision {
    let mut draft = Draft::new(case, watch);
    let until = hold.until.map_or_else(|| "until released".to_owned(), |until| format!("until {until}"));
    let because = format!("held by {} {until}: {}", hold.by, hold.reason);
    draft.close_attempt();
    draft.become_(Status::Held, &because);
    draft.record(hold.by.clone(), "hold", None, &hold.reason);
    draft.next.hold = Some(hold);
    draft.done()
}

/// A person, or the hold's own expiry, ends the hold. The next look says how the service is.
#[must_use]
pub fn release(case: Case<'_>, watch: &Watch, by: &str) -> Decision {
    let mut draft = Draft::new(case, watch);
    draft.next.hold = None;
    draft.next.unreachable_streak = 0;
    draft.become_(Status::Unknown, &format!("released by {by}; not looked at since"));
    draft.record(by.to_owned(), "release", None, "hold ended");
    draft.done()
}

/// A person closes the breaker: recovery begins anew with the next bad look. Whatever a rollout left for a person to
/// mend counts as mended.
#[must_use]
pub fn reset_breaker(case: Case<'_>, watch: &Watch, by: &str) -> Decision {
    let mut draft = Draft::new(case, watch);
    draft.close_attempt();
    draft.next.needs_human = None;
    if watch.update.as_ref().is_some_and(|updating| updating.stray) {
        draft.next.update = None;
        draft.effects.push(Effect::Found(watch.service.clone()));
        draft.become_(Status::Unknown, &format!("taken over by {by}; not looked at since"));
    }
    draft.next.breaker = Breaker::default();
    draft.next.recent_restarts = 0;
    // A restart that is given up leaves nobody to judge the service but the next look.
    if watch.status == Status::CircuitOpen || watch.attempt.is_some() {
        draft.become_(
            Status::Unhealthy,
            &format!("breaker reset by {by}; recovery begins anew with the next bad look"),
        );
        draft.publish("breaker reset");
    }
    draft.record(by.to_owned(), "breaker reset", None, "asked for by a person");
    draft.done()
}
