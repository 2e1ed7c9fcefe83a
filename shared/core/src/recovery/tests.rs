//! The decisions as facts: a script of what happened, and what was decided.

mod attempts;
mod breaker;
mod looks;
mod people;

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

fn open_breaker() -> Story {
    let mut story = Story::healthy();
    story.sweep(down());
    for _ in 0..3 {
        story.restart(made(), down());
    }
    assert_eq!(story.watch.breaker.name(), "open");
    story
}

fn half_open() -> Story {
    let mut story = open_breaker();
    story.wait(31 * 60);
    story.sweep(down());
    story
}
