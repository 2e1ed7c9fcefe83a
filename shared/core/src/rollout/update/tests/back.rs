//! The way back: after a failure, at a person's word, and what it touches.

use super::*;

#[test]
fn a_failed_roll_back_flags_the_service_opens_its_breaker_and_halts() {
    let mut stand = Stand::new();
    stand.begin();
    stand.follow(&StepOutcome::Failed("no space".to_owned()));
    let Next::Commit(next) = stand.follow(&StepOutcome::Failed("no space either".to_owned())) else {
        panic!("it failed")
    };
    assert_eq!(stand.story(), "failed circuit_open");
    assert!(matches!(stand.watch.breaker, Breaker::Open { .. }));
    assert!(stand.watch.needs_human.as_deref().unwrap().contains("no space either"));
    assert_eq!((stand.head.status(), told(&next)), ("halted", vec![NoticeKind::BreakerOpen]));
    assert_eq!(stand.row.current, None, "nobody knows what it runs");
}

#[test]
fn an_abort_turns_a_service_back_before_its_next_change() {
    let mut stand = Stand::new();
    stand.begin();
    stand.head = course::on(&stand.head, Event::Aborted { by: "bob", undo: false }, at(2)).unwrap();
    let obeyed = obey(stand.scene(at(2)), &stand.watch, &stand.updating()).unwrap();
    stand.take(obeyed);
    assert_eq!((stand.story().as_str(), stand.updating().action_no), ("Back check out", 102));
    assert!(obey(stand.scene(at(2)), &stand.watch, &stand.updating()).is_none(), "it is on its way back");
}

#[test]
fn taking_back_touches_only_what_this_rollout_brought() {
    let arrived = || {
        let mut stand = Stand::new();
        stand.begin();
        stand.follow(&done("run-1"));
        stand.follow(&done("run-1"));
        stand.settle(Sight::Up, NEW, "run-2", "run-2");
        stand
    };
    let mut sick = arrived();
    let back = take_back(sick.scene(at(40)), &sick.watch, "down in its soak", Some(&look(down()))).unwrap();
    assert_eq!(told(&back), [NoticeKind::Down]);
    sick.take(back);
    assert_eq!((sick.story().as_str(), sick.head.stages[0].succeeded), ("Back check out", 0));
    assert!(take_back(sick.scene(at(41)), &sick.watch, "again", None).is_none(), "once is enough");

    type Change = fn(&mut Stand);
    let others: [(&str, Change); 3] = [
        ("it never arrived", |stand| stand.row.status = RowStatus::RolledBack),
        ("it was there before", |stand| stand.row.previous = None),
        ("another version is there", |stand| stand.watch.versions.current = Some(OLD.parse().unwrap())),
    ];
    for (name, change) in others {
        let mut stand = arrived();
        change(&mut stand);
        assert!(take_back(stand.scene(at(40)), &stand.watch, "sick", None).is_none(), "{name}");
    }
}

#[test]
fn a_restart_of_recovery_is_void_once_the_rollout_takes_the_service_back() {
    let mut stand = Stand::new();
    stand.begin();
    stand.follow(&done("run-1"));
    stand.follow(&done("run-1"));
    stand.settle(Sight::Up, NEW, "run-2", "run-2");
    let case = Case { settings: &stand.settings, spec: &stand.spec, tick: 8, now: at(20) };
    let swept = crate::recovery::on_sight(case, &stand.watch, &look(down())).expect("the sweep sees it down");
    stand.watch = swept.next;
    assert!(stand.watch.attempt.is_some());
    let back = take_back(stand.scene(at(40)), &stand.watch, "down in its soak", Some(&look(down()))).unwrap();
    assert!(back.service.as_ref().unwrap().effects.contains(&Effect::CloseStep(stand.row.service.clone())));
    stand.take(back);
    assert_eq!(stand.watch.attempt, None);
}

#[test]
fn while_a_rollout_has_a_service_recovery_decides_nothing_and_later_never_a_restart() {
    let mut stand = Stand::new();
    stand.begin();
    let sights = || {
        [
            Sight::Up,
            down(),
            Sight::Unreachable(Fault::new(UnreachableKind::Connect, "")),
            Sight::Unknown(crate::sight::NotLooked::Starting),
        ]
    };
    let until = stand.updating().until;
    for sight in sights() {
        let case = Case {
            settings: &stand.settings,
            spec: &stand.spec,
            tick: 8,
            now: Moment::from_millis(until.as_millis() - 1),
        };
        assert_eq!(crate::recovery::on_sight(case, &stand.watch, &look(sight)), None);
    }
    for sight in sights() {
        let case = Case { settings: &stand.settings, spec: &stand.spec, tick: 9, now: until };
        let Some(decision) = crate::recovery::on_sight(case, &stand.watch, &look(sight.clone())) else {
            continue;
        };
        assert_eq!(decision.next.attempt, None, "{sight}");
        assert_eq!(decision.next.update, stand.watch.update, "{sight}: the rollout still knows its step");
        assert_ne!(decision.next.status, Status::Healthy, "{sight}");
    }
}
