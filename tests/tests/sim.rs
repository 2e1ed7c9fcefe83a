//! The simulator's sample: every story, a crash at a sample of its effects, in each manner; storms by seed; two engines
//! over one table; a paused engine; a missing guard; missing write conditions; replays.
//!
//! `SEED=n` replays one storm; `MATRIX=all` runs every crash point and many more seeds instead of a sample.
#![expect(clippy::expect_used, reason = "a test that cannot be set up must stop")]
#![expect(clippy::print_stdout, reason = "a simulation ends with its tally")]

use std::time::Duration;

use lamplighter_app::people;
use lamplighter_core::sight::GuardParts;
use lamplighter_store::{Condition, Expected};
use lamplighter_tests::sim::check::{assert_sound, chronicle, violations};
use lamplighter_tests::sim::crash::{Crash, Manner};
use lamplighter_tests::sim::story::{
    ALL_AT_ONCE, ALL_DIE, BAD_DAY, BLACK_HOLE, BLINK, CUT_OFF, DIGEST, DIGEST_HEALED, FLAPPING, HEAL,
    HOPELESS, MENDED, QUIET, Story, TWO,
};
use lamplighter_tests::sim::{Stop, World, id, on_virtual_time};

fn whole_matrix() -> bool {
    std::env::var("MATRIX").is_ok_and(|matrix| matrix == "all")
}

/// Seeds to play: the one asked for, or so many.
fn seeds(sample: u64) -> Vec<u64> {
    match std::env::var("SEED").ok().and_then(|seed| seed.parse().ok()) {
        Some(seed) => vec![seed],
        None => (0..if whole_matrix() { sample * 50 } else { sample }).collect(),
    }
}

/// Plays a story and fails with everything that was violated, and how to see it again.
fn play(story: &Story, seed: u64, crash: Crash, what: &str) -> World {
    let world = on_virtual_time(|| story.play(seed, crash));
    assert_sound(&world, story, &format!("{what}, SEED={seed}"));
    world
}

/// A crash at the effects of a story, in each manner: at all of them, or at a sample of so many.
fn crash_everywhere(story: &Story, sample: usize) {
    let counting = Crash::never();
    let world = on_virtual_time(|| story.play(1, counting.clone()));
    assert_sound(&world, story, "without a crash");
    let effects = counting.effects();
    let step = if whole_matrix() { 1 } else { (effects.len() / sample).max(1) };
    let mut runs = 0;
    for index in (0..effects.len()).step_by(step) {
        for manner in Manner::ALL {
            let what = format!("crash {manner:?} effect {index} of {}: {}", effects.len(), effects[index]);
            play(story, 1, Crash::at(index, manner), &what);
            runs += 1;
        }
    }
    println!("{}: {} effects, {runs} crashes, no violation", story.name, effects.len());
}

#[test]
fn a_heal_survives_a_crash_at_every_effect() {
    crash_everywhere(&HEAL, usize::MAX);
}

#[test]
fn two_at_once_survive_a_crash() {
    crash_everywhere(&TWO, 20);
}

#[test]
fn an_open_breaker_survives_a_crash() {
    crash_everywhere(&HOPELESS, 20);
}

#[test]
fn a_mending_by_hand_survives_a_crash() {
    crash_everywhere(&MENDED, 10);
}

#[test]
fn flapping_is_ended_whatever_crashes() {
    crash_everywhere(&FLAPPING, 10);
}

#[test]
fn a_host_cut_off_is_never_restarted() {
    crash_everywhere(&CUT_OFF, 8);
    let world = play(&CUT_OFF, 2, Crash::never(), "no crash");
    assert_eq!(world.fleet.memory().commands.len(), 0);
}

#[test]
fn when_everything_is_cut_off_only_the_admins_are_told_once() {
    crash_everywhere(&ALL_AT_ONCE, 8);
    let world = play(&ALL_AT_ONCE, 2, Crash::never(), "no crash");
    assert_eq!(world.fleet.memory().commands.len(), 0);
    let told: Vec<String> = world.post.book().iter().map(|letter| letter.to.clone()).collect();
    assert_eq!(told, ["ops@example.com"], "{}", chronicle(&world));
}

#[test]
fn when_everything_dies_nothing_is_restarted_until_a_tick_is_back_under_the_limit() {
    crash_everywhere(&ALL_DIE, 8);
    let world = play(&ALL_DIE, 2, Crash::never(), "no crash");
    let memory = world.fleet.memory();
    let commands: Vec<(&str, i64)> = memory
        .commands
        .iter()
        .map(|command| {
            (command.service.as_str(), (command.at.as_millis() - lamplighter_tests::sim::DAWN_MILLIS) / 1_000)
        })
        .collect();
    assert!(
        commands.iter().all(|(service, second)| ["e", "f"].contains(service) && *second >= 400),
        "{commands:?}"
    );
    assert_eq!(commands.len(), 2);
}

#[test]
fn a_dozen_changes_for_one_owner_are_one_letter_whatever_crashes() {
    crash_everywhere(&DIGEST, 6);
    let world = play(&DIGEST, 2, Crash::never(), "no crash");
    let letters: Vec<String> = world.post.book().iter().map(|letter| letter.subject.clone()).collect();
    assert_eq!(letters, ["[prod] 12 changes at once: 12 down", "[prod] 12 changes at once: 12 recovered"]);
}

#[test]
fn nobody_is_told_that_a_service_is_back_before_being_told_that_it_was_down() {
    crash_everywhere(&DIGEST_HEALED, 6);
    let world = play(&DIGEST_HEALED, 2, Crash::never(), "no crash");
    let book = world.post.book();
    assert_eq!(book[0].subject, "[prod] 12 changes at once: 12 down");
    assert_eq!(book.len(), 13);
}

#[test]
fn storms_lose_nothing_and_do_nothing_twice() {
    let mut tally = [0_u64; 4];
    for seed in seeds(24) {
        let mut chance = lamplighter_tests::sim::weather::Chance::new(seed ^ 0x5eed);
        let manner = Manner::ALL[usize::try_from(chance.below(3)).expect("small")];
        let at = usize::try_from(chance.below(160)).expect("small");
        let world =
            play(&BAD_DAY, seed, Crash::at(at, manner), &format!("storm, crash {manner:?} effect {at}"));
        let opened = world.table.history().watches.iter().filter(|watch| watch.breaker == "open").count();
        tally[0] += u64::try_from(world.fleet.memory().commands.len()).expect("small");
        tally[1] += u64::try_from(world.fleet.memory().refused.len()).expect("small");
        tally[2] += u64::try_from(opened).expect("small");
        tally[3] += world.table.history().faults;
    }
    let [commands, refused, opened, faults] = tally;
    println!(
        "storms: {commands} restarts, {refused} refused by the guard, {opened} breakers opened, {faults} faults of the table"
    );
    assert!(commands > 0 && opened > 0 && faults > 0, "the weather was too fine to show anything");
}

#[test]
fn a_store_out_of_reach_means_no_lifecycle_command() {
    let world = play(&BLACK_HOLE, 3, Crash::never(), "no crash");
    let memory = world.fleet.memory();
    let second =
        |at: lamplighter_core::Moment| (at.as_millis() - lamplighter_tests::sim::DAWN_MILLIS) / 1_000;
    let during = memory.commands.iter().filter(|command| (101..3_700).contains(&second(command.at))).count();
    assert_eq!(during, 0, "{}", chronicle(&world));
    assert_eq!(memory.commands.len(), 1, "and it is healed when the store is back");
}

/// Two engines over one table.
fn two_engines(story: &Story, seed: u64, stop: Option<Stop>, world: impl FnOnce(u64) -> World) -> World {
    on_virtual_time(|| async {
        let world = world(seed);
        story.play_in(&world, async |world| world.two(stop).await).await;
        world
    })
}

#[test]
fn two_engines_over_one_table_are_as_good_as_one() {
    for story in [&HEAL, &TWO, &HOPELESS, &FLAPPING, &ALL_DIE, &BAD_DAY] {
        for seed in seeds(3) {
            let world = two_engines(story, seed, None, World::new);
            assert_sound(&world, story, &format!("two engines, SEED={seed}"));
        }
    }
}

/// Stops of either engine around a heal: each look, claim, restart and commit lies between two of them.
fn stops() -> impl Iterator<Item = Stop> {
    let step = if whole_matrix() { 3 } else { 11 };
    let moments = (119_990..120_120).step_by(step).chain((122_000..127_400).step_by(step * 50));
    let lasts = Duration::from_secs(200);
    moments.flat_map(move |from| [0, 1].map(|which| Stop { which, from: Duration::from_millis(from), lasts }))
}

#[test]
fn an_engine_that_slept_past_its_lease_does_nothing_twice() {
    let mut refused = 0;
    for story in [&HEAL, &TWO] {
        for stop in stops() {
            let world = two_engines(story, 1, Some(stop), World::new);
            assert_sound(&world, story, &format!("{stop:?}"));
            refused += world.fleet.memory().refused.len();
        }
    }
    assert!(refused > 0, "no stop ever made the guard refuse: they miss the restart");
    println!("the guard refused {refused} late commands");
}

#[test]
fn without_the_action_number_a_late_command_restarts_twice() {
    let guard = GuardParts { action_no: false, process: false, ..GuardParts::ALL };
    let caught = stops().any(|stop| {
        let world = two_engines(&HEAL, 1, Some(stop), |seed| World::guarded(seed, guard));
        !violations(&world, &HEAL).is_empty()
    });
    assert!(caught, "the guard is not needed, or the checkers are blind");
}

/// What a stopped engine saw before it slept is told to nobody when it wakes: others have looked since.
fn stale_sights_told(condition: Option<Condition>) -> bool {
    let world = |seed| match condition {
        Some(condition) => World::new(seed).without(condition),
        None => World::new(seed),
    };
    stops().any(|stop| {
        let world = two_engines(&BLINK, 1, Some(stop), world);
        let wake = lamplighter_tests::sim::DAWN_MILLIS
            + i64::try_from((stop.from + stop.lasts).as_millis()).expect("small");
        world
            .table
            .history()
            .watches
            .iter()
            .any(|watch| watch.at.as_millis() == wake && watch.status == "restarting")
    })
}

#[test]
fn a_stale_holders_sight_is_refused() {
    assert!(!stale_sights_told(None));
    assert!(
        stale_sights_told(Some(Condition::ShardEpoch)),
        "nothing fails without the epoch, or the stops miss the look"
    );
}

// Most conditions stand behind another that also refuses; each by itself is shown at the store. These no other masks.
#[test]
fn what_no_other_condition_masks_is_missed_at_once() {
    for condition in [Condition::TickIsNew, Condition::SweepIsOurs] {
        let without = |seed| World::new(seed).without(condition);
        let is_missed = |story| {
            !violations(&two_engines(story, 5, None, without), story).is_empty()
                || stops()
                    .any(|stop| !violations(&two_engines(story, 5, Some(stop), without), story).is_empty())
        };
        assert!(is_missed(&TWO), "nothing fails without {condition:?}");
    }
}

#[test]
fn a_hold_or_a_removal_at_any_moment_ends_all_action() {
    assert_eq!(undone_by_automation(None), None);
    let undone = undone_by_automation(Some(Condition::WatchVersion));
    assert!(undone.is_some(), "nothing fails without the watch's version");
}

/// A person holds or removes a service at every moment of its heal; answers what automation did all the same.
fn undone_by_automation(condition: Option<Condition>) -> Option<String> {
    for millis in (119_990..128_000).step_by(if whole_matrix() { 5 } else { 170 }) {
        for remove in [false, true] {
            let (world, done) = on_virtual_time(|| async {
                let world = World::new(1);
                let world = match condition {
                    Some(condition) => world.without(condition),
                    None => world,
                };
                let done = std::cell::Cell::new(None);
                HEAL.play_in(&world, async |world| {
                    let person = async {
                        tokio::time::sleep(Duration::from_millis(millis)).await;
                        let env = world.engine(&Crash::never()).await;
                        if remove {
                            env.store()
                                .delete_service(&id("a"), Expected::Any, world.clock.now())
                                .await
                                .expect("removed");
                        } else {
                            people::hold(&env, &id("a"), "ada", "disk swap", None).await.expect("held");
                        }
                        done.set(Some(world.clock.now()));
                    };
                    tokio::join!(world.steady(), person);
                })
                .await;
                let done = done.get().expect("the person came");
                (world, done)
            });
            let memory = world.fleet.memory();
            // A command that was on its way when the person came may still arrive, within the time a look takes.
            let late = memory.commands.iter().find(|command| command.at > done + Duration::from_millis(50));
            if late.is_some() {
                drop(memory);
                return Some(format!("restarted at {millis} ms, remove {remove}\n{}", chronicle(&world)));
            }
            let history = world.table.history();
            let last = history.watches.last().expect("a watch");
            if !remove && last.status != "held" {
                return Some(format!("the hold at {millis} ms ended as {}", last.status));
            }
        }
    }
    None
}

#[test]
fn the_same_seed_gives_the_same_history_to_the_byte() {
    for seed in seeds(3) {
        let once = chronicle(&on_virtual_time(|| BAD_DAY.play(seed, Crash::at(40, Manner::After))));
        let again = chronicle(&on_virtual_time(|| BAD_DAY.play(seed, Crash::at(40, Manner::After))));
        assert_eq!(once, again, "SEED={seed}");
        assert!(once.lines().count() > 40);
    }
}

#[test]
fn a_service_for_which_there_was_no_time_is_neither_good_nor_bad_and_gets_its_turn() {
    let (world, missed) = on_virtual_time(|| async {
        let world = World::new(1);
        world.fleet.memory().drag = Duration::from_secs(2);
        let missed = std::cell::Cell::new(0);
        QUIET
            .play_in(&world, async |world| {
                let store = world.open(&Crash::never()).await;
                let (version, settings) = store.settings().await.expect("settings");
                let slowly = lamplighter_core::settings::Settings { concurrency: 1, ..settings };
                store.put_settings(version, &slowly).await.expect("settings are taken");
                let counting = async {
                    tokio::time::sleep(Duration::from_secs(890)).await;
                    for shard in store.shards().await.expect("shards") {
                        let placed = store.load_shard(&shard).await.expect("a shard");
                        missed.set(placed.iter().map(|placed| placed.watch.totals.missed).sum());
                    }
                };
                tokio::join!(world.steady(), counting);
            })
            .await;
        let missed = missed.get();
        (world, missed)
    });
    assert_sound(&world, &QUIET, "one slow look at a time");
    let healthy: std::collections::BTreeSet<String> = world
        .table
        .history()
        .watches
        .iter()
        .filter(|watch| watch.status == "healthy")
        .map(|watch| watch.service.clone())
        .collect();
    assert_eq!(healthy.len(), QUIET.services.len(), "every service got its turn");
    assert!(missed > 100, "{missed} looks were left out: the sweep was not short of time");
    assert_eq!((world.post.book().len(), world.fleet.memory().commands.len()), (0, 0));
}

#[test]
fn a_letter_that_nobody_will_ever_take_is_written_down_and_let_go() {
    let story = Story { ends: 4 * 3_600, ..HEAL };
    let (waiting, given_up) = on_virtual_time(|| async {
        let world = World::new(1);
        world.post.refuse_all();
        story.play_in(&world, async |world| world.steady().await).await;
        let store = world.open(&Crash::never()).await;
        let audit = store.audit(None, 100, world.clock.now()).await.expect("the audit trail");
        let entries = audit.items.into_iter().flat_map(|row| row.audit);
        let given_up = entries.filter(|entry| entry.action == "letter given up").count();
        (store.outbox(10).await.expect("the outbox").len(), given_up)
    });
    assert_eq!((waiting, given_up), (0, 2));
}

#[test]
fn an_admin_who_says_go_on_is_believed() {
    let story = Story { events: &ALL_DIE.events[..6], ..ALL_DIE };
    let world = on_virtual_time(|| async {
        let world = World::new(1);
        story
            .play_in(&world, async |world| {
                let person = async {
                    tokio::time::sleep(Duration::from_secs(30)).await;
                    let env = world.engine(&Crash::never()).await;
                    assert!(people::go_on(&env, "ada").await.is_err(), "there is nothing to go on from");
                    tokio::time::sleep(Duration::from_secs(170)).await;
                    people::go_on(&env, "ada").await.expect("the guard holds");
                    let (placed, _) = people::check(&env, &id("a")).await.expect("looked at");
                    assert_eq!(placed.spec.id, id("a"));
                };
                tokio::join!(world.steady(), person);
            })
            .await;
        world
    });
    assert_sound(&world, &story, "go on");
}

#[test]
fn what_a_person_asks_for_in_vain_is_refused_in_a_sentence() {
    let said = on_virtual_time(|| async {
        let world = World::new(1);
        world.settle(HEAL.services).await;
        let env = world.engine(&Crash::never()).await;
        let (a, nobody) = (id("a"), id("nobody"));
        let year_and_more = Some(Duration::from_secs(400 * 86_400));
        let refused = [
            people::hold(&env, &a, "ada", " \n", None).await.err(),
            people::hold(&env, &a, "ada", "disk swap", year_and_more).await.err(),
            people::release(&env, &a, "ada").await.err(),
            people::restart(&env, &nobody, "ada").await.err(),
            people::check(&env, &nobody).await.err(),
        ];
        people::reset_breaker(&env, &a, "ada").await.expect("a closed breaker may be reset");
        people::restart(&env, &a, "ada").await.expect("a restart is intended");
        refused.map(|refused| refused.map(|refused| refused.to_string()).unwrap_or_default())
    });
    assert_eq!(
        said,
        [
            "a hold needs a reason: whoever finds it must know why",
            "a hold lasts from a moment to 366 days, or until it is released",
            "`a` is not held",
            "there is no service `nobody` in this env",
            "there is no service `nobody` in this env",
        ]
    );
}
