//! One look at a service: the check it asks for, over the transport it names, judged.

use std::time::Duration;

use lamplighter_core::Moment;
use lamplighter_core::policy::Policy;
use lamplighter_core::sight::{DownKind, Fault, Look, ProcessId, Sight, UnreachableKind};
use lamplighter_core::spec::{Check, ServiceSpec, Transport};
use tokio::time::Instant;

use crate::deadline::Deadline;
use crate::local::Unwatched;
use crate::output::Output;
use crate::pool::Connections;
use crate::reading::{self, Activity, Report};
use crate::shell::{self, Supervisor};
use crate::{Inner, local, ssh};

/// How much is wanted of a look.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Care {
    /// The verdict; more only if the service is not up.
    Quick,
    /// Which run of the service is there, even if it is up.
    Close,
}

/// Looks once. Never fails.
pub(crate) async fn look(
    remote: &Inner,
    spec: &ServiceSpec,
    began: Moment,
    limit: Duration,
    care: Care,
) -> Look {
    let started = Instant::now();
    let Report { sight, process, evidence } = report(remote, spec, Deadline::after(limit), care).await;
    let took = started.elapsed();
    Look { sight, at: began + took, took, process, evidence }
}

async fn report(remote: &Inner, spec: &ServiceSpec, deadline: Deadline, care: Care) -> Report {
    let shell = Shell { connections: &remote.connections, spec, deadline };
    let mut report = match &spec.check {
        Check::Systemd(unit) => {
            let asked = shell.run(&shell::is_active(unit)).await;
            match asked.and_then(|output| reading::activity(&output)) {
                Ok(Activity::Active) => Report { sight: Sight::Up, process: None, evidence: None },
                Ok(Activity::NotActive) => unit_report(&shell, unit, &spec.policy).await,
                Err(fault) => Report::nothing(fault),
            }
        }
        Check::Docker(container) => match shell.run(&shell::container_state(container)).await {
            Ok(output) => reading::container_state(&output),
            Err(fault) => Report::nothing(fault),
        },
        Check::Command(command) => match shell.run(&shell::check_command(command)).await {
            Ok(output) => reading::check_command(&output),
            Err(fault) => Report::nothing(fault),
        },
        Check::Tcp(port) => {
            Report { sight: tcp(remote, spec, *port, deadline).await, process: None, evidence: None }
        }
        Check::Http(check) => {
            let sight = Box::pin(remote.web.look(check, spec, deadline)).await;
            Report { sight, process: None, evidence: None }
        }
    };
    complete(&shell, &mut report, care).await;
    report
}

async fn unit_report(shell: &Shell<'_>, unit: &lamplighter_core::name::UnitName, policy: &Policy) -> Report {
    match shell.run(&shell::unit_report(unit)).await {
        Ok(output) => reading::unit_report(&output, policy.startup_grace),
        Err(fault) => Report::nothing(fault),
    }
}

/// Adds what the guard and the letter need and the check did not bring: which run is there, and what it wrote last.
/// A host that does not answer this changes nothing about the verdict.
async fn complete(shell: &Shell<'_>, report: &mut Report, care: Care) {
    let Some(supervisor) = shell::supervisor(shell.spec) else { return };
    // A unit or container that only the check names says nothing about the one that a restart would restart.
    let is_checks_own = match (&shell.spec.check, supervisor) {
        (Check::Systemd(unit), Supervisor::Systemd(restarted)) => unit == restarted,
        (Check::Docker(container), Supervisor::Docker(restarted)) => container == restarted,
        _ => false,
    };
    if !is_checks_own {
        report.process = None;
    }
    match (&report.sight, care) {
        (Sight::Up, Care::Quick) | (Sight::Unreachable(_) | Sight::Unknown(_), _) => {}
        (Sight::Up, Care::Close) if report.process.is_none() => {
            report.process =
                shell.run(&shell::run_of(supervisor)).await.ok().and_then(|output| reading::run(&output));
        }
        (Sight::Up, Care::Close) => {}
        // A unit's own report has brought all there is.
        (Sight::Down(_), _) if is_checks_own && matches!(supervisor, Supervisor::Systemd(_)) => {}
        (Sight::Down(_), _) if report.process.is_none() || report.evidence.is_none() => {
            let Ok(output) = shell.run(&shell::run_and_log(supervisor)).await else { return };
            let (process, log): (Option<ProcessId>, Option<String>) = reading::run_and_log(&output);
            report.process = report.process.take().or(process);
            report.evidence = report.evidence.take().or(log);
        }
        (Sight::Down(_), _) => {}
    }
}

/// Connects from here to a port of the service's host.
async fn tcp(remote: &Inner, spec: &ServiceSpec, port: u16, deadline: Deadline) -> Sight {
    let deadline = deadline.clipped_to(spec.policy.http_limit);
    match remote.web.connect(spec.address.host(), port, deadline).await {
        Ok(_) => Sight::Up,
        Err(fault) => Sight::Down(fault),
    }
}

/// Runs commands where the service runs.
struct Shell<'a> {
    connections: &'a Connections,
    spec: &'a ServiceSpec,
    deadline: Deadline,
}

impl Shell<'_> {
    async fn run(&self, command: &str) -> Result<Output, Fault<UnreachableKind>> {
        run(self.connections, self.spec, command, self.deadline).await
    }
}

/// Runs one command where the service of `spec` runs, within the limits of its policy and `deadline`.
pub(crate) async fn run(
    connections: &Connections,
    spec: &ServiceSpec,
    command: &str,
    deadline: Deadline,
) -> Result<Output, Fault<UnreachableKind>> {
    let heard = match spec.transport {
        Transport::Ssh => {
            let line = connections.line(spec, deadline).await?;
            line.run(command, deadline.clipped_to(spec.policy.command_limit)).await
        }
        Transport::Local => {
            local::run(command, deadline.clipped_to(spec.policy.command_limit), Unwatched::Killed).await
        }
    };
    heard.map_err(crate::output::Unheard::into_fault)
}

/// What a failed check connection means.
pub(crate) fn connect_fault(error: &std::io::Error) -> Fault<DownKind> {
    let kind = match error.kind() == std::io::ErrorKind::TimedOut {
        true => DownKind::TimedOut,
        false => DownKind::Refused,
    };
    Fault::new(kind, &ssh::said_by_system(error))
}
