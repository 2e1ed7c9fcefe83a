//! One restart under the host's guard: sent at most once, and told apart from one that was not sent.

use std::collections::HashSet;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use lamplighter_core::HostAddress;
use lamplighter_core::sight::{Fault, GuardParts, RestartOutcome, UnreachableKind, one_line};
use lamplighter_core::spec::{Restart, ServiceSpec, Transport};

use crate::deadline::Deadline;
use crate::local::Unwatched;
use crate::output::{Output, Unheard};
use crate::pool::Connections;
use crate::{RestartOrder, local, shell};

/// Time kept back for the script around the restart: its records, its last word, and the way back.
const SCRIPT_MARGIN: Duration = Duration::from_secs(3);
/// With less time than this for the restart itself nothing is sent: it would only be killed half-way.
const LEAST_RESTART: Duration = Duration::from_secs(1);
/// Longest complaint kept of a restart that failed.
const MAX_COMPLAINT_CHARS: usize = 300;
/// Most hosts remembered as warned about. Above it all are forgotten, and warned about again.
const MAX_REMEMBERED: usize = 20_000;

/// Hosts that an operator was warned about: they lack `timeout`, so a restart that hangs is not ended there.
#[derive(Debug, Default)]
pub(crate) struct Unlimited(Mutex<HashSet<HostAddress>>);

impl Unlimited {
    /// Remembers a host; true the first time.
    fn note(&self, host: &HostAddress) -> bool {
        let mut hosts = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if hosts.len() >= MAX_REMEMBERED {
            hosts.clear();
        }
        hosts.insert(host.clone())
    }

    /// Warns, once a host, if the script remarked that it had nothing to hold the restart to its limit.
    pub(crate) fn warn_if_remarked(&self, output: &Output, nonce: &str, host: &HostAddress) {
        if lacks_timeout(output, nonce) && self.note(host) {
            tracing::warn!(
                %host,
                "the host has no `timeout`: a restart that hangs is not ended there; install `coreutils`"
            );
        }
    }
}

/// Restarts the service of `spec`.
pub(crate) async fn restart(
    connections: &Connections,
    unlimited: &Unlimited,
    spec: &ServiceSpec,
    order: &RestartOrder<'_>,
    limit: Duration,
) -> RestartOutcome {
    let deadline = Deadline::after(limit);
    if spec.restart == Restart::Never {
        return RestartOutcome::Failed("the service is never restarted: its `restart` is `never`".to_owned());
    }
    let line = match spec.transport {
        Transport::Local => None,
        Transport::Ssh => match Box::pin(connections.line(spec, deadline)).await {
            Ok(line) => Some(line),
            Err(fault) => return RestartOutcome::NotSent(fault),
        },
    };
    let around = Duration::from_secs(shell::LOCK_WAIT_SECS + shell::KILL_AFTER_SECS) + SCRIPT_MARGIN;
    let act_limit = spec.policy.restart_limit.min(deadline.left().saturating_sub(around));
    if act_limit < LEAST_RESTART {
        return RestartOutcome::NotSent(Fault::new(
            UnreachableKind::TimedOut,
            "too little time was left to restart anything",
        ));
    }
    let nonce = format!("{:032x}", rand::random::<u128>());
    let Some(script) = shell::guarded_restart(spec, order, &nonce, act_limit) else {
        return RestartOutcome::Failed("the service is never restarted: its `restart` is `never`".to_owned());
    };
    let heard_by = deadline.clipped_to(act_limit + around);
    let heard = match line {
        Some(line) => line.run(&script, heard_by).await,
        None => local::run(&script, heard_by, Unwatched::GoesOn).await,
    };
    if let Ok(output) | Err(Unheard::Sent { heard: output, .. }) = &heard {
        unlimited.warn_if_remarked(output, &nonce, &spec.address);
    }
    let act_secs = act_limit.as_secs().max(1);
    match heard {
        Ok(output) => match last_word(&output, &nonce) {
            Some(word) => word.outcome(spec, act_secs),
            None => RestartOutcome::Lost(silence(&output)),
        },
        Err(Unheard::NotSent(fault)) => RestartOutcome::NotSent(fault),
        // The last word may have come just before the connection broke: it counts.
        Err(Unheard::Sent { fault, heard }) => match last_word(&heard, &nonce) {
            Some(word) => word.outcome(spec, act_secs),
            None => RestartOutcome::Lost(fault),
        },
    }
}

/// What `sudo`, `sudo-rs` and older versions say when they will not run a command. Whatever else `sudo` complains of,
/// a missing program or a host without a name, no sudoers line would mend.
const SUDO_REFUSALS: [&str; 7] = [
    "password is required",
    "terminal is required",
    "authentication is required",
    "not in the sudoers",
    "not allowed to execute",
    "may not run sudo",
    "I'm afraid I can't do that",
];

/// The script's verdict, as it was written.
#[derive(Debug, PartialEq, Eq)]
enum LastWord {
    Done(GuardParts),
    Repeated,
    Overtaken(u64),
    Changed,
    Busy,
    Failed { status: u32, complaint: String },
}

/// True if the script remarked that the host has no `timeout`.
fn lacks_timeout(output: &Output, nonce: &str) -> bool {
    let remark = format!("lamplighter-remark {nonce} no-timeout");
    output.stdout().lines().any(|line| line == remark)
}

/// Finds the one line that carries our nonce. None, more than one, or one that cannot be read is no verdict.
fn last_word(output: &Output, nonce: &str) -> Option<LastWord> {
    let text = output.stdout();
    let prefix = format!("lamplighter {nonce} ");
    let mut lines = text.lines().filter_map(|line| line.strip_prefix(&prefix));
    let line = lines.next()?;
    if lines.next().is_some() || !text.ends_with('\n') {
        return None;
    }
    let (verb, rest) = line.split_once(' ')?;
    match (verb, rest) {
        ("done", parts) => {
            let mut parts = parts.split(' ');
            let mut part = |name: &str| match parts.next()?.split_once('=')? {
                (key, "1") if key == name => Some(true),
                (key, "0") if key == name => Some(false),
                _ => None,
            };
            let (lock, action_no, process) = (part("lock")?, part("action_no")?, part("process")?);
            Some(LastWord::Done(GuardParts { lock, action_no, process }))
        }
        ("refused", "repeated") => Some(LastWord::Repeated),
        ("refused", "changed") => Some(LastWord::Changed),
        ("refused", "busy") => Some(LastWord::Busy),
        ("refused", other) => other.strip_prefix("overtaken ")?.parse().ok().map(LastWord::Overtaken),
        ("failed", rest) => {
            let (status, complaint) = rest.split_once(' ').unwrap_or((rest, ""));
            Some(LastWord::Failed {
                status: status.parse().ok()?,
                complaint: one_line(complaint, MAX_COMPLAINT_CHARS),
            })
        }
        _ => None,
    }
}

impl LastWord {
    fn outcome(self, spec: &ServiceSpec, limit_secs: u64) -> RestartOutcome {
        match self {
            LastWord::Done(parts) => RestartOutcome::Done(parts),
            LastWord::Repeated => RestartOutcome::AlreadyDone,
            LastWord::Overtaken(seen) => RestartOutcome::Overtaken { seen },
            LastWord::Changed => RestartOutcome::ProcessChanged,
            LastWord::Busy => RestartOutcome::Busy,
            LastWord::Failed { status, complaint } => {
                RestartOutcome::Failed(failure(spec, status, &complaint, limit_secs))
            }
        }
    }
}

/// What a failed restart means, and what to do.
pub(crate) fn failure(spec: &ServiceSpec, status: u32, complaint: &str, limit_secs: u64) -> String {
    // `timeout` says 124 when it had to end the command, and 137 when it had to kill it.
    if matches!(status, 124 | 137) {
        return format!("killed after {limit_secs} s");
    }
    if let Restart::Systemd(unit) = &spec.restart
        && SUDO_REFUSALS.iter().any(|refusal| complaint.contains(refusal))
    {
        let user = spec.user.as_ref().map_or("USER", |user| user.as_str());
        let lines = shell::sudoers(user, unit).replace('\n', "` and `");
        return format!(
            "`sudo` wants a password or refuses (status {status}); add two lines to the host's sudoers with `visudo`: `{lines}`"
        );
    }
    if let (Restart::Systemd(_), 127) = (&spec.restart, status) {
        return format!(
            "the login is not root and the host lacks `sudo` or `systemctl` (status 127): {complaint}"
        );
    }
    match complaint {
        "" => format!("exit status {status}"),
        complaint => format!("exit status {status}: {complaint}"),
    }
}

/// Why a script that ended left no verdict.
pub(crate) fn silence(output: &Output) -> Fault<UnreachableKind> {
    match output.status() {
        Ok(status) => {
            let detail =
                format!("the guard ended with status {status} and no verdict: {}", output.complaint());
            Fault::new(UnreachableKind::NoVerdict, &detail)
        }
        Err(fault) => fault,
    }
}

#[cfg(test)]
mod tests;
