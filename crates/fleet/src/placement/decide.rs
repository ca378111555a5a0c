//! Which host an instance goes to. Changes nothing: what was decided is recorded, then
//! committed.

use super::cell::{Cell, Host};
use super::fits::{Share, fits};
use super::group::Group;
use super::kind::KindId;
use super::pool::PoolId;
use super::project::Project;
use super::refusal::Refusal;
use super::state::StateId;
use super::topology::Level;

/// Where an instance goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Choice {
    /// The host.
    pub host: Host,
    /// What it takes from each of its memory nodes.
    pub share: Share,
}

/// What is asked for, by whom, beside whom.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Request {
    /// What is asked for.
    pub kind: KindId,
    /// With whom it wants to be together, or not.
    pub group: Option<Group>,
    /// Who pays.
    pub project: Option<Project>,
}

impl Request {
    /// A request without company and without limits.
    pub fn of(kind: KindId) -> Self {
        Self { kind, group: None, project: None }
    }
}

/// How many hosts of a state are tried at places far from each other before all are looked
/// at: neighbours in a list often stand in one rack.
const PROBES: usize = 8;

impl Cell {
    /// The host with the least left over, among those that the group allows. The `salt` says
    /// where among equal hosts a member of a group begins to look.
    pub fn decide(&self, request: &Request, salt: u64) -> Result<Choice, Refusal> {
        self.check_quota(request)?;
        let row = &self.kinds[request.kind.0 as usize];
        let mut broken = None;
        let mut rest = row.pools.as_slice();
        while let Some((rank, _)) = rest.first() {
            let rivals = rest.partition_point(|pool| pool.0 == *rank);
            let best = rest[..rivals]
                .iter()
                .filter_map(|(_, pool)| self.best_of(*pool, request, salt, &mut broken))
                .min_by_key(|(left, choice)| (*left, choice.host.0));
            if let Some((_, choice)) = best {
                return Ok(choice);
            }
            rest = &rest[rivals..];
        }
        Err(broken.map_or(Refusal::NoRoom, Refusal::Group))
    }

    /// Refuses when the project would have too much.
    pub(super) fn check_quota(&self, request: &Request) -> Result<(), Refusal> {
        let Some(project) = request.project else { return Ok(()) };
        let resources = &self.kinds[request.kind.0 as usize].kind.resources;
        let exceeded = self.projects[project.0 as usize].exceeded(resources);
        exceeded.map_or(Ok(()), |at| Err(Refusal::Quota(at)))
    }

    /// The best of a pool, and how much of its host would be left over, in millionths.
    fn best_of(
        &self,
        pool: PoolId,
        request: &Request,
        salt: u64,
        broken: &mut Option<Level>,
    ) -> Option<(u64, Choice)> {
        let kind = &self.kinds[request.kind.0 as usize].kind;
        let pool = &self.pools[pool.0 as usize];
        for id in pool.candidates(kind) {
            let state = &self.states.row(id).state;
            let Some(share) = fits(kind, &state.free, &state.nodes) else { continue };
            if let Some(host) = self.pick(id, request.group, salt, broken) {
                let left = u64::from(state.free.millicores - kind.resources.millicores);
                let left = left * 1_000_000 / u64::from(pool.whole.millicores.max(1));
                return Some((left, Choice { host: Host(host), share }));
            }
        }
        None
    }

    /// A host of a state that the group allows.
    fn pick(
        &self,
        id: StateId,
        group: Option<Group>,
        salt: u64,
        broken: &mut Option<Level>,
    ) -> Option<u32> {
        let hosts = &self.states.row(id).hosts;
        let Some(group) = group else { return hosts.last().copied() };
        let group = &self.groups[group.0 as usize];
        let mut allows = |host: u32| {
            let rule = group.broken(|level| self.domain_at(level, host));
            *broken = rule.or(*broken);
            rule.is_none()
        };
        let mut at = salt as usize;
        for _ in 0..PROBES.min(hosts.len()) {
            at = at.wrapping_mul(0x5851_F42D_4C95_7F2D).wrapping_add(0x1405_7B7E_F767_814F);
            let host = hosts[(at >> 32) % hosts.len()];
            if allows(host) {
                return Some(host);
            }
        }
        hosts.iter().copied().find(|host| allows(*host))
    }
}
