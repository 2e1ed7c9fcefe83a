//! A connection that is never read further than it was asked, until it is encrypted.
//!
//! With `STARTTLS` the first answers come unprotected. Somebody on the way can append answers of their own to the
//! server's "go on"; a client that has read them into its buffer takes them, after the handshake, for the server's
//! encrypted ones, and may believe that a letter was accepted which was not. Read byte by byte, whatever follows
//! "go on" is left to the TLS handshake, which fails on it.

use std::io;
use std::net::SocketAddr;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use lettre::transport::smtp::client::AsyncTokioStream;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::TcpStream;

/// The first byte of a TLS handshake record, with which no SMTP command begins.
const HANDSHAKE: u8 = 0x16;

/// A TCP connection that gives out single bytes until our side begins a TLS handshake.
#[derive(Debug)]
pub(crate) struct CarefulStream {
    tcp: TcpStream,
    is_encrypted: bool,
}

impl CarefulStream {
    /// Connects to the first of the server's addresses that answers, giving each at most `limit`.
    pub(crate) async fn connect(host: &str, port: u16, limit: Duration) -> io::Result<Self> {
        let mut failure = io::Error::other("the name has no address");
        for address in tokio::net::lookup_host((host, port)).await? {
            match tokio::time::timeout(limit, TcpStream::connect(address)).await {
                Ok(Ok(tcp)) => return Ok(Self { tcp, is_encrypted: false }),
                Ok(Err(error)) => failure = error,
                Err(_) => failure = io::Error::new(io::ErrorKind::TimedOut, "timed out"),
            }
        }
        Err(failure)
    }
}

impl AsyncRead for CarefulStream {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        out: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        if self.is_encrypted || out.remaining() == 0 {
            return Pin::new(&mut self.tcp).poll_read(cx, out);
        }
        let mut one = [0; 1];
        let mut byte = ReadBuf::new(&mut one);
        let polled = Pin::new(&mut self.tcp).poll_read(cx, &mut byte);
        out.put_slice(byte.filled());
        polled
    }
}

impl AsyncWrite for CarefulStream {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        self.is_encrypted |= bytes.first() == Some(&HANDSHAKE);
        Pin::new(&mut self.tcp).poll_write(cx, bytes)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.tcp).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.tcp).poll_shutdown(cx)
    }
}

impl AsyncTokioStream for CarefulStream {
    fn peer_addr(&self) -> io::Result<SocketAddr> {
        self.tcp.peer_addr()
    }
}
