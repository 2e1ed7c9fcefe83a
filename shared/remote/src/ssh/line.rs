//! One command on one channel: sent once, listened to until its end.

use std::sync::Arc;
use std::time::Duration;

use lamplighter_core::sight::{Fault, UnreachableKind};
use russh::client::Msg;
use russh::{Channel, ChannelMsg};
use tokio::sync::OwnedSemaphorePermit;

use super::session::Session;
use crate::deadline::Deadline;
use crate::output::{Ending, Output, Stream, Unheard};

/// After the exit status, how long the end of the output is waited for: a process left behind may hold it open for ever.
const LINGER: Duration = Duration::from_secs(1);

/// An open channel, not yet used. Dropping it closes it on the host too.
pub(crate) struct Line {
    channel: Option<Channel<Msg>>,
    seat: Option<OwnedSemaphorePermit>,
    /// What the channel runs on: it must not be cut while somebody listens.
    session: Option<Arc<Session>>,
}

impl Line {
    /// A channel that was just opened, and the seat it takes.
    pub(super) fn new(channel: Channel<Msg>, seat: OwnedSemaphorePermit) -> Self {
        Self { channel: Some(channel), seat: Some(seat), session: None }
    }

    /// Holds on to the connection until the channel is done with.
    pub(crate) fn keeping(self, session: Arc<Session>) -> Self {
        let mut line = self;
        line.session = Some(session);
        line
    }

    /// Runs one command and listens until it ends, says too much, or the deadline passes.
    pub(crate) async fn run(mut self, command: &str, deadline: Deadline) -> Result<Output, Unheard> {
        let mut heard = Output::default();
        match deadline.bound(self.listen(command, &mut heard)).await {
            Ok(Ok(())) => Ok(heard),
            Ok(Err(None)) => {
                Err(Unheard::NotSent(Fault::new(UnreachableKind::Dropped, "the connection ended")))
            }
            Ok(Err(Some(fault))) => Err(Unheard::Sent { fault, heard }),
            Err(_) => {
                let fault = Fault::new(UnreachableKind::TimedOut, "the command did not end in time");
                Err(Unheard::Sent { fault, heard })
            }
        }
    }

    /// `Err(None)` if the request was never handed to the connection.
    async fn listen(
        &mut self,
        command: &str,
        heard: &mut Output,
    ) -> Result<(), Option<Fault<UnreachableKind>>> {
        let Some(channel) = self.channel.as_mut() else { return Err(None) };
        channel.exec(true, command).await.map_err(|_| None)?;
        let mut is_ended = false;
        loop {
            let message = match is_ended {
                false => channel.wait().await,
                // The verdict is there; only stragglers are waited for.
                true => match Deadline::after(LINGER).bound(channel.wait()).await {
                    Ok(message) => message,
                    Err(_) => return Ok(()),
                },
            };
            let Some(message) = message else {
                // The channel went away without being closed: the connection broke.
                return if is_ended {
                    Ok(())
                } else {
                    Err(Some(Fault::new(
                        UnreachableKind::Dropped,
                        "the connection broke while the command ran",
                    )))
                };
            };
            match take_in(message, heard) {
                Then::Listen => is_ended = heard.ending != Ending::Unsaid,
                Then::Conclude => return Ok(()),
                Then::Closed => {
                    self.channel = None;
                    return Ok(());
                }
            }
        }
    }
}

/// What follows on a message of a channel.
enum Then {
    /// There may be more.
    Listen,
    /// There is nothing more to learn.
    Conclude,
    /// The host has closed the channel.
    Closed,
}

#[expect(clippy::wildcard_enum_match_arm, reason = "the library's own enum: most of it a server never sends")]
fn take_in(message: ChannelMsg, heard: &mut Output) -> Then {
    let is_kept = match message {
        ChannelMsg::Data { data } => heard.keep(Stream::Stdout, &data),
        ChannelMsg::ExtendedData { data, .. } => heard.keep(Stream::Stderr, &data),
        ChannelMsg::ExitStatus { exit_status } => {
            heard.end(Ending::Status(exit_status));
            true
        }
        ChannelMsg::ExitSignal { signal_name, .. } => {
            heard.end(Ending::Signal(format!("{signal_name:?}")));
            true
        }
        ChannelMsg::Failure => {
            heard.end(Ending::Refused);
            return Then::Conclude;
        }
        ChannelMsg::Close => return Then::Closed,
        _ => true,
    };
    if is_kept {
        return Then::Listen;
    }
    heard.ending = Ending::TooMuch;
    Then::Conclude
}

impl Drop for Line {
    fn drop(&mut self) {
        let (Some(channel), seat, session) = (self.channel.take(), self.seat.take(), self.session.take())
        else {
            return;
        };
        // Nobody else uses the connection and nobody keeps it: dropping it closes the channel with everything else, and
        // leaves no task behind that a stalled host could keep.
        if session.as_ref().is_some_and(|session| Arc::strong_count(session) == 1) {
            return;
        }
        let Ok(runtime) = tokio::runtime::Handle::try_current() else { return };
        // The seat is free again once the close is on its way: a host that is not told would run out of sessions.
        runtime.spawn(async move {
            let _ = Deadline::after(LINGER).bound(channel.close()).await;
            drop((seat, session));
        });
    }
}
