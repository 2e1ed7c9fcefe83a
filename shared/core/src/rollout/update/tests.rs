//! One service's state table, row by row: `match (way, step, outcome)`.

use std::time::Duration;

use super::*;
use crate::breaker::Breaker;
use crate::decision::{Decision, Effect};
use crate::moment::Moment;
use crate::notice::NoticeKind;
use crate::rollout::course::Event;
use crate::rollout::course::Started;
use crate::rollout::plan::{Plan, Planned, PlannedStage};
use crate::rollout::{HeadPart, RowStatus};
use crate::rollout::{Options, course};
use crate::settings::Settings;
use crate::sight::{DownKind, GuardParts};
use crate::sight::{Fault, UnreachableKind};
use crate::spec::ServiceSpec;
use crate::watch::Status;

const OLD: &str = "0000000000000000000000000000000000000000";
const NEW: &str = "1111111111111111111111111111111111111111";

fn at(seconds: u64) -> Moment {
    Moment::from_millis(1_767_312_000_000) + Duration::from_secs(seconds)
}

fn run(name: &str) -> Option<ProcessId> {
    Some(name.to_owned().try_into().unwrap())
}

/// Everything a decision is made from.
struct Stand {
    settings: Settings,
    spec: ServiceSpec,
    watch: Watch,
    head: Rollout,
    row: Row,
}

impl Stand {
    fn new() -> Stand {
        Stand::updated_by(r#"{ "dir": "/srv/shop", "install": "bun install" }"#)
    }

    fn updated_by(update: &str) -> Stand {
        let spec: ServiceSpec = serde_json::from_str(&format!(
            r#"{{ "id": "vps-001", "app": "shop", "address": "203.0.113.7", "user": "shop", "key": "file:key",
                 "host_key": "ssh-ed25519 AAAAAAAAAAAAAAAAAAAAAAAA", "check": {{ "systemd": "shop" }},
                 "restart": {{ "systemd": "shop" }}, "owner": "ada@example.com", "update": {update} }}"#
        ))
        .unwrap();
        spec.check().unwrap();
        let mut watch = Watch::new(spec.id.clone(), at(0));
        watch.status = Status::Healthy;
        watch.action_no = 100;
        let plan = Plan {
            hash: "0".to_owned(),
            app: "shop".parse().unwrap(),
            target: NEW.parse().unwrap(),
            branch: None,
            options: Options::default(),
            stages: vec![PlannedStage {
                percent: 100,
                services: vec![Planned { id: spec.id.clone(), spec_version: 1 }],
            }],
            skipped: Vec::new(),
            commands: Vec::new(),
            worst_case_seconds: 0,
            write_units: 0,
            micro_dollars: 0,
        };
        let started = Started { by: "ada".to_owned(), forced: None, retries: None };
        let (head, rows) = course::start(&plan, "shop-1".parse().unwrap(), started, at(0));
        let row = rows.into_iter().next().unwrap();
        let settings = Settings { admins: vec!["ops@example.com".parse().unwrap()], ..Settings::default() };
        Stand { settings, spec, watch, head, row }
    }

    fn scene(&self, now: Moment) -> Scene<'_> {
        let case = Case { settings: &self.settings, spec: &self.spec, tick: 7, now };
        Scene { case, spec_version: 1, head: Some(&self.head), row: &self.row }
    }

    fn updating(&self) -> Updating {
        *self.watch.update.clone().expect("an update is open")
    }

    /// Takes over what a move says, as a commit would.
    fn take(&mut self, next: Move) -> Move {
        if let Some(decision) = &next.service {
            assert_eq!(decision.next.version, self.watch.version + 1);
            self.watch = decision.next.clone();
        }
        if let HeadPart::Becomes(head) = &next.head {
            assert_eq!(head.version, self.head.version + 1);
            self.head = (**head).clone();
        }
        if let Some(row) = &next.row {
            self.row = row.clone();
        }
        next
    }

    fn begin(&mut self) -> Move {
        let standing = standing(OLD, "run-1");
        let next = begin(self.scene(at(1)), &self.watch, &standing).unwrap();
        self.take(next)
    }

    fn follow(&mut self, outcome: &StepOutcome) -> Next {
        let next = after_step(self.scene(at(2)), &self.watch, &self.updating(), outcome, None);
        if let Next::Commit(next) = &next {
            self.take((**next).clone());
        }
        next
    }

    fn settle(&mut self, sight: Sight, version: &str, process: &str, started: &str) -> Next {
        let seen = Settled { look: look(sight), standing: standing(version, process), started: run(started) };
        let next = after_settle(self.scene(at(3)), &self.watch, &self.updating(), &seen);
        if let Next::Commit(next) = &next {
            self.take((**next).clone());
        }
        next
    }

    /// Where the service stands, in one line: its open step, or how its row ended.
    fn story(&self) -> String {
        match &self.watch.update {
            Some(update) if update.stray => format!("stray {:?}", self.watch.status),
            Some(update) => format!("{:?} {}", update.way, update.step),
            None => format!("{} {}", self.row.status.as_str(), self.watch.status),
        }
    }
}

fn standing(version: &str, process: &str) -> Result<Standing, NoStanding> {
    Ok(Standing { version: version.parse().unwrap(), process: run(process), obstacle: None })
}

fn look(sight: Sight) -> Look {
    Look { sight, at: at(3), took: Duration::ZERO, process: None, evidence: Some("out of memory".to_owned()) }
}

fn done(process: &str) -> StepOutcome {
    StepOutcome::Done { parts: GuardParts::ALL, process: run(process) }
}

fn away() -> StepOutcome {
    StepOutcome::NotSent(Fault::new(UnreachableKind::Connect, "refused"))
}

fn down() -> Sight {
    Sight::Down(Fault::new(DownKind::NotActive, "failed"))
}

fn audited(decision: &Decision) -> Vec<(String, Option<u64>)> {
    decision
        .effects
        .iter()
        .filter_map(|effect| match effect {
            Effect::Record(entry) => Some((entry.action.clone(), entry.action_no)),
            Effect::OpenStep(_)
            | Effect::CloseStep(_)
            | Effect::Tell(_)
            | Effect::Publish(_)
            | Effect::Stray(_)
            | Effect::Found(_) => None,
        })
        .collect()
}

fn told(next: &Move) -> Vec<NoticeKind> {
    let service = next.service.iter().flat_map(|decision| &decision.effects);
    service
        .chain(&next.effects)
        .filter_map(|effect| if let Effect::Tell(notice) = effect { Some(notice.kind) } else { None })
        .collect()
}

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
