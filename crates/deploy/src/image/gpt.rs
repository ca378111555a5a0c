//! The GUID partition table (UEFI specification section 5.3), as far as an
//! image writer needs it: read the one at the front, make it fit the disk it
//! came to, and write both copies. Everything is bounded by the first MiB.

use thiserror::Error;

use crate::backoff::random;

/// The partition type of the EFI system partition, as on disk.
pub const EFI_SYSTEM: [u8; 16] = [
    0x28, 0x73, 0x2a, 0xc1, 0x1f, 0xf8, 0xd2, 0x11, 0xba, 0x4b, 0x00, 0xa0, 0xc9, 0x3e, 0xc9, 0x3b,
];
/// Microsoft basic data: what a FAT file system is put in.
pub const BASIC_DATA: [u8; 16] = [
    0xa2, 0xa0, 0xd0, 0xeb, 0xe5, 0xb9, 0x33, 0x44, 0x87, 0xc0, 0x68, 0xb6, 0xb7, 0x26, 0x99, 0xc7,
];
/// Partitions begin at multiples of this many bytes.
pub const ALIGNMENT: u64 = 1 << 20;

const HEADER: usize = 92;
/// Most entries that are taken: eight times what every tool makes.
const ENTRIES_MOST: u32 = 1024;

/// Why a table is not taken.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum GptError {
    /// There is none.
    #[error("there is no GUID partition table")]
    Absent,
    /// The disk counts in other sectors than the image.
    #[error("the image is laid out for sectors of {image} bytes, the disk has {disk}")]
    Sector {
        /// What the image was made for.
        image: u64,
        /// What the disk has.
        disk: u64,
    },
    /// Checksums or places are wrong.
    #[error("the partition table is damaged: {0}")]
    Damaged(&'static str),
    /// No space where it would have to be.
    #[error("there is no room: {0}")]
    NoRoom(&'static str),
}

/// One partition, in sectors.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Partition {
    /// Place in the table, from 1.
    pub number: u32,
    /// Type GUID, as on disk.
    pub kind: [u8; 16],
    /// Its own GUID, as on disk.
    pub guid: [u8; 16],
    /// First sector.
    pub first: u64,
    /// Last sector.
    pub last: u64,
}

/// A table that was read and checked.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Gpt {
    sector: u64,
    header: [u8; HEADER],
    entry_size: usize,
    entries: Vec<u8>,
}

fn long(bytes: &[u8], at: usize) -> u64 {
    u64::from_le_bytes(bytes[at..at + 8].try_into().expect("8 bytes"))
}
fn word(bytes: &[u8], at: usize) -> u32 {
    u32::from_le_bytes(bytes[at..at + 4].try_into().expect("4 bytes"))
}
fn guid(bytes: &[u8], at: usize) -> [u8; 16] {
    bytes[at..at + 16].try_into().expect("16 bytes")
}

/// CRC-32 (ISO 3309), as the specification asks.
pub fn crc32(bytes: &[u8]) -> u32 {
    let mut crc = flate2::Crc::new();
    crc.update(bytes);
    crc.sum()
}

impl Gpt {
    /// Reads the primary table from the beginning of a disk.
    pub fn read(head: &[u8], sector: u64) -> Result<Self, GptError> {
        assert!(sector.is_power_of_two() && (512..=65536).contains(&sector));
        let header = |sector: u64| head.get(sector as usize..sector as usize + HEADER);
        let marked = |sector: u64| header(sector).is_some_and(|bytes| &bytes[..8] == b"EFI PART");
        if !marked(sector) {
            return Err(match [512, 4096].into_iter().find(|other| marked(*other)) {
                Some(image) => GptError::Sector { image, disk: sector },
                None => GptError::Absent,
            });
        }
        let bytes: [u8; HEADER] =
            header(sector).and_then(|b| b.try_into().ok()).ok_or(GptError::Absent)?;
        Self::check(head, sector, bytes)
    }

    fn check(head: &[u8], sector: u64, header: [u8; HEADER]) -> Result<Self, GptError> {
        let length = word(&header, 12) as usize;
        if length < HEADER || length as u64 > sector {
            return Err(GptError::Damaged("length of the header"));
        }
        let from = sector as usize;
        let whole = head.get(from..from + length).ok_or(GptError::Damaged("header"))?;
        let mut cleared = whole.to_vec();
        cleared[16..20].fill(0);
        if crc32(&cleared) != word(&header, 16) {
            return Err(GptError::Damaged("checksum of the header"));
        }
        let (count, entry_size) = (word(&header, 80), word(&header, 84) as usize);
        let shaped = (128..=4096).contains(&entry_size) && entry_size.is_power_of_two();
        if !shaped || count == 0 || count > ENTRIES_MOST {
            return Err(GptError::Damaged("size of the table"));
        }
        let at = long(&header, 72).checked_mul(sector).and_then(|at| usize::try_from(at).ok());
        let entries = at
            .and_then(|at| head.get(at..at.checked_add(entry_size * count as usize)?))
            .ok_or(GptError::Damaged("place of the table"))?;
        if crc32(entries) != word(&header, 88) {
            return Err(GptError::Damaged("checksum of the table"));
        }
        Ok(Self { sector, header, entry_size, entries: entries.to_vec() })
    }

    /// All partitions, in the order of the table.
    pub fn partitions(&self) -> Vec<Partition> {
        self.entries
            .chunks_exact(self.entry_size)
            .zip(1..)
            .filter(|(entry, _)| entry[..16] != [0; 16])
            .map(|(entry, number)| Partition {
                number,
                kind: guid(entry, 0),
                guid: guid(entry, 16),
                first: long(entry, 32),
                last: long(entry, 40),
            })
            .collect()
    }

    /// The partition that reaches furthest.
    pub fn last_partition(&self) -> Option<Partition> {
        self.partitions().into_iter().max_by_key(|partition| partition.last)
    }

    /// Sectors that the entries take.
    fn entry_sectors(&self) -> u64 {
        (self.entries.len() as u64).div_ceil(self.sector)
    }

    /// The last sector that partitions may use on a disk of this size.
    fn last_usable(&self, disk: u64) -> Result<u64, GptError> {
        (disk / self.sector)
            .checked_sub(2 + self.entry_sectors())
            .filter(|last| *last >= long(&self.header, 40))
            .ok_or(GptError::NoRoom("the disk is too small for a partition table"))
    }

    /// The table now speaks of a disk with this many bytes.
    pub fn fit(&mut self, disk: u64) -> Result<(), GptError> {
        let last = self.last_usable(disk)?;
        if self.partitions().iter().any(|partition| partition.last > last) {
            return Err(GptError::NoRoom("a partition reaches beyond the end of the disk"));
        }
        self.header[48..56].copy_from_slice(&last.to_le_bytes());
        Ok(())
    }

    /// Adds a partition of `bytes` at the end of the disk and returns it.
    pub fn add_at_end(
        &mut self,
        bytes: u64,
        kind: [u8; 16],
        name: &str,
    ) -> Result<Partition, GptError> {
        let unit = (ALIGNMENT / self.sector).max(1);
        let last = long(&self.header, 48);
        let first = (last + 1)
            .checked_sub(bytes.div_ceil(self.sector))
            .map(|first| first - first % unit)
            .ok_or(GptError::NoRoom("the disk is too small for another partition"))?;
        let used = self.last_partition().map_or(long(&self.header, 40), |other| other.last + 1);
        if first < used {
            return Err(GptError::NoRoom("the partitions reach to the end of the disk"));
        }
        let free = self.entries.chunks_exact(self.entry_size).position(|e| e[..16] == [0; 16]);
        let index = free.ok_or(GptError::NoRoom("the partition table is full"))?;
        let entry = &mut self.entries[index * self.entry_size..(index + 1) * self.entry_size];
        entry[..16].copy_from_slice(&kind);
        entry[16..32].copy_from_slice(&new_guid());
        entry[32..40].copy_from_slice(&first.to_le_bytes());
        entry[40..48].copy_from_slice(&last.to_le_bytes());
        entry[48..].fill(0);
        for (place, unit) in entry[56..128].chunks_exact_mut(2).zip(name.encode_utf16()) {
            place.copy_from_slice(&unit.to_le_bytes());
        }
        let made = self.partitions().into_iter().find(|p| p.number as usize == index + 1);
        Ok(made.expect("the entry was just filled"))
    }

    /// Extends the last partition up to `limit` (the first sector that it may not use).
    pub fn grow_last(&mut self, limit: Option<u64>) -> Option<Partition> {
        let grown = self
            .partitions()
            .into_iter()
            .filter(|partition| limit.is_none_or(|limit| partition.last < limit))
            .max_by_key(|partition| partition.last)?;
        let unit = (ALIGNMENT / self.sector).max(1);
        let end = limit.unwrap_or(long(&self.header, 48) + 1);
        let last = (end - end % unit).checked_sub(1)?;
        if last <= grown.last {
            return Some(grown);
        }
        let at = (grown.number as usize - 1) * self.entry_size;
        self.entries[at + 40..at + 48].copy_from_slice(&last.to_le_bytes());
        Some(Partition { last, ..grown })
    }

    /// Writes both copies into the ends of a disk with this many bytes; `tail` are its last ones.
    pub fn write(&self, head: &mut [u8], tail: &mut [u8], disk: u64) {
        let sectors = disk / self.sector;
        let tail_at = disk - tail.len() as u64;
        let table = long(&self.header, 72);
        let backup_table = sectors - 1 - self.entry_sectors();
        let from = (table * self.sector) as usize;
        head[from..from + self.entries.len()].copy_from_slice(&self.entries);
        let from = (backup_table * self.sector - tail_at) as usize;
        tail[from..from + self.entries.len()].copy_from_slice(&self.entries);
        let from = self.sector as usize;
        head[from..from + from].copy_from_slice(&self.header_at(1, sectors - 1, table));
        let from = ((sectors - 1) * self.sector - tail_at) as usize;
        let size = self.sector as usize;
        tail[from..from + size].copy_from_slice(&self.header_at(sectors - 1, 1, backup_table));
        protect(head, sectors);
    }

    /// A whole sector with a header for this place.
    fn header_at(&self, here: u64, other: u64, table: u64) -> Vec<u8> {
        let mut sector = vec![0; self.sector as usize];
        sector[..HEADER].copy_from_slice(&self.header);
        sector[12..16].copy_from_slice(&(HEADER as u32).to_le_bytes());
        sector[16..20].fill(0);
        sector[24..32].copy_from_slice(&here.to_le_bytes());
        sector[32..40].copy_from_slice(&other.to_le_bytes());
        sector[72..80].copy_from_slice(&table.to_le_bytes());
        sector[88..92].copy_from_slice(&crc32(&self.entries).to_le_bytes());
        let crc = crc32(&sector[..HEADER]);
        sector[16..20].copy_from_slice(&crc.to_le_bytes());
        sector
    }
}

/// The protective MBR's entry of type EEh covers the whole disk (section 5.2.3).
fn protect(head: &mut [u8], sectors: u64) {
    let length = u32::try_from(sectors - 1).unwrap_or(u32::MAX);
    for entry in 0..4 {
        let at = 446 + entry * 16;
        if head[at + 4] == 0xee {
            head[at + 12..at + 16].copy_from_slice(&length.to_le_bytes());
        }
    }
}

/// A random GUID (version 4) in the byte order of the disk.
fn new_guid() -> [u8; 16] {
    let mut bytes = [0; 16];
    bytes[..8].copy_from_slice(&random().to_le_bytes());
    bytes[8..].copy_from_slice(&random().to_le_bytes());
    bytes[7] = bytes[7] & 0x0f | 0x40;
    bytes[8] = bytes[8] & 0x3f | 0x80;
    bytes
}
