//! A TOML file as a person wrote it: where each thing stands, and all that is wrong with it, said at once.

mod nearest;
mod problem;
mod section;
mod wording;

use std::path::{Path, PathBuf};

pub(crate) use problem::{Complaints, Whose};
pub use problem::{MAX_PROBLEMS, Problem, Refused};
#[cfg(test)]
pub(crate) use section::keys_of;
pub(crate) use section::{Section, Table, as_tables, bad_keys, read_section};
pub(crate) use wording::{split, unknown_key};

/// Largest file that is read, in bytes: ten thousand services with long keys come to a third of it.
pub const MAX_FILE_BYTES: u64 = 16 * 1024 * 1024;

/// Reads a whole file, up to [`MAX_FILE_BYTES`].
///
/// # Errors
/// That it cannot be read, is too large, or is not text.
pub(crate) fn read(file: &Path) -> Result<String, Refused> {
    let refuse = |what: String, hint: &str| Refused::whole_file(file, what, Some(hint.to_owned()));
    match std::fs::metadata(file) {
        Ok(meta) if meta.is_dir() => {
            return Err(refuse("this is a folder".to_owned(), "name the file inside it"));
        }
        Ok(meta) if meta.len() > MAX_FILE_BYTES => {
            let what = format!("the file is larger than {} MiB", MAX_FILE_BYTES / (1024 * 1024));
            return Err(refuse(
                what,
                "is it the right file? otherwise split it and apply the parts one by one",
            ));
        }
        Ok(_) | Err(_) => {}
    }
    std::fs::read_to_string(file).map_err(|error| {
        if error.kind() == std::io::ErrorKind::NotFound {
            refuse("no such file".to_owned(), "check the path; it is relative to the current folder")
        } else if error.kind() == std::io::ErrorKind::InvalidData {
            refuse("the file is not UTF-8 text".to_owned(), "save it as UTF-8")
        } else {
            refuse(format!("cannot be read: {error}"), "check that you may read it")
        }
    })
}

/// The path that a file means by `written`: `~/…` is the home folder, anything else is relative to the file's folder.
///
/// The result is absolute, so that it means the same file to whoever reads the spec later.
pub(crate) fn resolve(file: &Path, written: &str) -> PathBuf {
    let folder = file.parent().unwrap_or(Path::new(""));
    let path = match (written.strip_prefix("~/"), std::env::home_dir()) {
        (Some(rest), Some(home)) => home.join(rest),
        _ => folder.join(written),
    };
    let path: PathBuf = path.components().filter(|part| *part != std::path::Component::CurDir).collect();
    std::path::absolute(&path).unwrap_or(path)
}
