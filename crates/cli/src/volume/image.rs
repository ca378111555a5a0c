//! What an image is that a volume begins as.
//!
//! Images come from strangers. A qcow2 image may name other files that belong to it, and
//! who copies it reads them: such an image is refused, so that none brings in a file of
//! this host.

use std::fs::File;
use std::io::{Read as _, Seek as _, SeekFrom};
use std::path::{Path, PathBuf};

use model::Bytes;
use model::image::{Compression, ImageFormat};

use crate::Failure;
use crate::image::content;

/// An image that can be copied in.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Image {
    /// Where it is.
    pub path: PathBuf,
    /// How it is laid out.
    pub format: ImageFormat,
    /// The size of the disk that it holds.
    pub size: Bytes,
}

/// Looks at a file.
///
/// # Errors
/// One that cannot be read, is packed or empty, or needs other files.
pub fn look(path: &Path) -> Result<Image, Failure> {
    let failed = |error: std::io::Error| Failure::file(path, &error);
    let mut file = File::open(path).map_err(failed)?;
    let kind = content::kind(&mut file).map_err(failed)?;
    let name = path.display();
    let unpack = match kind.compression {
        Compression::None => None,
        Compression::Zstd => Some("zstd -d"),
        Compression::Gzip => Some("gunzip --keep"),
        Compression::Xz => Some("unxz --keep"),
    };
    if let Some(unpack) = unpack {
        let failure = Failure::new("image-packed", format!("{name} is packed"));
        return Err(failure.next(format!("Unpack it first: {unpack} {name}")));
    }
    let size = match kind.format {
        ImageFormat::Raw => file.seek(SeekFrom::End(0)).map_err(failed)?,
        ImageFormat::Qcow2 => {
            let mut head = Vec::new();
            file.rewind().map_err(failed)?;
            file.take(80).read_to_end(&mut head).map_err(failed)?;
            qcow2(&head).map_err(|why| unusable(path, why))?
        }
    };
    if size == 0 {
        return Err(Failure::usage(format!("{name} is empty")));
    }
    Ok(Image { path: path.to_owned(), format: kind.format, size: Bytes(size) })
}

fn unusable(path: &Path, why: &str) -> Failure {
    let name = path.display();
    let failure = Failure::new("image-unusable", format!("{name} cannot be used")).why(why);
    failure.next(format!(
        "If you trust it, make it whole: qemu-img convert -O qcow2 {name} whole.qcow2"
    ))
}

/// The size of the disk, by the header (QEMU, `docs/interop/qcow2.rst`, "Header").
fn qcow2(head: &[u8]) -> Result<u64, &'static str> {
    let long = |at: usize| {
        let bytes = head.get(at..at + 8).and_then(|bytes| bytes.try_into().ok());
        bytes.map(u64::from_be_bytes).ok_or("it ends within its header")
    };
    let version = long(0)? & 0xffff_ffff;
    if !matches!(version, 2 | 3) {
        return Err("its version is not known");
    }
    if long(8)? != 0 {
        return Err("it needs another file, its backing file");
    }
    // Incompatible features, from version 3 on: bit 2 is an external data file.
    if version == 3 && long(72)? & 4 != 0 {
        return Err("it needs another file, that of its data");
    }
    long(24)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn header(version: u32, backing: u64, size: u64, features: u64) -> Vec<u8> {
        let mut head = vec![0; 104];
        head[..4].copy_from_slice(b"QFI\xfb");
        head[4..8].copy_from_slice(&version.to_be_bytes());
        head[8..16].copy_from_slice(&backing.to_be_bytes());
        head[24..32].copy_from_slice(&size.to_be_bytes());
        head[72..80].copy_from_slice(&features.to_be_bytes());
        head
    }

    #[test]
    fn an_image_that_names_other_files_is_refused() {
        assert_eq!(qcow2(&header(3, 0, 1 << 30, 0)), Ok(1 << 30));
        assert_eq!(qcow2(&header(2, 0, 5, 4)), Ok(5), "version 2 has no features");
        qcow2(&header(3, 104, 1 << 30, 0)).expect_err("a backing file");
        qcow2(&header(3, 0, 1 << 30, 4)).expect_err("a data file");
        qcow2(&header(9, 0, 1 << 30, 0)).expect_err("an unknown version");
        for length in 0..80 {
            qcow2(&header(3, 0, 1 << 30, 0)[..length]).expect_err("cut off");
        }
    }
}
