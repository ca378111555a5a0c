//! How long the steps of a start took: after a crash guests wait for each of them.

use std::fmt::Write as _;

use world::clock::monotonic_nanos;

/// The steps so far.
#[derive(Debug)]
pub(crate) struct Steps {
    began: u64,
    last: u64,
    told: String,
}

impl Steps {
    /// The first begins.
    pub fn begin() -> Self {
        let now = monotonic_nanos();
        Self { began: now, last: now, told: String::new() }
    }
    /// One is done, and the next begins.
    pub fn done(&mut self, what: &str) {
        let now = monotonic_nanos();
        let micros = now.saturating_sub(self.last) / 1000;
        let comma = if self.told.is_empty() { "" } else { ", " };
        write!(self.told, "{comma}{what} {micros}").expect("a string takes everything");
        self.last = now;
    }
    /// All are done.
    pub fn tell(&self, came: &str) {
        let all = self.last.saturating_sub(self.began) / 1000;
        tracing::info!(all, steps = self.told, "{came} (microseconds)");
    }
}
