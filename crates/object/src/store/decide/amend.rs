//! A version's attributes change.

use model::Timestamp;
use world::files::Files;

use super::{Desk, Stop};
use crate::bucket::Bucket;
use crate::entry::{Retention, RetentionMode};
use crate::mutation::{Amendment, Refusal, Reply, Which};
use crate::name::{BucketName, Key};
use crate::store::record::{Record, VersionRecord};

impl<F: Files> Desk<'_, '_, '_, F> {
    pub(super) fn amend(
        &mut self,
        bucket: &BucketName,
        key: &Key,
        which: Which,
        change: Amendment,
    ) -> Result<Reply, Stop> {
        let bucket = self.bucket(bucket)?;
        let found = self.turn.find(bucket.id, key.as_str(), which)?;
        let missing = if which == Which::Current { Refusal::NoKey } else { Refusal::NoVersion };
        let (kept, _) = found.ok_or(missing)?;
        if kept.entry.delete_marker {
            return Err(Refusal::Marker(kept.entry.sequence).into());
        }
        let (header, bytes, mut version) = self.read_version(&kept)?;
        change_version(&bucket, &mut version, change, self.now)?;
        // These were done when the version was made.
        (version.replaces, version.upload) = (None, None);
        let (sequence, null) = (version.sequence, version.null);
        let body = &bytes[header.head()..header.head() + header.body as usize];
        let own = self.sequence();
        self.write(own, &Record::Version(version), body)?;
        Ok(Reply::Amended { sequence, null })
    }
}

fn change_version(
    bucket: &Bucket,
    version: &mut VersionRecord,
    change: Amendment,
    now: Timestamp,
) -> Result<(), Refusal> {
    let attributes = &mut version.attributes;
    match change {
        Amendment::Tags(tags) => attributes.tags = tags,
        Amendment::Grants(grants) => attributes.grants = grants,
        Amendment::Class(class) => version.class = class,
        Amendment::Retention { .. } | Amendment::LegalHold(_) if bucket.config.lock.is_none() => {
            return Err(Refusal::NoLock);
        }
        Amendment::LegalHold(held) => attributes.legal_hold = Some(held),
        Amendment::Retention { retention, bypass } => {
            if !may_change(attributes.retention, retention, bypass, now) {
                return Err(Refusal::Held);
            }
            attributes.retention = retention;
        }
    }
    Ok(())
}

/// Whether a retention may be replaced: one that is over by any; compliance by a longer
/// one; governance by a longer one, or by any with the special right.
fn may_change(
    old: Option<Retention>,
    new: Option<Retention>,
    bypass: bool,
    now: Timestamp,
) -> bool {
    let Some(old) = old.filter(|old| old.until > now) else { return true };
    let longer = new.is_some_and(|new| new.mode == old.mode && new.until >= old.until);
    longer || (old.mode == RetentionMode::Governance && bypass)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_retention_is_shortened_only_by_who_may() {
        let at = Timestamp::from_micros;
        let held = |mode, until| Some(Retention { mode, until: at(until) });
        use RetentionMode::{Compliance, Governance};
        let may = |old, new, bypass| may_change(old, new, bypass, at(10));
        assert!(may(None, held(Compliance, 20), false));
        assert!(may(held(Compliance, 5), None, false), "it is over");
        assert!(may(held(Compliance, 20), held(Compliance, 30), false));
        assert!(!may(held(Compliance, 20), held(Compliance, 19), true));
        assert!(!may(held(Compliance, 20), held(Governance, 30), true));
        assert!(!may(held(Compliance, 20), None, true));
        assert!(may(held(Governance, 20), held(Governance, 30), false));
        assert!(!may(held(Governance, 20), held(Governance, 19), false));
        assert!(!may(held(Governance, 20), held(Compliance, 30), false));
        assert!(may(held(Governance, 20), held(Compliance, 12), true));
        assert!(!may(held(Governance, 20), None, false));
        assert!(may(held(Governance, 20), None, true));
    }
}
