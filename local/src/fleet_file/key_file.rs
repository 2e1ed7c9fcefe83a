//! The private keys a file names: they must be there, and be nobody else's business.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use lamplighter_core::spec::{KeyRef, ServiceSpec};

use super::Demand;
use crate::source::{Complaints, Table, Whose, resolve};

/// What is wrong with a file that must be secret, and what to do.
pub(crate) type BadSecret = (String, String);

/// The key files that one configuration file names, each looked at once.
#[derive(Debug)]
pub(crate) struct KeyFiles {
    file: PathBuf,
    /// What of the file may still be missing.
    pub(super) demand: Demand,
    looked_at: BTreeMap<PathBuf, Result<(), BadSecret>>,
}

impl KeyFiles {
    /// For the keys that `file` names.
    pub(super) fn new(file: &Path, demand: Demand) -> Self {
        Self { file: file.to_owned(), demand, looked_at: BTreeMap::new() }
    }

    /// The file that names them.
    pub(super) fn file(&self) -> &Path {
        &self.file
    }

    /// Tells what is wrong with the key file of `spec`, if it names one; true if nothing is.
    pub(crate) fn check(
        &mut self,
        spec: &mut Table<'_>,
        whose: &Whose,
        complaints: &mut Complaints<'_>,
    ) -> bool {
        let Some(value) = spec.get("key") else { return true };
        let Some(written) = value.get_ref().as_str().and_then(|text| text.strip_prefix("file:")) else {
            return true;
        };
        let path = resolve(&self.file, written);
        let verdict = self.looked_at.entry(path).or_insert_with_key(|path| check_secret(path));
        match verdict {
            Ok(()) => true,
            Err((what, hint)) => {
                complaints.add(&value.span(), whose, format!("`key`: {what}"), Some(hint.clone()));
                false
            }
        }
    }

    /// The spec with its paths made absolute.
    pub(crate) fn with_absolute_paths(&self, mut spec: ServiceSpec) -> ServiceSpec {
        let absolute = |written: &str| resolve(&self.file, written).to_string_lossy().into_owned();
        spec.key = spec.key.map(|key| match key {
            KeyRef::File(path) => KeyRef::File(absolute(&path)),
            KeyRef::Ssm(_) | KeyRef::Sealed(_) => key,
        });
        spec.known_hosts = spec.known_hosts.map(|path| absolute(&path));
        spec
    }
}

/// Refuses a secret's file that is missing, no file, or readable by others.
pub(crate) fn check_secret(path: &Path) -> Result<(), BadSecret> {
    let shown = path.display();
    let meta = std::fs::metadata(path).map_err(|error| {
        if error.kind() == std::io::ErrorKind::NotFound {
            (format!("no such file: `{shown}`"), "paths are relative to the file that names them".to_owned())
        } else {
            (format!("`{shown}` cannot be read: {error}"), "check that you may read it".to_owned())
        }
    })?;
    if !meta.is_file() {
        return Err((format!("`{shown}` is not a file"), "name the file that holds the secret".to_owned()));
    }
    if let Some(mode) = open_mode(&meta) {
        let what = format!("`{shown}` can be read by others (mode {mode:04o})");
        return Err((what, format!("run `chmod 600 {shown}`")));
    }
    Ok(())
}

/// The file's mode, if it lets anyone but its owner in.
#[cfg(unix)]
fn open_mode(meta: &std::fs::Metadata) -> Option<u32> {
    use std::os::unix::fs::MetadataExt as _;
    let mode = meta.mode() & 0o7777;
    (mode & 0o077 != 0).then_some(mode)
}

#[cfg(not(unix))]
fn open_mode(_: &std::fs::Metadata) -> Option<u32> {
    None
}
