//! What shards that are swept apart believe: of a network that is cut, of a fleet that is down, of a part of it.

use std::collections::BTreeSet;
use std::time::Duration;

use lamplighter_app::people;
use lamplighter_tests::sim::check::{assert_sound, chronicle};
use lamplighter_tests::sim::crash::Crash;
use lamplighter_tests::sim::crowd::Member;
use lamplighter_tests::sim::{World, id, on_virtual_time};

use crate::{
    ELSEWHERE, ONCE, TWICE, assert_clear, at, datacentres, letters, only_the_admins, play, second, seeds,
};

#[test]
fn a_cut_network_is_believed_by_no_shard_and_the_admins_are_told_once() {
    for seed in seeds(4) {
        let fleet = datacentres(&[60, 60, 60, 60, 2]);
        // Between two ticks, or while the shards look.
        let cut = 119_500 + i64::try_from(seed % 20).expect("small") * 150;
        let world = on_virtual_time(|| async {
            let world = World::new(seed);
            play(&world, &fleet, TWICE, seed, 900, async |world| {
                at(world, cut).await;
                for member in fleet.iter().flatten() {
                    world.fleet.cut_off(&id(&member.id), Duration::from_secs(300));
                }
            })
            .await;
            assert_clear(&world).await;
            world
        });
        assert_sound(&world, &ELSEWHERE, &format!("SEED={seed}"));
        assert_eq!(world.fleet.memory().commands, [], "SEED={seed}");
        assert_eq!(letters(&world), only_the_admins(), "SEED={seed}\n{}", chronicle(&world));
        assert!(world.table.history().watches.iter().all(|watch| watch.breaker == "closed"));
    }
}

#[test]
fn when_everything_is_down_nothing_is_restarted_but_in_a_shard_too_small_to_judge_by() {
    for (sizes, smallest) in [([60, 60, 60, 60, 60], 0), ([60, 60, 60, 60, 3], 3)] {
        for seed in seeds(2) {
            let fleet = datacentres(&sizes);
            let world = on_virtual_time(|| async {
                let world = World::new(seed);
                play(&world, &fleet, TWICE, seed, 900, async |world| {
                    at(world, 90_000).await;
                    fleet.iter().flatten().for_each(|member| world.fleet.put_out(&id(&member.id)));
                    at(world, 400_000).await;
                    let down = fleet.iter().flatten().map(|member| id(&member.id));
                    down.filter(|id| !world.fleet.is_up(id)).for_each(|id| world.fleet.light(&id));
                })
                .await;
                assert_clear(&world).await;
                world
            });
            assert_sound(&world, &ELSEWHERE, &format!("SEED={seed}"));
            let told = letters(&world);
            assert_eq!(told.get("ops@example.com"), Some(&1), "SEED={seed}");
            // What is believed before the sum is known: no more services than the guard's least number in one shard.
            let history = world.table.history();
            let down: BTreeSet<&str> = history
                .notices
                .iter()
                .filter(|notice| notice.kind == "down")
                .map(|notice| notice.service.as_str())
                .collect();
            assert!(down.len() <= smallest && down.iter().all(|one| one.starts_with("d4-")), "{down:?}");
            let commands = world.fleet.memory().commands.len();
            assert!(commands <= smallest, "SEED={seed}: {commands} restarts");
        }
    }
}

#[test]
fn a_quarter_of_every_shard_at_once_is_taken_for_our_own_fault() {
    for seed in seeds(4) {
        let fleet = datacentres(&[40, 40, 40, 40, 40]);
        let world = on_virtual_time(|| async {
            let world = World::new(seed);
            play(&world, &fleet, TWICE, seed, 600, async |world| {
                at(world, 90_000).await;
                for member in fleet.iter().flat_map(|shard| &shard[..10]) {
                    world.fleet.put_out(&id(&member.id));
                }
            })
            .await;
            let store = world.open(&Crash::never()).await;
            let guard = store.blindness().await.expect("the table answers");
            assert!(guard.holds(world.clock.now()), "{guard:?}");
            world
        });
        assert_sound(&world, &ELSEWHERE, &format!("SEED={seed}"));
        assert_eq!(world.fleet.memory().commands, [], "SEED={seed}");
        assert_eq!(letters(&world), only_the_admins(), "SEED={seed}\n{}", chronicle(&world));
    }
}

#[test]
fn an_admin_who_says_go_on_is_believed_by_every_shard() {
    for seed in seeds(4) {
        let fleet = datacentres(&[60, 60, 60, 60, 60]);
        let world = on_virtual_time(|| async {
            let world = World::new(seed);
            play(&world, &fleet, TWICE, seed, 1_200, async |world| {
                at(world, 90_000).await;
                for member in fleet.iter().flatten() {
                    world.fleet.cut_off(&id(&member.id), Duration::from_secs(500));
                }
                at(world, 200_000).await;
                let env = world.engine(&Crash::never()).await;
                people::go_on(&env, "ada").await.expect("the guard holds");
            })
            .await;
            assert_clear(&world).await;
            world
        });
        assert_sound(&world, &ELSEWHERE, &format!("SEED={seed}"));
        assert_eq!(world.fleet.memory().commands, [], "what cannot be reached is not restarted");
        // One digest when they are down, one when they are back, for each owner: each has one shard here.
        let mut expected = only_the_admins();
        expected.extend((0..5).map(|shard| (format!("owner-of-d{shard}@example.com"), 2)));
        assert_eq!(letters(&world), expected, "SEED={seed}\n{}", chronicle(&world));
    }
}

#[test]
fn a_datacentre_that_is_down_is_believed_one_tick_later_and_restarted_under_the_brake() {
    let fleet = datacentres(&[500, 500, 500, 500, 500, 500]);
    let world = on_virtual_time(|| async {
        let world = World::new(1);
        play(&world, &fleet, ONCE, 1, 1_200, async |world| {
            at(world, 90_000).await;
            fleet[2].iter().for_each(|member| world.fleet.put_out(&id(&member.id)));
        })
        .await;
        assert_clear(&world).await;
        world
    });
    assert_sound(&world, &ELSEWHERE, "a datacentre is down");
    let history = world.table.history();
    let down: Vec<i64> = history
        .notices
        .iter()
        .filter(|notice| notice.kind == "down")
        .map(|notice| second(notice.at))
        .collect();
    assert_eq!(down.len(), 500);
    assert!(down.iter().all(|second| (180..185).contains(second)), "the second tick after it, not the first");
    let memory = world.fleet.memory();
    assert_eq!(memory.commands.len(), 500, "one restart each");
    for command in &memory.commands {
        let at_once =
            memory.commands.iter().filter(|other| other.at <= command.at && command.at < other.lands);
        assert!(at_once.count() <= 5, "more restarts at once than the brake allows at {}", command.at);
    }
    let digests = world.post.book().iter().filter(|letter| letter.subject.contains("500 down")).count();
    let told = letters(&world);
    assert_eq!((digests, told.len()), (1, 1), "{told:?}");
    let last = memory.commands.last().map(|command| second(command.at));
    println!("500 restarted from second 180 to {last:?}, letters: {told:?}");
}

#[test]
fn the_digests_of_a_quick_and_a_slow_shard_are_two_letters_under_two_ids() {
    let shard = |name: &str, count: usize| {
        (0..count).map(|number| Member::good(format!("x-{name}-{number}"))).collect::<Vec<Member>>()
    };
    // More mute hosts than looks at once: the slow shard ends long after the digest of the quick one was sent.
    let (quick, slow) = (shard("quick", 100), shard("slow", 500));
    let world = on_virtual_time(|| async {
        let world = World::new(1);
        play(&world, &[quick.clone(), slow.clone()], ONCE, 1, 400, async |world| {
            at(world, 70_000).await;
            for member in &quick[..12] {
                world.fleet.cut_off(&id(&member.id), Duration::from_secs(900));
            }
            slow[..70].iter().for_each(|member| world.fleet.fall_mute(&id(&member.id)));
        })
        .await;
        world
    });
    assert_sound(&world, &ELSEWHERE, "two digests");
    let book = world.post.book();
    let ids: BTreeSet<&str> = book.iter().map(|letter| letter.message_id.as_str()).collect();
    let subjects: Vec<&str> = book.iter().map(|letter| letter.subject.as_str()).collect();
    assert_eq!(subjects, ["[prod] 12 changes at once: 12 down", "[prod] 70 changes at once: 70 down"]);
    assert_eq!(ids.len(), 2, "{ids:?}");
}
