//! How many more of a kind would fit.

use model::Resources;

use super::cell::Cell;
use super::kind::{Kind, KindId, Numa};
use super::state::State;

impl Cell {
    /// How many more instances of a kind the cell has room for, rules of groups and quotas
    /// aside. Costs a look at each state.
    pub fn capacity(&self, kind: KindId) -> u64 {
        let kind = &self.kinds[kind.0 as usize].kind;
        let open = self.states.iter().filter(|row| row.state.open);
        open.filter(|row| self.pools[row.state.pool.0 as usize].shape.has_labels(kind))
            .map(|row| u64::from(times(kind, &row.state)) * row.hosts.len() as u64)
            .sum()
    }
}

/// How many times an instance fits into what is free.
fn times(kind: &Kind, state: &State) -> u32 {
    let by_sum = kind.resources.times_in(&state.free);
    if state.nodes.is_empty() || kind.numa == Numa::Any {
        return by_sum;
    }
    let wanted = Resources { disk_gib: 0, network_mbps: 0, ..kind.resources };
    let by_node = state.nodes.iter().map(|node| wanted.times_in(node));
    by_node.fold(0, u32::saturating_add).min(by_sum)
}
