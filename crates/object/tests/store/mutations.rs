//! Versions are written, overwritten, deleted; buckets come and go; conditions hold.

use object::bucket::{Config, Versioning};
use object::condition::TagMatch;
use object::mutation::{Amendment, ConfigChange, Which};
use object::quota::{Project, Quota};
use object::{Mutation, Owner, Refusal, Reply};

use super::rig::{Rig, key, name, owner, tag};

#[test]
fn what_is_put_is_there_after_a_start_and_without_the_index() {
    let mut rig = Rig::new();
    rig.bucket("one", Versioning::Off);
    let large: Vec<u8> = (0..300_000_u32).map(|at| (at % 251) as u8).collect();
    rig.put("one", "small", b"hello");
    rig.put("one", "empty", b"");
    rig.put("one", "large", &large);
    let check = |rig: &Rig| {
        assert_eq!(rig.read("one", "small", Which::Current).as_deref(), Some(&b"hello"[..]));
        assert_eq!(rig.read("one", "empty", Which::Current).as_deref(), Some(&b""[..]));
        assert_eq!(rig.read("one", "large", Which::Current).as_deref(), Some(&large[..]));
        assert_eq!(rig.read("one", "none", Which::Current), None);
        let usage = rig.usage("one");
        assert_eq!((usage.versions, usage.bytes), (3, 300_005));
    };
    check(&rig);
    let rig = rig.again();
    assert_eq!(rig.opened.rebuilt, None);
    check(&rig);
    let rig = rig.without_index();
    assert!(rig.opened.rebuilt.is_some());
    check(&rig);
}

#[test]
fn a_bucket_without_versions_has_one_of_each_key() {
    let mut rig = Rig::new();
    rig.bucket("one", Versioning::Off);
    let first = rig.put("one", "a", b"1");
    let second = rig.put("one", "a", b"22");
    assert_eq!(rig.find("one", "a", Which::At(first)), None);
    assert_eq!(rig.find("one", "a", Which::Null).map(|found| found.entry.sequence), Some(second));
    assert_eq!(rig.usage("one").bytes, 2);
    let gone =
        Reply::Deleted { sequence: Some(second), null: true, marker: false, versioned: false };
    assert_eq!(rig.delete("one", "a", None), Ok(gone));
    let nothing = Reply::Deleted { sequence: None, null: false, marker: false, versioned: false };
    assert_eq!(rig.delete("one", "a", None), Ok(nothing));
    assert_eq!(rig.usage("one").versions, 0);
}

#[test]
fn a_bucket_with_versions_keeps_them_and_marks_what_is_deleted() {
    let mut rig = Rig::new();
    rig.bucket("one", Versioning::Off);
    let null = rig.put("one", "a", b"0");
    rig.version_of("one", Versioning::On);
    let first = rig.put("one", "a", b"1");
    let second = rig.put("one", "a", b"2");
    let Ok(Reply::Deleted { sequence: Some(marker), null: false, marker: true, .. }) =
        rig.delete("one", "a", None)
    else {
        panic!("a marker comes");
    };
    assert!(rig.find("one", "a", Which::Current).expect("it is there").entry.delete_marker);
    for (which, body) in [(Which::At(first), b"1"), (Which::At(second), b"2"), (Which::Null, b"0")]
    {
        assert_eq!(rig.read("one", "a", which).as_deref(), Some(&body[..]));
    }
    let mut rig = rig.again();
    rig.delete("one", "a", Some(Which::At(marker))).expect("it goes");
    assert_eq!(rig.read("one", "a", Which::Current).as_deref(), Some(&b"2"[..]));
    rig.delete("one", "a", Some(Which::At(second))).expect("it goes");
    rig.delete("one", "a", Some(Which::At(first))).expect("it goes");
    assert_eq!(rig.find("one", "a", Which::Current).map(|found| found.entry.sequence), Some(null));
    rig.delete("one", "a", Some(Which::Null)).expect("it goes");
    assert_eq!(rig.find("one", "a", Which::Current), None);
    assert_eq!(rig.usage("one").versions, 0);
}

#[test]
fn suspended_versions_stay_and_the_null_version_is_replaced() {
    let mut rig = Rig::new();
    rig.bucket("one", Versioning::On);
    let first = rig.put("one", "a", b"1");
    rig.version_of("one", Versioning::Suspended);
    let null = rig.put("one", "a", b"2");
    rig.version_of("one", Versioning::On);
    rig.put("one", "a", b"3");
    rig.version_of("one", Versioning::Suspended);
    let later = rig.put("one", "a", b"4");
    assert_eq!(
        rig.find("one", "a", Which::At(null)),
        None,
        "it was replaced, though not the newest"
    );
    assert_eq!(rig.find("one", "a", Which::Null).map(|found| found.entry.sequence), Some(later));
    assert_eq!(rig.usage("one").versions, 3);
    let Ok(Reply::Deleted { marker: true, null: true, .. }) = rig.delete("one", "a", None) else {
        panic!("a null marker comes");
    };
    assert_eq!(rig.find("one", "a", Which::At(later)), None);
    assert_eq!(rig.read("one", "a", Which::At(first)).as_deref(), Some(&b"1"[..]));
    let rig = rig.without_index();
    assert_eq!(rig.usage("one").versions, 3);
    assert!(rig.find("one", "a", Which::Null).expect("it is there").entry.delete_marker);
}

#[test]
fn later_mutations_of_a_batch_see_earlier_ones() {
    let mut rig = Rig::new();
    rig.bucket("one", Versioning::Off);
    let conditional = |rig: &Rig, body: &[u8]| {
        let mut put = rig.putting("one", "a", body);
        put.conditions.none_matches = vec![TagMatch::Any];
        Mutation::Put(Box::new(put))
    };
    let large = vec![1; 100_000];
    let batch = vec![
        conditional(&rig, &large),
        conditional(&rig, b"2"),
        Mutation::Delete(Rig::deleting("one", "a", None)),
        conditional(&rig, b"3"),
        Mutation::Amend {
            bucket: name("one"),
            key: key("a"),
            which: Which::Current,
            change: Box::new(Amendment::Tags(vec![("t".into(), "v".into())])),
        },
    ];
    let results = rig.apply(batch);
    assert_eq!(results[1], Err(Refusal::Failed));
    assert!([0, 2, 3, 4].iter().all(|at| results[*at].is_ok()), "{results:?}");
    let rig = rig.again();
    assert_eq!(rig.read("one", "a", Which::Current).as_deref(), Some(&b"3"[..]));
    let found = rig.find("one", "a", Which::Current).expect("it is there");
    assert_eq!(found.attributes.tags, [("t".into(), "v".into())]);
}

#[test]
fn writes_hold_to_their_conditions() {
    let mut rig = Rig::new();
    rig.bucket("one", Versioning::Off);
    let mut put = |matches: TagMatch, body: &[u8]| {
        let mut put = rig.putting("one", "a", body);
        put.conditions.matches = vec![matches];
        rig.one(Mutation::Put(Box::new(put))).map(|_| ())
    };
    assert_eq!(put(TagMatch::Any, b"1"), Err(Refusal::NoKey));
    rig.put("one", "a", b"1");
    let mut put = |matches: TagMatch, body: &[u8]| {
        let mut put = rig.putting("one", "a", body);
        put.conditions.matches = vec![matches];
        rig.one(Mutation::Put(Box::new(put))).map(|_| ())
    };
    assert_eq!(put(TagMatch::Is(tag(b"2")), b"3"), Err(Refusal::Failed));
    assert_eq!(put(TagMatch::Is(tag(b"1")), b"3"), Ok(()));
    assert_eq!(rig.read("one", "a", Which::Current).as_deref(), Some(&b"3"[..]));
}

#[test]
fn buckets_are_made_once_and_go_when_they_are_empty() {
    let mut rig = Rig::new();
    let first = rig.bucket("one", Versioning::Off);
    let create = Mutation::CreateBucket {
        name: name("one"),
        owner: owner(),
        config: Box::new(Config::default()),
    };
    assert_eq!(rig.one(create), Err(Refusal::BucketExists(owner())));
    rig.put("one", "a", b"1");
    let gone = || Mutation::DeleteBucket { name: name("one") };
    assert_eq!(rig.one(gone()), Err(Refusal::NotEmpty));
    rig.delete("one", "a", None).expect("it goes");
    assert_eq!(rig.one(gone()), Ok(Reply::BucketGone));
    assert_eq!(rig.one(gone()), Err(Refusal::NoBucket));
    let mut rig = rig.without_index();
    assert!(rig.store.snapshot().buckets(None).is_empty());
    assert_ne!(rig.bucket("one", Versioning::Off).id, first.id, "numbers are given once");
}

#[test]
fn a_quota_counts_what_takes_the_place_of_something() {
    let mut rig = Rig::new();
    rig.bucket("one", Versioning::Off);
    rig.configure("one", ConfigChange::Quota(Some(10))).expect("it changes");
    rig.put("one", "a", &[1; 8]);
    let put = rig.putting("one", "b", &[1; 3]);
    assert_eq!(rig.one(Mutation::Put(Box::new(put))), Err(Refusal::Quota));
    rig.put("one", "a", &[1; 10]);
    let put = rig.putting("one", "c", b"");
    assert!(rig.one(Mutation::Put(Box::new(put))).is_ok());
}

#[test]
fn a_project_holds_no_more_than_it_may_in_all_buckets_of_its_members() {
    let mut rig = Rig::new();
    let quota = |bytes, objects| {
        let members = vec![owner(), Owner("another".into())];
        vec![Project { name: "p".into(), members, quota: Quota { bytes, objects } }]
    };
    rig.writer.projects().set(quota(Some(10), None));
    rig.bucket("one", Versioning::Off);
    rig.bucket("two", Versioning::On);
    rig.put("one", "a", &[1; 6]);
    let put = |rig: &mut Rig, bucket: &str, at: &str, size: usize| {
        let put = rig.putting(bucket, at, &vec![1; size]);
        rig.one(Mutation::Put(Box::new(put))).map(drop)
    };
    assert_eq!(put(&mut rig, "two", "b", 5), Err(Refusal::Quota), "buckets count together");
    assert_eq!(put(&mut rig, "one", "a", 7), Ok(()), "what is replaced does not count");
    // Within one batch the second sees the first.
    let batch = ["c", "d"].map(|at| Mutation::Put(Box::new(rig.putting("two", at, &[1; 3]))));
    let results = rig.apply(batch.into());
    assert!(results[0].is_ok() && results[1] == Err(Refusal::Quota), "{results:?}");
    let mut rig = rig.again();
    rig.writer.projects().set(quota(Some(10), None));
    assert_eq!(put(&mut rig, "two", "d", 1), Err(Refusal::Quota), "it is known after a start");
    let mut rig = rig.without_index();
    rig.writer.projects().set(quota(Some(10), None));
    assert_eq!(put(&mut rig, "two", "d", 1), Err(Refusal::Quota), "and without the index");
    rig.delete("one", "a", None).expect("it goes");
    assert_eq!(put(&mut rig, "two", "d", 1), Ok(()));
    rig.writer.projects().set(quota(None, Some(3)));
    assert_eq!(put(&mut rig, "two", "d", 1), Ok(()));
    assert_eq!(put(&mut rig, "two", "d", 1), Err(Refusal::Quota), "versions count");
    rig.writer.projects().set(Vec::new());
    assert_eq!(put(&mut rig, "two", "d", 100), Ok(()));
}

#[test]
fn an_amended_version_keeps_its_body_and_number() {
    let mut rig = Rig::new();
    rig.bucket("one", Versioning::On);
    let large = vec![9; 200_000];
    let (small, big) = (rig.put("one", "a", b"1"), rig.put("one", "b", &large));
    for (at, sequence) in [("a", small), ("b", big)] {
        let change = Box::new(Amendment::Class(2));
        let which = Which::At(sequence);
        let amended = Mutation::Amend { bucket: name("one"), key: key(at), which, change };
        assert_eq!(rig.one(amended), Ok(Reply::Amended { sequence, null: false }));
    }
    let rig = rig.without_index();
    assert_eq!(rig.read("one", "a", Which::At(small)).as_deref(), Some(&b"1"[..]));
    assert_eq!(rig.read("one", "b", Which::Current).as_deref(), Some(&large[..]));
    assert_eq!(rig.find("one", "b", Which::Current).map(|found| found.entry.class), Some(2));
    assert_eq!(rig.usage("one").versions, 2);
}

#[test]
fn stamps_change_with_what_they_stand_for() {
    let mut rig = Rig::new();
    let bucket = rig.bucket("one", Versioning::Off);
    let (stamp, buckets) = (rig.store.stamp(bucket.id, "a"), rig.store.buckets_stamp());
    rig.put("one", "a", b"1");
    assert_ne!(rig.store.stamp(bucket.id, "a"), stamp);
    assert_eq!(rig.store.buckets_stamp(), buckets);
    rig.configure("one", ConfigChange::Quota(None)).expect("it changes");
    assert_ne!(rig.store.buckets_stamp(), buckets);
}
