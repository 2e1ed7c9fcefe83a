//! The functions as they are deployed, called as Lambda calls them, and the bill of a month that follows.

mod artefacts;
mod lambda;
mod month;
mod shard;

use std::collections::BTreeMap;
use std::path::Path;
use std::time::Duration;

use anyhow::Context as _;
use lamplighter_core::EnvName;
use lamplighter_tests::aws::MEGABYTES;

use crate::fleet::Fleet;
use shard::{Over, Shard};

/// Services of a full shard.
const SERVICES: usize = 500;
/// Between a function and the hosts.
const ROUND_TRIP: Duration = Duration::from_millis(20);
/// Silent hosts of a shard: none; the one that half of all shards have if one service in a thousand is unreachable; and
/// one in a hundred.
const SILENT: [usize; 3] = [0, 1, SERVICES / 100];

/// Measures the functions of `folder`, and says what a month of them costs.
pub(crate) async fn measure(folder: &Path) -> anyhow::Result<()> {
    let folder = folder.canonicalize().with_context(|| format!("finding `{}`", folder.display()))?;
    let env: EnvName = "bench".parse().context("naming the env")?;
    let mut fleet = Fleet::start_at(SERVICES, ROUND_TRIP).await?;
    artefacts::measure(&folder, &told(&env, "http://127.0.0.1:1", &fleet.roots())).await?;
    println!(
        "\na shard of {SERVICES} services, swept by `sweep` of {} MB, hosts {} ms away",
        MEGABYTES,
        ROUND_TRIP.as_millis()
    );
    let mut swept = Vec::new();
    for over in [Over::Ssh, Over::Http, Over::Https] {
        for silent in SILENT {
            let shard = shard::sweeps(&folder, &env, &mut fleet, over, silent).await?;
            println!("{shard}");
            swept.push(shard);
        }
    }
    let small = shard::quiet_calls(&folder, &env, &fleet).await?;
    for (name, quiet) in &small {
        println!("  {name}, with nothing to do: {quiet}");
    }
    fleet.stop().await;
    let (ssh, web) = swept.split_at(SILENT.len());
    let (http, https) = web.split_at(SILENT.len());
    month::project(&of_three(ssh)?, &of_three(http)?, &of_three(https)?, &small);
    Ok(())
}

fn of_three(swept: &[Shard]) -> anyhow::Result<[Shard; 3]> {
    swept.try_into().context("a shard was not swept")
}

/// What a function is told, as the template does it; its table is this machine's, and it has no queue.
fn told<'a>(env: &EnvName, table_url: &str, roots: &Path) -> BTreeMap<&'a str, String> {
    let roots = roots.to_string_lossy();
    [
        ("LAMPLIGHTER_ENV", env.as_str()),
        ("LAMPLIGHTER_TABLE", lamplighter_store::embedded::TABLE),
        ("LAMPLIGHTER_QUEUE_URL", "none"),
        ("LAMPLIGHTER_MAIL", "folder:letters"),
        ("AWS_ENDPOINT_URL_DYNAMODB", table_url),
        // Whom its checks trust: the bench's own root, and nobody else.
        ("SSL_CERT_FILE", &*roots),
        ("AWS_REGION", "us-east-1"),
        ("AWS_ACCESS_KEY_ID", "bench"),
        ("AWS_SECRET_ACCESS_KEY", "bench"),
    ]
    .map(|(key, value)| (key, value.to_owned()))
    .into()
}
