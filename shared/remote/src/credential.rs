//! Private SSH keys: read once per version of their file, refused if others could read them, wiped when dropped.

use std::collections::HashMap;
use std::fs::File;
use std::io::Read as _;
use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};

use lamplighter_core::sight::{Fault, UnreachableKind};
use lamplighter_core::spec::KeyRef;
use russh::keys::PrivateKeyWithHashAlg;
use zeroize::Zeroizing;

/// Largest key file read, in bytes: real ones are below 4 KiB.
const MAX_KEY_FILE_BYTES: u64 = 64 * 1024;
/// Any of these permission bits lets somebody else read or replace the key.
const OTHERS_MASK: u32 = 0o077;
/// Most keys kept: a fleet has a handful.
const MAX_REMEMBERED: usize = 4_096;

/// The private keys that were read. Its `Debug` shows none.
pub(crate) struct Credentials {
    base_dir: PathBuf,
    known: Mutex<HashMap<PathBuf, Known>>,
}

struct Known {
    version: Version,
    key: PrivateKeyWithHashAlg,
}

/// Changes whenever a key file is replaced, rewritten, or given other permissions.
#[derive(Clone, Copy, PartialEq, Eq)]
struct Version {
    inode: u64,
    len: u64,
    changed: (i64, i64),
    modified: (i64, i64),
}

impl std::fmt::Debug for Credentials {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Credentials").field("base_dir", &self.base_dir).finish_non_exhaustive()
    }
}

impl Credentials {
    pub(crate) fn new(base_dir: PathBuf) -> Self {
        Self { base_dir, known: Mutex::default() }
    }

    /// The private key that `place` names.
    pub(crate) fn load(&self, place: &KeyRef) -> Result<PrivateKeyWithHashAlg, Fault<UnreachableKind>> {
        match place {
            KeyRef::File(path) => self.load_file(&self.base_dir.join(path)),
            KeyRef::Ssm(name) => {
                Err(unusable(&format!("`ssm:{name}` cannot be read in this home; use `file:PATH`")))
            }
            KeyRef::Sealed(name) => {
                Err(unusable(&format!("`sealed:{name}` cannot be read in this home; use `file:PATH`")))
            }
        }
    }

    fn load_file(&self, path: &Path) -> Result<PrivateKeyWithHashAlg, Fault<UnreachableKind>> {
        let shown = path.display();
        let missing = |error: std::io::Error| unusable(&format!("`{shown}` cannot be read: {error}"));
        // Opened first and asked afterwards, so that what is judged is what is read.
        let mut file = File::open(path).map_err(missing)?;
        let metadata = file.metadata().map_err(missing)?;
        if !metadata.is_file() {
            return Err(unusable(&format!("`{shown}` is not a file")));
        }
        if metadata.permissions().mode() & OTHERS_MASK != 0 {
            return Err(unusable(&format!("`{shown}` can be read by others; run `chmod 600 {shown}`")));
        }
        if metadata.len() > MAX_KEY_FILE_BYTES {
            return Err(unusable(&format!("`{shown}` is too large to be a private key")));
        }
        let version = Version {
            inode: metadata.ino(),
            len: metadata.len(),
            changed: (metadata.ctime(), metadata.ctime_nsec()),
            modified: (metadata.mtime(), metadata.mtime_nsec()),
        };
        let mut known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(known) = known.get(path).filter(|known| known.version == version) {
            return Ok(known.key.clone());
        }
        let room = usize::try_from(MAX_KEY_FILE_BYTES).unwrap_or(usize::MAX);
        // Room for all of it at once: a buffer that grows leaves copies of the key behind.
        let mut text = Zeroizing::new(String::with_capacity(room));
        file.by_ref()
            .take(MAX_KEY_FILE_BYTES)
            .read_to_string(&mut text)
            .map_err(|_| unusable(&not_a_key(path)))?;
        let key = parse(path, &text)?;
        if known.len() >= MAX_REMEMBERED {
            known.clear();
        }
        known.insert(path.to_owned(), Known { version, key: key.clone() });
        Ok(key)
    }
}

fn parse(path: &Path, text: &str) -> Result<PrivateKeyWithHashAlg, Fault<UnreachableKind>> {
    let shown = path.display();
    if is_rsa(text) {
        let advice = "make an Ed25519 key with `ssh-keygen -t ed25519`";
        return Err(unusable(&format!("`{shown}` is an RSA key, which is not used here; {advice}")));
    }
    match russh::keys::decode_secret_key(text, None) {
        Ok(key) if key.is_encrypted() => Err(unusable(&encrypted(path))),
        Ok(key) => Ok(PrivateKeyWithHashAlg::new(Arc::new(key), None)),
        Err(russh::keys::Error::KeyIsEncrypted) => Err(unusable(&encrypted(path))),
        Err(_) => Err(unusable(&not_a_key(path))),
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

fn encrypted(path: &Path) -> String {
    let shown = path.display();
    format!(
        "`{shown}` is protected by a passphrase, which nobody could type; remove it with `ssh-keygen -p -f {shown}`"
    )
}

fn not_a_key(path: &Path) -> String {
    let shown = path.display();
    format!("`{shown}` is not a private SSH key; make one with `ssh-keygen -t ed25519 -f {shown}`")
}

fn unusable(detail: &str) -> Fault<UnreachableKind> {
    Fault::new(UnreachableKind::Key, detail)
}
