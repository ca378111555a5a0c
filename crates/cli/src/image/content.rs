//! What a file is: how it is packed, how it is laid out once unpacked, and its
//! SHA-256. Told by its first bytes, never by its name.

use std::fs::File;
use std::io::{self, BufReader, Read};
use std::path::Path;

use model::image::{Checksum, Compression, ImageFormat};
use sha2::{Digest as _, Sha256};

/// Bytes that are read at a time.
const CHUNK: usize = 1 << 20;
/// The first bytes of a qcow2 image (QEMU, `docs/interop/qcow2.txt`).
const QCOW2: &[u8] = b"QFI\xfb";

/// What a file is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Kind {
    /// How it is packed.
    pub compression: Compression,
    /// How it is laid out.
    pub format: ImageFormat,
}

/// How a file with these first bytes is packed (RFC 8878, RFC 1952, the xz format).
pub fn compression(head: &[u8]) -> Compression {
    match head {
        [0x28, 0xb5, 0x2f, 0xfd, ..] => Compression::Zstd,
        [0x1f, 0x8b, ..] => Compression::Gzip,
        [0xfd, b'7', b'z', b'X', b'Z', 0, ..] => Compression::Xz,
        _ => Compression::None,
    }
}

/// What an image is, by its first bytes; packed ones are unpacked as far as it takes.
pub fn kind(mut file: impl Read + io::Seek) -> io::Result<Kind> {
    let head = head(&mut file)?;
    file.rewind()?;
    let compression = compression(&head);
    let unpacked = match compression {
        Compression::None => head,
        Compression::Zstd => self::head(zstd::Decoder::new(file)?)?,
        Compression::Gzip => self::head(flate2::read::MultiGzDecoder::new(BufReader::new(file)))?,
        Compression::Xz => self::head(liblzma::read::XzDecoder::new_multi_decoder(file))?,
    };
    let format = match unpacked.starts_with(QCOW2) {
        true => ImageFormat::Qcow2,
        false => ImageFormat::Raw,
    };
    Ok(Kind { compression, format })
}

/// The first bytes.
fn head(from: impl Read) -> io::Result<Vec<u8>> {
    let mut head = Vec::new();
    from.take(8).read_to_end(&mut head)?;
    Ok(head)
}

/// What an image behind an address is by its name, where the name says so.
pub fn by_name(url: &str) -> (Option<ImageFormat>, Compression) {
    let path = url.split(['?', '#']).next().unwrap_or(url).to_ascii_lowercase();
    let packed =
        [(".zst", Compression::Zstd), (".gz", Compression::Gzip), (".xz", Compression::Xz)];
    let found = packed.iter().find(|(end, _)| path.ends_with(end));
    let (rest, compression) = match found {
        Some((end, compression)) => (&path[..path.len() - end.len()], *compression),
        None => (path.as_str(), Compression::None),
    };
    let format = match rest {
        rest if rest.ends_with(".qcow2") => Some(ImageFormat::Qcow2),
        rest if rest.ends_with(".raw") => Some(ImageFormat::Raw),
        _ => None,
    };
    (format, compression)
}

/// SHA-256 of a file. `progress` hears how many bytes were read.
pub fn checksum(path: &Path, mut progress: impl FnMut(u64)) -> io::Result<Checksum> {
    let mut file = File::open(path)?;
    let (mut hash, mut chunk, mut done) = (Sha256::new(), vec![0; CHUNK], 0);
    loop {
        let read = file.read(&mut chunk)?;
        if read == 0 {
            return Ok(Checksum::from_digest(hash.finalize().into()));
        }
        hash.update(&chunk[..read]);
        done += read as u64;
        progress(done);
    }
}
