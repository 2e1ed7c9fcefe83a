//! Which host keys a host may show, decided before anything is sent to it.

use std::collections::HashMap;
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use lamplighter_core::HostAddress;
use lamplighter_core::sight::{Fault, UnreachableKind};
use lamplighter_core::spec::ServiceSpec;
use russh::keys::ssh_key::public::KeyData;
use russh::keys::{Algorithm, HashAlg};

use crate::known_hosts::{self, KnownHosts};

/// Most hosts whose accepted keys are kept parsed. Above it all are forgotten and parsed again: slower, never wrong.
const MAX_REMEMBERED: usize = 20_000;

/// The keys one host may show, and those nobody may show any more.
#[derive(Debug)]
pub(crate) struct Trust {
    accepted: Vec<KeyData>,
    revoked: Vec<KeyData>,
    /// Distinguishes this set of keys from every other, so that connections made under another are not shared.
    pub(crate) id: u64,
}

/// Parsed host keys, by what they were parsed from.
#[derive(Debug)]
pub(crate) struct TrustBook {
    base_dir: PathBuf,
    pinned: Mutex<HashMap<Vec<String>, Arc<Trust>>>,
    files: Mutex<HashMap<PathBuf, File>>,
    next_id: AtomicU64,
}

#[derive(Debug)]
struct File {
    stamp: Stamp,
    hosts: KnownHosts,
    trusts: HashMap<HostAddress, Arc<Trust>>,
}

/// Changes whenever a file is replaced or written to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Stamp {
    inode: u64,
    changed: (i64, i64),
    len: u64,
}

impl TrustBook {
    pub(crate) fn new(base_dir: PathBuf) -> Self {
        Self { base_dir, pinned: Mutex::default(), files: Mutex::default(), next_id: AtomicU64::new(0) }
    }

    /// The keys that the host of `spec` may show: those pinned, or those its `known_hosts` file names.
    pub(crate) fn of(&self, spec: &ServiceSpec) -> Result<Arc<Trust>, Fault<UnreachableKind>> {
        match &spec.known_hosts {
            _ if !spec.host_key.is_empty() => self.of_pinned(&spec.host_key),
            Some(path) => self.of_file(&self.base_dir.join(path), &spec.address),
            None => Err(unknown("no key is pinned for it; `lamplighter doctor` prints the line to add")),
        }
    }

    fn of_pinned(&self, lines: &[String]) -> Result<Arc<Trust>, Fault<UnreachableKind>> {
        let mut pinned = self.pinned.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(trust) = pinned.get(lines) {
            return Ok(Arc::clone(trust));
        }
        let mut accepted = Vec::with_capacity(lines.len());
        for line in lines {
            let mut words = line.split_ascii_whitespace();
            let key =
                words.next().zip(words.next()).and_then(|(kind, blob)| known_hosts::parse_key(kind, blob));
            accepted.push(
                key.ok_or_else(|| unknown("a pinned `host_key` cannot be read; write `ssh-ed25519 AAAA…`"))?,
            );
        }
        let trust = self.trust(accepted, Vec::new())?;
        if pinned.len() >= MAX_REMEMBERED {
            pinned.clear();
        }
        pinned.insert(lines.to_vec(), Arc::clone(&trust));
        Ok(trust)
    }

    fn of_file(&self, path: &Path, address: &HostAddress) -> Result<Arc<Trust>, Fault<UnreachableKind>> {
        let stamp = stamp(path).map_err(|error| unreadable(path, &error))?;
        let mut files = self.files.lock().unwrap_or_else(PoisonError::into_inner);
        if files.get(path).is_none_or(|file| file.stamp != stamp) {
            if stamp.len > known_hosts::MAX_FILE_BYTES {
                return Err(unknown(&format!("`{}` is larger than 16 MiB", path.display())));
            }
            let bytes = std::fs::read(path).map_err(|error| unreadable(path, &error))?;
            let hosts = KnownHosts::parse(&String::from_utf8_lossy(&bytes));
            files.insert(path.to_owned(), File { stamp, hosts, trusts: HashMap::new() });
        }
        let Some(file) = files.get_mut(path) else {
            return Err(unknown("its `known_hosts` file was not kept"));
        };
        if let Some(trust) = file.trusts.get(address) {
            return Ok(Arc::clone(trust));
        }
        let entries = file.hosts.entries(address);
        if entries.accepted.is_empty() && entries.revoked.is_empty() {
            let name = known_hosts::looked_up_name(address);
            let why = match entries.names_authority {
                true => "names an authority for it, whose certificates are not used; add the host's own key",
                false => "has no line for it; `lamplighter doctor` prints the line to add",
            };
            return Err(unknown(&format!("`{}` {why} (`{name}`)", path.display())));
        }
        let trust = self.trust(entries.accepted, entries.revoked)?;
        if file.trusts.len() >= MAX_REMEMBERED {
            file.trusts.clear();
        }
        file.trusts.insert(address.clone(), Arc::clone(&trust));
        Ok(trust)
    }

    fn trust(
        &self,
        accepted: Vec<KeyData>,
        revoked: Vec<KeyData>,
    ) -> Result<Arc<Trust>, Fault<UnreachableKind>> {
        let usable = |key: &KeyData| HOST_KEY_ALGORITHMS.contains(&key.algorithm());
        if !accepted.is_empty() && !accepted.iter().any(usable) {
            return Err(unknown(
                "only a key of an unsupported kind is known for it; pin its `ssh-ed25519` or `ecdsa-sha2` key",
            ));
        }
        let id = self.next_id.fetch_add(1, Ordering::Relaxed);
        Ok(Arc::new(Trust { accepted, revoked, id }))
    }
}

/// Host key algorithms that can be verified, best first. RSA is left out: its only implementation at hand leaks timing.
pub(crate) const HOST_KEY_ALGORITHMS: [Algorithm; 4] = [
    Algorithm::Ed25519,
    Algorithm::Ecdsa { curve: russh::keys::EcdsaCurve::NistP256 },
    Algorithm::Ecdsa { curve: russh::keys::EcdsaCurve::NistP384 },
    Algorithm::Ecdsa { curve: russh::keys::EcdsaCurve::NistP521 },
];

impl Trust {
    /// Judges the key a host showed. Revocation is stronger than acceptance.
    pub(crate) fn judge(&self, shown: &KeyData) -> Result<(), Fault<UnreachableKind>> {
        let fingerprint = shown.fingerprint(HashAlg::Sha256);
        if self.revoked.contains(shown) {
            return Err(Fault::new(
                UnreachableKind::HostKeyRevoked,
                &format!("it showed {fingerprint}; give the host a new key"),
            ));
        }
        if self.accepted.contains(shown) {
            return Ok(());
        }
        let Some(known) = self.accepted.first() else {
            return Err(unknown(&format!("it showed {fingerprint}; pin it if that is the host's own")));
        };
        let known = known.fingerprint(HashAlg::Sha256);
        let detail = format!("it showed {fingerprint}, known is {known}; find out why, then pin the new key");
        Err(Fault::new(UnreachableKind::HostKeyChanged, &detail))
    }

    /// The algorithms to ask for: those of the accepted keys first, so that the host shows a key we know if it has one.
    pub(crate) fn algorithms(&self) -> Vec<Algorithm> {
        let is_known = |algorithm: &Algorithm| self.accepted.iter().any(|key| key.algorithm() == *algorithm);
        let (mut known, others): (Vec<_>, Vec<_>) = HOST_KEY_ALGORITHMS.into_iter().partition(is_known);
        known.extend(others);
        known
    }
}

fn unknown(detail: &str) -> Fault<UnreachableKind> {
    Fault::new(UnreachableKind::HostKeyUnknown, detail)
}

fn unreadable(path: &Path, error: &std::io::Error) -> Fault<UnreachableKind> {
    unknown(&format!("`{}` cannot be read: {error}", path.display()))
}

fn stamp(path: &Path) -> std::io::Result<Stamp> {
    let metadata = std::fs::metadata(path)?;
    Ok(Stamp {
        inode: metadata.ino(),
        changed: (metadata.ctime(), metadata.ctime_nsec()),
        len: metadata.len(),
    })
}
