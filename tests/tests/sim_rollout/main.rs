//! Rollouts in the simulator: every journey, with a crash at its effects in each manner; a person's word at every moment;
//! storms by seed; two engines; missing write conditions and missing parts of the guard; what it all costs.
//!
//! `SEED=n` replays one storm; `MATRIX=all` runs every crash point and many more seeds instead of a sample.
#![expect(clippy::print_stdout, reason = "a simulation ends with its tally")]
#![expect(clippy::expect_used, reason = "a test that cannot be set up must stop")]

mod cost;
mod crashes;
mod steering;
mod storms;
mod without;

use std::collections::BTreeMap;
use std::fmt;

use lamplighter_core::rollout::{Row, RowStatus};
use lamplighter_tests::sim::check::rollout::violations;
use lamplighter_tests::sim::crash::Crash;
use lamplighter_tests::sim::journey::Journey;
use lamplighter_tests::sim::{World, on_virtual_time};

fn whole_matrix() -> bool {
    std::env::var("MATRIX").is_ok_and(|matrix| matrix == "all")
}

/// Plays a journey and fails with everything that was violated, and how to see it again.
fn play(journey: &Journey, seed: u64, crash: Crash, what: &str) -> World {
    let world = on_virtual_time(|| journey.play(seed, crash));
    assert_sound(&world, journey, &format!("{what}, SEED={seed}"));
    world
}

fn assert_sound(world: &World, journey: &Journey, what: &str) {
    let found = violations(world, journey);
    assert!(found.is_empty(), "{} ({what}):\n  {}\n{}", journey.name, found.join("\n  "), chronicle(world));
}

/// What happened, for a person who looks for the reason.
fn chronicle(world: &World) -> String {
    let mut lines = world.fleet.memory().log.clone();
    let history = world.table.history();
    lines.extend(history.watches.iter().map(|watch| {
        let update = watch.update.as_ref().map(|update| {
            let stray = if update.stray { ", stray" } else { "" };
            format!(", {:?} {} as {}{stray}", update.way, update.step, update.action_no)
        });
        let (at, service, version, status) = (watch.at, &watch.service, watch.version, &watch.status);
        format!("{at} {service} v{version} {status}{}", update.unwrap_or_default())
    }));
    lines.extend(history.heads.iter().map(|head| {
        let (at, head) = (head.at, &head.what);
        let (id, version, status, because) = (&head.id, head.version, head.status(), &head.because);
        format!("{at} {id} v{version} {status}: {because}; under way {:?}", head.under_way)
    }));
    lines.extend(history.rows.iter().map(|row| {
        let (at, (rollout, row)) = (row.at, &row.what);
        format!("{at} {rollout} row {} {} {}: {}", row.index, row.service, row.status.as_str(), row.because)
    }));
    lines.extend(history.notices.iter().map(|notice| format!("{} notice {}", notice.at, notice.id)));
    lines.sort();
    lines.join("\n")
}

/// The rows of the last rollout, as they are at the end.
fn last_rows(world: &World) -> BTreeMap<u32, Row> {
    let history = world.table.history();
    let Some(last) = history.heads.last() else { return BTreeMap::new() };
    let of_it = history.rows.iter().filter(|row| row.what.0 == last.what.id);
    of_it.map(|row| (row.what.1.index, row.what.1.clone())).collect()
}

/// What became of services over many runs: a rollout that always rolls back satisfies every safety check.
#[derive(Default)]
struct Tally {
    runs: usize,
    rows: BTreeMap<&'static str, usize>,
    ends: BTreeMap<&'static str, usize>,
    refused: usize,
    faults: u64,
}

impl Tally {
    fn add(&mut self, world: &World) {
        self.runs += 1;
        for row in last_rows(world).values() {
            *self.rows.entry(row.status.as_str()).or_default() += 1;
        }
        let history = world.table.history();
        if let Some(head) = history.heads.last() {
            *self.ends.entry(head.what.status()).or_default() += 1;
        }
        self.refused += world.fleet.memory().refused.len();
        self.faults += history.faults;
    }

    fn of(&self, status: RowStatus) -> usize {
        self.rows.get(status.as_str()).copied().unwrap_or_default()
    }
}

impl fmt::Display for Tally {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "no violation")?;
        for (what, count) in self.ends.iter().chain(&self.rows) {
            write!(f, "; {count} {}", what.replace('_', " "))?;
        }
        write!(f, "; {} commands refused by the guard, {} faults of the table", self.refused, self.faults)
    }
}
