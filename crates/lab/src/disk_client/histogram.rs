//! Latencies, counted in buckets whose width grows with the value: 32 to each power of
//! two, so that no value is told wrong by more than 3.2 %.
//!
//! It is not the one of `volume`: what judges shares no code with what is judged.

/// Buckets to a power of two, as a power of two.
const FINE: u32 = 5;
const EACH: usize = 1 << FINE;
const BUCKETS: usize = (64 - FINE as usize + 1) * EACH;

/// Counts of values by size.
#[derive(Clone, Debug)]
pub struct Histogram {
    counts: Vec<u64>,
    total: u64,
    largest: u64,
}

impl Default for Histogram {
    fn default() -> Self {
        Self { counts: vec![0; BUCKETS], total: 0, largest: 0 }
    }
}

impl Histogram {
    /// Counts a value.
    #[inline]
    pub fn record(&mut self, value: u64) {
        self.counts[bucket(value)] += 1;
        self.total += 1;
        self.largest = self.largest.max(value);
    }
    /// How many values there are.
    pub fn total(&self) -> u64 {
        self.total
    }
    /// The largest, exactly.
    pub fn largest(&self) -> u64 {
        self.largest
    }
    /// The value that such a part of all is not above; 0 without any.
    pub fn quantile(&self, part: f64) -> u64 {
        let wanted = ((self.total as f64 * part).ceil() as u64).clamp(1, self.total.max(1));
        let mut seen = 0;
        for (place, count) in self.counts.iter().enumerate() {
            seen += count;
            if seen >= wanted {
                return upper(place).min(self.largest);
            }
        }
        self.largest
    }
    /// Adds another's counts.
    pub fn add(&mut self, other: &Histogram) {
        for (mine, theirs) in self.counts.iter_mut().zip(&other.counts) {
            *mine += theirs;
        }
        self.total += other.total;
        self.largest = self.largest.max(other.largest);
    }
}

#[inline]
fn bucket(value: u64) -> usize {
    if value < EACH as u64 {
        return value as usize;
    }
    let power = 63 - value.leading_zeros();
    let within = (value >> (power - FINE)) as usize & (EACH - 1);
    ((power - FINE + 1) as usize) * EACH + within
}

/// The largest value of a bucket.
fn upper(place: usize) -> u64 {
    let (row, within) = (place / EACH, (place % EACH) as u64);
    if row == 0 {
        return within;
    }
    let width = row as u32 - 1;
    let first = (EACH as u64 + within) << width;
    first + ((1_u64 << width) - 1)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_value_is_told_wrong_by_more_than_it_says() {
        for value in (0..2_000).chain((11..63).flat_map(|p| [(1 << p) - 1, 1 << p, (1 << p) + 7])) {
            let told = upper(bucket(value));
            assert!(told >= value, "{value} {told}");
            assert!((told - value) as f64 <= value as f64 * 0.032, "{value} {told}");
        }
        assert!(bucket(u64::MAX) < BUCKETS);
    }

    #[test]
    fn quantiles_are_in_order() {
        let mut histogram = Histogram::default();
        assert_eq!(histogram.quantile(0.5), 0);
        (1..=1000).for_each(|value| histogram.record(value));
        assert!((490..=516).contains(&histogram.quantile(0.5)), "{}", histogram.quantile(0.5));
        assert_eq!(histogram.quantile(1.0), 1000);
        let mut both = histogram.clone();
        both.add(&histogram);
        assert_eq!((both.total(), both.quantile(0.5)), (2000, histogram.quantile(0.5)));
    }
}
