//! Whether a project may hold more.

use world::files::Files;

use super::{Desk, Stop};
use crate::bucket::Bucket;
use crate::mutation::Refusal;
use crate::store::index::kept::Kept;

impl<F: Files> Desk<'_, '_, '_, F> {
    /// Whether a new version of so many bytes, in the place of another one where there is
    /// one, is within what the project of the bucket's owner may hold.
    pub(super) fn project_quota(
        &mut self,
        bucket: &Bucket,
        bytes: u64,
        replaced: Option<&Kept>,
    ) -> Result<(), Stop> {
        let Some(project) = self.turn.project(&bucket.owner) else { return Ok(()) };
        let mut held = self.turn.held(&project);
        if let Some(replaced) = replaced {
            held.bytes = held.bytes.saturating_sub(replaced.entry.size);
            held.versions = held.versions.saturating_sub(1);
        }
        let within = |has: u64, more: u64, most: Option<u64>| {
            most.is_none_or(|most| has.checked_add(more).is_some_and(|total| total <= most))
        };
        let quota = project.quota;
        match within(held.bytes, bytes, quota.bytes) && within(held.versions, 1, quota.objects) {
            true => Ok(()),
            false => Err(Refusal::Quota.into()),
        }
    }
}
