//! How long things took: counts of durations, finer where they are short.
//!
//! Each power of two is divided in sixteen, so a duration is known to within 3.1 %, from
//! a nanosecond to 137 seconds, in 544 counts. Recording is one addition. It is as small
//! as it can be, since each volume has one for each kind of request.

use serde::de::Error as _;
use serde::{Deserialize, Deserializer, Serialize, Serializer};

/// Bits of a duration that are kept, after its highest.
const BITS: u32 = 4;
/// Counts for each power of two.
const STEPS: u64 = 1 << BITS;
/// Durations are below 2^37 ns. What is longer is counted as the longest.
const LONGEST: u64 = (1 << 37) - 1;
/// Counts in all.
const COUNTS: usize = bucket(LONGEST) + 1;

/// Counts of durations in nanoseconds.
#[derive(Clone, PartialEq, Eq)]
pub struct Histogram {
    counts: [u64; COUNTS],
    sum: u64,
    most: u64,
}

/// A histogram in transit: only counts that are not 0.
#[derive(Serialize, Deserialize)]
struct Sparse {
    counts: Vec<(u16, u64)>,
    sum: u64,
    most: u64,
}

/// Which count a duration belongs to.
#[inline]
const fn bucket(nanos: u64) -> usize {
    // Below 32 each has its own, by the same formula.
    let exponent = (nanos | STEPS).ilog2() - BITS;
    (exponent as u64 * STEPS + (nanos >> exponent)) as usize
}

/// The middle of the durations that a count stands for.
fn middle(bucket: usize) -> u64 {
    let exponent = (bucket as u64 / STEPS).saturating_sub(1);
    let first = (bucket as u64 - exponent * STEPS) << exponent;
    first + (1 << exponent) / 2
}

impl Default for Histogram {
    fn default() -> Self {
        Self::new()
    }
}

impl Histogram {
    /// An empty one.
    pub const fn new() -> Self {
        Self { counts: [0; COUNTS], sum: 0, most: 0 }
    }

    /// Counts a duration.
    #[inline]
    pub fn record(&mut self, nanos: u64) {
        self.counts[bucket(nanos.min(LONGEST))] += 1;
        self.sum = self.sum.saturating_add(nanos);
        self.most = self.most.max(nanos);
    }

    /// Adds another's counts.
    pub fn merge(&mut self, other: &Histogram) {
        for (count, more) in self.counts.iter_mut().zip(&other.counts) {
            *count = count.saturating_add(*more);
        }
        self.sum = self.sum.saturating_add(other.sum);
        self.most = self.most.max(other.most);
    }

    /// How many durations were counted.
    pub fn count(&self) -> u64 {
        self.counts.iter().fold(0, |sum, count| sum.saturating_add(*count))
    }

    /// The longest, exactly.
    pub fn most(&self) -> u64 {
        self.most
    }

    /// All durations together, in nanoseconds.
    pub fn sum(&self) -> u64 {
        self.sum
    }

    /// The average; none of nothing.
    pub fn mean(&self) -> Option<u64> {
        self.sum.checked_div(self.count())
    }

    /// What so much of all durations do not exceed, to within 3.1 %: `quantile(0.5)` is
    /// the median, `quantile(1.0)` the longest, exactly. None of nothing. Panics when
    /// the fraction is not from 0 to 1.
    pub fn quantile(&self, fraction: f64) -> Option<u64> {
        assert!((0.0..=1.0).contains(&fraction), "a fraction is from 0 to 1");
        let count = self.count();
        let rank = ((count as f64 * fraction).ceil() as u64).clamp(1, count.max(1));
        if rank == count {
            return Some(self.most);
        }
        let mut below = 0_u64;
        let reached = self.counts.iter().position(|count| {
            below = below.saturating_add(*count);
            below >= rank
        });
        reached.map(|bucket| middle(bucket).min(self.most))
    }

    /// The counts that are not 0, each with the middle of the durations it stands for,
    /// the shortest first.
    pub fn buckets(&self) -> impl Iterator<Item = (u64, u64)> {
        let counts = self.counts.iter().enumerate().filter(|(_, count)| **count > 0);
        counts.map(|(bucket, count)| (middle(bucket), *count))
    }
}

impl std::fmt::Debug for Histogram {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "<{} durations up to {} ns>", self.count(), self.most)
    }
}

impl Serialize for Histogram {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let counts = self.counts.iter().enumerate().filter(|(_, count)| **count > 0);
        let counts = counts.map(|(bucket, count)| (bucket as u16, *count)).collect();
        Sparse { counts, sum: self.sum, most: self.most }.serialize(serializer)
    }
}

impl<'de> Deserialize<'de> for Histogram {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let sparse = Sparse::deserialize(deserializer)?;
        let mut histogram = Self { sum: sparse.sum, most: sparse.most, ..Self::new() };
        for (bucket, count) in sparse.counts {
            let at = histogram.counts.get_mut(usize::from(bucket));
            *at.ok_or_else(|| D::Error::custom("a histogram has no such count"))? = count;
        }
        Ok(histogram)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn it_is_small() {
        assert_eq!(COUNTS, 544);
        assert!(size_of::<Histogram>() <= 8192);
    }

    #[test]
    fn every_count_is_the_one_of_its_middle() {
        for at in 0..COUNTS {
            assert_eq!(bucket(middle(at)), at);
        }
        assert_eq!((bucket(0), bucket(31), bucket(32), bucket(33)), (0, 31, 32, 32));
    }

    #[test]
    fn of_nothing_there_is_no_quantile() {
        let empty = Histogram::new();
        assert_eq!((empty.quantile(0.5), empty.mean(), empty.count()), (None, None, 0));
    }

    #[test]
    fn quantiles_reach_into_the_tail() {
        let mut histogram = Histogram::new();
        (0..999_990).for_each(|_| histogram.record(1000));
        (0..9).for_each(|_| histogram.record(50_000));
        histogram.record(u64::MAX);
        let near = |seen: Option<u64>, right: u64| {
            let seen = seen.expect("not empty");
            assert!(seen.abs_diff(right) * 1000 <= right * 32, "{seen} is not {right}");
        };
        near(histogram.quantile(0.5), 1000);
        near(histogram.quantile(0.99999), 1000);
        near(histogram.quantile(0.999999), 50_000);
        assert_eq!(histogram.quantile(1.0), Some(u64::MAX));
        assert_eq!((histogram.count(), histogram.sum()), (1_000_000, u64::MAX));
    }

    #[test]
    fn what_is_no_histogram_is_refused() {
        let text = r#"{"counts":[[544,1]],"sum":1,"most":1}"#;
        assert!(serde_json::from_str::<Histogram>(text).is_err());
    }

    proptest! {
        #[test]
        fn a_duration_is_known_to_three_percent(nanos in 0_u64..100_000_000_000) {
            let seen = middle(bucket(nanos));
            prop_assert!(seen.abs_diff(nanos) * 1000 <= nanos * 32, "{} for {}", seen, nanos);
        }

        #[test]
        fn merged_is_as_recorded_together(
            one in proptest::collection::vec(any::<u64>(), 0..50),
            two in proptest::collection::vec(0_u64..1_000_000, 0..50),
        ) {
            let of = |all: &[u64]| {
                let mut histogram = Histogram::new();
                all.iter().for_each(|nanos| histogram.record(*nanos));
                histogram
            };
            let mut merged = of(&one);
            merged.merge(&of(&two));
            prop_assert_eq!(&merged, &of(&[one, two].concat()));
            let text = serde_json::to_string(&merged).expect("json");
            prop_assert_eq!(serde_json::from_str::<Histogram>(&text).expect("the same"), merged);
        }
    }
}
