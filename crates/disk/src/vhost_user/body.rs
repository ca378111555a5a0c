//! Bodies of messages, read with their bounds checked. The layouts are those of the
//! vhost-user protocol, "Message Specification"; everything is little-endian.

use crate::guest::RegionSpec;

use super::wire::FILES_MAX;

/// Reads numbers off the front of a body.
#[derive(Clone, Copy, Debug)]
pub(super) struct Body<'a>(pub(super) &'a [u8]);

impl<'a> Body<'a> {
    fn take<const N: usize>(&mut self) -> Option<[u8; N]> {
        let (now, rest) = self.0.split_first_chunk()?;
        self.0 = rest;
        Some(*now)
    }
    pub(super) fn u16(&mut self) -> Option<u16> {
        self.take().map(u16::from_le_bytes)
    }
    pub(super) fn u32(&mut self) -> Option<u32> {
        self.take().map(u32::from_le_bytes)
    }
    pub(super) fn u64(&mut self) -> Option<u64> {
        self.take().map(u64::from_le_bytes)
    }
    /// Nothing may be left.
    pub(super) fn end(self) -> Option<()> {
        self.0.is_empty().then_some(())
    }
    /// A body that is one number.
    pub(super) fn only(mut self) -> Option<u64> {
        let number = self.u64()?;
        self.end().map(|()| number)
    }
    /// A queue and a number.
    pub(super) fn state(mut self) -> Option<(u32, u32)> {
        let state = (self.u32()?, self.u32()?);
        self.end().map(|()| state)
    }
    /// A queue, and whether a file belongs to the message.
    pub(super) fn with_file(self) -> Option<(u32, bool)> {
        let number = self.only()?;
        (number < 512).then_some((number as u32 & 0xff, number & 0x100 == 0))
    }
    fn region(&mut self) -> Option<RegionSpec> {
        let (guest, length) = (self.u64()?, self.u64()?);
        Some(RegionSpec { guest, length, user: self.u64()?, offset: self.u64()? })
    }
    /// One region (`ADD_MEM_REG`, `REM_MEM_REG`).
    pub(super) fn single(mut self) -> Option<RegionSpec> {
        self.u64()?;
        let region = self.region()?;
        self.end().map(|()| region)
    }
    /// A table of regions.
    pub(super) fn table(mut self) -> Option<Vec<RegionSpec>> {
        let count = self.u32()? as usize;
        self.u32()?;
        if count == 0 || count > FILES_MAX {
            return None;
        }
        let regions = (0..count).map(|_| self.region()).collect::<Option<Vec<_>>>()?;
        self.end().map(|()| regions)
    }
    /// The addresses of a ring: queue, flags, descriptors, used, available.
    pub(super) fn addresses(mut self) -> Option<(u32, u32, [u64; 3])> {
        let (queue, flags) = (self.u32()?, self.u32()?);
        let addresses = [self.u64()?, self.u64()?, self.u64()?];
        self.u64()?; // where to log writes: not offered
        self.end().map(|()| (queue, flags, addresses))
    }
    /// A part of the configuration space: offset, size, flags, and as many bytes.
    pub(super) fn config(mut self) -> Option<(u32, u32, u32, &'a [u8])> {
        let (offset, size, flags) = (self.u32()?, self.u32()?, self.u32()?);
        (self.0.len() == size as usize).then_some((offset, size, flags, self.0))
    }
    /// Memory for what is in flight: size, offset, queues, size of a queue.
    pub(super) fn in_flight(mut self) -> Option<(u64, u64, u16, u16)> {
        let body = (self.u64()?, self.u64()?, self.u16()?, self.u16()?);
        // Some pad it to whole words.
        matches!(self.0.len(), 0 | 4).then_some(body)
    }
}
