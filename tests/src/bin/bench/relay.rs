//! The way to far hosts: a relay that holds every message back for half a round trip, and counts what it carries.

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::mpsc;
use tokio::time::Instant;

/// Read at once, in bytes: an SSH or TLS handshake's largest message fits.
const CHUNK_BYTES: usize = 16 * 1024;
/// Messages under way in one direction of a connection.
const UNDER_WAY: usize = 64;
/// Headers of a packet of TCP over IPv4, with time stamps.
const HEADER_BYTES: u64 = 52;

/// What was carried towards the hosts.
#[derive(Debug, Default)]
pub(crate) struct Carried {
    bytes: AtomicU64,
    messages: AtomicU64,
    answers: AtomicU64,
    connections: AtomicU64,
}

impl Carried {
    /// As a network counts it: each message and each answer's acknowledgement is a packet, and a connection has four more
    /// of ours, two to begin and two to end.
    pub(crate) fn network_bytes(&self) -> u64 {
        let of = |counter: &AtomicU64| counter.load(Ordering::Relaxed);
        let packets = of(&self.messages) + of(&self.answers) + 4 * of(&self.connections);
        of(&self.bytes) + packets * HEADER_BYTES
    }
}

/// Relays every connection to `target`, which is so far away.
pub(crate) async fn relay(
    listener: TcpListener,
    target: SocketAddr,
    round_trip: Duration,
    carried: Arc<Carried>,
) {
    while let Ok((near, _)) = listener.accept().await {
        let carried = Arc::clone(&carried);
        // A connection that breaks is its ends' business.
        tokio::spawn(async move { drop(carry(near, target, round_trip, &carried).await) });
    }
}

async fn carry(
    near: TcpStream,
    target: SocketAddr,
    round_trip: Duration,
    carried: &Carried,
) -> io::Result<()> {
    carried.connections.fetch_add(1, Ordering::Relaxed);
    near.set_nodelay(true)?;
    // The kernel has accepted already: the round trip that connecting takes is made up for here.
    tokio::time::sleep(round_trip).await;
    let far = TcpStream::connect(target).await?;
    far.set_nodelay(true)?;
    let ((near_read, near_write), (far_read, far_write)) = (near.into_split(), far.into_split());
    let there = later(near_read, far_write, round_trip / 2, |bytes| {
        carried.bytes.fetch_add(bytes, Ordering::Relaxed);
        carried.messages.fetch_add(1, Ordering::Relaxed);
    });
    let back = later(far_read, near_write, round_trip / 2, |_| {
        carried.answers.fetch_add(1, Ordering::Relaxed);
    });
    tokio::join!(there, back);
    Ok(())
}

/// Carries one direction: what is read now is written `delay` later, whatever else is under way.
async fn later(
    mut from: impl AsyncReadExt + Unpin,
    mut to: impl AsyncWriteExt + Unpin,
    delay: Duration,
    note: impl Fn(u64),
) {
    let (send, mut receive) = mpsc::channel::<(Instant, Vec<u8>)>(UNDER_WAY);
    let reading = async move {
        let mut chunk = vec![0; CHUNK_BYTES];
        while let Ok(read @ 1..) = from.read(&mut chunk).await {
            note(u64::try_from(read).unwrap_or(u64::MAX));
            if send.send((Instant::now() + delay, chunk[..read].to_vec())).await.is_err() {
                return;
            }
        }
    };
    let writing = async move {
        while let Some((due, message)) = receive.recv().await {
            tokio::time::sleep_until(due).await;
            if to.write_all(&message).await.is_err() {
                return;
            }
        }
        let _ = to.shutdown().await;
    };
    tokio::join!(reading, writing);
}
