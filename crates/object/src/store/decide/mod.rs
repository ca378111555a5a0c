//! Decisions: what a mutation becomes, or why it is refused. Each sees what the ones
//! before it did. What is decided is a record; it is applied to the index within the
//! open transaction at once.

mod amend;
mod bucket;
mod complete;
mod delete;
mod put;
mod quota;
mod upload;

use std::sync::Arc;

use model::Timestamp;
use world::files::Files;

use super::StoreError;
use super::index::kept::Kept;
use super::index::turn::Turn;
use super::log::Log;
use super::record::{Header, Record, VersionRecord};
use super::segments::Segments;
use super::{log, record};
use crate::bucket::{Bucket, Versioning};
use crate::condition::{Conditions, Verdict};
use crate::entry::{Location, Sequence};
use crate::mutation::{Mutation, Refusal, Reply, Which};
use crate::name::{BucketId, BucketName, Key};

/// Why a mutation was not made.
#[derive(Debug)]
pub enum Stop {
    /// It was refused; nothing was changed.
    Refused(Refusal),
    /// The index did not take it: nothing of the batch may be committed.
    Broken(StoreError),
}

impl From<Refusal> for Stop {
    fn from(refusal: Refusal) -> Self {
        Self::Refused(refusal)
    }
}

/// What cannot be looked up cannot be decided.
impl From<StoreError> for Stop {
    fn from(error: StoreError) -> Self {
        Self::Refused(error.into())
    }
}

/// Numbers that come next.
#[derive(Clone, Copy, Debug)]
pub struct Next {
    pub sequence: u64,
    pub bucket: u32,
}

/// Where mutations are decided.
pub struct Desk<'d, 't, 'b, F: Files> {
    pub turn: &'d mut Turn<'t, 'b>,
    pub log: &'d mut Log<F>,
    pub segments: &'d Segments<F>,
    pub next: &'d mut Next,
    pub now: Timestamp,
}

impl<F: Files> Desk<'_, '_, '_, F> {
    /// Decides.
    pub fn decide(&mut self, mutation: Mutation) -> Result<Reply, Stop> {
        match mutation {
            Mutation::CreateBucket { name, owner, config } => {
                self.create_bucket(name, owner, *config)
            }
            Mutation::DeleteBucket { name } => self.delete_bucket(&name),
            Mutation::Configure { name, change } => self.configure(&name, *change),
            Mutation::Put(put) => self.put(*put),
            Mutation::Delete(delete) => self.delete(delete),
            Mutation::Amend { bucket, key, which, change } => {
                self.amend(&bucket, &key, which, *change)
            }
            Mutation::CreateUpload { bucket, key, attributes, class, checksum } => {
                self.create_upload(&bucket, key, *attributes, (class, checksum))
            }
            Mutation::PutPart { bucket, key, upload, part, body } => {
                self.put_part(&bucket, &key, upload, *part, body)
            }
            Mutation::CompleteUpload(complete) => self.complete(*complete),
            Mutation::AbortUpload { bucket, key, upload } => self.abort(&bucket, key, upload),
        }
    }

    fn bucket(&self, name: &BucketName) -> Result<Arc<Bucket>, Stop> {
        Ok(self.turn.bucket(name).ok_or(Refusal::NoBucket)?)
    }

    fn sequence(&mut self) -> Sequence {
        self.next.sequence += 1;
        Sequence(self.next.sequence - 1)
    }

    /// Records something and applies it.
    fn write(&mut self, sequence: Sequence, record: &Record, body: &[u8]) -> Result<(), Stop> {
        let at = self.log.append(sequence, record, body);
        self.turn.apply(record, sequence, at).map_err(Stop::Broken)
    }

    /// Reads a record again.
    fn read(&self, at: Location) -> Result<(Header, Vec<u8>, Record), Stop> {
        let (header, bytes) = self.log.read(self.segments, at)?;
        let record = record::payload(&header, &bytes).ok_or_else(|| log::damaged(at))?;
        Ok((header, bytes, record))
    }

    /// Reads a version's record again.
    fn read_version(&self, kept: &Kept) -> Result<(Header, Vec<u8>, Box<VersionRecord>), Stop> {
        match self.read(kept.entry.head)? {
            (header, bytes, Record::Version(version))
                if version.sequence == kept.entry.sequence =>
            {
                Ok((header, bytes, version))
            }
            _ => Err(log::damaged(kept.entry.head).into()),
        }
    }

    /// Judges conditions on what is current.
    fn judge(&self, bucket: &Bucket, key: &Key, conditions: &Conditions) -> Result<(), Stop> {
        if conditions.none() {
            return Ok(());
        }
        let current = self.turn.find(bucket.id, key.as_str(), Which::Current)?;
        let there =
            current.as_ref().map(|(kept, _)| &kept.entry).filter(|entry| !entry.delete_marker);
        verdict(conditions.judge_write(there))
    }

    /// The null version, when a new one takes its place in this bucket.
    fn replaced(&self, bucket: &Bucket, key: &Key) -> Result<Option<Kept>, Stop> {
        if bucket.config.versioning == Versioning::On {
            return Ok(None);
        }
        Ok(self.turn.find(bucket.id, key.as_str(), Which::Null)?.map(|(kept, _)| kept))
    }

    /// Whether a bucket may have so many bytes more.
    fn quota(&mut self, bucket: &Bucket, more: u64, less: u64) -> Result<(), Stop> {
        let Some(quota) = bucket.config.quota_bytes else { return Ok(()) };
        let bytes = self.usage(bucket.id)?.bytes.saturating_sub(less);
        match bytes.checked_add(more).is_some_and(|total| total <= quota) {
            true => Ok(()),
            false => Err(Refusal::Quota.into()),
        }
    }

    fn usage(&mut self, bucket: BucketId) -> Result<crate::query::Usage, Stop> {
        Ok(*self.turn.usage(bucket)?)
    }
}

fn verdict(verdict: Verdict) -> Result<(), Stop> {
    match verdict {
        Verdict::Holds => Ok(()),
        Verdict::Missing => Err(Refusal::NoKey.into()),
        Verdict::Failed | Verdict::NotModified => Err(Refusal::Failed.into()),
    }
}
