//! Commands as processes of this machine, with the same limits as on a host.

use std::process::Stdio;
use std::time::Duration;

use lamplighter_core::sight::{Fault, UnreachableKind};
use rustix::process::{Pid, Signal, kill_process_group};
use tokio::io::{AsyncRead, AsyncReadExt as _};
use tokio::process::{Child, Command};

use crate::deadline::Deadline;
use crate::output::{Ending, Output, Stream, Unheard};

/// After the command ended, how long the end of its output is waited for: a process left behind may hold it open.
const LINGER: Duration = Duration::from_secs(1);
/// Output is read in pieces of so many bytes.
const PIECE_BYTES: usize = 4 * 1024;

/// What happens to a command that nobody listens to any more: the deadline passed, or the caller went away.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Unwatched {
    /// It is killed with its children.
    Killed,
    /// It goes on: it holds the host's lock, and has a limit of its own.
    GoesOn,
}

/// Runs one command by `sh -c`.
pub(crate) async fn run(command: &str, deadline: Deadline, unwatched: Unwatched) -> Result<Output, Unheard> {
    let started = Command::new("sh")
        .arg("-c")
        .arg(command)
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .process_group(0)
        .kill_on_drop(unwatched == Unwatched::Killed)
        .spawn();
    let child = started.map_err(|error| {
        let detail = format!("`sh` could not be started: {}", crate::ssh::said_by_system(&error));
        Unheard::NotSent(Fault::new(UnreachableKind::Connect, &detail))
    })?;
    let is_killed = unwatched == Unwatched::Killed;
    let mut family = Family {
        pid: child.id().filter(|_| is_killed).and_then(|id| Pid::from_raw(i32::try_from(id).ok()?)),
        child,
    };
    let mut heard = Output::default();
    match deadline.bound(listen(&mut family, &mut heard)).await {
        Ok(Ok(())) => Ok(heard),
        Ok(Err(error)) => {
            let fault = Fault::new(UnreachableKind::NoVerdict, &crate::ssh::said_by_system(&error));
            Err(Unheard::Sent { fault, heard })
        }
        Err(_) => {
            let fault = Fault::new(UnreachableKind::TimedOut, "the command did not end in time");
            Err(Unheard::Sent { fault, heard })
        }
    }
}

/// A child and whatever it started. Unless it may go on, killed as a whole when dropped before its end was seen.
struct Family {
    child: Child,
    pid: Option<Pid>,
}

impl Drop for Family {
    fn drop(&mut self) {
        if let Some(pid) = self.pid {
            let _ = kill_process_group(pid, Signal::KILL);
        }
    }
}

async fn listen(family: &mut Family, heard: &mut Output) -> std::io::Result<()> {
    let (Some(mut stdout), Some(mut stderr)) = (family.child.stdout.take(), family.child.stderr.take())
    else {
        return Err(std::io::Error::other("its output could not be read"));
    };
    let (mut out, mut err) = (vec![0; PIECE_BYTES], vec![0; PIECE_BYTES]);
    let (mut out_open, mut err_open) = (true, true);
    let mut linger: Option<Deadline> = None;
    while out_open || err_open || linger.is_none() {
        let lingering = async {
            match linger {
                Some(linger) => tokio::time::sleep(linger.left()).await,
                None => std::future::pending().await,
            }
        };
        let piece = tokio::select! {
            read = piece(&mut stdout, &mut out), if out_open => (Stream::Stdout, read?),
            read = piece(&mut stderr, &mut err), if err_open => (Stream::Stderr, read?),
            ended = family.child.wait(), if linger.is_none() => {
                heard.end(ending(ended?));
                // Its children, if any, are daemons it meant to leave behind.
                family.pid = None;
                linger = Some(Deadline::after(LINGER));
                continue;
            }
            () = lingering => break,
        };
        match piece {
            (Stream::Stdout, 0) => out_open = false,
            (Stream::Stderr, 0) => err_open = false,
            (stream, read) => {
                let bytes = if stream == Stream::Stdout { &out[..read] } else { &err[..read] };
                if !heard.keep(stream, bytes) {
                    heard.ending = Ending::TooMuch;
                    break;
                }
            }
        }
    }
    Ok(())
}

async fn piece(from: &mut (impl AsyncRead + Unpin), into: &mut [u8]) -> std::io::Result<usize> {
    from.read(into).await
}

fn ending(status: std::process::ExitStatus) -> Ending {
    use std::os::unix::process::ExitStatusExt as _;
    match (status.code(), status.signal()) {
        (Some(code), _) => Ending::Status(u32::try_from(code).unwrap_or(u32::MAX)),
        (None, Some(signal)) => Ending::Signal(signal.to_string()),
        (None, None) => Ending::Unsaid,
    }
}
