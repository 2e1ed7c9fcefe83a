//! A person's word at every moment of a rollout, and two engines that carry it.

use std::time::Duration;

use lamplighter_core::rollout::{End, RowStatus};
use lamplighter_tests::sim::crash::{Crash, Manner};
use lamplighter_tests::sim::journey::{Deed, Journey};
use lamplighter_tests::sim::journeys::*;
use lamplighter_tests::sim::{Stop, World, on_virtual_time};

use crate::{Tally, assert_sound, last_rows, whole_matrix};

/// Moments of a rollout of ten, in milliseconds after dawn: all of its first stage and its second, closely; `sample`
/// thins them out.
fn moments(sample: usize) -> impl Iterator<Item = u64> {
    let step = if whole_matrix() { 100 } else { 100 * sample };
    (12_000..25_000)
        .step_by(step)
        .chain((54_000..72_000).step_by(step))
        .chain((72_000..138_000).step_by(step * 10))
}

/// A journey in which somebody speaks at `millis`: where it ends depends on when that was.
fn interrupted(journey: &Journey, millis: u64, deeds: &[(u64, Deed)], crash: Crash) -> World {
    let open = Journey { end: &[], rows: &[], ..*journey };
    let world = on_virtual_time(|| async {
        let world = World::new(millis);
        open.play_in(&world, deeds, async |world| world.lives(crash).await).await;
        world
    });
    assert_sound(&world, &open, &format!("{deeds:?}"));
    world
}

#[test]
fn an_abort_at_any_moment_comes_before_the_next_change() {
    let mut tally = Tally::default();
    for (nth, millis) in moments(10).enumerate() {
        let roll_back = nth % 2 == 1;
        let world =
            interrupted(&SUCCESS_OF_TEN, millis, &[(millis, Deed::Abort { roll_back })], Crash::never());
        let ended = world.table.history().heads.last().map(|head| head.what.status());
        assert_eq!(ended, Some(End::Aborted.as_str()), "aborted at {millis}");
        let kept = last_rows(&world).values().filter(|row| row.status == RowStatus::Success).count();
        assert!(
            !roll_back || kept == 0,
            "{kept} services kept the target after an abort at {millis} that takes all back"
        );
        tally.add(&world);
    }
    println!("{} aborts: {tally}", tally.runs);
    assert!(tally.of(RowStatus::Success) > 0 && tally.of(RowStatus::RolledBack) > 0);
}

#[test]
fn an_abort_survives_a_crash() {
    let mut tally = Tally::default();
    for (nth, millis) in moments(17).enumerate() {
        let manner = Manner::ALL[nth % 3];
        let deed = Deed::Abort { roll_back: nth % 2 == 0 };
        let crash = Crash::at(20 + nth * 7 % 120, manner);
        tally.add(&interrupted(&ONE_GOES_BACK, millis, &[(millis, deed)], crash));
    }
    println!("{} aborts and crashes: {tally}", tally.runs);
}

#[test]
fn a_pause_at_any_moment_begins_nothing_and_loses_nothing() {
    let mut tally = Tally::default();
    for millis in moments(17) {
        let deeds = [(millis, Deed::Pause), (millis + 40_000, Deed::Resume)];
        let world = interrupted(&SUCCESS_OF_TEN, millis, &deeds, Crash::never());
        let ended = world.table.history().heads.last().map(|head| head.what.status());
        assert_eq!(ended, Some(End::Completed.as_str()), "paused at {millis}");
        tally.add(&world);
    }
    println!("{} pauses: {tally}", tally.runs);
}

/// Two engines over one table.
fn two_engines(journey: &Journey, stop: Option<Stop>, world: impl FnOnce() -> World) -> World {
    on_virtual_time(|| async {
        let world = world();
        journey.play_in(&world, &[], async |world| world.two(stop).await).await;
        world
    })
}

#[test]
fn two_engines_over_one_table_are_as_good_as_one() {
    for journey in [&SUCCESS, &ONE_GOES_BACK, &HALT_AND_BACK, &SOAK_CATCHES, &POWER_CUT] {
        let world = two_engines(journey, None, || World::new(1));
        assert_sound(&world, journey, "two engines");
    }
}

#[test]
fn an_engine_that_slept_past_its_lease_does_nothing_twice() {
    let (mut tally, step) = (Tally::default(), if whole_matrix() { 130 } else { 1_300 });
    for journey in [&SUCCESS, &SOAK_CATCHES] {
        for from in (12_010..30_000).step_by(step) {
            for which in [0, 1] {
                let stop = Stop { which, from: Duration::from_millis(from), lasts: Duration::from_secs(100) };
                let world = two_engines(journey, Some(stop), || World::new(1));
                assert_sound(&world, journey, &format!("{stop:?}"));
                tally.add(&world);
            }
        }
    }
    println!("{} engines that slept: {tally}", tally.runs);
}
