//! What a driver puts into a ring: descriptors, in chains.

/// More descriptors follow.
pub const NEXT: u16 = 1;
/// The device writes it.
pub const WRITE: u16 = 2;
/// It holds a table of descriptors.
pub const INDIRECT: u16 = 4;

/// A piece of the guest's memory.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Descriptor {
    /// Its guest address.
    pub address: u64,
    /// Its length in bytes.
    pub length: u32,
    /// [`WRITE`] or not; [`NEXT`] is added by the ring.
    pub flags: u16,
}

/// The pieces of one request: header, data where there is some, status.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Chain {
    pieces: [Descriptor; 3],
    count: u8,
}

impl Chain {
    /// A chain of at most three pieces.
    pub fn of(pieces: &[Descriptor]) -> Self {
        let mut chain = Self::default();
        chain.pieces[..pieces.len()].copy_from_slice(pieces);
        chain.count = pieces.len() as u8;
        chain
    }
    /// Its pieces.
    #[inline]
    pub fn pieces(&self) -> &[Descriptor] {
        &self.pieces[..usize::from(self.count)]
    }
}

/// Whether the other side wants to hear of what came between `old` and `new` when it
/// asked to be told at `event` (virtio 1.2, section 2.7.7.1).
#[inline]
pub fn wanted(event: u16, new: u16, old: u16) -> bool {
    new.wrapping_sub(event).wrapping_sub(1) < new.wrapping_sub(old)
}
