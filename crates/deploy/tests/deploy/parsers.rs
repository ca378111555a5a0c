//! Nothing that comes from outside makes a parser panic; real samples are understood.

use deploy::boot::kexec;
use deploy::image::gpt::Gpt;
use deploy::image::qcow2::{Header, Stream};
use deploy::image::target::Sink;
use deploy::inventory::smbios;
use deploy::network::lldp;
use deploy::network::reply::Reply;
use model::Bytes;
use model::agent::AgentFailure;
use proptest::prelude::*;

use crate::made_up::{Machine, has, path, run};

/// The tables of a QEMU 10 machine (`-machine q35 -smp 2 -m 1024`), with a serial number set.
const QEMU: &[u8] = include_bytes!("fixtures/smbios-qemu.bin");

#[test]
fn the_tables_of_a_real_machine() {
    let tables = smbios::parse(QEMU, true);
    assert_eq!(tables.system.manufacturer, "QEMU");
    assert_eq!(tables.system.serial, "S-0042");
    assert_eq!(tables.system.uuid, "00112233-4455-6677-8899-aabbccddeeff");
    assert_eq!(tables.memory.iter().map(|module| module.size.0).sum::<u64>(), Bytes::gib(1).0);
    assert!(!tables.processors.is_empty() && tables.processors[0].cores >= 1);
    assert!(!tables.bios.is_empty());
}

#[test]
fn cut_tables_are_survived() {
    for length in 0..QEMU.len() {
        smbios::parse(&QEMU[..length], true);
    }
}

/// Forgets everything, within bounds.
struct Nowhere(u64);
impl Sink for Nowhere {
    fn put(&mut self, offset: u64, data: &[u8]) -> Result<(), AgentFailure> {
        assert!(offset + data.len() as u64 <= self.0);
        Ok(())
    }
    fn clear(&mut self, offset: u64, length: u64) -> Result<(), AgentFailure> {
        assert!(offset + length <= self.0);
        Ok(())
    }
}

/// A small valid image with bytes changed.
fn qcow2(changes: &[(usize, u8)]) -> Vec<u8> {
    let mut file = vec![0; 8 * 512];
    file[..4].copy_from_slice(b"QFI\xfb");
    file[7] = 2;
    file[23] = 9;
    file[30] = 0x80; // 32 KiB: 64 clusters, one table
    file[39] = 1;
    file[46] = 2; // first-level table at 512
    file[512 + 6] = 4; // second-level table at 1024
    for cluster in 0..3 {
        file[1024 + cluster * 8 + 6] = 6 + 2 * cluster as u8;
    }
    file[1024 + 24] = 0x40;
    file[1024 + 30] = 8;
    file[1536..3584].fill(0xaa);
    for (place, value) in changes {
        let length = file.len();
        file[place % length] = *value;
    }
    file
}

fn stream(file: &[u8], piece: usize) -> Result<u64, AgentFailure> {
    let mut sink = Nowhere(u64::MAX);
    let mut stream = Stream::learning();
    for piece in file.chunks(piece) {
        stream.feed(piece, &mut sink)?;
    }
    stream.finish(&mut sink)
}

#[test]
fn the_small_image_is_valid() {
    let mut plain = qcow2(&[]);
    plain[1024 + 24..1024 + 32].fill(0);
    assert_eq!(stream(&plain, 100).unwrap(), 32 << 10);
}

#[test]
fn damaged_partition_tables_are_refused() {
    if !has("sgdisk", "gdisk") {
        return;
    }
    let machine = Machine::new();
    let file = machine.file("disk.raw");
    std::fs::write(&file, vec![0; 8 << 20]).unwrap();
    run("sgdisk", &["-n", "1:0:0", path(&file)]);
    let head = std::fs::read(&file).unwrap()[..1 << 20].to_vec();
    assert_eq!(Gpt::read(&head, 512).unwrap().partitions().len(), 1);
    for place in (512..604).chain(1024..1152) {
        let mut damaged = head.clone();
        damaged[place] ^= 0x10;
        assert!(Gpt::read(&damaged, 512).is_err(), "byte {place}");
    }
    assert!(Gpt::read(&head, 4096).unwrap_err().to_string().contains("sectors of 512"));
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 512, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn smbios_never_panics(bytes in prop::collection::vec(any::<u8>(), 0..2000), modern: bool) {
        smbios::parse(&bytes, modern);
        smbios::is_modern(&bytes);
    }

    #[test]
    fn smbios_survives_changes(changes in prop::collection::vec((any::<usize>(), any::<u8>()), 1..20)) {
        let mut bytes = QEMU.to_vec();
        for (place, value) in changes {
            let length = bytes.len();
            bytes[place % length] = value;
        }
        smbios::parse(&bytes, true);
    }

    #[test]
    fn lldp_never_panics(bytes in prop::collection::vec(any::<u8>(), 0..1500)) {
        lldp::parse(&bytes);
    }

    #[test]
    fn dhcp_never_panics(bytes in prop::collection::vec(any::<u8>(), 0..600)) {
        let mut packet = vec![0; 236];
        packet[0] = 2;
        packet.extend([99, 130, 83, 99, 53, 1, 2]);
        packet.extend(&bytes);
        Reply::parse(&packet);
        Reply::parse(&bytes);
    }

    #[test]
    fn gpt_never_panics(bytes in prop::collection::vec(any::<u8>(), 0..5000), mark: bool) {
        let mut head = vec![0; 1 << 20];
        head[512..512 + bytes.len()].copy_from_slice(&bytes);
        if mark {
            head[512..520].copy_from_slice(b"EFI PART");
        }
        let _ = Gpt::read(&head, 512);
        let _ = Gpt::read(&bytes, 512);
    }

    /// With correct checksums, so that everything behind them is reached.
    #[test]
    fn gpt_entries_never_panic(
        entries in prop::collection::vec((1u8..3, any::<u64>(), any::<u64>()), 1..8),
        usable: (u64, u64),
        disk in 4u64..100_000,
        extra in 0u64..1 << 40,
    ) {
        let mut head = vec![0; 1 << 20];
        for (index, (kind, first, last)) in entries.iter().enumerate() {
            let at = 1024 + index * 128;
            head[at] = *kind;
            head[at + 32..at + 40].copy_from_slice(&first.to_le_bytes());
            head[at + 40..at + 48].copy_from_slice(&last.to_le_bytes());
        }
        head[512..520].copy_from_slice(b"EFI PART");
        head[524] = 92;
        head[552..560].copy_from_slice(&usable.0.to_le_bytes());
        head[560..568].copy_from_slice(&usable.1.to_le_bytes());
        head[584] = 2;
        head[592] = 8;
        head[596] = 128;
        let crc = deploy::image::gpt::crc32(&head[1024..2048]);
        head[600..604].copy_from_slice(&crc.to_le_bytes());
        let crc = deploy::image::gpt::crc32(&head[512..604]);
        head[528..532].copy_from_slice(&crc.to_le_bytes());
        let mut gpt = Gpt::read(&head, 512).unwrap();
        if gpt.fit(disk << 20).is_ok() {
            let added = gpt.add_at_end(extra, [1; 16], "NAME").ok();
            gpt.grow_last(added.map(|added| added.first));
            gpt.write(&mut head, &mut vec![0; 1 << 20], disk << 20);
            prop_assert!(Gpt::read(&head, 512).is_ok());
        }
    }

    #[test]
    fn qcow2_headers_never_panic(bytes in any::<[u8; 32]>(), rest in any::<[u8; 32]>()) {
        let mut header = [0; 112];
        header[..4].copy_from_slice(b"QFI\xfb");
        header[7] = 3;
        header[20..52].copy_from_slice(&bytes);
        header[72..104].copy_from_slice(&rest);
        let _ = Header::parse(&header);
    }

    #[test]
    fn qcow2_never_panics(
        changes in prop::collection::vec((any::<usize>(), any::<u8>()), 0..12),
        near in prop::collection::vec((0usize..60, any::<u8>()), 0..2),
        piece in 1usize..2000,
    ) {
        let file = qcow2(&[changes, near].concat());
        let _ = stream(&file, piece);
        let whole = |from: u64, length: u64| {
            let from = (from as usize).min(file.len());
            let to = from.saturating_add(length as usize).min(file.len());
            Ok(file[from..to].to_vec())
        };
        if let Ok(mut prepared) = Stream::prepared(whole) {
            let _ = prepared.feed(&file, &mut Nowhere(u64::MAX));
            let _ = prepared.finish(&mut Nowhere(u64::MAX));
        }
    }

    #[test]
    fn menus_never_panic(text in "(linux|initrd|options)?[ -~\n\t]{0,200}") {
        kexec::grub(&text);
        kexec::entry(&text);
    }
}
