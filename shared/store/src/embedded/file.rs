//! The data file: one process at a time, and only files that are ours.

use std::ffi::OsString;
use std::fs::{File, OpenOptions};
use std::path::{Path, PathBuf};

use rusqlite::{Connection, OpenFlags};
use rustix::fs::{FlockOperation, flock};
use rustix::io::Errno;

use crate::OpenError;

/// The lock beside a data file. It ends with the process, however that ends.
#[derive(Debug)]
pub(crate) struct Lock {
    _file: File,
}

impl Lock {
    /// Takes the lock of the data file `path`, without waiting.
    pub(crate) fn take(path: &Path) -> Result<Lock, OpenError> {
        let (place, beside) = (path.display().to_string(), beside(path));
        let mut options = OpenOptions::new();
        options.read(true).write(true).create(true).truncate(false);
        let file =
            options.open(&beside).map_err(|source| OpenError::File { place: place.clone(), source })?;
        match flock(&file, FlockOperation::NonBlockingLockExclusive) {
            Ok(()) => Ok(Lock { _file: file }),
            Err(Errno::WOULDBLOCK) => Err(OpenError::InUse { place }),
            Err(errno) => Err(OpenError::File { place, source: errno.into() }),
        }
    }
}

/// A file of its own, since the engine locks and replaces parts of the data file as it likes.
fn beside(path: &Path) -> PathBuf {
    let mut name = OsString::from(path);
    name.push(".lock");
    PathBuf::from(name)
}

/// The tables every file of the embedded engine has.
const ENGINE_TABLES: [&str; 2] = ["_config", "_tables"];

/// Refuses a file of something else, without writing to it: the engine would make itself at home in any SQLite file.
pub(crate) fn refuse_foreign(path: &Path) -> Result<(), OpenError> {
    let place = path.display().to_string();
    match std::fs::metadata(path) {
        Ok(about) if about.len() > 0 => {}
        Ok(_) => return Ok(()),
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(()),
        Err(source) => return Err(OpenError::File { place, source }),
    }
    let not_ours = |because: &str| OpenError::NotOurs { place: place.clone(), because: because.to_owned() };
    let tables = tables(path).map_err(|_| not_ours("it is not a database"))?;
    // A file without any table is what a process leaves that died while creating it.
    if tables.is_empty() || ENGINE_TABLES.iter().all(|name| tables.iter().any(|table| table == name)) {
        Ok(())
    } else {
        Err(not_ours("it is a database of another program"))
    }
}

fn tables(path: &Path) -> rusqlite::Result<Vec<String>> {
    let connection = Connection::open_with_flags(path, OpenFlags::SQLITE_OPEN_READ_ONLY)?;
    let mut names = connection.prepare("SELECT name FROM sqlite_master WHERE type = 'table'")?;
    let names = names.query_map([], |row| row.get(0))?;
    names.collect()
}
