//! Moments that readers hold: what they may be looking at is neither punched nor
//! removed until they let go.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// Which moments are held.
#[derive(Debug, Default)]
pub struct Pins(Mutex<Held>);

#[derive(Debug, Default)]
struct Held {
    now: u64,
    readers: BTreeMap<u64, u32>,
}

/// Holds the space of everything that could be found when it was made.
#[derive(Debug)]
pub struct Pin {
    pins: Arc<Pins>,
    moment: u64,
}

impl Pins {
    fn held(&self) -> MutexGuard<'_, Held> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Holds the present moment.
    pub fn pin(self: &Arc<Self>) -> Pin {
        let mut held = self.held();
        let moment = held.now;
        *held.readers.entry(moment).or_default() += 1;
        Pin { pins: Arc::clone(self), moment }
    }

    /// A new moment begins: who pins from now on cannot find what the change took away.
    /// Returns the moment that ended.
    pub fn advance(&self) -> u64 {
        let mut held = self.held();
        held.now += 1;
        held.now - 1
    }

    /// Whether nobody holds this moment or an earlier one.
    pub fn passed(&self, moment: u64) -> bool {
        let held = self.held();
        moment < held.now && held.readers.first_key_value().is_none_or(|(first, _)| *first > moment)
    }
}

impl Drop for Pin {
    fn drop(&mut self) {
        let mut held = self.pins.held();
        if let Some(count) = held.readers.get_mut(&self.moment) {
            *count -= 1;
            if *count == 0 {
                held.readers.remove(&self.moment);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_moment_passes_when_it_has_ended_and_nobody_holds_it() {
        let pins = Arc::new(Pins::default());
        let (first, second) = (pins.pin(), pins.pin());
        assert!(!pins.passed(0));
        let ended = pins.advance();
        let later = pins.pin();
        assert!(!pins.passed(ended));
        drop(first);
        assert!(!pins.passed(ended));
        drop(second);
        assert!(pins.passed(ended));
        drop(later);
        assert!(!pins.passed(1), "it has not ended");
    }
}
