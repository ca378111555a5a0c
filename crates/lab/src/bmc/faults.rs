//! Faults that BMCs of the field have, to be switched on for tests and drills.

use std::collections::BTreeSet;
use std::sync::Mutex;
use std::time::Duration;

use serde::{Deserialize, Serialize};

/// How much slower a slow BMC is, for each answer.
pub(super) const SLOW: Duration = Duration::from_secs(5);

/// A fault.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Fault {
    /// Accepts the connection and never answers.
    Hang,
    /// Answers 503 to everything.
    Unavailable,
    /// Accepts a reset and does nothing.
    PowerLies,
    /// Accepts a boot override and forgets it.
    BootForgotten,
    /// Takes 5 s longer for each answer.
    Slow,
    /// Sends JSON that ends in the middle.
    Malformed,
    /// Forgets every session as soon as it is opened.
    SessionsExpire,
}

/// The faults of one BMC.
#[derive(Debug, Default)]
pub struct Faults {
    active: Mutex<BTreeSet<Fault>>,
}

impl Faults {
    /// Switches a fault on or off.
    pub fn set(&self, fault: Fault, on: bool) {
        let mut active = self.active.lock().unwrap_or_else(|broken| broken.into_inner());
        if on {
            active.insert(fault);
        } else {
            active.remove(&fault);
        }
    }

    /// Whether a fault is on.
    pub fn has(&self, fault: Fault) -> bool {
        self.active.lock().unwrap_or_else(|broken| broken.into_inner()).contains(&fault)
    }

    /// All that are on.
    pub fn active(&self) -> Vec<Fault> {
        self.active.lock().unwrap_or_else(|broken| broken.into_inner()).iter().copied().collect()
    }

    /// Sets exactly these.
    pub fn replace(&self, faults: impl IntoIterator<Item = Fault>) {
        let fresh = faults.into_iter().collect();
        *self.active.lock().unwrap_or_else(|broken| broken.into_inner()) = fresh;
    }
}
