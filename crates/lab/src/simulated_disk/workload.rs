//! What clients do: all short sequences of a few acts, and long random ones.

use world::entropy::{Entropy, Seeded};

/// One act. Volumes are counted among those that are there; places are in sectors and
/// are cut to the volume's size by who carries it out.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Act {
    /// Writes sectors.
    Write { volume: u32, first: u32, count: u32, durable: bool },
    /// Reads sectors.
    Read { volume: u32, first: u32, count: u32 },
    /// Forgets sectors.
    Discard { volume: u32, first: u32, count: u32, durable: bool },
    /// Makes sectors zeros.
    Zeroes { volume: u32, first: u32, count: u32, durable: bool },
    /// Makes what was acknowledged durable.
    Flush { volume: u32 },
    /// Makes a snapshot.
    Snapshot { volume: u32 },
    /// Makes a volume of a snapshot.
    Clone { volume: u32 },
    /// Makes a volume larger.
    Grow { volume: u32 },
    /// Deletes a volume or snapshot.
    Remove { volume: u32 },
    /// Time passes: enough for what the lane does when nobody asks.
    Wait,
    /// The next engine takes over while everything is in flight.
    Replace,
    /// The process dies and comes again.
    Kill,
    /// The power goes and comes again.
    Cut,
}

/// The acts that short sequences are made of. Block 0 is written whole, in part and
/// across its end, so that every two of them meet.
pub const SHORT: [Act; 13] = [
    Act::Write { volume: 0, first: 0, count: 8, durable: false },
    Act::Write { volume: 0, first: 2, count: 3, durable: false },
    Act::Write { volume: 0, first: 4, count: 10, durable: false },
    Act::Write { volume: 0, first: 0, count: 8, durable: true },
    Act::Flush { volume: 0 },
    Act::Discard { volume: 0, first: 0, count: 8, durable: false },
    Act::Zeroes { volume: 0, first: 1, count: 9, durable: false },
    Act::Snapshot { volume: 0 },
    Act::Clone { volume: 0 },
    Act::Wait,
    Act::Replace,
    Act::Kill,
    Act::Cut,
];

/// How many short sequences there are, of 1 to `longest` acts.
pub fn short_count(longest: u32) -> u64 {
    (1..=longest).map(|length| (SHORT.len() as u64).pow(length)).sum()
}

/// The `index`-th short sequence; the shortest come first.
pub fn short(mut index: u64) -> Vec<Act> {
    let ways = SHORT.len() as u64;
    let mut length = 1;
    while index >= ways.pow(length) {
        index -= ways.pow(length);
        length += 1;
    }
    let digit = |place: u32| SHORT[(index / ways.pow(place) % ways) as usize];
    (0..length).map(digit).collect()
}

/// A random act, of which more than usual change what volumes there are, and how the
/// engine comes and goes.
pub fn restless(entropy: &mut Seeded, sectors: u32) -> Act {
    let volume = entropy.below(8) as u32;
    match entropy.below(1000) {
        0..60 => Act::Snapshot { volume },
        60..120 => Act::Clone { volume },
        120..240 => Act::Remove { volume },
        240..260 => Act::Replace,
        260..285 => Act::Kill,
        285..290 => Act::Cut,
        290..340 => Act::Flush { volume },
        _ => random(entropy, sectors),
    }
}

/// A random act, of which most write and read the same few blocks and make that durable:
/// places are freed and used again as quickly as can be.
pub fn crowded(entropy: &mut Seeded, sectors: u32) -> Act {
    let (volume, durable) = (entropy.below(2) as u32, false);
    let (first, count) = (entropy.below(8) as u32 * 8, 8 + entropy.below(3) as u32 * 8);
    match entropy.below(100) {
        0..45 => Act::Write { volume, first, count, durable },
        45..70 => Act::Read { volume, first, count },
        70..85 => Act::Flush { volume },
        85..97 => Act::Discard { volume, first, count: 8, durable },
        _ => random(entropy, sectors),
    }
}

/// A random act. Most are small writes to few places, so that they meet.
pub fn random(entropy: &mut Seeded, sectors: u32) -> Act {
    let volume = entropy.below(8) as u32;
    let durable = entropy.below(8) == 0;
    let (first, count) = stretch(entropy, sectors);
    match entropy.below(1000) {
        0..400 => Act::Write { volume, first, count, durable },
        400..600 => Act::Read { volume, first, count },
        600..700 => Act::Flush { volume },
        700..760 => Act::Discard { volume, first, count, durable },
        760..830 => Act::Zeroes { volume, first, count, durable },
        830..880 => Act::Snapshot { volume },
        880..900 => Act::Clone { volume },
        900..910 => Act::Grow { volume },
        910..940 => Act::Remove { volume },
        940..970 => Act::Wait,
        970..980 => Act::Replace,
        980..990 => Act::Kill,
        _ => Act::Cut,
    }
}

fn stretch(entropy: &mut Seeded, sectors: u32) -> (u32, u32) {
    let whole = entropy.below(2) == 0;
    let longest = [8, 16, 64, 256][entropy.below(4) as usize].min(sectors);
    // Half of all are at the beginning, where they meet.
    let room = if entropy.below(2) == 0 { 64.min(sectors) } else { sectors };
    let first = entropy.below(u64::from(room)) as u32;
    let count = 1 + entropy.below(u64::from(longest)) as u32;
    if whole { (first & !7, (count + 7) & !7) } else { (first, count) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::HashSet;

    #[test]
    fn short_sequences_are_all_there_once() {
        let count = short_count(2);
        let all: HashSet<Vec<Act>> = (0..count).map(short).collect();
        assert_eq!(all.len() as u64, count);
        assert!(all.contains(&vec![SHORT[12], SHORT[3]]));
        assert_eq!(short(0), [SHORT[0]]);
        assert_eq!(short(count).len(), 3);
    }

    #[test]
    fn random_acts_stay_in_reach() {
        let mut entropy = Seeded::new(5);
        for _ in 0..1000 {
            if let Act::Write { first, count, .. } = random(&mut entropy, 512) {
                assert!(first < 512 && (1..=512).contains(&count));
            }
        }
    }
}
