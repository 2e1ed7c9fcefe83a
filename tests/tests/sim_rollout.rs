//! Rollouts in the simulator: every journey, a crash at a sample of its effects in each manner; storms by seed; steering
//! at every moment; missing write conditions and missing parts of the guard.
//!
//! `SEED=n` replays one storm; `MATRIX=all` runs every crash point and many more seeds instead of a sample.
#![expect(clippy::print_stdout, reason = "a simulation ends with its tally")]

use lamplighter_tests::sim::check::rollout::violations;
use lamplighter_tests::sim::crash::Crash;
use lamplighter_tests::sim::journey::Journey;
use lamplighter_tests::sim::{World, on_virtual_time};

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
            format!("{:?} {} as {}{stray}", update.way, update.step, update.action_no)
        });
        format!("{} {} v{} {} {update:?}", watch.at, watch.service, watch.version, watch.status)
    }));
    lines.extend(history.heads.iter().map(|head| {
        let head = (&head.at, &head.what);
        format!(
            "{} {} v{} {}: {} {:?}",
            head.0,
            head.1.id,
            head.1.version,
            head.1.status(),
            head.1.because,
            head.1.under_way
        )
    }));
    lines.extend(history.rows.iter().map(|row| {
        let (rollout, row) = (&row.what.0, (&row.at, &row.what.1));
        format!(
            "{} {rollout} row {} {}: {} {}",
            row.0,
            row.1.index,
            row.1.service,
            row.1.status.as_str(),
            row.1.because
        )
    }));
    lines.extend(history.notices.iter().map(|notice| format!("{} notice {}", notice.at, notice.id)));
    lines.sort();
    lines.join("\n")
}

#[test]
fn every_journey_ends_as_it_must_without_a_crash() {
    let mut failed = Vec::new();
    for journey in Journey::ALL {
        let began = std::time::Instant::now();
        let counting = Crash::never();
        let world = on_virtual_time(|| journey.play(1, counting.clone()));
        let found = violations(&world, journey);
        println!(
            "{}: {} effects, {} commands, {:?}",
            journey.name,
            counting.effects().len(),
            world.fleet.memory().commands.len(),
            began.elapsed()
        );
        if !found.is_empty() {
            failed.push(format!("{}:\n  {}\n{}", journey.name, found.join("\n  "), chronicle(&world)));
        }
    }
    assert!(failed.is_empty(), "{}", failed.join("\n\n"));
}
