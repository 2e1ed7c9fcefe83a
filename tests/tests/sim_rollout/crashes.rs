//! Every journey, and a crash at its effects: the end is the same as without.

use std::time::Duration;

use lamplighter_core::update::Way;
use lamplighter_tests::sim::crash::{Crash, Manner};
use lamplighter_tests::sim::fleet::Act;
use lamplighter_tests::sim::journey::Journey;
use lamplighter_tests::sim::journeys::*;
use lamplighter_tests::sim::{World, on_virtual_time};

use crate::{Tally, assert_sound, play, whole_matrix};

/// A crash at the effects of a journey, in each manner. All effects that concern the rollout are taken, or a sample of so
/// many; of the sweeps' own, which are many and alike, some.
fn crash_everywhere(journey: &Journey, sample: usize) {
    let counting = Crash::never();
    let world = on_virtual_time(|| journey.play(1, counting.clone()));
    assert_sound(&world, journey, "without a crash");
    let effects = counting.effects();
    let (its_own, others): (Vec<usize>, Vec<usize>) =
        (0..effects.len()).partition(|index| !effects[*index].starts_with("UpdateItem SHARDS/"));
    let mut points = thinned(&its_own, sample);
    points.extend(thinned(&others, sample.min(its_own.len()) / 10));
    let mut tally = Tally::default();
    for index in points {
        for manner in Manner::ALL {
            let what = format!("crash {manner:?} effect {index} of {}: {}", effects.len(), effects[index]);
            tally.add(&play(journey, 1, Crash::at(index, manner), &what));
        }
    }
    println!("{}: {} effects, {} crashes, {tally}", journey.name, effects.len(), tally.runs);
}

fn thinned(points: &[usize], sample: usize) -> Vec<usize> {
    let step = if whole_matrix() { 1 } else { (points.len() / sample.max(1)).max(1) };
    points.iter().copied().step_by(step).collect()
}

#[test]
fn a_rollout_of_three_survives_a_crash_at_every_effect() {
    crash_everywhere(&SUCCESS, usize::MAX);
}

#[test]
fn a_rollout_of_ten_survives_a_crash() {
    crash_everywhere(&SUCCESS_OF_TEN, 12);
}

#[test]
fn a_service_that_goes_back_survives_a_crash() {
    crash_everywhere(&ONE_GOES_BACK, 12);
}

#[test]
fn an_install_that_never_ends_is_killed_and_goes_back_whatever_crashes() {
    crash_everywhere(&HANGING_INSTALL, 6);
}

#[test]
fn a_halt_survives_a_crash() {
    crash_everywhere(&HALT, 10);
}

#[test]
fn a_roll_back_of_everything_survives_a_crash() {
    crash_everywhere(&HALT_AND_BACK, 12);
}

#[test]
fn a_service_that_dies_in_its_soak_goes_back_whatever_crashes() {
    crash_everywhere(&SOAK_CATCHES, 12);
}

#[test]
fn a_slow_start_is_waited_for_whatever_crashes() {
    crash_everywhere(&SLOW_START, 6);
}

#[test]
fn a_host_that_vanishes_is_taken_back_when_it_answers_whatever_crashes() {
    crash_everywhere(&VANISHES, 12);
}

#[test]
fn a_host_that_is_away_for_a_minute_is_waited_for_whatever_crashes() {
    crash_everywhere(&BLINKS, 6);
}

#[test]
fn a_power_cut_in_the_middle_is_made_good_whatever_crashes() {
    crash_everywhere(&POWER_CUT, 8);
}

#[test]
fn where_there_is_no_way_back_a_person_is_called_whatever_crashes() {
    crash_everywhere(&NO_WAY_BACK, 8);
}

#[test]
fn where_something_is_in_the_way_nothing_is_changed_whatever_crashes() {
    crash_everywhere(&OBSTACLES, 6);
}

#[test]
fn a_pause_survives_a_crash() {
    crash_everywhere(&PAUSED, 6);
}

#[test]
fn of_two_starts_at_once_one_wins_whatever_crashes() {
    crash_everywhere(&TWO_STARTS, 6);
}

#[test]
fn a_halted_version_is_brought_again_only_by_force_whatever_crashes() {
    crash_everywhere(&RETRIED, 6);
}

#[test]
fn a_push_during_a_rollout_waits_for_it_and_is_brought_once_whatever_crashes() {
    crash_everywhere(&PUSHED, 8);
}

#[test]
fn a_removed_service_is_let_go_whatever_crashes() {
    crash_everywhere(&REMOVED, 6);
}

/// The time from each command that failed to the first one on the way back.
fn turns(world: &World) -> Vec<Duration> {
    let memory = world.fleet.memory();
    let mut turns = Vec::new();
    for (index, command) in memory.commands.iter().enumerate() {
        let Act::Step { way: Way::Forward, .. } = &command.act else { continue };
        let next = memory.commands[index + 1..].iter().find(|next| next.service == command.service);
        if let Some(next) = next.filter(|next| matches!(next.act, Act::Step { way: Way::Back, .. })) {
            turns.push(next.at.since(command.lands));
        }
    }
    turns
}

#[test]
fn the_way_back_begins_within_five_seconds_of_the_failing_step() {
    for journey in [&ONE_GOES_BACK, &HANGING_INSTALL] {
        let world = play(journey, 1, Crash::never(), "no crash");
        let turns = turns(&world);
        println!("{}: the way back began after {turns:?}", journey.name);
        assert!(turns.len() == 1 && turns[0] < Duration::from_secs(5), "{turns:?}");
    }
}
