//! The local engine: how objects last. The log of segments is the truth, the index
//! follows it.
//!
//! One [`Writer`] changes the store, in batches: it decides each mutation within a
//! transaction of the index, appends records to the log with one write, syncs once,
//! and only then shows the change to readers and answers. Any number of threads read
//! by [`Store`]: a [`Snapshot`] is a moment of the index, and bodies are ranges of
//! files. Large bodies are written to segments of their own by an [`Intake`], before
//! the mutation that names them; that mutation is recorded after they are durable.
//!
//! Read in this order: `record` (what the log holds), `log`, `index` (tables, and how a
//! record changes them), `decide` (what a mutation becomes), `writer`, `open`
//! (recovery), `space` and `clean` (how space comes back), `list`, `sweep`, `scrub`.

mod clean;
mod decide;
mod error;
mod index;
mod intake;
mod list;
mod log;
mod open;
mod pins;
mod record;
mod report;
mod scan;
mod scrub;
mod segments;
mod settings;
mod shared;
mod snapshot;
mod space;
mod spare;
mod sum;
mod sweep;
mod writer;

use std::ops::Range;
use std::sync::atomic::Ordering;
use std::sync::{Arc, PoisonError};

use world::files::Files;

use self::shared::Shared;
use crate::bucket::Bucket;
use crate::entry::Extent;
use crate::name::{BucketId, BucketName};

pub use error::StoreError;
pub use intake::Intake;
pub use list::VersionPage;
pub use pins::Pin;
pub use report::{Opened, Report, Scrubbed};
pub use scrub::Scrubber;
pub use settings::Settings;
pub use snapshot::Snapshot;
pub use sum::crc32c;
pub use writer::Writer;

/// The reading side: shared by all threads, cheap to clone.
pub struct Store<F: Files>(Arc<Shared<F>>);

impl<F: Files> Clone for Store<F> {
    fn clone(&self) -> Self {
        Self(Arc::clone(&self.0))
    }
}

impl<F: Files> Store<F> {
    /// Opens a store; makes it when it is not there.
    ///
    /// # Errors
    /// When the files cannot be read or written, or are of a later program.
    pub fn open(files: F, settings: Settings) -> Result<(Self, Writer<F>, Opened), StoreError> {
        let (core, writer, opened) = open::open(files, settings)?;
        Ok((Self(core), writer, opened))
    }

    /// One moment of the store. While it is held, nothing that it can find goes away:
    /// keep it, or a [`Pin`] that was taken before, until what was found is read.
    pub fn snapshot(&self) -> Snapshot<'_> {
        // The pin first: what the moment can find must be held already.
        let pin = self.pin();
        Snapshot { shelf: &*self.0, view: self.0.view(), pin }
    }

    /// A bucket, as it is now: for who wants nothing else of this moment.
    pub fn bucket(&self, name: &BucketName) -> Option<Arc<Bucket>> {
        self.0.view().buckets.get(name).cloned()
    }

    /// A number that changes whenever this key may have changed. For caches: take it
    /// before the snapshot.
    pub fn stamp(&self, bucket: BucketId, key: &str) -> u64 {
        self.stamp_at(self.stamp_place(bucket, key))
    }

    /// Where this key's stamp is: the same for as long as the store is open.
    pub fn stamp_place(&self, bucket: BucketId, key: &str) -> u32 {
        self.0.stamp_place(bucket, key) as u32
    }

    /// The stamp at a place that [`Store::stamp_place`] gave.
    pub fn stamp_at(&self, place: u32) -> u64 {
        self.0.stamp_at(place as usize).load(Ordering::Acquire)
    }

    /// A number that changes whenever a bucket's configuration changes, or a bucket
    /// comes or goes.
    pub fn buckets_stamp(&self) -> u64 {
        self.0.buckets_stamp.load(Ordering::Acquire)
    }

    /// Holds the space of what can be found from now on, until it is dropped.
    pub fn pin(&self) -> Pin {
        self.0.pins.pin()
    }

    /// A segment's file, for zero copy. [`Store::verify`] the extent first; hold a pin.
    ///
    /// # Errors
    /// When it is not there.
    pub fn segment(&self, number: u32) -> Result<Arc<F::File>, StoreError> {
        Ok(Arc::clone(&self.0.segments.need(number)?.file))
    }

    /// Compares an extent with its checksums, once after start.
    ///
    /// # Errors
    /// When it is not what was written.
    pub fn verify(&self, extent: &Extent) -> Result<(), StoreError> {
        self.0.verify(extent)
    }

    /// Whether [`Store::verify`] would answer at once.
    pub fn verified(&self, extent: &Extent) -> bool {
        self.0.segments.get(extent.segment).is_some_and(|segment| segment.verified(extent.offset))
    }

    /// Reads a range of an extent (`into` has its length), verified.
    ///
    /// # Errors
    /// When it is not what was written.
    pub fn read(
        &self,
        extent: &Extent,
        range: Range<u64>,
        into: &mut [u8],
    ) -> Result<(), StoreError> {
        self.0.read(extent, range, into)
    }

    /// Where a body is written that is longer than [`crate::entry::INLINE_BYTES`], and
    /// any part's. `length`: as stored, when it is known.
    pub fn intake(&self, length: Option<u64>) -> Intake<F> {
        self.0.lanes.intake(length)
    }

    /// Gives back a finished body that no mutation was sent for.
    pub fn discard(&self, extents: Vec<Extent>) {
        self.0.discarded.lock().unwrap_or_else(PoisonError::into_inner).extend(extents);
    }

    /// The length of a day for rules by age, in seconds.
    pub fn day_seconds(&self) -> u64 {
        self.0.settings.day_seconds
    }

    /// How it is.
    pub fn report(&self) -> Report {
        let report = self.0.report.lock().unwrap_or_else(PoisonError::into_inner).clone();
        Report { free_bytes: self.0.segments.files.free().unwrap_or(0), ..report }
    }
}
