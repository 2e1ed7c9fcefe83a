//! What follows from looks: silence, letters, restarts, and none where the host cannot be reached.

use super::*;

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
