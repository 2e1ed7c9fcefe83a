//! SSH as a client: what is offered, and what its errors mean to an operator.

mod connect;
mod gate;
mod line;
mod session;

use std::borrow::Cow;
use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use lamplighter_core::sight::{Fault, UnreachableKind};
use russh::keys::Algorithm;
use russh::{Preferred, cipher, client, compression, kex, mac};

pub(crate) use connect::said_by_system;
pub(crate) use line::Line;
pub(crate) use session::{Session, shown_key};

/// Key exchanges offered. A list of one's own loses strict key exchange unless it names it: a test asserts that it is there.
pub(crate) const KEY_EXCHANGES: &[kex::Name] = &[
    kex::CURVE25519,
    kex::CURVE25519_PRE_RFC_8731,
    kex::MLKEM768X25519_SHA256,
    kex::EXTENSION_SUPPORT_AS_CLIENT,
    kex::EXTENSION_OPENSSH_STRICT_KEX_AS_CLIENT,
];
/// Ciphers offered: those with integrity of their own, and one for hosts hardened down to counter mode.
const CIPHERS: &[cipher::Name] = &[cipher::AES_256_GCM, cipher::CHACHA20_POLY1305, cipher::AES_256_CTR];
/// MACs offered: encrypt-then-MAC only, with SHA-2.
const MACS: &[mac::Name] = &[mac::HMAC_SHA256_ETM, mac::HMAC_SHA512_ETM];
/// Compression is a bomb's best friend.
const COMPRESSION: &[compression::Name] = &[compression::NONE];

/// The window of a channel, in bytes: one full output, so that a flood is felt at once.
const WINDOW_BYTES: u32 = 64 * 1024;
/// Messages a channel holds before the host has to wait.
const CHANNEL_MESSAGES: usize = 16;
/// Often enough for the patience of usual NAT boxes, seldom enough to cost nothing.
const KEEPALIVE_EVERY: Duration = Duration::from_secs(60);
/// Unanswered keepalives that end a connection.
const KEEPALIVES_LOST: usize = 2;
/// A connection that was silent through all its keepalives is dead.
const SILENCE_LIMIT: Duration = Duration::from_secs(200);

const _: () = assert!(KEEPALIVE_EVERY.as_secs() * (KEEPALIVES_LOST as u64 + 1) < SILENCE_LIMIT.as_secs());

/// Client configurations by the host key algorithms they ask for: a handful, shared by all connections.
#[derive(Default)]
pub(crate) struct Configs(Mutex<HashMap<Vec<Algorithm>, Arc<client::Config>>>);

impl std::fmt::Debug for Configs {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Configs")
    }
}

impl Configs {
    /// The configuration that asks for these host key algorithms, in this order.
    pub(crate) fn asking_for(&self, algorithms: Vec<Algorithm>) -> Arc<client::Config> {
        let mut configs = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        Arc::clone(
            configs.entry(algorithms).or_insert_with_key(|algorithms| Arc::new(config(algorithms.clone()))),
        )
    }
}

/// The client configuration: modern algorithms only, strict key exchange, small buffers.
pub(crate) fn config(host_key_algorithms: Vec<Algorithm>) -> client::Config {
    client::Config {
        client_id: russh::SshId::Standard(Cow::Borrowed("SSH-2.0-Lamplighter")),
        window_size: WINDOW_BYTES,
        channel_buffer_size: CHANNEL_MESSAGES,
        preferred: Preferred {
            kex: Cow::Borrowed(KEY_EXCHANGES),
            key: Cow::Owned(host_key_algorithms),
            host_key_certificates: Cow::Borrowed(&[]),
            cipher: Cow::Borrowed(CIPHERS),
            mac: Cow::Borrowed(MACS),
            compression: Cow::Borrowed(COMPRESSION),
        },
        inactivity_timeout: Some(SILENCE_LIMIT),
        keepalive_interval: Some(KEEPALIVE_EVERY),
        keepalive_max: KEEPALIVES_LOST,
        nodelay: true,
        ..client::Config::default()
    }
}

/// What an SSH error means to an operator.
fn fault_of(error: &russh::Error) -> Fault<UnreachableKind> {
    use russh::Error as E;
    let kind =
        if matches!(error, E::InactivityTimeout | E::KeepaliveTimeout | E::ConnectionTimeout | E::Elapsed(_))
        {
            UnreachableKind::TimedOut
        } else if let E::IO(error) = error {
            match error.kind() == std::io::ErrorKind::InvalidData {
                true => UnreachableKind::Protocol,
                false => UnreachableKind::Dropped,
            }
        } else if matches!(error, E::Disconnect | E::HUP | E::SendError | E::RecvError) {
            UnreachableKind::Dropped
        } else if matches!(error, E::ChannelOpenFailure(_)) {
            UnreachableKind::NoVerdict
        } else {
            UnreachableKind::Protocol
        };
    if let E::NoCommonAlgo { kind, .. } = error {
        let detail =
            format!("no {kind:?} algorithm in common: the host offers only old ones").to_ascii_lowercase();
        return Fault::new(UnreachableKind::Protocol, &detail);
    }
    Fault::new(kind, &error.to_string().to_ascii_lowercase())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn strict_key_exchange_is_asked_for() {
        let config = config(crate::trust::HOST_KEY_ALGORITHMS.to_vec());
        assert!(config.preferred.kex.contains(&kex::EXTENSION_OPENSSH_STRICT_KEX_AS_CLIENT));
        assert!(config.preferred.kex.contains(&kex::CURVE25519), "older servers know no other");
    }

    #[test]
    fn nothing_old_is_offered() {
        let config = config(crate::trust::HOST_KEY_ALGORITHMS.to_vec());
        let names = config.preferred.kex.iter().map(AsRef::as_ref);
        let names = names.chain(config.preferred.cipher.iter().map(AsRef::as_ref));
        let names: Vec<&str> = names.chain(config.preferred.mac.iter().map(AsRef::as_ref)).collect();
        for old in ["sha1", "cbc", "group1-", "md5", "3des", "none"] {
            assert!(!names.iter().any(|name| name.contains(old)), "{old} in {names:?}");
        }
        assert_eq!(config.preferred.compression.as_ref(), [compression::NONE]);
    }
}
