//! Objects are put together from parts.

use md5::{Digest, Md5};
use object::bucket::Versioning;
use object::condition::Conditions;
use object::entry::{Algorithm, Attributes, Checksum, Coverage, PartInfo};
use object::mutation::{Complete, UploadId, Which};
use object::query::Line;
use object::{Mutation, Refusal, Reply};

use super::rig::{Rig, key, name};

fn begin(rig: &mut Rig, checksum: Option<(Algorithm, Coverage)>) -> UploadId {
    let (bucket, key, attributes) = (name("one"), key("a"), Box::new(Attributes::default()));
    match rig.one(Mutation::CreateUpload { bucket, key, attributes, class: 3, checksum }) {
        Ok(Reply::Upload(upload)) => upload,
        other => panic!("{other:?}"),
    }
}

fn md5(bytes: &[u8]) -> [u8; 16] {
    Md5::digest(bytes).into()
}

fn part(rig: &mut Rig, upload: UploadId, number: u16, body: &[u8]) -> Result<Reply, Refusal> {
    let value =
        (crc_fast::checksum(crc_fast::CrcAlgorithm::Crc32IsoHdlc, body) as u32).to_be_bytes();
    let (algorithm, coverage) = (Algorithm::Crc32, Coverage::Whole);
    let checksum = Some(Checksum { algorithm, coverage, value: value.to_vec() });
    let info = PartInfo { number, size: body.len() as u64, md5: md5(body), checksum };
    let (bucket, key, body) = (name("one"), key("a"), rig.body(body));
    let part = Box::new(info);
    rig.one(Mutation::PutPart { bucket, key, upload, part, body })
}

fn complete(upload: UploadId, parts: &[(u16, &[u8])]) -> Complete {
    Complete {
        bucket: name("one"),
        key: key("a"),
        upload,
        parts: parts.iter().map(|(number, body)| (*number, md5(body), None)).collect(),
        checksum: None,
        size: None,
        least: 0,
        conditions: Conditions::default(),
    }
}

#[test]
fn parts_become_a_version_without_being_copied() {
    let mut rig = Rig::new();
    rig.bucket("one", Versioning::Off);
    let upload = begin(&mut rig, Some((Algorithm::Crc32, Coverage::Whole)));
    let (first, second) = (vec![1; 150_000], vec![2; 10]);
    part(&mut rig, upload, 7, &second).expect("it comes");
    part(&mut rig, upload, 2, b"another").expect("it comes");
    part(&mut rig, upload, 2, &first).expect("it takes the other's place");
    part(&mut rig, upload, 9, &[3; 70_000]).expect("it comes, and is not wanted");
    let mut rig = rig.again();
    let page = rig.store.snapshot().parts(upload, 2, 1).expect("it reads");
    assert!(matches!(&page.lines[..], [Line::Item(part)] if part.info.number == 7));
    assert_eq!(page.next, Some(7));
    let done = complete(upload, &[(2, &first), (7, &second)]);
    let Ok(Reply::Put { tag, checksum, size, .. }) =
        rig.one(Mutation::CompleteUpload(Box::new(done.clone())))
    else {
        panic!("it is put together");
    };
    let whole = [first.clone(), second.clone()].concat();
    assert_eq!((tag.parts, size), (2, 150_010));
    assert_eq!(tag.md5, md5(&[md5(&first), md5(&second)].concat()));
    let crc = crc_fast::checksum(crc_fast::CrcAlgorithm::Crc32IsoHdlc, &whole) as u32;
    assert_eq!(checksum.map(|sum| sum.value), Some(crc.to_be_bytes().to_vec()));
    assert_eq!(rig.one(Mutation::CompleteUpload(Box::new(done))), Err(Refusal::NoUpload));
    rig.settle();
    let rig = rig.without_index();
    assert_eq!(rig.read("one", "a", Which::Current), Some(whole));
    let found = rig.find("one", "a", Which::Current).expect("it is there");
    assert_eq!((found.entry.class, found.attributes.parts.len()), (3, 2));
    let usage = rig.usage("one");
    assert_eq!((usage.versions, usage.uploads, usage.bytes), (1, 0, 150_010));
}

#[test]
fn what_does_not_fit_together_is_refused() {
    let mut rig = Rig::new();
    rig.bucket("one", Versioning::Off);
    let upload = begin(&mut rig, None);
    part(&mut rig, upload, 1, b"one").expect("it comes");
    part(&mut rig, upload, 2, b"two").expect("it comes");
    let mut refused =
        |complete: Complete| rig.one(Mutation::CompleteUpload(Box::new(complete))).map(drop);
    assert_eq!(refused(complete(upload, &[])), Err(Refusal::NoParts));
    assert_eq!(refused(complete(upload, &[(2, b"two"), (1, b"one")])), Err(Refusal::PartOrder));
    assert_eq!(refused(complete(upload, &[(1, b"other")])), Err(Refusal::InvalidPart(1)));
    assert_eq!(refused(complete(upload, &[(3, b"three")])), Err(Refusal::InvalidPart(3)));
    let both = complete(upload, &[(1, b"one"), (2, b"two")]);
    assert_eq!(refused(Complete { least: 4, ..both.clone() }), Err(Refusal::PartTooShort(1)));
    assert!(matches!(
        refused(Complete { size: Some(7), ..both.clone() }),
        Err(Refusal::Length { said: 7, .. })
    ));
    let wrong =
        Checksum { algorithm: Algorithm::Crc32, coverage: Coverage::Whole, value: vec![0; 4] };
    assert_eq!(refused(Complete { checksum: Some(wrong), ..both.clone() }), Err(Refusal::Checksum));
    assert_eq!(refused(Complete { least: 3, ..both }), Ok(()));
}

#[test]
fn an_upload_that_is_given_up_leaves_nothing() {
    let mut rig = Rig::new();
    rig.bucket("one", Versioning::Off);
    let upload = begin(&mut rig, None);
    part(&mut rig, upload, 1, &[1; 200_000]).expect("it comes");
    let abort = || Mutation::AbortUpload { bucket: name("one"), key: key("a"), upload };
    assert_eq!(rig.one(abort()), Ok(Reply::Aborted));
    assert_eq!(rig.one(abort()), Err(Refusal::NoUpload));
    assert_eq!(part(&mut rig, upload, 1, b"late"), Err(Refusal::NoUpload));
    rig.settle();
    assert_eq!(rig.store.report().data_live_bytes, 0);
    assert_eq!(rig.usage("one").uploads, 0);
}

#[test]
fn uploads_go_with_their_bucket() {
    let mut rig = Rig::new();
    rig.bucket("one", Versioning::Off);
    let upload = begin(&mut rig, None);
    part(&mut rig, upload, 1, &[1; 200_000]).expect("it comes");
    assert_eq!(rig.one(Mutation::DeleteBucket { name: name("one") }), Ok(Reply::BucketGone));
    let mut rig = rig.without_index();
    rig.settle();
    assert_eq!(rig.store.report().data_live_bytes, 0);
}
