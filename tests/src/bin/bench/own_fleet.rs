//! Sweeps over a fleet of this machine's own: how long, how much, and what one bad host changes.

use std::time::Duration;

use anyhow::Context as _;
use lamplighter_remote::{Pool, Remote, RemoteConfig};
use tokio::net::TcpListener;

use crate::fleet::Fleet;
use crate::measure::resident_kib;
use crate::sweep::{spoken, sweep};

/// Sweeps over live connections, of which the median counts.
const SWEEPS: usize = 5;
/// Promised CPU of a check over a live connection, in microseconds.
const LIVE_PROMISE_MICROS: f64 = 60.0;
/// Promised memory of a live connection, in KiB.
const CONNECTION_PROMISE_KIB: f64 = 100.0;
/// Services of the run with one bad host.
const CROWD: usize = 500;
/// The bad host's own deadline, short so that the bench is.
const BAD_HOST_LIMIT: &str = "2s";

/// Sweeps a fleet once with new connections and then over the live ones.
pub(crate) async fn sweeps(services: usize, concurrency: usize) -> anyhow::Result<()> {
    let fleet = Fleet::start(services).await?;
    let mut config = RemoteConfig::new(&fleet.home);
    config.pool = Pool::Keep { most: services };
    let remote = Remote::new(config).context("setting up the means of reaching hosts")?;
    println!("\n{services} services, each on a host of its own in one other process, {concurrency} at once");
    let before = resident_kib();
    let theirs = fleet.cpu();
    let (cost, verdicts) = sweep(&remote, &fleet.services, concurrency).await;
    println!(
        "  first sweep, new connections: {cost}, {:.0} µs CPU each: {}; the hosts themselves {:.2} s CPU",
        cost.cpu_micros_each(services),
        spoken(&verdicts),
        fleet.cpu().saturating_sub(theirs).as_secs_f64()
    );
    let theirs = fleet.cpu();
    let mut costs = Vec::new();
    let mut is_right = true;
    for _ in 0..SWEEPS {
        let (cost, verdicts) = sweep(&remote, &fleet.services, concurrency).await;
        if verdicts.get("up") != Some(&services) {
            println!("  a sweep saw: {}", spoken(&verdicts));
            is_right = false;
        }
        costs.push(cost);
    }
    let theirs = fleet.cpu().saturating_sub(theirs) / u32::try_from(SWEEPS).unwrap_or(1);
    costs.sort_by_key(|cost| cost.wall);
    let median = costs.get(SWEEPS / 2).context("no sweep was made")?;
    println!(
        "  over live connections, median of {SWEEPS}: {median}, {:.1} µs CPU each; the hosts themselves {:.2} s CPU",
        median.cpu_micros_each(services),
        theirs.as_secs_f64()
    );
    if is_right {
        println!(
            "  used of what is promised: {:.2} of {LIVE_PROMISE_MICROS} µs CPU each, {:.2} of {:.0} s for a sweep",
            median.cpu_micros_each(services) / LIVE_PROMISE_MICROS,
            median.wall.as_secs_f64() / promised_sweep(services).as_secs_f64(),
            promised_sweep(services).as_secs_f64()
        );
    } else {
        println!("  no ratio: not every service was seen up");
    }
    let connections = remote.connections();
    let kib = resident_kib().saturating_sub(before);
    #[expect(clippy::cast_precision_loss, reason = "counts here are far below 2^52")]
    let each = kib as f64 / connections.max(1) as f64;
    println!(
        "  {connections} live connections: {kib} KiB more resident memory, {each:.1} KiB each, {:.2} of what is promised",
        each / CONNECTION_PROMISE_KIB
    );
    remote.close().await;
    fleet.stop().await;
    Ok(())
}

/// How long a sweep may take: 1 s for a thousand services, 8 s for ten thousand, on two cores.
fn promised_sweep(services: usize) -> Duration {
    let each = if services > 1_000 { Duration::from_micros(800) } else { Duration::from_millis(1) };
    each * u32::try_from(services).unwrap_or(u32::MAX)
}

/// Puts one host that accepts and then says nothing among 500, and compares.
pub(crate) async fn one_bad_host(concurrency: usize) -> anyhow::Result<()> {
    let fleet = Fleet::start(CROWD).await?;
    let mut config = RemoteConfig::new(&fleet.home);
    config.pool = Pool::None;
    let remote = Remote::new(config).context("setting up the means of reaching hosts")?;
    let silent = TcpListener::bind("127.0.0.1:0").await.context("starting the silent host")?;
    let mut services = fleet.services.clone();
    let bad = services.get_mut(CROWD / 2).context("the fleet is empty")?;
    bad.address = silent.local_addr().context("finding the silent host")?.to_string().parse()?;
    bad.policy.connect_limit =
        lamplighter_core::moment::parse_duration(BAD_HOST_LIMIT).map_err(anyhow::Error::msg)?;
    let limit = bad.policy.connect_limit;
    // The backlog accepts for it: a host that is there and never says a word.
    let (with_good, good_verdicts) = sweep(&remote, &fleet.services, concurrency).await;
    let (with_bad, bad_verdicts) = sweep(&remote, &services, concurrency).await;
    let longer = with_bad.wall.saturating_sub(with_good.wall);
    println!(
        "\none host of {CROWD} accepts and says nothing; its own deadline is {BAD_HOST_LIMIT}; new connections, {concurrency} at once"
    );
    println!("  without it: {with_good}: {}", spoken(&good_verdicts));
    println!("  with it:    {with_bad}: {}", spoken(&bad_verdicts));
    let verdict = if longer <= limit + Duration::from_millis(50) { "within" } else { "MORE THAN" };
    println!("  the sweep took {:.2} s longer: {verdict} its own deadline", longer.as_secs_f64());
    remote.close().await;
    fleet.stop().await;
    Ok(())
}
