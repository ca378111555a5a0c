//! Where large bodies are written: each at the end of a segment that nobody else
//! writes to meanwhile, so that a body is one piece as a rule.

use std::sync::atomic::Ordering;
use std::sync::{Arc, Mutex, PoisonError};

use world::files::{File, Files};

use super::StoreError;
use super::segments::{ALIGN, Kind, Segment, Segments};
use super::sum::Sums;
use crate::entry::Extent;

/// Segments that wait for the next body. More are closed.
const IDLE: usize = 64;

/// A segment of bodies that is being filled.
pub struct Lane<F: Files> {
    segment: Arc<Segment<F::File>>,
    end: u64,
}

/// Open segments of bodies that nobody writes to now.
pub struct Lanes<F: Files> {
    segments: Arc<Segments<F>>,
    limit: u64,
    idle: Mutex<Vec<Lane<F>>>,
}

/// Where one body is written. Dropped before its end, it leaves nothing behind.
pub struct Intake<F: Files> {
    lanes: Arc<Lanes<F>>,
    lane: Option<Lane<F>>,
    /// Where this body's piece in the lane begins.
    start: u64,
    sums: Sums,
    done: Vec<Extent>,
    left: Option<u64>,
}

impl<F: Files> Lanes<F> {
    /// None are open yet.
    pub fn new(segments: Arc<Segments<F>>, limit: u64) -> Arc<Self> {
        Arc::new(Self { segments, limit, idle: Mutex::new(Vec::new()) })
    }

    /// Begins a body.
    pub fn intake(self: &Arc<Self>, length: Option<u64>) -> Intake<F> {
        let (sums, done) = (Sums::new(), Vec::new());
        Intake { lanes: Arc::clone(self), lane: None, start: 0, sums, done, left: length }
    }

    fn take(&self) -> Result<Lane<F>, StoreError> {
        let mut idle = self.idle.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(lane) = idle.pop() {
            return Ok(lane);
        }
        drop(idle);
        Ok(Lane { segment: self.segments.create(Kind::Data)?, end: 0 })
    }

    fn give(&self, lane: Lane<F>) {
        let mut idle = self.idle.lock().unwrap_or_else(PoisonError::into_inner);
        if lane.end >= self.limit || idle.len() >= IDLE {
            lane.segment.sealed.store(true, Ordering::Release);
        } else {
            idle.push(lane);
        }
    }
}

impl<F: Files> Intake<F> {
    /// Appends.
    ///
    /// # Errors
    /// When the medium is full or fails. The body is lost then: drop the intake.
    pub fn write(&mut self, mut bytes: &[u8]) -> Result<(), StoreError> {
        while !bytes.is_empty() {
            let limit = self.lanes.limit;
            let lane = self.lane()?;
            let room = (limit - lane.end).min(bytes.len() as u64) as usize;
            lane.segment.file.write_at(lane.end, &bytes[..room])?;
            lane.end += room as u64;
            let full = lane.end >= limit;
            self.sums.update(&bytes[..room]);
            self.left = self.left.map(|left| left.saturating_sub(room as u64));
            bytes = &bytes[room..];
            if full {
                self.close();
            }
        }
        Ok(())
    }

    /// The lane, with room in it.
    fn lane(&mut self) -> Result<&mut Lane<F>, StoreError> {
        if self.lane.is_none() {
            let lane = self.lanes.take()?;
            self.start = lane.end;
            // What is reserved beyond a body that never came is given back with the
            // segment's end, when the store is opened next.
            if let Some(left) = self.left.filter(|left| *left > 1 << 20) {
                let length = left.min(self.lanes.limit - lane.end);
                let reserved = lane.segment.file.allocate(lane.end, length);
                if let Err(error) = reserved {
                    self.lanes.give(lane);
                    return Err(error.into());
                }
            }
            self.lane = Some(lane);
        }
        Ok(self.lane.as_mut().expect("it was put there"))
    }

    /// Ends the piece that is being written.
    fn close(&mut self) {
        let Some(mut lane) = self.lane.take() else { return };
        let (segment, length) = (lane.segment.number, lane.end - self.start);
        if length > 0 {
            lane.segment.flight.fetch_add(1, Ordering::AcqRel);
            let sums = self.sums.finish();
            // What was just written need not be compared before it is read.
            lane.segment.remember(self.start);
            self.done.push(Extent { segment, offset: self.start, length, sums });
        }
        lane.end = lane.end.next_multiple_of(ALIGN);
        self.lanes.give(lane);
    }

    /// All of it is written. Send the extents with a mutation, or give them to
    /// [`super::Store::discard`].
    ///
    /// # Errors
    /// None today: what the medium says, was said by [`Intake::write`].
    pub fn finish(mut self) -> Result<Vec<Extent>, StoreError> {
        self.close();
        Ok(std::mem::take(&mut self.done))
    }
}

impl<F: Files> Drop for Intake<F> {
    fn drop(&mut self) {
        if let Some(mut lane) = self.lane.take() {
            // Nobody knows of these bytes: the next body is written over them.
            lane.end = self.start;
            self.lanes.give(lane);
        }
        for extent in &self.done {
            if let Some(segment) = self.lanes.segments.get(extent.segment) {
                segment.flight.fetch_sub(1, Ordering::AcqRel);
            }
        }
    }
}
