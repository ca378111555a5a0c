//! Buckets come, change and go.

use world::files::Files;

use super::{Desk, Stop};
use crate::bucket::{Bucket, Config, Versioning};
use crate::mutation::{ConfigChange, Refusal, Reply};
use crate::name::{BucketId, BucketName, Owner};
use crate::store::record::Record;

impl<F: Files> Desk<'_, '_, '_, F> {
    pub(super) fn create_bucket(
        &mut self,
        name: BucketName,
        owner: Owner,
        mut config: Config,
    ) -> Result<Reply, Stop> {
        if let Some(there) = self.turn.bucket(&name) {
            return Err(Refusal::BucketExists(there.owner.clone()).into());
        }
        if config.lock.is_some() {
            // What is held must not be lost by being overwritten.
            config.versioning = Versioning::On;
        }
        let id = BucketId(self.next.bucket);
        self.next.bucket += 1;
        self.record_bucket(Bucket { id, name, owner, created: self.now, config })
    }

    fn record_bucket(&mut self, bucket: Bucket) -> Result<Reply, Stop> {
        let sequence = self.sequence();
        let record = Record::Bucket(Box::new(bucket.clone()));
        self.write(sequence, &record, &[])?;
        Ok(Reply::Bucket(Box::new(bucket)))
    }

    pub(super) fn delete_bucket(&mut self, name: &BucketName) -> Result<Reply, Stop> {
        let bucket = self.bucket(name)?;
        if self.usage(bucket.id)?.versions > 0 {
            return Err(Refusal::NotEmpty.into());
        }
        let sequence = self.sequence();
        self.write(sequence, &Record::BucketGone(bucket.id), &[])?;
        Ok(Reply::BucketGone)
    }

    pub(super) fn configure(
        &mut self,
        name: &BucketName,
        change: ConfigChange,
    ) -> Result<Reply, Stop> {
        let mut bucket = Bucket::clone(&*self.bucket(name)?);
        change_config(&mut bucket.config, change)?;
        self.record_bucket(bucket)
    }
}

fn change_config(config: &mut Config, change: ConfigChange) -> Result<(), Refusal> {
    match change {
        ConfigChange::Versioning(wanted) => {
            if wanted == Versioning::Off && config.versioning != Versioning::Off {
                return Err(Refusal::BucketState("it keeps versions: that can only be suspended"));
            }
            if wanted != Versioning::On && config.lock.is_some() {
                return Err(Refusal::BucketState("its objects can be held: it must keep versions"));
            }
            config.versioning = wanted;
        }
        ConfigChange::Lock(lock) => {
            if config.versioning != Versioning::On {
                return Err(Refusal::BucketState("it keeps no versions"));
            }
            config.lock = Some(lock);
        }
        ConfigChange::Grants(grants) => config.grants = grants,
        ConfigChange::Policy(policy) => config.policy = policy,
        ConfigChange::PublicAccessBlock(block) => config.public_access_block = block,
        ConfigChange::Ownership(ownership) => config.ownership = ownership,
        ConfigChange::Lifecycle(rules) => config.lifecycle = rules,
        ConfigChange::Cors(rules) => config.cors = rules,
        ConfigChange::Tags(tags) => config.tags = tags,
        ConfigChange::Encryption(encryption) => config.encryption = encryption,
        ConfigChange::Quota(quota) => config.quota_bytes = quota,
        ConfigChange::Document(name, document) => {
            config.documents.retain(|(known, _)| *known != name);
            config.documents.extend(document.map(|document| (name, document)));
        }
    }
    Ok(())
}
