//! What an image is, by its first bytes.

use std::io::{Cursor, Write as _};

use cli::image::content::{Kind, by_name, kind};
use cli::image::import::name_of;
use model::image::{Compression, ImageFormat};
use proptest::prelude::*;

const QCOW2: &[u8] = b"QFI\xfb\0\0\0\x03 and so on";

#[test]
fn the_first_bytes_tell_format_and_compression() {
    let zstd = |bytes: &[u8]| zstd::encode_all(bytes, 1).unwrap();
    let gzip = |bytes: &[u8]| {
        let mut packed = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
        packed.write_all(bytes).unwrap();
        packed.finish().unwrap()
    };
    let xz = |bytes: &[u8]| {
        let mut packed = liblzma::write::XzEncoder::new(Vec::new(), 1);
        packed.write_all(bytes).unwrap();
        packed.finish().unwrap()
    };
    let raw = vec![0_u8; 600];
    for (bytes, format) in [(QCOW2, ImageFormat::Qcow2), (&raw, ImageFormat::Raw)] {
        let files = [
            (bytes.to_vec(), Compression::None),
            (zstd(bytes), Compression::Zstd),
            (gzip(bytes), Compression::Gzip),
            (xz(bytes), Compression::Xz),
        ];
        for (file, compression) in files {
            assert_eq!(kind(Cursor::new(file)).unwrap(), Kind { compression, format });
        }
    }
}

#[test]
fn what_begins_like_a_packed_file_and_is_none_is_refused() {
    for magic in [&[0x28, 0xb5, 0x2f, 0xfd][..], &[0x1f, 0x8b], b"\xfd7zXZ\0"] {
        let mut file = magic.to_vec();
        file.extend([0xff; 64]);
        assert!(kind(Cursor::new(file)).is_err(), "{magic:?}");
    }
}

#[test]
fn an_address_tells_by_its_name() {
    use Compression::{Gzip, None as Plain, Zstd};
    let cases = [
        ("https://x/a.qcow2", (Some(ImageFormat::Qcow2), Plain)),
        ("https://x/a.RAW.zst?b=c.qcow2", (Some(ImageFormat::Raw), Zstd)),
        ("https://x/a.img", (None, Plain)),
        ("https://x/a.gz", (None, Gzip)),
    ];
    for (url, expected) in cases {
        assert_eq!(by_name(url), expected, "{url}");
    }
    assert_eq!(name_of("/x/Debian-12.raw.zst"), "debian-12");
    assert_eq!(name_of("https://x/y/noble.img?z#w"), "noble");
}

proptest! {
    #[test]
    fn no_file_makes_it_panic(bytes in prop::collection::vec(any::<u8>(), 0..200), magic in 0_usize..4) {
        let magics: [&[u8]; 4] = [b"", &[0x28, 0xb5, 0x2f, 0xfd], &[0x1f, 0x8b, 8], b"\xfd7zXZ\0"];
        let mut file = magics[magic].to_vec();
        file.extend(bytes);
        let _ = kind(Cursor::new(file));
    }
}
