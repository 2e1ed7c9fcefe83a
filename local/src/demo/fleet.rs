//! The demo's fleet: eight hosts, ten services, one key.

use std::path::Path;

use anyhow::Context as _;
use lamplighter_core::spec::{ServiceSpec, Update};
use serde_json::json;

use super::host::{DemoHost, DemoHostSettings};
use super::key::ClientKey;
use super::release::{FULL_DISK, MAIN, Releases};
use super::systemd::Nature;

/// Hosts of the demo: enough to look like a fleet, few enough for one screen.
pub const HOSTS: usize = 8;
/// The units of each host, by its index: the last two run a second one.
const SECOND_UNIT_FROM: usize = 6;
/// The file, in the demo's folder, that holds the private key.
const KEY_FILE: &str = "demo_ed25519";
/// Whom the demo's letters are for.
const OWNERS: [&str; 3] = ["ada@example.com", "grace@example.com", "linus@example.com"];

/// The app that all services belong to: the shop itself and, on two hosts, what works off its orders.
pub const APP: &str = "shop";
/// The host whose disk is full: a release that needs room cannot be installed there. It runs one service.
pub const FULL_HOST: usize = 5;
/// The folder, in the demo's, that holds a folder for each host.
const HOSTS_FOLDER: &str = "hosts";

/// A running fleet of demo hosts. Stop it with [`DemoFleet::stop`].
pub struct DemoFleet {
    hosts: Vec<DemoHost>,
    residents: Vec<Resident>,
    releases: Option<Releases>,
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

/// Starts the demo's fleet. Its key is written into `folder`, which is the `base_dir` of whoever reaches it. If this machine
/// has git, each service has a checkout in `folder` and can be updated.
///
/// # Errors
/// If the folder cannot be written to or no port is free.
pub async fn fleet(folder: &Path) -> anyhow::Result<DemoFleet> {
    // Its hosts' commands change their folder.
    let folder = std::path::absolute(folder).context("finding the demo's folder")?;
    let homes = folder.join(HOSTS_FOLDER);
    if homes.exists() {
        std::fs::remove_dir_all(&homes).context("removing the hosts of an earlier demo")?;
    }
    let releases = Releases::begin(&folder).await.context("making the pretend app's repository")?;
    let key = ClientKey::create(&folder.join(KEY_FILE)).context("making the demo's key")?;
    let mut hosts = Vec::with_capacity(HOSTS);
    let mut residents = Vec::new();
    for index in 0..HOSTS {
        let units: &[&str] = if index < SECOND_UNIT_FROM { &["web"] } else { &["web", "worker"] };
        let mut settings = DemoHostSettings::new(key.public.clone());
        let srv = homes.join(format!("host-{}", index + 1));
        std::fs::create_dir_all(&srv).context("making a demo host's folder")?;
        settings.srv = Some(srv.clone());
        settings.units = units.iter().map(|unit| ((*unit).to_owned(), Nature::Sound)).collect();
        let host = DemoHost::start(settings).await.context("starting a demo host")?;
        for unit in units {
            if let Some(releases) = &releases {
                let dir = srv.join(unit);
                releases.clone_to(&dir).await.context("checking out the pretend app")?;
                host.systemd().set_code(unit, dir);
            }
            let number = residents.len() + 1;
            let mut spec = spec(number, unit, &host).context("describing a demo service")?;
            if releases.is_some() {
                spec.update = Some(update(unit).context("describing a demo service's update")?);
            }
            spec.check()?;
            residents.push(Resident { spec, host: index, unit: (*unit).to_owned() });
        }
        hosts.push(host);
    }
    if let Some(releases) = &releases {
        let full = homes.join(format!("host-{}", FULL_HOST + 1)).join(FULL_DISK);
        std::fs::write(full, "").context("filling a demo host's disk")?;
        releases.push_the_first().await.context("committing the pretend app's releases")?;
    }
    Ok(DemoFleet { hosts, residents, releases })
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

    /// The repository of the pretend app; `None` if this machine has no git.
    #[must_use]
    pub fn releases(&self) -> Option<&Releases> {
        self.releases.as_ref()
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
    Ok(serde_json::from_value(json!({
        "id": format!("vps-{number:03}"),
        "app": APP,
        "address": host.address().to_string(),
        "user": "demo",
        "key": format!("file:{KEY_FILE}"),
        "host_key": host.host_key_line(),
        "check": { "systemd": unit },
        "restart": { "systemd": unit },
        "owner": owner,
        "policy": policy,
    }))?)
}

/// How a service of this unit is updated: as a fleet file says it.
fn update(unit: &str) -> anyhow::Result<Update> {
    Ok(serde_json::from_value(
        json!({ "dir": format!("/srv/{unit}"), "branch": MAIN, "install": "sh install.sh" }),
    )?)
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
        assert!(specs.iter().all(|spec| spec.update.is_some()), "this machine has git");
        let on_full_host: Vec<_> = fleet.residents().iter().filter(|one| one.host == FULL_HOST).collect();
        assert_eq!(on_full_host.len(), 1, "one service of ten is less than halts a rollout");
        fleet.stop().await;
    }
}
