//! The home on AWS in the simulator: each shard of a tick is swept by a call of its own, and `recover` adds up what they
//! saw. A full env; a network that is cut; a part of the fleet that is down; calls that come twice; processes that die.
//!
//! `SEED=n` replays one seed; `MATRIX=all` crashes at every effect and plays more seeds instead of a sample.
#![expect(clippy::expect_used, reason = "a test that cannot be set up must stop")]
#![expect(clippy::print_stdout, reason = "a simulation ends with its tally")]

mod crashes;
mod full;
mod shards;

use std::collections::BTreeMap;

use lamplighter_core::Moment;
use lamplighter_store::ShardSummary;
use lamplighter_tests::sim::apart::{Calls, Home, Placing};
use lamplighter_tests::sim::crash::Crash;
use lamplighter_tests::sim::crowd::{Known, Member};
use lamplighter_tests::sim::story::Story;
use lamplighter_tests::sim::{DAWN_MILLIS, World};

/// One after the other, each time in another process.
const ONCE: Calls = Calls { placing: Placing::Anywhere, twice_percent: 0 };
/// Every call comes twice.
const TWICE: Calls = Calls { placing: Placing::Anywhere, twice_percent: 100 };

fn whole_matrix() -> bool {
    std::env::var("MATRIX").is_ok_and(|matrix| matrix == "all")
}

/// Seeds to play: the one asked for, or so many.
fn seeds(sample: u64) -> Vec<u64> {
    match std::env::var("SEED").ok().and_then(|seed| seed.parse().ok()) {
        Some(seed) => vec![seed],
        None => (0..if whole_matrix() { sample * 20 } else { sample }).collect(),
    }
}

/// `shards` of so many services each, those of one shard with one owner, as a datacentre has: `d3-42` is in shard 3.
fn datacentres(shards: &[usize]) -> Vec<Vec<Member>> {
    let members = |(shard, count): (usize, &usize)| {
        (0..*count).map(|number| Member::good(format!("d{shard}-{number}"))).collect()
    };
    shards.iter().enumerate().map(members).collect()
}

/// A story of a fleet that is not its own.
const ELSEWHERE: Story =
    Story { name: "elsewhere", services: &[], events: &[], ends: 900, up: &[], open: &[] };

/// The second after the start.
fn second(at: Moment) -> i64 {
    (at.as_millis() - DAWN_MILLIS).div_euclid(1_000)
}

/// Waits until so many milliseconds after the start.
async fn at(world: &World, millis: i64) {
    world.clock.sleep_until(Moment::from_millis(DAWN_MILLIS + millis)).await;
}

/// Plays a home over a fleet for so long, while `besides` happens.
async fn play<'w>(
    world: &'w World,
    fleet: &[Vec<Member>],
    calls: Calls,
    seed: u64,
    ends: i64,
    besides: impl AsyncFnOnce(&'w World),
) {
    Box::pin(world.settle_shards(fleet, Known::Healthy)).await;
    let home = Home::new(world, calls, seed, Crash::never());
    let events = async {
        tokio::join!(besides(world), at(world, ends * 1_000));
    };
    tokio::select! {
        biased;
        () = events => {}
        () = home.run() => {}
    }
}

async fn shards(world: &World) -> Vec<ShardSummary> {
    let store = world.open(&Crash::never()).await;
    store.shards().await.expect("the table answers")
}

/// Fails unless every service was up when it was looked at last, and the guard does not hold.
async fn assert_clear(world: &World) {
    for shard in shards(world).await {
        let report = shard.report.expect("it was swept");
        assert_eq!((report.healthy, report.turned_bad), (shard.services, 0), "shard {}", shard.shard);
    }
    let store = world.open(&Crash::never()).await;
    assert_eq!(store.blindness().await.expect("the table answers").since, None);
}

/// How many letters each recipient got.
fn letters(world: &World) -> BTreeMap<String, usize> {
    let mut letters = BTreeMap::new();
    for letter in world.post.book().iter() {
        *letters.entry(letter.to.clone()).or_default() += 1;
    }
    letters
}

fn only_the_admins() -> BTreeMap<String, usize> {
    BTreeMap::from([("ops@example.com".to_owned(), 1)])
}
