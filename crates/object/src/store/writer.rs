//! The one that changes the store: a batch of mutations is decided within one
//! transaction of the index, appended to the log with one write, made durable with one
//! sync, and shown to readers then.

use std::collections::{BTreeSet, VecDeque};
use std::sync::atomic::Ordering;
use std::sync::{Arc, PoisonError};

use model::Timestamp;
use redb::{Database, Durability};
use world::files::Files;

use super::decide::{Desk, Next, Stop};
use super::index::backend::Pages;
use super::index::books::{Books, Delta, Mark, set_durability};
use super::index::kept::Piece;
use super::index::tables::Tables;
use super::index::turn::Turn;
use super::index::view::View;
use super::log::{Failure, Log};
use super::report::Report;
use super::shared::Shared;
use super::{StoreError, clean, scrub, space, sweep};
use crate::entry::{Body, INLINE_BYTES};
use crate::mutation::{Mutation, Refusal, Reply};
use crate::quota::Projects;

/// Room that the index must have ahead for what is kept in memory and not written yet,
/// beyond the memory it may use…
const AHEAD: u64 = 8 << 20;
/// …and how much of it deletions may use up when the medium is full.
const LEAN: u64 = 4 << 20;

/// The changing side: owned by one thread.
pub struct Writer<F: Files> {
    pub(super) core: Arc<Shared<F>>,
    pub(super) database: Database,
    pub(super) pages: Arc<Pages<F::File>>,
    pub(super) log: Log<F>,
    pub(super) books: Books,
    pub(super) saved: Saved,
    pub(super) dead: Option<String>,
    /// Pieces that count no more, and the moment in which they last did.
    pub(super) freed: VecDeque<(u64, Piece)>,
    pub(super) space: space::Space<F>,
    pub(super) clean: clean::Clean<F>,
    pub(super) sweep: sweep::Sweep,
    pub(super) scrub: scrub::Scrubber<F>,
    /// Room is set aside for the next start.
    pub(super) spare: bool,
}

/// What happened since the index was written down.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Saved {
    pub bytes: u64,
    pub records: u64,
    /// When the first of it happened.
    pub since: Option<Timestamp>,
}

/// Room that the log must have ahead for more than deletions…
pub(super) const LOG_AHEAD: u64 = 1 << 20;
/// …and for those.
const LOG_LEAN: u64 = 64 << 10;

type Results = Vec<Result<Reply, Refusal>>;

fn body(mutation: &mut Mutation) -> Option<&mut Body> {
    match mutation {
        Mutation::Put(put) => Some(&mut put.body),
        Mutation::PutPart { body, .. } => Some(body),
        _ => None,
    }
}

fn pieces(mutation: &mut Mutation) -> Vec<Piece> {
    match body(mutation) {
        Some(Body::Extents(extents)) => extents.iter().map(Piece::from).collect(),
        _ => Vec::new(),
    }
}

/// Whether there is more room afterwards, or as much.
fn frees(mutation: &Mutation) -> bool {
    matches!(
        mutation,
        Mutation::Delete(_)
            | Mutation::DeleteBucket { .. }
            | Mutation::AbortUpload { .. }
            | Mutation::Configure { .. }
    )
}

impl<F: Files> Writer<F> {
    /// Decides these changes one after the other, and returns when those that were made
    /// are durable: one result for each, in order.
    pub fn apply(&mut self, batch: Vec<Mutation>, now: Timestamp) -> Vec<Result<Reply, Refusal>> {
        let mut bodies = Vec::with_capacity(batch.len());
        let mut ready = Vec::with_capacity(batch.len());
        for mut mutation in batch {
            let spilled = self.spill(&mut mutation);
            bodies.push(pieces(&mut mutation));
            ready.push(spilled.map(|()| mutation));
        }
        let count = ready.len();
        let results = match &self.dead {
            Some(why) => Err(Refusal::Medium(why.clone())),
            None => self.make(ready, &bodies, now),
        };
        let results = results.unwrap_or_else(|refusal| vec![Err(refusal); count]);
        let moment = self.core.pins.advance();
        for (result, pieces) in results.iter().zip(&bodies) {
            self.core.land(pieces);
            if result.is_err() {
                // Nobody will ever ask for them. When the medium fails, nobody knows what
                // it kept: the next start looks.
                let unknown = self.dead.is_some();
                self.freed.extend(pieces.iter().filter(|_| !unknown).map(|piece| (moment, *piece)));
            }
        }
        results
    }

    /// Puts a body into a segment that must not go into the log.
    fn spill(&mut self, mutation: &mut Mutation) -> Result<(), Refusal> {
        let part = matches!(mutation, Mutation::PutPart { .. });
        let Some(body) = body(mutation) else { return Ok(()) };
        let Body::Inline(bytes) = body else { return Ok(()) };
        if bytes.is_empty() {
            *body = Body::Empty;
        } else if part || bytes.len() as u64 > INLINE_BYTES {
            let mut intake = self.core.lanes.intake(None);
            intake.write(bytes)?;
            *body = Body::Extents(intake.finish()?);
        }
        Ok(())
    }

    fn make(
        &mut self,
        batch: Vec<Result<Mutation, Refusal>>,
        bodies: &[Vec<Piece>],
        now: Timestamp,
    ) -> Result<Results, Refusal> {
        self.prepare()?;
        let lean = self.room()?;
        self.sync_bodies(bodies).map_err(|error| self.failed(Failure::Medium(error)))?;
        self.change(now, |desk| {
            let decide = |mutation: Result<Mutation, Refusal>| match mutation {
                Ok(mutation) if lean && !frees(&mutation) => Ok(Err(Refusal::Full)),
                Ok(mutation) => match desk.decide(mutation) {
                    Ok(reply) => Ok(Ok(reply)),
                    Err(Stop::Refused(refusal)) => Ok(Err(refusal)),
                    Err(Stop::Broken(error)) => Err(error),
                },
                Err(refusal) => Ok(Err(refusal)),
            };
            batch.into_iter().map(decide).collect()
        })
    }

    /// Makes sure that the log has a segment to append to.
    pub(super) fn prepare(&mut self) -> Result<(), Refusal> {
        let next = (self.books.next_sequence, self.books.next_bucket);
        let mut prepared = self.log.prepare(&self.core.segments, next);
        if matches!(prepared, Err(Failure::Full)) && self.take_spare() {
            prepared = self.log.prepare(&self.core.segments, next);
        }
        prepared.map_err(|failure| self.failed(failure))
    }

    /// Room that the index should have ahead.
    pub(super) fn ahead(&self) -> u64 {
        AHEAD + self.core.settings.cache_bytes as u64
    }

    /// Whether there is room only for what frees some.
    pub(super) fn room(&mut self) -> Result<bool, Refusal> {
        if self.pages.reserve(self.ahead()).is_ok() && self.log.reserve(LOG_AHEAD).is_ok() {
            return Ok(false);
        }
        let mut lean = self.reserve_lean();
        if lean.is_err() && self.take_spare() {
            lean = self.reserve_lean();
        }
        lean.map(|()| true).map_err(|error| StoreError::from(error).into())
    }

    /// Room for deletions.
    fn reserve_lean(&mut self) -> std::io::Result<()> {
        self.pages.reserve(LEAN)?;
        self.log.reserve(LOG_LEAN)
    }

    fn sync_bodies(&self, bodies: &[Vec<Piece>]) -> std::io::Result<()> {
        self.core.segments.sync_names()?;
        let segments: BTreeSet<u32> = bodies.iter().flatten().map(|piece| piece.segment).collect();
        for number in segments {
            // A body in a segment that is gone is refused when it is read: it was never
            // ours.
            if let Some(segment) = self.core.segments.get(number) {
                self.core.segments.sync(&segment.file)?;
            }
        }
        Ok(())
    }

    /// Makes one change of log and index together: either both have it, or neither.
    pub(super) fn change<T>(
        &mut self,
        now: Timestamp,
        work: impl FnOnce(&mut Desk<'_, '_, '_, F>) -> Result<T, StoreError>,
    ) -> Result<T, Refusal> {
        let core = Arc::clone(&self.core);
        let mut txn = self.database.begin_write().map_err(|error| self.died(error.into()))?;
        set_durability(&mut txn, Durability::None);
        let mut next = Next { sequence: self.books.next_sequence, bucket: self.books.next_bucket };
        let decided = (|| {
            let mut turn = Turn::new(Tables::open(&txn)?, &self.books);
            let (segments, log) = (&core.segments, &mut self.log);
            let mut desk = Desk { turn: &mut turn, log, segments, next: &mut next, now };
            let done = work(&mut desk)?;
            Ok((done, turn.finish()?))
        })();
        let records = self.log.records();
        let (done, delta) = match decided {
            Ok(decided) => decided,
            Err(error) => {
                self.log.abort();
                drop(txn);
                return Err(self.died(error));
            }
        };
        if records == 0 {
            drop(txn);
            return Ok(done);
        }
        let bytes = self.log.pending() as u64;
        if let Err(failure) = self.log.flush(&core.segments) {
            self.log.abort();
            drop(txn);
            return Err(self.failed(failure));
        }
        (self.books.next_sequence, self.books.next_bucket) = (next.sequence, next.bucket);
        self.saved.bytes += bytes;
        self.saved.records += records as u64;
        self.saved.since.get_or_insert(now);
        self.commit(txn, delta).map_err(|error| self.died(error))?;
        Ok(done)
    }

    /// Shows readers what is durable.
    fn commit(&mut self, txn: redb::WriteTransaction, mut delta: Delta) -> Result<(), StoreError> {
        let changed = self.books.take(&mut delta);
        self.books.note(&txn, self.mark(), &changed)?;
        txn.commit()?;
        self.core.set_view(View::new(&self.database, &self.books)?);
        let moment = self.core.pins.advance();
        self.freed.extend(delta.freed.iter().map(|piece| (moment, *piece)));
        for (bucket, key) in &delta.touched {
            self.core.stamp(*bucket, key).fetch_add(1, Ordering::AcqRel);
        }
        if !delta.buckets.is_empty() {
            self.core.buckets_stamp.fetch_add(1, Ordering::AcqRel);
        }
        let mut report = self.core.report.lock().unwrap_or_else(PoisonError::into_inner);
        report.batches += 1;
        report.changes += delta.touched.len() as u64;
        Ok(())
    }

    /// Where the log ends now.
    pub(super) fn mark(&self) -> Mark {
        let segment = self.log.number().unwrap_or(0);
        Mark { segment, offset: self.log.end, batch: self.log.batch }
    }

    fn failed(&mut self, failure: Failure) -> Refusal {
        match failure {
            Failure::Full => Refusal::Full,
            Failure::Medium(error) => self.died(error.into()),
        }
    }

    /// Who shares a quota: an administrator's to say, and empty at first.
    pub fn projects(&self) -> Arc<Projects> {
        Arc::clone(&self.books.projects)
    }

    /// Why it takes no more changes, when that is so.
    pub fn dead(&self) -> Option<&str> {
        self.dead.as_deref()
    }

    /// The store takes no more changes until it is opened anew: nobody knows what a
    /// medium kept that failed once.
    pub(super) fn died(&mut self, error: StoreError) -> Refusal {
        let why = error.to_string();
        if self.pages.damaged() {
            // The next start builds it anew from the log.
            super::open::distrust(&self.core.segments);
        }
        let mut report = self.core.report.lock().unwrap_or_else(PoisonError::into_inner);
        report.dead.get_or_insert_with(|| why.clone());
        drop(report);
        self.dead.get_or_insert_with(|| why.clone());
        Refusal::Medium(why)
    }

    /// Writes the index down.
    pub(super) fn checkpoint(&mut self) -> Result<(), StoreError> {
        let mark = self.mark();
        let store = |database: &Database, books: &Books| {
            let mut txn = database.begin_write()?;
            set_durability(&mut txn, Durability::Immediate);
            // So that the next start need not walk all pages.
            txn.set_quick_repair(true);
            books.note(&txn, mark, &[])?;
            Ok::<(), StoreError>(txn.commit()?)
        };
        if let Err(error) = store(&self.database, &self.books) {
            self.died(error.clone());
            return Err(error);
        }
        self.core.set_view(View::new(&self.database, &self.books)?);
        self.saved = Saved::default();
        self.written_down();
        Ok(())
    }

    /// Writes the index down: for an orderly end. Without it the next start replays the
    /// end of the log.
    ///
    /// # Errors
    /// When the medium fails.
    pub fn close(&mut self) -> Result<(), StoreError> {
        match (&self.dead, self.saved.since) {
            (Some(why), _) => Err(StoreError::Medium(why.clone())),
            (None, None) => Ok(()),
            (None, Some(_)) => self.checkpoint(),
        }
    }

    /// Does a bounded piece of what is to be done beside changes. Says when it wants to
    /// be called again.
    pub fn tick(&mut self, now: Timestamp) -> Timestamp {
        let later = |micros: u64| {
            Timestamp::from_micros(
                now.micros().saturating_add(i64::try_from(micros).unwrap_or(i64::MAX)),
            )
        };
        if self.dead.is_none() && self.pages.damaged() {
            self.died(StoreError::Damaged("a page of the index".to_owned()));
        }
        if self.dead.is_some() {
            return later(1_000_000);
        }
        if self.checkpoint_due(now) && self.checkpoint().is_err() {
            return later(1_000_000);
        }
        self.keep_spare();
        let busy = [self.reclaim(), self.clean_step(now), self.sweep_step(now)];
        self.count();
        if busy.contains(&true) { now } else { later(200_000) }
    }

    fn checkpoint_due(&self, now: Timestamp) -> bool {
        let settings = &self.core.settings;
        let age = self.saved.since.map(|since| now.since(since).micros());
        self.saved.bytes >= settings.checkpoint_bytes
            || self.saved.records >= settings.checkpoint_records
            || age.is_some_and(|age| age >= settings.checkpoint_micros)
            || self.waits_for_checkpoint()
    }

    /// Counts what the report says.
    fn count(&mut self) {
        let (log_segments, log_bytes) = self.log_size();
        let mut report = self.core.report.lock().unwrap_or_else(PoisonError::into_inner);
        let Report { data_segments, log_live_bytes, data_live_bytes, .. } = &mut *report;
        (*data_segments, *log_live_bytes, *data_live_bytes) = (0, 0, 0);
        for segment in self.core.segments.of(super::segments::Kind::Data) {
            *data_segments += 1;
            *data_live_bytes += self.books.live.get(&segment.number).unwrap_or(&0);
        }
        for segment in self.core.segments.of(super::segments::Kind::Log) {
            *log_live_bytes += self.books.live.get(&segment.number).unwrap_or(&0);
        }
        (report.log_segments, report.log_bytes) = (log_segments, log_bytes);
        report.waiting = self.freed.len() as u64;
        report.syncs = self.core.segments.syncs.load(Ordering::Relaxed) + self.pages.syncs();
    }
}
