//! Random requests, snapshots and clones against the model.

use bedplate_volume::Kind;
use bedplate_volume::directory::Change;
use bedplate_volume::lane::command::{Answered, Command, CommandError};

use super::world::World;

fn run(world: &mut World, steps: usize) {
    for _ in 0..steps {
        for _ in 0..world.chance.below(6) {
            world.ask();
        }
        world.step();
    }
}

#[test]
fn what_is_written_is_read() {
    for seed in 1..9 {
        let mut world = World::new(24, seed);
        world.create(700);
        world.create(90);
        run(&mut world, 1500);
        world.verify();
    }
}

#[test]
fn a_pool_in_memory_does_the_same_at_once() {
    for seed in 1..5 {
        let mut world = World::with(24, seed, true, 2 << 20);
        world.create(700);
        run(&mut world, 1500);
        world.verify();
        assert_eq!(world.disk.flying(), 0, "memory is asked for nothing");
    }
}

#[test]
fn snapshots_and_clones_stay_as_they_were() {
    for seed in 1..7 {
        let in_memory = seed > 4;
        let mut world = World::with(32, seed, in_memory, 2 << 20);
        world.create(500);
        for round in 0..6 {
            run(&mut world, 150);
            let (number, model) = world.snapshot(0);
            let opened = world.open(number, model);
            world.volumes[opened].read_only = true;
            if round % 2 == 0 {
                let model = world.volumes[opened].model.clone();
                world.clone_of(number, &model);
            }
            world.settle();
            world.may_fail = true;
            // A part of a block: were it taken, it would change nothing.
            world.ask_for(opened, Kind::Discard, 1..2);
            assert_eq!(std::mem::take(&mut world.failed), [bedplate_volume::Fault::ReadOnly]);
            world.may_fail = false;
        }
        world.verify();
        assert_eq!(world.snapshots(), 6);
    }
}

#[test]
fn snapshots_go_in_any_order_and_leave_the_rest_as_it_is() {
    for seed in 30..36 {
        let mut world = World::new(24, seed);
        world.create(500);
        let mut snapshots = Vec::new();
        for round in 0..20 {
            run(&mut world, 40);
            if round < 12 {
                snapshots.push(world.snapshot(0));
            }
            if round > 5 && !snapshots.is_empty() {
                let at = world.chance.below(snapshots.len() as u64) as usize;
                let (number, _) = snapshots.swap_remove(at);
                world.change(Change::Remove { number });
            }
        }
        for (number, model) in snapshots {
            let opened = world.open(number, model);
            world.volumes[opened].read_only = true;
        }
        world.verify();
        world.reopen(bedplate_volume::recover::Trust::Process);
        world.verify();
    }
}

#[test]
fn what_is_deleted_comes_back_as_room() {
    let mut world = World::new(24, 3);
    let keep = world.create(400);
    let used = |world: &World| world.lane.usage(super::world::POOL).expect("a pool").used;
    for _ in 0..6 {
        let volume = world.create(1500);
        let total = world.volumes[volume].model.sectors();
        for start in (0..total).step_by(512) {
            world.ask_for(volume, Kind::Write, start..(start + 512).min(total));
            world.settle();
        }
        world.ask_for(keep, Kind::Write, 0..64);
        world.settle();
        assert!(used(&world) >= 1500 * 4096, "{}", used(&world));
        let (number, handle) = (world.volumes[volume].number, world.volumes[volume].handle);
        let open =
            world.done(Command::Change { change: Box::new(Change::Remove { number }), key: None });
        assert_eq!(open, Err(CommandError::Open));
        world.lane.close(handle).expect("nothing is in flight");
        world.volumes.pop();
        world.change(Change::Remove { number });
        world.settle();
        assert!(used(&world) < 1 << 20, "{} bytes are still used", used(&world));
    }
    world.verify();
}

#[test]
fn a_volume_grows_while_it_is_used() {
    let mut world = World::new(24, 4);
    let volume = world.create(100);
    run(&mut world, 100);
    let number = world.volumes[volume].number;
    world.change(Change::Grow { volume: number, blocks: 1200 });
    world.volumes[volume].model.grow(9600);
    world.volumes[volume].busy.resize(9600, false);
    run(&mut world, 500);
    world.verify();
}

#[test]
fn a_scrub_finds_what_is_damaged_and_reads_never_give_it() {
    let mut world = World::new(24, 6);
    let volume = world.create(300);
    world.ask_for(volume, Kind::Write, 0..2400);
    world.settle();
    let number = world.volumes[volume].number;
    let Ok(Answered::Scrubbed(report)) = world.done(Command::Scrub { number }) else {
        panic!("a report")
    };
    assert_eq!((report.blocks, report.corrupt, report.unread), (300, 0, 0));
    // One bit of each block that holds the first stamps.
    let wanted = super::memory::stamp_of(&world.read(volume, 80..81));
    let mut sector = [0; 512];
    super::memory::fill(&mut sector, wanted);
    let at = world.disk.content.windows(512).position(|window| window == sector);
    let Some(at) = at.filter(|_| !world.encrypted) else { panic!("seed 6 is not encrypted") };
    world.disk.content[at + 77] ^= 4;
    assert_eq!(world.try_read(volume, 80..81), Err(bedplate_volume::Fault::Corrupt));
    let (events, _) = world.lane.take_events();
    assert!(events.iter().any(|event| matches!(event, bedplate_volume::lane::Event::Corrupt { lba, .. } if lba.0 == 10)), "{events:?}");
    let Ok(Answered::Scrubbed(report)) = world.done(Command::Scrub { number }) else {
        panic!("a report")
    };
    assert_eq!((report.blocks, report.corrupt), (300, 1));
    // A partial write of it cannot be done either; a whole one heals it.
    world.may_fail = true;
    world.ask_for(volume, Kind::Write, 81..82);
    world.settle();
    assert_eq!(world.failed, [bedplate_volume::Fault::Corrupt]);
    world.may_fail = false;
    world.ask_for(volume, Kind::Write, 80..88);
    world.settle();
    world.verify();
}
