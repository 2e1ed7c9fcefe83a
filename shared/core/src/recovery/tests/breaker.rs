//! The breaker: opened by restarts that do not help, tried again, closed.

use super::*;

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
fn a_late_success_does_not_settle_an_attempt_of_a_newer_opening() {
    let story = half_open();
    let attempt = story.attempt();
    let stale = Look { at: story.watch.breaker.opened_at().unwrap(), ..story.look(Sight::Up) };
    assert_eq!(before_attempt(story.case(), &story.watch, &attempt, &stale), Before::Wait);
}
