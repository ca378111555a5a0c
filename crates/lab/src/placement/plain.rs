//! The plain ways to place, for comparison: look at every host, score it, take the best. As
//! first-fit, best-fit, and the two usual scorers of Kubernetes (`LeastAllocated`, which is
//! its default, and `MostAllocated`).

use model::Resources;

/// Which host is the best.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Scorer {
    /// The first that fits.
    FirstFit,
    /// The one with the fewest cores left over, then the least memory.
    BestFit,
    /// The one with the largest mean share of cores and memory left over.
    LeastAllocated,
    /// The one with the smallest.
    MostAllocated,
}

impl Scorer {
    /// All of them.
    pub const ALL: [Self; 4] =
        [Self::FirstFit, Self::BestFit, Self::LeastAllocated, Self::MostAllocated];

    /// As it is called.
    pub fn name(self) -> &'static str {
        match self {
            Self::FirstFit => "first fit, linear",
            Self::BestFit => "best fit, linear",
            Self::LeastAllocated => "LeastAllocated, linear",
            Self::MostAllocated => "MostAllocated, linear",
        }
    }

    /// Smaller is better; `free` is what is there before.
    pub fn cost(self, free: &Resources, whole: &Resources) -> u64 {
        let share = |free: u32, whole: u32| u64::from(free) * 1_000_000 / u64::from(whole.max(1));
        let mean =
            share(free.millicores, whole.millicores) + share(free.memory_mib, whole.memory_mib);
        match self {
            Self::FirstFit => 0,
            Self::BestFit => (u64::from(free.millicores) << 32) | u64::from(free.memory_mib),
            Self::LeastAllocated => 2_000_000 - mean,
            Self::MostAllocated => mean,
        }
    }
}

/// Hosts, each with what it has free and its rack and power feed.
#[derive(Clone, Debug)]
pub struct Hosts {
    /// What an empty one has.
    pub whole: Resources,
    /// What is free.
    pub free: Vec<Resources>,
    /// Hosts in a rack.
    pub rack: u32,
    /// Racks on a power feed.
    pub feed: u32,
}

impl Hosts {
    /// Looks at every host: the best that fits and stands in none of the racks and feeds.
    pub fn place(
        &self,
        wanted: &Resources,
        scorer: Scorer,
        racks: &[u32],
        feeds: &[u32],
    ) -> Option<u32> {
        let mut best: Option<(u64, u32)> = None;
        for (host, free) in (0..).zip(&self.free) {
            let rack = host / self.rack;
            if !wanted.fits_in(free) || racks.contains(&rack) || feeds.contains(&(rack / self.feed))
            {
                continue;
            }
            if scorer == Scorer::FirstFit {
                return Some(host);
            }
            let cost = scorer.cost(free, &self.whole);
            if best.is_none_or(|best| cost < best.0) {
                best = Some((cost, host));
            }
        }
        best.map(|best| best.1)
    }
}
