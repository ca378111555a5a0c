//! Why nothing fits: which constraint removed how many hosts, and what would help.

use model::Resources;
use model::resources::DIMENSIONS;

use super::cell::Cell;
use super::decide::Request;
use super::fits::fits;
use super::kind::Kind;
use super::state::State;
use super::topology::Level;

/// What removed hosts.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Constraint {
    /// They have not the labels that were asked for.
    Labels,
    /// They would be too small even if they were empty.
    Size,
    /// They take nobody new: drained, ailing, locked.
    Closed,
    /// They have too little free of one thing: its place in
    /// [`model::resources::DIMENSIONS`].
    Free(usize),
    /// They have enough free, but on no single memory node.
    Node,
    /// A rule of the group about domains of this level.
    Group(Level),
}

impl std::fmt::Display for Constraint {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Labels => f.write_str("have other labels"),
            Self::Size => f.write_str("are too small even when empty"),
            Self::Closed => f.write_str("are closed to new instances"),
            Self::Free(at) => write!(f, "have too little {} free", DIMENSIONS[*at]),
            Self::Node => f.write_str("have room, but not on one memory node"),
            Self::Group(level) => write!(f, "are ruled out by the group, by {level:?}"),
        }
    }
}

/// What removed how many hosts, in the order in which the tests are made, and what is left.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Explanation {
    /// Hosts of the cell.
    pub hosts: u64,
    /// Each host is counted once, at the first constraint that it does not meet.
    pub removed: Vec<(Constraint, u64)>,
    /// Hosts that would take the instance.
    pub fit: u64,
    /// The most that one open host with the right labels has free of each thing.
    pub most_free: Resources,
    /// What of the project's quota is used up, as a place in
    /// [`model::resources::DIMENSIONS`].
    pub quota: Option<usize>,
}

impl Cell {
    /// Goes over all states, and over the hosts of those that have room when a group has
    /// rules.
    pub fn explain(&self, request: &Request) -> Explanation {
        let kind = &self.kinds[request.kind.0 as usize].kind;
        let mut counts = std::collections::BTreeMap::new();
        let mut told = Explanation {
            hosts: self.hosts() as u64,
            removed: Vec::new(),
            fit: 0,
            most_free: Resources::default(),
            quota: self.check_quota(request).err().and_then(|refusal| match refusal {
                super::Refusal::Quota(at) => Some(at),
                _ => None,
            }),
        };
        for row in self.states.iter() {
            if self.pools[row.state.pool.0 as usize].whole.is_none() {
                // They were taken out.
                continue;
            }
            let found = self.first_unmet(kind, &row.state);
            if row.state.open && found != Some(Constraint::Labels) {
                told.most_free = most(&told.most_free, &row.state.free);
            }
            if let Some(constraint) = found {
                *counts.entry(constraint).or_insert(0) += row.hosts.len() as u64;
                continue;
            }
            for host in &row.hosts {
                match self.rule(request, *host) {
                    Some(level) => *counts.entry(Constraint::Group(level)).or_insert(0) += 1,
                    None => told.fit += 1,
                }
            }
        }
        told.removed = counts.into_iter().collect();
        told
    }

    fn rule(&self, request: &Request, host: u32) -> Option<Level> {
        let group = &self.groups[request.group?.0 as usize];
        group.broken(|level| self.domain_at(level, host))
    }

    fn first_unmet(&self, kind: &Kind, state: &State) -> Option<Constraint> {
        let pool = &self.pools[state.pool.0 as usize];
        if !pool.shape.has_labels(kind) {
            return Some(Constraint::Labels);
        }
        if !pool.shape.suits(kind) {
            return Some(Constraint::Size);
        }
        if !state.open {
            return Some(Constraint::Closed);
        }
        if fits(kind, &state.free, &state.nodes).is_some() {
            return None;
        }
        let (want, free) = (kind.resources.amounts(), state.free.amounts());
        let short = (0..want.len()).find(|at| want[*at] > free[*at]);
        Some(short.map_or(Constraint::Node, Constraint::Free))
    }
}

fn most(one: &Resources, two: &Resources) -> Resources {
    let (one, two) = (one.amounts(), two.amounts());
    Resources::of(std::array::from_fn(|at| one[at].max(two[at])))
}
