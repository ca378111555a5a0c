//! An image on its way in: a temporary file that vanishes unless it is kept, and
//! the SHA-256 of what was written to it.

use std::fs::{self, File, OpenOptions};
use std::io::{Seek as _, Write as _};
use std::path::{Path, PathBuf};

use model::image::Checksum;
use model::{Bytes, ErrorCode, Problem};
use sha2::{Digest as _, Sha256};

use super::{blocking, storage_problem};
use crate::identity::sync_directory;

/// So much is gathered before the disk is asked: fewer ways to another thread.
const GATHERED: usize = 1 << 20;

/// A file that is removed when it is dropped.
struct Temporary {
    path: PathBuf,
    kept: bool,
}

impl Drop for Temporary {
    fn drop(&mut self) {
        if !self.kept {
            // A file that is left behind is removed at the next start.
            fs::remove_file(&self.path).ok();
        }
    }
}

/// What is at work on the disk.
struct Writing {
    temporary: Temporary,
    file: File,
    hash: Sha256,
}

/// An image on its way in.
pub(super) struct Incoming {
    // `None` only while a write is under way, and after one has failed.
    writing: Option<Writing>,
    gathered: Vec<u8>,
    received: u64,
    limit: Bytes,
}

/// An image that has come in whole, not yet checked.
pub(super) struct Whole {
    writing: Writing,
    /// SHA-256 of it.
    pub(super) checksum: Checksum,
    /// Its size.
    pub(super) received: Bytes,
}

impl Incoming {
    /// An empty file under a name that is not in use.
    pub(super) fn create(path: PathBuf, limit: Bytes) -> Result<Self, Problem> {
        let file = OpenOptions::new()
            .read(true)
            .write(true)
            .create_new(true)
            .open(&path)
            .map_err(|error| storage_problem("making a file for the image", &error))?;
        let temporary = Temporary { path, kept: false };
        let writing = Some(Writing { temporary, file, hash: Sha256::new() });
        Ok(Self { writing, gathered: Vec::with_capacity(GATHERED), received: 0, limit })
    }

    /// Bytes so far.
    pub(super) fn received(&self) -> Bytes {
        Bytes(self.received)
    }

    /// Takes the next bytes.
    pub(super) async fn push(&mut self, bytes: &[u8]) -> Result<(), Problem> {
        self.received += bytes.len() as u64;
        if self.received > self.limit.0 {
            let detail = format!("an image may have {} bytes", self.limit.0);
            return Err(Problem::new(ErrorCode::TooLarge, detail));
        }
        for part in bytes.chunks(GATHERED) {
            self.gathered.extend_from_slice(part);
            if self.gathered.len() >= GATHERED {
                self.write_gathered().await?;
            }
        }
        Ok(())
    }

    /// Forgets everything so far.
    pub(super) async fn restart(&mut self) -> Result<(), Problem> {
        self.gathered.clear();
        self.received = 0;
        self.on_disk(|writing| {
            writing.hash = Sha256::new();
            writing.file.set_len(0)?;
            writing.file.rewind()
        })
        .await
    }

    /// The end: everything is written and forced to disk.
    pub(super) async fn whole(mut self) -> Result<Whole, Problem> {
        self.write_gathered().await?;
        self.on_disk(|writing| writing.file.sync_all()).await?;
        let mut writing = self.writing.take().expect("it was written a moment ago");
        let digest = std::mem::take(&mut writing.hash).finalize();
        let checksum = Checksum::from_digest(digest.into());
        Ok(Whole { writing, checksum, received: Bytes(self.received) })
    }

    async fn write_gathered(&mut self) -> Result<(), Problem> {
        let gathered = std::mem::replace(&mut self.gathered, Vec::with_capacity(GATHERED));
        self.on_disk(move |writing| {
            writing.hash.update(&gathered);
            writing.file.write_all(&gathered)
        })
        .await
    }

    async fn on_disk(
        &mut self,
        work: impl FnOnce(&mut Writing) -> std::io::Result<()> + Send + 'static,
    ) -> Result<(), Problem> {
        let Some(mut writing) = self.writing.take() else {
            return Err(Problem::new(ErrorCode::Internal, "an image was given up before"));
        };
        let writing = blocking(move || match work(&mut writing) {
            Ok(()) => Ok(writing),
            Err(error) => Err(storage_problem("writing the image", &error)),
        })
        .await?;
        self.writing = Some(writing);
        Ok(())
    }
}

impl Whole {
    /// The file.
    pub(super) fn file(&self) -> &File {
        &self.writing.file
    }

    /// Gives it its name. It is on disk before.
    pub(super) fn keep_as(mut self, target: &Path) -> Result<(), Problem> {
        let keep = || {
            fs::rename(&self.writing.temporary.path, target)?;
            sync_directory(target.parent().unwrap_or(Path::new(".")))
        };
        keep().map_err(|error| storage_problem("keeping the image", &error))?;
        self.writing.temporary.kept = true;
        Ok(())
    }
}
