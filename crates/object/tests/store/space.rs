//! Space comes back, rules are kept, and damage is found.

use model::Timestamp;
use object::bucket::Versioning;
use object::lifecycle::{Expiration, Noncurrent, Rule};
use object::mutation::{ConfigChange, Which};
use object::store::Settings;
use world::entropy::Seeded;
use world::files::{Files, ModelFiles, Troubles};

use super::rig::{Rig, key, name, small};

#[test]
fn bodies_that_are_gone_are_punched_but_not_while_somebody_reads() {
    let files =
        ModelFiles::new(Troubles { room: Some(1 << 40), ..Troubles::default() }, Seeded::new(1));
    let mut rig = Rig::on(files, small());
    rig.bucket("one", Versioning::Off);
    rig.put("one", "a", &[1; 400_000]);
    rig.settle();
    let used = rig.files.used();
    let pin = rig.store.pin();
    let old = rig.find("one", "a", Which::Current).expect("it is there");
    rig.put("one", "a", b"2");
    rig.settle();
    assert_eq!(rig.read_extent(&old.extents[0]), vec![1; 400_000]);
    drop(pin);
    rig.settle();
    assert!(rig.files.used() + 300_000 < used, "{} of {used}", rig.files.used());
}

#[test]
fn segments_without_anything_go_at_the_next_start() {
    let mut rig = Rig::new();
    rig.bucket("one", Versioning::Off);
    rig.put("one", "a", &[1; 400_000]);
    rig.put("one", "b", &[2; 400_000]);
    // A body that no mutation comes for, and one that is cut off.
    let orphan = rig.body(&[3; 400_000]);
    let mut cut = rig.store.intake(None);
    cut.write(&[4; 100_000]).expect("it writes");
    drop((cut, orphan));
    rig.delete("one", "a", None).expect("it goes");
    let mut rig = rig.again();
    rig.settle();
    assert_eq!(rig.read("one", "b", Which::Current), Some(vec![2; 400_000]));
    rig.delete("one", "b", None).expect("it goes");
    rig.settle();
    let names = rig.files.names().expect("it reads");
    assert!(!names.iter().any(|name| name.ends_with(".data")), "{names:?}");
}

#[test]
fn the_log_is_cleaned_and_nothing_that_counts_is_lost() {
    let mut rig = Rig::new();
    rig.bucket("one", Versioning::Off);
    rig.bucket("two", Versioning::On);
    let kept = rig.put("two", "kept", b"kept");
    rig.put("two", "kept", b"newer");
    for round in 0..400_u32 {
        rig.put("one", &format!("{}", round % 10), &round.to_le_bytes().repeat(1000));
        if round % 20 == 0 {
            rig.settle();
        }
    }
    rig.settle();
    let report = rig.store.report();
    assert!(report.log_bytes < 500_000, "{report:?}");
    assert_eq!(report.damaged, Vec::<String>::new());
    let check = |rig: &Rig| {
        for digit in 0..10_u32 {
            let wanted = (390 + digit).to_le_bytes().repeat(1000);
            assert_eq!(rig.read("one", &digit.to_string(), Which::Current), Some(wanted));
        }
        assert_eq!(rig.read("two", "kept", Which::At(kept)).as_deref(), Some(&b"kept"[..]));
        assert_eq!(rig.usage("one").versions, 10);
    };
    check(&rig);
    let rig = rig.again();
    check(&rig);
    check(&rig.without_index());
}

#[test]
fn rules_let_objects_go_when_their_time_has_come() {
    let settings = Settings { day_seconds: 10, sweep_micros: 1, ..small() };
    let files = ModelFiles::new(Troubles::default(), Seeded::new(1));
    let mut rig = Rig::on(files, settings);
    rig.bucket("one", Versioning::On);
    let rule = Rule {
        enabled: true,
        expiration: Some(Expiration::Days(100)),
        noncurrent: Some(Noncurrent { days: 100, keep: None }),
        abort_upload_days: Some(1),
        ..Rule::default()
    };
    rig.configure("one", ConfigChange::Lifecycle(vec![rule])).expect("it changes");
    for at in 0..250 {
        rig.put("one", &format!("{at}"), b"1");
    }
    rig.writer.tick(rig.now);
    assert_eq!(rig.usage("one").versions, 250);
    let pass = |rig: &mut Rig| {
        rig.now = Timestamp::from_micros(rig.now.micros() + 1_001_000_000);
        for _ in 0..20 {
            rig.now = Timestamp::from_micros(rig.now.micros() + 2);
            rig.writer.tick(rig.now);
        }
    };
    pass(&mut rig);
    assert_eq!(rig.usage("one").versions, 500, "a marker for each");
    pass(&mut rig);
    pass(&mut rig);
    assert_eq!(rig.usage("one").versions, 0, "old versions go, then lone markers");
}

#[test]
fn a_body_that_rots_is_an_error_and_never_wrong_bytes() {
    let mut rig = Rig::new();
    rig.bucket("one", Versioning::Off);
    rig.put("one", "large", &[7; 200_000]);
    rig.put("one", "small", &[7; 1000]);
    rig.put("one", "good", &[7; 1000]);
    let mut rig = rig.again();
    for at in ["large", "small"] {
        let extent = rig.find("one", at, Which::Current).expect("it is there").extents[0].clone();
        assert!(!rig.store.verified(&extent), "{at}");
        let kind = if at == "large" { "data" } else { "log" };
        rig.files.corrupt(&format!("{:08x}.{kind}", extent.segment), extent.offset + 500, 3);
        let mut bytes = vec![0; extent.length as usize];
        assert!(rig.store.read(&extent, 0..extent.length, &mut bytes).is_err(), "{at}");
        assert!(rig.store.verify(&extent).is_err(), "{at}");
    }
    let scrubbed = rig.writer.scrub(u64::MAX);
    assert!(scrubbed.round);
    assert_eq!((scrubbed.read, scrubbed.damaged.len()), (3, 2), "{scrubbed:?}");
    // The same piece by piece, however small the pieces are.
    let (mut scrubber, mut read, mut damaged) = (rig.store.scrubber(), 0, Vec::new());
    for _ in 0..100 {
        let step = scrubber.step(1);
        read += step.read;
        damaged.extend(step.damaged);
        if step.round {
            break;
        }
    }
    assert_eq!((read, &damaged), (3, &scrubbed.damaged));
    assert!(damaged.iter().any(|what| what.contains("\"large\" in one")), "{damaged:?}");
    assert!(!rig.store.report().damaged.is_empty());
    assert_eq!(rig.read("one", "good", Which::Current), Some(vec![7; 1000]));
    let snapshot = rig.store.snapshot();
    let bucket = snapshot.bucket(&name("one")).expect("it is there").id;
    let small = snapshot.version_and_body(bucket, &key("small"), Which::Current, 4096);
    assert!(small.is_err());
    let good = snapshot.version_and_body(bucket, &key("good"), Which::Current, 4096);
    let (_, body) = good.expect("it reads").expect("it is there");
    assert_eq!(body.as_deref(), Some(&[7; 1000][..]));
}
