//! The local engine: how objects last. The log of segments is the truth, the index
//! follows it.

mod error;
mod report;
mod settings;

use std::marker::PhantomData;
use std::ops::Range;
use std::sync::Arc;

use bytes::Bytes;
use model::Timestamp;
use world::files::Files;

pub use error::StoreError;
pub use report::{Opened, Report, Scrubbed};
pub use settings::Settings;

use crate::Sequence;
use crate::bucket::Bucket;
use crate::entry::{Entry, Extent, Version};
use crate::mutation::{Mutation, Refusal, Reply, UploadId, Which};
use crate::name::{BucketId, BucketName, Key, Owner};
use crate::query::{ListKeys, ListUploads, ListVersions, Listed, Page, Part, Upload, Usage};

fn early<T>() -> Result<T, StoreError> {
    Err(StoreError::Medium("the store is being built".to_owned()))
}

/// The reading side: shared by all threads.
pub struct Store<F: Files>(PhantomData<F>);
/// The changing side: owned by one thread.
pub struct Writer<F: Files>(PhantomData<F>);
/// One moment of the store.
pub struct Snapshot<'a>(PhantomData<&'a ()>);
/// Holds the space of what is read now.
pub struct Pin(());
/// Where a large body is written.
pub struct Intake<F: Files>(PhantomData<F>);

impl<F: Files> Store<F> {
    /// Opens a store; makes it when it is not there.
    ///
    /// # Errors
    /// When the files cannot be read or written, or are of a later program.
    pub fn open(
        _files: F,
        _settings: Settings,
        _now: Timestamp,
    ) -> Result<(Self, Writer<F>, Opened), StoreError> {
        early()
    }
    /// One moment of the store.
    pub fn snapshot(&self) -> Snapshot<'_> {
        Snapshot(PhantomData)
    }
    /// A number that changes whenever this key may have changed. For caches: take it
    /// before the snapshot.
    pub fn stamp(&self, _bucket: BucketId, _key: &str) -> u64 {
        0
    }
    /// A number that changes whenever a bucket's configuration changes, or a bucket
    /// comes or goes.
    pub fn buckets_stamp(&self) -> u64 {
        0
    }
    /// Holds the space of what is found from now on until it is dropped.
    pub fn pin(&self) -> Pin {
        Pin(())
    }
    /// A segment's file, for zero copy. Verify the extent first; hold a pin.
    ///
    /// # Errors
    /// When it cannot be opened.
    pub fn segment(&self, _number: u32) -> Result<Arc<F::File>, StoreError> {
        early()
    }
    /// Compares an extent with its checksums, once after start.
    ///
    /// # Errors
    /// When it is not what was written.
    pub fn verify(&self, _extent: &Extent) -> Result<(), StoreError> {
        early()
    }
    /// Reads a range of an extent (`into` has its length), verified.
    ///
    /// # Errors
    /// When it is not what was written.
    pub fn read(
        &self,
        _extent: &Extent,
        _range: Range<u64>,
        _into: &mut [u8],
    ) -> Result<(), StoreError> {
        early()
    }
    /// Where a body is written that is longer than [`crate::entry::INLINE_BYTES`].
    /// `length`: as stored, when it is known.
    pub fn intake(&self, _length: Option<u64>) -> Intake<F> {
        Intake(PhantomData)
    }
    /// Gives back a finished body that no mutation was sent for.
    pub fn discard(&self, _extents: Vec<Extent>) {}
    /// How it is.
    pub fn report(&self) -> Report {
        Report::default()
    }
}

impl<F: Files> Writer<F> {
    /// Decides these changes one after the other, and returns when those that were made
    /// are durable.
    pub fn apply(&mut self, _batch: Vec<Mutation>, _now: Timestamp) -> Vec<Result<Reply, Refusal>> {
        Vec::new()
    }
    /// Does a bounded piece of what is to be done beside changes. Says when it wants to
    /// be called again.
    pub fn tick(&mut self, _now: Timestamp) -> Timestamp {
        Timestamp::from_micros(0)
    }
    /// Writes the index down: for an orderly end.
    ///
    /// # Errors
    /// When the medium fails.
    pub fn close(&mut self) -> Result<(), StoreError> {
        early()
    }
    /// Reads about so many bytes and compares them with their checksums.
    pub fn scrub(&mut self, _bytes: u64) -> Scrubbed {
        Scrubbed::default()
    }
}

impl Snapshot<'_> {
    /// A bucket.
    pub fn bucket(&self, _name: &BucketName) -> Option<Arc<Bucket>> {
        None
    }
    /// All buckets, or an owner's, by name.
    pub fn buckets(&self, _owner: Option<&Owner>) -> Vec<Arc<Bucket>> {
        Vec::new()
    }
    /// What a bucket holds.
    ///
    /// # Errors
    /// When the index cannot be read.
    pub fn usage(&self, _bucket: BucketId) -> Result<Usage, StoreError> {
        early()
    }
    /// A version's entry; delete markers too.
    ///
    /// # Errors
    /// When the index cannot be read.
    pub fn entry(
        &self,
        _bucket: BucketId,
        _key: &str,
        _which: Which,
    ) -> Result<Option<Entry>, StoreError> {
        early()
    }
    /// A version with all that is kept of it; delete markers too.
    ///
    /// # Errors
    /// When it cannot be read, or is damaged.
    pub fn version(
        &self,
        _bucket: BucketId,
        _key: &Key,
        _which: Which,
    ) -> Result<Option<Version>, StoreError> {
        early()
    }
    /// The same, with the body when it lies beside the attributes and has at most
    /// `most` bytes: verified, and in one read.
    ///
    /// # Errors
    /// As for [`Snapshot::version`].
    pub fn version_and_body(
        &self,
        _bucket: BucketId,
        _key: &Key,
        _which: Which,
        _most: u32,
    ) -> Result<Option<(Version, Option<Bytes>)>, StoreError> {
        early()
    }
    /// A page of current versions that are no delete markers. Each line has its owner.
    ///
    /// # Errors
    /// When the index cannot be read.
    pub fn keys(
        &self,
        _bucket: BucketId,
        _list: &ListKeys,
    ) -> Result<Page<Listed, String>, StoreError> {
        early()
    }
    /// A page of all versions.
    ///
    /// # Errors
    /// When the index cannot be read.
    #[allow(clippy::type_complexity, reason = "for now")]
    pub fn versions(
        &self,
        _bucket: BucketId,
        _list: &ListVersions,
    ) -> Result<Page<Listed, (String, Option<Sequence>)>, StoreError> {
        early()
    }
    /// A page of uploads.
    ///
    /// # Errors
    /// When the index or the log cannot be read.
    #[allow(clippy::type_complexity, reason = "for now")]
    pub fn uploads(
        &self,
        _bucket: BucketId,
        _list: &ListUploads,
    ) -> Result<Page<Upload, (String, Option<UploadId>)>, StoreError> {
        early()
    }
    /// An upload.
    ///
    /// # Errors
    /// When the index or the log cannot be read.
    pub fn upload(
        &self,
        _bucket: BucketId,
        _key: &Key,
        _upload: UploadId,
    ) -> Result<Option<Upload>, StoreError> {
        early()
    }
    /// Parts of an upload with a number above `after`.
    ///
    /// # Errors
    /// When the index cannot be read.
    pub fn parts(
        &self,
        _upload: UploadId,
        _after: u16,
        _limit: usize,
    ) -> Result<Page<Part, u16>, StoreError> {
        early()
    }
}

impl<F: Files> Intake<F> {
    /// Appends.
    ///
    /// # Errors
    /// When the medium is full or fails.
    pub fn write(&mut self, _bytes: &[u8]) -> Result<(), StoreError> {
        early()
    }
    /// All of it is written.
    ///
    /// # Errors
    /// When the medium is full or fails.
    pub fn finish(self) -> Result<Vec<Extent>, StoreError> {
        early()
    }
}
