//! What a rollout costs: write units, and time beside the ideal schedule.

use std::time::Duration;

use lamplighter_core::rollout::{End, Rollout};
use lamplighter_core::update::UpdateStep;
use lamplighter_store::Verb;
use lamplighter_tests::sim::crash::Crash;
use lamplighter_tests::sim::fleet::usual;
use lamplighter_tests::sim::journey::{Deed, Journey, Member, NEW, member};
use lamplighter_tests::sim::journeys::SOAK_CATCHES;
use lamplighter_tests::sim::weather::Chance;
use lamplighter_tests::sim::{World, on_virtual_time};

use crate::{assert_sound, last_rows};

/// Most write units that one updated service may cost, its row at the start included.
const UNITS_MOST: f64 = 40.0;
/// Settle time of the default policy.
const SETTLE: Duration = Duration::from_secs(5);
/// A round trip in the box.
const ROUND_TRIP: Duration = Duration::from_millis(20);

/// A rollout of so many services, the steps of each taking from half to four times as long as usual.
fn rollout_of(count: usize) -> (Journey, World) {
    let mut chance = Chance::new(7);
    let name = |index: usize| -> &'static str { String::leak(format!("s{index:03}")) };
    let pace = |chance: &mut Chance| 50 + u32::try_from(chance.below(351)).expect("small");
    let cast: Vec<Member> =
        (0..count).map(|index| Member { pace: pace(&mut chance), ..member(name(index)) }).collect();
    let journey = Journey {
        name: "many",
        cast: Vec::leak(cast),
        deeds: &[(3_000, Deed::Start(NEW))],
        on_halt: lamplighter_core::rollout::OnHalt::Keep,
        every: 60,
        ends: 3_600,
        end: &[End::Completed],
        rows: &[],
    };
    let world = on_virtual_time(|| journey.play(1, Crash::never()));
    assert_sound(&world, &journey, "no crash");
    (journey, world)
}

#[test]
fn a_service_costs_at_most_forty_write_units_to_update() {
    let count = 20;
    let (_, world) = rollout_of(count);
    let (start, rest) = (world.write_units(Verb::Api), world.write_units(Verb::Advance));
    let each = (start + rest) / f64::from(u32::try_from(count).expect("small"));
    println!("rollout of {count}: {start} write units to start it, {rest} to carry it on, {each} a service");
    assert!(rest > 0.0 && each <= UNITS_MOST);
}

/// What a service's own steps take.
fn steps_of(member: &Member) -> Duration {
    let steps = [UpdateStep::CheckOut, UpdateStep::Install, UpdateStep::Restart];
    steps.into_iter().map(|step| usual(step) * member.pace / 100).sum::<Duration>() + SETTLE
}

/// The shortest that a rollout can take: each stage's services in their order, so many at once, and its soak.
fn ideal(cast: &[&Member], head: &Rollout) -> Duration {
    let mut rest = cast;
    let mut whole = Duration::ZERO;
    for stage in &head.stages {
        let (its, others) = rest.split_at(usize::try_from(stage.size).expect("small"));
        rest = others;
        let mut places = vec![Duration::ZERO; usize::try_from(head.options.at_once).expect("small")];
        for member in its {
            places.sort();
            places[0] += steps_of(member);
        }
        whole += places.into_iter().max().unwrap_or_default() + head.options.soak;
    }
    whole
}

#[test]
fn a_rollout_of_a_hundred_takes_hardly_longer_than_the_ideal_schedule() {
    let (journey, world) = rollout_of(100);
    let rows = last_rows(&world);
    let history = world.table.history();
    let head = history.heads.last().map(|head| head.what.clone()).expect("it began");
    let took = head.ended_at.expect("it ended").since(head.created_at);
    let cast: Vec<&Member> = rows
        .values()
        .filter_map(|row| journey.cast.iter().find(|member| member.id == row.service.as_str()))
        .collect();
    let ideal = ideal(&cast, &head);
    let ratio = took.as_secs_f64() / ideal.as_secs_f64();
    println!("rollout of 100: {took:?}, ideal {ideal:?}, {ratio:.3} times that");
    assert!(ratio <= 1.1, "{ratio}");
    let mut longest = Duration::ZERO;
    for member in journey.cast {
        let mine = |service: &str| service == member.id;
        let begun = history.watches.iter().find(|watch| mine(&watch.service) && watch.update.is_some());
        let settled = history.rows.iter().rev().find(|row| mine(row.what.1.service.as_str()));
        let (begun, settled) = begun.zip(settled).expect("it was updated");
        longest = longest.max(settled.at.since(begun.at).saturating_sub(steps_of(member)));
    }
    println!("at most {longest:?} between its beginning and its verdict that are not its own steps");
    assert!(longest <= ROUND_TRIP * 6, "{longest:?}");
}

#[test]
fn a_service_that_falls_sick_in_its_soak_is_not_looked_at_without_a_pause() {
    for seed in 0..4 {
        let world = on_virtual_time(|| SOAK_CATCHES.play(seed, Crash::never()));
        assert_sound(&world, &SOAK_CATCHES, "no crash");
        let calls: u64 = world.table.history().calls.values().sum();
        let seconds = SOAK_CATCHES.ends;
        println!("{calls} calls of the table in {seconds} s");
        // Most of them are the loops' own, every half minute: less than two a second leave no room for a hot one.
        assert!(calls < seconds * 2, "SEED={seed}: {calls} calls of the table in {seconds} s");
    }
}
