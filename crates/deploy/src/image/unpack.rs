//! Unpacking while it downloads. Memory is bounded whatever the file says.

use std::io::{self, Read};

use flate2::read::MultiGzDecoder;
use liblzma::read::XzDecoder;
use liblzma::stream::{CONCATENATED, Stream};
use model::image::Compression;

/// Largest window of zstd, as a power of two: 128 MiB, what `zstd --long` makes by default.
const ZSTD_WINDOW: u32 = 27;
/// Most memory for xz: enough for `xz -9` (65 MiB), with room.
const XZ_MEMORY: u64 = 256 << 20;

/// Reads the unpacked bytes of `packed`.
pub fn unpack<'a>(
    compression: Compression,
    packed: impl Read + 'a,
) -> io::Result<Box<dyn Read + 'a>> {
    Ok(match compression {
        Compression::None => Box::new(packed),
        Compression::Gzip => Box::new(MultiGzDecoder::new(packed)),
        Compression::Zstd => {
            let mut decoder = zstd::stream::read::Decoder::new(packed)?;
            decoder.window_log_max(ZSTD_WINDOW)?;
            Box::new(decoder)
        }
        Compression::Xz => {
            let stream = Stream::new_stream_decoder(XZ_MEMORY, CONCATENATED)?;
            Box::new(XzDecoder::new_stream(packed, stream))
        }
    })
}
