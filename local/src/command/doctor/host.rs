//! What can be wrong between here and a host: the way there, the host key, the login, sudo, the unit, the clock.

use std::path::Path;
use std::time::{Duration, SystemTime};

use futures_util::stream::{self, StreamExt as _};
use lamplighter_core::moment::{Moment, spoken};
use lamplighter_core::sight::{Fault, Sight, UnreachableKind, one_line};
use lamplighter_core::spec::{Lifecycle, Restart, ServiceSpec, Transport};
use lamplighter_remote::network::Network;
use lamplighter_remote::survey::{self, Existence, RestartRight, ShownHostKey};
use lamplighter_remote::{Remote, RemoteConfig};
use serde::Serialize;

use super::finding::{Finding, Findings};

/// Hosts examined at once.
const HOSTS_AT_ONCE: usize = 16;
/// Longest one question takes.
const QUESTION_LIMIT: Duration = Duration::from_secs(10);
/// A clock this far off makes logs and letters disagree.
const MAX_SKEW: Duration = Duration::from_secs(2);
/// Hosts tell their time in whole seconds.
const CLOCK_STEP: Duration = Duration::from_secs(1);

/// Examines the way to each service, and tells in the order of the file.
pub(super) async fn examine(
    file: &Path,
    services: Vec<ServiceSpec>,
    networks: Vec<Network>,
    findings: &mut Findings,
) -> std::io::Result<()> {
    let base_dir = file.parent().unwrap_or(Path::new("")).to_owned();
    let config = RemoteConfig { allowed_networks: networks, ..RemoteConfig::new(base_dir) };
    let remote = match Remote::new(config) {
        Ok(remote) => remote,
        Err(error) => return findings.add(Finding::fail("this machine", error.to_string())),
    };
    let ready = services.iter().filter(|spec| spec.lifecycle == Lifecycle::Ready);
    let mut found = stream::iter(ready).map(|spec| one(&remote, spec)).buffered(HOSTS_AT_ONCE);
    while let Some(made) = found.next().await {
        for finding in made {
            findings.add(finding)?;
        }
    }
    drop(found);
    remote.close().await;
    Ok(())
}

async fn one(remote: &Remote, spec: &ServiceSpec) -> Vec<Finding> {
    let about = format!("{} ({})", spec.id, spec.address);
    if !spec.needs_commands() {
        return vec![look(remote, spec, &about).await];
    }
    if spec.transport == Transport::Ssh
        && let Err(finding) = way_in(remote, spec, &about).await
    {
        return vec![finding];
    }
    let unit = unit(remote, spec, &about).await;
    // Whether it may be restarted says nothing of a unit that is not there.
    let right = match &unit {
        None => restart_right(remote, spec, &about).await,
        Some(_) => None,
    };
    let clock = clock(remote, spec, &about).await;
    let mut found: Vec<Finding> = [unit, right, clock].into_iter().flatten().collect();
    // One broken login answers every question with the same words.
    found.dedup();
    if found.is_empty() { vec![Finding::ok(&about, "login, unit, right to restart, clock")] } else { found }
}

/// A service that is only looked at from here.
async fn look(remote: &Remote, spec: &ServiceSpec, about: &str) -> Finding {
    let look = remote.look(spec, Moment::from(SystemTime::now()), QUESTION_LIMIT).await;
    match look.sight {
        Sight::Up => Finding::ok(about, "the check passes"),
        sight @ (Sight::Down(_) | Sight::Unreachable(_) | Sight::Unknown(_)) => {
            Finding::warn(about, format!("the check does not pass now: {sight}"))
        }
    }
}

/// Gets in, or tells why not.
async fn way_in(remote: &Remote, spec: &ServiceSpec, about: &str) -> Result<(), Finding> {
    if spec.host_key.is_empty() && spec.known_hosts.is_none() {
        let shown = survey::host_key(remote, &spec.address, QUESTION_LIMIT).await;
        let shown = shown.map_err(|fault| no_way(spec, about, &fault))?;
        return Err(missing_host_key(about, &shown));
    }
    let Err(fault) = survey::login(remote, spec, QUESTION_LIMIT).await else { return Ok(()) };
    let changed = fault.kind == UnreachableKind::HostKeyChanged;
    if !changed && fault.kind != UnreachableKind::HostKeyUnknown {
        return Err(no_way(spec, about, &fault));
    }
    let shown = survey::host_key(remote, &spec.address, QUESTION_LIMIT).await;
    let shown = shown.map_err(|fault| no_way(spec, about, &fault))?;
    Err(if changed { changed_host_key(spec, about, &shown) } else { missing_host_key(about, &shown) })
}

fn missing_host_key(about: &str, shown: &ShownHostKey) -> Finding {
    let ShownHostKey { line, fingerprint } = shown;
    Finding::fail(about, format!("host key missing; the host shows {fingerprint}")).hint(format!(
        "if `ssh-keygen -lf /etc/ssh/ssh_host_{}_key.pub` on the host says the same, add\nhost_key = \"{}\"",
        kind(line),
        line.trim()
    ))
}

fn changed_host_key(spec: &ServiceSpec, about: &str, shown: &ShownHostKey) -> Finding {
    let ShownHostKey { line, fingerprint } = shown;
    let known = if spec.host_key.is_empty() { "`known_hosts`" } else { "`host_key`" };
    Finding::fail(about, format!("host key changed; the host now shows {fingerprint}")).hint(format!(
        "somebody may be in between. If the host was set up anew and `ssh-keygen -lf /etc/ssh/ssh_host_{}_key.pub` on it says \
         the same, replace its {known} by\nhost_key = \"{}\"",
        kind(line),
        line.trim()
    ))
}

/// The part of a key file's name that says its kind.
fn kind(line: &str) -> &'static str {
    match line.split_ascii_whitespace().next() {
        Some("ssh-rsa") => "rsa",
        Some(kind) if kind.starts_with("ecdsa") => "ecdsa",
        Some(_) | None => "ed25519",
    }
}

fn no_way(spec: &ServiceSpec, about: &str, fault: &Fault<UnreachableKind>) -> Finding {
    let user = spec.user.as_ref().map_or("USER", |user| user.as_str());
    let hint = match fault.kind {
        UnreachableKind::Connect => {
            format!("is the host up, and does its SSH server answer on port {}?", spec.address.port())
        }
        UnreachableKind::NoSuchName => "check `address`".to_owned(),
        UnreachableKind::TimedOut => {
            "a firewall may be in between; the host must let this machine in".to_owned()
        }
        UnreachableKind::Auth => {
            format!("add the public half of the key to `~{user}/.ssh/authorized_keys` on the host")
        }
        UnreachableKind::Key => {
            "check `key`: an OpenSSH private key without a passphrase, readable by its owner alone".to_owned()
        }
        UnreachableKind::HostKeyRevoked => {
            "the key is marked `@revoked` in `known_hosts`: do not trust this host".to_owned()
        }
        UnreachableKind::HostKeyUnknown | UnreachableKind::HostKeyChanged => {
            "pin the host's key with `host_key`".to_owned()
        }
        UnreachableKind::Protocol | UnreachableKind::Dropped | UnreachableKind::NoVerdict => {
            format!("try `ssh -v {user}@{}`", spec.address.host())
        }
    };
    Finding::fail(about, fault.to_string()).hint(hint)
}

/// Whether what is checked and what is restarted exist: they may be two.
async fn unit(remote: &Remote, spec: &ServiceSpec, about: &str) -> Option<Finding> {
    let only_checked = ServiceSpec { restart: Restart::Never, ..spec.clone() };
    for (key, named, asked) in
        [("restart", written(&spec.restart), spec), ("check", written(&spec.check), &only_checked)]
    {
        match survey::existence(remote, asked, QUESTION_LIMIT).await {
            Ok(Existence::Found | Existence::NothingNamed) => {}
            Ok(Existence::Missing) => {
                let finding =
                    Finding::fail(about, format!("the host does not know what `{key}` names: {named}"));
                return Some(finding.hint(
                    "`systemctl list-units --type=service --all` or `docker ps --all` on the host names them",
                ));
            }
            Err(fault) => return Some(no_way(spec, about, &fault)),
        }
    }
    None
}

/// A check or restart as the fleet file has it: `{"systemd":"web"}`.
fn written<T: Serialize>(value: &T) -> String {
    one_line(&serde_json::to_string(value).unwrap_or_default(), 120)
}

async fn restart_right(remote: &Remote, spec: &ServiceSpec, about: &str) -> Option<Finding> {
    match survey::restart_right(remote, spec, QUESTION_LIMIT).await {
        Ok(RestartRight::Granted) => None,
        Ok(RestartRight::Refused { sudoers }) => {
            let finding = Finding::fail(about, "sudo refuses the restart");
            Some(finding.hint(format!(
                "run `visudo -f /etc/sudoers.d/lamplighter` on the host and add\n{}",
                sudoers.trim()
            )))
        }
        Ok(RestartRight::NoSudo) => {
            let finding = Finding::fail(about, "the host has no `sudo`, and the login is not root");
            Some(finding.hint("install `sudo` there, or log in as root with a key that may do nothing else"))
        }
        Err(fault) => Some(no_way(spec, about, &fault)),
    }
}

async fn clock(remote: &Remote, spec: &ServiceSpec, about: &str) -> Option<Finding> {
    match survey::clock(remote, spec, QUESTION_LIMIT).await {
        Ok(clock) => {
            let now = Moment::from(SystemTime::now());
            let skew = now.since(clock.says).max(clock.says.since(now));
            if skew <= MAX_SKEW + CLOCK_STEP + clock.took {
                return None;
            }
            let finding = Finding::warn(
                about,
                format!("its clock is off by {}", spoken(Duration::from_secs(skew.as_secs()))),
            );
            Some(finding.hint("let the host follow a time server: `timedatectl set-ntp true`"))
        }
        Err(fault) => Some(no_way(spec, about, &fault)),
    }
}
