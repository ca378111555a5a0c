//! The log is cleaned from its oldest segment on: records that still count are appended
//! again, as they are, and the segment is removed. Because it is the oldest, what its
//! tombstones killed is gone with it: they need not be kept.

use std::sync::Arc;

use model::Timestamp;
use redb::ReadableTable;
use world::files::Files;

use super::StoreError;
use super::index::kept::{BucketKept, decode};
use super::index::keys;
use super::index::turn::Turn;
use super::record::{self, Record};
use super::scan::{Found, Scanner};
use super::segments::{Kind, Segment};
use super::writer::Writer;
use crate::entry::{Location, Sequence};
use crate::mutation::{UploadId, Which};

/// What is read in one step, in bytes.
const STEP: usize = 1 << 20;

/// A segment that is being cleaned.
pub struct Clean<F: Files>(Option<Begun<F>>);

type Begun<F> = (Arc<Segment<<F as Files>::File>>, Scanner<<F as Files>::File>);

impl<F: Files> Clean<F> {
    /// None is.
    pub fn new() -> Self {
        Self(None)
    }
}

impl<F: Files> Writer<F> {
    /// Cleans a piece of the oldest segment, when that is worth it. Whether there is
    /// more to do.
    pub(super) fn clean_step(&mut self, now: Timestamp) -> bool {
        if self.dead.is_some() {
            return false;
        }
        if self.clean.0.is_none() {
            match self.oldest_to_clean().map(|segment| {
                Scanner::new(Arc::clone(&segment.file), record::PREFACE as u64)
                    .map(|scan| (segment, scan))
            }) {
                Some(Ok(begun)) => self.clean.0 = Some(begun),
                Some(Err(_)) | None => return false,
            }
        }
        match self.clean_some(now) {
            Ok(more) => more,
            Err(error) => {
                self.core.tell(format!("the log is not cleaned: {error}"));
                self.clean.0 = None;
                false
            }
        }
    }

    fn oldest_to_clean(&mut self) -> Option<Arc<Segment<F::File>>> {
        let (_, bytes) = self.log_size();
        let segments = self.core.segments.of(Kind::Log);
        let live: u64 =
            segments.iter().filter_map(|segment| self.books.live.get(&segment.number)).sum();
        let dead = bytes.saturating_sub(live);
        let oldest = segments.into_iter().find(|segment| !self.goes(segment.number))?;
        let worth = dead >= self.core.settings.clean_bytes && dead * 2 >= bytes;
        (worth && Some(oldest.number) != self.log.number()).then_some(oldest)
    }

    fn clean_some(&mut self, now: Timestamp) -> Result<bool, StoreError> {
        let (segment, mut scan) = self.clean.0.take().expect("it has begun");
        let (batch, over) = gather(&mut scan)?;
        if !batch.is_empty() {
            self.prepare().and_then(|()| self.room()).map_err(|_| StoreError::Full)?;
            let number = segment.number;
            let moved = self.change(now, |desk| {
                for (offset, sequence, bytes) in &batch {
                    let at =
                        Location { segment: number, offset: *offset, length: bytes.len() as u32 };
                    let header = record::Header::read(bytes).expect("it was read before");
                    let Some(record) = record::payload(&header, bytes) else { continue };
                    if lives(desk.turn, &record, *sequence, at)? {
                        let to = desk.log.append_raw(bytes);
                        desk.turn.apply(&record, *sequence, to)?;
                    }
                }
                Ok(())
            });
            moved.map_err(|refusal| StoreError::Medium(refusal.to_string()))?;
        }
        if over {
            self.space.cleaned.push(segment);
        } else {
            self.clean.0 = Some((segment, scan));
        }
        Ok(true)
    }
}

type Batch = Vec<(u64, Sequence, Vec<u8>)>;

/// Reads records; says whether these were the last.
fn gather<T: world::files::File>(scan: &mut Scanner<T>) -> Result<(Batch, bool), StoreError> {
    let (mut batch, mut bytes) = (Vec::new(), 0);
    while bytes < STEP {
        let offset = scan.offset;
        match scan.next()? {
            Found::Record(header, raw) => {
                bytes += raw.len();
                batch.push((offset, header.sequence, raw));
            }
            Found::Bad if scan.skip(0)? => {}
            Found::Bad | Found::End => return Ok((batch, true)),
        }
    }
    Ok((batch, false))
}

/// Whether the index still points to this record.
fn lives(
    turn: &Turn<'_, '_>,
    record: &Record,
    sequence: Sequence,
    at: Location,
) -> Result<bool, StoreError> {
    let head = match record {
        Record::BucketGone(_) | Record::Removed { .. } | Record::Aborted { .. } => None,
        Record::Bucket(bucket) => {
            let kept = turn.tables.buckets.get(bucket.id.0)?;
            kept.map(|kept| decode::<BucketKept>(kept.value())).transpose()?.map(|kept| kept.head)
        }
        Record::Version(version) => turn
            .find(version.bucket, version.key.as_str(), Which::At(version.sequence))?
            .map(|(kept, _)| kept.entry.head),
        Record::Upload(upload) => turn
            .upload(upload.bucket, upload.key.as_str(), UploadId(sequence))?
            .map(|kept| kept.head),
        Record::Part(part) => {
            let place = keys::part(part.upload, part.info.number);
            let kept = turn.tables.parts.get(place.as_slice())?;
            let kept = kept.map(|kept| decode::<super::index::kept::PartKept>(kept.value()));
            kept.transpose()?.map(|kept| kept.head)
        }
    };
    Ok(head == Some(at))
}
