//! A full env: 100,000 services in 200 shards.

use std::collections::BTreeSet;
use std::time::Instant;

use lamplighter_store::Consumed;
use lamplighter_tests::sim::apart::{Calls, Home, Placing};
use lamplighter_tests::sim::crash::Crash;
use lamplighter_tests::sim::crowd::{Known, Member, crowd};
use lamplighter_tests::sim::functions::Function;
use lamplighter_tests::sim::{DAWN_MILLIS, World, id, on_virtual_time};

use crate::{at, shards};

const SHARDS: usize = 200;
const SERVICES: u32 = 500;
/// The shard that has mute hosts in the last minute, and how many: more than are looked at at once, thrice over.
const SLOW: u16 = 17;
const MUTE: usize = 200;
/// Most write and read units of a quiet sweep of a shard by a process that knows it.
const UNITS_MOST: (f64, f64) = (3.0, 2.0);

#[test]
fn a_hundred_thousand_services_in_two_hundred_shards_are_all_looked_at_within_the_minute() {
    on_virtual_time(|| async {
        let began = Instant::now();
        let world = World::new(1);
        let fleet = crowd(SHARDS, usize::try_from(SERVICES).expect("small"));
        Box::pin(world.settle_shards(&fleet, Known::Healthy)).await;
        println!("put in after {:.1?}", began.elapsed());
        let calls = Calls { placing: Placing::Kept, twice_percent: 5 };
        let home = Home::new(&world, calls, 1, Crash::never());
        let observed = async {
            for minute in 0..3 {
                let before = home.consumed(Function::Sweep);
                at(&world, minute * 60_000 + 59_000).await;
                let spent = home.consumed(Function::Sweep).since(&before);
                assert_all_looked_at(&world, &fleet, minute).await;
                // In the first minute nobody knows any shard.
                assert_cheap(minute, &spent, minute > 0);
                println!("after {:.1?}", began.elapsed());
                if minute == 1 {
                    let mute = &fleet[usize::from(SLOW)][..MUTE];
                    mute.iter().for_each(|member| world.fleet.fall_mute(&id(&member.id)));
                }
            }
        };
        tokio::select! {
            biased;
            () = observed => {}
            () = home.run() => {}
        }
        let slow = shards(&world).await.into_iter().find(|shard| shard.shard.number() == SLOW);
        let report = slow.and_then(|shard| shard.report).expect("it was swept");
        assert_eq!((usize::try_from(report.unreachable), report.checked), (Ok(MUTE), SERVICES));
        assert!((10_000..54_000).contains(&report.duration_ms), "it was slow: {report:?}");
        let sweeps = world.table.history().sweeps.clone();
        let once: BTreeSet<&(String, u64)> = sweeps.iter().collect();
        assert_eq!((sweeps.len(), once.len()), (3 * SHARDS, 3 * SHARDS), "each shard once for each tick");
        let processes = home.processes(Function::Sweep);
        println!("{} sweeps in {processes} processes, {:.1?}", sweeps.len(), began.elapsed());
    });
}

/// Fails unless each service was looked at once more, and each shard but the slow one reported in a few seconds.
async fn assert_all_looked_at(world: &World, fleet: &[Vec<Member>], minute: i64) {
    let tick = u64::try_from(DAWN_MILLIS / 1_000 + minute * 60).expect("after 1970");
    for shard in shards(world).await.into_iter().filter(|shard| shard.shard.number() != SLOW) {
        let report = shard.report.expect("it was swept");
        assert_eq!((report.tick, report.checked, report.healthy), (tick, SERVICES, SERVICES), "{shard:?}");
        assert!(report.duration_ms < 5_000, "{shard:?}");
    }
    let memory = world.fleet.memory();
    let looks = fleet.iter().flatten().map(|member| memory.looks().get(&id(&member.id)).copied());
    let expected = u64::try_from(minute + 1).ok();
    assert!(looks.into_iter().all(|looks| looks == expected), "each service is looked at once a minute");
}

fn assert_cheap(minute: i64, spent: &Consumed, is_known: bool) {
    let [write, read] = [spent.write_units, spent.read_units].map(|units| units / 200.0);
    println!(
        "minute {minute}: {write:.3} write and {read:.3} read units a shard, the list of shards included"
    );
    let is_cheap = write <= UNITS_MOST.0 && read <= UNITS_MOST.1;
    assert!(is_cheap || !is_known, "{write} write and {read} read units a shard");
}
