//! One queue: a ring, and the slots that requests live in.
//!
//! Headers lie side by side and so do status bytes, so that a batch of requests moves
//! few cache lines between the two processors.

use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::sync::Arc;
use std::sync::atomic::Ordering;

use rustix::event::{EventfdFlags, eventfd};

use super::chain::{Chain, Descriptor, INDIRECT, NEXT, WRITE};
use super::memory::Memory;
use super::packed::Packed;
use super::split::{Parts, Split};

/// Bytes of a block, the unit of everything that is asked.
pub const BLOCK: usize = 4096;

/// What a request is. The numbers are those of virtio-blk.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[repr(u32)]
pub enum Work {
    /// Data of the volume.
    Read = 0,
    /// Data into the volume.
    Write = 1,
    /// What was acknowledged becomes durable.
    Flush = 4,
    /// A range is forgotten.
    Discard = 11,
    /// A range becomes zeros.
    Zero = 13,
}

/// How a queue is laid out.
#[derive(Clone, Copy, Debug)]
pub struct Shape {
    /// Requests under way at most.
    pub depth: u16,
    /// The packed ring and not the split one.
    pub packed: bool,
    /// Chains in tables of their own.
    pub indirect: bool,
    /// Notices by index (`VIRTIO_RING_F_EVENT_IDX`).
    pub event_index: bool,
    /// Blocks of the largest request.
    pub most_blocks: u16,
}

impl Shape {
    /// Descriptors of a slot in the ring.
    fn each(self) -> u16 {
        if self.indirect { 1 } else { 3 }
    }
    /// Descriptors of the ring.
    pub fn size(self) -> u16 {
        (self.depth * self.each()).next_power_of_two()
    }
    fn places(self, start: usize) -> Places {
        let (size, depth) = (usize::from(self.size()), usize::from(self.depth));
        let mut end = start.next_multiple_of(4096);
        let mut take = |bytes: usize| {
            let here = end;
            end = (end + bytes).next_multiple_of(64);
            here
        };
        let descriptors = take(size * 16);
        let driver = take(6 + size * 2);
        let device = take(6 + size * 8);
        let headers = take(depth * 16);
        let statuses = take(depth);
        let tables = take(depth * 64);
        let data = end.next_multiple_of(4096);
        let each = usize::from(self.most_blocks) * BLOCK;
        let parts = Parts { descriptors, driver, device, size: self.size() };
        Places { parts, headers, statuses, tables, data, each, end: data + each * depth }
    }
    /// Bytes of memory that queues of this shape need.
    pub fn memory(self, queues: usize) -> usize {
        (0..queues).fold(0, |start, _| self.places(start).end)
    }
}

#[derive(Clone, Copy, Debug)]
struct Places {
    parts: Parts,
    headers: usize,
    statuses: usize,
    tables: usize,
    data: usize,
    /// Bytes of data of a slot.
    each: usize,
    end: usize,
}

#[derive(Debug)]
enum Ring {
    Split(Split),
    Packed(Packed),
}

/// A queue.
#[derive(Debug)]
pub struct Queue {
    memory: Arc<Memory>,
    places: Places,
    indirect: bool,
    ring: Ring,
    /// The chain that each slot had last, and for what.
    chains: Vec<(Work, u32, Chain)>,
    kick: OwnedFd,
    call: OwnedFd,
    /// Whether the status is wiped before each request, so that one that the server
    /// does not write is seen.
    pub wipe: bool,
}

impl Queue {
    /// A queue whose parts begin at `start`; gives where it ends.
    pub fn new(memory: Arc<Memory>, shape: Shape, start: usize) -> io::Result<(Self, usize)> {
        let places = shape.places(start);
        let (parts, depth) = (places.parts, shape.depth);
        let ring = match shape.packed {
            false => {
                Ring::Split(Split::new(memory.clone(), parts, shape.each(), shape.event_index))
            }
            true => Ring::Packed(Packed::new(memory.clone(), parts, depth, shape.event_index)),
        };
        let flags = EventfdFlags::CLOEXEC | EventfdFlags::NONBLOCK;
        let (kick, call) = (eventfd(0, flags)?, eventfd(0, flags)?);
        let chains = vec![(Work::Flush, u32::MAX, Chain::default()); usize::from(depth)];
        let indirect = shape.indirect;
        let queue = Self { memory, places, indirect, ring, chains, kick, call, wipe: false };
        Ok((queue, places.end))
    }
    /// Where the ring lies.
    pub fn parts(&self) -> Parts {
        self.places.parts
    }
    /// What the server listens to.
    pub fn kick(&self) -> BorrowedFd<'_> {
        self.kick.as_fd()
    }
    /// What the server tells us by.
    pub fn call(&self) -> BorrowedFd<'_> {
        self.call.as_fd()
    }
    /// Where a slot's data lies in the memory.
    #[inline]
    pub fn data(&self, slot: u16) -> usize {
        self.places.data + usize::from(slot) * self.places.each
    }
    /// The memory.
    pub fn memory(&self) -> &Memory {
        &self.memory
    }

    /// Puts a request in. `bytes` is of the range, which begins at `sector`.
    #[inline]
    pub fn submit(&mut self, slot: u16, work: Work, sector: u64, bytes: u32) {
        let header = self.places.headers + usize::from(slot) * 16;
        let ranged = matches!(work, Work::Discard | Work::Zero);
        self.memory.store(header, u64::from(work as u32));
        self.memory.store(header + 8, if ranged { 0 } else { sector });
        if ranged {
            // virtio 1.2, section 5.2.6: sector, sectors, flags.
            self.memory.store(self.data(slot), sector);
            self.memory.store(self.data(slot) + 8, u64::from(bytes / 512));
        }
        if self.wipe {
            self.status_of(slot).store(0xff, Ordering::Relaxed);
        }
        let (old_work, old_bytes, _) = self.chains[usize::from(slot)];
        let changed = (old_work, old_bytes) != (work, bytes);
        if changed {
            let chain = self.chain(slot, work, bytes);
            self.chains[usize::from(slot)] = (work, bytes, chain);
        }
        let chain = &self.chains[usize::from(slot)].2;
        match &mut self.ring {
            Ring::Split(ring) => ring.submit(slot, chain, changed),
            Ring::Packed(ring) => ring.submit(slot, chain),
        }
    }

    #[cold]
    fn chain(&self, slot: u16, work: Work, bytes: u32) -> Chain {
        let at = |place: usize| self.memory.guest_address(place);
        let slot_place = usize::from(slot);
        let header = at(self.places.headers + slot_place * 16);
        let header = Descriptor { address: header, length: 16, flags: 0 };
        let status = at(self.places.statuses + slot_place);
        let status = Descriptor { address: status, length: 1, flags: WRITE };
        let (length, flags) = match work {
            Work::Read => (bytes, WRITE),
            Work::Write => (bytes, 0),
            Work::Discard | Work::Zero => (16, 0),
            Work::Flush => (0, 0),
        };
        let data = Descriptor { address: at(self.data(slot)), length, flags };
        let chain = match length {
            0 => Chain::of(&[header, status]),
            _ => Chain::of(&[header, data, status]),
        };
        if self.indirect { self.table(slot, &chain) } else { chain }
    }

    /// Writes a chain into the slot's table, and gives the chain that points there.
    fn table(&self, slot: u16, chain: &Chain) -> Chain {
        let table = self.places.tables + usize::from(slot) * 64;
        let packed = matches!(self.ring, Ring::Packed(_));
        let count = chain.pieces().len();
        for (index, piece) in chain.pieces().iter().enumerate() {
            // In packed tables the order says it: neither flag nor next are read.
            let more = !packed && index + 1 < count;
            let flags = u64::from(piece.flags | if more { NEXT } else { 0 });
            let next = if more { index as u64 + 1 } else { 0 };
            let rest = match packed {
                true => u64::from(piece.length) | flags << 48,
                false => u64::from(piece.length) | flags << 32 | next << 48,
            };
            self.memory.store(table + index * 16, piece.address);
            self.memory.store(table + index * 16 + 8, rest);
        }
        let address = self.memory.guest_address(table);
        Chain::of(&[Descriptor { address, length: count as u32 * 16, flags: INDIRECT }])
    }

    /// Shows what was put in, and tells the server where it wants to be told.
    #[inline]
    pub fn publish(&mut self) -> io::Result<()> {
        let tell = match &mut self.ring {
            Ring::Split(ring) => ring.publish(),
            Ring::Packed(ring) => ring.publish(),
        };
        if tell { self.notify() } else { Ok(()) }
    }
    /// Tells the server that there is something.
    #[cold]
    pub fn notify(&self) -> io::Result<()> {
        rustix::io::write(&self.kick, &1_u64.to_ne_bytes())?;
        Ok(())
    }
    /// Calls with each slot that came back; `None` for what is no slot.
    #[inline]
    pub fn poll(&mut self, each: impl FnMut(Option<u16>)) -> usize {
        match &mut self.ring {
            Ring::Split(ring) => ring.poll(each),
            Ring::Packed(ring) => ring.poll(each),
        }
    }
    /// Asks to be told of the next that comes back; whether one did already.
    pub fn arm(&mut self) -> bool {
        match &mut self.ring {
            Ring::Split(ring) => ring.arm(),
            Ring::Packed(ring) => ring.arm(),
        }
    }
    /// What the server said of a slot: 0 is well.
    #[inline]
    pub fn status(&self, slot: u16) -> u8 {
        self.status_of(slot).load(Ordering::Relaxed)
    }
    #[inline]
    fn status_of(&self, slot: u16) -> &std::sync::atomic::AtomicU8 {
        self.memory.byte(self.places.statuses + usize::from(slot))
    }
}
