//! Instances that know of each other: spread over domains, or kept together in one.

use super::topology::{Domain, Level};

/// At most so many of a group in one domain.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Spread {
    /// Over the domains of which level.
    pub level: Level,
    /// How many may share one.
    pub most: u32,
}

/// What the members of a group want of each other.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct GroupSpec {
    /// Anti-affinity; each holds.
    pub spread: Vec<Spread>,
    /// Affinity: all in one domain of this level.
    pub together: Option<Level>,
}

/// A group that a cell knows.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Group(pub(super) u32);

/// A group and where its members are.
#[derive(Clone, Debug, Default)]
pub(super) struct GroupRow {
    pub spec: GroupSpec,
    /// For each spread, then for the affinity: members by domain, sorted.
    taken: Vec<Vec<(Domain, u32)>>,
}

impl GroupRow {
    pub fn new(spec: GroupSpec) -> Self {
        let levels = spec.spread.len() + usize::from(spec.together.is_some());
        Self { spec, taken: vec![Vec::new(); levels] }
    }

    /// The levels whose domains are counted, in order.
    fn levels(&self) -> impl Iterator<Item = Level> + '_ {
        self.spec.spread.iter().map(|spread| spread.level).chain(self.spec.together)
    }

    /// The first rule that a further member at a host breaks; `domain_at` says where it stands.
    pub fn broken(&self, domain_at: impl Fn(Level) -> Domain) -> Option<Level> {
        for (spread, taken) in self.spec.spread.iter().zip(&self.taken) {
            let domain = domain_at(spread.level);
            let there = taken.binary_search_by_key(&domain, |entry| entry.0);
            if there.is_ok_and(|at| taken[at].1 >= spread.most) {
                return Some(spread.level);
            }
        }
        let level = self.spec.together?;
        let home = self.taken[self.spec.spread.len()].first()?.0;
        (domain_at(level) != home).then_some(level)
    }

    /// Counts a member in, or out.
    pub fn count(&mut self, domain_at: impl Fn(Level) -> Domain, arrives: bool) {
        let levels: Vec<Level> = self.levels().collect();
        for (level, taken) in levels.into_iter().zip(&mut self.taken) {
            let domain = domain_at(level);
            match (taken.binary_search_by_key(&domain, |entry| entry.0), arrives) {
                (Ok(at), true) => taken[at].1 += 1,
                (Err(at), true) => taken.insert(at, (domain, 1)),
                (Ok(at), false) if taken[at].1 == 1 => drop(taken.remove(at)),
                (Ok(at), false) => taken[at].1 -= 1,
                (Err(_), false) => unreachable!("a member leaves where it was counted in"),
            }
        }
    }

    /// How many members there are; only known when a rule counts them.
    pub fn is_empty(&self) -> bool {
        self.taken.iter().all(Vec::is_empty)
    }
}
