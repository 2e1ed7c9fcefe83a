//! What must hold over the history of a rollout, found out from what the hosts did and what the table took: never by
//! the engine's own formulas.

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
    endings(world, journey, &mut found);
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

    /// A stage begins only after the one before it passed and soaked, by verdicts that are final.
    fn stages(&self, found: &mut Vec<String>) {
        for head in &self.history.heads {
            let Some(before) = self.head_before(head) else { continue };
            let ends_well = matches!(
                head.what.course,
                Course::Ended { end: End::Completed | End::CompletedWithFailures }
            );
            let passes = head.what.stage > before.stage || (ends_well && before.is_active());
            if passes {
                self.passed(head, before.stage, found);
            }
            if head.what.plan_hash != before.plan_hash || head.what.stages.len() != before.stages.len() {
                found.push(format!("I14: the plan of {} changed at {}", head.what.id, head.at));
            }
        }
        for watch in self.beginnings() {
            let Some(update) = &watch.update else { continue };
            let head = self.history.heads.iter().rev().find(|head| head.order <= watch.order);
            let rows = rows_before(self.history, &update.rollout, watch.order);
            let Some((head, row)) = head.zip(rows.get(&update.row)) else {
                found.push(format!("I14: {} was begun by nobody at {}", watch.service, watch.at));
                continue;
            };
            if row.stage > head.what.stage || row.service.as_str() != watch.service {
                found.push(format!(
                    "I14: {} of stage {} was begun in stage {} at {}",
                    watch.service, row.stage, head.what.stage, watch.at
                ));
            }
        }
    }

    fn head_before(&self, head: &Placed<Rollout>) -> Option<&Rollout> {
        let heads = self.history.heads.iter().rev();
        heads
            .filter(|other| other.what.id == head.what.id && other.order < head.order)
            .map(|other| &other.what)
            .next()
    }

    fn passed(&self, head: &Placed<Rollout>, stage: u32, found: &mut Vec<String>) {
        let (rollout, number) = (&head.what.id, stage + 1);
        let rows = rows_before(self.history, rollout, head.order);
        let rows: Vec<&&Row> = rows.values().filter(|row| row.stage == stage).collect();
        for row in rows.iter().filter(|row| !is_final(row)) {
            found.push(format!(
                "I15: {rollout} passed stage {number} at {} while {} is {}",
                head.at,
                row.service,
                row.status.as_str()
            ));
        }
        let bad =
            rows.iter().filter(|row| matches!(row.status, RowStatus::RolledBack | RowStatus::Failed)).count();
        if bad * 10 > rows.len() * 3 {
            found.push(format!("I14: {rollout} passed stage {number} with {bad} of {} not well", rows.len()));
        }
        let arrived = rows.iter().filter(|row| row.status == RowStatus::Success);
        // What falls sick in its soak goes back, and the others need not soak again for it.
        let verified = |row: &Row| {
            let of_it = self.history.rows.iter().filter(|placed| placed.what.0 == *rollout);
            let of_it = of_it.map(|placed| &placed.what.1);
            let mut settled = of_it.filter(|other| other.service == row.service && is_final(other));
            settled.find_map(|first| first.settled_at)
        };
        let last = rows.iter().filter_map(|row| verified(row)).max().unwrap_or(Moment::EPOCH);
        let ripe = last + head.what.options.soak;
        if head.at < ripe {
            found.push(format!("I14: {rollout} passed stage {number} at {}, before {ripe}", head.at));
        }
        for row in arrived {
            if !self.seen_up(&row.service, ripe, head.order) {
                found.push(format!(
                    "I14: {rollout} passed stage {number} and {} was not seen up after its soak",
                    row.service
                ));
            }
        }
    }

    fn seen_up(&self, service: &ServiceId, since: Moment, before: u64) -> bool {
        self.memory.happenings.iter().any(|one| {
            one.service == *service && one.what == What::SeenUp && one.at >= since && one.order < before
        })
    }

    /// Never more services under way than may be, by the watches and on the hosts.
    fn at_once(&self, found: &mut Vec<String>) {
        let most = self.history.heads.iter().map(|head| head.what.options.at_once).max().unwrap_or(0);
        let most = usize::try_from(most).unwrap_or(usize::MAX);
        let mut open: BTreeSet<&str> = BTreeSet::new();
        for watch in &self.history.watches {
            match &watch.update {
                Some(update) if !update.stray => open.insert(&watch.service),
                Some(_) | None => open.remove(watch.service.as_str()),
            };
            if open.len() > most {
                found.push(format!("I16: {} services were updating at once at {}", open.len(), watch.at));
            }
        }
        for command in &self.memory.commands {
            let overlapping = self.memory.commands.iter().filter(|other| {
                other.act != Act::Restart && other.at <= command.at && command.at < other.lands
            });
            let count = overlapping.count();
            if count > most {
                found.push(format!("I16: {count} steps ran on hosts at once at {}", command.at));
            }
        }
    }

    /// Nothing is changed before what was there is written down.
    fn previous_first(&self, found: &mut Vec<String>) {
        let mut begun: BTreeSet<(ServiceId, RolloutId)> = BTreeSet::new();
        for command in &self.memory.commands {
            if command.act == Act::Restart {
                continue;
            }
            let Some((rollout, previous)) = self.intent_of(&command.service, command.action_no) else {
                continue;
            };
            if begun.insert((command.service.clone(), rollout.clone()))
                && command.head.as_ref() != Some(previous)
            {
                found.push(format!(
                    "I18: {rollout} found {:?} on {} and remembered {}",
                    command.head.as_ref().map(Version::short),
                    command.service,
                    previous.short()
                ));
            }
        }
    }

    /// A verdict is written only of a new process, of the version it speaks of, that was up after it settled.
    fn verified(&self, found: &mut Vec<String>) {
        for placed in &self.history.rows {
            let (rollout, row) = &placed.what;
            let expected = match row.status {
                RowStatus::Success | RowStatus::RolledBack => row.current.as_ref(),
                RowStatus::Pending | RowStatus::Updating | RowStatus::Failed | RowStatus::Skipped => None,
            };
            let mine = self.memory.commands.iter().any(|command| {
                command.service == row.service
                    && command.order < placed.order
                    && self.intent_of(&row.service, command.action_no).is_some_and(|(of, _)| of == rollout)
            });
            let Some(expected) = expected.filter(|_| mine) else { continue };
            let of_it = || {
                self.memory
                    .happenings
                    .iter()
                    .rev()
                    .filter(|one| one.service == row.service && one.order < placed.order)
            };
            let started = of_it().find(|one| matches!(one.what, What::Started(_)));
            let checked_out = of_it().find(|one| matches!(one.what, What::CheckedOut(_)));
            let Some((started, checked_out)) = started.zip(checked_out) else {
                found.push(format!(
                    "I19: {} is {} at {}, and nothing was restarted",
                    row.service,
                    row.status.as_str(),
                    placed.at
                ));
                continue;
            };
            let right = started.what == What::Started(Some(expected.clone()))
                && checked_out.what == What::CheckedOut(expected.clone())
                && started.order > checked_out.order;
            if !right {
                found.push(format!(
                    "I19: {} is {} at {}, and what runs is {:?}, checked out {:?}",
                    row.service,
                    row.status.as_str(),
                    placed.at,
                    started.what,
                    checked_out.what
                ));
            }
            if !self.seen_up(&row.service, started.at + SETTLE, placed.order) {
                found.push(format!(
                    "I19: {} is {} at {}, not seen up after settling",
                    row.service,
                    row.status.as_str(),
                    placed.at
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

    /// After an abort no step forward is intended; while paused no service is begun.
    fn steered(&self, found: &mut Vec<String>) {
        for watch in &self.history.watches {
            let Some(update) = watch.update.as_ref().filter(|update| update.way == Way::Forward) else {
                continue;
            };
            let before = self.watch_before(watch).and_then(|before| before.update.as_ref());
            if update.stray || before.is_some_and(|before| before.action_no == update.action_no) {
                continue;
            }
            let heads = self.history.heads.iter().rev();
            let Some(head) =
                heads.filter(|head| head.what.id == update.rollout).find(|head| head.order <= watch.order)
            else {
                continue;
            };
            let aborted = matches!(
                head.what.course,
                Course::Stopping { end: End::Aborted, .. }
                    | Course::Undoing { .. }
                    | Course::Ended { end: End::Aborted }
            );
            if aborted {
                found.push(format!(
                    "I22: {} went on with {} at {}, after the abort",
                    watch.service, update.step, watch.at
                ));
            }
            let begins = before.is_none_or(|before| before.rollout != update.rollout);
            if begins && (head.what.paused.is_some() || !matches!(head.what.course, Course::Arriving)) {
                found.push(format!(
                    "I22: {} was begun at {} while the rollout is {}",
                    watch.service,
                    watch.at,
                    head.what.status()
                ));
            }
        }
    }

    /// No command on a removed service.
    fn removed(&self, found: &mut Vec<String>) {
        for gone in &self.history.removed {
            for command in self
                .memory
                .commands
                .iter()
                .filter(|command| command.service.as_str() == gone.what && command.order > gone.order)
            {
                if command.at > gone.at + ON_ITS_WAY {
                    found.push(format!(
                        "I27: {} was touched at {}, removed at {}",
                        command.service, command.at, gone.at
                    ));
                }
            }
        }
    }

    /// Each rollout that ended was told of once, and a halted version is quarantined.
    fn farewells(&self, found: &mut Vec<String>) {
        let ended: BTreeMap<&RolloutId, &Placed<Rollout>> = self
            .history
            .heads
            .iter()
            .filter(|head| !head.what.is_active())
            .map(|head| (&head.what.id, head))
            .collect();
        for (rollout, head) in ended {
            let told = self.history.notices.iter().filter(|notice| {
                notice.kind.starts_with("rollout") && notice.id.starts_with(&format!("{rollout}."))
            });
            if told.count() != 1 {
                found.push(format!("I11: the end of {rollout} was not told once"));
            }
            let halted = head.what.course == Course::Ended { end: End::Halted };
            let with_it = self.history.apps.iter().find(|app| app.order == head.order);
            let quarantined = with_it.is_some_and(|app| {
                app.what.quarantined.iter().any(|harmful| harmful.version == head.what.target)
            });
            if halted && !quarantined {
                found.push(format!("I17: {rollout} halted, and its version is not quarantined"));
            }
        }
    }
}

/// How it must end: liveness, and the truth of each row.
fn endings(world: &World, journey: &Journey, found: &mut Vec<String>) {
    let history = world.table.history();
    let mut last: BTreeMap<u64, &Rollout> = BTreeMap::new();
    for head in &history.heads {
        let number = head.what.id.parts().map_or(0, |(_, number)| number);
        last.insert(number, &head.what);
    }
    let ends: Vec<String> = last.values().map(|head| head.status().to_owned()).collect();
    let expected: Vec<String> = journey.end.iter().map(|end| end.as_str().to_owned()).collect();
    if !expected.is_empty() && ends != expected {
        found.push(format!("I23: the rollouts ended as {ends:?}, not {expected:?}"));
    }
    for head in last.values().filter(|head| head.is_active()) {
        found.push(format!("I23: {} is still {} at the end: {}", head.id, head.status(), head.because));
    }
    let active = history.apps.last().and_then(|app| app.what.active.clone());
    if let Some(active) = active.filter(|_| last.values().all(|head| !head.is_active())) {
        found.push(format!("I21: the app is still held by {active}, which is over"));
    }
    let Some(head) = last.values().next_back() else { return };
    let rows = rows_before(&history, &head.id, u64::MAX);
    let gone: BTreeSet<&str> = history.removed.iter().map(|gone| gone.what.as_str()).collect();
    for row in rows.values().filter(|row| !gone.contains(row.service.as_str())) {
        row_is_true(world, &history, head, row, found);
    }
    for (service, status) in journey.rows {
        let row = rows.values().find(|row| row.service == id(service));
        if row.map(|row| row.status) != Some(*status) {
            let is = row.map_or("absent", |row| row.status.as_str());
            found.push(format!("I17: {service} is {is} at the end, not {}", status.as_str()));
        }
    }
}

/// Each row says what an observer on the host sees.
fn row_is_true(world: &World, history: &History, head: &Rollout, row: &Row, found: &mut Vec<String>) {
    let Some(stands) = world.fleet.stands(&row.service) else {
        found.push(format!("I17: {} has no checkout at the end", row.service));
        return;
    };
    let watch = history.watches.iter().rev().find(|watch| watch.service == row.service.as_str());
    let flagged = watch.is_some_and(|watch| watch.flagged);
    let open = watch.and_then(|watch| watch.update.as_ref());
    let runs = |version: &Version| stands.head == *version && stands.running == *version;
    // A rollout that stopped early has not watched everything that arrived; what dies then is recovery's to restart.
    let watched = matches!(head.course, Course::Ended { end: End::Completed | End::CompletedWithFailures });
    let right = match row.status {
        RowStatus::Success => {
            let known = watch.and_then(|watch| watch.current.as_ref()) == Some(&head.target);
            runs(&head.target) && known && (stands.up || !watched)
        }
        RowStatus::RolledBack => {
            row.previous.as_ref().is_none_or(runs) && stands.head != head.target && stands.up
        }
        RowStatus::Failed => flagged,
        RowStatus::Pending | RowStatus::Skipped => stands.head == version(OLD) || row.current.is_some(),
        RowStatus::Updating => false,
    };
    if !right {
        found.push(format!(
            "I17: {} is {} at the end, flagged {flagged}, and in truth {stands:?}",
            row.service,
            row.status.as_str()
        ));
    }
    if let Some(update) = open.filter(|update| !(update.stray && row.status == RowStatus::Failed)) {
        found.push(format!(
            "I23: {} is still at {} of {} at the end",
            row.service, update.step, update.rollout
        ));
    }
    if stands.working {
        found.push(format!("I23: a command is still executing on {} at the end", row.service));
    }
}
