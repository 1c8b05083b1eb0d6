//! Wraps a connection with timeouts: for a peer that never begins its first request, and for one
//! that does not read what is written to it.

use super::line::FirstLine;
use super::peer::Peer;
use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::time::{Sleep, sleep};

/// Bytes that every peer sends at least: the length of HTTP/2's preface. No HTTP/1 request is much
/// shorter.
const BEGINNING: usize = 24;

pub struct Timed<S> {
    stream: S,
    timeout: Duration,
    peer: Arc<Peer>,
    /// Bytes read so far.
    read: usize,
    line: FirstLine,
    /// Runs until the peer has sent [`BEGINNING`] bytes.
    until_begun: Option<Pin<Box<Sleep>>>,
    /// Runs while a write is pending because the peer does not read.
    until_written: Option<Pin<Box<Sleep>>>,
}

impl<S> Timed<S> {
    pub fn new(stream: S, timeout: Duration, peer: Arc<Peer>) -> Self {
        let (line, until_begun) = (FirstLine::default(), Some(Box::pin(sleep(timeout))));
        Self { stream, timeout, peer, read: 0, line, until_begun, until_written: None }
    }
}

impl<S: AsyncRead + Unpin> AsyncRead for Timed<S> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        if self.line.hand_on(buffer) {
            return Poll::Ready(Ok(()));
        }
        let before = buffer.filled().len();
        let read = Pin::new(&mut self.stream).poll_read(context, buffer);
        if read.is_ready() {
            self.peer.has_spoken();
            self.read = self.read.saturating_add(buffer.filled().len() - before);
            self.line.follow(buffer, before);
            if self.read >= BEGINNING {
                self.until_begun = None;
            }
        } else if self
            .until_begun
            .as_mut()
            .is_some_and(|until| until.as_mut().poll(context).is_ready())
        {
            return Poll::Ready(Err(io::ErrorKind::TimedOut.into()));
        }
        read
    }
}

impl<S: AsyncWrite + Unpin> Timed<S> {
    fn write<R>(
        &mut self,
        context: &mut Context<'_>,
        write: impl FnOnce(Pin<&mut S>, &mut Context<'_>) -> Poll<io::Result<R>>,
    ) -> Poll<io::Result<R>> {
        let written = write(Pin::new(&mut self.stream), context);
        if written.is_ready() {
            if self.until_written.take().is_some() {
                self.peer.set_writing(false);
            }
            return written;
        }
        self.peer.set_writing(true);
        let timeout = self.timeout;
        let until = self.until_written.get_or_insert_with(|| Box::pin(sleep(timeout)));
        if until.as_mut().poll(context).is_ready() {
            Poll::Ready(Err(io::ErrorKind::TimedOut.into()))
        } else {
            written
        }
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for Timed<S> {
    fn poll_write(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        self.write(context, |stream, context| stream.poll_write(context, bytes))
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        slices: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        self.write(context, |stream, context| stream.poll_write_vectored(context, slices))
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.write(context, |stream, context| stream.poll_flush(context))
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.write(context, |stream, context| stream.poll_shutdown(context))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::future::poll_fn;

    /// Takes what is written the second time that it is asked.
    struct Slow(bool);

    impl AsyncWrite for Slow {
        fn poll_write(
            mut self: Pin<&mut Self>,
            _: &mut Context<'_>,
            bytes: &[u8],
        ) -> Poll<io::Result<usize>> {
            self.0 = !self.0;
            if self.0 { Poll::Pending } else { Poll::Ready(Ok(bytes.len())) }
        }

        fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
            Poll::Ready(Ok(()))
        }

        fn poll_shutdown(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
            Poll::Ready(Ok(()))
        }
    }

    #[tokio::test]
    async fn a_peer_that_is_still_being_written_to_is_not_idle() {
        let peer = Peer::new();
        let mut timed = Timed::new(Slow(false), Duration::from_secs(60), Arc::clone(&peer));
        assert!(peer.idle_since().is_some());
        let mut write = |context: &mut Context<'_>| {
            Poll::Ready(Pin::new(&mut timed).poll_write(context, b"answer"))
        };
        assert!(poll_fn(&mut write).await.is_pending());
        assert!(peer.idle_since().is_none(), "it would be asked to leave before it has its answer");
        assert!(poll_fn(&mut write).await.is_ready());
        assert!(peer.idle_since().is_some());
    }
}
