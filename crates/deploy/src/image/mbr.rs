//! The old partition table of the first sector, for images without a GUID
//! table: extend the last partition, add one at the end.

use super::gpt::{ALIGNMENT, GptError};

/// FAT with LBA addressing.
const FAT_LBA: u8 = 0x0c;
/// Extended partitions hold others; their tables lie elsewhere.
const EXTENDED: [u8; 3] = [0x05, 0x0f, 0x85];
/// A protective entry: there is (or was) a GUID table.
const PROTECTIVE: u8 = 0xee;

/// Where the added partition lies, in bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Place {
    /// First byte.
    pub start: u64,
    /// How many.
    pub length: u64,
}

fn word(sector: &[u8], at: usize) -> u64 {
    u32::from_le_bytes(sector[at..at + 4].try_into().expect("4 bytes")).into()
}

/// Whether the first sector has a partition table with something in it.
pub fn is_present(head: &[u8]) -> bool {
    head[510..512] == [0x55, 0xaa]
        && (0..4).any(|entry| head[450 + entry * 16] != 0)
        && (0..4).all(|entry| head[446 + entry * 16] & 0x7f == 0)
}

/// Makes room for `extra` bytes at the end (0 for none) and, with `grow`, lets
/// the last partition take the rest.
pub fn adapt(
    head: &mut [u8],
    sector: u64,
    disk: u64,
    extra: u64,
    grow: bool,
) -> Result<Option<Place>, GptError> {
    let kind = |head: &[u8], entry: usize| head[450 + entry * 16];
    if (0..4).any(|entry| EXTENDED.contains(&kind(head, entry)) || kind(head, entry) == PROTECTIVE)
    {
        return Err(GptError::NoRoom("extended partitions are not changed"));
    }
    let end = |head: &[u8], entry: usize| {
        (kind(head, entry) != 0)
            .then(|| word(head, 454 + entry * 16) + word(head, 458 + entry * 16))
    };
    let unit = (ALIGNMENT / sector).max(1);
    let sectors = (disk / sector).min(u32::MAX.into());
    let room = extra.div_ceil(sector).next_multiple_of(unit);
    let limit = sectors.checked_sub(room).map(|limit| limit - limit % unit);
    let limit = limit.ok_or(GptError::NoRoom("the disk is too small for another partition"))?;
    let last = (0..4).max_by_key(|entry| end(head, *entry).unwrap_or(0)).unwrap_or(0);
    if end(head, last).is_some_and(|end| end > limit) && extra > 0 {
        return Err(GptError::NoRoom("the partitions reach to the end of the disk"));
    }
    if grow {
        let length = limit.saturating_sub(word(head, 454 + last * 16));
        if length > word(head, 458 + last * 16) {
            let at = 458 + last * 16;
            head[at..at + 4].copy_from_slice(&(length as u32).to_le_bytes());
        }
    }
    if extra == 0 {
        return Ok(None);
    }
    let free = (0..4).find(|entry| kind(head, *entry) == 0);
    let at = 446 + free.ok_or(GptError::NoRoom("the partition table is full"))? * 16;
    head[at..at + 16]
        .copy_from_slice(&[0, 0xfe, 0xff, 0xff, FAT_LBA, 0xfe, 0xff, 0xff, 0, 0, 0, 0, 0, 0, 0, 0]);
    head[at + 8..at + 12].copy_from_slice(&(limit as u32).to_le_bytes());
    head[at + 12..at + 16].copy_from_slice(&(room as u32).to_le_bytes());
    Ok(Some(Place { start: limit * sector, length: room * sector }))
}
