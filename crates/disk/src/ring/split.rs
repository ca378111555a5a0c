//! The split layout (virtio 1.3, section 2.7): a table of descriptors, a ring of heads
//! that are available, a ring of those that are used.

use std::sync::atomic::{Ordering, fence};

use crate::guest::GuestMemory;
use crate::virtio_blk::feature;

use super::area::Area;
use super::chain::Chain;
use super::{Addresses, Broken, QUEUE_MAX};

const NEXT: u16 = 1;
const WRITE: u16 = 2;
const INDIRECT: u16 = 4;
/// In the available ring: the driver wants no interrupts. In the used ring: the
/// device wants no kicks.
const SILENT: u16 = 1;

#[derive(Debug)]
pub(super) struct Split {
    descriptors: Area,
    available: Area,
    used: Area,
    size: u16,
    event_index: bool,
    indirect: bool,
    /// The next to fetch.
    next: u16,
    /// The available index as it was last read.
    seen: u16,
    /// The used index that the guest sees.
    published: u16,
    /// The next used entry.
    filled: u16,
}

impl Split {
    pub(super) fn new(
        memory: &GuestMemory,
        size: u16,
        features: u64,
        at: &Addresses,
    ) -> Result<Self, Broken> {
        if !size.is_power_of_two() || size > QUEUE_MAX {
            return Err(Broken::Size);
        }
        let (descriptors, available, used) = areas(memory, size, at)?;
        let mut ring = Self {
            descriptors,
            available,
            used,
            size,
            event_index: features & feature::RING_EVENT_IDX != 0,
            indirect: features & feature::RING_INDIRECT_DESC != 0,
            next: 0,
            seen: 0,
            published: 0,
            filled: 0,
        };
        ring.filled = ring.used_index();
        ring.published = ring.filled;
        Ok(ring)
    }
    pub(super) fn moved(&mut self, memory: &GuestMemory, at: &Addresses) -> Result<(), Broken> {
        (self.descriptors, self.available, self.used) = areas(memory, self.size, at)?;
        Ok(())
    }

    /// The used index as it is in the ring.
    pub(super) fn used_index(&self) -> u16 {
        self.used.load16(2, Ordering::Acquire)
    }
    pub(super) fn next(&self) -> u16 {
        self.next
    }
    pub(super) fn published(&self) -> u16 {
        self.published
    }
    pub(super) fn go_to(&mut self, next: u16, used: u16) {
        (self.next, self.seen) = (next, next);
        (self.filled, self.published) = (used, used);
    }

    /// The next head, if there is one. Its chain is not looked at.
    #[inline]
    pub(super) fn take(&mut self) -> Result<Option<u16>, Broken> {
        if self.next == self.seen {
            let seen = self.available.load16(2, Ordering::Acquire);
            if seen == self.next {
                return Ok(None);
            }
            if seen.wrapping_sub(self.next) > self.size {
                return Err(Broken::AvailableIndex);
            }
            self.seen = seen;
        }
        let slot = usize::from(self.next & (self.size - 1));
        let head = self.available.load16(4 + 2 * slot, Ordering::Relaxed);
        if head >= self.size {
            return Err(Broken::Head);
        }
        self.next = self.next.wrapping_add(1);
        Ok(Some(head))
    }

    /// How many heads the guest says wait to be taken. It may say anything.
    #[inline]
    pub(super) fn waiting(&self) -> u16 {
        self.available.load16(2, Ordering::Relaxed).wrapping_sub(self.next)
    }

    /// The first descriptor of the chain so many heads behind the next, if it is there
    /// already as far as is known.
    #[inline]
    pub(super) fn ahead(&self, by: u16) -> Option<(u64, bool)> {
        if self.seen.wrapping_sub(self.next) <= by {
            return None;
        }
        let slot = usize::from(self.next.wrapping_add(by) & (self.size - 1));
        let head = self.available.load16(4 + 2 * slot, Ordering::Relaxed);
        let (address, _, flags, _) = (head < self.size).then(|| self.descriptor(head))?;
        Some((address, flags & INDIRECT != 0))
    }

    /// Has its memory mapped here.
    pub(super) fn warm(&self) {
        [self.descriptors, self.available, self.used].iter().for_each(Area::warm);
    }

    /// Walks the chain of a head.
    #[inline]
    pub(super) fn walk(&self, head: u16, chain: &mut Chain<'_, '_>) -> Result<(), Broken> {
        let mut at = head;
        for _ in 0..self.size {
            let (address, length, flags, next) = self.descriptor(at);
            if flags & INDIRECT != 0 {
                if !self.indirect || flags & NEXT != 0 {
                    return Err(Broken::Indirect);
                }
                return indirect(chain, address, length);
            }
            chain.add(address, length, flags & WRITE != 0);
            if flags & NEXT == 0 {
                return Ok(());
            }
            if next >= self.size {
                return Err(Broken::Head);
            }
            at = next;
        }
        Err(Broken::Loop)
    }
    #[inline]
    fn descriptor(&self, at: u16) -> (u64, u32, u16, u16) {
        let at = usize::from(at) * 16;
        split_up(self.descriptors.load64(at), self.descriptors.load64(at + 8))
    }

    /// Puts an answer where the guest does not look yet.
    #[inline]
    pub(super) fn fill(&mut self, head: u16, length: u32) {
        let at = 4 + 8 * usize::from(self.filled & (self.size - 1));
        self.used.store32(at, u32::from(head), Ordering::Relaxed);
        self.used.store32(at + 4, length, Ordering::Relaxed);
        self.filled = self.filled.wrapping_add(1);
    }
    /// From and to which used index the next `publish` goes.
    #[inline]
    pub(super) fn batch(&self) -> (u16, u16) {
        (self.published, self.filled)
    }
    /// Lets the guest see all that was filled; whether it wants to be told.
    #[inline]
    pub(super) fn publish(&mut self) -> bool {
        let (old, new) = self.batch();
        self.used.store16(2, new, Ordering::Release);
        self.published = new;
        // What the driver asks for is read only after it can see the index.
        fence(Ordering::SeqCst);
        if self.event_index {
            let event = self.available.load16(4 + 2 * usize::from(self.size), Ordering::Relaxed);
            return new.wrapping_sub(event).wrapping_sub(1) < new.wrapping_sub(old);
        }
        self.available.load16(0, Ordering::Relaxed) & SILENT == 0
    }

    /// Asks for a kick; whether something is there already.
    pub(super) fn arm(&mut self) -> bool {
        match self.event_index {
            true => self.used.store16(4 + 8 * usize::from(self.size), self.next, Ordering::Relaxed),
            false => self.used.store16(0, 0, Ordering::Relaxed),
        }
        fence(Ordering::SeqCst);
        self.available.load16(2, Ordering::Acquire) != self.next
    }
    /// Asks for no kicks. With event indexes the one that passed already asks for none.
    pub(super) fn disarm(&mut self) {
        if !self.event_index {
            self.used.store16(0, SILENT, Ordering::Relaxed);
        }
    }
}

fn areas(memory: &GuestMemory, size: u16, at: &Addresses) -> Result<(Area, Area, Area), Broken> {
    let size = usize::from(size);
    let descriptors = Area::of(memory, at.descriptors, 16 * size, 16)?;
    let available = Area::of(memory, at.driver, 6 + 2 * size, 2)?;
    let used = Area::of(memory, at.device, 6 + 8 * size, 4)?;
    Ok((descriptors, available, used))
}

#[inline]
fn split_up(low: u64, high: u64) -> (u64, u32, u16, u16) {
    (low, high as u32, (high >> 32) as u16, (high >> 48) as u16)
}

/// Walks a table of descriptors that lies in the guest's memory.
#[inline]
fn indirect(chain: &mut Chain<'_, '_>, table: u64, length: u32) -> Result<(), Broken> {
    let table = chain.table(table, length)?;
    let mut at = 0;
    for _ in 0..table.entries {
        let (low, high) = table.entry(at);
        let (address, length, flags, next) = split_up(low, high);
        if flags & INDIRECT != 0 {
            return Err(Broken::Indirect);
        }
        chain.add(address, length, flags & WRITE != 0);
        if flags & NEXT == 0 {
            return Ok(());
        }
        at = u32::from(next);
        if at >= table.entries {
            return Err(Broken::Indirect);
        }
    }
    Err(Broken::Loop)
}
