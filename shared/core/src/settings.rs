//! What a person says about one environment.

use std::collections::BTreeMap;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::hook::{HOOKS_MAX, Hook, HookName};
use crate::moment::duration_text;
use crate::name::Mailbox;

/// Shortest interval between sweeps.
pub const EVERY_MIN: Duration = Duration::from_secs(5);
/// Longest interval between sweeps.
pub const EVERY_MAX: Duration = Duration::from_secs(3_600);
/// Most looks at once that may be configured: each holds a socket and some 90 KiB.
pub const CONCURRENCY_MAX: u32 = 1_024;
/// Most people who are told about an env.
pub const ADMINS_MAX: usize = 32;

/// What an environment may do.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Mode {
    /// Nothing at all.
    Off,
    /// Looks and tells, never acts.
    Observe,
    /// Looks, tells and restarts.
    #[default]
    Act,
}

/// The settings of one environment. Whatever is left out keeps its default.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Settings {
    /// Time between two sweeps.
    #[serde(with = "duration_text")]
    pub every: Duration,
    /// What the engine may do.
    pub mode: Mode,
    /// Who is told about breakers, blindness and anomalies.
    pub admins: Vec<Mailbox>,
    /// Looks at once.
    pub concurrency: u32,
    /// The blindness guard: never fewer than this many services turning bad count as our own fault.
    pub blind_least: u32,
    /// The blindness guard: more than this share, in percent, of the healthy services turning bad is our own fault.
    pub blind_percent: u32,
    /// The fleet brake: never more than this many services restarting at once.
    pub brake_most: u32,
    /// The fleet brake: never more than this share of the env, in percent, restarting at once (but at least one service).
    pub brake_percent: u32,
    /// Where pushes come in.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub hooks: BTreeMap<HookName, Hook>,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            every: Duration::from_secs(60),
            mode: Mode::Act,
            admins: Vec::new(),
            concurrency: 64,
            blind_least: 3,
            blind_percent: 20,
            brake_most: 5,
            brake_percent: 5,
            hooks: BTreeMap::new(),
        }
    }
}

impl Settings {
    /// Refuses numbers that make no sense.
    ///
    /// # Errors
    /// The first problem, as `key: sentence`.
    pub fn check(&self) -> Result<(), String> {
        if !(EVERY_MIN..=EVERY_MAX).contains(&self.every) {
            return Err(format!(
                "every: `{}` is out of range; choose from `5s` to `1h`",
                duration_text::written(self.every)
            ));
        }
        if !(1..=CONCURRENCY_MAX).contains(&self.concurrency) {
            return Err(format!("concurrency: choose from 1 to {CONCURRENCY_MAX}"));
        }
        if self.admins.len() > ADMINS_MAX {
            return Err(format!("admins: at most {ADMINS_MAX}; use a mailing list"));
        }
        if self.blind_percent > 100 || self.brake_percent > 100 {
            return Err("blind_percent, brake_percent: choose from 0 to 100".to_owned());
        }
        if self.brake_most == 0 {
            return Err("brake_most: at least 1; to forbid restarts, say `mode = \"observe\"`".to_owned());
        }
        if self.hooks.len() > HOOKS_MAX {
            return Err(format!("hooks: at most {HOOKS_MAX}"));
        }
        for (name, hook) in &self.hooks {
            hook.check().map_err(|problem| format!("hooks.{name}.{problem}"))?;
        }
        Ok(())
    }

    /// The longest a whole sweep may take: below the interval, so that the next one finds the lease free.
    #[must_use]
    pub fn sweep_limit(&self) -> Duration {
        // A tenth of the interval is left for commits and for the next claim; half a second is the least that helps.
        self.every - (self.every / 10).max(Duration::from_millis(500))
    }
}
