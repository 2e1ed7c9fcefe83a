//! The commands of a plan, as a person reads them. What is run on a host is written elsewhere, quoted and guarded.

use super::{Candidate, Commands};
use crate::spec::{Command, Restart};
use crate::update::{Update, UpdateStep, Way};
use crate::version::Version;

/// Most sets of commands that are told: where every service has a directory of its own, the rest is like these.
const MAX_SETS: usize = 20;
/// Stands for what is recorded when a service is begun, and not known before.
const PREVIOUS: &str = "PREVIOUS";
/// Parts of a name that say its value is a secret.
const SECRET_NAMES: [&str; 8] =
    ["TOKEN", "SECRET", "PASSWORD", "PASSWD", "PASSPHRASE", "CREDENTIAL", "APIKEY", "API_KEY"];

/// Services that are updated alike.
struct Set<'a> {
    update: &'a Update,
    restart: &'a Restart,
    services: u32,
}

/// The commands of every service of `order`, those that are alike together.
pub(super) fn of(order: &[Candidate<'_>], target: &Version) -> Vec<Commands> {
    let mut sets: Vec<Set<'_>> = Vec::new();
    let mut untold = 0;
    for spec in order.iter().map(|candidate| candidate.spec) {
        let Some(update) = &spec.update else { continue };
        let restart = &spec.restart;
        if let Some(set) = sets.iter_mut().find(|set| set.update == update && set.restart == restart) {
            set.services += 1;
        } else if sets.len() < MAX_SETS {
            sets.push(Set { update, restart, services: 1 });
        } else {
            untold += 1;
        }
    }
    let told = |Set { update, restart, services }| Commands {
        services,
        forward: way(update, restart, Way::Forward, target),
        back: way(update, restart, Way::Back, target),
    };
    let mut commands: Vec<Commands> = sets.into_iter().map(told).collect();
    if untold > 0 {
        let line = || {
            vec![format!("commands of their own, by their specs; the first {MAX_SETS} sets are told above")]
        };
        commands.push(Commands { services: untold, forward: line(), back: line() });
    }
    commands
}

fn way(update: &Update, restart: &Restart, way: Way, target: &Version) -> Vec<String> {
    let dir = match update {
        Update::Git(git) => Some(&git.dir),
        Update::Docker(docker) => Some(&docker.dir),
        Update::Own(own) => own.dir.as_ref(),
    };
    let mut lines: Vec<String> = dir.map(|dir| format!("cd {dir}")).into_iter().collect();
    for step in update.steps(way) {
        match step {
            UpdateStep::CheckOut => lines.extend(check_out(update, way, target)),
            UpdateStep::Restart => lines.extend(restarted(update, restart, way, target)),
            UpdateStep::Before
            | UpdateStep::Install
            | UpdateStep::Own(_)
            | UpdateStep::After
            | UpdateStep::Rollback => {
                lines.extend(own_command(update, way, step).map(without_secrets));
            }
        }
    }
    lines
}

fn check_out(update: &Update, way: Way, target: &Version) -> Vec<String> {
    match (update, way) {
        (Update::Git(git), Way::Forward) => {
            vec![
                format!("git fetch origin {}", git.branch),
                format!("git checkout --detach {}", target.short()),
            ]
        }
        (Update::Git(_), Way::Back) => vec![format!("git checkout --force --detach {PREVIOUS}")],
        (Update::Docker(docker), Way::Forward) => vec![format!("docker pull {}@{target}", docker.image)],
        // What was there is there still.
        (Update::Docker(_), Way::Back) | (Update::Own(_), _) => Vec::new(),
    }
}

fn restarted(update: &Update, restart: &Restart, way: Way, target: &Version) -> Option<String> {
    if let Update::Docker(docker) = update {
        let version = match way {
            Way::Forward => target.as_str(),
            Way::Back => PREVIOUS,
        };
        return Some(format!(
            "LAMPLIGHTER_IMAGE={}@{version} docker compose up -d --no-deps --force-recreate {}",
            docker.image, docker.service
        ));
    }
    match restart {
        Restart::Systemd(unit) => Some(format!("systemctl restart {unit}")),
        Restart::Docker(container) => Some(format!("docker restart {container}")),
        Restart::Command(command) => Some(without_secrets(command)),
        Restart::Never => None,
    }
}

fn own_command(update: &Update, way: Way, step: UpdateStep) -> Option<&Command> {
    let around = match update {
        Update::Git(git) => Some(&git.around),
        Update::Docker(docker) => Some(&docker.around),
        Update::Own(_) => None,
    };
    match (step, update) {
        (UpdateStep::Before, _) => around?.before.as_ref(),
        (UpdateStep::After, _) => around?.after.as_ref(),
        (UpdateStep::Rollback, _) => around?.rollback.as_ref(),
        (UpdateStep::Install, Update::Git(git)) => git.install.as_ref(),
        (UpdateStep::Own(number), Update::Own(own)) => {
            let step = own.steps.get(usize::from(number))?;
            Some(match way {
                Way::Forward => &step.run,
                Way::Back => &step.back,
            })
        }
        (UpdateStep::Install | UpdateStep::Own(_) | UpdateStep::CheckOut | UpdateStep::Restart, _) => None,
    }
}

/// The command without what looks like a secret: a plan is shown to more people than a spec, and is kept.
fn without_secrets(command: &Command) -> String {
    let mut told = String::with_capacity(command.as_str().len());
    let mut is_secret = false;
    for word in command.as_str().split_inclusive([' ', '\t']) {
        let (text, gap) = word.split_at(word.trim_end_matches([' ', '\t']).len());
        if is_secret && !text.is_empty() {
            told.push('…');
            is_secret = false;
        } else if let Some((name, _)) =
            text.split_once('=').filter(|(name, value)| names_secret(name) && !value.is_empty())
        {
            told.push_str(name);
            told.push_str("=…");
        } else {
            told.push_str(&without_login(text));
            is_secret =
                is_secret || (text.starts_with("--") && names_secret(text)) || text.ends_with("Bearer");
        }
        told.push_str(gap);
    }
    told
}

fn names_secret(name: &str) -> bool {
    let name = name.to_ascii_uppercase().replace('-', "_");
    SECRET_NAMES.iter().any(|secret| name.contains(secret))
}

/// `https://user:password@host/` without the part before the `@`.
fn without_login(text: &str) -> String {
    let Some((before, rest)) = text.split_once("://") else { return text.to_owned() };
    let authority = rest.find(['/', '?', '#']).unwrap_or(rest.len());
    match rest.get(..authority).and_then(|authority| authority.rfind('@')) {
        Some(at) => format!("{before}://…{}", rest.get(at..).unwrap_or_default()),
        None => text.to_owned(),
    }
}
