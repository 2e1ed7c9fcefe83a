//! Facts about plans.

mod drift;
mod preview;
mod skipped;
mod stages;

use serde_json::{Value, json};

use super::*;
use crate::breaker::Breaker;
use crate::hold::Hold;
use crate::rollout::{STAGES, Updating};
use crate::spec::Lifecycle;
use crate::update::{UpdateStep, Way};
use crate::version::RolloutId;
use crate::watch::{AskedBy, Attempt, Status};

const COMMIT: &str = "1a2b3c4d5e6f708192a3b4c5d6e7f8091a2b3c4d";
const OTHER: &str = "5d6e7f8091a2b3c4d5e6f708192a3b4c5d6e7f80";

fn now() -> Moment {
    Moment::from_millis(1_767_321_000_000)
}

fn version(text: &str) -> Version {
    text.parse().unwrap()
}

fn app() -> AppName {
    "rachel8".parse().unwrap()
}

/// A service, with what a test needs of it and nothing borrowed.
#[derive(Debug, Clone)]
struct Lamp {
    spec: ServiceSpec,
    spec_version: u64,
    watch: Watch,
}

fn spec(id: &str, more: Value) -> ServiceSpec {
    let mut spec = json!({
        "id": id, "app": "rachel8", "address": format!("{id}.example.com"), "user": "rachel",
        "key": "file:keys/prod_ed25519", "known_hosts": "known_hosts",
        "check": { "systemd": "rachel8" }, "restart": { "systemd": "rachel8" },
        "update": { "dir": "/home/rachel/rachel", "branch": "main", "install": "bun install" },
    });
    for (key, value) in more.as_object().unwrap() {
        spec[key] = value.clone();
    }
    let spec: ServiceSpec = serde_json::from_value(spec).unwrap();
    spec.check().unwrap();
    spec
}

fn lamp(id: &str) -> Lamp {
    lamp_with(id, json!({}))
}

fn lamp_with(id: &str, more: Value) -> Lamp {
    let mut watch = Watch::new(id.parse().unwrap(), now());
    watch.status = Status::Healthy;
    Lamp { spec: spec(id, more), spec_version: 1, watch }
}

fn lamps(count: usize) -> Vec<Lamp> {
    (1..=count).map(|number| lamp(&format!("vps-{number:03}"))).collect()
}

fn candidates(lamps: &[Lamp]) -> Vec<Candidate<'_>> {
    lamps
        .iter()
        .map(|lamp| Candidate { spec: &lamp.spec, spec_version: lamp.spec_version, watch: &lamp.watch })
        .collect()
}

fn planned(lamps: &[Lamp], options: &Options) -> Result<Plan, NoPlan> {
    make(&app(), &version(COMMIT), Some("main"), options, None, &candidates(lamps), now())
}

fn plan(lamps: &[Lamp]) -> Plan {
    planned(lamps, &Options::default()).unwrap()
}

fn sizes(plan: &Plan) -> Vec<usize> {
    plan.stages.iter().map(|stage| stage.services.len()).collect()
}

fn ids(plan: &Plan) -> Vec<&str> {
    plan.stages.iter().flat_map(|stage| &stage.services).map(|planned| planned.id.as_str()).collect()
}

/// Numbers that look random and are the same in every run.
struct Dice(u64);

impl Dice {
    fn below(&mut self, sides: usize) -> usize {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        usize::try_from(self.0 % u64::try_from(sides).unwrap()).unwrap()
    }

    fn shuffle<T>(&mut self, items: &mut [T]) {
        for last in (1..items.len()).rev() {
            items.swap(last, self.below(last + 1));
        }
    }
}
