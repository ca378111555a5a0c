//! What is asked for. Requests that differ in nothing that placement looks at are one
//! [`Kind`]; a cloud sells some hundreds of them, and what is found out about one is kept.

use std::collections::BTreeMap;

use model::Resources;

/// How an instance may lie on the memory nodes (NUMA) of a host.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Numa {
    /// Wherever there is room, over several nodes too.
    #[default]
    Any,
    /// Cores, memory and GPUs from one node.
    One,
}

/// How long an instance is thought to run, in classes that are ten times as long each. Hosts
/// whose instances end together become empty together.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Lifetime {
    /// Nobody knows.
    #[default]
    Unknown,
    /// Up to an hour or so.
    Hours,
    /// Up to a day or so.
    Days,
    /// Longer.
    Months,
}

impl Lifetime {
    /// All classes, in order.
    pub const ALL: [Self; 4] = [Self::Unknown, Self::Hours, Self::Days, Self::Months];

    /// Which class a time in hours belongs to.
    pub fn of_hours(hours: f64) -> Self {
        match hours {
            hours if hours <= 2.0 => Self::Hours,
            hours if hours <= 30.0 => Self::Days,
            _ => Self::Months,
        }
    }
}

/// What is asked for, without who asks and beside whom.
#[derive(Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Kind {
    /// What an instance takes.
    pub resources: Resources,
    /// Where on a host it may lie.
    pub numa: Numa,
    /// Labels that its host must have.
    pub labels: BTreeMap<String, String>,
    /// Who goes first: an instance may take the place of those with a smaller one.
    pub priority: u8,
    /// How long it is thought to run.
    pub lifetime: Lifetime,
}

/// A kind that a cell knows.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct KindId(pub(super) u32);
