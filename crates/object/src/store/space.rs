//! Space comes back: bodies that count no more are punched out of their segments, and
//! segments without any that counts are removed, when nobody reads them.

use std::collections::{BTreeMap, VecDeque};
use std::sync::atomic::Ordering;
use std::sync::{Arc, PoisonError};

use world::files::{File, Files};

use super::index::kept::Piece;
use super::segments::{ALIGN, Kind, Segment};
use super::writer::Writer;

/// What is punched in one step.
const STEP: usize = 64;

/// Segments on their way out.
#[derive(Debug)]
pub struct Space<F: Files> {
    /// They go when nobody reads what was in them in this moment.
    dying: VecDeque<(u64, Arc<Segment<F::File>>)>,
    /// Their records were written again; they go when the index is written down.
    pub cleaned: Vec<Arc<Segment<F::File>>>,
    /// Segments of bodies that were there at start: what is between bodies in them
    /// belongs to nobody.
    gaps: Vec<Arc<Segment<F::File>>>,
    /// Lengths of closed log segments.
    lengths: BTreeMap<u32, u64>,
}

impl<F: Files> Space<F> {
    /// Begins with what was there at start.
    pub fn new(gaps: Vec<Arc<Segment<F::File>>>) -> Self {
        Self { dying: VecDeque::new(), cleaned: Vec::new(), gaps, lengths: BTreeMap::new() }
    }
}

impl<F: Files> Writer<F> {
    /// Gives back a bounded piece of space. Whether there is more to do.
    pub(super) fn reclaim(&mut self) -> bool {
        self.take_discarded();
        let mut punched = 0;
        while punched < STEP {
            let ready = |(moment, _): &(u64, Piece)| self.core.pins.passed(*moment);
            if !self.freed.front().is_some_and(ready) {
                break;
            }
            let (_, piece) = self.freed.pop_front().expect("there is one");
            self.punch(piece.segment, piece.offset, piece.offset + piece.length);
            punched += 1;
        }
        self.doom();
        self.bury();
        punched == STEP || self.fill_gap()
    }

    fn punch(&self, segment: u32, start: u64, end: u64) {
        if let Some(segment) = self.core.segments.get(segment) {
            let end = end.next_multiple_of(ALIGN);
            if let Err(error) = segment.file.punch(start, end - start) {
                self.core
                    .tell(format!("space in {:08x} is not given back: {error}", segment.number));
            }
        }
    }

    fn take_discarded(&mut self) {
        let mut discarded = self.core.discarded.lock().unwrap_or_else(PoisonError::into_inner);
        let pieces: Vec<Piece> = discarded.drain(..).map(|extent| Piece::from(&extent)).collect();
        drop(discarded);
        if !pieces.is_empty() {
            let moment = self.core.pins.advance();
            self.core.land(&pieces);
            self.freed.extend(pieces.into_iter().map(|piece| (moment, piece)));
        }
    }

    /// Finds segments of bodies in which nothing counts.
    fn doom(&mut self) {
        for segment in self.core.segments.of(Kind::Data) {
            let idle = segment.sealed.load(Ordering::Acquire)
                && segment.flight.load(Ordering::Acquire) == 0
                && !self.books.live.contains_key(&segment.number);
            let known = self.space.dying.iter().any(|(_, dying)| dying.number == segment.number);
            if idle && !known {
                self.space.dying.push_back((self.core.pins.advance(), segment));
            }
        }
    }

    /// Removes segments that nobody reads any more. Each removal is durable before the
    /// next: a log segment must never come back without the ones that followed it.
    fn bury(&mut self) {
        while let Some((moment, segment)) = self.space.dying.front() {
            if !self.core.pins.passed(*moment) {
                return;
            }
            let removed = self.core.segments.remove(segment);
            if removed.and_then(|()| self.core.segments.files.sync_names()).is_err() {
                return;
            }
            self.space.lengths.remove(&segment.number);
            self.space.dying.pop_front();
        }
    }

    /// The index is written down: it points into cleaned segments no more.
    pub(super) fn written_down(&mut self) {
        let moment = self.core.pins.advance();
        let cleaned = self.space.cleaned.drain(..);
        self.space.dying.extend(cleaned.map(|segment| (moment, segment)));
    }

    /// Whether cleaned segments wait for the index to be written down.
    pub(super) fn waits_for_checkpoint(&self) -> bool {
        !self.space.cleaned.is_empty()
    }

    /// Whether a segment is on its way out.
    pub(super) fn goes(&self, number: u32) -> bool {
        let cleaned = self.space.cleaned.iter().any(|segment| segment.number == number);
        cleaned || self.space.dying.iter().any(|(_, segment)| segment.number == number)
    }

    /// Punches what is between bodies in one segment that was there at start: bodies
    /// whose mutation never came, and those that went shortly before.
    fn fill_gap(&mut self) -> bool {
        let Some(segment) = self.space.gaps.pop() else { return false };
        if self.freed.iter().any(|(_, piece)| piece.segment == segment.number) {
            // Somebody may read those still.
            self.space.gaps.insert(0, segment);
            return false;
        }
        let view = self.core.view();
        let Ok(pieces) = view.pieces.range((segment.number, 0)..=(segment.number, u64::MAX)) else {
            return true;
        };
        let mut end = 0;
        for piece in pieces {
            let Ok((place, length)) = piece else { return true };
            let start = place.value().1;
            if start > end {
                self.punch(segment.number, end, start);
            }
            end = (start + length.value()).next_multiple_of(ALIGN);
        }
        // What was reserved behind the last one goes, too.
        if end > 0 && segment.file.length().is_ok_and(|length| length > end) {
            let _ = segment.file.set_length(end);
        }
        true
    }

    /// Log segments and their bytes.
    pub(super) fn log_size(&mut self) -> (u64, u64) {
        let (mut count, mut bytes) = (0, 0);
        for segment in self.core.segments.of(Kind::Log) {
            count += 1;
            bytes += match self.space.lengths.get(&segment.number) {
                Some(length) => *length,
                None if Some(segment.number) == self.log.number() => self.log.end,
                None => {
                    let length = segment.file.length().unwrap_or(0);
                    *self.space.lengths.entry(segment.number).or_insert(length)
                }
            };
        }
        (count, bytes)
    }
}
