//! A driver of virtqueues: the other side, for tests. Both layouts, indirect tables,
//! event indexes.

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::{Ordering, fence};

use super::super::area::Area;
use super::Shape;
use crate::guest::GuestMemory;
use crate::virtio_blk::Header;

/// Where the guest's memory begins, and how long it is.
pub(crate) const BASE: u64 = 0x10_0000;
pub(crate) const MEMORY: u64 = 0x20_0000;

const TABLES: u64 = BASE + 0x1_0000;
const HEADERS: u64 = BASE + 0x8_0000;
/// Data of request n is at `DATA + n * 0x1000`; it goes over the edge of the regions.
pub(crate) const DATA: u64 = BASE + 0xa_0000;

/// A piece of a chain.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Piece {
    pub(crate) address: u64,
    pub(crate) length: u32,
    pub(crate) write: bool,
}

pub(crate) struct Driver {
    pub(crate) memory: Arc<GuestMemory>,
    shape: Shape,
    ring: Area,
    driver: Area,
    device: Area,
    /// Descriptors (packed: buffer ids) that are free.
    free: Vec<u16>,
    /// Descriptors of each head in flight, in order.
    taken: HashMap<u16, Vec<u16>>,
    /// Split: the available index. Packed: the slot.
    next: u16,
    wrap: bool,
    old: (u16, bool),
    /// Split: the used index that was seen. Packed: the slot.
    used: u16,
    used_wrap: bool,
    room: u16,
}

impl Driver {
    pub(crate) fn new(shape: Shape, memory: &Arc<GuestMemory>) -> Self {
        let (at, size) = (shape.addresses(), usize::from(shape.size));
        let area = |address, length| Area::of(memory, address, length, 4).unwrap();
        Self {
            memory: Arc::clone(memory),
            shape,
            ring: area(at.descriptors, 16 * size),
            driver: area(at.driver, if shape.packed { 4 } else { 8 + 2 * size }),
            device: area(at.device, if shape.packed { 4 } else { 8 + 8 * size }),
            free: (0..shape.size).rev().collect(),
            taken: HashMap::new(),
            next: 0,
            wrap: true,
            old: (0, true),
            used: 0,
            used_wrap: true,
            room: shape.size,
        }
    }

    /// How many more chains of three fit.
    pub(crate) fn room(&self) -> usize {
        let each = if self.shape.indirect { 1 } else { 3 };
        self.room as usize / each
    }

    /// A request of one piece of data, told by its number; its data is at `data(number)`.
    pub(crate) fn request(
        &mut self,
        number: u64,
        header: Header,
        length: u32,
        to_guest: bool,
    ) -> u16 {
        let place = HEADERS + number % 1024 * 32;
        self.memory.write(place, &header.encode()).unwrap();
        self.memory.write(place + 16, &[0xff]).unwrap();
        let mut chain = vec![Piece { address: place, length: 16, write: false }];
        if length > 0 {
            chain.push(Piece { address: Self::data(number), length, write: to_guest });
        }
        chain.push(Piece { address: place + 16, length: 1, write: true });
        self.add(&chain)
    }
    pub(crate) fn data(number: u64) -> u64 {
        DATA + number % 128 * 0x1000
    }
    pub(crate) fn status(&self, number: u64) -> u8 {
        let mut byte = [0];
        self.memory.read(HEADERS + number % 1024 * 32 + 16, &mut byte).unwrap();
        byte[0]
    }

    /// Makes a chain available; its head, or buffer id.
    pub(crate) fn add(&mut self, chain: &[Piece]) -> u16 {
        if self.shape.indirect && chain.len() > 1 {
            let head = *self.free.last().unwrap();
            let table = TABLES + u64::from(head) * 0x400;
            for (at, piece) in (0u16..).zip(chain) {
                let last = usize::from(at) + 1 == chain.len();
                let flags = if last || self.shape.packed { 0 } else { 1 };
                let bytes =
                    self.descriptor(piece, flags, if self.shape.packed { 0 } else { at + 1 });
                self.memory.write(table + 16 * u64::from(at), &bytes).unwrap();
            }
            let length = 16 * chain.len() as u32;
            return self.add_direct(&[Piece { address: table, length, write: false }], 4);
        }
        self.add_direct(chain, 0)
    }

    /// The bytes of a descriptor in a table: in split tables flags and next, in packed
    /// ones buffer id and flags.
    fn descriptor(&self, piece: &Piece, flags: u16, next: u16) -> [u8; 16] {
        let flags = flags | if piece.write { 2 } else { 0 };
        let (low, high) = if self.shape.packed { (0, flags) } else { (flags, next) };
        let high = u64::from(piece.length) | u64::from(low) << 32 | u64::from(high) << 48;
        (u128::from(piece.address) | u128::from(high) << 64).to_le_bytes()
    }

    fn add_direct(&mut self, chain: &[Piece], extra: u16) -> u16 {
        self.room -= chain.len() as u16;
        match self.shape.packed {
            true => self.add_packed(chain, extra),
            false => self.add_split(chain, extra),
        }
    }
    fn put64(&self, at: u64, bytes: [u8; 16]) {
        self.memory.write(self.shape.addresses().descriptors + at, &bytes).unwrap();
    }
    fn add_split(&mut self, chain: &[Piece], extra: u16) -> u16 {
        let heads = self.free.split_off(self.free.len() - chain.len());
        for (at, piece) in chain.iter().enumerate() {
            let next = heads.get(at + 1).copied();
            let flags = extra | u16::from(next.is_some());
            let bytes = self.descriptor(piece, flags, next.unwrap_or(0));
            self.put64(16 * u64::from(heads[at]), bytes);
        }
        let head = if extra == 0 { heads[0] } else { *heads.last().unwrap() };
        self.driver.store16(
            4 + 2 * usize::from(self.next % self.shape.size),
            head,
            Ordering::Relaxed,
        );
        self.next = self.next.wrapping_add(1);
        self.driver.store16(2, self.next, Ordering::Release);
        self.taken.insert(head, heads);
        head
    }
    fn add_packed(&mut self, chain: &[Piece], extra: u16) -> u16 {
        let id = self.free.pop().unwrap();
        let mut first = None;
        for (at, piece) in chain.iter().enumerate() {
            let more = u16::from(at + 1 < chain.len());
            let lap = if self.wrap { 1 << 7 } else { 1 << 15 };
            let flags = extra | more | lap | if piece.write { 2 } else { 0 };
            let place = usize::from(self.next) * 16;
            let address = self.shape.addresses().descriptors + place as u64;
            self.memory.write(address, &piece.address.to_le_bytes()).unwrap();
            self.ring.store32(place + 8, piece.length, Ordering::Relaxed);
            self.ring.store16(place + 12, id, Ordering::Relaxed);
            match first {
                None => first = Some((place + 14, flags)),
                Some(_) => self.ring.store16(place + 14, flags, Ordering::Relaxed),
            }
            self.next += 1;
            if self.next == self.shape.size {
                (self.next, self.wrap) = (0, !self.wrap);
            }
        }
        let (place, flags) = first.unwrap();
        self.ring.store16(place, flags, Ordering::Release);
        self.taken.insert(id, vec![id; chain.len()]);
        id
    }

    /// Whether the device wants to hear of what was added since this was last asked.
    pub(crate) fn must_kick(&mut self) -> bool {
        fence(Ordering::SeqCst);
        let (old, new) = (self.old, (self.next, self.wrap));
        self.old = new;
        if self.shape.packed {
            return match self.device.load16(2, Ordering::Acquire) {
                0 => true,
                2 => self.passed(self.device.load16(0, Ordering::Relaxed), old, new),
                _ => false,
            };
        }
        if self.shape.event_index {
            let event = self.device.load16(4 + 8 * usize::from(self.shape.size), Ordering::Relaxed);
            return new.0.wrapping_sub(event).wrapping_sub(1) < new.0.wrapping_sub(old.0);
        }
        self.device.load16(0, Ordering::Relaxed) & 1 == 0
    }
    /// Whether going from `old` to `new` passes the slot of an event.
    fn passed(&self, event: u16, old: (u16, bool), new: (u16, bool)) -> bool {
        let mut at = old;
        while at != new {
            if (at.0, at.1) == (event & 0x7fff, event & 0x8000 != 0) {
                return true;
            }
            at.0 += 1;
            if at.0 == self.shape.size {
                at = (0, !at.1);
            }
        }
        false
    }

    /// The next answer: head, or buffer id, and length.
    pub(crate) fn poll(&mut self) -> Option<(u16, u32)> {
        let (id, length) = match self.shape.packed {
            true => self.poll_packed()?,
            false => self.poll_split()?,
        };
        let taken = self.taken.remove(&id).expect("only what is in flight is answered");
        self.room += taken.len() as u16;
        if self.shape.packed {
            self.free.push(id);
            self.used += taken.len() as u16;
            if self.used >= self.shape.size {
                (self.used, self.used_wrap) = (self.used - self.shape.size, !self.used_wrap);
            }
        } else {
            self.free.extend(taken);
        }
        Some((id, length))
    }
    fn poll_split(&mut self) -> Option<(u16, u32)> {
        if self.device.load16(2, Ordering::Acquire) == self.used {
            return None;
        }
        let at = 4 + 8 * usize::from(self.used % self.shape.size);
        let both = self.device.load16(at, Ordering::Relaxed);
        let length = u32::from(self.device.load16(at + 4, Ordering::Relaxed));
        let high = u32::from(self.device.load16(at + 6, Ordering::Relaxed));
        self.used = self.used.wrapping_add(1);
        Some((both, length | high << 16))
    }
    fn poll_packed(&mut self) -> Option<(u16, u32)> {
        let place = usize::from(self.used) * 16;
        let flags = self.ring.load16(place + 14, Ordering::Acquire);
        if (flags & 1 << 7 != 0) != self.used_wrap || (flags & 1 << 15 != 0) != self.used_wrap {
            return None;
        }
        let high = self.ring.load64(place + 8);
        Some(((high >> 32) as u16, high as u32))
    }

    /// Asks to be told of the next answer; whether there is one already.
    pub(crate) fn want_notice(&mut self) -> bool {
        match (self.shape.packed, self.shape.event_index) {
            (true, true) => {
                self.driver.store16(
                    0,
                    self.used | u16::from(self.used_wrap) << 15,
                    Ordering::Relaxed,
                );
                self.driver.store16(2, 2, Ordering::Release);
            }
            (true, false) => self.driver.store16(2, 0, Ordering::Relaxed),
            (false, true) => {
                self.driver.store16(
                    4 + 2 * usize::from(self.shape.size),
                    self.used,
                    Ordering::Relaxed,
                );
            }
            (false, false) => self.driver.store16(0, 0, Ordering::Relaxed),
        }
        fence(Ordering::SeqCst);
        match self.shape.packed {
            true => self.poll_packed().is_some(),
            false => self.device.load16(2, Ordering::Acquire) != self.used,
        }
    }
    /// Asks not to be told.
    pub(crate) fn want_no_notice(&mut self) {
        match self.shape.packed {
            true => self.driver.store16(2, 1, Ordering::Relaxed),
            false => self.driver.store16(0, 1, Ordering::Relaxed),
        }
    }
}

impl Driver {
    /// Makes a read available whose indirect table is there from an earlier request.
    pub(crate) fn again(&mut self) -> u16 {
        let head = *self.free.last().unwrap();
        let table = TABLES + u64::from(head) * 0x400;
        self.add_direct(&[Piece { address: table, length: 48, write: false }], 4)
    }
}
