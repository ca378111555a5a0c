//! What is damaged, stale or foreign is named, and never taken for the log.

use proptest::prelude::*;

use super::medium::Medium;
use super::*;
use crate::request::MediumFault;

/// A log with so many groups of one record, all written and synced one by one.
fn synced(groups: u32) -> (Superblock, Medium, Log) {
    let (mut superblock, mut medium) = (superblock(), Medium::new());
    let mut log = Log::new(Region::leaked(TAIL_LEAST), &superblock);
    superblock.incarnation = log.incarnation();
    for number in 0..groups {
        log.append(&write(number));
        write_all(&mut log, &mut medium);
        log.synced(log.written_through());
    }
    (superblock, medium, log)
}

fn replayed(medium: &Medium, superblock: &Superblock) -> Result<Replay, ReplayError> {
    replay(&mut medium.reader(), superblock)
}

#[test]
fn damage_of_a_synced_group_is_no_end_of_the_log() {
    for group in 0..8_usize {
        let (superblock, mut medium, _) = synced(10);
        medium.bytes()[group * BLOCK + 70] ^= 1;
        let offset = u32::try_from(group).expect("few");
        let damaged = ReplayError::Damaged { offset, sequence: u64::from(offset) + 1 };
        assert_eq!(replayed(&medium, &superblock).err(), Some(damaged));
    }
    // Nothing says that the last one had been synced.
    let (superblock, mut medium, _) = synced(10);
    medium.bytes()[9 * BLOCK + 70] ^= 1;
    assert_eq!(replayed(&medium, &superblock).map(|replay| replay.last()), Ok(Sequence(9)));
}

#[test]
fn a_superblock_that_is_too_old_is_found_out() {
    let (superblock, mut medium, mut log) = synced(1);
    let mut number = 1;
    while log.number < 600 {
        if log.room() < 100 {
            let start = log.position();
            log.release(start);
        }
        log.append(&write(number));
        write_all(&mut log, &mut medium);
        number += 1;
    }
    let error = replayed(&medium, &superblock).err();
    assert_eq!(error, Some(ReplayError::Overwritten { offset: 0 }));
}

#[test]
fn the_log_of_another_pool_is_not_read() {
    let (superblock, medium, log) = synced(3);
    let other = Superblock { pool: [9; 16], ..superblock };
    let replay = replayed(&medium, &other).expect("an empty log");
    assert_eq!(replay.last(), Sequence(0));
    let resumed = Log::resume(log.into_tail(), &other, &replay);
    assert_eq!(resumed.err(), Some(TailError::OtherPool));
}

#[test]
fn a_tail_that_the_pool_was_used_without_is_stale() {
    let (mut superblock, medium, log) = synced(3);
    let replay = replayed(&medium, &superblock).expect("a good log");
    superblock.incarnation += 1;
    let resumed = Log::resume(log.into_tail(), &superblock, &replay);
    assert_eq!(resumed.err(), Some(TailError::Stale));
}

#[test]
fn a_ring_that_ends_before_the_tail_begins_is_an_error() {
    let (superblock, _, log) = synced(3);
    let empty = replayed(&Medium::new(), &superblock).expect("an empty log");
    let resumed = Log::resume(log.into_tail(), &superblock, &empty);
    assert_eq!(resumed.err(), Some(TailError::Gap { ring: 1, tail: 4 }));
}

#[test]
fn a_medium_that_fails_is_no_end_of_the_log() {
    let failed = replay(&mut |_, _| Err(MediumFault::Io(5)), &superblock());
    assert_eq!(failed.err(), Some(ReplayError::Medium(MediumFault::Io(5))));
}

#[test]
fn saved_state_of_another_moment_is_refused() {
    let (_, _, mut log) = synced(3);
    let saved = log.saved();
    log.append(&write(9));
    let mut other = saved.clone();
    let tail = log.into_tail();
    assert_eq!(Log::restored(tail, saved).err(), Some(TailError::Stale));
    let (_, _, log) = synced(3);
    other.handed = 99;
    assert_eq!(Log::restored(log.into_tail(), other).err(), Some(TailError::Stale));
    let never = Log::restored(Region::leaked(TAIL_LEAST), log_of_nothing());
    assert_eq!(never.err(), Some(TailError::Unknown));
}

fn log_of_nothing() -> SavedLog {
    Log::new(Region::leaked(TAIL_LEAST), &superblock()).saved()
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    /// A tail with some bytes changed is read, or refused, but never a reason to panic.
    #[test]
    fn any_tail_is_read_without_a_panic(
        changes in prop::collection::vec((8..256_usize, any::<u8>()), 1..6),
        deep in prop::collection::vec((4096..5 * 4096_usize, any::<u8>()), 0..3),
    ) {
        let (superblock, medium, mut log) = synced(2);
        (0..2000).for_each(|number| assert!(log.append(&write(number)).0 > 0));
        let saved = log.saved();
        prop_assert!(log.cut().is_some());
        let mut tail = log.into_tail();
        for (at, byte) in changes.into_iter().chain(deep) {
            tail.bytes_mut(at, 1)[0] = byte;
        }
        drop(tail_records(&tail));
        let replay = replayed(&medium, &superblock).expect("a good log");
        if let Ok((log, _)) = Log::resume(tail, &superblock, &replay) {
            let tail = log.into_tail();
            drop(Log::restored(tail, saved));
        }
    }
}
