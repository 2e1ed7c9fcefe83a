//! What must hold over a whole history. No checker shares a formula with the code it checks: they read what the hosts,
//! the table and the post office saw.

pub mod rollout;

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use super::fleet::{Act, Command};
use super::history::{Noticed, Written};
use super::story::Story;
use super::{World, id};

/// Every violation found, one sentence each; none if all is well.
#[must_use]
pub fn violations(world: &World, story: &Story) -> Vec<String> {
    let mut found = Vec::new();
    sweeps(world, &mut found);
    watches(world, &mut found);
    commands(world, &mut found);
    breakers(world, &mut found);
    notices(world, &mut found);
    letters(world, &mut found);
    ending(world, story, &mut found);
    found
}

/// Fails with everything that was violated, and what happened.
///
/// # Panics
/// If anything was violated.
pub fn assert_sound(world: &World, story: &Story, what: &str) {
    let found = violations(world, story);
    assert!(found.is_empty(), "{} ({what}):\n  {}\n{}", story.name, found.join("\n  "), chronicle(world));
}

/// What happened, for a person who looks for the reason.
#[must_use]
pub fn chronicle(world: &World) -> String {
    let mut lines = world.fleet.memory().log.clone();
    let history = world.table.history();
    lines.extend(history.watches.iter().map(|watch| {
        let (at, service, version, status) = (watch.at, &watch.service, watch.version, &watch.status);
        format!("{at} {service} v{version} {status}, breaker {}, attempt {:?}", watch.breaker, watch.attempt)
    }));
    lines.extend(history.notices.iter().map(|notice| format!("{} notice {}", notice.at, notice.id)));
    lines
        .extend(world.post.book().iter().map(|letter| format!("{} letter {}", letter.at, letter.message_id)));
    lines.sort();
    lines.join("\n")
}

/// At most one committed sweep per shard and tick, and ticks only rise.
fn sweeps(world: &World, found: &mut Vec<String>) {
    let history = world.table.history();
    let mut last: BTreeMap<&str, u64> = BTreeMap::new();
    for (shard, tick) in &history.sweeps {
        if last.insert(shard, *tick).is_some_and(|before| before >= *tick) {
            found.push(format!("I1: shard {shard} finished tick {tick} again, or out of order"));
        }
    }
}

/// Each committed watch follows the one before it.
fn watches(world: &World, found: &mut Vec<String>) {
    let history = world.table.history();
    let mut last: BTreeMap<&str, u64> = BTreeMap::new();
    for watch in &history.watches {
        let before = last.insert(&watch.service, watch.version);
        if before.is_some_and(|before| watch.version != before + 1) {
            found.push(format!("I2: {} went from version {before:?} to {}", watch.service, watch.version));
        }
    }
}

/// Commands on hosts: never two at once, numbers never fall, one per attempt, each intended and audited before.
fn commands(world: &World, found: &mut Vec<String>) {
    let memory = world.fleet.memory();
    let history = world.table.history();
    let mut made = BTreeSet::new();
    for command in &memory.commands {
        let (service, action_no) = (&command.service, command.action_no);
        if command.nesting > 1 {
            found.push(format!(
                "I3: {} lifecycle commands at once on {service} at {}",
                command.nesting, command.at
            ));
        }
        if action_no <= command.seen_before {
            found.push(format!("I4: {service} obeyed action {action_no} after {}", command.seen_before));
        }
        if !made.insert((service.clone(), action_no)) {
            found.push(format!("I5: {service} carried out action {action_no} twice"));
        }
        let mut audits = history.audits.iter().zip(&history.audited);
        let audited = audits
            .any(|((_, of, no), order)| of == service.as_str() && *no == action_no && *order < command.order);
        if !audited {
            found
                .push(format!("I28: {service} carried out action {action_no} with no audit row from before"));
        }
        let intended = history.watches.iter().any(|watch| {
            watch.service == service.as_str() && watch.order < command.order && intends(watch, command)
        });
        if !intended {
            found.push(format!(
                "I6: {service} carried out action {action_no}, which no committed watch intended"
            ));
        }
    }
}

/// True if this watch asks for this very command.
fn intends(watch: &Written, command: &Command) -> bool {
    match &command.act {
        Act::Restart => watch.attempt == Some(command.action_no),
        Act::Step { way, step, target, previous } => watch.update.as_ref().is_some_and(|update| {
            (update.action_no, update.way, update.step) == (command.action_no, *way, *step)
                && (&update.target, &update.previous) == (target, previous)
        }),
    }
}

/// Between an opening of the breaker and the end of its cooldown nothing is restarted, whatever crashed.
fn breakers(world: &World, found: &mut Vec<String>) {
    const COOLDOWN: Duration = Duration::from_secs(30 * 60);
    let memory = world.fleet.memory();
    let history = world.table.history();
    for (index, watch) in history.watches.iter().enumerate() {
        let before = history.watches[..index].iter().rev().find(|earlier| earlier.service == watch.service);
        let opened = watch.breaker == "open" && before.is_none_or(|before| before.breaker != "open");
        if !opened {
            continue;
        }
        let closed = history.watches[index..]
            .iter()
            .find(|later| later.service == watch.service && later.breaker == "closed")
            .map(|later| later.at);
        for command in memory.commands.iter().filter(|command| command.service.as_str() == watch.service) {
            let within = command.at > watch.at && command.at < watch.at + COOLDOWN;
            if within && closed.is_none_or(|closed| command.at < closed) {
                found.push(format!(
                    "I7: {} was restarted at {} with its breaker open since {}",
                    watch.service, command.at, watch.at
                ));
            }
        }
    }
}

/// Transitions and outbox rows belong together: down and recovered alternate, and each id is new.
fn notices(world: &World, found: &mut Vec<String>) {
    let history = world.table.history();
    let mut ids = BTreeSet::new();
    let mut down: BTreeMap<&str, bool> = BTreeMap::new();
    for Noticed { at, id: notice, kind, service, .. } in &history.notices {
        if !ids.insert(notice) {
            found.push(format!("I11: notice {notice} was put into the outbox twice"));
        }
        let is_down = down.entry(service).or_default();
        match kind.as_str() {
            "down" if *is_down => found.push(format!("I11: {service} was told down twice, again at {at}")),
            "recovered" if !*is_down => {
                found.push(format!("I13: {service} was told recovered at {at}, but not down before"))
            }
            "down" => *is_down = true,
            "recovered" => *is_down = false,
            _ => {}
        }
    }
    let restarting = history.watches.iter().filter(|watch| watch.status == "restarting");
    for watch in restarting {
        let told = history
            .notices
            .iter()
            .any(|notice| notice.kind == "down" && notice.service == watch.service && notice.at <= watch.at);
        if !told {
            found.push(format!(
                "I11: {} was restarting at {} and nobody was told down",
                watch.service, watch.at
            ));
        }
    }
}

/// Every notice is delivered at least once, nothing else is, and each service's in order.
fn letters(world: &World, found: &mut Vec<String>) {
    let history = world.table.history();
    let book = world.post.book();
    for notice in &history.notices {
        let delivered = book.iter().any(|letter| notice.is_told_by(&letter.message_id));
        if notice.told && !delivered {
            found.push(format!("I12: notice {} was never delivered", notice.id));
        }
    }
    let mut seen = BTreeSet::new();
    let mut last: BTreeMap<&str, usize> = BTreeMap::new();
    for letter in book.iter() {
        let Some(index) = history.notices.iter().position(|notice| notice.is_told_by(&letter.message_id))
        else {
            found.push(format!("I13: letter {} tells of no notice", letter.message_id));
            continue;
        };
        if !seen.insert(&letter.message_id) {
            continue;
        }
        let service = history.notices[index].service.as_str();
        if last.insert(service, index).is_some_and(|before| before > index) {
            found.push(format!("I12: letter {} came after later news of {service}", letter.message_id));
        }
    }
}

/// How the story must end: liveness.
fn ending(world: &World, story: &Story, found: &mut Vec<String>) {
    for service in story.up {
        if !world.fleet.is_up(&id(service)) {
            found.push(format!("I23: {service} is not up at the end"));
        }
    }
    let history = world.table.history();
    let last = |service: &str| history.watches.iter().rev().find(|watch| watch.service == service);
    for service in story.up {
        let status = last(service).map(|watch| watch.status.as_str());
        if status != Some("healthy") {
            found.push(format!("I23: {service} is remembered as {status:?} at the end"));
        }
    }
    for service in story.open {
        let breaker = last(service).map(|watch| watch.breaker.as_str());
        if !matches!(breaker, Some("open" | "half_open")) {
            found.push(format!("I7: the breaker of {service} is {breaker:?} at the end"));
        }
    }
}
