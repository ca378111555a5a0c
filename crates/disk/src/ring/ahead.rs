//! What a guest will ask next: it is in the queue already, and whoever serves it can
//! bring near what it will need.
//!
//! Only hints: the guest may change all of it before it is fetched, so nothing is checked
//! beyond what keeps us inside its memory, and nothing is remembered.

#![allow(unsafe_code, reason = "headers in the memory of a guest")]

use volume::Kind;
use volume::lane::{Lane, VolumeHandle};

use super::area::two_words;
use super::queue::{Layout, Queue};
use crate::virtio_blk::{HEADER, SECTOR, kind};

impl Queue {
    /// Tells a lane what comes behind the request that is fetched next. The lane must look
    /// ahead for the volume ([`Lane::looks_ahead`]).
    #[inline]
    pub fn tell_ahead(&mut self, lane: &mut Lane, volume: VolumeHandle) {
        if let Some((_, offset)) = self.ahead(2) {
            lane.expect_later(volume, offset);
        }
        if let Some((kind, offset)) = self.ahead(1) {
            lane.expect(volume, kind, offset);
        }
    }

    /// Reads and writes only: what the request will be that is so many behind the next,
    /// and at which byte of the volume. `None` when that is not quickly known.
    #[inline]
    fn ahead(&mut self, by: u16) -> Option<(Kind, u64)> {
        let Layout::Split(ring) = &self.ring else { return None };
        let (mut address, indirect) = ring.ahead(by)?;
        if indirect {
            address = self.words(address)?.0;
        }
        let (word, sector) = self.words(address)?;
        let kind = match word as u32 {
            kind::IN => Kind::Read,
            kind::OUT => Kind::Write,
            _ => return None,
        };
        Some((kind, sector.checked_mul(SECTOR)?))
    }

    /// The 16 bytes of a descriptor or header, when they lie in one region.
    #[inline]
    fn words(&mut self, address: u64) -> Option<(u64, u64)> {
        let place = self.memory.at(address, HEADER as u64, &mut self.hint)?;
        // SAFETY: 16 bytes of the guest's memory, looked up just now.
        Some(unsafe { two_words(place) })
    }
}
