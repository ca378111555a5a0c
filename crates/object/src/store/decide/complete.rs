//! Parts become a version.

use md5::{Digest, Md5};
use world::files::Files;

use super::{Desk, Stop};
use crate::bucket::Versioning;
use crate::entry::{Checksum, Extent, PartInfo, Tag};
use crate::mutation::{Complete, Refusal, Reply};
use crate::store::index::kept::{PartKept, UploadKept};
use crate::store::log;
use crate::store::record::{Record, UploadRecord, VersionRecord};
use crate::store::sum;

impl<F: Files> Desk<'_, '_, '_, F> {
    pub(super) fn complete(&mut self, complete: Complete) -> Result<Reply, Stop> {
        let bucket = self.bucket(&complete.bucket)?;
        let kept = self.turn.upload(bucket.id, complete.key.as_str(), complete.upload)?;
        let kept = kept.ok_or(Refusal::NoUpload)?;
        let parts = self.chosen(&complete)?;
        self.judge(&bucket, &complete.key, &complete.conditions)?;
        let size = parts.iter().map(|part| part.info.size).sum();
        if let Some(said) = complete.size.filter(|said| *said != size) {
            return Err(Refusal::Length { said, counted: size }.into());
        }
        let checksum = whole_checksum(&kept, &complete, &parts)?;
        let replaced = self.replaced(&bucket, &complete.key)?;
        self.quota(&bucket, size, replaced.as_ref().map_or(0, |kept| kept.entry.size))?;
        self.project_quota(&bucket, size, replaced.as_ref())?;
        let upload = self.read_upload(&kept)?;
        let mut attributes = self.held(&bucket, upload.attributes)?;
        attributes.checksum = checksum;
        attributes.parts = parts.iter().map(|part| part.info.clone()).collect();
        let version = VersionRecord {
            bucket: bucket.id,
            key: complete.key,
            sequence: self.sequence(),
            null: bucket.config.versioning != Versioning::On,
            marker: false,
            modified: self.now,
            size,
            tag: tag(&parts),
            class: kept.class,
            attributes,
            extents: self.extents(&parts)?,
            replaces: replaced.map(|kept| kept.entry.sequence),
            upload: Some(complete.upload.0),
        };
        self.record_version(&bucket, version, &[])
    }

    fn read_upload(&self, kept: &UploadKept) -> Result<UploadRecord, Stop> {
        match self.read(kept.head)? {
            (_, _, Record::Upload(upload)) => Ok(*upload),
            _ => Err(log::damaged(kept.head).into()),
        }
    }

    /// The parts that the client means.
    fn chosen(&self, complete: &Complete) -> Result<Vec<PartKept>, Stop> {
        if complete.parts.is_empty() {
            return Err(Refusal::NoParts.into());
        }
        if !complete.parts.is_sorted_by(|one, next| one.0 < next.0) {
            return Err(Refusal::PartOrder.into());
        }
        let mut parts = Vec::with_capacity(complete.parts.len());
        for (place, (number, md5, checksum)) in complete.parts.iter().enumerate() {
            let part = self.turn.part(complete.upload, *number)?;
            let meant = |part: &PartKept| {
                let known = part.info.checksum.as_ref().map(|sum| &sum.value);
                part.info.md5 == *md5
                    && checksum.as_ref().is_none_or(|sum| known == Some(&sum.value))
            };
            let part = part.filter(meant).ok_or(Refusal::InvalidPart(*number))?;
            if part.info.size < complete.least && place + 1 < complete.parts.len() {
                return Err(Refusal::PartTooShort(*number).into());
            }
            parts.push(part);
        }
        Ok(parts)
    }

    /// The parts' bodies, one after the other.
    fn extents(&self, parts: &[PartKept]) -> Result<Vec<Extent>, Stop> {
        let mut extents = Vec::with_capacity(parts.len());
        for part in parts {
            match self.read(part.head)? {
                (_, _, Record::Part(record)) if record.info == part.info => {
                    extents.extend(record.extents);
                }
                _ => return Err(log::damaged(part.head).into()),
            }
        }
        Ok(extents)
    }
}

fn tag(parts: &[PartKept]) -> Tag {
    let mut md5 = Md5::new();
    parts.iter().for_each(|part| md5.update(part.info.md5));
    Tag {
        md5: md5.finalize().into(),
        parts: u16::try_from(parts.len()).expect("their numbers are 16 bits"),
    }
}

/// The whole's checksum, as it was wanted when the upload began.
fn whole_checksum(
    upload: &UploadKept,
    complete: &Complete,
    parts: &[PartKept],
) -> Result<Option<Checksum>, Refusal> {
    let infos: Vec<&PartInfo> = parts.iter().map(|part| &part.info).collect();
    let (algorithm, coverage) = match (&complete.checksum, upload.checksum) {
        (_, Some(wanted)) => wanted,
        (Some(given), None) => (given.algorithm, given.coverage),
        (None, None) => return Ok(None),
    };
    let counted = sum::of_parts(algorithm, coverage, &infos);
    match (&complete.checksum, counted) {
        (Some(given), Some(counted))
            if given.algorithm == counted.algorithm && given.value != counted.value =>
        {
            Err(Refusal::Checksum)
        }
        (_, counted) => Ok(counted),
    }
}
