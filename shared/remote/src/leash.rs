//! A TCP stream that can be cut from outside and reads no more than it was granted.
//!
//! The SSH library keeps a task per connection. That task lives as long as its socket gives it something to wait for,
//! so a host that stalls in the key exchange, or talks without end, could keep it for ever. Cutting the leash ends it
//! at once; the budget ends hosts that talk without having been asked.

use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::task::{Context, Poll};

use futures_util::task::AtomicWaker;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::TcpStream;

/// Bytes a host may send until the login is done: banners, two key exchanges and their padding fit many times over.
const LOGIN_GRANT_BYTES: u64 = 256 * 1024;
/// Bytes a host may send for one command: the output that is kept, a window in flight, and the packets around them.
pub(crate) const COMMAND_GRANT_BYTES: u64 = 256 * 1024;
/// Most that can be saved up: keepalives and key renewals of a quiet connection live on it.
const MAX_GRANT_BYTES: u64 = 8 * 1024 * 1024;

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
    /// Puts `stream` on a leash.
    pub(crate) fn tie(stream: TcpStream) -> (Leash, Leashed) {
        let shared = Arc::new(Shared {
            is_cut: AtomicBool::new(false),
            granted_bytes: AtomicU64::new(LOGIN_GRANT_BYTES),
            reader: AtomicWaker::new(),
            writer: AtomicWaker::new(),
        });
        (Leash(Arc::clone(&shared)), Leashed { stream, shared })
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
}

impl Leashed {
    fn refusal(&self) -> Option<io::Error> {
        if self.shared.is_cut.load(Ordering::Acquire) {
            return Some(io::Error::new(io::ErrorKind::ConnectionAborted, "the connection was given up"));
        }
        if self.shared.granted_bytes.load(Ordering::Relaxed) == 0 {
            return Some(io::Error::new(
                io::ErrorKind::InvalidData,
                "the host sent far more than it was asked for",
            ));
        }
        None
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
        if let Some(refusal) = self.refusal() {
            return Poll::Ready(Err(refusal));
        }
        let before = buf.filled().len();
        let result = Pin::new(&mut self.stream).poll_read(cx, buf);
        let read = (buf.filled().len() - before) as u64;
        if read > 0 {
            let less = |granted: u64| Some(granted.saturating_sub(read));
            let _ = self.shared.granted_bytes.fetch_update(Ordering::Relaxed, Ordering::Relaxed, less);
        }
        result
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
