//! The text of a private key, understood or refused with the mend that fits the place it was found at.

use std::fmt;
use std::path::Path;
use std::sync::Arc;

use russh::keys::PrivateKeyWithHashAlg;
use zeroize::Zeroizing;

/// Longest text read as a key, in bytes: real ones are below 4 KiB.
pub(super) const MAX_KEY_BYTES: usize = 64 * 1024;

/// Where a key was found, as faults name it.
#[derive(Debug, Clone, Copy)]
pub(super) enum Place<'a> {
    /// A file of this machine.
    File(&'a Path),
    /// A parameter of the vault.
    Ssm(&'a str),
}

impl fmt::Display for Place<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Place::File(path) => write!(f, "`{}`", path.display()),
            Place::Ssm(name) => write!(f, "`ssm:{name}`"),
        }
    }
}

/// Reads a private key that needs no passphrase; or says what is wrong with it and what to do.
pub(super) fn parse(place: Place<'_>, text: &str) -> Result<PrivateKeyWithHashAlg, String> {
    if text.len() > MAX_KEY_BYTES {
        return Err(too_large(place));
    }
    if is_rsa(text) {
        let advice = "make an Ed25519 key with `ssh-keygen -t ed25519`";
        return Err(format!("{place} is an RSA key, which is not used here; {advice}"));
    }
    match russh::keys::decode_secret_key(text, None) {
        Ok(key) if key.is_encrypted() => Err(encrypted(place)),
        Ok(key) => Ok(PrivateKeyWithHashAlg::new(Arc::new(key), None)),
        Err(russh::keys::Error::KeyIsEncrypted) => Err(encrypted(place)),
        Err(_) => Err(not_a_key(place)),
    }
}

/// True for an RSA key in OpenSSH's format or the older one.
fn is_rsa(text: &str) -> bool {
    use base64::Engine as _;
    if text.contains("BEGIN RSA PRIVATE KEY") {
        return true;
    }
    let Some((_, rest)) = text.split_once("-----BEGIN OPENSSH PRIVATE KEY-----") else { return false };
    let body: Zeroizing<String> =
        Zeroizing::new(rest.split("-----").next().unwrap_or_default().split_whitespace().collect());
    let Ok(blob) = base64::engine::general_purpose::STANDARD.decode(body.as_bytes()).map(Zeroizing::new)
    else {
        return false;
    };
    // The public part comes first and is never encrypted: its kind stands within the first hundred bytes.
    blob.iter().take(200).copied().collect::<Vec<u8>>().windows(7).any(|window| window == b"ssh-rsa")
}

fn encrypted(place: Place<'_>) -> String {
    let mend = match place {
        Place::File(path) => format!("remove it with `ssh-keygen -p -f {}`", path.display()),
        Place::Ssm(_) => "store it without one, as `ssh-keygen -p` makes it".to_owned(),
    };
    format!("{place} is protected by a passphrase, which nobody could type; {mend}")
}

pub(super) fn not_a_key(place: Place<'_>) -> String {
    let mend = match place {
        Place::File(path) => format!("make one with `ssh-keygen -t ed25519 -f {}`", path.display()),
        Place::Ssm(_) => "store the file that `ssh-keygen -t ed25519` makes".to_owned(),
    };
    format!("{place} is not a private SSH key; {mend}")
}

pub(super) fn too_large(place: Place<'_>) -> String {
    format!("{place} is too large to be a private key")
}
