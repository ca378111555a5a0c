//! What the reading and the changing side share.

use std::hash::{BuildHasher, Hasher, RandomState};
use std::ops::Range;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError, RwLock};

use world::files::{File, Files};

use super::index::kept::Piece;
use super::index::view::View;
use super::intake::Lanes;
use super::log;
use super::pins::Pins;
use super::record::Header;
use super::report::Report;
use super::segments::Segments;
use super::snapshot::Shelf;
use super::sum::crc32c;
use super::{Settings, StoreError};
use crate::entry::{Extent, Location, SUMMED_BYTES};
use crate::name::BucketId;

/// Reports of damage that are kept.
const TOLD: usize = 100;

/// What both sides share.
pub struct Shared<F: Files> {
    pub settings: Settings,
    pub segments: Arc<Segments<F>>,
    pub lanes: Arc<Lanes<F>>,
    pub pins: Arc<Pins>,
    view: RwLock<Arc<View>>,
    stamps: Box<[AtomicU64]>,
    hashing: RandomState,
    pub buckets_stamp: AtomicU64,
    /// Bodies that no mutation was sent for.
    pub discarded: Mutex<Vec<Extent>>,
    pub report: Mutex<Report>,
}

impl<F: Files> Shared<F> {
    /// Begins with a moment.
    pub fn new(settings: Settings, segments: Arc<Segments<F>>, view: View) -> Arc<Self> {
        let lanes = Lanes::new(Arc::clone(&segments), settings.data_segment_bytes);
        let stamps = (0..settings.stamps.clamp(1, 1 << 24)).map(|_| AtomicU64::new(0)).collect();
        Arc::new(Self {
            settings,
            segments,
            lanes,
            pins: Arc::default(),
            view: RwLock::new(Arc::new(view)),
            stamps,
            hashing: RandomState::new(),
            buckets_stamp: AtomicU64::new(0),
            discarded: Mutex::default(),
            report: Mutex::default(),
        })
    }

    /// The present moment.
    pub fn view(&self) -> Arc<View> {
        Arc::clone(&self.view.read().unwrap_or_else(PoisonError::into_inner))
    }

    /// A new moment.
    pub fn set_view(&self, view: View) {
        *self.view.write().unwrap_or_else(PoisonError::into_inner) = Arc::new(view);
    }

    /// The stamp of a key.
    pub fn stamp(&self, bucket: BucketId, key: &str) -> &AtomicU64 {
        self.stamp_at(self.stamp_place(bucket, key))
    }

    /// Where it is.
    pub fn stamp_place(&self, bucket: BucketId, key: &str) -> usize {
        let mut hasher = self.hashing.build_hasher();
        hasher.write_u32(bucket.0);
        hasher.write(key.as_bytes());
        hasher.finish() as usize % self.stamps.len()
    }

    /// The stamp at a place.
    pub fn stamp_at(&self, place: usize) -> &AtomicU64 {
        &self.stamps[place]
    }

    /// Remembers that something is damaged.
    pub fn tell(&self, what: String) {
        let mut report = self.report.lock().unwrap_or_else(PoisonError::into_inner);
        if report.damaged.contains(&what) {
            return;
        }
        if report.damaged.len() >= TOLD {
            report.damaged.remove(0);
        }
        report.damaged.push(what);
    }

    /// Compares an extent with its checksums.
    pub fn check(&self, extent: &Extent) -> Result<(), StoreError> {
        self.check_some(extent, 0..extent.sums.len() as u64)
    }

    /// Compares what these of its checksums are of.
    pub fn check_some(&self, extent: &Extent, sums: Range<u64>) -> Result<(), StoreError> {
        let wrong = || {
            let what = format!("a body at {:08x}:{}", extent.segment, extent.offset);
            self.tell(what.clone());
            StoreError::Damaged(what)
        };
        let segment = self.segments.need(extent.segment)?;
        let mut buffer = vec![0; extent.length.min(SUMMED_BYTES) as usize];
        if extent.length.div_ceil(SUMMED_BYTES) != extent.sums.len() as u64 {
            return Err(wrong());
        }
        let some = &extent.sums[sums.start as usize..sums.end as usize];
        for (number, sum) in (sums.start..).zip(some) {
            let skip = number * SUMMED_BYTES;
            let length = (extent.length - skip).min(SUMMED_BYTES) as usize;
            let into = &mut buffer[..length];
            match segment.file.read_at(extent.offset + skip, into) {
                // A file that ends too early is damaged, not a medium that fails.
                Err(error) if error.kind() == std::io::ErrorKind::UnexpectedEof => {
                    return Err(wrong());
                }
                done => done?,
            }
            if crc32c(into) != *sum {
                return Err(wrong());
            }
        }
        Ok(())
    }

    /// Compares an extent with its checksums, once after start.
    pub fn verify(&self, extent: &Extent) -> Result<(), StoreError> {
        let segment = self.segments.need(extent.segment)?;
        // Smaller ones may begin in the same block as another: they cost little.
        let remembered = extent.length >= super::segments::ALIGN;
        if remembered && segment.verified(extent.offset) {
            return Ok(());
        }
        self.check(extent)?;
        if remembered {
            segment.remember(extent.offset);
        }
        Ok(())
    }

    /// Reads a range of an extent.
    pub fn read(
        &self,
        extent: &Extent,
        range: Range<u64>,
        into: &mut [u8],
    ) -> Result<(), StoreError> {
        let whole = range.start <= range.end && range.end <= extent.length;
        assert!(whole && range.end - range.start == into.len() as u64, "a range of the extent");
        let segment = self.segments.need(extent.segment)?;
        if range == (0..extent.length) && extent.sums.len() == 1 {
            segment.file.read_at(extent.offset, into)?;
            if crc32c(into) == extent.sums[0] {
                return Ok(());
            }
            return self.check(extent);
        }
        self.verify(extent)?;
        Ok(segment.file.read_at(extent.offset + range.start, into)?)
    }

    /// The writer has seen these bodies.
    pub fn land(&self, pieces: &[Piece]) {
        for piece in pieces {
            if let Some(segment) = self.segments.get(piece.segment) {
                segment.flight.fetch_sub(1, Ordering::AcqRel);
            }
        }
    }
}

impl<F: Files> Shelf for Shared<F> {
    fn head(&self, at: Location, guess: usize) -> Result<(Header, Vec<u8>), StoreError> {
        log::read_head(&self.segments, at, guess).inspect_err(|error| self.note(error))
    }
    fn whole(&self, at: Location) -> Result<(Header, Vec<u8>), StoreError> {
        log::read(&self.segments, at).inspect_err(|error| self.note(error))
    }
}

impl<F: Files> Shared<F> {
    fn note(&self, error: &StoreError) {
        if let StoreError::Damaged(what) = error {
            self.tell(what.clone());
        }
    }
}
