//! A demo host: a real SSH server in this process, with a pretend systemd behind it.
//!
//! The handshake, the authentication and the shell are real. systemd, `sudo` and Docker are not: what passes here
//! proves nothing about them outside the demo.

use std::io;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use russh::keys::{HashAlg, PrivateKey, PublicKey, PublicKeyBase64 as _};
use russh::server::{
    Auth, ChannelOpenHandle, Handle, Handler, Msg, PublicKeyOffer, Session, VerifiedPublicKey,
};
use russh::{Channel, ChannelId, Disconnect, Sig};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{OnceCell, Semaphore, watch};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use super::key::new_key;
use super::plain;
use super::sandbox::{Ended, Sandbox};
use super::systemd::{Answer, Nature, Systemd};

/// Connections one host holds at once, unless told otherwise.
pub const MAX_SESSIONS: usize = 256;
/// Longest command line a host accepts: four times the guard's script.
const MAX_COMMAND_BYTES: usize = 64 * 1024;
/// Longest a host waits for a client to say who it is.
const GREETING_LIMIT: Duration = Duration::from_secs(10);
/// Longest a host takes to say goodbye.
const GOODBYE_LIMIT: Duration = Duration::from_millis(500);
/// A client that says nothing for this long is gone.
const IDLE_LIMIT: Duration = Duration::from_secs(3_600);

/// What a host is like.
#[derive(Debug, Clone)]
pub struct DemoHostSettings {
    /// The one login.
    pub user: String,
    /// The one key that opens it.
    pub authorized: PublicKey,
    /// Where it listens. The unspecified address stands for all of `127.0.0.0/8`, so that one listener can play
    /// thousands of hosts; connections from anywhere else are dropped.
    pub bind: IpAddr,
    /// Connections at once; more are dropped.
    pub max_sessions: usize,
    /// Its units, all up to begin with.
    pub units: Vec<(String, Nature)>,
    /// The folder that its commands know as `/srv`; one of its own if left out.
    pub srv: Option<PathBuf>,
}

impl DemoHostSettings {
    /// A host on 127.0.0.1 that the user `demo` enters with `authorized`.
    #[must_use]
    pub fn new(authorized: PublicKey) -> Self {
        let bind = IpAddr::V4(Ipv4Addr::LOCALHOST);
        Self {
            user: "demo".to_owned(),
            authorized,
            bind,
            max_sessions: MAX_SESSIONS,
            units: Vec::new(),
            srv: None,
        }
    }
}

/// What a host has counted since it began.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Counts {
    /// TCP connections accepted.
    pub connections: u64,
    /// Times a client tried to authenticate, by any method.
    pub authentications_tried: u64,
    /// Times it succeeded.
    pub authentications: u64,
    /// Commands received.
    pub commands: u64,
    /// Restarts asked of systemd or Docker.
    pub restarts: u64,
    /// Most lifecycle commands ever under way at once: above 1, a guard has failed.
    pub max_nesting: u64,
}

/// A running demo host. Stop it with [`DemoHost::stop`]; a dropped one stops by itself, without a goodbye.
pub struct DemoHost {
    shared: Arc<Shared>,
    address: SocketAddr,
    host_key: PublicKey,
}

struct Shared {
    user: String,
    authorized: PublicKey,
    systemd: Systemd,
    srv: Option<PathBuf>,
    sandbox: OnceCell<Sandbox>,
    connections: AtomicU64,
    authentications_tried: AtomicU64,
    authentications: AtomicU64,
    commands: AtomicU64,
    cut_off: watch::Sender<bool>,
    stopping: CancellationToken,
    tasks: TaskTracker,
}

impl DemoHost {
    /// Starts a host with a new host key on a free port.
    ///
    /// # Errors
    /// If no port can be bound.
    pub async fn start(settings: DemoHostSettings) -> io::Result<DemoHost> {
        let listener = TcpListener::bind((settings.bind, 0)).await?;
        let address = listener.local_addr()?;
        let key = new_key()?;
        let host_key = key.public_key().clone();
        let systemd = Systemd::new();
        for (name, nature) in &settings.units {
            systemd.add(name, *nature);
        }
        let shared = Arc::new(Shared {
            user: settings.user,
            authorized: settings.authorized,
            systemd,
            srv: settings.srv,
            sandbox: OnceCell::new(),
            connections: AtomicU64::new(0),
            authentications_tried: AtomicU64::new(0),
            authentications: AtomicU64::new(0),
            commands: AtomicU64::new(0),
            cut_off: watch::Sender::new(false),
            stopping: CancellationToken::new(),
            tasks: TaskTracker::new(),
        });
        let sessions = Arc::new(Semaphore::new(settings.max_sessions));
        shared.tasks.spawn(accept(listener, Arc::new(server_config(key)), Arc::clone(&shared), sessions));
        Ok(DemoHost { shared, address, host_key })
    }

    /// Where it listens.
    #[must_use]
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Its public host key, as `host_key` in a fleet file takes it: `ssh-ed25519 AAAA…`.
    #[must_use]
    pub fn host_key_line(&self) -> String {
        let blob = self.host_key.public_key_base64();
        format!("{} {blob}", self.host_key.algorithm())
    }

    /// Its host key's fingerprint, `SHA256:…`.
    #[must_use]
    pub fn fingerprint(&self) -> String {
        self.host_key.fingerprint(HashAlg::Sha256).to_string()
    }

    /// Its units: to stop, crash, break and mend from code.
    #[must_use]
    pub fn systemd(&self) -> &Systemd {
        &self.shared.systemd
    }

    /// What it has counted.
    #[must_use]
    pub fn counts(&self) -> Counts {
        let lifecycle = self.shared.systemd.lifecycle();
        let read = |counter: &AtomicU64| counter.load(Ordering::Relaxed);
        Counts {
            connections: read(&self.shared.connections),
            authentications_tried: read(&self.shared.authentications_tried),
            authentications: read(&self.shared.authentications),
            commands: read(&self.shared.commands),
            restarts: lifecycle.restarts,
            max_nesting: lifecycle.max_nesting,
        }
    }

    /// Makes the host unreachable: live connections end, new ones are dropped at once.
    pub fn cut_off(&self) {
        self.shared.cut_off.send_replace(true);
    }

    /// Makes it reachable again.
    pub fn reconnect(&self) {
        self.shared.cut_off.send_replace(false);
    }

    /// Ends every connection and command, and removes the host's home.
    pub async fn stop(self) {
        self.shared.stopping.cancel();
        self.shared.tasks.close();
        // Every task ends by itself once told to; the limit is for a machine too busy to let them.
        let _ = tokio::time::timeout(GOODBYE_LIMIT * 10, self.shared.tasks.wait()).await;
        if let Some(sandbox) = self.shared.sandbox.get() {
            sandbox.remove();
        }
    }
}

impl Drop for DemoHost {
    fn drop(&mut self) {
        self.shared.stopping.cancel();
    }
}

fn server_config(key: PrivateKey) -> russh::server::Config {
    russh::server::Config {
        keys: vec![key],
        // Nobody guesses keys on a loopback address, so a refusal need not be slow.
        auth_rejection_time: Duration::ZERO,
        auth_rejection_time_initial: Some(Duration::ZERO),
        inactivity_timeout: Some(IDLE_LIMIT),
        max_auth_attempts: 3,
        nodelay: true,
        // Thousands of connections may be open at once; none of them sends more than a command.
        window_size: 64 * 1024,
        channel_buffer_size: 4,
        event_buffer_size: 4,
        ..russh::server::Config::default()
    }
}

async fn accept(
    listener: TcpListener,
    config: Arc<russh::server::Config>,
    shared: Arc<Shared>,
    sessions: Arc<Semaphore>,
) {
    loop {
        let accepted = tokio::select! {
            () = shared.stopping.cancelled() => return,
            accepted = listener.accept() => accepted,
        };
        let Ok((socket, _)) = accepted else {
            // Out of file descriptors, most likely: they come back when a connection ends.
            tokio::time::sleep(Duration::from_millis(10)).await;
            continue;
        };
        let from_here = socket.local_addr().is_ok_and(|address| address.ip().is_loopback());
        if !from_here || *shared.cut_off.borrow() {
            continue;
        }
        shared.connections.fetch_add(1, Ordering::Relaxed);
        let Ok(seat) = Arc::clone(&sessions).try_acquire_owned() else { continue };
        let (config, shared) = (Arc::clone(&config), Arc::clone(&shared));
        let tasks = shared.tasks.clone();
        tasks.spawn(async move {
            serve(socket, config, shared).await;
            drop(seat);
        });
    }
}

async fn serve(socket: TcpStream, config: Arc<russh::server::Config>, shared: Arc<Shared>) {
    // A socket that refuses the option works, only slower.
    let _ = socket.set_nodelay(true);
    let mut cut_off = shared.cut_off.subscribe();
    let visit = Visit { shared: Arc::clone(&shared) };
    let Ok(Ok(session)) =
        tokio::time::timeout(GREETING_LIMIT, russh::server::run_stream(config, socket, visit)).await
    else {
        return;
    };
    let handle = session.handle();
    tokio::select! {
        _ = session => return,
        () = shared.stopping.cancelled() => {}
        _ = cut_off.wait_for(|cut| *cut) => {}
    }
    let goodbye =
        handle.disconnect(Disconnect::ByApplication, "the host is going down".to_owned(), "en".to_owned());
    let _ = tokio::time::timeout(GOODBYE_LIMIT, goodbye).await;
}

/// One connection.
struct Visit {
    shared: Arc<Shared>,
}

impl Visit {
    fn admits(&self, user: &str, key: &PublicKey) -> bool {
        user == self.shared.user && key.key_data() == self.shared.authorized.key_data()
    }
}

impl Handler for Visit {
    type Error = russh::Error;

    async fn auth_none(&mut self, _user: &str) -> Result<Auth, Self::Error> {
        self.shared.authentications_tried.fetch_add(1, Ordering::Relaxed);
        Ok(Auth::reject())
    }

    async fn auth_password(&mut self, _user: &str, _password: &str) -> Result<Auth, Self::Error> {
        self.shared.authentications_tried.fetch_add(1, Ordering::Relaxed);
        Ok(Auth::reject())
    }

    async fn auth_publickey_offered(
        &mut self,
        user: &str,
        offer: PublicKeyOffer<'_>,
    ) -> Result<Auth, Self::Error> {
        self.shared.authentications_tried.fetch_add(1, Ordering::Relaxed);
        Ok(if self.admits(user, offer.public_key) { Auth::Accept } else { Auth::reject() })
    }

    async fn auth_publickey(&mut self, user: &str, key: VerifiedPublicKey<'_>) -> Result<Auth, Self::Error> {
        if !self.admits(user, key.public_key) {
            return Ok(Auth::reject());
        }
        self.shared.authentications.fetch_add(1, Ordering::Relaxed);
        Ok(Auth::Accept)
    }

    async fn channel_open_session(
        &mut self,
        _channel: Channel<Msg>,
        reply: ChannelOpenHandle,
        _session: &mut Session,
    ) -> Result<(), Self::Error> {
        reply.accept().await;
        Ok(())
    }

    async fn exec_request(
        &mut self,
        channel: ChannelId,
        data: &[u8],
        session: &mut Session,
    ) -> Result<(), Self::Error> {
        self.shared.commands.fetch_add(1, Ordering::Relaxed);
        let Some(line) = std::str::from_utf8(data).ok().filter(|line| line.len() <= MAX_COMMAND_BYTES) else {
            return session.channel_failure(channel);
        };
        session.channel_success(channel)?;
        match plain::answer(&self.shared.systemd, line) {
            Some(answer) => reply_now(session, channel, answer),
            None => {
                // As with OpenSSH, a command outlives the connection that sent it.
                self.shared.tasks.spawn(reply_later(
                    Arc::clone(&self.shared),
                    session.handle(),
                    channel,
                    line.to_owned(),
                ));
                Ok(())
            }
        }
    }

    async fn shell_request(&mut self, channel: ChannelId, session: &mut Session) -> Result<(), Self::Error> {
        session.channel_failure(channel)
    }

    async fn pty_request(
        &mut self,
        channel: ChannelId,
        _term: &str,
        _col_width: u32,
        _row_height: u32,
        _pix_width: u32,
        _pix_height: u32,
        _modes: &[(russh::Pty, u32)],
        session: &mut Session,
    ) -> Result<(), Self::Error> {
        session.channel_failure(channel)
    }
}

fn reply_now(session: &mut Session, channel: ChannelId, answer: Answer) -> Result<(), russh::Error> {
    if !answer.stdout.is_empty() {
        session.data(channel, answer.stdout.into_bytes())?;
    }
    if !answer.stderr.is_empty() {
        session.extended_data(channel, 1, answer.stderr.into_bytes())?;
    }
    session.exit_status_request(channel, u32::from(answer.status))?;
    session.eof(channel)?;
    session.close(channel)
}

/// Runs the command and sends what came of it. A client that has left gets nothing, and needs nothing.
async fn reply_later(shared: Arc<Shared>, handle: Handle, channel: ChannelId, line: String) {
    let sandbox = shared
        .sandbox
        .get_or_try_init(|| async {
            Sandbox::start(shared.systemd.clone(), shared.srv.clone(), shared.stopping.clone())
        })
        .await;
    let ended = match sandbox {
        Ok(sandbox) => sandbox.run(&line).await,
        Err(error) => Ended::With(Answer::refused(format!("the demo host has no home: {error}\n"), 126)),
    };
    match ended {
        Ended::With(answer) => {
            if !answer.stdout.is_empty() {
                let _ = handle.data(channel, answer.stdout.into_bytes()).await;
            }
            if !answer.stderr.is_empty() {
                let _ = handle.extended_data(channel, 1, answer.stderr.into_bytes()).await;
            }
            let _ = handle.exit_status_request(channel, u32::from(answer.status)).await;
        }
        Ended::Killed => {
            let _ = handle.exit_signal_request(channel, Sig::KILL, false, String::new(), String::new()).await;
        }
    }
    let _ = handle.eof(channel).await;
    let _ = handle.close(channel).await;
}
