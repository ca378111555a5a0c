//! The image writer against a real server over TLS, with files as disks.

use std::collections::VecDeque;
use std::fs;
use std::io::Write as _;

use deploy::image;
use deploy::work::Work;
use http::StatusCode;
use model::Bytes;
use model::agent::{AgentFact, AgentFailure, AgentFailureKind, WriteImage};
use model::image::{Checksum, Compression, ImageFormat};
use sha2::{Digest as _, Sha256};

use crate::authority::Authority;
use crate::files::{Files, Shelf, serve};
use crate::made_up::{Machine, system};

pub fn checksum(bytes: &[u8]) -> Checksum {
    Checksum::from_digest(Sha256::digest(bytes).into())
}

pub fn shelf(content: Vec<u8>) -> Shelf {
    Shelf { content, etag: "one".to_owned(), ranges: true, ..Shelf::default() }
}

/// An order for what is on the shelf.
pub fn order(
    files: &Files,
    format: ImageFormat,
    compression: Compression,
    size: usize,
) -> WriteImage {
    WriteImage {
        url: files.url.clone(),
        checksum: checksum(&files.shelf.lock().unwrap().content),
        format,
        compression,
        size: Bytes(size as u64),
        disk: None,
        grow: false,
        seed: Vec::new(),
    }
}

pub async fn write(
    machine: &Machine,
    authority: &Authority,
    order: WriteImage,
) -> Result<AgentFact, AgentFailure> {
    let access = authority.access();
    let control = "https://127.0.0.1:1";
    image::write(&machine.roots(), control, access, order, Work::default()).await
}

fn is_unbootable(disk: &[u8]) -> bool {
    let clear = |part: &[u8]| part.iter().all(|byte| *byte == 0);
    clear(&disk[..1 << 20]) && clear(&disk[disk.len() - (1 << 20)..])
}

fn pack(compression: Compression, plain: &[u8]) -> Vec<u8> {
    match compression {
        Compression::None => plain.to_vec(),
        Compression::Zstd => zstd::encode_all(plain, 1).unwrap(),
        Compression::Gzip => {
            // Two members, as pigz and cat make them.
            let mut packed = Vec::new();
            for part in plain.chunks(plain.len() / 2 + 1) {
                let level = flate2::Compression::fast();
                let mut encoder = flate2::write::GzEncoder::new(&mut packed, level);
                encoder.write_all(part).unwrap();
                encoder.finish().unwrap();
            }
            packed
        }
        Compression::Xz => {
            let mut encoder = liblzma::write::XzEncoder::new(Vec::new(), 1);
            encoder.write_all(plain).unwrap();
            encoder.finish().unwrap()
        }
    }
}

#[tokio::test]
async fn raw_images_arrive_whole_however_packed() {
    let authority = Authority::new();
    let plain = system(24);
    for packing in [Compression::None, Compression::Zstd, Compression::Gzip, Compression::Xz] {
        let machine = Machine::new();
        let node = machine.disk("vda", 32);
        let files = serve(&authority, shelf(pack(packing, &plain))).await;
        let order = order(&files, ImageFormat::Raw, packing, plain.len());
        let fact = write(&machine, &authority, order.clone()).await.unwrap();
        let AgentFact::ImageWritten { disk, written, checksum } = fact else { panic!("{fact:?}") };
        assert_eq!((disk.as_str(), checksum), ("vda", order.checksum));
        assert!(
            written.0 > 0 && written.0 < plain.len() as u64,
            "holes are not written: {written}"
        );
        let disk = fs::read(&node).unwrap();
        assert_eq!(disk.len(), 32 << 20);
        assert!(disk[..plain.len()] == plain, "{packing:?}");
        assert!(disk[plain.len()..31 << 20].iter().any(|byte| *byte != 0), "beyond it nothing");
        assert!(disk[31 << 20..].iter().all(|byte| *byte == 0), "no old backup table");
    }
}

#[tokio::test]
async fn an_image_as_large_as_its_disk_fits() {
    let (authority, machine) = (Authority::new(), Machine::new());
    let node = machine.disk("vda", 8);
    let plain = system(8);
    let files = serve(&authority, shelf(plain.clone())).await;
    let order = order(&files, ImageFormat::Raw, Compression::None, plain.len());
    write(&machine, &authority, order).await.unwrap();
    assert!(fs::read(&node).unwrap() == plain);
}

#[tokio::test]
async fn a_cut_connection_goes_on_where_it_ended() {
    let authority = Authority::new();
    let plain = system(12);
    for ranges in [true, false] {
        let machine = Machine::new();
        let node = machine.disk("vda", 16);
        let cuts: VecDeque<u64> = [1, 77_777, 77_778, 3_000_000, 9_999_999, 12_582_911].into();
        let shelf = Shelf { cuts: cuts.clone(), ranges, ..shelf(plain.clone()) };
        let files = serve(&authority, shelf).await;
        let order = order(&files, ImageFormat::Raw, Compression::None, plain.len());
        write(&machine, &authority, order).await.unwrap();
        assert!(fs::read(&node).unwrap()[..plain.len()] == plain);
        let asked = files.shelf.lock().unwrap().asked.clone();
        assert_eq!(asked.len(), cuts.len() + 1, "one request a cut: {asked:?}");
        // What was still in the server's buffers when it broke was never sent.
        assert!(
            asked.is_sorted() && asked.iter().skip(1).zip(&cuts).all(|(from, cut)| from <= cut)
        );
        assert_eq!(ranges, asked[cuts.len()] > 0, "{asked:?}");
    }
}

#[tokio::test]
async fn a_file_that_changes_is_begun_anew() {
    let (authority, machine) = (Authority::new(), Machine::new());
    let node = machine.disk("vda", 16);
    let (old, new) = (vec![7; 8 << 20], system(8));
    let shelf = Shelf {
        cuts: [5_000_000].into(),
        then: Some((new.clone(), "two".to_owned())),
        ..shelf(old)
    };
    let files = serve(&authority, shelf).await;
    let mut order = order(&files, ImageFormat::Raw, Compression::None, new.len());
    order.checksum = checksum(&new);
    write(&machine, &authority, order).await.unwrap();
    assert!(fs::read(&node).unwrap()[..new.len()] == new);
}

#[tokio::test]
async fn a_wrong_checksum_leaves_nothing_to_boot() {
    let (authority, machine) = (Authority::new(), Machine::new());
    let node = machine.disk("vda", 8);
    let files = serve(&authority, shelf(system(8))).await;
    let mut order = order(&files, ImageFormat::Raw, Compression::None, 8 << 20);
    order.checksum = checksum(b"another file");
    let failure = write(&machine, &authority, order).await.unwrap_err();
    assert_eq!(failure.kind, AgentFailureKind::Checksum, "{}", failure.message);
    assert!(is_unbootable(&fs::read(&node).unwrap()));
}

#[tokio::test]
async fn a_packed_file_that_ends_early_leaves_nothing_to_boot() {
    let (authority, machine) = (Authority::new(), Machine::new());
    let node = machine.disk("vda", 16);
    let plain = system(8);
    for packing in [Compression::Zstd, Compression::Gzip, Compression::Xz] {
        let mut packed = pack(packing, &plain);
        packed.truncate(packed.len() / 2);
        let files = serve(&authority, shelf(packed)).await;
        let order = order(&files, ImageFormat::Raw, packing, plain.len());
        let failure = write(&machine, &authority, order).await.unwrap_err();
        assert_eq!(failure.kind, AgentFailureKind::Checksum, "{}", failure.message);
        assert!(is_unbootable(&fs::read(&node).unwrap()));
    }
}

#[tokio::test]
async fn a_lost_server_is_a_network_failure() {
    let (authority, machine) = (Authority::new(), Machine::new());
    machine.disk("vda", 8);
    for (status, kind) in [
        (StatusCode::SERVICE_UNAVAILABLE, AgentFailureKind::Network),
        (StatusCode::NOT_FOUND, AgentFailureKind::Refused),
    ] {
        let shelf = Shelf { status: Some(status), ..shelf(vec![1; 4 << 20]) };
        let files = serve(&authority, shelf).await;
        let order = order(&files, ImageFormat::Raw, Compression::None, 4 << 20);
        let failure = write(&machine, &authority, order).await.unwrap_err();
        assert_eq!(failure.kind, kind, "{}", failure.message);
    }
}

#[tokio::test]
async fn the_disk_is_chosen_or_refused() {
    let (authority, machine) = (Authority::new(), Machine::new());
    machine.disk("vdb", 32);
    machine.disk("vdc", 16);
    machine.disk("vda", 5);
    let plain = system(8);
    let files = serve(&authority, shelf(plain.clone())).await;
    let order = order(&files, ImageFormat::Raw, Compression::None, plain.len());
    let fact = write(&machine, &authority, order.clone()).await.unwrap();
    assert!(matches!(fact, AgentFact::ImageWritten { disk, .. } if disk == "vdc"));
    for (disk, size, words) in [
        (Some("vdx"), 8 << 20, "there is no disk vdx"),
        (Some("vda"), 8 << 20, "vda has 5.0 MiB"),
        (None, 64 << 20, "no disk has 64.0 MiB"),
        // Announced smaller than it is: found out while it is written.
        (Some("vda"), 4 << 20, "the image reaches"),
    ] {
        let disk = disk.map(str::to_owned);
        let order = WriteImage { disk, size: Bytes(size), ..order.clone() };
        let failure = write(&machine, &authority, order).await.unwrap_err();
        assert_eq!(failure.kind, AgentFailureKind::Disk);
        assert!(failure.message.contains(words), "{}", failure.message);
    }
    assert!(is_unbootable(&fs::read(machine.roots().dev("vda")).unwrap()));
}

#[tokio::test]
async fn work_that_nobody_wants_stops() {
    let (authority, machine) = (Authority::new(), Machine::new());
    let node = machine.disk("vda", 16);
    let files = serve(&authority, shelf(system(16))).await;
    let order = order(&files, ImageFormat::Raw, Compression::None, 16 << 20);
    let work = Work::default();
    work.stop();
    let done = image::write(&machine.roots(), "", authority.access(), order, work).await;
    assert_eq!(done.unwrap_err().kind, AgentFailureKind::Refused);
    assert!(is_unbootable(&fs::read(&node).unwrap()));
}
