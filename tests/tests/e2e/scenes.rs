//! What the home on AWS must do, seen through its API, its letters and the hosts themselves.

use lamplighter::demo::systemd::{Nature, State};
use lamplighter_tests::aws::ROLES;
use serde_json::{Value, json};

use crate::stack::{ENV, Stack};

/// A scene, and what it shows.
pub(crate) type Scene = (&'static str, fn(&Stack));

/// Services that go down.
pub(crate) const HEALING: &[Scene] = &[
    ("a_stopped_service_is_restarted_and_its_owner_told", a_stopped_service_is_restarted_and_its_owner_told),
    ("a_breaker_opens_and_closes_again", a_breaker_opens_and_closes_again),
];
/// Rings, good and bad.
pub(crate) const BELLS: &[Scene] = &[
    ("two_deliveries_of_one_tick_do_one_sweep", two_deliveries_of_one_tick_do_one_sweep),
    ("what_cannot_be_handled_is_put_aside", what_cannot_be_handled_is_put_aside),
    ("old_events_and_those_of_the_future_do_nothing", old_events_and_those_of_the_future_do_nothing),
    ("a_host_that_is_cut_off_is_never_restarted", a_host_that_is_cut_off_is_never_restarted),
];

/// The services each scene has for itself, by their index in the demo's fleet.
const STOPPED: usize = 0;
const BREAKS: usize = 1;
const CUT_OFF: usize = 2;
/// How many services these scenes break: the first ones.
pub(crate) const BROKEN: usize = 3;

const _: () = assert!(STOPPED < BROKEN && BREAKS < BROKEN && CUT_OFF < BROKEN);

pub(crate) fn the_schedule_sweeps(stack: &Stack) {
    for index in 0..stack.fleet.residents().len() {
        stack.wait_for(&stack.id(index), "healthy");
    }
    let latest = stack.ask("GET", "sweeps/latest", "").body;
    assert_eq!(latest["checked"], latest["healthy"], "{latest}");
    assert_eq!(latest["tick"].as_u64().unwrap() % 60, 0, "a tick of the schedule: {latest}");
    let services = stack.cli.json(&stack.url(), &["services"]);
    assert_eq!(services.as_array().map_or(0, Vec::len), stack.fleet.residents().len(), "{services}");
}

/// Each cold start waits until the whole archive was brought and unpacked.
pub(crate) fn every_archive_is_small(stack: &Stack) {
    const MOST: u64 = 5_000_000;
    for name in ROLES {
        let bytes = stack.emulator.archive_bytes(&format!("lamplighter-{ENV}-{name}"));
        assert!((1..=MOST).contains(&bytes), "the archive of `{name}` has {bytes} bytes");
    }
}

fn a_stopped_service_is_restarted_and_its_owner_told(stack: &Stack) {
    let (id, resident) = (stack.id(STOPPED), stack.resident(STOPPED));
    let systemd = stack.fleet.hosts()[resident.host].systemd();
    let before = systemd.restarts(&resident.unit);
    systemd.stop(&resident.unit);
    stack.wait("the unit to be started", || systemd.state(&resident.unit) == Some(State::Active));
    stack.wait_for(&id, "healthy");
    assert_eq!(systemd.restarts(&resident.unit), before + 1, "one restart");
    stack.wait("both letters", || letters_about(stack, &id).len() >= 2);
    let letters = letters_about(stack, &id);
    let subjects: Vec<&str> = letters.iter().filter_map(|letter| letter["Subject"].as_str()).collect();
    assert!(subjects[0].contains("DOWN") && subjects[1].contains("recovered"), "{subjects:?}");
    assert_eq!(letters.len(), 2, "one letter for each change: {subjects:?}");
    let why = stack.cli.ask(&stack.url(), &["why", &id]);
    let why = String::from_utf8_lossy(&why.stdout).into_owned();
    assert!(why.contains("up after a restart"), "{why}");
}

fn a_breaker_opens_and_closes_again(stack: &Stack) {
    let (id, resident) = (stack.id(BREAKS), stack.resident(BREAKS));
    let systemd = stack.fleet.hosts()[resident.host].systemd();
    systemd.set_nature(&resident.unit, Nature::RefusesToStart);
    let before = systemd.restarts(&resident.unit);
    systemd.stop(&resident.unit);
    stack.wait_for(&id, "circuit_open");
    let attempts = systemd.restarts(&resident.unit) - before;
    assert_eq!(attempts, 3, "three restarts open it");
    stack.wait("the admins' letter", || {
        letters_about(stack, &id).iter().any(|letter| letter.to_string().contains("admin@example.com"))
    });
    // The cooldown ends while it is still broken: one trial, and nobody is told again.
    stack.wait("one trial", || systemd.restarts(&resident.unit) - before == 4);
    systemd.set_nature(&resident.unit, Nature::Sound);
    stack.wait_for(&id, "healthy");
    assert!(systemd.restarts(&resident.unit) - before <= 6, "one trial for each cooldown");
    assert_eq!(stack.service(&id)["breaker"]["state"], "closed");
}

fn two_deliveries_of_one_tick_do_one_sweep(stack: &Stack) {
    // The schedule's tick of this minute is over, or these would be what it is.
    let minute = stack.ask("GET", "sweeps/latest", "").body["tick"].as_u64().unwrap();
    let looks = || stack.fleet.hosts().iter().map(|host| host.counts().commands).sum::<u64>();
    stack
        .wait("the next tick", || stack.ask("GET", "sweeps/latest", "").body["tick"].as_u64() > Some(minute));
    let minute = stack.ask("GET", "sweeps/latest", "").body["tick"].as_u64().unwrap();
    let before = sweeps(stack, minute);
    assert_eq!(before, 1, "the schedule's own");
    let looked = looks();
    for _ in 0..2 {
        let answer = stack.emulator.invoke(&stack.function("sweep"), &scheduled(minute));
        assert_eq!((answer.status, &answer.body), (200, &Value::Null), "a doubled tick is no error");
    }
    assert_eq!(sweeps(stack, minute), 1);
    // Another company's host may be looked at by `recover` meanwhile; a whole sweep would be more.
    assert!(looks() - looked < stack.fleet.residents().len() as u64, "nobody was looked at again");
}

fn what_cannot_be_handled_is_put_aside(stack: &Stack) {
    let queue = &stack.outputs["QueueUrl"];
    // As an operator in a hurry does: the third try would otherwise come after a quarter of an hour.
    let hurry = json!({"QueueUrl": queue, "Attributes": {"VisibilityTimeout": "1"}});
    stack.emulator.call("sqs", "AmazonSQS.SetQueueAttributes", &hurry);
    for poison in ["not json", r#"{"ring":"doomsday","due":1}"#] {
        let message = json!({"QueueUrl": queue, "MessageBody": poison});
        stack.emulator.call("sqs", "AmazonSQS.SendMessage", &message);
    }
    stack.wait("both to be in the dead-letter queue", || {
        let asked = json!({"QueueUrl": stack.outputs["DeadLetterQueueUrl"], "AttributeNames": ["ApproximateNumberOfMessages"]});
        let told = stack.emulator.call("sqs", "AmazonSQS.GetQueueAttributes", &asked);
        told["Attributes"]["ApproximateNumberOfMessages"] == "2"
    });
    assert!(stack.logged().iter().any(|line| line.contains("BadEvent")), "the reason stands in the log");
}

fn old_events_and_those_of_the_future_do_nothing(stack: &Stack) {
    let now = now();
    let late =
        stack.emulator.invoke(&stack.function("recover"), &json!({"ring": "recover", "due": now - 600}));
    assert_eq!((late.status, &late.body), (200, &Value::Null), "late is no error, only useless");
    let early =
        stack.emulator.invoke(&stack.function("advance"), &json!({"ring": "advance", "due": now + 600}));
    assert_eq!(early.body["errorType"], "ClockSkew", "{}", early.body);
    let alien = stack.emulator.invoke(&stack.function("notify"), &json!({"hello": "world"}));
    assert_eq!(alien.body["errorType"], "BadEvent", "{}", alien.body);
}

fn a_host_that_is_cut_off_is_never_restarted(stack: &Stack) {
    let (id, resident) = (stack.id(CUT_OFF), stack.resident(CUT_OFF));
    let host = &stack.fleet.hosts()[resident.host];
    let before = host.systemd().restarts(&resident.unit);
    host.cut_off();
    stack.wait_for(&id, "unhealthy");
    host.reconnect();
    stack.wait_for(&id, "healthy");
    assert_eq!(host.systemd().restarts(&resident.unit), before);
    assert!(letters_about(stack, &id).is_empty(), "once unreachable is nothing to write about");
}

pub(crate) fn the_bill_is_counted(stack: &Stack) {
    let cost = stack.cli.json(&stack.url(), &["cost"]);
    for verb in ["sweep", "recover", "advance", "notify"] {
        let rows = cost["verbs"].as_array().unwrap();
        let row = rows.iter().find(|row| row["verb"] == verb).unwrap();
        assert!(row["runs"].as_u64() > Some(0) && row["read_units"].as_f64() > Some(0.0), "{row}");
    }
    let lines = cost["projection"]["lines"].as_array().unwrap();
    for what in ["table: write units", "functions: gigabyte-seconds", "queue: requests", "schedules: calls"] {
        assert!(lines.iter().any(|line| line["what"] == what), "{what}: {cost}");
    }
}

pub(crate) fn no_secret_is_in_any_log(stack: &Stack) {
    let said = [stack.logged().join("\n"), stack.emulator.said()].concat();
    let letters = serde_json::to_string(&stack.emulator.letters()).unwrap();
    for secret in &stack.secrets {
        assert!(secret.len() > 20, "there is a secret to look for");
        assert!(!said.contains(secret.as_str()), "a secret is in the log");
        assert!(!letters.contains(secret.as_str()), "a secret is in a letter");
    }
}

/// The letters that name this service, oldest first.
fn letters_about(stack: &Stack, id: &str) -> Vec<Value> {
    let mut letters = stack.emulator.letters();
    letters.retain(|letter| letter["Subject"].as_str().is_some_and(|subject| subject.contains(id)));
    letters
}

/// How often this tick was swept, by the log.
fn sweeps(stack: &Stack, tick: u64) -> usize {
    let done = format!("\"message\":\"sweep {tick} done");
    stack.logged().iter().filter(|line| line.contains(&done)).count()
}

/// What the schedule sends.
fn scheduled(minute: u64) -> Value {
    let time = lamplighter_core::Moment::from_millis(i64::try_from(minute * 1_000).unwrap()).to_string();
    json!({"version": "0", "id": "1", "detail-type": "Scheduled Event", "source": "aws.scheduler", "account": "000000000000",
        "time": time, "region": "us-east-1", "resources": [format!("arn:aws:scheduler:us-east-1:000000000000:schedule/default/{ENV}")],
        "detail": "{}"})
}

fn now() -> i64 {
    let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap();
    i64::try_from(now.as_secs()).unwrap()
}
