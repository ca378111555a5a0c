//! A new version is written.

use bytes::Bytes;
use world::files::Files;

use super::{Desk, Stop};
use crate::bucket::{Bucket, Versioning};
use crate::entry::{Attributes, Body, Extent};
use crate::mutation::{Put, Refusal, Reply};
use crate::store::record::{Record, VersionRecord};

/// A body as a record takes it.
pub(super) fn divide(body: Body) -> (Vec<Extent>, Bytes) {
    match body {
        Body::Empty => (Vec::new(), Bytes::new()),
        Body::Inline(bytes) => (Vec::new(), bytes),
        Body::Extents(extents) => (extents, Bytes::new()),
    }
}

impl<F: Files> Desk<'_, '_, '_, F> {
    pub(super) fn put(&mut self, put: Put) -> Result<Reply, Stop> {
        let bucket = self.bucket(&put.bucket)?;
        self.judge(&bucket, &put.key, &put.conditions)?;
        let attributes = self.held(&bucket, put.attributes)?;
        let replaced = self.replaced(&bucket, &put.key)?;
        let less = replaced.as_ref().map_or(0, |kept| kept.entry.size);
        self.quota(&bucket, put.size, less)?;
        self.project_quota(&bucket, put.size, replaced.as_ref())?;
        let (extents, body) = divide(put.body);
        let version = VersionRecord {
            bucket: bucket.id,
            key: put.key,
            sequence: self.sequence(),
            null: bucket.config.versioning != Versioning::On,
            marker: false,
            modified: self.now,
            size: put.size,
            tag: put.tag,
            class: put.class,
            attributes,
            extents,
            replaces: replaced.map(|kept| kept.entry.sequence),
            upload: None,
        };
        self.record_version(&bucket, version, &body)
    }

    /// Puts the bucket's default retention in.
    pub(super) fn held(
        &self,
        bucket: &Bucket,
        mut attributes: Attributes,
    ) -> Result<Attributes, Stop> {
        let Some(lock) = bucket.config.lock else {
            let free = attributes.retention.is_none() && attributes.legal_hold.is_none();
            return if free { Ok(attributes) } else { Err(Refusal::NoLock.into()) };
        };
        let default = lock.default.map(|default| default.from(self.now));
        attributes.retention = attributes.retention.or(default);
        Ok(attributes)
    }

    /// Records a version that is no delete marker.
    pub(super) fn record_version(
        &mut self,
        bucket: &Bucket,
        version: VersionRecord,
        body: &[u8],
    ) -> Result<Reply, Stop> {
        let reply = Reply::Put {
            sequence: version.sequence,
            null: version.null,
            versioned: bucket.config.versioning != Versioning::Off,
            tag: version.tag,
            modified: version.modified,
            checksum: version.attributes.checksum.clone(),
            sealing: version.attributes.sealing.clone(),
            size: version.size,
        };
        self.write(version.sequence, &Record::Version(Box::new(version)), body)?;
        Ok(reply)
    }
}
