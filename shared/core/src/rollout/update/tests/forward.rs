//! The way to the new version: step by step, and when it counts as verified.

use super::*;

#[test]
fn an_update_goes_step_by_step_each_numbered_and_recorded_before_it_is_made() {
    let mut stand = Stand::new();
    let begun = stand.begin();
    assert_eq!(stand.story(), "Forward check out");
    assert_eq!(stand.updating().previous.as_str(), OLD, "recorded before anything is changed");
    assert_eq!(audited(&begun.service.unwrap()), [("check out".to_owned(), Some(101))]);
    assert_eq!(stand.head.under_way, [stand.row.service.clone()]);

    let Next::Commit(next) = stand.follow(&done("run-1")) else { panic!("install follows") };
    assert_eq!(stand.story(), "Forward install");
    assert_eq!(audited(next.service.as_ref().unwrap()), [("install".to_owned(), Some(102))]);
    assert_eq!(next.head, HeadPart::GoesOn { id: "shop-1".parse().unwrap(), steering: 0 });

    stand.follow(&done("run-1"));
    assert_eq!((stand.story().as_str(), stand.updating().action_no), ("Forward restart", 103));
    assert_eq!(stand.follow(&done("run-2")), Next::Settle(run("run-2")));
    let Next::Commit(next) = stand.settle(Sight::Up, NEW, "run-2", "run-2") else {
        panic!("a verdict follows")
    };
    assert_eq!(stand.story(), "success healthy");
    assert_eq!(told(&next), [], "a good update is no news for an owner");
    let versions = &stand.watch.versions;
    assert_eq!(versions.current.as_ref().unwrap().as_str(), NEW);
    assert_eq!(versions.previous.as_ref().unwrap().as_str(), OLD);
    assert_eq!(stand.row.process, run("run-2"));
    assert!(matches!(stand.head.course, Course::Soaking { .. }));
}

/// Way, step and outcome, and what follows: the whole table.
#[test]
fn the_state_table() {
    let outcomes: [(&str, StepOutcome); 9] = [
        ("done", done("run-2")),
        ("failed", StepOutcome::Failed("exit status 1".to_owned())),
        ("untouched", StepOutcome::Untouched("local changes".to_owned())),
        ("interrupted", StepOutcome::Interrupted),
        ("overtaken", StepOutcome::Overtaken { seen: 900 }),
        ("busy", StepOutcome::Busy),
        ("changed", StepOutcome::ProcessChanged { process: run("run-9") }),
        ("not sent", away()),
        ("lost", StepOutcome::Lost(Fault::new(UnreachableKind::Dropped, ""))),
    ];
    let mut table = String::new();
    for way in [Way::Forward, Way::Back] {
        let all = r#"{ "dir": "/srv/shop", "install": "i", "before": "b", "after": "a", "rollback": "r" }"#;
        for step in Stand::updated_by(all).spec.update.as_ref().unwrap().steps(way) {
            for (name, outcome) in &outcomes {
                let mut stand = Stand::updated_by(all);
                stand.begin();
                let update = stand.watch.update.as_mut().unwrap();
                (update.way, update.step) = (way, step);
                let follows = match stand.follow(outcome) {
                    Next::Commit(_) => stand.story(),
                    Next::Settle(_) => "settle".to_owned(),
                    Next::Again => "again".to_owned(),
                };
                let way = format!("{way:?}");
                table.push_str(&format!("{way:<7} {:<9} {name:<11} {follows}\n", step.to_string()));
            }
        }
    }
    let expected = "\
Forward before    done        Forward check out
Forward before    failed      Back rollback
Forward before    untouched   rolled_back healthy
Forward before    interrupted Forward before
Forward before    overtaken   Forward before
Forward before    busy        again
Forward before    changed     Forward before
Forward before    not sent    again
Forward before    lost        again
Forward check out done        Forward install
Forward check out failed      Back rollback
Forward check out untouched   Back rollback
Forward check out interrupted Forward check out
Forward check out overtaken   Forward check out
Forward check out busy        again
Forward check out changed     Forward check out
Forward check out not sent    again
Forward check out lost        again
Forward install   done        Forward restart
Forward install   failed      Back rollback
Forward install   untouched   Back rollback
Forward install   interrupted Forward install
Forward install   overtaken   Forward install
Forward install   busy        again
Forward install   changed     Forward install
Forward install   not sent    again
Forward install   lost        again
Forward restart   done        settle
Forward restart   failed      Back rollback
Forward restart   untouched   Back rollback
Forward restart   interrupted Forward restart
Forward restart   overtaken   Forward restart
Forward restart   busy        again
Forward restart   changed     Forward restart
Forward restart   not sent    again
Forward restart   lost        again
Forward after     done        settle
Forward after     failed      Back rollback
Forward after     untouched   Back rollback
Forward after     interrupted Forward after
Forward after     overtaken   Forward after
Forward after     busy        again
Forward after     changed     Forward after
Forward after     not sent    again
Forward after     lost        again
Back    rollback  done        Back check out
Back    rollback  failed      failed circuit_open
Back    rollback  untouched   failed circuit_open
Back    rollback  interrupted Back rollback
Back    rollback  overtaken   Back rollback
Back    rollback  busy        again
Back    rollback  changed     Back rollback
Back    rollback  not sent    again
Back    rollback  lost        again
Back    check out done        Back install
Back    check out failed      failed circuit_open
Back    check out untouched   failed circuit_open
Back    check out interrupted Back check out
Back    check out overtaken   Back check out
Back    check out busy        again
Back    check out changed     Back check out
Back    check out not sent    again
Back    check out lost        again
Back    install   done        Back restart
Back    install   failed      failed circuit_open
Back    install   untouched   failed circuit_open
Back    install   interrupted Back install
Back    install   overtaken   Back install
Back    install   busy        again
Back    install   changed     Back install
Back    install   not sent    again
Back    install   lost        again
Back    restart   done        settle
Back    restart   failed      failed circuit_open
Back    restart   untouched   failed circuit_open
Back    restart   interrupted Back restart
Back    restart   overtaken   Back restart
Back    restart   busy        again
Back    restart   changed     Back restart
Back    restart   not sent    again
Back    restart   lost        again
";
    assert_eq!(table, expected);
}

/// What is seen after the settle time, and what follows.
#[test]
fn verified_means_a_new_process_on_the_target_that_is_up_and_stays() {
    let starting = || Sight::Unknown(crate::sight::NotLooked::Starting);
    let unreachable = || Sight::Unreachable(Fault::new(UnreachableKind::Connect, ""));
    let table: [(&str, Sight, &str, &str, &str, &str); 7] = [
        ("all is well", Sight::Up, NEW, "run-2", "run-2", "success healthy"),
        ("old process", Sight::Up, NEW, "run-1", "run-1", "Back check out"),
        ("died in between", Sight::Up, NEW, "run-3", "run-2", "Back check out"),
        ("wrong version", Sight::Up, OLD, "run-2", "run-2", "Back check out"),
        ("down", down(), NEW, "run-2", "run-2", "Back check out"),
        ("still starting", starting(), NEW, "run-2", "run-2", "Back check out"),
        ("unreachable", unreachable(), NEW, "run-2", "run-2", "Forward restart"),
    ];
    for (name, sight, version, process, started, story) in table {
        let mut stand = Stand::new();
        stand.begin();
        for outcome in [done("run-1"), done("run-1")] {
            stand.follow(&outcome);
        }
        let _ = stand.settle(sight, version, process, started);
        assert_eq!(stand.story(), story, "{name}");
    }
}

#[test]
fn a_unit_that_systemd_keeps_starting_has_died_and_is_not_starting() {
    let mut stand = Stand::new();
    stand.begin();
    stand.follow(&done("run-1"));
    stand.follow(&done("run-1"));
    stand.settle(Sight::Unknown(crate::sight::NotLooked::Starting), NEW, "run-4", "run-2");
    assert_eq!(stand.updating().back_because.as_deref(), Some("it died again while settling"));
}

#[test]
fn the_owner_hears_of_an_update_only_if_the_service_was_down() {
    let mut stand = Stand::new();
    stand.begin();
    stand.follow(&done("run-1"));
    stand.follow(&done("run-1"));
    let Next::Commit(turned) = stand.settle(down(), NEW, "run-2", "run-2") else { panic!("it goes back") };
    assert_eq!(told(&turned), [NoticeKind::Down]);
    stand.follow(&done("run-2"));
    stand.follow(&done("run-2"));
    assert_eq!(stand.story(), "Back restart");
    let Next::Commit(back) = stand.settle(Sight::Up, OLD, "run-3", "run-3") else { panic!("it is back") };
    assert_eq!((stand.story().as_str(), told(&back)), ("rolled_back healthy", vec![NoticeKind::Recovered]));

    let mut quiet = Stand::new();
    quiet.begin();
    quiet.follow(&StepOutcome::Failed("no space".to_owned()));
    for _ in 0..2 {
        quiet.follow(&done("run-1"));
    }
    let Next::Commit(back) = quiet.settle(Sight::Up, OLD, "run-2", "run-2") else { panic!("it is back") };
    assert_eq!((quiet.story().as_str(), told(&back)), ("rolled_back healthy", vec![]));
    assert_eq!(quiet.row.because, "rolled back to 0000000: check out failed: no space");
}

#[test]
fn what_cannot_be_begun_is_left_as_it_is() {
    type Change = fn(&mut Stand);
    let fit = || standing(OLD, "run-1");
    let obstacle = || {
        Ok(Standing {
            obstacle: Some("local changes in `app.js`".to_owned()),
            ..standing(OLD, "run-1").unwrap()
        })
    };
    let no_checkout = || Err(NoStanding::Nothing("`/srv/shop` is not a git checkout".to_owned()));
    let away = || Err(NoStanding::Unreachable(Fault::new(UnreachableKind::Connect, "refused")));
    type Left = (&'static str, Change, Result<Standing, NoStanding>, RowStatus, &'static str);
    let table: [Left; 7] = [
        (
            "dirty",
            |_| {},
            obstacle(),
            RowStatus::RolledBack,
            "nothing was changed: local changes in `app.js`",
        ),
        (
            "no checkout",
            |_| {},
            no_checkout(),
            RowStatus::RolledBack,
            "nothing was changed: `/srv/shop` is not a git checkout",
        ),
        (
            "away",
            |_| {},
            away(),
            RowStatus::Skipped,
            "its host could not be reached: cannot connect (refused)",
        ),
        (
            "no update",
            |stand| stand.spec.update = None,
            fit(),
            RowStatus::Skipped,
            "its spec has no `update` any more",
        ),
        (
            "new spec",
            |stand| stand.row.spec_version = 0,
            fit(),
            RowStatus::Skipped,
            "its spec changed after the plan was made; `rollout retry` plans with the new one",
        ),
        (
            "there already",
            |stand| stand.watch.versions.current = Some(NEW.parse().unwrap()),
            standing(NEW, "run-1"),
            RowStatus::Success,
            "ran the target already",
        ),
        (
            "sick by now",
            |stand| stand.watch.status = Status::Unhealthy,
            fit(),
            RowStatus::Skipped,
            "unhealthy",
        ),
    ];
    for (name, change, standing, status, because) in table {
        let mut stand = Stand::new();
        change(&mut stand);
        let next = begin(stand.scene(at(1)), &stand.watch, &standing).unwrap();
        assert!(next.service.is_none(), "{name}: its watch is not touched");
        stand.take(next);
        assert_eq!(stand.row.status, status, "{name}");
        assert!(stand.row.because.contains(because), "{name}: {}", stand.row.because);
        assert!(stand.head.under_way.is_empty(), "{name}");
    }
}
