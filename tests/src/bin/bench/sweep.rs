//! One look at each of many services, so many at once.

use std::collections::BTreeMap;
use std::path::Path;
use std::time::{Duration, SystemTime};

use anyhow::Context as _;
use futures_util::StreamExt as _;
use lamplighter_core::sight::Sight;
use lamplighter_core::spec::ServiceSpec;
use lamplighter_remote::{Pool, Remote, RemoteConfig};

use crate::measure::{Cost, Stretch};

/// Longest any one look may take here: a slow machine is to be measured, not cut off.
const LOOK_LIMIT: Duration = Duration::from_secs(120);

/// What a sweep saw: how many of each verdict, in words.
pub(crate) type Verdicts = BTreeMap<String, usize>;

/// Looks once at each service.
pub(crate) async fn sweep(remote: &Remote, services: &[ServiceSpec], concurrency: usize) -> (Cost, Verdicts) {
    let stretch = Stretch::begin();
    let looks = futures_util::stream::iter(0..services.len())
        .map(|index| remote.look(&services[index], SystemTime::now().into(), LOOK_LIMIT));
    let mut looks = Box::pin(looks.buffer_unordered(concurrency));
    let mut verdicts = Verdicts::new();
    while let Some(look) = looks.next().await {
        let verdict = match look.sight {
            Sight::Up => "up".to_owned(),
            Sight::Down(fault) => format!("down: {}", fault.kind),
            Sight::Unreachable(fault) => format!("unreachable: {}", fault.kind),
            Sight::Unknown(why) => why.to_string(),
        };
        *verdicts.entry(verdict).or_default() += 1;
    }
    (stretch.end(), verdicts)
}

/// The verdicts in one line: `198 up, 2 down: unit is not active`.
pub(crate) fn spoken(verdicts: &Verdicts) -> String {
    verdicts.iter().map(|(verdict, count)| format!("{count} {verdict}")).collect::<Vec<_>>().join(", ")
}

/// Looks twice at a fleet file's services: once with new connections, once over those kept.
pub(crate) async fn real_fleet(file: &Path, concurrency: usize) -> anyhow::Result<()> {
    let fleet = lamplighter::fleet_file::read(file).map_err(|refused| anyhow::anyhow!("{refused}"))?;
    let services: Vec<ServiceSpec> = fleet.envs.into_values().flat_map(|env| env.services).collect();
    let count = services.len();
    let mut config = RemoteConfig::new(file.parent().unwrap_or_else(|| Path::new(".")));
    config.pool = Pool::Keep { most: count };
    let remote = Remote::new(config).context("setting up the means of reaching hosts")?;
    println!("\n{count} services of `{}`, {concurrency} at once; looks only", file.display());
    for what in ["new connections", "kept connections"] {
        let (cost, verdicts) = sweep(&remote, &services, concurrency).await;
        println!(
            "  {what:<17} {cost}, {:.0} µs CPU each: {}",
            cost.cpu_micros_each(count),
            spoken(&verdicts)
        );
    }
    remote.close().await;
    Ok(())
}
