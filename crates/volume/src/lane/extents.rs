//! Which parts of a volume hold something, for front ends that tell their clients.
//!
//! It is answered from the map at once, or not yet: a page of the map that is not in
//! memory is read, and who asked asks again. An answer is bounded in what is looked at,
//! so that one about a large volume keeps nobody waiting.

use crate::format::page::LEAF_ENTRIES;
use crate::units::{BLOCK, Lba, Nanos};

use super::Lane;
use super::port::{Port, VolumeHandle};
use super::volume::Back;

/// Blocks that are looked at for one answer. A page that is not there counts as one.
const MOST_LOOKS: u32 = 16 << 10;
/// Pages of the map for one answer.
const MOST_PAGES: u32 = MOST_LOOKS / 32;

/// A part of a volume that is the same throughout.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Extent {
    /// In bytes, not 0.
    pub length: u64,
    /// It may hold something. If not, it reads as zeros and takes up no room.
    pub holds: bool,
}

/// A page of the map is not in memory, and is being read: ask again after a completion.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct NotYet {
    /// The read began by this question. Who has begun many and still has no answer had
    /// better not be patient any more: the page may be damaged.
    pub begun: bool,
}

impl Lane {
    /// Which parts of a range of a volume hold something: consecutive extents from
    /// `offset` on, at most `most`, together at most `length` bytes and at least some.
    /// What is not known is said to hold something. Who is not `patient` gets an answer
    /// in any case.
    #[allow(clippy::too_many_arguments, reason = "a question and who answers it")]
    pub fn extents<P: Port>(
        &mut self,
        handle: VolumeHandle,
        offset: u64,
        length: u64,
        most: usize,
        patient: bool,
        now: Nanos,
        port: &mut P,
    ) -> Result<Vec<Extent>, NotYet> {
        assert!(length > 0 && most > 0, "something is asked");
        let all = vec![Extent { length, holds: true }];
        let Some(Some(volume)) = self.volumes.get(usize::from(handle.0)) else { return Ok(all) };
        let Back::Thin { pool: index, number } = volume.back else { return Ok(all) };
        let end = (offset + length).min(volume.bytes);
        let state = &mut self.pools[usize::from(index.0)].state;
        let last = Lba(end.div_ceil(BLOCK as u64) as u32);
        let (mut found, mut at) = (Vec::<Extent>::new(), offset);
        let (mut looks, mut pages) = (0, 0);
        while at < end && looks < MOST_LOOKS && pages < MOST_PAGES {
            let lba = Lba((at / BLOCK as u64) as u32);
            let (holds, blocks) = match state.run(number, lba, last) {
                Ok((holds, blocks, looked)) => {
                    (looks, pages) = (looks + looked, pages + 1);
                    (holds, blocks)
                }
                // What is known so far is an answer.
                Err(_) if !found.is_empty() => break,
                Err(need) if patient => {
                    let pool = self.pool(index);
                    let begun = pool.pages.iter().all(|(place, _)| *place != need.place);
                    self.want_page(index, None, need, now, port);
                    return Err(NotYet { begun });
                }
                Err(_) => (true, LEAF_ENTRIES as u32 - lba.0 % LEAF_ENTRIES as u32),
            };
            let next = (u64::from(lba.0) + u64::from(blocks)) * BLOCK as u64;
            let here = next.min(end) - at;
            let full = found.len() == most;
            match found.last_mut() {
                Some(last) if last.holds == holds => last.length += here,
                _ if full => break,
                _ => found.push(Extent { length: here, holds }),
            }
            at += here;
        }
        Ok(if found.is_empty() { all } else { found })
    }
}
