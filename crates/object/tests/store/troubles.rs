//! The medium is full, or fails.

use object::bucket::Versioning;
use object::mutation::Which;
use object::store::Store;
use object::{Mutation, Refusal};
use world::entropy::Seeded;
use world::files::{Files, ModelFiles, Troubles};

use super::rig::{Rig, small};

#[test]
fn a_full_medium_refuses_writes_lets_deletes_through_and_recovers() {
    let room = |room: u64| Troubles { room: Some(room), ..Troubles::default() };
    let mut rig = Rig::on(ModelFiles::new(room(64 << 20), Seeded::new(1)), small());
    rig.bucket("one", Versioning::Off);
    let mut puts = 0;
    let refusal = loop {
        let mut intake = rig.store.intake(None);
        if let Err(error) = intake.write(&vec![1; 900_000]) {
            break Refusal::from(error);
        }
        let mut put = rig.putting("one", &format!("{puts:04}"), b"");
        put.body = object::Body::Extents(intake.finish().expect("it ends"));
        put.size = 900_000;
        if let Err(refusal) = rig.one(Mutation::Put(Box::new(put))) {
            break refusal;
        }
        puts += 1;
        assert!(puts < 1000, "it never fills up");
    };
    assert_eq!(refusal, Refusal::Full);
    // What little is left goes, too.
    let mut small_puts = 0;
    loop {
        let put = rig.putting("one", &format!("small {small_puts}"), &[2; 60_000]);
        match rig.one(Mutation::Put(Box::new(put))) {
            Ok(_) => small_puts += 1,
            Err(refusal) => break assert_eq!(refusal, Refusal::Full),
        }
    }
    assert_eq!(rig.read("one", "0003", Which::Current), Some(vec![1; 900_000]));
    for at in 0..puts / 2 {
        rig.delete("one", &format!("{at:04}"), None).expect("deletes go through");
    }
    rig.settle();
    rig.put("one", "again", &[3; 500_000]);
    let rig = rig.again();
    assert_eq!(rig.read("one", "again", Which::Current), Some(vec![3; 500_000]));
    assert_eq!(rig.usage("one").versions, puts - puts / 2 + small_puts + 1);
}

#[test]
fn a_store_that_is_opened_on_a_full_medium_lets_deletes_through() {
    for (seed, closes) in [(1, true), (2, false), (3, false)] {
        let room = |room| Troubles { room: Some(room), ..Troubles::default() };
        let files = ModelFiles::new(room(256 << 20), Seeded::new(seed));
        let mut rig = Rig::on(files, small());
        rig.bucket("one", Versioning::Off);
        for at in 0..20 {
            rig.put("one", &format!("{at:04}"), &[1; 900_000]);
        }
        rig.settle();
        if closes {
            rig.writer.close().expect("it closes");
        }
        let (files, settings, now) = (rig.files.clone(), rig.settings.clone(), rig.now);
        drop((rig.store, rig.writer));
        // Somebody else takes all that is left.
        let used = (256 << 20) - files.free().expect("it says");
        files.set_troubles(room(used));
        let mut rig = Rig { now, ..Rig::on(files, settings) };
        assert_eq!(rig.read("one", "0003", Which::Current), Some(vec![1; 900_000]));
        let mut more = 0;
        let refusal = loop {
            let put = rig.putting("one", &format!("more {more}"), &[2; 60_000]);
            match rig.one(Mutation::Put(Box::new(put))) {
                Ok(_) => more += 1,
                Err(refusal) => break refusal,
            }
        };
        assert_eq!(refusal, Refusal::Full);
        for at in 0..10 {
            rig.delete("one", &format!("{at:04}"), None).expect("deletes go through");
        }
        rig.settle();
        rig.files.set_troubles(Troubles::default());
        rig.put("one", "again", &[3; 5000]);
        let rig = rig.again();
        assert_eq!(rig.read("one", "again", Which::Current), Some(vec![3; 5000]));
        assert_eq!(rig.usage("one").versions, 11 + more);
    }
}

#[test]
fn a_medium_that_fails_ends_changes_and_loses_nothing_that_was_acknowledged() {
    for seed in 0..60 {
        let mut rig = Rig::on(ModelFiles::new(Troubles::default(), Seeded::new(seed)), small());
        rig.bucket("one", Versioning::Off);
        rig.put("one", "before", b"1");
        let error = 200_000;
        let troubles = match seed % 3 {
            0 => Troubles { write_error: error, ..Troubles::default() },
            1 => Troubles { sync_error: error, ..Troubles::default() },
            _ => Troubles { sync_error: error, write_error: error, ..Troubles::default() },
        };
        rig.files.set_troubles(troubles);
        let mut acknowledged = Vec::new();
        for at in 0..40 {
            let put = rig.putting("one", &format!("{at}"), format!("{at}").as_bytes());
            match rig.one(Mutation::Put(Box::new(put))) {
                Ok(_) => acknowledged.push(at),
                Err(Refusal::Medium(_)) => break,
                Err(other) => panic!("{other:?}"),
            }
        }
        assert!(rig.store.report().dead.is_some() || acknowledged.len() == 40, "seed {seed}");
        assert_eq!(rig.read("one", "before", Which::Current).as_deref(), Some(&b"1"[..]));
        rig.files.set_troubles(Troubles::default());
        let rig = rig.again();
        for at in acknowledged {
            let found = rig.read("one", &format!("{at}"), Which::Current);
            assert_eq!(found, Some(format!("{at}").into_bytes()), "seed {seed}");
        }
    }
}

#[test]
fn a_damaged_index_is_built_anew_from_the_log() {
    let mut rig = Rig::new();
    rig.bucket("one", Versioning::Off);
    for at in 0..300 {
        rig.put("one", &format!("{at}"), b"1");
    }
    rig.writer.close().expect("it closes");
    let mut rig = rig.again();
    let length =
        world::files::File::length(&rig.files.open("index").expect("it opens")).expect("it says");
    for at in (4200..length).step_by(1000) {
        rig.files.corrupt("index", at, 1);
    }
    rig = rig.again();
    for _ in 0..2 {
        let found = rig.store.snapshot().buckets(None);
        if found.len() == 1 && rig.opened.rebuilt.is_some() {
            break;
        }
        // It was found while it was used: changes end, and the next start repairs it.
        let put = rig.putting("one", "new", b"2");
        let _ = rig.one(Mutation::Put(Box::new(put)));
        rig = rig.again();
    }
    assert!(rig.opened.rebuilt.is_some());
    assert_eq!(rig.usage("one").versions, 300);
    assert_eq!(rig.read("one", "299", Which::Current).as_deref(), Some(&b"1"[..]));
}

#[test]
fn a_record_that_rots_takes_no_other_with_it() {
    let mut rig = Rig::new();
    let bucket = rig.bucket("one", Versioning::Off);
    let mut heads = Vec::new();
    for at in 0..50 {
        rig.put("one", &format!("{at}"), &[1; 500]);
        let entry = rig.store.snapshot().entry(bucket.id, &format!("{at}"), Which::Current);
        heads.push(entry.expect("it reads").expect("it is there").head);
    }
    let head = heads[20];
    rig.files.corrupt(&format!("{:08x}.log", head.segment), head.offset + 60, 0);
    let rig = rig.without_index();
    assert_eq!(rig.opened.damaged, 1, "{:?}", rig.opened);
    assert_eq!(rig.usage("one").versions, 49);
    assert_eq!(rig.read("one", "21", Which::Current), Some(vec![1; 500]));
}

#[test]
fn files_of_a_later_program_are_left_alone() {
    let mut rig = Rig::new();
    rig.bucket("one", Versioning::Off);
    let names = rig.files.names().expect("it reads");
    let log = names.iter().find(|name| name.ends_with(".log")).expect("there is one");
    let file = rig.files.open(log).expect("it opens");
    let mut preface = [0; 64];
    world::files::File::read_at(&file, 0, &mut preface).expect("it reads");
    preface[8] = 2;
    let sum = crc_fast::checksum(crc_fast::CrcAlgorithm::Crc32Iscsi, &preface[..60]) as u32;
    preface[60..].copy_from_slice(&sum.to_le_bytes());
    world::files::File::write_at(&file, 0, &preface).expect("it writes");
    let (files, settings) = (rig.files.clone(), rig.settings.clone());
    drop(rig);
    let opened = Store::open(files, settings).map(drop);
    assert_eq!(opened, Err(object::store::StoreError::Format { found: 2, known: 1 }));
}
