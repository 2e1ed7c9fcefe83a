//! The decisions as facts: a script of what happened, and what was decided.

use std::time::Duration;

use crate::breaker::Breaker;
use crate::decision::{Decision, Effect, LiveStatus};
use crate::hold::Hold;
use crate::moment::Moment;
use crate::notice::{Notice, NoticeKind};
use crate::policy::{FirstAttempt, Policy};
use crate::settings::{Mode, Settings};
use crate::sight::{
    DownKind, Fault, GuardParts, Look, NotLooked, ProcessId, RestartOutcome, Sight, UnreachableKind,
};
use crate::spec::ServiceSpec;
use crate::watch::{AskedBy, Attempt, Status, Watch};

use super::{
    Before, Case, after_attempt, ask_restart, before_attempt, hold, on_sight, release, reset_breaker,
};

/// The first action of a service made at the story's first second: numbers begin there.
const FIRST_ACTION: u64 = 1_767_312_000 + 1;

/// A service, its watch and the time, driven by hand.
struct Story {
    settings: Settings,
    spec: ServiceSpec,
    watch: Watch,
    now: Moment,
}

impl Story {
    fn new() -> Self {
        let spec: ServiceSpec = serde_json::from_str(
            r#"{"id":"vps-001","address":"203.0.113.7","user":"deploy","key":"file:k","host_key":"ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAI",
                "check":{"systemd":"rachel8"},"restart":{"systemd":"rachel8"},"owner":"ada@example.com"}"#,
        )
        .unwrap();
        let now = Moment::from_millis(1_767_312_000_000);
        let settings = Settings { admins: vec!["ops@example.com".parse().unwrap()], ..Settings::default() };
        let watch = Watch::new(spec.id.clone(), now);
        Self { settings, spec, watch, now }
    }

    /// A service that was seen up a minute ago.
    fn healthy() -> Self {
        let mut story = Self::new();
        story.sweep(Sight::Up);
        story.wait(60);
        story
    }

    fn with(mut self, change: impl FnOnce(&mut Policy)) -> Self {
        change(&mut self.spec.policy);
        self
    }

    fn wait(&mut self, seconds: u64) {
        self.now = self.now + Duration::from_secs(seconds);
    }

    fn case(&self) -> Case<'_> {
        Case {
            settings: &self.settings,
            spec: &self.spec,
            tick: self.now.tick(self.settings.every),
            now: self.now,
        }
    }

    fn look(&self, sight: Sight) -> Look {
        Look {
            sight,
            at: self.now,
            took: Duration::from_millis(20),
            process: ProcessId::try_from("run-1".to_owned()).ok(),
            evidence: Some("fatal: no database".to_owned()),
        }
    }

    fn take(&mut self, decision: Decision) -> Vec<Effect> {
        assert_eq!(decision.next.version, self.watch.version + 1, "each decision is one version");
        assert!(decision.next.action_no >= self.watch.action_no, "action numbers never fall");
        assert!(
            !decision.because().is_empty() && !decision.because().ends_with('.'),
            "`{}`",
            decision.because()
        );
        self.watch = decision.next;
        decision.effects
    }

    /// A sweep's look: its effects, empty if nothing changed.
    fn sweep(&mut self, sight: Sight) -> Vec<Effect> {
        match on_sight(self.case(), &self.watch, &self.look(sight)) {
            Some(decision) => self.take(decision),
            None => Vec::new(),
        }
    }

    fn attempt(&self) -> Attempt {
        self.watch.attempt.clone().expect("an attempt is open")
    }

    /// `recover` when the attempt is due: looks, restarts with this outcome, and looks again.
    fn restart(&mut self, outcome: RestartOutcome, after: Sight) -> Vec<Effect> {
        let attempt = self.attempt();
        self.now = self.now.max(attempt.not_before);
        let before = before_attempt(self.case(), &self.watch, &attempt, &self.look(down()));
        assert!(
            matches!(before, Before::Act { action_no, .. } if action_no == attempt.action_no),
            "{before:?}"
        );
        self.wait(7);
        let decision = after_attempt(self.case(), &self.watch, &attempt, &outcome, &self.look(after))
            .expect("it is judged");
        self.take(decision)
    }
}

fn down() -> Sight {
    Sight::Down(Fault::new(DownKind::NotActive, "failed"))
}

fn unreachable() -> Sight {
    Sight::Unreachable(Fault::new(UnreachableKind::TimedOut, ""))
}

fn made() -> RestartOutcome {
    RestartOutcome::Done(GuardParts::ALL)
}

fn told(effects: &[Effect]) -> Vec<NoticeKind> {
    notices(effects).iter().map(|notice| notice.kind).collect()
}

fn notices(effects: &[Effect]) -> Vec<&Notice> {
    effects
        .iter()
        .filter_map(|effect| if let Effect::Tell(notice) = effect { Some(notice) } else { None })
        .collect()
}

fn published(effects: &[Effect]) -> Vec<LiveStatus> {
    let publish =
        |effect: &Effect| if let Effect::Publish(event) = effect { Some(event.status) } else { None };
    effects.iter().filter_map(publish).collect()
}

fn opens_step(effects: &[Effect]) -> bool {
    effects.iter().any(|effect| matches!(effect, Effect::OpenStep(_)))
}

#[test]
fn unknown_to_healthy_is_silent() {
    let mut story = Story::new();
    let effects = story.sweep(Sight::Up);
    assert_eq!((story.watch.status, effects), (Status::Healthy, Vec::new()));
}

#[test]
fn a_healthy_service_that_stays_up_writes_nothing() {
    let mut story = Story::healthy();
    let before = story.watch.clone();
    for _ in 0..100 {
        assert!(story.sweep(Sight::Up).is_empty());
        story.wait(60);
    }
    assert_eq!(story.watch, before);
}

#[test]
fn down_is_told_and_restarted_at_once_and_recovery_is_told() {
    let mut story = Story::healthy();
    let effects = story.sweep(down());
    assert_eq!(story.watch.status, Status::Restarting);
    assert_eq!(story.watch.because, "down: unit is not active (failed); restart at once, attempt 1 of 3");
    assert_eq!(told(&effects), [NoticeKind::Down]);
    assert_eq!(published(&effects), [LiveStatus::Restarting]);
    assert!(opens_step(&effects));
    assert_eq!(story.attempt().not_before, story.now);
    let audited = effects
        .iter()
        .any(|effect| matches!(effect, Effect::Record(entry) if entry.action_no == Some(FIRST_ACTION)));
    assert!(audited, "the command stands in the audit trail before it is sent");

    let effects = story.restart(made(), Sight::Up);
    assert_eq!(story.watch.status, Status::Healthy);
    assert_eq!(told(&effects), [NoticeKind::Recovered]);
    assert_eq!(story.watch.breaker, Breaker::Closed { consecutive_failures: 0 });
    assert_eq!(story.watch.totals.failures, 1);
    assert_eq!(story.watch.totals.recoveries, 1);
    assert_eq!(story.watch.recent_restarts, 1, "only healthy time forgives it");
}

#[test]
fn down_and_recovered_share_one_thread() {
    let mut story = Story::healthy();
    let first = story.sweep(down());
    let second = story.restart(made(), Sight::Up);
    let (down, up) = (notices(&first)[0], notices(&second)[0]);
    assert_eq!(down.thread, up.thread);
    assert_ne!(down.id, up.id);
    assert_eq!(down.to, ["ada@example.com".parse().unwrap()]);
    assert_eq!(up.tried, ["restart 1: made"]);
    assert_eq!(up.incident_since, Some(down.at));
}

#[test]
fn three_failed_restarts_open_the_breaker_and_tell_the_admins_once() {
    let mut story = Story::healthy();
    story.sweep(down());
    let mut waits = Vec::new();
    for attempt in 1..=2 {
        let effects = story.restart(made(), down());
        assert_eq!(told(&effects), [], "the owner knows");
        assert_eq!(published(&effects), [LiveStatus::RestartFailed, LiveStatus::Restarting]);
        assert_eq!(story.watch.breaker.consecutive_failures(), attempt);
        waits.push(story.now.until(story.attempt().not_before).as_secs());
    }
    assert_eq!(waits, [5, 10]);
    let effects = story.restart(RestartOutcome::Failed("sudo refused".to_owned()), down());
    assert_eq!(story.watch.status, Status::CircuitOpen);
    assert_eq!(told(&effects), [NoticeKind::BreakerOpen]);
    let letter = notices(&effects)[0];
    assert_eq!(letter.to, ["ops@example.com".parse().unwrap()]);
    assert_eq!(letter.tried.len(), 3);
    assert!(letter.because.contains("sudo refused"), "what a person can mend: {}", letter.because);
    assert_eq!(letter.evidence.as_deref(), Some("fatal: no database"));
    assert!(story.watch.attempt.is_none());
    assert!(effects.contains(&Effect::CloseStep(story.spec.id.clone())));
}

fn open_breaker() -> Story {
    let mut story = Story::healthy();
    story.sweep(down());
    for _ in 0..3 {
        story.restart(made(), down());
    }
    assert_eq!(story.watch.breaker.name(), "open");
    story
}

#[test]
fn an_open_breaker_refuses_restarts_until_its_cooldown_is_over() {
    let mut story = open_breaker();
    for _ in 0..29 {
        story.wait(60);
        assert!(story.sweep(down()).is_empty());
        assert!(story.sweep(unreachable()).is_empty());
    }
    story.wait(120);
    let effects = story.sweep(down());
    assert_eq!(story.watch.breaker.name(), "half_open");
    assert_eq!(story.watch.status, Status::CircuitOpen, "half-open shows as circuit_open");
    assert_eq!(story.attempt().asked_by, AskedBy::Trial);
    assert_eq!(told(&effects), []);
}

fn half_open() -> Story {
    let mut story = open_breaker();
    story.wait(31 * 60);
    story.sweep(down());
    story
}

#[test]
fn half_open_looks_first_and_closes_without_a_restart() {
    let mut story = half_open();
    let attempt = story.attempt();
    let Before::Settled(decision) =
        before_attempt(story.case(), &story.watch, &attempt, &story.look(Sight::Up))
    else {
        panic!("a service that is up is not restarted");
    };
    let effects = story.take(*decision);
    assert_eq!((story.watch.status, story.watch.breaker.name()), (Status::Healthy, "closed"));
    assert_eq!(told(&effects), [NoticeKind::Recovered]);
}

#[test]
fn a_trial_that_helps_closes_the_breaker() {
    let mut story = half_open();
    let effects = story.restart(made(), Sight::Up);
    assert_eq!((story.watch.status, story.watch.breaker.name()), (Status::Healthy, "closed"));
    assert_eq!(told(&effects), [NoticeKind::Recovered]);
}

#[test]
fn a_trial_that_fails_opens_it_anew_and_tells_nobody_again() {
    let mut story = half_open();
    let effects = story.restart(made(), down());
    assert_eq!(told(&effects), []);
    let Breaker::Open { opened_at, until, consecutive_failures } = story.watch.breaker.clone() else {
        panic!("open")
    };
    assert_eq!((opened_at, consecutive_failures), (story.now, 4));
    assert_eq!(opened_at.until(until).as_secs(), 30 * 60, "the cooldown starts anew");
    assert!(story.watch.attempt.is_none(), "exactly one restart");
}

#[test]
fn a_trial_that_cannot_be_judged_is_spent() {
    let mut story = half_open();
    story.restart(made(), unreachable());
    assert_eq!(story.watch.breaker.name(), "open");
    assert_eq!(story.watch.breaker.consecutive_failures(), 3, "unreachable never counts for the breaker");
    assert_eq!(story.watch.status, Status::CircuitOpen);
    story.wait(60);
    assert!(!opens_step(&story.sweep(down())), "no second restart before another cooldown");
}

#[test]
fn a_trial_whose_host_is_away_is_not_spent() {
    let mut story = half_open();
    let attempt = story.attempt();
    let Before::Settled(decision) =
        before_attempt(story.case(), &story.watch, &attempt, &story.look(unreachable()))
    else {
        panic!("settled")
    };
    story.take(*decision);
    assert_eq!((story.watch.status, story.watch.breaker.name()), (Status::CircuitOpen, "half_open"));
    story.wait(60);
    assert!(opens_step(&story.sweep(down())));
}

#[test]
fn a_success_newer_than_the_opening_closes_it_at_once_and_an_older_one_closes_nothing() {
    let mut story = open_breaker();
    let opened_at = story.watch.breaker.opened_at().unwrap();
    for (millis, closes) in [(-1, false), (0, false), (1, true)] {
        let look = Look { at: Moment::from_millis(opened_at.as_millis() + millis), ..story.look(Sight::Up) };
        assert_eq!(on_sight(story.case(), &story.watch, &look).is_some(), closes, "{millis} ms after");
    }
    story.wait(60);
    let effects = story.sweep(Sight::Up);
    assert_eq!((story.watch.status, story.watch.breaker.name()), (Status::Healthy, "closed"));
    assert_eq!(told(&effects), [NoticeKind::Recovered]);
}

#[test]
fn unreachable_never_restarts_and_the_third_time_is_told() {
    let mut story = Story::healthy();
    let mut seen = Vec::new();
    for _ in 0..5 {
        let effects = story.sweep(unreachable());
        assert!(!opens_step(&effects));
        seen.push((story.watch.status, told(&effects)));
        story.wait(60);
    }
    assert_eq!(
        seen,
        [
            (Status::Unhealthy, vec![]),
            (Status::Unhealthy, vec![]),
            (Status::Down, vec![NoticeKind::Down]),
            (Status::Down, vec![]),
            (Status::Down, vec![]),
        ]
    );
    assert_eq!(story.watch.breaker.consecutive_failures(), 0);
    let version = story.watch.version;
    story.sweep(unreachable());
    assert_eq!(story.watch.version, version, "known trouble is not written each minute");
    assert_eq!(told(&story.sweep(Sight::Up)), [NoticeKind::Recovered]);
}

#[test]
fn unreachable_once_or_twice_is_nobodys_business() {
    let mut story = Story::healthy();
    story.sweep(unreachable());
    story.sweep(unreachable());
    let effects = story.sweep(Sight::Up);
    assert_eq!(told(&effects), []);
    assert_eq!(published(&effects), [LiveStatus::Healthy]);
    story.sweep(unreachable());
    story.sweep(unreachable());
    assert_eq!(story.watch.status, Status::Unhealthy, "three in a row, not three in all");
}

#[test]
fn unknown_is_neither_good_nor_bad() {
    for why in NotLooked::ALL {
        let mut story = open_breaker();
        let before = story.watch.clone();
        let effects = story.sweep(Sight::Unknown(*why));
        assert_eq!(effects, []);
        assert_eq!(story.watch.status, before.status);
        assert_eq!(story.watch.breaker, before.breaker);
        assert_eq!(story.watch.incident, before.incident);
        let missed = u64::from(matches!(why, NotLooked::OutOfTime | NotLooked::OurFault));
        assert_eq!(story.watch.totals.missed, missed, "{why:?}");
    }
}

#[test]
fn a_service_that_dies_each_minute_is_not_restarted_for_ever() {
    let mut story = Story::healthy();
    let mut restarts = 0;
    let mut waits = Vec::new();
    while story.watch.breaker.opened_at().is_none() {
        let effects = story.sweep(down());
        if opens_step(&effects) {
            waits.push(story.now.until(story.attempt().not_before).as_secs());
            restarts += 1;
            story.restart(made(), Sight::Up);
        }
        story.wait(60);
        assert!(restarts < 20, "the breaker must open");
    }
    assert_eq!(restarts, 6);
    assert_eq!(waits, [0, 5, 10, 20, 40, 80]);
    assert!(story.watch.because.starts_with("flapping: 6 restarts"), "{}", story.watch.because);
}

#[test]
fn ten_healthy_minutes_forgive_recent_restarts() {
    let mut story = Story::healthy();
    story.sweep(down());
    story.restart(made(), Sight::Up);
    for minute in 1..=10 {
        story.wait(60);
        story.sweep(Sight::Up);
        assert_eq!(story.watch.recent_restarts, u32::from(minute < 10), "minute {minute}");
    }
}

#[test]
fn the_first_restart_may_be_quiet_but_the_second_is_not() {
    let mut story = Story::healthy().with(|policy| policy.quiet_first_restart = true);
    assert_eq!(told(&story.sweep(down())), []);
    assert_eq!(told(&story.restart(made(), Sight::Up)), []);
    story.wait(700);
    story.sweep(Sight::Up);
    assert_eq!(told(&story.sweep(down())), []);
    assert_eq!(told(&story.restart(made(), down())), [NoticeKind::Down]);
    assert_eq!(told(&story.restart(made(), Sight::Up)), [NoticeKind::Recovered]);
}

#[test]
fn the_first_attempt_may_wait_out_one_backoff() {
    let mut story = Story::healthy().with(|policy| policy.first_attempt = FirstAttempt::AfterBackoff);
    story.sweep(down());
    assert_eq!(story.now.until(story.attempt().not_before).as_secs(), 5);
    assert!(story.watch.because.contains("restart after 5 s"), "{}", story.watch.because);
}

#[test]
fn never_means_told_and_left_alone() {
    let mut story = Story::healthy();
    story.spec.restart = crate::spec::Restart::Never;
    let effects = story.sweep(down());
    assert_eq!((story.watch.status, told(&effects)), (Status::Down, vec![NoticeKind::Down]));
    assert!(!opens_step(&effects));
    story.wait(60);
    assert!(story.sweep(down()).is_empty());
    assert!(
        ask_restart(story.case(), &story.watch, "ada")
            .unwrap_err()
            .to_string()
            .contains("change its spec first")
    );
}

#[test]
fn an_observing_env_tells_and_never_acts() {
    let mut story = Story::healthy();
    story.settings.mode = Mode::Observe;
    let effects = story.sweep(down());
    assert_eq!((story.watch.status, told(&effects)), (Status::Unhealthy, vec![NoticeKind::Down]));
    assert!(!opens_step(&effects));
    story.settings.mode = Mode::Act;
    let effects = story.sweep(down());
    assert!(opens_step(&effects), "an env that acts again takes it up");
    assert_eq!(told(&effects), [], "the owner knows");
}

#[test]
fn an_attempt_is_given_up_when_it_is_no_longer_allowed() {
    type Change = fn(&mut Story);
    let changes: [(Change, &str); 3] = [
        (|story| story.settings.mode = Mode::Observe, "only observes"),
        (|story| story.spec.lifecycle = crate::spec::Lifecycle::Suspended, "no longer `ready`"),
        (|story| story.spec.restart = crate::spec::Restart::Never, "\"never\""),
    ];
    for (change, words) in changes {
        let mut story = Story::healthy();
        story.sweep(down());
        let attempt = story.attempt();
        change(&mut story);
        let Before::Settled(decision) =
            before_attempt(story.case(), &story.watch, &attempt, &story.look(down()))
        else {
            panic!("{words}")
        };
        story.take(*decision);
        assert!(story.watch.because.contains(words), "{}", story.watch.because);
        assert!(story.watch.attempt.is_none());
        assert_eq!(story.watch.status, Status::Unhealthy);
    }
}

#[test]
fn what_came_of_a_restart() {
    let lost = || RestartOutcome::Lost(Fault::new(UnreachableKind::Dropped, ""));
    let table: Vec<(RestartOutcome, Sight, Status, u32, u32)> = vec![
        // outcome, what is seen after it, status, failures counted, restarts counted
        (made(), Sight::Up, Status::Healthy, 0, 1),
        (made(), down(), Status::Restarting, 1, 1),
        (made(), unreachable(), Status::Unhealthy, 0, 1),
        (RestartOutcome::AlreadyDone, Sight::Up, Status::Healthy, 0, 1),
        (RestartOutcome::AlreadyDone, down(), Status::Restarting, 1, 1),
        (RestartOutcome::ProcessChanged, Sight::Up, Status::Healthy, 0, 1),
        (RestartOutcome::ProcessChanged, down(), Status::Restarting, 1, 1),
        (RestartOutcome::Failed("exit 1".to_owned()), Sight::Up, Status::Healthy, 0, 1),
        (RestartOutcome::Failed("exit 1".to_owned()), down(), Status::Restarting, 1, 1),
        (lost(), Sight::Up, Status::Healthy, 0, 1),
        (lost(), down(), Status::Restarting, 1, 1),
        (lost(), unreachable(), Status::Unhealthy, 0, 1),
        (
            RestartOutcome::NotSent(Fault::new(UnreachableKind::Auth, "")),
            Sight::Unknown(NotLooked::OurFault),
            Status::Unhealthy,
            0,
            0,
        ),
    ];
    for (outcome, after, status, failures, restarts) in table {
        let mut story = Story::healthy();
        story.sweep(down());
        let what = format!("{outcome:?}, then {after}");
        story.restart(outcome, after);
        assert_eq!(story.watch.status, status, "{what}");
        assert_eq!(story.watch.breaker.consecutive_failures(), failures, "{what}");
        assert_eq!(story.watch.recent_restarts, restarts, "{what}");
    }
}

#[test]
fn a_busy_host_and_a_look_without_verdict_leave_the_attempt_open() {
    let mut story = Story::healthy();
    story.sweep(down());
    let attempt = story.attempt();
    let starting = story.look(Sight::Unknown(NotLooked::Starting));
    assert_eq!(
        after_attempt(story.case(), &story.watch, &attempt, &RestartOutcome::Busy, &story.look(down())),
        None
    );
    assert_eq!(after_attempt(story.case(), &story.watch, &attempt, &made(), &starting), None);
    assert_eq!(before_attempt(story.case(), &story.watch, &attempt, &starting), Before::Wait);
}

#[test]
fn a_host_that_has_seen_more_is_believed() {
    let mut story = Story::healthy();
    story.sweep(down());
    let attempt = story.attempt();
    let outcome = RestartOutcome::Overtaken { seen: FIRST_ACTION + 41 };
    let decision =
        after_attempt(story.case(), &story.watch, &attempt, &outcome, &story.look(down())).unwrap();
    story.take(decision);
    assert_eq!(story.attempt().action_no, FIRST_ACTION + 42);
    assert_eq!(story.watch.breaker.consecutive_failures(), 0);
}

#[test]
fn a_late_success_does_not_settle_an_attempt_of_a_newer_opening() {
    let story = half_open();
    let attempt = story.attempt();
    let stale = Look { at: story.watch.breaker.opened_at().unwrap(), ..story.look(Sight::Up) };
    assert_eq!(before_attempt(story.case(), &story.watch, &attempt, &stale), Before::Wait);
}

#[test]
fn a_person_may_restart_what_is_up() {
    let mut story = Story::healthy();
    let decision = ask_restart(story.case(), &story.watch, "ada").unwrap();
    let effects = story.take(decision);
    assert!(opens_step(&effects));
    assert_eq!(story.watch.status, Status::Restarting);
    let attempt = story.attempt();
    assert!(matches!(
        before_attempt(story.case(), &story.watch, &attempt, &story.look(Sight::Up)),
        Before::Act { .. }
    ));
    let again = ask_restart(story.case(), &story.watch, "bob").unwrap_err();
    assert!(again.to_string().contains(&format!("already under way (action {FIRST_ACTION})")), "{again}");
    let effects = story.restart(made(), Sight::Up);
    assert_eq!(told(&effects), [], "nothing was wrong");
    assert_eq!(story.watch.recent_restarts, 0, "a person's restart is no sign of flapping");
}

#[test]
fn a_persons_restart_that_breaks_the_service_begins_recovery() {
    let mut story = Story::healthy();
    let decision = ask_restart(story.case(), &story.watch, "ada").unwrap();
    story.take(decision);
    let effects = story.restart(made(), down());
    assert_eq!(told(&effects), [NoticeKind::Down]);
    assert_eq!(story.watch.breaker.consecutive_failures(), 1);
    assert_eq!(story.attempt().asked_by, AskedBy::Recovery);
}

#[test]
fn a_hold_closes_the_attempt_and_automation_never_undoes_it() {
    let mut story = Story::healthy();
    story.sweep(down());
    let until = Some(story.now + Duration::from_secs(600));
    let hold_ = Hold { by: "ada".to_owned(), reason: "disk swap".to_owned(), since: story.now, until };
    let decision = hold(story.case(), &story.watch, hold_);
    let effects = story.take(decision);
    assert!(effects.contains(&Effect::CloseStep(story.spec.id.clone())));
    assert_eq!(story.watch.status, Status::Held);
    assert!(story.watch.because.contains("ada") && story.watch.because.contains("disk swap"));
    assert_eq!(story.sweep(Sight::Up), [], "a late look changes nothing");
    assert!(
        ask_restart(story.case(), &story.watch, "bob").unwrap_err().to_string().contains("release it first")
    );

    let decision = release(story.case(), &story.watch, "ada");
    story.take(decision);
    assert_eq!(story.watch.status, Status::Unknown);
    assert_eq!(told(&story.sweep(Sight::Up)), [NoticeKind::Recovered], "the owner was told that it was down");
}

#[test]
fn a_reset_breaker_begins_anew() {
    let mut story = open_breaker();
    let decision = reset_breaker(story.case(), &story.watch, "ada");
    story.take(decision);
    assert_eq!((story.watch.status, story.watch.breaker.name()), (Status::Unhealthy, "closed"));
    let effects = story.sweep(down());
    assert!(opens_step(&effects));
    assert_eq!(told(&effects), [], "the owner knows");
}

#[test]
fn a_reset_that_gives_up_a_restart_leaves_the_service_to_the_next_look() {
    let mut story = Story::healthy();
    story.sweep(down());
    let decision = reset_breaker(story.case(), &story.watch, "ada");
    story.take(decision);
    assert_eq!((story.watch.status, &story.watch.attempt), (Status::Unhealthy, &None));
    story.sweep(Sight::Up);
    assert_eq!(story.watch.status, Status::Healthy);
}

#[test]
fn a_watch_stays_within_one_write_unit() {
    let mut story = half_open();
    story.restart(
        RestartOutcome::Failed("x".repeat(500)),
        Sight::Down(Fault::new(DownKind::CommandFailed, &"y".repeat(500))),
    );
    story.watch.totals.missed = u64::MAX;
    let bytes = serde_json::to_string(&story.watch).unwrap().len();
    assert!(bytes < 1_400, "{bytes} bytes of JSON; the table's form is about a quarter smaller");
}
