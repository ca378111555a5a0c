//! What the lane says a volume holds, against what was written.

use bedplate_volume::Kind;
use bedplate_volume::lane::{Extent, NotYet};
use bedplate_volume::recover::Trust;

use super::world::World;

const BLOCK: u64 = 4096;

/// All extents of a volume, asked in pieces; how often a page had to be waited for.
fn extents(world: &mut World, volume: usize, bytes: u64, most: usize) -> (Vec<Extent>, u32) {
    let handle = world.volumes[volume].handle;
    let (mut all, mut at, mut waits) = (Vec::<Extent>::new(), 0, 0);
    while at < bytes {
        let left = bytes - at;
        let said = world.lane.extents(handle, at, left, most, true, world.now, &mut world.disk);
        let Ok(said) = said else {
            waits += 1;
            world.settle();
            continue;
        };
        let length: u64 = said.iter().map(|extent| extent.length).sum();
        assert!(said.iter().all(|extent| extent.length > 0) && said.len() <= most);
        assert!(length > 0 && length <= left, "something of what was asked");
        for extent in said {
            match all.last_mut() {
                Some(last) if last.holds == extent.holds => last.length += extent.length,
                _ => all.push(extent),
            }
        }
        at += length;
    }
    (all, waits)
}

fn blocks(list: &[(u64, bool)]) -> Vec<Extent> {
    list.iter().map(|(blocks, holds)| Extent { length: blocks * BLOCK, holds: *holds }).collect()
}

#[test]
fn holes_are_told_also_when_the_map_must_be_read_first() {
    for in_memory in [false, true] {
        let mut world = World::with(24, 4, in_memory, 2 << 20);
        let volume = world.create(100_000);
        for block in [0, 1, 2, 10, 495, 496, 70_000] {
            world.ask_for(volume, Kind::Write, block * 8..block * 8 + 8);
        }
        world.settle();
        world.ask_for(volume, Kind::Discard, 8..16);
        world.ask_for(volume, Kind::Flush, 0..0);
        world.settle();
        let whole = blocks(&[
            (1, true),
            (1, false),
            (1, true),
            (7, false),
            (1, true),
            (484, false),
            (2, true),
            (69_503, false),
            (1, true),
            (29_999, false),
        ]);
        for most in [1, 3, 128] {
            assert_eq!(extents(&mut world, volume, 100_000 * BLOCK, most).0, whole);
        }
        // A range that neither begins nor ends with a block.
        let handle = world.volumes[volume].handle;
        let said =
            world.lane.extents(handle, 2 * BLOCK + 512, BLOCK, 9, true, world.now, &mut world.disk);
        let part = |length, holds| Extent { length, holds };
        assert_eq!(said, Ok(vec![part(BLOCK - 512, true), part(512, false)]));
        if in_memory {
            continue;
        }
        world.reopen(Trust::Process);
        let handle = world.volumes[volume].handle;
        let mut ask = |patient| {
            let (now, disk) = (world.now, &mut world.disk);
            world.lane.extents(handle, 0, 5 * BLOCK, 9, patient, now, disk)
        };
        if ask(true) == Err(NotYet { begun: true }) {
            assert_eq!(ask(true), Err(NotYet { begun: false }), "one read for all who ask");
            assert_eq!(ask(false), Ok(blocks(&[(5, true)])), "not known is not empty");
        }
        world.settle();
        assert_eq!(extents(&mut world, volume, 100_000 * BLOCK, 128).0, whole);
    }
}

#[test]
fn an_answer_looks_at_a_bounded_part_of_the_map() {
    let mut world = World::new(256, 5);
    let volume = world.create(1 << 20);
    let handle = world.volumes[volume].handle;
    let (now, disk) = (world.now, &mut world.disk);
    let said = world.lane.extents(handle, 0, 1 << 32, 128, true, now, disk);
    let said = said.expect("a new volume has no pages");
    assert!(said.len() == 1 && !said[0].holds && said[0].length < 2 << 30, "{said:?}");
    assert_eq!(extents(&mut world, volume, 1 << 32, 128).0, blocks(&[(1 << 20, false)]));
}
