//! A small FAT12 file system, made in memory, for cloud-init's NoCloud seed: a
//! volume labelled CIDATA with a few text files. Written by the book (Microsoft
//! FAT specification 1.03), with long names, since `meta-data` has none of 8.3.

use model::agent::SeedFile;
use thiserror::Error;

/// Bytes of a cluster.
const CLUSTER: usize = 4096;
/// Most clusters of FAT12.
const CLUSTERS_MOST: usize = 4084;
/// Entries of the root directory.
const ROOT_ENTRIES: usize = 256;
/// Most files: each takes up to a handful of entries in the root.
const FILES_MOST: usize = 16;
/// Longest name.
const NAME_MOST: usize = 64;
/// The seed is never smaller than this, so that people can add to it.
const SMALLEST: usize = 1 << 20;

/// Why a seed cannot be written.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum FatError {
    /// More than a seed ever is.
    #[error("the seed is too large")]
    TooLarge,
    /// Empty, too long, doubled, or with characters that a file name cannot have.
    #[error("the seed's file name {0:?} cannot be used")]
    Name(String),
}

/// How the file system is divided, in sectors and clusters.
#[derive(Clone, Copy, Debug)]
struct Geometry {
    sector: usize,
    sectors: usize,
    fat_sectors: usize,
    clusters: usize,
}

impl Geometry {
    fn of(files: &[SeedFile], sector: usize) -> Result<Self, FatError> {
        let used: usize = files.iter().map(|file| file.content.len().div_ceil(CLUSTER)).sum();
        let clusters = (used + 16).max(SMALLEST / CLUSTER);
        if clusters > CLUSTERS_MOST || files.len() > FILES_MOST {
            return Err(FatError::TooLarge);
        }
        let fat_sectors = ((clusters + 2) * 3).div_ceil(2).div_ceil(sector);
        let root = ROOT_ENTRIES * 32 / sector;
        let sectors = 1 + 2 * fat_sectors + root + clusters * CLUSTER / sector;
        Ok(Self { sector, sectors, fat_sectors, clusters })
    }
    const fn root_at(&self) -> usize {
        (1 + 2 * self.fat_sectors) * self.sector
    }
    const fn data_at(&self) -> usize {
        self.root_at() + ROOT_ENTRIES * 32
    }
}

/// The file system's bytes. `sector` is the disk's; `serial` any number.
pub fn make(files: &[SeedFile], sector: u32, serial: u32) -> Result<Vec<u8>, FatError> {
    let geometry = Geometry::of(files, sector as usize)?;
    check_names(files)?;
    let mut image = vec![0; geometry.sectors * geometry.sector];
    boot_sector(&mut image, &geometry, serial);
    let mut root = Vec::with_capacity(ROOT_ENTRIES * 32);
    root.extend_from_slice(&entry(b"CIDATA     ", 0x08, 0, 0));
    let mut fat = vec![0u16; geometry.clusters + 2];
    (fat[0], fat[1]) = (0xff8, 0xfff);
    let mut next = 2;
    for (file, number) in files.iter().zip(1..) {
        let content = file.content.as_bytes();
        let count = content.len().div_ceil(CLUSTER);
        let first = if count == 0 { 0 } else { next };
        // A chain: each cluster names the one after it, the last says that it is.
        for (entry, after) in fat[next..next + count].iter_mut().zip(next + 1..) {
            *entry = if after == next + count { 0xfff } else { after as u16 };
        }
        let at = geometry.data_at() + next.saturating_sub(2) * CLUSTER;
        image[at..at + content.len()].copy_from_slice(content);
        root.extend(named_entries(&file.name, number, first as u16, content.len() as u32));
        next += count;
    }
    assert!(root.len() <= ROOT_ENTRIES * 32, "names and files are bounded");
    image[geometry.root_at()..geometry.root_at() + root.len()].copy_from_slice(&root);
    for copy in 0..2 {
        let at = (1 + copy * geometry.fat_sectors) * geometry.sector;
        write_fat(&mut image[at..at + geometry.fat_sectors * geometry.sector], &fat);
    }
    Ok(image)
}

fn check_names(files: &[SeedFile]) -> Result<(), FatError> {
    for (index, file) in files.iter().enumerate() {
        let name = &file.name;
        let plain = |c: char| c.is_ascii_alphanumeric() || "-_.".contains(c);
        let doubled = files[..index].iter().any(|other| other.name.eq_ignore_ascii_case(name));
        let shaped = !name.is_empty() && name.len() <= NAME_MOST && !name.starts_with('.');
        if doubled || !shaped || !name.chars().all(plain) {
            return Err(FatError::Name(name.clone()));
        }
    }
    Ok(())
}

/// The boot sector with the BIOS parameter block (section 3.1 and 3.2).
fn boot_sector(image: &mut [u8], geometry: &Geometry, serial: u32) {
    image[..11].copy_from_slice(b"\xeb\x3c\x90BEDPLATE");
    image[11..13].copy_from_slice(&(geometry.sector as u16).to_le_bytes());
    image[13] = (CLUSTER / geometry.sector) as u8;
    image[14] = 1; // reserved: this sector
    image[16] = 2; // copies of the FAT
    image[17..19].copy_from_slice(&(ROOT_ENTRIES as u16).to_le_bytes());
    match u16::try_from(geometry.sectors) {
        Ok(sectors) => image[19..21].copy_from_slice(&sectors.to_le_bytes()),
        Err(_) => image[32..36].copy_from_slice(&(geometry.sectors as u32).to_le_bytes()),
    }
    image[21] = 0xf8;
    image[22..24].copy_from_slice(&(geometry.fat_sectors as u16).to_le_bytes());
    image[24] = 63; // sectors a track, heads: only for a BIOS of old
    image[26] = 255;
    image[36] = 0x80;
    image[38] = 0x29;
    image[39..43].copy_from_slice(&serial.to_le_bytes());
    image[43..54].copy_from_slice(b"CIDATA     ");
    image[54..62].copy_from_slice(b"FAT12   ");
    image[510..512].copy_from_slice(&[0x55, 0xaa]);
}

/// Twelve bits an entry, two entries in three bytes (section 4.1).
fn write_fat(place: &mut [u8], fat: &[u16]) {
    for (bytes, pair) in place.chunks_mut(3).zip(fat.chunks(2)) {
        let (low, high) = (pair[0], pair.get(1).copied().unwrap_or(0));
        let packed = [low as u8, (low >> 8) as u8 | ((high << 4) as u8), (high >> 4) as u8];
        bytes.copy_from_slice(&packed[..bytes.len()]);
    }
}

/// A directory entry (section 6). The date is the first that FAT knows.
fn entry(name: &[u8; 11], attributes: u8, cluster: u16, size: u32) -> [u8; 32] {
    let mut entry = [0; 32];
    entry[..11].copy_from_slice(name);
    entry[11] = attributes;
    for date in [16, 18, 24] {
        entry[date..date + 2].copy_from_slice(&0x0021u16.to_le_bytes());
    }
    entry[26..28].copy_from_slice(&cluster.to_le_bytes());
    entry[28..32].copy_from_slice(&size.to_le_bytes());
    entry
}

/// The entries of a file: its long name in pieces, last piece first, then the short one (section 7).
fn named_entries(name: &str, number: u32, cluster: u16, size: u32) -> Vec<u8> {
    let short = short_name(number);
    let sum = short.iter().fold(0u8, |sum, byte| sum.rotate_right(1).wrapping_add(*byte));
    let mut units: Vec<u16> = name.encode_utf16().collect();
    if !units.len().is_multiple_of(13) {
        units.push(0);
        units.resize(units.len().next_multiple_of(13), 0xffff);
    }
    let pieces = units.len() / 13;
    let mut bytes = Vec::with_capacity((pieces + 1) * 32);
    for (index, piece) in units.chunks_exact(13).enumerate().rev() {
        let mut long = [0; 32];
        long[0] = (index as u8 + 1) | if index + 1 == pieces { 0x40 } else { 0 };
        long[11] = 0x0f;
        long[13] = sum;
        let places = (1..11).step_by(2).chain((14..26).step_by(2)).chain((28..32).step_by(2));
        for (place, unit) in places.zip(piece) {
            long[place..place + 2].copy_from_slice(&unit.to_le_bytes());
        }
        bytes.extend_from_slice(&long);
    }
    bytes.extend_from_slice(&entry(&short, 0x20, cluster, size));
    bytes
}

/// A short name that no other file has: `SEED~01`.
fn short_name(number: u32) -> [u8; 11] {
    let text = format!("SEED~{number:02}    ");
    text.as_bytes()[..11].try_into().expect("eleven characters")
}
