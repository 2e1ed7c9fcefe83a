//! A TCP stream that can be cut from outside, reads no more than it was granted, and asks the system seldom.
//!
//! The SSH library keeps a task per connection. That task lives as long as its socket gives it something to wait for,
//! so a host that stalls in the key exchange, or talks without end, could keep it for ever. Cutting the leash ends it
//! at once; the budget ends hosts that talk without having been asked.
//!
//! The library reads a packet in two small pieces, and a host sends several packets at once. Reading all that is there
//! by one system call, and keeping what was not asked for yet, saves most of the calls of a look.

use std::io;
use std::mem::MaybeUninit;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::task::{Context, Poll};

use futures_util::task::AtomicWaker;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::TcpStream;

use crate::alive::Life;

/// Bytes a host may send until the login is done: banners, two key exchanges and their padding fit many times over.
const LOGIN_GRANT_BYTES: u64 = 256 * 1024;
/// Bytes a host may send for one command: the output that is kept, a window in flight, and the packets around them.
pub(crate) const COMMAND_GRANT_BYTES: u64 = 256 * 1024;
/// Most that can be saved up: keepalives and key renewals of a quiet connection live on it.
const MAX_GRANT_BYTES: u64 = 8 * 1024 * 1024;

/// Most that is read by one system call, in bytes: the longest message of a login fits. It lies on the stack while it is
/// read; a quiet connection keeps none of it.
const READ_AT_ONCE_BYTES: usize = 4 * 1024;

const _: () = assert!(
    COMMAND_GRANT_BYTES >= 3 * crate::output::MAX_OUTPUT_BYTES as u64,
    "a full output must fit its grant"
);

/// The outside end of a leash: whoever drops it cuts the stream.
#[derive(Debug)]
pub(crate) struct Leash(Arc<Shared>);

#[derive(Debug)]
struct Shared {
    is_cut: AtomicBool,
    granted_bytes: AtomicU64,
    reader: AtomicWaker,
    writer: AtomicWaker,
}

impl Leash {
    /// Puts `stream` on a leash. `life` ends with the stream, which the library's task drops when it ends.
    pub(crate) fn tie(stream: TcpStream, life: Life) -> (Leash, Leashed) {
        let shared = Arc::new(Shared {
            is_cut: AtomicBool::new(false),
            granted_bytes: AtomicU64::new(LOGIN_GRANT_BYTES),
            reader: AtomicWaker::new(),
            writer: AtomicWaker::new(),
        });
        (Leash(Arc::clone(&shared)), Leashed { stream, shared, ahead: Vec::new(), taken: 0, _life: life })
    }

    /// Lets the host send what one more command may bring.
    pub(crate) fn grant_command(&self) {
        let more = |granted: u64| Some(granted.saturating_add(COMMAND_GRANT_BYTES).min(MAX_GRANT_BYTES));
        let _ = self.0.granted_bytes.fetch_update(Ordering::Relaxed, Ordering::Relaxed, more);
    }
}

impl Drop for Leash {
    fn drop(&mut self) {
        self.0.is_cut.store(true, Ordering::Release);
        self.0.reader.wake();
        self.0.writer.wake();
    }
}

/// The stream on its leash.
pub(crate) struct Leashed {
    stream: TcpStream,
    shared: Arc<Shared>,
    /// Bytes that were read and not asked for yet, from `taken` on.
    ahead: Vec<u8>,
    taken: usize,
    /// Last, so that the socket is closed before nobody counts it any more.
    _life: Life,
}

impl Leashed {
    fn cut(&self) -> Option<io::Error> {
        let is_cut = self.shared.is_cut.load(Ordering::Acquire);
        is_cut.then(|| io::Error::new(io::ErrorKind::ConnectionAborted, "the connection was given up"))
    }

    fn refusal(&self) -> Option<io::Error> {
        if let Some(cut) = self.cut() {
            return Some(cut);
        }
        if self.shared.granted_bytes.load(Ordering::Relaxed) == 0 {
            return Some(io::Error::new(
                io::ErrorKind::InvalidData,
                "the host sent far more than it was asked for",
            ));
        }
        None
    }

    /// Hands out what was read ahead, as far as there is room.
    fn hand_out(&mut self, buf: &mut ReadBuf<'_>) {
        let waiting = &self.ahead[self.taken..];
        let piece = &waiting[..waiting.len().min(buf.remaining())];
        buf.put_slice(piece);
        self.taken += piece.len();
        if self.taken == self.ahead.len() {
            self.ahead = Vec::new();
            self.taken = 0;
        }
    }

    /// Reads all that is there, up to a bound, and hands out as much as there is room for.
    fn read_on(&mut self, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<usize>> {
        let stream = Pin::new(&mut self.stream);
        if buf.remaining() >= READ_AT_ONCE_BYTES {
            let before = buf.filled().len();
            return stream.poll_read(cx, buf).map_ok(|()| buf.filled().len() - before);
        }
        let mut space = [MaybeUninit::uninit(); READ_AT_ONCE_BYTES];
        let mut read = ReadBuf::uninit(&mut space);
        std::task::ready!(stream.poll_read(cx, &mut read))?;
        let (now, later) = read.filled().split_at(read.filled().len().min(buf.remaining()));
        buf.put_slice(now);
        self.ahead = later.to_vec();
        Poll::Ready(Ok(now.len() + later.len()))
    }
}

impl AsyncRead for Leashed {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        // Registered before the flag is read, so that a cut in between still wakes.
        self.shared.reader.register(cx.waker());
        if let Some(cut) = self.cut() {
            return Poll::Ready(Err(cut));
        }
        if !self.ahead.is_empty() {
            self.hand_out(buf);
            return Poll::Ready(Ok(()));
        }
        if let Some(refusal) = self.refusal() {
            return Poll::Ready(Err(refusal));
        }
        let read = std::task::ready!(self.read_on(cx, buf))?;
        let less = |granted: u64| Some(granted.saturating_sub(read as u64));
        let _ = self.shared.granted_bytes.fetch_update(Ordering::Relaxed, Ordering::Relaxed, less);
        Poll::Ready(Ok(()))
    }
}

impl AsyncWrite for Leashed {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        self.shared.writer.register(cx.waker());
        match self.refusal() {
            Some(refusal) => Poll::Ready(Err(refusal)),
            None => Pin::new(&mut self.stream).poll_write(cx, bytes),
        }
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(cx)
    }
}

#[cfg(test)]
mod tests {
    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
    use tokio::net::TcpListener;

    use super::*;
    use crate::alive::Alive;

    async fn tied() -> (TcpStream, Leash, Leashed) {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let near = TcpStream::connect(listener.local_addr().unwrap()).await.unwrap();
        let (far, _) = listener.accept().await.unwrap();
        let (leash, leashed) = Leash::tie(near, Alive::default().begin());
        (far, leash, leashed)
    }

    #[tokio::test]
    async fn small_reads_bring_every_byte_in_order_and_nothing_is_kept_afterwards() {
        let (mut far, _leash, mut leashed) = tied().await;
        let sent: Vec<u8> = (0..3 * READ_AT_ONCE_BYTES + 7).map(|n| (n % 251) as u8).collect();
        far.write_all(&sent).await.unwrap();
        drop(far);
        let mut read = Vec::new();
        let mut piece = [0; 5];
        loop {
            match leashed.read(&mut piece).await.unwrap() {
                0 => break,
                n => read.extend_from_slice(&piece[..n]),
            }
        }
        assert!(read == sent);
        assert_eq!(leashed.ahead.capacity(), 0);
    }

    #[tokio::test]
    async fn a_cut_ends_reading_even_if_more_was_read_ahead() {
        let (mut far, leash, mut leashed) = tied().await;
        far.write_all(b"first, second").await.unwrap();
        leashed.read_exact(&mut [0; 5]).await.unwrap();
        drop(leash);
        let error = leashed.read(&mut [0; 5]).await.unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::ConnectionAborted);
    }

    #[tokio::test]
    async fn a_host_that_sends_more_than_it_was_granted_is_not_read_any_further() {
        let (mut far, _leash, mut leashed) = tied().await;
        tokio::spawn(async move { while far.write_all(&[0; 4096]).await.is_ok() {} });
        let mut read = 0_u64;
        let error = loop {
            match leashed.read(&mut [0; 16]).await {
                Ok(n) => read += n as u64,
                Err(error) => break error,
            }
        };
        assert_eq!(error.kind(), io::ErrorKind::InvalidData);
        assert!(read < LOGIN_GRANT_BYTES + READ_AT_ONCE_BYTES as u64, "{read}");
    }
}
