//! A shared socket. While hyper serves it, its owner can still ask whether unread bytes wait.

use super::peer::Peer;
use socket2::SockRef;
use std::io::{self, ErrorKind, IoSlice};
use std::mem::MaybeUninit;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::TcpStream;

#[derive(Clone)]
pub struct Socket {
    stream: Arc<TcpStream>,
    peer: Arc<Peer>,
}

impl Socket {
    pub fn new(stream: TcpStream, peer: Arc<Peer>) -> Self {
        let _ = stream.set_nodelay(true);
        Self { stream: Arc::new(stream), peer }
    }

    /// Returns whether unread bytes wait. Asks the system, since a busy runtime may not have
    /// noticed them yet.
    pub fn has_unread(&self) -> bool {
        // This never blocks: tokio sets its sockets to non-blocking.
        SockRef::from(&*self.stream).peek(&mut [MaybeUninit::uninit()]).is_ok_and(|bytes| bytes > 0)
    }

    fn write<R>(
        &self,
        context: &mut Context<'_>,
        write: impl Fn(&TcpStream) -> io::Result<R>,
    ) -> Poll<io::Result<R>> {
        loop {
            ready!(self.stream.poll_write_ready(context))?;
            if let Some(written) = unless_it_would_block(write(&self.stream)) {
                return Poll::Ready(written);
            }
        }
    }
}

/// Returns `None` for `WouldBlock`: the runtime wrongly took the socket for ready, and has cleared
/// that readiness.
fn unless_it_would_block<R>(result: io::Result<R>) -> Option<io::Result<R>> {
    (!matches!(&result, Err(error) if error.kind() == ErrorKind::WouldBlock)).then_some(result)
}

impl AsyncRead for Socket {
    fn poll_read(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        loop {
            ready!(self.stream.poll_read_ready(context))?;
            if let Some(read) = unless_it_would_block(self.stream.try_read_buf(buffer)) {
                // Also before a request: a TLS handshake counts.
                self.peer.has_spoken();
                return Poll::Ready(read.map(|_| ()));
            }
        }
    }
}

impl AsyncWrite for Socket {
    fn poll_write(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        self.write(context, |stream| stream.try_write(bytes))
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
        slices: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        self.write(context, |stream| stream.try_write_vectored(slices))
    }

    fn is_write_vectored(&self) -> bool {
        true
    }

    fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        // What is written is with the system.
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(match SockRef::from(&*self.stream).shutdown(std::net::Shutdown::Write) {
            // The peer has disconnected.
            Err(error) if error.kind() == ErrorKind::NotConnected => Ok(()),
            shut => shut,
        })
    }
}
