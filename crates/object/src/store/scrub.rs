//! Scrubbing: everything that counts is read and compared with its checksums, a bounded
//! piece at a time.

use std::ops::Bound;

use world::files::Files;

use super::StoreError;
use super::index::kept::{PartKept, decode};
use super::index::view::View;
use super::list;
use super::log;
use super::record::{self, Record};
use super::report::Scrubbed;
use super::snapshot::{self, Shelf, told};
use super::writer::Writer;
use crate::entry::{Extent, Sequence};
use crate::mutation::Which;
use crate::name::BucketName;
use crate::query::{Line, ListVersions};

/// What is looked up at once.
const PAGE: usize = 64;

/// Where a scrub goes on.
#[derive(Clone, Debug, Default)]
pub struct Cursor {
    /// In this bucket or after it…
    bucket: Option<BucketName>,
    /// …after this version of this key…
    version: Option<(String, Option<Sequence>)>,
    /// …or, when all versions were read, after this part.
    part: Option<Vec<u8>>,
}

impl<F: Files> Writer<F> {
    /// Reads about so many bytes and compares them with their checksums.
    pub fn scrub(&mut self, bytes: u64) -> Scrubbed {
        let mut done = Scrubbed::default();
        let view = self.core.view();
        let _pin = self.core.pins.pin();
        while done.bytes < bytes && !done.round {
            let step = match self.scrub.part {
                None => self.scrub_versions(&view, &mut done),
                Some(_) => self.scrub_parts(&view, &mut done),
            };
            if let Err(error) = step {
                done.damaged.push(error.to_string());
                break;
            }
        }
        done
    }

    fn scrub_versions(&mut self, view: &View, done: &mut Scrubbed) -> Result<(), StoreError> {
        let first = self.scrub.bucket.clone();
        let bucket = match &first {
            Some(name) => view.buckets.range(name.clone()..).next(),
            None => view.buckets.iter().next(),
        };
        let Some((name, bucket)) = bucket else {
            self.scrub.part = Some(Vec::new());
            return Ok(());
        };
        if first.as_ref() != Some(name) {
            self.scrub.version = None;
        }
        let after = self.scrub.version.take();
        let page = ListVersions { after, limit: PAGE, ..ListVersions::default() };
        let page = list::versions(view, bucket.id, &page)?;
        for line in page.lines {
            let Line::Item(item) = line else { continue };
            let sequence = item.entry.sequence;
            let checked =
                view.find(bucket.id, item.key.as_str(), Which::At(sequence)).and_then(|kept| {
                    let Some(kept) = kept else { return Ok(0) };
                    let (header, bytes) = self.core.whole(kept.entry.head)?;
                    let version = snapshot::version(&item.key, kept, &header, &bytes)?;
                    self.check_all(&version.extents).map(|read| read + bytes.len() as u64)
                });
            note(done, checked, || told(item.key.as_str(), sequence));
        }
        self.scrub.bucket = Some(name.clone());
        if page.next.is_none() {
            let behind = (Bound::Excluded(name), Bound::Unbounded);
            let next = view.buckets.range::<BucketName, _>(behind).next();
            self.scrub.bucket = next.map(|(name, _)| name.clone());
            self.scrub.part = self.scrub.bucket.is_none().then(Vec::new);
        }
        self.scrub.version = page.next;
        Ok(())
    }

    fn scrub_parts(&mut self, view: &View, done: &mut Scrubbed) -> Result<(), StoreError> {
        let first = self.scrub.part.clone().unwrap_or_default();
        let mut last = None;
        for part in view.parts.range(first.as_slice()..)?.take(PAGE) {
            let part = part?;
            let kept: PartKept = decode(part.1.value())?;
            let checked = self.core.whole(kept.head).and_then(|(header, bytes)| {
                match record::payload(&header, &bytes) {
                    Some(Record::Part(record)) => {
                        self.check_all(&record.extents).map(|read| read + bytes.len() as u64)
                    }
                    _ => Err(log::damaged(kept.head)),
                }
            });
            note(done, checked, || format!("part {}", kept.info.number));
            last = Some([part.0.value(), &[0]].concat());
        }
        done.round = last.is_none();
        self.scrub = match last {
            Some(last) => Cursor { part: Some(last), ..Cursor::default() },
            None => Cursor::default(),
        };
        Ok(())
    }

    fn check_all(&self, extents: &[Extent]) -> Result<u64, StoreError> {
        let mut bytes = 0;
        for extent in extents {
            self.core.check(extent)?;
            bytes += extent.length;
        }
        Ok(bytes)
    }
}

fn note(done: &mut Scrubbed, checked: Result<u64, StoreError>, what: impl Fn() -> String) {
    done.read += 1;
    match checked {
        Ok(bytes) => done.bytes += bytes,
        Err(error) => {
            // So that what is damaged everywhere comes to an end, too.
            done.bytes += 1;
            done.damaged.push(format!("{}: {error}", what()));
        }
    }
}
