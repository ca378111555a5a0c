//! The bytes of images: `DIR/images/<id>`, whole and checked, or not there.
//!
//! An image comes in as a stream ([`ImageStore::receive`]) or from an address
//! ([`ImageStore::fetch`]), into a temporary file; it is hashed on its way, its
//! layout is read, and only then does it get its name. It goes out by ranges
//! ([`ImageStore::open_image`]).

mod fetch;
mod incoming;
pub mod probe;
pub mod range;
mod read;

use std::collections::HashSet;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};

use futures_util::{Stream, StreamExt as _};
use model::id::ImageId;
use model::image::{Checksum, ImageSpec};
use model::{Bytes, ErrorCode, Problem};

use crate::identity::{IdentityError, sync_directory};
use incoming::Incoming;
pub use read::OpenImage;

/// How the name of an unfinished file ends.
const PARTIAL: &str = "part";

/// The bounds on images.
#[derive(Clone, Copy, Debug)]
pub struct ImageLimits {
    /// The largest file that is taken.
    pub stored: Bytes,
    /// The largest disk that it may unpack to.
    pub unpacked: Bytes,
    /// How long a sender may be silent.
    pub silence: std::time::Duration,
    /// How often in a row a fetch may break off without a byte more.
    pub tries: u32,
}

impl Default for ImageLimits {
    fn default() -> Self {
        Self {
            stored: Bytes::gib(512),
            unpacked: Bytes::gib(16 << 10),
            silence: std::time::Duration::from_secs(60),
            tries: 5,
        }
    }
}

/// An image that is stored.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Stored {
    /// Of the file as it is stored.
    pub checksum: Checksum,
    /// Size as it is stored.
    pub stored: Bytes,
    /// Size on disk, unpacked.
    pub size: Bytes,
}

/// Keeps the bytes of images.
pub struct ImageStore {
    directory: PathBuf,
    limits: ImageLimits,
    next: AtomicU64,
}

impl ImageStore {
    /// Opens `DIR/images`, and removes what a crash left unfinished in it.
    pub fn open(directory: &Path) -> Result<Self, IdentityError> {
        Self::with_limits(directory, ImageLimits::default())
    }

    /// The same with other bounds.
    pub fn with_limits(directory: &Path, limits: ImageLimits) -> Result<Self, IdentityError> {
        let directory = directory.join("images");
        let store = Self { directory, limits, next: AtomicU64::new(0) };
        fs::create_dir_all(&store.directory)
            .and_then(|()| store.remove_where(|_, partial| partial))
            .map_err(|error| IdentityError::file(&store.directory, error))?;
        Ok(store)
    }

    /// Removes the files of images that nobody knows any more: those whose removal
    /// was recorded just before a crash. Call it before images are taken in.
    pub fn sweep(&self, known: &HashSet<ImageId>) -> Result<(), Problem> {
        self.remove_where(|image, _| image.is_some_and(|image| !known.contains(&image)))
            .map_err(|error| storage_problem("clearing up among the images", &error))
    }

    fn remove_where(&self, doomed: impl Fn(Option<ImageId>, bool) -> bool) -> io::Result<()> {
        for entry in fs::read_dir(&self.directory)? {
            let path = entry?.path();
            let partial = path.extension().is_some_and(|ending| ending == PARTIAL);
            let name = path.file_name().and_then(|name| name.to_str());
            let image = name.and_then(|name| name.parse().ok());
            if doomed(image, partial) {
                tracing::info!(path = %path.display(), "removed a file that is no image");
                fs::remove_file(&path)?;
            }
        }
        sync_directory(&self.directory)
    }

    /// Takes an image in from a stream. Afterwards it is stored, checked and on
    /// disk, or nothing is.
    ///
    /// Fails with `checksum-mismatch`, `image-unreadable` (the bytes are not as
    /// `spec` says), `storage-full`, `too-large`, or `invalid-request` when the
    /// stream breaks off.
    pub async fn receive<S, E>(
        &self,
        image: ImageId,
        spec: &ImageSpec,
        expected: Option<&Checksum>,
        mut content: S,
    ) -> Result<Stored, Problem>
    where
        S: Stream<Item = Result<bytes::Bytes, E>> + Unpin,
        E: std::fmt::Display,
    {
        let mut incoming = self.begin(image)?;
        loop {
            let next = tokio::time::timeout(self.limits.silence, content.next()).await;
            match next {
                Ok(Some(Ok(bytes))) => incoming.push(&bytes).await?,
                Ok(Some(Err(error))) => return Err(broken(&error, incoming.received())),
                Ok(None) => break,
                Err(_) => return Err(broken(&"the sender fell silent", incoming.received())),
            }
        }
        self.finish(image, spec, expected, incoming).await
    }

    /// A place for an image that is coming in.
    fn begin(&self, image: ImageId) -> Result<Incoming, Problem> {
        let number = self.next.fetch_add(1, Ordering::Relaxed);
        let path = self.directory.join(format!("{image}.{number}.{PARTIAL}"));
        Incoming::create(path, self.limits.stored)
    }

    /// Checks what came in and gives it its name.
    async fn finish(
        &self,
        image: ImageId,
        spec: &ImageSpec,
        expected: Option<&Checksum>,
        incoming: Incoming,
    ) -> Result<Stored, Problem> {
        let whole = incoming.whole().await?;
        if let Some(expected) = expected.filter(|expected| **expected != whole.checksum) {
            return Err(Problem::new(
                ErrorCode::ChecksumMismatch,
                format!("{expected} was announced, and {} came", whole.checksum),
            ));
        }
        let (spec, limit, target) = (spec.clone(), self.limits.unpacked, self.path(image));
        let stored = whole.received;
        let checksum = whole.checksum.clone();
        let size = blocking(move || {
            let size = probe::probe(whole.file(), stored, &spec, limit)?;
            whole.keep_as(&target)?;
            Ok(size)
        })
        .await?;
        Ok(Stored { checksum, stored, size })
    }

    /// Opens a stored image for reading by ranges.
    pub fn open_image(&self, image: ImageId) -> Result<OpenImage, Problem> {
        OpenImage::open(&self.path(image)).map_err(|error| match error.kind() {
            io::ErrorKind::NotFound => {
                Problem::new(ErrorCode::NotFound, format!("no bytes are stored of image {image}"))
            }
            _ => storage_problem("opening an image", &error),
        })
    }

    /// Removes the bytes of an image; nothing where there are none.
    pub fn remove(&self, image: ImageId) -> Result<(), Problem> {
        match fs::remove_file(self.path(image)) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => {
                Err(storage_problem("removing an image", &error))
            }
            _ => Ok(()),
        }
    }

    fn path(&self, image: ImageId) -> PathBuf {
        self.directory.join(image.to_string())
    }
}

/// Runs what waits for the disk where it holds nobody up.
async fn blocking<T: Send + 'static>(
    work: impl FnOnce() -> Result<T, Problem> + Send + 'static,
) -> Result<T, Problem> {
    match tokio::task::spawn_blocking(work).await {
        Ok(result) => result,
        Err(error) => Err(Problem::new(ErrorCode::Internal, format!("work on an image: {error}"))),
    }
}

/// A fault of the disk, in the words of the API.
fn storage_problem(doing: &str, error: &io::Error) -> Problem {
    let full = matches!(
        error.kind(),
        io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded | io::ErrorKind::FileTooLarge
    );
    let code = if full { ErrorCode::StorageFull } else { ErrorCode::Internal };
    Problem::new(code, format!("{doing}: {error}"))
}

fn broken(why: &dyn std::fmt::Display, received: Bytes) -> Problem {
    let detail = format!("the content broke off after {} bytes: {why}", received.0);
    Problem::new(ErrorCode::InvalidRequest, detail).next("Send the content again, whole.")
}
