//! Runs commands with the machine's real `sh`, in a home of their own, with `systemctl`, `journalctl`, `sudo` and
//! `docker` replaced by scripts that ask this process. So a restart's guard runs for real: its lock, its files, its clock.

use std::fs::Permissions;
use std::io;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::unix::pipe;
use tokio_util::sync::CancellationToken;

use super::systemd::{Answer, Systemd};

/// Most bytes kept of what a command prints: four times what a client of ours reads.
const MAX_OUTPUT_BYTES: u64 = 256 * 1024;
/// Longest any command may run: above every restart limit a demo would set.
const COMMAND_LIMIT: Duration = Duration::from_secs(120);
/// Most commands at once; more wait their turn.
const MAX_COMMANDS: usize = 32;
/// Longest request a script may send: below `PIPE_BUF`, so that requests never mix.
const MAX_REQUEST_BYTES: usize = 4_096;

/// Begins and ends the parts of a request; neither occurs in a command we know.
const UNIT_SEPARATOR: char = '\u{1f}';
const RECORD_SEPARATOR: u8 = 0x1e;

/// One host's home directory and its scripts. Dropping it removes both and ends what still runs.
pub(super) struct Sandbox {
    home: tempfile::TempDir,
    path: String,
    /// What `/srv` stands for on this host.
    srv: PathBuf,
    turns: tokio::sync::Semaphore,
    stopping: CancellationToken,
}

/// How a command ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Ended {
    /// By itself.
    With(Answer),
    /// By a signal, or at the limit.
    Killed,
}

impl Sandbox {
    /// Makes the home and its scripts, and answers them from `systemd` until dropped. `/srv` stands for `srv`, or for a
    /// folder of the home.
    pub(super) fn start(
        systemd: Systemd,
        srv: Option<PathBuf>,
        stopping: CancellationToken,
    ) -> io::Result<Self> {
        let home = tempfile::Builder::new().prefix("lamplighter-demo-").tempdir()?;
        for folder in ["bin", "answers", "tmp", "run", "srv"] {
            std::fs::create_dir(home.path().join(folder))?;
        }
        for program in ["systemctl", "journalctl", "docker"] {
            write_script(&home.path().join("bin").join(program), &asking_script(home.path(), program))?;
        }
        write_script(&home.path().join("bin/sudo"), SUDO)?;
        let requests = home.path().join("requests");
        make_pipe(&requests)?;
        // A writer of our own keeps the pipe open between two requests.
        let receiver = pipe::OpenOptions::new().open_receiver(&requests)?;
        let keeper = pipe::OpenOptions::new().open_sender(&requests)?;
        tokio::spawn(answer_requests(
            receiver,
            keeper,
            systemd,
            home.path().join("answers"),
            stopping.clone(),
        ));
        let path = format!(
            "{}:{}",
            home.path().join("bin").display(),
            std::env::var("PATH").unwrap_or_else(|_| "/usr/bin:/bin".to_owned())
        );
        let srv = srv.unwrap_or_else(|| home.path().join("srv"));
        Ok(Self { home, path, srv, turns: tokio::sync::Semaphore::new(MAX_COMMANDS), stopping })
    }

    /// Runs `line` as a login on this host would.
    pub(super) async fn run(&self, line: &str) -> Ended {
        let Ok(_turn) = self.turns.acquire().await else { return Ended::Killed };
        let home = self.home.path();
        let child = tokio::process::Command::new("sh")
            .arg("-c")
            .arg(self.moved_in(line))
            .current_dir(home)
            .env_clear()
            .env("PATH", &self.path)
            .env("HOME", home)
            .env("TMPDIR", home.join("tmp"))
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .process_group(0)
            .kill_on_drop(true)
            .spawn();
        let Ok(mut child) = child else {
            return Ended::With(Answer::refused("the demo host could not start `sh`\n".to_owned(), 127));
        };
        let group =
            Group(child.id().and_then(|id| i32::try_from(id).ok()).and_then(rustix::process::Pid::from_raw));
        let (stdout, stderr) = (child.stdout.take(), child.stderr.take());
        let ended = tokio::select! {
            () = self.stopping.cancelled() => None,
            ended = tokio::time::timeout(COMMAND_LIMIT, async { tokio::join!(read(stdout), read(stderr), child.wait()) }) => ended.ok(),
        };
        drop(group);
        match ended {
            Some((stdout, stderr, Ok(status))) => {
                match status.code().and_then(|code| u8::try_from(code).ok()) {
                    Some(status) => Ended::With(Answer { stdout, stderr, status }),
                    None => Ended::Killed,
                }
            }
            Some((_, _, Err(_))) | None => Ended::Killed,
        }
    }

    /// Removes the home now, although a connection that is just ending may still know of it.
    pub(super) fn remove(&self) {
        // What cannot be removed now is tried again when the sandbox is dropped.
        let _ = std::fs::remove_dir_all(self.home.path());
    }

    /// The whole machine's lock folders and `/srv` stand for this host's own: many demo hosts share one machine, and must
    /// share neither a lock nor a checkout.
    fn moved_in(&self, line: &str) -> String {
        let run = self.home.path().join("run").display().to_string();
        let srv = self.srv.display().to_string();
        // What stands for something else may lie below it, so nothing is replaced twice.
        let moves = [("/run/lock", &run), ("/var/lock", &run), ("/var/tmp", &run), ("/srv", &srv)];
        let mut moved = String::with_capacity(line.len());
        let mut rest = line;
        while let Some(next) = rest.chars().next() {
            if let Some((shared, own)) = moves.iter().find(|(shared, _)| rest.starts_with(shared)) {
                moved.push_str(own);
                rest = rest.get(shared.len()..).unwrap_or_default();
            } else {
                moved.push(next);
                rest = rest.get(next.len_utf8()..).unwrap_or_default();
            }
        }
        moved
    }
}

/// Ends a command's whole process group when it goes out of scope.
struct Group(Option<rustix::process::Pid>);

impl Drop for Group {
    fn drop(&mut self) {
        if let Some(leader) = self.0 {
            // The group is usually gone by now, and then there is nothing to end.
            let _ = rustix::process::kill_process_group(leader, rustix::process::Signal::KILL);
        }
    }
}

async fn read(stream: Option<impl AsyncRead + Unpin>) -> String {
    let mut bytes = Vec::new();
    if let Some(stream) = stream {
        // What was read before a failure still counts.
        let _ = stream.take(MAX_OUTPUT_BYTES).read_to_end(&mut bytes).await;
    }
    String::from_utf8_lossy(&bytes).into_owned()
}

async fn answer_requests(
    mut requests: pipe::Receiver,
    keeper: pipe::Sender,
    systemd: Systemd,
    answers: PathBuf,
    stopping: CancellationToken,
) {
    let _keeper = keeper;
    let mut pending = Vec::new();
    loop {
        let mut chunk = [0_u8; MAX_REQUEST_BYTES];
        let read = tokio::select! {
            () = stopping.cancelled() => return,
            read = requests.read(&mut chunk) => read,
        };
        let Ok(count @ 1..) = read else { return };
        pending.extend(chunk.iter().take(count));
        while let Some(end) = pending.iter().position(|byte| *byte == RECORD_SEPARATOR) {
            let record: Vec<u8> = pending.drain(..=end).collect();
            let record = String::from_utf8_lossy(record.get(..end).unwrap_or_default()).into_owned();
            tokio::spawn(answer_one(record, systemd.clone(), answers.clone(), stopping.clone()));
        }
        if pending.len() > MAX_REQUEST_BYTES {
            pending.clear();
        }
    }
}

async fn answer_one(record: String, systemd: Systemd, answers: PathBuf, stopping: CancellationToken) {
    let mut parts = record.trim_end_matches(UNIT_SEPARATOR).split(UNIT_SEPARATOR);
    let Some(asker) = parts.next().filter(|asker| asker.chars().all(|c| c.is_ascii_digit())) else { return };
    let words: Vec<&str> = parts.collect();
    let answer = tokio::select! {
        () = stopping.cancelled() => Answer::refused("the demo host is going down\n".to_owned(), 1),
        answer = systemd.run(&words) => answer.unwrap_or_else(|| {
            Answer::refused(format!("the demo's pretend `{}` does not know this command\n", words.first().unwrap_or(&"?")), 1)
        }),
    };
    let mut text = String::new();
    for (mark, stream) in [('o', &answer.stdout), ('e', &answer.stderr)] {
        text.extend(stream.lines().map(|line| format!("{mark}{line}\n")));
    }
    text += &format!("x{}\n", answer.status);
    // A script that was killed meanwhile no longer reads, and needs no answer.
    if let Ok(mut sender) = pipe::OpenOptions::new().open_sender(answers.join(asker)) {
        let _ = sender.write_all(text.as_bytes()).await;
    }
}

fn asking_script(home: &Path, program: &str) -> String {
    let home = home.display();
    format!(
        r#"#!/bin/sh
# Pretends to be `{program}` on one demo host: asks the demo's process, prints its answer.
answer='{home}/answers/'$$
trap 'rm -f "$answer"' EXIT
trap 'exit 143' TERM INT HUP
mkfifo -m 600 "$answer" || exit 1
exec 3<>"$answer"
request=$(printf '%s\037' "$$" {program} "$@")
printf '%s\036' "$request" >'{home}/requests' || exit 1
while IFS= read -r line <&3; do
  case $line in
    o*) printf '%s\n' "${{line#o}}" ;;
    e*) printf '%s\n' "${{line#e}}" >&2 ;;
    x*) exit "${{line#x}}" ;;
  esac
done
"#
    )
}

/// Lets everything through, as one exact sudoers line per unit would for the commands the demo knows.
const SUDO: &str = r#"#!/bin/sh
# Pretends to be `sudo` on a demo host.
list=
while :; do
  case ${1-} in
    -l) list=yes ;;
    --) shift; break ;;
    -*) ;;
    *) break ;;
  esac
  shift
done
if [ "$list" ]; then
  [ $# -eq 0 ] && { echo '    (root) NOPASSWD: ALL'; exit 0; }
  echo "$*"
  exit 0
fi
exec "$@"
"#;

fn write_script(path: &Path, text: &str) -> io::Result<()> {
    // Written under another name first: a script that is still open for writing cannot be run.
    let draft = path.with_extension("draft");
    std::fs::write(&draft, text)?;
    std::fs::set_permissions(&draft, Permissions::from_mode(0o700))?;
    std::fs::rename(&draft, path)
}

fn make_pipe(path: &Path) -> io::Result<()> {
    let made =
        std::process::Command::new("mkfifo").arg("-m").arg("600").arg(path).stdin(Stdio::null()).status()?;
    if made.success() { Ok(()) } else { Err(io::Error::other("`mkfifo` could not make a named pipe")) }
}

#[cfg(test)]
mod tests;
