//! Addresses that are inside, outside, and on the edge.

use std::os::fd::{AsFd, OwnedFd};

use proptest::prelude::*;
use rustix::fs::{MemfdFlags, ftruncate, memfd_create};

use super::*;

fn file(length: u64) -> OwnedFd {
    let file = memfd_create("test", MemfdFlags::CLOEXEC | MemfdFlags::ALLOW_SEALING).unwrap();
    ftruncate(&file, length).unwrap();
    file
}

fn spec(guest: u64, length: u64, user: u64, offset: u64) -> RegionSpec {
    RegionSpec { guest, length, user, offset }
}

/// Two neighbours, and one apart, all from one file.
fn three() -> GuestMemory {
    let file = file(0x4000);
    GuestMemory::map(&[
        (spec(0x10_0000, 0x1000, 0x9000, 0x3000), file.as_fd()),
        (spec(0x1000, 0x2000, 0x1000, 0), file.as_fd()),
        (spec(0x3000, 0x1000, 0x5000, 0x2000), file.as_fd()),
    ])
    .unwrap()
}

#[test]
fn a_range_in_one_region_is_found() {
    let (memory, mut hint) = (three(), Hint::default());
    assert!(memory.at(0x1000, 0x2000, &mut hint).is_some());
    assert!(memory.at(0x10_0fff, 1, &mut hint).is_some());
    for (address, length) in [
        (0xfff, 1),
        (0x1000, 0x2001),
        (0x4000, 1),
        (0x10_0fff, 2),
        (u64::MAX, 1),
        (0x1000, u64::MAX),
    ] {
        assert!(memory.at(address, length, &mut hint).is_none(), "{address:x} {length:x}");
    }
}

#[test]
fn a_range_over_neighbours_comes_in_pieces() {
    let memory = three();
    memory.write(0x2ffe, &[1, 2, 3, 4]).unwrap();
    let mut back = [0; 4];
    memory.read(0x2ffe, &mut back).unwrap();
    assert_eq!(back, [1, 2, 3, 4]);
    assert!(memory.read(0x3fff, &mut back).is_none());
    assert!(memory.read(u64::MAX - 1, &mut back).is_none());
}

#[test]
fn ring_addresses_come_from_the_vmm() {
    let memory = three();
    assert_eq!(memory.guest_address(0x5010), Some(0x3010));
    assert_eq!(memory.guest_address(0x6000), None);
}

#[test]
fn bad_regions_are_refused() {
    let (file, memory) = (file(0x4000), three());
    let wrong = |spec| memory.with(spec, file.as_fd()).unwrap_err();
    assert!(matches!(wrong(spec(0x2000, 0x1000, 0x20000, 0)), MemoryError::Overlap));
    assert!(matches!(wrong(spec(0x20000, 0x1000, 0x1000, 0)), MemoryError::Overlap));
    assert!(matches!(wrong(spec(0x20000, 0, 0x20000, 0)), MemoryError::Shape));
    assert!(matches!(wrong(spec(0x20001, 0x1000, 0x20000, 0)), MemoryError::Shape));
    assert!(matches!(wrong(spec(u64::MAX - 0xfff, 0x1000, 0x20000, 0)), MemoryError::Shape));
    assert!(matches!(wrong(spec(0x20000, 0x8000, 0x20000, 0)), MemoryError::Map(_)));
    assert!(matches!(memory.without(spec(0x1000, 0x1000, 0x1000, 0)), Err(MemoryError::Unknown)));
    let fewer = memory.without(spec(0x1000, 0x2000, 0x1000, 0)).unwrap();
    assert_eq!(fewer.regions().len(), 2);
}

proptest! {
    #[test]
    fn what_is_found_is_inside(address in prop_oneof![any::<u64>(), 0..0x5000u64, 0xf_f000..0x10_2000u64], length in prop_oneof![any::<u64>(), 1..0x3000u64]) {
        let (memory, mut hint) = (three(), Hint::default());
        let inside = [(0x1000u64, 0x3000u64), (0x3000, 0x4000), (0x10_0000, 0x10_1000)]
            .iter()
            .any(|(start, end)| address >= *start && address < *end && length <= end - address);
        prop_assert_eq!(memory.at(address, length.max(1), &mut hint).is_some(), inside || (length == 0 && memory.at(address, 1, &mut hint).is_some()));
    }
}
