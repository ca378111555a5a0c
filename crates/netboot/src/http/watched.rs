//! A connection that is watched while it is written to.
//!
//! Two things are seen only here: that the last byte of a file has left us (a body
//! knows when it was asked for it, which is earlier), and that a client takes
//! nothing any more, which no timeout of a request would notice.

use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::time::{Instant, Sleep};

use super::body::Ending;
use crate::sightings::Sightings;

/// How long a client may take nothing. Firmware that checks or draws does not read
/// for some seconds.
const STALL: Duration = Duration::from_secs(60);

/// A stream, plain or with TLS.
pub(super) struct Watched<S> {
    inner: S,
    ending: Arc<Ending>,
    sightings: Arc<Sightings>,
    stall: Pin<Box<Sleep>>,
    waiting: bool,
}

impl<S> Watched<S> {
    /// Watches a stream.
    pub(super) fn new(inner: S, ending: Arc<Ending>, sightings: Arc<Sightings>) -> Self {
        let stall = Box::pin(tokio::time::sleep(STALL));
        Self { inner, ending, sightings, stall, waiting: false }
    }

    fn watch<T>(
        &mut self,
        context: &mut Context<'_>,
        written: Poll<io::Result<T>>,
    ) -> Poll<io::Result<T>> {
        if written.is_ready() {
            self.waiting = false;
            return written;
        }
        if !self.waiting {
            self.waiting = true;
            self.stall.as_mut().reset(Instant::now() + STALL);
        }
        match self.stall.as_mut().poll(context) {
            Poll::Ready(()) => Poll::Ready(Err(io::ErrorKind::TimedOut.into())),
            Poll::Pending => Poll::Pending,
        }
    }
}

impl<S: AsyncRead + Unpin> AsyncRead for Watched<S> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        Pin::new(&mut self.inner).poll_read(context, buffer)
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for Watched<S> {
    fn poll_write(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        let written = Pin::new(&mut self.inner).poll_write(context, bytes);
        self.watch(context, written)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        slices: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let written = Pin::new(&mut self.inner).poll_write_vectored(context, slices);
        self.watch(context, written)
    }

    fn is_write_vectored(&self) -> bool {
        self.inner.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        let flushed = Pin::new(&mut self.inner).poll_flush(context);
        // Whoever writes flushes after its own buffer is empty: all has left.
        if let Poll::Ready(Ok(())) = flushed
            && let Some(token) = self.ending.take()
        {
            self.sightings.fetched(&token);
        }
        self.watch(context, flushed)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        let closed = Pin::new(&mut self.inner).poll_shutdown(context);
        self.watch(context, closed)
    }
}
