//! Calls that come twice, processes that die in one, and a table that has bad days.

use lamplighter_tests::sim::apart::{Calls, Home};
use lamplighter_tests::sim::check::assert_sound;
use lamplighter_tests::sim::crash::{Crash, Manner};
use lamplighter_tests::sim::crowd::{Known, Member};
use lamplighter_tests::sim::story::{
    ALL_AT_ONCE, BAD_DAY, BLACK_HOLE, CUT_OFF, DIGEST, DIGEST_HEALED, FLAPPING, HEAL, HOPELESS, MENDED,
    Story, TWO,
};
use lamplighter_tests::sim::{World, on_virtual_time};

use crate::{TWICE, seeds, whole_matrix};

/// Plays a story with its services in two shards by turns.
async fn play_story(story: &Story, seed: u64, calls: Calls, crash: Crash) -> World {
    let world = World::new(seed);
    let mut fleet = vec![Vec::new(), Vec::new()];
    for (number, (id, nature)) in story.services.iter().enumerate() {
        fleet[number % 2].push(Member { id: (*id).to_owned(), nature: *nature });
    }
    fleet.retain(|shard| !shard.is_empty());
    Box::pin(world.settle_shards(&fleet, Known::Nothing)).await;
    let home = Home::new(&world, calls, seed, crash);
    story.unfold(&world, async |_| home.run().await).await;
    drop(home);
    world
}

/// Crashes of one process at a sample of a story's effects, in each manner, while every call comes twice.
fn crash_everywhere(story: &Story, sample: usize) {
    let counting = Crash::never();
    let world = on_virtual_time(|| play_story(story, 1, TWICE, counting.clone()));
    assert_sound(&world, story, "without a crash");
    let effects = counting.effects();
    let step = if whole_matrix() { 1 } else { (effects.len() / sample).max(1) };
    let mut runs = 0;
    for index in (0..effects.len()).step_by(step) {
        for manner in Manner::ALL {
            let what = format!("crash {manner:?} effect {index} of {}: {}", effects.len(), effects[index]);
            let world = on_virtual_time(|| play_story(story, 1, TWICE, Crash::at(index, manner)));
            assert_sound(&world, story, &what);
            runs += 1;
        }
    }
    println!("{}: {} effects, {runs} crashes, no violation", story.name, effects.len());
}

#[test]
fn a_heal_survives_calls_that_come_twice_and_a_process_that_dies() {
    crash_everywhere(&HEAL, 18);
    crash_everywhere(&TWO, 12);
}

#[test]
fn breakers_survive_calls_that_come_twice_and_a_process_that_dies() {
    for story in [&HOPELESS, &MENDED, &FLAPPING] {
        crash_everywhere(story, 3);
    }
}

#[test]
fn hosts_cut_off_are_told_of_once_whatever_dies() {
    for story in [&CUT_OFF, &ALL_AT_ONCE, &DIGEST, &DIGEST_HEALED] {
        crash_everywhere(story, 3);
    }
}

#[test]
fn storms_lose_nothing_and_do_nothing_twice() {
    let mut tally = [0_u64; 3];
    for seed in seeds(4) {
        let at = usize::try_from(seed * 37).expect("small");
        let manner = Manner::ALL[usize::try_from(seed % 3).expect("small")];
        for story in [&BAD_DAY, &BLACK_HOLE] {
            let world = on_virtual_time(|| play_story(story, seed, TWICE, Crash::at(at, manner)));
            assert_sound(&world, story, &format!("storm, crash {manner:?} effect {at}, SEED={seed}"));
            tally[0] += world.fleet.memory().commands.len() as u64;
            tally[1] += world.fleet.memory().refused.len() as u64;
            tally[2] += world.table.history().faults;
        }
    }
    let [commands, refused, faults] = tally;
    println!("storms: {commands} restarts, {refused} refused by the guard, {faults} faults of the table");
    assert!(commands > 0 && faults > 0, "the weather was too fine to show anything");
}
