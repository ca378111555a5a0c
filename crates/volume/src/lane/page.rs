//! Pages of the map that are not in memory. Who needs one stands in its line; one read
//! serves all of them.

use crate::request::{Fault, MediumFault};
use crate::state::{InstallError, Need};
use crate::units::{BLOCK, Nanos};

use super::ops::{Body, Line, PageRead, Phase, Slot};
use super::pool::fault_of;
use super::port::{PoolIndex, Port};
use super::{Event, Lane};

/// Pages of one pool that are read at once.
const MOST_PAGES: usize = 32;

impl Lane {
    /// Somebody waits for a page: it is read, unless that is going on. `slot` is nothing
    /// for what comes by itself.
    pub(super) fn want_page<P: Port>(
        &mut self,
        index: PoolIndex,
        slot: Option<Slot>,
        need: Need,
        now: Nanos,
        port: &mut P,
    ) {
        let pool = &mut self.pools[usize::from(index.0)];
        if pool.memory.is_some() {
            return self.page_from_memory(index, slot, need, now, port);
        }
        if let Some((_, reading)) = pool.pages.iter().find(|(place, _)| *place == need.place) {
            let reading = *reading;
            if let Some(slot) = slot {
                self.stand_in_page_line(reading, slot);
            }
            return;
        }
        let few = pool.pages.len() < MOST_PAGES;
        let Some(buffer) = few.then(|| self.buffers.take_kept()).flatten() else {
            return self.no_page_now(index, slot, need);
        };
        let (ticket, medium) = (pool.begin_read(), pool.medium);
        let body =
            Body::Page(PageRead { pool: index, need, buffer, ticket, waiting: Line::default() });
        let reading = self.slab.insert(body);
        pool.pages.push((need.place, reading));
        let memory = self.buffers.segment(buffer, 2);
        if let Some(slot) = slot {
            self.stand_in_page_line(reading, slot);
        }
        port.read(self.slab.name(reading), medium, need.place.bytes(), &[memory]);
    }

    /// Too much is being read: it is asked for again.
    fn no_page_now(&mut self, index: PoolIndex, slot: Option<Slot>, need: Need) {
        if let Some(slot) = slot {
            return self.slab.push(&mut self.poor, slot);
        }
        self.scrub_page(index, need.place, true);
        let pool = self.pool(index);
        if pool.reap_needs == Some(need.place) {
            pool.reap_needs = None;
        }
    }

    fn stand_in_page_line(&mut self, reading: Slot, slot: Slot) {
        let Body::Page(mut page) = *self.slab.body(reading) else { panic!("a page is being read") };
        self.slab.push(&mut page.waiting, slot);
        *self.slab.body_mut(reading) = Body::Page(page);
    }

    fn page_from_memory<P: Port>(
        &mut self,
        index: PoolIndex,
        slot: Option<Slot>,
        need: Need,
        now: Nanos,
        port: &mut P,
    ) {
        let pool = &mut self.pools[usize::from(index.0)];
        let memory = pool.memory.as_ref().expect("the medium is memory");
        let pair =
            memory.bytes(need.place.bytes() as usize, 2 * BLOCK).try_into().expect("two blocks");
        let installed = pool.state.install(need, pair);
        let mut line = Line::default();
        if let Some(slot) = slot {
            self.slab.push(&mut line, slot);
        }
        self.page_installed(index, need, installed, line, now, port);
    }

    /// A page was read, or not.
    pub(super) fn page_done<P: Port>(
        &mut self,
        slot: Slot,
        page: PageRead,
        result: Result<u32, MediumFault>,
        now: Nanos,
        port: &mut P,
    ) {
        let pool = &mut self.pools[usize::from(page.pool.0)];
        pool.tickets.end(page.ticket);
        pool.pages.retain(|(_, reading)| *reading != slot);
        self.slab.remove(slot);
        let whole = result.and_then(|got| {
            if got as usize == 2 * BLOCK { Ok(()) } else { Err(MediumFault::Short) }
        });
        let installed = whole.map(|()| {
            let pair = self.buffers.bytes(page.buffer, 2).try_into().expect("two blocks");
            pool.state.install(page.need, pair)
        });
        self.buffers.give(page.buffer);
        match installed {
            Ok(installed) => {
                self.page_installed(page.pool, page.need, installed, page.waiting, now, port)
            }
            Err(fault) => {
                self.tell(Event::ReadFailed { pool: page.pool, place: page.need.place });
                self.no_page(page.pool, page.need, page.waiting, fault_of(fault), now, port);
            }
        }
    }

    fn page_installed<P: Port>(
        &mut self,
        index: PoolIndex,
        need: Need,
        installed: Result<(), InstallError>,
        mut line: Line,
        now: Nanos,
        port: &mut P,
    ) {
        let there = matches!(installed, Ok(()) | Err(InstallError::FramesFull));
        self.scrub_page(index, need.place, there);
        let pool = &mut self.pools[usize::from(index.0)];
        if there && pool.reap_needs == Some(need.place) {
            pool.reap_needs = None;
        }
        match installed {
            Ok(()) => {
                self.slab.append(&mut self.woken, &mut line);
            }
            Err(InstallError::FramesFull) if pool.frozen.is_none() => {
                pool.pressed = true;
                self.slab.append(&mut pool.room, &mut line);
            }
            Err(InstallError::FramesFull) => {
                self.no_page(index, need, line, Fault::Frozen, now, port)
            }
            Err(InstallError::Damaged { .. } | InstallError::Missing(_)) => {
                self.tell(Event::CorruptPage { pool: index, place: need.place });
                self.no_page(index, need, line, Fault::Corrupt, now, port);
            }
        }
    }

    /// A page cannot be had: everybody who needs it fails.
    fn no_page<P: Port>(
        &mut self,
        index: PoolIndex,
        need: Need,
        mut line: Line,
        fault: Fault,
        now: Nanos,
        port: &mut P,
    ) {
        self.scrub_page(index, need.place, false);
        let pool = self.pool(index);
        if pool.reap_needs == Some(need.place) {
            // What goes away stays as it is until the pool is opened again.
            (pool.reap_needs, pool.reaping) = (None, false);
        }
        while let Some(slot) = self.slab.pop(&mut line) {
            match self.slab.body(slot) {
                Body::Request(_) => {
                    self.slab.asked(slot).fail(fault);
                    self.go(slot, now, port);
                }
                Body::Part(part) if matches!(part.phase, Phase::Merging | Phase::Mapping) => {
                    self.abandon(slot, fault, now, port)
                }
                other => panic!("{other:?} waits for no page"),
            }
        }
    }
}
