//! Pages of lists. A list reads the index only, and jumps over what it folds: a page
//! costs as much as what is on it, however much lies behind a prefix.

use std::ops::Bound;

use super::StoreError;
use super::index::kept::{Kept, UploadKept, decode};
use super::index::keys;
use super::index::view::View;
use crate::Sequence;
use crate::mutation::UploadId;
use crate::name::{BucketId, Key};
use crate::query::{Line, ListKeys, ListUploads, ListVersions, Listed, Page};

/// A page of versions: the next one begins after this key, or within it after this
/// version.
pub type VersionPage = Page<Listed, (String, Option<Sequence>)>;

/// The prefix that a key is folded into.
fn fold<'k>(key: &'k str, prefix: &str, delimiter: Option<&str>) -> Option<&'k str> {
    let delimiter = delimiter.filter(|delimiter| !delimiter.is_empty())?;
    let at = key.get(prefix.len()..)?.find(delimiter)?;
    Some(&key[..prefix.len() + at + delimiter.len()])
}

/// Where a list goes on after a line: behind all that was folded, or behind one key.
fn resume(after: &str, prefix: &str, delimiter: Option<&str>) -> Result<Vec<u8>, Vec<u8>> {
    let folded = after.starts_with(prefix).then(|| fold(after, prefix, delimiter)).flatten();
    folded.map_or(Err(after.as_bytes().to_vec()), |folded| Ok(folded.as_bytes().to_vec()))
}

/// A walk over current versions of keys with a prefix.
struct Walk<'v> {
    view: &'v View,
    bucket: BucketId,
    last: Vec<u8>,
    range: redb::Range<'static, &'static [u8], &'static [u8]>,
}

impl<'v> Walk<'v> {
    /// From the first key with the prefix, or after another.
    fn new(
        view: &'v View,
        bucket: BucketId,
        prefix: &str,
        first: Bound<Vec<u8>>,
    ) -> Result<Self, StoreError> {
        let lowest = keys::current(bucket, prefix);
        let last = keys::behind(&lowest).unwrap_or_else(|| vec![255; 5]);
        let first = match first {
            Bound::Included(at) if at > lowest => Bound::Included(at),
            Bound::Excluded(at) if at >= lowest => Bound::Excluded(at),
            _ => Bound::Included(lowest),
        };
        let range = range(view, &first, &last)?;
        Ok(Self { view, bucket, last, range })
    }

    fn next(&mut self) -> Result<Option<(String, Kept)>, StoreError> {
        let Some(found) = self.range.next().transpose()? else { return Ok(None) };
        let key = keys::key_of_current(found.0.value());
        let key = key.ok_or_else(|| StoreError::Damaged("a key of the index".to_owned()))?;
        Ok(Some((key.to_owned(), decode(found.1.value())?)))
    }

    /// Jumps behind all keys that begin so.
    fn jump(&mut self, folded: &str) -> Result<(), StoreError> {
        let behind = keys::behind(&keys::current(self.bucket, folded));
        let first = behind.map_or(Bound::Excluded(self.last.clone()), Bound::Included);
        self.range = range(self.view, &first, &self.last)?;
        Ok(())
    }
}

fn range(
    view: &View,
    first: &Bound<Vec<u8>>,
    last: &[u8],
) -> Result<redb::Range<'static, &'static [u8], &'static [u8]>, StoreError> {
    let start = match first {
        Bound::Included(at) | Bound::Excluded(at) if at.as_slice() >= last => Bound::Included(last),
        Bound::Included(at) => Bound::Included(at.as_slice()),
        Bound::Excluded(at) => Bound::Excluded(at.as_slice()),
        Bound::Unbounded => Bound::Unbounded,
    };
    Ok(view.current.range::<&[u8]>((start, Bound::Excluded(last)))?)
}

fn first_after(bucket: BucketId, after: Result<Vec<u8>, Vec<u8>>) -> Bound<Vec<u8>> {
    let place = |key: &[u8]| [&bucket.0.to_be_bytes(), key].concat();
    match after {
        Ok(folded) => keys::behind(&place(&folded)).map_or(Bound::Unbounded, Bound::Included),
        Err(key) => Bound::Excluded(place(&key)),
    }
}

fn listed(view: &View, key: &str, kept: Kept, latest: bool) -> Result<Line<Listed>, StoreError> {
    let key = Key::new(key).map_err(|error| StoreError::Damaged(error.to_string()))?;
    let owner = view.owner(kept.owner);
    Ok(Line::Item(Listed { key, entry: kept.entry, latest, owner }))
}

/// A page of keys.
pub fn keys(
    view: &View,
    bucket: BucketId,
    list: &ListKeys,
) -> Result<Page<Listed, String>, StoreError> {
    let (prefix, delimiter) = (list.prefix.as_str(), list.delimiter.as_deref());
    let after = list.after.as_deref().map(|after| resume(after, prefix, delimiter));
    let first = after.map_or(Bound::Unbounded, |after| first_after(bucket, after));
    let mut walk = Walk::new(view, bucket, prefix, first)?;
    let mut page = Page { lines: Vec::new(), next: None };
    if list.limit == 0 {
        return Ok(page);
    }
    let mut last = String::new();
    while let Some((key, kept)) = walk.next()? {
        if kept.entry.delete_marker {
            continue;
        }
        if page.lines.len() == list.limit {
            page.next = Some(last);
            break;
        }
        if let Some(folded) = fold(&key, prefix, delimiter) {
            walk.jump(folded)?;
            page.lines.push(Line::Prefix(folded.to_owned()));
            last = folded.to_owned();
        } else {
            page.lines.push(listed(view, &key, kept, true)?);
            last = key;
        }
    }
    Ok(page)
}

/// Lines of a page of versions, until it is full.
struct Versions<'v> {
    view: &'v View,
    page: VersionPage,
    limit: usize,
    last: (String, Option<Sequence>),
}

impl Versions<'_> {
    /// Puts a line on the page; `false` when it is full.
    fn push(&mut self, line: Line<Listed>) -> bool {
        if self.page.lines.len() == self.limit {
            self.page.next = Some(std::mem::take(&mut self.last));
            return false;
        }
        self.last = match &line {
            Line::Item(item) => (item.key.as_str().to_owned(), Some(item.entry.sequence)),
            Line::Prefix(prefix) => (prefix.clone(), None),
        };
        self.page.lines.push(line);
        true
    }

    /// All versions of a key that are older than this one.
    fn key(
        &mut self,
        bucket: BucketId,
        key: &str,
        newest: Kept,
        below: Sequence,
    ) -> Result<bool, StoreError> {
        if newest.entry.sequence < below && !self.push(listed(self.view, key, newest, true)?) {
            return Ok(false);
        }
        let first = keys::version(bucket, key, Sequence(below.0.saturating_sub(1)));
        let behind = keys::behind(&keys::object(bucket, key)).expect("it ends with 1");
        for kept in self.view.versions.range(first.as_slice()..behind.as_slice())? {
            let kept = decode(kept?.1.value())?;
            if !self.push(listed(self.view, key, kept, false)?) {
                return Ok(false);
            }
        }
        Ok(true)
    }
}

/// A page of versions.
pub fn versions(
    view: &View,
    bucket: BucketId,
    list: &ListVersions,
) -> Result<VersionPage, StoreError> {
    let (prefix, delimiter) = (list.prefix.as_str(), list.delimiter.as_deref());
    let within = list.after.as_ref().and_then(|(key, below)| Some((key.as_str(), (*below)?)));
    let first = match &list.after {
        None => Bound::Unbounded,
        Some((key, Some(_))) => Bound::Included(keys::current(bucket, key)),
        Some((key, None)) => first_after(bucket, resume(key, prefix, delimiter)),
    };
    let mut walk = Walk::new(view, bucket, prefix, first)?;
    let page = Page { lines: Vec::new(), next: None };
    if list.limit == 0 {
        return Ok(page);
    }
    let mut lines = Versions { view, page, limit: list.limit, last: (String::new(), None) };
    while let Some((key, newest)) = walk.next()? {
        if let Some(folded) = fold(&key, prefix, delimiter) {
            walk.jump(folded)?;
            if !lines.push(Line::Prefix(folded.to_owned())) {
                break;
            }
            continue;
        }
        let below = within
            .filter(|(after, _)| *after == key)
            .map_or(Sequence(u64::MAX), |(_, below)| below);
        if !lines.key(bucket, &key, newest, below)? {
            break;
        }
    }
    Ok(lines.page)
}

/// An upload in a page.
pub type UploadLine = (Key, UploadId, UploadKept);

/// A page of uploads, without what only the log knows.
pub fn uploads(
    view: &View,
    bucket: BucketId,
    list: &ListUploads,
) -> Result<Page<UploadLine, (String, Option<UploadId>)>, StoreError> {
    let (prefix, delimiter) = (list.prefix.as_str(), list.delimiter.as_deref());
    let lowest = keys::open(bucket, prefix.as_bytes());
    let mut first = match &list.after {
        None => lowest.clone(),
        Some((key, Some(id))) => [keys::upload(bucket, key, *id), vec![0]].concat(),
        Some((key, None)) => match resume(key, prefix, delimiter) {
            Ok(folded) => {
                keys::behind(&keys::open(bucket, &folded)).unwrap_or_else(|| vec![255; 5])
            }
            Err(_) => keys::behind(&keys::object(bucket, key)).expect("it ends with 1"),
        },
    };
    first = first.max(lowest.clone());
    let mut page = Page { lines: Vec::new(), next: None };
    if list.limit == 0 {
        return Ok(page);
    }
    let mut last = (String::new(), None);
    while let Some(found) = view.uploads.range(first.as_slice()..)?.next().transpose()? {
        if !found.0.value().starts_with(&lowest) {
            break;
        }
        if page.lines.len() == list.limit {
            page.next = Some(last);
            break;
        }
        let wrong = || StoreError::Damaged("a key of the index".to_owned());
        let (key, id) = keys::split(found.0.value()).ok_or_else(wrong)?;
        if let Some(folded) = fold(&key, prefix, delimiter) {
            first = keys::behind(&keys::open(bucket, folded.as_bytes()))
                .unwrap_or_else(|| vec![255; 5]);
            page.lines.push(Line::Prefix(folded.to_owned()));
            last = (folded.to_owned(), None);
        } else {
            first = [found.0.value(), &[0]].concat();
            let (name, id) = (Key::new(&key).map_err(|_| wrong())?, UploadId(Sequence(id)));
            page.lines.push(Line::Item((name, id, decode(found.1.value())?)));
            last = (key, Some(id));
        }
    }
    Ok(page)
}
