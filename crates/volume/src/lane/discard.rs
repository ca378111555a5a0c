//! Ranges that become zeros: whole blocks are forgotten, which needs no data at all.
//! What a discard has of a block only in part stays; zeros are written there if zeros
//! were asked for.

use crate::units::{BLOCK, Lba};

use super::ops::{Asked, Slot};
use super::port::Port;
use super::{Lane, Step, Wait};

impl Lane {
    /// Begins the next piece: one block that holds something, or all up to the next.
    pub(super) fn discard_step<P: Port>(
        &mut self,
        slot: Slot,
        asked: &mut Asked,
        zeros: bool,
        port: &mut P,
    ) -> Step {
        let (index, number) = self.thin(asked.volume);
        let (at, left) = (asked.position(), asked.left());
        let within = at % BLOCK as u64;
        if within != 0 || left < BLOCK as u64 {
            if zeros {
                return self.zero_part(slot, asked, port);
            }
            asked.done += left.min(BLOCK as u64 - within);
            return Step::On;
        }
        let first = Lba((at / BLOCK as u64) as u32);
        let end = Lba(((at + left) / BLOCK as u64) as u32);
        let pool = &mut self.pools[usize::from(index.0)];
        let lba = match pool.state.next_mapped(number, first, end) {
            Ok(Some(lba)) => lba,
            Ok(None) => {
                asked.done += u64::from(end.0 - first.0) * BLOCK as u64;
                return Step::On;
            }
            Err(need) => return Step::Wait(Wait::Page(need)),
        };
        asked.done += u64::from(lba.0 - first.0) * BLOCK as u64;
        if let Some(step) = self.write_hindered(index, number, lba, 1, false) {
            return step;
        }
        let pool = &mut self.pools[usize::from(index.0)];
        match pool.state.unmap(number, lba, &mut pool.log) {
            Ok(_) => {
                asked.done += BLOCK as u64;
                Step::On
            }
            Err(obstacle) => pool.wait_for(obstacle).map_or_else(Step::Fail, Step::Wait),
        }
    }

    /// Zeros in a part of a block. Where nothing is, there are zeros already.
    fn zero_part<P: Port>(&mut self, slot: Slot, asked: &mut Asked, port: &mut P) -> Step {
        let (index, number) = self.thin(asked.volume);
        let lba = Lba((asked.position() / BLOCK as u64) as u32);
        if let Some(step) = self.write_hindered(index, number, lba, 1, true) {
            return step;
        }
        match self.pool(index).state.resolve(number, lba) {
            Err(need) => Step::Wait(Wait::Page(need)),
            Ok(mapping) if mapping.place.is_some() => self.partial_step(slot, asked, &[], port),
            Ok(_) => {
                asked.done += asked.left().min(BLOCK as u64 - asked.position() % BLOCK as u64);
                Step::On
            }
        }
    }
}
