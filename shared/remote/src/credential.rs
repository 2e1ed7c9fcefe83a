//! Private SSH keys: read once per version of their file, or once an hour from a vault; refused if others could read
//! them, wiped when dropped.

mod text;
mod vault;

use std::collections::HashMap;
use std::fs::File;
use std::io::Read as _;
use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _};
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};

use lamplighter_core::sight::{Fault, UnreachableKind};
use lamplighter_core::spec::KeyRef;
use russh::keys::PrivateKeyWithHashAlg;
use zeroize::Zeroizing;

use text::{MAX_KEY_BYTES, Place, not_a_key, parse, too_large};
pub use vault::Vault;
use vault::VaultKeys;

/// Any of these permission bits lets somebody else read or replace the key.
const OTHERS_MASK: u32 = 0o077;
/// Most keys kept: a fleet has a handful.
const MAX_REMEMBERED: usize = 4_096;

/// The private keys that were read. Its `Debug` shows none.
pub(crate) struct Credentials {
    base_dir: PathBuf,
    known: Mutex<HashMap<PathBuf, Known>>,
    in_vault: Option<VaultKeys>,
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
    pub(crate) fn new(base_dir: PathBuf, vault: Option<Vault>) -> Self {
        Self { base_dir, known: Mutex::default(), in_vault: vault.map(VaultKeys::new) }
    }

    /// The private key that `place` names.
    pub(crate) async fn load(&self, place: &KeyRef) -> Result<PrivateKeyWithHashAlg, Fault<UnreachableKind>> {
        match place {
            KeyRef::File(path) => self.load_file(&self.base_dir.join(path)),
            KeyRef::Ssm(name) => match &self.in_vault {
                Some(vault) => vault.load(name).await,
                None => Err(unusable(&format!("`ssm:{name}` cannot be read in this home; use `file:PATH`"))),
            },
            KeyRef::Sealed(name) => {
                Err(unusable(&format!("`sealed:{name}` cannot be read in this home; use `file:PATH`")))
            }
        }
    }

    /// Hears that a host refused the key that `place` names: it may have been replaced where it lies.
    pub(crate) fn doubt(&self, place: &KeyRef) {
        match place {
            KeyRef::Ssm(name) => {
                if let Some(vault) = &self.in_vault {
                    vault.doubt(name);
                }
            }
            // A file is looked at before every use.
            KeyRef::File(_) | KeyRef::Sealed(_) => {}
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
        let most = u64::try_from(MAX_KEY_BYTES).unwrap_or(u64::MAX);
        if metadata.len() > most {
            return Err(unusable(&too_large(Place::File(path))));
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
        // Room for all of it at once: a buffer that grows leaves copies of the key behind.
        let mut text = Zeroizing::new(String::with_capacity(MAX_KEY_BYTES));
        file.by_ref()
            .take(most)
            .read_to_string(&mut text)
            .map_err(|_| unusable(&not_a_key(Place::File(path))))?;
        let key = parse(Place::File(path), &text).map_err(|what| unusable(&what))?;
        if known.len() >= MAX_REMEMBERED {
            known.clear();
        }
        known.insert(path.to_owned(), Known { version, key: key.clone() });
        Ok(key)
    }
}

fn unusable(detail: &str) -> Fault<UnreachableKind> {
    Fault::new(UnreachableKind::Key, detail)
}
