//! Small files that must be whole or absent, whatever happens: written beside
//! their place, forced to disk, and moved into it.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::Path;

use super::IdentityError;

/// Readable by the owner alone.
pub(crate) const PRIVATE: u32 = 0o600;
/// Readable by everybody.
pub(crate) const PUBLIC: u32 = 0o644;

/// Writes a whole file with a mode. Afterwards it is on disk under its name, or
/// nothing has changed; a temporary file that a crash left behind is overwritten.
pub(crate) fn write_whole(path: &Path, bytes: &[u8], mode: u32) -> Result<(), IdentityError> {
    let temporary = path.with_extension("new");
    let write = || -> io::Result<()> {
        // A left-over may have another mode; `create_new` makes ours count.
        match fs::remove_file(&temporary) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
            _ => {}
        }
        let mut file =
            OpenOptions::new().write(true).create_new(true).mode(mode).open(&temporary)?;
        file.write_all(bytes)?;
        file.sync_all()?;
        fs::rename(&temporary, path)?;
        sync_directory(path.parent().unwrap_or(Path::new(".")))
    };
    write().map_err(|error| {
        fs::remove_file(&temporary).ok();
        IdentityError::file(path, error)
    })
}

/// Forces the names in a directory to disk.
pub(crate) fn sync_directory(directory: &Path) -> io::Result<()> {
    File::open(directory)?.sync_all()
}

/// Makes a directory that only the owner enters, where there is none.
pub(crate) fn make_private_directory(path: &Path) -> Result<(), IdentityError> {
    fs::DirBuilder::new()
        .recursive(true)
        .mode(0o700)
        .create(path)
        .map_err(|error| IdentityError::file(path, error))
}

/// Reads a small file; `None` where there is none.
pub(crate) fn read_whole(path: &Path) -> Result<Option<Vec<u8>>, IdentityError> {
    match fs::read(path) {
        Ok(bytes) => Ok(Some(bytes)),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(IdentityError::file(path, error)),
    }
}

/// Reads a small text file; `None` where there is none.
pub(crate) fn read_text(path: &Path) -> Result<Option<String>, IdentityError> {
    let Some(bytes) = read_whole(path)? else { return Ok(None) };
    String::from_utf8(bytes).map(Some).map_err(|_| IdentityError::damaged(path, "it is not text"))
}
