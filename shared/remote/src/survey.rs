//! What `lamplighter doctor` asks of a host: each question alone, so that each answer has one cause.

use std::time::Duration;

use lamplighter_core::HostAddress;
use lamplighter_core::moment::Moment;
use lamplighter_core::sight::{Fault, UnreachableKind};
use lamplighter_core::spec::ServiceSpec;

use crate::Remote;

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
pub async fn host_key(_remote: &Remote, _address: &HostAddress, _limit: Duration) -> Result<ShownHostKey, Fault<UnreachableKind>> {
    Err(Fault::new(UnreachableKind::Connect, ""))
}

/// Logs in and out again.
///
/// # Errors
/// Why the host could not be asked.
pub async fn login(_remote: &Remote, _spec: &ServiceSpec, _limit: Duration) -> Result<(), Fault<UnreachableKind>> {
    Err(Fault::new(UnreachableKind::Connect, ""))
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
pub async fn restart_right(_remote: &Remote, _spec: &ServiceSpec, _limit: Duration) -> Result<RestartRight, Fault<UnreachableKind>> {
    Err(Fault::new(UnreachableKind::Connect, ""))
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
pub async fn existence(_remote: &Remote, _spec: &ServiceSpec, _limit: Duration) -> Result<Existence, Fault<UnreachableKind>> {
    Err(Fault::new(UnreachableKind::Connect, ""))
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
pub async fn clock(_remote: &Remote, _spec: &ServiceSpec, _limit: Duration) -> Result<HostClock, Fault<UnreachableKind>> {
    Err(Fault::new(UnreachableKind::Connect, ""))
}
