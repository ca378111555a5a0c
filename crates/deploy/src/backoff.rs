//! Waits between tries: doubling, with jitter, so that a rack whose control
//! plane comes back does not knock all at once.

use std::time::Duration;

use ring::rand::{SecureRandom as _, SystemRandom};

use crate::settings::Patience;

/// A growing wait.
#[derive(Debug)]
pub struct Backoff {
    patience: Patience,
    next: Duration,
}

impl Backoff {
    /// Begins at the shortest wait.
    pub fn new(patience: Patience) -> Self {
        Self { patience, next: patience.first }
    }

    /// The next try begins at the shortest wait again.
    pub fn reset(&mut self) {
        self.next = self.patience.first;
    }

    /// The wait before the next try: between half and all of the current step.
    pub fn step(&mut self) -> Duration {
        let whole = self.next;
        self.next = (whole * 2).min(self.patience.most);
        whole / 2 + (whole / 2).mul_f64(fraction())
    }

    /// Waits.
    pub async fn wait(&mut self) {
        tokio::time::sleep(self.step()).await;
    }
}

/// A random number from 0 up to 1.
fn fraction() -> f64 {
    f64::from(u32::try_from(random() >> 32).unwrap_or(0)) / f64::from(u32::MAX)
}

/// Sixty-four random bits of the kernel; 0 when there are none, which only costs jitter.
pub fn random() -> u64 {
    let mut bytes = [0; 8];
    let _ = SystemRandom::new().fill(&mut bytes);
    u64::from_le_bytes(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn waits_grow_and_stay_in_bounds() {
        let patience = Patience::default();
        let mut backoff = Backoff::new(patience);
        let mut waits = Vec::new();
        for _ in 0..20 {
            waits.push(backoff.step());
        }
        assert!(waits[0] <= patience.first && waits[0] >= patience.first / 2);
        assert!(waits[19] >= patience.most / 2 && waits[19] <= patience.most);
        backoff.reset();
        assert!(backoff.step() <= patience.first);
    }
}
