//! The program is replaced while it serves.

use bedplate_volume::lane::Heir;
use bedplate_volume::saved::{Saved, decode, encode};
use bedplate_volume::seal::keys::{Cipher, KeyRing};

use super::memory::segments;
use super::world::{World, again, settings, volume_key};

impl World {
    /// The lane is saved and goes on as another, with what is in flight. It serves on
    /// until the end, while its heir follows.
    fn replace(&mut self) {
        let saved = Saved::from_bytes(&self.lane.prepare_heir().to_bytes()).expect("just written");
        let mut keys = KeyRing::new();
        for entry in &self.lane.directory(super::world::POOL).expect("a pool").origins {
            let found = self.keys.values().flatten().find(|(origin, _)| origin == entry.0);
            keys.insert(
                *entry.0,
                found.map_or(Cipher::Plain, |(_, key)| Cipher::from(&volume_key(*key))),
            );
        }
        let (regions, buffers) = (vec![(self.regions(), keys)], again(self.memory[3]));
        let mut heir =
            Heir::new(settings(), saved, buffers, regions, &mut self.disk).expect("an heir");
        for round in 0..self.chance.below(3) {
            for _ in 0..self.chance.below(12) {
                self.ask();
                self.step();
            }
            let bytes = encode(&self.lane.changes(), round == 0);
            heir.follow(decode(&bytes).expect("just written")).expect("it fits");
        }
        for _ in 0..self.chance.below(3) {
            self.come_to_rest();
            let bytes = encode(&self.lane.rehearse(), true);
            let asked = &mut self.asked;
            let mut memory =
                |tag: bedplate_volume::Tag| segments(asked.get_mut(&tag.0).expect("in flight"));
            let told = decode(&bytes).expect("just written");
            if self.chance.below(2) == 0 {
                heir.rehearse(told, &mut memory, self.now).expect("it fits");
                self.ask();
                self.step();
            } else {
                // It is late: the predecessor has gone on.
                self.ask();
                self.step();
                let asked = &mut self.asked;
                let mut memory = |tag: bedplate_volume::Tag| {
                    asked.get_mut(&tag.0).map(segments).unwrap_or_default()
                };
                heir.rehearse(told, &mut memory, self.now).expect("it fits");
            }
        }
        self.come_to_rest();
        let bytes = encode(&self.lane.save(self.now), self.chance.below(2) == 0);
        let (changes, counted) = (decode(&bytes).expect("just written"), self.lane.counted());
        let asked = &mut self.asked;
        let mut memory =
            |tag: bedplate_volume::Tag| segments(asked.get_mut(&tag.0).expect("in flight"));
        self.lane = heir.take(changes, &mut memory, self.now).expect("a successor");
        self.lane.add_counted(&counted);
    }

    fn come_to_rest(&mut self) {
        self.lane.prepare_to_save(true);
        for _ in 0..100_000 {
            if self.lane.can_save() {
                break;
            }
            self.tick();
            self.disk.complete_one(&mut self.lane, self.now);
            self.lane.turn(self.now, &mut self.disk);
            self.hear();
        }
    }
}

#[test]
fn a_successor_goes_on_with_everything_in_flight() {
    for seed in 1..9 {
        let mut world = World::new(24, seed);
        world.create(600);
        world.create(64);
        let mut flying = 0;
        for _ in 0..60 {
            for _ in 0..30 {
                for _ in 0..world.chance.below(6) {
                    world.ask();
                }
                world.step();
            }
            flying += world.disk.flying();
            world.replace();
        }
        assert!(flying > 60, "{flying} operations were in flight in all");
        world.verify();
        world.reopen(bedplate_volume::recover::Trust::Process);
        world.verify();
    }
}

#[test]
fn a_lane_that_was_saved_can_go_on_itself() {
    let mut world = World::new(24, 5);
    world.create(300);
    for _ in 0..200 {
        world.ask();
        world.step();
    }
    world.lane.prepare_to_save(true);
    while !world.lane.can_save() {
        world.disk.complete_one(&mut world.lane, world.now);
        world.lane.turn(world.now, &mut world.disk);
        world.hear();
    }
    let _ = world.lane.save(world.now);
    world.lane.prepare_to_save(false);
    for _ in 0..200 {
        world.ask();
        world.step();
    }
    world.verify();
}
