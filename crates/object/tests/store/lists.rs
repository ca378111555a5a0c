//! Pages of lists agree with a plain walk over all keys.

use object::bucket::Versioning;
use object::query::{Line, ListKeys, ListUploads, ListVersions};
use object::{Mutation, Reply};
use proptest::prelude::*;

use super::rig::{Rig, key, name};

/// All lines of a list, page by page.
fn all(rig: &Rig, prefix: &str, delimiter: Option<&str>, limit: usize) -> Vec<String> {
    let snapshot = rig.store.snapshot();
    let bucket = snapshot.bucket(&name("one")).expect("it is there").id;
    let (mut lines, mut after) = (Vec::new(), None);
    loop {
        let list = ListKeys {
            prefix: prefix.to_owned(),
            delimiter: delimiter.map(str::to_owned),
            after,
            limit,
        };
        let page = snapshot.keys(bucket, &list).expect("it reads");
        assert!(page.lines.len() <= limit);
        lines.extend(page.lines.into_iter().map(|line| match line {
            Line::Item(item) => item.key.to_string(),
            Line::Prefix(prefix) => format!("{prefix} …"),
        }));
        match page.next {
            Some(next) => after = Some(next),
            None => return lines,
        }
    }
}

fn expected(keys: &[String], prefix: &str, delimiter: Option<&str>) -> Vec<String> {
    let mut lines: Vec<String> = Vec::new();
    for key in keys.iter().filter(|key| key.starts_with(prefix)) {
        let rest = &key[prefix.len()..];
        let folded = delimiter.and_then(|delimiter| Some(rest.find(delimiter)? + delimiter.len()));
        let line = match folded {
            Some(end) => format!("{} …", &key[..prefix.len() + end]),
            None => key.clone(),
        };
        if lines.last() != Some(&line) {
            lines.push(line);
        }
    }
    lines
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 60, ..ProptestConfig::default() })]

    #[test]
    fn pages_are_what_a_walk_would_show(
        keys in prop::collection::btree_set("[ab/\u{0}é]{1,6}", 1..40),
        gone in prop::collection::vec(any::<prop::sample::Index>(), 0..10),
        prefix in "[ab/]{0,2}", delimiter in prop::option::of("[/b]{1,2}"), limit in 1_usize..7,
    ) {
        let mut rig = Rig::new();
        rig.bucket("one", Versioning::On);
        let keys: Vec<String> = keys.into_iter().collect();
        let puts = keys.iter().map(|key| Mutation::Put(Box::new(rig.putting("one", key, b"1"))));
        let puts = puts.collect();
        prop_assert!(rig.apply(puts).iter().all(Result::is_ok));
        let gone: Vec<&String> = gone.iter().map(|at| at.get(&keys)).collect();
        let deletes = gone.iter().map(|key| Mutation::Delete(Rig::deleting("one", key, None)));
        let deletes = deletes.collect();
        prop_assert!(rig.apply(deletes).iter().all(Result::is_ok));
        let left: Vec<String> = keys.iter().filter(|key| !gone.contains(key)).cloned().collect();
        prop_assert_eq!(
            all(&rig, &prefix, delimiter.as_deref(), limit),
            expected(&left, &prefix, delimiter.as_deref())
        );
        prop_assert_eq!(all(&rig, "", None, limit), left);
    }
}

#[test]
fn versions_come_newest_first_and_pages_end_within_a_key() {
    let mut rig = Rig::new();
    rig.bucket("one", Versioning::On);
    let mut wanted = Vec::new();
    for at in ["a", "a/x", "b"] {
        let mut versions: Vec<_> = (0..3).map(|_| rig.put("one", at, b"1")).collect();
        versions.reverse();
        wanted.extend(versions.into_iter().map(|sequence| (at.to_owned(), sequence)));
    }
    let snapshot = rig.store.snapshot();
    let bucket = snapshot.bucket(&name("one")).expect("it is there").id;
    for limit in 1..10 {
        let (mut seen, mut after, mut latest) = (Vec::new(), None, 0);
        loop {
            let list = ListVersions { after, limit, ..ListVersions::default() };
            let page = snapshot.versions(bucket, &list).expect("it reads");
            for line in page.lines {
                let Line::Item(item) = line else { panic!("nothing is folded") };
                latest += u32::from(item.latest);
                seen.push((item.key.to_string(), item.entry.sequence));
            }
            match page.next {
                Some(next) => after = Some(next),
                None => break,
            }
        }
        assert_eq!((&seen, latest), (&wanted, 3), "{limit} at once");
    }
    let list =
        ListVersions { delimiter: Some("/".to_owned()), limit: 10, ..ListVersions::default() };
    let page = snapshot.versions(bucket, &list).expect("it reads");
    assert_eq!(page.lines.len(), 7);
    assert_eq!(page.lines[3], Line::Prefix("a/".to_owned()));
}

#[test]
fn uploads_come_by_key_and_age() {
    let mut rig = Rig::new();
    rig.bucket("one", Versioning::Off);
    let mut wanted = Vec::new();
    for at in ["a", "a", "a/b", "a/c", "b"] {
        let begin = Mutation::CreateUpload {
            bucket: name("one"),
            key: key(at),
            attributes: Box::default(),
            class: 0,
            checksum: None,
        };
        let Ok(Reply::Upload(id)) = rig.one(begin) else { panic!("it begins") };
        wanted.push((at.to_owned(), id));
    }
    let snapshot = rig.store.snapshot();
    let bucket = snapshot.bucket(&name("one")).expect("it is there").id;
    let (mut seen, mut after) = (Vec::new(), None);
    loop {
        let list = ListUploads { after, limit: 2, ..ListUploads::default() };
        let page = snapshot.uploads(bucket, &list).expect("it reads");
        for line in page.lines {
            let Line::Item(upload) = line else { panic!("nothing is folded") };
            seen.push((upload.key.to_string(), upload.id));
        }
        match page.next {
            Some(next) => after = Some(next),
            None => break,
        }
    }
    assert_eq!(seen, wanted);
    let list = ListUploads { delimiter: Some("/".to_owned()), limit: 9, ..ListUploads::default() };
    let page = snapshot.uploads(bucket, &list).expect("it reads");
    assert_eq!((page.lines.len(), page.lines[2].clone()), (4, Line::Prefix("a/".to_owned())));
}
