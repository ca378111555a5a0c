//! The firmware's tables (DMTF DSP0134): who made the machine, processors,
//! memory modules. Firmware writes what it likes, so every length is checked and
//! a structure that makes no sense is passed over.

use model::Bytes;
use model::inventory::{MemoryModule, Processor, SystemParts};

/// Largest table that is looked at; real ones have a few kilobytes.
pub const TABLE_MOST: usize = 1 << 20;
/// Most structures that are looked at.
const STRUCTURES_MOST: usize = 8192;
/// Longest string that is kept.
const TEXT_MOST: usize = 128;

/// What the tables say.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Tables {
    /// Type 1, and type 3 where type 1 has no serial number.
    pub system: SystemParts,
    /// Type 4, populated sockets.
    pub processors: Vec<Processor>,
    /// Type 17, populated slots.
    pub memory: Vec<MemoryModule>,
    /// Type 0: version of the BIOS or UEFI firmware.
    pub bios: String,
}

/// One structure: its formatted area and its strings.
#[derive(Clone, Copy, Debug)]
struct Structure<'a> {
    kind: u8,
    area: &'a [u8],
    strings: &'a [u8],
}

impl<'a> Structure<'a> {
    fn byte(&self, at: usize) -> Option<u8> {
        self.area.get(at).copied()
    }
    fn word(&self, at: usize) -> Option<u16> {
        self.area.get(at..at + 2).map(|b| u16::from_le_bytes([b[0], b[1]]))
    }
    fn double(&self, at: usize) -> Option<u32> {
        self.area.get(at..at + 4).map(|b| u32::from_le_bytes([b[0], b[1], b[2], b[3]]))
    }
    /// The string whose number is at this place; empty when there is none.
    fn text(&self, at: usize) -> String {
        let number = usize::from(self.byte(at).unwrap_or(0));
        let found = match number.checked_sub(1) {
            Some(index) => self.strings.split(|byte| *byte == 0).nth(index),
            None => None,
        };
        let bytes = found.unwrap_or_default();
        let text = String::from_utf8_lossy(&bytes[..bytes.len().min(TEXT_MOST)]);
        text.trim().replace(char::is_control, " ")
    }
}

/// The structures of a table, in order, until its end or the first that is broken (section 6.1).
fn structures(mut table: &[u8]) -> impl Iterator<Item = Structure<'_>> {
    std::iter::from_fn(move || {
        let [kind, length, ..] = *table else { return None };
        let length = usize::from(length);
        if length < 4 || length > table.len() || kind == 127 {
            return None;
        }
        let (area, rest) = table.split_at(length);
        // Strings end with an empty one; without strings there are just two zeros.
        let end = rest.windows(2).position(|pair| pair == [0, 0])?;
        table = &rest[end + 2..];
        Some(Structure { kind, area, strings: &rest[..end] })
    })
    .take(STRUCTURES_MOST)
}

/// Reads the table (`/sys/firmware/dmi/tables/DMI`); `modern` when its version is at
/// least 2.6, where the first fields of the UUID are little-endian.
pub fn parse(table: &[u8], modern: bool) -> Tables {
    let mut tables = Tables::default();
    let mut chassis = String::new();
    for structure in structures(&table[..table.len().min(TABLE_MOST)]) {
        match structure.kind {
            0 => tables.bios = structure.text(5),
            1 => tables.system = system(&structure, modern),
            3 if chassis.is_empty() => chassis = structure.text(7),
            4 => tables.processors.extend(processor(&structure)),
            17 => tables.memory.extend(module(&structure)),
            _ => {}
        }
    }
    if tables.system.serial.is_empty() {
        tables.system.serial = chassis;
    }
    tables
}

/// Whether an entry point (`smbios_entry_point`) is of version 2.6 or newer.
pub fn is_modern(entry: &[u8]) -> bool {
    let version = match entry {
        [b'_', b'S', b'M', b'3', b'_', _, _, major, minor, ..] => Some((*major, *minor)),
        [b'_', b'S', b'M', b'_', _, _, major, minor, ..] => Some((*major, *minor)),
        _ => None,
    };
    // Whoever does not say is not older than the kernels that show it.
    version.is_none_or(|version| version >= (2, 6))
}

/// Section 7.2.
fn system(structure: &Structure<'_>, modern: bool) -> SystemParts {
    SystemParts {
        manufacturer: structure.text(4),
        product: structure.text(5),
        serial: structure.text(7),
        uuid: structure.area.get(8..24).and_then(|bytes| uuid(bytes, modern)).unwrap_or_default(),
    }
}

/// Section 7.2.1: all zeros or all ones mean that there is none.
fn uuid(bytes: &[u8], modern: bool) -> Option<String> {
    let mut bytes: [u8; 16] = bytes.try_into().ok()?;
    if bytes == [0; 16] || bytes == [0xff; 16] {
        return None;
    }
    if modern {
        bytes[0..4].reverse();
        bytes[4..6].reverse();
        bytes[6..8].reverse();
    }
    let hex: String = bytes.iter().map(|byte| format!("{byte:02x}")).collect();
    let parts = [&hex[..8], &hex[8..12], &hex[12..16], &hex[16..20], &hex[20..]];
    Some(parts.join("-"))
}

/// Section 7.5. Counts above 254 are in the second fields of version 3.0.
fn processor(structure: &Structure<'_>) -> Option<Processor> {
    let populated = structure.byte(0x18)? & 0x40 != 0;
    let is_cpu = structure.byte(5)? == 3;
    if !populated || !is_cpu {
        return None;
    }
    let count = |short: usize, long: usize| match structure.byte(short) {
        Some(0xff) => u32::from(structure.word(long).unwrap_or(0xff)),
        Some(count) => u32::from(count),
        None => 0,
    };
    let cores = count(0x23, 0x2a).max(1);
    let threads = count(0x25, 0x2e).max(cores);
    Some(Processor { model: structure.text(0x10), cores, threads })
}

/// Section 7.18. The size is in MiB, or KiB when the top bit says so, or elsewhere when 7FFFh.
fn module(structure: &Structure<'_>) -> Option<MemoryModule> {
    let size = match structure.word(0x0c)? {
        0 | 0xffff => return None,
        0x7fff => u64::from(structure.double(0x1c)? & 0x7fff_ffff) << 20,
        kib if kib & 0x8000 != 0 => u64::from(kib & 0x7fff) << 10,
        mib => u64::from(mib) << 20,
    };
    Some(MemoryModule { slot: structure.text(0x10), size: Bytes(size) })
}
