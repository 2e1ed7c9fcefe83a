//! One SSH connection: made, checked, logged in, and asked to run commands.

use std::borrow::Cow;
use std::collections::HashMap;
use std::net::{IpAddr, SocketAddr};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use lamplighter_core::sight::{Fault, UnreachableKind};
use lamplighter_core::{HostAddress, name::UserName};
use russh::client::{self, AuthResult, ChannelOpenHandle, Msg};
use russh::keys::ssh_key::public::KeyData;
use russh::keys::{Algorithm, PrivateKeyWithHashAlg, PublicKeyOrCertificate};
use russh::{Channel, ChannelMsg, Disconnect, Preferred, cipher, compression, kex, mac};
use tokio::net::TcpStream;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use crate::deadline::Deadline;
use crate::leash::Leash;
use crate::output::{Ending, Output, Stream, Unheard};
use crate::trust::Trust;

/// Key exchanges offered. A list of one's own loses strict key exchange unless it names it: a test asserts that it is there.
pub(crate) const KEY_EXCHANGES: &[kex::Name] = &[
    kex::CURVE25519,
    kex::CURVE25519_PRE_RFC_8731,
    kex::MLKEM768X25519_SHA256,
    kex::EXTENSION_SUPPORT_AS_CLIENT,
    kex::EXTENSION_OPENSSH_STRICT_KEX_AS_CLIENT,
];
/// Ciphers offered: those with integrity of their own, and one for hosts hardened down to counter mode.
const CIPHERS: &[cipher::Name] = &[cipher::AES_256_GCM, cipher::CHACHA20_POLY1305, cipher::AES_256_CTR];
/// MACs offered: encrypt-then-MAC only, with SHA-2.
const MACS: &[mac::Name] = &[mac::HMAC_SHA256_ETM, mac::HMAC_SHA512_ETM];
/// Compression is a bomb's best friend.
const COMPRESSION: &[compression::Name] = &[compression::NONE];

/// The window of a channel, in bytes: one full output, so that a flood is felt at once.
const WINDOW_BYTES: u32 = 64 * 1024;
/// Messages a channel holds before the host has to wait.
const CHANNEL_MESSAGES: usize = 16;
/// Often enough for the patience of usual NAT boxes, seldom enough to cost nothing.
const KEEPALIVE_EVERY: Duration = Duration::from_secs(60);
/// Unanswered keepalives that end a connection.
const KEEPALIVES_LOST: usize = 2;
/// A connection that was silent through all its keepalives is dead.
const SILENCE_LIMIT: Duration = Duration::from_secs(200);
/// Channels open at once on one connection: below OpenSSH's `MaxSessions` of 10.
const SEATS: usize = 8;
/// After the exit status, how long the end of the output is waited for: a process left behind may hold it open for ever.
const LINGER: Duration = Duration::from_secs(1);
/// How often a connection that was said goodbye to is looked at.
const GOODBYE_POLL: Duration = Duration::from_millis(5);
/// Most addresses of one name that are tried.
const MAX_ADDRESSES: usize = 4;

const _: () = assert!(KEEPALIVE_EVERY.as_secs() * (KEEPALIVES_LOST as u64 + 1) < SILENCE_LIMIT.as_secs());

/// Client configurations by the host key algorithms they ask for: a handful, shared by all connections.
#[derive(Default)]
pub(crate) struct Configs(Mutex<HashMap<Vec<Algorithm>, Arc<client::Config>>>);

impl std::fmt::Debug for Configs {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Configs")
    }
}

impl Configs {
    /// The configuration that asks for these host key algorithms, in this order.
    pub(crate) fn asking_for(&self, algorithms: Vec<Algorithm>) -> Arc<client::Config> {
        let mut configs = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        Arc::clone(
            configs.entry(algorithms).or_insert_with_key(|algorithms| Arc::new(config(algorithms.clone()))),
        )
    }
}

/// The client configuration: modern algorithms only, strict key exchange, small buffers.
pub(crate) fn config(host_key_algorithms: Vec<Algorithm>) -> client::Config {
    client::Config {
        client_id: russh::SshId::Standard(Cow::Borrowed("SSH-2.0-Lamplighter")),
        window_size: WINDOW_BYTES,
        channel_buffer_size: CHANNEL_MESSAGES,
        preferred: Preferred {
            kex: Cow::Borrowed(KEY_EXCHANGES),
            key: Cow::Owned(host_key_algorithms),
            host_key_certificates: Cow::Borrowed(&[]),
            cipher: Cow::Borrowed(CIPHERS),
            mac: Cow::Borrowed(MACS),
            compression: Cow::Borrowed(COMPRESSION),
        },
        inactivity_timeout: Some(SILENCE_LIMIT),
        keepalive_interval: Some(KEEPALIVE_EVERY),
        keepalive_max: KEEPALIVES_LOST,
        nodelay: true,
        ..client::Config::default()
    }
}

/// What is done with the key a host shows.
pub(crate) enum Gate {
    /// Only keys of this trust are let through.
    Trusting(Arc<Trust>),
    /// None is let through: the key itself is what was wanted.
    Asking,
}

/// Why a connection came to nothing.
#[derive(Debug)]
pub(crate) enum GateError {
    /// The key the host showed was not let through.
    Refused(Fault<UnreachableKind>),
    /// The key the host showed, as wanted.
    Shown(KeyData),
    /// Everything else.
    Ssh(russh::Error),
}

impl From<russh::Error> for GateError {
    fn from(error: russh::Error) -> Self {
        GateError::Ssh(error)
    }
}

impl GateError {
    fn into_fault(self) -> Fault<UnreachableKind> {
        match self {
            GateError::Refused(fault) => fault,
            GateError::Shown(_) => Fault::new(UnreachableKind::Protocol, "asked for the key only"),
            GateError::Ssh(error) => fault_of(&error),
        }
    }
}

impl client::Handler for Gate {
    type Error = GateError;

    async fn check_server_key(&mut self, shown: &PublicKeyOrCertificate) -> Result<bool, GateError> {
        let key = match shown {
            PublicKeyOrCertificate::PublicKey { key, .. } => key.key_data(),
            PublicKeyOrCertificate::Certificate(_) => return Ok(false),
        };
        match self {
            Gate::Trusting(trust) => trust.judge(key).map(|()| true).map_err(GateError::Refused),
            Gate::Asking => Err(GateError::Shown(key.clone())),
        }
    }

    // A host has no business opening channels to us. Dropping the reply refuses; the library's default accepts.

    async fn server_channel_open_session(
        &mut self,
        _: Channel<Msg>,
        reply: ChannelOpenHandle,
        _: &mut client::Session,
    ) -> Result<(), GateError> {
        drop(reply);
        Ok(())
    }

    async fn server_channel_open_agent_forward(
        &mut self,
        _: Channel<Msg>,
        reply: ChannelOpenHandle,
        _: &mut client::Session,
    ) -> Result<(), GateError> {
        drop(reply);
        Ok(())
    }

    async fn server_channel_open_forwarded_tcpip(
        &mut self,
        _: Channel<Msg>,
        _: &str,
        _: u32,
        _: &str,
        _: u32,
        reply: ChannelOpenHandle,
        _: &mut client::Session,
    ) -> Result<(), GateError> {
        drop(reply);
        Ok(())
    }

    async fn server_channel_open_forwarded_streamlocal(
        &mut self,
        _: Channel<Msg>,
        _: &str,
        reply: ChannelOpenHandle,
        _: &mut client::Session,
    ) -> Result<(), GateError> {
        drop(reply);
        Ok(())
    }

    async fn server_channel_open_direct_tcpip(
        &mut self,
        _: Channel<Msg>,
        _: &str,
        _: u32,
        _: &str,
        _: u32,
        reply: ChannelOpenHandle,
        _: &mut client::Session,
    ) -> Result<(), GateError> {
        drop(reply);
        Ok(())
    }

    async fn server_channel_open_direct_streamlocal(
        &mut self,
        _: Channel<Msg>,
        _: &str,
        reply: ChannelOpenHandle,
        _: &mut client::Session,
    ) -> Result<(), GateError> {
        drop(reply);
        Ok(())
    }

    async fn server_channel_open_x11(
        &mut self,
        _: Channel<Msg>,
        _: &str,
        _: u32,
        reply: ChannelOpenHandle,
        _: &mut client::Session,
    ) -> Result<(), GateError> {
        drop(reply);
        Ok(())
    }

    async fn openssh_ext_host_keys_announced(
        &mut self,
        _: Vec<russh::keys::PublicKey>,
        _: &mut client::Session,
    ) -> Result<(), GateError> {
        Ok(())
    }
}

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
        deadline: Deadline,
    ) -> Result<Session, Fault<UnreachableKind>> {
        let stream = connect(address, deadline).await?;
        let (leash, stream) = Leash::tie(stream);
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
                Ok(channel) => return Ok(Line { channel: Some(channel), seat: Some(seat), session: None }),
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

/// An open channel, not yet used. Dropping it closes it on the host too.
pub(crate) struct Line {
    channel: Option<Channel<Msg>>,
    seat: Option<OwnedSemaphorePermit>,
    /// What the channel runs on: it must not be cut while somebody listens.
    session: Option<Arc<Session>>,
}

impl Line {
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
        let Ok(runtime) = tokio::runtime::Handle::try_current() else { return };
        // The seat is free again once the close is on its way: a host that is not told would run out of sessions.
        runtime.spawn(async move {
            let _ = Deadline::after(LINGER).bound(channel.close()).await;
            drop((seat, session));
        });
    }
}

/// Fetches the key a host shows, and hangs up before anything else is said.
pub(crate) async fn shown_key(
    address: &HostAddress,
    config: Arc<client::Config>,
    deadline: Deadline,
) -> Result<KeyData, Fault<UnreachableKind>> {
    let (_leash, stream) = Leash::tie(connect(address, deadline).await?);
    match deadline.bound(client::connect_stream(config, stream, Gate::Asking)).await {
        Ok(Err(GateError::Shown(key))) => Ok(key),
        Ok(Err(error)) => Err(error.into_fault()),
        Ok(Ok(_)) => Err(Fault::new(UnreachableKind::Protocol, "the host showed no key")),
        Err(_) => Err(Fault::new(UnreachableKind::TimedOut, "connected, but no SSH session in time")),
    }
}

/// Connects to the first address of a host that answers.
pub(crate) async fn connect(
    address: &HostAddress,
    deadline: Deadline,
) -> Result<TcpStream, Fault<UnreachableKind>> {
    let addresses = resolve(address, deadline).await?;
    let mut last = Fault::new(UnreachableKind::NoSuchName, "the name has no address");
    for (index, socket) in addresses.iter().enumerate() {
        // One dead address must leave time for the next.
        let share = deadline.left() / u32::try_from(addresses.len() - index).unwrap_or(1);
        last = match deadline.clipped_to(share).bound(TcpStream::connect(socket)).await {
            Ok(Ok(stream)) => {
                // Small messages back and forth: waiting to fill a packet would cost 40 ms each.
                let _ = stream.set_nodelay(true);
                return Ok(stream);
            }
            Ok(Err(error)) => Fault::new(UnreachableKind::Connect, &said_by_system(&error)),
            Err(_) => Fault::new(UnreachableKind::TimedOut, &format!("no answer from {socket}")),
        };
    }
    Err(last)
}

async fn resolve(
    address: &HostAddress,
    deadline: Deadline,
) -> Result<Vec<SocketAddr>, Fault<UnreachableKind>> {
    if let Ok(ip) = address.host().parse::<IpAddr>() {
        return Ok(vec![SocketAddr::new(ip, address.port())]);
    }
    match deadline.bound(tokio::net::lookup_host((address.host(), address.port()))).await {
        Ok(Ok(found)) => Ok(found.take(MAX_ADDRESSES).collect()),
        Ok(Err(_)) => Err(Fault::new(UnreachableKind::NoSuchName, &format!("`{}`", address.host()))),
        Err(_) => Err(Fault::new(UnreachableKind::TimedOut, "the name was not resolved in time")),
    }
}

/// An operating system's error in lower case and without its number, as it stands in the middle of a sentence.
pub(crate) fn said_by_system(error: &std::io::Error) -> String {
    let text = error.to_string();
    text.split(" (os error").next().unwrap_or_default().to_ascii_lowercase()
}

/// What an SSH error means to an operator.
fn fault_of(error: &russh::Error) -> Fault<UnreachableKind> {
    use russh::Error as E;
    let kind =
        if matches!(error, E::InactivityTimeout | E::KeepaliveTimeout | E::ConnectionTimeout | E::Elapsed(_))
        {
            UnreachableKind::TimedOut
        } else if let E::IO(error) = error {
            match error.kind() == std::io::ErrorKind::InvalidData {
                true => UnreachableKind::Protocol,
                false => UnreachableKind::Dropped,
            }
        } else if matches!(error, E::Disconnect | E::HUP | E::SendError | E::RecvError) {
            UnreachableKind::Dropped
        } else if matches!(error, E::ChannelOpenFailure(_)) {
            UnreachableKind::NoVerdict
        } else {
            UnreachableKind::Protocol
        };
    if let E::NoCommonAlgo { kind, .. } = error {
        let detail =
            format!("no {kind:?} algorithm in common: the host offers only old ones").to_ascii_lowercase();
        return Fault::new(UnreachableKind::Protocol, &detail);
    }
    Fault::new(kind, &error.to_string().to_ascii_lowercase())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn strict_key_exchange_is_asked_for() {
        let config = config(crate::trust::HOST_KEY_ALGORITHMS.to_vec());
        assert!(config.preferred.kex.contains(&kex::EXTENSION_OPENSSH_STRICT_KEX_AS_CLIENT));
        assert!(config.preferred.kex.contains(&kex::CURVE25519), "older servers know no other");
    }

    #[test]
    fn nothing_old_is_offered() {
        let config = config(crate::trust::HOST_KEY_ALGORITHMS.to_vec());
        let names = config.preferred.kex.iter().map(AsRef::as_ref);
        let names = names.chain(config.preferred.cipher.iter().map(AsRef::as_ref));
        let names: Vec<&str> = names.chain(config.preferred.mac.iter().map(AsRef::as_ref)).collect();
        for old in ["sha1", "cbc", "group1-", "md5", "3des", "none"] {
            assert!(!names.iter().any(|name| name.contains(old)), "{old} in {names:?}");
        }
        assert_eq!(config.preferred.compression.as_ref(), [compression::NONE]);
    }
}
