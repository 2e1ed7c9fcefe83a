//! One SSH connection: made, checked, logged in, and asked for channels.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use lamplighter_core::HostAddress;
use lamplighter_core::name::UserName;
use lamplighter_core::sight::{Fault, UnreachableKind};
use russh::Disconnect;
use russh::client::{self, AuthResult};
use russh::keys::PrivateKeyWithHashAlg;
use russh::keys::ssh_key::public::KeyData;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use super::connect::connect;
use super::fault_of;
use super::gate::{Gate, GateError};
use super::line::Line;
use crate::alive::Alive;
use crate::deadline::Deadline;
use crate::leash::Leash;
use crate::trust::Trust;

/// Channels open at once on one connection: below OpenSSH's `MaxSessions` of 10.
const SEATS: usize = 8;
/// How often a connection that was said goodbye to is looked at.
const GOODBYE_POLL: Duration = Duration::from_millis(5);

/// A connection that is logged in. Dropping it cuts it.
pub(crate) struct Session {
    handle: client::Handle<Gate>,
    seats: Seats,
    leash: Leash,
}

/// The channels that may be open at once on one connection.
struct Seats {
    free: Arc<Semaphore>,
    all: AtomicUsize,
}

impl Seats {
    fn new() -> Self {
        Self { free: Arc::new(Semaphore::new(SEATS)), all: AtomicUsize::new(SEATS) }
    }

    /// True if somebody else sits too, besides the one who asks.
    fn others_are_taken(&self) -> bool {
        self.all.load(Ordering::Relaxed) > self.free.available_permits() + 1
    }

    fn remove(&self, seat: OwnedSemaphorePermit) {
        self.all.fetch_sub(1, Ordering::Relaxed);
        seat.forget();
    }
}

impl Session {
    /// Connects, checks the host's key, logs in. All within `deadline`.
    pub(crate) async fn open(
        address: &HostAddress,
        user: &UserName,
        key: PrivateKeyWithHashAlg,
        trust: Arc<Trust>,
        config: Arc<client::Config>,
        alive: &Alive,
        deadline: Deadline,
    ) -> Result<Session, Fault<UnreachableKind>> {
        let stream = connect(address, deadline).await?;
        let (leash, stream) = Leash::tie(stream, alive.begin());
        let late = |what: &str| Fault::new(UnreachableKind::TimedOut, what);
        let greeting = client::connect_stream(config, stream, Gate::Trusting(trust));
        let mut handle = match deadline.bound(greeting).await {
            Ok(Ok(handle)) => handle,
            Ok(Err(error)) => return Err(error.into_fault()),
            Err(_) => return Err(late("connected, but no SSH session in time")),
        };
        let answer = match deadline.bound(handle.authenticate_publickey(user.as_str(), key)).await {
            Ok(Ok(answer)) => answer,
            Ok(Err(error)) => return Err(fault_of(&error)),
            Err(_) => return Err(late("the login was not answered in time")),
        };
        match answer {
            AuthResult::Success => Ok(Session { handle, seats: Seats::new(), leash }),
            AuthResult::Failure { remaining_methods, .. }
                if remaining_methods.is_empty() && handle.is_closed() =>
            {
                Err(Fault::new(UnreachableKind::Dropped, "the host hung up during the login"))
            }
            AuthResult::Failure { partial_success: true, .. } => Err(Fault::new(
                UnreachableKind::Auth,
                &format!("the key of `{user}` was accepted, but the host wants more than a key"),
            )),
            AuthResult::Failure { .. } => Err(Fault::new(
                UnreachableKind::Auth,
                &format!("the host does not accept this key for `{user}`; check its `authorized_keys`"),
            )),
        }
    }

    /// True if the connection has ended. Costs no message.
    pub(crate) fn is_closed(&self) -> bool {
        self.handle.is_closed()
    }

    /// Opens a channel. Nothing has been asked of the host's shell yet: failing here is always `NotSent`.
    /// A seat is waited for until `deadline`; the opening itself no longer than `patience`.
    pub(crate) async fn channel(
        &self,
        patience: Duration,
        deadline: Deadline,
    ) -> Result<Line, Fault<UnreachableKind>> {
        let late = |_| Fault::new(UnreachableKind::TimedOut, "no channel was opened in time");
        loop {
            let seat = deadline.bound(Arc::clone(&self.seats.free).acquire_owned()).await.map_err(late)?;
            let seat = seat.map_err(|_| Fault::new(UnreachableKind::Dropped, "the connection was closed"))?;
            self.leash.grant_command();
            let opening = self.handle.channel_open_session();
            match deadline.clipped_to(patience).bound(opening).await.map_err(late)? {
                Ok(channel) => return Ok(Line::new(channel, seat)),
                // The host allows fewer channels than we took it for: one seat less from now on, and wait for another.
                Err(russh::Error::ChannelOpenFailure(_)) if self.seats.others_are_taken() => {
                    self.seats.remove(seat)
                }
                Err(error) => return Err(fault_of(&error)),
            }
        }
    }

    /// Waits until the connection has ended.
    pub(crate) async fn ended(&self) {
        while !self.is_closed() {
            tokio::time::sleep(GOODBYE_POLL).await;
        }
    }

    /// Says goodbye, so that the host logs an orderly end.
    pub(crate) async fn say_goodbye(&self) {
        let _ = self.handle.disconnect(Disconnect::ByApplication, "", "").await;
    }
}

/// Fetches the key a host shows, and hangs up before anything else is said.
pub(crate) async fn shown_key(
    address: &HostAddress,
    config: Arc<client::Config>,
    alive: &Alive,
    deadline: Deadline,
) -> Result<KeyData, Fault<UnreachableKind>> {
    let (_leash, stream) = Leash::tie(connect(address, deadline).await?, alive.begin());
    match deadline.bound(client::connect_stream(config, stream, Gate::Asking)).await {
        Ok(Err(GateError::Shown(key))) => Ok(key),
        Ok(Err(error)) => Err(error.into_fault()),
        Ok(Ok(_)) => Err(Fault::new(UnreachableKind::Protocol, "the host showed no key")),
        Err(_) => Err(Fault::new(UnreachableKind::TimedOut, "connected, but no SSH session in time")),
    }
}
