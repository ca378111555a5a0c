//! The process is killed and power is lost, at any time.

use bedplate_volume::Kind;
use bedplate_volume::lane::command::Command;
use bedplate_volume::recover::Trust;

use super::world::World;

fn lives(seed: u64, trust: impl Fn(u64) -> Trust) {
    let mut world = World::new(24, seed);
    world.create(600);
    world.create(64);
    for life in 0..12 {
        for _ in 0..40 + world.chance.below(300) {
            for _ in 0..world.chance.below(6) {
                world.ask();
            }
            world.step();
            if world.chance.one_in(100) {
                world.command(Command::Checkpoint);
            }
            if world.chance.one_in(150) && world.snapshots() < 8 {
                world.snapshot(0);
            }
        }
        world.reopen(trust(life));
    }
    world.verify();
}

#[test]
fn nothing_acknowledged_is_lost_when_the_process_is_killed() {
    for seed in 1..9 {
        lives(seed, |_| Trust::Process);
    }
}

#[test]
fn nothing_flushed_is_lost_when_power_is_lost() {
    for seed in 1..13 {
        lives(seed, |_| Trust::Power);
    }
}

#[test]
fn both_in_turn() {
    for seed in 20..28 {
        lives(seed, |life| if (life ^ seed) % 3 == 0 { Trust::Power } else { Trust::Process });
    }
}

#[test]
fn a_flush_is_one_sync_for_all_who_wait() {
    let mut world = World::new(24, 2);
    let volume = world.create(300);
    for block in 0..64 {
        world.ask_for(volume, Kind::Write, block * 8..block * 8 + 8);
    }
    while world.disk.complete_one(&mut world.lane, world.now) {}
    world.hear();
    let before = world.disk.syncs;
    for _ in 0..50 {
        world.ask_for(volume, Kind::Flush, 0..0);
    }
    while world.disk.complete_one(&mut world.lane, world.now) {}
    world.hear();
    assert!(world.asked.is_empty(), "all flushes are answered");
    assert!(world.disk.syncs - before <= 2, "{} syncs", world.disk.syncs - before);
}
