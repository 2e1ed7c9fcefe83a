//! Brings a service to another version, one guarded step at a time; and asks before, what is there and what could be.

mod answer;
mod wording;

use std::time::Duration;

use lamplighter_core::Version;
use lamplighter_core::sight::{Fault, ProcessId, UnreachableKind};
use lamplighter_core::spec::{ServiceSpec, Transport, Update};
use lamplighter_core::update::{
    ASK_LIMIT, CHECK_OUT_LIMIT, CONNECT_LIMIT, NoStanding, NotResolved, Standing, StepOutcome, UpdateStep,
    Wanted, is_branch,
};

use crate::deadline::Deadline;
use crate::local::Unwatched;
use crate::output::Unheard;
use crate::{Inner, UpdateOrder, local, shell};
use answer::{Answers, Verdict};

/// Time kept back for the script around a step: waiting for the lock, the last kill, its records and its questions.
const AROUND: Duration = Duration::from_secs(shell::LOCK_WAIT_SECS + shell::KILL_AFTER_SECS + 20);
/// With less than this share of a step's own limit left nothing is sent: the step would only be killed half-way.
const LEAST_SHARE: u32 = 2;
/// From the end of a question's limit on the host until its answer is given up here.
const ANSWER_GRACE: Duration = Duration::from_secs(shell::KILL_AFTER_SECS + 3);

/// What [`crate::Remote::update`] needs at most to make a step: to connect, to wait for the host's lock, to make it within
/// its own limit, and to write down what came of it. With much less it sends nothing.
#[must_use]
pub fn time_for(step: UpdateStep) -> Duration {
    CONNECT_LIMIT + step.limit() + AROUND
}

/// Asks what is there.
pub(crate) async fn standing(
    remote: &Inner,
    spec: &ServiceSpec,
    limit: Duration,
) -> Result<Standing, NoStanding> {
    let Some(update) = &spec.update else {
        return Err(NoStanding::Nothing(wording::NO_UPDATE.to_owned()));
    };
    let script = |nonce: &str, limit| shell::standing(spec, update, nonce, limit);
    let answers = ask(remote, spec, script, limit, ASK_LIMIT).await.map_err(NoStanding::Unreachable)?;
    answers.standing(update).map_err(NoStanding::Nothing)
}

/// Asks for an exact version.
pub(crate) async fn resolve(
    remote: &Inner,
    spec: &ServiceSpec,
    wanted: &Wanted,
    limit: Duration,
) -> Result<Version, NotResolved> {
    let Some(update) = &spec.update else {
        return Err(NotResolved::Unknown(wording::NO_UPDATE.to_owned()));
    };
    if let Some(why) = cannot_be(update, wanted) {
        return Err(NotResolved::Unknown(why));
    }
    let script = |nonce: &str, limit| shell::resolving(update, wanted, nonce, limit).unwrap_or_default();
    if let (Update::Own(_), Wanted::Version(version)) = (update, wanted) {
        return Ok(version.clone());
    }
    let answers =
        ask(remote, spec, script, limit, CHECK_OUT_LIMIT).await.map_err(NotResolved::Unreachable)?;
    answers.resolved(update, wanted)
}

/// Why an update of this kind can never bring what is wanted.
fn cannot_be(update: &Update, wanted: &Wanted) -> Option<String> {
    match (update, wanted) {
        (Update::Git(_), Wanted::Branch(branch)) if is_branch(branch) => None,
        (Update::Git(_), Wanted::Branch(_)) => Some("that is not a branch's name".to_owned()),
        (Update::Docker(_) | Update::Own(_), Wanted::Branch(_)) => {
            Some("only a git checkout has branches; give the version".to_owned())
        }
        (Update::Git(_), Wanted::Version(version)) if version.as_str().contains(':') => Some(
            "that is an image's digest, and the service is a git checkout; give a full commit hash"
                .to_owned(),
        ),
        (Update::Docker(_), Wanted::Version(version)) if !version.as_str().contains(':') => Some(
            "that is a commit, and the service is a container; give its image's digest, `sha256:…`"
                .to_owned(),
        ),
        (Update::Git(_) | Update::Docker(_) | Update::Own(_), Wanted::Version(_)) => None,
    }
}

/// Makes one step of an update.
pub(crate) async fn update(
    remote: &Inner,
    spec: &ServiceSpec,
    order: &UpdateOrder<'_>,
    limit: Duration,
) -> StepOutcome {
    let deadline = Deadline::after(limit);
    let Some(update) = &spec.update else { return StepOutcome::Untouched(wording::NO_UPDATE.to_owned()) };
    let line = match spec.transport {
        Transport::Local => None,
        Transport::Ssh => {
            match Box::pin(remote.connections.line_within(spec, deadline, CONNECT_LIMIT)).await {
                Ok(line) => Some(line),
                Err(fault) => return StepOutcome::NotSent(fault),
            }
        }
    };
    let step_limit = order.step.limit().min(deadline.left().saturating_sub(AROUND));
    if step_limit < order.step.limit() / LEAST_SHARE {
        return StepOutcome::NotSent(Fault::new(
            UnreachableKind::TimedOut,
            "too little time was left for the step",
        ));
    }
    let nonce = new_nonce();
    let script = shell::guarded_step(spec, update, order, &nonce, step_limit);
    let heard_by = deadline.clipped_to(step_limit + AROUND);
    let heard = match line {
        Some(line) => line.run(&script, heard_by).await,
        None => local::run(&script, heard_by, Unwatched::GoesOn).await,
    };
    if let Ok(output) | Err(Unheard::Sent { heard: output, .. }) = &heard {
        remote.unlimited.warn_if_remarked(output, &nonce, &spec.address);
        answer::log_remarks(output, &nonce, spec);
    }
    let outcome = |verdict: Verdict| verdict.outcome(spec, update, order, step_limit);
    match heard {
        Ok(output) => match answer::verdict(&output, &nonce) {
            Some(verdict) => outcome(verdict),
            None => StepOutcome::Lost(answer::silence(&output)),
        },
        Err(Unheard::NotSent(fault)) => StepOutcome::NotSent(fault),
        // The last word may have come just before the connection broke: it counts.
        Err(Unheard::Sent { fault, heard }) => match answer::verdict(&heard, &nonce) {
            Some(verdict) => outcome(verdict),
            None => StepOutcome::Lost(fault),
        },
    }
}

/// Asks one question that changes nothing, over one channel.
async fn ask(
    remote: &Inner,
    spec: &ServiceSpec,
    script: impl Fn(&str, Duration) -> String,
    limit: Duration,
    question_limit: Duration,
) -> Result<Answers, Fault<UnreachableKind>> {
    let deadline = Deadline::after(limit);
    let nonce = new_nonce();
    let heard = match spec.transport {
        Transport::Local => {
            let by = question_limit.min(deadline.left());
            local::run(&script(&nonce, by), deadline.clipped_to(by + ANSWER_GRACE), Unwatched::Killed).await
        }
        Transport::Ssh => {
            let line = Box::pin(remote.connections.line_within(spec, deadline, CONNECT_LIMIT)).await?;
            let by = question_limit.min(deadline.left());
            line.run(&script(&nonce, by), deadline.clipped_to(by + ANSWER_GRACE)).await
        }
    };
    let output = heard.map_err(Unheard::into_fault)?;
    answer::answers(&output, &nonce).ok_or_else(|| answer::unanswered(&output))
}

fn new_nonce() -> String {
    format!("{:032x}", rand::random::<u128>())
}

/// A run as a script wrote it; one that cannot be read is none.
fn run_of(text: &str) -> Option<ProcessId> {
    ProcessId::try_from(text.trim().to_owned()).ok()
}

#[cfg(test)]
mod tests;
