//! Images on their way in and out: wrong, cut off, too large, and right.

use std::collections::HashSet;
use std::convert::Infallible;
use std::io::Write as _;
use std::process::Command;

use bytes::Bytes;
use control::images::{ImageLimits, ImageStore, Stored};
use futures_util::{StreamExt as _, TryStreamExt as _, stream};
use model::id::ImageId;
use model::image::{Checksum, Compression, ImageFormat, ImageSpec};
use model::{ErrorCode, Problem};
use sha2::{Digest as _, Sha256};
use uuid::Uuid;

use crate::house::Folder;

const IMAGE: ImageId = ImageId::from_uuid(Uuid::from_u128(9));

fn spec(format: ImageFormat, compression: Compression) -> ImageSpec {
    ImageSpec { format, compression, project: None }
}

fn raw() -> ImageSpec {
    spec(ImageFormat::Raw, Compression::None)
}

fn checksum(bytes: &[u8]) -> Checksum {
    Checksum::from_digest(Sha256::digest(bytes).into())
}

fn data(length: usize) -> Vec<u8> {
    (0..length).map(|place| (place / 7 % 251) as u8).collect()
}

fn files(folder: &Folder) -> Vec<String> {
    let entries = std::fs::read_dir(folder.path().join("images")).expect("a folder");
    let name = |entry: std::io::Result<std::fs::DirEntry>| {
        entry.expect("an entry").file_name().to_string_lossy().into_owned()
    };
    entries.map(name).collect()
}

async fn send(
    store: &ImageStore,
    spec: &ImageSpec,
    expected: Option<&Checksum>,
    bytes: &[u8],
) -> Result<Stored, Problem> {
    let parts: Vec<_> = bytes.chunks(70_001).map(Bytes::copy_from_slice).collect();
    let parts = stream::iter(parts.into_iter().map(Ok::<_, Infallible>));
    store.receive(IMAGE, spec, expected, parts).await
}

#[tokio::test]
async fn what_comes_in_whole_goes_out_by_ranges() {
    let folder = Folder::new();
    let store = ImageStore::open(folder.path()).expect("room");
    let bytes = data(3_000_000);
    let expected = checksum(&bytes);
    let stored = send(&store, &raw(), Some(&expected), &bytes).await.expect("it is right");
    assert_eq!(stored.checksum, expected);
    assert_eq!((stored.stored.0, stored.size.0), (3_000_000, 3_000_000));
    let open = store.open_image(IMAGE).expect("it is stored");
    for (start, end) in [(0, 3_000_000), (1, 2), (262_143, 600_000), (2_999_999, 3_000_000)] {
        let parts: Vec<Bytes> = open.read(start, end).try_collect().await.expect("it is readable");
        assert!(parts.concat() == bytes[start as usize..end as usize], "{start} to {end}");
    }
    store.remove(IMAGE).expect("it is there");
    store.remove(IMAGE).expect("removed is removed");
    assert_eq!(store.open_image(IMAGE).expect_err("gone").code, ErrorCode::NotFound);
}

#[tokio::test]
async fn a_wrong_checksum_leaves_nothing() {
    let folder = Folder::new();
    let store = ImageStore::open(folder.path()).expect("room");
    let wrong = checksum(b"something else");
    let problem = send(&store, &raw(), Some(&wrong), &data(5000)).await.expect_err("wrong");
    assert_eq!(problem.code, ErrorCode::ChecksumMismatch);
    assert!(problem.detail.contains(&wrong.to_string()), "{problem}");
    assert_eq!(files(&folder), Vec::<String>::new());
}

#[tokio::test]
async fn what_breaks_off_or_is_too_large_leaves_nothing() {
    let folder = Folder::new();
    let limits = ImageLimits { stored: model::Bytes(1000), ..ImageLimits::default() };
    let store = ImageStore::with_limits(folder.path(), limits).expect("room");
    let parts = [Ok(Bytes::from_static(b"begin")), Err("the cable was pulled")];
    let parts = stream::iter(parts);
    let problem = store.receive(IMAGE, &raw(), None, parts).await.expect_err("cut off");
    assert_eq!(problem.code, ErrorCode::InvalidRequest);
    let problem = send(&store, &raw(), None, &data(1001)).await.expect_err("too large");
    assert_eq!(problem.code, ErrorCode::TooLarge);
    // The sender goes away in the middle: nobody reads on, and nothing stays either.
    let parts = stream::iter([Ok::<_, Infallible>(Bytes::from_static(b"begin"))]);
    let endless = parts.chain(stream::pending());
    let (spec, mut endless) = (raw(), Box::pin(endless));
    let receive = store.receive(IMAGE, &spec, None, &mut endless);
    let gone = tokio::time::timeout(std::time::Duration::from_millis(50), receive).await;
    assert!(gone.is_err());
    assert_eq!(files(&folder), Vec::<String>::new());
}

#[tokio::test]
async fn a_full_disk_is_said_and_cleared() {
    let folder = Folder::new();
    let Some(_small) = SmallDisk::mount(folder.path()) else { return };
    let store = ImageStore::open(folder.path()).expect("room");
    let problem = send(&store, &raw(), None, &data(8 << 20)).await.expect_err("it does not fit");
    assert_eq!(problem.code, ErrorCode::StorageFull, "{problem}");
    assert_eq!(files(&folder), Vec::<String>::new());
    send(&store, &raw(), None, &data(1 << 20)).await.expect("what fits is taken");
}

/// A file system of 4 MiB in memory.
struct SmallDisk(std::path::PathBuf);

impl SmallDisk {
    fn mount(path: &std::path::Path) -> Option<Self> {
        let mut mount = Command::new("mount");
        mount.args(["-t", "tmpfs", "-o", "size=4m", "tmpfs"]).arg(path);
        match mount.output() {
            Ok(output) if output.status.success() => Some(Self(path.to_owned())),
            _ => {
                println!("skipped: a small tmpfs cannot be mounted (it needs root)");
                None
            }
        }
    }
}

impl Drop for SmallDisk {
    fn drop(&mut self) {
        let _ = Command::new("umount").arg(&self.0).status();
    }
}

/// A qcow2 header, version 3, of a disk of 1 GiB.
fn qcow2() -> Vec<u8> {
    let mut head = vec![0; 65_536];
    head[..8].copy_from_slice(b"QFI\xfb\0\0\0\x03");
    head[20..24].copy_from_slice(&16u32.to_be_bytes());
    head[24..32].copy_from_slice(&(1u64 << 30).to_be_bytes());
    head[100..104].copy_from_slice(&104u32.to_be_bytes());
    head
}

fn packed(compression: Compression, bytes: &[u8]) -> Vec<u8> {
    match compression {
        Compression::None => bytes.to_vec(),
        Compression::Zstd => zstd::bulk::compress(bytes, 1).expect("packs"),
        Compression::Gzip => {
            let mut packer = flate2::write::GzEncoder::new(Vec::new(), Default::default());
            packer.write_all(bytes).expect("packs");
            packer.finish().expect("packs")
        }
        Compression::Xz => {
            let mut packer = liblzma::write::XzEncoder::new(Vec::new(), 1);
            packer.write_all(bytes).expect("packs");
            packer.finish().expect("packs")
        }
    }
}

const PACKINGS: [Compression; 4] =
    [Compression::None, Compression::Zstd, Compression::Gzip, Compression::Xz];

#[tokio::test]
async fn the_size_on_disk_is_read_from_each_kind() {
    let folder = Folder::new();
    let store = ImageStore::open(folder.path()).expect("room");
    for packing in PACKINGS {
        let plain = data(400_000);
        let spec = spec(ImageFormat::Raw, packing);
        let stored = send(&store, &spec, None, &packed(packing, &plain)).await.expect("raw");
        assert_eq!(stored.size.0, 400_000, "{packing:?}");
        let spec = ImageSpec { format: ImageFormat::Qcow2, ..spec };
        let stored = send(&store, &spec, None, &packed(packing, &qcow2())).await.expect("qcow2");
        assert_eq!(stored.size.0, 1 << 30, "{packing:?}");
    }
    // A stream does not say its size; it is counted.
    let streamed = zstd::stream::encode_all(&data(123_456)[..], 1).expect("packs");
    let spec = spec(ImageFormat::Raw, Compression::Zstd);
    let stored = send(&store, &spec, None, &streamed).await.expect("zstd");
    assert_eq!(stored.size.0, 123_456);
}

#[tokio::test]
async fn images_that_are_not_as_announced_are_refused() {
    let folder = Folder::new();
    let store = ImageStore::open(folder.path()).expect("room");
    let mut backed = qcow2();
    backed[8..16].copy_from_slice(&104u64.to_be_bytes());
    backed[16..20].copy_from_slice(&9u32.to_be_bytes());
    let mut encrypted = qcow2();
    encrypted[32..36].copy_from_slice(&1u32.to_be_bytes());
    let plain = data(100_000);
    let zstd = packed(Compression::Zstd, &plain);
    let xz = packed(Compression::Xz, &plain);
    let gzip = packed(Compression::Gzip, &plain);
    let cases: [(ImageFormat, Compression, &[u8], &str); 10] = [
        (ImageFormat::Qcow2, Compression::None, &backed, "backing file"),
        (ImageFormat::Qcow2, Compression::Zstd, &packed(Compression::Zstd, &backed), "backing"),
        (ImageFormat::Qcow2, Compression::None, &encrypted, "encrypted"),
        (ImageFormat::Raw, Compression::None, &qcow2(), "qcow2"),
        (ImageFormat::Qcow2, Compression::None, &plain, "not qcow2"),
        (ImageFormat::Raw, Compression::None, &zstd, "zstd"),
        (ImageFormat::Raw, Compression::Gzip, &xz, "xz"),
        (ImageFormat::Raw, Compression::Zstd, &zstd[..zstd.len() - 3], "frame"),
        (ImageFormat::Raw, Compression::Xz, &xz[..xz.len() - 8], "xz"),
        (ImageFormat::Raw, Compression::Gzip, &gzip[..gzip.len() - 12], ""),
    ];
    for (format, compression, bytes, words) in cases {
        let spec = spec(format, compression);
        let problem = send(&store, &spec, None, bytes).await.expect_err("not as announced");
        assert_eq!(problem.code, ErrorCode::ImageUnreadable, "{problem}");
        assert!(problem.detail.contains(words), "{problem} should speak of {words}");
    }
    let problem = send(&store, &raw(), None, b"").await.expect_err("empty");
    assert_eq!(problem.code, ErrorCode::ImageUnreadable);
    assert_eq!(files(&folder), Vec::<String>::new());
}

#[tokio::test]
async fn a_start_clears_what_a_crash_left() {
    let folder = Folder::new();
    let store = ImageStore::open(folder.path()).expect("room");
    send(&store, &raw(), None, b"an image").await.expect("stored");
    let left = folder.path().join(format!("images/{IMAGE}.7.part"));
    std::fs::write(left, b"half").expect("written");
    let store = ImageStore::open(folder.path()).expect("room");
    assert_eq!(files(&folder), [IMAGE.to_string()]);
    store.sweep(&HashSet::from([IMAGE])).expect("swept");
    assert_eq!(files(&folder), [IMAGE.to_string()], "it is known");
    store.sweep(&HashSet::new()).expect("swept");
    assert_eq!(files(&folder), Vec::<String>::new());
}

/// A web server that breaks off in the middle of its first answers, and tells what
/// it was asked.
async fn breaking_server(
    bytes: Vec<u8>,
    breaks: usize,
) -> (String, tokio::sync::mpsc::UnboundedReceiver<String>) {
    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.expect("a free port");
    let address = format!("http://{}/image", listener.local_addr().expect("bound"));
    let (tell, told) = tokio::sync::mpsc::unbounded_channel();
    tokio::spawn(async move {
        for turn in 0.. {
            let Ok((mut stream, _)) = listener.accept().await else { return };
            let mut request = vec![0; 4096];
            let read = stream.read(&mut request).await.unwrap_or(0);
            let request = String::from_utf8_lossy(&request[..read]).to_lowercase();
            let from = request.split("range: bytes=").nth(1).and_then(|rest| {
                rest.split('-').next().and_then(|first| first.parse::<usize>().ok())
            });
            let _ = tell.send(request);
            let start = from.unwrap_or(0);
            let status = if from.is_some() { "206 Partial Content" } else { "200 OK" };
            let head = format!(
                "HTTP/1.1 {status}\r\netag: \"one\"\r\ncontent-length: {}\r\ncontent-range: bytes {start}-{}/{}\r\nconnection: close\r\n\r\n",
                bytes.len() - start,
                bytes.len() - 1,
                bytes.len(),
            );
            let end = if turn < breaks { start + (bytes.len() - start) / 2 } else { bytes.len() };
            let _ = stream.write_all(head.as_bytes()).await;
            let _ = stream.write_all(&bytes[start..end]).await;
            let _ = stream.shutdown().await;
        }
    });
    (address, told)
}

#[tokio::test]
async fn a_fetch_goes_on_where_it_broke_off() {
    let _ = rustls::crypto::ring::default_provider().install_default();
    let folder = Folder::new();
    let store = ImageStore::open(folder.path()).expect("room");
    let bytes = data(2_500_000);
    let (address, mut told) = breaking_server(bytes.clone(), 2).await;
    let expected = checksum(&bytes);
    let stored =
        store.fetch(IMAGE, &raw(), Some(&expected), &address).await.expect("it comes whole");
    assert_eq!(stored.stored.0, 2_500_000);
    assert!(!told.recv().await.expect("a first request").contains("range:"));
    let second = told.recv().await.expect("a second request");
    assert!(second.contains("range: bytes=") && second.contains("if-range: \"one\""), "{second}");
}

#[tokio::test]
async fn a_fetch_that_leads_nowhere_is_said() {
    let _ = rustls::crypto::ring::default_provider().install_default();
    let folder = Folder::new();
    let limits = ImageLimits { tries: 1, ..ImageLimits::default() };
    let store = ImageStore::with_limits(folder.path(), limits).expect("room");
    for (address, code) in [
        ("file:///etc/passwd", ErrorCode::InvalidRequest),
        ("nonsense", ErrorCode::InvalidRequest),
        ("http://127.0.0.1:1/image", ErrorCode::Unavailable),
    ] {
        let problem = store.fetch(IMAGE, &raw(), None, address).await.expect_err("nowhere");
        assert_eq!(problem.code, code, "{problem}");
    }
    assert_eq!(files(&folder), Vec::<String>::new());
}
