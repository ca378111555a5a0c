//! Versions go, or delete markers come.

use world::files::Files;

use super::{Desk, Stop, verdict};
use crate::bucket::{Bucket, Versioning};
use crate::entry::{Attributes, RetentionMode, Tag};
use crate::mutation::{Delete, Refusal, Reply, Which};
use crate::store::index::kept::Kept;
use crate::store::record::{Record, VersionRecord};

impl<F: Files> Desk<'_, '_, '_, F> {
    pub(super) fn delete(&mut self, delete: Delete) -> Result<Reply, Stop> {
        let bucket = self.bucket(&delete.bucket)?;
        match delete.which {
            Some(which) => self.delete_version(&bucket, &delete, which),
            None => {
                self.judge(&bucket, &delete.key, &delete.conditions)?;
                match bucket.config.versioning {
                    Versioning::Off => self.delete_version(&bucket, &delete, Which::Current),
                    Versioning::On | Versioning::Suspended => self.mark(&bucket, delete),
                }
            }
        }
    }

    fn delete_version(
        &mut self,
        bucket: &Bucket,
        delete: &Delete,
        which: Which,
    ) -> Result<Reply, Stop> {
        let versioned = bucket.config.versioning != Versioning::Off;
        let found = self.turn.find(bucket.id, delete.key.as_str(), which)?;
        if delete.which.is_some() && !delete.conditions.none() {
            verdict(delete.conditions.judge_write(found.as_ref().map(|(kept, _)| &kept.entry)))?;
        }
        let Some((kept, _)) = found else {
            return Ok(Reply::Deleted { sequence: None, null: false, marker: false, versioned });
        };
        self.may_go(bucket, &kept, delete.bypass)?;
        let gone = kept.entry.sequence;
        let (key, sequence) = (delete.key.clone(), self.sequence());
        self.write(sequence, &Record::Removed { bucket: bucket.id, key, sequence: gone }, &[])?;
        let (null, marker) = (kept.entry.null, kept.entry.delete_marker);
        Ok(Reply::Deleted { sequence: Some(gone), null, marker, versioned })
    }

    /// Whether nothing holds a version.
    fn may_go(&self, bucket: &Bucket, kept: &Kept, bypass: bool) -> Result<(), Stop> {
        if bucket.config.lock.is_none() || kept.entry.delete_marker {
            return Ok(());
        }
        let (_, _, version) = self.read_version(kept)?;
        let attributes = &version.attributes;
        let held = match attributes.retention.filter(|retention| retention.until > self.now) {
            Some(retention) => retention.mode == RetentionMode::Compliance || !bypass,
            None => false,
        };
        match held || attributes.legal_hold == Some(true) {
            true => Err(Refusal::Held.into()),
            false => Ok(()),
        }
    }

    /// A delete marker comes.
    fn mark(&mut self, bucket: &Bucket, delete: Delete) -> Result<Reply, Stop> {
        let replaced = self.replaced(bucket, &delete.key)?;
        let null = bucket.config.versioning != Versioning::On;
        let sequence = self.sequence();
        let version = VersionRecord {
            bucket: bucket.id,
            key: delete.key,
            sequence,
            null,
            marker: true,
            modified: self.now,
            size: 0,
            tag: Tag { md5: [0; 16], parts: 0 },
            class: 0,
            attributes: Attributes { owner: Some(delete.owner), ..Attributes::default() },
            extents: Vec::new(),
            replaces: replaced.map(|kept| kept.entry.sequence),
            upload: None,
        };
        self.write(sequence, &Record::Version(Box::new(version)), &[])?;
        Ok(Reply::Deleted { sequence: Some(sequence), null, marker: true, versioned: true })
    }
}
