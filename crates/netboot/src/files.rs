//! The files that are handed out.
//!
//! They are held in memory once and shared by all connections: an image is some
//! 15 to 40 MB, a hundred machines that boot at once read the same pages, and no
//! connection holds more than the chunk that is on its way.

use std::path::Path;
use std::sync::Arc;

use bytes::Bytes;
use sha2::{Digest, Sha256};

/// One file with its name for caches.
#[derive(Clone, Debug)]
pub struct BootFile {
    /// Its bytes.
    pub bytes: Bytes,
    /// Its entity tag (RFC 9110, section 8.8.3): the SHA-256 in quotes.
    pub etag: Arc<str>,
}

impl BootFile {
    /// A file of these bytes.
    pub fn new(bytes: Bytes) -> Self {
        let digest = Sha256::digest(&bytes);
        let hex: String = digest.iter().map(|byte| format!("{byte:02x}")).collect();
        Self { bytes, etag: format!("\"{hex}\"").into() }
    }
}

/// What machines may fetch. Empty until the image has been built: then they are
/// told to come again.
#[derive(Clone, Debug, Default)]
pub struct BootFiles {
    /// The signed image.
    pub efi: Option<BootFile>,
    /// The same on a virtual medium.
    pub iso: Option<BootFile>,
}

impl BootFiles {
    /// Of bytes in memory.
    pub fn new(efi: Bytes, iso: Option<Bytes>) -> Self {
        Self { efi: Some(BootFile::new(efi)), iso: iso.map(BootFile::new) }
    }

    /// Read from disk.
    ///
    /// # Errors
    /// When a file cannot be read.
    pub fn load(efi: &Path, iso: Option<&Path>) -> std::io::Result<Self> {
        let iso = iso.map(std::fs::read).transpose()?.map(Bytes::from);
        Ok(Self::new(Bytes::from(std::fs::read(efi)?), iso))
    }
}
