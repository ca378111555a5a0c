//! The store itself: a firmware volume, a store header, and variables one after
//! another; behind them the log by which the firmware survives losing power.

use thiserror::Error;

use super::ucs2;
use super::{Guid, guid};

/// `EFI_SYSTEM_NV_DATA_FV_GUID`.
const VOLUME: Guid =
    guid(0xfff12b8d, 0x7696, 0x4c8b, [0xa9, 0x85, 0x27, 0x47, 0x07, 0x5b, 0x4f, 0x50]);
/// `EFI_AUTHENTICATED_VARIABLE_GUID`.
const AUTHENTICATED_STORE: Guid =
    guid(0xaaf32c78, 0x947b, 0x439a, [0xa1, 0x80, 0x2e, 0x14, 0x4e, 0xc3, 0x77, 0x92]);
/// `EDKII_WORKING_BLOCK_SIGNATURE_GUID`.
const WORKING_BLOCK: Guid =
    guid(0x9e58292b, 0x7c68, 0x497d, [0xa0, 0xce, 0x65, 0x00, 0xfd, 0x9f, 0x1b, 0x95]);

/// Flash images are a few hundred kilobytes; nothing larger is looked at.
const IMAGE_MAX: usize = 16 << 20;
/// `sizeof (VARIABLE_STORE_HEADER)`.
const STORE_HEADER: usize = 28;
/// `sizeof (AUTHENTICATED_VARIABLE_HEADER)`.
const VARIABLE_HEADER: usize = 60;
/// `sizeof (EFI_FAULT_TOLERANT_WORKING_BLOCK_HEADER)`.
const WORKING_HEADER: usize = 32;
/// `VARIABLE_DATA`: each variable begins with it.
const START: u16 = 0x55aa;
/// `VAR_ADDED`.
const ADDED: u8 = 0x3f;
/// `VAR_ADDED & VAR_IN_DELETED_TRANSITION`: being replaced, and valid until then.
const REPLACING: u8 = 0x3e;

/// Why a store cannot be read, or does not fit.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
pub enum StoreError {
    /// Too small or too large to be one.
    #[error("not a flash image: {0} bytes")]
    Size(usize),
    /// Not a firmware volume for variables.
    #[error("no firmware volume with variables at its start")]
    NoVolume,
    /// The volume's header does not add up.
    #[error("the header of the firmware volume is damaged")]
    Volume,
    /// No store that we know in the volume.
    #[error("no authenticated variable store in the volume")]
    NoStore,
    /// A variable reaches beyond the store, or has no name.
    #[error("the variable at byte {0} is damaged")]
    Variable(usize),
    /// What was set does not fit.
    #[error("the variables take {need} bytes and the store has {room}")]
    Full {
        /// Bytes that they would take.
        need: usize,
        /// Bytes that there are.
        room: usize,
    },
}

/// A variable.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Variable {
    /// Its name.
    pub name: String,
    /// Whose name that is.
    pub vendor: Guid,
    /// UEFI 2.10 section 8.2.
    pub attributes: u32,
    /// `EFI_TIME` of the last authenticated write; zeroes otherwise.
    pub time: [u8; 16],
    /// Count of authenticated writes of the older kind.
    pub count: u64,
    /// Index of the key of the older kind.
    pub key: u32,
    /// The value.
    pub data: Vec<u8>,
}

/// A flash image, taken apart.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Store {
    image: Vec<u8>,
    /// Where variables begin and where the store ends.
    begin: usize,
    end: usize,
    variables: Vec<Variable>,
}

impl Store {
    /// Takes a flash image apart.
    pub fn parse(image: &[u8]) -> Result<Self, StoreError> {
        if !(0x1000..=IMAGE_MAX).contains(&image.len()) {
            return Err(StoreError::Size(image.len()));
        }
        let volume = volume_header(image)?;
        let header = image.get(volume..volume + STORE_HEADER).ok_or(StoreError::NoStore)?;
        let size = u32_at(header, 16) as usize;
        let known = header[..16] == AUTHENTICATED_STORE && header[20] == 0x5a && header[21] == 0xfe;
        let end = volume.saturating_add(size);
        if !known || size <= STORE_HEADER || end > image.len() {
            return Err(StoreError::NoStore);
        }
        // The store says its size from the start of its own header.
        let begin = align(volume + STORE_HEADER);
        let variables = read_variables(image, begin, end)?;
        Ok(Self { image: image.to_vec(), begin, end, variables })
    }

    /// All variables, in the order in which they lie.
    pub fn variables(&self) -> &[Variable] {
        &self.variables
    }

    /// A variable by name.
    pub fn get(&self, name: &str, vendor: &Guid) -> Option<&Variable> {
        self.variables.iter().find(|v| v.name == name && v.vendor == *vendor)
    }

    /// Sets a variable; one that exists keeps its time and counts.
    pub fn set(&mut self, name: &str, vendor: Guid, attributes: u32, data: Vec<u8>) {
        if let Some(old) = self.variables.iter_mut().find(|v| v.name == name && v.vendor == vendor)
        {
            old.attributes = attributes;
            old.data = data;
            return;
        }
        let (name, time) = (name.to_owned(), [0; 16]);
        self.variables.push(Variable { name, vendor, attributes, time, count: 0, key: 0, data });
    }

    /// Removes a variable, and says whether there was one.
    pub fn delete(&mut self, name: &str, vendor: &Guid) -> bool {
        let before = self.variables.len();
        self.variables.retain(|v| v.name != name || v.vendor != *vendor);
        self.variables.len() != before
    }

    /// The flash image with these variables, and nothing half-done in its log.
    pub fn to_image(&self) -> Result<Vec<u8>, StoreError> {
        let mut laid = Vec::with_capacity(self.end - self.begin);
        for variable in &self.variables {
            lay(variable, &mut laid);
        }
        let room = self.end - self.begin;
        if laid.len() > room {
            return Err(StoreError::Full { need: laid.len(), room });
        }
        let mut image = self.image.clone();
        // Erased flash is all ones.
        image[self.begin..self.end].fill(0xff);
        image[self.begin..self.begin + laid.len()].copy_from_slice(&laid);
        clear_log(&mut image[self.end..]);
        Ok(image)
    }
}

/// Checks the volume's header and gives its length.
fn volume_header(image: &[u8]) -> Result<usize, StoreError> {
    if image[16..32] != VOLUME || image[40..44] != *b"_FVH" {
        return Err(StoreError::NoVolume);
    }
    let length = usize::from(u16_at(image, 48));
    if !(64..=0x400).contains(&length) || !length.is_multiple_of(2) {
        return Err(StoreError::Volume);
    }
    let sum = image[..length]
        .chunks_exact(2)
        .fold(0u16, |sum, pair| sum.wrapping_add(u16::from_le_bytes([pair[0], pair[1]])));
    if sum == 0 { Ok(length) } else { Err(StoreError::Volume) }
}

fn read_variables(image: &[u8], begin: usize, end: usize) -> Result<Vec<Variable>, StoreError> {
    let mut found: Vec<(u8, Variable)> = Vec::new();
    let mut at = begin;
    while at + VARIABLE_HEADER <= end && u16_at(image, at) == START {
        let header = &image[at..at + VARIABLE_HEADER];
        let state = header[2];
        let (name_size, data_size) = (u32_at(header, 36) as usize, u32_at(header, 40) as usize);
        let name_at = at + VARIABLE_HEADER;
        let data_at = name_at.checked_add(name_size).ok_or(StoreError::Variable(at))?;
        let data_end = data_at.checked_add(data_size).ok_or(StoreError::Variable(at))?;
        let live = state == ADDED || state == REPLACING;
        if data_end > end {
            // A header that was being written when power went has no lengths yet.
            return if live { Err(StoreError::Variable(at)) } else { Ok(newest(found)) };
        }
        if live {
            let (name, _) =
                ucs2::decode(&image[name_at..data_at]).ok_or(StoreError::Variable(at))?;
            let data = image[data_at..data_end].to_vec();
            keep(&mut found, state, variable(header, name, data));
        }
        at = align(data_end);
    }
    Ok(newest(found))
}

fn newest(found: Vec<(u8, Variable)>) -> Vec<Variable> {
    found.into_iter().map(|(_, variable)| variable).collect()
}

/// Keeps a variable; where one is being replaced, the new one counts.
fn keep(found: &mut Vec<(u8, Variable)>, state: u8, new: Variable) {
    let same = |old: &Variable| old.name == new.name && old.vendor == new.vendor;
    match found.iter_mut().find(|(_, old)| same(old)) {
        Some(entry) if entry.0 == REPLACING => *entry = (state, new),
        Some(_) => {}
        None => found.push((state, new)),
    }
}

fn variable(header: &[u8], name: String, data: Vec<u8>) -> Variable {
    let part = |at: usize| <[u8; 16]>::try_from(&header[at..at + 16]).unwrap_or_default();
    Variable {
        name,
        vendor: part(44),
        attributes: u32_at(header, 4),
        time: part(16),
        count: u64::from(u32_at(header, 8)) | u64::from(u32_at(header, 12)) << 32,
        key: u32_at(header, 32),
        data,
    }
}

fn lay(variable: &Variable, out: &mut Vec<u8>) {
    let name = ucs2::encode(&variable.name);
    out.extend(START.to_le_bytes());
    out.extend([ADDED, 0]);
    out.extend(variable.attributes.to_le_bytes());
    out.extend(variable.count.to_le_bytes());
    out.extend(variable.time);
    out.extend(variable.key.to_le_bytes());
    // Both lengths fit: the whole is checked against the store's size by the caller.
    out.extend(u32::try_from(name.len()).unwrap_or(u32::MAX).to_le_bytes());
    out.extend(u32::try_from(variable.data.len()).unwrap_or(u32::MAX).to_le_bytes());
    out.extend(variable.vendor);
    out.extend(name);
    out.extend(&variable.data);
    while !out.len().is_multiple_of(4) {
        out.push(0xff);
    }
}

/// Forgets a write that the firmware had begun: replayed, it would undo ours.
fn clear_log(rest: &mut [u8]) {
    let mut at = 0;
    while at + WORKING_HEADER <= rest.len() {
        if rest[at..at + 16] == WORKING_BLOCK {
            let queue = u32_at(rest, at + 24) as usize;
            let from = at + WORKING_HEADER;
            let to = from.saturating_add(queue).min(rest.len());
            // The queue ends with its block; a damaged length must not reach the spare area.
            let to = to.min(at + 0x1000);
            rest[from..to].fill(0xff);
        }
        at += 0x1000;
    }
}

const fn align(at: usize) -> usize {
    at.next_multiple_of(4)
}
fn u16_at(bytes: &[u8], at: usize) -> u16 {
    u16::from_le_bytes([bytes[at], bytes[at + 1]])
}
fn u32_at(bytes: &[u8], at: usize) -> u32 {
    u32::from_le_bytes([bytes[at], bytes[at + 1], bytes[at + 2], bytes[at + 3]])
}
