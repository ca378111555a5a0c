//! Uploads in parts begin, get parts, and are given up.

use world::files::Files;

use super::put::divide;
use super::{Desk, Stop};
use crate::entry::{Algorithm, Attributes, Body, Coverage, PartInfo};
use crate::mutation::{Refusal, Reply, UploadId};
use crate::name::{BucketName, Key};
use crate::store::record::{PartRecord, Record, UploadRecord};

impl<F: Files> Desk<'_, '_, '_, F> {
    pub(super) fn create_upload(
        &mut self,
        bucket: &BucketName,
        key: Key,
        attributes: Attributes,
        (class, checksum): (u8, Option<(Algorithm, Coverage)>),
    ) -> Result<Reply, Stop> {
        let bucket = self.bucket(bucket)?;
        let attributes = self.held(&bucket, attributes)?;
        let begun = self.now;
        let upload = UploadRecord { bucket: bucket.id, key, begun, class, checksum, attributes };
        let sequence = self.sequence();
        self.write(sequence, &Record::Upload(Box::new(upload)), &[])?;
        Ok(Reply::Upload(UploadId(sequence)))
    }

    pub(super) fn put_part(
        &mut self,
        bucket: &BucketName,
        key: &Key,
        upload: UploadId,
        info: PartInfo,
        body: Body,
    ) -> Result<Reply, Stop> {
        let bucket = self.bucket(bucket)?;
        self.turn.upload(bucket.id, key.as_str(), upload)?.ok_or(Refusal::NoUpload)?;
        self.quota(&bucket, info.size, 0)?;
        let (extents, inside) = divide(body);
        assert!(inside.is_empty(), "bodies of parts lie in segments: completing moves them");
        let (md5, checksum) = (info.md5, info.checksum.clone());
        let (bucket, modified) = (bucket.id, self.now);
        let part = PartRecord { bucket, upload: upload.0, info, modified, extents };
        let sequence = self.sequence();
        self.write(sequence, &Record::Part(Box::new(part)), &[])?;
        Ok(Reply::Part { md5, checksum })
    }

    pub(super) fn abort(
        &mut self,
        bucket: &BucketName,
        key: Key,
        upload: UploadId,
    ) -> Result<Reply, Stop> {
        let bucket = self.bucket(bucket)?;
        self.turn.upload(bucket.id, key.as_str(), upload)?.ok_or(Refusal::NoUpload)?;
        let sequence = self.sequence();
        let record = Record::Aborted { bucket: bucket.id, key, upload: upload.0 };
        self.write(sequence, &record, &[])?;
        Ok(Reply::Aborted)
    }
}
