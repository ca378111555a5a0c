//! Quotas: what the instances of a project may take together.

use model::Resources;

/// A project that a cell knows.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Project(pub(super) u32);

/// What a project may take and takes. Sums of a project can be larger than a vector counts.
#[derive(Clone, Copy, Debug)]
pub(super) struct ProjectRow {
    /// In the order of [`model::resources::DIMENSIONS`]; `u64::MAX` is no limit.
    pub limit: [u64; 5],
    pub used: [u64; 5],
}

impl ProjectRow {
    pub const UNLIMITED: [u64; 5] = [u64::MAX; 5];

    /// The first thing that a further instance would take too much of.
    pub fn exceeded(&self, resources: &Resources) -> Option<usize> {
        let wanted = resources.amounts();
        (0..wanted.len()).find(|at| {
            wanted[*at] > 0 && self.used[*at].saturating_add(wanted[*at].into()) > self.limit[*at]
        })
    }

    pub fn count(&mut self, resources: &Resources, arrives: bool) {
        for (used, amount) in self.used.iter_mut().zip(resources.amounts()) {
            let amount = u64::from(amount);
            *used = match arrives {
                true => *used + amount,
                false => used.checked_sub(amount).expect("a project gives back what it took"),
            };
        }
    }
}
