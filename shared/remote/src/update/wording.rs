//! What a host's short answers mean to an operator, and what to do.

use std::time::Duration;

use lamplighter_core::Version;
use lamplighter_core::spec::{ServiceSpec, Update};
use lamplighter_core::update::{UpdateStep, Wanted};

use crate::restart;

/// Said of a service whose spec has no `update`.
pub(super) const NO_UPDATE: &str =
    "the service has no `update`; say in its spec how it is brought to another version";

/// The sentence for a code that a script answered with.
pub(super) fn sentence(update: &Update, code: &str, detail: &str) -> String {
    let dir = dir(update);
    let short = |text: &str| {
        text.parse::<Version>().map_or_else(|_| text.to_owned(), |version| version.short().to_owned())
    };
    match code {
        "no-dir" => format!("`{dir}` does not exist on the host, or its login may not enter it"),
        "no-checkout" => format!("`{dir}` is not a git checkout; clone the repository there once"),
        "no-git" => "the host has no `git`; install it".to_owned(),
        "git" if detail.contains("dubious ownership") => format!(
            "git does not trust `{dir}`, which belongs to another user; log in as its owner, or run `git config --global --add safe.directory {dir}`"
        ),
        "git" => format!("git cannot read `{dir}`: {detail}"),
        "under-way" => format!("somebody is in the middle of something in `{dir}` (`{detail}`); finish or abort it there"),
        "half" => format!("an update of `{dir}` was cut off half-way; `git checkout --force` what is to be there"),
        "dirty" => {
            let (count, names) = detail.split_once(' ').unwrap_or((detail, ""));
            let files = if count == "1" { "1 file has".to_owned() } else { format!("{count} files have") };
            format!("{files} local changes in `{dir}` ({}); commit, stash or undo them there", names.trim())
        }
        "moved" => format!("`{dir}` was moved to {} since it was looked at", short(detail)),
        "at-work" => format!("another git is at work in `{dir}`"),
        "no-remote" => format!("`{dir}` has no remote `origin`; add it with `git remote add origin URL`"),
        "no-commit" => "its remote does not have that commit; push it first".to_owned(),
        "slow-remote" => format!("the remote of `{dir}` did not answer within {detail} s"),
        "silent-remote" => format!("the remote of `{dir}` did not answer: {detail}"),
        "no-space" => format!("`{detail}` cannot be written; is it another user's, or the disk full or read-only?"),
        "aborted" => format!("git refused: {detail}"),
        "elsewhere" => format!("git said it was done, and `{dir}` is at {}", short(detail)),
        "no-record" => {
            "what is done cannot be written down on the host, in `~/.local/state` or `/var/tmp`; is its disk full or read-only?".to_owned()
        }
        "no-command" => "the spec does not name that command any more".to_owned(),
        "version-failed" => format!("the `version` command failed with status {detail}"),
        "no-docker" => "the host has no `docker`, or the login cannot find it".to_owned(),
        "no-project" => format!("`{dir}` does not exist on the host; it should hold the compose project"),
        "compose" => format!("`docker compose` cannot read the project in `{dir}`: {detail}"),
        "no-container" => format!("the service has no container in `{dir}`; start it once with `docker compose up -d`"),
        "no-variable" => format!("no compose file in `{dir}` names its image as `${{LAMPLIGHTER_IMAGE}}`, so nothing would change"),
        "slow-registry" => format!("the registry did not answer within {detail} s"),
        "silent-registry" => format!("the registry did not answer: {detail}"),
        "no-pull" => format!("the image cannot be pulled: {detail}"),
        "no-env" => format!("`{dir}/.env` cannot be written: {detail}"),
        _ => format!("the host answered `{code}`, which is not known here: {detail}"),
    }
}

/// Why what is there is no version.
pub(super) fn no_version(update: &Update, said: &str) -> String {
    match update {
        Update::Git(_) => format!("`{}` has no commit checked out", dir(update)),
        Update::Docker(docker) => format!(
            "the container in `{}` was not made from a digest of `{}`; pull and start it once by its digest",
            docker.dir, docker.image
        ),
        Update::Own(_) => format!(
            "the `version` command printed `{said}`; it must print a full commit hash or a digest, and nothing else"
        ),
    }
}

/// What the remote answered that it does not have.
pub(super) fn unknown(update: &Update, wanted: &Wanted) -> String {
    match (update, wanted) {
        (Update::Docker(docker), Wanted::Version(version)) => {
            format!("the registry has no `{}@{version}`; push it first", docker.image)
        }
        (_, Wanted::Branch(branch)) => format!("the remote has no branch `{branch}`"),
        (_, Wanted::Version(version)) => format!("the remote has no commit {version}; push it first"),
    }
}

/// What a step that ended badly means.
pub(super) fn failure(
    spec: &ServiceSpec,
    step: UpdateStep,
    status: u32,
    complaint: &str,
    limit: Duration,
) -> String {
    let restarts = step == UpdateStep::Restart && !matches!(spec.update, Some(Update::Docker(_)));
    if restarts || matches!(status, 124 | 137) {
        return restart::failure(spec, status, complaint, limit.as_secs().max(1));
    }
    if complaint.contains("No space left on device") {
        return format!("the host's disk is full: {complaint}");
    }
    if complaint.contains("Read-only file system") {
        return format!("the host's disk is read-only: {complaint}");
    }
    let is_own = !matches!(step, UpdateStep::CheckOut | UpdateStep::Restart);
    match (status, complaint) {
        (127, complaint) if is_own => format!(
            "a command was not found (status 127): {complaint}; write its full path, since no login's profile is read"
        ),
        (status, "") => format!("exit status {status}"),
        (status, complaint) => format!("exit status {status}: {complaint}"),
    }
}

fn dir(update: &Update) -> &str {
    match update {
        Update::Git(git) => &git.dir,
        Update::Docker(docker) => &docker.dir,
        Update::Own(own) => own.dir.as_deref().unwrap_or("~"),
    }
}
