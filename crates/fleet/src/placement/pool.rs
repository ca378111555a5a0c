//! Hosts of one shape with the same labels, and the ordered index of their states.

use std::collections::{BTreeMap, BTreeSet};

use model::Resources;

use super::kind::{Kind, Lifetime};
use super::state::{State, StateId};

/// A pool that a cell knows.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(super) struct PoolId(pub u16);

/// What the hosts of a pool have in common, as long as they stand.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(super) struct Shape {
    /// What each memory node has; one entry for hosts that are not divided. Things without a
    /// node (disk, network) are in the first.
    pub nodes: Vec<Resources>,
    pub labels: BTreeMap<String, String>,
}

impl Shape {
    /// What a host of it has when it is empty.
    pub fn whole(&self) -> Resources {
        self.nodes.iter().fold(Resources::default(), |sum, node| sum.plus(node))
    }

    /// What its nodes have, as a state counts them.
    pub fn counted_nodes(&self) -> Box<[Resources]> {
        match self.nodes.len() {
            1 => Box::default(),
            _ => self
                .nodes
                .iter()
                .map(|node| Resources { disk_gib: 0, network_mbps: 0, ..*node })
                .collect(),
        }
    }

    /// Whether an empty host of it would take an instance, by labels and size.
    pub fn suits(&self, kind: &Kind) -> bool {
        self.has_labels(kind)
            && super::fits::fits(kind, &self.whole(), &self.counted_nodes()).is_some()
    }

    pub fn has_labels(&self, kind: &Kind) -> bool {
        kind.labels.iter().all(|(key, value)| self.labels.get(key) == Some(value))
    }

    /// How many kinds of things it has that are not asked for: a host with GPUs is the last
    /// to take what needs none.
    pub fn wasted(&self, kind: &Kind) -> u32 {
        let (have, want) = (self.whole().amounts(), kind.resources.amounts());
        // Disk and network come with every host; only what is dear counts.
        u32::from(have[4] > 0 && want[4] == 0)
    }
}

/// Cores, then memory, then which state: the fullest first.
type Key = (u32, u32, StateId);

/// A pool: its shape, and its open states in the order in which they are tried.
#[derive(Clone, Debug)]
pub(super) struct Pool {
    pub shape: Shape,
    pub whole: Resources,
    /// The state of its open hosts without instances: the last that is tried.
    empty: Option<StateId>,
    by_lifetime: [BTreeSet<Key>; Lifetime::ALL.len()],
}

impl Pool {
    pub fn new(shape: Shape) -> Self {
        let whole = shape.whole();
        Self { shape, whole, empty: None, by_lifetime: Default::default() }
    }

    fn key(state: &State, id: StateId) -> Key {
        (state.free.millicores, state.free.memory_mib, id)
    }

    /// Takes an open state in.
    pub fn insert(&mut self, state: &State, id: StateId) {
        if state.free == self.whole {
            self.empty = Some(id);
            return;
        }
        self.by_lifetime[state.lifetime as usize].insert(Self::key(state, id));
    }

    /// Takes an open state out.
    pub fn remove(&mut self, state: &State, id: StateId) {
        if state.free == self.whole {
            self.empty = None;
            return;
        }
        self.by_lifetime[state.lifetime as usize].remove(&Self::key(state, id));
    }

    /// Open states with enough cores and memory in the order in which they are tried: hosts
    /// that live as long as the instance, then those that live longer, then the others, and
    /// those without instances at the end; of each those with the least left over first.
    pub fn candidates<'a>(&'a self, kind: &'a Kind) -> impl Iterator<Item = StateId> + 'a {
        let used = order(kind.lifetime)
            .into_iter()
            .flat_map(|lifetime| tightest(&self.by_lifetime[lifetime as usize], &kind.resources));
        used.chain(self.empty)
    }

    /// What the index takes, in bytes: nodes of a tree are two thirds full or so.
    pub fn bytes(&self) -> usize {
        let entries: usize = self.by_lifetime.iter().map(BTreeSet::len).sum();
        entries * size_of::<Key>() * 3 / 2
    }
}

/// Which hosts are tried first for an instance that is thought to run so long.
fn order(lifetime: Lifetime) -> [Lifetime; Lifetime::ALL.len()] {
    use Lifetime::{Days, Hours, Months, Unknown};
    match lifetime {
        Unknown => [Unknown, Months, Days, Hours],
        Hours => [Hours, Days, Months, Unknown],
        Days => [Days, Months, Hours, Unknown],
        Months => [Months, Days, Hours, Unknown],
    }
}

/// The states of an index with enough cores and memory. Of a row of equally many free cores,
/// everything with too little memory is jumped over.
fn tightest<'a>(
    index: &'a BTreeSet<Key>,
    wanted: &Resources,
) -> impl Iterator<Item = StateId> + use<'a> {
    let memory = wanted.memory_mib;
    let mut from = (wanted.millicores, memory, StateId(0));
    std::iter::from_fn(move || {
        loop {
            let (cores, free, id) = *index.range(from..).next()?;
            if free < memory {
                from = (cores, memory, StateId(0));
                continue;
            }
            from = (cores, free, StateId(id.0 + 1));
            return Some(id);
        }
    })
}
