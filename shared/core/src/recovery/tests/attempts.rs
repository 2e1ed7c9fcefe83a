//! Attempts: when the first is made, when one is given up, and what comes of them.

use super::*;

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
