//! What an image is, read from its own bytes: whether they are as they were
//! announced, and how large a disk they make. The bytes are whatever somebody
//! sent: every number in them is doubted.

pub mod qcow2;
pub mod xz;
pub mod zstd;

use std::fs::File;
use std::io::{self, BufReader, Read};
use std::os::unix::fs::FileExt;

use model::image::{Compression, ImageFormat, ImageSpec};
use model::{Bytes, ErrorCode, Problem};

/// Bytes of an image that are enough to know its layout.
const HEAD: usize = 512;
/// A file that ends, is empty or is of another kind.
const UNREADABLE: ErrorCode = ErrorCode::ImageUnreadable;
/// The window that a compressed image may ask for (128 MiB, zstd's own default).
const ZSTD_WINDOW_LOG: u32 = 27;

/// Bytes that can be read anywhere: a file, or a test's slice.
pub trait Content {
    /// Fills the buffer from a position on, or fails.
    fn read_exact_from(&self, buffer: &mut [u8], at: u64) -> io::Result<()>;
}

impl Content for File {
    fn read_exact_from(&self, buffer: &mut [u8], at: u64) -> io::Result<()> {
        FileExt::read_exact_at(self, buffer, at)
    }
}

impl Content for [u8] {
    fn read_exact_from(&self, buffer: &mut [u8], at: u64) -> io::Result<()> {
        let start = usize::try_from(at).unwrap_or(usize::MAX);
        let part = self.get(start..).and_then(|rest| rest.get(..buffer.len()));
        buffer.copy_from_slice(part.ok_or(io::ErrorKind::UnexpectedEof)?);
        Ok(())
    }
}

/// The size on disk of an image of `stored` bytes. Fails with `image-unreadable`
/// when the bytes are not as the spec says.
pub fn probe(file: &File, stored: Bytes, spec: &ImageSpec, limit: Bytes) -> Result<Bytes, Problem> {
    let mut head = vec![0; HEAD.min(usize::try_from(stored.0).unwrap_or(HEAD))];
    file.read_exact_from(&mut head, 0).map_err(|error| unreadable(&error))?;
    if head.is_empty() {
        return Err(Problem::new(UNREADABLE, "it is empty"));
    }
    check_packing(&head, spec.compression)?;
    let unpacked_head = match spec.compression {
        Compression::None => head,
        packed => unpack_head(file, packed)?,
    };
    check_layout(&unpacked_head, spec.format)?;
    let size = match spec.format {
        ImageFormat::Qcow2 => qcow2::virtual_size(&unpacked_head)
            .map_err(|error| Problem::new(UNREADABLE, error.to_string()))?,
        ImageFormat::Raw => raw_size(file, stored.0, spec.compression, limit.0)?,
    };
    if size == 0 || size > limit.0 {
        let detail = format!("it makes a disk of {size} bytes; 1 to {} are allowed", limit.0);
        return Err(Problem::new(UNREADABLE, detail));
    }
    Ok(Bytes(size))
}

/// How a file is packed, by its first bytes.
fn packing_of(head: &[u8]) -> Compression {
    const MAGICS: [(&[u8], Compression); 3] = [
        (&[0x28, 0xb5, 0x2f, 0xfd], Compression::Zstd),
        (&[0x1f, 0x8b], Compression::Gzip),
        (&[0xfd, b'7', b'z', b'X', b'Z', 0], Compression::Xz),
    ];
    let found = MAGICS.iter().find(|(magic, _)| head.starts_with(magic));
    found.map_or(Compression::None, |(_, packing)| *packing)
}

fn check_packing(head: &[u8], announced: Compression) -> Result<(), Problem> {
    let found = packing_of(head);
    // A zstd file may begin with a skippable frame (RFC 8878 section 3.1.2).
    let skippable = announced == Compression::Zstd && zstd::is_skippable(head);
    if found == announced || skippable {
        return Ok(());
    }
    let detail = format!(
        "compression {} was announced, and the bytes are those of {}",
        word(announced),
        word(found)
    );
    Err(Problem::new(UNREADABLE, detail)
        .next(format!("Announce it with compression {}, if it is that.", word(found))))
}

const fn word(packing: Compression) -> &'static str {
    match packing {
        Compression::None => "none",
        Compression::Zstd => "zstd",
        Compression::Gzip => "gzip",
        Compression::Xz => "xz",
    }
}

fn check_layout(head: &[u8], announced: ImageFormat) -> Result<(), Problem> {
    match (announced, qcow2::is_qcow2(head)) {
        (ImageFormat::Raw, true) => Err(Problem::new(
            UNREADABLE,
            "format raw was announced, and the bytes are those of qcow2",
        )
        .next("Announce it with format qcow2.")),
        (ImageFormat::Qcow2, false) => {
            Err(Problem::new(UNREADABLE, "format qcow2 was announced, and the bytes are not qcow2")
                .next("Announce it with format raw, if it is that."))
        }
        _ => Ok(()),
    }
}

/// The unpacked bytes of a file, from the first on.
fn unpacked(file: &File, packing: Compression) -> io::Result<Box<dyn Read + '_>> {
    let source = BufReader::with_capacity(256 << 10, Sequential { file, at: 0 });
    Ok(match packing {
        Compression::None => Box::new(source),
        Compression::Gzip => Box::new(flate2::bufread::MultiGzDecoder::new(source)),
        Compression::Xz => Box::new(liblzma::bufread::XzDecoder::new_multi_decoder(source)),
        Compression::Zstd => {
            let mut decoder = ::zstd::stream::read::Decoder::with_buffer(source)?;
            decoder.window_log_max(ZSTD_WINDOW_LOG)?;
            Box::new(decoder)
        }
    })
}

/// A file read from its beginning, whatever position it stands at.
struct Sequential<'a> {
    file: &'a File,
    at: u64,
}

impl Read for Sequential<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let count = self.file.read_at(buffer, self.at)?;
        self.at += count as u64;
        Ok(count)
    }
}

fn unpack_head(file: &File, packing: Compression) -> Result<Vec<u8>, Problem> {
    let mut head = Vec::with_capacity(HEAD);
    unpacked(file, packing)
        .and_then(|reader| reader.take(HEAD as u64).read_to_end(&mut head))
        .map_err(|error| unreadable(&error))?;
    Ok(head)
}

/// Size of a raw image: told by the frames where they tell it, else counted.
fn raw_size(file: &File, stored: u64, packing: Compression, limit: u64) -> Result<u64, Problem> {
    let told = match packing {
        Compression::None => Some(stored),
        Compression::Zstd => {
            zstd::unpacked_size(file, stored).map_err(|error| unreadable(&error))?
        }
        Compression::Xz => {
            Some(xz::unpacked_size(file, stored).map_err(|error| unreadable(&error))?)
        }
        // gzip tells its size only modulo 4 GiB, and only of its last member.
        Compression::Gzip => None,
    };
    match told {
        Some(size) => Ok(size),
        None => counted(file, packing, limit).map_err(|error| unreadable(&error)),
    }
}

/// Unpacks it all, once, to know how much it is; stops above the limit.
fn counted(file: &File, packing: Compression, limit: u64) -> io::Result<u64> {
    let mut reader = unpacked(file, packing)?.take(limit.saturating_add(1));
    io::copy(&mut reader, &mut io::sink())
}

fn unreadable(error: &io::Error) -> Problem {
    Problem::new(UNREADABLE, error.to_string())
}
