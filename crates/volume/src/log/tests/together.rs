//! Records that count together: all of them are there or none, whatever ends the life that
//! appended them.

use super::*;
use crate::format::GROUP_HEADER;

/// The word of the tail that says how far the records go.
const OPEN: usize = 32;

fn copy(log: &Log) -> Region {
    let tail = log.tail();
    let mut region = Region::leaked(tail.len());
    region.bytes_mut(0, tail.len()).copy_from_slice(tail.bytes(0, tail.len()));
    region
}

fn some(first: u32, count: u32) -> Vec<Record> {
    (first..first + count).map(write).collect()
}

fn left_in(region: &Region) -> Vec<Record> {
    let records = tail_records(region).expect("a tail");
    records.into_iter().map(|(_, record)| record).collect()
}

#[test]
fn a_process_that_dies_leaves_all_or_none() {
    let mut log = Log::new(Region::leaked(TAIL_LEAST), &superblock());
    log.append(&write(0));
    let before = copy(&log);
    assert_eq!(log.append_together(&some(1, 9)), Sequence(2), "the number of the first");
    assert_eq!(log.appended(), Sequence(10));
    let after = copy(&log);
    assert_eq!(left_in(&after), some(0, 10));
    // It died when any number of bytes were stored, but the word was not.
    let changed = |at: &usize| before.bytes(*at, 1) != after.bytes(*at, 1);
    let bytes: Vec<usize> = (0..TAIL_LEAST).filter(changed).collect();
    let mut died = copy(&log);
    for stored in 0..=bytes.len() {
        died.bytes_mut(0, TAIL_LEAST).copy_from_slice(before.bytes(0, TAIL_LEAST));
        for at in bytes.iter().take(stored).filter(|at| !(OPEN..OPEN + 8).contains(*at)) {
            died.bytes_mut(*at, 1).copy_from_slice(after.bytes(*at, 1));
        }
        assert_eq!(left_in(&died), some(0, 1), "{stored} bytes were stored");
    }
}

/// How many records each group has that is to be written.
fn groups(log: &mut Log) -> Vec<u32> {
    let mut counts = Vec::new();
    while let Some(cut) = log.cut() {
        let group = log.tail().bytes(cut.bytes.start, cut.bytes.len());
        counts.push(GroupHeader::decode(group).expect("a group").0.count);
        log.written(cut.number);
    }
    counts
}

#[test]
fn they_are_in_one_group_though_the_open_one_is_nearly_full() {
    let length = write(0).length();
    let fit = (GROUP_BYTES - GROUP_HEADER) / length;
    for room in 0..8 {
        let mut log = Log::new(Region::leaked(TAIL_LEAST), &superblock());
        let before = u32::try_from(fit - room).expect("few");
        some(0, before).iter().for_each(|record| assert!(log.append(record).0 > 0));
        log.append_together(&some(before, 5));
        let whole = if room < 5 { vec![before, 5] } else { vec![before + 5] };
        assert_eq!(groups(&mut log), whole, "room for {room}");
    }
}

#[test]
fn a_loss_of_power_leaves_all_or_none() {
    let superblock = superblock();
    let length = write(0).length();
    let fit = u32::try_from((GROUP_BYTES - GROUP_HEADER) / length).expect("few");
    let mut log = Log::new(Region::leaked(TAIL_LEAST), &superblock);
    some(0, fit - 2).iter().for_each(|record| assert!(log.append(record).0 > 0));
    log.append_together(&some(fit - 2, 5));
    let mut medium = Medium::new();
    let mut seen = vec![read_all(&medium, &superblock).len() as u32];
    while let Some(cut) = log.cut() {
        medium.write(cut.at, log.tail().bytes(cut.bytes.start, cut.bytes.len()));
        medium.settle();
        log.written(cut.number);
        seen.push(read_all(&medium, &superblock).len() as u32);
    }
    assert_eq!(seen, [0, fit - 2, fit + 3]);
}
