//! Media that are full or fail.

use bedplate_volume::lane::{Event, Frozen};
use bedplate_volume::recover::Trust;
use bedplate_volume::{Fault, Kind};

use super::disk::Faults;
use super::world::{POOL, World};

#[test]
fn a_full_pool_says_so_and_goes_on_after_a_discard() {
    for in_memory in [false, true] {
        let mut world = World::with(16, 2, in_memory, 2 << 20);
        let volume = world.create(20_000);
        world.may_fail = true;
        let mut at = 0;
        while world.failed.is_empty() {
            world.ask_for(volume, Kind::Write, at..at + 512);
            world.settle();
            at += 512;
            assert!(at < 100_000, "a pool of 16 MiB is full at some time");
        }
        assert!(world.failed.iter().all(|fault| *fault == Fault::NoSpace), "{:?}", world.failed);
        world.failed.clear();
        // What is there can be written again, for ever: freed places come back.
        for round in 0..200 {
            let start = round * 97 % 2000;
            world.ask_for(volume, Kind::Write, start * 8..start * 8 + 8);
            world.settle();
        }
        assert!(
            world.failed.len() < 3,
            "{in_memory} {} {:?}",
            world.failed.len(),
            world.lane.usage(POOL)
        );
        world.ask_for(volume, Kind::Discard, 0..8000);
        world.settle();
        world.ask_for(volume, Kind::Flush, 0..0);
        world.settle();
        world.failed.clear();
        world.may_fail = false;
        for start in (0..4000).step_by(512) {
            world.ask_for(volume, Kind::Write, start..start + 512);
            world.settle();
        }
        world.verify();
    }
}

#[test]
fn writes_that_fail_fail_and_nothing_else_does() {
    let mut world = World::new(24, 8);
    world.create(500);
    world.may_fail = true;
    world.disk.faults = Faults { writes: 40, ..Faults::default() };
    for _ in 0..400 {
        world.ask();
        world.step();
    }
    world.disk.faults = Faults::default();
    world.settle();
    assert!(!world.failed.is_empty());
    let all = |fault: &Fault| matches!(fault, Fault::Medium | Fault::Frozen);
    assert!(world.failed.iter().all(all), "{:?}", world.failed);
    world.reopen(Trust::Process);
    world.may_fail = false;
    for _ in 0..300 {
        world.ask();
        world.step();
    }
    world.verify();
}

#[test]
fn reads_that_fail_fail_alone() {
    let mut world = World::new(24, 9);
    world.create(500);
    world.may_fail = true;
    world.disk.faults = Faults { reads: 20, ..Faults::default() };
    for _ in 0..800 {
        world.ask();
        world.step();
    }
    world.disk.faults = Faults::default();
    world.settle();
    assert!(
        !world.failed.is_empty() && world.failed.iter().all(|fault| *fault == Fault::Medium),
        "{:?}",
        world.failed
    );
    assert_eq!(world.lane.frozen(POOL), None);
}

#[test]
fn a_sync_that_failed_is_never_taken_back() {
    let mut world = World::new(24, 10);
    let volume = world.create(500);
    world.ask_for(volume, Kind::Write, 0..64);
    world.settle();
    world.may_fail = true;
    world.disk.faults = Faults { syncs: 1, ..Faults::default() };
    world.ask_for(volume, Kind::Write, 64..128);
    while world.disk.complete_one(&mut world.lane, world.now) {}
    world.ask_for(volume, Kind::Flush, 0..0);
    while world.disk.complete_one(&mut world.lane, world.now) {}
    world.hear();
    world.disk.faults = Faults::default();
    assert_eq!(world.failed, [Fault::Frozen]);
    assert_eq!(world.lane.frozen(POOL), Some(Frozen::Sync));
    world.ask_for(volume, Kind::Flush, 0..0);
    world.ask_for(volume, Kind::Write, 128..136);
    world.settle();
    assert_eq!(world.failed, [Fault::Frozen; 3]);
    let (events, _) = world.lane.take_events();
    assert!(events.iter().any(|event| matches!(event, Event::Frozen { why: Frozen::Sync, .. })));
    world.ask_for(volume, Kind::Read, 0..128);
    world.settle();
    assert_eq!(world.failed.len(), 3, "reads go on");
    world.may_fail = false;
    world.reopen(Trust::Power);
    world.verify();
}
