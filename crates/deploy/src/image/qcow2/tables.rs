//! The two levels of tables: where each cluster of the guest lies in the file.

use super::header::Header;

/// Bits 9 to 55 of an entry: the place in the file.
const PLACE: u64 = 0x00ff_ffff_ffff_fe00;
const PACKED: u64 = 1 << 62;
const ZERO: u64 = 1;

/// What a range of the file is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Use {
    /// The first-level table.
    First,
    /// A second-level table, by its index in the first.
    Second(u64),
    /// A cluster of the guest, by number.
    Data(u64),
    /// A packed cluster of the guest, by number.
    Packed(u64),
    /// A table that was fetched before, and must still have this SHA-256.
    Seen([u8; 32]),
}

/// A range of the file with its use.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Region {
    /// First byte.
    pub start: u64,
    /// How many; the last packed cluster may promise more than the file has.
    pub length: u64,
    /// What it is.
    pub is: Use,
}

/// The first-level table's own place.
pub const fn first(header: &Header) -> Region {
    Region { start: header.first_at, length: header.first_entries * 8, is: Use::First }
}

/// What the first-level table speaks of: second-level tables.
pub fn in_first(header: &Header, table: &[u8]) -> Vec<Region> {
    let cluster = header.cluster();
    entries(table)
        .zip(0..header.first_entries)
        .filter_map(|(entry, index)| match entry & PLACE {
            0 => None,
            start => Some(Region { start, length: cluster, is: Use::Second(index) }),
        })
        .collect()
}

/// What a second-level table speaks of: clusters. Those that are zero or absent are left out.
pub fn in_second(header: &Header, index: u64, table: &[u8]) -> Vec<Region> {
    let base = index * header.second_entries();
    entries(table)
        .zip(base..header.clusters())
        .filter_map(|(entry, guest)| cluster_at(header, entry, guest))
        .collect()
}

fn cluster_at(header: &Header, entry: u64, guest: u64) -> Option<Region> {
    if entry & PACKED != 0 {
        let split = 62 - (header.cluster_bits - 8);
        let start = entry & ((1 << split) - 1);
        let sectors = (entry & (PACKED - 1)) >> split;
        let length = (sectors + 1) * 512 - start % 512;
        return Some(Region { start, length, is: Use::Packed(guest) });
    }
    match (entry & ZERO, entry & PLACE) {
        (0, start) if start != 0 => {
            Some(Region { start, length: header.cluster(), is: Use::Data(guest) })
        }
        _ => None,
    }
}

fn entries(table: &[u8]) -> impl Iterator<Item = u64> + '_ {
    table.as_chunks::<8>().0.iter().map(|entry| u64::from_be_bytes(*entry))
}
