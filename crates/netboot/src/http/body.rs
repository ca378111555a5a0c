//! The body of a reply: a part of a file, chunk by chunk, without a copy.

use std::convert::Infallible;
use std::pin::Pin;
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll};

use bytes::Bytes;
use hyper::body::{Body, Frame, SizeHint};

/// Bytes that are handed to the connection at once.
const CHUNK_BYTES: usize = 128 * 1_024;

/// The token whose file has been handed over to its last byte, until those bytes
/// have left. One for each connection, shared by its bodies and its stream.
#[derive(Debug, Default)]
pub(crate) struct Ending(Mutex<Option<String>>);

impl Ending {
    /// The last byte was handed over.
    fn set(&self, token: String) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = Some(token);
    }

    /// All that was handed over has left.
    pub(crate) fn take(&self) -> Option<String> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).take()
    }
}

/// A part of a file, or a short text.
#[derive(Debug)]
pub(crate) struct FileBody {
    rest: Bytes,
    /// Told when the last byte is handed over, where that is the end of the file.
    end: Option<(Arc<Ending>, String)>,
}

impl FileBody {
    /// These bytes.
    pub(crate) fn new(bytes: Bytes) -> Self {
        Self { rest: bytes, end: None }
    }

    /// These bytes, which are the last of a token's file.
    pub(crate) fn last(bytes: Bytes, ending: Arc<Ending>, token: &str) -> Self {
        Self { rest: bytes, end: Some((ending, token.to_owned())) }
    }
}

impl Body for FileBody {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        _: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
        if self.rest.is_empty() {
            return Poll::Ready(None);
        }
        let length = self.rest.len().min(CHUNK_BYTES);
        let chunk = self.rest.split_to(length);
        if self.rest.is_empty()
            && let Some((ending, token)) = self.end.take()
        {
            ending.set(token);
        }
        Poll::Ready(Some(Ok(Frame::data(chunk))))
    }

    fn is_end_stream(&self) -> bool {
        self.rest.is_empty()
    }

    fn size_hint(&self) -> SizeHint {
        SizeHint::with_exact(u64::try_from(self.rest.len()).unwrap_or(u64::MAX))
    }
}
