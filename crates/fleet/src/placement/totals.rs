//! Sums over all hosts.

use model::Resources;

use super::cell::Cell;
use super::project::Project;

/// What hosts have and have free.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Totals {
    /// Hosts that take new instances.
    pub open_hosts: u64,
    /// What all hosts have when they are empty, in the order of
    /// [`model::resources::DIMENSIONS`].
    pub whole: [u64; 5],
    /// What open hosts have free.
    pub free: [u64; 5],
}

impl Cell {
    /// What there is. Costs a look at each state.
    pub fn totals(&self) -> Totals {
        let mut totals = Totals::default();
        for row in self.states.iter() {
            let hosts = row.hosts.len() as u64;
            let whole = &self.pools[row.state.pool.0 as usize].whole;
            add(&mut totals.whole, whole, hosts);
            if row.state.open {
                totals.open_hosts += hosts;
                add(&mut totals.free, &row.state.free, hosts);
            }
        }
        totals
    }

    /// What the instances of a project take, in the order of [`model::resources::DIMENSIONS`].
    pub fn used(&self, project: Project) -> [u64; 5] {
        self.projects[project.0 as usize].used
    }
}

fn add(sum: &mut [u64; 5], amount: &Resources, times: u64) {
    for (sum, amount) in sum.iter_mut().zip(amount.amounts()) {
        *sum += u64::from(amount) * times;
    }
}
