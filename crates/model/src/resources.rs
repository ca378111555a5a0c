//! What a host has and an instance takes, as a vector: one number for each kind of thing
//! that runs out. Placement, admission on the host and quotas all count in it.

use std::fmt;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// An amount of everything that a host has.
#[derive(
    Clone,
    Copy,
    Debug,
    Default,
    PartialEq,
    Eq,
    PartialOrd,
    Ord,
    Hash,
    Serialize,
    Deserialize,
    JsonSchema,
)]
#[serde(default, deny_unknown_fields)]
pub struct Resources {
    /// Processor time in thousandths of a core.
    pub millicores: u32,
    /// Memory in binary mebibytes.
    pub memory_mib: u32,
    /// Local disk in binary gibibytes.
    pub disk_gib: u32,
    /// Network bandwidth in megabits a second.
    pub network_mbps: u32,
    /// Whole GPUs.
    pub gpus: u32,
}

/// The kinds of things that a vector counts, in its order.
pub const DIMENSIONS: [&str; 5] = ["cores", "memory", "disk", "network", "gpus"];

impl Resources {
    /// The amounts in the order of [`DIMENSIONS`].
    pub const fn amounts(&self) -> [u32; 5] {
        [self.millicores, self.memory_mib, self.disk_gib, self.network_mbps, self.gpus]
    }

    /// A vector of amounts in the order of [`DIMENSIONS`].
    pub const fn of(amounts: [u32; 5]) -> Self {
        Self {
            millicores: amounts[0],
            memory_mib: amounts[1],
            disk_gib: amounts[2],
            network_mbps: amounts[3],
            gpus: amounts[4],
        }
    }

    /// Whether all of it is there in `free`.
    pub const fn fits_in(&self, free: &Self) -> bool {
        self.millicores <= free.millicores
            && self.memory_mib <= free.memory_mib
            && self.disk_gib <= free.disk_gib
            && self.network_mbps <= free.network_mbps
            && self.gpus <= free.gpus
    }

    /// What is left when `taken` is taken; `None` when something does not suffice.
    pub fn minus(&self, taken: &Self) -> Option<Self> {
        taken.fits_in(self).then(|| self.zip(taken, |have, take| have - take))
    }

    /// The sum of both.
    ///
    /// # Panics
    /// When a sum is more than can be counted: nobody has that much of anything.
    pub fn plus(&self, other: &Self) -> Self {
        self.zip(other, |one, two| {
            one.checked_add(two).expect("no host and no project has 2^32 of anything")
        })
    }

    /// The smaller of both amounts, thing by thing.
    pub fn at_most(&self, other: &Self) -> Self {
        self.zip(other, u32::min)
    }

    /// How many times it goes into `free`; `u32::MAX` when it takes nothing.
    pub fn times_in(&self, free: &Self) -> u32 {
        let (wanted, free) = (self.amounts(), free.amounts());
        let each = wanted.iter().zip(free);
        each.filter_map(|(want, have)| have.checked_div(*want)).min().unwrap_or(u32::MAX)
    }

    /// Whether there is nothing of anything.
    pub fn is_none(&self) -> bool {
        *self == Self::default()
    }

    fn zip(&self, other: &Self, with: impl Fn(u32, u32) -> u32) -> Self {
        let (one, two) = (self.amounts(), other.amounts());
        Self::of(std::array::from_fn(|at| with(one[at], two[at])))
    }
}

impl fmt::Display for Resources {
    /// What there is of, in words: `2 cores, 8.0 GiB of memory, 1 GPU`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut told = Vec::new();
        if self.millicores > 0 {
            told.push(format!("{} cores", f64::from(self.millicores) / 1000.0));
        }
        if self.memory_mib > 0 {
            told.push(format!("{} of memory", crate::Bytes::mib(self.memory_mib.into())));
        }
        if self.disk_gib > 0 {
            told.push(format!("{} of local disk", crate::Bytes::gib(self.disk_gib.into())));
        }
        if self.network_mbps > 0 {
            told.push(format!("{} Mbit/s", self.network_mbps));
        }
        if self.gpus > 0 {
            told.push(format!("{} GPUs", self.gpus));
        }
        match told.is_empty() {
            true => f.write_str("nothing"),
            false => f.write_str(&told.join(", ")),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const HOST: Resources = Resources::of([80_000, 589_824, 4_000, 25_000, 0]);

    #[test]
    fn taking_needs_enough_of_everything() {
        let small = Resources { millicores: 2_000, memory_mib: 8_192, ..Resources::default() };
        let left = HOST.minus(&small).expect("a small instance fits");
        assert_eq!(left.plus(&small), HOST);
        let greedy = Resources { gpus: 1, ..small };
        assert_eq!(HOST.minus(&greedy), None);
    }

    #[test]
    fn the_scarcest_thing_counts() {
        let half = Resources { millicores: 1_000, memory_mib: 300_000, ..Resources::default() };
        assert_eq!(half.times_in(&HOST), 1);
        assert_eq!(Resources::default().times_in(&HOST), u32::MAX);
        assert_eq!(Resources { gpus: 1, ..half }.times_in(&HOST), 0);
    }

    #[test]
    fn it_is_told_in_words() {
        let small =
            Resources { millicores: 500, memory_mib: 2_048, gpus: 2, ..Resources::default() };
        assert_eq!(small.to_string(), "0.5 cores, 2.0 GiB of memory, 2 GPUs");
        assert_eq!(Resources::default().to_string(), "nothing");
    }
}
