//! What `lamplighter doctor` asks of a host: each question alone, so that each answer has one cause.

use std::time::Duration;

use lamplighter_core::HostAddress;
use lamplighter_core::moment::Moment;
use lamplighter_core::sight::{DownKind, Fault, Sight, UnreachableKind};
use lamplighter_core::spec::{Check, Restart, ServiceSpec, Transport};
use russh::keys::{HashAlg, PublicKey};
use tokio::time::Instant;

use crate::deadline::Deadline;
use crate::output::Output;
use crate::shell::{self, Supervisor};
use crate::trust::HOST_KEY_ALGORITHMS;
use crate::{Remote, look, reading, ssh};

/// A host key as a host shows it. It proves nothing until a person has compared the fingerprint.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ShownHostKey {
    /// The line to pin, `ssh-ed25519 AAAA…`.
    pub line: String,
    /// The fingerprint that `ssh-keygen -lf` prints on the host, `SHA256:…`.
    pub fingerprint: String,
}

/// Fetches the key a host shows, without authenticating.
///
/// # Errors
/// Why the host could not be asked.
pub async fn host_key(
    remote: &Remote,
    address: &HostAddress,
    limit: Duration,
) -> Result<ShownHostKey, Fault<UnreachableKind>> {
    let connections = &remote.0.connections;
    let config = connections.configs.asking_for(HOST_KEY_ALGORITHMS.to_vec());
    let key = Box::pin(ssh::shown_key(address, config, &connections.alive, Deadline::after(limit))).await?;
    let fingerprint = key.fingerprint(HashAlg::Sha256).to_string();
    let line = PublicKey::new(key, "").to_openssh();
    let line = line
        .map_err(|_| Fault::new(UnreachableKind::Protocol, "the host's key cannot be written as a line"))?;
    Ok(ShownHostKey { line, fingerprint })
}

/// Logs in and out again.
///
/// # Errors
/// Why the host could not be asked.
pub async fn login(
    remote: &Remote,
    spec: &ServiceSpec,
    limit: Duration,
) -> Result<(), Fault<UnreachableKind>> {
    match spec.transport {
        Transport::Local => Ok(()),
        Transport::Ssh => remote.0.connections.line(spec, Deadline::after(limit)).await.map(|_| ()),
    }
}

/// Whether the login may restart the service's unit.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum RestartRight {
    /// It may: as root, by `sudo`, or because no special right is needed.
    Granted,
    /// `sudo` refuses; the line that a sudoers file on the host needs.
    Refused {
        /// One exact sudoers line per command.
        sudoers: String,
    },
    /// The host has no `sudo`, and the login is not root.
    NoSudo,
}

/// Asks `sudo -n -l` whether the restart command is allowed. Runs nothing.
///
/// # Errors
/// Why the host could not be asked.
pub async fn restart_right(
    remote: &Remote,
    spec: &ServiceSpec,
    limit: Duration,
) -> Result<RestartRight, Fault<UnreachableKind>> {
    let Restart::Systemd(unit) = &spec.restart else { return Ok(RestartRight::Granted) };
    let output = ask(remote, spec, &shell::restart_right(unit), limit).await?;
    output.status()?;
    // A chatty login prints before the answer does.
    match output.stdout().lines().last() {
        Some("root" | "granted") => Ok(RestartRight::Granted),
        Some("refused") => {
            let user = spec.user.as_ref().map_or("USER", |user| user.as_str());
            Ok(RestartRight::Refused { sudoers: shell::sudoers(user, unit) })
        }
        Some("no-sudo") => Ok(RestartRight::NoSudo),
        Some(_) | None => Err(Fault::new(UnreachableKind::NoVerdict, &output.complaint())),
    }
}

/// Whether the unit or container that a service names exists on its host.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Existence {
    /// It exists.
    Found,
    /// The host knows nothing of that name.
    Missing,
    /// Neither the check nor the restart names a unit or container.
    NothingNamed,
}

/// Asks whether the unit or container that the service names exists.
///
/// # Errors
/// Why the host could not be asked.
pub async fn existence(
    remote: &Remote,
    spec: &ServiceSpec,
    limit: Duration,
) -> Result<Existence, Fault<UnreachableKind>> {
    let named = match (&spec.check, shell::supervisor(spec)) {
        (_, Some(supervisor)) => supervisor,
        (Check::Systemd(unit), None) => Supervisor::Systemd(unit),
        (Check::Docker(container), None) => Supervisor::Docker(container),
        (Check::Http(_) | Check::Tcp(_) | Check::Command(_), None) => return Ok(Existence::NothingNamed),
    };
    match named {
        Supervisor::Systemd(unit) => {
            let output = ask(remote, spec, &shell::unit_load_state(unit), limit).await?;
            let text = output.stdout();
            match (output.status()?, text.lines().find_map(|line| line.strip_prefix("LoadState="))) {
                (0, Some("not-found")) => Ok(Existence::Missing),
                (0, Some(_)) => Ok(Existence::Found),
                (_, _) => Err(Fault::new(UnreachableKind::NoVerdict, &output.complaint())),
            }
        }
        Supervisor::Docker(container) => {
            let output = ask(remote, spec, &shell::container_state(container), limit).await?;
            match reading::container_state(&output).sight {
                Sight::Down(fault) if fault.kind == DownKind::NoSuchContainer => Ok(Existence::Missing),
                Sight::Unreachable(fault) => Err(fault),
                Sight::Up | Sight::Down(_) | Sight::Unknown(_) => Ok(Existence::Found),
            }
        }
    }
}

/// What a host's clock said, and how long the question took: the answer is that much in doubt.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct HostClock {
    /// The host's time.
    pub says: Moment,
    /// From the question to the answer.
    pub took: Duration,
}

/// Asks a host what time it is.
///
/// # Errors
/// Why the host could not be asked.
pub async fn clock(
    remote: &Remote,
    spec: &ServiceSpec,
    limit: Duration,
) -> Result<HostClock, Fault<UnreachableKind>> {
    // Log in first, so that only the question itself is timed.
    login(remote, spec, limit).await?;
    let asked = Instant::now();
    let output = ask(remote, spec, shell::clock(), limit).await?;
    let took = asked.elapsed();
    let text = output.stdout();
    let seconds = text.lines().last().and_then(|line| line.trim().parse::<i64>().ok());
    match (output.status()?, seconds) {
        (0, Some(seconds)) => {
            Ok(HostClock { says: Moment::from_millis(seconds.saturating_mul(1_000)), took })
        }
        (_, _) => Err(Fault::new(UnreachableKind::NoVerdict, &output.complaint())),
    }
}

async fn ask(
    remote: &Remote,
    spec: &ServiceSpec,
    command: &str,
    limit: Duration,
) -> Result<Output, Fault<UnreachableKind>> {
    look::run(&remote.0.connections, spec, command, Deadline::after(limit)).await
}
