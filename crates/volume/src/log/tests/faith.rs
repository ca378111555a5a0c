//! The word at the tail that vouches for the medium: only a life that had opened its pool,
//! and whose medium never failed to sync, leaves a tail that can be built on.

use super::*;
use crate::memory::Region;

/// The same memory once more, as the next process sees it.
fn copy(log: &Log) -> Region {
    let tail = log.tail();
    let mut region = Region::leaked(tail.len());
    region.bytes_mut(0, tail.len()).copy_from_slice(tail.bytes(0, tail.len()));
    region
}

#[test]
fn it_vouches_from_the_opening_of_the_pool_to_a_sync_that_fails() {
    let mut log = Log::new(Region::leaked(TAIL_LEAST), &superblock());
    log.append(&write(1));
    assert_eq!(faith(&copy(&log)), Faith::Doubt, "the pool is not open yet");
    log.opened();
    log.append(&write(2));
    assert_eq!(faith(&copy(&log)), Faith::Whole);
    log.failed();
    log.append(&write(3));
    assert_eq!(faith(&copy(&log)), Faith::Doubt, "what the medium had taken may be lost");
}

#[test]
fn a_recovery_that_dies_before_the_pool_is_open_leaves_doubt() {
    let (superblock, medium) = (superblock(), Medium::new());
    let log = Log::new(Region::leaked(TAIL_LEAST), &superblock);
    log.opened();
    let replay = replay(&mut medium.reader(), &superblock).expect("a good log");
    let next = Log::begin(copy(&log), &superblock, &replay);
    assert_eq!(faith(&copy(&next)), Faith::Doubt, "the tail of the life before is forgotten");
}

#[test]
fn who_goes_on_with_a_tail_can_build_on_it_as_before() {
    let (superblock, medium) = (superblock(), Medium::new());
    let mut log = Log::new(Region::leaked(TAIL_LEAST), &superblock);
    log.opened();
    log.append(&write(1));
    let heir = Log::restored(copy(&log), log.saved()).expect("its own tail");
    assert_eq!(faith(&copy(&heir)), Faith::Whole, "a successor");
    let replay = replay(&mut medium.reader(), &superblock).expect("a good log");
    let (next, records) = Log::resume(copy(&log), &superblock, &replay).expect("its own tail");
    assert_eq!(records, [(Sequence(1), write(1))]);
    assert_eq!(faith(&copy(&next)), Faith::Whole, "the next life after a kill");
}

#[test]
fn memory_that_never_was_a_tail_and_an_unknown_word_are_in_doubt() {
    assert_eq!(faith(&Region::leaked(TAIL_LEAST)), Faith::Doubt);
    let log = Log::new(Region::leaked(TAIL_LEAST), &superblock());
    log.opened();
    let mut unknown = copy(&log);
    unknown.bytes_mut(48, 8).copy_from_slice(&2_u64.to_le_bytes());
    assert_eq!(faith(&unknown), Faith::Doubt);
    let mut none = copy(&log);
    none.bytes_mut(0, 8).fill(0);
    assert_eq!(faith(&none), Faith::Doubt, "it vouches, but is no tail");
}
