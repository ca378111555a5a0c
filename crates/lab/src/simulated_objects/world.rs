//! What a store should hold, as plainly as it can be said: maps, and the rules of
//! versions in a few lines. The number that each change gets is part of it.

use std::cmp::Reverse;
use std::collections::BTreeMap;

use object::bucket::Versioning;

use super::act::{Act, Meant, Stamp};

/// A version.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Version {
    /// It is the null version.
    pub null: bool,
    /// It is a delete marker.
    pub marker: bool,
    /// Its content, one piece for each part.
    pub body: Vec<Stamp>,
    /// It was put together from parts.
    pub parts: bool,
    /// Its tag.
    pub tag: Option<u8>,
}

/// An upload's parts by number.
pub type Upload = BTreeMap<u16, Stamp>;

/// A bucket.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Bucket {
    /// Its number.
    pub id: u32,
    /// Whether it keeps versions.
    pub versioning: Versioning,
    /// By key, newest first.
    pub versions: BTreeMap<(u8, Reverse<u64>), Version>,
    /// By key, oldest first.
    pub uploads: BTreeMap<(u8, u64), Upload>,
}

/// All that is there.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct World {
    /// Buckets by number of their name.
    pub buckets: BTreeMap<u8, Bucket>,
    /// The number of the next record.
    pub next: u64,
    next_bucket: u32,
}

impl Default for World {
    fn default() -> Self {
        Self { buckets: BTreeMap::new(), next: 1, next_bucket: 1 }
    }
}

impl Bucket {
    /// The number of a version that is meant.
    pub fn find(&self, key: u8, meant: Meant) -> Option<u64> {
        let mut all = self.versions.range((key, Reverse(u64::MAX))..=(key, Reverse(0)));
        let found = match meant {
            Meant::Plain => all.next(),
            Meant::Null => all.find(|(_, version)| version.null),
            Meant::Nth(place) => all.nth(place),
        };
        found.map(|((_, Reverse(sequence)), _)| *sequence)
    }

    /// The number of a key's newest upload.
    pub fn upload(&self, key: u8) -> Option<u64> {
        self.uploads.range((key, 0)..=(key, u64::MAX)).next_back().map(|((_, id), _)| *id)
    }

    fn put(&mut self, key: u8, sequence: u64, body: Vec<Stamp>, (marker, parts): (bool, bool)) {
        let null = self.versioning != Versioning::On;
        if null && let Some(old) = self.find(key, Meant::Null) {
            self.versions.remove(&(key, Reverse(old)));
        }
        let version = Version { null, marker, body, parts, tag: None };
        self.versions.insert((key, Reverse(sequence)), version);
    }
}

impl World {
    /// Whether these numbers come next; they are used up then, so many of them.
    pub fn skip(&mut self, next: u64, next_bucket: u32, (used, buckets): (u64, u32)) -> bool {
        let right = (self.next, self.next_bucket) == (next, next_bucket);
        self.next += used;
        self.next_bucket += buckets;
        right
    }

    fn take(&mut self) -> u64 {
        self.next += 1;
        self.next - 1
    }

    /// Does an act. Whether it should be done, or refused.
    pub fn act(&mut self, act: Act) -> bool {
        match act {
            Act::Create { bucket, versioning } => self.create(bucket, versioning),
            Act::Remove { bucket } => {
                let empty =
                    self.buckets.get(&bucket).is_some_and(|there| there.versions.is_empty());
                if empty {
                    self.take();
                    self.buckets.remove(&bucket);
                }
                empty
            }
            Act::Versions { bucket, versioning } => self.within(bucket, |there, sequence| {
                let back = versioning == Versioning::Off && there.versioning != Versioning::Off;
                if !back {
                    there.versioning = versioning;
                    *sequence += 1;
                }
                !back
            }),
            Act::Put { bucket, key, body, anew } => {
                self.within(bucket, |there, sequence| put(there, sequence, key, (body, anew)))
            }
            Act::Delete { bucket, key, meant } => {
                self.within(bucket, |there, sequence| delete(there, sequence, key, meant))
            }
            Act::Tag { bucket, key, meant, tag } => self.within(bucket, |there, sequence| {
                let found = there.find(key, meant);
                let version =
                    found.and_then(|found| there.versions.get_mut(&(key, Reverse(found))));
                let Some(version) = version.filter(|version| !version.marker) else { return false };
                version.tag = Some(tag);
                *sequence += 1;
                true
            }),
            Act::Begin { .. } | Act::Part { .. } | Act::Complete { .. } | Act::Abort { .. } => {
                self.upload(act)
            }
        }
    }

    fn create(&mut self, bucket: u8, versioning: Versioning) -> bool {
        if self.buckets.contains_key(&bucket) {
            return false;
        }
        let (id, versions, uploads) = (self.next_bucket, BTreeMap::new(), BTreeMap::new());
        self.buckets.insert(bucket, Bucket { id, versioning, versions, uploads });
        self.next_bucket += 1;
        self.take();
        true
    }

    fn within(&mut self, bucket: u8, work: impl FnOnce(&mut Bucket, &mut u64) -> bool) -> bool {
        self.buckets.get_mut(&bucket).is_some_and(|there| work(there, &mut self.next))
    }

    fn upload(&mut self, act: Act) -> bool {
        let (Act::Begin { bucket, key }
        | Act::Part { bucket, key, .. }
        | Act::Complete { bucket, key }
        | Act::Abort { bucket, key }) = act
        else {
            return false;
        };
        self.within(bucket, |there, sequence| {
            let newest = there.upload(key);
            match (act, newest) {
                (Act::Begin { .. }, _) => {
                    drop(there.uploads.insert((key, *sequence), Upload::new()))
                }
                (_, None) => return false,
                (Act::Part { number, body, .. }, Some(id)) => {
                    there.uploads.get_mut(&(key, id)).expect("it was found").insert(number, body);
                }
                (Act::Complete { .. }, Some(id)) => {
                    if there.uploads[&(key, id)].is_empty() {
                        return false;
                    }
                    let parts = there.uploads.remove(&(key, id)).expect("it was found");
                    let body = parts.into_values().filter(|body| body.length > 0).collect();
                    there.put(key, *sequence, body, (false, true));
                }
                (_, Some(id)) => drop(there.uploads.remove(&(key, id))),
            }
            *sequence += 1;
            true
        })
    }
}

fn put(there: &mut Bucket, sequence: &mut u64, key: u8, (body, anew): (Stamp, bool)) -> bool {
    let newest = there.find(key, Meant::Plain);
    let marked = |found| there.versions[&(key, Reverse(found))].marker;
    if anew && newest.is_some_and(|found| !marked(found)) {
        return false;
    }
    let body = Some(body).filter(|body| body.length > 0);
    there.put(key, *sequence, body.into_iter().collect(), (false, false));
    *sequence += 1;
    true
}

fn delete(there: &mut Bucket, sequence: &mut u64, key: u8, meant: Meant) -> bool {
    if meant == Meant::Plain && there.versioning != Versioning::Off {
        there.put(key, *sequence, Vec::new(), (true, false));
        *sequence += 1;
    } else if let Some(found) = there.find(key, meant) {
        there.versions.remove(&(key, Reverse(found)));
        *sequence += 1;
    }
    // What is not there is as good as deleted.
    true
}
