//! Tests of the log: whatever happens, what is read is what was appended, in order, from
//! the start to an end that is not before what was promised.

mod faith;
mod lives;
mod medium;
mod refusals;
mod together;

use proptest::prelude::*;

use super::*;
use crate::format::record::tests::any_record;
use crate::format::superblock::{Directory, VERSION};
use crate::format::{CHANGE_MAX, GROUP_BYTES, Layout, RECORD_MAX};
use crate::units::{Lba, Place, VolumeNumber};

use medium::Medium;

/// The superblock of a new pool of the smallest size, whose ring has 256 blocks.
fn superblock() -> Superblock {
    let layout = Layout::for_blocks(4096).expect("enough");
    let sequence = Sequence(1);
    Superblock {
        version: VERSION,
        pool: *b"a pool for tests",
        blocks: 4096,
        layout,
        incarnation: 0,
        generation: 1,
        log_start: LogPosition { offset: 0, incarnation: 0, sequence, group: 1 },
        directory: Directory { place: layout.directory[0].first, bytes: 0, crc: 0 },
    }
}

fn write(number: u32) -> Record {
    let (volume, place) = (VolumeNumber(1), Place(number + 1000));
    Record::Write { volume, lba: Lba(number), place, crc: !number, old: Place::NONE, kept: false }
}

/// Everything that is pending, onto the medium.
fn write_all(log: &mut Log, medium: &mut Medium) {
    while let Some(cut) = log.cut() {
        medium.write(cut.at, log.tail().bytes(cut.bytes.start, cut.bytes.len()));
        medium.settle();
        log.written(cut.number);
    }
}

fn read_all(medium: &Medium, superblock: &Superblock) -> Vec<(Sequence, Record)> {
    let replay = replay(&mut medium.reader(), superblock).expect("a good log");
    let records = replay.records().map(|one| one.expect("a good record"));
    records.map(|one| (one.sequence, one.record)).collect()
}

#[test]
fn what_is_appended_and_written_is_read() {
    let (superblock, mut medium) = (superblock(), Medium::new());
    let mut log = Log::new(Region::leaked(TAIL_LEAST), &superblock);
    assert_eq!(log.cut(), None);
    let appended: Vec<_> = (0..5000)
        .map(|number| {
            if log.room() < 22 {
                write_all(&mut log, &mut medium);
            }
            (log.append(&write(number)), write(number))
        })
        .collect();
    write_all(&mut log, &mut medium);
    assert_eq!(appended.last().map(|last| last.0), Some(Sequence(5000)));
    assert_eq!(read_all(&medium, &superblock), appended);
}

#[test]
fn only_what_was_written_without_a_gap_before_the_sync_is_durable() {
    let mut log = Log::new(Region::leaked(TAIL_LEAST), &superblock());
    let cuts: Vec<_> = (0..3)
        .map(|number| {
            log.append(&write(number));
            log.cut().expect("a record is pending")
        })
        .collect();
    log.written(cuts[1].number);
    assert_eq!(log.written_through(), Sequence(0));
    log.written(cuts[0].number);
    let through = log.written_through();
    log.written(cuts[2].number);
    log.synced(through);
    assert_eq!((log.durable(), log.written_through()), (Sequence(2), Sequence(3)));
}

#[test]
fn suspects_are_those_behind_the_last_sync_that_is_known() {
    let (superblock, mut medium) = (superblock(), Medium::new());
    let mut log = Log::new(Region::leaked(TAIL_LEAST), &superblock);
    for number in 0..3 {
        log.append(&write(number));
        write_all(&mut log, &mut medium);
        if number == 0 {
            log.synced(log.written_through());
        }
    }
    let replay = replay(&mut medium.reader(), &superblock).expect("a good log");
    let suspects: Vec<_> = replay.records().map(|one| one.expect("good").suspect).collect();
    assert_eq!((replay.synced_through, suspects), (Sequence(1), vec![false, true, true]));
}

#[test]
fn a_checkpoint_gives_the_ring_free() {
    let (mut superblock, mut medium) = (superblock(), Medium::new());
    let mut log = Log::new(Region::leaked(TAIL_LEAST), &superblock);
    let mut number = 0;
    for _ in 0..10 {
        while log.room() > 0 {
            log.append(&write(number));
            write_all(&mut log, &mut medium);
            log.synced(log.written_through());
            number += 1;
        }
        assert!(log.used() > 0.7, "{}", log.used());
        superblock.log_start = log.position();
        superblock.incarnation = log.incarnation();
        log.release(superblock.log_start);
        assert_eq!(log.used(), 0.0);
        assert_eq!(read_all(&medium, &superblock), []);
    }
}

#[test]
#[should_panic(expected = "asked for room")]
fn appending_without_room_is_a_fault_of_ours() {
    let mut log = Log::new(Region::leaked(TAIL_LEAST), &superblock());
    (0..20_000).for_each(|number| assert!(log.append(&write(number)).0 > 0));
}

#[test]
#[should_panic(expected = "only what was written is synced")]
fn what_was_not_written_is_not_synced() {
    let mut log = Log::new(Region::leaked(TAIL_LEAST), &superblock());
    let last = log.append(&write(1));
    log.synced(last);
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(48))]

    /// As much as was promised fits, whatever the records' lengths.
    #[test]
    fn there_is_the_room_that_is_promised(
        steps in prop::collection::vec((any_record(), 0..CHANGE_MAX, 0..12_u8), 1..300),
    ) {
        let mut medium = Medium::new();
        let mut log = Log::new(Region::leaked(TAIL_LEAST), &superblock());
        let mut promised = log.room();
        prop_assert!(promised > GROUP_BYTES - RECORD_MAX - 64);
        for (record, long, what) in steps {
            let record = if what == 0 { Record::Change(vec![7; long]) } else { record };
            if record.length() <= promised {
                log.append(&record);
                promised -= record.length();
                prop_assert!(log.room() >= promised);
            } else {
                write_all(&mut log, &mut medium);
                if log.room() < RECORD_MAX {
                    let start = log.position();
                    log.release(start);
                }
                prop_assert!(log.room() >= RECORD_MAX);
                promised = log.room();
            }
        }
    }
}
