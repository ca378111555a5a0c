//! A store in memory, and short ways to say what is wanted of it.

use bytes::Bytes;
use model::Timestamp;
use object::bucket::{Bucket, Config, Versioning};
use object::condition::Conditions;
use object::entry::{Attributes, Tag, Version};
use object::mutation::{ConfigChange, Delete, Put, Which};
use object::store::{Opened, Settings, Snapshot, Store, Writer};
use object::{Body, BucketName, Extent, Key, Mutation, Owner, Refusal, Reply, Sequence};
use world::entropy::Seeded;
use world::files::{ModelFiles, Troubles};

/// A store, with a clock that goes on by a second with each change.
pub struct Rig {
    pub files: ModelFiles,
    pub settings: Settings,
    pub store: Store<ModelFiles>,
    pub writer: Writer<ModelFiles>,
    pub opened: Opened,
    pub now: Timestamp,
}

pub fn small() -> Settings {
    Settings {
        cache_bytes: 1 << 20,
        log_segment_bytes: 64 << 10,
        data_segment_bytes: 1 << 20,
        clean_bytes: 128 << 10,
        ..Settings::default()
    }
}

pub fn name(name: &str) -> BucketName {
    BucketName::new(name).expect("it is a legal name")
}

pub fn key(key: &str) -> Key {
    Key::new(key).expect("it is a legal key")
}

pub fn tag(body: &[u8]) -> Tag {
    let mut md5 = [0; 16];
    md5[..8].copy_from_slice(&(body.len() as u64).to_le_bytes());
    md5[8] = body.first().copied().unwrap_or(0);
    Tag { md5, parts: 0 }
}

pub fn owner() -> Owner {
    Owner("owner".into())
}

impl Rig {
    pub fn new() -> Self {
        Self::on(ModelFiles::new(Troubles::default(), Seeded::new(1)), small())
    }

    pub fn on(files: ModelFiles, settings: Settings) -> Self {
        let opened = Store::open(files.clone(), settings.clone());
        let (store, writer, opened) = opened.expect("it opens");
        Self { files, settings, store, writer, opened, now: Timestamp::from_micros(1_000_000) }
    }

    /// Ends without a word, and opens again.
    pub fn again(self) -> Self {
        let (files, settings, now) = (self.files, self.settings, self.now);
        drop((self.store, self.writer));
        Self { now, ..Self::on(files, settings) }
    }

    /// The same without the index.
    pub fn without_index(self) -> Self {
        let (files, settings, now) = (self.files, self.settings, self.now);
        drop((self.store, self.writer));
        world::files::Files::remove(&files, "index").expect("it is there");
        Self { now, ..Self::on(files, settings) }
    }

    pub fn apply(&mut self, batch: Vec<Mutation>) -> Vec<Result<Reply, Refusal>> {
        self.now = Timestamp::from_micros(self.now.micros() + 1_000_000);
        self.writer.apply(batch, self.now)
    }

    pub fn one(&mut self, mutation: Mutation) -> Result<Reply, Refusal> {
        let mut results = self.apply(vec![mutation]);
        assert_eq!(results.len(), 1);
        results.pop().expect("there is one")
    }

    /// Ticks until nothing is left to do.
    pub fn settle(&mut self) {
        for _ in 0..10_000 {
            self.now = Timestamp::from_micros(self.now.micros() + 1);
            if self.writer.tick(self.now) > self.now {
                return;
            }
        }
        panic!("it never settles");
    }

    pub fn bucket(&mut self, bucket: &str, versioning: Versioning) -> Bucket {
        self.bucket_with(bucket, Config { versioning, ..Config::default() })
    }

    pub fn bucket_with(&mut self, bucket: &str, config: Config) -> Bucket {
        let config = Box::new(config);
        let create = Mutation::CreateBucket { name: name(bucket), owner: owner(), config };
        match self.one(create) {
            Ok(Reply::Bucket(bucket)) => *bucket,
            other => panic!("{other:?}"),
        }
    }

    pub fn configure(&mut self, bucket: &str, change: ConfigChange) -> Result<Reply, Refusal> {
        self.one(Mutation::Configure { name: name(bucket), change: Box::new(change) })
    }

    pub fn version_of(&mut self, bucket: &str, versioning: Versioning) {
        self.configure(bucket, ConfigChange::Versioning(versioning)).expect("it changes");
    }

    /// A body, as a mutation takes it.
    pub fn body(&self, bytes: &[u8]) -> Body {
        if bytes.len() <= 65536 {
            return Body::Inline(Bytes::copy_from_slice(bytes));
        }
        let mut intake = self.store.intake(Some(bytes.len() as u64));
        bytes.chunks(10_000).for_each(|chunk| intake.write(chunk).expect("it writes"));
        Body::Extents(intake.finish().expect("it ends"))
    }

    pub fn putting(&self, bucket: &str, at: &str, body: &[u8]) -> Put {
        Put {
            bucket: name(bucket),
            key: key(at),
            size: body.len() as u64,
            tag: tag(body),
            class: 0,
            attributes: Attributes { owner: Some(owner()), ..Attributes::default() },
            body: self.body(body),
            conditions: Conditions::default(),
        }
    }

    pub fn put(&mut self, bucket: &str, at: &str, body: &[u8]) -> Sequence {
        let put = self.putting(bucket, at, body);
        match self.one(Mutation::Put(Box::new(put))) {
            Ok(Reply::Put { sequence, .. }) => sequence,
            other => panic!("{other:?}"),
        }
    }

    pub fn deleting(bucket: &str, at: &str, which: Option<Which>) -> Delete {
        let conditions = Conditions::default();
        Delete {
            bucket: name(bucket),
            key: key(at),
            which,
            conditions,
            bypass: false,
            owner: owner(),
        }
    }

    pub fn delete(
        &mut self,
        bucket: &str,
        at: &str,
        which: Option<Which>,
    ) -> Result<Reply, Refusal> {
        self.one(Mutation::Delete(Self::deleting(bucket, at, which)))
    }

    pub fn find(&self, bucket: &str, at: &str, which: Which) -> Option<Version> {
        let snapshot = self.store.snapshot();
        find(&snapshot, bucket, at, which)
    }

    /// The body of a version, read in full.
    pub fn read(&self, bucket: &str, at: &str, which: Which) -> Option<Vec<u8>> {
        let snapshot = self.store.snapshot();
        let version = find(&snapshot, bucket, at, which)?;
        let length: u64 = version.extents.iter().map(|extent| extent.length).sum();
        assert_eq!(version.entry.size, length);
        Some(version.extents.iter().flat_map(|extent| self.read_extent(extent)).collect())
    }

    pub fn read_extent(&self, extent: &Extent) -> Vec<u8> {
        let mut bytes = vec![0; extent.length as usize];
        self.store.read(extent, 0..extent.length, &mut bytes).expect("it reads");
        bytes
    }

    pub fn usage(&self, bucket: &str) -> object::query::Usage {
        let snapshot = self.store.snapshot();
        let bucket = snapshot.bucket(&name(bucket)).expect("it is there");
        snapshot.usage(bucket.id).expect("it reads")
    }
}

fn find(snapshot: &Snapshot<'_>, bucket: &str, at: &str, which: Which) -> Option<Version> {
    let bucket = snapshot.bucket(&name(bucket))?;
    snapshot.version(bucket.id, &key(at), which).expect("it reads")
}
