//! The demo's fleet: eight hosts, ten services, one key.

use std::path::Path;

use anyhow::Context as _;
use lamplighter_core::spec::ServiceSpec;
use serde_json::json;

use super::host::{DemoHost, DemoHostSettings};
use super::key::ClientKey;
use super::systemd::Nature;

/// Hosts of the demo: enough to look like a fleet, few enough for one screen.
pub const HOSTS: usize = 8;
/// The units of each host, by its index: the last two run a second one.
const SECOND_UNIT_FROM: usize = 6;
/// The file, in the demo's folder, that holds the private key.
const KEY_FILE: &str = "demo_ed25519";
/// Whom the demo's letters are for.
const OWNERS: [&str; 3] = ["ada@example.com", "grace@example.com", "linus@example.com"];

/// A running fleet of demo hosts. Stop it with [`DemoFleet::stop`].
pub struct DemoFleet {
    hosts: Vec<DemoHost>,
    residents: Vec<Resident>,
}

/// One service and where it really runs.
#[derive(Debug, Clone)]
pub struct Resident {
    /// What a fleet file would say of it.
    pub spec: ServiceSpec,
    /// The index of its host.
    pub host: usize,
    /// Its unit there.
    pub unit: String,
}

/// Starts the demo's fleet. Its key is written into `folder`, which is the `base_dir` of whoever reaches it.
///
/// # Errors
/// If the folder cannot be written to or no port is free.
pub async fn fleet(folder: &Path) -> anyhow::Result<DemoFleet> {
    let key = ClientKey::create(&folder.join(KEY_FILE)).context("making the demo's key")?;
    let mut hosts = Vec::with_capacity(HOSTS);
    let mut residents = Vec::new();
    for index in 0..HOSTS {
        let units: &[&str] = if index < SECOND_UNIT_FROM { &["web"] } else { &["web", "worker"] };
        let mut settings = DemoHostSettings::new(key.public.clone());
        settings.units = units.iter().map(|unit| ((*unit).to_owned(), Nature::Sound)).collect();
        let host = DemoHost::start(settings).await.context("starting a demo host")?;
        for unit in units {
            let spec = spec(residents.len() + 1, unit, &host).context("describing a demo service")?;
            residents.push(Resident { spec, host: index, unit: (*unit).to_owned() });
        }
        hosts.push(host);
    }
    Ok(DemoFleet { hosts, residents })
}

impl DemoFleet {
    /// The hosts.
    #[must_use]
    pub fn hosts(&self) -> &[DemoHost] {
        &self.hosts
    }

    /// The services.
    #[must_use]
    pub fn residents(&self) -> &[Resident] {
        &self.residents
    }

    /// The services as a fleet file would describe them.
    #[must_use]
    pub fn specs(&self) -> Vec<ServiceSpec> {
        self.residents.iter().map(|resident| resident.spec.clone()).collect()
    }

    /// Ends every host.
    pub async fn stop(self) {
        futures_util::future::join_all(self.hosts.into_iter().map(DemoHost::stop)).await;
    }
}

/// The demo is short, so its patience is: seconds where a real fleet has minutes.
fn spec(number: usize, unit: &str, host: &DemoHost) -> anyhow::Result<ServiceSpec> {
    let owner = OWNERS.get(number % OWNERS.len()).copied();
    let policy = json!({
        "connect_limit": "3s",
        "command_limit": "5s",
        "settle": "1s",
        "backoff_base": "2s",
        "backoff_cap": "20s",
        "forgiven_after": "20s",
        "breaker_cooldown": "2min",
    });
    let spec: ServiceSpec = serde_json::from_value(json!({
        "id": format!("vps-{number:03}"),
        "app": unit,
        "address": host.address().to_string(),
        "user": "demo",
        "key": format!("file:{KEY_FILE}"),
        "host_key": host.host_key_line(),
        "check": { "systemd": unit },
        "restart": { "systemd": unit },
        "owner": owner,
        "policy": policy,
    }))?;
    spec.check()?;
    Ok(spec)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn the_fleet_has_ten_services_on_eight_hosts() {
        let folder = tempfile::tempdir().unwrap();
        let fleet = fleet(folder.path()).await.unwrap();
        let specs = fleet.specs();
        let addresses: std::collections::BTreeSet<_> =
            specs.iter().map(|spec| spec.address.clone()).collect();
        let ids: std::collections::BTreeSet<_> = specs.iter().map(|spec| spec.id.clone()).collect();
        assert_eq!((specs.len(), ids.len(), addresses.len()), (10, 10, HOSTS));
        fleet.stop().await;
    }
}
