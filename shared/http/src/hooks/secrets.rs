//! The secrets that calls of hooks are proved by: read where they lie, at each call or, from a vault, every few minutes, so
//! that a rotation needs no restart.

use std::collections::BTreeSet;
use std::fmt;
use std::io::Read as _;
use std::path::{Path, PathBuf};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use futures_util::future::join_all;
use lamplighter_core::hook::{Hook, HookKind};
use lamplighter_core::spec::KeyRef;
use zeroize::Zeroizing;

use super::vault::Vault;

/// What a secret of Standard Webhooks begins with.
const STANDARD_PREFIX: &str = "whsec_";
/// How many bytes such a secret has.
const STANDARD_BYTES: std::ops::RangeInclusive<usize> = 24..=64;
/// Shortest other secret, in bytes: what is shorter can be guessed from one signed call.
const LEAST_BYTES: usize = 16;
/// Longest file of a secret, in bytes.
const FILE_BYTES_MAX: u64 = 4_096;

/// A key that signatures are checked with. Shown by nothing, and wiped from memory.
#[derive(Clone)]
pub struct HookKey(Zeroizing<Vec<u8>>);

impl fmt::Debug for HookKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("HookKey(…)")
    }
}

impl HookKey {
    /// Reads a secret as its file holds it.
    ///
    /// # Errors
    /// What is wrong with it and what to do, without showing it.
    pub fn read(kind: HookKind, text: &str) -> Result<HookKey, &'static str> {
        let text = text.trim_end_matches(['\r', '\n']);
        match kind {
            HookKind::Github if text.len() < LEAST_BYTES => {
                Err("it is too short to be a secret; make one with `openssl rand -hex 32`")
            }
            HookKind::Github => Ok(HookKey(Zeroizing::new(text.as_bytes().to_vec()))),
            HookKind::Standard => {
                let what = "it is no secret of Standard Webhooks; write `whsec_` and 24 to 64 bytes in base64, such as \
                            `echo whsec_$(openssl rand -base64 32)` makes";
                let encoded = text.strip_prefix(STANDARD_PREFIX).ok_or(what)?;
                let bytes = Zeroizing::new(STANDARD.decode(encoded).map_err(|_| what)?);
                if STANDARD_BYTES.contains(&bytes.len()) { Ok(HookKey(bytes)) } else { Err(what) }
            }
        }
    }

    /// A key that nobody has.
    pub(crate) fn of_nobody() -> HookKey {
        HookKey(Zeroizing::new(rand::random::<[u8; 32]>().to_vec()))
    }

    pub(super) fn expose(&self) -> &[u8] {
        &self.0
    }
}

/// Where secrets lie.
#[derive(Debug, Clone, Default)]
pub(crate) struct Secrets {
    /// What `file:` paths are relative to.
    pub(crate) base_dir: PathBuf,
    /// Where those lie that are written as `ssm:/PARAMETER`, if this home has such a place.
    pub(crate) vault: Option<Vault>,
}

impl Secrets {
    /// The keys at these places that can be read, and why the others cannot.
    pub(crate) async fn read(&self, kind: HookKind, places: Vec<KeyRef>) -> (Vec<HookKey>, Vec<String>) {
        let (mut here, mut in_vault) = (Vec::new(), Vec::new());
        for place in places {
            match (place, &self.vault) {
                (KeyRef::Ssm(name), Some(vault)) => in_vault.push(key_in(vault, kind, &name).await),
                (place, _) => here.push(place),
            }
        }
        let base_dir = self.base_dir.clone();
        let read = tokio::task::spawn_blocking(move || {
            here.iter().map(|place| key_at(&base_dir, kind, place)).collect::<Vec<_>>()
        });
        let (mut keys, mut problems) = (Vec::new(), Vec::new());
        for one in read.await.unwrap_or_default().into_iter().chain(in_vault) {
            match one {
                Ok(key) => keys.push(key),
                Err(problem) => problems.push(problem),
            }
        }
        (keys, problems)
    }

    /// Reads from the vault whatever these hooks need and is not remembered. Done for all hooks of an env whichever of
    /// them is called, so that the time an answer takes does not tell which there are.
    pub(crate) async fn warm(&self, hooks: impl Iterator<Item = &Hook>) {
        let Some(vault) = &self.vault else { return };
        let names: BTreeSet<&str> =
            hooks.flat_map(|hook| hook.secret.iter().filter_map(name_in_vault)).collect();
        join_all(names.into_iter().map(|name| vault.text(name))).await;
    }
}

fn name_in_vault(place: &KeyRef) -> Option<&str> {
    match place {
        KeyRef::Ssm(name) => Some(name),
        KeyRef::File(_) | KeyRef::Sealed(_) => None,
    }
}

async fn key_in(vault: &Vault, kind: HookKind, name: &str) -> Result<HookKey, String> {
    let text = vault.text(name).await.map_err(|what| format!("`ssm:{name}` {what}"))?;
    HookKey::read(kind, &text).map_err(|what| format!("`ssm:{name}`: {what}"))
}

fn key_at(base_dir: &Path, kind: HookKind, place: &KeyRef) -> Result<HookKey, String> {
    match place {
        KeyRef::File(path) => {
            let path = base_dir.join(path);
            let text = private_text(&path).map_err(|what| format!("`{}` {what}", path.display()))?;
            HookKey::read(kind, &text).map_err(|what| format!("`{}`: {what}", path.display()))
        }
        KeyRef::Ssm(name) => Err(format!("`ssm:{name}` can only be read on AWS; use `file:` here")),
        KeyRef::Sealed(name) => Err(format!("`sealed:{name}` cannot be read yet; use `file:` here")),
    }
}

/// The text of a file that is nobody else's business.
fn private_text(path: &Path) -> Result<Zeroizing<String>, String> {
    let file = std::fs::File::open(path).map_err(|error| format!("cannot be opened: {error}"))?;
    let meta = file.metadata().map_err(|error| format!("cannot be looked at: {error}"))?;
    if !meta.is_file() || meta.len() > FILE_BYTES_MAX {
        return Err("is no file that a secret alone is in".to_owned());
    }
    #[cfg(unix)]
    {
        use std::os::unix::fs::MetadataExt as _;
        if meta.mode() & 0o077 != 0 {
            return Err("can be read by others; run `chmod 600` on it".to_owned());
        }
    }
    let mut text = Zeroizing::new(String::new());
    file.take(FILE_BYTES_MAX).read_to_string(&mut text).map_err(|_| "is not text".to_owned())?;
    Ok(text)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_secret_is_read_or_refused_without_showing_it() {
        assert!(HookKey::read(HookKind::Github, "0123456789abcdef\n").is_ok());
        assert!(HookKey::read(HookKind::Standard, "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw\n").is_ok());
        for (kind, bad) in [
            (HookKind::Github, ""),
            (HookKind::Github, "hunter2"),
            (HookKind::Standard, "MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"),
            (HookKind::Standard, "whsec_"),
            (HookKind::Standard, "whsec_aHVudGVyMg=="),
            (HookKind::Standard, "whsec_hunter2!"),
        ] {
            let problem = HookKey::read(kind, bad).unwrap_err();
            assert!(!problem.contains("hunter2"));
        }
        let shown = format!("{:?}", HookKey::read(HookKind::Github, "0123456789abcdef").unwrap());
        assert!(!shown.contains("0123") && !shown.contains("48"), "{shown}");
    }

    #[cfg(unix)]
    #[tokio::test]
    async fn a_file_that_others_may_read_is_no_secret() {
        use std::os::unix::fs::PermissionsExt as _;
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("secret");
        std::fs::write(&path, "0123456789abcdef").unwrap();
        let places = ["secret", "missing"].map(|name| KeyRef::File(name.to_owned())).to_vec();
        let secrets = Secrets { base_dir: dir.path().to_owned(), vault: None };
        let set = |mode| std::fs::set_permissions(&path, std::fs::Permissions::from_mode(mode)).unwrap();
        set(0o644);
        let (keys, problems) = secrets.read(HookKind::Github, places.clone()).await;
        assert!(keys.is_empty() && problems[0].contains("chmod 600"), "{problems:?}");
        set(0o600);
        let (keys, problems) = secrets.read(HookKind::Github, places.clone()).await;
        assert_eq!((keys.len(), problems.len()), (1, 1), "{problems:?}");
    }
}
