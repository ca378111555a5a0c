//! Where hosts stand: fault domains of several levels. A rack hangs on one switch and one
//! power feed; waves of updates lie across all of them. Hosts that stand in the same domains
//! share one [`Place`].

use std::collections::HashMap;

use serde::{Deserialize, Serialize};

/// What hosts can have in common that fails, or is changed, as one.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub enum Level {
    /// The host itself.
    Host,
    /// Hosts in one cabinet.
    Rack,
    /// Hosts behind one switch.
    Switch,
    /// Hosts on one power feed.
    Power,
    /// Hosts that are updated together.
    Wave,
}

impl Level {
    /// The levels above the host, in the order of [`Place::domains`].
    pub const DOMAINS: [Self; 4] = [Self::Rack, Self::Switch, Self::Power, Self::Wave];
}

/// One domain of one level: a number that the caller gave it.
#[derive(
    Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize,
)]
pub struct Domain(pub u32);

/// The domains that a host stands in.
#[derive(
    Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize,
)]
pub struct Place {
    /// One for each of [`Level::DOMAINS`].
    pub domains: [Domain; 4],
}

/// The places of a cell, each kept once.
#[derive(Clone, Debug, Default)]
pub(super) struct Places {
    all: Vec<Place>,
    known: HashMap<Place, u32>,
}

impl Places {
    /// The number of a place.
    pub fn intern(&mut self, place: Place) -> u32 {
        if let Some(number) = self.known.get(&place) {
            return *number;
        }
        let number = u32::try_from(self.all.len()).expect("fewer places than hosts");
        self.all.push(place);
        self.known.insert(place, number);
        number
    }

    /// The domain of a level that a host stands in; the host itself counts as one.
    pub fn domain(&self, level: Level, host: u32, place: u32) -> Domain {
        let domains = &self.all[place as usize].domains;
        match level {
            Level::Host => Domain(host),
            Level::Rack => domains[0],
            Level::Switch => domains[1],
            Level::Power => domains[2],
            Level::Wave => domains[3],
        }
    }

    /// What the places themselves take, in bytes.
    pub fn bytes(&self) -> usize {
        self.all.capacity() * size_of::<Place>()
            + self.known.capacity() * (size_of::<(Place, u32)>() + 1)
    }
}
