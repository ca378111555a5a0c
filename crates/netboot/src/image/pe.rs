//! Adds sections to an EFI program (PE/COFF specification, sections 3 and 4).
//!
//! Only what a unified kernel image needs: systemd's stub finds its parts by the
//! names of sections. New headers go into the room behind the section table, the
//! bytes to the end of the file. Symbols that a linker left behind are cut off.

use std::ops::Range;

use thiserror::Error;

/// Sections in one file at most, ours included.
const SECTIONS_MAX: usize = 64;
/// Largest file that is read or written.
const FILE_BYTES_MAX: usize = 1 << 30;
/// Bytes of a section header.
const HEADER_BYTES: usize = 40;
/// Initialised data that is read (section 4.1).
const DATA: u32 = 0x4000_0040;
/// Sections begin on a page at least, whatever the file says: firmware protects pages.
const PAGE: usize = 4_096;

/// Why a file cannot be used.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
pub enum PeError {
    /// It is not a 64-bit PE program, or it is cut short.
    #[error("it is not a 64-bit EFI program")]
    NotPe,
    /// Its numbers contradict each other.
    #[error("its headers contradict each other")]
    Inconsistent,
    /// No room for more section headers.
    #[error("there is no room for more sections")]
    NoRoom,
    /// The result would be too large.
    #[error("it would be larger than 1 GiB")]
    TooLarge,
    /// It is signed already; a change would break the signature.
    #[error("it is signed already")]
    Signed,
}

/// One section as it lies in the file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Section {
    /// At most eight characters.
    pub name: String,
    /// Its bytes in the file, without padding.
    pub bytes: Range<usize>,
    /// Its place in memory.
    pub address: usize,
}

/// The headers of a file.
#[derive(Debug)]
struct Headers {
    /// Where the file header begins.
    coff: usize,
    /// Where the optional header begins.
    optional: usize,
    /// Where the section table begins.
    table: usize,
    count: usize,
    section_alignment: usize,
    file_alignment: usize,
    headers_bytes: usize,
}

/// The sections of a file, in its order.
///
/// # Errors
/// When it is not a PE program or a section lies outside it.
pub fn sections(file: &[u8]) -> Result<Vec<Section>, PeError> {
    let headers = Headers::read(file)?;
    (0..headers.count).map(|index| section(file, headers.table + index * HEADER_BYTES)).collect()
}

fn section(file: &[u8], at: usize) -> Result<Section, PeError> {
    let name = file.get(at..at + 8).ok_or(PeError::NotPe)?;
    let name: Vec<u8> = name.iter().copied().take_while(|byte| *byte != 0).collect();
    let (size, start) = (long(file, at + 16)?, long(file, at + 20)?);
    // Zeros at the end of a section are not in the file.
    let length = size.min(long(file, at + 8)?);
    let end = start.checked_add(length).ok_or(PeError::Inconsistent)?;
    if end > file.len() {
        return Err(PeError::Inconsistent);
    }
    let name = String::from_utf8_lossy(&name).into_owned();
    Ok(Section { name, bytes: start..end, address: long(file, at + 12)? })
}

/// The file with these sections added.
///
/// # Errors
/// When the file is not an unsigned PE program with room for them.
pub fn append(stub: &[u8], added: &[(&str, &[u8])]) -> Result<Vec<u8>, PeError> {
    let headers = Headers::read(stub)?;
    let table_end = headers.table + (headers.count + added.len()) * HEADER_BYTES;
    if table_end > headers.headers_bytes || headers.count + added.len() > SECTIONS_MAX {
        return Err(PeError::NoRoom);
    }
    headers.refuse_signed(stub)?;
    let total: usize = added.iter().map(|(_, bytes)| bytes.len() + 2 * PAGE).sum();
    if stub.len().saturating_add(total) > FILE_BYTES_MAX {
        return Err(PeError::TooLarge);
    }
    let mut file = stub[..headers.file_end(stub)?].to_vec();
    let mut address = headers.memory_end(stub)?;
    for (index, (name, bytes)) in added.iter().enumerate() {
        assert!(name.len() <= 8, "a section's name has at most eight characters");
        address = address.next_multiple_of(headers.section_alignment.max(PAGE));
        file.resize(file.len().next_multiple_of(headers.file_alignment), 0);
        let start = file.len();
        file.extend_from_slice(bytes);
        file.resize(file.len().next_multiple_of(headers.file_alignment), 0);
        let at = headers.table + (headers.count + index) * HEADER_BYTES;
        let stored = file.len() - start;
        file[at..at + HEADER_BYTES].fill(0);
        file[at..at + name.len()].copy_from_slice(name.as_bytes());
        put(&mut file, at + 8, bytes.len())?;
        put(&mut file, at + 12, address)?;
        put(&mut file, at + 16, stored)?;
        put(&mut file, at + 20, start)?;
        file[at + 36..at + 40].copy_from_slice(&DATA.to_le_bytes());
        address += bytes.len();
    }
    headers.finish(&mut file, added, address)?;
    Ok(file)
}

impl Headers {
    fn read(file: &[u8]) -> Result<Self, PeError> {
        if file.len() > FILE_BYTES_MAX {
            return Err(PeError::TooLarge);
        }
        let start = long(file, 60)?;
        if !file.starts_with(b"MZ")
            || file.get(start..).is_none_or(|rest| !rest.starts_with(b"PE\0\0"))
        {
            return Err(PeError::NotPe);
        }
        let coff = start + 4;
        let optional = coff + 20;
        if short(file, optional)? != 0x20b {
            return Err(PeError::NotPe);
        }
        let headers = Self {
            coff,
            optional,
            table: optional + short(file, coff + 16)?,
            count: short(file, coff + 2)?,
            section_alignment: long(file, optional + 32)?,
            file_alignment: long(file, optional + 36)?,
            headers_bytes: long(file, optional + 60)?,
        };
        headers.check(file)?;
        Ok(headers)
    }

    fn check(&self, file: &[u8]) -> Result<(), PeError> {
        let aligned = |alignment: usize| alignment.is_power_of_two() && alignment <= 1 << 20;
        let table_end = self.table + self.count * HEADER_BYTES;
        let fits = self.headers_bytes <= file.len() && table_end <= self.headers_bytes;
        if !fits || self.count > SECTIONS_MAX {
            return Err(PeError::Inconsistent);
        }
        if !aligned(self.section_alignment) || !aligned(self.file_alignment) {
            return Err(PeError::Inconsistent);
        }
        Ok(())
    }

    /// Data directory 4 is the table of certificates.
    fn refuse_signed(&self, file: &[u8]) -> Result<(), PeError> {
        let signed = long(file, self.optional + 108)? > 4 && long(file, self.optional + 148)? != 0;
        if signed { Err(PeError::Signed) } else { Ok(()) }
    }

    /// Where the bytes of the last section end.
    fn file_end(&self, file: &[u8]) -> Result<usize, PeError> {
        let all = sections(file)?;
        Ok(all.iter().map(|s| s.bytes.end).max().unwrap_or(0).max(self.headers_bytes))
    }

    /// Where the last section ends in memory.
    fn memory_end(&self, file: &[u8]) -> Result<usize, PeError> {
        let mut end = self.headers_bytes;
        for index in 0..self.count {
            let at = self.table + index * HEADER_BYTES;
            let last = long(file, at + 12)?.checked_add(long(file, at + 8)?);
            end = end.max(last.filter(|end| *end <= FILE_BYTES_MAX).ok_or(PeError::Inconsistent)?);
        }
        Ok(end)
    }

    fn finish(&self, file: &mut [u8], added: &[(&str, &[u8])], end: usize) -> Result<(), PeError> {
        let count = u16::try_from(self.count + added.len()).map_err(|_| PeError::NoRoom)?;
        file[self.coff + 2..self.coff + 4].copy_from_slice(&count.to_le_bytes());
        // The symbols were cut off; the time of linking is not ours.
        put(file, self.coff + 8, 0)?;
        put(file, self.coff + 12, 0)?;
        let image = end.next_multiple_of(self.section_alignment);
        let data: usize = added.iter().map(|(_, bytes)| bytes.len()).sum();
        let data = long(file, self.optional + 8)?.checked_add(data).ok_or(PeError::Inconsistent)?;
        put(file, self.coff + 4, 0)?;
        put(file, self.optional + 8, data)?;
        put(file, self.optional + 56, image)?;
        put(file, self.optional + 64, 0)
    }
}

fn short(file: &[u8], at: usize) -> Result<usize, PeError> {
    let two = file.get(at..).and_then(<[u8]>::first_chunk).ok_or(PeError::NotPe)?;
    Ok(usize::from(u16::from_le_bytes(*two)))
}

fn long(file: &[u8], at: usize) -> Result<usize, PeError> {
    let four = file.get(at..).and_then(<[u8]>::first_chunk).ok_or(PeError::NotPe)?;
    usize::try_from(u32::from_le_bytes(*four)).map_err(|_| PeError::Inconsistent)
}

fn put(file: &mut [u8], at: usize, value: usize) -> Result<(), PeError> {
    let value = u32::try_from(value).map_err(|_| PeError::TooLarge)?;
    let place = file.get_mut(at..at + 4).ok_or(PeError::Inconsistent)?;
    place.copy_from_slice(&value.to_le_bytes());
    Ok(())
}
