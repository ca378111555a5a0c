//! A directory of files, for engines that keep a log in segments: the real side asks
//! the file system, the simulated side a seed.

mod content;
mod directory;
mod model;

use std::io;

pub use directory::{Directory, DirectoryFile};
pub use model::{ModelFile, ModelFiles, Moment, Pieces, Troubles};

/// Files of one store.
pub trait Files: Send + Sync + 'static {
    /// A file that is open.
    type File: File;
    /// Names of what is there, in no order.
    ///
    /// # Errors
    /// When the directory cannot be read.
    fn names(&self) -> io::Result<Vec<String>>;
    /// Opens a file for reading and writing; makes it when it is not there. Its name
    /// lasts only after [`Files::sync_names`].
    ///
    /// # Errors
    /// When it cannot be opened or made.
    fn open(&self, name: &str) -> io::Result<Self::File>;
    /// Removes a file. What is open stays readable.
    ///
    /// # Errors
    /// When it cannot be removed.
    fn remove(&self, name: &str) -> io::Result<()>;
    /// Makes what was made and removed last.
    ///
    /// # Errors
    /// When the directory cannot be synced.
    fn sync_names(&self) -> io::Result<()>;
    /// Bytes that may still be written.
    ///
    /// # Errors
    /// When the file system does not say.
    fn free(&self) -> io::Result<u64>;
}

/// A file. Offsets and lengths in bytes.
pub trait File: Send + Sync + 'static {
    /// Reads exactly so many bytes; an end before that is an error
    /// ([`io::ErrorKind::UnexpectedEof`]).
    ///
    /// # Errors
    /// When the medium fails or the file ends.
    fn read_at(&self, offset: u64, into: &mut [u8]) -> io::Result<()>;
    /// Writes all bytes.
    ///
    /// # Errors
    /// When the medium fails or is full; some of the bytes may be there then.
    fn write_at(&self, offset: u64, from: &[u8]) -> io::Result<()>;
    /// Makes what was written, and the length, last (fdatasync).
    ///
    /// # Errors
    /// When it cannot. What was written before may be lost then, and asking again
    /// proves nothing.
    fn sync(&self) -> io::Result<()>;
    /// Its length.
    ///
    /// # Errors
    /// When the file system does not say.
    fn length(&self) -> io::Result<u64>;
    /// Cuts or grows it; what is new reads as zeros.
    ///
    /// # Errors
    /// When it cannot.
    fn set_length(&self, length: u64) -> io::Result<()>;
    /// Reserves room for these bytes, so that writing them does not find the medium full.
    ///
    /// # Errors
    /// When there is no room; a file system that cannot reserve is no error.
    fn allocate(&self, offset: u64, length: u64) -> io::Result<()>;
    /// Gives the space of these bytes back; they read as zeros. Whole blocks only: the
    /// edges may stay.
    ///
    /// # Errors
    /// When it cannot; a file system without holes is no error.
    fn punch(&self, offset: u64, length: u64) -> io::Result<()>;
}
