//! Reads `known_hosts` files as OpenSSH does: plain and hashed names, ports, wildcards, negation, markers.

use std::collections::HashMap;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use hmac::{Hmac, KeyInit as _, Mac as _};
use lamplighter_core::HostAddress;
use russh::keys::PublicKey;
use russh::keys::ssh_key::public::KeyData;
use sha1::Sha1;

/// Largest file read, in bytes: some 20,000 hosts with three keys each.
pub(crate) const MAX_FILE_BYTES: u64 = 16 * 1024 * 1024;
/// Longest host pattern matched: names are at most 253 bytes, so a longer one matches nothing.
const MAX_PATTERN_BYTES: usize = 512;

/// A `known_hosts` file, parsed. Lines that cannot be read vouch for nothing and are passed over.
#[derive(Debug, Default)]
pub(crate) struct KnownHosts {
    lines: Vec<Line>,
    /// Lines that name a host in full, by that name, so that a large fleet is not searched line by line.
    by_name: HashMap<String, Vec<usize>>,
    /// Lines with wildcards or negations: these are always tried.
    patterns: Vec<usize>,
    /// Lines with a hashed name that no lookup has found out yet. Each names one host, so it is tried until it is found
    /// out, and from then on stands with the names. Hashing exists to make this slow: the first sweep tries half of all
    /// lines for each host, a few milliseconds for 10,000 lines. Pinned keys and plain names cost nothing.
    hashed: Vec<usize>,
}

/// What a file says of one host.
#[derive(Debug, Default, Clone, PartialEq, Eq)]
pub(crate) struct Entries {
    /// Keys the host may show.
    pub(crate) accepted: Vec<KeyData>,
    /// Keys nobody may show any more.
    pub(crate) revoked: Vec<KeyData>,
    /// True if an authority is named for the host: its certificates are not used.
    pub(crate) names_authority: bool,
}

#[derive(Debug)]
struct Line {
    marker: Marker,
    hosts: Hosts,
    key: KeyData,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Marker {
    None,
    Revoked,
    CertAuthority,
}

#[derive(Debug)]
enum Hosts {
    Patterns(Vec<String>),
    Hashed(Hashed),
}

/// A name that only its hash is known of.
#[derive(Debug)]
struct Hashed {
    /// Keyed with the salt once, which is half of the work of each comparison. Boxed: most lines have none.
    keyed: Box<Hmac<Sha1>>,
    hash: Vec<u8>,
}

impl KnownHosts {
    /// Parses a whole file.
    pub(crate) fn parse(text: &str) -> Self {
        let mut file = Self::default();
        for line in text.lines().filter_map(parse_line) {
            let index = file.lines.len();
            match &line.hosts {
                Hosts::Patterns(patterns)
                    if patterns.iter().all(|pattern| !pattern.contains(['*', '?', '!'])) =>
                {
                    for pattern in patterns {
                        file.by_name.entry(pattern.clone()).or_default().push(index);
                    }
                }
                Hosts::Patterns(_) => file.patterns.push(index),
                Hosts::Hashed(_) => file.hashed.push(index),
            }
            file.lines.push(line);
        }
        file
    }

    /// Everything the file says of `address`. A port other than 22 is looked up as `[host]:port` only.
    pub(crate) fn entries(&mut self, address: &HostAddress) -> Entries {
        let name = looked_up_name(address);
        let found_out = self.hashed.extract_if(.., |index| self.lines[*index].hosts.include(&name));
        let found_out: Vec<usize> = found_out.collect();
        if !found_out.is_empty() {
            self.by_name.entry(name.clone()).or_default().extend(found_out);
        }
        let named = self.by_name.get(&name).map(Vec::as_slice).unwrap_or_default();
        let matching = self.patterns.iter().filter(|index| self.lines[**index].hosts.include(&name));
        let mut entries = Entries::default();
        for index in named.iter().chain(matching) {
            let line = &self.lines[*index];
            match line.marker {
                Marker::None => entries.accepted.push(line.key.clone()),
                Marker::Revoked => entries.revoked.push(line.key.clone()),
                Marker::CertAuthority => entries.names_authority = true,
            }
        }
        entries
    }
}

/// The name OpenSSH would look up.
pub(crate) fn looked_up_name(address: &HostAddress) -> String {
    match address.port() {
        HostAddress::SSH_PORT => address.host().to_owned(),
        port => format!("[{}]:{port}", address.host()),
    }
}

fn parse_line(line: &str) -> Option<Line> {
    let line = line.trim();
    if line.is_empty() || line.starts_with('#') {
        return None;
    }
    let mut words = line.split_ascii_whitespace();
    let mut first = words.next()?;
    let marker = match first {
        "@revoked" => Marker::Revoked,
        "@cert-authority" => Marker::CertAuthority,
        // A marker of a later day may mean anything: such a line is passed over.
        _ if first.starts_with('@') => return None,
        _ => Marker::None,
    };
    if marker != Marker::None {
        first = words.next()?;
    }
    let hosts = parse_hosts(first)?;
    let key = parse_key(words.next()?, words.next()?)?;
    Some(Line { marker, hosts, key })
}

fn parse_hosts(text: &str) -> Option<Hosts> {
    if let Some(hashed) = text.strip_prefix("|1|") {
        let (salt, hash) = hashed.split_once('|')?;
        let keyed = Box::new(Hmac::new_from_slice(&BASE64.decode(salt).ok()?).ok()?);
        return Some(Hosts::Hashed(Hashed { keyed, hash: BASE64.decode(hash).ok()? }));
    }
    // A hash of another kind names nobody we know.
    if text.starts_with('|') {
        return None;
    }
    let patterns: Vec<String> =
        text.split(',').filter(|p| !p.is_empty()).map(str::to_ascii_lowercase).collect();
    if patterns.is_empty() || patterns.iter().any(|p| p.len() > MAX_PATTERN_BYTES) {
        return None;
    }
    Some(Hosts::Patterns(patterns))
}

/// Reads a public key; the algorithm written before it must be the one inside it.
pub(crate) fn parse_key(algorithm: &str, blob: &str) -> Option<KeyData> {
    let key: PublicKey = russh::keys::parse_public_key_base64(blob).ok()?;
    let inside = key.algorithm();
    (inside.as_str() == algorithm).then(|| key.key_data().clone())
}

impl Hosts {
    fn include(&self, name: &str) -> bool {
        match self {
            Hosts::Patterns(patterns) => {
                let mut included = false;
                for pattern in patterns {
                    match pattern.strip_prefix('!') {
                        Some(negated) if matches_pattern(negated.as_bytes(), name.as_bytes()) => {
                            return false;
                        }
                        Some(_) => {}
                        None => included |= matches_pattern(pattern.as_bytes(), name.as_bytes()),
                    }
                }
                included
            }
            Hosts::Hashed(hashed) => {
                let mut mac = hashed.keyed.as_ref().clone();
                mac.update(name.as_bytes());
                mac.verify_slice(&hashed.hash).is_ok()
            }
        }
    }
}

/// Shell-like matching with `*` and `?` only, in time proportional to pattern × name.
fn matches_pattern(pattern: &[u8], name: &[u8]) -> bool {
    let (mut p, mut n) = (0, 0);
    let mut star: Option<(usize, usize)> = None;
    while n < name.len() {
        match pattern.get(p) {
            Some(b'*') => {
                star = Some((p, n));
                p += 1;
            }
            Some(c) if *c == b'?' || *c == name[n] => {
                p += 1;
                n += 1;
            }
            Some(_) | None => match star {
                Some((star_p, star_n)) => {
                    star = Some((star_p, star_n + 1));
                    p = star_p + 1;
                    n = star_n + 1;
                }
                None => return false,
            },
        }
    }
    pattern[p..].iter().all(|c| *c == b'*')
}

#[cfg(test)]
mod tests;
