//! Requests as a cloud sees them, for those who have no recording: sizes in the proportions
//! that were published of Azure's, lifetimes with a heavy tail, one request in nine of the
//! lesser priority.

use model::Resources;

/// One request: what it takes, and when it comes and goes.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Asked {
    /// What it takes.
    pub resources: Resources,
    /// When it comes, in days.
    pub start: f64,
    /// When it goes, in days; infinite for those that stay.
    pub end: f64,
    /// 1 for what may be pushed out.
    pub spot: bool,
}

/// Hundredths of a core, quarters of a GiB, and how many of a thousand requests take it.
const SIZES: [(u32, u32, u32); 20] = [
    (200, 28, 185),
    (100, 14, 162),
    (400, 56, 113),
    (100, 32, 91),
    (800, 112, 89),
    (200, 64, 51),
    (800, 64, 28),
    (1600, 128, 25),
    (42, 7, 20),
    (800, 256, 19),
    (800, 224, 19),
    (80, 16, 18),
    (400, 128, 18),
    (1600, 448, 15),
    (20, 4, 14),
    (100, 16, 14),
    (40, 8, 14),
    (1600, 224, 14),
    (400, 112, 13),
    (120, 32, 78),
];

/// A small generator of random numbers (SplitMix64): the same seed, the same fleet.
#[derive(Clone, Debug)]
pub struct Dice(pub u64);

impl Dice {
    /// 64 random bits.
    pub fn roll(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut bits = self.0;
        bits = (bits ^ (bits >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        bits = (bits ^ (bits >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        bits ^ (bits >> 31)
    }

    /// A number below another.
    pub fn below(&mut self, bound: u64) -> u64 {
        ((u128::from(self.roll()) * u128::from(bound)) >> 64) as u64
    }

    /// A number from 0 to 1.
    pub fn share(&mut self) -> f64 {
        (self.roll() >> 11) as f64 / (1_u64 << 53) as f64
    }
}

/// What hundredths of a core and quarters of a GiB are.
pub fn size(core_units: u32, memory_units: u32) -> Resources {
    Resources {
        millicores: core_units * 10,
        memory_mib: memory_units * 256,
        ..Resources::default()
    }
}

/// The size of a request.
pub fn any_size(dice: &mut Dice) -> Resources {
    let mut at = dice.below(SIZES.iter().map(|size| u64::from(size.2)).sum());
    for (cores, memory, weight) in SIZES {
        match at.checked_sub(weight.into()) {
            Some(rest) => at = rest,
            None => return size(cores, memory),
        }
    }
    unreachable!("the weights sum up to the bound")
}

/// Requests of 14 days, in order of their start: as many run at the beginning as are said.
/// Half of those that come stay less than an hour, one in ten longer than two days.
pub fn two_weeks(running: usize, dice: &mut Dice) -> Vec<Asked> {
    const DAYS: f64 = 14.0;
    let ask = |start: f64, end: f64, dice: &mut Dice| Asked {
        resources: any_size(dice),
        start,
        end,
        spot: dice.below(9) == 0,
    };
    let mut asked: Vec<Asked> = (0..running)
        .map(|_| {
            let stays = dice.share() < 0.5;
            let end = if stays { f64::INFINITY } else { DAYS * dice.share() };
            ask(-1.0, end, dice)
        })
        .collect();
    for _ in 0..running * 9 {
        let start = DAYS * dice.share();
        // Pareto: a fortieth of a day at the median.
        let stay = 0.0125 * (1.0 - dice.share()).powf(-1.0).min(4_000.0);
        asked.push(ask(start, start + stay, dice));
    }
    asked.sort_by(|one, two| one.start.total_cmp(&two.start));
    asked
}
