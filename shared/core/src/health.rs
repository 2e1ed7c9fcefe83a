//! The health of an env in one value: what the five-minute summary logs and `GET E/health` answers.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::blindness::Blindness;
use crate::moment::Moment;
use crate::name::{EnvName, ServiceId};
use crate::report::SweepReport;
use crate::settings::Mode;
use crate::watch::{Status, Watch};

/// Most services named in one list of the summary; the counts are always whole.
pub const MAX_NAMED: usize = 50;

/// How an env is.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Health {
    /// The env.
    pub env: EnvName,
    /// What it may do.
    pub mode: Mode,
    /// Services by status; every status is present.
    pub counts: BTreeMap<Status, u32>,
    /// Services in all.
    pub services: u32,
    /// Services whose breaker is not closed, at most [`MAX_NAMED`].
    pub breakers_open: Vec<ServiceId>,
    /// Services that are not up and not held, with why, at most [`MAX_NAMED`].
    pub troubles: BTreeMap<ServiceId, String>,
    /// Set while the blindness guard holds: why.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub blind: Option<String>,
    /// The last finished sweep.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub last_sweep: Option<SweepReport>,
    /// When it finished.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub last_sweep_at: Option<Moment>,
    /// Anomalies that stand: raised once, cleared once.
    pub anomalies: Vec<String>,
}

impl Health {
    /// Adds up the watches of an env.
    #[must_use]
    pub fn of<'a>(
        env: EnvName,
        mode: Mode,
        now: Moment,
        guard: &Blindness,
        watches: impl Iterator<Item = &'a Watch>,
    ) -> Self {
        let mut health = Health {
            env,
            mode,
            counts: Status::ALL.into_iter().map(|status| (status, 0)).collect(),
            services: 0,
            breakers_open: Vec::new(),
            troubles: BTreeMap::new(),
            blind: guard.holds(now).then(|| guard.because.clone()),
            last_sweep: None,
            last_sweep_at: None,
            anomalies: Vec::new(),
        };
        for watch in watches {
            health.services += 1;
            *health.counts.entry(watch.status).or_default() += 1;
            if watch.breaker.opened_at().is_some() && health.breakers_open.len() < MAX_NAMED {
                health.breakers_open.push(watch.service.clone());
            }
            let in_trouble = match watch.status {
                Status::Unhealthy | Status::Restarting | Status::Down | Status::CircuitOpen => true,
                Status::Unknown | Status::Healthy | Status::Updating | Status::Held => false,
            };
            if in_trouble && health.troubles.len() < MAX_NAMED {
                health.troubles.insert(watch.service.clone(), watch.because.clone());
            }
        }
        health
    }

    /// The one line of the log: `prod: 12 services, 11 healthy, 1 restarting`.
    #[must_use]
    pub fn summary(&self) -> String {
        let mut line = format!("{}: {} services", self.env, self.services);
        for (status, count) in self.counts.iter().filter(|(_, count)| **count > 0) {
            line.push_str(&format!(", {count} {}", status.as_str().replace('_', " ")));
        }
        if let Some(because) = &self.blind {
            line.push_str("; blind: ");
            line.push_str(because);
        }
        line
    }
}
