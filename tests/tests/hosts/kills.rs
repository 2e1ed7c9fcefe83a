//! Twenty hosts, and a server that is killed ten times on the way; before that, undisturbed and measured.

use std::collections::BTreeMap;
use std::thread;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use lamplighter_core::moment::Moment;
use serde_json::{Value, json};

use super::fleet::Shown;
use super::quarter::{Quarter, SETTLE, row};

/// How often the server is killed.
const KILLS: usize = 10;
/// Shortest and longest life between two kills: from before its first step to well into several.
const LIFE_MILLIS: std::ops::Range<u64> = 200..4_000;
/// Longest until a server that is back gets on where services are half-way, a settle time that begins anew included.
const RESUMED_LIMIT: Duration = Duration::from_secs(5);
/// An install that takes long enough to be met by a kill.
pub(crate) const INSTALL: &str = "sleep 1; ./install.sh";

/// Chooses numbers that look random and can be chosen again. From Marsaglia's xorshift.
struct Dice(u64);

impl Dice {
    fn roll(&mut self, range: std::ops::Range<u64>) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        range.start + self.0 % (range.end - range.start)
    }
}

/// What can be compared between one rollout and another. The order of the services is each one's own.
fn gist(rollout: &Value) -> Value {
    let services = rollout["services"].as_array().unwrap().iter().map(|row| {
        let is_there = row["current"] == rollout["target"];
        (row["id"].as_str().unwrap().to_owned(), json!([row["status"], is_there]))
    });
    let services: BTreeMap<String, Value> = services.collect();
    json!({"status": rollout["status"], "stages": rollout["stages"], "services": services})
}

fn order(target: &str) -> Value {
    json!({"app": "town", "target": target, "options": {"soak": "3s"}})
}

fn each_was_updated_once(quarter: &Quarter<'_>, target: &str, before: &[Shown]) {
    for ((host, was), is) in quarter.app("town").hosts.iter().zip(before).zip(quarter.shown("town")) {
        assert_eq!(is.head, target, "{}", host.name);
        assert_eq!(is.asked, was.asked + 1, "restarts of {}\n{}", host.name, quarter.said());
        assert_eq!(is.starts, was.starts + 1, "starts of {}", host.name);
        assert_eq!(is.changes, "");
        quarter.only_rollouts_acted_on(&quarter.app("town").service(host), "town");
    }
}

#[expect(clippy::print_stderr, reason = "numbers are what this is for")]
pub(crate) fn undisturbed_and_killed(quarter: &mut Quarter<'_>) {
    let (first, before) = (quarter.fleet.push("town", "town-1"), quarter.shown("town"));
    let id = quarter.start(&order(&first));
    let calm = quarter.ended(&id, "completed");
    each_was_updated_once(quarter, &first, &before);
    never_too_many_at_once(quarter, &calm);
    measure(quarter, &calm);

    let seed = match std::env::var("LAMPLIGHTER_SEED") {
        Ok(seed) => seed.parse().unwrap(),
        Err(_) => u64::try_from(SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_millis()).unwrap(),
    };
    eprintln!("  LAMPLIGHTER_SEED={seed}");
    let mut dice = Dice(seed | 1);
    let (second, before) = (quarter.fleet.push("town", "town-2"), quarter.shown("town"));
    let id = quarter.start(&order(&second));
    let mut lives = Vec::new();
    for _ in 0..KILLS {
        thread::sleep(Duration::from_millis(dice.roll(LIFE_MILLIS)));
        let under_way = quarter.rollout(&id);
        quarter.kill_server();
        lives.push((Moment::from(SystemTime::now()), under_way));
    }
    let stormy = quarter.ended(&id, "completed");
    assert!(lives.last().unwrap().1["ended_at"].is_null(), "it was over before the last kill");
    assert_eq!(gist(&stormy), gist(&calm), "{}", quarter.said());
    each_was_updated_once(quarter, &second, &before);
    assert!(quarter.letter(&id).subject.contains("completed"));
    never_too_many_at_once(quarter, &stormy);
    resumed(quarter, &stormy, &lives);
}

/// How soon each life got on: intended a step, or settled a service. One that was killed before it could says nothing.
#[expect(clippy::print_stderr, reason = "numbers are what this is for")]
fn resumed(quarter: &Quarter<'_>, end: &Value, lives: &[(Moment, Value)]) {
    let steps = steps_of(quarter, end["id"].as_str().unwrap());
    let settled = end["services"].as_array().unwrap().iter().map(|row| moment(&row["settled_at"]));
    let mut progress: Vec<Moment> =
        steps.iter().map(|step| moment(&step["timestamp"])).chain(settled).collect();
    progress.sort();
    let mut took = Vec::new();
    for (number, (back, under_way)) in lives.iter().enumerate() {
        let ended = lives.get(number + 1).map(|(next, _)| *next);
        let next = progress.iter().copied().find(|at| at >= back && ended.is_none_or(|ended| *at < ended));
        let busy = under_way["under_way"].as_array().unwrap().len();
        let words = next.map_or("nothing before the next kill".to_owned(), |at| {
            format!("got on after {:.2} s", at.since(*back).as_secs_f64())
        });
        eprintln!("  life {}: {busy} services under way, {words}", number + 2);
        took.extend(next.filter(|_| busy > 0).map(|at| at.since(*back)));
    }
    let longest = took.iter().max().copied().unwrap_or_default();
    assert!(!took.is_empty() && longest <= RESUMED_LIMIT, "{took:?}");
}

/// Never were more services half-way than may be: from the first step intended to the end.
fn never_too_many_at_once(quarter: &Quarter<'_>, end: &Value) {
    let mut turns: Vec<(Moment, i32)> = Vec::new();
    for (service, began) in begun(quarter, end) {
        let settled = moment(&row(end, &service)["settled_at"]);
        turns.extend([(began, 1), (settled, -1)]);
    }
    // One that ends makes room for one that begins in the same millisecond.
    turns.sort();
    let most = turns.iter().scan(0, |half_way, (_, turn)| {
        *half_way += turn;
        Some(*half_way)
    });
    assert_eq!(most.max(), Some(5), "{turns:?}");
}

/// When the first step of each service was intended.
fn begun(quarter: &Quarter<'_>, end: &Value) -> BTreeMap<String, Moment> {
    let mut begun = BTreeMap::new();
    for step in steps_of(quarter, end["id"].as_str().unwrap()) {
        let service = step["service"].as_str().unwrap().to_owned();
        begun.entry(service).or_insert_with(|| moment(&step["timestamp"]));
    }
    begun
}

/// The steps that were intended for a rollout, oldest first.
fn steps_of(quarter: &Quarter<'_>, id: &str) -> Vec<Value> {
    let mut all = quarter.audit();
    all.retain(|entry| entry["by"] == id && !entry["action_no"].is_null());
    all
}

fn moment(text: &Value) -> Moment {
    serde_json::from_value(text.clone()).unwrap()
}

/// Prints what the engine took besides the steps' own time.
#[expect(clippy::print_stderr, clippy::cast_precision_loss, reason = "numbers are what this is for")]
fn measure(quarter: &Quarter<'_>, calm: &Value) {
    let (own, begun) = (own_time(quarter), begun(quarter, calm));
    let rows = calm["services"].as_array().unwrap();
    let took =
        |row: &Value| moment(&row["settled_at"]).since(begun[row["id"].as_str().unwrap()]).as_secs_f64();
    let mut each: Vec<f64> = rows.iter().map(took).collect();
    each.sort_by(f64::total_cmp);
    let own_secs = own.as_secs_f64();
    let whole = moment(&calm["ended_at"]).since(moment(&calm["created_at"])).as_secs_f64();
    let rounds: usize = [2, 8, 10].iter().map(|size: &usize| size.div_ceil(5)).sum();
    let ideal = rounds as f64 * own_secs + 3.0 * 3.0;
    eprintln!(
        "  20 services: own time {own_secs:.2} s each; took {:.2} s at least, {:.2} s in the middle, {:.2} s at most; \
         overhead {:.0} ms in the middle\n  whole rollout {whole:.1} s, ideal {ideal:.1} s: {:.2}",
        each[0],
        each[each.len() / 2],
        each[each.len() - 1],
        (each[each.len() / 2] - own_secs) * 1e3,
        whole / ideal,
    );
}

/// What the steps of one update take by hand on one host, with nobody else at work there: check out, install, restart;
/// and settle.
fn own_time(quarter: &Quarter<'_>) -> Duration {
    let host = &quarter.app("town").hosts[0].name;
    let target = quarter.fleet.push("hand", "by-hand");
    let back = quarter.fleet.shown(host).head;
    let as_user = |steps: &str| format!("su -s /bin/sh deploy -c 'cd /srv/{host} && {steps}' >/dev/null");
    let there = as_user(&format!(
        "git fetch -q --no-tags origin hand && git checkout -q --detach {target} && {INSTALL}"
    ));
    let and_back = as_user(&format!("git checkout -q --detach {back} && ./install.sh"));
    let restart = format!("systemctl restart {host}");
    let took = format!(
        "began=$(date +%s%N); {there}; {restart}; echo $(($(date +%s%N) - began)); {and_back}; {restart}"
    );
    Duration::from_nanos(quarter.fleet.exec(host, &took).parse().unwrap()) + SETTLE
}
