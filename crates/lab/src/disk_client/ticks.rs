//! Time for measuring: the processor's own counter, which takes 10 ns to read where
//! the system's clock takes 30. Both are steady here; the system's is asked only to
//! learn how long a tick is, and when something is told to other processes.

#![allow(unsafe_code, reason = "the counter is read by an instruction")]

use rustix::time::{ClockId, clock_gettime};

/// The counter now.
#[inline]
pub fn now() -> u64 {
    #[cfg(target_arch = "x86_64")]
    {
        // SAFETY: every x86-64 processor has the instruction; it touches no memory.
        unsafe { core::arch::x86_64::_rdtsc() }
    }
    #[cfg(not(target_arch = "x86_64"))]
    monotonic()
}

/// Nanoseconds of CLOCK_MONOTONIC, which all processes of the host share.
pub fn monotonic() -> u64 {
    let time = clock_gettime(ClockId::Monotonic);
    time.tv_sec.cast_unsigned() * 1_000_000_000 + time.tv_nsec.cast_unsigned()
}

/// How long a tick is. Known better the longer ago the scale was begun.
#[derive(Clone, Copy, Debug)]
pub struct Scale {
    ticks: u64,
    nanos: u64,
    rate: f64,
}

impl Scale {
    /// Begins, and takes a hundredth of a second for a first idea.
    pub fn begin() -> Self {
        let (ticks, nanos) = (now(), monotonic());
        while monotonic() - nanos < 10_000_000 {
            std::hint::spin_loop();
        }
        let mut scale = Self { ticks, nanos, rate: 1.0 };
        scale.refine();
        scale
    }
    /// Measures again from the beginning until now.
    pub fn refine(&mut self) {
        let ticks = now().saturating_sub(self.ticks).max(1);
        self.rate = (monotonic() - self.nanos) as f64 / ticks as f64;
    }
    /// Nanoseconds of so many ticks.
    pub fn nanos(&self, ticks: u64) -> u64 {
        (ticks as f64 * self.rate) as u64
    }
    /// Ticks of so many nanoseconds.
    pub fn ticks(&self, nanos: u64) -> u64 {
        (nanos as f64 / self.rate) as u64
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn there_and_back() {
        let scale = Scale::begin();
        let back = scale.nanos(scale.ticks(1_000_000));
        assert!((999_000..=1_001_000).contains(&back), "{back}");
    }
}
