//! What a host answered, read: exactly the lines that carry our nonce, and nothing of what it might have forged.

use std::time::Duration;

use lamplighter_core::Version;
use lamplighter_core::sight::{Fault, GuardParts, UnreachableKind, one_line};
use lamplighter_core::spec::{ServiceSpec, Update};
use lamplighter_core::update::{DockerUpdate, NotResolved, Standing, StepOutcome, Wanted};

use super::{run_of, wording};
use crate::UpdateOrder;
use crate::output::Output;

pub(super) use crate::restart::silence;

/// Longest detail kept of an answer.
const MAX_DETAIL_CHARS: usize = 300;
/// Most lines kept of an answer: an image may have many digests.
const MAX_LINES: usize = 64;

/// The answer to a question: keys and what was said to each, in order.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Answers(Vec<(String, String)>);

/// Reads the lines of an answer. `None` if it is not whole.
pub(super) fn answers(output: &Output, nonce: &str) -> Option<Answers> {
    let text = output.stdout();
    let prefix = format!("lamplighter {nonce} ");
    let mut lines = Vec::new();
    for line in text.lines().filter_map(|line| line.strip_prefix(&prefix)).take(MAX_LINES) {
        let (key, said) = line.split_once(' ').unwrap_or((line, ""));
        if key == "end" {
            return Some(Answers(lines));
        }
        lines.push((key.to_owned(), one_line(said, MAX_DETAIL_CHARS)));
    }
    None
}

/// Why a question got no whole answer. `timeout` says 124 when it had to end it, and 137 when it had to kill it.
pub(super) fn unanswered(output: &Output) -> Fault<UnreachableKind> {
    match output.status() {
        Ok(124 | 137) => Fault::new(UnreachableKind::TimedOut, "the host did not answer a question in time"),
        Ok(_) => {
            let detail = format!("the host did not answer a question: {}", output.complaint());
            Fault::new(UnreachableKind::NoVerdict, &detail)
        }
        Err(fault) => fault,
    }
}

impl Answers {
    fn said(&self, key: &str) -> Option<&str> {
        self.0.iter().find(|(other, _)| other == key).map(|(_, said)| said.as_str())
    }

    /// What is there, or why nothing is.
    pub(super) fn standing(&self, update: &Update) -> Result<Standing, String> {
        if let Some(said) = self.said("nothing") {
            return Err(coded(update, said));
        }
        let version = match update {
            Update::Git(_) | Update::Own(_) => self
                .said("version")
                .unwrap_or_default()
                .parse()
                .map_err(|_| wording::no_version(update, self.said("version").unwrap_or_default()))?,
            Update::Docker(docker) => self.digest(docker).ok_or_else(|| wording::no_version(update, ""))?,
        };
        Ok(Standing {
            version,
            process: self.said("run").and_then(run_of),
            obstacle: self.said("obstacle").map(|said| coded(update, said)),
        })
    }

    /// The digest that a container's image was asked for by, or that the registry knows it by.
    fn digest(&self, docker: &DockerUpdate) -> Option<Version> {
        let names = self.0.iter().filter(|(key, _)| matches!(key.as_str(), "image" | "digest"));
        names.filter_map(|(_, name)| name.split_once('@')).find_map(|(name, digest)| {
            let is_ours = plain_image(name) == plain_image(docker.image.as_str());
            if is_ours { digest.parse().ok() } else { None }
        })
    }

    /// The version asked for, or who did not know it.
    pub(super) fn resolved(&self, update: &Update, wanted: &Wanted) -> Result<Version, NotResolved> {
        if let Some(said) = self.said("nothing") {
            return Err(NotResolved::NoRemote(coded(update, said)));
        }
        if self.said("unknown").is_some() {
            return Err(NotResolved::Unknown(wording::unknown(update, wanted)));
        }
        let said = self.said("version").unwrap_or_default();
        said.parse().map_err(|_| {
            NotResolved::NoRemote(format!("the remote answered `{said}`, which is no full commit hash"))
        })
    }
}

/// An image's name without what Docker adds to names from its own registry, and without a tag.
fn plain_image(name: &str) -> &str {
    let name = name.strip_prefix("docker.io/").unwrap_or(name);
    let name = name.strip_prefix("library/").unwrap_or(name);
    match name.rsplit_once(':') {
        Some((bare, tag)) if !tag.contains('/') => bare,
        Some(_) | None => name,
    }
}

fn coded(update: &Update, said: &str) -> String {
    let (code, detail) = said.split_once(' ').unwrap_or((said, ""));
    wording::sentence(update, code, detail)
}

/// A step's last word, as it was written.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Verdict {
    Done { parts: GuardParts, run: String },
    Failed { status: u32, complaint: String },
    Broken(String),
    Untouched(String),
    Changed(String),
    Busy,
    Interrupted,
    Overtaken(u64),
}

/// Finds the one line that carries our nonce. None, more than one, or one that cannot be read is no verdict.
pub(super) fn verdict(output: &Output, nonce: &str) -> Option<Verdict> {
    let text = output.stdout();
    let prefix = format!("lamplighter {nonce} ");
    let mut lines = text.lines().filter_map(|line| line.strip_prefix(&prefix));
    let line = lines.next()?;
    if lines.next().is_some() || !text.ends_with('\n') {
        return None;
    }
    let (verb, rest) = line.split_once(' ').unwrap_or((line, ""));
    match verb {
        "done" => {
            let mut words = rest.split(' ');
            let mut word = |name: &str| words.next()?.strip_prefix(name)?.strip_prefix('=');
            let (lock, action_no, process) = (word("lock")?, word("action_no")?, word("process")?);
            let run = word("run")?.to_owned();
            let parts =
                GuardParts { lock: flag(lock)?, action_no: flag(action_no)?, process: flag(process)? };
            Some(Verdict::Done { parts, run })
        }
        "failed" => {
            let (status, complaint) = rest.split_once(' ').unwrap_or((rest, ""));
            let complaint = one_line(complaint, MAX_DETAIL_CHARS);
            Some(Verdict::Failed { status: status.parse().ok()?, complaint })
        }
        "broken" => Some(Verdict::Broken(one_line(rest, MAX_DETAIL_CHARS))),
        "untouched" => Some(Verdict::Untouched(one_line(rest, MAX_DETAIL_CHARS))),
        "changed" => Some(Verdict::Changed(rest.to_owned())),
        "refused" => match rest {
            "busy" => Some(Verdict::Busy),
            "interrupted" => Some(Verdict::Interrupted),
            rest => rest.strip_prefix("overtaken ")?.parse().ok().map(Verdict::Overtaken),
        },
        _ => None,
    }
}

fn flag(text: &str) -> Option<bool> {
    match text {
        "1" => Some(true),
        "0" => Some(false),
        _ => None,
    }
}

impl Verdict {
    /// What the engine is told.
    pub(super) fn outcome(
        self,
        spec: &ServiceSpec,
        update: &Update,
        order: &UpdateOrder<'_>,
        limit: Duration,
    ) -> StepOutcome {
        match self {
            Verdict::Done { parts, run } => StepOutcome::Done { parts, process: run_of(&run) },
            Verdict::Failed { status, complaint } => {
                StepOutcome::Failed(wording::failure(spec, order.step, status, &complaint, limit))
            }
            Verdict::Broken(said) => StepOutcome::Failed(coded(update, &said)),
            Verdict::Untouched(said) => StepOutcome::Untouched(coded(update, &said)),
            Verdict::Changed(run) => StepOutcome::ProcessChanged { process: run_of(&run) },
            Verdict::Busy => StepOutcome::Busy,
            Verdict::Interrupted => StepOutcome::Interrupted,
            Verdict::Overtaken(seen) => StepOutcome::Overtaken { seen },
        }
    }
}

/// Tells of lock files that were cleared away: whoever killed the git that left them may want to know.
pub(super) fn log_remarks(output: &Output, nonce: &str, spec: &ServiceSpec) {
    let prefix = format!("lamplighter-remark {nonce} removed ");
    let text = output.stdout();
    for name in text.lines().filter_map(|line| line.strip_prefix(&prefix)).take(MAX_LINES) {
        let file = one_line(name, MAX_DETAIL_CHARS);
        tracing::info!(service = %spec.id, file, "removed a lock that a killed git had left in the checkout");
    }
}
