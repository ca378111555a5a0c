//! A volume that is open in a lane.

use thiserror::Error;

use crate::memory::Region;
use crate::qos::Node;
use crate::request::{Fault, Kind, Request};
use crate::units::{BLOCK, Nanos, VolumeNumber};

use super::Lane;
use super::port::{MediumIndex, PoolIndex, Port, VolumeHandle};
use super::statistics::Statistics;

/// The smallest thing that is read or written, in bytes.
pub const SECTOR: u64 = 512;

/// What is behind a volume.
#[derive(Debug)]
pub(crate) enum Back {
    /// Nothing: every request is answered at once, memory stays as it is.
    Null,
    /// A medium, as it is.
    Raw { medium: MediumIndex, memory: Option<Region> },
    /// A volume or snapshot of a pool.
    Thin { pool: PoolIndex, number: VolumeNumber },
}

/// An open volume.
#[derive(Debug)]
pub(crate) struct Volume {
    pub back: Back,
    pub bytes: u64,
    pub read_only: bool,
    pub node: Node,
    pub statistics: Statistics,
    /// Requests that are not answered.
    pub in_flight: u32,
}

/// What a front end may say of a volume.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Capabilities {
    /// Its size.
    pub bytes: u64,
    /// It cannot be written.
    pub read_only: bool,
    /// Ranges can be forgotten.
    pub discard: bool,
    /// The size that requests are best aligned to, in bytes.
    pub block: u32,
}

/// Why a volume is not opened or closed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
pub enum OpenError {
    /// There is none.
    #[error("there is no such volume or pool")]
    Unknown,
    /// Its key is not there.
    #[error("the key of the volume is not there: unlock it first")]
    Locked,
    /// Requests are in flight.
    #[error("requests of the volume are in flight")]
    Busy,
    /// Too many are open.
    #[error("a lane has at most 65,535 open volumes")]
    TooMany,
    /// A size that is not in whole sectors.
    #[error("the size is not in sectors of 512 bytes")]
    Size,
}

impl Volume {
    pub fn new(back: Back, bytes: u64, read_only: bool, node: Node) -> Self {
        Self { back, bytes, read_only, node, statistics: Statistics::default(), in_flight: 0 }
    }
    /// Whether a request can be done at all.
    #[inline]
    pub fn check(&self, request: &Request<'_>) -> Result<(), Fault> {
        if request.kind == Kind::Flush {
            return Ok(());
        }
        let (offset, length) = (request.offset, request.length);
        let end = offset.checked_add(length).ok_or(Fault::Range)?;
        if end > self.bytes || (offset | length) % SECTOR != 0 {
            return Err(Fault::Range);
        }
        if self.read_only && request.kind != Kind::Read {
            return Err(Fault::ReadOnly);
        }
        if matches!(request.kind, Kind::Read | Kind::Write) && !matches!(self.back, Back::Null) {
            let given: u64 = request.segments.iter().map(|segment| segment.len() as u64).sum();
            if given != length {
                return Err(Fault::Range);
            }
        }
        Ok(())
    }
}

impl Lane {
    /// Opens a null volume.
    pub fn open_null(&mut self, bytes: u64, node: Node) -> Result<VolumeHandle, OpenError> {
        self.opened(Volume::new(Back::Null, bytes, false, node))
    }
    /// Opens a medium as a volume, as it is.
    pub fn open_raw<P: Port>(
        &mut self,
        medium: MediumIndex,
        bytes: u64,
        read_only: bool,
        node: Node,
        port: &mut P,
    ) -> Result<VolumeHandle, OpenError> {
        let memory = port.memory(medium);
        self.opened(Volume::new(Back::Raw { medium, memory }, bytes, read_only, node))
    }
    /// Opens a volume or a snapshot of a pool. A snapshot is read-only.
    pub fn open(
        &mut self,
        pool: PoolIndex,
        number: VolumeNumber,
        node: Node,
    ) -> Result<VolumeHandle, OpenError> {
        let place = self.pools.get(usize::from(pool.0)).ok_or(OpenError::Unknown)?;
        let blocks = place.state.blocks(number).ok_or(OpenError::Unknown)?;
        let entry = place.state.directory().entry(number).map_err(|_| OpenError::Unknown)?;
        let read_only = !entry.is_volume();
        self.opened(Volume::new(
            Back::Thin { pool, number },
            u64::from(blocks) * BLOCK as u64,
            read_only,
            node,
        ))
    }
    fn opened(&mut self, volume: Volume) -> Result<VolumeHandle, OpenError> {
        if !volume.bytes.is_multiple_of(SECTOR) {
            return Err(OpenError::Size);
        }
        let free = self.volumes.iter().position(Option::is_none);
        let index = free.unwrap_or(self.volumes.len());
        let handle = VolumeHandle(u16::try_from(index).map_err(|_| OpenError::TooMany)?);
        match self.volumes.get_mut(index) {
            Some(slot) => *slot = Some(volume),
            None => self.volumes.push(Some(volume)),
        }
        Ok(handle)
    }
    /// Closes a volume.
    pub fn close(&mut self, handle: VolumeHandle) -> Result<(), OpenError> {
        let slot = self.volumes.get_mut(usize::from(handle.0)).ok_or(OpenError::Unknown)?;
        let volume = slot.as_ref().ok_or(OpenError::Unknown)?;
        if volume.in_flight != 0 {
            return Err(OpenError::Busy);
        }
        *slot = None;
        self.unsettled.retain(|other| *other != handle);
        Ok(())
    }
    /// What a front end may say of a volume.
    pub fn capabilities(&self, handle: VolumeHandle) -> Option<Capabilities> {
        let volume = self.volumes.get(usize::from(handle.0))?.as_ref()?;
        let discard = !matches!(volume.back, Back::Raw { .. });
        Some(Capabilities {
            bytes: volume.bytes,
            read_only: volume.read_only,
            discard,
            block: BLOCK as u32,
        })
    }
    /// What a volume did since it was opened.
    pub fn statistics(&self, handle: VolumeHandle) -> Option<&Statistics> {
        Some(&self.volumes.get(usize::from(handle.0))?.as_ref()?.statistics)
    }
    /// Whether the next request of a volume may be fetched. If not: when to ask again;
    /// the highest time means after the next completion.
    #[inline]
    pub fn ready(&mut self, handle: VolumeHandle, now: Nanos) -> Result<(), Nanos> {
        let Some(Some(volume)) = self.volumes.get(usize::from(handle.0)) else { return Ok(()) };
        if !self.slab.roomy() {
            return Err(Nanos(u64::MAX));
        }
        self.gate.ready(volume.node, now)
    }
    /// The open handles of a volume of a pool.
    pub(super) fn handles(
        &self,
        pool: PoolIndex,
        number: VolumeNumber,
    ) -> impl Iterator<Item = VolumeHandle> + '_ {
        let is = move |volume: &Volume| matches!(volume.back, Back::Thin { pool: p, number: n } if (p, n) == (pool, number));
        let each = (0_u16..).zip(&self.volumes);
        each.filter(move |(_, volume)| volume.as_ref().is_some_and(is))
            .map(|(index, _)| VolumeHandle(index))
    }
}
