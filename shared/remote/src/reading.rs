//! Reads what supervisors say of a service. Whatever cannot be read is no verdict.

use std::time::Duration;

use lamplighter_core::moment::spoken;
use lamplighter_core::sight::{DownKind, Fault, NotLooked, ProcessId, Sight, UnreachableKind, evidence};

use crate::output::Output;
use crate::shell;

/// Restarts by systemd itself after which a unit that is waiting for the next one is not "starting" any more.
const OWN_RESTARTS_LIMIT: u64 = 3;
/// What a shell says when there is no such command, or it cannot be run.
const COMMAND_MISSING: [u32; 2] = [126, 127];

/// What a report on a service that is not up came to.
#[derive(Debug)]
pub(crate) struct Report {
    pub(crate) sight: Sight,
    pub(crate) process: Option<ProcessId>,
    pub(crate) evidence: Option<String>,
}

/// The answer to `is-active`.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Activity {
    /// It is active, and says nothing else.
    Active,
    /// It is not: a report is needed.
    NotActive,
}

/// Reads the answer to `is-active`.
///
/// One look is one moment. A unit with `Restart=always` that crashes and is started again by systemd says `active` between
/// two crashes, and is up to a look that comes then, however high its `NRestarts`: asking for more at every look would
/// double its cost. A look that meets it between a crash and the next start sees it down, or starting. Give such a
/// service an `http` check, or its unit a `StartLimitIntervalSec` that lets systemd give up on it.
pub(crate) fn activity(output: &Output) -> Result<Activity, Fault<UnreachableKind>> {
    match output.status()? {
        0 if matches!(output.stdout.as_slice(), b"active\n" | b"active") => Ok(Activity::Active),
        // 3: not active. 4: no such unit. 0 with another word: `reloading` and its like.
        0 | 3 | 4 => Ok(Activity::NotActive),
        status => Err(no_verdict("systemctl", status, output)),
    }
}

/// Reads a unit's report.
pub(crate) fn unit_report(output: &Output, startup_grace: Duration) -> Report {
    match output.status() {
        Ok(0) => {}
        Ok(status) => return Report::nothing(no_verdict("systemctl", status, output)),
        Err(fault) => return Report::nothing(fault),
    }
    let text = output.stdout();
    let mut sections = text.splitn(3, shell::SECTION);
    let (shown, uptime, journal) = (
        sections.next().unwrap_or_default(),
        sections.next().unwrap_or_default(),
        sections.next().unwrap_or_default(),
    );
    let property = |name: &str| {
        let found = shown.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix('='));
        found.unwrap_or_default().trim()
    };
    let number = |name: &str| property(name).parse::<u64>().unwrap_or(0);
    let process = ProcessId::try_from(property("InvocationID").to_owned()).ok();
    // systemd says `failed` twice; once is enough for a reader.
    let state = match (property("ActiveState"), property("SubState")) {
        (active, sub) if active == sub => active.to_owned(),
        (active, sub) => format!("{active} ({sub})"),
    };
    let age = age_of_state(number("StateChangeTimestampMonotonic"), uptime);
    let own_restarts = number("NRestarts");
    let sight = match (property("LoadState"), property("ActiveState")) {
        ("not-found", _) => down(DownKind::NoSuchUnit, "check the unit's name; no restart can mend this"),
        // It came up between the two questions.
        (_, "active") => Sight::Up,
        (_, "activating") if property("SubState") == "auto-restart" && own_restarts >= OWN_RESTARTS_LIMIT => {
            down(
                DownKind::NotActive,
                &format!("systemd has restarted it {own_restarts} times and it does not stay up"),
            )
        }
        (_, "activating" | "reloading" | "refreshing") if age.is_none_or(|age| age < startup_grace) => {
            Sight::Unknown(NotLooked::Starting)
        }
        (_, "activating" | "reloading" | "refreshing") => {
            down(DownKind::StartingTooLong, &format!("{state} for {}", spoken(age.unwrap_or_default())))
        }
        ("", _) | (_, "") => {
            Sight::Unreachable(Fault::new(UnreachableKind::NoVerdict, "systemctl said nothing of the unit"))
        }
        ("loaded", _) => down(
            DownKind::NotActive,
            &not_active(&state, property("Result"), number("ExecMainStatus"), own_restarts),
        ),
        (load, _) => down(DownKind::NotActive, &format!("{state}, unit file is {load}")),
    };
    Report { sight, process, evidence: evidence(journal) }
}

/// How long a state has held: since boot, less the moment it began since boot.
fn age_of_state(changed_micros: u64, uptime: &str) -> Option<Duration> {
    let seconds: f64 = uptime.split_ascii_whitespace().next()?.parse().ok()?;
    let uptime = Duration::try_from_secs_f64(seconds).ok()?;
    (changed_micros > 0).then(|| uptime.saturating_sub(Duration::from_micros(changed_micros)))
}

fn not_active(state: &str, result: &str, exit: u64, own_restarts: u64) -> String {
    let mut detail = state.to_owned();
    if !matches!(result, "" | "success") {
        detail.push_str(&format!(", result {result}"));
    }
    if exit > 0 {
        detail.push_str(&format!(", exit status {exit}"));
    }
    if own_restarts > 0 {
        detail.push_str(&format!(", restarted {own_restarts} times by systemd"));
    }
    detail
}

/// Reads a container's state. `None` for evidence: its log is another question.
pub(crate) fn container_state(output: &Output) -> Report {
    match output.status() {
        Ok(0) => {}
        Ok(1) if output.complaint().to_ascii_lowercase().contains("no such") => {
            return Report::of(down(
                DownKind::NoSuchContainer,
                "check the container's name; no restart can mend this",
            ));
        }
        Ok(status) => return Report::nothing(no_verdict("docker", status, output)),
        Err(fault) => return Report::nothing(fault),
    }
    let text = output.stdout();
    // The health field is empty, not absent, where there is no health check: split at single spaces.
    let mut words = text.trim_end_matches('\n').split(' ');
    let (state, health, started) = (
        words.next().unwrap_or_default(),
        words.next().unwrap_or_default(),
        words.next().unwrap_or_default(),
    );
    let process = ProcessId::try_from(started.to_owned()).ok();
    let sight = match (state, health) {
        ("running", "" | "healthy") => Sight::Up,
        ("running", "starting") | ("restarting", "starting") => Sight::Unknown(NotLooked::Starting),
        ("running", _) => down(DownKind::Unhealthy, &format!("its health check says {health}")),
        ("created" | "restarting" | "removing" | "paused" | "exited" | "dead" | "stopped", _) => {
            down(DownKind::NotRunning, state)
        }
        _ => Sight::Unreachable(Fault::new(UnreachableKind::NoVerdict, "docker's answer could not be read")),
    };
    Report { sight, process, evidence: None }
}

/// Reads the end of an operator's own check.
pub(crate) fn check_command(output: &Output) -> Report {
    let sight = match output.status() {
        Ok(0) => Sight::Up,
        Ok(status) => down(DownKind::CommandFailed, &format!("exit status {status}: {}", output.complaint())),
        Err(fault) => Sight::Unreachable(fault),
    };
    let said = format!("{}\n{}", output.stdout(), String::from_utf8_lossy(&output.stderr));
    let evidence = if sight == Sight::Up { None } else { evidence(&said) };
    Report { sight, process: None, evidence }
}

/// Reads which run is there.
pub(crate) fn run(output: &Output) -> Option<ProcessId> {
    let text = output.stdout();
    let first = text.lines().next().unwrap_or_default().trim();
    (output.status() == Ok(0)).then(|| ProcessId::try_from(first.to_owned()).ok()).flatten()
}

/// Reads which run is there and what it wrote last.
pub(crate) fn run_and_log(output: &Output) -> (Option<ProcessId>, Option<String>) {
    let text = output.stdout();
    let (_, log) = text.split_once(shell::SECTION).unwrap_or_default();
    (run(output), evidence(log))
}

impl Report {
    fn of(sight: Sight) -> Self {
        Self { sight, process: None, evidence: None }
    }

    pub(crate) fn nothing(fault: Fault<UnreachableKind>) -> Self {
        Self::of(Sight::Unreachable(fault))
    }
}

fn down(kind: DownKind, detail: &str) -> Sight {
    Sight::Down(Fault::new(kind, detail))
}

/// A command that ended in a way that says nothing of the service.
fn no_verdict(command: &str, status: u32, output: &Output) -> Fault<UnreachableKind> {
    let detail = match COMMAND_MISSING.contains(&status) {
        true => format!("`{command}` cannot be run on the host; is this the right kind of check?"),
        false => format!("`{command}` ended with status {status}: {}", output.complaint()),
    };
    Fault::new(UnreachableKind::NoVerdict, &detail)
}

#[cfg(test)]
mod tests;
