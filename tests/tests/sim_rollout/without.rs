//! What is left out must be missed: parts of the guard, and write conditions of the store.

use std::time::Duration;

use lamplighter_core::Moment;
use lamplighter_core::sight::GuardParts;
use lamplighter_core::update::UpdateStep;
use lamplighter_store::Condition;
use lamplighter_tests::sim::check::rollout::violations;
use lamplighter_tests::sim::crash::{Crash, Manner};
use lamplighter_tests::sim::history::{History, Written};
use lamplighter_tests::sim::journey::{Deed, Journey, NEW};
use lamplighter_tests::sim::journeys::*;
use lamplighter_tests::sim::{DAWN_MILLIS, World, on_virtual_time};

use crate::{chronicle, whole_matrix};

/// Longest a call of a far-away table is on its way: others come between a read and its commit.
const FAR: Duration = Duration::from_millis(40);

/// The first violation that a crash at some command brings about on hosts with these parts of the guard alone.
fn first_violation(journey: &Journey, guard: GuardParts) -> Option<String> {
    let counting = Crash::never();
    on_virtual_time(|| journey.play(1, counting.clone()));
    let effects = counting.effects();
    let commands = effects.iter().enumerate().filter(|(_, effect)| effect.starts_with("update "));
    let crashes = commands.map(|(index, _)| Crash::at(index, Manner::Late));
    crashes.chain([Crash::never()]).find_map(|crash| {
        let world = on_virtual_time(|| async {
            let world = World::guarded(1, guard);
            journey.play_in(&world, &[], async |world| world.lives(crash).await).await;
            world
        });
        violations(&world, journey).into_iter().next()
    })
}

#[test]
fn without_the_action_number_a_late_step_is_made_twice() {
    assert_eq!(first_violation(&SUCCESS, GuardParts::ALL), None);
    let found = first_violation(&SUCCESS, GuardParts { action_no: false, ..GuardParts::ALL });
    println!("without the action number: {found:?}");
    assert!(found.is_some(), "the guard is not needed, or the checkers are blind");
}

#[test]
fn without_the_lock_two_services_of_one_host_are_changed_at_once() {
    let found = first_violation(&SUCCESS_OF_TEN, GuardParts { lock: false, ..GuardParts::ALL });
    println!("without the lock: {found:?}");
    assert!(found.is_some_and(|found| found.starts_with("I3")), "nobody missed the lock");
}

/// Plays a journey over a table that is far away, with two engines, and answers what was violated.
fn races(
    journey: &Journey,
    seed: u64,
    deeds: &[(u64, Deed)],
    without: Option<Condition>,
) -> (World, Vec<String>) {
    let world = on_virtual_time(|| async {
        let world = match without {
            Some(condition) => World::new(seed).without(condition),
            None => World::new(seed),
        };
        world.table.is_far_away(FAR);
        journey.play_in(&world, deeds, async |world| world.two(None).await).await;
        world
    });
    let found = violations(&world, journey);
    (world, found)
}

/// How long before some commit of the engine a person's word is spoken: it takes its own way to the table.
const BEFORE: std::ops::Range<u64> = 0..480;

/// Speaks `deed` around the moment that `when` finds in the history of an undisturbed rollout: something is lost without
/// `condition`, and nothing with it.
fn is_missed(condition: Condition, deed: Deed, when: impl Fn(&History) -> Moment) {
    let open = Journey { end: &[], rows: &[], every: 60, ..SUCCESS };
    let open = Journey { deeds: &[(3_000, Deed::Start(NEW))], ..open };
    let step = if whole_matrix() { 4 } else { 12 };
    let (calm, _) = races(&open, 1, &[], None);
    let at = when(&calm.table.history());
    let at = u64::try_from(at.as_millis() - DAWN_MILLIS).expect("after dawn");
    let spoken = |before: u64| [(at - before, deed), (at + 30_000, Deed::Resume)];
    let mut found = BEFORE.step_by(step).filter_map(|before| {
        let lost = races(&open, 1, &spoken(before), Some(condition)).1;
        lost.into_iter().next().map(|lost| (before, lost))
    });
    let Some((before, lost)) = found.next() else { panic!("nothing fails without {condition:?}") };
    println!("without {condition:?}, spoken {before} ms before: {lost}");
    let (world, found) = races(&open, 1, &spoken(before), None);
    assert!(found.is_empty(), "with {condition:?}: {found:?}\n{}", chronicle(&world));
}

// That of two starts at once one wins is shown at the store: here the rollout's number masks the app's version.
#[test]
fn a_word_and_a_verdict_at_once_both_count_by_the_version_of_the_head() {
    is_missed(Condition::RolloutVersion, Deed::Pause, |history| {
        history
            .heads
            .iter()
            .find(|head| head.what.stage == 1 && head.what.under_way.len() == 1)
            .expect("begun")
            .at
    });
}

#[test]
fn an_abort_comes_before_the_next_step_by_the_steering_of_the_head() {
    is_missed(Condition::RolloutGoesOn, Deed::Abort { roll_back: false }, |history| {
        let installs =
            |watch: &&Written| watch.update.as_ref().is_some_and(|update| update.step == UpdateStep::Install);
        history.watches.iter().find(installs).expect("begun").at
    });
}

#[test]
fn races_over_a_table_far_away_lose_nothing() {
    for journey in [&SUCCESS_OF_TEN, &TWO_STARTS, &HALT_AND_BACK, &SOAK_CATCHES] {
        for seed in 0..if whole_matrix() { 40 } else { 4 } {
            let steered = [(13_000 + seed * 317, Deed::Pause), (20_000 + seed * 997, Deed::Resume)];
            let (world, found) = races(journey, seed, &steered, None);
            assert!(found.is_empty(), "{} seed {seed}: {found:?}\n{}", journey.name, chronicle(&world));
        }
    }
}
