//! Whether a store holds what a model says.

use std::cmp::Reverse;
use std::collections::BTreeMap;

use object::bucket::Bucket as Found;
use object::mutation::UploadId;
use object::query::{Line, ListUploads, ListVersions};
use object::store::{Snapshot, Store, StoreError};
use object::{Extent, Sequence};
use world::files::ModelFiles;

use super::act::{Stamp, tag_text};
use super::rig::{bucket, key, number_of};
use super::world::{Bucket, Version, World};

/// What is wrong with a store.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Wrong {
    /// It holds something else, or cannot be read.
    Other(String),
    /// It handed out bytes that were never written there.
    Bytes(String),
}

impl From<StoreError> for Wrong {
    fn from(error: StoreError) -> Self {
        Self::Other(error.to_string())
    }
}

fn other<T>(what: impl Into<String>) -> Result<T, Wrong> {
    Err(Wrong::Other(what.into()))
}

/// Finds those of these models that a store holds. They may be several: not every
/// change is seen.
///
/// # Errors
/// What is wrong with the newest, when it holds none.
pub fn find(store: &Store<ModelFiles>, worlds: &[World]) -> Result<Vec<World>, Wrong> {
    let (mut found, mut first) = (Vec::new(), None);
    for world in worlds.iter().rev() {
        match holds(store, world) {
            Ok(()) => found.push(world.clone()),
            Err(Wrong::Bytes(what)) => return Err(Wrong::Bytes(what)),
            Err(wrong) => drop(first.get_or_insert(wrong)),
        }
    }
    match first {
        Some(wrong) if found.is_empty() => Err(wrong),
        _ => Ok(found),
    }
}

/// Whether a store holds exactly this.
///
/// # Errors
/// What is wrong.
pub fn holds(store: &Store<ModelFiles>, world: &World) -> Result<(), Wrong> {
    held(store, &store.snapshot(), world)
}

/// Whether a store held exactly this in a moment.
///
/// # Errors
/// What is wrong.
pub fn held(
    store: &Store<ModelFiles>,
    snapshot: &Snapshot<'_>,
    world: &World,
) -> Result<(), Wrong> {
    let found = snapshot.buckets(None);
    if found.len() != world.buckets.len() {
        return other(format!("{} buckets, {} wanted", found.len(), world.buckets.len()));
    }
    for (number, wanted) in &world.buckets {
        let Some(found) = snapshot.bucket(&bucket(*number)) else {
            return other("a bucket is gone");
        };
        if (found.id.0, found.config.versioning) != (wanted.id, wanted.versioning) {
            return other(format!("bucket {number} is another"));
        }
        counts(snapshot, &found, wanted)?;
        let seen = versions(snapshot, &found)?;
        if seen.len() != wanted.versions.len() {
            return other(format!("{} versions, {} wanted", seen.len(), wanted.versions.len()));
        }
        for (place, version) in &wanted.versions {
            version_holds(store, snapshot, (&found, *place), version, &seen)?;
        }
        uploads(snapshot, &found, wanted)?;
    }
    Ok(())
}

fn counts(snapshot: &Snapshot<'_>, found: &Found, wanted: &Bucket) -> Result<(), Wrong> {
    let usage = snapshot.usage(found.id)?;
    let bodies = wanted.versions.values().flat_map(|version| &version.body);
    let bytes: u64 = bodies.map(|body| u64::from(body.length)).sum();
    let wanted = (wanted.versions.len() as u64, bytes, wanted.uploads.len() as u64);
    match (usage.versions, usage.bytes, usage.uploads) {
        seen if seen == wanted => Ok(()),
        seen => other(format!("{seen:?} are counted, {wanted:?} wanted")),
    }
}

type Seen = BTreeMap<(u8, Reverse<u64>), (bool, bool, bool)>;

/// All versions: whether each is null, a marker, the newest.
fn versions(snapshot: &Snapshot<'_>, found: &Found) -> Result<Seen, Wrong> {
    let list = ListVersions { limit: 1000, ..ListVersions::default() };
    let mut seen = Seen::new();
    for line in snapshot.versions(found.id, &list)?.lines {
        let Line::Item(item) = line else { return other("something is folded") };
        let Some(key) = number_of(item.key.as_str()) else { return other("a key that is none") };
        let entry = (item.entry.null, item.entry.delete_marker, item.latest);
        seen.insert((key, Reverse(item.entry.sequence.0)), entry);
    }
    Ok(seen)
}

fn version_holds(
    store: &Store<ModelFiles>,
    snapshot: &Snapshot<'_>,
    (found, place): (&Found, (u8, Reverse<u64>)),
    wanted: &Version,
    seen: &Seen,
) -> Result<(), Wrong> {
    let latest =
        seen.range((place.0, Reverse(u64::MAX))..).next().is_some_and(|(first, _)| *first == place);
    let wanted_entry = (wanted.null, wanted.marker, latest);
    if seen.get(&place) != Some(&wanted_entry) {
        return other(format!("version {place:?} of {seen:?} should be {wanted_entry:?}"));
    }
    let which = object::mutation::Which::At(Sequence(place.1.0));
    let version = snapshot.version(found.id, &key(place.0), which)?;
    let Some(version) = version else { return other("a version in a list is not there") };
    if !is(&version, wanted) || !tagged(&version, wanted.tag) {
        return other(format!("version {place:?} has other attributes"));
    }
    body_holds(store, &version.extents, &wanted.body)
}

/// Whether what is said of a version is what should be, but for its tag.
fn is(found: &object::entry::Version, wanted: &Version) -> bool {
    let size: u64 = wanted.body.iter().map(|body| u64::from(body.length)).sum();
    wanted.parts != found.attributes.parts.is_empty()
        && (found.entry.null, found.entry.delete_marker) == (wanted.null, wanted.marker)
        && found.entry.size == size
}

/// Whether a version has this tag.
fn tagged(found: &object::entry::Version, wanted: Option<u8>) -> bool {
    let tags = found.attributes.tags.iter().map(|(_, tag)| tag.as_ref());
    tags.eq(wanted.map(tag_text).as_deref())
}

/// Whether a version has a tag that may once have been its own, or none.
fn tagged_once(found: &object::entry::Version) -> bool {
    let tag = found.attributes.tags.first().and_then(|(_, tag)| tag.split('.').next());
    tagged(found, tag.and_then(|tag| tag.parse().ok()))
}

fn body_holds(
    store: &Store<ModelFiles>,
    extents: &[Extent],
    wanted: &[Stamp],
) -> Result<(), Wrong> {
    let mut bytes = Vec::new();
    for extent in extents {
        let start = bytes.len();
        bytes.resize(start + extent.length as usize, 0);
        store.read(extent, 0..extent.length, &mut bytes[start..])?;
    }
    let mut rest = bytes.as_slice();
    let mut whole = wanted.iter().all(|stamp| {
        let piece = rest.split_off(..(stamp.length as usize).min(rest.len()));
        piece.is_some_and(|piece| stamp.is(piece))
    });
    whole &= rest.is_empty();
    if whole {
        return Ok(());
    }
    Err(Wrong::Bytes(format!("{} bytes at {extents:?}, {wanted:?} wanted", bytes.len(),)))
}

/// What a store says on a medium that changed some bytes by itself: it may not have
/// something, when it says so, and it never hands out anything else. How many versions it
/// does not have.
///
/// # Errors
/// What it handed out.
pub fn sound(store: &Store<ModelFiles>, world: &World) -> Result<u64, Wrong> {
    let (snapshot, mut missing) = (store.snapshot(), 0);
    for (number, wanted) in &world.buckets {
        let found = snapshot.bucket(&bucket(*number)).filter(|found| found.id.0 == wanted.id);
        let Some(found) = found else {
            missing += wanted.versions.len() as u64;
            continue;
        };
        for ((at, Reverse(sequence)), version) in &wanted.versions {
            let which = object::mutation::Which::At(Sequence(*sequence));
            let read = match snapshot.version(found.id, &key(*at), which) {
                // An older tag comes back when the record of the newer is damaged.
                Ok(Some(there)) if !is(&there, version) || !tagged_once(&there) => {
                    Err(Wrong::Bytes(format!("version {sequence} has other attributes")))
                }
                Ok(Some(there)) => body_holds(store, &there.extents, &version.body),
                Ok(None) => other("it is not there"),
                Err(error) => Err(error.into()),
            };
            match read {
                Ok(()) => {}
                Err(Wrong::Bytes(what)) => return Err(Wrong::Bytes(what)),
                Err(Wrong::Other(_)) => missing += 1,
            }
        }
    }
    Ok(missing)
}

fn uploads(snapshot: &Snapshot<'_>, found: &Found, wanted: &Bucket) -> Result<(), Wrong> {
    let list = ListUploads { limit: 1000, ..ListUploads::default() };
    let mut seen = BTreeMap::new();
    for line in snapshot.uploads(found.id, &list)?.lines {
        let Line::Item(upload) = line else { return other("something is folded") };
        let Some(key) = number_of(upload.key.as_str()) else { return other("a key that is none") };
        let UploadId(Sequence(id)) = upload.id;
        let mut parts = Vec::new();
        for part in snapshot.parts(upload.id, 0, 1000)?.lines {
            let Line::Item(part) = part else { return other("something is folded") };
            parts.push((part.info.number, part.info.size));
        }
        seen.insert((key, id), parts);
    }
    let parts = |parts: &super::world::Upload| -> Vec<(u16, u64)> {
        parts.iter().map(|(number, body)| (*number, u64::from(body.length))).collect()
    };
    let wanted: BTreeMap<(u8, u64), Vec<(u16, u64)>> =
        wanted.uploads.iter().map(|(place, upload)| (*place, parts(upload))).collect();
    if seen == wanted { Ok(()) } else { other(format!("uploads {seen:?}, {wanted:?} wanted")) }
}
