//! One rate: the generic cell rate algorithm (ITU-T I.371, annex A), in virtual time.
//!
//! A meter knows when it will have been paid for all that it let through. It is clear
//! when that is not in the future. A charge moves that moment on by what it costs, from
//! no further back than the credit allows. So debts are paid back to the nanosecond
//! however seldom anybody asks, and what is not used in time is forgotten.

/// How late one may ask and lose nothing, in nanoseconds: at any rate, what the last
/// 4 ms would have allowed may be made up for. It is 0.4 % of a second, the most that a
/// meter lets through above its rate in a second.
pub const LATENESS: u64 = 4_000_000;

/// Bits of a nanosecond that costs are kept to: a byte at 100 GB/s costs 0.01 ns.
const FRACTION: u32 = 32;

/// More credit than this, some 146 years, is not needed, and all sums stay in range.
const MOST_CREDIT: u64 = 1 << 62;

/// What a meter counts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Unit {
    Ops,
    Bytes,
}

impl Unit {
    /// Which of the two it counts.
    #[inline]
    pub fn of(self, ops: u64, bytes: u64) -> u64 {
        match self {
            Unit::Ops => ops,
            Unit::Bytes => bytes,
        }
    }
}

/// A rate and how much of it was used.
#[derive(Clone, Copy, Debug)]
pub(super) struct Meter {
    /// When all is paid for, in units of 2^-32 ns.
    paid: u128,
    /// What one costs, in the same unit.
    price: u64,
    /// How far in the past `paid` counts, in ns.
    credit: u64,
    pub unit: Unit,
}

impl Meter {
    /// A meter for so many a second, without debt or credit, in which so many more can
    /// be saved up.
    pub fn new(unit: Unit, rate: u64, savings: u128, now: u64) -> Self {
        assert!(rate > 0, "limits of 0 are refused before");
        let price = (1_000_000_000 << FRACTION) / rate;
        let saved = (savings * u128::from(price)) >> FRACTION;
        let credit = (saved + u128::from(LATENESS)).min(u128::from(MOST_CREDIT)) as u64;
        Self { paid: u128::from(now) << FRACTION, price: price.max(1), credit, unit }
    }

    /// Charges, and says from when on it is clear.
    #[inline]
    pub fn charge(&mut self, units: u64, now: u64) -> u64 {
        let from = u128::from(now.saturating_sub(self.credit)) << FRACTION;
        self.paid = self.paid.max(from) + u128::from(units) * u128::from(self.price);
        self.clear_at()
    }

    /// From when on it is clear.
    #[inline]
    pub fn clear_at(&self) -> u64 {
        let whole = (self.paid + ((1 << FRACTION) - 1)) >> FRACTION;
        u64::try_from(whole).unwrap_or(u64::MAX)
    }

    /// How much more may be charged so that it is still clear at `now`, or later; at most
    /// what four seconds allow.
    #[inline]
    pub fn room(&self, now: u64) -> u64 {
        let now = u128::from(now) << FRACTION;
        u64::try_from(now.saturating_sub(self.paid)).unwrap_or(u64::MAX) / self.price
    }

    /// Takes over from a meter of another rate. What is owed stays owed, in units, but
    /// is not waited for longer than it would have been; what is saved stays saved, in
    /// units, as far as there is room for it.
    pub fn follow(&mut self, before: &Meter, now: u64) {
        let at_our_price = |nanos: u64| {
            let converted = u128::from(nanos) * u128::from(self.price) / u128::from(before.price);
            u64::try_from(converted).unwrap_or(u64::MAX)
        };
        let clear = before.clear_at();
        let paid = if clear > now {
            now + at_our_price(clear - now).min(clear - now)
        } else {
            let saved = (now - clear).min(before.credit);
            now.saturating_sub(at_our_price(saved).min(self.credit))
        };
        self.paid = u128::from(paid) << FRACTION;
    }

    /// Goes on where a saved one was.
    pub fn resume(&mut self, clear_at: u64) {
        self.paid = u128::from(clear_at) << FRACTION;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: u64 = 1_000_000_000;

    #[test]
    fn a_charge_is_paid_for_at_the_rate() {
        let mut meter = Meter::new(Unit::Ops, 3, 0, SECOND);
        assert_eq!(meter.charge(0, SECOND), SECOND);
        assert_eq!(meter.charge(1, SECOND), SECOND + 333_333_334);
        // Nothing is lost to rounding: three thousand cost a thousand seconds.
        let mut meter = Meter::new(Unit::Ops, 3, 0, 0);
        let clear = (0..3000).map(|_| meter.charge(1, 0)).last();
        assert_eq!(clear, Some(1000 * SECOND));
    }

    #[test]
    fn lateness_is_made_up_for_and_idleness_is_not() {
        let mut meter = Meter::new(Unit::Ops, 1000, 0, 0);
        assert_eq!(meter.charge(1, SECOND), SECOND - LATENESS + 1_000_000);
        let mut meter = Meter::new(Unit::Ops, 1000, 2000, 0);
        assert_eq!(meter.charge(1, 10 * SECOND), 8 * SECOND - LATENESS + 1_000_000);
    }

    #[test]
    fn there_is_room_for_what_leaves_it_clear() {
        let now = 10 * SECOND;
        for rate in [3, 999, 500_000, 123_456_789] {
            let mut meter = Meter::new(Unit::Ops, rate, 7, 0);
            meter.charge(1, now);
            let room = meter.room(now);
            let mut more = meter;
            assert!(meter.charge(room, now) <= now || room == 0);
            assert!(more.charge(room + 1, now) > now, "{rate}");
        }
    }

    #[test]
    fn the_extremes_stay_in_range() {
        for rate in [1, model::volume::MAX_RATE] {
            let savings = u128::from(model::volume::MAX_RATE) * 86_400;
            let mut meter = Meter::new(Unit::Bytes, rate, savings, u64::MAX / 2);
            meter.charge(u64::MAX, u64::MAX);
            meter.charge(u64::MAX, u64::MAX);
            let before = meter;
            meter.follow(&before, 5);
            assert!(meter.clear_at() >= 5);
        }
    }
}
