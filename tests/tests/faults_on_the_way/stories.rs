//! The stories: what happens to services while the way to the table is bad.

use lamplighter::demo::systemd::Nature;
use lamplighter::demo::{ClientKey, DemoHost, DemoHostSettings};
use lamplighter_core::spec::ServiceSpec;
use lamplighter_core::watch::Status;
use serde_json::json;

use crate::check::{Fate, is_over, violations};
use crate::fault::Rule;
use crate::way::Way;
use crate::world::World;

/// Minutes in which the way may be bad.
pub(crate) const BAD_MINUTES: usize = 4;
/// Minutes after that within which all must come right. Each waits for whatever a lost answer left behind, such as a lease
/// that nobody knows to have.
pub(crate) const GOOD_MINUTES: usize = 6;

/// What came of one telling.
pub(crate) struct Told {
    /// How often each rule was applied.
    pub(crate) applied: Vec<u64>,
    /// What is not as it must be.
    pub(crate) violations: Vec<String>,
}

/// Services of one host that get into trouble.
pub(crate) struct Trouble {
    units: &'static [&'static str],
    /// What becomes of them when they are started anew.
    nature: Nature,
    /// Where each ends.
    status: Status,
    /// The kinds of the letters about each.
    told: &'static [&'static str],
    /// The restarts of each.
    restarts: u64,
}

/// Two services of one host are stopped, and each is healed by one restart.
pub(crate) const HEALED: Trouble = Trouble {
    units: &["web", "worker"],
    nature: Nature::Sound,
    status: Status::Healthy,
    told: &["down", "recovered"],
    restarts: 1,
};
/// A service that does not start any more is restarted three times, and then left alone.
pub(crate) const LEFT_ALONE: Trouble = Trouble {
    units: &["web"],
    nature: Nature::RefusesToStart,
    status: Status::CircuitOpen,
    told: &["breaker-open", "down"],
    restarts: 3,
};

impl Trouble {
    /// Tells the story with these rules on the way.
    pub(crate) async fn tell(&self, way: &Way, rules: &[Rule]) -> Told {
        let home = tempfile::tempdir().unwrap();
        let key = ClientKey::create(&home.path().join("key")).unwrap();
        let mut settings = DemoHostSettings::new(key.public);
        settings.units = self.units.iter().map(|unit| ((*unit).to_owned(), Nature::Sound)).collect();
        let host = DemoHost::start(settings).await.unwrap();
        let specs: Vec<ServiceSpec> = self.units.iter().map(|unit| spec(unit, &host)).collect();
        let mut world = World::begin(way, home.path(), &specs).await;
        world.minute().await;
        for unit in self.units {
            host.systemd().set_nature(unit, self.nature);
            host.systemd().stop(unit);
        }
        let rules = world.table.spoil(rules);
        for _ in 0..BAD_MINUTES {
            world.minute().await;
        }
        let applied = world.table.mend(&rules);
        let fates: Vec<Fate> = specs.iter().map(|spec| self.fate(spec)).collect();
        for _ in 0..GOOD_MINUTES {
            world.minute().await;
            if is_over(&world, &fates).await {
                break;
            }
        }
        let mut violations = violations(&world, &fates, []).await;
        self.on_the_host(&host, &mut violations);
        host.stop().await;
        Told { applied, violations }
    }

    fn fate(&self, spec: &ServiceSpec) -> Fate {
        Fate { id: spec.id.clone(), status: self.status, told: self.told, restarts: self.restarts }
    }

    fn on_the_host(&self, host: &DemoHost, found: &mut Vec<String>) {
        for unit in self.units {
            let restarts = host.systemd().restarts(unit);
            if restarts != self.restarts {
                found.push(format!("{unit} was restarted {restarts} times, not {}", self.restarts));
            }
        }
        if host.counts().max_nesting != 1 {
            found.push(format!("{} restarts at once", host.counts().max_nesting));
        }
    }
}

fn spec(unit: &str, host: &DemoHost) -> ServiceSpec {
    // A restart is judged at once, and a closed breaker's waits are skipped; an open one stays open.
    let policy = json!({"settle": "0s", "startup_grace": "0s", "breaker_cooldown": "12h"});
    let spec = json!({
        "id": unit,
        "address": host.address().to_string(),
        "user": "demo",
        "key": "file:key",
        "host_key": host.host_key_line(),
        "check": { "systemd": unit },
        "restart": { "systemd": unit },
        "owner": "owner@example.com",
        "policy": policy,
    });
    serde_json::from_value(spec).unwrap()
}
