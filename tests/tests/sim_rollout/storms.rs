//! Storms from a seed: hosts that fail, versions that do harm, people who speak, a table on a bad day, and a crash.

use std::time::Duration;

use lamplighter_core::rollout::{OnHalt, RowStatus};
use lamplighter_tests::sim::crash::{Crash, Manner};
use lamplighter_tests::sim::fleet::Temper;
use lamplighter_tests::sim::journey::{Deed, Journey, Member, NEW, member};
use lamplighter_tests::sim::table::BadDay;
use lamplighter_tests::sim::weather::Chance;
use lamplighter_tests::sim::{World, on_virtual_time};

use crate::{Tally, assert_sound, chronicle, whole_matrix};

/// Services of a storm.
const NAMES: [&str; 8] = ["a", "b", "c", "d", "e", "f", "g", "h"];
/// When the weather ends: from then on everything answers.
const CALM: u64 = 240_000;
/// When the story ends: a stray is sought again within half a minute, and a stage soaks for ten minutes at most.
const ENDS: u64 = 2_000;

/// Seeds to play: the one asked for, or so many.
fn seeds(sample: u64) -> Vec<u64> {
    match std::env::var("SEED").ok().and_then(|seed| seed.parse().ok()) {
        Some(seed) => vec![seed],
        None => (0..if whole_matrix() { sample * 50 } else { sample }).collect(),
    }
}

struct Storm {
    cast: Vec<Member>,
    deeds: Vec<(u64, Deed)>,
    on_halt: OnHalt,
    crash: (usize, Manner),
}

fn storm(seed: u64) -> Storm {
    let mut chance = Chance::new(seed ^ 0x0011_0075);
    let cast: Vec<Member> = NAMES.iter().map(|name| weathered(member(name), &mut chance)).collect();
    let mut deeds = vec![(12_000, Deed::Start(NEW)), (CALM, Deed::Table(BadDay::default()))];
    if chance.happens(70) {
        deeds.push((chance.below(40_000), Deed::Table(BadDay::STORMY)));
    }
    for _ in 0..chance.below(6) {
        let name = NAMES[index(&mut chance, NAMES.len())];
        let at = 12_000 + chance.below(CALM - 60_000);
        deeds.push((
            at,
            match chance.below(8) {
                0 => Deed::CutOff(name, 5 + chance.below(45)),
                1 => Deed::CutOff(name, (CALM - at) / 1_000),
                2 => Deed::Reboot(name),
                3 | 4 => Deed::Drop(name),
                5 => Deed::PutOut(name),
                6 => Deed::LoseRemote(name, 30),
                _ => Deed::Soil(name),
            },
        ));
    }
    if chance.happens(20) {
        let at = 15_000 + chance.below(120_000);
        deeds.push((at, Deed::Pause));
        deeds.push((at + 20_000, Deed::Resume));
    }
    if chance.happens(20) {
        deeds.push((15_000 + chance.below(150_000), Deed::Abort { roll_back: chance.happens(50) }));
    }
    let on_halt = if chance.happens(50) { OnHalt::RollBackAll } else { OnHalt::Keep };
    let crash = (30 + index(&mut chance, 250), Manner::ALL[index(&mut chance, 3)]);
    Storm { cast, deeds, on_halt, crash }
}

fn index(chance: &mut Chance, limit: usize) -> usize {
    usize::try_from(chance.below(u64::try_from(limit).expect("small"))).expect("small")
}

fn weathered(member: Member, chance: &mut Chance) -> Member {
    let new = match chance.below(60) {
        0 => Temper::InstallFails,
        1 => Temper::InstallHangs,
        2 => Temper::RestartFails,
        3 => Temper::DownAtStart,
        4 => Temper::StartsSlowly(Duration::from_secs(8)),
        5 => Temper::CrashesAfter(Duration::from_secs(10)),
        _ => Temper::Good,
    };
    let old = if chance.happens(3) { Temper::DownAtStart } else { Temper::Good };
    let pace = 50 + u32::try_from(chance.below(300)).expect("small");
    Member { new, old, pace, ..member }
}

fn blow(seed: u64) -> World {
    let storm = storm(seed);
    let journey = Journey {
        name: "storm",
        // A story lives as long as the tests; a test of a few hundred storms may keep theirs.
        cast: Vec::leak(storm.cast),
        deeds: Vec::leak(storm.deeds),
        on_halt: storm.on_halt,
        every: 5,
        ends: ENDS,
        end: &[],
        rows: &[],
    };
    let (at, manner) = storm.crash;
    let world = on_virtual_time(|| journey.play(seed, Crash::at(at, manner)));
    assert_sound(
        &world,
        &journey,
        &format!("SEED={seed}, crash {manner:?} effect {at}, {:?} {:?}", journey.deeds, journey.cast),
    );
    world
}

#[test]
fn storms_leave_every_service_on_one_version_or_flagged() {
    let mut tally = Tally::default();
    for seed in seeds(40) {
        tally.add(&blow(seed));
    }
    println!("{} storms: {tally}", tally.runs);
    if tally.runs > 1 {
        let fine =
            tally.faults == 0 || tally.of(RowStatus::Success) == 0 || tally.of(RowStatus::RolledBack) == 0;
        assert!(!fine, "the weather was too fine to show anything");
    }
}

#[test]
fn the_same_seed_gives_the_same_history_to_the_byte() {
    for seed in seeds(2) {
        let (once, again) = (chronicle(&blow(seed)), chronicle(&blow(seed)));
        assert_eq!(once, again, "SEED={seed}");
        assert!(once.lines().count() > 40);
    }
}
