//! How a service is brought to another version: what a spec says about it, the steps that follow from that, and what a
//! host can answer about each.

use std::fmt;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::name::ImageName;
use crate::sight::{Fault, GuardParts, ProcessId, UnreachableKind};
use crate::spec::{BadSpec, Command, Restart};
use crate::version::Version;

/// Longest a connection may take while updating: a host busy with an install answers late.
pub const CONNECT_LIMIT: Duration = Duration::from_secs(60);
/// Longest a question about what is there may take.
pub const ASK_LIMIT: Duration = Duration::from_secs(30);
/// Longest fetch and check-out, or pull of an image.
pub const CHECK_OUT_LIMIT: Duration = Duration::from_secs(60);
/// Longest install, or command of the operator's own.
pub const INSTALL_LIMIT: Duration = Duration::from_secs(120);
/// Longest restart while updating.
pub const RESTART_LIMIT: Duration = Duration::from_secs(30);
/// Most own steps of one update: each costs a commit before and a round trip.
pub const MAX_OWN_STEPS: usize = 8;
/// Longest name of a branch: git keeps each as a file.
const MAX_BRANCH_BYTES: usize = 200;
/// Longest path on a host.
const MAX_PATH_BYTES: usize = 512;

/// How a service is brought to another version.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "Written", into = "Written")]
pub enum Update {
    /// A git checkout: fetch, check out detached, install, restart.
    Git(GitUpdate),
    /// A container of a compose project: pull by digest, recreate.
    Docker(DockerUpdate),
    /// Commands of the operator's own, each with its way back.
    Own(OwnUpdate),
}

/// A git checkout on the host.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct GitUpdate {
    /// The checkout's absolute path.
    pub dir: String,
    /// The branch that a rollout without a commit means, and that is fetched.
    pub branch: String,
    /// Installs dependencies, in `dir`.
    pub install: Option<Command>,
    /// What else is run, in `dir`.
    pub around: Around,
}

/// A service of a compose project, whose file names its image as `${LAMPLIGHTER_IMAGE}`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DockerUpdate {
    /// The image's name without tag or digest.
    pub image: ImageName,
    /// The compose project's absolute path; its `.env` remembers the image.
    pub dir: String,
    /// The service in it.
    pub service: crate::name::ContainerName,
    /// What else is run, in `dir`.
    pub around: Around,
}

/// Commands of the operator's own.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OwnUpdate {
    /// Where they run, an absolute path; the login's home if absent.
    pub dir: Option<String>,
    /// Prints the version that is there, as one line: how an update is verified.
    pub version: Command,
    /// The steps, in order. They find `$LAMPLIGHTER_TARGET` and `$LAMPLIGHTER_PREVIOUS` in their environment.
    pub steps: Vec<OwnStep>,
}

/// One step of the operator's own.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct OwnStep {
    /// The way forward. Run again after a crash of the host, so it must not mind.
    pub run: Command,
    /// The way back.
    pub back: Command,
}

/// What else an update runs: the version wanted and the one left are in `$LAMPLIGHTER_TARGET` and
/// `$LAMPLIGHTER_PREVIOUS`.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Around {
    /// Before anything is changed.
    pub before: Option<Command>,
    /// Once the new version runs, before it is verified.
    pub after: Option<Command>,
    /// First on the way back, while the new version's files are still there: where a migration is undone.
    pub rollback: Option<Command>,
}

/// `update = { … }` as a file spells it.
#[derive(Debug, Clone, Serialize, Deserialize, Default)]
#[serde(deny_unknown_fields, default)]
struct Written {
    #[serde(skip_serializing_if = "Option::is_none")]
    dir: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    branch: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    install: Option<Command>,
    #[serde(skip_serializing_if = "Option::is_none")]
    before: Option<Command>,
    #[serde(skip_serializing_if = "Option::is_none")]
    after: Option<Command>,
    #[serde(skip_serializing_if = "Option::is_none")]
    rollback: Option<Command>,
    #[serde(skip_serializing_if = "Option::is_none")]
    docker: Option<ImageName>,
    #[serde(skip_serializing_if = "Option::is_none")]
    service: Option<crate::name::ContainerName>,
    #[serde(skip_serializing_if = "Option::is_none")]
    version: Option<Command>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    steps: Vec<OwnStep>,
}

impl TryFrom<Written> for Update {
    type Error = String;

    fn try_from(written: Written) -> Result<Self, String> {
        let Written { dir, branch, install, before, after, rollback, docker, service, version, steps } =
            written;
        let around = Around { before, after, rollback };
        if let Some(image) = docker {
            if branch.is_some() || install.is_some() || version.is_some() || !steps.is_empty() {
                return Err(
                    "a container is updated by its image's digest; leave out `branch`, `install`, `version` and `steps`"
                        .to_owned(),
                );
            }
            let (Some(dir), Some(service)) = (dir, service) else {
                return Err(
                    "`docker` lacks `dir` or `service`; write the absolute path of the compose project, and the service in it"
                        .to_owned(),
                );
            };
            return Ok(Update::Docker(DockerUpdate { image, dir, service, around }));
        }
        if service.is_some() {
            return Err("`service` belongs to `docker`; add `docker = \"IMAGE\"`, or leave it out".to_owned());
        }
        if !steps.is_empty() {
            if branch.is_some() || install.is_some() || around != Around::default() {
                return Err("`steps` are all that is run; leave out `branch`, `install`, `before`, `after` and `rollback`".to_owned());
            }
            let Some(version) = version else {
                return Err("`steps` lack `version`; add a command that prints the version that is there, or nothing could be verified".to_owned());
            };
            return Ok(Update::Own(OwnUpdate { dir, version, steps }));
        }
        if version.is_some() {
            return Err(
                "`version` belongs to `steps`; leave it out, since a git checkout knows its own".to_owned()
            );
        }
        let Some(dir) = dir else {
            return Err(
                "`dir` is missing; write the absolute path of the git checkout on the host".to_owned()
            );
        };
        let branch = branch.unwrap_or_else(|| "main".to_owned());
        Ok(Update::Git(GitUpdate { dir, branch, install, around }))
    }
}

impl From<Update> for Written {
    fn from(update: Update) -> Written {
        let around =
            |Around { before, after, rollback }| Written { before, after, rollback, ..Written::default() };
        match update {
            Update::Git(GitUpdate { dir, branch, install, around: own }) => {
                Written { dir: Some(dir), branch: Some(branch), install, ..around(own) }
            }
            Update::Docker(DockerUpdate { image, dir, service, around: own }) => {
                Written { docker: Some(image), dir: Some(dir), service: Some(service), ..around(own) }
            }
            Update::Own(OwnUpdate { dir, version, steps }) => {
                Written { dir, version: Some(version), steps, ..Written::default() }
            }
        }
    }
}

impl Update {
    /// Refuses what cannot be carried out with this `restart`.
    ///
    /// # Errors
    /// The first problem found.
    pub fn check(&self, restart: &Restart) -> Result<(), BadSpec> {
        let bad = |key, problem: &str| Err(BadSpec { key, problem: problem.to_owned() });
        let dir = match self {
            Update::Git(GitUpdate { dir, .. }) | Update::Docker(DockerUpdate { dir, .. }) => Some(dir),
            Update::Own(OwnUpdate { dir, .. }) => dir.as_ref(),
        };
        let path_ok = |dir: &String| {
            dir.starts_with('/') && !dir.chars().any(char::is_control) && dir.len() <= MAX_PATH_BYTES
        };
        if !dir.is_none_or(path_ok) {
            return bad("update.dir", "not a path; write an absolute one, such as `/home/deploy/web`");
        }
        match self {
            Update::Git(GitUpdate { branch, .. }) if !is_branch(branch) => bad(
                "update.branch",
                "not a branch; use letters, digits, `.`, `_`, `-` and `/`, beginning and ending with a letter or digit",
            ),
            Update::Own(OwnUpdate { steps, .. }) if steps.len() > MAX_OWN_STEPS => {
                bad("update.steps", "more than 8; put what belongs together into one script")
            }
            Update::Git(_) | Update::Own(_) if *restart == Restart::Never => bad(
                "update",
                "a service with `restart = \"never\"` cannot be updated, since its process stays the old one; say how it is restarted, or leave `update` out",
            ),
            Update::Git(_) | Update::Docker(_) | Update::Own(_) => Ok(()),
        }
    }

    /// The steps of an update, in order.
    #[must_use]
    pub fn steps(&self, way: Way) -> Vec<UpdateStep> {
        let mut steps = Vec::new();
        let when = |wanted: &Option<Command>, step| wanted.as_ref().map(|_| step);
        match (self, way) {
            (Update::Git(git), Way::Forward) => {
                steps.extend(when(&git.around.before, UpdateStep::Before));
                steps.push(UpdateStep::CheckOut);
                steps.extend(when(&git.install, UpdateStep::Install));
                steps.push(UpdateStep::Restart);
                steps.extend(when(&git.around.after, UpdateStep::After));
            }
            (Update::Git(git), Way::Back) => {
                steps.extend(when(&git.around.rollback, UpdateStep::Rollback));
                steps.push(UpdateStep::CheckOut);
                steps.extend(when(&git.install, UpdateStep::Install));
                steps.push(UpdateStep::Restart);
            }
            (Update::Docker(docker), Way::Forward) => {
                steps.extend(when(&docker.around.before, UpdateStep::Before));
                steps.extend([UpdateStep::CheckOut, UpdateStep::Restart]);
                steps.extend(when(&docker.around.after, UpdateStep::After));
            }
            (Update::Docker(docker), Way::Back) => {
                steps.extend(when(&docker.around.rollback, UpdateStep::Rollback));
                steps.extend([UpdateStep::CheckOut, UpdateStep::Restart]);
            }
            (Update::Own(own), way) => {
                let numbers = (0..own.steps.len()).filter_map(|number| u8::try_from(number).ok());
                match way {
                    Way::Forward => steps.extend(numbers.map(UpdateStep::Own)),
                    Way::Back => steps.extend(numbers.rev().map(UpdateStep::Own)),
                }
                steps.push(UpdateStep::Restart);
            }
        }
        steps
    }

    /// The step after `step`; none after the last.
    #[must_use]
    pub fn step_after(&self, way: Way, step: UpdateStep) -> Option<UpdateStep> {
        let steps = self.steps(way);
        let at = steps.iter().position(|other| *other == step)?;
        steps.get(at + 1).copied()
    }

    /// The branch that a rollout without a commit means, where there is one.
    #[must_use]
    pub fn branch(&self) -> Option<&str> {
        match self {
            Update::Git(git) => Some(&git.branch),
            Update::Docker(_) | Update::Own(_) => None,
        }
    }
}

/// True for a branch's name that git cannot take for an option, a range or a refspec.
#[must_use]
pub fn is_branch(branch: &str) -> bool {
    !branch.is_empty()
        && branch.len() <= MAX_BRANCH_BYTES
        && branch.starts_with(|c: char| c.is_ascii_alphanumeric())
        && !branch.ends_with(['.', '-', '/'])
        && !branch.ends_with(".lock")
        && !["..", "//", "/."].iter().any(|refused| branch.contains(refused))
        && branch.chars().all(|c| c.is_ascii_alphanumeric() || "._-/".contains(c))
}

/// To the target, or back to what was there.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Way {
    /// To the target.
    Forward,
    /// Back to what was there.
    Back,
}

/// One change on a host. Each has an action number of its own, and is safe to make again.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum UpdateStep {
    /// The operator's command before anything is changed.
    Before,
    /// The version's files are fetched and put in place; of a container, its image.
    CheckOut,
    /// Its dependencies are installed.
    Install,
    /// A step of the operator's own, counted from 0.
    Own(u8),
    /// The service is restarted, or its container recreated.
    Restart,
    /// The operator's command once the new version runs.
    After,
    /// The operator's command that comes first on the way back.
    Rollback,
}

impl UpdateStep {
    /// Longest it may take on the host before it is killed with its children.
    #[must_use]
    pub fn limit(self) -> Duration {
        match self {
            UpdateStep::CheckOut => CHECK_OUT_LIMIT,
            UpdateStep::Restart => RESTART_LIMIT,
            UpdateStep::Before
            | UpdateStep::Install
            | UpdateStep::Own(_)
            | UpdateStep::After
            | UpdateStep::Rollback => INSTALL_LIMIT,
        }
    }
}

impl fmt::Display for UpdateStep {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            UpdateStep::Before => f.write_str("before"),
            UpdateStep::CheckOut => f.write_str("check out"),
            UpdateStep::Install => f.write_str("install"),
            UpdateStep::Own(number) => write!(f, "step {}", u32::from(*number) + 1),
            UpdateStep::Restart => f.write_str("restart"),
            UpdateStep::After => f.write_str("after"),
            UpdateStep::Rollback => f.write_str("rollback"),
        }
    }
}

/// What a host answered about a step that it was asked to make. A step whose number it has seen is not made again: the
/// host then answers what came of it the first time.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum StepOutcome {
    /// It was made, now or before, and ended well.
    Done {
        /// The parts of the guard that were in force.
        parts: GuardParts,
        /// Which run of the service was there at its end.
        process: Option<ProcessId>,
    },
    /// It ended badly, or was killed at its limit: something may have been changed.
    Failed(String),
    /// A look before it found that it cannot be made: nothing was changed.
    Untouched(String),
    /// The host began it and was cut off: nobody wrote down how it ended.
    Interrupted,
    /// The host has seen a higher action number than ours.
    Overtaken {
        /// The highest action number the host has seen for the service.
        seen: u64,
    },
    /// Another lifecycle command holds the host's lock; it may be this very step.
    Busy,
    /// Another run of the service than the one we knew is there: the restart is to be intended anew.
    ProcessChanged {
        /// The run that is there.
        process: Option<ProcessId>,
    },
    /// Nothing was sent: the host could not be reached.
    NotSent(Fault<UnreachableKind>),
    /// It was sent and its end was not seen.
    Lost(Fault<UnreachableKind>),
}

/// What is there on a host, asked without changing anything.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Standing {
    /// The version that is checked out, or that the container was made from.
    pub version: Version,
    /// Which run of the service is there, where its supervisor tells.
    pub process: Option<ProcessId>,
    /// Why an update must not begin here, in the operator's words: local changes, no remote, not a checkout.
    pub obstacle: Option<String>,
}

/// Why a host did not say what is there.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum NoStanding {
    /// It cannot be reached.
    Unreachable(Fault<UnreachableKind>),
    /// It answered, and there is nothing to update: no such directory, no checkout, no version.
    Nothing(String),
}

impl fmt::Display for NoStanding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            NoStanding::Unreachable(fault) => fault.fmt(f),
            NoStanding::Nothing(why) => f.write_str(why),
        }
    }
}

/// What a rollout is asked to bring.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Wanted {
    /// The head of this branch of the checkout's own remote, as it is now.
    Branch(String),
    /// This version, which the remote must have.
    Version(Version),
}

/// Why what is wanted could not be turned into a version.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum NotResolved {
    /// The host that was asked cannot be reached.
    Unreachable(Fault<UnreachableKind>),
    /// The host answered, and its remote did not, or there is none.
    NoRemote(String),
    /// The remote answered, and has no such branch or commit.
    Unknown(String),
}

#[cfg(test)]
mod tests;
