//! The table of a guest's regions, and how an address is found in it.

#![allow(unsafe_code, reason = "a checked guest address becomes a pointer here")]

use std::os::fd::BorrowedFd;
use std::ptr::NonNull;
use std::sync::Arc;

use serde::{Deserialize, Serialize};
use thiserror::Error;

use super::mapping::{MapError, Mapping};

/// So many regions a guest may have.
pub const REGIONS_MAX: usize = 32;

/// Where a region lies, as the VMM tells it. Everything in bytes and pages of 4 KiB.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RegionSpec {
    /// Its first address for the guest.
    pub guest: u64,
    /// Its length.
    pub length: u64,
    /// Its first address in the VMM. Only the addresses of rings are told that way.
    pub user: u64,
    /// Where it begins in its file.
    pub offset: u64,
}

/// Why a region is refused.
#[derive(Debug, Error)]
pub enum MemoryError {
    /// Empty, not in pages, or beyond the end of the address space.
    #[error("a region of guest memory is empty, not in pages of 4 KiB, or beyond 2^64")]
    Shape,
    /// Two of them share addresses.
    #[error("two regions of guest memory overlap")]
    Overlap,
    /// More than [`REGIONS_MAX`].
    #[error("more than {REGIONS_MAX} regions of guest memory")]
    TooMany,
    /// To be removed, but not there.
    #[error("no such region of guest memory")]
    Unknown,
    /// Its file.
    #[error(transparent)]
    Map(#[from] MapError),
}

/// The region that the last address was found in. Each user has its own.
#[derive(Clone, Copy, Debug, Default)]
pub struct Hint(usize);

#[derive(Clone, Copy, Debug)]
struct Entry {
    guest: u64,
    length: u64,
    host: NonNull<u8>,
}

/// A guest's memory at one time.
#[derive(Debug, Default)]
pub struct GuestMemory {
    /// Sorted by guest address; the same order as `regions`.
    table: Vec<Entry>,
    regions: Vec<(RegionSpec, Arc<Mapping>)>,
}

// SAFETY: the pointers lead into mappings that are held here and are `Sync`.
unsafe impl Send for GuestMemory {}
// SAFETY: as above; nothing here changes after it was made.
unsafe impl Sync for GuestMemory {}

impl GuestMemory {
    /// Maps regions, each from its file. What `before` has mapped from the same place
    /// is mapped anew: the file may be another.
    pub fn map(regions: &[(RegionSpec, BorrowedFd<'_>)]) -> Result<GuestMemory, MemoryError> {
        regions
            .iter()
            .try_fold(GuestMemory::default(), |memory, (spec, file)| memory.with(*spec, *file))
    }

    /// This memory and one region more.
    pub fn with(&self, spec: RegionSpec, file: BorrowedFd<'_>) -> Result<GuestMemory, MemoryError> {
        if self.regions.len() >= REGIONS_MAX {
            return Err(MemoryError::TooMany);
        }
        let pages = [spec.guest, spec.length, spec.user, spec.offset]
            .iter()
            .all(|part| part.is_multiple_of(4096));
        let ends = spec.guest.checked_add(spec.length).and(spec.user.checked_add(spec.length));
        if spec.length == 0 || !pages || ends.is_none() {
            return Err(MemoryError::Shape);
        }
        let apart = |a: u64, b: u64, b_length: u64| a >= b + b_length || b >= a + spec.length;
        let clear = |(other, _): &(RegionSpec, _)| {
            apart(spec.guest, other.guest, other.length)
                && apart(spec.user, other.user, other.length)
        };
        if !self.regions.iter().all(clear) {
            return Err(MemoryError::Overlap);
        }
        let mapping = Arc::new(Mapping::new(file, spec.offset, spec.length)?);
        let mut regions = self.regions.clone();
        regions.push((spec, mapping));
        Ok(Self::of(regions))
    }

    /// This memory without a region. The file may differ, addresses and length may not.
    pub fn without(&self, spec: RegionSpec) -> Result<GuestMemory, MemoryError> {
        let same = |other: &RegionSpec| {
            (other.guest, other.length, other.user) == (spec.guest, spec.length, spec.user)
        };
        let mut regions = self.regions.clone();
        let at = regions.iter().position(|(other, _)| same(other)).ok_or(MemoryError::Unknown)?;
        regions.remove(at);
        Ok(Self::of(regions))
    }

    fn of(mut regions: Vec<(RegionSpec, Arc<Mapping>)>) -> GuestMemory {
        regions.sort_by_key(|(spec, _)| spec.guest);
        let entry = |(spec, mapping): &(RegionSpec, Arc<Mapping>)| Entry {
            guest: spec.guest,
            length: spec.length,
            host: mapping.start(),
        };
        GuestMemory { table: regions.iter().map(entry).collect(), regions }
    }

    /// Its regions, by guest address, each with whether its file can shrink no more.
    pub fn regions(&self) -> impl ExactSizeIterator<Item = (RegionSpec, bool)> + '_ {
        self.regions.iter().map(|(spec, mapping)| (*spec, mapping.sealed()))
    }

    /// Where its regions are mapped.
    pub fn mapped(&self) -> impl ExactSizeIterator<Item = (NonNull<u8>, usize)> + '_ {
        self.regions.iter().map(|(_, mapping)| (mapping.start(), mapping.len()))
    }

    /// Its mappings, by guest address.
    pub fn mappings(&self) -> impl ExactSizeIterator<Item = &Arc<Mapping>> + '_ {
        self.regions.iter().map(|(_, mapping)| mapping)
    }

    /// The guest's address of what the VMM has at `user`.
    pub fn guest_address(&self, user: u64) -> Option<u64> {
        let inside =
            |(spec, _): &&(RegionSpec, _)| user >= spec.user && user - spec.user < spec.length;
        self.regions.iter().find(inside).map(|(spec, _)| spec.guest + (user - spec.user))
    }

    /// The place of `length` bytes (at least one) that lie in one region.
    #[inline]
    pub fn at(&self, address: u64, length: u64, hint: &mut Hint) -> Option<NonNull<u8>> {
        match self.table.get(hint.0).and_then(|entry| entry.at(address, length)) {
            None => self.search(address, length, hint),
            found => found,
        }
    }

    #[cold]
    fn search(&self, address: u64, length: u64, hint: &mut Hint) -> Option<NonNull<u8>> {
        let at = self.table.partition_point(|entry| entry.guest <= address).checked_sub(1)?;
        let found = self.table[at].at(address, length)?;
        *hint = Hint(at);
        Some(found)
    }

    /// Calls with the pieces of a range that lies in regions that follow each other
    /// without a gap. `false`: a part of it is in none (earlier pieces were told).
    pub fn pieces(
        &self,
        address: u64,
        length: u64,
        each: &mut dyn FnMut(NonNull<u8>, u64),
    ) -> bool {
        let (mut address, mut left) = (address, length);
        let mut hint = Hint::default();
        while left > 0 {
            if self.search(address, 1, &mut hint).is_none() {
                return false;
            }
            let entry = self.table[hint.0];
            let here = left.min(entry.length - (address - entry.guest));
            let Some(place) = entry.at(address, here) else { return false };
            each(place, here);
            left -= here;
            match address.checked_add(here) {
                Some(next) => address = next,
                None => return left == 0,
            }
        }
        true
    }

    /// Copies bytes out of the guest, who may change them meanwhile. `None`: not all
    /// of them are in its memory.
    pub fn read(&self, address: u64, into: &mut [u8]) -> Option<()> {
        let mut done = 0;
        let whole = self.pieces(address, into.len() as u64, &mut |place, length| {
            // SAFETY: the piece is in a mapping that is held; `into` is ours, and the
            // pieces together are as long as it.
            unsafe {
                place.copy_to_nonoverlapping(NonNull::from(&mut into[done]), length as usize)
            };
            done += length as usize;
        });
        whole.then_some(())
    }

    /// Copies bytes into the guest. `None`: not all of the place is in its memory; a
    /// part may have been written.
    pub fn write(&self, address: u64, from: &[u8]) -> Option<()> {
        let mut done = 0;
        let whole = self.pieces(address, from.len() as u64, &mut |place, length| {
            // SAFETY: as in `read`.
            unsafe { place.copy_from_nonoverlapping(NonNull::from(&from[done]), length as usize) };
            done += length as usize;
        });
        whole.then_some(())
    }
}

impl Entry {
    #[inline]
    fn at(&self, address: u64, length: u64) -> Option<NonNull<u8>> {
        let skip = address.wrapping_sub(self.guest);
        if address < self.guest || skip >= self.length || length > self.length - skip {
            return None;
        }
        // SAFETY: inside the region, which is mapped in whole.
        Some(unsafe { self.host.add(skip as usize) })
    }
}

#[cfg(test)]
mod tests;
