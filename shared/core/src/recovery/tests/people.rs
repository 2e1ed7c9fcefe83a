//! What people ask for: restarts, holds, a breaker that begins anew.

use super::*;

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
