//! Copies a raw image into a new volume, without any other program. Where the image is
//! zeros nothing is written: a new volume is zeros.

use std::fs::File;
use std::io::{self, Read as _, Seek as _, SeekFrom};
use std::path::Path;

use super::nbd::Disk;

/// Bytes that are read and written at a time.
const PIECE: u64 = 1 << 20;
/// Volumes are written in sectors.
const SECTOR: usize = 512;

/// Copies it all, and waits until it is durable. `progress` hears how far it is.
///
/// # Errors
/// Those of the file and of the socket, and a volume that is smaller than the image.
pub fn raw(image: &Path, mut disk: Disk, mut progress: impl FnMut(u64)) -> io::Result<()> {
    let mut file = File::open(image)?;
    let length = file.seek(SeekFrom::End(0))?;
    if length > disk.size() {
        return Err(io::Error::other("the volume is smaller than the image"));
    }
    let mut buffer = Vec::with_capacity(PIECE as usize);
    let mut at = 0;
    while at < length {
        // Data begins where it likes; the end of the file is no place to read.
        at = data_from(&file, at).unwrap_or(at) / SECTOR as u64 * SECTOR as u64;
        if at >= length {
            break;
        }
        let piece = PIECE.min(length.saturating_sub(at));
        buffer.clear();
        file.seek(SeekFrom::Start(at))?;
        if (&file).take(piece).read_to_end(&mut buffer)? == 0 {
            break;
        }
        let read = buffer.len() as u64;
        if buffer.iter().any(|byte| *byte != 0) {
            buffer.resize(buffer.len().next_multiple_of(SECTOR), 0);
            disk.write(at, &buffer)?;
        }
        at += read;
        progress(at);
    }
    progress(length);
    disk.finish()
}

/// Where the next data of a sparse file is (`lseek(2)`, `SEEK_DATA`); its end when there
/// is none, nothing where the file system does not say.
fn data_from(file: &File, at: u64) -> Option<u64> {
    match rustix::fs::seek(file, rustix::fs::SeekFrom::Data(at)) {
        Ok(data) => Some(data),
        Err(rustix::io::Errno::NXIO) => Some(u64::MAX),
        Err(_) => None,
    }
}
