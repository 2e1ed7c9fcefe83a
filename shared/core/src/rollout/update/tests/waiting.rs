//! Hosts that vanish, are busy, or have seen more than we know of.

use super::*;

#[test]
fn a_host_that_vanishes_is_asked_until_the_lease_ends_and_then_its_service_is_a_stray() {
    let mut stand = Stand::new();
    stand.begin();
    let until = stand.updating().until;
    let before = Moment::from_millis(until.as_millis() - 1);
    assert_eq!(after_step(stand.scene(before), &stand.watch, &stand.updating(), &away(), None), Next::Again);
    let Next::Commit(next) = after_step(stand.scene(until), &stand.watch, &stand.updating(), &away(), None)
    else {
        panic!("it is given up")
    };
    let next = stand.take(*next);
    assert!(next.service.unwrap().effects.contains(&Effect::Stray(stand.row.service.clone())));
    assert_eq!((stand.story().as_str(), stand.row.status), ("stray Unknown", RowStatus::Failed));
    assert_eq!(stand.head.status(), "halted");
    assert_eq!(stand.watch.versions.status, Some(RowStatus::Failed), "nobody knows what is there");

    // The host answers: back to what was there, without a word to the head.
    let scene = Scene { head: None, ..stand.scene(until + Duration::from_secs(60)) };
    let found = find(scene, &stand.watch, &stand.updating(), run("run-7")).unwrap();
    assert_eq!(found.head, HeadPart::Leave);
    stand.watch = found.service.unwrap().next;
    for _ in 0..2 {
        let next = after_step(
            Scene { head: None, ..stand.scene(until + Duration::from_secs(61)) },
            &stand.watch,
            &stand.updating(),
            &done("run-7"),
            None,
        );
        let Next::Commit(next) = next else { panic!("the next step follows") };
        stand.take(*next);
    }
    let seen = Settled { look: look(Sight::Up), standing: standing(OLD, "run-8"), started: run("run-8") };
    let scene = Scene { head: None, ..stand.scene(until + Duration::from_secs(70)) };
    let Next::Commit(back) = after_settle(scene, &stand.watch, &stand.updating(), &seen) else {
        panic!("it is back")
    };
    let back = stand.take(*back);
    assert!(back.service.unwrap().effects.contains(&Effect::Found(stand.row.service.clone())));
    assert_eq!((stand.story().as_str(), &stand.watch.needs_human), ("rolled_back healthy", &None));
}

#[test]
fn a_step_that_never_comes_to_an_end_is_given_up() {
    let mut stand = Stand::new();
    stand.begin();
    for again in 1..=MAX_AGAIN {
        stand.follow(&StepOutcome::Interrupted);
        assert_eq!((stand.story().as_str(), stand.updating().again), ("Forward check out", again));
    }
    stand.follow(&StepOutcome::Interrupted);
    assert_eq!(stand.story(), "Back check out");
    for _ in 0..=MAX_AGAIN {
        stand.follow(&StepOutcome::Interrupted);
    }
    assert_eq!(stand.story(), "failed circuit_open", "and the way back ends, too");
}

#[test]
fn a_host_with_another_command_under_way_is_waited_for_with_the_same_number() {
    let mut stand = Stand::new();
    stand.begin();
    for again in 1..=MAX_AGAIN {
        let (number, until) = (stand.updating().action_no, stand.updating().until);
        let Next::Commit(next) =
            after_step(stand.scene(until), &stand.watch, &stand.updating(), &StepOutcome::Busy, None)
        else {
            panic!("the lease is renewed")
        };
        stand.take(*next);
        assert_eq!((stand.updating().action_no, stand.updating().again), (number, again));
        assert!(stand.updating().until > until);
    }
    let until = stand.updating().until;
    let Next::Commit(next) =
        after_step(stand.scene(until), &stand.watch, &stand.updating(), &StepOutcome::Busy, None)
    else {
        panic!("not for ever")
    };
    stand.take(*next);
    assert_eq!(stand.story(), "stray Unknown");
}

#[test]
fn an_overtaken_step_is_intended_above_what_the_host_has_seen() {
    let mut stand = Stand::new();
    stand.begin();
    stand.follow(&StepOutcome::Overtaken { seen: 4_711 });
    assert_eq!((stand.updating().action_no, stand.watch.action_no), (4_712, 4_712));
}
