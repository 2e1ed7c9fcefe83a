//! The head's state table, row by row, and the rules that halt it, against formulas of their own.

use std::time::Duration;

use super::*;
use crate::notice::{Notice, NoticeKind};
use crate::rollout::AppState;
use crate::rollout::plan::{Plan, Planned, PlannedStage, Skip};
use crate::rollout::{AT_ONCE, Options};
use crate::settings::Settings;

fn at(seconds: u64) -> Moment {
    Moment::from_millis(1_767_312_000_000) + Duration::from_secs(seconds)
}

fn service(number: u32) -> ServiceId {
    format!("vps-{number:03}").parse().unwrap()
}

fn rollout_with(sizes: &[u32], options: Options) -> Rollout {
    let mut number = 0;
    let stages = sizes.iter().enumerate().map(|(stage, size)| PlannedStage {
        percent: [10, 50, 100][stage],
        services: (0..*size)
            .map(|_| {
                number += 1;
                Planned { id: service(number - 1), spec_version: 1 }
            })
            .collect(),
    });
    let plan = Plan {
        hash: "0123".to_owned(),
        app: "shop".parse().unwrap(),
        target: "1".repeat(40).parse().unwrap(),
        branch: None,
        options,
        stages: stages.collect(),
        skipped: vec![Skip { id: "vps-held".parse().unwrap(), because: "held by ada".to_owned() }],
        commands: Vec::new(),
        worst_case_seconds: 0,
        write_units: 0,
        micro_dollars: 0,
    };
    let started = Started { by: "ada".to_owned(), forced: None, retries: None };
    start(&plan, "shop-1".parse().unwrap(), started, at(0)).0
}

fn rollout(sizes: &[u32]) -> Rollout {
    rollout_with(sizes, Options::default())
}

/// Applies events that must all be possible.
fn after(mut rollout: Rollout, events: &[Event<'_>]) -> Rollout {
    for event in events {
        let version = rollout.version;
        rollout = on(&rollout, *event, at(1))
            .unwrap_or_else(|| panic!("{event:?} is refused at {:?}", rollout.course));
        assert_eq!(rollout.version, version + 1, "every event is one version");
    }
    rollout
}

fn settled(service: &ServiceId, verdict: Verdict) -> Event<'_> {
    Event::Settled { service, stage: 0, verdict }
}

#[test]
fn a_plan_becomes_rows_in_its_order_with_the_skipped_last() {
    let plan_rows = |sizes: &[u32]| {
        let rollout = rollout(sizes);
        (rollout.size(), rollout.stage_end(0), rollout.stage_end(1), rollout.stage_end(2))
    };
    assert_eq!(plan_rows(&[1, 4, 5]), (10, 1, 5, 10));
    assert_eq!(work(&rollout(&[1, 4, 5])), Work::Begin(0));
}

/// Every event in every course: what becomes of it, or that it is refused.
#[test]
fn the_state_table() {
    let (a, b) = (service(0), service(1));
    let arriving = || after(rollout(&[2]), &[Event::Began(&a)]);
    let soaking = || {
        after(
            rollout(&[2]),
            &[
                Event::Began(&a),
                Event::Began(&b),
                settled(&a, Verdict::Success),
                settled(&b, Verdict::Success),
            ],
        )
    };
    let stopping = || after(arriving(), &[Event::Aborted { by: "ada", undo: false }]);
    let undoing = || after(soaking(), &[Event::Aborted { by: "ada", undo: true }]);
    let ended = || after(soaking(), &[Event::Soaked]);
    let events = |service: &'static str| -> Vec<(&'static str, Event<'static>)> {
        let service: &'static ServiceId = Box::leak(Box::new(service.parse().unwrap()));
        vec![
            ("began", Event::Began(service)),
            ("left alone", Event::LeftAlone),
            ("unfit", Event::Unfit),
            ("already there", Event::AlreadyThere),
            ("settled", settled(service, Verdict::Success)),
            ("sick", Event::Sick(service)),
            ("soaked", Event::Soaked),
            ("undoing", Event::Undoing { service, stage: 0 }),
            ("nothing to undo", Event::NothingToUndo),
            ("paused", Event::Paused("bob")),
            ("resumed", Event::Resumed("bob")),
            ("aborted", Event::Aborted { by: "bob", undo: false }),
            ("aborted and undone", Event::Aborted { by: "bob", undo: true }),
        ]
    };
    let courses: [(&str, Rollout, &str); 5] = [
        ("arriving", arriving(), "vps-000"),
        ("soaking", soaking(), "vps-000"),
        ("stopping", stopping(), "vps-000"),
        ("undoing", undoing(), "vps-001"),
        ("ended", ended(), "vps-000"),
    ];
    let mut table = String::new();
    for (name, rollout, service) in courses {
        for (event_name, event) in events(service) {
            let becomes = on(&rollout, event, at(2)).map_or("-", |next| next.status());
            table.push_str(&format!("{name:<9} {event_name:<18} {becomes}\n"));
        }
    }
    let expected = "\
arriving  began              running
arriving  left alone         running
arriving  unfit              halting
arriving  already there      running
arriving  settled            running
arriving  sick               -
arriving  soaked             -
arriving  undoing            -
arriving  nothing to undo    -
arriving  paused             paused
arriving  resumed            -
arriving  aborted            aborting
arriving  aborted and undone aborting
soaking   began              -
soaking   left alone         -
soaking   unfit              -
soaking   already there      -
soaking   settled            -
soaking   sick               running
soaking   soaked             completed
soaking   undoing            -
soaking   nothing to undo    -
soaking   paused             paused
soaking   resumed            -
soaking   aborted            aborted
soaking   aborted and undone rolling_back
stopping  began              -
stopping  left alone         -
stopping  unfit              -
stopping  already there      -
stopping  settled            aborted
stopping  sick               -
stopping  soaked             -
stopping  undoing            -
stopping  nothing to undo    -
stopping  paused             -
stopping  resumed            -
stopping  aborted            -
stopping  aborted and undone aborting
undoing   began              -
undoing   left alone         -
undoing   unfit              -
undoing   already there      -
undoing   settled            -
undoing   sick               -
undoing   soaked             -
undoing   undoing            rolling_back
undoing   nothing to undo    rolling_back
undoing   paused             -
undoing   resumed            -
undoing   aborted            -
undoing   aborted and undone -
ended     began              -
ended     left alone         -
ended     unfit              -
ended     already there      -
ended     settled            -
ended     sick               -
ended     soaked             -
ended     undoing            -
ended     nothing to undo    -
ended     paused             -
ended     resumed            -
ended     aborted            -
ended     aborted and undone -
";
    assert_eq!(table, expected);
}

#[test]
fn a_stage_halts_as_early_as_more_than_thirty_percent_is_certain() {
    for size in 1..=200_u32 {
        let mut rollout = rollout(&[size]);
        let mut failed = 0;
        while matches!(rollout.course, Course::Arriving) && failed < size {
            rollout = after(rollout, &[Event::Unfit]);
            failed += 1;
        }
        // Three in ten, said with tenths: the least number of failures above it.
        let least = (size * 3) / 10 + 1;
        assert_eq!(failed, least, "of {size}");
        assert_eq!(rollout.course, Course::Ended { end: End::Halted });
    }
}

#[test]
fn exactly_thirty_percent_goes_on() {
    let mut rollout = rollout(&[10, 1]);
    for _ in 0..3 {
        rollout = after(rollout, &[Event::Unfit]);
    }
    for _ in 0..7 {
        rollout = after(rollout, &[Event::AlreadyThere]);
    }
    assert_eq!(rollout.course, Course::Soaking { since: at(1) });
    let rollout = after(rollout, &[Event::Soaked, Event::AlreadyThere, Event::Soaked]);
    assert_eq!(rollout.course, Course::Ended { end: End::CompletedWithFailures });
}

#[test]
fn a_strict_canary_allows_no_failure_and_a_maximum_counts_all_stages() {
    let strict = Options { strict_canary: true, ..Options::default() };
    let halted = after(rollout_with(&[10, 5], strict.clone()), &[Event::Unfit]);
    assert_eq!(halted.status(), "halted");
    let mut later = rollout_with(&[1, 10], strict);
    later = after(later, &[Event::AlreadyThere, Event::Soaked, Event::Unfit]);
    assert_eq!(later.status(), "running", "it is about the first stage");

    let most = Options { max_failures: Some(2), ..Options::default() };
    let mut rollout = rollout_with(&[10, 10], most);
    rollout = after(rollout, &[Event::Unfit, Event::Unfit]);
    for _ in 0..8 {
        rollout = after(rollout, &[Event::AlreadyThere]);
    }
    rollout = after(rollout, &[Event::Soaked]);
    assert_eq!(after(rollout, &[Event::Unfit]).status(), "halted");
}

#[test]
fn a_stage_that_shows_nothing_at_work_is_no_reason_to_go_on() {
    let rollout = after(rollout(&[2, 8]), &[Event::LeftAlone, Event::LeftAlone]);
    assert_eq!(rollout.status(), "halted");
    assert_eq!(rollout.because, "halted: no service of stage 1 runs the target");
}

#[test]
fn a_failed_roll_back_halts_whatever_the_percentage() {
    let a = service(0);
    let rollout = after(rollout(&[100]), &[Event::Began(&a), settled(&a, Verdict::Failed)]);
    assert_eq!(rollout.status(), "halted");
    assert!(rollout.because.contains("`vps-000` could not be rolled back"), "{}", rollout.because);
}

#[test]
fn those_half_way_finish_before_a_halt_is_over() {
    let (a, b) = (service(0), service(1));
    let mut rollout =
        after(rollout(&[3]), &[Event::Began(&a), Event::Began(&b), settled(&a, Verdict::RolledBack)]);
    assert_eq!((rollout.status(), work(&rollout)), ("halting", Work::Wait));
    rollout = after(rollout, &[settled(&b, Verdict::Success)]);
    assert_eq!((rollout.status(), rollout.ended_at), ("halted", Some(at(1))));
}

#[test]
fn rolling_back_all_goes_through_the_rows_from_the_last_to_the_first() {
    let (a, b) = (service(0), service(1));
    let options = Options { on_halt: OnHalt::RollBackAll, stages: vec![50, 100], ..Options::default() };
    let mut rollout = after(
        rollout_with(&[2, 2], options),
        &[
            Event::Began(&a),
            Event::Began(&b),
            settled(&a, Verdict::Success),
            settled(&b, Verdict::Success),
            Event::Soaked,
        ],
    );
    rollout = after(rollout, &[Event::Unfit]);
    assert_eq!((rollout.status(), work(&rollout)), ("rolling_back", Work::Undo(2)));
    rollout = after(rollout, &[Event::NothingToUndo, Event::Undoing { service: &b, stage: 0 }]);
    assert_eq!(work(&rollout), Work::Undo(0));
    rollout = after(rollout, &[Event::Undoing { service: &a, stage: 0 }]);
    assert_eq!(work(&rollout), Work::Wait, "both are under way");
    rollout = after(rollout, &[settled(&a, Verdict::RolledBack), settled(&b, Verdict::RolledBack)]);
    assert_eq!(rollout.course, Course::Ended { end: End::Halted });
    assert_eq!((rollout.stages[0].succeeded, rollout.stages[0].failed), (0, 2));
}

#[test]
fn never_more_are_under_way_than_at_once() {
    let ids: Vec<ServiceId> = (0..10).map(service).collect();
    let mut rollout = rollout(&[10]);
    for id in ids.iter().take(usize::try_from(AT_ONCE).unwrap()) {
        rollout = after(rollout, &[Event::Began(id)]);
    }
    assert_eq!(work(&rollout), Work::Wait);
    assert_eq!(on(&rollout, Event::Began(&ids[5]), at(2)), None);
    let rollout = after(rollout, &[settled(&ids[2], Verdict::Success)]);
    assert_eq!(work(&rollout), Work::Begin(5));
}

#[test]
fn the_order_of_verdicts_changes_nothing() {
    let ids: Vec<ServiceId> = (0..5).map(service).collect();
    let verdicts =
        [Verdict::Success, Verdict::Success, Verdict::RolledBack, Verdict::Success, Verdict::Success];
    let mut ends = Vec::new();
    for turn in 0..5 {
        let mut rollout = rollout(&[5, 5]);
        for id in &ids {
            rollout = after(rollout, &[Event::Began(id)]);
        }
        for index in (0..5).map(|index| (index + turn) % 5) {
            assert!(matches!(rollout.course, Course::Arriving), "no verdict on a stage before all are in");
            rollout = after(rollout, &[settled(&ids[index], verdicts[index])]);
        }
        ends.push(rollout);
    }
    assert!(ends.iter().all(|end| *end == ends[0]), "{ends:?}");
    assert_eq!(ends[0].course, Course::Soaking { since: at(1) });
}

#[test]
fn sickness_in_the_soak_counts_against_the_stage() {
    let ids: Vec<ServiceId> = (0..4).map(service).collect();
    let mut rollout = rollout(&[4, 4]);
    for id in &ids {
        rollout = after(rollout, &[Event::Began(id)]);
    }
    for id in &ids {
        rollout = after(rollout, &[settled(id, Verdict::Success)]);
    }
    rollout = after(rollout, &[Event::Sick(&ids[1])]);
    assert_eq!(on(&rollout, Event::Soaked, at(60)), None, "one is on its way back");
    rollout = after(rollout, &[settled(&ids[1], Verdict::RolledBack)]);
    assert!(matches!(rollout.course, Course::Soaking { .. }), "one of four is below thirty percent");
    rollout = after(rollout, &[Event::Sick(&ids[2]), settled(&ids[2], Verdict::RolledBack)]);
    assert_eq!(rollout.status(), "halted");
}

#[test]
fn a_pause_begins_nothing_and_passes_no_stage() {
    let (a, b) = (service(0), service(1));
    let rollout =
        after(rollout(&[1, 3]), &[Event::Began(&a), Event::Paused("bob"), settled(&a, Verdict::Success)]);
    assert_eq!((rollout.status(), work(&rollout)), ("paused", Work::Wait));
    assert_eq!(on(&rollout, Event::Soaked, at(99)), None);
    assert_eq!(on(&rollout, Event::Began(&b), at(99)), None);
    let rollout = after(rollout, &[Event::Resumed("bob"), Event::Soaked]);
    assert_eq!((rollout.status(), work(&rollout)), ("running", Work::Begin(1)));
}

#[test]
fn only_what_turns_services_back_changes_the_steering() {
    let a = service(0);
    let mut rollout = after(rollout(&[2]), &[Event::Began(&a), Event::Paused("bob"), Event::Resumed("bob")]);
    assert_eq!(rollout.steering, 0);
    rollout = after(rollout, &[Event::Aborted { by: "bob", undo: false }]);
    assert_eq!((rollout.steering, rollout.status()), (1, "aborting"));
}

#[test]
fn the_end_frees_the_app_and_quarantines_only_what_halted() {
    let app = AppState {
        version: 7,
        rollouts: 1,
        active: Some("shop-1".parse().unwrap()),
        ..AppState::new("shop".parse().unwrap())
    };
    let settings = Settings { admins: vec!["ops@example.com".parse().unwrap()], ..Settings::default() };
    let halted = after(rollout(&[1]), &[Event::Unfit]);
    let ending = head_move(&rollout(&[1]), halted, "shop-1");
    let concluded = conclude(ending, &app, &settings, &[], at(5));
    let next = concluded.app.clone().unwrap();
    assert_eq!((next.version, &next.active, next.quarantined.len()), (8, &None, 1));
    let told: Vec<&Notice> = concluded
        .effects
        .iter()
        .filter_map(|effect| if let Effect::Tell(notice) = effect { Some(notice) } else { None })
        .collect();
    assert_eq!(told.len(), 1, "one letter for one end");
    assert_eq!((told[0].id.as_str(), told[0].kind), ("shop-1.rollout-halted", NoticeKind::RolloutHalted));

    let aborted = after(rollout(&[1]), &[Event::Aborted { by: "ada", undo: false }]);
    let concluded = conclude(head_move(&rollout(&[1]), aborted, "ada"), &app, &settings, &[], at(5));
    assert!(concluded.app.unwrap().quarantined.is_empty());

    let completed = after(rollout(&[1]), &[Event::AlreadyThere, Event::Soaked]);
    let before = AppState { version: 8, ..next };
    let concluded = conclude(head_move(&rollout(&[1]), completed, "shop-1"), &before, &settings, &[], at(5));
    assert!(concluded.app.unwrap().quarantined.is_empty(), "whoever forced it was right");

    let going_on = head_move(&rollout(&[2]), after(rollout(&[2]), &[Event::LeftAlone]), "shop-1");
    assert_eq!(conclude(going_on.clone(), &app, &settings, &[], at(5)), going_on);
}
