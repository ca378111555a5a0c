//! Scrubbing: everything that counts is read and compared with its checksums, a bounded
//! piece at a time, however large an object is. It needs nothing of the changing side, so
//! that it can be done by a thread that nobody waits for.

use std::ops::Bound;
use std::sync::Arc;

use world::files::Files;

use super::index::kept::{PartKept, decode};
use super::index::view::View;
use super::record::{self, Record};
use super::report::Scrubbed;
use super::shared::Shared;
use super::snapshot::{self, Shelf, told};
use super::writer::Writer;
use super::{Store, StoreError, list, log};
use crate::entry::{Extent, SUMMED_BYTES, Sequence};
use crate::mutation::Which;
use crate::name::BucketName;
use crate::query::{Line, ListVersions};

/// Where a scrub goes on.
#[derive(Clone, Debug, Default)]
struct Cursor {
    /// In this bucket or after it…
    bucket: Option<BucketName>,
    /// …after this version of this key…
    version: Option<(String, Option<Sequence>)>,
    /// …or, when all versions were read, after this part.
    part: Option<Vec<u8>>,
    /// What comes next was begun: which it is, and how many bytes of it were read.
    begun: Option<(Vec<u8>, u64)>,
}

/// Reads a store again and again.
pub struct Scrubber<F: Files> {
    core: Arc<Shared<F>>,
    cursor: Cursor,
}

/// How far an object was read.
enum Read {
    /// To its end.
    All,
    /// So many of its bytes.
    Until(u64),
}

impl<F: Files> Store<F> {
    /// What compares everything with its checksums. Nothing is read before
    /// [`Scrubber::step`] says so.
    pub fn scrubber(&self) -> Scrubber<F> {
        Scrubber::new(Arc::clone(&self.0))
    }
}

impl<F: Files> Writer<F> {
    /// Reads about so many bytes and compares them with their checksums.
    pub fn scrub(&mut self, bytes: u64) -> Scrubbed {
        self.scrub.step(bytes)
    }
}

impl<F: Files> Scrubber<F> {
    pub(super) fn new(core: Arc<Shared<F>>) -> Self {
        Self { core, cursor: Cursor::default() }
    }

    /// Reads about so many bytes and compares them with their checksums. What is damaged
    /// is told, and remembered in the store's report.
    pub fn step(&mut self, bytes: u64) -> Scrubbed {
        let mut done = Scrubbed::default();
        let core = Arc::clone(&self.core);
        // The pin first: what the moment can find must be held already.
        let _pin = core.pins.pin();
        let view = core.view();
        while done.bytes < bytes && !done.round {
            let left = bytes - done.bytes;
            let step = match self.cursor.part {
                None => self.version(&view, left, &mut done),
                Some(_) => self.part(&view, left, &mut done),
            };
            if let Err(error) = step {
                // The index itself cannot be read: another step may find it mended.
                self.damaged(&mut done, error.to_string());
                break;
            }
        }
        done
    }

    fn version(&mut self, view: &View, left: u64, done: &mut Scrubbed) -> Result<(), StoreError> {
        let first = self.cursor.bucket.clone();
        let bucket = match &first {
            Some(name) => view.buckets.range(name.clone()..).next(),
            None => view.buckets.iter().next(),
        };
        let Some((name, bucket)) = bucket else {
            self.cursor = Cursor { part: Some(Vec::new()), ..Cursor::default() };
            return Ok(());
        };
        if first.as_ref() != Some(name) {
            self.cursor = Cursor { bucket: Some(name.clone()), ..std::mem::take(&mut self.cursor) };
            (self.cursor.version, self.cursor.begun) = (None, None);
        }
        let after = self.cursor.version.clone();
        let page = ListVersions { after, limit: 1, ..ListVersions::default() };
        let page = list::versions(view, bucket.id, &page)?;
        let Some(Line::Item(item)) = page.lines.first() else {
            self.next_bucket(view, name);
            return Ok(());
        };
        let (key, sequence) = (item.key.as_str(), item.entry.sequence);
        let place = [&bucket.id.0.to_be_bytes(), &sequence.0.to_be_bytes()[..], key.as_bytes()];
        let skip = self.begun(&place.concat());
        let kept = view.find(bucket.id, key, Which::At(sequence));
        let checked = kept.and_then(|kept| {
            let Some(kept) = kept else { return Ok((0, Read::All)) };
            let (header, bytes) = self.core.whole(kept.entry.head)?;
            let version = snapshot::version(&item.key, kept, &header, &bytes)?;
            self.check(&version.extents, skip, left, bytes.len() as u64)
        });
        let what = || format!("{} in {}", told(key, sequence), name.as_str());
        if self.note(done, checked, &place.concat(), what) {
            self.cursor.version = Some((key.to_owned(), Some(sequence)));
        }
        Ok(())
    }

    fn next_bucket(&mut self, view: &View, name: &BucketName) {
        let behind = (Bound::Excluded(name), Bound::Unbounded);
        let next = view.buckets.range::<BucketName, _>(behind).next();
        let bucket = next.map(|(name, _)| name.clone());
        let part = bucket.is_none().then(Vec::new);
        self.cursor = Cursor { bucket, part, ..Cursor::default() };
    }

    fn part(&mut self, view: &View, left: u64, done: &mut Scrubbed) -> Result<(), StoreError> {
        let first = self.cursor.part.clone().unwrap_or_default();
        let Some(part) = view.parts.range(first.as_slice()..)?.next() else {
            done.round = true;
            self.cursor = Cursor::default();
            return Ok(());
        };
        let part = part?;
        let place = part.0.value().to_vec();
        let skip = self.begun(&place);
        let kept: PartKept = decode(part.1.value())?;
        let checked =
            self.core.whole(kept.head).and_then(|(header, bytes)| {
                match record::payload(&header, &bytes) {
                    Some(Record::Part(record)) => {
                        self.check(&record.extents, skip, left, bytes.len() as u64)
                    }
                    _ => Err(log::damaged(kept.head)),
                }
            });
        if self.note(done, checked, &place, || format!("part {}", kept.info.number)) {
            // Behind it, and before all others.
            self.cursor.part = Some([&place[..], &[0]].concat());
        }
        Ok(())
    }

    /// How much of this was read already.
    fn begun(&mut self, place: &[u8]) -> u64 {
        self.cursor.begun.take().filter(|(begun, _)| begun == place).map_or(0, |(_, skip)| skip)
    }

    /// Compares the bytes of a body from there on, about so many of them.
    fn check(
        &self,
        extents: &[Extent],
        skip: u64,
        left: u64,
        beside: u64,
    ) -> Result<(u64, Read), StoreError> {
        let (mut at, mut read) = (0, if skip == 0 { beside } else { 0 });
        for extent in extents {
            let from = skip.saturating_sub(at).min(extent.length) / SUMMED_BYTES;
            let most = left.saturating_sub(read).div_ceil(SUMMED_BYTES).max(1);
            let sums = extent.sums.len() as u64;
            let until = sums.min(from + most);
            if at + extent.length > skip {
                self.core.check_some(extent, from..until)?;
                let bytes = (until * SUMMED_BYTES).min(extent.length) - from * SUMMED_BYTES;
                read += bytes;
                if until < sums {
                    return Ok((read, Read::Until(at + until * SUMMED_BYTES)));
                }
            }
            at += extent.length;
        }
        Ok((read, Read::All))
    }

    /// Notes what came of a piece. Whether the next one's turn has come.
    fn note(
        &mut self,
        done: &mut Scrubbed,
        checked: Result<(u64, Read), StoreError>,
        place: &[u8],
        what: impl Fn() -> String,
    ) -> bool {
        match checked {
            Ok((bytes, Read::Until(skip))) => {
                done.bytes += bytes;
                self.cursor.begun = Some((place.to_vec(), skip));
                return false;
            }
            Ok((bytes, Read::All)) => done.bytes += bytes,
            Err(error) => {
                // So that what is damaged everywhere comes to an end, too.
                done.bytes += 1;
                self.damaged(done, format!("{}: {error}", what()));
            }
        }
        done.read += 1;
        true
    }

    fn damaged(&self, done: &mut Scrubbed, what: String) {
        self.core.tell(what.clone());
        done.damaged.push(what);
    }
}
