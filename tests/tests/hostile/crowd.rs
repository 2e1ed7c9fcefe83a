//! One good host among five hundred slow ones.

use std::time::{Duration, Instant};

use futures_util::StreamExt as _;
use lamplighter::demo::systemd::Nature;
use lamplighter::demo::{DemoHost, DemoHostSettings};
use lamplighter_core::sight::{Sight, UnreachableKind};

use super::fixture::{LOOK_LIMIT, assert_unreachable, client_key, now, remote, spec};
use super::host::HostileHost;

const SLOW_HOSTS: usize = 500;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn five_hundred_slow_hosts_do_not_delay_a_good_one() {
    let mut settings = DemoHostSettings::new(client_key().public.clone());
    settings.units.push(("web".to_owned(), Nature::Sound));
    let good = DemoHost::start(settings).await.unwrap();
    // One listener plays them all: each connection is a host of its own to the client, which keeps none.
    let slow = HostileHost::start(|mut visit| async move { visit.stall().await }).await;
    let remote = remote();
    let slow_spec = spec(&slow.address, &slow.host_key);
    let good_spec = spec(&good.address().to_string(), &good.host_key_line());
    let began = Instant::now();
    let slow_looks = futures_util::stream::iter(0..SLOW_HOSTS)
        .map(|_| remote.look(&slow_spec, now(), LOOK_LIMIT))
        .buffer_unordered(SLOW_HOSTS);
    let (slow_looks, (good_look, good_took)) = tokio::join!(slow_looks.collect::<Vec<_>>(), async {
        let look = remote.look(&good_spec, now(), LOOK_LIMIT).await;
        (look, began.elapsed())
    });
    assert_eq!(good_look.sight, Sight::Up);
    assert!(good_took < Duration::from_secs(3), "the good host waited {good_took:?}");
    assert_eq!(slow_looks.len(), SLOW_HOSTS);
    for look in &slow_looks {
        assert_unreachable(look, &[UnreachableKind::TimedOut]);
    }
    assert!(began.elapsed() < LOOK_LIMIT, "all of them took {:?}", began.elapsed());
    good.stop().await;
}
