//! What will be asked next is known before it is: a queue shows it. A medium that is
//! memory is far away compared to the caches, so what the next requests need is brought
//! near while the one before is worked on: two ahead the entry of the map, one ahead the
//! block itself, line by line beside encryption and checksum. All of it is only hints;
//! nothing that is said here is believed later.

use super::Lane;
use super::port::{PoolIndex, VolumeHandle};
use super::volume::Back;
use crate::request::Kind;
use crate::units::{BLOCK, Lba, Place};

impl Lane {
    /// Whether to tell of what comes next is of any use.
    #[inline]
    pub fn looks_ahead(&self, volume: VolumeHandle) -> bool {
        let Some(Some(volume)) = self.volumes.get(usize::from(volume.0)) else { return false };
        let Back::Thin { pool, .. } = volume.back else { return false };
        self.pools[usize::from(pool.0)].memory.is_some()
    }

    /// The request after the next one.
    #[inline]
    pub fn expect_later(&self, volume: VolumeHandle, offset: u64) {
        let (pool, number) = self.thin(volume);
        let lba = Lba(u32::try_from(offset / BLOCK as u64).unwrap_or(u32::MAX));
        self.pools[usize::from(pool.0)].state.bring_entry(number, lba);
    }

    /// The next request, while the one before it is about to be submitted.
    #[inline]
    pub fn expect(&mut self, volume: VolumeHandle, kind: Kind, offset: u64) {
        let (index, number) = self.thin(volume);
        let lba = Lba(u32::try_from(offset / BLOCK as u64).unwrap_or(u32::MAX));
        let pool = &self.pools[usize::from(index.0)];
        self.ahead = None;
        if let Some(place) = pool.state.probably(number, lba) {
            pool.state.bring_extent(place);
            self.ahead = (kind == Kind::Read).then_some((index, place));
        }
    }

    /// The block of a medium that is memory which is wanted next.
    #[inline]
    pub(super) fn take_ahead(&mut self, pool: PoolIndex) -> Option<Place> {
        self.ahead.take().filter(|(of, _)| *of == pool).map(|(_, place)| place)
    }
}
