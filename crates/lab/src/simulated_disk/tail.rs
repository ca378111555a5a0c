//! How long the longest requests take in time that is made up: the engine costs nothing
//! there and the machine holds nobody up, so that what is longer than the disk's own time
//! is what requests wait for each other, for pages of the map, the log and checkpoints.

use model::volume::Limits;
use volume::histogram::Histogram;
use volume::{BLOCK, Kind, Region, Request};
use world::entropy::{Entropy, Seeded};

use crate::single_lane::{Back, SingleLane, Times, Wish};

/// Requests in flight.
const DEPTH: usize = 32;
/// Bytes of the volume.
const VOLUME: u64 = 256 << 20;
/// A disk as good ones are.
pub const TIMES: Times = Times { read: 80_000, write: 20_000, sync: 100_000 };
/// Nothing may take longer: then something is never answered.
const PATIENCE: u64 = 1_000_000_000;

/// Random requests of 4 KiB, so many: of a hundred 60 reads, 38 writes and 2 flushes, with
/// 32 in flight. How long those of each kind took. `Err` says what went wrong.
pub fn tail(requests: u64, seed: u64) -> Result<Vec<(Kind, Histogram)>, String> {
    let (bytes, limits, times) = (VOLUME, Limits::NONE, Some(TIMES));
    let mut single = SingleLane::new(&Wish { back: Back::Encrypted, bytes, limits, times })?;
    let memory = Region::leaked(DEPTH * BLOCK);
    let mut entropy = Seeded::new(seed);
    let (mut asked, mut answered, mut last) = (0, 0, single.now());
    let mut free: Vec<u64> = (0..DEPTH as u64).collect();
    while answered < requests {
        while let Some(slot) = if asked < requests { free.pop() } else { None } {
            submit(&mut single, &memory, slot, &mut entropy);
            asked += 1;
        }
        single.turn();
        for (tag, outcome) in std::mem::take(&mut single.disk.replies) {
            outcome.map_err(|fault| format!("a request failed: {fault}"))?;
            free.push(tag.0);
            (answered, last) = (answered + 1, single.now());
        }
        single.settle(0);
        if single.now().since(last) > PATIENCE {
            return Err("a request is never answered".to_owned());
        }
        if free.is_empty() || asked == requests {
            single.go_on(PATIENCE);
        }
    }
    let statistics = single.lane.statistics(single.volume).ok_or("the volume is not there")?;
    let of = |kind| Some((kind, statistics.latency(kind)?.clone()));
    Ok([Kind::Read, Kind::Write, Kind::Flush].into_iter().filter_map(of).collect())
}

fn submit(single: &mut SingleLane, memory: &Region, slot: u64, entropy: &mut Seeded) {
    let kind = match entropy.below(100) {
        0..60 => Kind::Read,
        60..98 => Kind::Write,
        _ => Kind::Flush,
    };
    let offset = entropy.below(VOLUME / BLOCK as u64) * BLOCK as u64;
    let (offset, length) = if kind == Kind::Flush { (0, 0) } else { (offset, BLOCK as u64) };
    let segments = [memory.segment(slot as usize * BLOCK, BLOCK as u32)];
    let segments = if kind == Kind::Flush { &[][..] } else { &segments[..] };
    let request = Request { kind, offset, length, fua: false, segments };
    single.submit(slot, &request);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_read_takes_as_long_as_the_disk_does() {
        let kinds = tail(20_000, 1).expect("it goes through");
        assert_eq!(kinds.len(), 3);
        for (kind, took) in &kinds {
            let most = took.most();
            assert!(most < 20_000_000, "{kind:?}: {most} ns");
        }
        let again = tail(20_000, 1).expect("it goes through");
        assert!(kinds.iter().zip(&again).all(|(one, other)| one.1 == other.1), "it comes again");
        let writes = &kinds[1].1;
        assert!(writes.quantile(0.5).is_some_and(|half| half >= TIMES.write * 31 / 32));
    }
}
