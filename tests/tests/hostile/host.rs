//! A host that plays a script: well-behaved up to the point where the script says otherwise.

use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use tokio::io::AsyncWriteExt as _;
use tokio::net::TcpListener;

use super::wire::{Identity, Offer, Payload, Reading, Wire, message};

/// What the host saw of its visitors.
#[derive(Default)]
pub struct Seen {
    pub connections: AtomicU64,
    pub authentications: AtomicU64,
    pub commands: AtomicU64,
    pub bytes_sent: AtomicU64,
    pub refused_channels: AtomicU64,
}

impl Seen {
    pub fn count(counter: &AtomicU64) -> u64 {
        counter.load(Ordering::SeqCst)
    }
}

/// A listening host. Its connections end with it.
pub struct HostileHost {
    pub address: String,
    pub host_key: String,
    pub seen: Arc<Seen>,
    accepting: tokio::task::JoinHandle<()>,
}

impl Drop for HostileHost {
    fn drop(&mut self) {
        self.accepting.abort();
    }
}

impl HostileHost {
    /// Plays `script` to every visitor. An error in it is the visitor's leaving, and ends that visit only.
    pub async fn start<S, F>(script: S) -> HostileHost
    where
        S: Fn(Visit) -> F + Send + Sync + 'static,
        F: Future<Output = io::Result<()>> + Send + 'static,
    {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap().to_string();
        let identity = Arc::new(Identity::new());
        let host_key = identity.line();
        let seen = Arc::new(Seen::default());
        let shared = Arc::clone(&seen);
        let accepting = tokio::spawn(async move {
            let mut visits = tokio::task::JoinSet::new();
            while let Ok((stream, _)) = listener.accept().await {
                shared.connections.fetch_add(1, Ordering::SeqCst);
                let visit = Visit {
                    wire: Wire::new(stream),
                    seen: Arc::clone(&shared),
                    identity: Arc::clone(&identity),
                    channel: 0,
                };
                visits.spawn(script(visit));
            }
        });
        HostileHost { address, host_key, seen, accepting }
    }
}

/// One visitor's connection.
pub struct Visit {
    pub wire: Wire,
    pub seen: Arc<Seen>,
    identity: Arc<Identity>,
    /// The visitor's number for the channel it opened.
    pub channel: u32,
}

impl Visit {
    /// Writes bytes and counts those that the visitor's side took.
    pub async fn pour(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.wire.stream.write_all(bytes).await?;
        self.seen.bytes_sent.fetch_add(bytes.len() as u64, Ordering::SeqCst);
        Ok(())
    }

    /// Does nothing until the visitor's patience ends.
    pub async fn stall(&mut self) -> io::Result<()> {
        tokio::time::sleep(Duration::from_secs(60)).await;
        Ok(())
    }

    /// Version lines and the first key exchange.
    pub async fn shake_hands(&mut self) -> io::Result<()> {
        self.wire.greet().await?;
        self.exchange_keys(&Offer::default()).await
    }

    pub async fn exchange_keys(&mut self, offer: &Offer) -> io::Result<()> {
        let identity = Arc::clone(&self.identity);
        self.wire.exchange_keys(&identity, offer).await
    }

    /// Waits until the visitor asks to be let in, and returns the request.
    pub async fn auth_request(&mut self) -> io::Result<Vec<u8>> {
        loop {
            let payload = self.wire.receive().await?;
            match payload[0] {
                message::SERVICE_REQUEST => {
                    let service = Reading(&payload[1..]).text();
                    self.wire.send(&Payload::of(message::SERVICE_ACCEPT).text(&service)).await?;
                }
                message::USERAUTH_REQUEST => {
                    self.seen.authentications.fetch_add(1, Ordering::SeqCst);
                    return Ok(payload);
                }
                message::DISCONNECT => return Err(io::Error::other("the client hung up")),
                _ => {}
            }
        }
    }

    /// Lets anybody in who has a key, without asking for more.
    pub async fn admit(&mut self) -> io::Result<()> {
        loop {
            let request = self.auth_request().await?;
            let mut reading = Reading(&request[1..]);
            let (_user, _service, method) = (reading.text(), reading.text(), reading.text());
            if method != "publickey" {
                self.wire.send(&Payload::of(message::USERAUTH_FAILURE).text("publickey").byte(0)).await?;
                continue;
            }
            let has_signature = reading.flag();
            let (algorithm, key) = (reading.text(), reading.bytes());
            if has_signature {
                return self.wire.send(&Payload::of(message::USERAUTH_SUCCESS)).await;
            }
            self.wire.send(&Payload::of(message::USERAUTH_PK_OK).text(&algorithm).bytes(key)).await?;
        }
    }

    /// Opens the channel the visitor asks for, with this window and packet size.
    pub async fn open_channel(&mut self, window: u32, packet: u32) -> io::Result<()> {
        let open = self.wire.receive_kind(message::CHANNEL_OPEN).await?;
        let mut reading = Reading(&open[1..]);
        let (_kind, theirs) = (reading.text(), reading.number());
        self.channel = theirs;
        self.wire
            .send(
                &Payload::of(message::CHANNEL_OPEN_CONFIRMATION)
                    .number(theirs)
                    .number(0)
                    .number(window)
                    .number(packet),
            )
            .await
    }

    /// Waits for the command and says that it runs.
    pub async fn exec(&mut self) -> io::Result<String> {
        let request = self.wire.receive_kind(message::CHANNEL_REQUEST).await?;
        let mut reading = Reading(&request[1..]);
        let (_channel, _kind, _wants_reply, command) =
            (reading.number(), reading.text(), reading.flag(), reading.text());
        self.seen.commands.fetch_add(1, Ordering::SeqCst);
        self.wire.send(&Payload::of(message::CHANNEL_SUCCESS).number(self.channel)).await?;
        Ok(command)
    }

    /// Everything up to a running command, as a good host does it.
    pub async fn up_to_exec(&mut self) -> io::Result<String> {
        self.shake_hands().await?;
        self.admit().await?;
        self.open_channel(1 << 20, 32_768).await?;
        self.exec().await
    }

    pub async fn say(&mut self, text: &[u8]) -> io::Result<()> {
        self.wire.send(&Payload::of(message::CHANNEL_DATA).number(self.channel).bytes(text)).await?;
        self.seen.bytes_sent.fetch_add(text.len() as u64, Ordering::SeqCst);
        Ok(())
    }

    pub async fn complain(&mut self, text: &[u8]) -> io::Result<()> {
        self.wire
            .send(&Payload::of(message::CHANNEL_EXTENDED_DATA).number(self.channel).number(1).bytes(text))
            .await?;
        self.seen.bytes_sent.fetch_add(text.len() as u64, Ordering::SeqCst);
        Ok(())
    }

    pub async fn status(&mut self, channel: u32, status: u32) -> io::Result<()> {
        self.wire
            .send(
                &Payload::of(message::CHANNEL_REQUEST)
                    .number(channel)
                    .text("exit-status")
                    .byte(0)
                    .number(status),
            )
            .await
    }

    pub async fn signal(&mut self, name: &str) -> io::Result<()> {
        let request = Payload::of(message::CHANNEL_REQUEST).number(self.channel).text("exit-signal").byte(0);
        self.wire.send(&request.text(name).byte(0).text("").text("")).await
    }

    pub async fn close(&mut self) -> io::Result<()> {
        self.wire.send(&Payload::of(message::CHANNEL_EOF).number(self.channel)).await?;
        self.wire.send(&Payload::of(message::CHANNEL_CLOSE).number(self.channel)).await?;
        // The visitor hangs up when it likes; leaving first would look like a broken connection.
        self.stall().await
    }
}
