//! A store and its model, side by side: each act is told to both, and what the store
//! answers must be what the model says.

use bytes::Bytes;
use model::Timestamp;
use object::bucket::Config;
use object::condition::{Conditions, TagMatch};
use object::entry::{PartInfo, Tag};
use object::mutation::{Amendment, Complete, ConfigChange, Delete, Put, UploadId, Which};
use object::store::{Opened, Settings, Store, StoreError, Writer};
use object::{Body, BucketName, Key, Mutation, Owner, Refusal, Reply, Sequence};
use world::files::ModelFiles;

use super::act::{Act, Meant, Stamp, Step, tag_text};
use super::world::World;

/// Where bodies are longer than this they go to segments of their own.
const INLINE: usize = 65_536;

/// When the index is written down.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Pace {
    /// Soon, as everything else is done.
    Soon,
    /// Only when it must be: whatever else is done finds an index that is far behind, and
    /// the log is cleaned up to where it is written.
    Late,
}

/// Sizes at which everything happens soon.
fn settings(pace: Pace) -> Settings {
    let soon = Settings {
        cache_bytes: 256 << 10,
        log_segment_bytes: 6 << 10,
        data_segment_bytes: 200 << 10,
        checkpoint_bytes: 20 << 10,
        checkpoint_records: 40,
        checkpoint_micros: 10_000_000,
        clean_bytes: 8 << 10,
        stamps: 16,
        ..Settings::default()
    };
    match pace {
        Pace::Soon => soon,
        Pace::Late => Settings {
            log_segment_bytes: 2 << 10,
            checkpoint_bytes: 1 << 20,
            checkpoint_records: 10_000,
            checkpoint_micros: 1_000_000_000,
            clean_bytes: 1 << 10,
            ..soon
        },
    }
}

/// A store with its model.
pub struct Rig {
    /// Its files.
    pub files: ModelFiles,
    /// What was found when it was opened.
    pub opened: Opened,
    store: Store<ModelFiles>,
    writer: Writer<ModelFiles>,
    now: Timestamp,
    /// It ends in order, and not by a kill.
    orderly: bool,
}

impl Drop for Rig {
    fn drop(&mut self) {
        if !self.orderly {
            self.files.cut_off();
        }
    }
}

/// The name of a bucket.
pub fn bucket(number: u8) -> BucketName {
    BucketName::new(&format!("bucket-{number}")).expect("it is a legal name")
}

/// A key.
pub fn key(number: u8) -> Key {
    Key::new(["a", "a/b", "é\u{0}"][usize::from(number)]).expect("it is a legal key")
}

/// The number of a key.
pub fn number_of(found: &str) -> Option<u8> {
    (0..3).find(|number| key(*number).as_str() == found)
}

fn md5(stamp: Stamp) -> [u8; 16] {
    let mut md5 = [0; 16];
    md5[..4].copy_from_slice(&stamp.number.to_le_bytes());
    md5
}

fn owner() -> Owner {
    Owner("owner".into())
}

impl Rig {
    /// Opens a store.
    ///
    /// # Errors
    /// What the store says.
    pub fn open(files: ModelFiles) -> Result<Self, StoreError> {
        Self::open_at(files, Pace::Soon)
    }

    /// Opens a store that writes its index down at this pace.
    ///
    /// # Errors
    /// What the store says.
    pub fn open_at(files: ModelFiles, pace: Pace) -> Result<Self, StoreError> {
        let opened = Store::open(files.clone(), settings(pace));
        let (store, writer, opened) = opened.inspect_err(|_| files.cut_off())?;
        let now = Timestamp::from_micros(1_000_000);
        Ok(Self { files, opened, store, writer, now, orderly: false })
    }

    /// The process ends in order; otherwise it is killed, and writes nothing more.
    pub fn end(mut self) {
        self.orderly = true;
    }

    /// The reading side.
    pub fn store(&self) -> &Store<ModelFiles> {
        &self.store
    }

    /// The store takes no more changes.
    pub fn dead(&self) -> bool {
        self.store.report().dead.is_some()
    }

    /// Does a step. `world` is what there is before it; what is there after each of its
    /// acts is put behind it. Says whether the store did as it should; `None` when the
    /// medium failed.
    pub fn step(&mut self, step: &Step, worlds: &mut Vec<World>) -> Option<Result<u64, String>> {
        self.now = Timestamp::from_micros(self.now.micros() + 100_000);
        match step {
            Step::Tick(times) => {
                for _ in 0..*times {
                    self.writer.tick(self.now);
                }
                (!self.dead()).then_some(Ok(0))
            }
            Step::Close => self.writer.close().is_ok().then_some(Ok(0)),
            Step::Batch(acts) => self.batch(acts, worlds),
        }
    }

    /// Finds out by the numbers that come next which of these worlds it is: a bucket and
    /// an upload come and go.
    ///
    /// # Errors
    /// When it is none.
    pub fn probe(&mut self, found: Vec<World>) -> Result<World, String> {
        let (name, config, key) = (bucket(9), Box::default(), key(0));
        let create = Mutation::CreateBucket { name: name.clone(), owner: owner(), config };
        let (bucket, attributes) = (name.clone(), Box::default());
        let begin = Mutation::CreateUpload { bucket, key, attributes, class: 0, checksum: None };
        let batch = vec![create, begin, Mutation::DeleteBucket { name }];
        let results = self.writer.apply(batch, self.now);
        let (Ok(Reply::Bucket(made)), Ok(Reply::Upload(upload))) = (&results[0], &results[1])
        else {
            return Err(format!("a probe came to {results:?}"));
        };
        let (next, next_bucket) = (upload.0.0 - 1, made.id.0);
        let mut all = found.into_iter();
        let right =
            all.find_map(|mut world| world.skip(next, next_bucket, (3, 1)).then_some(world));
        right.ok_or_else(|| format!("record {next} and bucket {next_bucket} come next in no world"))
    }

    fn batch(&mut self, acts: &[Act], worlds: &mut Vec<World>) -> Option<Result<u64, String>> {
        let mut mutations = Vec::with_capacity(acts.len());
        let mut wanted = Vec::with_capacity(acts.len());
        for act in acts {
            let mut world = worlds.last().cloned().unwrap_or_default();
            match self.mutation(*act, &world) {
                Ok(mutation) => mutations.push(mutation),
                Err(StoreError::Full) if acts.len() == 1 => return Some(Ok(0)),
                // A medium that fails before a body is written leaves the rest undone.
                Err(_) => return None,
            }
            wanted.push(world.act(*act));
            worlds.push(world);
        }
        let results = self.writer.apply(mutations, self.now);
        let mut done = 0;
        for ((act, wanted), result) in acts.iter().zip(wanted).zip(results) {
            match result {
                // What cannot be decided is not done: see [`super::long`].
                Err(Refusal::Full | Refusal::Medium(_)) if acts.len() == 1 && !self.dead() => {
                    worlds.pop();
                }
                Err(Refusal::Medium(_)) => return None,
                Ok(_) if wanted => done += 1,
                Err(_) if !wanted => {}
                other => return Some(Err(format!("{act:?} came to {other:?}"))),
            }
        }
        Some(Ok(done))
    }

    /// An act as the store takes it. Something that is not there is asked for by a
    /// number that nothing has.
    fn mutation(&self, act: Act, world: &World) -> Result<Mutation, StoreError> {
        let there = |number: u8| world.buckets.get(&number);
        let upload = |number, at| {
            UploadId(Sequence(
                there(number).and_then(|there| there.upload(at)).unwrap_or(u64::MAX >> 1),
            ))
        };
        Ok(match act {
            Act::Create { bucket: number, versioning } => {
                let config = Box::new(Config { versioning, ..Config::default() });
                Mutation::CreateBucket { name: bucket(number), owner: owner(), config }
            }
            Act::Remove { bucket: number } => Mutation::DeleteBucket { name: bucket(number) },
            Act::Versions { bucket: number, versioning } => {
                let change = Box::new(ConfigChange::Versioning(versioning));
                Mutation::Configure { name: bucket(number), change }
            }
            Act::Put { bucket: number, key: at, body, anew } => {
                Mutation::Put(Box::new(self.put((number, at), body, anew)?))
            }
            Act::Delete { bucket: number, key: at, meant } => {
                let which = match meant {
                    Meant::Plain => None,
                    _ => Some(which(world, number, at, meant)),
                };
                let (conditions, bypass) = (Conditions::default(), false);
                let (bucket, key, owner) = (bucket(number), key(at), owner());
                Mutation::Delete(Delete { bucket, key, which, conditions, bypass, owner })
            }
            Act::Tag { bucket: number, key: at, meant, tag } => Mutation::Amend {
                bucket: bucket(number),
                key: key(at),
                which: which(world, number, at, meant),
                change: Box::new(Amendment::Tags(vec![("t".into(), tag_text(tag).into())])),
            },
            Act::Begin { bucket: number, key: at } => {
                let (bucket, key, attributes) = (bucket(number), key(at), Box::default());
                Mutation::CreateUpload { bucket, key, attributes, class: 0, checksum: None }
            }
            Act::Part { bucket: name, key: at, number, body } => {
                let (size, md5) = (u64::from(body.length), md5(body));
                let part = Box::new(PartInfo { number, size, md5, checksum: None });
                let (bucket, upload, body) = (bucket(name), upload(name, at), self.part(body)?);
                Mutation::PutPart { bucket, key: key(at), upload, part, body }
            }
            Act::Complete { bucket: number, key: at } => Mutation::CompleteUpload(Box::new(
                complete(world, (number, at), upload(number, at)),
            )),
            Act::Abort { bucket: number, key: at } => Mutation::AbortUpload {
                bucket: bucket(number),
                key: key(at),
                upload: upload(number, at),
            },
        })
    }

    fn put(&self, (number, at): (u8, u8), body: Stamp, anew: bool) -> Result<Put, StoreError> {
        let none_matches = if anew { vec![TagMatch::Any] } else { Vec::new() };
        Ok(Put {
            bucket: bucket(number),
            key: key(at),
            size: u64::from(body.length),
            tag: Tag { md5: md5(body), parts: 0 },
            class: 0,
            attributes: object::Attributes::default(),
            body: self.body(body)?,
            conditions: Conditions { none_matches, ..Conditions::default() },
        })
    }

    fn body(&self, stamp: Stamp) -> Result<Body, StoreError> {
        let bytes = stamp.bytes();
        if bytes.len() <= INLINE {
            return Ok(Body::Inline(Bytes::from(bytes)));
        }
        self.outside(&bytes)
    }

    /// Parts are written before, however short: so a medium that fails then leaves the
    /// whole batch undone, and not one act of it.
    fn part(&self, stamp: Stamp) -> Result<Body, StoreError> {
        self.outside(&stamp.bytes())
    }

    fn outside(&self, bytes: &[u8]) -> Result<Body, StoreError> {
        let mut intake = self.store.intake(Some(bytes.len() as u64));
        for chunk in bytes.chunks(30_000) {
            intake.write(chunk)?;
        }
        Ok(Body::Extents(intake.finish()?))
    }
}

fn which(world: &World, number: u8, at: u8, meant: Meant) -> Which {
    match meant {
        Meant::Plain => Which::Current,
        Meant::Null => Which::Null,
        Meant::Nth(_) => {
            let found = world.buckets.get(&number).and_then(|there| there.find(at, meant));
            Which::At(Sequence(found.unwrap_or(u64::MAX >> 1)))
        }
    }
}

fn complete(world: &World, (number, at): (u8, u8), upload: UploadId) -> Complete {
    let there = world.buckets.get(&number);
    let parts = there.and_then(|there| there.uploads.get(&(at, upload.0.0)));
    let parts = parts.into_iter().flatten().map(|(number, body)| (*number, md5(*body), None));
    Complete {
        bucket: bucket(number),
        key: key(at),
        upload,
        parts: parts.collect(),
        checksum: None,
        size: None,
        least: 0,
        conditions: Conditions::default(),
    }
}
