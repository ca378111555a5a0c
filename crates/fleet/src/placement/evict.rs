//! Room is made for what is more important: which host, and who has to go.

use super::cell::{Allocation, Cell, Host};
use super::decide::Request;
use super::fits::{change, fits};
use super::refusal::Refusal;

/// A host, and the instances that leave it before the new one fits.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Eviction {
    /// Where the instance goes.
    pub host: Host,
    /// Who has to go, least important first.
    pub victims: Vec<Allocation>,
    /// What that costs: smaller is better. The highest priority among those who go, then
    /// their millicores.
    pub cost: (u8, u64),
}

/// After so many hosts that would do, the cheapest of them is taken.
const ENOUGH: usize = 256;

impl Cell {
    /// Finds the host where the fewest and least important have to go. Looks at hosts one by
    /// one, from one that the `salt` says: this is asked only when nothing fits.
    pub fn decide_eviction(&self, request: &Request, salt: u64) -> Result<Eviction, Refusal> {
        self.check_quota(request)?;
        let count = self.hosts.len() as u64;
        let found = (0..count)
            .map(|step| Host(((salt % count.max(1) + step) % count) as u32))
            .filter_map(|host| self.evict_from(request, host))
            .take(ENOUGH)
            .min_by_key(|found| (found.cost, found.victims.len(), found.host));
        found.ok_or(Refusal::NoRoom)
    }

    /// Who would have to leave a host; `None` when even all who may are not enough.
    fn evict_from(&self, request: &Request, host: Host) -> Option<Eviction> {
        let kind = &self.kinds[request.kind.0 as usize].kind;
        let state = self.state_of(host.0);
        let pool = &self.pools[state.pool.0 as usize];
        if !state.open || !kind.resources.fits_in(&pool.whole) || !pool.shape.has_labels(kind) {
            return None;
        }
        let mut lesser: Vec<(u8, u32, Allocation)> = self
            .instances(host)
            .filter(|one| !self.is_placeholder(*one))
            .filter_map(|one| self.kind_of(one).map(|kind| (kind, one)))
            .filter(|(other, _)| other.priority < kind.priority)
            .map(|(other, one)| (other.priority, u32::MAX - other.resources.millicores, one))
            .collect();
        // The least important, and of those the largest: fewer have to go.
        lesser.sort_unstable();
        let (mut free, mut nodes) = (state.free, state.nodes.clone());
        let mut victims = Vec::new();
        for (_, _, one) in &lesser {
            if fits(kind, &free, &nodes).is_some() {
                break;
            }
            let taken = self.kind_of(*one)?.resources;
            change(&mut free, &mut nodes, &taken, &self.share_of(one.at), false);
            victims.push(*one);
        }
        fits(kind, &free, &nodes)?;
        // Who turned out not to be in the way stays, the most important first.
        for at in (0..victims.len()).rev() {
            let (stays, share) = (self.kind_of(victims[at])?, self.share_of(victims[at].at));
            let (mut less, mut fewer) = (free, nodes.clone());
            change(&mut less, &mut fewer, &stays.resources, &share, true);
            if fits(kind, &less, &fewer).is_some() {
                (free, nodes) = (less, fewer);
                victims.remove(at);
            }
        }
        if self.rule_broken_without(request, host, &victims) {
            return None;
        }
        let kinds = victims.iter().filter_map(|one| self.kind_of(*one));
        let cost = kinds.fold((0, 0), |(highest, sum), kind| {
            (kind.priority.max(highest), sum + u64::from(kind.resources.millicores))
        });
        Some(Eviction { host, victims, cost })
    }

    /// Whether the group of the newcomer forbids the host. A victim of the same group would
    /// make room in its rule; such hosts are left out all the same, since a group does not
    /// push out its own.
    fn rule_broken_without(&self, request: &Request, host: Host, victims: &[Allocation]) -> bool {
        let Some(group) = request.group else { return false };
        let own = victims.iter().filter_map(|one| self.row_of(*one));
        let rule = self.groups[group.0 as usize].broken(|level| self.domain_at(level, host.0));
        rule.is_some() || own.into_iter().any(|row| row.group == group.0)
    }
}
