//! What must hold over the history of a rollout, found out from what the hosts did and what the table took: never by
//! the engine's own formulas.

mod endings;
mod stages;

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use lamplighter_core::rollout::{Course, End, Rollout, Row, RowStatus};
use lamplighter_core::update::Way;
use lamplighter_core::{Moment, RolloutId, ServiceId, Version};

use super::{breakers, commands, letters, notices, sweeps, watches};
use crate::sim::fleet::{Act, Memory, What};
use crate::sim::history::{History, Placed, Written};
use crate::sim::journey::{Journey, OLD, version};
use crate::sim::{World, id};

/// Commands on one service by one rollout: four steps forward and three back, each intended at most four times.
const COMMANDS_MOST: usize = 28;
/// Settle time of the default policy.
const SETTLE: Duration = Duration::from_secs(5);
/// What is on its way when a service is removed may still arrive within the time a look takes.
const ON_ITS_WAY: Duration = Duration::from_millis(50);

/// Every violation found, one sentence each; none if all is well.
#[must_use]
pub fn violations(world: &World, journey: &Journey) -> Vec<String> {
    let mut found = Vec::new();
    sweeps(world, &mut found);
    watches(world, &mut found);
    commands(world, &mut found);
    breakers(world, &mut found);
    notices(world, &mut found);
    letters(world, &mut found);
    let memory = world.fleet.memory();
    let history = world.table.history();
    let seen = Seen { memory: &memory, history: &history };
    seen.versions_follow(&mut found);
    seen.recovery_keeps_off(&mut found);
    seen.stages(&mut found);
    seen.at_once(&mut found);
    seen.previous_first(&mut found);
    seen.verified(&mut found);
    seen.bounded(&mut found);
    seen.one_active(&mut found);
    seen.steered(&mut found);
    seen.removed(&mut found);
    seen.farewells(&mut found);
    drop((memory, history));
    endings::of(world, journey, &mut found);
    found
}

struct Seen<'a> {
    memory: &'a Memory,
    history: &'a History,
}

/// How a service's row stands just before the place `order`.
fn rows_before<'a>(history: &'a History, rollout: &RolloutId, order: u64) -> BTreeMap<u32, &'a Row> {
    let of = history.rows.iter().filter(|row| row.what.0 == *rollout && row.order <= order);
    of.map(|row| (row.what.1.index, &row.what.1)).collect()
}

fn is_final(row: &Row) -> bool {
    !matches!(row.status, RowStatus::Pending | RowStatus::Updating)
}

impl Seen<'_> {
    fn last_watch(&self, service: &ServiceId, before: u64) -> Option<&Written> {
        let service = service.as_str();
        self.history.watches.iter().rev().find(|watch| watch.service == service && watch.order < before)
    }

    fn watch_before(&self, watch: &Written) -> Option<&Written> {
        self.history
            .watches
            .iter()
            .rev()
            .find(|other| other.service == watch.service && other.order < watch.order)
    }

    /// The rollout that a step belongs to, and what it says was there before.
    fn intent_of(&self, service: &ServiceId, action_no: u64) -> Option<(&RolloutId, &Version)> {
        let service = service.as_str();
        let watches = self.history.watches.iter().filter(|watch| watch.service == service);
        let mut updates = watches.filter_map(|watch| watch.update.as_ref());
        updates.find(|update| update.action_no == action_no).map(|update| (&update.rollout, &update.previous))
    }

    /// Watches that begin an update, with what stood before.
    fn beginnings(&self) -> impl Iterator<Item = &Written> {
        self.history.watches.iter().filter(|watch| {
            let rollout = |watch: &Written| watch.update.as_ref().map(|update| update.rollout.clone());
            let forward = watch.update.as_ref().is_some_and(|update| update.way == Way::Forward);
            forward && self.watch_before(watch).and_then(rollout) != rollout(watch)
        })
    }

    /// Each committed head, and each state of an app, follows the one before it.
    fn versions_follow(&self, found: &mut Vec<String>) {
        let mut last: BTreeMap<&str, u64> = BTreeMap::new();
        let heads = self.history.heads.iter().map(|head| (head.what.id.as_str(), head.what.version, head.at));
        let apps = self.history.apps.iter().map(|app| (app.what.app.as_str(), app.what.version, app.at));
        for (name, version, at) in heads.chain(apps) {
            let before = last.insert(name, version).unwrap_or(0);
            if version != before + 1 {
                found.push(format!("I2: {name} went from version {before} to {version} at {at}"));
            }
        }
    }

    /// Recovery restarts nothing while a rollout has it.
    fn recovery_keeps_off(&self, found: &mut Vec<String>) {
        for command in self.memory.commands.iter().filter(|command| command.act == Act::Restart) {
            let Some(watch) = self.last_watch(&command.service, command.order) else { continue };
            let Some(update) = &watch.update else { continue };
            if !update.stray && command.at < update.until {
                found.push(format!(
                    "I6: recovery restarted {} at {}, while {} had it for {}",
                    command.service, command.at, update.rollout, update.step
                ));
            }
        }
    }

    /// The way back is walked only where this rollout was, and nothing is tried for ever.
    fn bounded(&self, found: &mut Vec<String>) {
        let mut count: BTreeMap<(&ServiceId, &RolloutId), usize> = BTreeMap::new();
        for command in &self.memory.commands {
            let Act::Step { .. } = &command.act else { continue };
            let Some((rollout, _)) = self.intent_of(&command.service, command.action_no) else { continue };
            *count.entry((&command.service, rollout)).or_default() += 1;
            let begun = self.beginnings().any(|watch| {
                watch.service == command.service.as_str()
                    && watch.order < command.order
                    && watch.update.as_ref().is_some_and(|update| update.rollout == *rollout)
            });
            if !begun {
                found.push(format!("I20: {rollout} touched {}, which it never began", command.service));
            }
        }
        for ((service, rollout), count) in count {
            if count > COMMANDS_MOST {
                found.push(format!("I20: {rollout} sent {count} commands to {service}"));
            }
        }
    }

    /// At most one rollout of an app is active.
    fn one_active(&self, found: &mut Vec<String>) {
        let mut active: BTreeSet<&RolloutId> = BTreeSet::new();
        for head in &self.history.heads {
            if head.what.is_active() {
                active.insert(&head.what.id);
            } else {
                active.remove(&head.what.id);
            }
            if active.len() > 1 {
                found.push(format!("I21: {active:?} were active at once at {}", head.at));
            }
        }
    }
}
