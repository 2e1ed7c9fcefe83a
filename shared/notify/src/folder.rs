//! Letters as `.eml` files in a folder, for those who have no mail server (yet).

use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use std::{fs, io};

use lettre::address::Address;
use sha2::{Digest, Sha256};

use crate::letter::{Letter, id};
use crate::mail;
use crate::post::SendError;

/// Longest file name written, in bytes: file systems end at 255, and the temporary name is a little longer.
const MAX_NAME_BYTES: usize = 200;

/// A folder of letters, one file each, that every mail program opens:
/// `20260102T023000Z_prod.vps-001.17.down_ada=40example.com.eml`.
///
/// A letter sent again replaces its own file. Files are readable by their owner only, since they quote journals.
/// Nothing here ever deletes a letter: the folder holds as many as there were transitions, a few KiB each. To keep a
/// month of them, let cron run `find DIR -name '*.eml' -mtime +30 -delete`; any file may be deleted at any time.
#[derive(Debug, Clone)]
pub struct Folder {
    dir: PathBuf,
    from: Address,
}

impl Folder {
    pub(crate) fn new(dir: PathBuf, from: Address) -> Self {
        Self { dir, from }
    }

    /// Where the letters are.
    #[must_use]
    pub fn dir(&self) -> &Path {
        &self.dir
    }

    pub(crate) async fn send(&self, letter: &Letter) -> Result<(), SendError> {
        let message = mail::message(letter, &self.from).map_err(|error| {
            SendError::Refused(format!("`{}` cannot be put on an envelope: {error}", letter.to))
        })?;
        self.write(file_name(letter), message.formatted()).await
    }

    pub(crate) async fn check(&self) -> Result<(), SendError> {
        let name = ".writable".to_owned();
        let path = self.dir.join(&name);
        self.write(name, Vec::new()).await?;
        // Left behind it harms nobody.
        let _ = fs::remove_file(path);
        Ok(())
    }

    async fn write(&self, name: String, bytes: Vec<u8>) -> Result<(), SendError> {
        let dir = self.dir.clone();
        let written = tokio::task::spawn_blocking(move || write_whole(&dir, &name, &bytes)).await;
        let outcome = written.unwrap_or_else(|panic| Err(io::Error::other(panic)));
        outcome.map_err(|error| {
            SendError::Later(format!("the letter folder `{}` cannot be written: {error}", self.dir.display()))
        })
    }
}

/// A name that sorts by time, is the same for the same letter and recipient, and holds nothing a shell minds.
fn file_name(letter: &Letter) -> String {
    let seconds =
        lamplighter_core::Moment::from_millis(letter.at.as_secs().saturating_mul(1_000)).to_string();
    let time: String = seconds.chars().filter(|c| c.is_ascii_alphanumeric()).collect();
    let mut name = format!("{time}_{}_{}", letter.message_id, id(&[letter.to.as_str()]));
    if name.len() > MAX_NAME_BYTES {
        let digest: String = Sha256::digest(&name).iter().take(8).map(|byte| format!("{byte:02x}")).collect();
        name.truncate(MAX_NAME_BYTES - digest.len() - 1);
        name.push('_');
        name.push_str(&digest);
    }
    name.push_str(".eml");
    name
}

/// Writes the file under another name, and gives it its own when it is whole and on the disk.
fn write_whole(dir: &Path, name: &str, bytes: &[u8]) -> io::Result<()> {
    // Two writers of one letter must not share a temporary file.
    static WRITES: AtomicU64 = AtomicU64::new(0);
    let nth = WRITES.fetch_add(1, Ordering::Relaxed);
    fs::create_dir_all(dir)?;
    let temporary = dir.join(format!(".{name}.{}-{nth}.tmp", std::process::id()));
    let outcome = write_and_rename(&temporary, &dir.join(name), bytes);
    if outcome.is_err() {
        // The error that matters is the first one.
        let _ = fs::remove_file(&temporary);
    }
    outcome?;
    // The rename itself must survive a power cut, too: the outbox forgets the letter after this.
    fs::File::open(dir)?.sync_all()
}

fn write_and_rename(temporary: &Path, path: &Path, bytes: &[u8]) -> io::Result<()> {
    let mut options = fs::OpenOptions::new();
    options.write(true).create_new(true);
    #[cfg(unix)]
    {
        use std::os::unix::fs::OpenOptionsExt as _;
        options.mode(0o600);
    }
    let mut file = options.open(temporary)?;
    file.write_all(bytes)?;
    file.sync_all()?;
    fs::rename(temporary, path)
}
