//! The pretend app's repository: a real one, made with the machine's own `git`. Its releases say how they behave.
//!
//! A release holds `unit`, which says what the pretend systemd makes of it, and `install.sh`, which hosts really run.

use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::Duration;

use anyhow::{Context as _, bail};
use lamplighter_core::Version;
use tokio::io::AsyncWriteExt as _;
use tokio::process::Command;

use super::systemd::Nature;

/// The branch that the services follow.
pub const MAIN: &str = "main";
/// The branch whose head cannot be installed on the host whose disk is full.
pub const FLAWED: &str = "flawed";
/// The branch whose head does not start anywhere.
pub const BROKEN: &str = "broken";
/// Beside the checkouts of a host whose disk is full.
pub(super) const FULL_DISK: &str = "disk-is-full";
/// The file that says how a release behaves.
const UNIT_FILE: &str = "unit";
/// Largest file of that kind that is read.
const MAX_UNIT_BYTES: u64 = 1_024;
/// Longest any call of git here may take.
const GIT_LIMIT: Duration = Duration::from_secs(20);
/// The first releases are always the same bytes, hash included, so that whoever follows a description sees what it says:
/// 2026-01-01T00:00:00Z.
const FIRST_COMMIT_SECS: u64 = 1_767_225_600;

/// One version of the pretend app.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Release {
    /// It works.
    Good,
    /// It needs more room than one host has: its install fails there.
    NeedsRoom,
    /// Its process ends as soon as it is started.
    DoesNotStart,
}

impl Release {
    fn unit(self) -> &'static str {
        match self {
            Release::Good | Release::NeedsRoom => "sound\n",
            Release::DoesNotStart => "refuses\nerror: cannot find module './checkout'\n",
        }
    }

    fn install(self) -> &'static str {
        match self {
            Release::Good | Release::DoesNotStart => "#!/bin/sh\nsleep 0.5\necho installed\n",
            Release::NeedsRoom => {
                "#!/bin/sh\nsleep 0.5\n\
                 if [ -e ../disk-is-full ]; then echo 'error: write node_modules: No space left on device' >&2; exit 1; fi\n\
                 echo installed\n"
            }
        }
    }
}

/// The repository that the demo's hosts fetch from.
#[derive(Debug)]
pub struct Releases {
    origin: PathBuf,
}

impl Releases {
    /// Makes it anew in `folder`, with a first release on [`MAIN`]. `None` if this machine has no git.
    ///
    /// # Errors
    /// If the folder cannot be written to, or git fails.
    pub async fn begin(folder: &Path) -> anyhow::Result<Option<Releases>> {
        if git(&["--version"], None).await.is_err() {
            return Ok(None);
        }
        let origin = folder.join("shop.git");
        if origin.exists() {
            std::fs::remove_dir_all(&origin).context("removing the repository of an earlier demo")?;
        }
        let path = origin.to_str().context("the folder's name is not text")?;
        git(&["init", "--quiet", "--bare", "--initial-branch", MAIN, path], None).await?;
        // As every large git host does: a commit can be fetched by its hash, whatever branch it is on.
        git(&["--git-dir", path, "config", "uploadpack.allowAnySHA1InWant", "true"], None).await?;
        let releases = Releases { origin };
        releases.commit(MAIN, None, "First release", Release::Good, FIRST_COMMIT_SECS).await?;
        Ok(Some(releases))
    }

    /// Commits what the demo begins with, besides what its hosts run: a good head of [`MAIN`], and two branches that show
    /// what becomes of bad ones.
    pub(super) async fn push_the_first(&self) -> anyhow::Result<()> {
        let at = FIRST_COMMIT_SECS + 3_600;
        self.commit(MAIN, Some(MAIN), "Faster checkout", Release::Good, at).await?;
        self.commit(FLAWED, Some(MAIN), "Bundle all fonts", Release::NeedsRoom, at + 60).await?;
        self.commit(BROKEN, Some(MAIN), "Rename a module", Release::DoesNotStart, at + 120).await?;
        Ok(())
    }

    /// Pushes a release to [`MAIN`]; answers its version.
    ///
    /// # Errors
    /// If git fails.
    pub async fn push(&self, title: &str, release: Release) -> anyhow::Result<Version> {
        let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH)?;
        self.commit(MAIN, Some(MAIN), title, release, now.as_secs()).await
    }

    /// Makes a host's checkout of [`MAIN`] as it is now.
    pub(super) async fn clone_to(&self, dir: &Path) -> anyhow::Result<()> {
        let (origin, dir) = (self.path()?, dir.to_str().context("the folder's name is not text")?);
        git(&["clone", "--quiet", "--branch", MAIN, origin, dir], None).await.map(drop)
    }

    async fn commit(
        &self,
        branch: &str,
        from: Option<&str>,
        title: &str,
        release: Release,
        at_secs: u64,
    ) -> anyhow::Result<Version> {
        let mut stream = format!(
            "commit refs/heads/{branch}\ncommitter The demo <demo@example.com> {at_secs} +0000\n{}",
            data(title)
        );
        if let Some(from) = from {
            stream.push_str(&format!("from refs/heads/{from}^0\n"));
        }
        stream.push_str(&format!("M 100644 inline {UNIT_FILE}\n{}", data(release.unit())));
        stream.push_str(&format!("M 100755 inline install.sh\n{}\n", data(release.install())));
        let dir = ["--git-dir", self.path()?];
        git(&[&dir[..], &["fast-import", "--quiet"]].concat(), Some(&stream)).await?;
        let head = git(&[&dir[..], &["rev-parse", &format!("refs/heads/{branch}")]].concat(), None).await?;
        Ok(head.trim().parse()?)
    }

    fn path(&self) -> anyhow::Result<&str> {
        self.origin.to_str().context("the folder's name is not text")
    }
}

/// How the release checked out in `dir` behaves, and what it says if it does not start. A checkout that cannot be read does
/// not start.
pub(super) fn behaviour(dir: &Path) -> (Nature, String) {
    use std::io::Read as _;
    let mut text = String::new();
    let read = std::fs::File::open(dir.join(UNIT_FILE))
        .and_then(|file| file.take(MAX_UNIT_BYTES).read_to_string(&mut text));
    let mut lines = text.lines();
    match (read, lines.next()) {
        (Ok(_), Some("sound")) => (Nature::Sound, String::new()),
        (Ok(_), Some(_) | None) => {
            (Nature::RefusesToStart, lines.next().unwrap_or("error: nothing to start").to_owned())
        }
        (Err(error), _) => (Nature::RefusesToStart, format!("error: cannot read the release: {error}")),
    }
}

/// A block of data as `git fast-import` reads it.
fn data(text: &str) -> String {
    format!("data {}\n{text}\n", text.len())
}

/// Runs git apart from anybody's configuration; answers what it printed.
async fn git(words: &[&str], input: Option<&str>) -> anyhow::Result<String> {
    let mut child = Command::new("git")
        .args(words)
        .env_clear()
        .env("PATH", std::env::var_os("PATH").unwrap_or_default())
        .env("GIT_CONFIG_GLOBAL", "/dev/null")
        .env("GIT_CONFIG_NOSYSTEM", "1")
        .stdin(if input.is_some() { Stdio::piped() } else { Stdio::null() })
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .kill_on_drop(true)
        .spawn()
        .context("starting git")?;
    if let (Some(input), Some(mut stdin)) = (input, child.stdin.take()) {
        stdin.write_all(input.as_bytes()).await.context("telling git")?;
    }
    let ended =
        tokio::time::timeout(GIT_LIMIT, child.wait_with_output()).await.context("waiting for git")??;
    if !ended.status.success() {
        let verb = words.iter().find(|word| !word.starts_with('-') && !word.contains('/')).unwrap_or(&"");
        bail!(
            "git {verb}: {}",
            lamplighter_core::sight::one_line(&String::from_utf8_lossy(&ended.stderr), 300)
        );
    }
    Ok(String::from_utf8_lossy(&ended.stdout).into_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn the_first_releases_are_always_the_same_and_behave_as_they_say() {
        let folders = [tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap()];
        let mut heads = Vec::new();
        for folder in &folders {
            let releases = Releases::begin(folder.path()).await.unwrap().expect("git is here");
            let dir = folder.path().join("host/shop");
            releases.clone_to(&dir).await.unwrap();
            assert_eq!(behaviour(&dir).0, Nature::Sound);
            releases.push_the_first().await.unwrap();
            let path = dir.to_str().unwrap();
            git(&["-C", path, "fetch", "--quiet"], None).await.unwrap();
            git(&["-C", path, "checkout", "--quiet", &format!("origin/{BROKEN}")], None).await.unwrap();
            let (nature, last_words) = behaviour(&dir);
            assert_eq!(
                (nature, last_words.as_str()),
                (Nature::RefusesToStart, "error: cannot find module './checkout'")
            );
            heads.push(git(&["-C", path, "rev-parse", "HEAD"], None).await.unwrap());
        }
        assert_eq!(heads[0], heads[1]);
        assert_eq!(behaviour(Path::new("/nowhere")).0, Nature::RefusesToStart);
    }

    #[tokio::test]
    async fn a_push_is_the_new_head_of_main() {
        let folder = tempfile::tempdir().unwrap();
        let releases = Releases::begin(folder.path()).await.unwrap().expect("git is here");
        let first = releases.push("One", Release::Good).await.unwrap();
        let second = releases.push("Two", Release::NeedsRoom).await.unwrap();
        assert_ne!(first, second);
        let head = git(&["--git-dir", releases.path().unwrap(), "rev-parse", MAIN], None).await.unwrap();
        assert_eq!(head.trim(), second.as_str());
        assert!(Release::NeedsRoom.install().contains(FULL_DISK));
    }
}
