//! One tick over many services, as facts.

use std::collections::BTreeSet;
use std::time::Duration;

use crate::blindness::{Blindness, Others};
use crate::decision::Effect;
use crate::health::{Health, MAX_NAMED};
use crate::hold::Hold;
use crate::moment::Moment;
use crate::notice::Notice;
use crate::rollout::Updating;
use crate::settings::{Mode, Settings};
use crate::sight::{DownKind, Fault, Look, NotLooked, Sight, UnreachableKind};
use crate::spec::{Lifecycle, ServiceSpec};
use crate::sweep::{Judged, Part, Seen, Turn, judge, turn};
use crate::update::{UpdateStep, Way};
use crate::watch::{AskedBy, Attempt, Status, Watch};

fn now() -> Moment {
    Moment::from_millis(1_767_312_000_000)
}

fn spec(number: usize) -> ServiceSpec {
    let text = format!(
        r#"{{"id":"vps-{number:03}","address":"203.0.113.7","user":"deploy","key":"file:k","host_key":"ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAI",
            "check":{{"systemd":"web"}},"restart":{{"systemd":"web"}},"owner":"ada@example.com"}}"#
    );
    serde_json::from_str(&text).unwrap()
}

fn healthy(spec: &ServiceSpec) -> Watch {
    Watch { status: Status::Healthy, version: 1, ..Watch::new(spec.id.clone(), now()) }
}

fn look(sight: Sight) -> Look {
    Look { sight, at: now(), took: Duration::from_millis(1), process: None, evidence: None }
}

fn down() -> Sight {
    Sight::Down(Fault::new(DownKind::NotActive, ""))
}

/// Judges one tick in which the first `bad` of `all` healthy services show `sight` and the rest are up.
fn tick(all: usize, bad: usize, sight: &Sight) -> Judged {
    tick_of(&Part::Whole, all, bad, sight)
}

fn tick_of(part: &Part, all: usize, bad: usize, sight: &Sight) -> Judged {
    let specs: Vec<ServiceSpec> = (0..all).map(spec).collect();
    let watches: Vec<Watch> = specs.iter().map(healthy).collect();
    let seen: Vec<Seen<'_>> = specs
        .iter()
        .zip(&watches)
        .enumerate()
        .map(|(index, (spec, watch))| {
            let sight = if index < bad { sight.clone() } else { Sight::Up };
            Seen { spec, watch, turn: Turn::Look, look: Some(look(sight)) }
        })
        .collect();
    judge(&Settings::default(), &"prod".parse().unwrap(), 60, now(), &Blindness::default(), part, &seen)
}

fn notices(judged: &Judged) -> Vec<&Notice> {
    let effects = judged.decisions.iter().flat_map(|(_, decision)| &decision.effects);
    effects.filter_map(|effect| if let Effect::Tell(notice) = effect { Some(notice) } else { None }).collect()
}

/// An update whose lease is in force, or ends now.
fn updating(in_force: bool) -> Option<Box<Updating>> {
    let version = |digit: &str| digit.repeat(40).parse().unwrap();
    let until = if in_force { now() + Duration::from_millis(1) } else { now() };
    Some(Box::new(Updating {
        rollout: "shop-1".parse().unwrap(),
        row: 0,
        target: version("b"),
        previous: version("a"),
        way: Way::Forward,
        step: UpdateStep::Restart,
        action_no: 1,
        process: None,
        again: 0,
        until,
        back_because: None,
        stray: false,
    }))
}

#[test]
fn who_is_looked_at() {
    let spec = spec(1);
    let settings = Settings::default();
    let hold = |until| Hold { by: "ada".to_owned(), reason: "disk".to_owned(), since: now(), until };
    let attempt = Attempt { action_no: 1, not_before: now(), process: None, asked_by: AskedBy::Recovery };
    let later = Some(now() + Duration::from_secs(1));
    let table: Vec<(Settings, ServiceSpec, Watch, Turn)> = vec![
        (settings.clone(), spec.clone(), healthy(&spec), Turn::Look),
        (Settings { mode: Mode::Observe, ..settings.clone() }, spec.clone(), healthy(&spec), Turn::Look),
        (
            Settings { mode: Mode::Off, ..settings.clone() },
            spec.clone(),
            healthy(&spec),
            Turn::Skip("this env is off"),
        ),
        (
            settings.clone(),
            ServiceSpec { lifecycle: Lifecycle::Provisioning, ..spec.clone() },
            healthy(&spec),
            Turn::Skip("still provisioning"),
        ),
        (
            settings.clone(),
            ServiceSpec { lifecycle: Lifecycle::Suspended, ..spec.clone() },
            healthy(&spec),
            Turn::Skip("suspended"),
        ),
        (
            settings.clone(),
            ServiceSpec { lifecycle: Lifecycle::Retired, ..spec.clone() },
            healthy(&spec),
            Turn::Skip("retired"),
        ),
        (
            settings.clone(),
            spec.clone(),
            Watch { hold: Some(hold(None)), ..healthy(&spec) },
            Turn::Skip("held"),
        ),
        (
            settings.clone(),
            spec.clone(),
            Watch { hold: Some(hold(later)), ..healthy(&spec) },
            Turn::Skip("held"),
        ),
        (
            settings.clone(),
            spec.clone(),
            Watch { hold: Some(hold(Some(now()))), ..healthy(&spec) },
            Turn::Look,
        ),
        (
            settings.clone(),
            spec.clone(),
            Watch { update: updating(true), ..healthy(&spec) },
            Turn::Skip("updating"),
        ),
        // An update's lease protects the service, whatever its status, and no longer than it lasts.
        (
            settings.clone(),
            spec.clone(),
            Watch { status: Status::Updating, update: updating(false), ..healthy(&spec) },
            Turn::Look,
        ),
        (settings, spec.clone(), Watch { attempt: Some(attempt), ..healthy(&spec) }, Turn::Restarting),
    ];
    for (settings, spec, watch, expected) in table {
        assert_eq!(turn(&settings, &spec, &watch, now()), expected);
    }
}

#[test]
fn a_tick_in_which_nothing_changed_decides_nothing() {
    let judged = tick(500, 0, &down());
    assert!(judged.decisions.is_empty() && judged.guard.believed && judged.guard.next.is_none());
    assert_eq!((judged.report.checked, judged.report.healthy, judged.report.were_healthy), (500, 500, 500));
    assert!(judged.report.all_healthy());
}

#[test]
fn three_of_ten_are_believed_and_four_are_not() {
    let believed = tick(10, 3, &down());
    assert_eq!((believed.decisions.len(), believed.report.unhealthy), (3, 3));
    for sight in [down(), Sight::Unreachable(Fault::new(UnreachableKind::TimedOut, ""))] {
        let blind = tick(10, 4, &sight);
        assert!(!blind.guard.believed, "{sight}");
        assert!(blind.decisions.is_empty(), "what a blind tick saw changes nothing");
        assert!(blind.guard.notice.is_some());
    }
}

#[test]
fn more_than_ten_changes_for_one_person_are_one_letter() {
    let single = tick(100, 10, &down());
    assert!(notices(&single).iter().all(|notice| notice.digest.is_none()));
    let many = tick(100, 11, &down());
    assert!(many.guard.believed);
    let digests: Vec<Option<&str>> = notices(&many).iter().map(|notice| notice.digest.as_deref()).collect();
    assert_eq!(digests, [Some("60.ada@example.com"); 11]);
}

#[test]
fn every_sight_is_counted_once() {
    let unreachable = Sight::Unreachable(Fault::new(UnreachableKind::Auth, ""));
    let sights = [
        (Sight::Up, [1, 1, 0, 0, 0]),
        (down(), [1, 0, 1, 0, 0]),
        (unreachable, [1, 0, 0, 1, 0]),
        (Sight::Unknown(NotLooked::OutOfTime), [0, 0, 0, 0, 1]),
        (Sight::Unknown(NotLooked::OurFault), [0, 0, 0, 0, 1]),
        (Sight::Unknown(NotLooked::Starting), [1, 0, 0, 0, 0]),
    ];
    for (sight, expected) in sights {
        let report = tick(1, 1, &sight).report;
        let counts = [report.checked, report.healthy, report.unhealthy, report.unreachable, report.skipped];
        assert_eq!(counts, expected, "{sight}");
    }
}

#[test]
fn shards_swept_apart_have_digests_of_their_own() {
    let names = |number| {
        let part = Part::Shard { number, others: Others::default() };
        let judged = tick_of(&part, 100, 12, &down());
        notices(&judged).iter().filter_map(|notice| notice.digest.clone()).collect::<BTreeSet<String>>()
    };
    assert_eq!(names(7), BTreeSet::from(["60.007.ada@example.com".to_owned()]));
    assert_ne!(names(7), names(8));
}

#[test]
fn an_expired_hold_ends_and_the_next_look_judges() {
    let spec = spec(1);
    let hold = Hold { by: "ada".to_owned(), reason: "disk".to_owned(), since: now(), until: Some(now()) };
    let watch = Watch { status: Status::Held, hold: Some(hold), ..healthy(&spec) };
    let seen = [Seen { spec: &spec, watch: &watch, turn: Turn::Look, look: Some(look(down())) }];
    let judged = judge(
        &Settings::default(),
        &"prod".parse().unwrap(),
        60,
        now(),
        &Blindness::default(),
        &Part::Whole,
        &seen,
    );
    let (_, decision) = &judged.decisions[0];
    assert_eq!((decision.next.status, decision.next.hold.is_none()), (Status::Unknown, true));
    assert!(notices(&judged).is_empty());
}

#[test]
fn health_counts_all_and_names_a_few() {
    let specs: Vec<ServiceSpec> = (0..200).map(spec).collect();
    let watches: Vec<Watch> =
        specs.iter().map(|spec| Watch { status: Status::Down, ..healthy(spec) }).collect();
    let guard = Blindness { since: Some(now()), because: "much failed".to_owned(), ..Blindness::default() };
    let health = Health::of("prod".parse().unwrap(), Mode::Act, now(), &guard, watches.iter());
    assert_eq!((health.services, health.counts[&Status::Down], health.troubles.len()), (200, 200, MAX_NAMED));
    assert_eq!(health.summary(), "prod: 200 services, 200 down; blind: much failed");
    assert_eq!(health.counts.len(), Status::ALL.len());
}

#[test]
fn settings_and_policies_that_make_no_sense_are_refused_by_key() {
    type Change<T> = fn(&mut T);
    let settings: [(Change<Settings>, &str); 5] = [
        (|s| s.every = Duration::from_secs(4), "every"),
        (|s| s.concurrency = 0, "concurrency"),
        (|s| s.blind_percent = 101, "blind_percent"),
        (|s| s.brake_most = 0, "brake_most"),
        (|s| s.admins = vec!["a@b.c".parse().unwrap(); 33], "admins"),
    ];
    assert_eq!(Settings::default().check(), Ok(()));
    for (change, key) in settings {
        let mut changed = Settings::default();
        change(&mut changed);
        assert!(changed.check().unwrap_err().starts_with(key), "{key}");
    }
    let specs: [(Change<ServiceSpec>, &str); 9] = [
        (|s| s.policy.settle = Duration::from_secs(100_000), "`policy`: settle"),
        (|s| s.policy.breaker_threshold = 0, "`policy`: breaker_threshold"),
        (|s| s.policy.backoff_cap = Duration::from_millis(1), "`policy`: backoff_cap"),
        (|s| s.user = None, "`user`"),
        (|s| s.key = None, "`key`"),
        (|s| s.host_key.clear(), "`host_key`"),
        (|s| s.host_key = vec!["ssh-ed25519 $(id)".to_owned()], "`host_key`"),
        (|s| s.host_key = vec![s.host_key[0].clone(); 9], "`host_key`"),
        (|s| s.update = serde_json::from_str(r#"{"dir":"relative"}"#).ok(), "`update.dir`"),
    ];
    assert_eq!(spec(1).check(), Ok(()));
    for (change, key) in specs {
        let mut changed = spec(1);
        change(&mut changed);
        let error = changed.check().unwrap_err().to_string();
        assert!(error.starts_with(key), "{key}: {error}");
    }
}

#[test]
fn checks_are_read_in_both_forms_and_secrets_in_urls_are_refused() {
    let read = |text: &str| serde_json::from_str::<crate::spec::Check>(text);
    let short = read(r#"{"http":"https://example.com/health"}"#).unwrap();
    let long = read(r#"{"http":{"url":"https://example.com/health"}}"#).unwrap();
    assert_eq!(short, long);
    let full = r#"{"http":{"url":"http://a.example/","status":204,"contains":"ok","within":"2s"}}"#;
    assert_eq!(serde_json::to_string(&read(full).unwrap()).unwrap(), full);
    for bad in [
        r#"{"http":"ftp://a.example/"}"#,
        r#"{"http":"http://"}"#,
        r#"{"http":"http://user:secret@a.example/"}"#,
        r#"{"http":{"url":"http://a.example/","status":99}}"#,
        r#"{"http":{"url":"http://a.example/","contains":""}}"#,
        r#"{"http":{"url":"http://a.example/","within":"2 weeks"}}"#,
        r#"{"http":{"url":"http://a.example/","colour":"red"}}"#,
        r#"{"command":"two\nlines"}"#,
        r#"{"systemd":"-H x"}"#,
        r#"{"ping":"x"}"#,
    ] {
        let error = read(bad).unwrap_err().to_string();
        assert!(!error.contains("secret"), "{error}");
    }
    let key =
        serde_json::from_str::<crate::spec::KeyRef>(r#""-----BEGIN OPENSSH PRIVATE KEY-----""#).unwrap_err();
    assert!(!key.to_string().contains("BEGIN"), "a key pasted by mistake reaches no message: {key}");
}
