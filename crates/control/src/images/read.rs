//! A stored image, read by ranges.

use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt as _;
use std::path::Path;
use std::sync::Arc;

use bytes::Bytes;
use futures_util::Stream;
use futures_util::stream;

/// Bytes that are read at once: enough to keep a network busy, little enough for
/// a thousand readers.
const CHUNK: u64 = 256 << 10;

/// An image that is open for reading. It stays readable when it is removed.
#[derive(Clone, Debug)]
pub struct OpenImage {
    file: Arc<File>,
    length: u64,
}

impl OpenImage {
    pub(super) fn open(path: &Path) -> io::Result<Self> {
        let file = File::open(path)?;
        let length = file.metadata()?.len();
        Ok(Self { file: Arc::new(file), length })
    }

    /// Bytes in all.
    pub fn length(&self) -> u64 {
        self.length
    }

    /// The bytes from `start` to before `end`, which is at most the length.
    pub fn read(
        &self,
        start: u64,
        end: u64,
    ) -> impl Stream<Item = io::Result<Bytes>> + Send + use<> {
        assert!(start <= end && end <= self.length, "a range outside of the image");
        let file = self.file.clone();
        stream::try_unfold(start, move |at| {
            let file = file.clone();
            async move {
                if at == end {
                    return Ok(None);
                }
                let take = usize::try_from(CHUNK.min(end - at)).expect("a chunk fits");
                let read = tokio::task::spawn_blocking(move || {
                    let mut chunk = vec![0; take];
                    file.read_exact_at(&mut chunk, at).map(|()| chunk)
                });
                let chunk = read.await.map_err(io::Error::other)??;
                Ok(Some((Bytes::from(chunk), at + take as u64)))
            }
        })
    }
}
