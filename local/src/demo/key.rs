//! The key pair that opens the demo's hosts: made anew each time, never leaving the demo's own folder.

use std::io::{self, Write as _};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};

use russh::keys::ssh_key::LineEnding;
use russh::keys::{Algorithm, PrivateKey, PublicKey};

/// A private key in a file that only its owner can read, and the public key that hosts accept.
#[derive(Debug, Clone)]
pub struct ClientKey {
    /// Where the private key lies.
    pub path: PathBuf,
    /// What a host's `authorized_keys` would hold.
    pub public: PublicKey,
}

impl ClientKey {
    /// Makes a new key pair and writes its private half to `path`.
    ///
    /// # Errors
    /// If the file exists already or cannot be written.
    pub fn create(path: &Path) -> io::Result<ClientKey> {
        let key = new_key()?;
        let text = key.to_openssh(LineEnding::LF).map_err(io::Error::other)?;
        let mut file = std::fs::OpenOptions::new().write(true).create_new(true).mode(0o600).open(path)?;
        file.write_all(text.as_bytes())?;
        Ok(ClientKey { path: path.to_owned(), public: key.public_key().clone() })
    }
}

pub(super) fn new_key() -> io::Result<PrivateKey> {
    PrivateKey::random(&mut rand::rng(), Algorithm::Ed25519).map_err(io::Error::other)
}
