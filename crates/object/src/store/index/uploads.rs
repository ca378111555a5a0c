//! Changes of uploads and their parts.

use redb::ReadableTable;

use super::kept::{PartKept, Piece, UploadKept, decode, encode};
use super::keys;
use super::turn::Turn;
use crate::entry::{Location, Sequence};
use crate::mutation::UploadId;
use crate::name::BucketId;
use crate::store::StoreError;
use crate::store::record::{PartRecord, UploadRecord};

impl Turn<'_, '_> {
    /// An upload that has begun.
    pub fn upload(
        &self,
        bucket: BucketId,
        key: &str,
        upload: UploadId,
    ) -> Result<Option<UploadKept>, StoreError> {
        let kept = self.tables.uploads.get(keys::upload(bucket, key, upload).as_slice())?;
        kept.map(|kept| decode(kept.value())).transpose()
    }

    /// A part of an upload.
    pub fn part(&self, upload: UploadId, number: u16) -> Result<Option<PartKept>, StoreError> {
        let kept = self.tables.parts.get(keys::part(upload.0, number).as_slice())?;
        kept.map(|kept| decode(kept.value())).transpose()
    }

    pub(super) fn put_upload(
        &mut self,
        upload: &UploadRecord,
        sequence: Sequence,
        at: Location,
    ) -> Result<(), StoreError> {
        let (begun, class, checksum) = (upload.begun, upload.class, upload.checksum);
        let kept = UploadKept { head: at, begun, class, checksum };
        let place = keys::upload(upload.bucket, upload.key.as_str(), UploadId(sequence));
        let before = self.tables.uploads.insert(place.as_slice(), encode(&kept).as_slice())?;
        let before = before.map(|kept| decode::<UploadKept>(kept.value())).transpose()?;
        self.counts(at);
        match before {
            Some(before) => self.counts_no_more(before.head),
            None => self.usage(upload.bucket)?.uploads += 1,
        }
        Ok(())
    }

    pub(super) fn put_part(&mut self, part: &PartRecord, at: Location) -> Result<(), StoreError> {
        let pieces: Vec<Piece> = part.extents.iter().map(Piece::from).collect();
        let info = part.info.clone();
        let kept = PartKept { head: at, info, modified: part.modified, pieces };
        let place = keys::part(part.upload, part.info.number);
        let before = self.tables.parts.insert(place.as_slice(), encode(&kept).as_slice())?;
        let before = before.map(|kept| decode::<PartKept>(kept.value())).transpose()?;
        self.counts(at);
        if let Some(before) = before {
            self.counts_no_more(before.head);
            let gone: Vec<Piece> =
                before.pieces.into_iter().filter(|piece| !kept.pieces.contains(piece)).collect();
            self.release(&gone)?;
        }
        self.hold(&kept.pieces)
    }

    /// Removes an upload with its parts. Pieces in `moved` belong to somebody else now.
    pub(super) fn remove_upload(
        &mut self,
        bucket: BucketId,
        key: &str,
        upload: Sequence,
        moved: &[Piece],
    ) -> Result<(), StoreError> {
        let place = keys::upload(bucket, key, UploadId(upload));
        let before = self.tables.uploads.remove(place.as_slice())?;
        let Some(before) = before.map(|kept| decode::<UploadKept>(kept.value())).transpose()?
        else {
            return Ok(());
        };
        self.counts_no_more(before.head);
        let usage = self.usage(bucket)?;
        usage.uploads = usage.uploads.saturating_sub(1);
        let moved: std::collections::HashSet<&Piece> = moved.iter().collect();
        let (first, last) = (keys::part(upload, 0), keys::part(upload, u16::MAX));
        let mut parts = Vec::new();
        for part in self.tables.parts.range(first.as_slice()..=last.as_slice())? {
            parts.push(decode::<PartKept>(part?.1.value())?);
        }
        for part in parts {
            self.tables.parts.remove(keys::part(upload, part.info.number).as_slice())?;
            self.counts_no_more(part.head);
            let gone: Vec<Piece> =
                part.pieces.into_iter().filter(|piece| !moved.contains(piece)).collect();
            self.release(&gone)?;
        }
        Ok(())
    }

    /// Removes all uploads of a bucket.
    pub(super) fn remove_uploads(&mut self, bucket: BucketId) -> Result<(), StoreError> {
        let first = keys::open(bucket, b"");
        let mut found = Vec::new();
        for upload in self.tables.uploads.range(first.as_slice()..)? {
            let upload = upload?;
            if !upload.0.value().starts_with(&first) {
                break;
            }
            found.extend(keys::split(upload.0.value()));
        }
        for (key, upload) in found {
            self.remove_upload(bucket, &key, Sequence(upload), &[])?;
        }
        Ok(())
    }
}
