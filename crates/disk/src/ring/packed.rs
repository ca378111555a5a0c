//! The packed layout (virtio 1.3, section 2.8): one ring, in which a used descriptor
//! takes the place of an available one. Which is which is said by two flags and by how
//! often the ring was gone around.

use std::sync::atomic::{Ordering, fence};

use crate::guest::GuestMemory;
use crate::in_flight::Kept;
use crate::virtio_blk::feature;

use super::area::Area;
use super::chain::Chain;
use super::{Addresses, Broken, QUEUE_MAX};

const NEXT: u16 = 1;
const WRITE: u16 = 2;
const INDIRECT: u16 = 4;
const AVAILABLE: u16 = 1 << 7;
const USED: u16 = 1 << 15;

/// Event suppression: always, never, at a position.
const ALWAYS: u16 = 0;
const NEVER: u16 = 1;
const AT: u16 = 2;
/// Descriptors of a few chains: mostly, one has three at most.
const FEW: u16 = 12;

/// A slot, and the wrap counter of that lap, as in the event structures.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Lap {
    pub(super) slot: u16,
    pub(super) wrap: bool,
}

impl Lap {
    pub(super) fn of(bits: u16) -> Self {
        Self { slot: bits & 0x7fff, wrap: bits & 0x8000 != 0 }
    }
    pub(super) fn bits(self) -> u16 {
        self.slot | u16::from(self.wrap) << 15
    }
    #[inline]
    pub(super) fn plus(self, slots: u16, size: u16) -> Self {
        // Both are at most 1024.
        match self.slot + slots {
            slot if slot >= size => Self { slot: slot - size, wrap: !self.wrap },
            slot => Self { slot, wrap: self.wrap },
        }
    }
}

#[derive(Debug)]
pub(super) struct Packed {
    ring: Area,
    driver: Area,
    device: Area,
    size: u16,
    event_index: bool,
    indirect: bool,
    next: Lap,
    published: Lap,
    filled: Lap,
    /// Flags of the first descriptor of the batch, stored last.
    held: u16,
    /// Descriptors that are fetched and not used.
    outstanding: u16,
    /// The direct descriptors of the chain that was taken last.
    taken: Vec<Kept>,
}

impl Packed {
    /// Has its memory mapped here.
    pub(super) fn warm(&self) {
        [self.ring, self.driver, self.device].iter().for_each(Area::warm);
    }

    pub(super) fn new(
        memory: &GuestMemory,
        size: u16,
        features: u64,
        at: &Addresses,
    ) -> Result<Self, Broken> {
        if size == 0 || size > QUEUE_MAX {
            return Err(Broken::Size);
        }
        let (ring, driver, device) = areas(memory, size, at)?;
        let begin = Lap { slot: 0, wrap: true };
        Ok(Self {
            ring,
            driver,
            device,
            size,
            event_index: features & feature::RING_EVENT_IDX != 0,
            indirect: features & feature::RING_INDIRECT_DESC != 0,
            next: begin,
            published: begin,
            filled: begin,
            held: 0,
            outstanding: 0,
            taken: Vec::with_capacity(usize::from(size)),
        })
    }
    pub(super) fn moved(&mut self, memory: &GuestMemory, at: &Addresses) -> Result<(), Broken> {
        (self.ring, self.driver, self.device) = areas(memory, self.size, at)?;
        Ok(())
    }

    pub(super) fn next(&self) -> Lap {
        self.next
    }
    pub(super) fn published(&self) -> Lap {
        self.published
    }
    /// Goes to positions that are inside the ring.
    pub(super) fn go_to(&mut self, next: Lap, used: Lap, outstanding: u16) -> Result<(), Broken> {
        if next.slot >= self.size || used.slot >= self.size || outstanding > self.size {
            return Err(Broken::Record);
        }
        (self.next, self.filled, self.published) = (next, used, used);
        self.outstanding = outstanding;
        Ok(())
    }
    /// Takes back answers of a batch that never became visible. Its first is not there;
    /// the others would be seen as soon as a new first is.
    pub(super) fn take_back(&self, from: Lap, slots: u16) {
        for after in 1..slots {
            let at = from.plus(after, self.size);
            let available = if at.wrap { AVAILABLE } else { USED };
            self.ring.store16(usize::from(at.slot) * 16 + 14, available, Ordering::Release);
        }
    }
    /// Whether the guest could see what was to be used in this slot: then the flag for
    /// used is as the lap says, whatever the driver made of the slot since.
    pub(super) fn was_used(&self, at: Lap) -> bool {
        at.slot < self.size && (self.flags(at.slot, Ordering::Acquire) & USED != 0) == at.wrap
    }

    #[inline]
    fn flags(&self, slot: u16, order: Ordering) -> u16 {
        self.ring.load16(usize::from(slot) * 16 + 14, order)
    }
    #[inline]
    fn is_available(&self, at: Lap) -> bool {
        let flags = self.flags(at.slot, Ordering::Acquire);
        (flags & AVAILABLE != 0) == at.wrap && (flags & USED != 0) != at.wrap
    }

    /// How many chains wait to be taken: none, at least one, or more than a few.
    #[inline]
    pub(super) fn waiting(&self) -> u16 {
        if !self.is_available(self.next) {
            return 0;
        }
        let more = self.size > FEW && self.is_available(self.next.plus(FEW, self.size));
        if more { FEW } else { 1 }
    }

    /// The next chain, walked, with its buffer id. Its direct descriptors are in
    /// [`Self::taken`].
    #[inline]
    pub(super) fn take(&mut self, chain: &mut Chain<'_, '_>) -> Result<Option<u16>, Broken> {
        if !self.is_available(self.next) {
            return Ok(None);
        }
        self.taken.clear();
        let mut at = self.next;
        loop {
            if self.taken.len() >= usize::from(self.size - self.outstanding) {
                let whole = self.taken.len() == usize::from(self.size);
                return Err(if whole { Broken::Loop } else { Broken::Twice });
            }
            let place = usize::from(at.slot) * 16;
            let (address, high) = (self.ring.load64(place), self.ring.load64(place + 8));
            let (length, id, flags) = (high as u32, (high >> 32) as u16, (high >> 48) as u16);
            let kept = [address, u64::from(length) | u64::from(flags) << 32];
            self.taken.push(kept);
            at = at.plus(1, self.size);
            self.add(chain, kept)?;
            if flags & NEXT == 0 {
                if id >= self.size {
                    return Err(Broken::Head);
                }
                self.next = at;
                self.outstanding += self.taken.len() as u16;
                return Ok(Some(id));
            }
        }
    }
    /// Walks one direct descriptor, from the ring or from the record.
    #[inline]
    pub(super) fn add(&self, chain: &mut Chain<'_, '_>, kept: Kept) -> Result<(), Broken> {
        let (address, length, flags) = (kept[0], kept[1] as u32, (kept[1] >> 32) as u16);
        if flags & INDIRECT != 0 {
            if !self.indirect || flags & NEXT != 0 {
                return Err(Broken::Indirect);
            }
            return indirect(chain, address, length);
        }
        chain.add(address, length, flags & WRITE != 0);
        Ok(())
    }
    /// The direct descriptors of the chain that was taken last.
    #[inline]
    pub(super) fn taken(&self) -> &[Kept] {
        &self.taken
    }

    /// Puts an answer where the guest does not look yet.
    #[inline]
    pub(super) fn fill(&mut self, id: u16, length: u32, descriptors: u16) {
        let at = self.filled;
        let flags = WRITE | if at.wrap { AVAILABLE | USED } else { 0 };
        let place = usize::from(at.slot) * 16 + 8;
        self.ring.store32(place, length, Ordering::Relaxed);
        self.ring.store16(place + 4, id, Ordering::Relaxed);
        match at == self.published {
            true => self.held = flags,
            false => self.ring.store16(place + 6, flags, Ordering::Relaxed),
        }
        self.filled = at.plus(descriptors, self.size);
        self.outstanding -= descriptors;
    }
    /// From and to which used position the next `publish` goes.
    #[inline]
    pub(super) fn batch(&self) -> (u16, u16) {
        (self.published.bits(), self.filled.bits())
    }
    /// Lets the guest see all that was filled; whether it wants to be told.
    #[inline]
    pub(super) fn publish(&mut self) -> bool {
        let (old, new) = (self.published, self.filled);
        self.ring.store16(usize::from(old.slot) * 16 + 14, self.held, Ordering::Release);
        self.published = new;
        // What the driver asks for is read only after it can see the flags.
        fence(Ordering::SeqCst);
        match self.driver.load16(2, Ordering::Acquire) {
            NEVER => false,
            AT if self.event_index => {
                let event = Lap::of(self.driver.load16(0, Ordering::Relaxed));
                // All in the lap of `new`; what is before it is negative.
                let lap = |at: Lap| {
                    i32::from(at.slot) - if at.wrap == new.wrap { 0 } else { i32::from(self.size) }
                };
                (lap(old)..lap(new)).contains(&lap(event))
            }
            _ => true,
        }
    }

    /// Asks for a kick; whether something is there already.
    pub(super) fn arm(&mut self) -> bool {
        if self.event_index {
            self.device.store16(0, self.next.bits(), Ordering::Relaxed);
            self.device.store16(2, AT, Ordering::Release);
        } else {
            self.device.store16(2, ALWAYS, Ordering::Relaxed);
        }
        fence(Ordering::SeqCst);
        self.is_available(self.next)
    }
    /// Asks for no kicks.
    pub(super) fn disarm(&mut self) {
        self.device.store16(2, NEVER, Ordering::Relaxed);
    }
}

fn areas(memory: &GuestMemory, size: u16, at: &Addresses) -> Result<(Area, Area, Area), Broken> {
    let ring = Area::of(memory, at.descriptors, 16 * usize::from(size), 16)?;
    Ok((ring, Area::of(memory, at.driver, 4, 4)?, Area::of(memory, at.device, 4, 4)?))
}

/// Walks a table of descriptors that lies in the guest's memory: all of it, in order.
#[inline]
fn indirect(chain: &mut Chain<'_, '_>, table: u64, length: u32) -> Result<(), Broken> {
    let table = chain.table(table, length)?;
    for at in 0..table.entries {
        let (address, high) = table.entry(at);
        let flags = (high >> 48) as u16;
        if flags & INDIRECT != 0 {
            return Err(Broken::Indirect);
        }
        chain.add(address, high as u32, flags & WRITE != 0);
    }
    Ok(())
}
